"""Keeps the identity locks of all sessions alive, in one store operation per interval (connection 5.4, W-10, W-41).

A session whose lock belongs to somebody else ends at once. While the store does not answer, sessions live on until
shortly before their lock could be granted elsewhere, and end then: the gateway stops serving an identity before
another may start. A lock that ran out unnoticed, because a clock was set or the machine slept, is simply renewed if
nobody took it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import structlog
import trio

from aether.errors import StoreUnavailable
from aether.sessions.store import IdentityLocks

__all__ = ["Heartbeat"]

log = structlog.get_logger("aether.heartbeat")

STORE_TIMEOUT_S = 5.0
RETRY_S = 1.0
PAUSE_S_MIN = 0.01


class Holder(Protocol):
    """A session as the heartbeat sees it."""

    session_id: str
    fence: int
    lock_deadline: float

    @property
    def lock_key(self) -> str: ...

    def end_lock_lost(self) -> None: ...


class Heartbeat:
    """One service of the gateway.

    :param ttl_s: lifetime of a lock; refreshed every third of it. A session whose lock was not refreshed is ended when
        five sixths of it are over.
    """

    def __init__(self, locks: IdentityLocks, holders: Iterable[Holder], *, ttl_s: float) -> None:
        self._locks = locks
        self._holders = holders
        self._ttl_s = ttl_s

    def deadline(self) -> float:
        """When a lock that is taken or refreshed now stops being safe (trio clock)."""
        return trio.current_time() + self._ttl_s * 5 / 6

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        due = trio.current_time() + self._ttl_s / 3
        while True:
            await trio.sleep_until(due)
            due = await self._refresh()

    async def _refresh(self) -> float:
        """Refresh once; returns when to do it again."""
        holders = {holder.session_id: holder for holder in self._holders}
        now = trio.current_time()
        deadline = self.deadline()
        regular = now + self._ttl_s / 3
        if not holders:
            return regular
        # An attempt leaves time for another one before the first session has to be ended.
        left_s = max(0.0, min(holder.lock_deadline for holder in holders.values()) - now)
        try:
            with trio.fail_after(min(STORE_TIMEOUT_S, left_s / 2)):
                lost = await self._locks.refresh(
                    [(holder.lock_key, holder.session_id, holder.fence) for holder in holders.values()]
                )
        except (StoreUnavailable, trio.TooSlowError):
            log.warning("locks not refreshed", sessions=len(holders))
            return self._end_overdue(holders.values())
        for session_id, holder in holders.items():
            if session_id in lost:
                holder.end_lock_lost()
            else:
                holder.lock_deadline = deadline
        return regular

    def _end_overdue(self, holders: Iterable[Holder]) -> float:
        """The store does not answer: end those for whom it is too late; returns when to look again."""
        now = trio.current_time()
        pause_s = RETRY_S
        for holder in holders:
            if now >= holder.lock_deadline:
                holder.end_lock_lost()
            else:
                pause_s = min(pause_s, holder.lock_deadline - now)
        return now + max(pause_s, PAUSE_S_MIN)
