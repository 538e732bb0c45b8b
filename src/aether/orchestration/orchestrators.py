"""The connected orchestrators and what they can start (tasks 13.4; weaknesses 21, 32)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aether.tasks.workers import Worker

__all__ = ["Orchestrator", "OrchestratorSession", "Orchestrators"]


class OrchestratorSession(Worker, Protocol):
    @property
    def profiles(self) -> tuple[str, ...]: ...

    @property
    def connected_at_ms(self) -> int: ...

    @property
    def resumes(self) -> bool:
        """The same process was connected before."""


@dataclass(eq=False, slots=True)
class Orchestrator:
    """One connected orchestrator.

    :ivar starting: ids of startups that it was given and whose agent has not connected.
    :ivar turn: when it was last chosen; among equals the one that waits longest is next.
    """

    session: OrchestratorSession
    starting: set[str]
    turn: int = 0

    @property
    def identity_key(self) -> str:
        return self.session.identity.key

    @property
    def profiles(self) -> tuple[str, ...]:
        return self.session.profiles

    @property
    def connected_ms(self) -> int:
        return self.session.connected_at_ms


class Orchestrators:
    """Those of this gateway, by identity and by profile; an entry lasts as long as its session."""

    def __init__(self) -> None:
        self._by_identity: dict[str, Orchestrator] = {}
        self._turns = 0

    def connect(self, session: OrchestratorSession, starting: set[str]) -> None:
        """:param starting: startups it was given before, from an earlier session."""
        self._by_identity[session.identity.key] = Orchestrator(session, starting)

    def disconnect(self, session: OrchestratorSession) -> bool:
        """Forget a session; False, and nothing changed, when a successor holds its identity."""
        orchestrator = self._by_identity.get(session.identity.key)
        if orchestrator is None or orchestrator.session is not session:
            return False
        del self._by_identity[session.identity.key]
        return True

    def get(self, identity: str) -> Orchestrator | None:
        return self._by_identity.get(identity)

    def serves(self, profile: str) -> bool:
        """Whether any of them can start a profile, if not just now."""
        return any(profile in one.profiles for one in self._by_identity.values())

    def choose(self, profile: str) -> Orchestrator | None:
        """The one that serves a profile and has the fewest startups under way; None when none serves it."""
        fit = [one for one in self._by_identity.values() if profile in one.profiles and one.session.has_room]
        if not fit:
            return None
        chosen = min(fit, key=lambda one: (len(one.starting), one.turn))
        self._turns += 1
        chosen.turn = self._turns
        return chosen

    def all(self) -> list[Orchestrator]:
        """The longest connected first."""
        return sorted(self._by_identity.values(), key=lambda one: (one.connected_ms, one.identity_key))
