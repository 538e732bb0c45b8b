"""What a session sends: answers in order, lanes that fell behind, and the confirmation of cursors.

Three sources share one stream:

* *answers* to the client's operations, each held until its write is durable, in the order of the operations;
* *live* messages, pushed by whoever publishes (``_fastpath.Topic.publish``);
* *catch-up*: a lane without room reads the log from its position, at the pace of the reader, and rejoins the tail.

A cursor moves only past what the peer's transport confirmed (:class:`Confirmations`), never before (design 5).
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Protocol

import trio

from aether._fastpath import Lane, Port
from aether.answers import Answer
from aether.errors import StoreUnavailable
from aether.messaging.log import TopicLog
from aether.rpc.server import ServerCall

__all__ = ["Answers", "CatchUp", "Confirmations", "Durability"]

READ_BYTES = 256 * 1024
RETRY_S = 1.0
"""Pause after a log that could not be read."""
SWEEP_S = 0.02
SWEEP_PER_SESSION_S = 0.0005
SWEEP_MAX_S = 0.25
ANSWER_BYTES_MAX = 4 * 1024 * 1024
"""Answers a client may leave unread before the gateway stops reading its requests."""


class Durability(Protocol):
    """What the store tells about its group commits."""

    @property
    def committed(self) -> int: ...

    @property
    def latest_ticket(self) -> int: ...

    def kick(self) -> None: ...


class Answers:
    """Answers of one session, in request order, each not before its ticket is durable.

    An answer also waits for the messages the session sent before it: whoever reads it knows that those are safe.
    """

    def __init__(self, call: ServerCall, port: Port, durability: Durability) -> None:
        self._call = call
        self._port = port
        self._durability = durability
        self._waiting: list[tuple[int, Answer]] = []  # mostly empty, and a deque takes ten times as much then
        self._ticket = 0

    @property
    def waiting(self) -> bool:
        """True while an answer waits for the disk: :meth:`on_durable` wants to be called."""
        return bool(self._waiting)

    def put(self, answer: Answer) -> bool:
        """Send now or queue; True when the session must be told about the next commit.

        An answer without frames only waits for what came before it.
        """
        if self._port.published:
            self._port.published = False
            self._ticket = max(self._ticket, self._durability.latest_ticket)
        ticket = max(self._ticket, answer.ticket)
        if not self._waiting and ticket <= self._durability.committed:
            self._send(answer)
            return False
        self._waiting.append((ticket, answer))
        return True

    def on_durable(self) -> None:
        """Send what the last commit made safe."""
        committed = self._durability.committed
        safe = 0
        for ticket, answer in self._waiting:
            if ticket > committed:
                break
            self._send(answer)
            safe += 1
        del self._waiting[:safe]

    def on_commit_failed(self) -> None:
        """Tell whoever waits that the outcome is open: the store goes on trying, but nobody knows for how long."""
        self._waiting = [
            (ticket, answer) if answer.in_doubt is None else (0, Answer(answer.in_doubt()))
            for ticket, answer in self._waiting
        ]
        self.on_durable()

    def _send(self, answer: Answer) -> None:
        for frame in answer.frames:
            self._call.send(frame)
        if answer.on_sent is not None:
            answer.on_sent()


class CatchUp:
    """Feeds the lanes of one session that are not at the tail; made when the first falls behind, one task while there
    are any."""

    def __init__(self, call: ServerCall, port: Port, log: TopicLog) -> None:
        self._call = call
        self._port = port
        self._log = log
        self._behind: deque[Lane] = deque()
        self.running = False

    def add(self, lane: Lane) -> bool:
        """Note a lane; True when :meth:`run` has to be started."""
        self._behind.append(lane)
        if self.running:
            return False
        self.running = True
        return True

    async def run(self) -> None:
        """Read in turns until every lane is live; lanes take turns so that none starves."""
        try:
            while self._behind:
                lane = self._behind.popleft()
                if lane in lane.topic.lanes and not await self._feed(lane):
                    self._behind.append(lane)
        finally:
            self.running = False

    async def _feed(self, lane: Lane) -> bool:
        """One page of one lane; True when the lane has joined the tail."""
        await self._call.wait_pending_below(max(1, self._port.high_water // 2))
        last = lane.topic.last
        if lane.sent < last:
            try:
                page = await self._log.read(lane.topic.name, lane.sent, READ_BYTES)
            except StoreUnavailable:
                await trio.sleep(RETRY_S)
                return False
            if not page:
                lane.sent = max(lane.sent, last)  # retention took everything up to there
            before = self._port.delivered
            for position, frame in page:
                if not lane.deliver(position, frame):
                    break
            self._port.replayed += self._port.delivered - before
            self._call.flush()
        # No checkpoint between this comparison and the switch: a publisher sees the lane either behind or live.
        if lane.sent >= lane.topic.last:
            lane.live = True
        return bool(lane.live)


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
        self._wake = trio.Event()

    def on_dirty(self, port: Port) -> None:
        """Called by the message path for the first lane of a port that was fed since the last sweep."""
        self._ports.setdefault(port, deque())
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
                port.call.confirm(partial(_confirm, arrived))
            if not steps:
                del self._ports[port]


def _confirm(marks: Marks) -> None:
    for tracked, mark in marks:
        tracked.confirm(mark)
