"""Administrative records in SQLite: one table, changed with the group commits of the database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aether.storage.sqlite.database import Database, opening
from aether.storage.sqlite.rows import Statement

__all__ = ["SqliteRecords"]

_PUT = (
    "INSERT INTO records (kind, key, record) VALUES (?, ?, ?) "
    "ON CONFLICT (kind, key) DO UPDATE SET record = excluded.record"
)
_DELETE = "DELETE FROM records WHERE kind = ? AND key = ?"


class SqliteRecords:
    """Implements :class:`aether.records.RecordStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._staged: list[Statement] = []

    def load(self, kind: str) -> Mapping[str, bytes]:
        with opening(self._database.path):
            rows = self._database.reader.execute("SELECT key, record FROM records WHERE kind = ? ORDER BY id", (kind,))
            return {key: record.encode() for key, record in rows}

    def put(self, kind: str, key: str, record: bytes) -> int:
        return self._stage(_PUT, (kind, key, record.decode()))

    def delete(self, kind: str, key: str) -> int:
        return self._stage(_DELETE, (kind, key))

    def _stage(self, sql: str, parameters: tuple[str, ...]) -> int:
        self._database.check()
        self._staged.append((sql, parameters))
        return self._database.touch(self)

    def stage(self) -> Iterable[Statement]:
        staged, self._staged = self._staged, []
        return staged

    def on_committed(self) -> None:
        pass
