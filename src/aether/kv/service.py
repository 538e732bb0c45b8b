"""Key/value operations: who may run which one where, and within which limits (kv 3 to 7).

A request passes the stages of :meth:`KVService.handle` in order; the first that declines it decides the error. What
passes is evaluated by the store: at once where it lives in this process, else in the awaitable that is returned.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from aether.access import Access, InvalidAuthority, Level, Rights
from aether.answers import Answer, Caller, Reply
from aether.audit.events import NO_AUDIT, Event, Recorder, actor_of, grant_of
from aether.errors import Code, KVError, Refusal, StoreUnavailable, WrongType
from aether.identity import Identity, InvalidIdentity, PrincipalType, parse_identity
from aether.kv.store import CachingKVStore, Command, ImmediateKVStore, KVStore, Namespace, Op, Place, Result, Scope
from aether.kv.wire import INVALID_ARGUMENT, PERMISSION_DENIED, failure, found, in_doubt, refusal_of, success
from aether.proto import aether_pb2 as pb

__all__ = ["VALUE_BYTES_CEILING", "KVLimits", "KVService", "Observe", "OnRepeat", "namespace_of", "owner_of"]

VALUE_BYTES_CEILING = 3_500_000
"""No value is larger, whatever the quota says: official clients take at most 4 MiB, keys and envelope included."""

NAME_CHARACTERS_MAX = 256
"""Longest ``user_id`` and ``workspace``; twice what an identity may contain."""

TTL_S_CEILING = 10_000_000_000
"""Three centuries; longer lives are cut to it, so that expiry times fit into 64 bits."""

COORDINATION_PREFIX = "_sys/coord/"

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
_LABELS = {op: f"kv_{op.name.lower()}" for op in Op}
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
_READS = frozenset({Op.GET, Op.SET_CARD, Op.LIST})
_STORES_VALUE = frozenset({Op.PUT, Op.SET_NX, Op.COMPARE_AND_SET, Op.SET_ADD})
_CREATES = frozenset({Op.PUT, Op.SET_NX, Op.SET_ADD, Op.INCREMENT, Op.DECREMENT, Op.INCREMENT_IF, Op.DECREMENT_IF})
_TAKES_TTL = _STORES_VALUE | _CREATES
_WITH_WORKSPACE = frozenset(
    {Scope.WORKSPACE, Scope.USER_WORKSPACE, Scope.WORKSPACE_EXCLUSIVE, Scope.USER_WORKSPACE_SHARED}
)
_WITH_USER = frozenset({Scope.USER, Scope.USER_WORKSPACE, Scope.USER_SHARED, Scope.USER_WORKSPACE_SHARED})
_EXCLUSIVE = frozenset(scope for scope in Scope if scope.is_exclusive)
_SHARED_FOR_USER = _WITH_USER - _EXCLUSIVE
_COUNTERS = frozenset({Op.INCREMENT, Op.DECREMENT, Op.INCREMENT_IF, Op.DECREMENT_IF})
_GUARDED = frozenset({Op.INCREMENT_IF, Op.DECREMENT_IF})
_CONDITIONAL = _GUARDED | {Op.SET_NX, Op.COMPARE_AND_SET, Op.COMPARE_AND_DELETE, Op.SET_ADD}
_SHORTENED = frozenset({Op.GET, Op.PUT})
_SETS = frozenset({Op.SET_ADD, Op.SET_CARD})


@dataclass(frozen=True, slots=True)
class KVLimits:
    """Limits of values and namespaces (kv 6.1, 12.3). 0 is none, up to the ceilings above."""

    value_bytes_max: int = 1024 * 1024
    keys_per_namespace_max: int = 10_000
    default_ttl_s: int = 0
    """Given to what is stored without a TTL."""
    ttl_s_max: int = 0
    """Cuts every longer TTL, and none."""
    exclusive_to_identities: bool = False
    """Exclusive scopes belong to an identity, and not to all that have its implementation and specifier."""

    @property
    def largest_value(self) -> int:
        """Longer values are refused, in bytes."""
        return min(self.value_bytes_max or VALUE_BYTES_CEILING, VALUE_BYTES_CEILING)


def owner_of(identity: Identity, *, by_identity: bool) -> tuple[str, str]:
    """Implementation and specifier that own an exclusive scope; empty without both (kv 3.1).

    By identity the first is the whole identity string, which no implementation can be (weakness 20).
    """
    if not identity.implementation or not identity.specifier:
        return "", ""
    return (identity.key if by_identity else identity.implementation), identity.specifier


@functools.lru_cache(maxsize=4096)
def namespace_of(scope: Scope, implementation: str, specifier: str, user: str, workspace: str) -> Namespace:
    """The namespace of a scope for an owner, a user and a workspace (kv 3.1, 4.3).

    :raises Refusal: something the scope needs is missing or overlong.
    """
    if scope not in _WITH_WORKSPACE:
        workspace = ""
    elif not workspace:
        raise Refusal(Code.KV_ERROR, f"scope {scope.label} needs a workspace")
    if scope not in _WITH_USER:
        user = ""
    elif not user:
        raise Refusal(Code.KV_ERROR, f"scope {scope.label} needs a user_id")
    if scope not in _EXCLUSIVE:
        owner = ("", "")
    elif implementation and specifier:
        owner = (implementation, specifier)
    else:
        raise Refusal(Code.KV_ERROR, f"scope {scope.label} needs a caller with an implementation and a specifier")
    return Namespace(scope, owner, user, workspace)


class _Denied(Refusal):
    """A refusal whose reason is for the audit log only: it may name rules and grants."""

    def __init__(self, code: str, message: str, reason: str) -> None:
        super().__init__(code, message)
        self.reason = reason


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
        implied: Implied | None = None,
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
            if op in _STORES_VALUE:
                self._check_value(operation.value, workspace)
            if operation.HasField("authorization"):
                rights = self._rights(caller, operation.authorization)
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
                    rights = self._implied_rights(caller, operation.user_id)
                self._check_access(caller, rights, op, scope, key, operation.user_id, workspace)
            command = self._command(op, namespace, key, operation)
            if self._immediate is None or op is Op.LIST:
                pending = self._execute(command, workspace)
                return self._finish(caller, operation, op, scope, workspace, rights, pending, started)
            if op in _CREATES and self._limits.keys_per_namespace_max:
                self._check_count(self._immediate, command, workspace)
            result, ticket = self._immediate.apply(command)
        except (Refusal, KVError, StoreUnavailable) as error:
            if reached and op is not None:
                self._tell(op, scope, workspace, False, started)
            return self._fail(caller, operation, op, scope, workspace, rights, error)
        grant_id = grant_of(rights.lineage) if rights is not None else ""
        if not self._recorder.repeats("kv", identity.key, "kv_key", key, _LABELS[op], grant_id):
            self._record(caller, operation, op, scope, workspace, rights, result)
        elif rights is None and op in _SHORTENED:
            self._report_repeat(caller, operation, op, scope, workspace, namespace)
        if self._observe is not None:
            self._observe(_NAMES[op], _SCOPE_LABELS[scope], workspace, True, time.perf_counter() - started)
        frame = found(result.value, request_id) if op is Op.GET else success(op, result, request_id)
        return Answer((frame,), ticket, functools.partial(in_doubt, request_id))

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
        if isinstance(error, _Denied):
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
        denied: _Denied | None = None,
    ) -> None:
        """The audit row of an operation (kv 12.1); values never get into it.

        :param result: None before it is there, and of what is refused.
        :raises StoreUnavailable: something that must be recorded cannot be.
        """
        metadata: dict[str, str | int] = {"scope": scope.label}
        if operation.user_id:
            metadata["user_id"] = operation.user_id
        if op in _STORES_VALUE:
            metadata["new_value_size"] = len(operation.value)
        if operation.target_identity:
            metadata["target_identity"] = operation.target_identity
        if op is not None and result is not None:
            metadata |= _outcome(op, operation, result)
        event = Event(
            kind="kv",
            operation=_LABELS[op] if op is not None else "kv",
            success=denied is None,
            **actor_of(caller.identity),
            resource_type="kv_key",
            resource_id="" if op is Op.LIST else operation.key,
            workspace=workspace,
            session_id=caller.session_id,
            error="" if denied is None else denied.reason,
            metadata=metadata,
            lineage=rights.lineage if rights is not None else None,
        )
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
        if len(user) > NAME_CHARACTERS_MAX or len(workspace) > NAME_CHARACTERS_MAX:
            raise Refusal(INVALID_ARGUMENT, f"user_id and workspace must not exceed {NAME_CHARACTERS_MAX} characters")
        owner = owner_of(identity, by_identity=self._limits.exclusive_to_identities)
        return namespace_of(scope, *owner, user, workspace)

    def _command(self, op: Op, namespace: Namespace, key: str, operation: pb.KVOperation) -> Command:
        """The store's form of an operation, with only the fields it uses."""
        if op is Op.GET:
            return Command(op, namespace, key)
        if op is Op.PUT:
            return Command(op, namespace, key, operation.value, self._ttl(operation.ttl))
        if op is Op.LIST:
            return Command(op, namespace, key, limit=operation.limit, cursor=operation.cursor)
        return Command(
            op,
            namespace,
            key,
            operation.value,
            self._ttl(operation.ttl) if op in _TAKES_TTL else 0,
            operation.guard_value,
            operation.delta_value,
            operation.expected_value,
        )

    def _ttl(self, ttl_s: int) -> int:
        """The same default and maximum for everything that is stored (weakness 15)."""
        limits = self._limits
        if ttl_s <= 0:
            ttl_s = limits.default_ttl_s
        if limits.ttl_s_max and not 0 < ttl_s <= limits.ttl_s_max:
            return limits.ttl_s_max
        return min(ttl_s, TTL_S_CEILING)

    async def _execute(self, command: Command, workspace: str) -> Result:
        limit = self._limits.keys_per_namespace_max
        if command.op in _CREATES and limit and await self._store.count(command.namespace) >= limit:
            try:
                current = await self._store.execute(Command(Op.GET, command.namespace, command.key))
                exists = current.found
            except WrongType:
                exists = True
            if not exists:
                _refuse_count(workspace, limit)
        return await self._store.execute(command)

    async def _purge(self, caller: Caller, scope: Scope, operation: pb.KVOperation) -> Result:
        """Remove another identity's entries (kv 7.11); shared scopes only by prefix, since they hold everybody's."""
        target = _read_target(operation.target_identity)
        # The workspace that is purged, not one that the caller names besides: the capability may be held for one only.
        workspace = ""
        if scope in _WITH_WORKSPACE:
            workspace = operation.workspace or (target.workspace if target is not None else "")
        decision = self._access.rights(caller).check(
            "capability", "capability/kv_purge_identity", Level.MANAGE, "kv_delete", workspace
        )
        if not decision.allowed:
            text = "purging another identity needs the capability kv_purge_identity"
            raise _Denied(PERMISSION_DENIED, text, decision.reason)
        if target is None:
            raise Refusal(INVALID_ARGUMENT, "target_identity is not an identity")
        namespace = self._place(scope, target, operation.user_id, workspace)
        if scope not in _EXCLUSIVE and not operation.key:
            raise Refusal(INVALID_ARGUMENT, f"scope {scope.label} is shared: purging it needs a key prefix")
        # What cannot be recorded is not done; how much it was is known, and recorded, afterwards.
        self._record(caller, operation, Op.PURGE_IDENTITY, scope, workspace, None)
        result = await self._store.execute(Command(Op.PURGE_IDENTITY, namespace, operation.key))
        with contextlib.suppress(StoreUnavailable):
            self._record(caller, operation, Op.PURGE_IDENTITY, scope, workspace, None, result)
        return result

    # ---------------------------------------------------------------------------------------------------- limits

    def _check_value(self, value: bytes, workspace: str) -> None:
        if len(value) > self._value_bytes_max:
            raise Refusal(
                Code.QUOTA,
                f"quota exceeded for kv_value_size in workspace '{_shown(workspace)}': "
                f"current {len(value)}, limit {self._value_bytes_max}",
            )

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
            _refuse_count(workspace, limit)

    # ---------------------------------------------------------------------------------------------------- access

    def _rights(self, caller: Caller, context: pb.AuthorizationContext) -> Rights:
        try:
            return self._access.rights(caller, context)
        except InvalidAuthority as error:
            raise _Denied(Code.PERMISSION_DENIED, "invalid authorization context", str(error)) from None

    def _implied_rights(self, caller: Caller, user: str) -> Rights | None:
        """What the caller's task lets it do with the shared entries of a user (kv 3.2); None: what it may itself.

        The authority of one user says nothing about another: a caller that asks for somebody else's entries has its own
        rights there, whomever it works for at the moment.
        """
        context = self._implied(caller) if self._implied is not None else None
        if context is None:
            return None
        subject = context.subject
        if subject.principal_type == PrincipalType.USER.label and subject.principal_id != user:
            return None
        try:
            return self._access.rights(caller, context)
        except InvalidAuthority:
            return None

    def _check_access(
        self, caller: Caller, rights: Rights | None, op: Op, scope: Scope, key: str, user: str, workspace: str
    ) -> None:
        """Owner, coordination keys, the key's rule, the scope's rule: the first that decides (kv 5.1).

        :raises Refusal: denied. The text names no rule.
        :raises StoreUnavailable: no decision could be made, so none in favour.
        """
        identity = caller.identity
        # A rule for the scope opens the caller's own workspace; another one needs a right to it as well (weakness 19).
        # Who has no workspace of its own is judged by the scope alone, as its rules are granted for that.
        is_foreign = scope in _WITH_WORKSPACE and identity.workspace not in ("", workspace)
        lineage = rights.lineage if rights is not None else None
        is_owner = scope in _EXCLUSIVE and lineage is None
        if is_owner and not is_foreign:
            return
        rights = rights or self._access.rights(caller)
        is_coordination = op is not Op.LIST and key.startswith(COORDINATION_PREFIX)
        if is_coordination and identity.kind is PrincipalType.WORKFLOW_ENGINE and lineage is None:
            return
        # A grant that is limited to workspaces is not for values of all of them, whichever one the caller names; those
        # of its user are reached from where the caller is (kv 42).
        concerned = workspace
        if lineage is not None and scope not in _WITH_WORKSPACE:
            concerned = identity.workspace if scope in _WITH_USER else ""
        check = functools.partial(
            rights.check,
            level=Level.READ if op in _READS else Level.READWRITE,
            operation=_LABELS[op],
            workspace=concerned,
        )
        if not is_owner:
            decision = check("kv_key", key, tentative=True) if op is not Op.LIST else None
            if decision is None or not decision.by_rule:
                decision = check("kv_scope", scope.label)
            if not decision.allowed:
                text = f"not authorized for {_LABELS[op]} in scope {scope.label}"
                raise _Denied(PERMISSION_DENIED, text, decision.reason)
        if is_foreign and not (decision := check("workspace", workspace)).allowed:
            text = f"not authorized for workspace {_shown(workspace)}"
            raise _Denied(PERMISSION_DENIED, text, decision.reason)
        # Who acts for a user does so with that user's entries; those of another take a right of their own (weakness
        # 18).
        is_for_user = scope in _WITH_USER and lineage is not None and lineage.subject_type == PrincipalType.USER.label
        is_others = is_for_user and lineage is not None and lineage.subject_id != user
        if is_others and not (decision := check("kv_user", user)).allowed:
            raise _Denied(PERMISSION_DENIED, "not authorized for the entries of another user", decision.reason)


def _outcome(op: Op, operation: pb.KVOperation, result: Result) -> dict[str, str | int]:
    """What an audit row says of how an operation went (kv 7)."""
    told: dict[str, str | int] = {}
    if op is Op.GET:
        told["found"] = result.found
        if result.found:
            told["value_length"] = len(result.value)
    elif op is Op.PUT:
        told["is_update"] = result.found
    elif op is Op.LIST:
        told["result_count"] = len(result.keys)
    elif op is Op.PURGE_IDENTITY:
        told["removed"] = result.counter
    if op in _COUNTERS:
        told["counter_value"] = result.counter
    if op in _SETS:
        told["cardinality"] = result.counter
    if op in _GUARDED:
        told |= {"guard_value": operation.guard_value, "delta": operation.delta_value or 1}
    if op in _CONDITIONAL:
        told["applied"] = result.applied
    if op in _TAKES_TTL and operation.ttl > 0:
        told["ttl_seconds"] = operation.ttl
    return told


def _read_target(text: str) -> Identity | None:
    try:
        return parse_identity(text)
    except InvalidIdentity:
        return None


def _refuse_count(workspace: str, limit: int) -> NoReturn:
    raise Refusal(
        Code.QUOTA,
        f"quota exceeded for kv_keys_per_namespace in workspace '{_shown(workspace)}': current {limit}, limit {limit}",
    )


def _shown(name: str) -> str:
    return name if len(name) <= NAME_CHARACTERS_MAX else name[:NAME_CHARACTERS_MAX] + "..."
