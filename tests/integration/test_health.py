"""The health service as probes see it (operations 10.2, connection 8.3)."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import aether
from aether.rpc.client import connect_stream
from aether.rpc.status import RpcError, StatusCode, frame

CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
GATEWAY = b"aether.v1.AetherGateway"


def request(service: bytes) -> bytes:
    return frame(b"\x0a" + bytes((len(service),)) + service if service else b"")


@pytest.mark.parametrize("service", [b"", GATEWAY])
async def test_a_running_gateway_serves(tmp_path: Path, service: bytes) -> None:
    async with (
        aether.Gateway(aether.Config.development(tmp_path), listen=False) as gateway,
        connect_stream(await gateway.open_transport()) as channel,
        channel.call(CHECK) as call,
    ):
        call.send(request(service))
        call.half_close()
        call.flush()
        assert await call.receive() == b"\x08\x01"
        assert await call.receive() is None


async def test_an_unknown_service_is_not_found(tmp_path: Path) -> None:
    async with (
        aether.Gateway(aether.Config.development(tmp_path), listen=False) as gateway,
        connect_stream(await gateway.open_transport()) as channel,
        channel.call(CHECK) as call,
    ):
        call.send(request(b"nobody"))
        call.half_close()
        call.flush()
        with pytest.raises(RpcError) as refusal:
            await call.receive()
        assert refusal.value.code is StatusCode.NOT_FOUND


async def test_a_watcher_sees_the_drain(tmp_path: Path) -> None:
    config = aether.Config.development(tmp_path, shutdown={"graceful_timeout": "1s"})
    async with (
        aether.Gateway(config, listen=False) as gateway,
        connect_stream(await gateway.open_transport()) as channel,
        channel.call(WATCH) as call,
        trio.open_nursery() as nursery,
    ):
        call.send(request(GATEWAY))
        call.flush()
        assert await call.receive() == b"\x08\x01"
        nursery.start_soon(gateway.drain)
        assert await call.receive() == b"\x08\x02"
        nursery.cancel_scope.cancel()
