"""Handing tasks to workers (tasks 8; weaknesses 34 to 41).

A pool is a workspace and an implementation. Its pending tasks wait in one queue, by priority and age; its workers are
the connected agents of the pool or, where there is none, the connected services of the implementation. The worker with
the fewest open tasks is next. A task that finds no queue is handed out at once; a backlog goes out in small batches, so
that the first worker to connect does not take all of it.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Protocol

import structlog
import trio

from aether.answers import Answer, WorkspaceLimit
from aether.errors import StoreUnavailable
from aether.identity import Identity, InvalidIdentity, PrincipalType, parse_identity
from aether.tasks import machine
from aether.tasks.book import TaskBook, Transition
from aether.tasks.model import WORKED_ON, Mode, Status, Task

__all__ = ["Dispatcher", "Worker"]

log = structlog.get_logger("aether.tasks")

BATCH = 8
"""Tasks of a backlog that a worker gets before it has begun or ended one."""
REFILL_S = 1.0
"""After this long it gets more in any case: some workers keep tasks open without a word."""
AUTOSTART_US = 1_000_000
"""How long a task waits before a worker is started for it."""
AGE_MS_PER_POINT = 6_000
"""Waiting this long weighs as much as one point of priority: after a minute a task is a level (10) higher, so that
nothing starves."""
PREEMPT = 50
EXACT_MAX = 16
"""Among more workers than this, two are drawn and the one with fewer open tasks is taken."""

Pool = tuple[str, str]
"""Workspace and implementation."""


class Worker(Protocol):
    """A connected principal that can be given tasks."""

    @property
    def identity(self) -> Identity: ...

    @property
    def session_id(self) -> str: ...

    @property
    def workspace_limit(self) -> WorkspaceLimit | None: ...

    @property
    def consumes_pool_tasks(self) -> bool: ...

    @property
    def has_room(self) -> bool:
        """It takes what it is sent; False while too much of that waits for it."""

    def put(self, answer: Answer) -> None:
        """Send frames, in order, each once its ticket is durable."""

    def give(self, task_id: str, assignment: Answer) -> None:
        """As :meth:`put`; :meth:`Dispatcher.confirm` is called when it has arrived."""


class Autostart(Protocol):
    """Starts workers, see :mod:`aether.orchestration.autostart`."""

    def limit(self, implementation: str) -> int: ...

    def start_one(self, workspace: str, implementation: str) -> None: ...


class _Seat:
    """A worker of a pool."""

    __slots__ = ("credit", "turn", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.credit = BATCH
        self.turn = 0


class Dispatcher:
    """An observer of the book that gives every pending task to a worker, one at a time.

    :param assignment: what the worker of an assigned task is sent.
    :param prepare: makes what a worker needs for a task, such as authority; False when it cannot have the task now.
    :param open_max: how many open tasks a worker of an implementation may have; 0: any number.
    :param flush: sends what was put into the queues of sessions.
    :ivar autostart: brings up workers of pools that have none.
    """

    def __init__(
        self,
        book: TaskBook,
        wall_clock: Callable[[], int],
        chooser: random.Random,
        assignment: Callable[[Task], Answer],
        prepare: Callable[[Task, Worker], bool] = lambda *_: True,
        open_max: Callable[[str], int] = lambda _: 0,
        flush: Callable[[], None] = lambda: None,
    ) -> None:
        self._book = book
        self._wall_clock = wall_clock
        self._random = chooser
        self.assignment = assignment
        self._prepare = prepare
        self._open_max = open_max
        self._flush = flush
        self.autostart: Autostart | None = None
        self._by_identity: dict[str, Worker] = {}
        self._agents: dict[Pool, dict[str, _Seat]] = {}
        self._services: dict[str, dict[str, _Seat]] = {}
        self._queues: dict[Pool, list[tuple[int, int, str]]] = {}
        self._queued: dict[str, int] = {}
        self._pools_of: dict[str, dict[str, None]] = {}
        self._for_identity: dict[str, dict[str, None]] = {}
        self._unconfirmed: dict[str, dict[str, None]] = {}
        self._hungry: dict[Pool | str, None] = {}
        self._turns = 0
        self._wake = trio.Event()
        for task in book:
            if task.status is Status.PENDING and task.queued:
                self._enqueue(task)
            elif task.status is Status.ASSIGNED:  # nobody knows any more whether it arrived
                self._unconfirmed.setdefault(task.assigned_to, {})[task.task_id] = None

    # ------------------------------------------------------------------------------------------------------ workers

    def connect(self, worker: Worker) -> None:
        """A principal is there: it gets what waits for it, then its share of the pool's backlog."""
        identity = worker.identity
        self._by_identity[identity.key] = worker
        self._serve_identity(identity.key)
        if identity.kind is PrincipalType.AGENT:
            pool = (identity.workspace, identity.implementation)
            self._agents.setdefault(pool, {})[identity.key] = _Seat(worker)
            self._serve(pool)
        elif identity.kind is PrincipalType.SERVICE and worker.consumes_pool_tasks:
            self._services.setdefault(identity.implementation, {})[identity.key] = _Seat(worker)
            for workspace in list(self._pools_of.get(identity.implementation, ())):
                self._serve((workspace, identity.implementation))

    def disconnect(self, worker: Worker) -> None:
        """It is gone; idempotent, and harmless when a successor holds the identity."""
        identity = worker.identity
        if self._by_identity.get(identity.key) is not worker:
            return
        del self._by_identity[identity.key]
        if identity.kind is PrincipalType.AGENT:
            pool = (identity.workspace, identity.implementation)
            seats = self._agents[pool]
            del seats[identity.key]
            if not seats:
                del self._agents[pool]
                self._serve(pool)  # from now on by services
        elif identity.kind is PrincipalType.SERVICE and (services := self._services.get(identity.implementation)):
            services.pop(identity.key, None)
            if not services:
                del self._services[identity.implementation]

    def worker(self, identity: str) -> Worker | None:
        """The session of an identity."""
        return self._by_identity.get(identity)

    def is_waiting(self, task: Task) -> bool:
        """Whether a task is in the queue of its pool, or of whom it is for."""
        if task.mode is Mode.POOL:
            return task.task_id in self._queued
        return task.task_id in self._for_identity.get(_addressee(task), ())

    def waiting(self, pool: Pool) -> int:
        """How many tasks wait in a pool."""
        return sum(self._queued.get(task_id) == mark for _, mark, task_id in self._queues.get(pool, ()))

    # -------------------------------------------------------------------------------------------------------- tasks

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book, and the last one: hand out what became pending, and give more to a worker that has
        done something."""
        task = transition.task
        if task.status is Status.PENDING and task.queued:
            if transition.before is not Status.PENDING:
                self._hand_out(task)
        else:
            self._unqueue(task)
        if transition.before in WORKED_ON and transition.is_new_status:
            self.confirm(transition.worker_before, task.task_id)
            self._refill(transition.worker_before)

    def _hand_out(self, task: Task) -> None:
        """Give a pending task to its worker, or keep it until there is one."""
        if task.is_startup:
            return
        if task.mode is not Mode.POOL:
            self._enqueue(task)
            self._serve_identity(_addressee(task))
            return
        pool = (task.workspace, task.implementation)
        urgent = task.priority >= PREEMPT
        if urgent or pool not in self._queues:
            seat = self._choose(pool, urgent=urgent, backlog=False)
            if seat is not None and self._give(task, seat.worker):
                return
        self._enqueue(task)
        self._serve(pool)

    def _enqueue(self, task: Task) -> None:
        if task.is_startup:
            return
        if task.mode is not Mode.POOL:
            self._for_identity.setdefault(_addressee(task), {})[task.task_id] = None
            return
        pool = (task.workspace, task.implementation)
        # Tasks of one time and priority go in the order of their creation, which is that of their last change.
        entry = (task.created_ms - task.priority * AGE_MS_PER_POINT, task.updated_us, task.task_id)
        self._queued[task.task_id] = task.updated_us
        heapq.heappush(self._queues.setdefault(pool, []), entry)
        self._pools_of.setdefault(task.implementation, {})[task.workspace] = None

    def _unqueue(self, task: Task) -> None:
        """It is no longer pending; its place in a queue is passed over when its turn comes."""
        self._queued.pop(task.task_id, None)
        if task.mode is not Mode.POOL and (waiting := self._for_identity.get(_addressee(task))) is not None:
            waiting.pop(task.task_id, None)
            if not waiting:
                del self._for_identity[_addressee(task)]

    def _serve_identity(self, identity: str) -> None:
        """Everything that waits for one identity, by priority, then by age."""
        worker = self._by_identity.get(identity)
        waiting = self._for_identity.get(identity)
        if worker is None or not waiting:
            return
        tasks = [task for task_id in waiting if (task := self._book.get(task_id)) is not None]
        for task in sorted(tasks, key=lambda task: (-task.priority, task.created_ms, task.updated_us)):
            if not worker.has_room or not self._give(task, worker):
                self._later(identity)
                return

    def _serve(self, pool: Pool) -> None:
        """Hand out the backlog of a pool as far as its workers may have more."""
        queue = self._queues.get(pool)
        while queue:
            _, mark, task_id = queue[0]
            task = self._book.get(task_id) if self._queued.get(task_id) == mark else None
            if task is None:
                heapq.heappop(queue)
                continue
            seat = self._choose(pool, urgent=task.priority >= PREEMPT, backlog=True)
            if seat is None:
                if self._has_workers(pool) or self._is_started_for(pool):
                    self._later(pool)
                return
            seat.credit -= 1
            if not self._give(task, seat.worker):
                self._later(pool)
                return
        if queue is not None and not queue:
            self._queues.pop(pool, None)
            workspaces = self._pools_of.get(pool[1], {})
            workspaces.pop(pool[0], None)
            if not workspaces:
                self._pools_of.pop(pool[1], None)

    def _give(self, task: Task, worker: Worker) -> bool:
        """Assign and send; False when it cannot be this worker's now."""
        try:
            if not self._prepare(task, worker):
                return task.status is not Status.PENDING  # it may have ended over this
            self._book.change(task, machine.assign(task, worker.identity.key, self._wall_clock()))
        except StoreUnavailable:
            return False
        self.send(task, worker)
        return True

    def prepare(self, task: Task, worker: Worker) -> bool:
        """Make what a worker needs for a task that it comes for by itself; False when it cannot have it."""
        return self._prepare(task, worker)

    def send(self, task: Task, worker: Worker) -> None:
        """Tell a worker of a task that it has."""
        self._unconfirmed.setdefault(worker.identity.key, {})[task.task_id] = None
        worker.give(task.task_id, self.assignment(task))

    def confirm(self, identity: str, task_id: str) -> None:
        """A worker knows that it has a task."""
        waiting = self._unconfirmed.get(identity)
        if waiting is not None:
            waiting.pop(task_id, None)
            if not waiting:
                del self._unconfirmed[identity]

    def is_unconfirmed(self, identity: str, task_id: str) -> bool:
        """Whether a worker was sent a task and may not have got it."""
        return task_id in self._unconfirmed.get(identity, ())

    # ----------------------------------------------------------------------------------------------------- choosing

    def _has_workers(self, pool: Pool) -> bool:
        return pool in self._agents or pool[1] in self._services

    def _seats(self, pool: Pool) -> list[_Seat]:
        agents = self._agents.get(pool)
        if agents:
            return list(agents.values())
        return [seat for seat in self._services.get(pool[1], {}).values() if _admits(seat.worker, pool[0])]

    def _choose(self, pool: Pool, *, urgent: bool, backlog: bool) -> _Seat | None:
        """The worker that has least to do; None when none may have more now."""
        seats = self._seats(pool)
        if len(seats) > EXACT_MAX:
            for _ in range(4):
                drawn = [seat for seat in self._random.sample(seats, 2) if self._may_have(seat, pool, urgent, backlog)]
                if drawn:
                    return self._take_turn(min(drawn, key=self._load))
        free = [seat for seat in seats if self._may_have(seat, pool, urgent, backlog)]
        return self._take_turn(min(free, key=self._load)) if free else None

    def _take_turn(self, seat: _Seat) -> _Seat:
        self._turns += 1
        seat.turn = self._turns
        return seat

    def _load(self, seat: _Seat) -> tuple[int, int]:
        """Open tasks; among equals, whose turn was longest ago."""
        return self._book.open_count(seat.worker.identity.key), seat.turn

    def _may_have(self, seat: _Seat, pool: Pool, urgent: bool, backlog: bool) -> bool:
        if not seat.worker.has_room:
            return False
        if urgent:
            return True
        if backlog and seat.credit <= 0:
            return False
        limit = self._open_max(pool[1])
        worker = seat.worker.identity.key
        if not limit or self._book.open_count(worker) < limit:
            return True
        return sum(not task.is_startup for task in self._book.held_by(worker)) < limit  # its own start is no work

    def _refill(self, identity: str) -> None:
        """A worker has begun or ended a task, so it gets the next of a backlog."""
        try:
            worker = parse_identity(identity)
        except InvalidIdentity:
            return
        if worker.kind is PrincipalType.AGENT:
            pool = (worker.workspace, worker.implementation)
            seat = self._agents.get(pool, {}).get(identity)
            pools = [pool]
        else:
            seat = self._services.get(worker.implementation, {}).get(identity)
            pools = [(workspace, worker.implementation) for workspace in self._pools_of.get(worker.implementation, ())]
        if seat is not None:
            seat.credit = BATCH
            for pool in pools:
                if pool in self._queues:
                    self._serve(pool)

    def _later(self, whom: Pool | str) -> None:
        """Try again in a moment."""
        self._hungry[whom] = None
        self._wake.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Give more to workers that said nothing, for ever."""
        for pool in self._queues:
            self._later(pool)
        task_status.started()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(REFILL_S)
            self.refill()
            self._flush()

    def refill(self) -> None:
        """Give more to the workers of every pool with a backlog."""
        hungry, self._hungry = self._hungry, {}
        for whom in hungry:
            if isinstance(whom, str):
                self._serve_identity(whom)
                continue
            for seat in self._seats(whom):
                seat.credit = BATCH
            self._serve(whom)
            self._start_worker(whom)

    def reconsider(self, implementation: str) -> None:
        """The registration of an implementation changed: its tasks may now have workers started."""
        for workspace in self._pools_of.get(implementation, ()):
            self._later((workspace, implementation))

    def _is_started_for(self, pool: Pool) -> bool:
        return self.autostart is not None and self.autostart.limit(pool[1]) > 0

    def _start_worker(self, pool: Pool) -> None:
        """Bring up a worker where a task waited long enough and nobody may have it."""
        queue = self._queues.get(pool)
        if not queue or self.autostart is None or not self.autostart.limit(pool[1]):
            return
        waiting_since = queue[0][1]  # of the next one: those whose place is passed over were taken out just now
        if self._wall_clock() * 1000 - waiting_since < AUTOSTART_US:
            return
        if not any(self._may_have(seat, pool, urgent=False, backlog=False) for seat in self._seats(pool)):
            self.autostart.start_one(*pool)


def _addressee(task: Task) -> str:
    """Who a task outside of pools is for."""
    return task.target or task.creator


def _admits(worker: Worker, workspace: str) -> bool:
    """A service works for all workspaces that its credential is for."""
    return worker.workspace_limit is None or worker.workspace_limit.admits_workspace(workspace)
