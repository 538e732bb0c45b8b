"""Pending tasks that wait for a worker: of pools by priority and age, all others by whom they are for (tasks 8;
weakness 41)."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
from typing import NamedTuple

from aether.tasks.book import TaskBook
from aether.tasks.model import Mode, Task

__all__ = ["Backlog", "Pool", "addressee", "is_urgent"]

PREEMPT = 50
"""Priority from which a task passes a backlog, and workers that have enough."""

AGE_MS_PER_POINT = 6_000
"""Waiting this long weighs as much as one point of priority: after a minute a task is a level (10) higher, so that
nothing starves."""

Pool = tuple[str, str]
"""Workspace and implementation."""


class _Place(NamedTuple):
    """A place in the queue of a pool; the least is the next."""

    is_patient: bool
    rank: int
    mark_us: int
    """When it began to wait; a task that came again since has another place."""
    task_id: str


class Backlog:
    """The queues. A task that is no longer pending keeps its place until its turn comes, and is passed over then.

    Starts of agents are not in it: they are for orchestrators.

    :ivar pools: those with a queue: tasks wait there, or did a moment ago.
    :ivar identities: those for whom tasks wait.
    """

    def __init__(self, book: TaskBook) -> None:
        self._book = book
        self._queues: dict[Pool, list[_Place]] = {}
        self.pools: Collection[Pool] = self._queues
        self._queued: dict[str, int] = {}
        self._pools_of: dict[str, dict[str, None]] = {}
        self._for_identity: dict[str, dict[str, None]] = {}
        self.identities: Collection[str] = self._for_identity

    def __contains__(self, task: Task) -> bool:
        if task.mode is Mode.POOL:
            return task.task_id in self._queued
        return task.task_id in self._for_identity.get(addressee(task), ())

    def __len__(self) -> int:
        """How many tasks wait."""
        return len(self._queued) + sum(map(len, self._for_identity.values()))

    def add(self, task: Task) -> None:
        if task.is_startup:
            return
        if task.mode is not Mode.POOL:
            self._for_identity.setdefault(addressee(task), {})[task.task_id] = None
            return
        pool = (task.workspace, task.implementation)
        # Tasks of one time and priority go in the order of their creation, which is that of their last change. Whoever
        # may have a task may have an urgent one, so what comes behind those never waits for them alone.
        rank = task.created_ms - task.priority * AGE_MS_PER_POINT
        entry = _Place(not is_urgent(task), rank, task.updated_us, task.task_id)
        self._queued[task.task_id] = task.updated_us
        heapq.heappush(self._queues.setdefault(pool, []), entry)
        self._pools_of.setdefault(task.implementation, {})[task.workspace] = None

    def remove(self, task: Task) -> None:
        """It is no longer pending; idempotent."""
        self._queued.pop(task.task_id, None)
        if task.mode is not Mode.POOL and (waiting := self._for_identity.get(addressee(task))) is not None:
            waiting.pop(task.task_id, None)
            if not waiting:
                del self._for_identity[addressee(task)]

    def next(self, pool: Pool) -> Task | None:
        """The task of a pool whose turn it is; it stays where it is until it is removed."""
        queue = self._queues.get(pool)
        while queue:
            place = queue[0]
            task = self._book.get(place.task_id) if self._queued.get(place.task_id) == place.mark_us else None
            if task is not None:
                return task
            heapq.heappop(queue)
        if queue is not None:
            self._forget(pool)
        return None

    def waiting_since_us(self, pool: Pool) -> int | None:
        """When the next task of a pool began to wait; None for none."""
        queue = self._queues.get(pool)
        return queue[0].mark_us if queue else None

    def of(self, identity: str) -> list[Task]:
        """What waits for one identity, by priority, then by age."""
        waiting = self._for_identity.get(identity, ())
        tasks = [task for task_id in waiting if (task := self._book.get(task_id)) is not None]
        return sorted(tasks, key=lambda task: (-task.priority, task.created_ms, task.updated_us))

    def pools_of(self, implementation: str) -> Iterable[Pool]:
        """Those of an implementation with a queue."""
        return [(workspace, implementation) for workspace in self._pools_of.get(implementation, ())]

    def _forget(self, pool: Pool) -> None:
        del self._queues[pool]
        workspaces = self._pools_of.get(pool[1], {})
        workspaces.pop(pool[0], None)
        if not workspaces:
            self._pools_of.pop(pool[1], None)


def addressee(task: Task) -> str:
    """Who a task outside of pools is for. Only of a targeted task the target was looked at: one's own task may name
    anybody, and goes to nobody else."""
    return task.target if task.mode is Mode.TARGETED else task.creator


def is_urgent(task: Task) -> bool:
    """Whether it goes ahead of every backlog, and to workers that have enough."""
    return task.priority >= PREEMPT
