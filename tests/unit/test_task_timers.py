"""Timers: each fires once, when it is due, and again only where the change could not be made (tasks 11.2)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from aether.errors import StoreUnavailable
from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import machine, timers
from aether.tasks.book import TaskBook
from aether.tasks.deadlines import Due, Lifetimes
from aether.tasks.model import Task, WaitSpec
from aether.tasks.timers import Timers

FOREVER = Lifetimes(interactive_ms=0, startup_ms=0, pool_ms=0, start_ms=0, begin_ms=0)
START_MS = 1_000_000
ME = "ag::w::i::1"


class Scene:
    """A book, its timers, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = START_MS
        self.fired: list[tuple[str, Due]] = []
        self.flushed = 0
        self.is_down = False
        self.keeps = False
        self.book = TaskBook(MemoryTasks(), lambda: self.now_ms)
        self.timers = self.start()

    def start(self) -> Timers:
        found = Timers(self.book, self.fire, lambda: self.now_ms, FOREVER, self.flush)
        self.book.observers = [found.on_transition]
        return found

    def flush(self) -> None:
        self.flushed += 1

    def fire(self, task: Task, due: Due) -> None:
        if self.is_down:
            raise StoreUnavailable("disk full")
        self.fired.append((task.task_id, due))
        if not self.keeps:
            self.book.change(task, machine.resume(task))

    def wait(self, name: str, wake_ms: int) -> Task:
        """A task that waits until then."""
        task = self.book.add(Task(name, "w"))
        self.book.change(task, machine.claim(task, ME, self.now_ms))
        self.book.change(task, machine.pause(task, WaitSpec(scheduled_wake_ms=wake_ms), self.now_ms))
        return task

    def names(self) -> list[str]:
        return [name for name, _ in self.fired]


def test_what_is_due_fires_once_and_in_order() -> None:
    scene = Scene()
    for name, wake_ms in (("late", 30), ("early", 10), ("now", 20), ("never", 40)):
        scene.wait(name, START_MS + wake_ms)
    assert (len(scene.timers), scene.timers.due("late")) == (4, (START_MS + 30, Due.WAKE))
    scene.timers.fire_due()
    assert scene.fired == []
    scene.now_ms += 30
    scene.timers.fire_due()
    scene.timers.fire_due()
    assert scene.names() == ["early", "now", "late"]
    assert (len(scene.timers), scene.timers.due("late")) == (1, None)


def test_a_timer_that_is_set_anew_fires_at_its_new_time_only() -> None:
    scene = Scene()
    task = scene.wait("t", START_MS + 10)
    scene.book.change(task, machine.pause(task, WaitSpec(scheduled_wake_ms=START_MS + 20), scene.now_ms))
    scene.now_ms += 15
    scene.timers.fire_due()
    assert scene.fired == []
    scene.now_ms += 5
    scene.timers.fire_due()
    assert scene.names() == ["t"]


def test_a_timer_that_is_over_does_not_fire() -> None:
    scene = Scene()
    task = scene.wait("t", START_MS + 10)
    scene.book.change(task, machine.complete(task, scene.now_ms))
    assert len(scene.timers) == 0
    scene.now_ms += 100
    scene.timers.fire_due()
    assert (scene.fired, len(scene.timers)) == ([], 0)


def test_a_record_that_says_something_else_by_now_is_asked_again() -> None:
    """A sign of life is written without a word to the timers."""
    scene = Scene()
    task = scene.wait("t", START_MS + 10)
    assert task.wait is not None
    task.wait.scheduled_wake_ms = START_MS + 50
    scene.now_ms += 10
    scene.timers.fire_due()
    assert (scene.fired, scene.timers.due("t")) == ([], (START_MS + 50, Due.WAKE))
    scene.now_ms += 40
    scene.timers.fire_due()
    assert scene.names() == ["t"]


def test_a_change_that_cannot_be_made_is_made_later() -> None:
    scene = Scene()
    scene.wait("t", START_MS + 10)
    scene.now_ms += 10
    scene.is_down = True
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            scene.timers.fire_due()
    assert scene.timers.due("t") == (START_MS + 10, Due.WAKE)
    scene.is_down = False
    scene.timers.fire_due()
    assert scene.names() == ["t"]


def test_what_changes_nothing_does_not_fire_for_ever() -> None:
    scene = Scene()
    scene.wait("t", START_MS + 10)
    scene.keeps = True
    scene.now_ms += 10
    for _ in range(3):
        scene.timers.fire_due()
    assert scene.names() == ["t"]


def test_a_task_that_was_forgotten_has_no_timer() -> None:
    scene = Scene()
    scene.wait("t", START_MS + 10)
    del scene.book._open["t"]
    scene.now_ms += 10
    scene.timers.fire_due()
    assert (scene.fired, len(scene.timers)) == ([], 0)


def test_others_run_between_many_that_are_due_at_once() -> None:
    scene = Scene()
    for number in range(timers.AT_ONCE + 1):
        scene.wait(f"t{number}", START_MS)
    scene.timers.fire_due()
    assert len(scene.fired) == timers.AT_ONCE
    scene.timers.fire_due()
    assert len(scene.fired) == timers.AT_ONCE + 1


def test_timers_of_a_book_that_was_opened() -> None:
    scene = Scene()
    scene.wait("t", START_MS + 10)
    again = scene.start()
    assert again.due("t") == (START_MS + 10, Due.WAKE)


def test_what_is_over_leaves_the_heap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "SLACK", 10)
    scene = Scene()
    stays = scene.wait("stays", START_MS + 500)
    task = scene.wait("t", START_MS + 10)
    for number in range(100):
        wait = WaitSpec(scheduled_wake_ms=START_MS + 10 + number)
        scene.book.change(task, machine.pause(task, wait, scene.now_ms))
        assert len(scene.timers._heap) <= 2 * 2 + 10 + 1
    scene.now_ms += 400
    scene.timers.fire_due()
    assert scene.names() == ["t"]
    scene.now_ms += 100
    scene.timers.fire_due()
    assert (scene.names(), stays.wait) == (["t", "stays"], None)


async def test_it_sleeps_until_the_earliest_and_hears_of_earlier_ones(autojump_clock: MockClock) -> None:
    scene = Scene()
    started = trio.current_time()

    def now_ms() -> int:
        return START_MS + round((trio.current_time() - started) * 1000)

    fired: list[tuple[str, int]] = []

    def fire(task: Task, due: Due) -> None:
        fired.append((task.task_id, now_ms() - START_MS))
        scene.book.change(task, machine.resume(task))

    found = Timers(scene.book, fire, now_ms, FOREVER, scene.flush)
    scene.book.observers = [found.on_transition]
    async with trio.open_nursery() as nursery:
        await nursery.start(found.run)
        scene.wait("hours", START_MS + 7_200_000)
        await trio.sleep(1)
        scene.wait("soon", START_MS + 3_000)
        await trio.sleep(2.5)
        assert fired == [("soon", 3_000)]
        assert scene.flushed > 0
        await trio.sleep(7_200)
        assert fired[1:] == [("hours", 7_200_000)]
        nursery.cancel_scope.cancel()


async def test_a_store_that_is_away_is_tried_again(autojump_clock: MockClock) -> None:
    scene = Scene()
    scene.wait("t", START_MS)
    scene.is_down = True
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.timers.run)
        await trio.sleep(timers.RETRY_S * 2.5)
        assert scene.fired == []
        scene.is_down = False
        await trio.sleep(timers.RETRY_S)
        assert scene.names() == ["t"]
        nursery.cancel_scope.cancel()


async def test_a_clock_that_is_set_is_noticed(autojump_clock: MockClock) -> None:
    """Wall clocks jump; a sleeper looks at least once a minute."""
    scene = Scene()
    scene.wait("t", START_MS + 3_600_000)
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.timers.run)
        await trio.sleep(1)
        scene.now_ms += 3_600_000
        await trio.sleep(timers.SLEEP_S_MAX)
        assert scene.names() == ["t"]
        nursery.cancel_scope.cancel()
