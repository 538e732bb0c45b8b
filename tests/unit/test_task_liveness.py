"""Workers come and go: what becomes of the tasks they have in hand (tasks 9)."""

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
from aether.tasks import liveness, machine
from aether.tasks.book import TaskBook
from aether.tasks.dispatch import Dispatcher
from aether.tasks.liveness import LOSSES_MAX, Liveness
from aether.tasks.model import Category, Mode, Status, Task, WaitSpec
from aether.tasks.workers import Worker

A, B, ORCHESTRATOR = "ag::w::pool::a", "ag::w::pool::b", "orc::o::1"


class Scene:
    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.store = MemoryTasks()
        self.may_have = True
        self.prepared: list[str] = []
        self.starting: Task | None = None
        self.open()

    def open(self) -> None:
        """A gateway starts."""
        self.book = TaskBook(self.store, lambda: self.now_ms)
        chooser = random.Random(1)
        self.dispatcher = Dispatcher(self.book, lambda: self.now_ms, chooser, lambda _: Answer(()), self.prepare)
        self.liveness = Liveness(
            self.book, self.dispatcher, lambda: self.now_ms, chooser, lambda identity: self.started_by(identity)
        )
        self.book.observers = [self.liveness.on_transition, self.dispatcher.on_transition]

    def prepare(self, task: Task, worker: Worker) -> bool:
        self.prepared.append(task.task_id)
        return self.may_have

    def started_by(self, identity: str) -> Task | None:
        return self.starting if self.starting is not None and self.starting.target == identity else None

    def connect(self, name: str, session_id: str = "s", **fields: object) -> WorkerSession:
        session = WorkerSession(parse_identity(name), session_id, **fields)  # type: ignore[arg-type]
        self.liveness.connected(session)
        return session

    def add(self, worker: str = "", *, runs: bool = False, **fields: object) -> Task:
        task = self.book.add(Task(f"t{len(self.book)}", "w", "ag::w::i::boss", **fields))  # type: ignore[arg-type]
        if worker:
            self.book.change(task, machine.assign(task, worker, self.now_ms))
        if runs:
            self.book.change(task, machine.claim(task, worker, self.now_ms))
        return task


def test_a_connection_that_breaks_leaves_a_mark_and_who_comes_back_takes_it_away() -> None:
    scene = Scene()
    session = scene.connect(A, "first")
    held, waits = scene.add(A), scene.add(A, runs=True)
    scene.book.change(waits, machine.pause(waits, WaitSpec(), scene.now_ms))
    scene.liveness.disconnected(session, is_clean=False)
    assert (held.disconnected_ms, held.disconnected_session) == (scene.now_ms, "first")
    assert waits.disconnected_ms == 0
    assert scene.liveness.cut_off_ms(A) == scene.now_ms
    scene.now_ms += 5
    scene.connect(A, "second", resumes=True)
    assert (held.disconnected_ms, held.disconnected_session) == (0, "")
    assert scene.liveness.cut_off_ms(A) == 0


def test_the_end_of_a_session_that_has_a_successor_means_nothing() -> None:
    scene = Scene()
    before = scene.connect(A, "before")
    scene.connect(A, "after")
    held = scene.add(A, runs=True)
    scene.liveness.disconnected(before, is_clean=True)
    assert (held.status, held.disconnected_ms, scene.liveness.cut_off_ms(A)) == (Status.RUNNING, 0, 0)


@pytest.mark.parametrize("status", ["assigned", "running", "paused", "failed"])
def test_who_leaves_in_peace_has_done_its_own_task_if_it_was_at_it(status: str) -> None:
    scene = Scene()
    own, other = scene.add(A), scene.add(A, runs=True)
    session = scene.connect(A, task_id=own.task_id)
    assert scene.liveness.bound_task("s") == own.task_id
    assert own.status is Status.RUNNING
    if status == "assigned":
        scene.book.change(own, {"status": Status.ASSIGNED})
    elif status == "paused":
        scene.book.change(own, machine.pause(own, WaitSpec(), scene.now_ms))
    elif status == "failed":
        scene.book.change(own, machine.fail(own, scene.now_ms, "no", random.uniform))
    before = own.status
    scene.liveness.disconnected(session, is_clean=True)
    assert own.status is (Status.COMPLETED if status in ("assigned", "running") else before)
    assert (other.status, other.disconnected_ms) == (Status.RUNNING, scene.now_ms)
    assert scene.liveness.cut_off_ms(A) == 0, "it went by itself"
    assert scene.liveness.bound_task("s") == ""


def test_a_connection_that_breaks_completes_nothing() -> None:
    scene = Scene()
    own = scene.add(A)
    scene.liveness.disconnected(scene.connect(A, task_id=own.task_id), is_clean=False)
    assert (own.status, own.disconnected_ms) == (Status.RUNNING, scene.now_ms)


def test_an_orchestrator_does_not_answer_for_the_agents_it_started() -> None:
    scene = Scene()
    start = scene.starting = scene.add(
        ORCHESTRATOR, category=Category.ORCHESTRATED, mode=Mode.POOL, target=A, implementation="pool"
    )
    orchestrator = scene.connect(ORCHESTRATOR, "o")
    agent = scene.connect(A, "agent")
    assert (start.status, start.bound, start.assigned_to) == (Status.RUNNING, A, ORCHESTRATOR)
    scene.liveness.disconnected(orchestrator, is_clean=False)
    assert start.disconnected_ms == 0, "its agent is there"
    scene.liveness.disconnected(agent, is_clean=False)
    assert start.disconnected_session == "agent"
    scene.connect(ORCHESTRATOR, "o2")
    assert start.disconnected_session == "agent", "its agent is not there"


def test_a_start_that_nobody_took_up_is_not_the_orchestrators_loss_here() -> None:
    scene = Scene()
    start = scene.add(ORCHESTRATOR, category=Category.ORCHESTRATED, mode=Mode.POOL, target=A)
    scene.liveness.disconnected(scene.connect(ORCHESTRATOR, "o"), is_clean=False)
    assert start.disconnected_ms == 0


def test_who_may_not_have_the_task_of_its_token_is_not_bound_to_it() -> None:
    scene = Scene()
    own = scene.add()
    scene.may_have = False
    scene.connect(A, task_id=own.task_id)
    assert (own.status, scene.liveness.bound_task("s")) == (Status.PENDING, "")
    scene.may_have = True
    scene.connect(A, task_id=own.task_id)
    assert (own.status, own.assigned_to, own.bound) == (Status.RUNNING, A, "")


@pytest.mark.parametrize(
    ("runs", "resumes", "confirmed", "told"),
    [
        (False, False, False, True),  # a new process knows nothing
        (True, False, True, True),
        (False, True, False, True),  # what was under way
        (False, True, True, False),
        (True, True, True, False),
    ],
)
def test_what_a_worker_does_not_know_is_told_again(runs: bool, resumes: bool, confirmed: bool, told: bool) -> None:
    scene = Scene()
    first = scene.connect(A, "first")
    task = scene.add(mode=Mode.POOL, implementation="pool", queued=True)
    assert first.given == [task.task_id]
    if confirmed:
        scene.dispatcher.confirm(A, task.task_id)
    if runs:
        scene.book.change(task, machine.claim(task, A, scene.now_ms))
    scene.liveness.disconnected(first, is_clean=False)
    assert scene.connect(A, "second", resumes=resumes).given == ([task.task_id] if told else [])


def test_a_second_worker_with_a_token_is_bound_but_was_not_handed_the_task() -> None:
    scene = Scene()
    task = scene.add(A, mode=Mode.POOL, implementation="pool")
    for _ in range(2):
        assert scene.connect(B, task_id=task.task_id).given == []
    assert (task.assigned_to, task.bound, scene.prepared) == (A, B, [])


def test_nothing_is_prepared_for_a_task_that_has_ended() -> None:
    scene = Scene()
    task = scene.add(A)
    scene.book.change(task, machine.complete(task, scene.now_ms))
    scene.connect(A, task_id=task.task_id)
    assert scene.prepared == []


def test_only_so_many_broken_connections_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "REMEMBERED_MAX", 2)
    scene = Scene()
    names = [A, B, "ag::w::pool::c"]
    sessions = [scene.connect(name, name) for name in names]
    for number in (0, 1, 0, 2):
        scene.connect(names[number])
        scene.liveness.disconnected(scene.connect(names[number]), is_clean=False)
    assert len(sessions) == 3
    assert [scene.liveness.cut_off_ms(name) > 0 for name in names] == [True, False, True]


def test_ones_own_tasks_and_starts_are_not_told_again() -> None:
    scene = Scene()
    scene.add(A, runs=True, mode=Mode.SELF_ASSIGN)
    scene.add(A, category=Category.ORCHESTRATED, mode=Mode.POOL, target=B)
    assert scene.connect(A).given == []


GRACE = "worker disconnected and did not reconnect within grace window (30000ms)"


@pytest.mark.parametrize(
    ("fields", "runs", "after"),
    [
        ({"mode": Mode.POOL, "implementation": "x"}, True, Status.PENDING),
        ({"mode": Mode.POOL, "implementation": "x"}, False, Status.PENDING),
        ({"mode": Mode.POOL, "implementation": "x", "losses": LOSSES_MAX - 1}, False, Status.PENDING),
        ({"mode": Mode.POOL, "implementation": "x", "losses": LOSSES_MAX}, False, Status.FAILED),
        ({"mode": Mode.TARGETED, "target": A}, False, Status.PENDING),
        ({"mode": Mode.TARGETED, "target": A, "losses": LOSSES_MAX}, False, Status.FAILED),
        ({"mode": Mode.TARGETED, "target": A}, True, Status.FAILED),
        ({"mode": Mode.SELF_ASSIGN}, False, Status.FAILED),
        ({"mode": Mode.POOL, "category": Category.ORCHESTRATED, "target": A}, True, Status.FAILED),
    ],
)
def test_after_the_grace(fields: dict[str, object], runs: bool, after: Status) -> None:
    scene = Scene()
    session = scene.connect(A)
    task = scene.add(A, runs=runs, **fields)
    scene.liveness.on_grace(task)
    assert task.status in (Status.ASSIGNED, Status.RUNNING), "it is there"
    scene.liveness.disconnected(session, is_clean=False)
    before = task.losses
    scene.liveness.on_grace(task)
    assert task.status is after
    assert task.error == (GRACE if after is Status.FAILED else "")
    assert task.losses == before + (after is Status.PENDING)


def test_the_grace_of_who_is_back_is_over() -> None:
    scene = Scene()
    task = scene.add(A, disconnected_ms=5)
    scene.dispatcher.connect(WorkerSession(parse_identity(A), "s"))
    scene.liveness.on_grace(task)
    assert (task.status, task.disconnected_ms) == (Status.ASSIGNED, 0)


def test_after_a_start_every_worker_has_to_come_back() -> None:
    scene = Scene()
    assigned, running, waits = scene.add(A), scene.add(A, runs=True), scene.add(A, runs=True)
    pending = scene.add()
    scene.book.change(waits, machine.pause(waits, WaitSpec(), scene.now_ms))
    scene.now_ms += 10
    scene.open()
    scene.liveness.begin()
    marks = [scene.book._open[task.task_id].disconnected_ms for task in (assigned, running, waits, pending)]
    assert marks == [scene.now_ms, scene.now_ms, 0, 0]


def test_a_task_that_goes_on_without_its_worker_waits_for_it() -> None:
    scene = Scene()
    gone, there = scene.add(A, runs=True), scene.add(B, runs=True)
    agent = scene.add(ORCHESTRATOR, runs=True, category=Category.ORCHESTRATED, bound=A)
    scene.connect(B)
    tasks = (gone, there, agent)
    for task in tasks:
        scene.book.change(task, machine.pause(task, WaitSpec(), scene.now_ms))
    scene.now_ms += 7
    for task in tasks:
        scene.book.change(task, machine.resume(task))
    assert [task.disconnected_ms for task in tasks] == [scene.now_ms, 0, scene.now_ms]


async def test_what_cannot_be_stored_is_stored_later(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise StoreUnavailable("disk full")

    scene = Scene()
    own = scene.add(A)
    first, second = scene.connect(A, "a", task_id=own.task_id), scene.connect(B, "b")
    other = scene.add(B)
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.liveness.run)
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "check", unavailable)
            scene.liveness.disconnected(first, is_clean=True)
            scene.liveness.disconnected(second, is_clean=False)
            await trio.sleep(liveness.RETRY_S * 2)
            assert (own.status, other.disconnected_ms) == (Status.RUNNING, 0)
        await trio.sleep(liveness.RETRY_S * 2)
        assert (own.status, other.disconnected_session) == (Status.COMPLETED, "b")
        nursery.cancel_scope.cancel()


async def test_who_is_back_before_its_end_was_stored_has_no_mark(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise StoreUnavailable("disk full")

    scene = Scene()
    session = scene.connect(A, "a")
    task = scene.add(A)
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.liveness.run)
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "check", unavailable)
            scene.liveness.disconnected(session, is_clean=False)
        scene.connect(A, "again", resumes=True)
        await trio.sleep(liveness.RETRY_S * 2)
        assert task.disconnected_ms == 0
        nursery.cancel_scope.cancel()
