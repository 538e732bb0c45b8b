"""Where a subscription begins, also for a session that does not read at once (tasks 12.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing
from tests.unit.fakes import WallClock

from aether.answers import Answer
from aether.identity import Identity, PrincipalType
from aether.messaging.log import TopicLog
from aether.proto import aether_pb2 as pb
from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import machine, watches
from aether.tasks.announcer import Announcer
from aether.tasks.book import TaskBook
from aether.tasks.lookup import Lookup
from aether.tasks.model import Task, WaitSpec
from aether.tasks.parties import Parties
from aether.tasks.subscriptions import SubscriptionService
from aether.tasks.watches import Watches

Op = pb.TaskSubscriptionOperation


class Session:
    """Has room when the test says so."""

    identity = Identity(PrincipalType.AGENT, "w", "i", "s")
    session_id = "s"
    task_id = ""
    workspace_limit = None

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._room = trio.Event()
        self._room.set()
        self.told: list[pb.DownstreamMessage] = []

    async def wait_room(self) -> None:
        await self._room.wait()

    def put(self, answer: Answer) -> None:
        self.told += [pb.DownstreamMessage.FromString(frame[5:]) for frame in answer.frames]

    def start_soon(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        self._nursery.start_soon(function, *arguments)

    @property
    def has_room(self) -> bool:
        return self._room.is_set()

    def kinds(self) -> list[str]:
        """Of what it was told besides answers: a state of progress, or the code of an error."""
        shown = [one.error.code or one.task_event.progress.state for one in self.told]
        return [kind for kind in shown if kind]

    def stop_reading(self) -> None:
        self._room = trio.Event()

    def read_on(self) -> None:
        self._room.set()

    def statuses(self) -> list[int]:
        """Of the events it was told."""
        return [one.task_event.status_changed.to_status for one in self.told if one.HasField("task_event")]


class Scene:
    def __init__(self, nursery: trio.Nursery) -> None:
        self.clock = WallClock()
        store = MemoryTasks()
        self.book = TaskBook(store, self.clock)
        self.shed = 0
        self.watches = Watches(self.book, store, self.on_shed)
        log = cast(TopicLog, SimpleNamespace())  # nobody is noticed here
        announcer = Announcer(self.book, self.watches, log, lambda *_: None, self.clock, "g")
        self.book.observers.append(announcer.on_transition)
        parties = cast(Parties, SimpleNamespace(may_operate=lambda *_: True))
        ids = iter(f"subscription-{number}" for number in range(9))
        self.service = SubscriptionService(Lookup(self.book, parties), self.watches, announcer, lambda: next(ids))
        self.session = Session(nursery)
        self.task = self.book.add(Task("t", "w"))
        self.claim()

    def on_shed(self) -> None:
        self.shed += 1

    def report(self, state: str) -> None:
        report = pb.ProgressReport(task_id="t", state=state)
        self.watches.on_progress(self.task, report, self.clock.now_ms)

    def claim(self) -> None:
        self.book.change(self.task, machine.claim(self.task, "ag::w::i::s", self.clock.now_ms))

    def complete(self) -> None:
        self.clock.advance(1)
        self.book.change(self.task, machine.complete(self.task, self.clock.now_ms))

    def subscribe(self, since_ms: int = 0) -> None:
        operation = Op(op=Op.SUBSCRIBE, task_id="t", client_request_id="r", start_timestamp_unix_ms=since_ms)
        assert self.service.subscribe(self.session, operation).frames == (), "answered by itself, before any event"
        response = self.session.told[0].task_subscription_response
        assert (response.success, response.client_request_id, response.task_id) == (True, "r", "t")
        assert response.subscription_id == "subscription-0"


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with trio.open_nursery() as nursery:
        yield Scene(nursery)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("since_ms", [0, -1])
async def test_one_that_begins_now_and_falls_behind_is_told_nothing_of_before(scene: Scene, since_ms: int) -> None:
    scene.subscribe(since_ms)
    scene.session.stop_reading()
    scene.complete()
    assert scene.session.statuses() == []
    scene.session.read_on()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.session.statuses() == [pb.TASK_STATUS_COMPLETED]


async def test_one_that_begins_in_the_past_is_told_what_was(scene: Scene) -> None:
    scene.subscribe(scene.clock.now_ms)
    scene.complete()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.session.statuses() == [pb.TASK_STATUS_RUNNING, pb.TASK_STATUS_COMPLETED]


async def test_one_that_falls_behind_is_told_nothing_twice(scene: Scene) -> None:
    scene.subscribe()
    scene.book.change(scene.task, machine.pause(scene.task, WaitSpec(), scene.clock.now_ms))
    assert scene.session.statuses() == [pb.TASK_STATUS_WAITING_INPUT]
    scene.session.stop_reading()
    scene.book.change(scene.task, machine.resume(scene.task))
    scene.session.read_on()
    await trio.testing.wait_all_tasks_blocked()
    assert scene.session.statuses() == [pb.TASK_STATUS_WAITING_INPUT, pb.TASK_STATUS_RUNNING]


async def test_with_its_session_it_ends(scene: Scene) -> None:
    scene.subscribe()
    assert scene.watches.count("s") == 1
    scene.watches.close_session("another")
    assert scene.watches.count("s") == 1
    scene.watches.close_session("s")
    assert scene.watches.count("s") == 0
    scene.complete()
    scene.report("late")
    await trio.testing.wait_all_tasks_blocked()
    assert (scene.session.statuses(), scene.session.kinds()) == ([], [])


async def test_who_does_not_read_is_told_each_time_that_progress_was_left_out(scene: Scene) -> None:
    """Once for all that was left out in one go (routing 4.7)."""
    scene.subscribe()
    for number in range(2):
        scene.session.stop_reading()
        scene.report("lost")
        scene.report("lost too")
        assert scene.shed == 2 * number + 2
        scene.session.read_on()
        scene.report("seen")
    assert scene.session.kinds() == ["BACKPRESSURE", "seen"] * 2


async def test_of_what_is_not_kept_so_many_wait_while_it_reads(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "LATER_MAX", 2)
    scene.subscribe(scene.clock.now_ms)
    for event_type in (1, 2, 3, 1):
        news = pb.AuthorityRequestEvent(event_type=event_type)  # type: ignore[arg-type]
        scene.watches.on_authority_request(scene.task, news, scene.clock.now_ms)
    assert scene.shed == 1
    await trio.testing.wait_all_tasks_blocked()
    news_told = [one.task_event.authority_request for one in scene.session.told if one.HasField("task_event")]
    assert [one.event.event_type for one in news_told if one.HasField("event")] == [1, 2]
    assert scene.session.kinds() == [], "it reads, so nothing is amiss with it"
