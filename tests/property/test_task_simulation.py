"""Simulated days of a pool: workers that work, fail, hang, die and come back, and a gateway that crashes, on a clock
that jumps. A failing history names its seed, and is the same again with it.

What has to hold: every task ends, none is done twice, a worker that lost a task cannot complete it, and a backlog goes
out by priority and age.
"""

from __future__ import annotations

import random
from collections import Counter
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from aether.answers import Answer
from aether.identity import Identity, PrincipalType
from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import machine
from aether.tasks.backlog import AGE_MS_PER_POINT, is_urgent
from aether.tasks.book import TaskBook, Transition
from aether.tasks.deadlines import Lifetimes
from aether.tasks.dependencies import Dependencies
from aether.tasks.dispatch import Dispatcher
from aether.tasks.liveness import Liveness
from aether.tasks.machine import IllegalTransition
from aether.tasks.model import Mode, RetryPolicy, Status, Task, WaitSpec
from aether.tasks.timers import Timers
from aether.tasks.upkeep import Retention, Upkeep

HISTORIES = 3000
CHUNKS = 6
DAY_S = 86_400
START_MS = 1_700_000_000_000


def wall_clock() -> int:
    return START_MS + round(trio.current_time() * 1000)


class Session:
    """One connection of a worker."""

    task_id = ""
    workspace_limit = None
    consumes_pool_tasks = True
    has_room = True

    def __init__(self, name: str, number: int, *, resumes: bool) -> None:
        self.identity = Identity(PrincipalType.AGENT, "w", "pool", name)
        self.session_id = f"{name} {number}"
        self.resumes = resumes
        self.send, self.receive = trio.open_memory_channel[str](1000)

    def give(self, task_id: str, assignment: Answer) -> None:
        assert task_id
        self.put(assignment)

    def put(self, answer: Answer) -> None:
        for frame in answer.frames:
            self.send.send_nowait(frame.decode())


class Simulation:
    """A store that survives, and the gateway that is up now."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.store = MemoryTasks()
        self.completions: Counter[str] = Counter()
        self.sessions = 0
        self.open_max = self.random.choice([0, 0, 1, 2])
        self.up = trio.Event()
        self.nursery: trio.Nursery | None = None

    async def serve(self) -> None:
        """A gateway from start to crash, again and again."""
        while True:
            self.book = TaskBook(self.store, wall_clock)
            self.dispatcher = Dispatcher(
                self.book, wall_clock, self.random, self.assignment, open_max=lambda _: self.open_max
            )
            self.liveness = Liveness(self.book, self.dispatcher, wall_clock, self.random)
            upkeep = Upkeep(self.book, self.liveness, wall_clock, self.random, Retention())
            timers = Timers(self.book, upkeep.fire, wall_clock, Lifetimes(pool_ms=0, interactive_ms=0))
            self.book.observers += [
                timers.on_transition,
                self.note,
                self.liveness.on_transition,
                Dependencies(self.book).on_transition,
                self.dispatcher.on_transition,
            ]
            self.liveness.begin()
            with trio.move_on_after(self.random.expovariate(1 / 2000)):
                async with trio.open_nursery() as self.nursery:
                    self.nursery.start_soon(timers.run)
                    self.nursery.start_soon(self.dispatcher.run)
                    self.nursery.start_soon(self.liveness.run)
                    self.up.set()
            self.up = trio.Event()
            await trio.sleep(self.random.uniform(0, 20))

    def assignment(self, task: Task) -> Answer:
        return Answer((task.task_id.encode(),))

    def note(self, transition: Transition) -> None:
        task = transition.task
        if not transition.is_new_status:
            return
        if task.status is Status.COMPLETED:
            self.completions[task.task_id] += 1
        elif task.status is Status.ASSIGNED and not is_urgent(task):
            pending = [other for other in self.book if other.status is Status.PENDING]
            waiting = [rank(other) for other in pending if self.dispatcher.is_waiting(other)]
            assert min(waiting, default=rank(task)) >= rank(task), "a later one was first"

    def look(self, worker: Session) -> None:
        """What is urgent waits for nobody who is there."""
        if self.dispatcher.worker(worker.identity.key) is worker:
            assert not [task for task in self.book if is_urgent(task) and self.dispatcher.is_waiting(task)]

    async def create(self, count: int) -> None:
        for number in range(count):
            await self.up.wait()
            task = Task(f"t{number}", "w", "ag::w::boss::1", mode=Mode.POOL, implementation="pool", queued=True)
            task.priority = self.random.choice([10, 30, 30, 40, 50])
            task.retry_policy = RetryPolicy(5, 1, self.random.choice([0, 1000, 60_000]))
            task.max_attempts = 5
            self.book.add(task)
            if self.random.random() < 0.5:
                await trio.sleep(self.random.expovariate(1 / 5))

    async def worker(self, name: str, *, stays: bool) -> None:
        """Comes, works, and goes in one way or another: as a new process that knows nothing, as the same one with what
        it had in hand, or for good."""
        in_hand: list[str] = []
        while True:
            await self.up.wait()
            self.sessions += 1
            session, up = Session(name, self.sessions, resumes=bool(in_hand)), self.up
            self.liveness.connected(session)
            self.look(session)
            with trio.move_on_after(self.random.expovariate(1 / 300)):
                while in_hand:
                    self.end(in_hand.pop(), session.identity.key)
                await self.work(session, up, in_hand)
            if up is self.up and up.is_set():
                self.liveness.disconnected(session, is_clean=False)
            if self.random.random() < 0.5:
                in_hand.clear()
            if not stays and self.random.random() < 0.2:
                return
            await trio.sleep(self.random.choice([0.1, 5, 40, 200]))

    async def work(self, session: Session, up: trio.Event, in_hand: list[str]) -> None:
        name = session.identity.key
        async for task_id in session.receive:
            await trio.sleep(self.random.expovariate(1 / 3))
            self.look(session)
            if up is not self.up or not up.is_set():
                return  # its gateway has crashed
            task = self.book.get(task_id)
            if task is None or task.is_final:
                continue
            try:
                self.book.change(task, machine.claim(task, name, wall_clock()))
            except IllegalTransition:
                continue
            if self.random.random() < 0.1:
                wait = WaitSpec(timeout_ms=self.random.choice([1000, 60_000]))
                self.book.change(task, machine.pause(task, wait, wall_clock()))
                continue
            in_hand.append(task_id)
            await trio.sleep(self.random.choice([0, 1, 10, 100]))
            if up is not self.up or not up.is_set():
                return
            in_hand.remove(task_id)
            self.end(task_id, name)

    def end(self, task_id: str, name: str) -> None:
        """As the service does it: who lost the task is refused."""
        task = self.book.get(task_id)
        assert task is not None
        if name in task.former and name != task.assigned_to:
            return
        try:
            if self.random.random() < 0.2:
                self.book.change(task, machine.fail(task, wall_clock(), "no luck", self.random.uniform))
            else:
                holder = task.assigned_to
                if self.book.change(task, machine.complete(task, wall_clock())) is not None:
                    assert holder in (name, ""), "somebody else had it"
        except IllegalTransition:
            pass


def rank(task: Task) -> tuple[bool, int]:
    return not is_urgent(task), task.created_ms - task.priority * AGE_MS_PER_POINT


async def simulate(seed: int) -> None:
    simulation = Simulation(seed)
    count = simulation.random.randint(1, 12)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(simulation.serve)
        for number in range(simulation.random.randint(1, 4)):
            nursery.start_soon(partial(simulation.worker, f"worker{number}", stays=number == 0))
        await simulation.create(count)
        with trio.fail_after(DAY_S):
            for number in range(count):
                while not ((task := simulation.book.get(f"t{number}")) and task.is_final):  # noqa: ASYNC110
                    await trio.sleep(10)
        nursery.cancel_scope.cancel()
    for number in range(count):
        task = simulation.book.get(f"t{number}")
        assert task is not None
        assert simulation.completions[task.task_id] == (task.status is Status.COMPLETED)
        assert task.status is Status.COMPLETED or task.attempts == task.max_attempts or task.losses > 0, task


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_histories(chunk: int) -> None:
    for seed in range(chunk, HISTORIES, CHUNKS):
        try:
            trio.run(simulate, seed, clock=MockClock(autojump_threshold=0))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
