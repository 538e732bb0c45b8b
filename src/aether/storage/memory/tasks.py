"""Tasks in dictionaries; everything is durable at once."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import trio

from aether.tasks.model import Status, Task
from aether.tasks.store import Filter, Page, TaskEvent

__all__ = ["MemoryTasks", "matches"]


class MemoryTasks:
    """Implements :class:`aether.tasks.store.TaskStore`."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._payloads: dict[str, bytes] = {}
        self._events: list[TaskEvent] = []
        self._last_event = 0

    def check(self) -> None:
        pass

    def unfinished(self) -> Iterable[Task]:
        return [copy.copy(task) for task in self._tasks.values() if not task.is_final]

    def last_event(self) -> int:
        return self._last_event

    def put(self, task: Task) -> int:
        self._tasks[task.task_id] = copy.copy(task)
        return 0

    def put_payload(self, task_id: str, payload: bytes) -> int:
        self._payloads[task_id] = payload
        return 0

    def append(self, event: TaskEvent) -> int:
        self._events.append(event)
        self._last_event = event.number
        return 0

    def get(self, task_id: str) -> Task | None:
        task = self._tasks.get(task_id)
        return copy.copy(task) if task is not None and task.is_final else None

    def by_idempotency(self, key: str) -> Task | None:
        found = [task for task in self._tasks.values() if task.idempotency == key]
        return copy.copy(max(found, key=lambda task: task.created_ms)) if found else None

    def payload(self, task_id: str) -> bytes:
        return self._payloads.get(task_id, b"")

    async def query(self, wanted: Filter, limit: int, offset: int = 0, after: Page | None = None) -> Sequence[Task]:
        await trio.lowlevel.checkpoint()
        family = self._descendants(wanted.parent_task_id) if wanted.descendants else None
        found = [task for task in self._tasks.values() if matches(task, wanted, family)]
        found.sort(key=lambda task: (task.updated_us, task.task_id), reverse=True)
        if after is not None:
            found = [task for task in found if (task.updated_us, task.task_id) < after]
        return [copy.copy(task) for task in found[offset : offset + limit]]

    def _descendants(self, task_id: str) -> frozenset[str]:
        found: set[str] = set()
        parents = {task_id}
        while parents:
            children = {task.task_id for task in self._tasks.values() if task.parent_task_id in parents} - found
            found |= children
            parents = children
        return frozenset(found - {task_id})

    async def workspaces(self) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        return sorted({task.workspace for task in self._tasks.values()})

    async def events(self, task_ids: Sequence[str], after: int, since_ms: int, limit: int) -> Sequence[TaskEvent]:
        await trio.lowlevel.checkpoint()
        wanted = set(task_ids)
        found = [
            event
            for event in self._events
            if event.task_id in wanted and event.number > after and event.time_ms >= since_ms
        ]
        return found[:limit]

    async def purge(self, status: Status, before_ms: int, limit: int) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        old = self._ended_before(status, before_ms)[:limit]
        for task_id in old:
            del self._tasks[task_id]
            self._payloads.pop(task_id, None)
        gone = set(old)
        self._events = [event for event in self._events if event.task_id not in gone]
        return old

    async def purgeable(self, status: Status, before_ms: int) -> int:
        await trio.lowlevel.checkpoint()
        return len(self._ended_before(status, before_ms))

    def _ended_before(self, status: Status, before_ms: int) -> list[str]:
        return [
            task.task_id
            for task in self._tasks.values()
            if task.is_final and task.status is status and task.updated_us < before_ms * 1000
        ]


def matches(task: Task, wanted: Filter, family: frozenset[str] | None = None) -> bool:
    """Whether a filter selects a task; the meaning of :class:`aether.tasks.store.Filter` in full.

    :param family: ids below ``wanted.parent_task_id``, where descendants are asked for.
    """
    if wanted.workspaces is not None and task.workspace not in wanted.workspaces and not _is_party(task, wanted):
        return False
    if wanted.parent_task_id:
        if family is not None and task.task_id not in family:
            return False
        if family is None and task.parent_task_id != wanted.parent_task_id:
            return False
    return (
        (not wanted.statuses or task.status in wanted.statuses)
        and task.status not in wanted.exclude_statuses
        and task.task_class not in wanted.exclude_classes
        and (not wanted.min_priority or task.priority >= wanted.min_priority)
        and task.updated_us >= wanted.changed_since_ms * 1000
        and all(getattr(task, name) == value for name, value in wanted.equal.items())
    )


def _is_party(task: Task, wanted: Filter) -> bool:
    party = wanted.party
    if party is None:
        return False
    if party.identity in (task.creator, task.assigned_to, task.bound):
        return True
    return bool(party.user) and (task.subject_type, task.subject_id) == ("user", party.user)
