"""Composes access rules and the authority that rests on them, and ties both to sessions (acl)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aether.access import Access, OpenAccess
from aether.acl.control import AccessControl
from aether.acl.engine import RuleEngine
from aether.acl.service import ACLService
from aether.answers import Answer
from aether.audit.trail import AuditTrail
from aether.authority.continuation import Continuations
from aether.authority.grants import Grants
from aether.authority.making import Maker
from aether.authority.model import Grant
from aether.authority.request_service import RequestService
from aether.authority.request_wire import event_frame
from aether.authority.requests import Request, Requests
from aether.authority.resolving import Resolver
from aether.authority.service import AuthorityService
from aether.authority.wire import revocation_frame
from aether.gateway import configured
from aether.gateway.enforcement import Enforcement
from aether.gateway.foundation import Foundation, Handler, Run
from aether.gateway.notices import Notices

__all__ = ["AccessParts", "Authority", "compose_access"]


@dataclass(frozen=True, slots=True)
class Authority:
    """On-behalf-of authority."""

    grants: Grants
    requests: Requests
    continuations: Continuations


@dataclass(frozen=True, slots=True)
class AccessParts:
    """Who decides about access.

    :ivar authority: None without a rule engine of ours.
    :ivar enforcement: as ``authority``.
    """

    access: Access
    authority: Authority | None = None
    enforcement: Enforcement | None = None
    handlers: Mapping[str, Handler] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()


def compose_access(base: Foundation, trail: AuditTrail | None, given: Access | None) -> AccessParts:
    """The embedder's own, the rule engine, or none.

    :param trail: the audit log, which tells what became of rules.
    """
    if given is not None:
        return AccessParts(given)
    if not base.config.acl.enabled:
        return AccessParts(OpenAccess())
    engine = RuleEngine(base.tier.records, base.wall_clock, base.new_id, configured.acl_semantics(base.config))
    control = AccessControl(engine, base.recorder)
    enforcement = Enforcement(base.directory, control)
    engine.on_change.append(enforcement.on_change)
    notices = Notices()
    grants = _compose_grants(base, notices)
    control.grants = grants
    maker = Maker(grants, control, base.directory, base.recorder, base.wall_clock, base.new_id)
    service = AuthorityService(maker, grants, base.recorder, base.wall_clock)
    requests = _compose_requests(base, control, grants, notices)
    return AccessParts(
        control,
        Authority(grants, requests, Continuations(grants, base.recorder, base.wall_clock, base.new_id)),
        enforcement,
        {
            "acl_op": ACLService(control, base.recorder, trail, base.wall_clock).handle,
            "authority_grant_op": service.handle,
            "authority_request_op": RequestService(requests, base.directory, base.recorder).handle,
            "resolve_authority_request": Resolver(grants, control, base.wall_clock).resolve,
        },
        (requests.run, grants.run, engine.run, enforcement.run),
    )


def _compose_grants(base: Foundation, notices: Notices) -> Grants:
    """Grants, and who hears that one is revoked: who held it."""

    def on_revoked(grant: Grant, reason: str, cascade: bool) -> None:
        notice = Answer((revocation_frame(grant, reason, cascade),), grants.ticket)
        notices.tell(base.directory.sessions_of(grant.delegate), notice)

    issued_max = base.config.acl.authority_grants_max
    grants = Grants(base.tier.records, base.directory, on_revoked, base.wall_clock, issued_max=issued_max)
    return grants


def _compose_requests(base: Foundation, control: AccessControl, grants: Grants, notices: Notices) -> Requests:
    """Requests for authority, and who hears of them: who asks, and who decides."""

    def tell(request: Request) -> None:
        told = {session.session_id: session for session in base.directory.sessions_of(request.requester)}
        if request.routing is not None:
            deciders = base.directory.sessions_of(request.routing)
        else:
            deciders = [session for session in base.directory if requests.may_decide(session, request)]
        told |= {session.session_id: session for session in deciders}
        event = Answer((event_frame(request, base.wall_clock()),), requests.ticket)
        notices.tell(told.values(), event)

    limits = configured.request_limits(base.config)
    requests = Requests(base.tier.records, grants, control, base.recorder, base.wall_clock, base.new_id, limits)
    requests.on_event.append(tell)
    return requests
