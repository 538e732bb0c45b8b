"""Handing tasks to workers: who gets what, when, and how often it is told (tasks 8; weaknesses 34 to 41)."""

from __future__ import annotations

import random

import pytest
import trio
from tests.support.sessions import WorkerSession
from trio.testing import MockClock

from aether.answers import Answer
from aether.errors import StoreUnavailable
from aether.identity import parse_identity
from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import dispatch, machine
from aether.tasks.backlog import PREEMPT
from aether.tasks.book import TaskBook
from aether.tasks.dispatch import Dispatcher
from aether.tasks.model import Category, Mode, Status, Task
from aether.tasks.workers import BATCH, Worker

A, B, SERVICE, TARGET = "ag::w::pool::a", "ag::w::pool::b", "sv::pool::1", "ag::w::lazy::1"


class Recipient(WorkerSession):
    def give(self, task_id: str, assignment: Answer) -> None:
        assert assignment.frames == (task_id.encode(),)
        super().give(task_id, assignment)


class Scene:
    """A dispatcher, and what starts workers for it."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.store = MemoryTasks()
        self.may_have = True
        self.open_max = 0
        self.flushed = 0
        self.limits: dict[str, int] = {}
        self.started: list[str] = []
        self.starts_are_stored = True
        self.open()

    def open(self) -> None:
        """A gateway starts."""
        self.book = TaskBook(self.store, lambda: self.now_ms)
        self.dispatcher = Dispatcher(
            self.book,
            lambda: self.now_ms,
            random.Random(1),
            lambda task: Answer((task.task_id.encode(),)),
            self.prepare,
            lambda _: self.open_max,
            self.flush,
        )
        self.dispatcher.autostart = self
        self.book.observers = [self.dispatcher.on_transition]

    def prepare(self, task: Task, worker: Worker) -> bool:
        return self.may_have

    def flush(self) -> None:
        self.flushed += 1

    def limit(self, implementation: str) -> int:
        return self.limits.get(implementation, 0)

    def start_one(self, workspace: str, implementation: str) -> None:
        self.started.append(f"{workspace} {implementation}")

    def start_target(self, task: Task) -> bool:
        self.started.append(f"{task.target} {task.task_id}")
        return self.starts_are_stored

    def connect(self, name: str, **fields: object) -> Recipient:
        session = Recipient(parse_identity(name), **fields)  # type: ignore[arg-type]
        self.dispatcher.connect(session)
        return session

    def pool(self, name: str, priority: int = 30, workspace: str = "w") -> Task:
        task = Task(name, workspace, "ag::w::i::boss", mode=Mode.POOL, implementation="pool", queued=True)
        task.priority = priority
        return self.book.add(task)

    def target(self, name: str, *, starts: bool = True, priority: int = 30) -> Task:
        task = Task(name, "w", "ag::w::i::boss", mode=Mode.TARGETED, target=TARGET, queued=True, starts_target=starts)
        task.priority = priority
        return self.book.add(task)

    def startup(self) -> Task:
        start = Task("start", "w", mode=Mode.POOL, category=Category.ORCHESTRATED, target=TARGET, implementation="lazy")
        start.queued = True
        return self.book.add(start)

    def complete(self, task: Task) -> None:
        self.book.change(task, machine.complete(task, self.now_ms))


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_task_goes_to_the_worker_with_the_fewest(scene: Scene) -> None:
    a, b = scene.connect(A), scene.connect(B)
    tasks = [scene.pool(f"t{number}") for number in range(3)]
    assert (a.given, b.given) == (["t0", "t2"], ["t1"])
    assert (tasks[0].status, tasks[0].assigned_to, tasks[0].queued) == (Status.ASSIGNED, A, False)
    assert scene.dispatcher.is_unconfirmed(A, "t0")
    assert not scene.dispatcher.is_unconfirmed(A, "t1")
    scene.book.change(tasks[0], machine.claim(tasks[0], A, 5))
    assert not scene.dispatcher.is_unconfirmed(A, "t0")
    assert scene.dispatcher.is_unconfirmed(A, "t2")


def test_what_waits_is_handed_out_by_priority_to_who_comes(scene: Scene) -> None:
    for name, priority in (("low", 10), ("high", 40), ("first", 30), ("second", 30)):
        assert scene.dispatcher.is_waiting(scene.pool(name, priority))
    assert scene.dispatcher.waiting == 4
    assert scene.connect(A).given == ["high", "first", "second", "low"]
    assert scene.dispatcher.waiting == 0


def test_a_backlog_goes_out_in_batches_and_more_comes_with_each_sign(scene: Scene) -> None:
    tasks = [scene.pool(f"t{number:02}") for number in range(BATCH + 3)]
    a = scene.connect(A)
    assert len(a.given) == BATCH
    scene.book.change(tasks[0], machine.claim(tasks[0], A, 5))
    assert len(a.given) == BATCH + 3


def test_nobody_passes_those_who_wait(scene: Scene) -> None:
    for number in range(BATCH + 1):
        scene.pool(f"t{number:02}")
    a, b = scene.connect(A), scene.connect(B, has_room=False)
    later = scene.pool("later")
    assert (len(a.given), scene.dispatcher.is_waiting(later)) == (BATCH, True)
    b.has_room = True
    scene.dispatcher.refill()
    assert b.given + a.given[BATCH:] in (["t08", "later"], ["later", "t08"])


def test_a_refill_gives_more_to_who_says_nothing(scene: Scene) -> None:
    for number in range(3 * BATCH):
        scene.pool(f"t{number:02}")
    a = scene.connect(A)
    scene.dispatcher.refill()
    assert len(a.given) == 2 * BATCH
    scene.dispatcher.refill()
    assert len(a.given) == 3 * BATCH
    scene.dispatcher.refill()


async def test_refills_come_by_themselves(scene: Scene, autojump_clock: MockClock) -> None:
    for number in range(2 * BATCH):
        scene.pool(f"t{number:02}")
    a = scene.connect(A)
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.dispatcher.run)
        await trio.sleep(dispatch.REFILL_S * 1.5)
        assert (len(a.given), scene.flushed > 0) == (2 * BATCH, True)
        count = scene.flushed
        await trio.sleep(dispatch.REFILL_S * 10)
        assert scene.flushed == count, "nothing is left to do"
        nursery.cancel_scope.cancel()


def test_who_has_enough_gets_no_more_until_something_has_ended(scene: Scene) -> None:
    scene.open_max = 1
    a = scene.connect(A)
    first, second = scene.pool("first"), scene.pool("second")
    urgent = scene.pool("urgent", PREEMPT)
    almost = scene.pool("almost urgent", PREEMPT - 1)
    assert a.given == ["first", "urgent"]
    scene.complete(first)
    assert a.given == ["first", "urgent"]
    scene.complete(urgent)
    assert a.given == ["first", "urgent", "almost urgent"]
    assert [second.status, almost.status] == [Status.PENDING, Status.ASSIGNED]


def test_41_a_restart_keeps_nothing_urgent_behind_what_waits_for_a_worker_that_has_enough(scene: Scene) -> None:
    scene.open_max = 1
    scene.connect(A)
    scene.pool("in hand")
    scene.pool("old")
    scene.now_ms += 600_000
    scene.open()
    scene.pool("urgent", PREEMPT)
    scene.pool("more urgent", PREEMPT + 10)
    assert scene.connect(A).given == ["more urgent", "urgent"], "it has a task, so not the old one"


def test_41_what_is_urgent_takes_no_part_of_a_batch(scene: Scene) -> None:
    for number in range(BATCH + 1):
        scene.pool(f"t{number}")
    for number in range(BATCH):
        scene.pool(f"urgent{number}", PREEMPT)
    a = scene.connect(A)
    assert a.given == [*(f"urgent{number}" for number in range(BATCH)), *(f"t{number}" for number in range(BATCH))]


def test_services_take_over_when_the_last_agent_goes(scene: Scene) -> None:
    a, service = scene.connect(A, has_room=False), scene.connect(SERVICE)
    scene.pool("t")
    scene.pool("elsewhere", workspace="v")
    assert (a.given, service.given) == ([], ["elsewhere"])
    scene.dispatcher.disconnect(a)
    assert service.given == ["elsewhere", "t"]


def test_a_service_that_comes_gets_what_waits_in_every_workspace(scene: Scene) -> None:
    ended = scene.pool("here")
    scene.pool("there", workspace="v")
    service = scene.connect(SERVICE)
    assert sorted(service.given) == ["here", "there"]
    for number in range(2 * BATCH):
        scene.pool(f"t{number}", workspace="v")
        scene.pool(f"u{number}", workspace="u")
    scene.complete(ended)
    assert len(service.given) == 2 + 4 * BATCH


def test_others_are_no_workers(scene: Scene) -> None:
    scene.pool("t")
    for name in ("us::alice::w", "tu::w::pool::1", "br::pool::1", "ag::w::other::1", "ag::v::pool::1"):
        assert scene.connect(name).given == []


def test_what_comes_back_is_offered_at_once(scene: Scene) -> None:
    a, b = scene.connect(A), scene.connect(B)
    task = scene.pool("t")
    scene.dispatcher.disconnect(a)
    scene.book.change(task, machine.give_back(task))
    assert (a.given, b.given, task.assigned_to) == (["t"], ["t"], B)
    assert not scene.dispatcher.is_unconfirmed(A, "t")


def test_what_cannot_be_a_workers_now_waits(scene: Scene) -> None:
    a = scene.connect(A)
    scene.may_have = False
    task = scene.pool("t")
    assert (a.given, task.status, scene.dispatcher.is_waiting(task)) == ([], Status.PENDING, True)
    scene.may_have = True
    scene.dispatcher.refill()
    assert a.given == ["t"]


def test_what_cannot_be_stored_waits(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable() -> None:
        raise StoreUnavailable("disk full")

    task, other = scene.pool("t"), scene.target("u")
    with monkeypatch.context() as patch:
        patch.setattr(scene.store, "check", unavailable)
        a, lazy = scene.connect(A), scene.connect(TARGET)
        assert (a.given, lazy.given) == ([], [])
        assert [task.status, other.status] == [Status.PENDING] * 2
    scene.dispatcher.refill()
    assert (a.given, lazy.given) == (["t"], ["u"])


def test_what_is_for_somebody_waits_for_that_one_by_priority(scene: Scene) -> None:
    for name, priority in (("low", 10), ("high", 40), ("middle", 30)):
        scene.target(name, priority=priority)
    own = scene.book.add(Task("own", "w", TARGET, queued=True))
    assert scene.connect("ag::w::lazy::2").given == []
    assert scene.connect(TARGET).given == ["high", "middle", "own", "low"]
    assert own.assigned_to == TARGET
    assert scene.connect(TARGET).given == []


def test_who_has_no_room_gets_the_rest_later(scene: Scene) -> None:
    scene.target("t")
    lazy = scene.connect(TARGET, has_room=False)
    scene.target("u")
    assert lazy.given == []
    lazy.has_room = True
    scene.dispatcher.refill()
    assert lazy.given == ["t", "u"]


def test_the_end_of_an_old_session_takes_nothing_from_the_new_one(scene: Scene) -> None:
    before, after = scene.connect(A), scene.connect(A)
    scene.dispatcher.disconnect(before)
    scene.pool("t")
    assert (before.given, after.given) == ([], ["t"])
    assert scene.dispatcher.worker(A) is after


def test_a_target_is_started_while_tasks_wait_for_it(scene: Scene) -> None:
    scene.target("waits only", starts=False)
    assert scene.started == []
    task = scene.target("t")
    assert scene.started == ["ag::w::lazy::1 t"]
    start = scene.startup()
    scene.complete(start)
    assert scene.started == ["ag::w::lazy::1 t"] * 2, "it is gone, and still needed"
    scene.connect(TARGET)
    scene.book.change(task, machine.fail(task, 5, "no", random.uniform))
    scene.book.change(task, machine.retry(task))
    assert len(scene.started) == 2, "it is there"


@pytest.mark.parametrize(("status", "again"), [(Status.FAILED, 2), (Status.REJECTED, 2), (Status.CANCELLED, 1)])
def test_who_is_not_to_be_started_is_not(scene: Scene, status: Status, again: int) -> None:
    scene.target("t")
    scene.book.change(scene.startup(), {"status": status})
    assert len(scene.started) == again


def test_a_start_that_could_not_be_stored_is_asked_for_again(scene: Scene) -> None:
    scene.starts_are_stored = False
    scene.target("t")
    scene.starts_are_stored = True
    scene.dispatcher.refill()
    scene.dispatcher.refill()
    assert scene.started == ["ag::w::lazy::1 t"] * 2


def test_starts_of_agents_are_not_for_workers(scene: Scene) -> None:
    start = scene.startup()
    lazy = scene.connect(TARGET)
    scene.connect("ag::w::lazy::2")
    assert (lazy.given, start.status, scene.dispatcher.waiting) == ([], Status.PENDING, 0)


def test_a_pool_without_workers_has_one_started_after_a_while(scene: Scene) -> None:
    scene.pool("t")
    scene.dispatcher.refill()
    scene.now_ms += 5_000
    scene.dispatcher.refill()
    assert scene.started == [], "nobody asked for that"
    scene.limits["pool"] = 1
    scene.dispatcher.reconsider("other")
    scene.dispatcher.refill()
    assert scene.started == []
    scene.dispatcher.reconsider("pool")
    scene.dispatcher.refill()
    assert scene.started == ["w pool"]
    scene.connect(A)
    scene.dispatcher.refill()
    assert scene.started == ["w pool"]


def test_a_worker_is_started_when_the_task_has_waited_and_nobody_is_free(scene: Scene) -> None:
    scene.limits["pool"] = 2
    scene.open_max = 1
    scene.connect(A)
    scene.pool("first")
    scene.pool("second")
    scene.now_ms += 999
    scene.dispatcher.refill()
    assert scene.started == []
    scene.now_ms += 2
    scene.dispatcher.refill()
    assert scene.started == ["w pool"]


async def test_after_a_restart_what_waits_is_looked_at(scene: Scene, autojump_clock: MockClock) -> None:
    scene.limits["pool"] = 1
    scene.pool("t")
    scene.target("u")
    scene.started.clear()
    scene.now_ms += 5_000
    scene.open()
    assert scene.dispatcher.waiting == 2
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.dispatcher.run)
        await trio.sleep(dispatch.REFILL_S * 1.5)
        assert sorted(scene.started) == ["ag::w::lazy::1 u", "w pool"]
        nursery.cancel_scope.cancel()


def test_after_a_restart_nobody_knows_what_arrived(scene: Scene) -> None:
    scene.connect(A)
    task, begun = scene.pool("t"), scene.pool("begun")
    scene.book.change(begun, machine.claim(begun, A, 5))
    scene.dispatcher.confirm(A, "t")
    scene.open()
    assert scene.dispatcher.is_unconfirmed(A, task.task_id)
    assert not scene.dispatcher.is_unconfirmed(A, "begun")


def test_a_registration_lets_waiting_targets_be_started(scene: Scene) -> None:
    scene.target("t")
    scene.started.clear()
    scene.dispatcher.reconsider("lazier")
    scene.dispatcher.refill()
    assert scene.started == []
    scene.dispatcher.reconsider("lazy")
    scene.dispatcher.refill()
    assert scene.started == ["ag::w::lazy::1 t"]
