"""Every task that can still change, in memory, and the one place where tasks change (tasks 5.2; weaknesses 3, 5, 58).

A change is decided on the record that is here and made before anything else can run, so of two operations that race
exactly one has an effect. What follows from it -- events, notices, the next worker -- is told to observers, after the
change was staged and in its batch.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from aether.tasks.machine import Change
from aether.tasks.model import PAUSED, Status, Task
from aether.tasks.store import TaskStore

__all__ = ["Observer", "TaskBook", "Transition"]

ENDED_KEPT = 10_000
"""Tasks that ended of which the record is kept at hand."""


class Transition(NamedTuple):
    """A change that was made.

    :ivar before: status before it; None for a new task.
    :ivar change: the new values by field; those of a new task are not listed.
    :ivar reason: why, for those who follow the task.
    :ivar worker_before: who had it before.
    """

    task: Task
    before: Status | None
    change: Change
    reason: str = ""
    worker_before: str = ""

    @property
    def is_new_status(self) -> bool:
        return self.before is not self.task.status


Observer = Callable[[Transition], None]


class TaskBook:
    """All tasks by id, by who holds them, and by what they wait for.

    :param wall_clock: current Unix time in milliseconds.
    :ivar observers: called after each change, in order. They may make further changes, which are observed in full
        before the next observer hears of the first.
    """

    def __init__(self, store: TaskStore, wall_clock: Callable[[], int]) -> None:
        self.store = store
        self.observers: list[Observer] = []
        self.ticket = 0
        self._wall_clock = wall_clock
        self._open: dict[str, Task] = {}
        self._ended: OrderedDict[str, Task] = OrderedDict()
        self._held: dict[str, dict[str, None]] = {}
        self._waiters: dict[str, dict[str, None]] = {}
        self._idempotent: dict[str, str] = {}
        self._per_workspace: Counter[str] = Counter()
        self._updated_us = 0
        for task in store.unfinished():
            self._open[task.task_id] = task
            self._per_workspace[task.workspace] += 1
            self._updated_us = max(self._updated_us, task.updated_us)
            self._index(task)

    # --------------------------------------------------------------------------------------------------- looking up

    def get(self, task_id: str) -> Task | None:
        """A task, ended or not; None when there is none.

        :raises StoreUnavailable: it cannot be read now.
        """
        task = self._open.get(task_id) or self._ended.get(task_id)
        if task is None and task_id and (task := self.store.get(task_id)) is not None:
            self._remember(task)
        return task

    def by_idempotency(self, key: str) -> Task | None:
        """The task that was created with an idempotency hash."""
        task_id = self._idempotent.get(key)
        return self.get(task_id) if task_id is not None else self.store.by_idempotency(key)

    def held_by(self, identity: str) -> list[Task]:
        """Unfinished tasks that an identity has in hand, as assignee or as bound worker, the oldest first."""
        return [self._open[task_id] for task_id in self._held.get(identity, ())]

    def open_count(self, identity: str) -> int:
        return len(self._held.get(identity, ()))

    def live_in(self, workspace: str) -> int:
        """How many tasks of a workspace are unfinished."""
        return self._per_workspace[workspace]

    def waiters(self, awaited: str) -> list[Task]:
        """Paused tasks that wait for a task to end, or for a request for authority to be decided, by its id."""
        return [self._open[waiter] for waiter in self._waiters.get(awaited, ())]

    def __iter__(self) -> Iterator[Task]:
        return iter(list(self._open.values()))

    def __len__(self) -> int:
        """How many tasks are unfinished."""
        return len(self._open)

    # ----------------------------------------------------------------------------------------------------- changing

    def add(self, task: Task, payload: bytes = b"") -> Task:
        """Keep a new task.

        :raises StoreUnavailable: there is none.
        """
        self.store.check()
        task.created_ms = self._wall_clock()
        if payload:
            self.store.put_payload(task.task_id, payload)
        self._write(task)
        self._tell(Transition(task, None, {}))
        return task

    def change(self, task: Task, change: Change, reason: str = "") -> Transition | None:
        """Make a change that :mod:`aether.tasks.machine` allowed; None where it is none.

        :param reason: for those who follow the task.
        :raises StoreUnavailable: nothing was changed.
        """
        if not change:
            return None
        self.store.check()
        before, worker = task.status, task.worker
        self._forget(task)
        for name, value in change.items():
            setattr(task, name, value)
        self._write(task)
        transition = Transition(task, before, change, reason, worker)
        self._tell(transition)
        return transition

    def note(self, task: Task) -> None:
        """Write a field that has no rules, such as a heartbeat; nobody is told."""
        self.store.check()
        self._write(task)

    def forget(self, task_ids: Iterable[str]) -> None:
        """The store has removed some tasks that ended."""
        for task_id in task_ids:
            if (task := self._ended.pop(task_id, None)) is not None:
                self._forget_key(task)

    def _write(self, task: Task) -> None:
        # Unique, so that a page of a list ends at one place, and growing even when the clock is set back.
        self._updated_us = task.updated_us = max(self._updated_us + 1, self._wall_clock() * 1000)
        self.ticket = self.store.put(task)
        if not task.is_final:
            if task.task_id not in self._open:
                self._ended.pop(task.task_id, None)
                self._open[task.task_id] = task
                self._per_workspace[task.workspace] += 1
            self._index(task)
        elif self._open.pop(task.task_id, None) is not None:
            self._remember(task)
            self._per_workspace[task.workspace] -= 1
            if not self._per_workspace[task.workspace]:
                del self._per_workspace[task.workspace]

    def _tell(self, transition: Transition) -> None:
        for observer in self.observers:
            observer(transition)

    # ------------------------------------------------------------------------------------------------------ indexes

    def _index(self, task: Task) -> None:
        for identity in {task.assigned_to, task.bound} - {""}:
            self._held.setdefault(identity, {})[task.task_id] = None
        if task.status in PAUSED:
            for dependency in task.awaited:
                self._waiters.setdefault(dependency, {})[task.task_id] = None
        if task.idempotency:
            self._idempotent[task.idempotency] = task.task_id

    def _forget(self, task: Task) -> None:
        for identity in (task.assigned_to, task.bound):
            _drop(self._held, identity, task.task_id)
        for dependency in task.awaited:
            _drop(self._waiters, dependency, task.task_id)

    def _remember(self, task: Task) -> None:
        """Keep an ended task at hand, in place of the one that ended longest ago."""
        self._ended[task.task_id] = task
        if len(self._ended) > ENDED_KEPT:
            _, old = self._ended.popitem(last=False)
            self._forget_key(old)

    def _forget_key(self, task: Task) -> None:
        """A newer task may have the key by now."""
        if self._idempotent.get(task.idempotency) == task.task_id:
            del self._idempotent[task.idempotency]


def _drop(index: dict[str, dict[str, Any]], key: str, task_id: str) -> None:
    entries = index.get(key)
    if entries is not None:
        entries.pop(task_id, None)
        if not entries:
            del index[key]
