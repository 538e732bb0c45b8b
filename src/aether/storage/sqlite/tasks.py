"""Tasks in SQLite: a record each, changed with the group commits of the database, and beside it the columns that lists
are made by."""

from __future__ import annotations

import json
import operator
import sqlite3
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json

from aether.storage.sqlite.database import Database, opening
from aether.storage.sqlite.journal import Rows
from aether.storage.sqlite.rows import Statement
from aether.tasks.model import TERMINAL, Status, Task
from aether.tasks.store import Filter, Page, TaskEvent

__all__ = ["SqliteTasks"]

_COLUMNS = (
    "task_id",
    "workspace",
    "status",
    "updated_us",
    "next_retry_ms",
    "creator",
    "assigned_to",
    "bound",
    "parent_task_id",
    "root_task_id",
    "correlation_id",
    "context_id",
    "subject_id",
    "idempotency",
)
_INTO = f"tasks ({', '.join(_COLUMNS)}, record)"
_CHANGING = ("status", "updated_us", "next_retry_ms", "assigned_to", "bound", "record")
"""All other columns stay as they were created. An index is written when a statement names one of its columns, changed
or not."""
_CHANGE = "ON CONFLICT (task_id) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in _CHANGING)
_columns = operator.attrgetter(*_COLUMNS)
_EVENTS = "task_events (number, task_id, time_ms, event)"
_LATER = "ON CONFLICT DO UPDATE SET value = excluded.value"
_META = "meta (name, value)"
_ENDED_BEFORE = "status = ? AND updated_us < ? AND next_retry_ms = 0"
_BY_IDEMPOTENCY = """
SELECT record FROM tasks WHERE idempotency = ? AND idempotency != '' ORDER BY updated_us DESC LIMIT 1
"""
_PUT_PAYLOAD = "INSERT OR REPLACE INTO task_payloads VALUES (?, ?)"
_FAMILY = """
task_id IN (WITH RECURSIVE family (id) AS (
    SELECT task_id FROM tasks WHERE parent_task_id = ? AND parent_task_id != ''
    UNION SELECT child.task_id FROM tasks child JOIN family ON child.parent_task_id = family.id
    WHERE child.parent_task_id != '' LIMIT 10000
) SELECT id FROM family WHERE id != ?)
"""
_WORKSPACES = """
WITH RECURSIVE found (name) AS (
    SELECT min(workspace) FROM tasks
    UNION SELECT (SELECT min(workspace) FROM tasks WHERE workspace > found.name) FROM found WHERE found.name IS NOT NULL
) SELECT name FROM found WHERE name IS NOT NULL
"""
_ENDED = ", ".join(f"'{status}'" for status in sorted(TERMINAL))
JOURNALED_BYTES_MAX = 4096
"""Payloads up to here go through the journal; of a larger one, being written twice would cost more than it saves."""
PAYLOAD_CACHE_BYTES = 16 * 1024 * 1024

_task = TypeAdapter(Task)


def _record(task: Task) -> str:
    return _task.dump_json(task, exclude_defaults=True).decode()


class SqliteTasks:
    """Implements :class:`aether.tasks.store.TaskStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._staged: dict[str, Task] = {}
        self._unmoved: dict[str, tuple[int, str]] = {}
        self._unmoved_payloads: dict[str, tuple[int, bytes]] = {}
        self._staged_payloads: dict[str, bytes] = {}
        self._payloads: OrderedDict[str, bytes] = OrderedDict()
        self._payload_bytes = 0
        self._staged_events: list[tuple[int, str, int, str]] = []
        row = database.reader.execute("SELECT value FROM meta WHERE name = 'task_event'").fetchone()
        self._last_event: int = row[0] if row else 0
        database.on_moved.append(self._on_moved)

    def check(self) -> None:
        self._database.check()

    def unfinished(self) -> Iterable[Task]:
        with opening(self._database.path):
            rows = self._database.reader.execute(
                f"SELECT record FROM tasks WHERE status NOT IN ({_ENDED}) OR next_retry_ms > 0 ORDER BY updated_us"
            )
            return [_task.validate_json(record) for (record,) in rows]

    def last_event(self) -> int:
        return self._last_event

    # ------------------------------------------------------------------------------------------------------ writing

    def put(self, task: Task) -> int:
        self._database.check()
        self._staged[task.task_id] = task
        return self._database.touch(self)

    def put_payload(self, task_id: str, payload: bytes) -> int:
        self._database.check()
        self._staged_payloads[task_id] = payload
        self._keep(task_id, payload)
        return self._database.touch(self)

    def append(self, event: TaskEvent) -> int:
        self._database.check()
        self._last_event = event.number
        self._staged_events.append((event.number, event.task_id, event.time_ms, _encode(event)))
        return self._database.touch(self)

    def stage(self) -> Iterable[Statement | Rows]:
        staged, self._staged = self._staged, {}
        payloads, self._staged_payloads = self._staged_payloads, {}
        events, self._staged_events = self._staged_events, []
        if staged:
            rows = [
                (*_columns(task), _task.dump_json(task, exclude_defaults=True).decode()) for task in staged.values()
            ]
            ticket = self._database.open_ticket
            self._unmoved.update((row[0], (ticket, row[-1])) for row in rows)
            yield Rows(_INTO, rows, _CHANGE)
        if events:
            yield Rows(_EVENTS, events)
            yield Rows(_META, [("task_event", events[-1][0])], _LATER)
        for task_id, payload in payloads.items():
            if len(payload) > JOURNALED_BYTES_MAX:
                yield _PUT_PAYLOAD, (task_id, payload)
        if small := [item for item in payloads.items() if len(item[1]) <= JOURNALED_BYTES_MAX]:
            self._unmoved_payloads.update(
                (task_id, (self._database.open_ticket, payload)) for task_id, payload in small
            )
            yield Rows("task_payloads", small)

    def on_committed(self) -> None:
        pass

    def _on_moved(self) -> None:
        moved = self._database.moved
        self._unmoved = {task_id: row for task_id, row in self._unmoved.items() if row[0] > moved}
        self._unmoved_payloads = {key: value for key, value in self._unmoved_payloads.items() if value[0] > moved}

    # ------------------------------------------------------------------------------------------------------ reading

    def get(self, task_id: str) -> Task | None:
        if (task := self._staged.get(task_id)) is not None:
            return task if task.is_final else None
        row: tuple[Any, ...] | None = self._unmoved.get(task_id)
        if row is None:
            row = self._database.reader.execute("SELECT record FROM tasks WHERE task_id = ?", (task_id,)).fetchone()
        if row is None:
            return None
        task = _task.validate_json(row[-1])
        return task if task.is_final else None

    def by_idempotency(self, key: str) -> Task | None:
        row = self._database.reader.execute(_BY_IDEMPOTENCY, (key,)).fetchone()
        return _task.validate_json(row[0]) if row else None

    def payload(self, task_id: str) -> bytes:
        payload = self._payloads.get(task_id)
        if payload is None:
            payload = self._staged_payloads.get(task_id)
        if payload is None:
            row: tuple[Any, ...] | None = self._unmoved_payloads.get(task_id)
            row = (
                row
                or self._database.reader.execute(
                    "SELECT payload FROM task_payloads WHERE task_id = ?", (task_id,)
                ).fetchone()
            )
            payload = row[-1] if row else b""
        return payload

    def _keep(self, task_id: str, payload: bytes) -> None:
        """Payloads are mostly wanted soon; one that is being written is younger than all that leave here."""
        self._payloads[task_id] = payload
        self._payload_bytes += len(payload)
        while self._payload_bytes > PAYLOAD_CACHE_BYTES and len(self._payloads) > 1:
            self._payload_bytes -= len(self._payloads.popitem(last=False)[1])

    async def query(self, wanted: Filter, limit: int, offset: int = 0, after: Page | None = None) -> Sequence[Task]:
        conditions, parameters = _conditions(wanted)
        if after is not None:
            conditions.append("(updated_us, task_id) < (?, ?)")
            parameters += after
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        sql = f"SELECT record FROM tasks {where} ORDER BY updated_us DESC, task_id DESC LIMIT ? OFFSET ?"

        def select(reader: sqlite3.Connection) -> list[Task]:
            rows = reader.execute(sql, (*parameters, limit, offset))
            return [_task.validate_json(record) for (record,) in rows]

        await self._settle()
        return await self._database.scan("tasks", select)

    async def workspaces(self) -> Sequence[str]:
        await self._settle()
        return await self._database.scan("tasks", lambda reader: [name for (name,) in reader.execute(_WORKSPACES)])

    async def events(self, task_ids: Sequence[str], after: int, since_ms: int, limit: int) -> Sequence[TaskEvent]:
        marks = ", ".join("?" * len(task_ids))
        sql = (
            f"SELECT number, task_id, time_ms, event FROM task_events WHERE task_id IN ({marks}) "
            "AND number > ? AND time_ms >= ? ORDER BY number LIMIT ?"
        )

        def select(reader: sqlite3.Connection) -> list[TaskEvent]:
            return [_decode(*row) for row in reader.execute(sql, (*task_ids, after, since_ms, limit))]

        await self._settle()
        return await self._database.scan("tasks", select)

    async def purge(self, status: Status, before_ms: int, limit: int) -> Sequence[str]:
        def remove(writer: sqlite3.Connection) -> list[str]:
            found = writer.execute(
                f"SELECT task_id FROM tasks WHERE {_ENDED_BEFORE} LIMIT ?", (status, before_ms * 1000, limit)
            )
            ids = [task_id for (task_id,) in found]
            listed = json.dumps(ids)
            for table in ("tasks", "task_payloads", "task_events"):
                writer.execute(f"DELETE FROM {table} WHERE task_id IN (SELECT value FROM json_each(?))", (listed,))
            return ids

        await self._settle()
        return await self._database.maintain(remove)

    async def purgeable(self, status: Status, before_ms: int) -> int:
        def count(reader: sqlite3.Connection) -> int:
            query = f"SELECT count(*) FROM tasks WHERE {_ENDED_BEFORE}"
            found: int = reader.execute(query, (status, before_ms * 1000)).fetchone()[0]
            return found

        await self._settle()
        return await self._database.scan("tasks", count)

    async def _settle(self) -> None:
        """Until what was staged can be read."""
        await self._database.wait_moved(self._database.latest_ticket)


def _conditions(wanted: Filter) -> tuple[list[str], list[str | int]]:
    """SQL for a filter; values only ever go in as parameters."""
    conditions: list[str] = []
    parameters: list[str | int] = []

    def add(condition: str, *values: str | int) -> None:
        conditions.append(condition)
        parameters.extend(values)

    def add_any(column: str, values: Iterable[str | int], *, negated: bool = False) -> None:
        chosen = sorted(values)
        add(f"{column} {'NOT ' * negated}IN ({', '.join('?' * len(chosen))})", *chosen)

    for name, value in wanted.equal.items():
        add(_equals(name), value)
    if wanted.statuses:
        add_any("status", wanted.statuses)
    if wanted.exclude_statuses:
        add_any("status", wanted.exclude_statuses, negated=True)
    if wanted.exclude_classes:
        add_any(_column("task_class"), wanted.exclude_classes, negated=True)
    if wanted.min_priority:
        add(f"{_column('priority')} >= ?", wanted.min_priority)
    if wanted.changed_since_ms:
        add("updated_us >= ?", wanted.changed_since_ms * 1000)
    if wanted.parent_task_id and wanted.descendants:
        add(_FAMILY, wanted.parent_task_id, wanted.parent_task_id)
    elif wanted.parent_task_id:
        add(_equals("parent_task_id"), wanted.parent_task_id)
    if wanted.workspaces is not None:
        names = sorted(wanted.workspaces)
        choices = [f"workspace IN ({', '.join('?' * len(names))})"]
        values: list[str | int] = [*names]
        if (party := wanted.party) is not None:
            choices += [f"({_equals(name)})" for name in ("creator", "assigned_to", "bound")]
            values += [party.identity] * 3
            if party.user:
                choices.append(f"({_equals('subject_id')} AND {_column('subject_type')} = 'user')")
                values.append(party.user)
        add(f"({' OR '.join(choices)})", *values)
    return conditions, parameters


_SPARSE = {"assigned_to", "bound", "parent_task_id", "correlation_id", "context_id", "subject_id"}
_DEFAULTS = {"task_class": 0, "priority": 30}


def _column(name: str) -> str:
    """A column, or the member of the record, which leaves out what is as usual."""
    if name in _COLUMNS:
        return name
    assert name.isidentifier()
    return f"coalesce(record->>'{name}', {_DEFAULTS.get(name, repr(''))})"


def _equals(name: str) -> str:
    """A comparison that the partial indexes of mostly empty columns can serve."""
    column = _column(name)
    return f"{column} = ? AND {column} != ''" if name in _SPARSE else f"{column} = ?"


def _encode(event: TaskEvent) -> str:
    _, _, workspace, _, *rest = event
    return to_json((workspace, *rest)).decode()


def _decode(number: int, task_id: str, time_ms: int, text: str) -> TaskEvent:
    workspace, *rest = json.loads(text)
    return TaskEvent(number, task_id, workspace, time_ms, *rest)
