"""The port to identity locks (connection 5, backends 3.1): at most one live session per identity, with fencing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["LOCK_TTL_MS", "ClientInfo", "IdentityLocks", "Lock"]

LOCK_TTL_MS = 30_000


@dataclass(frozen=True, slots=True)
class ClientInfo:
    """What a client says of itself; kept with the lock for operators."""

    version: str = ""
    sdk: str = ""
    commit: str = ""
    built_at: str = ""
    runtime: str = ""
    os: str = ""


@dataclass(frozen=True, slots=True)
class Lock:
    """A held lock.

    :ivar fence: grows with every acquisition in the deployment; a store that sees an older one refuses the write.
    :ivar initial_ms: first connect of this lock lifetime, Unix ms; kept by a resume.
    :ivar workspace: that a user switched to; kept by a resume.
    """

    identity: str
    session_id: str
    fence: int
    initial_ms: int
    reconnects: int = 0
    resumed: bool = False
    workspace: str = ""
    client: ClientInfo = field(default_factory=ClientInfo)


class IdentityLocks(Protocol):
    """Every decision is one atomic step; release and refresh act only for the holder.

    :raises StoreUnavailable: the backend did not answer; retry.
    """

    async def acquire(self, identity: str, session_id: str, resume_session_id: str, client: ClientInfo) -> Lock:
        """Take a free or expired lock, or a held one whose holder is ``resume_session_id`` (connection 5.2).

        Whoever had it last and comes back with its session id resumes it, also for some minutes after it was given up.

        :raises IdentityHeld: a live session holds it.
        """

    async def refresh(self, held: Sequence[tuple[str, str, int]]) -> set[str]:
        """Extend many locks ``(identity, session_id, fence)`` at once; returns the session ids that lost theirs.

        One that expired is not lost as long as nobody else took it.
        """

    async def release(self, identity: str, session_id: str, fence: int) -> bool:
        """Give up a lock; False when it was not ours any more."""

    async def keep_workspace(self, identity: str, session_id: str, fence: int, workspace: str) -> bool:
        """Remember where a user is, for whoever resumes its session; False when the lock was not ours any more."""

    async def holder(self, identity: str) -> Lock | None:
        """The live lock of an identity."""

    async def scan(self, prefix: str) -> list[Lock]:
        """Live locks whose identity starts with ``prefix``, plus those that ended and may be resumed."""
