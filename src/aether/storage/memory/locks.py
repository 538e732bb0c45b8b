"""Identity locks in a dictionary; gone with the process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import trio

from aether.sessions.store import LOCK_TTL_MS, ClientInfo, Lock
from aether.storage.lock_table import LockTable

__all__ = ["MemoryLocks"]


class MemoryLocks:
    """Implements :class:`aether.sessions.store.IdentityLocks`."""

    def __init__(self, wall_clock: Callable[[], int], ttl_ms: int = LOCK_TTL_MS) -> None:
        self._table = LockTable(wall_clock, ttl_ms)
        self._fences = itertools.count(1)

    async def acquire(self, identity: str, session_id: str, resume_session_id: str, client: ClientInfo) -> Lock:
        await trio.lowlevel.checkpoint()
        return self._table.acquire(identity, session_id, resume_session_id, client, self._fences.__next__)

    async def refresh(self, held: Sequence[tuple[str, str, int]]) -> set[str]:
        await trio.lowlevel.checkpoint()
        return self._table.refresh(held)

    async def release(self, identity: str, session_id: str, fence: int) -> bool:
        await trio.lowlevel.checkpoint()
        return self._table.release(identity, session_id, fence)

    async def keep_workspace(self, identity: str, session_id: str, fence: int, workspace: str) -> bool:
        await trio.lowlevel.checkpoint()
        return self._table.keep_workspace(identity, session_id, fence, workspace)

    async def holder(self, identity: str) -> Lock | None:
        await trio.lowlevel.checkpoint()
        return self._table.holder(identity)

    async def scan(self, prefix: str) -> list[Lock]:
        await trio.lowlevel.checkpoint()
        return self._table.scan(prefix)
