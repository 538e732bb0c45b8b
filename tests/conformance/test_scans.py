"""Longer reads of the local tier: nobody waits for what somebody else reads a lot of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from aether.kv.store import Command, Namespace, Op, Result, Scope
from aether.storage.memory.kv import MemoryKV
from aether.storage.sqlite import kv as sqlite_kv
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.kv import SqliteKV
from aether.storage.sqlite.log import SqliteLog

from .conftest import WallClock

HERE = Namespace(Scope.WORKSPACE, workspace="w")


def entry(op: Op, key: str, value: bytes = b"", ttl_s: int = 0) -> Command:
    return Command(op, HERE, key, value, ttl_s)


def keys(count: int) -> Iterator[str]:
    """Of all shapes: one a prefix of another, at the ends of the alphabet, of several bytes."""
    for number in range(count):
        yield ("", "a", "a\x7f", "b/", "\U0010ffff")[number % 5] + str(number)


@pytest.mark.parametrize("kind", ["values", "tasks", "audit"])
async def test_a_replay_waits_for_no_other_reading(tmp_path: Path, kind: str) -> None:
    go_on = threading.Event()
    async with Database.open(tmp_path) as database:
        log = SqliteLog(database, lambda: 0)
        log.append("topic", b"message")
        await database.wait_durable(database.latest_ticket)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.scan, kind, lambda reader: go_on.wait(60))
            try:
                with trio.fail_after(30):
                    assert [frame for _, frame in await log.read("topic", 0, 1000)] == [b"message"]
            finally:
                go_on.set()


async def test_a_short_list_does_not_wait_for_a_long_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_kv, "STEP_ROWS", 10)
    ended: list[str] = []
    async with Database.open(tmp_path, "os") as database:
        kv = SqliteKV(database, lambda: 0)
        for number in range(200):
            kv.apply(entry(Op.PUT, f"long-{number}"))
        kv.apply(entry(Op.PUT, "short"))
        await database.wait_durable(database.latest_ticket)

        async def read(prefix: str) -> None:
            await kv.execute(Command(Op.LIST, HERE, prefix, limit=1000))
            ended.append(prefix)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, "long")
            nursery.start_soon(read, "short")
    assert ended == ["short", "long"]


@pytest.mark.parametrize(("rows", "size"), [(1, 1 << 20), (2, 1 << 20), (7, 1 << 20), (1000, 1), (1000, 100)])
async def test_steps_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, size: int) -> None:
    """Whatever their length: the same pages as of a store that reads all at once, past sets and what has expired."""
    monkeypatch.setattr(sqlite_kv, "STEP_ROWS", rows)
    monkeypatch.setattr(sqlite_kv, "STEP_BYTES", size)
    clock = WallClock()
    async with Database.open(tmp_path, "os") as database:
        stores = SqliteKV(database, clock), MemoryKV(clock)
        for number, key in enumerate(keys(60)):
            for store in stores:
                store.apply(
                    entry(Op.SET_ADD if number % 7 == 3 else Op.PUT, key, b"v" * number, ttl_s=int(number % 4 == 1))
                )
        clock.advance(2)
        for prefix in ("", "a", "a\x7f", "b/", "\U0010ffff", "none"):
            for limit in (1, 5, 100):
                cursor = ""
                while True:
                    page, expected = [
                        await store.execute(Command(Op.LIST, HERE, prefix, limit=limit, cursor=cursor))
                        for store in stores
                    ]
                    assert shown(page) == shown(expected)
                    cursor = page.cursor
                    if not page.more:
                        break


def shown(page: Result) -> tuple[list[str], list[bytes], bool, str]:
    return list(page.keys), list(page.values), page.more, page.cursor
