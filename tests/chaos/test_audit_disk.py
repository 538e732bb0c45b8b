"""A disk that is full, and what has to be in the audit log."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess
from tests.support.wire import Peer, Wire, agent, open_wire, orchestrator

from aether.proto import aether_pb2 as pb
from aether.rpc.status import RpcError, StatusCode

Op = pb.ACLOperation


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    """With access rules."""
    config = tmp_path / "aether.yaml"
    config.write_text("acl: {enabled: true}\n")
    process = GatewayProcess(tmp_path, "--config", str(config))
    await trio.to_thread.run_sync(process.start)
    yield process
    process.stop()


async def grant(admin: Peer, workspace: str, level: int) -> pb.ACLResponse:
    request = pb.ACLGrantRequest(
        principal_type="agent",
        principal_id="ag::w::i::s",
        resource_type="workspace",
        resource_id=workspace,
        access_level=level,
    )
    admin.say(acl_op=pb.ACLOperation(op=Op.GRANT, grant_request=request))
    response: pb.ACLResponse = await admin.expect("acl")
    return response


async def test_refusals_and_changes_wait_for_the_disk(gateway: GatewayProcess) -> None:
    """What cannot be written down is neither refused nor changed: clients are told to try again, sessions live on, and
    everything is as it was when there is room again (weakness 37)."""
    async with open_wire(gateway.port) as wire:
        admin = await wire.connect(orchestrator("admin"))
        peer = await wire.connect(agent())
        assert (await grant(admin, "closed", 10)).success
        peer.send("ag::closed::i::s")
        await peer.expect_error("ERR_PERMISSION_DENIED")
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        try:
            for _ in range(3):  # the first is in doubt, the others are not even begun
                peer.send("ag::closed::i::s")
                await peer.expect_error("ERR_PUBLISH_FAILED", retryable=True)
                response = await grant(admin, "other", 10)
                assert not response.success
                assert "try again" in response.error
            await refused_or_told_to_try_again(wire)
            peer.send("ag::w::i::s", b"ordinary")
            assert await peer.expect_payloads(1) == [b"ordinary"]
        finally:
            resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        for _ in range(100):  # until the store has tried again
            if (await grant(admin, "other", 10)).success:
                break
            await trio.sleep(0.1)
        peer.send("ag::closed::i::s")
        await peer.expect_error("ERR_PERMISSION_DENIED")
        admin.say(acl_op=pb.ACLOperation(op=Op.LIST_RULES))
        assert {rule.resource_id for rule in (await admin.expect("acl")).rules} == {"closed", "other"}


async def refused_or_told_to_try_again(wire: Wire) -> None:
    """A client that may not connect learns so once that is on record, and until then to come back."""
    peer = await wire.open()
    peer.say(init=agent("wrong", credentials={"x-api-key": "a wrong key"}))
    with trio.fail_after(20), pytest.raises(RpcError) as error:
        await peer.call.receive()
    assert error.value.code is StatusCode.UNAVAILABLE
    await peer.abort()
