"""The port to stored tasks (backends 3.4): records, payloads and events.

Tasks that can still change are in the memory of the gateway that owns them (:mod:`aether.tasks.book`); the store is
what remains of them, and all there is of those that ended. Changes are staged in the order they are made and become
durable in that order, those that belong together (a transition and its event) at once or not at all.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from aether.tasks.model import Status, Task

__all__ = [
    "UPDATED_US_MAX",
    "Filter",
    "InvalidPageToken",
    "Page",
    "Party",
    "TaskEvent",
    "TaskStore",
    "page_token",
    "read_page_token",
]


class TaskEvent(NamedTuple):
    """Something that happened to a task; kept to be replayed (tasks 12.4).

    :ivar number: position, growing over all tasks and never given twice.
    :ivar lifecycle: of an event about a child: ``spawned``, ``transitioned`` or ``completed``; then ``child_task_id``
        is set and ``to_status`` is the child's.
    """

    number: int
    task_id: str
    workspace: str
    time_ms: int
    parent_task_id: str = ""
    from_status: str = ""
    to_status: str = ""
    reason: str = ""
    child_task_id: str = ""
    lifecycle: str = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks; all conditions must hold, and an empty one is none (tasks 7).

    :ivar workspaces: any of these; None for all.
    :ivar party: whose own tasks are shown besides those of ``workspaces``.
    """

    workspaces: frozenset[str] | None = None
    party: Party | None = None
    statuses: frozenset[Status] = frozenset()
    exclude_statuses: frozenset[Status] = frozenset()
    equal: dict[str, str | int] = field(default_factory=dict)
    """By field of :class:`~aether.tasks.model.Task`: ``task_type``, ``creator``, ``context_id`` and so on."""
    exclude_classes: frozenset[int] = frozenset()
    min_priority: int = 0
    changed_since_ms: int = 0
    parent_task_id: str = ""
    descendants: bool = False


@dataclass(frozen=True, slots=True)
class Party:
    """Whose tasks: created by or assigned to the identity, or about the user."""

    identity: str
    user: str = ""


UPDATED_US_MAX = 2**63 - 1
"""What a store can compare with."""

Page = tuple[int, str]
"""Where a page ended: ``updated_us`` and ``task_id`` of its last task."""


class InvalidPageToken(ValueError):
    """Not a token of ours."""


def page_token(page: Page) -> str:
    return base64.urlsafe_b64encode(f"{page[0]}|{page[1]}".encode()).rstrip(b"=").decode()


def read_page_token(token: str) -> Page:
    """:raises InvalidPageToken: it cannot be read."""
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode()
        updated, separator, task_id = text.partition("|")
        if not separator or not task_id or not (updated.isascii() and updated.isdecimal()):
            raise ValueError
        if (updated_us := int(updated)) > UPDATED_US_MAX:
            raise ValueError
        return updated_us, task_id
    except (ValueError, binascii.Error) as error:
        raise InvalidPageToken(token) from error


class TaskStore(Protocol):
    """All methods that change something stage it and return the ticket of its batch.

    :raises StoreUnavailable: from every method: nothing was changed, or nothing can be read; retry.
    """

    def check(self) -> None:
        """:raises StoreUnavailable: the store takes no changes now."""

    def unfinished(self) -> Iterable[Task]:
        """Every task that can still change by itself or by an operation other than RETRY; read once, at the start."""

    def last_event(self) -> int:
        """Number of the newest event ever; 0 for none."""

    def put(self, task: Task) -> int:
        """Create or replace. The record is taken as it is when its batch is sealed, so changes within a batch cost one
        write."""

    def put_payload(self, task_id: str, payload: bytes) -> int:
        """Keep the payload of a new task."""

    def append(self, event: TaskEvent) -> int: ...

    def get(self, task_id: str) -> Task | None:
        """A task that ended, staged ones included. A new object each time."""

    def by_idempotency(self, key: str) -> Task | None:
        """The newest task with an idempotency hash, however it ended."""

    def payload(self, task_id: str) -> bytes:
        """Empty when there is none."""

    async def query(self, wanted: Filter, limit: int, offset: int = 0, after: Page | None = None) -> Sequence[Task]:
        """Tasks by last change, the newest first, then by id, descending; sees everything staged before.

        :param after: continue behind this place.
        """

    async def workspaces(self) -> Sequence[str]:
        """Every workspace that has a task, ended ones included."""

    async def events(self, task_ids: Sequence[str], after: int, since_ms: int, limit: int) -> Sequence[TaskEvent]:
        """Events of some tasks behind a number and not before a time, in order; sees everything staged before."""

    async def purge(self, status: Status, before_ms: int, limit: int) -> Sequence[str]:
        """Remove some tasks that ended so before a time, with payloads and events; returns their ids. Tasks that will
        be tried again are kept."""

    async def purgeable(self, status: Status, before_ms: int) -> int:
        """How many tasks :meth:`purge` would remove."""
