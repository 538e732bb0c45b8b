"""Handing tasks to workers (tasks 8; weaknesses 34 to 41).

A pool is a workspace and an implementation. Its pending tasks wait in one queue (:mod:`aether.tasks.backlog`), and the
worker with the fewest open tasks is next (:mod:`aether.tasks.workers`). A task that finds no queue is handed out at
once; a backlog goes out in small batches, so that the first worker to connect does not take all of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

import trio

from aether.answers import Answer
from aether.errors import StoreUnavailable
from aether.identity import InvalidIdentity, PrincipalType, parse_identity
from aether.tasks import machine
from aether.tasks.backlog import Backlog, Pool, addressee, is_urgent
from aether.tasks.book import TaskBook, Transition
from aether.tasks.model import WORKED_ON, Mode, Status, Task
from aether.tasks.workers import BATCH, Worker, Workers

__all__ = ["Dispatcher"]

REFILL_S = 1.0
"""After this long a worker gets more in any case: some keep tasks open without a word."""
AUTOSTART_US = 1_000_000
"""How long a task waits before a worker is started for it."""


class Autostart(Protocol):
    """Starts workers, see :mod:`aether.orchestration.autostart`."""

    def limit(self, implementation: str) -> int: ...

    def start_one(self, workspace: str, implementation: str) -> None: ...

    def start_target(self, task: Task) -> bool:
        """Start the agent that a task is for; False when the store takes nothing now."""


class Dispatcher:
    """An observer of the book that gives every pending task to a worker, one at a time.

    :param assignment: what the worker of an assigned task is sent.
    :param prepare: makes what a worker needs for a task, such as authority; False when it cannot have the task now.
    :param open_max: how many open tasks a worker of an implementation may have; 0: any number.
    :param flush: sends what was put into the queues of sessions.
    :ivar autostart: brings up workers of pools that have none, and agents that are wanted and not there.
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
        self.assignment = assignment
        self.prepare = prepare
        self._flush = flush
        self.autostart: Autostart | None = None
        self._workers = Workers(book, chooser, open_max)
        self._backlog = Backlog(book)
        self._unconfirmed: dict[str, dict[str, None]] = {}
        self._hungry: dict[Pool | str, None] = {}
        self._wake = trio.Event()
        for task in book:
            if task.status is Status.PENDING and task.queued:
                self._backlog.add(task)
            elif task.status is Status.ASSIGNED:  # nobody knows any more whether it arrived
                self._unconfirmed.setdefault(task.assigned_to, {})[task.task_id] = None

    # ------------------------------------------------------------------------------------------------------ workers

    def connect(self, worker: Worker) -> None:
        """A principal is there: it gets what waits for it, then its share of the pool's backlog."""
        identity = worker.identity
        self._workers.add(worker)
        self._serve_identity(identity.key)
        if identity.kind is PrincipalType.AGENT:
            self._serve((identity.workspace, identity.implementation))
        elif self._workers.seat(identity) is not None:
            for pool in self._backlog.pools_of(identity.implementation):
                self._serve(pool)

    def disconnect(self, worker: Worker) -> None:
        """It is gone; idempotent, and harmless when a successor holds the identity."""
        pool = self._workers.remove(worker)
        if pool is not None:
            self._serve(pool)  # from now on by services

    def worker(self, identity: str) -> Worker | None:
        """The session of an identity."""
        return self._workers.get(identity)

    # -------------------------------------------------------------------------------------------------------- tasks

    def is_waiting(self, task: Task) -> bool:
        """Whether a task is in the queue of its pool, or of whom it is for."""
        return task in self._backlog

    @property
    def waiting(self) -> int:
        """How many tasks wait for a worker."""
        return len(self._backlog)

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book, and the last one: hand out what became pending, and give more to a worker that has
        done something."""
        task = transition.task
        left_hand = transition.before in WORKED_ON and transition.is_new_status
        if left_hand:  # before it is in another one
            self.confirm(transition.worker_before, task.task_id)
        if task.status is Status.PENDING and task.queued:
            if transition.before is not Status.PENDING:
                self._hand_out(task)
        else:
            self._backlog.remove(task)
        if left_hand:
            self._refill(transition.worker_before)
        if task.is_startup and task.is_final and task.status is not Status.CANCELLED:
            self.start_target(task.target)  # it may be needed again, or still

    def _hand_out(self, task: Task) -> None:
        """Give a pending task to its worker, or keep it until there is one."""
        if task.is_startup:
            return
        if task.mode is not Mode.POOL:
            self._backlog.add(task)
            self._serve_identity(addressee(task))
            if task.status is Status.PENDING:
                self._start_target_of(task)
            return
        pool = (task.workspace, task.implementation)
        urgent = is_urgent(task)
        if urgent or pool not in self._backlog.pools:
            seat = self._workers.choose(pool, urgent=urgent, backlog=False)
            if seat is not None and self._give(task, seat.worker):
                return
        self._backlog.add(task)
        self._serve(pool)

    def _serve_identity(self, identity: str) -> None:
        """Everything that waits for one identity."""
        worker = self._workers.get(identity)
        if worker is None:
            return
        for task in self._backlog.of(identity):
            if not worker.has_room or not self._give(task, worker):
                self._later(identity)
                return

    def start_target(self, identity: str) -> None:
        """Have an agent started that is not there and that tasks wait for."""
        if self._workers.get(identity) is None:
            task = next((task for task in self._backlog.of(identity) if task.starts_target), None)
            if task is not None:
                self._start_target_of(task)

    def _start_target_of(self, task: Task) -> None:
        if self.autostart is None or not task.starts_target or self._workers.get(task.target) is not None:
            return
        if not self.autostart.start_target(task):
            self._later(task.target)

    def _serve(self, pool: Pool) -> None:
        """Hand out the backlog of a pool as far as its workers may have more."""
        while (task := self._backlog.next(pool)) is not None:
            urgent = is_urgent(task)
            seat = self._workers.choose(pool, urgent=urgent, backlog=not urgent)
            if seat is None:
                if self._workers.has(pool) or self._is_started_for(pool):
                    self._later(pool)
                return
            if not urgent:
                seat.credit -= 1
            if not self._give(task, seat.worker):
                self._later(pool)
                return

    def _give(self, task: Task, worker: Worker) -> bool:
        """Assign and send; False when it cannot be this worker's now."""
        try:
            if not self.prepare(task, worker):
                return task.status is not Status.PENDING  # it may have ended over this
            self._book.change(task, machine.assign(task, worker.identity.key, self._wall_clock()))
        except StoreUnavailable:
            return False
        self.send(task, worker)
        return True

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

    # ----------------------------------------------------------------------------------------------------- refilling

    def _refill(self, identity: str) -> None:
        """A worker has begun or ended a task, so it gets the next of a backlog."""
        try:
            worker = parse_identity(identity)
        except InvalidIdentity:
            return
        seat = self._workers.seat(worker)
        if seat is None:
            return
        seat.credit = BATCH
        if worker.kind is PrincipalType.AGENT:
            pool = (worker.workspace, worker.implementation)
            if pool in self._backlog.pools:
                self._serve(pool)
            return
        for pool in self._backlog.pools_of(worker.implementation):
            self._serve(pool)

    def _later(self, whom: Pool | str) -> None:
        """Try again in a moment."""
        self._hungry[whom] = None
        self._wake.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Give more to workers that said nothing, for ever."""
        for pool in self._backlog.pools:
            self._later(pool)
        for identity in self._backlog.identities:
            self._later(identity)
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
                self.start_target(whom)
                continue
            for seat in self._workers.seats(whom):
                seat.credit = BATCH
            self._serve(whom)
            self._start_worker(whom)

    def reconsider(self, implementation: str) -> None:
        """The registration of an implementation changed: its tasks may now have workers started."""
        for pool in self._backlog.pools_of(implementation):
            self._later(pool)
        for identity in self._backlog.identities:
            if f"::{implementation}::" in identity:
                self._later(identity)

    def _is_started_for(self, pool: Pool) -> bool:
        return self.autostart is not None and self.autostart.limit(pool[1]) > 0

    def _start_worker(self, pool: Pool) -> None:
        """Bring up a worker where a task waited long enough and nobody may have it."""
        if self.autostart is None or not self.autostart.limit(pool[1]):
            return
        since_us = self._backlog.waiting_since_us(pool)
        if since_us is None or self._wall_clock() * 1000 - since_us < AUTOSTART_US:
            return
        if not self._workers.is_any_free(pool):
            self.autostart.start_one(*pool)
