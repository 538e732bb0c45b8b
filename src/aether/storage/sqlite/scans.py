"""Longer reads, in worker threads, where what is slow to read of one kind holds up nothing of another.

Reads of one kind share a connection and come one after the other, in the order they were asked for. Whoever may have
much to read does it in steps, each a read of its own, so that others of its kind have their turn between them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import trio

from aether.errors import StoreUnavailable
from aether.storage.sqlite.writer import Durability, connect

__all__ = ["Kind", "Scans"]

Kind = Literal["log", "values", "tasks", "audit"]

CACHE_KIB = 4000
"""Of each kind: what is read in passing is seldom read again."""

T = TypeVar("T")


@dataclass
class _Lane:
    """Those of one kind; the connection is there once it was needed."""

    limiter: trio.CapacityLimiter = field(default_factory=lambda: trio.CapacityLimiter(1))
    connection: sqlite3.Connection | None = None


class Scans:
    """One per file."""

    def __init__(self, path: Path, durability: Durability) -> None:
        self._path = path
        self._durability = durability
        self._lanes: dict[Kind, _Lane] = {}

    async def run(self, kind: Kind, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a read in its turn; sees what is durable.

        :raises StoreUnavailable: the database could not be read.
        """
        lane = self._lanes.setdefault(kind, _Lane())

        def read() -> T:
            if lane.connection is None:
                lane.connection = connect(self._path, self._durability, query_only=True)
                lane.connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            return query(lane.connection)

        try:
            return await trio.to_thread.run_sync(read, limiter=lane.limiter)
        except sqlite3.Error as error:
            raise StoreUnavailable("the store cannot be read") from error

    def close(self) -> None:
        """Nothing is read any more."""
        for lane in self._lanes.values():
            if lane.connection is not None:
                lane.connection.close()
