"""Cursors move once a client has what it was sent (design 5)."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Protocol

import trio

from aether._fastpath import Port

__all__ = ["Confirmations"]

SWEEP_S = 0.02
SWEEP_PER_SESSION_S = 0.0005
SWEEP_MAX_S = 0.25


class Tracked(Protocol):
    """A lane or a group membership: something whose progress the transport confirms."""

    dirty: bool

    def mark(self) -> int: ...

    def confirm(self, mark: int) -> None: ...


Marks = list[tuple[Tracked, int]]


def sweep_interval(sessions: int) -> float:
    """Seconds between two sweeps over so many sessions. A client that is killed gets what it was sent within about that
    time once more when it comes back."""
    return min(max(SWEEP_S, SWEEP_PER_SESSION_S * sessions), SWEEP_MAX_S)


class Confirmations:
    """Moves cursors once the peer's transport confirmed the bytes (HTTP/2 PING, shared per connection).

    One service of the gateway: a sweep every :data:`SWEEP_S` over the sessions that were sent something, nothing while
    all are idle. A sweep notes how far each lane was fed and at which byte of the stream that was; when the bytes have
    left and the peer answered a PING sent after them, the cursors move.

    A PING is a system call here and another for its answer. Of many sessions each has few messages between two sweeps,
    so at a fixed pace a message would cost more the more sessions there are; :func:`sweep_interval` slows down instead.
    """

    def __init__(self) -> None:
        self._ports: dict[Port, deque[tuple[int, Marks]]] = {}
        self._asked: dict[Port, deque[Marks]] = {}
        """What has left, and waits for the answers to PINGs, the oldest first."""
        self._wake = trio.Event()

    def on_dirty(self, port: Port) -> None:
        """Called by the message path for the first lane of a port that was fed since the last sweep."""
        self._ports.setdefault(port, deque())
        self._wake.set()

    def expect(self, port: Port, tracked: Tracked) -> None:
        """Confirm what was queued last, whatever is queued behind it."""
        self._ports.setdefault(port, deque()).append((port.call.queued, [(tracked, tracked.mark())]))
        self._wake.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            await self._wake.wait()
            await trio.sleep(sweep_interval(len(self._ports)))
            self._sweep()
            if not self._ports:
                self._wake = trio.Event()

    def settle(self, port: Port) -> None:
        """The peer closed in order: it has everything that left."""
        steps = self._ports.pop(port, deque())
        asked = self._asked.pop(port, deque())
        if port.call.closed:  # reset right behind that: what was queued was dropped, which is not to have left
            return
        for marks in asked:
            _confirm(marks)
        if port.call.pending == 0:
            lanes = {id(tracked): tracked for _, marks in steps for tracked, _ in marks}
            lanes |= {id(tracked): tracked for tracked in port.dirty_lanes}
            _confirm([(tracked, tracked.mark()) for tracked in lanes.values()])
        else:
            for queued, marks in steps:
                if queued <= port.call.sent:
                    _confirm(marks)

    def forget(self, port: Port) -> None:
        """The stream is gone; what was not confirmed will be sent again."""
        self._ports.pop(port, None)
        self._asked.pop(port, None)

    def _sweep(self) -> None:
        for port, steps in list(self._ports.items()):
            if port.dirty_lanes:
                tracked_lanes, port.dirty_lanes = port.dirty_lanes, []
                marks: Marks = []
                for tracked in tracked_lanes:
                    tracked.dirty = False
                    marks.append((tracked, tracked.mark()))
                steps.append((port.call.queued, marks))
            arrived: Marks = []
            while steps and steps[0][0] <= port.call.sent:
                arrived += steps.popleft()[1]
            if arrived:
                self._asked.setdefault(port, deque()).append(arrived)
                port.call.confirm(partial(self._on_answer, port))
            if not steps:
                del self._ports[port]

    def _on_answer(self, port: Port) -> None:
        """The peer has what left before the oldest PING that was not answered yet."""
        asked = self._asked.get(port)
        if asked is None:  # settled or forgotten meanwhile
            return
        _confirm(asked.popleft())
        if not asked:
            del self._asked[port]


def _confirm(marks: Marks) -> None:
    for tracked, mark in marks:
        tracked.confirm(mark)
