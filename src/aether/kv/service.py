"""Key/value operations: who may run which one where, and within which limits (kv 3 to 7).

A request passes the stages of :meth:`KVService.handle` in order; the first that declines it decides the error. What
passes is evaluated by the store: at once where it lives in this process, else in the awaitable that is returned.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable

from aether.access import Access, Level, Rights
from aether.answers import Answer, Caller, Reply
from aether.audit.events import NO_AUDIT, Recorder, grant_of
from aether.errors import Code, KVError, Refusal, StoreUnavailable, WrongType
from aether.identity import Identity, InvalidIdentity, PrincipalType, parse_identity
from aether.kv.limits import KVLimits, refuse_count, refuse_size
from aether.kv.namespaces import EXCLUSIVE, WITH_USER, WITH_WORKSPACE, check_names, namespace_of, owner_of
from aether.kv.permissions import Denied, check_access, claimed_rights, implied_rights
from aether.kv.rows import LABELS, row
from aether.kv.store import (
    CREATES,
    STORES_VALUE,
    TAKES_TTL,
    CachingKVStore,
    Command,
    ImmediateKVStore,
    KVStore,
    Namespace,
    Op,
    Place,
    Result,
    Scope,
)
from aether.kv.wire import INVALID_ARGUMENT, PERMISSION_DENIED, failure, found, refusal_of, success
from aether.proto import aether_pb2 as pb

__all__ = ["KVService", "Observe", "OnRepeat"]

Observe = Callable[[str, str, str, bool, float], None]
"""Called once per operation that reached a scope: operation, scope label, workspace, success, seconds (kv 12.2)."""

OnRepeat = Callable[[Caller, Op, Scope, str, bytes, Place], None]
"""Called with a get or put that would be decided and recorded in the same way again: who asked, operation, scope,
workspace, the canonical encoding of what the decision depends on, and where the value is."""

Implied = Callable[[Caller], pb.AuthorizationContext | None]
"""The authority of the task that a session works on; None where there is none (kv 3.2)."""

_OPS = {op.value: op for op in Op}
_SCOPES = {scope.value: scope for scope in Scope}
_NAMES = {op: op.name for op in Op}
_SCOPE_LABELS = {scope: scope.label for scope in Scope}
_CALLERS = frozenset(
    {
        PrincipalType.AGENT,
        PrincipalType.TASK,
        PrincipalType.SERVICE,
        PrincipalType.WORKFLOW_ENGINE,
        PrincipalType.METRICS_BRIDGE,
    }
)
_SHARED_FOR_USER = WITH_USER - EXCLUSIVE
_SHORTENED = frozenset({Op.GET, Op.PUT})


class KVService:
    """Answers ``kv_op``.

    :param implied: finds the authority that comes with the caller's task.
    :param observe: told of every operation that reached a scope.
    :param on_repeat: told of what could take a shorter way.
    """

    def __init__(
        self,
        store: KVStore,
        access: Access,
        limits: KVLimits,
        recorder: Recorder = NO_AUDIT,
        *,
        implied: Implied = lambda _: None,
        observe: Observe | None = None,
        on_repeat: OnRepeat | None = None,
    ) -> None:
        self._store = store
        self._caching = store if isinstance(store, CachingKVStore) and recorder.coalesces else None
        self._immediate = store if isinstance(store, ImmediateKVStore) else None
        self._access = access
        self._limits = limits
        self._recorder = recorder
        self._value_bytes_max = limits.largest_value
        self._implied = implied
        self._observe = observe
        self._on_repeat = on_repeat

    def handle(self, caller: Caller, operation: pb.KVOperation) -> Reply:
        """Run one operation; every failure is an answer."""
        started = time.perf_counter()
        identity = caller.identity
        request_id = operation.request_id
        rights: Rights | None = None
        op = _OPS.get(operation.op)
        scope = _SCOPES.get(operation.scope, Scope.WORKSPACE)
        workspace = operation.workspace or identity.workspace
        reached = False
        try:
            if op in STORES_VALUE and len(operation.value) > self._value_bytes_max:
                refuse_size(len(operation.value), self._value_bytes_max, workspace)
            if operation.HasField("authorization"):
                rights = claimed_rights(self._access, caller, operation.authorization)
            if identity.kind not in _CALLERS:
                raise Refusal(Code.KV_ERROR, f"{identity.kind.title} principals have no key/value access")
            if op is Op.PURGE_IDENTITY:
                return self._finish(
                    caller, operation, op, scope, workspace, None, self._purge(caller, scope, operation), started
                )
            namespace = self._place(scope, identity, operation.user_id, workspace)
            reached = True
            if op is None:
                raise Refusal(Code.KV_ERROR, "unknown operation")
            key = operation.key
            if self._access.configured:
                if caller.task_id and scope in _SHARED_FOR_USER and not operation.HasField("authorization"):
                    rights = implied_rights(self._access, caller, self._implied(caller), operation.user_id)
                check_access(self._access, caller, rights, op, scope, key, operation.user_id, workspace)
            command = self._command(op, namespace, key, operation)
            command.account = namespace.workspace or identity.workspace
            if self._immediate is None or op is Op.LIST:
                pending = self._execute(command, workspace)
                return self._finish(caller, operation, op, scope, workspace, rights, pending, started)
            if op in CREATES and self._limits.keys_per_namespace_max:
                self._check_count(self._immediate, command, workspace)
            result, ticket = self._immediate.apply(command)
        except (Refusal, KVError, StoreUnavailable) as error:
            if reached and op is not None:
                self._tell(op, scope, workspace, False, started)
            return self._fail(caller, operation, op, scope, workspace, rights, error)
        grant_id = grant_of(rights.lineage) if rights is not None else ""
        if not self._recorder.repeats("kv", identity.key, "kv_key", key, LABELS[op], grant_id):
            self._record(caller, operation, op, scope, workspace, rights, result)
        elif rights is None and op in _SHORTENED:
            self._report_repeat(caller, operation, op, scope, workspace, namespace)
        if self._observe is not None:
            self._observe(_NAMES[op], _SCOPE_LABELS[scope], workspace, True, time.perf_counter() - started)
        frame = found(result.value, request_id) if op is Op.GET else success(op, result, request_id)
        return Answer((frame,), ticket)

    def _report_repeat(
        self, caller: Caller, operation: pb.KVOperation, op: Op, scope: Scope, workspace: str, namespace: Namespace
    ) -> None:
        """Unless the next one could be decided in another way: by the authority of a task, or with a life to set."""
        limits = self._limits
        if (
            self._on_repeat is None
            or self._caching is None
            or (caller.task_id and scope in _SHARED_FOR_USER)
            or (op is Op.PUT and (limits.default_ttl_s or limits.ttl_s_max))
        ):
            return
        place = self._caching.place(namespace, operation.key)
        if place is None:
            return
        question = pb.KVOperation(
            op=operation.op,
            scope=operation.scope,
            key=operation.key,
            user_id=operation.user_id,
            workspace=operation.workspace,
        )
        self._on_repeat(caller, op, scope, workspace, question.SerializeToString(), place)

    async def _finish(
        self,
        caller: Caller,
        operation: pb.KVOperation,
        op: Op,
        scope: Scope,
        workspace: str,
        rights: Rights | None,
        pending: Awaitable[Result],
        started: float,
    ) -> Answer:
        """The answer to an operation that waits."""
        request_id = operation.request_id
        try:
            result = await pending
        except (Refusal, KVError, StoreUnavailable) as error:
            self._tell(op, scope, workspace, False, started)
            return self._fail(caller, operation, op, scope, workspace, rights, error)
        self._tell(op, scope, workspace, True, started)
        if op is not Op.PURGE_IDENTITY:
            self._record(caller, operation, op, scope, workspace, rights, result)
        return Answer((success(op, result, request_id),))

    def _fail(
        self,
        caller: Caller,
        operation: pb.KVOperation,
        op: Op | None,
        scope: Scope,
        workspace: str,
        rights: Rights | None,
        error: Refusal | KVError | StoreUnavailable,
    ) -> Answer:
        """The answer to an operation that fails. What cannot be recorded was not denied: it may be tried again."""
        if isinstance(error, Denied):
            try:
                self._record(caller, operation, op, scope, workspace, rights, denied=error)
            except StoreUnavailable as away:
                error = away
        return failure(error if isinstance(error, Refusal) else refusal_of(error), operation.request_id)

    def _record(
        self,
        caller: Caller,
        operation: pb.KVOperation,
        op: Op | None,
        scope: Scope,
        workspace: str,
        rights: Rights | None,
        result: Result | None = None,
        *,
        denied: Denied | None = None,
    ) -> None:
        """The audit row of an operation.

        :param result: None before it is there, and of what is refused.
        :raises StoreUnavailable: something that must be recorded cannot be.
        """
        reason = denied.reason if denied is not None else None
        event = row(caller, operation, op, scope, workspace, rights, result, reason)
        if denied is None and op is not Op.PURGE_IDENTITY:
            self._recorder.routine(event)
        else:
            self._recorder.record(event)

    def _tell(self, op: Op, scope: Scope, workspace: str, ok: bool, started: float) -> None:
        if self._observe is not None:
            self._observe(_NAMES[op], _SCOPE_LABELS[scope], workspace, ok, time.perf_counter() - started)

    # -------------------------------------------------------------------------------------------------- commands

    def _place(self, scope: Scope, identity: Identity, user: str, workspace: str) -> Namespace:
        """:func:`namespace_of` for names short enough to be kept."""
        check_names(user, workspace)
        owner = owner_of(identity, by_identity=self._limits.exclusive_to_identities)
        return namespace_of(scope, *owner, user, workspace)

    def _command(self, op: Op, namespace: Namespace, key: str, operation: pb.KVOperation) -> Command:
        """The store's form of an operation, with only the fields it uses."""
        if op is Op.GET:
            return Command(op, namespace, key)
        if op is Op.PUT:
            return Command(op, namespace, key, operation.value, self._limits.ttl(operation.ttl))
        if op is Op.LIST:
            return Command(op, namespace, key, limit=operation.limit, cursor=operation.cursor)
        return Command(
            op,
            namespace,
            key,
            operation.value,
            self._limits.ttl(operation.ttl) if op in TAKES_TTL else 0,
            operation.guard_value,
            operation.delta_value,
            operation.expected_value,
        )

    async def _execute(self, command: Command, workspace: str) -> Result:
        limit = self._limits.keys_per_namespace_max
        if command.op in CREATES and limit and await self._store.count(command.namespace) >= limit:
            try:
                current = await self._store.execute(Command(Op.GET, command.namespace, command.key))
                exists = current.found
            except WrongType:
                exists = True
            if not exists:
                refuse_count(workspace, limit)
        return await self._store.execute(command)

    async def _purge(self, caller: Caller, scope: Scope, operation: pb.KVOperation) -> Result:
        """Remove another identity's entries (kv 7.11); shared scopes only by prefix, since they hold everybody's."""
        target = _read_target(operation.target_identity)
        # The workspace that is purged, not one that the caller names besides: the capability may be held for one only.
        workspace = ""
        if scope in WITH_WORKSPACE:
            workspace = operation.workspace or (target.workspace if target is not None else "")
        decision = self._access.rights(caller).check(
            "capability", "capability/kv_purge_identity", Level.MANAGE, "kv_delete", workspace
        )
        if not decision.allowed:
            text = "purging another identity needs the capability kv_purge_identity"
            raise Denied(PERMISSION_DENIED, text, decision.reason)
        if target is None:
            raise Refusal(INVALID_ARGUMENT, "target_identity is not an identity")
        namespace = self._place(scope, target, operation.user_id, workspace)
        if scope not in EXCLUSIVE and not operation.key:
            raise Refusal(INVALID_ARGUMENT, f"scope {scope.label} is shared: purging it needs a key prefix")
        # What cannot be recorded is not done; how much it was is known, and recorded, afterwards.
        self._record(caller, operation, Op.PURGE_IDENTITY, scope, workspace, None)
        result = await self._store.execute(Command(Op.PURGE_IDENTITY, namespace, operation.key))
        with contextlib.suppress(StoreUnavailable):
            self._record(caller, operation, Op.PURGE_IDENTITY, scope, workspace, None, result)
        return result

    # ---------------------------------------------------------------------------------------------------- limits

    def _check_count(self, store: ImmediateKVStore, command: Command, workspace: str) -> None:
        """Refuse a new key in a full namespace; what exists may still be changed."""
        limit = self._limits.keys_per_namespace_max
        if store.count_nowait(command.namespace) < limit:
            return
        try:
            exists = store.apply(Command(Op.GET, command.namespace, command.key))[0].found
        except WrongType:
            return
        if not exists:
            refuse_count(workspace, limit)


def _read_target(text: str) -> Identity | None:
    try:
        return parse_identity(text)
    except InvalidIdentity:
        return None
