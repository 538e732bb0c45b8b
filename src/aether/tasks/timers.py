"""Timers of tasks: one heap of deadlines, one task that sleeps until the earliest (tasks 11.2; weaknesses 1, 8).

A timer is nothing but what :func:`aether.tasks.deadlines.deadline` says of a record, so there is nothing to store, and
one that waits costs its entry in the heap.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

import structlog
import trio

from aether.errors import StoreUnavailable
from aether.tasks.book import TaskBook, Transition
from aether.tasks.deadlines import Due, Lifetimes, deadline
from aether.tasks.model import Task

__all__ = ["Timers"]

log = structlog.get_logger("aether.tasks")

SLEEP_S_MAX = 60.0
"""Wall clocks are set; how long it takes to notice."""
RETRY_S = 1.0
AT_ONCE = 100
SLACK = 1024


class Timers:
    """Calls ``fire(task, due)`` when a task is to change by itself.

    :param wall_clock: current Unix time in milliseconds.
    :param flush: sends what the changes put into the queues of sessions.
    """

    def __init__(
        self,
        book: TaskBook,
        fire: Callable[[Task, Due], None],
        wall_clock: Callable[[], int],
        lifetimes: Lifetimes,
        flush: Callable[[], None] = lambda: None,
    ) -> None:
        self._book = book
        self._fire = fire
        self._wall_clock = wall_clock
        self._lifetimes = lifetimes
        self._flush = flush
        self._due: dict[str, tuple[int, Due]] = {}
        self._heap: list[tuple[int, str]] = []
        self._changed = trio.Event()
        for task in book:
            self.arm(task)

    def __len__(self) -> int:
        return len(self._due)

    def due(self, task_id: str) -> tuple[int, Due] | None:
        """When a task is to change by itself, and why."""
        return self._due.get(task_id)

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book."""
        self.arm(transition.task)

    def arm(self, task: Task) -> None:
        """Set the timer of a task as its record says."""
        due = deadline(task, self._lifetimes)
        if due == self._due.get(task.task_id):
            return
        if due is None:
            self._due.pop(task.task_id, None)
            return
        self._due[task.task_id] = due
        if len(self._heap) > 2 * len(self._due) + SLACK:  # mostly timers that were set anew or are over
            self._heap = [(due_ms, task_id) for task_id, (due_ms, _) in self._due.items()]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (due[0], task.task_id))
        if self._heap[0][1] == task.task_id:
            self._changed.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Fire what is due, for ever."""
        task_status.started()
        while True:
            self._changed = trio.Event()
            try:
                self.fire_due()
            except StoreUnavailable:  # nothing was changed, so it is still due
                await trio.sleep(RETRY_S)
                continue
            self._flush()
            if self._heap:
                left_s = max(0.0, (self._heap[0][0] - self._wall_clock()) / 1000)
                with trio.move_on_after(min(left_s, SLEEP_S_MAX)):
                    await self._changed.wait()
            else:
                await self._changed.wait()

    def fire_due(self) -> None:
        """Fire some of what is due now; the rest in the next round, so that others run in between.

        :raises StoreUnavailable: a change could not be made; its timer stays.
        """
        now_ms = self._wall_clock()
        for _ in range(AT_ONCE):
            if not self._heap or self._heap[0][0] > now_ms:
                return
            due_ms, task_id = heapq.heappop(self._heap)
            due = self._due.get(task_id)
            if due is None or due[0] != due_ms:
                continue  # it was set anew, or is over
            task = self._book.get(task_id)
            if task is None:
                del self._due[task_id]
                continue
            del self._due[task_id]
            if deadline(task, self._lifetimes) != due:
                self.arm(task)  # a sign of life has put it off
                continue
            try:
                self._fire(task, due[1])
            except StoreUnavailable:
                self._due[task_id] = due
                heapq.heappush(self._heap, (due_ms, task_id))
                raise
            if task_id not in self._due and deadline(task, self._lifetimes) != due:
                self.arm(task)
