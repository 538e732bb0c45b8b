"""Every adapter of every port, opened fresh for a test; a new tier adds its name here and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from aether.checkpoints.store import CheckpointStore
from aether.kv.store import KVStore
from aether.messaging.log import TopicLog
from aether.records import RecordStore
from aether.sessions.store import IdentityLocks
from aether.storage.checkpoints import KVCheckpoints
from aether.storage.memory.kv import MemoryKV
from aether.storage.memory.locks import MemoryLocks
from aether.storage.memory.log import MemoryLog
from aether.storage.memory.records import MemoryRecords
from aether.storage.memory.tasks import MemoryTasks
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.kv import SqliteKV
from aether.storage.sqlite.locks import SqliteLocks
from aether.storage.sqlite.log import SqliteLog
from aether.storage.sqlite.records import SqliteRecords
from aether.storage.sqlite.tasks import SqliteTasks
from aether.tasks.store import TaskStore


class WallClock:
    """Unix time in milliseconds, moved by the test."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


@dataclass
class Stores:
    log: TopicLog
    kv: KVStore
    checkpoints: CheckpointStore
    locks: IdentityLocks
    tasks: TaskStore
    records: RecordStore
    clock: WallClock
    settle: Callable[[], Awaitable[None]]
    """Until what was staged is durable."""


Open = Callable[[], "AsyncIterator[Stores]"]


@asynccontextmanager
async def open_stores(adapter: str, directory: Path, clock: WallClock) -> AsyncIterator[Stores]:
    if adapter == "memory":
        memory = MemoryKV(clock)
        yield Stores(
            MemoryLog(clock),
            memory,
            KVCheckpoints(memory),
            MemoryLocks(clock),
            MemoryTasks(),
            MemoryRecords(),
            clock,
            trio.lowlevel.checkpoint,
        )
        return
    async with Database.open(directory, "batch" if adapter == "sqlite-batch" else "os") as database:
        kv = SqliteKV(database, clock)
        records = SqliteRecords(database)
        yield Stores(
            SqliteLog(database, clock),
            kv,
            KVCheckpoints(kv),
            SqliteLocks(database, clock),
            SqliteTasks(database),
            records,
            clock,
            lambda: database.wait_durable(records.put("settle", "", b"{}")),
        )


ADAPTERS = ["memory", "sqlite-batch", "sqlite-os"]
PERSISTENT = ["sqlite-batch", "sqlite-os"]


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=PERSISTENT)
def persistent_adapter(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
async def stores(adapter: str, tmp_path: Path, clock: WallClock) -> AsyncIterator[Stores]:
    async with open_stores(adapter, tmp_path, clock) as opened:
        yield opened
