"""Checkpoints; numbers in names are those of the checklist of kv."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fakes import BrokenKV, FakeCaller, WallClock, agent, messages, user

from aether.access import OpenAccess
from aether.checkpoints.service import CheckpointLimits, CheckpointService
from aether.checkpoints.store import CheckpointStore
from aether.proto import aether_pb2 as pb
from aether.storage.checkpoints import KVCheckpoints
from aether.storage.memory.kv import MemoryKV
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.kv import SqliteKV

C = pb.CheckpointOperation


@dataclass
class Desk:
    store: CheckpointStore | None
    clock: WallClock
    limits: CheckpointLimits = CheckpointLimits()

    async def ask(self, op: int, caller: FakeCaller | None = None, **fields: Any) -> pb.CheckpointResponse:
        """Exactly one response, of the right type, with the id; ``ttl`` is -1 as in official clients."""
        operation = pb.CheckpointOperation(**{"request_id": "r", "ttl": -1, **fields})
        operation.op = op  # type: ignore[assignment]
        service = CheckpointService(self.store, OpenAccess(), self.limits, self.clock)
        (message,) = messages(await service.handle(caller or agent(), operation))
        assert message.WhichOneof("payload") == "checkpoint"
        assert message.checkpoint.request_id == operation.request_id
        assert message.checkpoint.success == (not message.checkpoint.error)
        return message.checkpoint


@pytest.fixture(params=["memory", "sqlite"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    clock = WallClock()
    if request.param == "memory":
        yield Desk(KVCheckpoints(MemoryKV(clock)), clock)
    else:
        async with Database.open(tmp_path, "os") as database:
            yield Desk(KVCheckpoints(SqliteKV(database, clock)), clock)


async def test_87_save_and_load_the_default(desk: Desk) -> None:
    saved = await desk.ask(C.SAVE, data=b"state")
    assert saved.saved_at == desk.clock.now_ms // 1000
    desk.clock.advance(60)
    loaded = await desk.ask(C.LOAD)
    assert (loaded.data, loaded.saved_at) == (b"state", saved.saved_at)
    assert (await desk.ask(C.LIST)).keys == ["default"]


async def test_88_load_absent(desk: Desk) -> None:
    loaded = await desk.ask(C.LOAD, key="x")
    assert (loaded.success, loaded.data, loaded.saved_at) == (True, b"", 0)


async def test_empty_data_is_told_from_absence(desk: Desk) -> None:
    await desk.ask(C.SAVE, key="x")
    assert (await desk.ask(C.LOAD, key="x")).saved_at > 0


async def test_89_delete_absent(desk: Desk) -> None:
    assert (await desk.ask(C.DELETE, key="x")).success


async def test_90_keys_are_independent(desk: Desk) -> None:
    await desk.ask(C.SAVE, key="a", data=b"1")
    await desk.ask(C.SAVE, key="b", data=b"2")
    assert (await desk.ask(C.LOAD, key="a")).data == b"1"
    assert (await desk.ask(C.LIST)).keys == ["a", "b"]
    await desk.ask(C.DELETE, key="a")
    assert (await desk.ask(C.LIST)).keys == ["b"]


async def test_91_ttl(desk: Desk) -> None:
    for ttl in (1, 0, -1):
        await desk.ask(C.SAVE, key=f"ttl{ttl}", data=b"v", ttl=ttl)
    desk.clock.advance(2)
    assert (await desk.ask(C.LOAD, key="ttl1")).saved_at == 0
    assert (await desk.ask(C.LIST)).keys == ["ttl-1", "ttl0"]


async def test_92_default_ttl(desk: Desk) -> None:
    desk.limits = CheckpointLimits(default_ttl_s=1)
    for ttl in (0, -1):
        await desk.ask(C.SAVE, key=f"ttl{ttl}", data=b"v", ttl=ttl)
    desk.clock.advance(2)
    assert (await desk.ask(C.LIST)).keys == ["ttl0"]


async def test_93_save_again(desk: Desk) -> None:
    await desk.ask(C.SAVE, data=b"1", ttl=1)
    await desk.ask(C.SAVE, data=b"2", ttl=0)
    desk.clock.advance(2)
    assert (await desk.ask(C.LOAD)).data == b"2"


async def test_94_survives_a_restart(tmp_path: Path) -> None:
    clock = WallClock()
    async with Database.open(tmp_path, "os") as database:
        await Desk(KVCheckpoints(SqliteKV(database, clock)), clock).ask(C.SAVE, data=b"state")
    async with Database.open(tmp_path, "os") as database:
        assert (await Desk(KVCheckpoints(SqliteKV(database, clock)), clock).ask(C.LOAD)).data == b"state"


async def test_95_private_to_the_identity(desk: Desk) -> None:
    await desk.ask(C.SAVE, data=b"state")
    await desk.ask(C.SAVE, user(window="1"), data=b"state")
    for other in (agent("other"), agent(workspace="w2"), user(window="2")):
        assert (await desk.ask(C.LOAD, other)).saved_at == 0
        assert not (await desk.ask(C.LIST, other)).keys


async def test_96_unknown_operation(desk: Desk) -> None:
    assert (await desk.ask(99)).error == "unknown checkpoint operation"


async def test_97_users_may(desk: Desk) -> None:
    for op in (C.SAVE, C.LOAD, C.LIST, C.DELETE):
        assert (await desk.ask(op, user())).success


async def test_98_three_mebibytes(desk: Desk) -> None:
    data = bytes(3 * 1024 * 1024)
    await desk.ask(C.SAVE, data=data)
    assert (await desk.ask(C.LOAD)).data == data


async def test_empty_request_id_stays_empty(desk: Desk) -> None:
    assert (await desk.ask(C.SAVE, request_id="")).success
    assert (await desk.ask(99, request_id="")).error


async def test_size_limit(desk: Desk) -> None:
    desk.limits = CheckpointLimits(size_bytes_max=10)
    assert (await desk.ask(C.SAVE, data=bytes(10))).success
    assert (await desk.ask(C.SAVE, data=bytes(11))).error == "checkpoint size 11 exceeds maximum of 10 bytes"
    assert len((await desk.ask(C.LOAD)).data) == 10


async def test_count_limit(desk: Desk) -> None:
    desk.limits = CheckpointLimits(count_max=2)
    for key in ("a", "b"):
        await desk.ask(C.SAVE, key=key)
    assert (await desk.ask(C.SAVE, key="c")).error == "checkpoint count limit of 2 reached"
    assert (await desk.ask(C.SAVE, key="a", data=b"new")).success
    assert (await desk.ask(C.SAVE, agent("other"), key="c")).success


async def test_largest_ttl_on_the_wire(desk: Desk) -> None:
    assert (await desk.ask(C.SAVE, ttl=2**63 - 1)).success
    assert (await desk.ask(C.LIST)).keys == ["default"]


async def test_overlong_key(desk: Desk) -> None:
    assert "key" in (await desk.ask(C.SAVE, key="x" * 1025)).error


@pytest.mark.parametrize("op", [C.SAVE, C.LOAD, C.DELETE, C.LIST])
async def test_store_that_is_away(op: int) -> None:
    error = (await Desk(KVCheckpoints(BrokenKV()), WallClock()).ask(op)).error
    assert error == "the checkpoint store is unavailable, try again"


@pytest.mark.parametrize("op", [C.SAVE, C.LOAD, C.DELETE, C.LIST])
async def test_no_store(op: int) -> None:
    assert (await Desk(None, WallClock()).ask(op)).error == "checkpoint store not configured"


async def test_many_long_keys_fit_into_one_message(desk: Desk) -> None:
    desk.limits = CheckpointLimits(count_max=0)
    store = desk.store
    assert store is not None
    for number in range(3600):
        await store.save("ag::w::i::s", f"{number:01000}", b"", saved_at_s=1, ttl_s=0)
    response = await desk.ask(C.LIST)
    assert response.ByteSize() < 4_000_000
    assert len(response.keys) > 3000
