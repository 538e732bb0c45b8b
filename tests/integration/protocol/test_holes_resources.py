"""What one principal can make others keep, by what it may do: it does not decide how much that is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.access import ME, Admin, ask_acl
from tests.support.audit import audit_rows
from tests.support.authority import exchange_request, exchanged, revoke_own
from tests.support.authority_requests import ask_requests, created_request
from tests.support.kv_operations import kv, kv_allowed
from tests.support.wire import Wire, agent, open_wire, orchestrator, user

from aether import Config, Gateway
from aether.audit.trail import AuditTrail
from aether.authority.forgetting import LOOKED_AT
from aether.proto import aether_pb2 as pb

G = pb.AuthorityGrantOperation
K = pb.KVOperation
Op = pb.ACLOperation
Request = pb.AuthorityRequestOperation

KEPT = 3
TIMES = KEPT + 3 * LOOKED_AT


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


async def test_requests_that_were_taken_back_are_forgotten(
    wire: Wire, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aether.authority.requests.KEPT_OF_ONE_MAX", KEPT)
    assert gateway.services.authority is not None
    requests = gateway.services.authority.requests
    bob = await wire.connect(user("bob"))
    waiting = await created_request(bob)
    ids = []
    for _ in range(TIMES):
        ids.append((await created_request(bob)).request_id)
        assert (await ask_requests(bob, Request.CANCEL, request_id=ids[-1])).success
    kept = [request_id for request_id in ids if requests.find(request_id) is not None]
    assert kept == ids[-len(kept) :], "the oldest are forgotten"
    assert len(kept) <= KEPT + 1
    assert requests.find(waiting.request_id) is not None, "it is not decided yet"


async def test_grants_that_were_revoked_are_forgotten(
    wire: Wire, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aether.authority.grants.KEPT_OF_ONE_MAX", KEPT)
    assert gateway.services.authority is not None
    grants = gateway.services.authority.grants
    alice = await wire.connect(user())
    holds, ids = await exchanged(alice), []
    for _ in range(TIMES):
        ids.append((await exchanged(alice)).grant_id)
        await revoke_own(alice, ids[-1])
    kept = [grant_id for grant_id in ids if grants.get(grant_id) is not None]
    assert kept == ids[-len(kept) :]
    assert len(kept) <= KEPT + 1
    assert grants.get(holds.grant_id) is not None, "it holds"


async def test_a_manager_makes_so_many_rules(wire: Wire, admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aether.acl.admission.RULES_OF_WORKSPACE_MAX", KEPT)
    await admin.grant(("agent", ME), ("workspace", "ws1"), 30)
    manager = await wire.connect(agent(workspace="ws1"))

    async def grant(who: str, reason: str = "") -> pb.ACLResponse:
        request = pb.ACLGrantRequest(
            principal_type="user",
            principal_id=who,
            resource_type="workspace",
            resource_id="ws1",
            access_level=20,
            reason=reason,
        )
        return await ask_acl(manager, Op.GRANT, grant_request=request)

    assert (await grant("a", "x" * 2000)).error == (
        "failed to grant ACL access: reason must not exceed 1024 characters"
    )
    assert [(await grant(who)).success for who in "abab"] == [True, True, True, True]
    assert (await grant("c")).error == f"a workspace has no more than {KEPT} rules"
    named = pb.ACLRuleFilter(principal_type="user", principal_id="a", resource_type="workspace", resource_id="ws1")
    assert (await ask_acl(manager, Op.REVOKE, rule_filter=named)).success
    assert (await grant("c")).success


async def test_operations_on_authority_have_a_rate(tmp_path: Path, engine: str) -> None:
    """Each is a row of the audit log that is kept."""
    limits = {"engine": engine, "task_rate_limit": KEPT}
    async with Gateway(Config.development(tmp_path / "data", acl={"enabled": True}, gateway=limits)) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            alice = await wire.connect(user())
            for _ in range(2 * KEPT):
                await exchanged(alice)
            once_more = pb.AuthorityGrantOperation(op=G.EXCHANGE, request_id="g", exchange_request=exchange_request())
            alice.say(authority_grant_op=once_more)
            await alice.expect_error("ERR_RATE_LIMITED", "authority operation rate limit exceeded", retryable=True)
            refused = await alice.expect("authority_grant")
            assert (refused.success, refused.request_id) == (False, "g")


async def test_rows_about_what_one_may_do_are_counted_beyond_a_number(tmp_path: Path, engine: str) -> None:
    """Every other key is another row."""
    audit = {"rows_per_principal": 10}
    config = Config.development(tmp_path / "data", acl={"enabled": True}, gateway={"engine": engine}, audit=audit)
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            admin = Admin(await wire.connect(orchestrator("admin")))
            peer, other = await wire.connect(agent()), await wire.connect(agent("other"))
            for number in range(30):
                await kv_allowed(peer, kv(K.PUT, K.GLOBAL_EXCLUSIVE, f"k{number}", value=b"1"))
            await kv_allowed(other, kv(K.PUT, K.GLOBAL_EXCLUSIVE, value=b"1"))
            assert isinstance(gateway.services.audit, AuditTrail)
            gateway.services.audit.begin_window()
            found = await audit_rows(admin, actor_id="ag::w::i::s")
            kept = [row for row in found if row.success]
            [confession] = [row for row in found if row.operation == "audit_rows_left_out"]
            assert len(kept) == 10
            of_other = await audit_rows(admin, actor_id="ag::w::i::other")
            assert sum(row.event_type == "kv" for row in of_other) == 1
            of_connecting = len(of_other) - 1
            assert json.loads(confession.metadata_json)["count"] == of_connecting + 30 - 10
            await kv_allowed(peer, kv(K.PUT, K.GLOBAL_EXCLUSIVE, value=b"1"))
            assert len(await audit_rows(admin, actor_id="ag::w::i::s")) == len(found) + 1
