"""Random histories of key/value commands, restarts included: SQLite answers as a dictionary would."""

from __future__ import annotations

import tempfile
from pathlib import Path

import trio
from hypothesis import given
from hypothesis import strategies as st

from aether.errors import KVError
from aether.kv.store import Command, Namespace, Op, Scope
from aether.storage.memory.kv import MemoryKV
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.kv import SqliteKV

NAMESPACES = [Namespace(Scope.GLOBAL), Namespace(Scope.WORKSPACE, workspace="w")]
SINGLE = [op for op in Op if op not in (Op.LIST, Op.PURGE_IDENTITY)]

ACCOUNTS = ["", "w", "v"]

commands = st.builds(
    Command,
    op=st.sampled_from([*SINGLE, Op.LIST, Op.PURGE_IDENTITY]),
    namespace=st.sampled_from(NAMESPACES),
    key=st.sampled_from(["a", "b", "ab", "ü"]),
    value=st.sampled_from([b"", b"1", b"7", b"x", b"9223372036854775807"]),
    ttl_s=st.sampled_from([0, 0, 1, 5]),
    guard=st.integers(-2, 2),
    delta=st.integers(0, 2),
    expected=st.sampled_from([b"", b"1", b"7"]),
    limit=st.sampled_from([0, 1]),
    account=st.sampled_from(ACCOUNTS),
)
steps = st.one_of(commands, st.sampled_from(["advance", "settle", "sweep", "restart"]))


class Clock:
    now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@given(st.lists(steps, max_size=40))
def test_histories(history: list[Command | str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        trio.run(play, history, Path(directory))


async def play(history: list[Command | str], directory: Path) -> None:
    clock = Clock()
    model = MemoryKV(clock)
    remaining = list(history)
    while True:
        step: Command | str = ""
        async with Database.open(directory, "os") as database:
            subject = SqliteKV(database, clock, cache_bytes=400)
            while remaining:
                step = remaining.pop(0)
                if step == "restart":
                    break
                if step == "advance":
                    clock.now_ms += 2000
                elif step == "settle":
                    await database.wait_durable(database.open_ticket - 1)
                elif step == "sweep":
                    await subject._sweep_once()
                elif isinstance(step, Command):
                    assert await outcome(subject, step) == await outcome(model, step), step
            await database.wait_durable(database.latest_ticket)
            stored = SqliteKV(database, clock).accounts
            for account in ACCOUNTS:
                assert subject.accounts.stored(account) == stored.stored(account), "what was counted is what is there"
            if not remaining and step != "restart":
                return


async def outcome(store: SqliteKV | MemoryKV, command: Command) -> object:
    """Result or error type; single-key commands are not waited for, so that they meet each other uncommitted."""
    try:
        if command.op in SINGLE:
            return store.apply(command)[0]
        return await store.execute(command)
    except KVError as error:
        return type(error)
