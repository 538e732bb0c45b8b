"""Grants are made: by a user for those who act for it, or out of another grant (acl 10.4 to 10.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aether.access import Access, Level, barred_from
from aether.answers import Caller, unix_ms
from aether.audit.events import Recorder
from aether.authority.grants import Grants, principal_of
from aether.authority.model import Grant, InvalidGrant, ResourceScope, check_delegation, check_within, child_of
from aether.authority.parties import LiveSession, Sessions, identity_of, reference_of
from aether.authority.rows import grant_change
from aether.authority.wire import check_size, grant_info, resource_scope
from aether.errors import Refusal
from aether.identity import Identity, PrincipalType
from aether.proto import aether_pb2 as pb

__all__ = ["Maker"]

BATCH_MAX = 100

Op = pb.AuthorityGrantOperation


class Maker:
    """The operations of :class:`aether.authority.service.AuthorityService` that make grants, in ``handlers``.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self,
        grants: Grants,
        access: Access,
        sessions: Sessions,
        recorder: Recorder,
        wall_clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._grants = grants
        self._access = access
        self._sessions = sessions
        self._recorder = recorder
        self._wall_clock = wall_clock
        self._new_id = new_id
        self.handlers: Mapping[int, Callable[[Caller, Any, pb.AuthorityGrantResponse], None]] = {
            Op.EXCHANGE: self._exchange,
            Op.BATCH_EXCHANGE: self._exchange_batch,
            Op.DERIVE: self._derive,
            Op.DERIVE_FOR_TARGET: self._derive_for_target,
        }

    def _exchange(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        if not operation.HasField("exchange_request"):
            raise InvalidGrant("exchange_request is required")
        grant = self._exchange_one(caller, operation.exchange_request)
        response.grant.CopyFrom(grant_info(grant))
        response.message = "authority grant exchanged"

    def _exchange_batch(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        batch = operation.batch_exchange_request
        if not 1 <= len(batch.requests) <= BATCH_MAX:
            raise InvalidGrant(f"requests must hold 1 to {BATCH_MAX} exchanges")
        errors = []
        for index, request in enumerate(batch.requests):
            try:
                response.grants.append(grant_info(self._exchange_one(caller, request)))
            except (InvalidGrant, Refusal) as error:
                text = error.message if isinstance(error, Refusal) else str(error)
                if batch.stop_on_first_error:
                    raise InvalidGrant(f"batch exchange aborted at index {index}: {text}") from None
                errors.append(f"index {index}: {text}")
        response.total = len(response.grants)
        if errors:
            raise InvalidGrant("; ".join(errors))

    def _exchange_one(self, caller: Caller, request: pb.AuthorityGrantExchangeRequest) -> Grant:
        """A grant on a user, made by itself or by somebody trusted with its session (acl 10.4)."""
        source, metadata = self._source(caller, request.source_session_id.strip())
        is_self = source.session_id == caller.session_id
        check_delegation(request.may_delegate, request.remaining_hops)
        for party in (caller, source):
            check_within(party.workspace_limit, request.workspace_scope)
        audience_type = request.audience_type or "session"
        audience_id = request.audience_id or source.session_id
        self._check_audience(caller, source, audience_type, audience_id)
        subject_type, subject_id = source.identity.kind.label, source.identity.canonical_id
        delegate_type, delegate_id = principal_of(caller)
        grant_id = self._new_id()
        check_size(request)
        self._grants.check_room((delegate_type, delegate_id))
        return self._grants.add(
            Grant(
                id=grant_id,
                root_id=grant_id,
                subject_type=subject_type,
                subject_id=subject_id,
                root_subject_type=subject_type,
                root_subject_id=subject_id,
                delegate_type=delegate_type,
                delegate_id=delegate_id,
                issued_by_type=delegate_type,
                issued_by_id=delegate_id,
                max_access_level=request.max_access_level,
                remaining_hops=request.remaining_hops,
                workspace_scope=tuple(request.workspace_scope),
                resource_scope=resource_scope(request.resource_scope),
                operation_scope=tuple(request.operation_scope),
                audience_type=audience_type,
                audience_id=audience_id,
                audience_identity=identity_of(self._sessions, audience_type, audience_id),
                while_active=request.valid_while_audience_active or not is_self,
                expires_ms=unix_ms(request.expires_at),
                renewable_ms=unix_ms(request.renewable_until),
                created_ms=self._wall_clock(),
                reason=request.reason,
                metadata={**request.metadata, **metadata},
            ),
            partial(self._record, caller, "authority_grant_exchange"),
        )

    def _source(self, caller: Caller, source_session_id: str) -> tuple[LiveSession, dict[str, str]]:
        """The user's session whose authority is exchanged.

        :raises InvalidGrant: there is none, or the caller is not trusted with it.
        """
        is_user = caller.identity.kind is PrincipalType.USER
        if not source_session_id or source_session_id == caller.session_id:
            if not is_user:
                raise InvalidGrant("source_session_id is required for non-user actors")
            return caller, {"exchange_mode": "self"}
        session = self._sessions.get(source_session_id)
        if session is None:
            raise InvalidGrant("source_session_id is not active")
        subject = session.identity
        if subject.kind is not PrincipalType.USER:
            raise InvalidGrant("source_session_id must reference an active user session")
        if not (is_user and subject.id == caller.identity.id):
            self._check_trusted(caller, subject)
        return session, {"exchange_mode": "trusted_exchange", "source_session_id": source_session_id}

    def _check_trusted(self, caller: Caller, subject: Identity) -> None:
        """The capability, for this user in its workspace or for all (acl 6)."""
        workspace = subject.workspace or "_no_workspace"
        name = "capability/exchange_authority_grants"
        check = partial(
            self._access.check,
            caller.identity,
            "capability",
            level=Level.MANAGE,
            operation="exchange_authority_grants",
            workspace="",
            barred=barred_from(caller, subject.workspace, "capability"),
            session_id=caller.session_id,
        )
        if check(f"{name}/{workspace}/{subject.id}", tentative=True).allowed:
            return
        if not check(name).allowed:
            raise InvalidGrant("not authorized to exchange authority grants from another session")

    def _check_audience(self, caller: Caller, source: LiveSession, audience_type: str, audience_id: str) -> None:
        """An exchanged grant is for where its parties are (acl 10.4)."""
        match audience_type:
            case "session":
                fits = audience_id in (caller.session_id, source.session_id)
            case "task":
                fits = audience_id == self._sessions.task_of(caller.session_id) != ""
            case "agent" | "service":
                fits = (audience_type, audience_id) == principal_of(caller)
            case _:
                raise InvalidGrant(f'invalid authority grant audience_type "{audience_type}"')
        if not fits:
            raise InvalidGrant("authority grant audience does not match request context")

    def _derive(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        if not operation.HasField("derive_request"):
            raise InvalidGrant("derive_request is required")
        request = operation.derive_request
        parent = self._parent(caller, request.parent_grant_id)
        check_delegation(request.may_delegate, request.remaining_hops)
        child = self._add_child(
            caller,
            parent,
            reference_of(request, "delegate"),
            request,
            workspace_scope=tuple(request.workspace_scope),
            resources=resource_scope(request.resource_scope),
            operation_scope=tuple(request.operation_scope),
            while_active=request.valid_while_audience_active,
            metadata=dict(request.metadata),
        )
        response.grant.CopyFrom(grant_info(child))
        response.message = "authority grant derived"

    def _derive_for_target(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        """As DERIVE with the parent's scopes, or the live child that exists already (weaknesses 8, 22)."""
        if not operation.HasField("derive_for_target_request"):
            raise InvalidGrant("derive_for_target_request is required")
        request = operation.derive_for_target_request
        check_delegation(request.may_delegate, request.remaining_hops)
        parent = self._parent(caller, request.parent_grant_id)
        target = reference_of(request, "target")
        operations = tuple(request.operation_scope) or parent.operation_scope
        for child in self._grants.children(parent.id):
            if self._is_what_is_asked(child, target, operations, request):
                response.grant.CopyFrom(grant_info(child))
                response.message = "existing authority grant reused"
                return
        child = self._add_child(
            caller,
            parent,
            target,
            request,
            workspace_scope=parent.workspace_scope,
            resources=parent.resource_scope,
            operation_scope=operations,
            while_active=parent.while_active,
            metadata={},
        )
        response.grant.CopyFrom(grant_info(child))
        response.message = "authority grant derived"

    def _is_what_is_asked(
        self, child: Grant, target: tuple[str, str], operations: tuple[str, ...], request: Any
    ) -> bool:
        """Whether a grant that exists serves a DERIVE_FOR_TARGET: the same, and no longer than was asked for."""
        same = (
            child.delegate,
            child.audience_type,
            child.audience_id,
            child.max_access_level,
            child.operation_scope,
            child.remaining_hops,
        )
        asked = (
            target,
            request.audience_type,
            request.audience_id,
            request.max_access_level,
            operations,
            request.remaining_hops,
        )
        is_in_time = request.expires_at <= 0 or child.expires_ms <= unix_ms(request.expires_at)
        return same == asked and is_in_time and child.is_live(self._wall_clock())

    def _parent(self, caller: Caller, grant_id: str) -> Grant:
        """A live grant whose delegate the caller is, where it is valid: nobody else learns what hangs on it."""
        grant = self._grants.get(grant_id)
        if grant is None:
            raise InvalidGrant("authority grant not found")
        self._grants.check_usable(caller, grant)
        self._grants.check_audience(caller, grant)
        return grant

    def _add_child(
        self,
        caller: Caller,
        parent: Grant,
        delegate: tuple[str, str],
        request: Any,
        *,
        workspace_scope: tuple[str, ...],
        resources: ResourceScope,
        operation_scope: tuple[str, ...],
        while_active: bool,
        metadata: dict[str, str],
    ) -> Grant:
        check_within(caller.workspace_limit, workspace_scope)
        check_size(request)
        self._grants.check_room(principal_of(caller))
        expires_ms = unix_ms(request.expires_at) or parent.expires_ms
        return self._grants.add(
            child_of(
                parent,
                self._new_id(),
                issuer=principal_of(caller),
                delegate=delegate,
                audience=(request.audience_type, request.audience_id),
                created_ms=self._wall_clock(),
                reason=request.reason,
                max_access_level=request.max_access_level,
                remaining_hops=request.remaining_hops,
                workspace_scope=workspace_scope,
                resource_scope=resources,
                operation_scope=operation_scope,
                audience_identity=identity_of(self._sessions, request.audience_type, request.audience_id),
                while_active=while_active,
                expires_ms=expires_ms,
                renewable_ms=unix_ms(request.renewable_until) or expires_ms,
                metadata=metadata,
            ),
            partial(self._record, caller, "authority_grant_derive"),
        )

    def _record(self, caller: Caller, operation: str, grant: Grant) -> None:
        self._recorder.record(grant_change(caller, operation, grant))
