"""Competing consumers: each message of a topic goes to exactly one connected worker (routing 4.6, ruling 1).

A group has one cursor in the log, shared by its workers. A message is handed to the worker with the fewest messages
in flight; it stays in flight until the worker's transport confirmed it, and returns to the group when the worker's
session ends first. Without a worker, or without one that has room, messages wait in the log.
"""

from __future__ import annotations

from collections import deque

import trio

from aether._fastpath import Port, Topic
from aether.errors import StoreUnavailable
from aether.messaging.log import TopicLog

__all__ = ["Group", "Groups", "Worker"]

CONSUMER = "group"
READ_BYTES = 256 * 1024
RETRY_S = 1.0
"""Pause after a log that could not be read."""
RESTING_BYTES_MAX = 8 * 1024 * 1024
"""What groups without workers may hold, all together; the rest is read from the log again, with what was done since."""
OVERHEAD_BYTES = 256
"""Of a message that is held, and of a group."""


class Worker:
    """One session's membership: what it was handed and has not confirmed yet, oldest first."""

    def __init__(self, group: Group, port: Port) -> None:
        self.group = group
        self.port = port
        self.dirty = False
        self.handed = 0
        self.in_flight: deque[tuple[int, int, bytes]] = deque()

    def has_room(self) -> bool:
        return bool(self.port.call.pending < self.port.high_water)

    def give(self, position: int, frame: bytes) -> None:
        self.port.call.send(frame)
        self.port.delivered += 1
        self.handed += 1
        self.in_flight.append((self.handed, position, frame))
        if not self.dirty:
            self.dirty = True
            self.port.touch(self)

    def mark(self) -> int:
        """Everything handed so far (see :class:`aether.gateway.confirmations.Confirmations`)."""
        return self.handed

    def confirm(self, mark: int) -> None:
        """The transport has everything up to ``mark``: those messages are done."""
        while self.in_flight and self.in_flight[0][0] <= mark:
            self.in_flight.popleft()
        self.group.commit()


class Group:
    """The workers of one topic. All methods are synchronous; only :meth:`pump` waits."""

    def __init__(self, topic: Topic, log: TopicLog, groups: Groups, position: int) -> None:
        self.topic = topic
        self._log = log
        self._groups = groups
        self._workers: list[Worker] = []
        self._returned: list[tuple[int, bytes]] = []
        self._position = position
        self._turn = 0
        self.pumping = False

    @property
    def live(self) -> bool:
        """At the tail with nothing waiting: messages go straight to a worker."""
        return not self.pumping and not self._returned

    def offer(self, position: int, frame: bytes) -> None:
        """A message just appended; left to the log when the group is behind or full."""
        if not self.live:
            return
        worker = self._choose()
        if worker is None:
            self._groups.wake(self)
            return
        worker.give(position, frame)
        self._position = position

    def join(self, port: Port) -> Worker:
        worker = Worker(self, port)
        self._workers.append(worker)
        self._groups.wake(self)
        return worker

    def leave(self, worker: Worker) -> None:
        """Take back what the worker did not confirm; idempotent."""
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        self._returned.extend((position, frame) for _, position, frame in worker.in_flight)
        self._returned.sort()
        worker.in_flight.clear()
        if self._workers:
            self._groups.wake(self)
        elif not self._returned:
            self._groups.dissolve(self)
        else:
            self._groups.rest(self)

    @property
    def held_bytes(self) -> int:
        """What came back, roughly; it does not change while there is no worker."""
        return OVERHEAD_BYTES + sum(OVERHEAD_BYTES + len(frame) for _, frame in self._returned)

    def commit(self) -> None:
        """Move the shared cursor below the oldest message that is not done."""
        open_positions = [position for position, _ in self._returned[:1]]
        open_positions += [position for worker in self._workers for _, position, _ in worker.in_flight]
        done = min(open_positions, default=self._position + 1) - 1
        self._log.commit_cursor(self.topic.name, CONSUMER, min(done, self._position))

    def _choose(self) -> Worker | None:
        """Fewest in flight among those with room, ties in turn."""
        best: Worker | None = None
        count = len(self._workers)
        for step in range(count):
            worker = self._workers[(self._turn + step) % count]
            if worker.has_room() and (best is None or len(worker.in_flight) < len(best.in_flight)):
                best = worker
        if best is not None:
            self._turn = (self._workers.index(best) + 1) % count
        return best

    async def pump(self) -> None:
        """Hand out what waits in the log until the group is at the tail or nobody is left."""
        try:
            while self._workers:
                if not self._returned and self._position >= self.topic.last:
                    return
                worker = self._choose()
                if worker is None:
                    await self._wait_room()
                elif self._returned:
                    worker.give(*self._returned.pop(0))
                    worker.port.call.flush()
                else:
                    await self._read()
        finally:
            self.pumping = False

    async def _read(self) -> None:
        last = self.topic.last
        try:
            page = await self._log.read(self.topic.name, self._position, READ_BYTES)
        except StoreUnavailable:
            await trio.sleep(RETRY_S)
            return
        if not page:
            self._position = max(self._position, last)  # retention took everything up to there
        for position, frame in page:
            worker = self._choose()
            if worker is None:
                break
            worker.give(position, frame)
            self._position = position
        for worker in self._workers:
            worker.port.call.flush()

    async def _wait_room(self) -> None:
        """Until any worker has room, or the membership changed."""
        async with trio.open_nursery() as nursery:

            async def wait(worker: Worker) -> None:
                await worker.port.call.wait_pending_below(worker.port.high_water)
                nursery.cancel_scope.cancel()

            for worker in self._workers:
                nursery.start_soon(wait, worker)
            nursery.start_soon(self._groups.wait_change, nursery.cancel_scope)


class Groups:
    """All groups of the gateway and the nursery their pumps run in.

    ``run`` is one of the gateway's services; groups come with their first worker and go with their last.
    """

    def __init__(self, log: TopicLog) -> None:
        self._log = log
        self._groups: dict[str, Group] = {}
        self._opening: dict[str, trio.Lock] = {}
        self._resting: dict[str, int] = {}
        self._resting_bytes = 0
        self._nursery: trio.Nursery | None = None
        self._changed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def join(self, name: str, port: Port) -> Worker:
        """Make a session a worker of topic ``name``; messages that waited are handed out at once."""
        lock = self._opening.setdefault(name, trio.Lock())
        try:
            async with lock:
                group = self._groups.get(name)
                if group is None:
                    position = await self._log.load_cursor(name, CONSUMER)
                    topic = self._log.topic(name)
                    group = Group(topic, self._log, self, position or 0)
                    self._groups[name] = group
                    topic.group = group
                self._resting_bytes -= self._resting.pop(name, 0)
                return group.join(port)
        finally:
            if not lock.statistics().tasks_waiting:
                self._opening.pop(name, None)

    def wake(self, group: Group) -> None:
        self._announce()
        if not group.pumping and self._nursery is not None:
            group.pumping = True
            self._nursery.start_soon(group.pump)

    def rest(self, group: Group) -> None:
        """The last worker left and messages came back: keep them for the next one, within a bound. Of those that have
        rested longest the cursor is enough, which is below everything unfinished."""
        self._announce()
        self._resting[group.topic.name] = group.held_bytes
        self._resting_bytes += group.held_bytes
        while self._resting_bytes > RESTING_BYTES_MAX:
            name = next(iter(self._resting))
            self._resting_bytes -= self._resting.pop(name)
            self.dissolve(self._groups[name])

    def dissolve(self, group: Group) -> None:
        """The last worker left, and the committed cursor says it all."""
        self._announce()
        group.commit()
        group.topic.group = None
        self._groups.pop(group.topic.name, None)

    async def wait_change(self, scope: trio.CancelScope) -> None:
        await self._changed.wait()
        scope.cancel()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
