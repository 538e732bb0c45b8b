"""``me.audit``: the audit log with the trio client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.fakes import WallClock

import aether
from aether import Config, Gateway
from aether.client import Connection, PermissionDenied, RequestRefused


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def rate() -> float:
    """Rows of its own that a principal may add in a second, and at once."""
    return 0


@pytest.fixture
async def gateway(tmp_path: Path, clock: WallClock, rate: float) -> AsyncIterator[Gateway]:
    config = Config.development(tmp_path / "data", acl={"enabled": True}, audit={"foreign_rate": rate})
    async with Gateway(config, listen=False, wall_clock=clock) as gateway:
        yield gateway


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[Connection]:
    async with aether.connect_orchestrator(gateway, profiles=[], implementation="o", specifier="admin") as admin:
        yield admin


async def test_rows_of_ones_own(gateway: Gateway, admin: Connection, clock: WallClock) -> None:
    async with aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s") as me:
        await me.audit.submit("approved", resource=("invoice", "7"), metadata={"by": "me"})
        clock.advance(10)
        await me.audit.submit("refused", success=False, error="no budget")
        rows = [row async for row in admin.audit.find(kind="custom")]
        assert [(row.operation, row.success, row.error_message) for row in rows] == [
            ("refused", False, "no budget"),
            ("approved", True, ""),
        ]
        assert (rows[1].actor_id, rows[1].workspace, rows[1].source) == ("ag::w::i::s", "w", "principal")
        assert (rows[1].resource_type, rows[1].resource_id) == ("invoice", "7")
        assert json.loads(rows[1].metadata_json) == {"by": "me"}
        narrowed = [
            {"only_failures": True},
            {"since_s": clock.now_ms // 1000},
            {"operation": "refused"},
            {"actor": ("agent", "ag::w::i::s"), "workspace": "w", "operation": "refused"},
        ]
        for wanted in narrowed:
            assert [row.operation async for row in admin.audit.find(kind="custom", **wanted)] == ["refused"]


@pytest.mark.parametrize("rate", [0.01])
async def test_what_is_refused_is_raised(gateway: Gateway, admin: Connection) -> None:
    async with aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s") as me:
        with pytest.raises(PermissionDenied):
            [row async for row in me.audit.find()]
        with pytest.raises(PermissionDenied):
            [row async for row in me.audit.find(workspace="w")]
        with pytest.raises(RequestRefused, match="ERR_AUDIT_TYPE_FORBIDDEN") as refusal:
            await me.audit.submit("x", kind="auth")
        assert not refusal.value.retryable
        with pytest.raises(PermissionDenied):
            await me.audit.submit("x", workspace="other")
        await me.audit.submit("x")
        with pytest.raises(RequestRefused, match="ERR_AUDIT_RATE_LIMITED") as refusal:
            await me.audit.submit("x")
        assert refusal.value.retryable
        await admin.acl.grant(("agent", "ag::w::i::s"), "workspace", "w", 30)
        assert [row.operation async for row in me.audit.find(workspace="w", kind="custom")] == ["x"]


async def test_pages_fit_together(admin: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while rows are added."""
    monkeypatch.setattr("aether.client.audit.PAGE", 2)
    for number in range(5):
        await admin.acl.create_group(f"g{number}")
    seen = []
    async for row in admin.audit.find(kind="acl", resource=("group", ""), operation="acl_group_created"):
        seen.append(row.resource_id)
        await admin.acl.create_group(f"later{len(seen)}")
    assert seen == [f"g{number}" for number in reversed(range(5))]
