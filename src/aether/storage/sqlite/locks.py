"""Identity locks of the local tier (connection 5, W-9, W-41).

The data directory is exclusively ours, so every lock of an earlier process is dead: free for anybody at once, and
still resumable by its session id. Within this process a held lock ends only by release, by expiry, or by a resume.
Expiry lives in memory; only who holds what is written, so refreshing costs nothing on disk. Nobody waits for that
write: a crash that undoes it also ends the session, which is then opened again instead of resumed. Fencing tokens must
never come twice, so they are taken from a range that was made durable before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace

import trio

from aether.errors import IdentityHeld
from aether.sessions.store import LOCK_TTL_MS, ClientInfo, Lock
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.rows import Statement

__all__ = ["SqliteLocks"]

FENCES_RESERVED = 10_000
"""Fencing tokens made durable at a time; a start leaves the rest of the last range unused."""
RESUMABLE_S = 600.0
"""How long after a start the locks of the earlier process may be resumed."""

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
        self._wall_clock = wall_clock
        self._ttl_ms = ttl_ms
        row = database.reader.execute("SELECT value FROM meta WHERE name = 'fence'").fetchone()
        self._fence: int = row[0] if row else 0
        self._fence_limit = self._fence
        """Largest token that may be given out."""
        self._reservation = 0
        """Ticket of the batch that makes the limit durable."""
        self._held: dict[str, Lock] = {}
        self._expires_ms: dict[str, int] = {}
        self._dead: dict[str, Lock] = {
            identity: _read(identity, record)
            for identity, record in database.reader.execute("SELECT identity, record FROM locks")
        }
        self._reserve = False
        self._changed: dict[str, Lock | None] = {}

    async def acquire(self, identity: str, session_id: str, resume_session_id: str, client: ClientInfo) -> Lock:
        self._database.check()
        now_ms = self._wall_clock()
        holder = self._live(identity)
        resumed_from = holder or self._dead.get(identity)
        resumed = bool(resume_session_id) and resumed_from is not None and resumed_from.session_id == resume_session_id
        if holder is not None and not resumed:
            raise IdentityHeld(identity)
        fence = self._next_fence()
        lock = Lock(
            identity,
            session_id,
            fence,
            initial_ms=resumed_from.initial_ms if resumed and resumed_from else now_ms,
            reconnects=resumed_from.reconnects + 1 if resumed and resumed_from else 0,
            resumed=resumed,
            previous_session=holder.session_id if holder else "",
            client=client,
        )
        self._dead.pop(identity, None)
        self._held[identity] = lock
        self._expires_ms[identity] = now_ms + self._ttl_ms
        self._stage(identity, lock)
        try:
            await self._database.wait_durable(self._reservation)
        except BaseException:
            self._drop(identity, session_id)
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
        expires_ms = self._wall_clock() + self._ttl_ms
        lost = set()
        for identity, session_id, fence in held:
            lock = self._live(identity)
            if lock is None or lock.session_id != session_id or lock.fence != fence:
                lost.add(session_id)
            else:
                self._expires_ms[identity] = expires_ms
        return lost

    async def release(self, identity: str, session_id: str, fence: int) -> bool:
        await trio.lowlevel.checkpoint()
        lock = self._held.get(identity)
        if lock is None or lock.fence != fence:
            return False
        return self._drop(identity, session_id)

    async def holder(self, identity: str) -> Lock | None:
        await trio.lowlevel.checkpoint()
        return self._live(identity)

    async def scan(self, prefix: str) -> list[Lock]:
        await trio.lowlevel.checkpoint()
        live = [lock for identity in list(self._held) if identity.startswith(prefix) and (lock := self._live(identity))]
        return live + [lock for identity, lock in self._dead.items() if identity.startswith(prefix)]

    async def forget_dead(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let the earlier process's locks go after a while; a service of the tier."""
        task_status.started()
        await trio.sleep(RESUMABLE_S)
        for identity in self._dead:
            self._stage(identity, None)
        self._dead.clear()

    def _live(self, identity: str) -> Lock | None:
        lock = self._held.get(identity)
        if lock is not None and self._expires_ms[identity] <= self._wall_clock():
            self._drop(identity, lock.session_id)
            return None
        return lock

    def _drop(self, identity: str, session_id: str) -> bool:
        lock = self._held.get(identity)
        if lock is None or lock.session_id != session_id:
            return False
        del self._held[identity]
        del self._expires_ms[identity]
        self._stage(identity, None)
        return True

    def _stage(self, identity: str, lock: Lock | None) -> int:
        self._changed[identity] = lock
        return self._database.touch(self)

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


def _read(identity: str, record: str) -> Lock:
    values = json.loads(record)
    client = ClientInfo(**values.pop("client"))
    return replace(Lock(**values, client=client), resumed=False, previous_session="")
