"""Identity locks in a dictionary; gone with the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from aether.errors import IdentityHeld
from aether.sessions.store import LOCK_TTL_MS, ClientInfo, Lock

__all__ = ["MemoryLocks"]


class MemoryLocks:
    """Implements :class:`aether.sessions.store.IdentityLocks`."""

    def __init__(self, wall_clock: Callable[[], int], ttl_ms: int = LOCK_TTL_MS) -> None:
        self._wall_clock = wall_clock
        self._ttl_ms = ttl_ms
        self._fence = 0
        self._held: dict[str, tuple[Lock, int]] = {}

    def _live(self, identity: str) -> Lock | None:
        lock, expires_ms = self._held.get(identity, (None, 0))
        return lock if expires_ms > self._wall_clock() else None

    async def acquire(self, identity: str, session_id: str, resume_session_id: str, client: ClientInfo) -> Lock:
        await trio.lowlevel.checkpoint()
        now_ms = self._wall_clock()
        holder = self._live(identity)
        resumed = holder is not None and bool(resume_session_id) and holder.session_id == resume_session_id
        if holder is not None and not resumed:
            raise IdentityHeld(identity)
        self._fence += 1
        lock = Lock(
            identity,
            session_id,
            self._fence,
            initial_ms=holder.initial_ms if holder else now_ms,
            reconnects=holder.reconnects + 1 if holder else 0,
            resumed=resumed,
            previous_session=holder.session_id if holder else "",
            client=client,
        )
        self._held[identity] = lock, now_ms + self._ttl_ms
        return lock

    async def refresh(self, held: Sequence[tuple[str, str, int]]) -> set[str]:
        await trio.lowlevel.checkpoint()
        lost = set()
        for identity, session_id, fence in held:
            lock = self._live(identity)
            if lock is None or (lock.session_id, lock.fence) != (session_id, fence):
                lost.add(session_id)
            else:
                self._held[identity] = lock, self._wall_clock() + self._ttl_ms
        return lost

    async def release(self, identity: str, session_id: str, fence: int) -> bool:
        await trio.lowlevel.checkpoint()
        lock, _ = self._held.get(identity, (None, 0))
        if lock is None or (lock.session_id, lock.fence) != (session_id, fence):
            return False
        del self._held[identity]
        return True

    async def holder(self, identity: str) -> Lock | None:
        await trio.lowlevel.checkpoint()
        return self._live(identity)

    async def scan(self, prefix: str) -> list[Lock]:
        await trio.lowlevel.checkpoint()
        return [lock for identity in self._held if identity.startswith(prefix) and (lock := self._live(identity))]
