"""Tasks that wait for a request for authority to be decided (tasks 11.2), and those who follow them (12.4)."""

from __future__ import annotations

import random
from collections.abc import Callable

from aether.proto import aether_pb2 as pb
from aether.tasks import machine
from aether.tasks.book import TaskBook, Transition
from aether.tasks.model import Status, Task
from aether.tasks.watches import Watches

__all__ = ["Approvals"]

Outcome = tuple[str, str]
"""Status and reason of a request."""


class Approvals:
    """An observer of the book, told of requests by :meth:`on_request`.

    :param outcome: how a request stands; None for an unknown one.
    """

    def __init__(
        self,
        book: TaskBook,
        watches: Watches,
        wall_clock: Callable[[], int],
        chooser: random.Random,
        outcome: Callable[[str], Outcome | None],
    ) -> None:
        self._book = book
        self._watches = watches
        self._wall_clock = wall_clock
        self._random = chooser
        self._outcome = outcome

    def on_request(self, request_id: str, task_id: str, event: pb.AuthorityRequestEvent) -> None:
        """A request was made or decided, or ran out.

        :raises StoreUnavailable: not every task could go on.
        """
        if (task := self._book.get(task_id) if task_id else None) is not None:
            self._watches.on_authority_request(task, event, self._wall_clock())
        for waiter in self._book.waiters(request_id):
            self._settle(waiter)

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book: what a task begins to wait for may be decided already."""
        if transition.is_new_status:
            self._settle(transition.task)

    def _settle(self, task: Task) -> None:
        if task.status is not Status.WAITING_AUTHORITY or task.wait is None or not task.wait.authority_request_id:
            return
        status, reason = self._outcome(task.wait.authority_request_id) or ("pending", "")
        if status == "approved":
            self._book.change(task, machine.resume(task), "authority request approved")
        elif status != "pending":
            text = f"authority request {status}" + (f": {reason}" if reason else "")
            self._book.change(task, machine.fail(task, self._wall_clock(), text, self._random.uniform), text)
