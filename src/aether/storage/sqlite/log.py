"""The topic log and its cursors in SQLite (backends 3.3, 4.2).

A row of ``log`` holds the records that one topic got in one batch, packed by :meth:`Topic.take`; rows of a topic are
found through a small index, so writing appends and reading a topic costs only its own rows.

The rows of a small batch go through the journal: for so few bytes the pages of three tables would cost more than being
written twice. Until they are moved they are read from memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple
from weakref import WeakValueDictionary

import trio

from aether._fastpath import Head, Topic, unpack
from aether.errors import StoreUnavailable
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.journal import Rows
from aether.storage.sqlite.rows import Statement

__all__ = ["SqliteLog"]

CURSOR_AGE_MS = 7 * 24 * 3600 * 1000
TRIM_ROWS = 500
TOPICS_AT_ONCE = 200
"""Names that are looked at in one step: that is done on the trio thread, where nothing can come in between."""
CURSORS_AT_ONCE = 1000
"""Places that are looked at in one transaction, for which commits have to wait."""
STEPS_MAX = 50
"""Of each of both, in one trimming; the next one goes on from there."""
JOURNALED_BYTES_MAX = 8192
JOURNALED_TOPICS_MAX = 64
"""Of a batch that goes through the journal."""

_INSERT_TOPICS = """
INSERT INTO topics SELECT value->>0, value->>1 FROM json_each(?) WHERE true
ON CONFLICT (name) DO UPDATE SET id = excluded.id
"""
"""The conflict is with a row that is just being forgotten."""
_LOOK_AT_TOPICS = """
SELECT id, name, EXISTS (SELECT 1 FROM log WHERE topic = topics.id) FROM topics WHERE id > ? ORDER BY id LIMIT ?
"""
_FORGET_TOPICS = "DELETE FROM topics WHERE id IN (SELECT value FROM json_each(?))"
_INSERT_LOG = """
INSERT INTO log (topic, first, last, time_ms, data)
SELECT value->>0, value->>1, value->>2, ?3, substr(?2, value->>3, value->>4) FROM json_each(?1)
"""
_INTO_LOG = "log (topic, first, last, time_ms, data)"
_INTO_META = "meta (name, value)"
_HIGHER = "ON CONFLICT DO UPDATE SET value = max(value, excluded.value)"
"""What is in the journal may be older than what is there."""
_SET_META = f"INSERT INTO meta VALUES (?, ?), (?, ?) {_HIGHER}"
_UPSERT_CURSORS = """
INSERT INTO cursors SELECT value->>0, value->>1, value->>2, ?2 FROM json_each(?1) WHERE true
ON CONFLICT DO UPDATE SET position = max(position, excluded.position), used_ms = excluded.used_ms
"""
_END_OF_STEP = """
SELECT topic, consumer FROM cursors WHERE (topic, consumer) > (?, ?) ORDER BY topic, consumer LIMIT 1 OFFSET ?
"""
_FORGET_CURSORS = """
DELETE FROM cursors WHERE (topic, consumer) > (?, ?) AND (topic, consumer) <= (?, ?) AND used_ms < ? AND NOT EXISTS (
    SELECT 1 FROM log WHERE log.topic = (SELECT id FROM topics WHERE name = cursors.topic) AND first <= position
)
"""
"""Not those that records lie before, which would be read again without them."""
_BEGINNING = ("", "")
_END = ("\U0010ffff", "")
"""Before and after all topics and consumers."""
_POSITION = "position"
_WRITTEN = "log_written"
"""Bytes that all rows ever had, as far as they were counted since there is such a number."""
_BYTES = "log_bytes"
"""What has to be added to it for the bytes that are there: what was before, without what was removed."""
_ADD_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT DO UPDATE SET value = value + excluded.value"


class _Unmoved(NamedTuple):
    """A row that is in the journal and not yet in its table."""

    ticket: int
    time_ms: int
    records: Sequence[tuple[int, bytes]]


class SqliteLog:
    """Implements :class:`aether.messaging.log.TopicLog`."""

    def __init__(
        self, database: Database, wall_clock: Callable[[], int], *, cursor_age_ms: int = CURSOR_AGE_MS
    ) -> None:
        self._database = database
        self._wall_clock = wall_clock
        self._cursor_age_ms = cursor_age_ms
        reader = database.reader
        self._head = Head(_meta(reader, _POSITION))
        self._written = _meta(reader, _WRITTEN)
        self._head.on_dirty = partial(database.touch, self)
        self._next_topic_id: int = reader.execute("SELECT coalesce(max(id), 0) + 1 FROM topics").fetchone()[0]
        self._topics: WeakValueDictionary[str, Topic] = WeakValueDictionary()
        self._committing: dict[str, tuple[Topic, list[tuple[int, bytes]]]] = {}
        self._committing_bytes = 0
        self._committing_is_small = False
        self._committing_ms = 0
        self._unmoved: dict[str, tuple[Topic, list[_Unmoved]]] = {}
        """What is in the journal. Keeps its topics, which know where they end when the table does not."""
        self._cursors: dict[tuple[str, str], int] = {}
        self._committing_cursors: dict[tuple[str, str], int] = {}
        self._forgetting: set[str] = set()
        self._looked_at = 0
        self._cursors_looked_at = _BEGINNING
        database.on_moved.append(self._on_moved)

    # ---------------------------------------------------------------------------------------------- appending

    @property
    def staged_bytes(self) -> int:
        return int(self._head.staged_bytes) + self._committing_bytes

    def topic(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = Topic(name, self._head)
            reader = self._database.reader
            row = reader.execute("SELECT id FROM topics WHERE name = ?", (name,)).fetchone()
            if row is not None and name not in self._forgetting:
                topic.record_id = row[0]
                last = reader.execute(
                    "SELECT last FROM log WHERE topic = ? ORDER BY first DESC LIMIT 1", row
                ).fetchone()
                topic.last = topic.durable = last[0] if last else 0
            self._topics[name] = topic
        return topic

    @property
    def position(self) -> int:
        return int(self._head.position)

    def append(self, name: str, frame: bytes) -> int:
        return int(self.topic(name).append(frame))

    def stage(self) -> Iterable[Statement | Rows]:
        """Pack the topics touched since the last batch, and the cursors that moved."""
        topics, self._head.dirty = self._head.dirty, []
        self._committing_bytes, self._head.staged_bytes = self._head.staged_bytes, 0
        statements: list[Statement | Rows] = []
        if topics:
            statements += self._stage_records(topics)
        if self._cursors:
            self._committing_cursors, self._cursors = self._cursors, {}
            rows = [[topic, consumer, position] for (topic, consumer), position in self._committing_cursors.items()]
            statements.append((_UPSERT_CURSORS, (json.dumps(rows), self._wall_clock())))
        return statements

    def _stage_records(self, topics: list[Topic]) -> Iterable[Statement | Rows]:
        new, rows, size = [], [], 0
        now_ms = self._committing_ms = self._wall_clock()
        for topic in topics:
            if topic.record_id is None:
                topic.record_id = self._next_topic_id
                self._next_topic_id += 1
                new.append([topic.record_id, topic.name])
                self._forgetting.discard(topic.name)  # once this is durable, the number that is found is the new one
            records, data = topic.take()
            self._committing[topic.name] = (topic, records)
            rows.append((topic.record_id, records[0][0], records[-1][0], now_ms, data))
            size += len(data)
        self._written += size
        self._committing_is_small = size <= JOURNALED_BYTES_MAX and len(topics) <= JOURNALED_TOPICS_MAX
        if new:
            yield _INSERT_TOPICS, (json.dumps(new),)
        position, written = (_POSITION, self._head.position), (_WRITTEN, self._written)
        if self._committing_is_small:
            yield Rows(_INTO_LOG, rows)
            yield Rows(_INTO_META, [position, written], _HIGHER)
        else:
            yield _insert_log(rows, now_ms)
            yield _SET_META, (*position, *written)

    def on_committed(self) -> None:
        for topic, records in self._committing.values():
            topic.durable = records[-1][0]
            if self._committing_is_small:
                unmoved = _Unmoved(self._database.committed, self._committing_ms, records)
                self._unmoved.setdefault(topic.name, (topic, []))[1].append(unmoved)
        self._committing.clear()
        self._committing_bytes = 0
        self._committing_cursors = {}

    def _on_moved(self) -> None:
        """Rows of the journal are in their table."""
        moved = self._database.moved
        unmoved = self._unmoved.values()
        self._unmoved = {
            topic.name: (topic, left)
            for topic, rows in unmoved
            if (left := [row for row in rows if row.ticket > moved])
        }

    # ------------------------------------------------------------------------------------------------ reading

    async def read(self, topic: str, after: int, max_bytes: int) -> list[tuple[int, bytes]]:
        buffer = self.topic(topic)
        end = buffer.last
        if after >= end:
            await trio.lowlevel.checkpoint()
            return []
        # What is not in the table is taken before the table is read: meanwhile it may get there, and more behind it.
        recent = [(position, frame) for position, frame in self._recent(buffer) if position > after]
        stored: list[tuple[int, bytes]] = []
        if after < buffer.durable and buffer.record_id is not None:
            record_id = buffer.record_id
            stored = await self._database.scan("log", lambda reader: _read(reader, record_id, after, max_bytes))
        else:
            await trio.lowlevel.checkpoint()
        if recent:
            stored = sorted(dict([*stored, *recent]).items())
        return _page(stored, end, max_bytes)

    def _recent(self, buffer: Topic) -> Iterator[tuple[int, bytes]]:
        """What may not be in the table: in the journal, being committed, staged."""
        for row in self._unmoved.get(buffer.name, (buffer, ()))[1]:
            yield from row.records
        yield from self._committing.get(buffer.name, (buffer, ()))[1]
        yield from buffer.staged

    async def first_at_or_after(self, topic: str, time_ms: int) -> int:
        buffer = self.topic(topic)
        if buffer.record_id is None:
            return 0
        # What is committed from here on may be missed by the query, but not by its reader.
        unmoved = self._unmoved.get(topic, (buffer, ()))[1]
        first = next((row.records[0][0] for row in unmoved if row.time_ms >= time_ms), buffer.durable + 1)
        query = "SELECT first FROM log WHERE topic = ? AND time_ms >= ? ORDER BY first LIMIT 1"
        row = await self._database.scan(
            "log", lambda reader: reader.execute(query, (buffer.record_id, time_ms)).fetchone()
        )
        return min(first, int(row[0])) - 1 if row else first - 1

    # ------------------------------------------------------------------------------------------------ cursors

    async def load_cursor(self, topic: str, consumer: str) -> int | None:
        await trio.lowlevel.checkpoint()
        key = (topic, consumer)
        staged = max(self._cursors.get(key, -1), self._committing_cursors.get(key, -1))
        row = self._database.reader.execute(
            "SELECT position FROM cursors WHERE topic = ? AND consumer = ?", key
        ).fetchone()
        position = max(staged, row[0] if row else -1)
        return position if position >= 0 else None

    def commit_cursor(self, topic: str, consumer: str, position: int) -> None:
        key = (topic, consumer)
        if position > self._cursors.get(key, -1):
            self._cursors[key] = position
            self._database.touch(self)

    # ---------------------------------------------------------------------------------------------- retention

    async def trim(self, *, max_age_ms: int, max_bytes: int) -> int:
        now = self._wall_clock()
        if self._unmoved:
            await self._database.wait_moved(self._database.committed)
        removed = 0
        ends: dict[int, int] = {}
        while True:
            step, more = await self._database.maintain(
                lambda writer: _trim(writer, now - max_age_ms if max_age_ms > 0 else 0, max_bytes)
            )
            for number, last in more.items():
                ends[number] = max(last, ends.get(number, 0))
            removed += step
            if not step:
                break
        self._tell_overtaken(ends)
        if self._cursor_age_ms > 0:
            await self._forget_cursors(now - self._cursor_age_ms)
        for _ in range(STEPS_MAX):
            await self._forget_topics()
            if not self._looked_at:
                break
        return removed

    async def _forget_cursors(self, before_ms: int) -> None:
        """Forget places that nobody came back to for long: windows and workers have their own, and there is no end of
        those either."""
        for _ in range(STEPS_MAX):
            start = self._cursors_looked_at
            end = await self._database.maintain(lambda writer: _forget_cursors(writer, start, before_ms))  # noqa: B023
            self._cursors_looked_at = end or _BEGINNING
            if end is None:
                break

    def _tell_overtaken(self, ends: dict[int, int]) -> None:
        """Tell the sessions that were not sent yet what was removed.

        :param ends: the last position that was removed, by number of the topic.
        """
        for topic in list(self._topics.values()):
            last = ends.get(topic.record_id or 0, 0)
            for lane in topic.lanes if last else ():
                if not lane.live and lane.sent < last:
                    lane.port.outbound.on_lane_overtaken(lane)

    async def _forget_topics(self) -> None:
        """Of the next few topics forget the names that nobody uses and that nothing is left in: workers, windows and
        tasks have topics of their own, and there is no end of those."""
        await trio.lowlevel.checkpoint()
        rows = self._database.reader.execute(_LOOK_AT_TOPICS, (self._looked_at, TOPICS_AT_ONCE)).fetchall()
        self._looked_at = rows[-1][0] if len(rows) == TOPICS_AT_ONCE else 0
        # What is committed just now has its topic in use. Who uses one of these from here on gets a new number for it.
        unused = {name: number for number, name, has_records in rows if not has_records and name not in self._topics}
        if not unused:
            return
        self._forgetting |= unused.keys()
        numbers = json.dumps(list(unused.values()))
        try:
            await self._database.maintain(lambda writer: writer.execute(_FORGET_TOPICS, (numbers,)).rowcount)
        except StoreUnavailable:
            self._forgetting -= unused.keys()
            raise
        self._forgetting -= unused.keys()  # where this is cancelled it is still in line, and will be done


def _meta(connection: sqlite3.Connection, name: str) -> int:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def _page(records: list[tuple[int, bytes]], end: int, max_bytes: int) -> list[tuple[int, bytes]]:
    """Records up to a position, about so many bytes of them and at least one."""
    size = 0
    for index, (position, frame) in enumerate(records):
        if position > end or (size >= max_bytes and index):
            return records[:index]
        size += len(frame)
    return records


def _insert_log(rows: list[tuple[int, int, int, int, bytes]], now_ms: int) -> Statement:
    """All rows in one step, their data in one value."""
    places, offset = [], 1
    for topic, first, last, _, data in rows:
        places.append([topic, first, last, offset, len(data)])
        offset += len(data)
    return _INSERT_LOG, (json.dumps(places), b"".join(row[-1] for row in rows), now_ms)


def _read(reader: sqlite3.Connection, topic: int, after: int, max_bytes: int) -> list[tuple[int, bytes]]:
    """One page of the records in the table. In a worker thread."""
    records: list[tuple[int, bytes]] = []
    size = 0
    # The row before the first that begins after ``after`` may still hold later records.
    query = """
    SELECT last, data FROM log WHERE topic = ?1 AND first >= coalesce(
        (SELECT max(first) FROM log WHERE topic = ?1 AND first <= ?2), 0) ORDER BY first
    """
    for last, data in reader.execute(query, (topic, after + 1)):
        if last <= after:
            continue
        for position, frame in unpack(data):
            if position > after:
                if size >= max_bytes and records:
                    return records
                records.append((position, frame))
                size += len(frame)
    return records


def _forget_cursors(writer: sqlite3.Connection, start: tuple[str, str], before_ms: int) -> tuple[str, str] | None:
    """One step from there on; returns where it ended, None at the end of all."""
    end: tuple[str, str] | None = writer.execute(_END_OF_STEP, (*start, CURSORS_AT_ONCE - 1)).fetchone()
    writer.execute(_FORGET_CURSORS, (*start, *(end or _END), before_ms))
    return end


def _trim(writer: sqlite3.Connection, before_ms: int, max_bytes: int) -> tuple[int, dict[int, int]]:
    """Remove up to ``TRIM_ROWS`` of the oldest rows that are over age or over the total; returns their bytes, and the
    last position by number of the topic."""
    total = _meta(writer, _WRITTEN) + _meta(writer, _BYTES)
    removed, last_id = 0, None
    ends: dict[int, int] = {}
    query = "SELECT id, time_ms, length(data), topic, last FROM log ORDER BY id LIMIT ?"
    for row_id, time_ms, size, topic, last in writer.execute(query, (TRIM_ROWS,)):
        if time_ms >= before_ms and (max_bytes <= 0 or total - removed <= max_bytes):
            break
        removed += size
        last_id = row_id
        ends[topic] = max(last, ends.get(topic, 0))  # what went through the journal comes later than it is
    if last_id is not None:
        writer.execute("DELETE FROM log WHERE id <= ?", (last_id,))
        writer.execute(_ADD_META, (_BYTES, -removed))
    return removed, ends
