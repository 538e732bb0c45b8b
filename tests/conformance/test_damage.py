"""Files as a crash or a bad disk left them: what was durable is there, or the start says what is wrong."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aether import Config, Gateway
from aether.errors import StoreUnavailable
from aether.kv.store import Command, Namespace, Op
from aether.proto import aether_pb2 as pb
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.kv import SqliteKV
from aether.storage.sqlite.log import SqliteLog

PLACE = Namespace(pb.KVOperation.GLOBAL)
COMMITS = 40


@pytest.fixture
async def written(tmp_path: Path) -> tuple[Path, list[int]]:
    """A data directory as a crash leaves it, and the length of its write-ahead log after each commit: of a value and
    of a message, both its number."""
    lengths = []
    async with Database.open(tmp_path / "data") as database:
        kv, log = SqliteKV(database, lambda: 0), SqliteLog(database, lambda: 0)
        for number in range(COMMITS):
            log.append("topic", b"%d" % number)
            await kv.execute(Command(Op.PUT, PLACE, f"key-{number}", value=b"%d" % number))
            lengths.append((tmp_path / "data/aether.db-wal").stat().st_size)
        shutil.copytree(tmp_path / "data", tmp_path / "crashed")
    return tmp_path / "crashed", lengths


def cut(data: bytes, at: int, _: random.Random) -> bytes:
    return data[:at]


def zeroed(data: bytes, at: int, _: random.Random) -> bytes:
    return data[:at] + bytes(len(data) - at)


def scrambled(data: bytes, at: int, randomness: random.Random) -> bytes:
    return data[:at] + randomness.randbytes(len(data) - at)


@pytest.mark.parametrize("tear", [cut, zeroed, scrambled])
async def test_everything_before_a_tear_in_the_journal_is_there(
    tmp_path: Path, written: tuple[Path, list[int]], tear: Callable[[bytes, int, random.Random], bytes]
) -> None:
    """Wherever it is; and what comes after it is there up to some commit, or not at all."""
    crashed, lengths = written
    data = (crashed / "aether.db-wal").read_bytes()
    randomness = random.Random(1)
    offsets = [0, 1, 31, 32, 33, *lengths[::15], lengths[5] - 1, len(data) - 1]
    for offset in (*offsets, *(randomness.randrange(len(data)) for _ in range(6))):
        torn = tmp_path / "torn"
        shutil.rmtree(torn, ignore_errors=True)
        shutil.copytree(crashed, torn)
        (torn / "aether.db-wal").write_bytes(tear(data, offset, randomness))
        if offset % 2:
            (torn / "aether.db-shm").unlink()
        durable = sum(length <= offset for length in lengths)
        async with Database.open(torn) as database:
            kv, log = SqliteKV(database, lambda: 0), SqliteLog(database, lambda: 0)
            messages = [int(frame) for _, frame in await log.read("topic", 0, 1_000_000)]
            assert durable <= len(messages) <= durable + 1
            assert messages == list(range(len(messages)))
            for number in range(COMMITS):
                value = (await kv.execute(Command(Op.GET, PLACE, f"key-{number}"))).value
                assert value == (b"%d" % number if number < len(messages) else b"")
            log.append("topic", b"next")
            await kv.execute(Command(Op.PUT, PLACE, "next", value=b"next"))
            assert [frame for _, frame in await log.read("topic", 0, 1_000_000)][-1] == b"next"


def text(file: Path) -> None:
    file.write_text("this is no database " * 100)


def header(file: Path) -> None:
    file.write_bytes(bytes(range(100)) + file.read_bytes()[100:])


def half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("damage", [text, header, half, directory])
async def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    config = Config.development(tmp_path)
    async with Gateway(config, listen=False):
        pass
    damage(tmp_path / "aether.db")
    with pytest.raises(StoreUnavailable, match=r"cannot use .*aether\.db: "):
        async with Gateway(config, listen=False):
            pass


async def start(directory: Path) -> None:
    async with Gateway(Config.development(directory), listen=False):
        pass


def emptied(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("loss", [emptied, Path.unlink])
@pytest.mark.parametrize("is_crashed", [False, True], ids=["stopped", "crashed"])
async def test_a_database_that_is_gone_is_not_begun_anew(
    tmp_path: Path, written: tuple[Path, list[int]], loss: Callable[[Path], None], is_crashed: bool
) -> None:
    """SQLite would make a new one, and remove what the write-ahead log holds."""
    directory = written[0] if is_crashed else tmp_path / "data"
    loss(directory / "aether.db")
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    with pytest.raises(StoreUnavailable, match=r"restore aether\.db from a backup, or move the directory away"):
        await start(directory)
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before


@pytest.mark.parametrize("left", ["aether.db-wal", "aether.db-shm", "token-hmac-key"])
async def test_a_directory_of_an_earlier_version_held_data_if_it_looks_so(
    tmp_path: Path, written: tuple[Path, list[int]], left: str
) -> None:
    """There was no note of it then."""
    (tmp_path / "lock").write_bytes(b"")
    (tmp_path / "aether.db").write_bytes(b"")
    (tmp_path / left).write_text("something", encoding="utf-8")
    with pytest.raises(StoreUnavailable, match=rf"aether\.db is empty, .*{left} is still there"):
        await start(tmp_path)


async def test_a_first_start_that_was_killed_is_no_loss(tmp_path: Path) -> None:
    """Before anything was in the file; and a key may have been there before any gateway."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one/lock").write_bytes(b"")
    (tmp_path / "one/aether.db").write_bytes(b"")
    await start(tmp_path / "one")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/token-hmac-key").write_text("k" * 44, encoding="utf-8")
    await start(tmp_path / "two")
    await start(tmp_path / "two")


async def test_a_record_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    async with Database.open(tmp_path) as database:
        database._writer.connection.execute("INSERT INTO locks VALUES ('ag::w::i::s', 'no record')")
    with pytest.raises(StoreUnavailable, match="cannot use"):
        async with Gateway(Config.development(tmp_path), listen=False):
            pass
