"""What happens to tasks by themselves: retries, timeouts, wake-ups, the end of patience, and forgetting (tasks 10, 11,
14)."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
import trio

from aether.errors import StoreUnavailable
from aether.tasks import machine
from aether.tasks.book import TaskBook
from aether.tasks.deadlines import Due
from aether.tasks.liveness import Liveness
from aether.tasks.model import Status, Task
from aether.tasks.store import TaskStore

__all__ = ["Retention", "Upkeep", "purge"]

log = structlog.get_logger("aether.tasks")

PURGE_ROWS = 1000
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long tasks that ended are kept, in milliseconds; how often they are looked for, in seconds (0: never)."""

    kept_ms: Mapping[Status, int] = field(
        default_factory=lambda: {
            Status.COMPLETED: 7 * DAY_MS,
            Status.FAILED: 14 * DAY_MS,
            Status.CANCELLED: 7 * DAY_MS,
            Status.REJECTED: 7 * DAY_MS,
        }
    )
    every_s: float = 86_400.0


class Upkeep:
    """Acts when a timer fires, and forgets what ended long ago.

    :param report: told of a task that stays as it is and that somebody should look at, and why: ``task_overdue``, a
        hibernated one whose time is over, or ``task_stalled``, one that its worker does not begin.
    """

    def __init__(
        self,
        book: TaskBook,
        liveness: Liveness,
        wall_clock: Callable[[], int],
        chooser: random.Random,
        retention: Retention,
        report: Callable[[Task, str], None] = lambda *_: None,
    ) -> None:
        self._book = book
        self._liveness = liveness
        self._wall_clock = wall_clock
        self._random = chooser
        self._retention = retention
        self._report = report

    def fire(self, task: Task, due: Due) -> None:
        """A timer of :class:`aether.tasks.timers.Timers` is due.

        :raises StoreUnavailable: nothing was changed.
        """
        match due:
            case Due.RETRY:
                self._book.change(task, machine.retry(task), "retry")
            case Due.TIMEOUT:
                self._time_out(task)
            case Due.WAKE if task.status is Status.HIBERNATED:
                self._book.change(task, machine.wake(task), "scheduled wake")
            case Due.WAKE:
                self._book.change(task, machine.resume(task), "scheduled wake")
            case Due.GRACE:
                self._liveness.on_grace(task)
            case Due.HELD:
                self._book.change(task, {"hold_ms": 0})
            case Due.START:
                reason = "the agent did not start in time"
                self._book.change(task, machine.fail(task, self._wall_clock(), reason, self._random.uniform), reason)
            case Due.STALLED:
                # Its worker is connected, so it may still be at it: nobody else gets the task.
                self._book.change(task, {"stalled": True})
                self._report(task, "task_stalled")
            case Due.STALE:
                self._book.change(task, machine.cancel(task, self._wall_clock(), "stale: nothing happened to it"))

    def _time_out(self, task: Task) -> None:
        policy = ""
        if task.status is Status.HIBERNATED and task.wait is not None and task.wait.hibernation is not None:
            policy = task.wait.hibernation.escalation_policy
        if policy == "retry":
            self._book.change(task, machine.wake(task), "wait timeout")
        elif policy == "alert":
            self._book.change(task, {"overdue": True})
            self._report(task, "task_overdue")
        else:
            reason = "wait timeout"
            self._book.change(task, machine.fail(task, self._wall_clock(), reason, self._random.uniform), reason)

    async def workspaces(self) -> Sequence[str]:
        """Every workspace that has a task."""
        return await self._book.store.workspaces()

    def cancel_all(self, workspace: str, reason: str) -> int:
        """End what is unfinished in a workspace; returns how many tasks that were.

        :raises StoreUnavailable: some are left.
        """
        tasks = [task for task in self._book if task.workspace == workspace]
        for task in tasks:
            if not task.is_final:  # it may have ended with another one
                self._book.change(task, machine.cancel(task, self._wall_clock(), reason), reason)
        return len(tasks)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Forget tasks whose time is over, for ever."""
        task_status.started()
        while self._retention.every_s:
            await trio.sleep(self._retention.every_s)
            try:
                await self.purge()
            except StoreUnavailable:
                log.warning("tasks not purged")

    async def purge(self) -> int:
        """Forget tasks that ended longer ago than they are kept; returns how many.

        :raises StoreUnavailable: some are still there.
        """
        return sum((await purge(self._book.store, self._retention, self._wall_clock(), self._book.forget)).values())


async def purge(
    store: TaskStore, retention: Retention, now_ms: int, forget: Callable[[Sequence[str]], None] = lambda _: None
) -> dict[Status, int]:
    """Remove tasks that ended longer ago than they are kept; returns how many by how they ended.

    :param forget: told of their ids, some at a time.
    :raises StoreUnavailable: some are still there.
    """
    removed = dict.fromkeys(retention.kept_ms, 0)
    for status, kept_ms in retention.kept_ms.items():
        while kept_ms:
            gone = await store.purge(status, now_ms - kept_ms, PURGE_ROWS)
            removed[status] += len(gone)
            forget(gone)
            if len(gone) < PURGE_ROWS:
                break
    return removed
