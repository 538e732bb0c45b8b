"""The audit log in SQLite: appended with the group commits, read beside them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from aether.audit.store import FIELDS, GENESIS, Filter, Row
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.journal import Rows, read_journal
from aether.storage.sqlite.rows import insert_rows

__all__ = ["SqliteAudit", "length", "open_offline", "read_rows", "select_rows"]

_COLUMNS = ", ".join(FIELDS)
_INTO = f"audit ({_COLUMNS})"
_META = "meta (name, value)"
_LENGTH = "audit_length"
"""The number of the last row, in the same commit as the row: a log that was cut at its end shows."""
_REPLACE = "ON CONFLICT DO UPDATE SET value = excluded.value"
_READ = f"SELECT {_COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?"
_EQUAL = {
    "kind": "kind",
    "actor_type": "actor_type",
    "resource_type": "resource_type",
    "resource_id": "resource_id",
    "operation": "operation",
    "workspace": "workspace",
    "subject_type": "subject_type",
    "subject_id": "subject_id",
    "authority_mode": "authority_mode",
    "grant_id": "grant_id",
}


class SqliteAudit:
    """Implements :class:`aether.audit.store.AuditStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._staged: list[Row] = []
        self._committing = 0
        last = database.reader.execute("SELECT number, hash, time_us FROM audit ORDER BY number DESC LIMIT 1")
        number, hash_, time_us = last.fetchone() or (0, GENESIS, 0)
        self.time_us = int(time_us)
        # Where the end is missing the numbers go on behind it, so that the gap stays for everybody to see.
        self.head = max(number, length(database.reader)), hash_

    @property
    def staged(self) -> int:
        return len(self._staged) + self._committing

    def append(self, row: Row) -> int:
        self._database.check()
        self._staged.append(row)
        self.head, self.time_us = (row.number, row.hash), row.time_us
        return self._database.touch(self)

    def stage(self) -> Iterable[Rows]:
        self._committing = len(self._staged)
        if self._staged:
            staged, self._staged = self._staged, []
            yield Rows(_INTO, staged)
            yield Rows(_META, [(_LENGTH, staged[-1].number)], _REPLACE)

    def on_committed(self) -> None:
        self._committing = 0

    async def query(self, wanted: Filter, limit: int, offset: int) -> tuple[int, Sequence[Row]]:
        await self._settle()
        return await self._database.scan("audit", lambda reader: select_rows(reader, wanted, limit, offset))

    async def read(self, after: int, limit: int) -> Sequence[Row]:
        await self._settle()
        return await self._database.scan("audit", lambda reader: read_rows(reader, after, limit))

    async def oldest(self, before_us: int, limit: int) -> tuple[int, str]:
        def find(reader: sqlite3.Connection) -> tuple[int, str]:
            rows = reader.execute("SELECT number, hash, time_us FROM audit ORDER BY number LIMIT ?", (limit,))
            last = (0, "")
            for number, hash_, time_us in rows:
                if time_us >= before_us:
                    break
                last = (number, hash_)
            return last

        await self._settle()
        return await self._database.scan("audit", find)

    async def remove_through(self, number: int) -> int:
        return await self._database.maintain(
            lambda writer: writer.execute("DELETE FROM audit WHERE number <= ?", (number,)).rowcount
        )

    async def _settle(self) -> None:
        """Until what was appended can be read."""
        await self._database.wait_moved(self._database.latest_ticket)


def length(reader: sqlite3.Connection) -> int:
    """The number of the last row that was ever written, as the file has it beside the rows; 0 where it says nothing."""
    row = reader.execute("SELECT value FROM meta WHERE name = ?", (_LENGTH,)).fetchone()
    return int(row[0]) if row else 0


def read_rows(reader: sqlite3.Connection, after: float, limit: int) -> list[Row]:
    """Rows by number, from the one after ``after``; behind minus infinity from the first, whatever its number."""
    return [_row(values) for values in reader.execute(_READ, (after, limit))]


def select_rows(reader: sqlite3.Connection, wanted: Filter, limit: int, offset: int) -> tuple[int, list[Row]]:
    """How many rows match, and one page of them, the newest first."""
    conditions, parameters = _conditions(wanted)
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    (total,) = reader.execute(f"SELECT count(*) FROM audit {where}", parameters).fetchone()
    rows = reader.execute(
        f"SELECT {_COLUMNS} FROM audit {where} ORDER BY number DESC LIMIT ? OFFSET ?", (*parameters, limit, offset)
    )
    return total, [_row(values) for values in rows]


def _conditions(wanted: Filter) -> tuple[list[str], list[str | int]]:
    """SQL for a filter; values only ever go in as parameters."""
    conditions: list[str] = []
    parameters: list[str | int] = []

    def add(condition: str, *values: str | int) -> None:
        conditions.append(condition)
        parameters.extend(values)

    for name, column in _EQUAL.items():
        if value := getattr(wanted, name):
            add(f"{column} = ?", value)
    if wanted.actor_id:
        # In this form for the index of those whose ids differ, who are few.
        condition = "(canonical_id = ? OR (actor_id = ? AND actor_id != canonical_id))"
        add(condition, wanted.actor_id, wanted.actor_id)
    if wanted.start_us:
        add("time_us >= ?", wanted.start_us)
    if wanted.end_us:
        add("time_us <= ?", wanted.end_us)
    if wanted.only_failures:
        add("success = 0")
    for column, excluded in (
        ("actor_type", wanted.exclude_actor_types),
        ("workspace", wanted.exclude_workspaces),
    ):
        if excluded:
            add(f"{column} NOT IN ({', '.join('?' * len(excluded))})", *excluded)
    if wanted.exclude_service_direct:
        add("NOT (actor_type = 'service' AND authority_mode = 'direct')")
    if wanted.decision:
        add("kind = 'authorization' AND success = ?", int(wanted.decision == "ALLOW"))
    if wanted.before_number:
        add("number < ?", wanted.before_number)
    return conditions, parameters


def _row(values: Sequence[object]) -> Row:
    row = dict(zip(FIELDS, values, strict=True))
    if row["success"] in (0, 1):  # anything else was not written by us, and shows in the chain
        row["success"] = bool(row["success"])
    return Row(**row)  # type: ignore[arg-type]


def open_offline(path: Path) -> sqlite3.Connection:
    """A read-only connection to the database of a data directory, beside a running gateway or without one.

    It shows what was there when it was opened, rows that a crash left in the journal included.

    :raises sqlite3.Error: there is none, or it cannot be read.
    """
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.execute("BEGIN")  # one moment of the table and of the journal
    journal = [rows for _, batch, _ in read_journal(connection) for rows in batch]
    late = [row for rows in journal if rows.into == _INTO for row in rows.rows]
    if late:
        connection.execute(f"CREATE TEMP TABLE late_audit ({_COLUMNS})")
        for statement in insert_rows(f"late_audit ({_COLUMNS})", late):
            connection.execute(*statement)
        connection.execute(
            f"CREATE TEMP VIEW audit AS SELECT {_COLUMNS} FROM main.audit UNION ALL SELECT {_COLUMNS} FROM late_audit"
        )
    return connection
