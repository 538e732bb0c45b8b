"""The audit log on the wire: the checklist of the access chapter, items by their numbers."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.access import ALICE, ME, Admin, move, send_denied
from tests.support.audit import audit_event, audit_rows, query_audit
from tests.support.kv_operations import kv, kv_denied
from tests.support.wire import Peer, Wire, agent, service, user

from aether import Config, Gateway
from aether.audit.events import Event
from aether.proto import aether_pb2 as pb
from aether.rpc.status import StatusCode

Op = pb.ACLOperation

K = pb.KVOperation


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings of the audit section."""
    return {}


@pytest.fixture
async def gateway(tmp_path: Path, engine: str, settings: dict[str, Any]) -> AsyncIterator[Gateway]:
    config = Config.development(tmp_path / "data", acl={"enabled": True}, gateway={"engine": engine}, audit=settings)
    async with Gateway(config) as gateway:
        yield gateway


async def test_a_denied_send_leaves_its_rows(wire: Wire, admin: Admin) -> None:
    """99: and they are there when the client knows."""
    rule = await admin.grant(ALICE, ("workspace", "ws1"), 10)
    alice = await wire.connect(user())
    await move(alice, "ws1")
    alice.send(ME)
    await alice.expect_error("ERR_PERMISSION_DENIED")
    [failed] = await audit_rows(admin, operation="message_route_failed")
    assert (failed.success, failed.event_type, failed.actor_type, failed.actor_id) == (
        False,
        "message",
        "user",
        "us::alice::w1",
    )
    metadata = json.loads(failed.metadata_json)
    assert (metadata["denied_reason"], metadata["to"]) == ("acl_check_failed", ME)
    [denial] = await audit_rows(admin, event_type="authorization", only_failures=True)
    assert (denial.operation, denial.error_message, denial.resource_id) == ("send_message", "access denied", "ws1")
    decision = json.loads(denial.metadata_json)
    assert (decision["decision"], decision["rule_id"]) == ("DENY", rule.rule_id)
    assert decision["reason"].startswith("Explicit rule: ")
    assert (denial.session_id or failed.session_id) == alice.ack.session_id


async def test_reasons_of_denied_sends(wire: Wire, admin: Admin) -> None:
    peer = await wire.connect(agent(workspace="ws1"))
    peer.send("event::ws2")
    await peer.expect_error("ERR_PERMISSION_DENIED")
    peer.send(ME, authorization=pb.AuthorizationContext(authority_mode="sudo"))
    await peer.expect_error("ERR_PERMISSION_DENIED")
    peer.send("sv::nobody")
    await peer.expect_error("ERR_SV_UNAVAILABLE", retryable=True)
    peer.send("metric::ws1", b"", pb.METRIC)
    await peer.expect_error("ERR_METRIC_EMPTY")
    peer.send("uu::x")
    await peer.expect_error("ERR_PERMISSION_DENIED")
    found = [json.loads(row.metadata_json) for row in await audit_rows(admin, operation="message_route_failed")]
    assert [row["denied_reason"] for row in reversed(found)] == [
        "cross_workspace_broadcast_denied",
        "invalid_authorization_context",
        "sv_wildcard_unavailable",
        "metric_validation",
        "acl_check_failed",
    ]
    assert found[3]["cause"] == 'unsupported authority mode "sudo"'


async def test_equal_sends_are_one_row(wire: Wire, admin: Admin) -> None:
    """101: refused ones are not."""
    peer = await wire.connect(agent(workspace="ws1"))
    for _ in range(50):
        peer.send(ME)
    await peer.expect_payloads(50)
    for _ in range(50):
        peer.send("uu::x")
    for _ in range(50):
        await peer.expect_error("ERR_PERMISSION_DENIED")
    assert len(await audit_rows(admin, operation="message_routed")) == 1
    assert len(await audit_rows(admin, operation="message_received")) == 1
    assert (await query_audit(admin.peer, operation="message_route_failed")).total_count == 50


@pytest.mark.parametrize("settings", [{"audit_coalesce_window": "0"}])
async def test_without_a_window_every_send_has_its_row(wire: Wire, admin: Admin) -> None:
    """101."""
    peer = await wire.connect(agent(workspace="ws1"))
    for _ in range(50):
        peer.send(ME)
    await peer.expect_payloads(50)
    assert (await query_audit(admin.peer, operation="message_routed")).total_count == 50


async def test_pages(wire: Wire, admin: Admin) -> None:
    """102."""
    peer = await wire.connect(agent(workspace="ws1"))
    for number in range(120):
        peer.say(submit_audit_event=audit_event(resource_id=str(number), client_request_id=str(number)))
    for number in range(120):
        response = await peer.expect("submit_audit_event_response")
        if not response.success:
            assert number >= 100, response
    made = (await query_audit(admin.peer, event_type="custom", limit=5000)).total_count
    assert made >= 100
    first = await query_audit(admin.peer, event_type="custom")
    assert (len(first.entries), first.total_count) == (100, made)
    second = await query_audit(admin.peer, event_type="custom", offset=100)
    numbers = [int(row.resource_id) for page in (first, second) for row in page.entries]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) == made


async def test_pages_are_bounded(wire: Wire, admin: Admin, gateway: Gateway) -> None:
    """102."""
    for number in range(600):
        gateway.services.audit.record(Event(kind="custom", operation="o", resource_id=str(number)))
    for limit, expected in ((0, 100), (500, 500), (5000, 500)):
        page = await query_audit(admin.peer, event_type="custom", limit=limit)
        assert (len(page.entries), page.total_count) == (expected, 600)


@pytest.mark.parametrize("settings", [{"workspace_reader_level": "read"}])
async def test_readers_of_a_workspace_read_its_log_where_that_is_set(wire: Wire, admin: Admin) -> None:
    """103."""
    peer = await wire.connect(agent(workspace="ws1"))
    assert (await query_audit(peer, workspace="ws1")).success
    refused = await query_audit(peer)
    assert (refused.success, refused.error) == (
        False,
        "audit queries require admin privileges or workspace access",
    )


async def test_others_read_the_log_of_what_they_manage(wire: Wire, admin: Admin) -> None:
    """Weakness 6: with the seeded policies everybody could read everything."""
    peer = await wire.connect(agent(workspace="ws1"))
    refused = await query_audit(peer, workspace="ws1")
    assert (refused.success, refused.error) == (False, "insufficient permissions for audit query")
    await admin.grant(("agent", ME), ("workspace", "ws1"), 30)
    found = await query_audit(peer, workspace="ws1")
    assert found.success
    assert {row.workspace for row in found.entries} == {"ws1"}
    assert not (await query_audit(peer, workspace="ws2")).success
    keeper = await wire.connect(service())
    assert not (await query_audit(keeper)).success
    await admin.grant(("service", "sv::i::s"), ("admin", "admin/audit"), 10)
    assert (await query_audit(keeper)).success
    assert (await query_audit(keeper)).entries[0].operation == "audit_query", "reading leaves a row too"


async def submit(peer: Peer, **changes: Any) -> pb.SubmitAuditEventResponse:
    peer.say(submit_audit_event=audit_event(**changes))
    response: pb.SubmitAuditEventResponse = await peer.expect("submit_audit_event_response")
    assert response.client_request_id == "c"
    return response


async def test_what_clients_may_not_submit(wire: Wire, admin: Admin) -> None:
    """104."""
    peer = await wire.connect(agent(workspace="ws1"))
    assert (await submit(peer, event_type="auth")).error_code == "ERR_AUDIT_TYPE_FORBIDDEN"
    assert (await submit(peer, workspace="ws2")).error_code == "ERR_PERMISSION_DENIED"
    assert (await submit(peer, operation="x" * 2000)).error_code == "ERR_INVALID_ARGUMENT"
    await admin.grant(("agent", ME), ("capability", "capability/audit_submit"), 10)
    assert (await submit(peer, workspace="ws2")).success


@pytest.mark.parametrize("settings", [{"foreign_rate": 0.001}])
async def test_how_fast_clients_may_submit(wire: Wire, admin: Admin) -> None:
    """104: the next one is due in a quarter of an hour."""
    peer = await wire.connect(agent(workspace="ws1"))
    assert [(await submit(peer)).error_code for _ in range(3)] == ["", *["ERR_AUDIT_RATE_LIMITED"] * 2]


async def test_submitted_events_are_the_sessions_own(wire: Wire, admin: Admin) -> None:
    """105, 106."""
    peer = await wire.connect(agent(workspace="ws1"))
    response = await submit(peer, metadata={"db_password": "hunter2", "n": "1"}, resource_type="release")
    assert response.success
    [row] = await audit_rows(admin, event_type="custom")
    assert (row.source, row.actor_id, row.session_id) == ("principal", ME, peer.ack.session_id)
    assert (row.workspace, row.operation, row.resource_type) == ("ws1", "deployed", "release")
    assert json.loads(row.metadata_json) == {"db_password": "[REDACTED]", "n": "1"}


async def test_services_own_work_can_be_left_out(wire: Wire, admin: Admin) -> None:
    """108."""
    keeper = await wire.connect(service())
    await submit(keeper)
    assert (await query_audit(admin.peer, event_type="custom")).total_count == 1
    assert (await query_audit(admin.peer, event_type="custom", exclude_service_direct=True)).total_count == 0
    await admin.grant(("service", "sv::i::s"), ("capability", "capability/exchange_authority_grants"), 30)
    await admin.grant(("service", "sv::i::s"), ("workspace", "ws1"), 20)
    alice = await wire.connect(user())
    end = int(time.time()) + 60
    request = pb.AuthorityGrantExchangeRequest(
        source_session_id=alice.ack.session_id, max_access_level=20, expires_at=end, renewable_until=end
    )
    operation = pb.AuthorityGrantOperation(op=pb.AuthorityGrantOperation.EXCHANGE, exchange_request=request)
    keeper.say(authority_grant_op=operation)
    grant = (await keeper.expect("authority_grant")).grant
    for context in (
        None,
        pb.AuthorizationContext(authority_mode="on_behalf_of", subject=grant.subject, grant_id=grant.grant_id),
    ):
        keeper.send(ME, authorization=context)
    await keeper.settle()
    found = (await query_audit(admin.peer, operation="message_routed", exclude_service_direct=True)).entries
    assert [(row.actor_id, row.authority_mode) for row in found] == [("sv::i::s", "on_behalf_of")]


async def test_changes_of_rules_are_recorded_with_who_made_them(wire: Wire, admin: Admin) -> None:
    """38: with what was there before."""
    await admin.do(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name="devs"))
    await admin.grant(ALICE, ("workspace", "ws1"), 10)
    rule = await admin.grant(ALICE, ("workspace", "ws1"), 20)
    await admin.do(Op.REVOKE, rule_id=rule.rule_id)
    await admin.fallback("user_workspace", 10)
    found = await audit_rows(admin, event_type="acl")
    assert [row.operation for row in reversed(found)] == [
        "acl_group_created",
        "acl_rule_granted",
        "acl_rule_granted",
        "acl_rule_revoked",
        "acl_fallback_set",
    ]
    assert {row.actor_id for row in found} == {"orc::o::admin"}
    change = json.loads(found[2].metadata_json)
    assert (change["before"]["level"], change["after"]["level"]) == (10, 20)


async def test_decisions_as_the_rule_operations_show_them(wire: Wire, admin: Admin) -> None:
    await admin.grant(ALICE, ("workspace", "ws1"), 10)
    alice = await wire.connect(user())
    await move(alice, "ws1")
    alice.send(ME)
    await alice.expect_error("ERR_PERMISSION_DENIED")
    wanted = pb.ACLAuditFilter(principal_type="user", principal_id="alice", decision="DENY")
    response = await admin.do(Op.QUERY_AUDIT, audit_filter=wanted)
    [entry] = response.audit_entries
    assert (response.total_audit_entries, entry.decision, entry.access_level_name) == (1, "DENY", "READ")
    assert (entry.principal_id, entry.operation, entry.fallback_applied) == ("alice", "send_message", False)
    assert (await admin.do(Op.CLEANUP_AUDIT_LOGS, retention_days=1)).cleanup_result.deleted_count == 0


async def test_values_are_recorded_by_their_keys(wire: Wire, admin: Admin) -> None:
    """kv 99; and a refusal before it is answered."""
    peer = await wire.connect(agent(workspace="ws1"))
    peer.say(kv_op=kv(K.PUT, K.GLOBAL_EXCLUSIVE, "cfg", value=b"12345"))
    assert (await peer.expect("kv")).success
    await kv_denied(peer, kv(K.GET, K.GLOBAL, "other"))
    refused, stored = await audit_rows(admin, event_type="kv")
    assert (stored.operation, stored.resource_type, stored.resource_id) == ("kv_put", "kv_key", "cfg")
    assert json.loads(stored.metadata_json) == {
        "scope": "global-exclusive",
        "new_value_size": 5,
        "is_update": False,
    }
    assert (refused.success, refused.operation, refused.resource_id) == (False, "kv_get", "other")


async def test_connections_come_and_go_in_the_log(wire: Wire, admin: Admin) -> None:
    peer = await wire.connect(agent(workspace="ws1"))
    await wire.refused(agent(workspace="ws1"), StatusCode.ALREADY_EXISTS)
    await peer.close()
    await admin.grant(("agent", ME), ("workspace", "ws1"), 0)
    await wire.refused(agent(workspace="ws1"), StatusCode.PERMISSION_DENIED)
    found = await audit_rows(admin, event_type="connection", actor_id=ME)
    assert [row.operation for row in reversed(found)] == [
        "lock_acquired",
        "session_registered",
        "lock_rejected",
        "connection_closed",
        "connection_rejected",
    ]
    assert json.loads(found[1].metadata_json)["reason"] == "graceful_close"
    assert "access denied: Explicit rule" in found[0].error_message


async def test_refusals_are_found_by_the_session(wire: Wire, admin: Admin) -> None:
    """Decisions and refused connects too."""
    await admin.grant(("agent", ME), ("workspace", "ws2"), 0)
    peer = await wire.connect(agent(workspace="ws1"))
    await send_denied(peer, "ag::ws2::i::s")
    await wire.refused(agent(workspace="ws1"), StatusCode.ALREADY_EXISTS)
    [decision] = await audit_rows(admin, event_type="authorization", only_failures=True)
    assert decision.session_id == peer.ack.session_id
    [row] = await audit_rows(admin, operation="lock_rejected")
    assert row.session_id not in ("", peer.ack.session_id)


async def test_a_session_ended_by_an_operator_names_who_did_it(wire: Wire, admin: Admin) -> None:
    peer = await wire.connect(agent(workspace="ws1"))
    operation = pb.SessionOperation(
        op=pb.SessionOperation.DISCONNECT, session_id=peer.ack.session_id, reason="maintenance", request_id="d"
    )
    admin.peer.say(session_op=operation)
    assert (await admin.peer.expect("session_response")).success
    [row] = await audit_rows(admin, operation="admin_session_disconnect")
    assert (row.actor_id, row.resource_id) == ("orc::o::admin", peer.ack.session_id)
    assert json.loads(row.metadata_json) == {"identity": ME, "reason": "maintenance"}


async def test_either_spelling_of_a_user_finds_its_rows(wire: Wire, admin: Admin) -> None:
    """Weakness 30."""
    await wire.connect(user())
    assert await audit_rows(admin, actor_id="alice")
    assert await audit_rows(admin, actor_id="us::alice::w1")
    assert not await audit_rows(admin, actor_id="us::alice::w2")


@pytest.mark.parametrize("settings", [{"enabled": False}])
async def test_a_gateway_without_a_log_says_so(wire: Wire, admin: Admin) -> None:
    assert (await query_audit(admin.peer)).error == "audit logging not enabled"
    assert (await submit(admin.peer)).error_code == "ERR_AUDIT_DISABLED"
    assert (await admin.ask(Op.QUERY_AUDIT)).error == "audit logging not enabled"
