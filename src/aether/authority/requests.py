"""Requests for authority that somebody decides: sudo (acl 12; weaknesses 1 to 4, 32, 33, 35, 51).

A request is decided once, within its time, by the principal it names or a holder of the capability it names -- never
by the one who asks. Who approves gives no more than it could: it is the subject itself, or holds the granted level on
every workspace and resource of the grant; and without being the subject it opens administration and capabilities only
where the request names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import trio

from aether.access import Access, Decision, Level
from aether.acl.model import subject
from aether.answers import Caller
from aether.audit.events import Event, Recorder, actor_of
from aether.authority.forgetting import ended_first
from aether.authority.grants import Grants, Principal, principal_of
from aether.authority.model import (
    ANY_WORKSPACE,
    Grant,
    InvalidGrant,
    ResourceScope,
    check_within,
    is_within,
    narrow,
    narrow_resources,
)
from aether.errors import StoreUnavailable
from aether.records import RecordStore, Table

__all__ = ["APPROVED", "CANCELLED", "DENIED", "EXPIRED", "PENDING", "Request", "RequestLimits", "Requests"]

PENDING, APPROVED, DENIED, EXPIRED, CANCELLED = "pending", "approved", "denied", "expired", "cancelled"

SWEEP_S = 5.0
WAITING_MAX = 100
"""Requests of one principal that nobody has decided."""
KEPT_OF_ONE_MAX = 2 * WAITING_MAX
"""Requests of one principal; if there are more, those that are decided are forgotten while it makes others. The audit
log has all."""
DAY_MS = 86_400_000

ORDINARY = ("kv_scope", "agent", "task")
"""Resource types that an approver who is not the subject opens with a request that names no resources, beside the
workspaces: those of which it holds everything."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How long requests wait, and how long what they give lasts, in seconds."""

    lifetime_s: int = 1800
    duration_s_max: int = 3600
    duration_s_by_capability: Mapping[str, int] = field(default_factory=dict)
    """Shorter ones for requests that are routed to a capability (weakness 51)."""
    retention_days: int = 90

    def duration_s(self, capability: str) -> int:
        """The longest for a request that is routed to a capability; to none if that is empty."""
        return min(self.duration_s_max, self.duration_s_by_capability.get(capability, self.duration_s_max))


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody asks to act for ``subject``. Times are Unix milliseconds."""

    id: str
    requester_type: str
    requester_id: str
    subject_type: str
    subject_id: str
    level: int
    duration_s: int
    audience_type: str
    audience_id: str
    created_ms: int
    expires_ms: int
    status: str = PENDING
    audience_identity: str = ""
    workspace_scope: tuple[str, ...] = ()
    resource_scope: ResourceScope = ()
    operation_scope: tuple[str, ...] = ()
    routing_type: str = ""
    routing_id: str = ""
    routing_capability: str = ""
    reason: str = ""
    task_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    resolved_ms: int = 0
    grant_id: str = ""
    resolver_type: str = ""
    resolver_id: str = ""
    resolution_reason: str = ""

    @property
    def requester(self) -> Principal:
        return self.requester_type, self.requester_id

    @property
    def subject(self) -> Principal:
        return self.subject_type, self.subject_id

    @property
    def routing(self) -> Principal | None:
        """The principal that decides; None where a capability does."""
        return (self.routing_type, self.routing_id) if self.routing_type else None


class Control(Access, Protocol):
    """Access rules, also for questions about somebody who is not there."""

    def decide(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int, workspace: str
    ) -> Decision: ...

    def holds_throughout(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int, workspace: str
    ) -> bool:
        """As :meth:`decide`, also for a pattern of resources."""


class Requests:
    """All requests of a deployment.

    :param wall_clock: current Unix time in milliseconds.
    :ivar on_event: told of every change of a request.
    """

    def __init__(
        self,
        records: RecordStore,
        grants: Grants,
        access: Control,
        recorder: Recorder,
        wall_clock: Callable[[], int],
        new_id: Callable[[], str],
        limits: RequestLimits = RequestLimits(),
    ) -> None:
        self._table = Table(records, "authority_request", Request)
        self._of_requester: dict[Principal, dict[str, None]] = {}
        for request in self._table.values():
            self._of_requester.setdefault(request.requester, {})[request.id] = None
        self._grants = grants
        self._access = access
        self._recorder = recorder
        self.on_event: list[Callable[[Request], None]] = []
        self._wall_clock = wall_clock
        self._new_id = new_id
        self._limits = limits

    @property
    def ticket(self) -> int:
        """Batch that makes the latest change durable."""
        return max(self._table.ticket, self._grants.ticket)

    # -------------------------------------------------------------------------------------------------- asking

    def create(self, caller: Caller, request: Request) -> Request:
        """Keep a new request; its id, status and times are set here.

        :raises InvalidGrant: it cannot be.
        """
        if request.duration_s <= 0:
            raise InvalidGrant("invalid authority request: duration_seconds must be > 0")
        if request.level not in Level._value2member_map_ or request.level == Level.NONE:
            raise InvalidGrant("invalid authority request: requested_access: invalid access level")
        now_ms = self._wall_clock()
        own = self._of_requester.get(request.requester, {})
        if sum(map(self._is_waiting, own)) >= WAITING_MAX:
            raise InvalidGrant(f"no more than {WAITING_MAX} requests of one principal can wait")
        for request_id in ended_first(own, KEPT_OF_ONE_MAX, lambda request_id: not self._is_waiting(request_id)):
            self._forget(self._table.get(request_id))
        request = replace(
            request,
            id=self._new_id(),
            duration_s=min(request.duration_s, self._limits.duration_s(request.routing_capability)),
            created_ms=now_ms,
            expires_ms=now_ms + self._limits.lifetime_s * 1000,
        )
        self._keep(caller, request, "created")
        return request

    def cancel(self, caller: Caller, request_id: str, reason: str) -> Request:
        """Take a request back.

        :raises InvalidGrant: it is not the caller's, or decided.
        """
        request = self._table.get(request_id)
        if request is None or request.requester != principal_of(caller):
            raise InvalidGrant("authority request not found")
        return self._resolve(caller, self._open(request), CANCELLED, reason)

    # ------------------------------------------------------------------------------------------------- looking

    def get_for(self, caller: Caller, request_id: str) -> Request:
        """A request for those whom it concerns; others learn nothing.

        :raises InvalidGrant: there is none for this caller.
        """
        request = self._table.get(request_id)
        if request is not None:
            request = self._current(request)
            if principal_of(caller) in (request.requester, request.subject) or self.may_decide(caller, request):
                return request
        raise InvalidGrant("authority request not found")

    def routed_to(self, caller: Caller, capabilities: Iterable[str]) -> list[Request]:
        """Requests that the caller decides, the newest first: by name, or by those of the capabilities that it really
        holds (weakness 3)."""
        who = principal_of(caller)
        names = set(capabilities)
        found = [
            self._current(request)
            for request in self._table.values()
            if request.routing == who or (request.routing_capability in names and self.may_decide(caller, request))
        ]
        return sorted(found, key=lambda request: request.created_ms, reverse=True)

    def may_decide(self, session: Caller, request: Request) -> bool:
        """Whether a request is routed to whoever has a session: by name, or, within what its credential is for, by a
        capability."""
        who = (session.identity.kind.label, session.identity.canonical_id)
        if request.routing is not None:
            return request.routing == who
        capability = request.routing_capability
        if not capability or not is_within(session.workspace_limit, request.workspace_scope):
            return False
        return self._access.decide(*who, "capability", capability, Level.MANAGE, "").allowed

    def find(self, request_id: str) -> Request | None:
        """A request as it is now; None when there is none. For the gateway itself."""
        request = self._table.get(request_id)
        return None if request is None else self._current(request)

    def _is_waiting(self, request_id: str) -> bool:
        request = self._table.get(request_id)
        return request is not None and self._current(request).status == PENDING

    def _forget(self, request: Request | None) -> None:
        if request is None:
            return
        self._table.delete(request.id)
        own = self._of_requester[request.requester]
        del own[request.id]
        if not own:
            del self._of_requester[request.requester]

    def _current(self, request: Request) -> Request:
        """As it is now: past its time it is expired, whether or not somebody looked (weakness 33)."""
        if request.status == PENDING and request.expires_ms <= self._wall_clock():
            return replace(request, status=EXPIRED, resolved_ms=request.expires_ms)
        return request

    def _open(self, request: Request) -> Request:
        """:raises InvalidGrant: it is decided, or its time is over."""
        status = self._current(request).status
        if status == EXPIRED:
            raise InvalidGrant("authority request expired")
        if status != PENDING:
            raise InvalidGrant("authority request already resolved")
        return request

    # ------------------------------------------------------------------------------------------------ deciding

    def deny(self, caller: Caller, request_id: str, reason: str) -> Request:
        """:raises InvalidGrant: it is not the caller's to decide, or decided."""
        return self._resolve(caller, self._open(self._routed(caller, request_id)), DENIED, reason)

    def approve(
        self,
        caller: Caller,
        request_id: str,
        *,
        workspace_scope: tuple[str, ...] = (),
        resource_scope: ResourceScope = (),
        operation_scope: tuple[str, ...] = (),
        level: int = 0,
        duration_s: int = 0,
        reason: str = "",
        hops: int = 0,
    ) -> Request:
        """Give what was asked for, or less, in one step with the decision: however many approve, there is one grant.

        :raises InvalidGrant: it is not the caller's to decide or to give.
        """
        request = self._open(self._routed(caller, request_id))
        approver = principal_of(caller)
        if approver == request.requester:
            raise InvalidGrant("a requester cannot approve its own authority request")
        given = min(request.level, level or request.level)
        workspaces = narrow(request.workspace_scope, workspace_scope, workspaces=True)
        resources = narrow_resources(request.resource_scope, resource_scope)
        check_within(caller.workspace_limit, workspaces)
        if approver != request.subject:
            self._check_holds(approver, workspaces, resources, given)
            resources = resources or self._ordinary(approver, given)
        now_ms = self._wall_clock()
        expires_ms = now_ms + 1000 * min(
            request.duration_s,
            duration_s if duration_s > 0 else request.duration_s,
            self._limits.duration_s(request.routing_capability),
        )
        self._grants.check_room(approver)
        grant_id = self._new_id()
        resolved = self._resolved(caller, replace(request, grant_id=grant_id), APPROVED, reason)
        self._grants.add(
            Grant(
                id=grant_id,
                root_id=grant_id,
                subject_type=request.subject_type,
                subject_id=request.subject_id,
                root_subject_type=request.subject_type,
                root_subject_id=request.subject_id,
                delegate_type=request.requester_type,
                delegate_id=request.requester_id,
                issued_by_type=approver[0],
                issued_by_id=approver[1],
                max_access_level=given,
                remaining_hops=hops,
                workspace_scope=workspaces,
                resource_scope=resources,
                operation_scope=narrow(request.operation_scope, operation_scope),
                audience_type=request.audience_type,
                audience_id=request.audience_id,
                audience_identity=request.audience_identity,
                while_active=True,
                expires_ms=expires_ms,
                renewable_ms=expires_ms,
                created_ms=now_ms,
                reason=reason or request.reason,
                metadata=request.metadata,
            ),
            lambda _: self._store(caller, resolved, APPROVED),
        )
        self._tell(resolved)
        return resolved

    def _routed(self, caller: Caller, request_id: str) -> Request:
        request = self._table.get(request_id)
        if request is None or not self.may_decide(caller, request):
            raise InvalidGrant("authority request not found")
        return request

    def _check_holds(
        self, approver: Principal, workspaces: tuple[str, ...], resources: ResourceScope, level: int
    ) -> None:
        """Nobody gives what it does not have (weakness 1)."""
        wanted = [("workspace", "*" if name == ANY_WORKSPACE else name) for name in workspaces or ("*",)]
        wanted += [(kind, name) for kind, patterns in resources for name in patterns or ("*",)]
        for kind, name in wanted:
            workspace = name if kind == "workspace" else ""
            if not self._access.holds_throughout(*approver, kind, name, level, workspace):
                raise InvalidGrant(f"an approver must hold the granted level on {subject(kind, name)} itself")

    def _ordinary(self, approver: Principal, level: int) -> ResourceScope:
        """What a grant that names no resources opens, when it is not of the subject's own making."""
        held = [kind for kind in ORDINARY if self._access.holds_throughout(*approver, kind, "*", level, "")]
        if "kv_scope" in held:
            held.append("kv_key")  # a rule for a key comes before that for its scope
        return tuple((kind, ()) for kind in ("workspace", *held))

    def _resolve(self, caller: Caller, request: Request, status: str, reason: str) -> Request:
        request = self._resolved(caller, request, status, reason)
        self._keep(caller, request, status)
        return request

    def _resolved(self, caller: Caller, request: Request, status: str, reason: str) -> Request:
        who = principal_of(caller)
        return replace(
            request,
            status=status,
            resolved_ms=self._wall_clock(),
            resolver_type=who[0],
            resolver_id=who[1],
            resolution_reason=reason,
        )

    def _keep(self, caller: Caller | None, request: Request, what: str) -> None:
        """Record, store and tell, in one commit."""
        self._store(caller, request, what)
        self._tell(request)

    def _tell(self, request: Request) -> None:
        for listener in self.on_event:
            listener(request)

    def _store(self, caller: Caller | None, request: Request, what: str) -> None:
        actor = (
            {**actor_of(caller.identity), "session_id": caller.session_id}
            if caller is not None
            else {"actor_type": request.requester_type, "canonical_id": request.requester_id}
        )
        self._recorder.record(
            Event(
                kind="authority_request",
                operation=f"authority_request_{what}",
                success=True,
                **actor,
                resource_type="authority_request",
                resource_id=request.id,
                metadata={
                    "status": request.status,
                    "requester": subject(*request.requester),
                    "subject": subject(*request.subject),
                    "routing": subject(*request.routing) if request.routing else request.routing_capability,
                    "requested_access": request.level,
                    "duration_seconds": request.duration_s,
                    "task_id": request.task_id,
                    "granted_grant_id": request.grant_id,
                    "resolution_reason": request.resolution_reason,
                },
            )
        )
        self._table.put(request.id, request)
        self._of_requester.setdefault(request.requester, {})[request.id] = None

    # ------------------------------------------------------------------------------------------------ expiring

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Expire what nobody decided and forget what ended long ago, for ever."""
        task_status.started()
        while True:
            await trio.sleep(SWEEP_S)
            try:
                self.sweep()
            except StoreUnavailable:
                continue

    def sweep(self) -> None:
        """:raises StoreUnavailable: some are left for the next time."""
        forget_ms = self._wall_clock() - self._limits.retention_days * DAY_MS
        for request in self._table.values():
            current = self._current(request)
            if current is not request:
                self._keep(None, current, EXPIRED)
            elif request.resolved_ms and request.resolved_ms < forget_ms:
                self._forget(request)
