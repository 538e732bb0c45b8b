"""Who is refused over and over fills no disk (acl 15): a refusal is a row that is kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.access import Admin
from tests.support.audit import audit_rows
from tests.support.kv_operations import kv, kv_allowed, kv_denied
from tests.support.wire import Wire, agent, orchestrator

from aether import Config, Gateway
from aether.proto import aether_pb2 as pb
from aether.rpc.status import RpcError, StatusCode

K = pb.KVOperation

BURST = 5
DENIALS = 3
"""Each of them leaves two rows: what was asked, and what was decided."""


@pytest.fixture
async def gateway(tmp_path: Path, engine: str) -> AsyncIterator[Gateway]:
    limits = {"engine": engine, "denial_rate_limit": BURST / 50}
    async with Gateway(Config.development(tmp_path / "data", acl={"enabled": True}, gateway=limits)) as gateway:
        yield gateway


async def test_the_refused_are_not_heard_for_a_while(wire: Wire) -> None:
    admin = Admin(await wire.connect(orchestrator("admin")))
    peer, other = await wire.connect(agent()), await wire.connect(agent(specifier="other"))
    await kv_allowed(peer, kv(K.PUT, K.GLOBAL_EXCLUSIVE, value=b"1"))
    for _ in range(DENIALS):
        await kv_denied(peer, kv(K.GET, K.GLOBAL))
    recorded = await audit_rows(admin, operation="kv_get", only_failures=True)
    for operation in (kv(K.GET, K.GLOBAL), kv(K.GET, K.GLOBAL_EXCLUSIVE)):
        peer.say(kv_op=operation)
        error = await peer.expect_error("ERR_RATE_LIMITED", "too many refused operations", retryable=True)
        assert 9_000 < error.retry_after_ms <= 50_000 / BURST
        assert not (await peer.expect("kv")).success
    peer.send("ag::elsewhere::i::s")
    await peer.expect_error("ERR_RATE_LIMITED", retryable=True)
    assert await audit_rows(admin, operation="kv_get", only_failures=True) == recorded
    await kv_denied(other, kv(K.GET, K.GLOBAL))  # nobody else is concerned


async def test_failures_that_somebody_reports_are_no_refusals(wire: Wire) -> None:
    peer = await wire.connect(agent())
    for _ in range(2 * BURST):
        peer.say(submit_audit_event=pb.SubmitAuditEventRequest(event_type="custom", operation="job", success=False))
        assert (await peer.expect("submit_audit_event_response")).success
    await kv_allowed(peer, kv(K.PUT, K.GLOBAL_EXCLUSIVE, value=b"1"))


async def test_a_new_stream_makes_no_difference(wire: Wire) -> None:
    peer = await wire.connect(agent())
    for _ in range(DENIALS):
        await kv_denied(peer, kv(K.GET, K.GLOBAL))
    await peer.close()
    await wire.refused(agent(), StatusCode.RESOURCE_EXHAUSTED, "too many refused operations")


async def test_nobody_silences_another_by_claiming_to_be_it(wire: Wire) -> None:
    """Whoever has a key for agents may try every name that is taken; its holder is not hindered."""
    peer = await wire.connect(agent())
    for _ in range(2 * BURST):
        other = await wire.open()
        other.say(init=agent())
        with pytest.raises(RpcError) as refusal:
            await other.receive()
        await other.abort()
    assert refusal.value.code is StatusCode.RESOURCE_EXHAUSTED, "nor does it fill the disk"
    await kv_allowed(peer, kv(K.PUT, K.GLOBAL_EXCLUSIVE, value=b"1"))


async def test_refused_streams_count(wire: Wire) -> None:
    admin = Admin(await wire.connect(orchestrator("admin")))
    await admin.grant(("agent", "ag::w::i::s"), ("workspace", "w"), 0)
    for _ in range(BURST + 1):
        await wire.refused(agent(), StatusCode.PERMISSION_DENIED)
    await wire.refused(agent(), StatusCode.RESOURCE_EXHAUSTED, "too many refused operations")
