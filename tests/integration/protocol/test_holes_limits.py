"""What a credential for some workspaces keeps its bearer from: administration of all of them, and lending to others
what it cannot use itself (weaknesses 5, 9 and 29 of the access chapter)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.access import ALICE, Admin, ask_acl, move
from tests.support.authority import ask_grants, exchange, exchanged, in_seconds, on_behalf
from tests.support.authority_requests import ask_requests, created_request, decide, principal_ref, routed_to
from tests.support.tasks import Desk
from tests.support.tokens import key_for, with_key
from tests.support.wire import Peer, Wire, agent, orchestrator, service, user

from aether import Gateway
from aether.proto import aether_pb2 as pb

Decide = pb.ResolveAuthorityRequestPayload
G = pb.AuthorityGrantOperation
Op = pb.ACLOperation
Request = pb.AuthorityRequestOperation

S = ("service", "sv::i::s")
A = ("agent", "ag::ws1::i::s")
BEYOND = "authority grant reaches workspaces that the caller's credential is not for"
EXCHANGE = ("capability", "capability/exchange_authority_grants")
Token, Session, Workspace = pb.TokenOperation, pb.SessionOperation, pb.WorkspaceOperation


@pytest.fixture
def gateway(gateway_with_keys: Gateway) -> Gateway:
    return gateway_with_keys


@pytest.fixture
def admin(admin_with_key: Admin) -> Admin:
    return admin_with_key


async def keyed(wire: Wire, admin: Admin, title: str, init: Any, patterns: list[str], *who: str) -> Peer:
    """Somebody with a key for some workspaces."""
    created_by = {"created_by": who[0]} if title == "User" else {}
    key = await key_for(admin, title, workspace_patterns=patterns, **created_by)
    return await wire.connect(init(*who, **with_key(key)))


async def administrates(peer: Peer, **operation: Any) -> bool:
    """Whether a gate of administration opens."""
    peer.say(**operation)
    message = await peer.receive()
    if message.WhichOneof("payload") == "error":
        message = await peer.receive()  # some clients wait for the one, some for the other
    return bool(getattr(getattr(message, message.WhichOneof("payload")), "success", False))


TOKENS = {"token_op": Token(op=Token.LIST, request_id="t")}
AGENTS = {"agent_op": pb.AgentOperation(op=pb.AgentOperation.LIST)}
RULES = {"acl_op": pb.ACLOperation(op=Op.LIST_RULES)}
POLICY = {"acl_op": pb.ACLOperation(op=Op.GET_FALLBACK_POLICY, rule_category="user_workspace")}
LOG = {"audit_query": pb.AuditQuery()}
SESSIONS = {"session_op": Session(op=Session.LIST)}
FACTS = {"admin_query": pb.AdminQuery(request_id="f")}
WORKSPACES = {"workspace_op": pb.WorkspaceOperation(op=pb.WorkspaceOperation.LIST)}
OF_ALL = [TOKENS, RULES, POLICY, LOG, SESSIONS, FACTS, AGENTS, WORKSPACES]


def within(workspace: str) -> list[dict[str, Any]]:
    """The same, as far as it can be about one workspace."""
    rules = pb.ACLRuleFilter(resource_type="workspace", resource_id=workspace)
    return [
        {"acl_op": pb.ACLOperation(op=Op.LIST_RULES, rule_filter=rules)},
        {"audit_query": pb.AuditQuery(workspace=workspace)},
        {"session_op": Session(op=Session.LIST, filter=pb.ConnectionFilter(workspace=workspace))},
        {"workspace_op": pb.WorkspaceOperation(op=pb.WorkspaceOperation.GET, workspace_id=workspace)},
    ]


@pytest.mark.parametrize("title", ["Service", "Agent", "Orchestrator"])
async def test_a_key_for_one_workspace_administrates_no_gateway(wire: Wire, admin: Admin, title: str) -> None:
    """Weakness 9: its bearer could have made itself a key for everything."""
    who = {"Service": service, "Agent": lambda **more: agent(workspace="ws1", **more)}.get(
        title, lambda **more: orchestrator("o", **more)
    )
    for principal in (S, A):
        await admin.grant(principal, ("admin", "admin/*"), 40)
    limited = await keyed(wire, admin, title, who, ["ws1"])
    for operation in OF_ALL:
        assert not await administrates(limited, **operation), operation
    for operation in within("ws2"):
        assert not await administrates(limited, **operation), operation
    for operation in within("ws1"):
        assert await administrates(limited, **operation), operation


async def test_a_key_for_one_workspace_ends_no_session_elsewhere(wire: Wire, admin: Admin) -> None:
    """Weakness 9."""
    await admin.grant(S, ("admin", "admin/sessions"), 40)
    limited = await keyed(wire, admin, "Service", service, ["ws1"])
    others = {
        name: await keyed(wire, admin, "Agent", lambda name=name, **more: agent(workspace=name, **more), ["*"])
        for name in ("ws1", "ws2")
    }
    for session_id, expected in (
        (others["ws2"].ack.session_id, False),
        (admin.peer.ack.session_id, False),
        ("nobody", False),
        (others["ws1"].ack.session_id, True),
    ):
        for op in (Session.GET, Session.DISCONNECT):
            operation = Session(op=op, session_id=session_id)
            assert await administrates(limited, session_op=operation) is expected
    await others["ws2"].settle()


async def test_a_grant_for_one_workspace_administrates_no_gateway(wire: Wire, admin: Admin) -> None:
    """Weakness 5: what concerns all workspaces is outside a grant for one, whichever its bearer happens to be on."""
    await admin.grant(ALICE, ("admin", "admin/*"), 40)
    alice = await keyed(wire, admin, "User", user, ["*"], "alice")
    peer = await keyed(wire, admin, "Agent", lambda **more: agent(workspace="ws1", **more), ["*"])
    root = await exchanged(alice, workspace_scope=["ws1"], may_delegate=True, remaining_hops=1, max_access_level=40)
    derived = pb.AuthorityGrantDeriveRequest(
        parent_grant_id=root.grant_id,
        delegate=principal_ref(A),
        workspace_scope=["ws1"],
        max_access_level=40,
        audience_type="agent",
        audience_id=A[1],
    )
    response = await ask_grants(alice, G.DERIVE, derive_request=derived)
    assert response.success, response.error
    context = on_behalf(response.grant)

    def under(operation: dict[str, Any]) -> dict[str, Any]:
        [(name, message)] = operation.items()
        copy = type(message)()
        copy.CopyFrom(message)
        copy.authorization.CopyFrom(context)
        return {name: copy}

    for operation in (RULES, POLICY, LOG, SESSIONS, *within("ws2")[:3]):
        assert not await administrates(peer, **under(operation)), operation
    for operation in within("ws1")[:3]:
        assert await administrates(peer, **under(operation)), operation


# ------------------------------------------------------------------------------------------------- lending to others


@pytest.mark.parametrize("scope", [[], ["*"], ["_subject_workspaces"], ["ws?"], ["ws1", "ws2"], ["ws2"], ["team-?"]])
async def test_nobody_lends_what_its_key_is_not_for(wire: Wire, admin: Admin, scope: list[str]) -> None:
    """Weakness 9: a grant for all workspaces, made with a key for some, was as good as a key for all."""
    alice = await keyed(wire, admin, "User", user, ["ws1", "team-*"], "alice")
    response = await exchange(alice, workspace_scope=scope)
    assert (response.success, response.error) == (False, BEYOND)
    for fits in (["ws1"], ["team-a", "ws1"], ["team-*"]):
        assert (await exchange(alice, workspace_scope=fits)).success, fits


async def test_nobody_borrows_more_than_the_session_may(wire: Wire, admin: Admin) -> None:
    """Weakness 9: neither with a key for all on the session of a user with one for some, nor the other way round."""
    await admin.grant(S, EXCHANGE, 30)
    alice = await keyed(wire, admin, "User", user, ["ws1"], "alice")
    bob = await keyed(wire, admin, "User", user, ["*"], "bob")
    await move(bob, "ws2")
    peer = await keyed(wire, admin, "Service", service, ["*"])
    response = await exchange(peer, source_session_id=alice.ack.session_id)
    assert (response.success, response.error) == (False, BEYOND)
    assert (await exchange(peer, source_session_id=alice.ack.session_id, workspace_scope=["ws1"])).success

    limited = await keyed(wire, admin, "Service", lambda **more: service("t", **more), ["ws1"])
    await admin.grant(("service", "sv::i::t"), EXCHANGE, 30)
    response = await exchange(limited, source_session_id=bob.ack.session_id, workspace_scope=["ws1"])
    assert response.error == "not authorized to exchange authority grants from another session"


async def test_nobody_passes_on_what_its_key_is_not_for(wire: Wire, admin: Admin) -> None:
    """Weakness 9: deriving, for a target, with a message, with a task."""
    alice = await keyed(wire, admin, "User", user, ["*"], "alice")
    limited = await keyed(wire, admin, "Agent", lambda **more: agent(workspace="ws1", **more), ["ws1"])
    root = await exchanged(alice, may_delegate=True, remaining_hops=5)
    asked = {"delegate": principal_ref(A), "audience_type": "agent", "audience_id": A[1], "max_access_level": 20}
    held = await ask_grants(
        alice,
        G.DERIVE,
        derive_request=pb.AuthorityGrantDeriveRequest(
            parent_grant_id=root.grant_id, may_delegate=True, remaining_hops=4, **asked
        ),
    )
    assert held.success, held.error
    onward = {"parent_grant_id": held.grant.grant_id, "audience_type": "service", "audience_id": S[1]}
    onward |= {"max_access_level": 20, "expires_at": in_seconds(30)}
    derive = pb.AuthorityGrantDeriveRequest(delegate=principal_ref(S), **onward)
    assert (await ask_grants(limited, G.DERIVE, derive_request=derive)).error == BEYOND
    derive.workspace_scope.append("ws1")
    assert (await ask_grants(limited, G.DERIVE, derive_request=derive)).success
    for_target = pb.AuthorityGrantDeriveForTargetRequest(target=principal_ref(("service", "sv::i::other")), **onward)
    for_target.audience_id = "sv::i::other"
    assert (await ask_grants(limited, G.DERIVE_FOR_TARGET, derive_for_target_request=for_target)).error == BEYOND

    mode = pb.AuthorityContinuationRequest
    onward_with = mode(scope_mode=mode.SCOPE_MODE_INHERIT_PARENT)
    limited.send(A[1], b"x", authorization=on_behalf(held.grant), authority_continuation=onward_with)
    await limited.expect_error("ERR_PERMISSION_DENIED", f"authority cannot be continued: {BEYOND}")
    narrower = mode(scope_mode=mode.SCOPE_MODE_ATTENUATE, scope=pb.AuthorityContinuationScope(workspace_scope=["ws1"]))
    limited.send(A[1], b"y", authorization=on_behalf(held.grant), authority_continuation=narrower)
    assert list((await limited.expect("msg")).forwarded_authorization.scope.workspace_scope) == ["ws1"]

    task = pb.CreateTaskRequest(
        task_type="t", workspace="ws1", assignment_mode=pb.SELF_ASSIGN, authorization=on_behalf(held.grant)
    )
    limited.say(create_task=task)
    await limited.expect_error("ERR_PERMISSION_DENIED", "unable to delegate task authority")
    await limited.close()

    work = pb.TaskOperation
    desk = Desk(await keyed(wire, admin, "Agent", lambda **more: agent(workspace="ws1", **more), ["*"]))
    task_id = await desk.created(authorization=on_behalf(held.grant))
    await desk.do(work.CANCEL, task_id)
    assert (await desk.do(work.RETRY, task_id)).status == pb.TASK_STATUS_QUEUED
    await desk.do(work.CANCEL, task_id)
    await desk.peer.close()
    desk = Desk(await keyed(wire, admin, "Agent", lambda **more: agent(workspace="ws1", **more), ["ws1"]))
    assert (await desk.do(work.RETRY, task_id)).error == "the authority of the task has ended"


async def test_nobody_approves_what_its_key_is_not_for(wire: Wire, admin: Admin) -> None:
    """Weakness 9: by name, or by a capability; what is about other workspaces is not shown either."""
    await admin.grant(S, ("capability", "capability/on_call"), 30)
    await admin.grant(S, ("workspace", "*"), 40)
    alice = await keyed(wire, admin, "User", user, ["ws1"], "alice")
    bob = await keyed(wire, admin, "User", user, ["*"], "bob")
    limited = await keyed(wire, admin, "Service", service, ["ws1"])
    request = await created_request(bob, desired_workspace_scope=["ws2"])
    await alice.expect("authority_request_event")
    assert (await decide(alice, request, Decide.APPROVE)).error == BEYOND
    capability = {"routing_target": routed_to(None, "capability/on_call")}
    request = await created_request(bob, desired_workspace_scope=[], **capability)
    assert (await decide(limited, request, Decide.APPROVE)).error == "authority request not found"
    listed = pb.AuthorityRequestListFilter(matching_capabilities=["capability/on_call"])
    assert (await ask_requests(limited, Request.LIST_PENDING, list_filter=listed)).total_count == 0
    request = await created_request(bob, desired_workspace_scope=["ws1"], **capability)
    assert (await limited.expect("authority_request_event")).request.request_id == request.request_id
    assert (await ask_requests(limited, Request.LIST_PENDING, list_filter=listed)).total_count == 1
    assert (await decide(limited, request, Decide.APPROVE)).success


@pytest.mark.parametrize("scope", [["ws1"], ["ws2"], ["ws?"], []])
async def test_a_capability_for_one_workspace_resolves_no_other(wire: Wire, admin: Admin, scope: list[str]) -> None:
    """Weakness 29; 9: with a key for one workspace the capability for all is one for that."""
    alice = await keyed(wire, admin, "User", user, ["*"], "alice")
    grant = await exchanged(alice, workspace_scope=scope)
    peers = [
        await keyed(wire, admin, "Agent", lambda **more: agent(workspace="ws1", **more), ["*"]),
        await keyed(wire, admin, "Service", service, ["ws1"]),
    ]
    await admin.grant(A, ("capability", "capability/resolve_authority/ws1"), 10)
    await admin.grant(S, ("capability", "capability/resolve_authority"), 10)
    for peer in peers:
        named = {"actor": principal_ref(ALICE), "subject": principal_ref(ALICE), "grant_id": grant.grant_id}
        peer.say(resolve_authority_request=pb.ResolveAuthorityRequest(request_id="r", **named))
        answer = await peer.expect("resolve_authority_response")
        expected = (True, "") if scope == ["ws1"] else (False, "not authorized")
        assert (answer.ok, answer.error) == expected


async def test_a_refused_rule_operation_changes_nothing(wire: Wire, admin: Admin) -> None:
    """Weakness 9: the right to all rules, with a key for one workspace, is one to rules of that workspace."""
    await admin.grant(S, ("admin", "admin/acl"), 40)
    limited = await keyed(wire, admin, "Service", service, ["ws1"])
    before = (await admin.do(Op.LIST_RULES)).total_rules
    for what in (("workspace", "ws2"), ("workspace", "ws?"), ("kv_scope", "global"), ("admin", "admin/*")):
        rule = pb.ACLGrantRequest(
            principal_type="user", principal_id="alice", resource_type=what[0], resource_id=what[1], access_level=20
        )
        assert not (await ask_acl(limited, Op.GRANT, grant_request=rule)).success
    assert (await admin.do(Op.LIST_RULES)).total_rules == before
    rule.resource_type, rule.resource_id = "workspace", "ws1"
    assert (await ask_acl(limited, Op.GRANT, grant_request=rule)).success


async def test_quotas_are_not_for_who_administers_one_workspace(wire: Wire, admin: Admin) -> None:
    """It may describe the workspace, not help it to more than its share; not by making it anew either."""
    described = pb.WorkspaceInfo(workspace_id="ws1", metadata={"quota.tasks": "5"})
    assert await administrates(admin.peer, workspace_op=Workspace(op=Workspace.CREATE, workspace=described))
    await admin.grant(S, ("admin", "admin/workspaces"), 40)
    limited = await keyed(wire, admin, "Service", service, ["ws1"])
    for metadata in ({"quota.tasks": "6"}, {"quota.tasks": ""}, {"quota.connections": "6"}):
        update = Workspace(op=Workspace.UPDATE, workspace_id="ws1", workspace=pb.WorkspaceInfo(metadata=metadata))
        assert not await administrates(limited, workspace_op=update), metadata
    named = pb.WorkspaceInfo(workspace_id="ws1", display_name="One")
    rename = Workspace(op=Workspace.UPDATE, workspace_id="ws1", workspace=named)
    assert not await administrates(limited, workspace_op=Workspace(op=Workspace.CREATE, workspace=named))
    assert not await administrates(limited, workspace_op=Workspace(op=Workspace.DELETE, workspace_id="ws1"))
    assert await administrates(limited, workspace_op=rename)
    admin.peer.say(workspace_op=Workspace(op=Workspace.GET, workspace_id="ws1"))
    known = (await admin.peer.expect("workspace")).workspace
    assert (known.display_name, known.metadata) == ("One", {"quota.tasks": "5"})
