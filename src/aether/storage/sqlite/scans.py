"""Longer reads, in worker threads, where what is slow to read of one kind holds up nothing of another.

Reads of one kind share a connection and come one after the other, in the order they were asked for. Whoever may have
much to read does it in steps, each a read of its own, so that others of its kind have their turn between them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar, get_args

import trio

from aether.errors import StoreUnavailable
from aether.storage.sqlite.writer import Durability, connect

__all__ = ["Kind", "Scans"]

Kind = Literal["log", "values", "tasks", "audit"]

CACHE_KIB = 4000
"""Of each kind: what is read in passing is seldom read again."""

T = TypeVar("T")


class Scans:
    """One per file, which has its tables already.

    :raises sqlite3.Error: it cannot be opened.
    """

    def __init__(self, path: Path, durability: Durability) -> None:
        self._limiters = {kind: trio.CapacityLimiter(1) for kind in get_args(Kind)}
        self._connections: dict[Kind, sqlite3.Connection] = {}
        try:
            for kind in self._limiters:
                connection = self._connections[kind] = connect(path, durability, query_only=True)
                connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        except BaseException:
            self.close()
            raise

    async def run(self, kind: Kind, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read in its turn; sees what is durable.

        :raises StoreUnavailable: the database could not be read.
        """
        try:
            return await trio.to_thread.run_sync(query, self._connections[kind], limiter=self._limiters[kind])
        except sqlite3.Error as error:
            raise StoreUnavailable("the store cannot be read") from error

    def close(self) -> None:
        """Nothing is read any more."""
        for connection in self._connections.values():
            connection.close()
