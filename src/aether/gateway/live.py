"""What the gateway may use of a live session, whoever implements it: :mod:`aether.gateway.session` stands above."""

from __future__ import annotations

from typing import Protocol

from aether._fastpath import Port
from aether.gateway.handshake import Claim
from aether.gateway.reasons import CloseReason
from aether.orchestration.orchestrators import OrchestratorSession
from aether.rpc.server import Peer
from aether.sessions.store import Lock
from aether.tasks.liveness import TaskSession
from aether.tasks.participants import LaneFollower
from aether.tasks.watches import Follower

__all__ = ["LiveSession"]


class LiveSession(TaskSession, OrchestratorSession, Follower, LaneFollower, Protocol):
    """A connected principal, as those see it that stand between sessions: indexes, counts, rules, features.

    :ivar fence: the fencing token of its lock, which is safe until ``lock_deadline`` (trio clock).
    :ivar last_activity_ms: when the client last sent something, in Unix milliseconds.
    :ivar task_id: the task it works on; empty for none.
    """

    session_id: str
    fence: int
    lock_deadline: float
    last_activity_ms: int
    task_id: str

    @property
    def claim(self) -> Claim:
        """What the client said in its first message, and how it was admitted."""

    @property
    def lock(self) -> Lock:
        """As it was acquired."""

    @property
    def lock_key(self) -> str:
        """The key of the lock: the identity it connected with."""

    @property
    def displaced(self) -> bool:
        """Another session of this gateway was ended for it."""

    @property
    def port(self) -> Port:
        """Its end of the compiled path."""

    @property
    def peer(self) -> Peer: ...

    @property
    def quota_workspace(self) -> str:
        """The workspace whose connections it counts among; empty for none."""

    @property
    def end_reason(self) -> str:
        """Why it ended, in a word."""

    @property
    def topics_followed(self) -> tuple[int, int]:
        """How many topics, and on how many of them there is more in the log than the client was sent."""

    def end(self, reason: CloseReason, text: str = "") -> None:
        """End it; the first reason wins.

        :param text: what the client is told instead of the usual.
        """

    def end_answered(self, reason: CloseReason) -> None:
        """As :meth:`end`, but what is being asked is answered before."""

    def end_lock_lost(self) -> None: ...

    def forget_routes(self) -> None:
        """Decide the next message to each topic, and the next access to each value, anew."""

    def move_to(self, workspace: str) -> None:
        """Be in another workspace from now on."""

    def set_workspace_limit(self) -> None:
        """The rate that all senders of its workspace share is another."""

    def take_counts(self) -> tuple[list[int], int]:
        """Messages by type and payload bytes routed since the last call."""

    def take_deliveries(self) -> tuple[int, int]:
        """Messages handed to the stream since the last call, and how many of them came out of the log."""
