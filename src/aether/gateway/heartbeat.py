"""Keeps the identity locks of all sessions alive, in one store operation per interval (connection 5.4, W-10, W-41).

A session whose lock belongs to somebody else ends at once. While the store does not answer, sessions live on until
shortly before their lock could be granted elsewhere, and end then: the gateway stops serving an identity before
another may start.
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

    :param ttl_s: lifetime of a lock; refreshed every third of it.
    :param margin_s: how long before the end of an unrefreshed lock its session is ended.
    """

    def __init__(
        self, locks: IdentityLocks, holders: Iterable[Holder], *, ttl_s: float = 30.0, margin_s: float = 5.0
    ) -> None:
        self._locks = locks
        self._holders = holders
        self._ttl_s = ttl_s
        self._margin_s = margin_s

    def deadline(self) -> float:
        """When a lock that is taken or refreshed now stops being safe (trio clock)."""
        return trio.current_time() + self._ttl_s - self._margin_s

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        pause_s = self._ttl_s / 3
        while True:
            await trio.sleep(pause_s)
            pause_s = self._ttl_s / 3 if await self._refresh() else min(1.0, self._margin_s / 2)

    async def _refresh(self) -> bool:
        """Refresh once; False when the store did not answer and it is to be tried again soon."""
        holders = {holder.session_id: holder for holder in self._holders}
        deadline = self.deadline()
        if not holders:
            return True
        try:
            with trio.fail_after(5):
                lost = await self._locks.refresh(
                    [(holder.lock_key, holder.session_id, holder.fence) for holder in holders.values()]
                )
        except (StoreUnavailable, trio.TooSlowError):
            log.warning("locks not refreshed", sessions=len(holders))
            for holder in holders.values():
                if trio.current_time() >= holder.lock_deadline:
                    holder.end_lock_lost()
            return False
        for session_id, holder in holders.items():
            if session_id in lost:
                holder.end_lock_lost()
            else:
                holder.lock_deadline = deadline
        return True
