"""``me.authority``: acting for others with the trio client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

import aether
from aether import Config, Gateway
from aether.client import Scope, to
from aether.client.authority import continuation, on_behalf
from aether.client.errors import NotFound, PermissionDenied, RequestRefused
from aether.proto import aether_pb2 as pb

ALICE = ("user", "alice")
WORKER = ("agent", "ag::w::i::worker")


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Gateway(Config.development(tmp_path / "data", acl={"enabled": True}), listen=False) as gateway:
        yield gateway


@pytest.fixture
async def admin(gateway: Gateway) -> AsyncIterator[aether.Connection]:
    async with aether.connect_orchestrator(gateway, profiles=[], implementation="o", specifier="admin") as admin:
        yield admin


@pytest.fixture
async def alice(gateway: Gateway) -> AsyncIterator[aether.Connection]:
    async with aether.connect_user(gateway, user_id="alice", window_id="w1") as alice:
        yield alice


@pytest.fixture
async def worker(gateway: Gateway) -> AsyncIterator[aether.Connection]:
    async with aether.connect_agent(gateway, workspace="w", implementation="i", specifier="worker") as worker:
        yield worker


async def test_a_grant_from_exchange_to_revocation(
    admin: aether.Connection, alice: aether.Connection, worker: aether.Connection
) -> None:
    await admin.acl.grant(ALICE, "kv_scope", "workspace", 20)
    grant = await alice.authority.exchange(20, workspaces=["w"], hops=1, renewable_s=7200, reason="holiday")
    child = await alice.authority.derive(grant, WORKER)
    assert (child.delegate.principal_id, child.max_access_level, child.reason) == (WORKER[1], 20, "")
    assert [found.grant_id for found in await worker.authority.mine()] == [child.grant_id]
    assert len(await alice.authority.on_me()) == 2
    assert (await worker.authority.get(child.grant_id)).parent_grant_id == grant.grant_id
    assert (await worker.authority.resolve(child.grant_id, ALICE)).max_access_level == 20
    assert (await alice.authority.renew(grant.grant_id, 60)).expires_at == grant.expires_at + 60

    await worker.kv.on_behalf(on_behalf(child)).put("k", b"v", scope=Scope.WORKSPACE, workspace="w")
    with pytest.raises(PermissionDenied):
        await worker.kv.put("k", b"v", scope=Scope.WORKSPACE, workspace="w")

    assert await alice.authority.revoke(grant.grant_id) == 2
    async for notice in worker.authority.notices:
        assert isinstance(notice, pb.AuthorityGrantRevocation)
        assert (notice.grant_id, notice.cascade) == (child.grant_id, True)
        break
    with pytest.raises(RequestRefused, match="revoked"):
        await worker.authority.resolve(child.grant_id, ALICE)
    with pytest.raises(NotFound):
        await alice.authority.get("unknown")


async def test_authority_goes_on_with_a_message(
    gateway: Gateway, admin: aether.Connection, alice: aether.Connection, worker: aether.Connection
) -> None:
    await admin.acl.grant(("agent", "ag::w::i::last"), "workspace", "far", 0)
    grant = await alice.authority.exchange(20, hops=2)
    child = await alice.authority.derive(grant, WORKER, hops=1)
    async with (
        aether.connect_agent(gateway, workspace="w", implementation="i", specifier="last") as last,
        aether.connect_agent(gateway, workspace="far", implementation="i", specifier="away") as away,
    ):
        goes_on = continuation(level=20, binding_id="b")
        await worker.send(to.agent("w", "i", "last"), b"x", authorization=on_behalf(child), continuation=goes_on)
        message = await anext(last)
        assert (message.on_behalf_subject.principal_id, message.forwarded_authorization.binding_id) == ("alice", "b")
        await last.send(to.agent("far", "i", "away"), b"y", authorization=message.forwarded_authorization.authorization)
        assert (await anext(away)).on_behalf_subject.principal_id == "alice"


async def test_asking_for_authority(
    gateway: Gateway, admin: aether.Connection, alice: aether.Connection, worker: aether.Connection
) -> None:
    async def decide() -> None:
        """Deny the first, approve the second."""
        decisions = [alice.authority.deny, alice.authority.approve]
        async for notice in alice.authority.notices:
            assert isinstance(notice, pb.AuthorityRequestEvent)
            if notice.event_type == pb.AuthorityRequestEvent.AUTHORITY_REQUEST_EVENT_CREATED:
                assert [found.request_id for found in await alice.authority.pending()] == [notice.request.request_id]
                await decisions.pop(0)(notice.request.request_id, reason="because")
            if not decisions:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(decide)
        outcomes = []
        for _ in range(2):
            request = await worker.authority.request(ALICE, 10, decided_by=ALICE, workspaces=["w"], reason="please")
            async for notice in worker.authority.notices:
                assert isinstance(notice, pb.AuthorityRequestEvent)
                if notice.event_type != pb.AuthorityRequestEvent.AUTHORITY_REQUEST_EVENT_CREATED:
                    assert notice.request.request_id == request.request_id
                    outcomes.append((notice.request.status, bool(notice.request.granted_grant_id)))
                    break
    assert outcomes == [(pb.AUTHORITY_REQUEST_STATUS_DENIED, False), (pb.AUTHORITY_REQUEST_STATUS_APPROVED, True)]
    [grant] = await worker.authority.mine()
    assert (grant.max_access_level, list(grant.workspace_scope)) == (10, ["w"])
    request = await worker.authority.request(ALICE, 10, decided_by="capability/on_call")
    cancelled = await worker.authority.cancel(request.request_id, "solved")
    assert cancelled == await worker.authority.get_request(request.request_id)
    assert cancelled.resolution_reason == "solved"
