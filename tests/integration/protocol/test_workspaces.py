"""Workspaces on the wire: the checklist of the tasks chapter, items by their numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.tasks import Desk, Op
from tests.support.wire import Peer, Wire, agent, open_wire, orchestrator, user
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.messaging.flow import STEPS
from aether.proto import aether_pb2 as pb
from aether.rpc.status import StatusCode
from aether.workspaces.quotas import NUMBER_MAX

W = pb.WorkspaceOperation


@pytest.fixture
async def gateway(tmp_path: Path, engine: str, clock: WallClock) -> AsyncIterator[Gateway]:
    config = Config.development(tmp_path / "data", gateway={"engine": engine})
    async with Gateway(config, wall_clock=clock) as gateway:
        yield gateway


@pytest.fixture
async def admin(wire: Wire) -> Desk:
    return Desk(await wire.connect(orchestrator("admin")))


async def ask(desk: Desk, op: int, workspace_id: str = "", **fields: Any) -> pb.WorkspaceResponse:
    desk.peer.say(workspace_op=W(op=op, workspace_id=workspace_id, request_id="w", **fields))  # type: ignore[arg-type]
    response: pb.WorkspaceResponse = await desk.next("workspace")
    assert response.request_id == "w"
    assert response.success != bool(response.error), response
    return response


async def names(desk: Desk, **wanted: Any) -> list[str]:
    response = await ask(desk, W.LIST, filter=pb.WorkspaceFilter(**wanted))
    return [info.workspace_id for info in response.workspaces]


async def test_123_what_is_created_is_there(admin: Desk, clock: WallClock) -> None:
    info = pb.WorkspaceInfo(
        workspace_id="prod",
        display_name="Production",
        description="d",
        tenant_id="t",
        metadata={"a": "b", "created_at": "x"},
    )
    created = await ask(admin, W.CREATE, workspace=info)
    assert created.message == "workspace created successfully"
    found = (await ask(admin, W.GET, "prod")).workspace
    assert (found.display_name, found.description, found.tenant_id) == ("Production", "d", "t")
    assert (found.metadata, found.created_at) == ({"a": "b"}, clock.now_ms // 1000)
    assert await names(admin) == ["prod"]
    clock.advance(10)
    updated = await ask(admin, W.UPDATE, "prod", workspace=pb.WorkspaceInfo(display_name="Live", metadata={"c": "d"}))
    assert updated.message == "workspace updated successfully"
    found = (await ask(admin, W.GET, "prod")).workspace
    assert (found.display_name, found.description, found.metadata) == ("Live", "d", {"a": "b", "c": "d"})
    assert found.updated_at - found.created_at == 10


@pytest.mark.parametrize("name", ["", "a*b", "x" * 129, "a::b"])
async def test_names_that_cannot_be(admin: Desk, name: str) -> None:
    assert "workspace_id" in (await ask(admin, W.CREATE, workspace=pb.WorkspaceInfo(workspace_id=name))).error
    assert "workspace_id" in (await ask(admin, W.UPDATE, name, workspace=pb.WorkspaceInfo(display_name="n"))).error
    assert "required" in (await ask(admin, W.CREATE)).error
    assert (await ask(admin, 99)).error == "unknown workspace operation"


async def test_the_name_may_be_said_in_either_place(admin: Desk) -> None:
    for op in (W.CREATE, W.UPDATE):
        await ask(admin, op, f"operation-{op}", workspace=pb.WorkspaceInfo(tenant_id="t"))
        await ask(admin, op, workspace=pb.WorkspaceInfo(workspace_id=f"info-{op}"))
    assert await names(admin) == ["info-2", "info-3", "operation-2", "operation-3"]


async def test_list_shows_what_is_used(admin: Desk, wire: Wire) -> None:
    for name, tenant in (("b", "t"), ("a", "")):
        await ask(admin, W.CREATE, workspace=pb.WorkspaceInfo(workspace_id=name, tenant_id=tenant))
    boss = Desk(await wire.connect(agent(workspace="d")))
    await boss.created(workspace="c")
    listed = await ask(admin, W.LIST, filter=pb.WorkspaceFilter(offset=1, limit=2))
    assert ([info.workspace_id for info in listed.workspaces], listed.total_count) == (["b", "c"], 4)
    assert await names(admin) == ["a", "b", "c", "d"]
    assert await names(admin, tenant_id="t") == ["b"]
    used = {info.workspace_id: info.active_agents for info in (await ask(admin, W.LIST)).workspaces}
    assert used == {"a": 0, "b": 0, "c": 0, "d": 1}


async def test_124_delete(admin: Desk, wire: Wire) -> None:
    await ask(admin, W.CREATE, workspace=pb.WorkspaceInfo(workspace_id="w"))
    boss = Desk(await wire.connect(agent()))
    task_id = await boss.pool()
    refused = await ask(admin, W.DELETE, "w")
    assert refused.error == "cannot delete workspace w: has 1 active connections"
    await boss.peer.close()
    assert (await ask(admin, W.DELETE, "w")).message == "workspace deleted successfully"
    info = await admin.get(task_id)
    assert (info.status, info.error) == (pb.TASK_STATUS_CANCELLED, "workspace deleted")
    assert (await ask(admin, W.GET, "w")).workspace.display_name == "w"  # 125: also of an unknown one


async def test_124_what_is_to_be_started_in_it_is_not(admin: Desk, wire: Wire) -> None:
    info = pb.AgentRegistrationInfo(implementation="lazy", launch_params={"profile": "process"})
    admin.peer.say(agent_op=pb.AgentOperation(op=pb.AgentOperation.REGISTER, agent=info))
    assert (await admin.next("agent")).success
    boss = Desk(await wire.connect(agent()))
    await boss.created(assignment_mode=pb.TARGETED, target_agent_id="ag::w::lazy::1")
    await boss.created(retry_policy=pb.RetryPolicy(max_attempts=2))
    await boss.do(Op.FAIL, await boss.created(retry_policy=pb.RetryPolicy(max_attempts=2, initial_delay_ms=60_000)))
    assert len(await admin.listed(workspace="w")) == 4, "one is the start"
    await boss.peer.close()
    assert (await ask(admin, W.DELETE, "w")).success
    page = await admin.page(workspace="w")
    assert [(task.status, task.error) for task in page.tasks] == [(pb.TASK_STATUS_CANCELLED, "workspace deleted")] * 4


async def test_126_who_is_there(admin: Desk, wire: Wire, clock: WallClock) -> None:
    await wire.connect(agent("1"))
    alice = await wire.connect(user("alice"))
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="w"))
    await alice.settle()
    await wire.connect(agent("2", workspace="other"))
    flow = (await ask(admin, W.GET_MESSAGE_FLOW, "w")).message_flow
    assert sorted(flow.nodes, key=lambda node: node.id) == [
        pb.FlowNode(
            id="ag::w::i::1",
            label="i",
            type=pb.PRINCIPAL_AGENT,
            status="online",
            implementation="i",
            specifier="1",
            topic="ag::w::i::1",
        ),
        pb.FlowNode(
            id="us::alice::w1",
            label="alice",
            type=pb.PRINCIPAL_USER,
            status="online",
            specifier="w1",
            topic="us::alice::w1",
        ),
    ]
    assert (flow.workspace_id, flow.updated_at) == ("w", clock.now_ms // 1000)


async def test_who_sent_to_whom(admin: Desk, gateway: Gateway, wire: Wire) -> None:
    """Weakness 50: per pair, within the last hour, also of those that are gone."""

    async def edges(workspace: str = "w") -> list[tuple[str, str, int]]:
        flow = (await ask(admin, W.GET_MESSAGE_FLOW, workspace)).message_flow
        return [(getattr(edge, "from"), edge.to, edge.count) for edge in flow.edges]

    one, two = await wire.connect(agent("1")), await wire.connect(agent("2"))
    for _ in range(5):
        one.send("ag::w::i::away")
    await one.settle()
    await one.close()
    for topic in ("ag::w::i::away", "tb::w::pool", "ag::w::i::away", "nonsense"):
        two.send(topic)
    await two.expect("error")  # which is not counted
    pool = ("ag::w::i::2", "tb::w::pool", 1)
    assert await edges() == [("ag::w::i::1", "ag::w::i::away", 5), ("ag::w::i::2", "ag::w::i::away", 2), pool]
    assert await edges("other") == []
    flow = gateway.services.router.flow
    for _ in range(STEPS - 1):
        flow.step()
    two.send("ag::w::i::away")
    await two.settle()
    assert (await edges())[1] == ("ag::w::i::2", "ag::w::i::away", 3)
    flow.step()
    assert await edges() == [("ag::w::i::2", "ag::w::i::away", 1)]
    for _ in range(STEPS):
        flow.step()
    assert await edges() == []
    two.send("ag::w::i::away")  # its session still has the old counter
    await two.settle()
    assert await edges() == [("ag::w::i::2", "ag::w::i::away", 1)]


async def test_descriptions_survive_the_gateway(tmp_path: Path) -> None:
    import aether

    config = Config.development(tmp_path / "kept")
    for step in range(2):
        async with (
            Gateway(config, listen=False) as gateway,
            aether.connect_orchestrator(gateway, implementation="o", specifier="a", profiles=()) as me,
        ):
            if step == 0:
                await me.workspaces.create("w", "Name", description="d")
                await me.workspaces.update("w", metadata={"a": "b"})
            else:
                [info] = await me.workspaces.list()
                assert (info.display_name, info.description, info.metadata) == ("Name", "d", {"a": "b"})
                await me.workspaces.delete("w")
                assert await me.workspaces.list() == []


# ---------------------------------------------------------------------------------------------------------- quotas


async def set_quotas(desk: Desk, workspace: str = "w", **quotas: str) -> pb.WorkspaceResponse:
    metadata = {f"quota.{name}": number for name, number in quotas.items()}
    return await ask(desk, W.UPDATE, workspace, workspace=pb.WorkspaceInfo(metadata=metadata))


def send_each(*peers: Peer) -> None:
    for peer in peers:
        peer.send("ag::w::i::nobody", b"x")


async def test_a_workspace_has_its_own_quota_of_sessions(admin: Desk, wire: Wire) -> None:
    assert (await set_quotas(admin, connections="1")).workspace.metadata == {"quota.connections": "1"}
    first = await wire.connect(agent("1"))
    await wire.refused(agent("2"), StatusCode.RESOURCE_EXHAUSTED, "workspace 'w': current 1, limit 1")
    await wire.connect(agent("2", workspace="other"))
    await set_quotas(admin, connections="2")
    await wire.connect(agent("2"))
    await set_quotas(admin, connections="1")  # who is there stays
    await first.settle()
    assert (await set_quotas(admin, connections="")).workspace.metadata == {}
    await wire.connect(agent("3"))


async def test_a_workspace_has_its_own_quota_of_tasks(admin: Desk, wire: Wire) -> None:
    boss = Desk(await wire.connect(agent()))
    await boss.pool()
    await set_quotas(admin, tasks="1")
    refused = await boss.create(target_implementation="pool", assignment_mode=pb.POOL)
    assert (refused.success, refused.error_code) == (False, "ERR_QUOTA_001")
    await set_quotas(admin, tasks="0")
    await boss.pool()


async def test_a_workspace_has_its_own_rate_of_messages_also_for_those_who_are_there(admin: Desk, wire: Wire) -> None:
    first, second = [await wire.connect(agent(name)) for name in ("1", "2")]
    send_each(first, second)
    await first.settle()
    await second.settle()
    await set_quotas(admin, message_rate="1")
    send_each(first)
    await first.settle()
    send_each(second)
    await second.expect_error("ERR_WORKSPACE_RATE_LIMITED", retryable=True)
    await set_quotas(admin, message_rate="")
    send_each(first, second)
    await first.settle()
    await second.settle()


async def test_a_workspace_has_its_own_quota_of_what_it_stores(admin: Desk, wire: Wire) -> None:
    """All of it together: values of any number of users, and checkpoints."""
    peer = await wire.connect(agent())
    put = pb.KVOperation(op=pb.KVOperation.PUT, scope=pb.KVOperation.USER, key="k", value=b"123456789", request_id="r")
    await set_quotas(admin, kv_keys="3", kv_bytes="100")
    for number in range(3):
        put.user_id = str(number)
        peer.say(kv_op=put)
        assert (await peer.expect("kv")).success
    put.user_id = "another"
    peer.say(kv_op=put)
    await peer.expect_error("ERR_QUOTA_001", "kv_keys_per_workspace in workspace 'w': current 3, limit 3")
    assert not (await peer.expect("kv")).success
    save = pb.CheckpointOperation(op=pb.CheckpointOperation.SAVE, data=b"state")
    peer.say(checkpoint_op=save)
    assert "ERR_QUOTA_001: quota exceeded" in (await peer.expect("checkpoint")).error
    put.user_id, put.value = "1", bytes(80)
    peer.say(kv_op=put)
    await peer.expect_error("ERR_QUOTA_001", "kv_bytes_per_workspace in workspace 'w': current 30, limit 100")
    await peer.expect("kv")
    await set_quotas(admin, kv_keys="", kv_bytes="")
    for message in ({"kv_op": put}, {"checkpoint_op": save}):
        peer.say(**message)
        assert (await peer.expect(next(iter(message)).removesuffix("_op"))).success


@pytest.mark.parametrize("number", ["-1", "1.5", "x", "9" * 16, "9" * 5000, "\u0663"])
async def test_quotas_that_cannot_be_change_nothing(admin: Desk, number: str) -> None:
    await set_quotas(admin, tasks="3")
    assert (await set_quotas(admin, tasks=number)).error.startswith("quota.tasks must be a whole number")
    assert (await set_quotas(admin, tusks="3")).error == (
        "quota.tusks is no quota; there are quota.connections, quota.tasks, quota.message_rate, quota.kv_keys, "
        "quota.kv_bytes"
    )
    assert (await ask(admin, W.GET, "w")).workspace.metadata == {"quota.tasks": "3"}


async def test_the_largest_quota_and_one_that_is_empty(admin: Desk) -> None:
    largest = str(NUMBER_MAX)
    assert (await set_quotas(admin, tasks=largest)).workspace.metadata == {"quota.tasks": largest}
    assert "whole number" in (await set_quotas(admin, tasks=str(NUMBER_MAX + 1))).error
    info = pb.WorkspaceInfo(workspace_id="new", metadata={"quota.tasks": "", "a": ""})
    assert (await ask(admin, W.CREATE, workspace=info)).workspace.metadata == {"a": ""}


async def test_quotas_outlive_the_gateway_but_not_the_description(tmp_path: Path, engine: str) -> None:
    config = Config.development(tmp_path / "kept", gateway={"engine": engine})
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        await set_quotas(Desk(await wire.connect(orchestrator("admin"))), connections="1")
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        admin = Desk(await wire.connect(orchestrator("admin")))
        first = await wire.connect(agent("1"))
        await wire.refused(agent("2"), StatusCode.RESOURCE_EXHAUSTED)
        await first.close()
        assert (await ask(admin, W.DELETE, "w")).success
        for name in ("1", "2"):
            await wire.connect(agent(name))
