"""Tasks that wait for a message: who is listened to, for how long, and what counts (tasks 11.2; weakness 13)."""

from __future__ import annotations

from typing import cast

import pytest
import trio
from trio.testing import MockClock

from aether._fastpath import Head, Topic
from aether.errors import StoreUnavailable
from aether.messaging.log import TopicLog
from aether.proto import aether_pb2 as pb
from aether.rpc.status import frame
from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import inputs, machine
from aether.tasks.book import TaskBook
from aether.tasks.inputs import Inputs
from aether.tasks.model import Status, Task, WaitSpec

WORKER = "ag::w::pool::1"


class Log:
    """Topics that only tell who listens."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}

    def topic(self, name: str) -> Topic:
        if name not in self.topics:
            self.topics[name] = Topic(name, Head())
        return self.topics[name]


class Scene:
    def __init__(self) -> None:
        self.store, self.log = MemoryTasks(), Log()
        self.flushed = 0
        self.open()
        self.task = self.book.add(Task("t", "w"))
        self.book.change(self.task, machine.claim(self.task, WORKER, 5))

    def open(self) -> None:
        """A gateway starts."""
        self.book = TaskBook(self.store, lambda: 5)
        self.inputs = Inputs(self.book, cast(TopicLog, self.log), self.flush)
        self.book.observers = [self.inputs.on_transition]

    def flush(self) -> None:
        self.flushed += 1

    def wait(self, **spec: object) -> None:
        self.book.change(self.task, machine.pause(self.task, WaitSpec(**spec), 5))  # type: ignore[arg-type]

    def listening(self) -> list[str]:
        return [name for name, topic in self.log.topics.items() if topic.lanes]

    def say(self, source: str = "ag::w::i::boss", topic: str = WORKER, workspace: str = "w") -> None:
        message = pb.IncomingMessage(source_topic=source, workspace=workspace)
        self.hear(topic, pb.DownstreamMessage(msg=message).SerializeToString())

    def hear(self, topic: str, message: bytes) -> None:
        for lane in list(self.log.topic(topic).lanes):
            assert not lane.accepts(frame(message)), "it takes nothing"

    async def settle(self) -> Status:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.inputs.run)
            await trio.sleep(inputs.RETRY_S / 2)
            nursery.cancel_scope.cancel()
        return self.task.status


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_nothing_is_listened_to_but_while_a_task_waits(scene: Scene, autojump_clock: MockClock) -> None:
    assert scene.listening() == []
    scene.wait()
    assert sorted(scene.listening()) == [WORKER, "tk::w::t::msg"]
    scene.say()
    assert await scene.settle() is Status.RUNNING
    assert (scene.listening(), scene.flushed > 0) == ([], True)


@pytest.mark.parametrize("topic", [WORKER, "tk::w::t::msg"])
async def test_a_message_to_the_worker_or_to_the_task_will_do(
    scene: Scene, autojump_clock: MockClock, topic: str
) -> None:
    scene.wait()
    scene.say(topic=topic)
    assert await scene.settle() is Status.RUNNING


@pytest.mark.parametrize(
    ("expected", "source", "wakes"),
    [
        ("", "us::bob::w", True),
        ("us::alice", "us::alice::w", True),
        ("us::alice::w", "us::alice::w", True),
        ("us::alice", "us::alice2::w", False),
        ("us::alice", "us::bob::w", False),
        ("ag::w::i::a", "ag::w::i::a", True),
        ("ag::w::i", "ag::w::i::a", False),
        ("ag::w::i::a", "ag::w::i::b", False),
    ],
)
async def test_from_whom(scene: Scene, autojump_clock: MockClock, expected: str, source: str, wakes: bool) -> None:
    scene.wait(expected_principal=expected)
    scene.say(source)
    assert await scene.settle() is (Status.RUNNING if wakes else Status.WAITING_INPUT)


@pytest.mark.parametrize(
    ("match", "wakes"),
    [
        ({"workspace": "w"}, True),
        ({"workspace": "w", "source_topic": "ag::w::i::boss"}, True),
        ({"workspace": "w", "source_topic": "ag::w::i::other"}, False),
        ({"thread": "1"}, False),
    ],
)
async def test_what_it_has_to_say(scene: Scene, autojump_clock: MockClock, match: dict[str, str], wakes: bool) -> None:
    scene.wait(input_match=match)
    scene.say()
    assert await scene.settle() is (Status.RUNNING if wakes else Status.WAITING_INPUT)


async def test_what_is_no_message_wakes_nobody(scene: Scene, autojump_clock: MockClock) -> None:
    scene.wait()
    scene.hear(WORKER, b"\xff\xff")
    scene.hear(WORKER, pb.DownstreamMessage(progress_update=pb.ProgressUpdate()).SerializeToString())
    assert await scene.settle() is Status.WAITING_INPUT


async def test_other_changes_end_no_wait_and_a_new_wait_is_another(scene: Scene, autojump_clock: MockClock) -> None:
    scene.wait()
    scene.say()
    scene.book.note(scene.task)
    scene.book.change(scene.task, {"overdue": True})
    assert await scene.settle() is Status.RUNNING
    scene.wait()
    scene.say()
    scene.wait()
    assert await scene.settle() is Status.WAITING_INPUT


async def test_waits_outlive_the_gateway(scene: Scene, autojump_clock: MockClock) -> None:
    scene.wait()
    scene.log = Log()
    scene.open()
    [scene.task] = scene.book
    scene.say()
    assert await scene.settle() is Status.RUNNING


async def test_what_cannot_be_stored_is_stored_later(
    scene: Scene, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise StoreUnavailable("disk full")

    scene.wait()
    scene.say()
    async with trio.open_nursery() as nursery:
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "check", unavailable)
            await nursery.start(scene.inputs.run)
            await trio.sleep(inputs.RETRY_S * 2.5)
            assert scene.task.status is Status.WAITING_INPUT
        await trio.sleep(inputs.RETRY_S)
        assert scene.task.status is Status.RUNNING
        nursery.cancel_scope.cancel()
