"""A store that stands still: another process holds the database, for as long as the test wants."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess
from tests.support.wire import Peer, agent, open_wire, orchestrator

from aether.audit.trail import STAGED_MAX
from aether.proto import aether_pb2 as pb

HANG_S = 60
ORDINARY = STAGED_MAX // 2 + 1000
"""Each leaves two rows."""


@pytest.fixture(params=["batch", "os"])
async def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GatewayProcess]:
    """With access rules, and a row for every message."""
    config = tmp_path / "aether.yaml"
    config.write_text(
        "acl: {enabled: true}\naudit: {audit_coalesce_window: 0}\n"
        "gateway: {message_rate_limit: 0}\nquotas: {max_message_rate_per_identity: 0}\n"
    )
    process = GatewayProcess(tmp_path, "--config", str(config), "--durability", request.param)
    await trio.to_thread.run_sync(process.start)
    yield process
    process.stop()


@contextmanager
def stalled(directory: Path) -> Iterator[None]:
    """Nobody can write to the store."""
    connection = sqlite3.connect(directory / "data" / "aether.db", isolation_level=None, timeout=HANG_S)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


async def rule(admin: Peer, workspace: str) -> None:
    request = pb.ACLGrantRequest(
        principal_type="agent", principal_id="ag::w::i::denied", resource_type="workspace", resource_id=workspace
    )
    admin.say(acl_op=pb.ACLOperation(op=pb.ACLOperation.GRANT, grant_request=request))
    assert (await admin.expect("acl")).success


async def entries(admin: Peer, **wanted: object) -> pb.AuditQueryResponse:
    admin.say(audit_query=pb.AuditQuery(limit=500, **wanted))  # type: ignore[arg-type]
    response: pb.AuditQueryResponse = await admin.expect("audit_response")
    assert response.success, response.error
    return response


async def test_a_store_that_stalls_under_load(gateway: GatewayProcess, tmp_path: Path) -> None:
    """107: what is ordinary goes on, though nothing can be written; what has to be on record waits for it, or is to be
    tried again; afterwards every refusal that was told has its row, and how many others are missing is known."""
    with trio.fail_after(HANG_S):
        async with open_wire(gateway.port) as wire:
            admin = await wire.connect(orchestrator("admin"))
            await rule(admin, "closed")
            sender, receiver, denied, reader = [
                await wire.connect(agent(name)) for name in ("sender", "receiver", "denied", "reader")
            ]
            put = pb.KVOperation(op=pb.KVOperation.PUT, key="k", value=b"v", scope=pb.KVOperation.GLOBAL_EXCLUSIVE)
            reader.say(kv_op=put)
            assert (await reader.expect("kv")).success
            put.op = pb.KVOperation.GET
            with stalled(tmp_path):
                payloads = [b"%d" % number for number in range(ORDINARY)]
                for payload in payloads:
                    sender.send("ag::w::i::receiver", payload)
                assert await receiver.expect_payloads(ORDINARY) == payloads
                for _ in range(3):
                    denied.send("ag::closed::i::s")
                reader.say(kv_op=put)
                assert (await reader.expect("kv")).value == b"v"
            codes = [(await denied.expect("error")).code for _ in range(3)]
            assert {*codes} <= {"ERR_PERMISSION_DENIED", "ERR_PUBLISH_FAILED"}
            await sender.settle()
            recorded = await entries(admin, actor_id="ag::w::i::denied", only_failures=True, event_type="authorization")
            assert recorded.total_count >= codes.count("ERR_PERMISSION_DENIED")
            sender.send("ag::w::i::receiver", b"and the confession")
            await sender.settle()
            [confession] = (await entries(admin, operation="audit_rows_left_out")).entries
            left_out = json.loads(confession.metadata_json)["count"]
            kept = await entries(admin, actor_id="ag::w::i::sender", event_type="message")
            assert kept.total_count + left_out >= 2 * (ORDINARY + 1)
            assert left_out > 0


async def test_a_stall_that_lasts(gateway: GatewayProcess, tmp_path: Path) -> None:
    """107: longer than a commit is waited for: told to try again, without an end of any session, and nothing that was
    told is lost."""
    with trio.fail_after(HANG_S):
        async with open_wire(gateway.port) as wire:
            admin = await wire.connect(orchestrator("admin"))
            await rule(admin, "closed")
            denied = await wire.connect(agent("denied"))
            told = 0
            with stalled(tmp_path):
                for _ in range(5):
                    denied.send("ag::closed::i::s")
                    await denied.expect_error("ERR_PUBLISH_FAILED", retryable=True)
            while told < 5:
                denied.send("ag::closed::i::s")
                error = await denied.expect("error")
                told += error.code == "ERR_PERMISSION_DENIED"
                await trio.sleep(0.05)
            found = await entries(admin, actor_id="ag::w::i::denied", only_failures=True, event_type="message")
            assert found.total_count >= told
