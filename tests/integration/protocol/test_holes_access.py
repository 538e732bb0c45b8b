"""Holes in access rules and the audit log, each closed: what the list of weaknesses of the access chapter names, and
what was found beside it. Those that a checklist item covers are tested with the checklist (test_access, test_audit)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.support.access import ALICE, ME, Admin, move, send_denied
from tests.support.audit import audit_event, audit_rows, query_audit
from tests.support.kv_operations import kv, kv_allowed, kv_denied
from tests.support.wire import Peer, Wire, agent, service, user

from aether import Config, Gateway
from aether.errors import StoreUnavailable
from aether.proto import aether_pb2 as pb
from aether.rpc.status import StatusCode

K = pb.KVOperation
Op = pb.ACLOperation

DENIED = StatusCode.PERMISSION_DENIED
KEEPER = ("service", "sv::i::s")


@pytest.fixture
def settings() -> dict[str, Any]:
    """Settings by section, beside those of every test."""
    return {}


@pytest.fixture
async def gateway(tmp_path: Path, engine: str, settings: dict[str, Any]) -> AsyncIterator[Gateway]:
    sections = {"acl": {}, **settings}
    sections["acl"] = {"enabled": True, **sections["acl"]}
    async with Gateway(Config.development(tmp_path / "data", gateway={"engine": engine}, **sections)) as gateway:
        yield gateway


# ------------------------------------------------------------------------------------------------ rules, patterns


@pytest.mark.parametrize("wider", ["team-*", "*", "team-??", "[t]eam-*"])
async def test_who_manages_a_pattern_gives_away_no_wider_one(wire: Wire, admin: Admin, wider: str) -> None:
    """A pattern is text too: ``team-*`` matches ``team-?``, and would have been taken for one of its workspaces."""
    await admin.grant(("agent", ME), ("workspace", "team-?"), 30)
    peer = await wire.connect(agent(workspace="ws1"))
    request = pb.ACLGrantRequest(
        principal_type="agent", principal_id=ME, resource_type="workspace", resource_id=wider, access_level=20
    )
    peer.say(acl_op=pb.ACLOperation(op=Op.GRANT, request_id="g", grant_request=request))
    response = await peer.expect("acl")
    assert (response.success, response.rule.rule_id) == (False, "")
    rule = await admin.grant(("agent", ME), ("workspace", wider), 10)
    for revoke in (
        pb.ACLOperation(op=Op.REVOKE, rule_id=rule.rule_id),
        pb.ACLOperation(
            op=Op.REVOKE,
            rule_filter=pb.ACLRuleFilter(
                principal_type="agent", principal_id=ME, resource_type="workspace", resource_id=wider
            ),
        ),
    ):
        peer.say(acl_op=revoke)
        assert not (await peer.expect("acl")).success
    request.resource_id = "team-a"
    peer.say(acl_op=pb.ACLOperation(op=Op.GRANT, grant_request=request))
    assert (await peer.expect("acl")).success == (wider != "*"), "there a rule for all decides, before any pattern"


async def test_who_did_it_is_the_gateways_word(wire: Wire, admin: Admin) -> None:
    """Weakness 10: policies, groups, roles and memberships too."""
    me = "orchestrator:orc::o::admin"
    fallback = pb.ACLSetFallbackRequest(rule_category="user_agent", fallback_access_level=10, updated_by="mallory")
    assert (await admin.do(Op.SET_FALLBACK_POLICY, fallback_request=fallback)).fallback_policy.updated_by == me
    group = pb.ACLGroupRequest(name="g", created_by="mallory")
    assert (await admin.do(Op.CREATE_GROUP, group_request=group)).group.created_by == me
    role = pb.ACLRoleRequest(name="r", created_by="mallory")
    assert (await admin.do(Op.CREATE_ROLE, role_request=role)).role.created_by == me
    member = pb.ACLGroupMemberRequest(member_type="user", member_id="alice", granted_by="mallory")
    [edge] = (await admin.do(Op.ADD_GROUP_MEMBER, name="g", member_request=member)).group_members
    assert edge.granted_by == me
    assignment = pb.ACLRoleAssignmentRequest(assignee_type="user", assignee_id="alice", granted_by="mallory")
    [edge] = (await admin.do(Op.ASSIGN_ROLE, name="r", assignment_request=assignment)).role_assignments
    assert edge.granted_by == me


@pytest.mark.parametrize("settings", [{"acl": {"none_denies": True}}])
async def test_a_deny_can_be_made_to_win(wire: Wire, admin: Admin) -> None:
    """Weakness 16: a group lifts a direct NONE, unless that is configured otherwise. The explanation shows both."""
    await admin.do(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name="devs"))
    member = pb.ACLGroupMemberRequest(member_type="user", member_id="alice")
    await admin.do(Op.ADD_GROUP_MEMBER, name="devs", member_request=member)
    await admin.grant(("group", "devs"), ("workspace", "ws1"), 30)
    assert (await admin.explain(ALICE, ("workspace", "ws1"))).allowed
    deny = await admin.grant(ALICE, ("workspace", "ws*"), 0)
    explanation = await admin.explain(ALICE, ("workspace", "ws1"))
    assert (explanation.allowed, explanation.decision, explanation.effective_access_level) == (False, "DENY", 0)
    assert {item.subject for item in explanation.contributions} == {"user:alice", "group:devs"}
    alice = await wire.connect(user())
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="ws1"))
    await alice.expect_error("ERR_PERMISSION_DENIED", "not authorized to access workspace ws1")
    await admin.do(Op.REVOKE, rule_id=deny.rule_id)
    await move(alice, "ws1")


@pytest.mark.parametrize("settings", [{}, {"acl": {"wildcards_match_patterns": True}}])
async def test_everybody_may_be_let_into_a_pattern(wire: Wire, admin: Admin, settings: dict[str, Any]) -> None:
    """Weakness 16."""
    await admin.fallback("agent_workspace", 0)
    await admin.grant(("wildcard", "_any_agent"), ("workspace", "prod-*"), 20)
    if settings:
        await wire.connect(agent(workspace="prod-1"))
    else:
        await wire.refused(agent(workspace="prod-1"), DENIED, "access denied")


async def test_ids_of_any_shape_are_just_not_found(wire: Wire, admin: Admin) -> None:
    """Weakness 41: no store tells of itself."""
    for nonsense in ("not-a-uuid", "'; DROP TABLE records; --", "\x00", "x" * 10_000):
        response = await admin.ask(Op.GET_RULE, rule_id=nonsense)
        assert response.error == "failed to get ACL rule: ACL rule not found"
        response = await admin.ask(Op.REVOKE, rule_id=nonsense)
        assert response.error.endswith("ACL rule not found")
        admin.peer.say(token_op=pb.TokenOperation(op=pb.TokenOperation.GET, token_id=nonsense))
        assert (await admin.peer.expect("token")).error == f"token not found: {nonsense}"


async def test_cleaning_up_takes_memberships_along(wire: Wire, admin: Admin) -> None:
    """Weakness 48."""
    await admin.do(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name="g"))
    member = pb.ACLGroupMemberRequest(member_type="user", member_id="alice", expires_at=1)
    await admin.do(Op.ADD_GROUP_MEMBER, name="g", member_request=member)
    await admin.grant(ALICE, ("workspace", "ws1"), 20, expires_at=1)
    assert (await admin.do(Op.CLEANUP_EXPIRED)).cleanup_result.deleted_count == 2
    assert not (await admin.do(Op.LIST_GROUP_MEMBERS, name="g")).group_members


# ---------------------------------------------------------------------------------------------------- capabilities


async def test_a_capability_for_one_workspace_purges_no_other(wire: Wire, admin: Admin) -> None:
    """Weakness 29: naming a workspace that one may purge does not make it the one that is purged."""
    victim = await wire.connect(agent(workspace="ws2"))
    for scope in (K.GLOBAL_EXCLUSIVE, K.WORKSPACE_EXCLUSIVE):
        await kv_allowed(victim, kv(K.PUT, scope, value=b"1"))
    await admin.grant(KEEPER, ("capability", "capability/kv_purge_identity/ws1"), 30)
    keeper = await wire.connect(service())
    target = {"target_identity": "ag::ws2::i::s"}
    await kv_denied(keeper, kv(K.PURGE_IDENTITY, K.GLOBAL_EXCLUSIVE, "", workspace="ws1", **target))
    await kv_denied(keeper, kv(K.PURGE_IDENTITY, K.WORKSPACE_EXCLUSIVE, "", **target))
    await kv_denied(keeper, kv(K.PURGE_IDENTITY, K.WORKSPACE_EXCLUSIVE, "", workspace="ws2", **target))
    await kv_allowed(keeper, kv(K.PURGE_IDENTITY, K.WORKSPACE_EXCLUSIVE, "", workspace="ws1", **target))
    for scope in (K.GLOBAL_EXCLUSIVE, K.WORKSPACE_EXCLUSIVE):
        assert (await kv_allowed(victim, kv(K.GET, scope))).value == b"1"
    await admin.grant(KEEPER, ("capability", "capability/kv_purge_identity/ws2"), 30)
    await kv_allowed(keeper, kv(K.PURGE_IDENTITY, K.WORKSPACE_EXCLUSIVE, "", **target))
    assert not (await kv_allowed(victim, kv(K.GET, K.WORKSPACE_EXCLUSIVE))).value


async def test_a_capability_for_one_workspace_tells_of_no_other(wire: Wire, admin: Admin) -> None:
    """Weakness 29; 36: users are found by their name alone."""
    await admin.grant(("agent", ME), ("capability", "capability/query_connections/ws1"), 10)
    peer = await wire.connect(agent(workspace="ws1"))
    await wire.connect(agent("other", workspace="ws1"))
    await wire.connect(user("bob", "w9"))

    async def status(kind: str, name: str) -> tuple[bool, bool]:
        principal = pb.PrincipalRef(principal_type=kind, principal_id=name)
        peer.say(connection_status_request=pb.ConnectionStatusRequest(request_id="c", principal=principal))
        answer = await peer.expect("connection_status_response")
        return answer.ok, answer.connected

    assert await status("agent", "ag::ws1::i::other") == (True, True)
    assert await status("agent", "ag::ws2::i::other") == (False, False)
    assert await status("user", "bob") == (False, False)
    await admin.grant(("agent", ME), ("capability", "capability/query_connections"), 10)
    assert await status("user", "bob") == (True, True)
    assert await status("user", "carol") == (True, False)


async def test_a_capability_for_one_workspace_makes_no_keys_for_others(wire: Wire, admin: Admin) -> None:
    """Weakness 29: its holder could have made itself a user's key for every workspace."""
    await admin.grant(KEEPER, ("admin", "admin/tokens"), 40)
    await admin.grant(KEEPER, ("capability", "capability/mint_user_tokens/ws1"), 30)
    keeper = await wire.connect(service())

    async def mint(*patterns: str) -> bool:
        request = pb.TokenCreateRequest(
            name="n", principal_type="User", created_by="alice", workspace_patterns=patterns
        )
        keeper.say(token_op=pb.TokenOperation(op=pb.TokenOperation.CREATE, create_request=request))
        return bool((await keeper.expect("token")).success)

    assert await mint("ws1")
    for patterns in ((), ("*",), ("ws?",), ("ws1", "ws2"), ("ws2",), ("",)):
        assert not await mint(*patterns), patterns
    await admin.grant(KEEPER, ("capability", "capability/mint_user_tokens"), 30)
    assert await mint("ws2")
    assert await mint()


async def test_credit_for_one_workspace_is_none_for_others(wire: Wire, admin: Admin) -> None:
    """Weakness 29: negative metrics that are declared for another workspace."""
    for resource in ("capability/metric_broadcast", "capability/metric_credit/ws1"):
        await admin.grant(("agent", ME), ("capability", resource), 40)
    peer = await wire.connect(agent(workspace="ws1"))
    negative = pb.Metric(entries=[pb.MetricEntry(name="n", kind="count", qty=-1)]).SerializeToString()
    peer.send("metric::ws1", negative, pb.METRIC)
    await peer.settle()
    peer.send("metric::ws2", negative, pb.METRIC)
    await peer.expect_error("ERR_METRIC_NEGATIVE_FORBIDDEN")


# ----------------------------------------------------------------------------------------------------------- values


async def test_private_values_of_a_workspace_are_private_to_it(wire: Wire, admin: Admin) -> None:
    """Weakness 7: agents of the same name in two workspaces; being the owner was enough to read across."""
    there = await wire.connect(agent(workspace="ws2"))
    await kv_allowed(there, kv(K.PUT, K.WORKSPACE_EXCLUSIVE, value=b"secret"))
    await admin.grant(("agent", ME), ("workspace", "ws2"), 0)
    peer = await wire.connect(agent(workspace="ws1"))
    for op in (K.GET, K.PUT, K.LIST, K.DELETE, K.INCREMENT):
        await kv_denied(peer, kv(op, K.WORKSPACE_EXCLUSIVE, workspace="ws2"))
        await kv_denied(peer, kv(op, K.USER_WORKSPACE, workspace="ws2", user_id="alice"))
    await admin.grant(("agent", ME), ("workspace", "ws2"), 10)
    assert (await kv_allowed(peer, kv(K.GET, K.WORKSPACE_EXCLUSIVE, workspace="ws2"))).value == b"secret"
    await kv_denied(peer, kv(K.PUT, K.WORKSPACE_EXCLUSIVE, workspace="ws2", value=b"x"))
    await kv_allowed(peer, kv(K.PUT, K.WORKSPACE_EXCLUSIVE, value=b"own"))


async def test_a_scope_does_not_open_other_workspaces(wire: Wire, admin: Admin) -> None:
    """Weakness 7: a rule for the scope ``workspace`` was one for every workspace."""
    await admin.grant(("agent", ME), ("kv_scope", "workspace"), 20)
    await admin.grant(("agent", ME), ("workspace", "ws2"), 10)
    peer = await wire.connect(agent(workspace="ws1"))
    await kv_allowed(peer, kv(K.PUT, K.WORKSPACE, value=b"1"))
    await kv_allowed(peer, kv(K.GET, K.WORKSPACE, workspace="ws2"))
    await kv_denied(peer, kv(K.PUT, K.WORKSPACE, workspace="ws2", value=b"1"))


# ---------------------------------------------------------------------------------------------------- live sessions


async def test_only_windows_in_a_closed_workspace_end(wire: Wire, admin: Admin) -> None:
    """Weakness 11: a user's windows are where they are, and only what shows the closed one ends."""
    inside, elsewhere, nowhere = [await wire.connect(user("alice", window)) for window in ("w1", "w2", "w3")]
    await move(inside, "ws1")
    await move(elsewhere, "ws2")
    sender = await wire.connect(agent(workspace="ws1"))
    await admin.grant(ALICE, ("workspace", "ws1"), 0)
    sender.send("gu::ws1", b"not for alice")
    await sender.settle()
    assert (await inside.expect("signal")).type == pb.Signal.FORCE_DISCONNECT, "and not the message"
    await inside.expect_status(DENIED, "access denied")
    for peer in (elsewhere, nowhere):
        await peer.settle()
        peer.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="ws1"))
        await peer.expect_error("ERR_PERMISSION_DENIED")


async def test_lanes_of_a_workspace_end_with_the_right_to_it(wire: Wire, admin: Admin) -> None:
    """Weakness 11: whichever way the right is lost; what is sent afterwards is not seen."""
    await admin.fallback("agent_workspace", 0)
    await admin.do(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name="devs"))
    await admin.grant(("group", "devs"), ("workspace", "ws1"), 10)
    names = ("rule", "group", "expiry")
    rule = await admin.grant(("agent", "ag::ws1::i::rule"), ("workspace", "ws1"), 10)
    member = pb.ACLGroupMemberRequest(member_type="agent", member_id="ag::ws1::i::group")
    await admin.do(Op.ADD_GROUP_MEMBER, name="devs", member_request=member)
    await admin.grant(("agent", "ag::ws1::i::expiry"), ("workspace", "ws1"), 10, expires_at=int(time.time()) + 3)
    await admin.grant(("agent", "ag::ws1::i::sender"), ("workspace", "ws1"), 20)
    readers = {name: await wire.connect(agent(name, workspace="ws1")) for name in names}
    sender = await wire.connect(agent("sender", workspace="ws1"))
    sender.send("ga::ws1", b"for all")
    for reader in (*readers.values(), sender):
        assert await reader.expect_payloads(1) == [b"for all"]
    await admin.do(Op.REVOKE, rule_id=rule.rule_id)
    await admin.do(Op.REMOVE_GROUP_MEMBER, name="devs", member_request=member)
    await readers["expiry"].expect("signal")
    sender.send("ga::ws1", b"for me alone")
    assert await sender.expect_payloads(1) == [b"for me alone"]
    for name in ("rule", "group"):
        await readers[name].expect("signal")
    for reader in readers.values():
        await reader.expect_status(DENIED, "access denied")


async def test_a_rule_taken_away_ends_sessions_though_the_log_is_full(
    wire: Wire, admin: Admin, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a right is not put off until it can be written down that it ended."""
    peer = await wire.connect(agent(workspace="ws1"))
    engine = gateway.services.access.engine  # type: ignore[attr-defined]

    def full(row: object) -> int:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(gateway.services.tier.audit, "append", full)
    engine.set_fallback("agent_workspace", 0, "test")
    assert (await peer.expect("signal")).type == pb.Signal.FORCE_DISCONNECT
    await peer.expect_status(DENIED, "access denied")


# ------------------------------------------------------------------------------------------------------------ audit


async def test_what_cannot_be_recorded_is_not_done(
    wire: Wire, admin: Admin, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weakness 37: changes and refusals wait for the log, as retryable; ordinary success goes on."""
    await admin.grant(("agent", ME), ("workspace", "ws2"), 10)
    peer = await wire.connect(agent(workspace="ws1"))
    before = (await admin.do(Op.LIST_RULES)).total_rules
    working = gateway.services.tier.audit.append

    def full(row: object) -> int:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(gateway.services.tier.audit, "append", full)
    response = await admin.ask(
        Op.GRANT,
        grant_request=pb.ACLGrantRequest(
            principal_type="user", principal_id="alice", resource_type="workspace", resource_id="x", access_level=20
        ),
    )
    assert (response.success, response.error) == (False, "the access rules are unavailable, try again")
    peer.send("ag::ws2::i::s")
    await peer.expect_error("ERR_PUBLISH_FAILED", retryable=True)
    peer.say(kv_op=kv(K.GET, K.GLOBAL))
    error = await peer.expect_error("KV_ERROR_UNAVAILABLE", retryable=True)
    assert error.request_id == "kv"
    assert not (await peer.expect("kv")).success
    peer.say(audit_query=pb.AuditQuery(request_id="q"))
    assert (await peer.expect("audit_response")).error == "the audit log is unavailable, try again"
    peer.say(submit_audit_event=audit_event())
    submitted = await peer.expect("submit_audit_event_response")
    assert (submitted.success, submitted.error_code) == (False, "ERR_AUDIT_UNAVAILABLE")
    admin.peer.say(
        token_op=pb.TokenOperation(
            op=pb.TokenOperation.CREATE, create_request=pb.TokenCreateRequest(name="n", principal_type="Agent")
        )
    )
    made = await admin.peer.expect("token")
    assert (made.success, made.plaintext_token) == (False, "")
    await wire.refused(agent(workspace="ws1"), StatusCode.UNAVAILABLE, "try again")
    peer.send("ag::ws1::i::s", b"ordinary")
    assert await peer.expect_payloads(1) == [b"ordinary"]
    monkeypatch.setattr(gateway.services.tier.audit, "append", working)
    assert (await admin.do(Op.LIST_RULES)).total_rules == before, "nothing was half done"
    await send_denied(peer, "ag::ws2::i::s")
    await query_audit(admin.peer)  # the next row of ordinary success comes with a confession
    [left_out] = await audit_rows(admin, operation="audit_rows_left_out")
    assert json.loads(left_out.metadata_json)["count"] > 0


async def test_pages_fit_together_while_rows_are_added(wire: Wire, admin: Admin) -> None:
    """Weakness 50: new rows come in front of what is being read."""
    peer = await wire.connect(agent(workspace="ws1"))

    async def add(count: int, start: int) -> None:
        for number in range(start, start + count):
            peer.say(submit_audit_event=audit_event(resource_id=str(number), client_request_id="x"))
            assert (await peer.expect("submit_audit_event_response")).success

    await add(25, 0)
    seen: list[str] = []
    total = 0
    for offset in range(0, 25, 10):
        page = await query_audit(admin.peer, actor_id=ME, event_type="custom", limit=10, offset=offset)
        seen += [row.resource_id for row in page.entries]
        total = page.total_count
        await add(3, 100 + offset)
    assert seen == [str(number) for number in range(24, -1, -1)]
    assert total == 25
    assert (await query_audit(admin.peer, actor_id=ME, event_type="custom")).total_count == 34, (
        "a new first page sees all"
    )


async def test_pages_of_decisions_fit_together_too(wire: Wire, admin: Admin) -> None:
    await admin.grant(("agent", ME), ("workspace", "ws2"), 10)
    peer = await wire.connect(agent(workspace="ws1"))
    numbers: list[int] = []
    for offset in range(0, 12, 4):
        for _ in range(12 if not offset else 2):
            await send_denied(peer, "ag::ws2::i::s")
        wanted = pb.ACLAuditFilter(principal_id=ME, decision="DENY", limit=4, offset=offset)
        page = await admin.do(Op.QUERY_AUDIT, audit_filter=wanted)
        assert page.total_audit_entries == 12
        numbers += [entry.audit_id for entry in page.audit_entries]
    assert len(set(numbers)) == 12
    assert numbers == sorted(numbers, reverse=True)


async def test_queries_of_decisions_are_bounded(wire: Wire, admin: Admin) -> None:
    """Weakness 40."""
    await admin.grant(("agent", ME), ("workspace", "ws2"), 10)
    peer = await wire.connect(agent(workspace="ws1"))
    for _ in range(110):
        await send_denied(peer, "ag::ws2::i::s")
    page = await admin.do(Op.QUERY_AUDIT, audit_filter=pb.ACLAuditFilter(principal_id=ME, decision="DENY"))
    assert (len(page.audit_entries), page.total_audit_entries) == (100, 110)


async def test_reading_the_log_is_in_the_log(wire: Wire, admin: Admin) -> None:
    """Weakness 50."""
    await query_audit(admin.peer, actor_id="somebody", event_type="auth")
    [row] = await audit_rows(admin, operation="audit_query")
    metadata = json.loads(row.metadata_json)
    assert (row.actor_id, metadata["actor_id"], metadata["event_type"]) == ("orc::o::admin", "somebody", "auth")


async def test_rows_of_decisions_say_why(wire: Wire, admin: Admin) -> None:
    """Weakness 49: the reason, and with it the tier."""
    rule = await admin.grant(("agent", ME), ("workspace", "ws2"), 10)
    peer = await wire.connect(agent(workspace="ws1"))
    await send_denied(peer, "ag::ws2::i::s")
    [row] = await audit_rows(admin, event_type="authorization", only_failures=True)
    metadata = json.loads(row.metadata_json)
    assert metadata["reason"] == f"Explicit rule: agent:{ME} has READ on workspace:ws2"
    assert metadata["rule_id"] == rule.rule_id


@pytest.mark.parametrize("settings", [{"audit": {"event_types": ["auth", "message"]}}])
async def test_what_is_not_kept_is_not_acknowledged(wire: Wire, admin: Admin) -> None:
    """Weakness 28: a submitted event of a kind that is off."""
    peer = await wire.connect(agent())
    peer.say(submit_audit_event=audit_event())
    response = await peer.expect("submit_audit_event_response")
    assert (response.success, response.error_code) == (False, "ERR_AUDIT_TYPE_FORBIDDEN")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"operation": "x" * 1025}, "ERR_INVALID_ARGUMENT"),
        ({"resource_id": "x" * 1025}, "ERR_INVALID_ARGUMENT"),
        ({"metadata": {str(number): "v" for number in range(65)}}, "ERR_INVALID_ARGUMENT"),
        ({"event_type": "authorization"}, "ERR_AUDIT_TYPE_FORBIDDEN"),
        ({"event_type": "admin"}, "ERR_AUDIT_TYPE_FORBIDDEN"),
        ({"event_type": ""}, "ERR_AUDIT_TYPE_FORBIDDEN"),
    ],
)
async def test_submitted_events_are_bounded(wire: Wire, admin: Admin, changes: dict[str, Any], code: str) -> None:
    peer = await wire.connect(agent())
    peer.say(submit_audit_event=audit_event(client_request_id="s", **changes))
    response = await peer.expect("submit_audit_event_response")
    assert (response.client_request_id, response.success, response.error_code) == ("s", False, code)


async def test_a_large_submitted_event_is_cut(wire: Wire, admin: Admin) -> None:
    peer = await wire.connect(agent(workspace="ws1"))
    peer.say(submit_audit_event=audit_event(metadata={"n": "x" * 100_000}, error_message="e" * 5000, success=False))
    assert (await peer.expect("submit_audit_event_response")).success
    [row] = await audit_rows(admin, event_type="custom")
    assert json.loads(row.metadata_json)["truncated"] is True
    assert len(row.error_message) == 1024


async def ask_workspaces(peer: Peer) -> None:
    """41: operations without an id are answered by their own type."""
    peer.say(workspace_op=pb.WorkspaceOperation(op=pb.WorkspaceOperation.LIST))
    await peer.expect_error("ERR_PERMISSION_DENIED")
    assert not (await peer.expect("workspace")).success


async def test_operations_without_an_id_are_answered(wire: Wire, admin: Admin) -> None:
    """41; weakness 19: nobody waits for a timeout."""
    await ask_workspaces(await wire.connect(agent()))


async def test_retention_removes_what_is_old_and_the_chain_holds(wire: Wire, admin: Admin, gateway: Gateway) -> None:
    """Retention in the running gateway, and CLEANUP_AUDIT_LOGS, which never takes today's."""
    assert (await admin.do(Op.CLEANUP_AUDIT_LOGS, retention_days=1)).cleanup_result.deleted_count == 0
    before = (await query_audit(admin.peer)).total_count
    assert before > 0
    with trio.fail_after(20):
        trail = gateway.services.audit
        removed = await trail.trim(gateway.services.wall_clock() * 1000)  # type: ignore[attr-defined]
    assert removed >= before
    [row] = await audit_rows(admin, operation="audit_trimmed")
    assert json.loads(row.metadata_json)["hash"]
