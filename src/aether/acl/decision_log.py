"""Decisions about access as the audit log has them: to read, and to remove (acl 8.3)."""

from __future__ import annotations

from collections.abc import Callable

from aether.acl.calls import refused
from aether.answers import Caller, fit
from aether.audit.events import actor_of
from aether.audit.paging import Pages
from aether.audit.store import Filter
from aether.audit.trail import AuditTrail
from aether.audit.wire import SECOND_US, decision_entry, end_of, start_of
from aether.paging import page_size
from aether.proto import aether_pb2 as pb

__all__ = ["DecisionLog"]

AUDIT_DAYS_DEFAULT = 90

Op = pb.ACLOperation


class DecisionLog:
    """Its operations take time, unlike those on rules.

    :param trail: None where there is no audit log.
    :param wall_clock: current Unix time in milliseconds.
    """

    OPERATIONS = frozenset({Op.QUERY_AUDIT, Op.CLEANUP_AUDIT_LOGS})

    def __init__(self, trail: AuditTrail | None, wall_clock: Callable[[], int]) -> None:
        self._trail = trail
        self._wall_clock = wall_clock
        self._pages = Pages()

    async def run(self, caller: Caller, operation: pb.ACLOperation, response: pb.ACLResponse) -> None:
        """Run one of the operations; who may was asked before.

        :raises Refusal: there is no log.
        :raises StoreUnavailable: it cannot be read or cleaned now.
        """
        if self._trail is None:
            raise refused("audit logging not enabled")
        if operation.op == Op.QUERY_AUDIT:
            await self._query(self._trail, caller, operation.audit_filter, response)
        else:
            await self._clean(self._trail, caller, operation.retention_days, response)

    async def _query(
        self, trail: AuditTrail, caller: Caller, wanted: pb.ACLAuditFilter, response: pb.ACLResponse
    ) -> None:
        limit = page_size(wanted.limit)
        found = Filter(
            start_us=start_of(wanted.start_time),
            end_us=end_of(wanted.end_time),
            kind="authorization",
            actor_type=wanted.principal_type,
            actor_id=wanted.principal_id,
            resource_type=wanted.resource_type,
            resource_id=wanted.resource_id,
            workspace=wanted.workspace,
            decision=wanted.decision.upper(),
        )
        found = self._pages.fix(caller.session_id, found, wanted.offset, trail.store.head[0])
        response.total_audit_entries, rows = await trail.store.query(found, limit, max(0, wanted.offset))
        response.audit_entries.extend(fit(decision_entry(row) for row in rows))

    async def _clean(self, trail: AuditTrail, caller: Caller, retention_days: int, response: pb.ACLResponse) -> None:
        days = retention_days if retention_days > 0 else AUDIT_DAYS_DEFAULT
        before_us = self._wall_clock() * 1000 - days * 86_400 * SECOND_US
        response.cleanup_result.deleted_count = await trail.trim(before_us, actor_of(caller.identity))
        response.cleanup_result.message = f"audit rows older than {days} days removed"
