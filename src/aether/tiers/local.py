"""The local tier: one process, one SQLite file, nothing to install."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
import trio

from aether.config import Config
from aether.errors import StoreUnavailable
from aether.storage.checkpoints import KVCheckpoints
from aether.storage.sqlite.audit import SqliteAudit
from aether.storage.sqlite.database import Database, opening
from aether.storage.sqlite.kv import SqliteKV
from aether.storage.sqlite.locks import SqliteLocks
from aether.storage.sqlite.log import SqliteLog
from aether.storage.sqlite.records import SqliteRecords
from aether.storage.sqlite.tasks import SqliteTasks
from aether.tiers import Tier

__all__ = ["open_local"]

log = structlog.get_logger("aether.storage")

TRIM_S = 60.0


@asynccontextmanager
async def open_local(config: Config, wall_clock: Callable[[], int]) -> AsyncIterator[Tier]:
    """Open the data directory.

    :raises DataDirectoryInUse: another gateway has it.
    :raises StoreUnavailable: what is in it cannot be read.
    """
    storage = config.storage
    async with Database.open(storage.data_dir, storage.durability) as database:
        with opening(database.path):
            messages = SqliteLog(database, wall_clock, cursor_age_ms=int(storage.offset_retention * 1000))
            kv = SqliteKV(database, wall_clock)
            locks = SqliteLocks(database, wall_clock, int(config.gateway.lock_ttl * 1000))
            records, tasks, audit = SqliteRecords(database), SqliteTasks(database), SqliteAudit(database)

        async def probe() -> None:
            database.check()
            await database.maintain(lambda writer: writer.execute("SELECT 1").fetchone())

        async def retention(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            """Trim the log by age and size, at first what became too old while no gateway ran."""
            task_status.started()
            while True:
                try:
                    await messages.trim(
                        max_age_ms=int(storage.message_retention * 1000), max_bytes=storage.message_retention_bytes
                    )
                except StoreUnavailable:
                    log.warning("log not trimmed")
                await trio.sleep(TRIM_S)

        yield Tier(
            name="local",
            log=messages,
            kv=kv,
            checkpoints=KVCheckpoints(kv),
            locks=locks,
            records=records,
            tasks=tasks,
            audit=audit,
            durability=database,
            probe=probe,
            services=[retention, kv.sweep, locks.forget_ended],
        )
