"""Checkpoints on the wire: the checklist of the key/value chapter, by number."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.wire import Peer, Wire, agent, open_wire, orchestrator, service, user
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.proto import aether_pb2 as pb

C = pb.CheckpointOperation


@pytest.fixture
async def gateway(tmp_path: Path, engine: str, clock: WallClock) -> AsyncIterator[Gateway]:
    config = Config.development(tmp_path / "data", gateway={"engine": engine})
    async with Gateway(config, wall_clock=clock) as gateway:
        yield gateway


async def do(peer: Peer, op: int, key: str = "", data: bytes = b"", **fields: Any) -> pb.CheckpointResponse:
    peer.say(checkpoint_op=C(op=op, key=key, data=data, request_id="r", **fields))  # type: ignore[arg-type]
    response: pb.CheckpointResponse = await peer.expect("checkpoint")
    assert response.request_id == "r"
    assert response.success, response.error
    return response


async def test_87_to_90_save_and_load(wire: Wire, clock: WallClock) -> None:
    me = await wire.connect(agent())
    absent = await do(me, C.LOAD)
    assert (absent.data, absent.saved_at) == (b"", 0)
    await do(me, C.DELETE)
    await do(me, C.SAVE, data=b"\x00\xff")
    loaded = await do(me, C.LOAD)
    assert (loaded.data, loaded.saved_at) == (b"\x00\xff", clock.now_ms // 1000)
    assert list((await do(me, C.LIST)).keys) == ["default"]
    await do(me, C.SAVE, "other", b"2")
    assert (await do(me, C.LOAD)).data == b"\x00\xff"
    assert sorted((await do(me, C.LIST)).keys) == ["default", "other"]
    await do(me, C.DELETE)
    assert list((await do(me, C.LIST)).keys) == ["other"]


async def test_91_93_time_to_live(wire: Wire, clock: WallClock) -> None:
    me = await wire.connect(agent())
    for key, ttl in (("short", 1), ("zero", 0), ("default", -1), ("replaced", 1)):
        await do(me, C.SAVE, key, b"1", ttl=ttl)
    await do(me, C.SAVE, "replaced", b"2", ttl=0)
    clock.advance(2)
    assert (await do(me, C.LOAD, "short")).data == b""
    assert (await do(me, C.LOAD, "replaced")).data == b"2"
    assert sorted((await do(me, C.LIST)).keys) == ["default", "replaced", "zero"]


@asynccontextmanager
async def served(path: Path, engine: str, clock: WallClock, **sections: Any) -> AsyncIterator[Wire]:
    config = Config.development(path, gateway={"engine": engine}, **sections)
    async with Gateway(config, wall_clock=clock) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            yield wire


async def test_92_the_default_of_the_server(tmp_path: Path, engine: str, clock: WallClock) -> None:
    async with served(tmp_path, engine, clock, checkpoint={"default_ttl": "1s"}) as wire:
        me = await wire.connect(agent())
        await do(me, C.SAVE, "left to it", b"1", ttl=-1)
        await do(me, C.SAVE, "kept", b"1", ttl=0)
        clock.advance(2)
        assert list((await do(me, C.LIST)).keys) == ["kept"]


async def test_94_98_they_outlive_connection_and_gateway(tmp_path: Path, engine: str, clock: WallClock) -> None:
    data = bytes(range(256)) * 12 * 1024
    opened: AbstractAsyncContextManager[Wire] = served(tmp_path, engine, clock)
    async with opened as wire:
        me = await wire.connect(agent())
        await do(me, C.SAVE, data=data)
        await me.abort()
        assert (await do(await wire.connect(agent()), C.LOAD)).data == data
    async with served(tmp_path, engine, clock) as wire:
        assert (await do(await wire.connect(agent()), C.LOAD)).data == data


async def test_95_97_they_are_private(wire: Wire) -> None:
    inits = [user("alice", "1"), user("alice", "2"), agent("1"), agent("2"), service()]
    peers = [await wire.connect(init) for init in inits]
    for number, peer in enumerate(peers):
        await do(peer, C.SAVE, "K", b"%d" % number)
    for number, peer in enumerate(peers):
        assert (await do(peer, C.LOAD, "K")).data == b"%d" % number
        await do(peer, C.DELETE, "K")
        assert list((await do(peer, C.LIST)).keys) == []


@pytest.mark.parametrize("recorded", [False, True])
async def test_metrics_and_audit(tmp_path: Path, engine: str, clock: WallClock, recorded: bool) -> None:
    """kv 12.2; weakness 25: rows of success for those who want them."""
    config = Config.development(tmp_path, gateway={"engine": engine}, checkpoint={"audit": recorded})
    async with Gateway(config, wall_clock=clock) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            me = await wire.connect(agent())
            for op in (C.SAVE, C.LOAD, C.LIST, C.DELETE):
                await do(me, op, "k", b"12")
            me.say(checkpoint_op=C(op=99))  # type: ignore[arg-type]
            assert not (await me.expect("checkpoint")).success
            admin = await wire.connect(orchestrator())
            admin.say(audit_query=pb.AuditQuery(event_type="kv", request_id="q"))
            rows = list(reversed((await admin.expect("audit_response")).entries))
        lines = gateway.metrics.exposition().decode().splitlines()
    counted = [line for line in lines if line.startswith("aether_metering_checkpoint_operations_total")]
    assert sorted(counted) == [
        f'aether_metering_checkpoint_operations_total{{operation="{name}",workspace="w"}} 1.0'
        for name in ("DELETE", "LIST", "LOAD", "SAVE")
    ]
    names = ["checkpoint_save", "checkpoint_load", "checkpoint_list", "checkpoint_delete"]
    assert [row.operation for row in rows] == (names if recorded else [])
    if recorded:
        assert (rows[0].resource_type, rows[0].resource_id, rows[2].resource_id) == ("checkpoint", "k", "")
        assert json.loads(rows[0].metadata_json) == {"size": 2, "ttl_seconds": 0}


async def test_96_what_cannot_be(wire: Wire) -> None:
    me = await wire.connect(agent())
    for operation, text in (
        (C(op=99), "unknown checkpoint operation"),  # type: ignore[arg-type]
        (C(op=C.SAVE, data=b"x" * (3 * 1024 * 1024 + 1)), "checkpoint"),
        (C(op=C.SAVE, key="k" * 1025), "key"),
    ):
        operation.request_id = "r"
        me.say(checkpoint_op=operation)
        response = await me.expect("checkpoint")
        assert (response.success, response.request_id) == (False, "r")
        assert text in response.error
    await me.settle()
