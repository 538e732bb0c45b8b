"""Who administers agents and workspaces, what is kept of it, and how much fits (tasks 15.1, acl 7.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.access import Admin
from tests.support.wire import Peer, Wire, agent, user

from aether import Gateway
from aether.errors import StoreUnavailable
from aether.proto import aether_pb2 as pb

A = pb.AgentOperation
W = pb.WorkspaceOperation
ME = ("agent", "ag::w::i::s")


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


async def agents(peer: Peer, op: int, **fields: Any) -> pb.AgentResponse:
    peer.say(agent_op=A(op=op, request_id="a", **fields))  # type: ignore[arg-type]
    response: pb.AgentResponse = await peer.expect("agent")
    assert response.request_id == "a"
    assert response.success != bool(response.error), response
    return response


async def workspaces(peer: Peer, op: int, workspace_id: str = "", **fields: Any) -> pb.WorkspaceResponse:
    peer.say(workspace_op=W(op=op, workspace_id=workspace_id, request_id="w", **fields))  # type: ignore[arg-type]
    response: pb.WorkspaceResponse = await peer.expect("workspace")
    assert response.request_id == "w"
    assert response.success != bool(response.error), response
    return response


def lazy(implementation: str = "lazy", **fields: Any) -> pb.AgentRegistrationInfo:
    return pb.AgentRegistrationInfo(implementation=implementation, orchestrator_profile="process", **fields)


async def rows(admin: Admin, **wanted: Any) -> list[pb.AuditEntry]:
    admin.peer.say(audit_query=pb.AuditQuery(request_id="q", **wanted))
    response = await admin.peer.expect("audit_response")
    assert response.success, response.error
    return list(reversed(response.entries))


# -------------------------------------------------------------------------------------------------------------- who


@pytest.mark.parametrize("family", ["agents", "workspaces"])
@pytest.mark.parametrize("request_id", ["r", ""])
async def test_122_others_are_refused_by_both_frames(wire: Wire, admin: Admin, family: str, request_id: str) -> None:
    """Weakness 48: the error for clients that have ids, the response for those that take the next one."""
    me = await wire.connect(agent())
    member, denied = {
        "agents": ("agent", {"agent_op": A(op=A.LIST, request_id=request_id)}),
        "workspaces": ("workspace", {"workspace_op": W(op=W.LIST, request_id=request_id)}),
    }[family]
    me.say(**denied)
    text = f"admin {family} operations require system-level privileges or an explicit ACL grant"
    error = await me.expect_error("ERR_PERMISSION_DENIED", text)
    response = await me.expect(member)
    assert (error.request_id, response.request_id) == (request_id, request_id)
    assert (response.success, response.error) == (False, text)
    await me.expect_nothing()
    [row] = await rows(admin, operation=f"admin_op_{family}")
    assert (row.success, row.resource_id, row.actor_id) == (False, f"admin/{family}", "ag::w::i::s")
    assert row.session_id == me.ack.session_id


@pytest.mark.parametrize("what", ["admin/agents", "admin/*"])
async def test_a_rule_is_enough(wire: Wire, admin: Admin, what: str) -> None:
    rule = await admin.grant(ME, ("admin", what), 40)
    me = await wire.connect(agent())
    assert (await agents(me, A.REGISTER, agent=lazy())).success
    await admin.grant(ME, ("admin", what), 30)
    me.say(agent_op=A(op=A.DELETE, implementation="lazy", request_id="a"))
    await me.expect_error("ERR_PERMISSION_DENIED")
    assert not (await me.expect("agent")).success
    assert [one.implementation for one in (await agents(admin.peer, A.LIST)).agents] == ["lazy"]
    assert rule.rule_id


async def test_a_rule_for_one_family_is_none_for_the_other(wire: Wire, admin: Admin) -> None:
    await admin.grant(ME, ("admin", "admin/workspaces"), 40)
    me = await wire.connect(agent())
    assert (await workspaces(me, W.LIST)).success
    me.say(agent_op=A(op=A.LIST))
    await me.expect_error("ERR_PERMISSION_DENIED")
    assert not (await me.expect("agent")).success


# ------------------------------------------------------------------------------------------------------------ audit


async def test_changes_leave_their_rows(admin: Admin) -> None:
    """Weakness 45: and what was refused leaves none."""
    peer = admin.peer
    await agents(peer, A.REGISTER, agent=lazy())
    await agents(peer, A.UPDATE, implementation="lazy", agent=lazy(description="d"))
    await agents(peer, A.LAUNCH, implementation="lazy", launch_params=pb.AgentLaunchParams(workspace="w"))
    await agents(peer, A.LAUNCH, implementation="lazy", launch_params=pb.AgentLaunchParams(workspace="w"))
    await agents(peer, A.DELETE, implementation="lazy")
    await agents(peer, A.DELETE, implementation="lazy")
    await agents(peer, A.REGISTER, agent=pb.AgentRegistrationInfo(implementation="no-profile"))
    await workspaces(peer, W.CREATE, workspace=pb.WorkspaceInfo(workspace_id="x"))
    await workspaces(peer, W.UPDATE, "x", workspace=pb.WorkspaceInfo(display_name="X"))
    await workspaces(peer, W.CREATE, workspace=pb.WorkspaceInfo())
    await workspaces(peer, W.DELETE, "x")
    found = [
        (row.operation, row.resource_type, row.resource_id)
        for row in await rows(admin, event_type="admin")
        if row.resource_type in ("agent", "workspace")
    ]
    assert found == [
        ("agent_register", "agent", "lazy"),
        ("agent_update", "agent", "lazy"),
        ("agent_launch", "agent", "lazy"),
        ("agent_delete", "agent", "lazy"),
        ("workspace_create", "workspace", "x"),
        ("workspace_update", "workspace", "x"),
        ("workspace_delete", "workspace", "x"),
    ]


async def test_what_cannot_be_recorded_is_not_done(
    admin: Admin, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = admin.peer
    await agents(peer, A.REGISTER, agent=lazy())
    await workspaces(peer, W.CREATE, workspace=pb.WorkspaceInfo(workspace_id="x", display_name="X"))

    def full(row: object) -> int:
        raise StoreUnavailable("disk full")

    with monkeypatch.context() as broken:
        broken.setattr(gateway.services.tier.audit, "append", full)
        for response in (
            await agents(peer, A.REGISTER, agent=lazy("other")),
            await agents(peer, A.UPDATE, implementation="lazy", agent=lazy(description="d")),
            await agents(peer, A.DELETE, implementation="lazy"),
        ):
            assert response.error == "the registry is unavailable, try again"
        for answer in (
            await workspaces(peer, W.CREATE, workspace=pb.WorkspaceInfo(workspace_id="y")),
            await workspaces(peer, W.UPDATE, "x", workspace=pb.WorkspaceInfo(display_name="Y")),
            await workspaces(peer, W.DELETE, "x"),
        ):
            assert answer.error == "the store of workspaces is unavailable, try again"
    registered = (await agents(peer, A.LIST)).agents
    assert [(one.implementation, one.description) for one in registered] == [("lazy", "")]
    described = (await workspaces(peer, W.LIST)).workspaces
    assert [(info.workspace_id, info.display_name) for info in described] == [("x", "X")]


# ------------------------------------------------------------------------------------------------------- registrations


async def test_exact_names_come_first(admin: Admin) -> None:
    """Weakness 49."""
    for name in ("a", "a:b"):
        await agents(admin.peer, A.REGISTER, agent=lazy(name))

    async def found(name: str) -> str:
        return str((await agents(admin.peer, A.GET, implementation=name)).agent.implementation)

    assert [await found(name) for name in ("a:b", "a:c", "a:b:c", "a")] == ["a:b", "a", "a:b", "a"]
    assert "not found" in (await agents(admin.peer, A.DELETE, implementation="a:c")).error  # exact only


async def test_everything_that_was_registered_comes_back(admin: Admin) -> None:
    schema = pb.AgentResourceSchemaEntry(
        resource_type_prefix="mail/", permission_verbs=["read", "send"], resource_id_schema="mail/{box}"
    )
    sent = lazy(
        description="d",
        launch_params={"image": "i", "profile": "other"},
        resource_schema=[schema],
        capabilities={"fast": True, "cheap": False},
        extensions=["urn:x", "urn:y"],
        registered_at=1,
        updated_at=2,
    )
    answered = (await agents(admin.peer, A.REGISTER, agent=sent)).agent
    found = (await agents(admin.peer, A.GET, implementation="lazy")).agent
    assert answered == found
    assert found.registered_at > 2  # the gateway's own
    sent.registered_at, sent.updated_at = found.registered_at, found.updated_at
    sent.orchestrator_profile = "other"  # that of the launch parameters wins
    assert found == sent
    replaced = (await agents(admin.peer, A.UPDATE, implementation="lazy", agent=lazy())).agent
    assert (replaced.description, len(replaced.resource_schema), replaced.launch_params) == (
        "",
        0,
        {"profile": "process"},
    )


@pytest.mark.parametrize(
    ("op", "fields", "text"),
    [
        (99, {}, "unknown agent operation"),
        (A.REGISTER, {}, "agent data required for REGISTER/UPDATE"),
        (A.REGISTER, {"agent": lazy("")}, "agent implementation is required"),
        (A.REGISTER, {"agent": lazy("a*b")}, "implementation"),
        (A.UPDATE, {"implementation": "a*b", "agent": lazy()}, "implementation"),
        (A.LAUNCH, {}, "implementation"),
        (A.LAUNCH, {"implementation": "a*b"}, "implementation"),
        (A.LAUNCH, {"implementation": "lazy", "launch_params": pb.AgentLaunchParams(workspace="a*b")}, "workspace"),
        (A.LAUNCH, {"implementation": "lazy", "launch_params": pb.AgentLaunchParams(specifier="a::b")}, "specifier"),
    ],
)
async def test_what_cannot_be(admin: Admin, op: int, fields: dict[str, Any], text: str) -> None:
    await agents(admin.peer, A.REGISTER, agent=lazy())
    refused = await agents(admin.peer, op, **fields)
    assert text in refused.error
    assert [info.implementation for info in (await agents(admin.peer, A.LIST)).agents] == ["lazy"]


async def test_what_is_updated_is_named_by_the_operation_or_else_by_the_agent(admin: Admin) -> None:
    for fields in ({"implementation": "a", "agent": lazy("b")}, {"agent": lazy("c")}):
        assert (await agents(admin.peer, A.UPDATE, **fields)).message == "agent updated successfully"
    assert [info.implementation for info in (await agents(admin.peer, A.LIST)).agents] == ["a", "c"]


async def test_sizes_are_limited(admin: Admin) -> None:
    peer = admin.peer
    big = await agents(peer, A.REGISTER, agent=lazy(description="x" * 65_536))
    assert big.error == "a registration must not exceed 65536 bytes"
    info = pb.WorkspaceInfo(workspace_id="x", description="x" * 40_000)
    assert (await workspaces(peer, W.CREATE, workspace=info)).success
    more = pb.WorkspaceInfo(metadata={"m": "x" * 40_000})
    grown = await workspaces(peer, W.UPDATE, "x", workspace=more)  # what it would be, not what is said
    assert grown.error == "a description must not exceed 65536 bytes"
    assert not (await workspaces(peer, W.GET, "x")).workspace.metadata


async def test_lists_fit_into_what_clients_take(admin: Admin) -> None:
    """SDK 11: 4 MiB at most; the rest is reached with an offset."""
    count, text = 70, "x" * 60_000
    for number in range(count):
        name = f"n{number:02}"
        assert (await agents(admin.peer, A.REGISTER, agent=lazy(name, description=text))).success
        info = pb.WorkspaceInfo(workspace_id=name, description=text)
        assert (await workspaces(admin.peer, W.CREATE, workspace=info)).success
    seen: list[str] = []
    while len(seen) < count:
        listed = await agents(admin.peer, A.LIST, filter=pb.AgentFilter(offset=len(seen)))
        assert listed.ByteSize() < 4 * 1024 * 1024
        assert listed.total_count == count
        seen += [one.implementation for one in listed.agents]
    described: list[str] = []
    while len(described) < count:
        page = await workspaces(admin.peer, W.LIST, filter=pb.WorkspaceFilter(offset=len(described)))
        assert page.ByteSize() < 4 * 1024 * 1024
        described += [one.workspace_id for one in page.workspaces]
    assert seen == described == [f"n{number:02}" for number in range(count)]


async def test_121_orchestrators_of_one_name(wire: Wire, admin: Admin) -> None:
    """Unnamed ones are told apart, one that is displaced is listed once, with its new profiles; gone is gone."""

    def starter(specifier: str, *profiles: str, resume: str = "") -> pb.InitConnection:
        identity = pb.OrchestratorIdentity(implementation="k", specifier=specifier, supported_profiles=profiles)
        return pb.InitConnection(orchestrator=identity, resume_session_id=resume)

    async def listed() -> list[tuple[str, list[str]]]:
        response = await agents(admin.peer, A.LIST_ORCHESTRATORS)
        found = response.orchestrators
        assert response.total_count == len(found)
        return [(one.orchestrator_id, list(one.profiles)) for one in found if one.orchestrator_id.startswith("orc::k")]

    one = await wire.connect(starter("1", "p"))
    assert await listed() == [("orc::k::1", ["p"])]
    again = await wire.connect(starter("1", "q", resume=one.ack.session_id))
    assert await listed() == [("orc::k::1", ["q"])]
    unnamed = [await wire.connect(starter("", "u")) for _ in range(2)]
    assert len({name for name, profiles in await listed() if profiles == ["u"]}) == 2
    for peer in (again, *unnamed):
        await peer.close()
    assert await listed() == []


async def test_a_name_is_needed_to_delete(admin: Admin, wire: Wire) -> None:
    await wire.connect(user())
    assert (await workspaces(admin.peer, W.DELETE)).error == "workspace_id must not be empty"
    metadata = [json.loads(row.metadata_json) for row in await rows(admin, operation="workspace_delete")]
    assert metadata == []
