"""What clients are told without having asked: that authority was requested, decided or revoked (acl weakness 35).

Others decide how much of it there is, so it is only for those who read what they were sent before. Whoever does not is
told once that something was left out; nothing depends on a notice, and what it is about can be asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from aether.answers import Answer, refuse
from aether.errors import Code
from aether.gateway.live import LiveSession

__all__ = ["Notices"]

BEHIND_MAX = 10_000

_LEFT_OUT = "notices about authority are left out until what was sent before has been read"


class Notices:
    """One per gateway."""

    def __init__(self) -> None:
        self._behind: set[str] = set()

    def tell(self, sessions: Iterable[LiveSession], notice: Answer) -> None:
        """Send a notice to each session that has room for it."""
        for session in sessions:
            if session.has_room:
                self._behind.discard(session.session_id)
                session.put(notice)
            elif session.session_id not in self._behind:
                if len(self._behind) >= BEHIND_MAX:  # most of them have ended
                    self._behind.clear()
                self._behind.add(session.session_id)
                session.put(Answer((refuse(Code.BACKPRESSURE, _LEFT_OUT),)))
