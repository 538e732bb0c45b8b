"""The topic log port (backends 3.3, routing 4)."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from aether._fastpath import Lane, Port, Topic
from aether.storage.sqlite import database as sqlite_database
from aether.storage.sqlite import log as sqlite_log
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.log import SqliteLog

from .conftest import Stores, WallClock, open_stores

TOPIC = "ag::w::i::s"


async def read_all(stores: Stores, topic: str = TOPIC, after: int = 0, page: int = 1000) -> list[bytes]:
    frames: list[bytes] = []
    while records := await stores.log.read(topic, after, page):
        positions = [position for position, _ in records]
        assert positions == sorted(set(positions)) and positions[0] > after
        frames += [frame for _, frame in records]
        after = positions[-1]
    return frames


async def test_an_empty_topic_reads_empty(stores: Stores) -> None:
    assert stores.log.topic(TOPIC).last == 0
    assert await read_all(stores) == []


async def test_records_come_back_in_order_of_their_topic(stores: Stores) -> None:
    for number in range(300):
        stores.log.append(TOPIC if number % 3 else "ga::w", b"%d" % number)
        if number % 50 == 0:
            await trio.lowlevel.checkpoint()
    assert await read_all(stores, page=100) == [b"%d" % n for n in range(300) if n % 3]
    assert await read_all(stores, "ga::w") == [b"%d" % n for n in range(0, 300, 3)]


async def test_a_topic_never_shows_records_of_one_that_extends_its_name(stores: Stores) -> None:
    stores.log.append("ga::w", b"short")
    stores.log.append("ga::w:1", b"long")
    assert await read_all(stores, "ga::w") == [b"short"]


async def test_reading_continues_after_a_position(stores: Stores) -> None:
    positions = [stores.log.append(TOPIC, b"%d" % n) for n in range(10)]
    assert [frame for _, frame in await stores.log.read(TOPIC, positions[6], 1 << 20)] == [b"7", b"8", b"9"]
    assert await stores.log.read(TOPIC, positions[9], 1 << 20) == []


async def test_a_page_is_bounded_but_never_empty(stores: Stores) -> None:
    for _ in range(5):
        stores.log.append(TOPIC, b"x" * 1000)
    assert len(await stores.log.read(TOPIC, 0, 1)) == 1
    assert len(await stores.log.read(TOPIC, 0, 2500)) == 3


async def test_no_gap_and_no_duplicate_while_batches_commit(stores: Stores) -> None:
    """Readers at any moment see a prefix of what was appended."""
    expected: list[bytes] = []
    for number in range(400):
        stores.log.append(TOPIC, b"%d" % number)
        expected.append(b"%d" % number)
        if number % 7 == 0:
            assert await read_all(stores, page=64) == expected


@pytest.mark.parametrize("seed", range(4))
async def test_readers_miss_nothing_whatever_way_batches_take(
    stores: Stores, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small batches go through the journal and reach the table later than large ones that came after them."""
    monkeypatch.setattr(sqlite_log, "JOURNALED_BYTES_MAX", 400)
    chance = random.Random(seed)
    topics = ["ag::w::i::a", "ag::w::i::b"]
    expected: dict[str, list[int]] = {topic: [] for topic in topics}
    wrote = trio.Event()

    async def write() -> None:
        for _ in range(300):
            for _ in range(chance.choice([1, 1, 2, 5])):
                topic = chance.choice(topics)
                frame = b"x" * chance.choice([3, 30, 300, 3000])
                expected[topic].append(stores.log.append(topic, frame))
            await trio.sleep(chance.choice([0, 0, 0.0005, 0.006, 0.02]))
        wrote.set()

    async def follow(topic: str, page: int, pause_s: float) -> None:
        seen: list[int] = []
        while True:
            was_over = wrote.is_set()
            while records := await stores.log.read(topic, seen[-1] if seen else 0, page):
                seen += [position for position, _ in records]
                assert seen == expected[topic][: len(seen)]
                await trio.sleep(pause_s)
            assert seen == expected[topic][: len(seen)]
            if was_over:
                break
            await trio.sleep(pause_s)
        assert seen == expected[topic]

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        for topic in topics:
            for page, pause_s in ((1, 0.0), (700, 0.003), (100_000, 0.05)):
                nursery.start_soon(follow, topic, page, pause_s)


async def test_what_is_committed_while_the_table_is_read_leaves_no_gap(
    tmp_path: Path, clock: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_log, "JOURNALED_BYTES_MAX", 400)
    async with Database.open(tmp_path, "batch") as database:
        log = SqliteLog(database, clock)
        scan = database.scan

        async def write(frame: bytes) -> int:
            position = log.append(TOPIC, frame)
            await database.wait_durable(database.latest_ticket)
            return position

        async def late_scan(kind: Any, query: Any) -> Any:
            nonlocal behind
            behind = [await write(b"into the journal"), await write(b"into the table" * 100)]
            return await scan(kind, query)

        behind: list[int] = []
        first = await write(b"into the table" * 100)
        monkeypatch.setattr(database, "scan", late_scan)
        read = [position for position, _ in await log.read(TOPIC, 0, 1 << 20)]
        assert read == [first, *behind][: len(read)]
        assert read


async def test_cursors(stores: Stores) -> None:
    log = stores.log
    assert await log.load_cursor(TOPIC, "me") is None
    log.commit_cursor(TOPIC, "me", 5)
    assert await log.load_cursor(TOPIC, "me") == 5
    log.commit_cursor(TOPIC, "me", 3)
    assert await log.load_cursor(TOPIC, "me") == 5
    log.commit_cursor("ga::w", "me", 0)
    assert await log.load_cursor("ga::w", "me") == 0
    assert await log.load_cursor(TOPIC, "you") is None


async def test_start_at_a_time(stores: Stores) -> None:
    stores.log.append(TOPIC, b"old")
    await read_all(stores)
    await trio.sleep(0.05)
    stores.clock.advance(60)
    later = stores.clock()
    stores.log.append(TOPIC, b"new")
    await trio.sleep(0.05)
    start = await stores.log.first_at_or_after(TOPIC, later)
    assert await read_all(stores, after=start) == [b"new"]


async def test_a_record_that_is_being_committed_is_not_passed_over(stores: Stores) -> None:
    """Asking where a time begins races with the commit of what was appended just now."""
    for number in range(300):
        position = stores.log.append(TOPIC, b"%d" % number)
        await trio.sleep(random.uniform(0.004, 0.007))
        assert await stores.log.first_at_or_after(TOPIC, stores.clock()) < position
        stores.clock.advance(1)


async def test_retention_by_size_keeps_the_newest(stores: Stores) -> None:
    for number in range(20):
        stores.log.append(TOPIC, b"%02d" % number + b"x" * 998)
        await stores.settle()
    removed = await stores.log.trim(max_age_ms=0, max_bytes=10_500)
    left = await read_all(stores)
    assert removed > 0
    assert 0 < len(left) <= 10
    assert left[-1].startswith(b"19")
    position = stores.log.append(TOPIC, b"next")
    assert position == 21


async def test_retention_by_age(stores: Stores) -> None:
    stores.log.append(TOPIC, b"old")
    await stores.settle()
    stores.clock.advance(3600)
    stores.log.append(TOPIC, b"young")
    await stores.settle()
    await stores.log.trim(max_age_ms=1_800_000, max_bytes=0)
    assert await read_all(stores) == [b"young"]


class Reader:
    """What a session's lanes report to."""

    def __init__(self) -> None:
        self.behind: list[Lane] = []
        self.overtaken: list[Lane] = []

    def on_lane_behind(self, lane: Lane) -> None:
        self.behind.append(lane)

    def on_lane_overtaken(self, lane: Lane) -> None:
        self.overtaken.append(lane)


@pytest.mark.parametrize("rows_at_once", [1, 100])
async def test_who_was_not_sent_what_is_removed_is_told_whatever_way_it_took(
    tmp_path: Path, clock: WallClock, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    monkeypatch.setattr(sqlite_database, "MOVE_S", 3600)
    monkeypatch.setattr(sqlite_log, "TRIM_ROWS", rows_at_once)
    async with Database.open(tmp_path, "batch") as database:
        log = SqliteLog(database, clock)
        positions = []
        for frame in (b"into the journal", bytes(sqlite_log.JOURNALED_BYTES_MAX)):
            positions.append(log.append(TOPIC, frame))
            await database.wait_durable(database.latest_ticket)
        port = Port(None, None, lambda port: None, trio.current_time)
        port.outbound = reader = Reader()
        lanes = [Lane(log.topic(TOPIC), port, position) for position in positions]
        for lane in lanes:
            lane.attach()
        clock.advance(3600)
        await log.trim(max_age_ms=1000, max_bytes=0)
        assert (reader.behind, reader.overtaken) == (lanes[:1], lanes[:1])


async def test_everything_is_there_after_a_restart(persistent_adapter: str, tmp_path: Path, clock: WallClock) -> None:
    async with open_stores(persistent_adapter, tmp_path, clock) as before:
        for number in range(50):
            last = before.log.append(TOPIC, b"%d" % number)
        before.log.commit_cursor(TOPIC, "me", last - 10)
    async with open_stores(persistent_adapter, tmp_path, clock) as after:
        assert after.log.topic(TOPIC).last == last
        cursor = await after.log.load_cursor(TOPIC, "me")
        assert cursor is not None
        assert await read_all(after, after=cursor) == [b"%d" % n for n in range(40, 50)]
        assert after.log.append(TOPIC, b"more") > last


async def test_positions_are_not_reused_after_everything_was_trimmed(
    persistent_adapter: str, tmp_path: Path, clock: WallClock
) -> None:
    async with open_stores(persistent_adapter, tmp_path, clock) as before:
        last = before.log.append(TOPIC, b"x")
    clock.advance(3600)
    async with open_stores(persistent_adapter, tmp_path, clock) as middle:
        await middle.log.trim(max_age_ms=1000, max_bytes=0)
    async with open_stores(persistent_adapter, tmp_path, clock) as after:
        assert await read_all(after) == []
        assert after.log.append(TOPIC, b"y") > last


async def test_a_place_is_kept_while_it_keeps_records_from_coming_again(
    persistent_adapter: str, tmp_path: Path, clock: WallClock
) -> None:
    async with open_stores(persistent_adapter, tmp_path, clock) as stores:
        last = stores.log.append(TOPIC, b"x")
        for topic, position in ((TOPIC, last), ("ga::w", last)):
            stores.log.commit_cursor(topic, "me", position)
        await stores.settle()
        clock.advance(30 * 86_400)
        await stores.log.trim(max_age_ms=0, max_bytes=0)
        assert await stores.log.load_cursor("ga::w", "me") is None
        assert await stores.log.load_cursor(TOPIC, "me") == last
        await stores.log.trim(max_age_ms=1000, max_bytes=0)
        assert await stores.log.load_cursor(TOPIC, "me") is None


async def test_a_topic_that_nothing_is_left_in_begins_anew(
    persistent_adapter: str, tmp_path: Path, clock: WallClock
) -> None:
    """Also while it is being forgotten: what is appended then is there afterwards."""
    async with open_stores(persistent_adapter, tmp_path, clock) as stores:
        for number in range(500):
            stores.log.append(f"us::alice::{number}", b"old")
        kept = stores.log.topic("us::alice::7")
        await stores.settle()
        clock.advance(3600)
        for _ in range(4):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(stores.log.trim, max_age_ms=1000, max_bytes=0))
                for number in range(0, 500, 25):
                    last = stores.log.append(f"us::alice::{number}", b"new")
                    await trio.sleep(0.001)
        kept_last = kept.append(b"new")
        await stores.settle()
        assert await stores.log.read("us::alice::1", 0, 1000) == []
    async with open_stores(persistent_adapter, tmp_path, clock) as after:
        for number in range(0, 500, 25):
            assert [frame for _, frame in await after.log.read(f"us::alice::{number}", 0, 1000)] == [b"new"] * 4
        assert await after.log.read("us::alice::7", 0, 1000) == [(kept_last, b"new")]
        assert await after.log.read("us::alice::8", 0, 1000) == []
        assert after.log.append("us::alice::8", b"x") > kept_last > last


@asynccontextmanager
async def being_forgotten(
    database: Database, log: SqliteLog, clock: WallClock
) -> AsyncIterator[tuple[trio.CancelScope, threading.Event]]:
    """A moment in which a topic is being forgotten, until an event is set; the scope is that of the trimming."""
    in_use = log.topic(TOPIC)
    log.append(TOPIC, b"old")
    await database.wait_durable(database.latest_ticket)
    clock.advance(3600)
    await log.trim(max_age_ms=1000, max_bytes=0)
    del in_use
    trimming, trims, forgets = trio.CancelScope(), threading.Event(), threading.Event()

    async def trim() -> None:
        with trimming:
            await log.trim(max_age_ms=0, max_bytes=0)

    async with trio.open_nursery() as nursery:
        for work in (  # in line, one behind the other
            partial(database.maintain, lambda _: trims.wait()),
            trim,
            partial(database.maintain, lambda _: forgets.wait()),
        ):
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
        trims.set()
        try:
            with trio.fail_after(10):
                while log.topic(TOPIC).record_id is not None:  # noqa: ASYNC110 - until it is being forgotten
                    await trio.sleep(0.001)
            yield trimming, forgets
        finally:
            forgets.set()


async def test_a_topic_that_is_used_again_while_it_is_forgotten_is_found(tmp_path: Path, clock: WallClock) -> None:
    """Its new records are durable, and it is looked up again, before those who forget it know that it is done."""
    frame = bytes(sqlite_log.JOURNALED_BYTES_MAX)
    async with Database.open(tmp_path, "batch") as database:
        log = SqliteLog(database, clock, cursor_age_ms=0)
        async with being_forgotten(database, log, clock) as (_, forgets), trio.open_nursery() as nursery:
            found: list[Topic] = []
            database.on_durable.append(lambda: found.append(log.topic(TOPIC)))
            log.append(TOPIC, frame)
            nursery.start_soon(database.wait_durable, database.latest_ticket)
            await trio.testing.wait_all_tasks_blocked()
            forgets.set()
            while trio.lowlevel.current_statistics().run_sync_soon_queue_size < 3:  # whatever is in line was done
                time.sleep(0.001)  # noqa: ASYNC251 - the event loop has to learn of all of it at once
        assert found[0].last == log.position
        assert await log.read(TOPIC, 0, 1) == [(log.position, frame)]


async def test_forgetting_a_topic_waits_for_nothing_when_the_gateway_ends(tmp_path: Path, clock: WallClock) -> None:
    """What is before it in line may take as long as a disk is full. What is appended meanwhile is not lost."""
    frame = bytes(sqlite_log.JOURNALED_BYTES_MAX)
    async with Database.open(tmp_path, "batch") as database:
        log = SqliteLog(database, clock, cursor_age_ms=0)
        async with being_forgotten(database, log, clock) as (trimming, forgets):
            trimming.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert trimming.cancelled_caught
            assert log.topic(TOPIC).record_id is None
            log.append(TOPIC, frame)
            forgets.set()
            await database.wait_durable(database.latest_ticket)
        assert await log.read(TOPIC, 0, 1) == [(log.position, frame)]


async def test_names_of_topics_do_not_pile_up(tmp_path: Path, clock: WallClock) -> None:
    async with Database.open(tmp_path, "batch") as database:
        log = SqliteLog(database, clock)
        for number in range(500):
            log.append(f"ta::w::i::{number}", b"x")
        last = log.append(TOPIC, b"x")
        log.commit_cursor(TOPIC, "me", last)
        await database.wait_durable(database.latest_ticket)
        clock.advance(3600)
        await log.trim(max_age_ms=1000, max_bytes=0)
        assert database.reader.execute("SELECT count(*) FROM topics").fetchone() == (0,)
        assert await log.load_cursor(TOPIC, "me") == last


async def test_places_do_not_pile_up(tmp_path: Path, clock: WallClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, each trimming looks at some, and all are looked at in the end."""
    monkeypatch.setattr(sqlite_log, "CURSORS_AT_ONCE", 10)
    monkeypatch.setattr(sqlite_log, "STEPS_MAX", 5)
    async with Database.open(tmp_path, "batch") as database:
        log = SqliteLog(database, clock)

        def count() -> int:
            return int(database.reader.execute("SELECT count(*) FROM cursors").fetchone()[0])

        for number in range(123):
            log.commit_cursor(f"us::u{number}::w", f"us::u{number}::w", 1)
        await database.wait_durable(database.latest_ticket)
        clock.advance(30 * 86_400)
        log.commit_cursor("us::u50::w", "us::u50::w", 2)
        await database.wait_durable(database.latest_ticket)
        left = []
        for _ in range(3):
            await log.trim(max_age_ms=1000, max_bytes=0)
            left.append(count())
        assert left[0] >= 123 - 5 * 10
        assert left[0] > left[1] > left[2] == 1


@pytest.mark.parametrize("is_moved", [False, True])
async def test_a_page_ends_with_the_record_that_fills_it(tmp_path: Path, clock: WallClock, is_moved: bool) -> None:
    """Wherever its records are."""
    async with Database.open(tmp_path, "batch") as database:
        log = SqliteLog(database, clock)
        for number in range(5):
            log.append(TOPIC, b"%d" % number + b"x" * 99)
        await database.wait_durable(database.latest_ticket)
        if is_moved:
            await database.wait_moved(database.latest_ticket)
        for size, count in ((99, 1), (100, 1), (101, 2), (200, 2), (201, 3), (499, 5), (1000, 5)):
            assert len(await log.read(TOPIC, 0, size)) == count
        assert [position for position, _ in await log.read(TOPIC, 2, 200)] == [3, 4]


async def test_what_is_of_the_allowed_age_stays(stores: Stores) -> None:
    for frame in (b"first", b"second"):
        stores.log.append(TOPIC, frame)
        await stores.settle()
        stores.clock.advance(0.001)
    stores.clock.advance(0.999)  # the second is a second old
    await stores.log.trim(max_age_ms=1000, max_bytes=0)
    assert await read_all(stores) == [b"second"]
    stores.clock.advance(0.001)
    await stores.log.trim(max_age_ms=1000, max_bytes=0)
    assert await read_all(stores) == []


async def test_what_was_removed_does_not_count_any_more(
    persistent_adapter: str, tmp_path: Path, clock: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the next trimming, and not after a restart; however many steps one takes."""
    monkeypatch.setattr(sqlite_log, "TRIM_ROWS", 3)

    async def append(stores: Stores, count: int) -> None:
        for _ in range(count):
            stores.log.append(TOPIC, b"x" * 1000)
            await stores.settle()

    async with open_stores(persistent_adapter, tmp_path, clock) as before:
        await append(before, 20)
        removed = await before.log.trim(max_age_ms=0, max_bytes=10_500)
        assert 9_500 <= removed <= 11_000
        assert len(await read_all(before)) == 10
        assert await before.log.trim(max_age_ms=0, max_bytes=10_500) == 0
    async with open_stores(persistent_adapter, tmp_path, clock) as after:
        assert await after.log.trim(max_age_ms=0, max_bytes=10_500) == 0
        await append(after, 2)
        assert 1_900 <= await after.log.trim(max_age_ms=0, max_bytes=10_500) <= 2_200
        assert len(await read_all(after)) == 10
        assert 9_500 <= await after.log.trim(max_age_ms=0, max_bytes=1) <= 11_000
        assert await read_all(after) == []


@pytest.mark.parametrize("is_reopened", [False, True])
async def test_where_a_time_begins_among_many_batches(
    persistent_adapter: str, tmp_path: Path, clock: WallClock, is_reopened: bool
) -> None:
    times = []
    async with open_stores(persistent_adapter, tmp_path, clock) as stores:
        for number in range(6):
            clock.advance(1)
            times.append(clock())
            for _ in range(2):
                stores.log.append(TOPIC, b"%d" % number)
            await stores.settle()
        if not is_reopened:
            await look_for_times(stores, times)
    async with open_stores(persistent_adapter, tmp_path, clock) as stores:
        await look_for_times(stores, times)


async def look_for_times(stores: Stores, times: list[int]) -> None:
    for number, time_ms in enumerate(times):
        for exact_ms, expected in ((time_ms - 1, 2 * number), (time_ms, 2 * number), (time_ms + 1, 2 * number + 2)):
            assert await stores.log.first_at_or_after(TOPIC, exact_ms) == expected
    assert await stores.log.first_at_or_after("ga::nobody", 0) == 0


async def test_a_time_begins_with_a_small_batch_that_a_large_one_overtook(
    tmp_path: Path, clock: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small one is in the journal when the large one is in its table."""
    monkeypatch.setattr(sqlite_log, "JOURNALED_BYTES_MAX", 400)
    async with Database.open(tmp_path, "batch") as database:
        log = SqliteLog(database, clock)
        for size in (3, 30, 3000):
            clock.advance(1)
            log.append(TOPIC, b"x" * size)
            await database.wait_durable(database.latest_ticket)
        last_ms = clock()
        starts = [await log.first_at_or_after(TOPIC, last_ms - back_ms) for back_ms in (2000, 1000, 0)]
        assert starts == [0, 1, 2]
        assert [len(frame) for _, frame in await log.read(TOPIC, 0, 1 << 20)] == [3, 30, 3000]
