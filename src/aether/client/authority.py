"""Acting on behalf of others: grants, and requests for them (acl 9 to 12)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aether.client.errors import NotFound, PermissionDenied, RequestRefused
from aether.client.inbox import Recent
from aether.client.link import Link
from aether.proto import aether_pb2 as pb

__all__ = ["Authority", "Grant", "Notice", "Principal", "Request", "continuation", "on_behalf"]

Principal = tuple[str, str]
"""Type and canonical id: ``("user", "alice")``, ``("service", "sv::mail::1")``."""

Grant = pb.ACLAuthorityGrantInfo
Request = pb.AuthorityRequest
Notice = pb.AuthorityRequestEvent | pb.AuthorityGrantRevocation
Resources = Mapping[str, Sequence[str]]
"""Patterns of ids by resource type; none open the type as a whole."""

Op = pb.AuthorityGrantOperation
RequestOp = pb.AuthorityRequestOperation
Decision = pb.ResolveAuthorityRequestPayload

HOUR_S = 3600


class Authority:
    """``me.authority``. Levels are those of access rules: 10 read, 20 read and write, 30 manage, 40 administrate.

    Every method raises NotFound for what is not there or not for this principal, PermissionDenied for what it may not.

    :ivar notices: revocations of grants that this principal may use, and what became of requests that it made or
        decides; see :class:`aether.client.inbox.Recent`.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self.notices: Recent[Notice] = Recent()

    def on_notice(self, size: int, notice: Notice) -> None:
        """The gateway told of something."""
        del size
        self.notices.put(notice)

    # --------------------------------------------------------------------------------------------------- grants

    async def exchange(
        self,
        level: int,
        *,
        source_session: str = "",
        workspaces: Sequence[str] = (),
        resources: Resources | None = None,
        operations: Sequence[str] = (),
        seconds: int = HOUR_S,
        renewable_s: int = 0,
        hops: int = 0,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Grant:
        """A grant to this principal on a user: on itself, or, for who is trusted with that, on the user of a session.

        :param seconds: how long it holds. It also ends with the user's session, unless that is this one.
        :param renewable_s: how long it may be renewed; 0: not beyond ``seconds``.
        :param hops: how often it may be passed on.
        """
        now = int(time.time())
        request = pb.AuthorityGrantExchangeRequest(
            source_session_id=source_session,
            workspace_scope=workspaces,
            resource_scope=_grant_resources(resources),
            operation_scope=operations,
            max_access_level=level,
            expires_at=now + seconds,
            renewable_until=now + max(seconds, renewable_s),
            may_delegate=hops > 0,
            remaining_hops=hops,
            reason=reason,
            metadata=metadata,
        )
        return (await self._run(Op.EXCHANGE, exchange_request=request)).grant

    async def derive(
        self,
        parent: Grant,
        delegate: Principal,
        *,
        level: int = 0,
        workspaces: Sequence[str] = (),
        resources: Resources | None = None,
        operations: Sequence[str] = (),
        audience: tuple[str, str] | None = None,
        seconds: int = 0,
        hops: int = 0,
        reason: str = "",
    ) -> Grant:
        """Pass a grant on, or less of it; what is left out is as in ``parent``.

        :param audience: where it holds: ``("session", id)``, ``("task", id)``, or the agent or service itself, which is
            the default.
        """
        kind, name = audience or delegate
        request = pb.AuthorityGrantDeriveRequest(
            parent_grant_id=parent.grant_id,
            delegate=_reference(delegate),
            workspace_scope=workspaces or parent.workspace_scope,
            resource_scope=_grant_resources(resources) if resources is not None else parent.resource_scope,
            operation_scope=operations or parent.operation_scope,
            max_access_level=level or parent.max_access_level,
            audience_type=kind,
            audience_id=name,
            expires_at=min(int(time.time()) + seconds, parent.expires_at) if seconds else parent.expires_at,
            may_delegate=hops > 0,
            remaining_hops=hops,
            reason=reason,
        )
        return (await self._run(Op.DERIVE, derive_request=request)).grant

    async def get(self, grant_id: str) -> Grant:
        """A grant that this principal may use, made, or is the subject of."""
        return (await self._run(Op.GET, grant_id=grant_id)).grant

    async def renew(self, grant_id: str, seconds: int = HOUR_S) -> Grant:
        """Let it hold longer, as far as it and what it was derived from allow."""
        request = pb.ACLRenewAuthorityGrantRequest(grant_id=grant_id, extend_seconds=seconds)
        return (await self._run(Op.RENEW, renew_request=request)).grant

    async def revoke(self, grant_id: str) -> int:
        """End it, and everything that was derived from it; returns how many grants ended."""
        return int((await self._run(Op.REVOKE, grant_id=grant_id)).total)

    async def mine(self, *, revoked: bool = False, limit: int = 0, offset: int = 0) -> Sequence[Grant]:
        """Grants that this principal may use, the newest first; 100 unless ``limit`` says otherwise."""
        wanted = pb.AuthorityGrantListRequest(include_revoked=revoked, limit=limit, offset=offset)
        return [*(await self._run(Op.LIST_MY_GRANTS, list_request=wanted)).grants]

    async def on_me(self, *, revoked: bool = False, limit: int = 0, offset: int = 0) -> Sequence[Grant]:
        """Grants that let others act for this principal, the newest first."""
        wanted = pb.AuthorityGrantListRequest(include_revoked=revoked, limit=limit, offset=offset)
        return [*(await self._run(Op.LIST_GRANTS_ON_ME, list_request=wanted)).grants]

    async def resolve(self, grant_id: str, subject: Principal, actor: Principal | None = None) -> pb.AuthorityGrantInfo:
        """What a grant is worth in the hands of an actor, by default this principal.

        :raises PermissionDenied: it does not hold, or is none of this principal's business.
        """
        request = pb.ResolveAuthorityRequest(
            actor=_reference(actor) if actor is not None else None, grant_id=grant_id, subject=_reference(subject)
        )
        response = await self._link.request("resolve_authority_request", request)
        if not response.ok:
            raise _refused(response.error, PermissionDenied)
        resolved: pb.AuthorityGrantInfo = response.authority.grant
        return resolved

    # ------------------------------------------------------------------------------------------------- requests

    async def request(
        self,
        subject: Principal,
        level: int,
        *,
        decided_by: Principal | str,
        seconds: int = HOUR_S,
        workspaces: Sequence[str] = (),
        resources: Resources | None = None,
        operations: Sequence[str] = (),
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> Request:
        """Ask to act for somebody; the decision comes as a notice, with the grant's id.

        :param decided_by: the principal that decides, or the capability whose holders do.
        :param seconds: how long the grant is to hold; an hour at most.
        """
        routing = (
            pb.AuthorityRequestRoutingTarget(capability=decided_by)
            if isinstance(decided_by, str)
            else pb.AuthorityRequestRoutingTarget(principal=_reference(decided_by))
        )
        payload = pb.CreateAuthorityRequestPayload(
            target_subject=_reference(subject),
            desired_workspace_scope=workspaces,
            desired_resource_scope=_request_resources(resources),
            desired_operation_scope=operations,
            requested_access_level=_enum(level),  # type: ignore[arg-type]
            requested_duration_seconds=seconds,
            routing_target=routing,
            reason=reason,
            metadata=metadata,
        )
        return (await self._run_request(RequestOp.CREATE, create=payload)).request

    async def pending(
        self, *, capabilities: Iterable[str] = (), workspace: str = "", limit: int = 0, offset: int = 0
    ) -> Sequence[Request]:
        """Requests that wait for this principal's decision, also by capabilities that it holds; the newest first."""
        wanted = pb.AuthorityRequestListFilter(
            workspace=workspace, limit=limit, offset=offset, matching_capabilities=capabilities
        )
        return [*(await self._run_request(RequestOp.LIST_PENDING, list_filter=wanted)).requests]

    async def get_request(self, request_id: str) -> Request:
        """A request that this principal made, decides, or is the subject of."""
        return (await self._run_request(RequestOp.GET, request_id=request_id)).request

    async def approve(
        self,
        request_id: str,
        *,
        level: int = 0,
        seconds: int = 0,
        workspaces: Sequence[str] = (),
        resources: Resources | None = None,
        operations: Sequence[str] = (),
        hops: int = 0,
        reason: str = "",
    ) -> Request:
        """Give what was asked for, or less."""
        payload = pb.ResolveAuthorityRequestPayload(
            decision=Decision.APPROVE,
            granted_workspace_scope=workspaces,
            granted_resource_scope=_request_resources(resources),
            granted_operation_scope=operations,
            granted_access_level=_enum(level),  # type: ignore[arg-type]
            granted_duration_seconds=seconds,
            reason=reason,
            may_delegate=hops > 0,
            remaining_hops=hops,
        )
        return (await self._run_request(RequestOp.RESOLVE, request_id=request_id, resolve=payload)).request

    async def deny(self, request_id: str, reason: str = "") -> Request:
        """Decline a request."""
        payload = pb.ResolveAuthorityRequestPayload(decision=Decision.DENY, reason=reason)
        return (await self._run_request(RequestOp.RESOLVE, request_id=request_id, resolve=payload)).request

    async def cancel(self, request_id: str, reason: str = "") -> Request:
        """Take one's own request back."""
        return (await self._run_request(RequestOp.CANCEL, request_id=request_id, reason=reason)).request

    async def _run(self, op: int, **fields: Any) -> pb.AuthorityGrantResponse:
        operation = pb.AuthorityGrantOperation(op=op, **fields)  # type: ignore[arg-type]
        response: pb.AuthorityGrantResponse = await self._link.request("authority_grant_op", operation)
        if not response.success:
            raise _refused(response.error)
        return response

    async def _run_request(self, op: int, **fields: Any) -> pb.AuthorityRequestOperationResponse:
        operation = pb.AuthorityRequestOperation(op=op, **fields)  # type: ignore[arg-type]
        response: pb.AuthorityRequestOperationResponse = await self._link.request("authority_request_op", operation)
        if not response.success:
            raise _refused(response.error)
        return response


def on_behalf(grant: Grant) -> pb.AuthorizationContext:
    """What an operation carries that is done for the subject of a grant."""
    return pb.AuthorizationContext(authority_mode="on_behalf_of", subject=grant.subject, grant_id=grant.grant_id)


def continuation(
    *,
    level: int = 0,
    workspaces: Sequence[str] = (),
    resources: Resources | None = None,
    operations: Sequence[str] = (),
    binding_id: str = "",
) -> pb.AuthorityContinuationRequest:
    """Lets the receiver of a message act for the sender's subject too; what is left out is as in the sender's grant.

    :param binding_id: comes back with the authority, for the application's own use.
    """
    mode = pb.AuthorityContinuationRequest
    return mode(
        scope_mode=mode.SCOPE_MODE_ATTENUATE,
        binding_id=binding_id,
        scope=pb.AuthorityContinuationScope(
            workspace_scope=workspaces,
            resource_scope=_grant_resources(resources),
            operation_scope=operations,
            max_access_level=level,
        ),
    )


def _refused(text: str, otherwise: type[RequestRefused] = RequestRefused) -> RequestRefused:
    """These responses have no code, only a text."""
    kind = NotFound if "not found" in text else PermissionDenied if "not authorized" in text else otherwise
    return kind("AUTHORITY_REFUSED", text)


def _reference(principal: Principal) -> pb.PrincipalRef:
    return pb.PrincipalRef(principal_type=principal[0], principal_id=principal[1])


def _grant_resources(resources: Resources | None) -> list[pb.ACLAuthorityGrantResourceScopeEntry]:
    return [
        pb.ACLAuthorityGrantResourceScopeEntry(resource_type=kind, patterns=patterns)
        for kind, patterns in (resources or {}).items()
    ]


def _request_resources(resources: Resources | None) -> list[pb.AuthorityRequestResourceScopeEntry]:
    return [
        pb.AuthorityRequestResourceScopeEntry(resource_type=kind, patterns=patterns)
        for kind, patterns in (resources or {}).items()
    ]


def _enum(level: int) -> int:
    """The level as these messages spell it; 0 leaves it open."""
    return level // 10 + 1 if level else 0
