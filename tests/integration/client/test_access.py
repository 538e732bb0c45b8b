"""``me.acl``: rules, groups and decisions with the trio client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

import aether
from aether import Config, Gateway
from aether.client.acl import question
from aether.client.errors import NotFound, PermissionDenied, RequestRefused


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Gateway(Config.development(tmp_path / "data", acl={"enabled": True}), listen=False) as gateway:
        yield gateway


async def test_rules_come_and_go(gateway: Gateway) -> None:
    async with aether.connect_orchestrator(gateway, profiles=[], implementation="o", specifier="admin") as admin:
        rule = await admin.acl.grant(("user", "alice"), "workspace", "w", 30, reason="on call")
        assert await admin.acl.get(rule.rule_id) == rule
        assert list(await admin.acl.list(subject=("user", "alice"))) == [rule]
        explanation = await admin.acl.explain("user", "alice", "workspace", "w", 30)
        assert (explanation.allowed, explanation.reason) == (
            True,
            "Explicit rule: user:alice has MANAGE on workspace:w",
        )
        await admin.acl.revoke(rule.rule_id)
        with pytest.raises(NotFound):
            await admin.acl.revoke(rule.rule_id)
        await admin.acl.set_fallback("user_workspace", 10)
        assert await admin.acl.get_fallback("user_workspace") == 10
        await admin.acl.grant(("user", "alice"), "workspace", "w", 30, expires_at=1)
        assert await admin.acl.remove_expired() == 1


async def test_groups_and_roles(gateway: Gateway) -> None:
    async with aether.connect_orchestrator(gateway, profiles=[], implementation="o", specifier="admin") as admin:
        acl = admin.acl
        await acl.create_group("devs", "who builds", {"floor": "2"})
        await acl.add_member("devs", ("user", "alice"))
        assert [(edge.member_type, edge.member_id) for edge in await acl.members("devs")] == [("user", "alice")]
        assert [group.group_name for group in await acl.groups()] == ["devs"]
        await acl.create_role("keeper")
        await acl.assign_role("keeper", ("group", "devs"))
        await acl.grant(("role", "keeper"), "workspace", "w", 40)
        assert (await acl.explain("user", "alice", "workspace", "w", 40)).allowed
        await acl.unassign_role("keeper", ("group", "devs"))
        assert not (await acl.explain("user", "alice", "workspace", "w", 40)).allowed
        await acl.remove_member("devs", ("user", "alice"))
        await acl.delete_role("keeper")
        await acl.delete_group("devs")
        with pytest.raises(NotFound):
            await acl.delete_group("devs")


async def test_who_may_not_is_told(gateway: Gateway) -> None:
    async with aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s") as me:
        for refused in (
            me.acl.list(),
            me.acl.set_fallback("user_workspace", 50),
            me.acl.get_fallback("user_workspace"),
            me.acl.grant(("user", "bob"), "workspace", "w", 20),
        ):
            with pytest.raises(PermissionDenied):
                await refused


async def test_decisions_and_messages_under_a_condition(gateway: Gateway) -> None:
    async with (
        aether.connect_agent(gateway, workspace="w", implementation="i", specifier="a") as me,
        aether.connect_agent(gateway, workspace="w", implementation="i", specifier="b") as other,
    ):
        assert (await me.acl.check("workspace", "w", 20)).allowed
        assert not (await me.acl.check("workspace", "w", 30)).allowed
        decisions = await me.acl.check_all([question("workspace", "w", level) for level in (10, 50)])
        assert [decision.allowed for decision in decisions] == [True, False]
        with pytest.raises(RequestRefused):
            await me.acl.check_all([])
        await me.send("ag::w::i::b", b"no", only_if=question("workspace", "w", 50))
        with pytest.raises(PermissionDenied):
            await me.confirm()
        await me.send("ag::w::i::b", b"yes", only_if=question("workspace", "w", 20))
        with trio.fail_after(10):
            message = await anext(other)
        assert (message.payload, message.access_receipt.allowed) == (b"yes", True)
