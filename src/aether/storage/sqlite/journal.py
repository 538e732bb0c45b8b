"""Rows that are durable before they are in their tables.

What a commit costs is pages, and a row of a table with six indexes is on seven of them. So rows that nobody reads
right away go into one record of the ``journal`` with the commit that makes them durable, and from there into their
tables some hundred at a time, when each page is written once for many of them. A journal that a crash left behind is
moved when the file is opened again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from aether.storage.sqlite.rows import Statement, insert_rows

__all__ = ["Journal", "Rows", "read_journal", "record"]

ROWS_MAX = 1024
BYTES_MAX = 1024 * 1024

_WRITE = "INSERT INTO journal VALUES (?, ?)"
_REMOVE = "DELETE FROM journal WHERE id <= ?"
_READ = "SELECT id, rows FROM journal ORDER BY id"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that may reach their table later than they are durable, in the order they were made.

    :ivar into: the table with its columns in parentheses.
    :ivar on_conflict: what replaces an older row; then the first column identifies a row, and of those with the same
        one the last is enough.
    """

    into: str
    rows: Sequence[Sequence[Any]]
    on_conflict: str = ""


class Journal:
    """What is durable and not yet in its tables.

    :ivar first: ticket of the oldest batch in it; meaningless while it is empty.
    """

    def __init__(self) -> None:
        self.first = 0
        self._last = 0
        self._rows = 0
        self._bytes = 0
        self._new: dict[tuple[str, str], list[Sequence[Any]]] = {}
        self._replacing: dict[tuple[str, str], dict[Any, Sequence[Any]]] = {}

    def __bool__(self) -> bool:
        return self._rows > 0

    @property
    def is_full(self) -> bool:
        """Whether moving its rows is worth a transaction."""
        return self._rows >= ROWS_MAX or self._bytes >= BYTES_MAX

    def add(self, ticket: int, batch: Iterable[Rows], size: int) -> None:
        """The rows of a batch that is durable, which :func:`record` has written.

        :param size: of the record, in bytes.
        """
        if not self._rows:
            self.first = ticket
        self._last = ticket
        self._bytes += size
        for rows in batch:
            kind = (rows.into, rows.on_conflict)
            if rows.on_conflict:
                self._replacing.setdefault(kind, {}).update((row[0], row) for row in rows.rows)
            else:
                self._new.setdefault(kind, []).extend(rows.rows)
            self._rows += len(rows.rows)

    def take(self) -> tuple[int, list[Statement]]:
        """The statements that move everything into its tables, and the ticket of the newest batch of it."""
        statements: list[Statement] = []
        for (into, on_conflict), new in self._new.items():
            statements += insert_rows(into, new, on_conflict)
        for (into, on_conflict), replacing in self._replacing.items():
            statements += insert_rows(into, list(replacing.values()), on_conflict)
        statements.append((_REMOVE, (self._last,)))
        self._new, self._replacing, self._rows, self._bytes = {}, {}, 0, 0
        return self._last, statements


def record(ticket: int, batch: Sequence[Rows]) -> tuple[Statement, int]:
    """The statement that makes the rows of a batch durable, and the bytes of the record."""
    packed = msgpack.packb([(rows.into, rows.on_conflict, rows.rows) for rows in batch])
    return (_WRITE, (ticket, packed)), len(packed)


def read_journal(connection: sqlite3.Connection) -> Iterator[tuple[int, list[Rows], int]]:
    """What is in the journal of a file, as :meth:`Journal.add` takes it; nothing where it is too old to have one."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'journal'").fetchone():
        for ticket, packed in connection.execute(_READ):
            batch = [Rows(into, rows, on_conflict) for into, on_conflict, rows in msgpack.unpackb(packed)]
            yield ticket, batch, len(packed)
