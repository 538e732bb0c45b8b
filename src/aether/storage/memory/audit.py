"""The audit log in memory, for tests and for gateways that keep nothing."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from aether.audit.store import GENESIS, Filter, Row

__all__ = ["MemoryAudit", "matches"]

_EQUAL = (
    "kind",
    "actor_type",
    "resource_type",
    "resource_id",
    "operation",
    "workspace",
    "subject_type",
    "subject_id",
    "authority_mode",
    "grant_id",
)


class MemoryAudit:
    """Implements :class:`aether.audit.store.AuditStore`; what is appended is durable at once."""

    def __init__(self) -> None:
        self.head = (0, GENESIS)
        self.time_us = 0
        self.staged = 0
        self.rows: list[Row] = []

    def append(self, row: Row) -> int:
        self.rows.append(row)
        self.head, self.time_us = (row.number, row.hash), row.time_us
        return 0

    async def query(self, wanted: Filter, limit: int, offset: int) -> tuple[int, Sequence[Row]]:
        await trio.lowlevel.checkpoint()
        found = [row for row in reversed(self.rows) if matches(row, wanted)]
        return len(found), found[offset : offset + limit]

    async def read(self, after: int, limit: int) -> Sequence[Row]:
        await trio.lowlevel.checkpoint()
        return [row for row in self.rows if row.number > after][:limit]

    async def oldest(self, before_us: int, limit: int) -> tuple[int, str]:
        await trio.lowlevel.checkpoint()
        old = [row for row in self.rows[:limit] if row.time_us < before_us]
        return (old[-1].number, old[-1].hash) if old else (0, "")

    async def remove_through(self, number: int) -> int:
        await trio.lowlevel.checkpoint()
        kept = [row for row in self.rows if row.number > number]
        removed = len(self.rows) - len(kept)
        self.rows = kept
        return removed


def matches(row: Row, wanted: Filter) -> bool:
    """What a filter means, in plain words."""
    return (
        all(getattr(wanted, name) in ("", getattr(row, name)) for name in _EQUAL)
        and wanted.actor_id in ("", row.actor_id, row.canonical_id)
        and row.time_us >= wanted.start_us
        and (not wanted.end_us or row.time_us <= wanted.end_us)
        and not (wanted.only_failures and row.success)
        and row.actor_type not in wanted.exclude_actor_types
        and row.workspace not in wanted.exclude_workspaces
        and not (wanted.exclude_service_direct and row.actor_type == "service" and row.authority_mode == "direct")
        and (not wanted.decision or (row.kind == "authorization" and row.success == (wanted.decision == "ALLOW")))
        and (not wanted.before_number or row.number < wanted.before_number)
    )
