"""Rows that are durable before they are in their tables (backends 4.2)."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.storage.sqlite.database import Database
from aether.storage.sqlite.journal import BYTES_MAX, ROWS_MAX, Rows
from aether.storage.sqlite.writer import Writer

LATER = "ON CONFLICT DO UPDATE SET value = excluded.value"


class Participant:
    """Stages rows of two tables: one whose rows are replaced, one whose rows stay."""

    def __init__(self, database: Database) -> None:
        self.values: list[tuple[str, int]] = []
        self.locks: list[tuple[str, str]] = []
        self._database = database

    def put(self, name: str, value: int) -> None:
        self.values.append((name, value))
        self._database.touch(self)

    def add(self, identity: str) -> None:
        self.locks.append((identity, "{}"))
        self._database.touch(self)

    def stage(self) -> list[Rows]:
        values, locks = self.values, self.locks
        self.values, self.locks = [], []
        staged = [Rows("meta (name, value)", values, LATER)] if values else []
        return [*staged, Rows("locks (identity, record)", locks)] if locks else staged

    def on_committed(self) -> None:
        pass


def tables(database: Database) -> tuple[dict[str, int], list[str]]:
    values = dict(database.reader.execute("SELECT name, value FROM meta WHERE name LIKE 'test-%'"))
    return values, [name for (name,) in database.reader.execute("SELECT identity FROM locks")]


def journaled(database: Database) -> int:
    count: int = database.reader.execute("SELECT count(*) FROM journal").fetchone()[0]
    return count


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3), st.integers(0, 9)),
        st.just(("add",)),
        st.just(("commit",)),
        st.just(("move",)),
        st.just(("crash",)),
        st.just(("close",)),
    ),
    max_size=25,
)


@settings(max_examples=80)
@given(steps)
def test_what_was_durable_is_there_after_any_end(history: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        trio.run(replay, history, Path(directory))


async def replay(history: list[tuple[Any, ...]], directory: Path) -> None:
    """Against a model that only knows what was committed last; a crash is a copy of the file of that moment.

    Every history ends with a crash, and with a look at what it left.
    """
    history = [*history, ("crash",), ("close",)]
    durable: tuple[dict[str, int], list[str]] = ({}, [])
    staged: tuple[dict[str, int], list[str]] = ({}, [])
    added, lives, done = 0, 0, 0
    while done < len(history):
        async with Database.open(directory / str(lives), "os") as database:
            assert tables(database) == durable
            assert journaled(database) == 0
            participant = Participant(database)
            for step, *arguments in history[done:]:
                done += 1
                match step:
                    case "put":
                        name, value = f"test-{arguments[0]}", arguments[1]
                        participant.put(name, value)
                        staged[0][name] = value
                    case "add":
                        added += 1
                        participant.add(f"{added:03}")
                        staged[1].append(f"{added:03}")
                    case "commit":
                        await database.wait_durable(database.latest_ticket)
                    case "move":
                        await database.wait_moved(database.latest_ticket)
                        assert journaled(database) == 0
                        assert tables(database) == staged
                    case "crash":
                        lives += 1
                        (directory / str(lives)).mkdir()
                        with closing(sqlite3.connect(directory / str(lives) / "aether.db")) as image:
                            database.reader.backup(image)
                        break
                    case "close":
                        break
                if step in ("commit", "move"):
                    durable = (dict(staged[0]), list(staged[1]))
        if step == "crash":
            staged = (dict(durable[0]), list(durable[1]))
        else:  # leaving in order makes everything durable
            durable = (dict(staged[0]), list(staged[1]))


async def test_rows_are_moved_without_anybody_asking(tmp_path: Path) -> None:
    async with Database.open(tmp_path) as database:
        participant = Participant(database)
        participant.put("test-1", 1)
        await database.wait_durable(database.latest_ticket)
        assert (journaled(database), tables(database)) == (1, ({}, []))
        with trio.fail_after(30):
            while journaled(database):  # noqa: ASYNC110 - a thread does it
                await trio.sleep(0.01)
        assert tables(database) == ({"test-1": 1}, [])


async def test_many_rows_are_moved_at_once(tmp_path: Path) -> None:
    """However much is staged meanwhile, the journal does not grow beyond its limit and one batch."""
    async with Database.open(tmp_path, "os") as database:
        participant = Participant(database)
        for number in range(20_000):
            participant.add(f"{number:05}")
            if number % 100 == 99:
                await database.wait_durable(database.latest_ticket)
                assert journaled(database) <= 2 * (ROWS_MAX // 100 + 1)
        await database.wait_moved(database.latest_ticket)
        assert len(tables(database)[1]) == 20_000


async def test_rows_come_no_faster_than_they_are_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With commits of the event loop, which wait for nobody, the journal would grow while the thread is behind."""
    in_time = threading.Event()
    write = Writer._write

    def write_late(writer: Writer, *arguments: Any) -> None:
        in_time.wait()
        write(writer, *arguments)

    monkeypatch.setattr(Writer, "_write", write_late)
    async with Database.open(tmp_path, "os") as database:
        participant = Participant(database)
        try:
            for number in range(4 * ROWS_MAX):
                participant.add(str(number))
                database.kick()
            assert journaled(database) == 2 * ROWS_MAX  # of which the first half is on its way
        finally:
            in_time.set()
        await database.wait_moved(database.latest_ticket)
        assert len(tables(database)[1]) == 4 * ROWS_MAX


@pytest.mark.parametrize("durability", ["batch", "os"])
async def test_what_a_crash_left_in_the_journal_is_moved(tmp_path: Path, durability: str) -> None:
    """A crash is a copy of the file of that moment."""
    (tmp_path / "after").mkdir()
    async with Database.open(tmp_path / "before", durability) as database:
        participant = Participant(database)
        for number in range(3):
            participant.put("test-1", number)
            participant.add(f"{number:03}")
            await database.wait_durable(database.latest_ticket)
        with closing(sqlite3.connect(tmp_path / "after" / "aether.db")) as image:
            database.reader.backup(image)
            assert image.execute("SELECT count(*) FROM journal").fetchone()[0] > 0
    async with Database.open(tmp_path / "after", durability) as database:
        assert tables(database) == ({"test-1": 2}, ["000", "001", "002"])
        assert journaled(database) == 0


async def test_who_waits_for_rows_does_not_wait_for_later_ones(tmp_path: Path) -> None:
    async with Database.open(tmp_path, "os") as database:
        participant = Participant(database)
        participant.put("test-1", 1)
        await database.wait_moved(ticket := database.latest_ticket)
        participant.put("test-1", 2)
        await database.wait_durable(database.latest_ticket)
        await database.wait_moved(ticket)
        assert (journaled(database), tables(database)) == (1, ({"test-1": 1}, []))


async def test_a_few_large_rows_fill_it_too(tmp_path: Path) -> None:
    async with Database.open(tmp_path, "os") as database:
        participant = Participant(database)
        for number in range(100):
            participant.add(f"{number:03}" + "x" * 100_000)
            await database.wait_durable(database.latest_ticket)
            assert journaled(database) <= 2 * (BYTES_MAX // 100_000 + 1)
        await database.wait_moved(database.latest_ticket)
        assert len(tables(database)[1]) == 100
