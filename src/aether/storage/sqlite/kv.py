"""Key/value storage in SQLite (kv 4.3, 7).

Commands are evaluated on the trio thread against *staged, being committed, cached, stored* -- the first that knows the
key -- and are therefore linearizable without SQL transactions. What they change is staged for the next batch; a result
that depends on a staged entry carries that entry's ticket, so nobody is told a value that a crash could undo.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import structlog
import trio

from aether.errors import InvalidArgument, StoreUnavailable
from aether.kv._shortcuts import Entries, Usage
from aether.kv.accounts import Accounts
from aether.kv.semantics import Entry, Members, check_key, evaluate, upper_bound
from aether.kv.store import LIST_BYTES_MAX, Command, Namespace, Op, Place, Result
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.rows import Statement

__all__ = ["SqliteKV"]

log = structlog.get_logger("aether.storage")

CACHE_BYTES = 16 * 1024 * 1024
PAGE = 100
PURGE_PAGE = 200
STEP_ROWS = 1000
STEP_BYTES = 256 * 1024
"""After which a LIST lets others read."""
SWEEP_S = 30.0
SWEEP_ROWS = 200
PLAIN, SET = 0, 1
NOWHERE = -1
KNOWN_MAX = 10_000
"""Namespaces of which an id, a number of keys or an account is remembered."""

_UPSERT = """
INSERT INTO kv
SELECT value->>0, substr(?2, value->>1, value->>2), value->>3, value->>4, substr(?2, value->>5, value->>6)
FROM json_each(?1) WHERE true
ON CONFLICT DO UPDATE SET kind = excluded.kind, expires_ms = excluded.expires_ms, value = excluded.value
"""
_UPSERT_ONE = """
INSERT INTO kv VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET kind = excluded.kind, expires_ms = excluded.expires_ms, value = excluded.value
"""
_DELETE = """
DELETE FROM kv WHERE (namespace, key) IN
(SELECT value->>0, substr(?2, value->>1, value->>2) FROM json_each(?1))
"""
_EXPIRED = f"SELECT namespace, key FROM kv WHERE expires_ms > 0 AND expires_ms <= ? LIMIT {SWEEP_ROWS}"
_INSERT_NAMESPACES = """
INSERT INTO namespaces
SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 FROM json_each(?)
"""
_FIND_NAMESPACE = """
SELECT id FROM namespaces WHERE scope = ? AND implementation = ? AND specifier = ? AND user = ? AND workspace = ?
"""


_ACCOUNT = "SELECT account FROM namespaces WHERE id = ?"
_STORED = """
SELECT account, count(*), sum(length(key) + length(value)) FROM kv JOIN namespaces ON id = namespace GROUP BY account
"""


class SqliteKV:
    """Implements :class:`aether.kv.store.CachingKVStore`."""

    def __init__(self, database: Database, wall_clock: Callable[[], int], cache_bytes: int = CACHE_BYTES) -> None:
        self._database = database
        self._wall_clock = wall_clock
        self._next_namespace: int = database.reader.execute(
            "SELECT coalesce(max(id), 0) + 1 FROM namespaces"
        ).fetchone()[0]
        self._namespaces: OrderedDict[tuple[int, str, str, str, str], int] = OrderedDict()
        self._new_namespaces: dict[tuple[int, str, str, str, str], int] = {}
        self._committing_namespaces: dict[tuple[int, str, str, str, str], int] = {}
        self.entries = Entries(database, self._begin, wall_clock)
        self._cache_room = cache_bytes
        self._counts: OrderedDict[int, int] = OrderedDict()
        self.accounts = Accounts()
        for account, keys, size in database.reader.execute(_STORED):
            usage = self.accounts.of(account)
            usage.keys, usage.bytes = keys, size

    # ---------------------------------------------------------------------------------------------- commands

    def apply(self, command: Command) -> tuple[Result, int]:
        now_ms = self._wall_clock()
        key = check_key(command)
        writes = command.op not in (Op.GET, Op.SET_CARD)
        if writes:
            self._database.check()
        place = (self._namespace_id(command.namespace), key)
        stored, ticket = (None, 0) if place[0] == NOWHERE else self._lookup(place)
        entry = None if stored is not None and 0 < stored.expires_ms <= now_ms else stored
        change, result = evaluate(entry, command, now_ms)
        if change is None or isinstance(change, Entry):
            is_new = place[0] == NOWHERE
            usage = self.accounts.of(command.account) if is_new else self._usage(place[0])
            usage.charge(key, stored, change)
            if is_new:
                place = (self._make_namespace(command.namespace, usage), key)
            self._stage(place, stored, change)
            ticket = self._database.touch(self)
        return result, ticket

    def _stage(self, place: Place, before: Entry | None, after: Entry | None) -> None:
        self.entries.staged[place] = after
        if place[0] in self._counts:
            self._counts[place[0]] += (after is not None) - (before is not None)

    def _begin(self) -> int:
        """Announce a change; the ticket of its batch.

        :raises StoreUnavailable: commits fail.
        """
        self._database.check()
        return self._database.touch(self)

    def place(self, namespace: Namespace, key: str) -> Place | None:
        """Where an entry is; None while its namespace is empty."""
        identifier = self._namespace_id(namespace)
        return None if identifier == NOWHERE else (identifier, key.encode("utf-8", "surrogatepass"))

    async def execute(self, command: Command) -> Result:
        if command.op is Op.LIST:
            return await self._list(command)
        if command.op is Op.PURGE_IDENTITY:
            return await self._purge(command)
        result, ticket = self.apply(command)
        await self._database.wait_durable(ticket)
        return result

    async def count(self, namespace: Namespace) -> int:
        await trio.lowlevel.checkpoint()
        return self.count_nowait(namespace)

    def count_nowait(self, namespace: Namespace) -> int:
        """Keys in a namespace; those that expired may still be counted until they are swept."""
        identifier = self._namespace_id(namespace)
        count = self._counts.get(identifier)
        if count is None:
            query = "SELECT count(*) FROM kv WHERE namespace = ?"
            count = int(self._database.reader.execute(query, (identifier,)).fetchone()[0])
            for (where, key), entry in (self.entries.committing | self.entries.staged).items():
                if where == identifier:
                    count += (entry is not None) - (self._stored((where, key)) is not None)
            self._counts[identifier] = count
            if len(self._counts) > KNOWN_MAX:
                self._counts.popitem(last=False)
        return count

    async def _list(self, command: Command) -> Result:
        prefix = command.key.encode("utf-8", "surrogatepass")
        after = _decode_cursor(command.cursor)
        limit = command.limit if command.limit > 0 else PAGE
        namespace = self._namespace_id(command.namespace)
        await self._settle(namespace)
        if namespace == NOWHERE:
            return Result(keys=[], values=[])
        page = _Page(namespace, prefix, after, limit, self._wall_clock())
        while not await self._database.scan("values", page.step):
            pass
        keys = [key.decode("utf-8", "surrogatepass") for key, _ in page.rows]
        result = Result(more=page.more, keys=keys, values=[value for _, value in page.rows])
        if page.more:
            result.cursor = base64.urlsafe_b64encode(page.rows[-1][0]).decode()
        return result

    async def _purge(self, command: Command) -> Result:
        """Remove every key with the prefix, sets included. A key that is written again behind the step that removed it
        stays: whoever writes without a pause does not hold this up for ever."""
        start = prefix = command.key.encode("utf-8", "surrogatepass")
        namespace = self._namespace_id(command.namespace)
        removed = 0
        while True:
            await self._settle(namespace)
            now_ms = self._wall_clock()
            keys = await self._database.scan("values", partial(_keys, namespace=namespace, prefix=prefix, start=start))
            if not keys:
                return Result(counter=removed, applied=removed > 0)
            start = keys[-1] + b"\0"
            self._database.check()
            for key in keys:
                entry = self._remove((namespace, key))
                removed += entry is not None and not 0 < entry.expires_ms <= now_ms
            self._database.touch(self)

    def _remove(self, place: Place) -> Entry | None:
        """Take away what is there; tells what that was."""
        entry = self._newest(place)
        if entry is not None:
            self._usage(place[0]).charge(place[1], entry, None)
            self._stage(place, entry, None)
        return entry

    def _newest(self, place: Place) -> Entry | None:
        """As :meth:`_lookup`, but nothing is remembered of it."""
        for known in (self.entries.staged, self.entries.committing, self.entries.stored):
            if place in known:
                return known[place]
        return self._stored(place)

    async def _settle(self, namespace: int) -> None:
        """Make what is staged for a namespace durable, so that a scan sees it."""
        if any(where == namespace for where, _ in self.entries.staged):
            await self._database.wait_durable(self._database.open_ticket)
        elif any(where == namespace for where, _ in self.entries.committing):
            await self._database.wait_durable(self._database.open_ticket - 1)
        else:
            await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------------------------------------ entries

    def _lookup(self, place: Place) -> tuple[Entry | None, int]:
        """The newest entry and the ticket it depends on (0: durable)."""
        if place in self.entries.staged:
            return self.entries.staged[place], self._database.open_ticket
        if place in self.entries.committing:
            return self.entries.committing[place], self._database.open_ticket - 1
        try:
            entry = self.entries.stored[place]
        except KeyError:
            entry = self._stored(place)
            self._remember(place, entry)
        else:
            self.entries.stored.move_to_end(place)
        return entry, 0

    def _stored(self, place: Place) -> Entry | None:
        try:
            row = self._database.reader.execute(
                "SELECT kind, value, expires_ms FROM kv WHERE namespace = ? AND key = ?", place
            ).fetchone()
        except sqlite3.Error as error:
            raise StoreUnavailable("the store cannot read") from error
        return _entry(*row) if row else None

    def _remember(self, place: Place, entry: Entry | None) -> None:
        """Cache what is stored, also that nothing is."""
        self._forget(place)
        size = _size(place, entry)
        if size > CACHE_BYTES // 16:
            return
        self.entries.stored[place] = entry
        self._cache_room -= size
        while self._cache_room < 0:
            oldest, old = self.entries.stored.popitem(last=False)
            self._cache_room += _size(oldest, old)

    def _forget(self, place: Place) -> None:
        if place in self.entries.stored:
            self._cache_room += _size(place, self.entries.stored.pop(place))

    def _namespace_id(self, namespace: Namespace) -> int:
        """Id of a namespace; NOWHERE for one that nothing was ever stored in."""
        key = namespace.key
        identifier = self._namespaces.get(key) or self._new_namespaces.get(key) or self._committing_namespaces.get(key)
        if identifier is None:
            row = self._database.reader.execute(_FIND_NAMESPACE, key).fetchone()
            identifier = self._namespaces[key] = NOWHERE if row is None else int(row[0])
            if len(self._namespaces) > KNOWN_MAX:
                self._namespaces.popitem(last=False)
        return identifier

    def _make_namespace(self, namespace: Namespace, usage: Usage) -> int:
        """The id of a namespace that nothing was ever stored in, and that something is now."""
        self._namespaces.pop(namespace.key, None)
        identifier = self._new_namespaces[namespace.key] = self._next_namespace
        self._next_namespace += 1
        self.entries.usages[identifier] = usage
        return identifier

    def _usage(self, namespace: int) -> Usage:
        """Whom a namespace is charged to."""
        usages = self.entries.usages
        usage = usages.get(namespace)
        if usage is None:
            if len(usages) >= KNOWN_MAX:  # of those that are not stored yet nobody else knows it
                kept = [*self._new_namespaces.values(), *self._committing_namespaces.values()]
                known = {identifier: usages[identifier] for identifier in kept}
                usages.clear()
                usages.update(known)
            [account] = self._database.reader.execute(_ACCOUNT, (namespace,)).fetchone()
            usage = usages[namespace] = self.accounts.of(account)
        return usage

    # ------------------------------------------------------------------------------------------------ batches

    def stage(self) -> Iterable[Statement]:
        self.entries.committing, self.entries.staged = self.entries.staged, {}
        self._committing_namespaces, self._new_namespaces = self._new_namespaces, {}
        if self._committing_namespaces:
            usages = self.entries.usages
            rows = [[number, *key, usages[number].account] for key, number in self._committing_namespaces.items()]
            yield _INSERT_NAMESPACES, (json.dumps(rows),)
        if len(self.entries.committing) == 1:  # a caller that writes alone waits for nothing else
            ((namespace, key), entry), *_ = self.entries.committing.items()
            if entry is not None:
                kind, value = _encode(entry.value)
                yield _UPSERT_ONE, (namespace, key, kind, entry.expires_ms, value)
                return
        upserts: list[list[int]] = []
        deletes: list[list[int]] = []
        parts: list[bytes] = []
        offset = 1
        for (namespace, key), entry in self.entries.committing.items():
            parts.append(key)
            start, offset = offset, offset + len(key)
            if entry is None:
                deletes.append([namespace, start, len(key)])
            else:
                kind, value = _encode(entry.value)
                parts.append(value)
                upserts.append([namespace, start, len(key), kind, entry.expires_ms, offset, len(value)])
                offset += len(value)
        blob = b"".join(parts)
        if upserts:
            yield _UPSERT, (json.dumps(upserts), blob)
        if deletes:
            yield _DELETE, (json.dumps(deletes), blob)

    def on_committed(self) -> None:
        for place, entry in self.entries.committing.items():
            self._remember(place, entry)
        self.entries.committing = {}
        self._namespaces.update(self._committing_namespaces)
        self._committing_namespaces = {}

    async def sweep(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Remove expired entries now and then, in small steps; a service of the tier."""
        task_status.started()
        while True:
            await trio.sleep(SWEEP_S)
            try:
                while await self._sweep_once() == SWEEP_ROWS:
                    pass
            except StoreUnavailable:
                log.warning("expired entries not removed")

    async def _sweep_once(self) -> int:
        """One step; returns how many had expired.

        :raises StoreUnavailable: they could not be removed.
        """
        now_ms = self._wall_clock()
        places = await self._database.scan("values", lambda reader: reader.execute(_EXPIRED, (now_ms,)).fetchall())
        self._database.check()
        for place in places:
            entry = self._newest(place)
            if entry is not None and 0 < entry.expires_ms <= now_ms:  # and was not written again meanwhile
                self._remove(place)
        if places:
            await self._database.wait_durable(self._database.touch(self))
        return len(places)


def _encode(value: bytes | Members) -> tuple[int, bytes]:
    if isinstance(value, bytes):
        return PLAIN, value
    return SET, b"".join(len(member).to_bytes(4, "little") + member for member in sorted(value))


def _entry(kind: int, data: bytes, expires_ms: int) -> Entry:
    if kind == PLAIN:
        return Entry(data, expires_ms)
    members, offset = [], 0
    while offset < len(data):
        size = int.from_bytes(data[offset : offset + 4], "little")
        members.append(data[offset + 4 : offset + 4 + size])
        offset += 4 + size
    return Entry(frozenset(members), expires_ms)


def _size(place: Place, entry: Entry | None) -> int:
    value = entry.value if entry is not None else b""
    return 200 + len(place[1]) + (len(value) if isinstance(value, bytes) else sum(len(member) + 60 for member in value))


def _decode_cursor(cursor: str) -> bytes:
    """The key to continue after; empty to start."""
    if cursor in ("", "0"):
        return b""
    try:
        return base64.b64decode(cursor, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument("unreadable cursor") from None


class _Page:
    """Live plain entries in key order, bounded by count and bytes, read in steps; each in a worker thread.

    :ivar rows: keys and values.
    :ivar more: whether others follow, once it is complete.
    """

    def __init__(self, namespace: int, prefix: bytes, after: bytes, limit: int, now_ms: int) -> None:
        self.rows: list[tuple[bytes, bytes]] = []
        self.more = False
        self._room = LIST_BYTES_MAX
        self._namespace = namespace
        self._start, self._past = (after, ">") if after >= prefix else (prefix, ">=")
        self._bound = upper_bound(prefix)
        self._limit = limit
        self._now_ms = now_ms

    def step(self, reader: sqlite3.Connection) -> bool:
        """Read on, past so many rows or bytes at most; True once it is complete. Values of no use are not read."""
        query = f"""
        SELECT key, CASE WHEN kind = {PLAIN} AND (expires_ms = 0 OR expires_ms > ?) THEN value END FROM kv
        WHERE namespace = ? AND key {self._past} ? {"AND key < ?" if self._bound is not None else ""}
        ORDER BY key LIMIT {STEP_ROWS}"""
        parameters: list[Any] = [self._now_ms, self._namespace, self._start]
        if self._bound is not None:
            parameters.append(self._bound)
        passed = size = 0
        for key, value in reader.execute(query, parameters):
            passed += 1
            if value is not None:
                size += 2 * len(key) + len(value) + 16
                if len(self.rows) >= self._limit or (self._room < size and self.rows):
                    self.more = True
                    return True
                self.rows.append((key, value))
            self._start, self._past = key, ">"
            if size >= STEP_BYTES:
                break
        self._room -= size
        return passed < STEP_ROWS and size < STEP_BYTES


def _keys(reader: sqlite3.Connection, namespace: int, prefix: bytes, start: bytes) -> list[bytes]:
    """Keys with the prefix from ``start`` on, in order. In a worker thread."""
    bound = upper_bound(prefix)
    query = f"""SELECT key FROM kv WHERE namespace = ? AND key >= ?
    {"AND key < ?" if bound is not None else ""} ORDER BY key LIMIT {PURGE_PAGE}"""
    parameters = (namespace, start, *([bound] if bound is not None else []))
    return [key for (key,) in reader.execute(query, parameters)]
