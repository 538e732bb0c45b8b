"""Who holds which identity, in memory: decisions that adapters of one process share (connection 5, W-9, W-10, W-42).

A lock that was given up, or whose process died, is remembered for a while: nobody holds it, so anybody may take it, and
whoever comes back with its session id resumes it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

from aether.errors import IdentityHeld
from aether.sessions.store import LOCK_TTL_MS, ClientInfo, Lock

__all__ = ["LockTable"]

RESUMABLE_MS = 600_000
"""How long after its end a session may be resumed."""
RESUMABLE_MAX = 10_000
"""Ended sessions that are remembered; the oldest are forgotten first."""


class LockTable:
    """Locks by identity; every operation is synchronous and thereby one step.

    :param wall_clock: current Unix time in milliseconds.
    :param on_change: told what is to be remembered of an identity; None: nothing any more.
    """

    def __init__(
        self,
        wall_clock: Callable[[], int],
        ttl_ms: int = LOCK_TTL_MS,
        on_change: Callable[[str, Lock | None], None] = lambda *_: None,
    ) -> None:
        self._wall_clock = wall_clock
        self._ttl_ms = ttl_ms
        self._on_change = on_change
        self._held: dict[str, Lock] = {}
        self._expires_ms: dict[str, int] = {}
        self._ended: OrderedDict[str, tuple[Lock, int]] = OrderedDict()

    def load(self, lock: Lock) -> None:
        """A lock of an earlier process, which is over."""
        self._ended[lock.identity] = lock, self._wall_clock() + RESUMABLE_MS

    def acquire(
        self, identity: str, session_id: str, resume_session_id: str, client: ClientInfo, new_fence: Callable[[], int]
    ) -> Lock:
        """See :meth:`aether.sessions.store.IdentityLocks.acquire`.

        :raises IdentityHeld: a live session holds it.
        """
        holder = self.holder(identity)
        known = holder or self._resumable(identity)
        resumed = known is not None and bool(resume_session_id) and known.session_id == resume_session_id
        if holder is not None and not resumed:
            raise IdentityHeld(identity)
        now_ms = self._wall_clock()
        lock = Lock(
            identity,
            session_id,
            new_fence(),
            initial_ms=known.initial_ms if resumed and known else now_ms,
            reconnects=known.reconnects + 1 if resumed and known else 0,
            resumed=resumed,
            workspace=known.workspace if resumed and known else "",
            client=client,
        )
        self._ended.pop(identity, None)
        self._held[identity] = lock
        self._expires_ms[identity] = now_ms + self._ttl_ms
        self._on_change(identity, lock)
        return lock

    def refresh(self, held: Sequence[tuple[str, str, int]]) -> set[str]:
        """See :meth:`aether.sessions.store.IdentityLocks.refresh`."""
        expires_ms = self._wall_clock() + self._ttl_ms
        lost = set()
        for identity, session_id, fence in held:
            if self._own(identity, session_id, fence) is None:
                lost.add(session_id)
            else:
                self._expires_ms[identity] = expires_ms
        return lost

    def release(self, identity: str, session_id: str, fence: int) -> bool:
        """See :meth:`aether.sessions.store.IdentityLocks.release`."""
        lock = self._own(identity, session_id, fence)
        if lock is None:
            return False
        self._drop(identity)
        self._ended[identity] = lock, self._wall_clock() + RESUMABLE_MS
        while len(self._ended) > RESUMABLE_MAX:
            oldest, _ = self._ended.popitem(last=False)
            self._on_change(oldest, None)
        return True

    def abandon(self, identity: str, session_id: str) -> None:
        """Undo an acquisition that came to nothing."""
        lock = self._held.get(identity)
        if lock is not None and lock.session_id == session_id:
            self._drop(identity)
            self._on_change(identity, None)

    def keep_workspace(self, identity: str, session_id: str, fence: int, workspace: str) -> bool:
        """See :meth:`aether.sessions.store.IdentityLocks.keep_workspace`."""
        lock = self._own(identity, session_id, fence)
        if lock is None:
            return False
        self._held[identity] = lock = replace(lock, workspace=workspace)
        self._on_change(identity, lock)
        return True

    def holder(self, identity: str) -> Lock | None:
        """The live lock of an identity."""
        lock = self._held.get(identity)
        if lock is None or self._expires_ms[identity] <= self._wall_clock():
            return None
        return lock

    def scan(self, prefix: str) -> list[Lock]:
        """Live locks whose identity starts with ``prefix``, plus those that ended and may be resumed."""
        live = [lock for name in self._held if name.startswith(prefix) and (lock := self.holder(name)) is not None]
        ended = [
            lock for name in self._ended if name.startswith(prefix) and (lock := self._resumable(name)) is not None
        ]
        return live + ended

    def forget(self) -> None:
        """Let go what can be resumed no longer."""
        for identity in [name for name in self._ended if self._resumable(name) is None]:
            del self._ended[identity]
            self._on_change(identity, None)

    def _resumable(self, identity: str) -> Lock | None:
        lock, until_ms = self._ended.get(identity, (None, 0))
        return lock if until_ms > self._wall_clock() else None

    def _own(self, identity: str, session_id: str, fence: int) -> Lock | None:
        lock = self._held.get(identity)
        return lock if lock is not None and (lock.session_id, lock.fence) == (session_id, fence) else None

    def _drop(self, identity: str) -> None:
        del self._held[identity]
        del self._expires_ms[identity]
