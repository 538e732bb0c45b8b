"""Access rules on the wire: the checklist of the access chapter, items by their numbers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.access import ALICE, ME, Admin, access_question, ask_acl, move, send_denied
from tests.support.kv_operations import kv, kv_allowed, kv_denied
from tests.support.wire import (
    Wire,
    agent,
    bridge,
    engine,
    metrics_bridge,
    open_wire,
    orchestrator,
    service,
    task,
    user,
)

from aether import Config, Gateway
from aether.proto import aether_pb2 as pb
from aether.rpc.status import RpcError, StatusCode

Op = pb.ACLOperation


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


# ------------------------------------------------------------------------------------------- rules and resolution


async def test_without_rules_the_policies_allow_ordinary_work(wire: Wire, admin: Admin) -> None:
    """1."""
    alice = await wire.connect(user())
    await move(alice, "ws1")
    receiver = await wire.connect(agent(workspace="ws1"))
    alice.send(ME, b"hello")
    assert (await receiver.expect("msg")).payload == b"hello"


async def test_a_denied_connect_leaves_nothing_behind(wire: Wire, admin: Admin) -> None:
    """2."""
    rule = await admin.grant(("agent", ME), ("workspace", "ws1"), 0)
    await wire.refused(agent(workspace="ws1"), StatusCode.PERMISSION_DENIED, "access denied: ")
    await wire.connect(agent(workspace="ws2"))
    await admin.do(Op.REVOKE, rule_id=rule.rule_id)
    await wire.connect(agent(workspace="ws1"))


async def test_a_denied_connect_names_no_rule(wire: Wire, admin: Admin) -> None:
    """What others are in which groups, and what those may, is for the audit log."""
    await admin.do(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name="suspects"))
    member = pb.ACLGroupMemberRequest(member_type="agent", member_id=ME)
    await admin.do(Op.ADD_GROUP_MEMBER, name="suspects", member_request=member)
    await admin.grant(("group", "suspects"), ("workspace", "ws1"), 0)
    peer = await wire.open()
    peer.say(init=agent(workspace="ws1"))
    with pytest.raises(RpcError) as refusal:
        await peer.receive()
    assert refusal.value.message == "access denied: Explicit rule: no right to read workspace ws1"


async def test_a_denied_switch_changes_nothing(wire: Wire, admin: Admin) -> None:
    """2."""
    await admin.grant(ALICE, ("workspace", "ws1"), 0)
    alice = await wire.connect(user())
    await move(alice, "ws2")
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="ws1"))
    await alice.expect_error("ERR_PERMISSION_DENIED", "not authorized to access workspace ws1")
    sender = await wire.connect(agent(workspace="ws2"))
    sender.send("gu::ws2", b"still here")
    assert (await alice.expect("msg")).payload == b"still here"


async def test_a_user_returns_to_no_workspace_that_was_closed(wire: Wire, admin: Admin) -> None:
    """connection W-28."""
    alice = await wire.connect(user())
    await move(alice, "ws1")
    await alice.close()
    rule = await admin.grant(ALICE, ("workspace", "ws1"), 0)
    back = await wire.connect(user(resume_session_id=alice.ack.session_id))
    assert back.ack.resumed
    sender = await wire.connect(agent(workspace="ws1"))
    sender.send("gu::ws1", b"not for alice")
    await sender.settle()
    await back.expect_nothing()
    await admin.do(Op.REVOKE, rule_id=rule.rule_id)
    again = await wire.connect(user(resume_session_id=back.ack.session_id))
    assert (await again.expect("msg")).payload == b"not for alice", "its place is remembered"


async def test_readers_may_not_send(wire: Wire, admin: Admin) -> None:
    """3."""
    await admin.grant(ALICE, ("workspace", "ws1"), 10)
    alice = await wire.connect(user())
    await move(alice, "ws1")
    await send_denied(alice, "ag::ws1::i::s")


async def test_the_first_tier_decides(wire: Wire, admin: Admin) -> None:
    """4, 6."""
    await admin.grant(ALICE, ("workspace", "ws1"), 10)
    await admin.grant(("wildcard", "_any_authenticated_user"), ("workspace", "ws1"), 20)
    alice = await wire.connect(user())
    await move(alice, "ws1")
    await send_denied(alice, ME)
    assert (await admin.explain(ALICE, ("workspace", "ws1"))).decision == "DENY"
    assert (await admin.explain(("user", "bob"), ("workspace", "ws1"))).reason.startswith("Wildcard rule: ")
    await admin.grant(ALICE, ("workspace", "*"), 0)
    await admin.grant(ALICE, ("workspace", "ws3"), 20)
    assert (await admin.explain(ALICE, ("workspace", "ws3"))).allowed
    assert (await admin.explain(ALICE, ("workspace", "ws2"))).reason.startswith("Any-resource rule: ")


async def test_a_wildcard_denies_all_of_a_type(wire: Wire, admin: Admin) -> None:
    """5."""
    await admin.grant(("wildcard", "_any_agent"), ("workspace", "*"), 0)
    text = "access denied: Wildcard any-resource rule: no right to read workspace w"
    await wire.refused(agent(), StatusCode.PERMISSION_DENIED, text)
    await wire.connect(user())
    await wire.connect(task("t"))


async def test_a_pattern_reaches_one_implementation(wire: Wire, admin: Admin) -> None:
    """7."""
    await admin.grant(("agent", "ag::ws1::worker::*"), ("workspace", "ws2"), 20)
    await admin.grant(("wildcard", "_any_agent"), ("workspace", "ws1"), 20)
    await admin.fallback("agent_workspace", 0)
    worker = await wire.connect(agent(workspace="ws1", implementation="worker"))
    other = await wire.connect(agent(workspace="ws1", implementation="other"))
    worker.send("ag::ws2::i::s")
    await worker.settle()
    await send_denied(other, "ag::ws2::i::s")


async def test_patterns_over_identities_must_not_be_too_broad(wire: Wire, admin: Admin) -> None:
    """8."""
    request = pb.ACLGrantRequest(
        principal_type="agent", principal_id="ag::ws1::*", resource_type="workspace", resource_id="w", access_level=20
    )
    response = await admin.ask(Op.GRANT, grant_request=request)
    assert response.error == (
        'failed to grant ACL access: principal_id glob pattern too broad: "ag::ws1::*" has 2 segment(s) before '
        "wildcard, minimum 3 required"
    )


async def test_patterns_stop_at_slashes(wire: Wire, admin: Admin) -> None:
    """9."""
    await admin.grant(ALICE, ("workspace", "prod-*"), 0)
    for workspace, allowed in (("prod-1", False), ("prod/1", True), ("dev", True)):
        assert (await admin.explain(ALICE, ("workspace", workspace))).allowed is allowed, workspace


async def test_an_expired_rule_counts_no_more(wire: Wire, admin: Admin) -> None:
    """10, 37."""
    await admin.grant(ALICE, ("workspace", "ws1"), 0, expires_at=1)
    explanation = await admin.explain(ALICE, ("workspace", "ws1"))
    assert explanation.allowed
    assert [found.expired for found in explanation.contributions] == [True]
    assert len((await admin.do(Op.LIST_RULES)).rules) == 1
    assert (await admin.do(Op.CLEANUP_EXPIRED)).cleanup_result.deleted_count == 1
    assert not (await admin.do(Op.LIST_RULES)).rules


async def test_granting_again_changes_the_rule(wire: Wire, admin: Admin) -> None:
    """12, 39."""
    first = await admin.grant(ALICE, ("workspace", "ws1"), 10, reason="a", granted_by="somebody else")
    second = await admin.grant(ALICE, ("workspace", "ws1"), 20, reason="b")
    assert second.rule_id == first.rule_id
    rules = (await admin.do(Op.LIST_RULES)).rules
    assert [(rule.access_level, rule.access_level_name, rule.reason) for rule in rules] == [(20, "READWRITE", "b")]
    assert first.granted_by == second.granted_by == "orchestrator:orc::o::admin"


@pytest.mark.parametrize("level", [15, 60, -10])
async def test_levels_are_those_of_the_scale(wire: Wire, admin: Admin, level: int) -> None:
    """13."""
    request = pb.ACLGrantRequest(
        principal_type="user", principal_id="a", resource_type="workspace", resource_id="w", access_level=level
    )
    response = await admin.ask(Op.GRANT, grant_request=request)
    assert response.error == "failed to grant ACL access: invalid access level"


def member(kind: str, name: str, expires_at: int = 0) -> pb.ACLGroupMemberRequest:
    return pb.ACLGroupMemberRequest(member_type=kind, member_id=name, expires_at=expires_at)


async def create_group(admin: Admin, name: str) -> None:
    await admin.do(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name=name, metadata={"team": "x"}))


async def test_groups_lend_their_rules(wire: Wire, admin: Admin) -> None:
    """14, 15, 17."""
    await create_group(admin, "devs")
    await admin.do(Op.ADD_GROUP_MEMBER, name="devs", member_request=member(*ALICE))
    await admin.grant(ALICE, ("workspace", "ws1"), 0)
    await admin.grant(("group", "devs"), ("workspace", "ws1"), 30)
    explanation = await admin.explain(ALICE, ("workspace", "ws1"), 30)
    assert list(explanation.subjects) == ["user:alice", "group:devs"]
    assert explanation.reason.endswith("(via group:devs)")
    assert (explanation.allowed, explanation.effective_access_level) == (True, 30)
    assert {found.subject for found in explanation.contributions} == {"user:alice", "group:devs"}
    alice = await wire.connect(user())
    await move(alice, "ws1")
    missing = await admin.ask(Op.REMOVE_GROUP_MEMBER, name="devs")
    assert missing.error == "member_request required for REMOVE_GROUP_MEMBER"
    by_principal = pb.PrincipalRef(principal_type="user", principal_id="alice")  # as published clients say it
    await admin.do(Op.REMOVE_GROUP_MEMBER, name="devs", principal=by_principal)
    await alice.expect("signal")
    await alice.expect_status(StatusCode.PERMISSION_DENIED, "access denied")


async def test_groups_in_groups_in_roles(wire: Wire, admin: Admin) -> None:
    """16."""
    for name in ("inner", "outer"):
        await create_group(admin, name)
    await admin.do(Op.CREATE_ROLE, role_request=pb.ACLRoleRequest(name="keeper"))
    await admin.do(Op.ADD_GROUP_MEMBER, name="inner", member_request=member(*ALICE))
    await admin.do(Op.ADD_GROUP_MEMBER, name="outer", member_request=member("group", "inner"))
    assignment = pb.ACLRoleAssignmentRequest(assignee_type="group", assignee_id="outer")
    response = await admin.do(Op.ASSIGN_ROLE, name="keeper", assignment_request=assignment)
    assert response.message == "role assigned"
    assert [edge.assignee_id for edge in response.role_assignments] == ["outer"]
    await admin.grant(("role", "keeper"), ("workspace", "ws1"), 40)
    explanation = await admin.explain(ALICE, ("workspace", "ws1"), 40)
    assert explanation.reason.endswith("(via role:keeper)")
    for name in ("inner", "outer"):
        response = await admin.ask(Op.ADD_GROUP_MEMBER, name="inner", member_request=member("group", name))
        assert response.error == "membership would create a cycle"
    principal = pb.PrincipalRef(principal_type="user", principal_id="alice")
    groups = (await admin.do(Op.LIST_PRINCIPAL_GROUPS, principal=principal)).group_members
    assert [edge.group_name for edge in groups] == ["inner"], "direct edges only"
    await admin.do(Op.UNASSIGN_ROLE, name="keeper", assignment_request=assignment)
    assert not (await admin.explain(ALICE, ("workspace", "ws1"), 40)).allowed
    response = await admin.ask(Op.UNASSIGN_ROLE, name="keeper", assignment_request=assignment)
    assert response.error == "role assignment not found"


async def test_rules_of_a_deleted_group_do_not_come_back(wire: Wire, admin: Admin) -> None:
    """19."""
    await create_group(admin, "devs")
    await admin.grant(("group", "devs"), ("workspace", "ws1"), 40)
    deleted = await admin.do(Op.DELETE_GROUP, name="devs")
    assert (deleted.message, deleted.cleanup_result.deleted_count) == ("group deleted", 1)
    await create_group(admin, "devs")
    await admin.do(Op.ADD_GROUP_MEMBER, name="devs", member_request=member(*ALICE))
    assert not (await admin.explain(ALICE, ("workspace", "ws1"), 40)).allowed


async def test_a_policy_holds_for_the_next_message(wire: Wire, admin: Admin) -> None:
    """20."""
    alice = await wire.connect(user())
    await move(alice, "ws1")
    alice.send(ME)
    alice.send(ME)
    await alice.settle()
    await admin.fallback("user_workspace", 10)
    await send_denied(alice, ME)


async def test_legacy_permissions_mean_todays_resources(wire: Wire, admin: Admin) -> None:
    """22."""
    await admin.grant(("service", "sv::i::s"), ("permission", "_perm:admin_acl"), 40)
    [rule] = (await admin.do(Op.LIST_RULES)).rules
    assert (rule.resource_type, rule.resource_id) == ("admin", "admin/acl")
    holder = await wire.connect(service())
    assert (await ask_acl(holder, Op.LIST_GROUPS)).success


# ------------------------------------------------------------------------------------------------- rules that end


async def test_rules_and_memberships_end_by_themselves(wire: Wire, admin: Admin) -> None:
    """11, 18: nobody asks, and the sessions that lived on them end."""
    await admin.fallback("agent_workspace", 0)
    await create_group(admin, "night")
    await admin.grant(("group", "night"), ("workspace", "ws2"), 20)
    soon = int(time.time()) + 2
    await admin.grant(("agent", ME), ("workspace", "ws1"), 20, expires_at=soon)
    await admin.do(Op.ADD_GROUP_MEMBER, name="night", member_request=member("agent", "ag::ws2::i::s", expires_at=soon))
    first = await wire.connect(agent(workspace="ws1"))
    second = await wire.connect(agent(workspace="ws2"))
    for peer in (first, second):
        assert (await peer.expect("signal")).type == pb.Signal.FORCE_DISCONNECT
        await peer.expect_status(StatusCode.PERMISSION_DENIED, "access denied")
    await wire.refused(agent(workspace="ws1"), StatusCode.PERMISSION_DENIED, "access denied")


# ---------------------------------------------------------------------------------------------------- operations


async def test_answers_come_in_order_with_their_ids(wire: Wire, admin: Admin) -> None:
    """23."""
    admin.peer.write(
        *(pb.UpstreamMessage(acl_op=pb.ACLOperation(op=Op.LIST_RULES, request_id=name)) for name in ("a", "b"))
    )
    assert [(await admin.peer.expect("acl")).request_id for _ in range(2)] == ["a", "b"]


async def test_rules_by_id(wire: Wire, admin: Admin) -> None:
    """24, 25."""
    rule = await admin.grant(ALICE, ("workspace", "ws1"), 20)
    assert (await admin.do(Op.GET_RULE, rule_id=rule.rule_id)).rule == rule
    assert (await admin.ask(Op.GET_RULE, rule_id="nope")).error == "failed to get ACL rule: ACL rule not found"
    assert (await admin.do(Op.REVOKE, rule_id=rule.rule_id)).message == "ACL access revoked"
    assert "ACL rule not found" in (await admin.ask(Op.REVOKE, rule_id=rule.rule_id)).error


async def test_rules_by_their_four_names(wire: Wire, admin: Admin) -> None:
    rule = await admin.grant(ALICE, ("workspace", "ws1"), 20)
    named = pb.ACLRuleFilter(principal_type="user", principal_id="alice", resource_type="workspace", resource_id="ws1")
    assert (await admin.do(Op.GET_RULE, rule_filter=named)).rule == rule
    await admin.do(Op.REVOKE, rule_filter=named)
    assert (await admin.ask(Op.REVOKE, rule_filter=named)).error == "ACL rule not found"


async def test_pages_of_rules(wire: Wire, admin: Admin) -> None:
    """26."""
    made = [await admin.grant(ALICE, ("workspace", f"ws{number}"), 20) for number in range(5)]
    everything = await admin.do(Op.LIST_RULES)
    assert [rule.rule_id for rule in everything.rules] == [rule.rule_id for rule in made[::-1]], "the newest first"
    assert everything.total_rules == 5
    page = await admin.do(Op.LIST_RULES, rule_filter=pb.ACLRuleFilter(limit=2, offset=1))
    assert list(page.rules) == list(everything.rules[1:3])
    assert page.total_rules == 5


async def test_readers_of_a_workspace_see_its_rules(wire: Wire, admin: Admin) -> None:
    """27."""
    await admin.grant(ALICE, ("workspace", "ws1"), 20)
    peer = await wire.connect(agent(workspace="ws1"))
    wanted = pb.ACLRuleFilter(resource_type="workspace", resource_id="ws1")
    assert len((await ask_acl(peer, Op.LIST_RULES, rule_filter=wanted)).rules) == 1
    response = await ask_acl(peer, Op.LIST_RULES)
    assert response.error == "ACL operations on non-workspace resources require an admin_acl grant"
    assert not response.rules


async def test_managers_give_and_take_what_is_below_them(wire: Wire, admin: Admin) -> None:
    """28, 29, 30."""
    await admin.grant(("agent", ME), ("workspace", "ws1"), 30)
    strong = await admin.grant(("user", "root"), ("workspace", "ws1"), 40)
    manager = await wire.connect(agent(workspace="ws1"))

    async def grant(who: str, level: int) -> pb.ACLResponse:
        request = pb.ACLGrantRequest(
            principal_type="user", principal_id=who, resource_type="workspace", resource_id="ws1", access_level=level
        )
        return await ask_acl(manager, Op.GRANT, grant_request=request)

    weak = await grant("bob", 20)
    assert weak.success
    refusal = 'insufficient access on workspace "ws1" for this ACL operation (need ADMIN)'
    assert (await grant("bob", 30)).error == refusal
    assert (await grant("root", 0)).error == refusal, "replacing a rule takes what removing it takes"
    assert (await ask_acl(manager, Op.REVOKE, rule_id=strong.rule_id)).error == refusal
    assert (await ask_acl(manager, Op.REVOKE, rule_id=weak.rule.rule_id)).success
    policy = pb.ACLSetFallbackRequest(rule_category="user_workspace", fallback_access_level=50)
    response = await ask_acl(manager, Op.SET_FALLBACK_POLICY, fallback_request=policy)
    assert response.error == "this ACL operation requires global admin privileges"
    response = await ask_acl(manager, Op.GET_FALLBACK_POLICY, rule_category="user_workspace")
    assert response.error == "this ACL operation requires an admin_acl grant"
    response = await ask_acl(manager, Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name="mine"))
    assert response.error == "ACL operations on non-workspace resources require an admin_acl grant"
    other = pb.ACLGrantRequest(
        principal_type="agent", principal_id=ME, resource_type="admin", resource_id="admin/*", access_level=40
    )
    assert not (await ask_acl(manager, Op.GRANT, grant_request=other)).success
    # What others hold is not told to who may not even manage.
    outsider = await wire.connect(agent(workspace="ws2"))
    await admin.grant(("agent", "ag::ws2::i::s"), ("workspace", "ws1"), 0)
    told = {(await ask_acl(outsider, Op.REVOKE, rule_id=rule_id)).error for rule_id in (strong.rule_id, "unknown")}
    assert told == {"ACL operations on non-workspace resources require an admin_acl grant"}
    for who in ("root", "nobody"):
        named = pb.ACLRuleFilter(principal_type="user", principal_id=who, resource_type="workspace", resource_id="ws1")
        refusal = 'insufficient access on workspace "ws1" for this ACL operation (need MANAGE)'
        assert (await ask_acl(outsider, Op.REVOKE, rule_filter=named)).error == refusal


async def test_missing_parts_are_named(wire: Wire, admin: Admin) -> None:
    """31, 34, 35."""
    for op, text in {
        Op.GRANT: "grant_request required for GRANT",
        Op.CREATE_GROUP: "group_request required for CREATE_GROUP",
        Op.CREATE_ROLE: "role_request required for CREATE_ROLE",
        Op.ADD_GROUP_MEMBER: "member_request required for ADD_GROUP_MEMBER",
        Op.EXPLAIN_ACCESS: "principal required for EXPLAIN_ACCESS",
        Op.LIST_PRINCIPAL_ROLES: "principal required for LIST_PRINCIPAL_ROLES",
        Op.GET_GROUP: "group not found",
        Op.DELETE_ROLE: "role not found",
        99: "unknown ACL operation",
        12: "unknown ACL operation",
    }.items():
        assert (await admin.ask(op)).error == text
    await create_group(admin, "devs")
    again = await admin.ask(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name="devs"))
    assert again.error == "group already exists"
    nameless = await admin.ask(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest())
    assert nameless.error == "group name is required"
    group = (await admin.do(Op.GET_GROUP, name="devs")).group
    assert (group.created_by, dict(group.metadata)) == ("orchestrator:orc::o::admin", {"team": "x"})
    response = await admin.do(Op.LIST_GROUP_MEMBERS, name="unknown")
    assert not response.group_members
    assert (await admin.ask(Op.GET_FALLBACK_POLICY, rule_category="nope")).error == (
        "failed to get fallback policy: fallback policy not found"
    )


async def test_the_workflow_engine_administrates_too(wire: Wire) -> None:
    """32."""
    peer = await wire.connect(engine())
    assert (await ask_acl(peer, Op.LIST_GROUPS)).success


async def test_explanations_tell_what_the_policy_decides(wire: Wire, admin: Admin) -> None:
    """36."""
    explanation = await admin.explain(ALICE, ("workspace", "ws1"))
    assert (explanation.principal, explanation.decision, explanation.fallback_applied) == ("user:alice", "ALLOW", True)
    explanation = await admin.explain(("bridge", "br::b::s"), ("workspace", "ws1"))
    assert explanation.reason == "No rule or fallback policy for bridge_workspace"


async def test_explanations_of_administration_are_the_decisions(wire: Wire, admin: Admin) -> None:
    """Weakness 17: what is asked first, and what decides, is the same as for an operation."""
    who = ("service", "sv::i::s")
    await admin.grant(who, ("admin", "admin/*"), 40)
    await admin.grant(who, ("admin", "admin/tokens"), 0)
    await admin.grant(who, ("capability", "capability/audit_submit"), 10)
    await admin.grant(who, ("capability", "capability/audit_submit/ws2"), 0)
    holder = await wire.connect(service())
    holder.say(token_op=pb.TokenOperation(op=pb.TokenOperation.LIST))
    assert (await holder.expect("token")).success
    explanation = await admin.explain(who, ("admin", "admin/tokens"), 40)
    assert (explanation.allowed, explanation.reason) == (
        True,
        "Glob pattern rule: service:sv::i::s has ADMIN on admin:admin/*",
    )
    assert {item.resource for item in explanation.contributions} == {"admin:admin/*", "admin:admin/tokens"}
    for workspace, allowed in (("ws1", True), ("ws2", False)):
        event = pb.SubmitAuditEventRequest(event_type="custom", operation="o", workspace=workspace)
        holder.say(submit_audit_event=event)
        assert (await holder.expect("submit_audit_event_response")).success is allowed
        explanation = await admin.explain(who, ("capability", f"capability/audit_submit/{workspace}"), 10)
        assert explanation.allowed is allowed, explanation


async def test_rules_survive_a_restart(tmp_path: Path) -> None:
    config = Config.development(tmp_path / "data", acl={"enabled": True})
    for expected in ({"ws0"}, {"ws0", "ws1"}):
        async with Gateway(config) as gateway:
            assert gateway.port is not None
            async with open_wire(gateway.port) as wire:
                admin = Admin(await wire.connect(orchestrator("admin")))
                await admin.grant(ALICE, ("workspace", f"ws{len(expected) - 1}"), 20)
                rules = (await admin.do(Op.LIST_RULES)).rules
                assert {rule.resource_id for rule in rules} == expected


# ------------------------------------------------------------------------------------------------ KV and messages


K = pb.KVOperation


async def test_own_scopes_need_no_rule(wire: Wire, admin: Admin) -> None:
    """53, 54."""
    peer = await wire.connect(agent())
    await kv_allowed(peer, kv(K.PUT, K.GLOBAL_EXCLUSIVE, value=b"1"))
    await kv_allowed(peer, kv(K.GET, K.GLOBAL_EXCLUSIVE))
    assert (await kv_allowed(peer, kv(K.LIST, K.GLOBAL_EXCLUSIVE, ""))).keys == ["k"]
    await kv_denied(peer, kv(K.GET, K.GLOBAL))


async def test_a_value_that_is_asked_for_again_is_decided_anew_after_a_change(wire: Wire, admin: Admin) -> None:
    """55: also where earlier requests went the compiled way."""
    peer = await wire.connect(agent())
    get, put = kv(K.GET, K.GLOBAL), kv(K.PUT, K.GLOBAL, value=b"1")
    for level, may_read, may_write in ((20, True, True), (10, True, False), (0, False, False), (20, True, True)):
        await admin.grant(("agent", "ag::w::i::s"), ("kv_scope", "global"), level)
        for _ in range(4):
            await (kv_allowed if may_write else kv_denied)(peer, put)
            await (kv_allowed if may_read else kv_denied)(peer, get)


async def test_scope_and_key_rules(wire: Wire, admin: Admin) -> None:
    """55, 56."""
    who = ("agent", "ag::w::i::s")
    await admin.grant(who, ("kv_scope", "global"), 10)
    peer = await wire.connect(agent())
    await kv_allowed(peer, kv(K.GET, K.GLOBAL, "cfg"))
    await kv_denied(peer, kv(K.PUT, K.GLOBAL, "cfg", value=b"1"))
    await admin.grant(who, ("kv_key", "cfg"), 20)
    await kv_allowed(peer, kv(K.PUT, K.GLOBAL, "cfg", value=b"1"))
    await kv_denied(peer, kv(K.PUT, K.GLOBAL, "other", value=b"1"))
    await admin.grant(who, ("kv_scope", "global"), 20)
    await admin.grant(who, ("kv_key", "cfg"), 0)
    await kv_denied(peer, kv(K.GET, K.GLOBAL, "cfg"))
    await kv_allowed(peer, kv(K.GET, K.GLOBAL, "other"))


async def test_coordination_keys_are_the_engines(wire: Wire, admin: Admin) -> None:
    """57."""
    peer = await wire.connect(engine())
    await kv_allowed(peer, kv(K.PUT, K.GLOBAL, "_sys/coord/x", value=b"1"))
    await kv_denied(peer, kv(K.PUT, K.GLOBAL, "_sys/other", value=b"1"))


async def test_purging_takes_the_capability(wire: Wire, admin: Admin) -> None:
    """58."""
    peer = await wire.connect(agent())
    await kv_allowed(peer, kv(K.PUT, K.GLOBAL_EXCLUSIVE, value=b"1"))
    keeper = await wire.connect(service())
    purge = kv(K.PURGE_IDENTITY, K.GLOBAL_EXCLUSIVE, "", target_identity="ag::w::i::s")
    await kv_denied(keeper, purge)
    await admin.grant(("service", "sv::i::s"), ("capability", "capability/kv_purge_identity"), 30)
    response = await kv_allowed(keeper, purge)
    assert not response.value
    assert not (await kv_allowed(peer, kv(K.LIST, K.GLOBAL_EXCLUSIVE, ""))).keys


async def test_capabilities_may_be_held_for_one_workspace(wire: Wire, admin: Admin) -> None:
    """60, weakness 29."""
    await admin.fallback("agent_workspace", 20)
    peer = await wire.connect(agent(workspace="ws1"))
    await send_denied(peer, "event::ws2", "cross-workspace broadcast to")
    await admin.grant(("agent", ME), ("capability", "capability/event_broadcast/ws2"), 20)
    peer.send("event::ws2")
    await peer.settle()
    await send_denied(peer, "event::ws3", "cross-workspace broadcast to")
    await admin.grant(("agent", ME), ("capability", "capability/event_broadcast"), 20)
    peer.send("event::ws3")
    await peer.settle()


async def test_a_reader_reports_its_metrics(wire: Wire, admin: Admin) -> None:
    """59."""
    await admin.grant(("agent", ME), ("workspace", "ws1"), 10)
    peer, receiver = await wire.connect(agent(workspace="ws1")), await wire.connect(metrics_bridge())

    def metric(quantity: float) -> bytes:
        return pb.Metric(entries=[pb.MetricEntry(name="n", kind="count", qty=quantity)]).SerializeToString()

    peer.send("metric::ws1", metric(1), pb.METRIC)
    await peer.settle()
    peer.send("metric::ws1", metric(-1), pb.METRIC)
    await peer.expect_error("ERR_METRIC_NEGATIVE_FORBIDDEN", "negative metric deltas require additional authorization")
    await admin.grant(("agent", ME), ("capability", "capability/metric_credit"), 40)
    peer.send("metric::ws1", metric(-1), pb.METRIC)
    await peer.settle()
    assert await receiver.expect_payloads(2) == [metric(1), metric(-1)]


async def test_services_need_a_rule_for_a_workspace(wire: Wire, admin: Admin) -> None:
    """61."""
    peer = await wire.connect(service())
    peer.send("us::alice::w1")
    await peer.settle()
    await send_denied(peer, ME)
    await admin.grant(("service", "sv::i::s"), ("workspace", "ws1"), 20)
    peer.send(ME)
    await peer.settle()


async def test_a_closed_workspace_is_closed_for_checkpoints_and_progress(wire: Wire, admin: Admin) -> None:
    """The reference asks nobody for either."""
    await admin.grant(("agent", ME), ("workspace", "ws1"), 10)
    peer = await wire.connect(agent(workspace="ws1"))
    await peer.settle()
    peer.say(checkpoint_op=pb.CheckpointOperation(op=pb.CheckpointOperation.SAVE, request_id="c", data=b"x"))
    answer = await peer.expect("checkpoint")
    assert (answer.success, answer.error) == (False, "not authorized for checkpoints in this workspace")
    peer.say(progress=pb.ProgressReport(summary="working"))
    await peer.expect_error("ERR_PERMISSION_DENIED", "not authorized to report progress")


# -------------------------------------------------------------------------------------------------- live sessions


async def test_whoever_loses_its_workspace_is_disconnected(wire: Wire, admin: Admin) -> None:
    """Weakness 11: subscriptions would go on showing what may no longer be read."""
    peer = await wire.connect(agent(workspace="ws1"))
    other = await wire.connect(agent(workspace="ws2"))
    await admin.grant(("agent", ME), ("workspace", "ws1"), 0)
    signal = await peer.expect("signal")
    assert signal.type == pb.Signal.FORCE_DISCONNECT
    await peer.expect_status(StatusCode.PERMISSION_DENIED, "access denied")
    await other.settle()
    await wire.refused(agent(workspace="ws1"), StatusCode.PERMISSION_DENIED, "access denied")


async def test_a_session_without_a_workspace_stays(wire: Wire, admin: Admin) -> None:
    peer = await wire.connect(bridge())
    await admin.fallback("bridge_workspace", 0)
    await peer.settle()


# ------------------------------------------------------------------------------------------------- access checks


async def test_decisions_for_applications(wire: Wire, admin: Admin) -> None:
    """109: being denied is a result."""
    alice = await wire.connect(user())
    for level, allowed in ((20, True), (30, False)):
        alice.say(access_check=pb.AccessCheckOperation(request_id="r", access=access_question(level)))
        response = await alice.expect("access_check_response")
        assert (response.request_id, response.success, response.error) == ("r", True, "")
        decision = response.decision
        assert (decision.allowed, decision.decision) == (allowed, "ALLOW" if allowed else "DENY")
        assert decision.request == access_question(level)
        assert (decision.actor.principal_type, decision.actor.principal_id) == ALICE
        assert (decision.authority_mode, decision.effective_access_level) == ("direct", 20)
        assert decision.decision_id
        assert 0 < decision.evaluated_at_ms < decision.expires_at_ms
        assert decision.denial_code == ("" if allowed else "ERR_PERMISSION_DENIED")


async def test_batches_of_decisions(wire: Wire, admin: Admin) -> None:
    """110."""
    alice = await wire.connect(user())
    for count in (0, 101):
        batch = pb.BatchAccessCheckOperation(request_id="r", access=[access_question()] * count)
        alice.say(batch_access_check=batch)
        response = await alice.expect("batch_access_check_response")
        assert (response.success, len(response.decisions)) == (False, 0)
    batch = pb.BatchAccessCheckOperation(
        request_id="r", access=[access_question(10), access_question(40), access_question(20)]
    )
    alice.say(batch_access_check=batch)
    response = await alice.expect("batch_access_check_response")
    assert [decision.allowed for decision in response.decisions] == [True, False, True]


@pytest.mark.parametrize(
    "access",
    [
        None,
        pb.ResourceAccessRequest(resource_type="workspace"),
        access_question(15),
        access_question(0),
        access_question(20, "x" * 1025),
        pb.ResourceAccessRequest(resource_type="x", required_access_level=20, operation="x" * 3_000_000),
    ],
)
async def test_questions_without_an_answer(wire: Wire, admin: Admin, access: pb.ResourceAccessRequest | None) -> None:
    alice = await wire.connect(user())
    alice.say(access_check=pb.AccessCheckOperation(request_id="r", access=access))
    response = await alice.expect("access_check_response")
    assert not response.success
    assert response.error
    assert not response.HasField("decision")


async def test_messages_under_a_condition(wire: Wire, admin: Admin) -> None:
    """111, 112: the gateway's receipt travels with the message, and nobody else's."""
    receiver = await wire.connect(agent(workspace="ws1"))
    alice = await wire.connect(user())
    await move(alice, "ws1")
    alice.send(ME, b"no", checked_access=access_question(40))
    await alice.expect_error("ERR_PERMISSION_DENIED", f"not authorized to send to topic {ME}")
    alice.send(ME, b"yes", checked_access=access_question(20))
    message = await receiver.expect("msg")
    assert message.payload == b"yes"
    assert (message.access_receipt.allowed, message.access_receipt.delivery_target) == (True, ME)
    assert not message.HasField("forwarded_authorization")
    alice.send(ME, b"plain")
    assert not (await receiver.expect("msg")).HasField("access_receipt")


async def test_grants_that_nobody_gave_open_nothing(wire: Wire, admin: Admin) -> None:
    alice = await wire.connect(user())
    await move(alice, "ws1")
    for context in (
        pb.AuthorizationContext(authority_mode="sudo"),
        pb.AuthorizationContext(authority_mode="direct", grant_id="g"),
        pb.AuthorizationContext(authority_mode="on_behalf_of", grant_id="g"),
        pb.AuthorizationContext(
            authority_mode="on_behalf_of",
            grant_id="g",
            subject=pb.PrincipalRef(principal_type="user", principal_id="bob"),
        ),
    ):
        alice.send(ME, authorization=context)
        await alice.expect_error("ERR_PERMISSION_DENIED", "not authorized to send")
