"""Reading the audit log, and what clients add to it (acl 16, 17)."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import trio

from aether._fastpath import TokenBucket
from aether.access import Access, InvalidAuthority, Level, Rights, is_system
from aether.answers import Answer, Caller, Reply, fit
from aether.audit.events import Event, actor_of
from aether.audit.paging import Pages
from aether.audit.trail import AuditTrail
from aether.audit.wire import entry, query_filter, query_frame, submit_frame
from aether.errors import Code, Refusal, StoreUnavailable
from aether.paging import page_size
from aether.proto import aether_pb2 as pb

__all__ = ["AuditLimits", "AuditService"]

PAGE_MAX = 500
SUBMITTED_KINDS = frozenset({"message", "kv", "task", "custom"})
TEXT_CHARACTERS_MAX = 1024
METADATA_ENTRIES_MAX = 64
SUBMITTERS_MAX = 10_000

_UNAVAILABLE = "the audit log is unavailable, try again"


@dataclass(frozen=True, slots=True)
class AuditLimits:
    """What clients may do with the log.

    :ivar submit_rate: events a principal may submit in a second, and at once; 0 is unlimited.
    :ivar reader_level: level on a workspace that lets somebody read the log of that workspace (weakness 6).
    """

    submit_rate: float = 100.0
    reader_level: Level = Level.MANAGE


class AuditService:
    """Answers ``audit_query`` and ``submit_audit_event``.

    :param trail: None when the gateway keeps no log.
    :param clock: monotonic time in seconds, for rates.
    """

    def __init__(
        self,
        trail: AuditTrail | None,
        access: Access,
        limits: AuditLimits,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._trail = trail
        self._access = access
        self._limits = limits
        self._clock = clock
        self._pages = Pages()
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    # -------------------------------------------------------------------------------------------------- reading

    def query(self, caller: Caller, query: pb.AuditQuery) -> Reply:
        """One page of the log, the newest first; ``total_count`` is that of all pages. Rows that are added between two
        pages are in neither of them."""
        response = pb.AuditQueryResponse(request_id=query.request_id)
        try:
            if self._trail is None:
                raise _refused("audit logging not enabled")
            rights = self._rights(caller, query)
            self._admit(caller, rights, query.workspace)
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        else:
            return self._page(self._trail, caller, rights, query, response)
        return Answer((query_frame(response),))

    def _rights(self, caller: Caller, query: pb.AuditQuery) -> Rights:
        try:
            return self._access.rights(caller, query.authorization if query.HasField("authorization") else None)
        except InvalidAuthority as error:
            raise _refused(f"invalid authorization context: {error}") from None

    def _admit(self, caller: Caller, rights: Rights, workspace: str) -> None:
        """Who may read what (acl 17)."""
        if rights.lineage is None and is_system(caller, workspace):
            return
        ask = functools.partial(rights.check, "admin", "admin/audit", Level.READ, "audit_query", workspace)
        if not workspace:
            if not ask().allowed:
                raise _refused("audit queries require admin privileges or workspace access")
        elif not ask(tentative=True).allowed:
            level = self._limits.reader_level
            if not rights.check("workspace", workspace, level, "audit_query", workspace).allowed:
                raise _refused("insufficient permissions for audit query")

    async def _page(
        self,
        trail: AuditTrail,
        caller: Caller,
        rights: Rights,
        query: pb.AuditQuery,
        response: pb.AuditQueryResponse,
    ) -> Answer:
        limit = page_size(query.limit, PAGE_MAX)
        wanted = self._pages.fix(caller.session_id, query_filter(query), query.offset, trail.store.head[0])
        try:
            total, rows = await trail.store.query(wanted, limit, max(0, query.offset))
        except StoreUnavailable:
            response.error = _UNAVAILABLE
            return Answer((query_frame(response),))
        response.success = True
        response.total_count = total
        response.entries.extend(fit(entry(row) for row in rows))
        trail.routine(
            Event(
                kind="admin",
                operation="audit_query",
                **actor_of(caller.identity),
                resource_type="audit",
                resource_id=query.workspace,
                workspace=query.workspace,
                session_id=caller.session_id,
                metadata={
                    "rows": len(rows),
                    "total": total,
                    "event_type": query.event_type,
                    "actor_id": query.actor_id,
                },
                lineage=rights.lineage,
            )
        )
        return Answer((query_frame(response),))

    # ----------------------------------------------------------------------------------------------- submitting

    def submit(self, caller: Caller, request: pb.SubmitAuditEventRequest) -> Answer:
        """Keep an event of the caller's own; the answer comes when it is durable. Who did it is the gateway's word."""
        response = pb.SubmitAuditEventResponse(client_request_id=request.client_request_id)
        ticket = 0
        try:
            self._keep(caller, request)
            response.success = True
            ticket = self._trail.ticket if self._trail else 0
        except Refusal as refusal:
            response.error_code, response.error_message = refusal.code, refusal.message
        except StoreUnavailable:
            return Answer(_not_submitted(request))
        return Answer((submit_frame(response),), ticket, functools.partial(_not_submitted, request))

    def _keep(self, caller: Caller, request: pb.SubmitAuditEventRequest) -> None:
        identity = caller.identity
        if self._trail is None:
            raise Refusal(Code.AUDIT_DISABLED, "audit logging not enabled")
        kind = request.event_type.lower()
        if kind not in SUBMITTED_KINDS or kind not in self._trail.settings.kinds:
            raise Refusal(Code.AUDIT_TYPE_FORBIDDEN, f"event type {kind!r} cannot be submitted")
        if request.workspace not in ("", identity.workspace):
            decision = self._access.rights(caller).check(
                "capability", "capability/audit_submit", Level.READ, "audit_submit", request.workspace
            )
            if not decision.allowed:
                raise Refusal(Code.PERMISSION_DENIED, "not authorized to submit events for another workspace")
        if not self._admit_rate(identity.canonical_id):
            raise Refusal(Code.AUDIT_RATE_LIMITED, "too many audit events", retryable=True)
        texts = (request.operation, request.resource_type, request.resource_id, request.workspace)
        if any(len(text) > TEXT_CHARACTERS_MAX for text in texts) or len(request.metadata) > METADATA_ENTRIES_MAX:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"an event has texts of at most {TEXT_CHARACTERS_MAX} characters and "
                f"{METADATA_ENTRIES_MAX} entries of metadata",
            )
        self._trail.record(
            Event(
                kind=kind,
                operation=request.operation,
                success=request.success,
                **actor_of(identity),
                resource_type=request.resource_type,
                resource_id=request.resource_id,
                workspace=request.workspace or identity.workspace,
                session_id=caller.session_id,
                error=request.error_message[:TEXT_CHARACTERS_MAX],
                metadata=dict(request.metadata),
                source="principal",
            )
        )

    def _admit_rate(self, principal: str) -> bool:
        rate = self._limits.submit_rate
        if rate <= 0:
            return True
        bucket = self._buckets.get(principal)
        if bucket is None:
            bucket = self._buckets[principal] = TokenBucket(rate, max(1.0, rate), self._clock())
            if len(self._buckets) > SUBMITTERS_MAX:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(principal)
        return bucket.take(self._clock())


def _not_submitted(request: pb.SubmitAuditEventRequest) -> tuple[bytes, ...]:
    response = pb.SubmitAuditEventResponse(
        client_request_id=request.client_request_id, error_code=Code.AUDIT_UNAVAILABLE, error_message=_UNAVAILABLE
    )
    return (submit_frame(response),)


def _refused(message: str) -> Refusal:
    """A refusal whose text goes into the typed response; those have no code."""
    return Refusal("", message)
