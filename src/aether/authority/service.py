"""Operations on grants: exchanging, deriving, renewing, revoking, resolving (acl 10, 11).

Every operation is answered once, with its typed response and the request's id; changes and refusals are in the audit
log before they are answered.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aether.access import Access, InvalidAuthority, Level, barred_from, is_system
from aether.acl.patterns import named_workspaces
from aether.answers import Answer, Caller, WorkspaceLimit, down, fit, unix_ms
from aether.audit.events import Event, Recorder, actor_of
from aether.authority.grants import Grants, principal_of
from aether.authority.model import ANY_WORKSPACE, Grant, InvalidGrant, ResourceScope, check_delegation, check_within
from aether.authority.wire import check_size, grant_frame, grant_info, reference, resolved_info, resource_scope
from aether.errors import Refusal, StoreUnavailable
from aether.identity import Identity, InvalidIdentity, PrincipalType, canonical_reference
from aether.proto import aether_pb2 as pb

__all__ = ["AuthorityService", "Sessions"]

BATCH_MAX = 100
PAGE_DEFAULT = 100
PAGE_MAX = 1000

Op = pb.AuthorityGrantOperation

_UNAVAILABLE = "the store of grants is unavailable, try again"
_IN_DOUBT = "the change could not be made durable yet; look before you try again"


class LiveSession(Protocol):
    @property
    def session_id(self) -> str: ...

    @property
    def identity(self) -> Identity: ...

    @property
    def workspace_limit(self) -> WorkspaceLimit | None: ...


class Sessions(Protocol):
    """The live sessions."""

    def get(self, session_id: str) -> LiveSession | None: ...

    def task_of(self, session_id: str) -> str:
        """The task that a session is bound to; empty for none."""


class AuthorityService:
    """Answers ``authority_grant_op`` and ``resolve_authority_request``.

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
        self._handlers: Mapping[int, Callable[[Caller, Any, pb.AuthorityGrantResponse], None]] = {
            Op.EXCHANGE: self._exchange,
            Op.DERIVE: self._derive,
            Op.GET: self._get,
            Op.RENEW: self._renew,
            Op.REVOKE: self._revoke,
            Op.LIST_MY_GRANTS: self._list_mine,
            Op.LIST_GRANTS_ON_ME: self._list_on_me,
            Op.BATCH_EXCHANGE: self._exchange_batch,
            Op.DERIVE_FOR_TARGET: self._derive_for_target,
        }

    def handle(self, caller: Caller, operation: pb.AuthorityGrantOperation) -> Answer:
        """Run one operation; every failure is an answer."""
        response = pb.AuthorityGrantResponse(request_id=operation.request_id)
        before = self._grants.ticket
        try:
            handler = self._handlers.get(operation.op)
            if handler is None:
                raise InvalidGrant("unknown authority grant operation")
            if operation.workflow_schedule_id:
                raise InvalidGrant("grants for workflow schedules are not available on this gateway")
            handler(caller, operation, response)
            response.success = True
        except (InvalidGrant, InvalidAuthority, Refusal) as error:
            response.error = error.message if isinstance(error, Refusal) else str(error)
            self._record_failure(caller, operation, response.error)
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        ticket = self._grants.ticket if self._grants.ticket != before else 0
        return Answer((grant_frame(response),), ticket, functools.partial(_in_doubt, operation.request_id))

    # -------------------------------------------------------------------------------------------------- making

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
                audience_identity=self._identity_of(audience_type, audience_id),
                while_active=request.valid_while_audience_active or not is_self,
                expires_ms=unix_ms(request.expires_at),
                renewable_ms=unix_ms(request.renewable_until),
                created_ms=self._wall_clock(),
                reason=request.reason,
                metadata={**request.metadata, **metadata},
            ),
            functools.partial(self._record, caller, "authority_grant_exchange"),
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
        check = functools.partial(
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
            _reference(request, "delegate"),
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
        parent = self._parent(caller, request.parent_grant_id)
        target = _reference(request, "target")
        operations = tuple(request.operation_scope) or parent.operation_scope
        for child in self._grants.children(parent.id):
            if self._is_what_is_asked(child, target, operations, request):
                response.grant.CopyFrom(grant_info(child))
                response.message = "existing authority grant reused"
                return
        check_delegation(request.may_delegate, request.remaining_hops)
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
        issuer_type, issuer_id = principal_of(caller)
        check_size(request)
        expires_ms = unix_ms(request.expires_at) or parent.expires_ms
        renewable_ms = unix_ms(request.renewable_until) or expires_ms
        return self._grants.add(
            Grant(
                id=self._new_id(),
                root_id=parent.root_id,
                parent_id=parent.id,
                subject_type=parent.subject_type,
                subject_id=parent.subject_id,
                root_subject_type=parent.root_subject_type,
                root_subject_id=parent.root_subject_id,
                delegate_type=delegate[0],
                delegate_id=delegate[1],
                issued_by_type=issuer_type,
                issued_by_id=issuer_id,
                max_access_level=request.max_access_level,
                remaining_hops=request.remaining_hops,
                workspace_scope=workspace_scope,
                resource_scope=resources,
                operation_scope=operation_scope,
                audience_type=request.audience_type,
                audience_id=request.audience_id,
                audience_identity=self._identity_of(request.audience_type, request.audience_id),
                while_active=while_active,
                expires_ms=expires_ms,
                renewable_ms=renewable_ms,
                created_ms=self._wall_clock(),
                reason=request.reason,
                metadata={**metadata, "derived_from_grant_id": parent.id},
            ),
            functools.partial(self._record, caller, "authority_grant_derive"),
        )

    def _identity_of(self, audience_type: str, audience_id: str) -> str:
        """The identity of an audience's session, which its later sessions share."""
        session = self._sessions.get(audience_id) if audience_type == "session" else None
        return session.identity.key if session is not None else ""

    # ---------------------------------------------------------------------------------------- looking, changing

    def _get(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        response.grant.CopyFrom(grant_info(self._grants.get_for(caller, operation.grant_id)))

    def _renew(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        if not operation.HasField("renew_request"):
            raise InvalidGrant("renew_request is required")
        request = operation.renew_request
        grant = self._grants.get_for(caller, request.grant_id or operation.grant_id)
        if request.extend_seconds > 0:
            expires_ms = max(grant.expires_ms, self._wall_clock()) + request.extend_seconds * 1000
        else:
            expires_ms = unix_ms(request.expires_at)
        record = functools.partial(self._record, caller, "authority_grant_renew")
        renewed = self._grants.renew(grant, expires_ms, record)
        response.grant.CopyFrom(grant_info(renewed))
        response.message = "authority grant renewed"

    def _revoke(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        grant = self._grants.get_for(caller, operation.grant_id)
        record = functools.partial(self._record, caller, "authority_grant_revoke")
        ended = self._grants.revoke(grant, f"revoked by {':'.join(principal_of(caller))}", record)
        response.grant.CopyFrom(grant_info(ended[0]))
        response.total = len(ended)
        response.message = "authority grant revoked"

    def _list_mine(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        self._page(self._grants.of_delegate(principal_of(caller)), operation.list_request, response)

    def _list_on_me(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        self._page(self._grants.of_subject(principal_of(caller)), operation.list_request, response)

    def _page(
        self, grants: list[Grant], wanted: pb.AuthorityGrantListRequest, response: pb.AuthorityGrantResponse
    ) -> None:
        matching = [
            grant
            for grant in grants
            if wanted.audience_type in ("", grant.audience_type)
            and wanted.audience_id in ("", grant.audience_id)
            and (wanted.include_revoked or not grant.revoked_ms)
        ]
        limit = min(wanted.limit, PAGE_MAX) if wanted.limit > 0 else PAGE_DEFAULT
        first = max(0, wanted.offset)
        response.total = len(matching)
        response.grants.extend(fit(grant_info(grant) for grant in matching[first : first + limit]))

    # ------------------------------------------------------------------------------------------------ resolving

    def resolve(self, caller: Caller, request: pb.ResolveAuthorityRequest) -> Answer:
        """Whether a grant holds for an actor, for those whom it concerns (acl 11)."""
        response = pb.ResolveAuthorityResponse(request_id=request.request_id)
        try:
            self._resolve(caller, request, response)
            response.ok = True
        except (InvalidGrant, InvalidAuthority) as error:
            response.ClearField("authority")
            response.error = str(error)
        except StoreUnavailable:
            response.ClearField("authority")
            response.error = _UNAVAILABLE
        return Answer((down(pb.DownstreamMessage(resolve_authority_response=response)),))

    def _resolve(
        self, caller: Caller, request: pb.ResolveAuthorityRequest, response: pb.ResolveAuthorityResponse
    ) -> None:
        if not request.grant_id:
            raise InvalidGrant("grant_id is required")
        if not request.HasField("subject"):
            raise InvalidGrant("subject is required")
        actor = _reference(request, "actor") if request.HasField("actor") else principal_of(caller)
        subject = _reference(request, "subject")
        grant = self._grants.get(request.grant_id)
        self._admit_resolve(caller, grant)
        if grant is None:
            raise InvalidGrant("authority grant not found")
        if grant.revoked_ms:
            raise InvalidGrant("authority grant revoked")
        if not grant.is_live(self._wall_clock()):
            raise InvalidGrant("authority grant expired")
        if grant.delegate != actor:
            raise InvalidGrant("authority grant delegate does not match actor")
        if grant.subject != subject:
            raise InvalidGrant("authority grant subject does not match requested subject")
        if request.audience_type and (request.audience_type, request.audience_id) != (
            grant.audience_type,
            grant.audience_id,
        ):
            raise InvalidGrant("authority grant audience does not match request context")
        response.authority.actor.CopyFrom(reference(*actor))
        response.authority.subject.CopyFrom(reference(*subject))
        response.authority.grant.CopyFrom(resolved_info(grant))

    def _admit_resolve(self, caller: Caller, grant: Grant | None) -> None:
        """The delegate, the audience, administrators, and who holds the capability; others learn nothing."""
        who = principal_of(caller)
        concerned = grant is not None and who in (grant.delegate, (grant.audience_type, grant.audience_id))
        if concerned:
            return
        scope = grant.workspace_scope if grant is not None and ANY_WORKSPACE not in grant.workspace_scope else ()
        check = functools.partial(
            self._access.rights(caller).check, "capability", "capability/resolve_authority", Level.READ
        )
        for workspace in named_workspaces(scope):
            if not is_system(caller, workspace) and not check("resolve_authority", workspace).allowed:
                raise InvalidGrant("not authorized")

    # ---------------------------------------------------------------------------------------------------- audit

    def _record(self, caller: Caller, operation: str, grant: Grant) -> None:
        self._recorder.record(
            Event(
                kind="acl",
                operation=operation,
                **actor_of(caller.identity),
                resource_type="authority_grant",
                resource_id=grant.id,
                session_id=caller.session_id,
                metadata={
                    "delegate": ":".join(grant.delegate),
                    "max_access_level": grant.max_access_level,
                    "workspace_scope": grant.workspace_scope,
                    "resource_scope": grant.resource_scope,
                    "operation_scope": grant.operation_scope,
                    "audience": f"{grant.audience_type}:{grant.audience_id}",
                    "expires_ms": grant.expires_ms,
                    "reason": grant.reason,
                },
                lineage=grant.lineage(),
            )
        )

    def _record_failure(self, caller: Caller, operation: pb.AuthorityGrantOperation, error: str) -> None:
        name = Op.OpType.Name(operation.op).lower() if operation.op in Op.OpType.values() else "unknown"
        self._recorder.record(
            Event(
                kind="acl",
                operation=f"authority_grant_{name}",
                success=False,
                **actor_of(caller.identity),
                resource_type="authority_grant",
                resource_id=operation.grant_id,
                session_id=caller.session_id,
                error=error,
            )
        )


def _reference(request: Any, field: str) -> tuple[str, str]:
    """A principal of a request by label and canonical id.

    :raises InvalidGrant: there is none, or it is malformed.
    """
    if not request.HasField(field):
        raise InvalidGrant("principal ref is required")
    named = getattr(request, field)
    try:
        return canonical_reference(named.principal_type, named.principal_id)
    except InvalidIdentity as error:
        raise InvalidGrant(str(error)) from None


def _in_doubt(request_id: str) -> tuple[bytes, ...]:
    return (grant_frame(pb.AuthorityGrantResponse(request_id=request_id, error=_IN_DOUBT)),)
