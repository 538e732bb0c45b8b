"""Health probes and metrics: what operators see while a gateway starts, works, fails and drains."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass

import pytest
import trio

from aether.admin import ops as ops_module
from aether.admin.ops import Ops, Probed
from aether.metrics import WORKSPACES_MAX, Metrics


@dataclass
class Check:
    name: str = "store"
    latency_ms: float = 1.5
    error: str = ""


class Stand:
    """A gateway as far as the probes look."""

    def __init__(self) -> None:
        self.is_draining = False
        self.check = Check()
        self.looks = 0
        self.metrics = Metrics()

    @property
    def probed(self) -> Probed:
        return Probed(lambda: self.is_draining, self.checks, self.metrics.exposition)

    async def checks(self):
        await trio.lowlevel.checkpoint()
        self.looks += 1
        return [self.check]


async def get(url: str, path: str, method: str = "GET") -> tuple[int, str]:
    """One request over a plain socket."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    async with await trio.open_tcp_stream(host.strip("[]"), int(port)) as stream:
        await stream.send_all(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join([chunk async for chunk in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


@pytest.fixture
async def served(nursery):
    """The probes on a port the system chose; they end when the test's nursery is cancelled."""
    ops = Ops()
    return ops, await nursery.start(ops.serve, "127.0.0.1", 0)


async def test_while_the_gateway_starts(served):
    _, url = served
    assert await get(url, "/health/live") == (200, '{"status":"ok"}')
    assert await get(url, "/health/startup") == (503, '{"status":"starting"}')
    assert (await get(url, "/health/ready"))[0] == 503
    assert (await get(url, "/metrics"))[0] == 503


async def test_a_gateway_that_works(served):
    ops, url = served
    stand = Stand()
    ops.started(stand.probed)
    assert await get(url, "/health/startup") == (200, '{"status":"ok"}')
    status, body = await get(url, "/health/ready")
    assert status == 200
    assert json.loads(body) == {"status": "ok", "checks": {"store": {"status": "ok", "latency_ms": 1.5}}}


async def test_probes_in_a_row_look_once(served):
    ops, url = served
    stand = Stand()
    ops.started(stand.probed)
    for _ in range(3):
        await get(url, "/health/ready")
    assert stand.looks == 1


async def test_a_broken_store_and_a_drain_are_not_ready_but_alive(served, monkeypatch):
    monkeypatch.setattr(ops_module, "CHECK_CACHE_S", 0)
    ops, url = served
    stand = Stand()
    ops.started(stand.probed)
    stand.check = Check(error="/secret/path: disk I/O error")
    status, body = await get(url, "/health/ready")
    assert status == 503
    assert json.loads(body)["checks"]["store"]["status"] == "error"
    assert "secret" not in body
    stand.check = Check()
    assert (await get(url, "/health/ready"))[0] == 200
    stand.is_draining = True
    assert json.loads((await get(url, "/health/ready"))[1])["status"] == "draining"
    assert (await get(url, "/health/live"))[0] == 200


async def test_other_paths_and_methods(served):
    _, url = served
    assert (await get(url, "/"))[0] == 404
    assert (await get(url, "/health/live", "POST"))[0] == 405


async def test_a_port_in_use_is_told_at_once(served, nursery):
    _, url = served
    with pytest.raises(OSError, match="use") as caught:
        await nursery.start(Ops().serve, "127.0.0.1", int(url.rpartition(":")[2]))
    assert caught.value.errno == errno.EADDRINUSE


async def test_metrics_in_prometheus_format(served):
    ops, url = served
    stand = Stand()
    ops.started(stand.probed)
    metrics = stand.metrics
    metrics.connected("w", "Agent")
    metrics.connected("w", "Agent")
    metrics.disconnected("w", "Agent", 3.0)
    metrics.rejected("w", "Agent", "lock_failed")
    metrics.routed("w", [0, 5, 0, 0, 2, 0, 0, 0], 700)
    metrics.message_error("w", "ERR_PAYLOAD_TOO_LARGE")
    metrics.message_error("w", "ERR_QUOTA_001")
    metrics.kv.observe("PUT", "global", "w", True, 0.001)
    metrics.kv.observe("PUT", "global", "w", False, 0.001)
    metrics.checkpoint_operation("w", "SAVE")
    status, text = await get(url, "/metrics")
    assert status == 200
    lines = text.splitlines()
    for line in (
        'aether_active_connections{principal_type="Agent",workspace="w"} 1.0',
        'aether_connection_attempts_total{principal_type="Agent",status="success",workspace="w"} 2.0',
        'aether_connection_attempts_total{principal_type="Agent",status="lock_failed",workspace="w"} 1.0',
        'aether_connection_duration_seconds_bucket{le="4.0",principal_type="Agent",workspace="w"} 1.0',
        'aether_messages_routed_total{message_type="CHAT",workspace="w"} 5.0',
        'aether_messages_routed_total{message_type="EVENT",workspace="w"} 2.0',
        'aether_metering_bytes_routed_total{workspace="w"} 700.0',
        'aether_message_errors_total{error_type="payload_too_large",workspace="w"} 1.0',
        'aether_message_errors_total{error_type="quota_exceeded",workspace="w"} 1.0',
        'aether_kv_operations_total{operation="PUT",scope="global",status="ok"} 1.0',
        'aether_kv_operations_total{operation="PUT",scope="global",status="error"} 1.0',
        'aether_metering_kv_operations_total{operation="PUT",workspace="w"} 1.0',
        'aether_metering_checkpoint_operations_total{operation="SAVE",workspace="w"} 1.0',
    ):
        assert line in lines


def test_clients_cannot_grow_the_label_values():
    metrics = Metrics()
    for number in range(WORKSPACES_MAX + 50):
        metrics.routed(f"w{number}", [0, 1], 1)
    text = metrics.exposition().decode()
    assert 'aether_messages_routed_total{message_type="CHAT",workspace="other"} 50.0' in text
    assert text.count("aether_messages_routed_total{") == WORKSPACES_MAX + 1
