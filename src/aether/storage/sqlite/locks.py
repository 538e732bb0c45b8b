"""Identity locks of the local tier (connection 5, W-9, W-41).

The data directory is exclusively ours, so every lock of an earlier process is over: free for anybody at once, and
still resumable by its session id. Within this process a held lock ends only by release, by expiry, or by a resume.
Expiry lives in memory; only who holds or held what is written, so refreshing costs nothing on disk. Nobody waits for
that write: a crash that undoes it also ends the session, which is then opened again instead of resumed. Fencing tokens
must never come twice, so they are taken from a range that was made durable before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace

import trio

from aether.sessions.store import LOCK_TTL_MS, ClientInfo, Lock
from aether.storage.lock_table import LockTable
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.rows import Statement

__all__ = ["SqliteLocks"]

FENCES_RESERVED = 10_000
"""Fencing tokens made durable at a time; a start leaves the rest of the last range unused."""
FORGET_S = 60.0

_UPSERT = """
INSERT INTO locks SELECT value->>0, value->>1 FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET record = excluded.record
"""
_DELETE = "DELETE FROM locks WHERE identity IN (SELECT value FROM json_each(?))"
_SET_FENCE = "INSERT INTO meta VALUES ('fence', ?) ON CONFLICT DO UPDATE SET value = excluded.value"


class SqliteLocks:
    """Implements :class:`aether.sessions.store.IdentityLocks`."""

    def __init__(self, database: Database, wall_clock: Callable[[], int], ttl_ms: int = LOCK_TTL_MS) -> None:
        self._database = database
        row = database.reader.execute("SELECT value FROM meta WHERE name = 'fence'").fetchone()
        self._fence: int = row[0] if row else 0
        self._fence_limit = self._fence
        """Largest token that may be given out."""
        self._reservation = 0
        """Ticket of the batch that makes the limit durable."""
        self._reserve = False
        self._changed: dict[str, Lock | None] = {}
        self._table = LockTable(wall_clock, ttl_ms, self._on_change)
        for (record,) in database.reader.execute("SELECT record FROM locks"):
            self._table.load(_read(record))

    async def acquire(self, identity: str, session_id: str, resume_session_id: str, client: ClientInfo) -> Lock:
        self._database.check()
        lock = self._table.acquire(identity, session_id, resume_session_id, client, self._next_fence)
        try:
            await self._database.wait_durable(self._reservation)
        except BaseException:
            self._table.abandon(identity, session_id)
            raise
        return lock

    def _next_fence(self) -> int:
        if self._fence == self._fence_limit:
            self._fence_limit += FENCES_RESERVED
            self._reserve = True
            self._reservation = self._database.touch(self)
        self._fence += 1
        return self._fence

    async def refresh(self, held: Sequence[tuple[str, str, int]]) -> set[str]:
        await trio.lowlevel.checkpoint()
        return self._table.refresh(held)

    async def release(self, identity: str, session_id: str, fence: int) -> bool:
        await trio.lowlevel.checkpoint()
        return self._table.release(identity, session_id, fence)

    async def keep_workspace(self, identity: str, session_id: str, fence: int, workspace: str) -> bool:
        await trio.lowlevel.checkpoint()
        return self._table.keep_workspace(identity, session_id, fence, workspace)

    async def holder(self, identity: str) -> Lock | None:
        await trio.lowlevel.checkpoint()
        return self._table.holder(identity)

    async def scan(self, prefix: str) -> list[Lock]:
        await trio.lowlevel.checkpoint()
        return self._table.scan(prefix)

    async def forget_ended(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let locks go that can be resumed no longer; a service of the tier."""
        task_status.started()
        while True:
            await trio.sleep(FORGET_S)
            self._table.forget()

    def _on_change(self, identity: str, lock: Lock | None) -> None:
        self._changed[identity] = lock
        self._database.touch(self)

    def stage(self) -> Iterable[Statement]:
        if self._reserve:
            self._reserve = False
            yield _SET_FENCE, (self._fence_limit,)
        changed, self._changed = self._changed, {}
        upserts = [[identity, _record(lock)] for identity, lock in changed.items() if lock is not None]
        deletes = [identity for identity, lock in changed.items() if lock is None]
        if upserts:
            yield _UPSERT, (json.dumps(upserts),)
        if deletes:
            yield _DELETE, (json.dumps(deletes),)

    def on_committed(self) -> None:
        """Nothing is kept per batch."""


_LOCK_FIELDS = [field.name for field in fields(Lock) if field.name != "client"]
_CLIENT_FIELDS = [field.name for field in fields(ClientInfo)]


def _record(lock: Lock) -> str:
    """As JSON, for :func:`_read`; ``dataclasses.asdict`` would copy every value first."""
    values: dict[str, object] = {name: getattr(lock, name) for name in _LOCK_FIELDS}
    return json.dumps(values | {"client": {name: getattr(lock.client, name) for name in _CLIENT_FIELDS}})


def _read(record: str) -> Lock:
    """A lock of an earlier process; what only an earlier version kept is left out."""
    values = json.loads(record)
    client = ClientInfo(**values["client"])
    known = {name: values[name] for name in _LOCK_FIELDS if name in values}
    return replace(Lock(**known, client=client), resumed=False)
