"""``me.agents`` and ``me.workspaces`` with the trio client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import aether
from aether import Config, Connection, Gateway
from aether.client.errors import NotFound, PermissionDenied, RequestRefused
from aether.proto import aether_pb2 as pb


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Gateway(Config.development(tmp_path / "data"), listen=False) as gateway:
        yield gateway


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[Connection]:
    async with aether.connect_orchestrator(gateway, profiles=["p"], implementation="o", specifier="admin") as admin:
        yield admin


async def test_registrations(admin: Connection) -> None:
    mail = pb.AgentResourceSchemaEntry(resource_type_prefix="mail/", permission_verbs=["read"])
    made = await admin.agents.register(
        "lazy",
        "p",
        {"image": "i"},
        description="d",
        capabilities={"fast": True},
        extensions=["urn:x"],
        resource_schema=[mail],
    )
    assert made == await admin.agents.get("lazy")
    assert (made.launch_params, [*made.resource_schema]) == ({"image": "i", "profile": "p"}, [mail])
    with pytest.raises(RequestRefused) as refused:
        await admin.agents.register("other", "p", resource_schema=[mail])
    assert refused.value.code == "ERR_PREFIX_CONFLICT"
    with pytest.raises(NotFound):
        await admin.agents.get("other")
    task_id = await admin.agents.launch("lazy", "w", "1", {"image": "j"})
    assignment = await anext(aiter(admin.tasks))
    assert (assignment.task_id, assignment.launch_params["image"]) == (task_id, "j")
    with pytest.raises(RequestRefused, match="already exists"):
        await admin.agents.launch("lazy", "w", "1")
    assert [one.orchestrator_id for one in await admin.agents.orchestrators()] == ["orc::o::admin"]
    await admin.agents.delete("lazy")
    with pytest.raises(NotFound):
        await admin.agents.delete("lazy")
    assert not admin.errors


async def test_lists_of_any_length(admin: Connection) -> None:
    """More than fits into one message."""
    names = [f"n{number:02}" for number in range(70)]
    for name in names:
        await admin.agents.register(name, "p" if name < "n50" else "q", description="x" * 60_000)
        await admin.workspaces.create(name, description="x" * 60_000)
    assert [one.implementation for one in await admin.agents.list()] == names
    assert [one.implementation for one in await admin.agents.list(profile="q")] == names[50:]
    assert [one.implementation for one in await admin.agents.list(limit=2, offset=5)] == names[5:7]
    assert [one.workspace_id for one in await admin.workspaces.list()] == names
    assert [one.workspace_id for one in await admin.workspaces.list(limit=2, offset=5)] == names[5:7]
    assert await admin.workspaces.list(offset=100) == []


async def test_who_may_not(gateway: Gateway) -> None:
    async with aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s") as me:
        for attempt in (me.agents.list, me.agents.orchestrators, me.workspaces.list):
            with pytest.raises(PermissionDenied):
                await attempt()
        with pytest.raises(PermissionDenied):
            await me.workspaces.delete("x")
        assert not me.errors
        await me.confirm()


async def test_workspaces(admin: Connection, gateway: Gateway) -> None:
    await admin.workspaces.create("w", "Work", tenant_id="t", metadata={"a": "b"})
    info = await admin.workspaces.update("w", description="d")
    assert (info.display_name, info.description, info.metadata) == ("Work", "d", {"a": "b"})
    assert [one.workspace_id for one in await admin.workspaces.list(tenant="t")] == ["w"]
    async with aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s"):
        assert [node.id for node in await admin.workspaces.connected("w")] == ["ag::w::i::s"]
        with pytest.raises(RequestRefused, match="has 1 active connections"):
            await admin.workspaces.delete("w")
    await admin.workspaces.delete("w")
    assert await admin.workspaces.list() == []
