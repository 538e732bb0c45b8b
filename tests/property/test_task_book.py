"""Random histories of tasks and workers, crashes of both included, on every adapter: no task is lost, none is in two
hands, none waits without anything that ends the wait, and each goes only where it may."""

from __future__ import annotations

import random
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.answers import Answer
from aether.identity import Identity, parse_identity
from aether.storage.memory.tasks import MemoryTasks
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.tasks import SqliteTasks
from aether.tasks import machine
from aether.tasks.book import TaskBook, Transition
from aether.tasks.deadlines import Lifetimes, deadline
from aether.tasks.dependencies import Dependencies, InvalidDependency
from aether.tasks.dispatch import Dispatcher
from aether.tasks.liveness import Liveness
from aether.tasks.machine import Change, IllegalTransition
from aether.tasks.model import PAUSED, TERMINAL, WORKED_ON, Hibernation, Mode, RetryPolicy, Status, Task, WaitSpec
from aether.tasks.store import TaskStore
from aether.tasks.timers import Timers
from aether.tasks.upkeep import Retention, Upkeep

WORKERS = ["ag::w::pool::1", "ag::w::pool::2", "sv::pool::1", "ag::w::boss::1"]
HOLDER = "whoever has it"
LIFETIMES = Lifetimes(interactive_ms=0, pool_ms=0)

P, A, R = Status.PENDING, Status.ASSIGNED, Status.RUNNING
WI, WA, WD, H = Status.WAITING_INPUT, Status.WAITING_AUTHORITY, Status.WAITING_DEPENDENCY, Status.HIBERNATED
ENDS = set(TERMINAL)
ALLOWED: dict[Status, set[Status]] = {
    P: {A, R, WD, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.REJECTED},
    A: {R, P, Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.REJECTED},
    R: {P, WI, WA, WD, H, Status.COMPLETED, Status.FAILED, Status.CANCELLED},
    WI: {WI, R, *ENDS},
    WA: {WA, R, *ENDS},
    WD: {WD, R, P, Status.COMPLETED, Status.FAILED, Status.CANCELLED},
    H: {R, P, Status.COMPLETED, Status.FAILED, Status.CANCELLED},
    Status.FAILED: {P, Status.CANCELLED},
    Status.CANCELLED: {P},
    Status.COMPLETED: set(),
    Status.REJECTED: set(),
}
"""The table of tasks 5.2, written down once more; running to pending is the loss of a worker (9.4)."""


class Clock:
    now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms


@dataclass(eq=False)
class FakeWorker:
    """A session that notes what it is given."""

    identity: Identity
    session_id: str
    resumes: bool = False
    has_room: bool = True
    task_id: str = ""
    workspace_limit: None = None
    consumes_pool_tasks: bool = True
    given: list[str] = field(default_factory=list)

    def give(self, task_id: str, assignment: Answer) -> None:
        assert task_id
        self.put(assignment)

    def put(self, answer: Answer) -> None:
        self.given += [frame.decode() for frame in answer.frames]


class Gateway:
    """The parts of a gateway that tasks are made of, without the gateway."""

    def __init__(self, store: TaskStore, clock: Clock, seed: int) -> None:
        chooser = random.Random(seed)
        self.clock = clock
        self.steps: list[tuple[str, Status, Status]] = []
        self.book = TaskBook(store, clock)
        self.dispatcher = Dispatcher(self.book, clock, chooser, self._assignment)
        self.liveness = Liveness(self.book, self.dispatcher, clock, chooser)
        self.dependencies = Dependencies(self.book)
        upkeep = Upkeep(self.book, self.liveness, clock, chooser, Retention())
        self.timers = Timers(self.book, upkeep.fire, clock, LIFETIMES)
        self.book.observers += [
            self.timers.on_transition,
            self._note,
            self.liveness.on_transition,
            self.dependencies.on_transition,
            self.dispatcher.on_transition,
        ]
        self.uniform = chooser.uniform
        self.sessions: dict[str, FakeWorker] = {}
        self.liveness.begin()

    def _assignment(self, task: Task) -> Answer:
        return Answer((f"{task.task_id} {task.assigned_to}".encode(),))

    def _note(self, transition: Transition) -> None:
        if transition.before is not None and transition.is_new_status:
            self.steps.append((transition.task.task_id, transition.before, transition.task.status))

    # ------------------------------------------------------------------------------------------------------- steps

    def connect(self, name: str, resumes: bool) -> None:
        self.disconnect(name, clean=False)
        worker = FakeWorker(parse_identity(name), f"session {len(self.steps)} {name}", resumes=resumes)
        self.sessions[name] = worker
        self.liveness.connected(worker)

    def disconnect(self, name: str, clean: bool) -> None:
        if (worker := self.sessions.pop(name, None)) is not None:
            self.liveness.disconnected(worker, is_clean=clean)

    def operate(self, task: Task, who: str, decide: Callable[[], Change]) -> None:
        """An operation, as the service does it: decided and made in one step, or refused."""
        if who in task.former and who not in (task.creator, task.assigned_to):
            return
        try:
            self.book.change(task, decide())
        except IllegalTransition as error:
            assert str(task.status) in str(error)

    # -------------------------------------------------------------------------------------------------- invariants

    def check(self, known: dict[str, Task]) -> None:
        held: dict[str, set[str]] = {}
        for task_id in known:
            task = self.book.get(task_id)
            assert task is not None, "lost"
            if task.is_final:
                continue
            if task.assigned_to:
                held.setdefault(task.assigned_to, set()).add(task_id)
            self.check_task(task)
        for name in {*WORKERS, *held}:
            assert {task.task_id for task in self.book.held_by(name)} == held.get(name, set())
        unfinished = [task for task in (self.book.get(task_id) for task_id in known) if task and not task.is_final]
        assert (self.book.live_in("w"), len(self.book)) == (len(unfinished), len(unfinished))
        for task_id in known:
            waiting = {task.task_id for task in unfinished if task.status in PAUSED and task_id in task.awaited}
            assert {task.task_id for task in self.book.waiters(task_id)} == waiting
        for _, before, after in self.steps:
            assert after in ALLOWED[before], (before, after)
        self.steps.clear()

    def check_task(self, task: Task) -> None:
        due = deadline(task, LIFETIMES)
        assert self.timers.due(task.task_id) == due
        if task.status is P:
            assert not task.assigned_to
            assert task.queued
            assert self.dispatcher.is_waiting(task), "stuck: neither handed out nor in a queue"
        elif task.status in WORKED_ON:
            assert task.assigned_to
            assert task.assigned_to in self.sessions or due is not None, "its worker is gone, and nobody waits for it"
        elif task.status in PAUSED:
            assert task.wait is not None
        else:
            assert task.status is Status.FAILED
            assert due is not None
        if task.status is WD:
            ended = [(found := self.book.get(name)) is None or found.is_final for name in task.depends_on]
            assert task.wait is not None
            assert not (any(ended) if task.wait.wake_on_any else all(ended)), "what it waits for has ended"


names = st.sampled_from(WORKERS)
actors = st.sampled_from([HOLDER, HOLDER, HOLDER, *WORKERS])
which = st.integers(0, 3)
policies = st.sampled_from(["", "retry", "alert"])
steps = st.one_of(
    st.tuples(st.just("create"), st.sampled_from(Mode), names, st.sampled_from([10, 30, 50]), st.integers(0, 3)),
    st.tuples(st.sampled_from(["claim", "complete", "fail", "cancel", "reject", "resume", "retry"]), which, actors),
    st.tuples(st.just("pause"), which, actors, st.sampled_from([1, 2, 4]), st.sampled_from([0, 5_000]), policies),
    st.tuples(st.just("wait_for"), which, st.lists(which, min_size=1, max_size=2), st.booleans()),
    st.tuples(st.just("connect"), names, st.booleans()),
    st.tuples(st.just("disconnect"), names, st.booleans()),
    st.tuples(st.just("advance"), st.sampled_from([1, 10, 31, 700])),
    st.tuples(st.sampled_from(["refill", "restart"])),
)


@pytest.mark.parametrize("adapter", ["memory", "sqlite"])
@settings(max_examples=400, deadline=None)
@given(history=st.lists(steps, min_size=10, max_size=50), seed=st.integers(0, 3))
def test_histories(adapter: str, history: list[tuple[object, ...]], seed: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        trio.run(play, adapter, history, seed, Path(directory))


@asynccontextmanager
async def opened(adapter: str, memory: MemoryTasks, directory: Path) -> AsyncIterator[TaskStore]:
    if adapter == "memory":
        yield memory
        return
    async with Database.open(directory, "os") as database:
        yield SqliteTasks(database)


async def play(adapter: str, history: list[tuple[object, ...]], seed: int, directory: Path) -> None:
    clock, memory = Clock(), MemoryTasks()
    known: dict[str, Task] = {}
    remaining = list(history)
    while True:
        async with opened(adapter, memory, directory) as store:
            gateway = Gateway(store, clock, seed)
            gateway.check(known)
            if not known:
                for mode in (Mode.POOL, Mode.POOL, Mode.TARGETED):
                    create(gateway, known, mode, WORKERS[0], 30, 2)
            while remaining:
                step = remaining.pop(0)
                if step[0] == "restart":
                    break
                take(gateway, known, *step)
                gateway.check(known)
            else:
                end(gateway, known)
                return


def take(gateway: Gateway, known: dict[str, Task], step: object, *arguments: object) -> None:
    match step, arguments:
        case "create", (mode, name, priority, attempts):
            create(gateway, known, mode, name, priority, attempts)  # type: ignore[arg-type]
        case "connect", (str(name), bool(resumes)):
            gateway.connect(name, resumes)
        case "disconnect", (str(name), bool(clean)):
            gateway.disconnect(name, clean)
        case "advance", (int(seconds),):
            gateway.clock.now_ms += seconds * 1000
            gateway.timers.fire_due()
        case "refill", ():
            gateway.dispatcher.refill()
        case "wait_for", (int(index), list(others), bool(any_)) if known:
            wait_for(gateway, known, index, others, any_)
        case "pause", (int(index), str(name), int(reason), int(timeout_ms), str(policy)) if known:
            task = pick(gateway, known, index)
            name = task.assigned_to if name == HOLDER else name
            wait = WaitSpec(reason, timeout_ms=timeout_ms)
            if reason == 4:
                wait.hibernation = Hibernation("K", escalation_policy=policy)
            gateway.operate(task, name, lambda: machine.pause(task, wait, gateway.clock()))
        case str(), (int(index), str(name)) if known:
            operate(gateway, pick(gateway, known, index), step, name)  # type: ignore[arg-type]


def pick(gateway: Gateway, known: dict[str, Task], index: int) -> Task:
    task = gateway.book.get(list(known)[index % len(known)])
    assert task is not None
    return task


def create(gateway: Gateway, known: dict[str, Task], mode: Mode, name: str, priority: int, attempts: int) -> None:
    task = Task(f"t{len(known)}", "w", "ag::w::boss::1", mode=mode, priority=priority)
    if attempts:
        task.retry_policy, task.max_attempts = RetryPolicy(attempts, 1, 2000), attempts
    if mode is Mode.POOL:
        task.implementation = "pool"
    elif mode is Mode.TARGETED:
        task.target = name
    task.queued = mode is not Mode.SELF_ASSIGN
    gateway.book.add(task)
    known[task.task_id] = task
    if mode is Mode.SELF_ASSIGN:
        gateway.connect(task.creator, True)
        gateway.book.change(task, machine.assign(task, task.creator, gateway.clock()))


def operate(gateway: Gateway, task: Task, op: str, name: str) -> None:
    now_ms = gateway.clock()
    name = task.assigned_to or task.creator if name == HOLDER else name
    if op == "claim" and name not in gateway.sessions:
        gateway.connect(name, True)
    decide: dict[str, Callable[[], Change]] = {
        "claim": lambda: machine.claim(task, name, now_ms),
        "complete": lambda: machine.complete(task, now_ms),
        "fail": lambda: machine.fail(task, now_ms, "no", gateway.uniform),
        "cancel": lambda: machine.cancel(task, now_ms),
        "reject": lambda: machine.reject(task, "no"),
        "resume": lambda: machine.resume(task),
        "retry": lambda: machine.retry(task),
    }
    gateway.operate(task, name, decide[op])


def wait_for(gateway: Gateway, known: dict[str, Task], index: int, others: list[int], any_: bool) -> None:
    task = pick(gateway, known, index)
    wait = WaitSpec(3, depends_on=[pick(gateway, known, other).task_id for other in others], wake_on_any=any_)
    try:
        gateway.dependencies.check(task, wait.depends_on)
    except InvalidDependency:
        return
    gateway.operate(task, task.creator, lambda: machine.pause(task, wait, gateway.clock()))


def end(gateway: Gateway, known: dict[str, Task]) -> None:
    """With every worker there and time to spare, everything that waits for a worker gets one."""
    for name in WORKERS:
        gateway.connect(name, True)
    for _ in range(50):
        gateway.clock.now_ms += 1_000_000
        gateway.timers.fire_due()
        gateway.dispatcher.refill()
    for task_id in known:
        task = gateway.book.get(task_id)
        assert task is not None
        assert task.status is not P, "nobody gave it to a worker"
        assert task.status is not Status.FAILED or task.is_final
