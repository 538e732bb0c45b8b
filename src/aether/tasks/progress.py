"""Progress of tasks: a sign of life, and an event for those who follow them (tasks 2, 12.4)."""

from __future__ import annotations

from collections.abc import Callable

from aether.answers import Caller
from aether.proto import aether_pb2 as pb
from aether.tasks.book import TaskBook
from aether.tasks.model import LIVE, Task
from aether.tasks.watches import Watches

__all__ = ["Heartbeats"]

NOTED_EVERY_MS = 10_000
"""Signs of life are written down this often; what is lost in between is a moment of a task's age."""


class Heartbeats:
    """Takes the reports of workers on their tasks.

    :param renew: lets the authority of a task live longer.
    """

    def __init__(
        self,
        book: TaskBook,
        watches: Watches,
        wall_clock: Callable[[], int],
        renew: Callable[[Task], None] | None = None,
    ) -> None:
        self._renew = renew
        self._book = book
        self._watches = watches
        self._wall_clock = wall_clock

    def on_report(self, caller: Caller, report: pb.ProgressReport) -> None:
        """A report that was accepted. Only the task's own worker gives a sign of life; for others it is news.

        :raises StoreUnavailable: it could not be written down.
        """
        task = self._book.get(report.task_id) if report.task_id else None
        if task is None or task.status not in LIVE:
            return
        identity = caller.identity.key
        if identity not in (task.assigned_to, task.bound, task.creator):
            return
        now_ms = self._wall_clock()
        if identity == task.worker:
            is_due = now_ms - task.heartbeat_ms >= NOTED_EVERY_MS
            task.heartbeat_ms = now_ms
            if is_due:
                if self._renew is not None:
                    self._renew(task)
                self._book.note(task)
        self._watches.on_progress(task, report, now_ms)
