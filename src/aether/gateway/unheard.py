"""Sessions that their clients may not know of (connection 5.3).

A client resumes the last session it heard of. Where the acknowledgement of the next one is lost with its connection,
and the gateway is not told, the client comes back and names the session before: without this it would be refused in
favour of its own ghost, and the published clients never try again after that. So the earlier id stands for the later
session until the client's transport has confirmed the acknowledgement.
"""

from __future__ import annotations

from collections import OrderedDict

from aether._fastpath import Port

__all__ = ["Unheard"]

UNHEARD_MAX = 10_000
"""The oldest are forgotten first."""


class Unheard:
    """One per gateway."""

    def __init__(self) -> None:
        self._later: OrderedDict[str, str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._later)

    def latest(self, session_id: str) -> str:
        """The session that a client means by the one it heard of last."""
        return self._later.get(session_id, session_id)

    def begin(self, heard_of: str, session_id: str) -> None:
        """A session was resumed; its client still knows it by the id it named."""
        self._later[heard_of] = session_id
        self._later.move_to_end(heard_of)
        if len(self._later) > UNHEARD_MAX:
            self._later.popitem(last=False)

    def acknowledged(self, heard_of: str, session_id: str, port: Port) -> None:
        """The acknowledgement was queued: once it has arrived, the earlier id means nothing any more."""
        port.touch(_Acknowledgement(self, heard_of, session_id))

    def end(self, heard_of: str, session_id: str) -> None:
        """The client has the acknowledgement."""
        if self._later.get(heard_of) == session_id:
            del self._later[heard_of]


class _Acknowledgement:
    """See :class:`aether.gateway.confirmations.Tracked`."""

    dirty = True

    def __init__(self, unheard: Unheard, heard_of: str, session_id: str) -> None:
        self._unheard = unheard
        self._heard_of = heard_of
        self._session_id = session_id

    def mark(self) -> int:
        return 0

    def confirm(self, mark: int) -> None:
        del mark  # there is only one thing to confirm
        self._unheard.end(self._heard_of, self._session_id)
