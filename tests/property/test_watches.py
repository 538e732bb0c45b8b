"""Following tasks while they change, with followers that read now and then: every event comes once and in order,
however often a subscription falls behind and reads what is stored."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.answers import Answer
from aether.messaging.log import TopicLog
from aether.proto import aether_pb2 as pb
from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import machine, watches
from aether.tasks.announcer import Announcer
from aether.tasks.book import TaskBook
from aether.tasks.model import Task, WaitSpec
from aether.tasks.store import TaskEvent
from aether.tasks.watches import Watch, Watches
from aether.tasks.wire import wire_status

ROOM = 2
Told = tuple[str, str, int]
"""Of whom, about which child, and the new status: enough to tell events apart in order."""


class SlowStore(MemoryTasks):
    """Much can happen while it reads."""

    async def events(self, task_ids: Sequence[str], after: int, since_ms: int, limit: int) -> Sequence[TaskEvent]:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        found = await super().events(task_ids, after, since_ms, limit)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        return found


class Reader:
    """A follower that takes two frames, and more once it has read those."""

    def __init__(self, number: int, nursery: trio.Nursery) -> None:
        self.session_id = f"s{number}"
        self._nursery = nursery
        self._unread: deque[bytes] = deque()
        self._read = trio.Event()
        self.told: dict[str, list[Told]] = {}

    @property
    def has_room(self) -> bool:
        return len(self._unread) < ROOM

    async def wait_room(self) -> None:
        while not self.has_room:
            await self._read.wait()
        await trio.lowlevel.checkpoint()

    def put(self, answer: Answer) -> None:
        self._unread.extend(answer.frames)

    def start_soon(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        self._nursery.start_soon(function, *arguments)

    def read(self) -> None:
        while self._unread:
            event = pb.DownstreamMessage.FromString(self._unread.popleft()[5:]).task_event
            child, change = event.child_lifecycle, event.status_changed
            status = child.child_status if event.HasField("child_lifecycle") else change.to_status
            self.told.setdefault(event.subscription_id, []).append((event.task_id, child.child_task_id, status))
        self._read.set()
        self._read = trio.Event()


class World:
    """A family of tasks, and those who follow it."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.now_ms = 1_000
        self.store = SlowStore()
        self.book = TaskBook(self.store, lambda: self.now_ms)
        self.watches = Watches(self.book, self.store)
        log = cast(TopicLog, SimpleNamespace())  # nobody is noticed here
        self.announcer = Announcer(self.book, self.watches, log, lambda *_: None, lambda: self.now_ms, "g")
        self.book.observers.append(self.announcer.on_transition)
        self.readers = [Reader(number, nursery) for number in range(2)]
        self.tasks: list[Task] = []
        self.begun: list[tuple[Watch, int]] = []
        self.add(0)

    def add(self, parent: int) -> None:
        task = Task(f"t{len(self.tasks)}", "w", parent_task_id=self.pick(parent).task_id if self.tasks else "")
        self.tasks.append(self.book.add(task))
        self.book.change(task, machine.claim(task, "ag::w::i::s", self.now_ms))

    def pick(self, number: int) -> Task:
        return self.tasks[number % len(self.tasks)]

    def change(self, number: int) -> None:
        """To and fro, so that no event is like the one before."""
        task = self.pick(number)
        is_paused = task.wait is not None
        self.book.change(task, machine.resume(task) if is_paused else machine.pause(task, WaitSpec(), self.now_ms))

    def watch(self, reader: int, number: int, recursive: bool, back_ms: int) -> None:
        since_ms = max(1, self.now_ms - back_ms) if back_ms else 0
        position = 0 if since_ms else self.announcer.last_event
        name = f"watch {len(self.begun)}"
        watch = Watch(name, self.readers[reader], self.pick(number).task_id, position, since_ms, recursive=recursive)
        self.begun.append((watch, position))
        self.watches.open(watch)

    def expected(self, watch: Watch, position: int) -> list[Told]:
        return [
            (event.task_id, event.child_task_id, status_of(event))
            for event in self.store._events
            if event.number > position
            and event.time_ms >= watch.since_ms
            and (event.task_id == watch.task_id or (watch.recursive and self.is_below(event.task_id, watch.task_id)))
        ]

    def is_below(self, task_id: str, above: str) -> bool:
        while task_id:
            task = self.book.get(task_id)
            assert task is not None
            if task.parent_task_id == above:
                return True
            task_id = task.parent_task_id
        return False


def status_of(event: TaskEvent) -> int:
    return wire_status(event.to_status)


number = st.integers(0, 5)
steps = st.one_of(
    st.tuples(st.just("add"), number),
    st.tuples(st.just("change"), number),
    st.tuples(st.just("change"), number),
    st.tuples(st.just("watch"), st.integers(0, 1), number, st.booleans(), st.sampled_from([0, 1, 10, 1_000])),
    st.tuples(st.just("read"), st.integers(0, 1)),
    st.tuples(st.just("wait"), st.integers(1, 12)),
)


@settings(max_examples=300)
@given(history=st.lists(steps, min_size=5, max_size=60))
def test_histories(history: list[tuple[Any, ...]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watches, "PAGE", 3)
        trio.run(play, history)


async def play(history: list[tuple[Any, ...]]) -> None:
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        for step, *arguments in history:
            world.now_ms += 1
            if step == "read":
                world.readers[arguments[0]].read()
            elif step == "wait":
                for _ in range(arguments[0]):
                    await trio.lowlevel.checkpoint()
            else:
                getattr(world, step)(*arguments)
        with trio.fail_after(10):
            while not all(watch.is_live for watch, _ in world.begun) or not all(r.has_room for r in world.readers):
                for reader in world.readers:
                    reader.read()
                await trio.lowlevel.checkpoint()
        for reader in world.readers:
            reader.read()
        for watch, position in world.begun:
            told = cast(Reader, watch.follower).told.get(watch.watch_id, [])
            assert told == world.expected(watch, position)
        nursery.cancel_scope.cancel()
