"""Sessions that their clients may not know of (connection 5.3).

A client resumes the last session it heard of. Where the acknowledgement of the next one is lost with its connection,
and the gateway is not told, the client comes back and names the session before: without this it would be refused in
favour of its own ghost, and the published clients never try again after that. So the earlier id stands for the later
session until the client's transport has confirmed the acknowledgement.

Where it is the first acknowledgement that is lost, the client has no id to name, and comes back as anybody might who
has the same credentials. So it gets the identity once the connection of the session before proves to be dead: it never
confirmed anything, and goes on being silent while it is asked.
"""

from __future__ import annotations

from collections import OrderedDict

import trio

__all__ = ["Unheard"]

UNHEARD_MAX = 10_000
"""The oldest are forgotten first."""
SILENT_TURNS = 30
SILENT_TURN_S = 0.1
"""Three seconds in all: many round trips of any network, and less than a client waits for its acknowledgement."""


class Unheard:
    """One per gateway."""

    def __init__(self) -> None:
        self._later: OrderedDict[str, str] = OrderedDict()
        self._first: dict[str, trio.Event] = {}
        """Sessions that were not resumed, until their acknowledgement is confirmed or they end."""

    def __len__(self) -> int:
        return len(self._later) + len(self._first)

    def latest(self, session_id: str) -> str:
        """The session that a client means by the one it heard of last."""
        return self._later.get(session_id, session_id)

    def begin(self, heard_of: str, session_id: str) -> None:
        """A session was resumed; its client still knows it by the id it named."""
        self._later[heard_of] = session_id
        self._later.move_to_end(heard_of)
        if len(self._later) > UNHEARD_MAX:
            self._later.popitem(last=False)

    def acknowledged(self, heard_of: str, session_id: str) -> Acknowledgement:
        """The acknowledgement was queued: once it has arrived, the earlier id means nothing any more.

        :param heard_of: the id that was resumed; empty for none.
        :returns: what is to be confirmed.
        """
        if not heard_of:
            self._first[session_id] = trio.Event()
        return Acknowledgement(self, heard_of, session_id)

    def heard(self, heard_of: str, session_id: str) -> None:
        """The client has the acknowledgement."""
        if self._later.get(heard_of) == session_id:
            del self._later[heard_of]
        self.forget(session_id)

    def forget(self, session_id: str) -> None:
        """A session is over, or its client was heard; idempotent."""
        event = self._first.pop(session_id, None)
        if event is not None:
            event.set()

    async def is_silent(self, session_id: str) -> bool:
        """Whether a session that was not resumed has confirmed nothing, and goes on so for :data:`SILENT_TURNS`.

        Its transport has been asked already, with the acknowledgement.
        """
        for _ in range(SILENT_TURNS):  # a gateway that is held up itself hears in the next one what came meanwhile
            event = self._first.get(session_id)
            if event is None:
                return False
            with trio.move_on_after(SILENT_TURN_S):
                await event.wait()
        return session_id in self._first


class Acknowledgement:
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
        self._unheard.heard(self._heard_of, self._session_id)
