"""Tasks that wait for a request for authority to be decided (tasks 11.2), and those who follow them (12.4).

Anybody may name any task in a request, and any request in a task. So those who follow a task hear only of requests by
who has a part in it, and a task waits only for those, and for requests that were made for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from aether.authority.requests import Request
from aether.identity import InvalidIdentity, parse_identity
from aether.proto import aether_pb2 as pb
from aether.tasks import machine
from aether.tasks.book import TaskBook, Transition
from aether.tasks.model import Status, Task
from aether.tasks.watches import Watches

__all__ = ["Approvals"]


class Approvals:
    """An observer of the book, told of requests by :meth:`on_request`.

    :param find: a request as it stands; None for an unknown one.
    """

    def __init__(
        self,
        book: TaskBook,
        watches: Watches,
        wall_clock: Callable[[], int],
        chooser: random.Random,
        find: Callable[[str], Request | None],
    ) -> None:
        self._book = book
        self._watches = watches
        self._wall_clock = wall_clock
        self._random = chooser
        self._find = find

    def on_request(self, request: Request, event: pb.AuthorityRequestEvent) -> None:
        """A request was made or decided, or ran out.

        :raises StoreUnavailable: not every task could go on.
        """
        task = self._book.get(request.task_id) if request.task_id else None
        if task is not None and _has_part(task, request.requester):
            self._watches.on_authority_request(task, event, self._wall_clock())
        for waiter in self._book.waiters(request.id):
            self._settle(waiter)

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book: what a task begins to wait for may be decided already."""
        if transition.is_new_status:
            self._settle(transition.task)

    def _settle(self, task: Task) -> None:
        if task.status is not Status.WAITING_AUTHORITY or task.wait is None or not task.wait.authority_request_id:
            return
        request = self._find(task.wait.authority_request_id)
        if request is None or not (request.task_id == task.task_id or _has_part(task, request.requester)):
            return  # as if there were none: who waits learns nothing of requests of others
        status, reason = request.status, request.resolution_reason
        if status == "approved":
            self._book.change(task, machine.resume(task), "authority request approved")
        elif status != "pending":
            text = f"authority request {status}" + (f": {reason}" if reason else "")
            self._book.change(task, machine.fail(task, self._wall_clock(), text, self._random.uniform), text)


def _has_part(task: Task, principal: tuple[str, str]) -> bool:
    """Whether a principal, by label and canonical id, created the task, works on it, or is whom it is for."""
    if principal == (task.subject_type, task.subject_id):
        return True
    return any(principal == _principal(key) for key in (task.creator, task.assigned_to, task.bound) if key)


def _principal(identity: str) -> tuple[str, str] | None:
    try:
        parsed = parse_identity(identity)
    except InvalidIdentity:
        return None
    return parsed.kind.label, parsed.canonical_id
