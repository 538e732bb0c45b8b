"""Holes in credentials, each closed: what the lists of weaknesses of the chapters on connections (W-n) and access name,
and what was found beside them. The rest of W-8 to W-21 is in test_tokens, test_task_tokens, test_bearer and the unit
tests of the chain."""

from __future__ import annotations

import pytest
from tests.support.access import Admin, ask_acl
from tests.support.audit import audit_rows
from tests.support.kv_operations import kv, kv_allowed, kv_denied
from tests.support.tokens import ask_tokens, create_token, key_for, with_key
from tests.support.wire import Peer, Wire, agent, orchestrator

from aether import Gateway
from aether.audit.events import NO_AUDIT
from aether.proto import aether_pb2 as pb
from aether.rpc.status import StatusCode
from aether.storage.memory.records import MemoryRecords
from aether.tokens.keys import KeyHasher
from aether.tokens.service import KEPT_MS, TokenService
from aether.tokens.store import Token, TokenStore

K = pb.KVOperation
Op = pb.ACLOperation

ME = ("agent", "ag::ws1::i::s")


@pytest.fixture
def gateway(gateway_with_keys: Gateway) -> Gateway:
    return gateway_with_keys


@pytest.fixture
def admin(admin_with_key: Admin) -> Admin:
    return admin_with_key


@pytest.fixture
async def limited(wire: Wire, admin: Admin) -> Peer:
    """An agent of ws1 that may do everything everywhere, with a key for ws1."""
    for resource in (
        ("workspace", "*"),
        ("kv_scope", "*"),
        ("capability", "capability/event_broadcast"),
        ("capability", "capability/metric_broadcast"),
        ("capability", "capability/audit_submit"),
        ("admin", "admin/audit"),
    ):
        await admin.grant(ME, resource, 40)
    return await wire.connect(
        agent(workspace="ws1", **with_key(await key_for(admin, "Agent", workspace_patterns=["ws1"])))
    )


@pytest.mark.parametrize("topic", ["ag::ws2::i::s", "ga::ws2", "tb::ws2::i", "gu::ws2", "uw::alice::ws2"])
async def test_a_key_for_one_workspace_sends_to_no_other(limited: Peer, topic: str) -> None:
    """Weakness 9, W-13: the patterns of a key counted when connecting, and never again."""
    limited.send(topic, b"x")
    await limited.expect_error("ERR_PERMISSION_DENIED", f"not authorized to send to topic {topic}")
    limited.send(topic.replace("ws2", "ws1"), b"x")
    limited.send("ag::ws1::i::s", b"to myself")
    payloads = await limited.expect_payloads(2 if topic.startswith(("ag", "ga")) else 1)
    assert payloads[-1] == b"to myself"


@pytest.mark.parametrize("family", ["event", "metric"])
async def test_a_key_for_one_workspace_reports_to_no_other(limited: Peer, family: str) -> None:
    """Weakness 9: not with the capability either."""
    limited.send(f"{family}::ws2")
    await limited.expect_error("ERR_PERMISSION_DENIED", "cross-workspace broadcast to")


@pytest.mark.parametrize("scope", [K.WORKSPACE, K.USER_WORKSPACE_SHARED, K.WORKSPACE_EXCLUSIVE, K.USER_WORKSPACE])
async def test_a_key_for_one_workspace_opens_no_values_of_others(limited: Peer, scope: int) -> None:
    """Weakness 9."""
    for op in (K.GET, K.PUT, K.LIST):
        await kv_denied(limited, kv(op, scope, workspace="ws2", user_id="alice"))
    await kv_allowed(limited, kv(K.GET, scope, user_id="alice"))


async def test_a_key_for_one_workspace_reads_no_log_of_others(limited: Peer, wire: Wire) -> None:
    """Weakness 9."""
    limited.say(audit_query=pb.AuditQuery(request_id="q", workspace="ws2"))
    assert (await limited.expect("audit_response")).error == "insufficient permissions for audit query"
    limited.say(audit_query=pb.AuditQuery(request_id="q", workspace="ws1"))
    assert (await limited.expect("audit_response")).success
    event = pb.SubmitAuditEventRequest(event_type="custom", operation="o", workspace="ws2")
    limited.say(submit_audit_event=event)
    assert (await limited.expect("submit_audit_event_response")).error_code == "ERR_PERMISSION_DENIED"


async def test_a_key_for_one_workspace_administrates_no_other(limited: Peer, admin: Admin) -> None:
    """Weakness 9: whoever manages two workspaces manages one with a key for one."""
    for workspace, expected in (("ws2", False), ("ws1", True)):
        request = pb.ACLGrantRequest(
            principal_type="user",
            principal_id="alice",
            resource_type="workspace",
            resource_id=workspace,
            access_level=20,
        )
        assert (await ask_acl(limited, Op.GRANT, grant_request=request)).success is expected
    limited.say(
        access_check=pb.AccessCheckOperation(
            access=pb.ResourceAccessRequest(
                resource_type="workspace", resource_id="ws2", workspace="ws2", required_access_level=10
            )
        )
    )
    response = await limited.expect("access_check_response")
    assert (response.success, response.decision.allowed) == (True, False)


async def test_what_a_key_keeps_out_is_recorded(limited: Peer, admin: Admin) -> None:
    """Ruling 12: every denial."""
    limited.send("ag::ws2::i::s", b"x")
    await limited.expect_error("ERR_PERMISSION_DENIED")
    admin.peer.say(audit_query=pb.AuditQuery(event_type="authorization", only_failures=True))
    [row] = (await admin.peer.expect("audit_response")).entries
    assert "its credential is not for workspace ws2" in row.metadata_json


async def test_restricted_keys_may_ask_about_themselves_and_not_for_tasks(wire: Wire, admin: Admin) -> None:
    """W-17."""
    peer = await wire.connect(agent(**with_key(await key_for(admin, "Agent", scopes=["send"]))))
    access = pb.ResourceAccessRequest(resource_type="workspace", resource_id="w", required_access_level=10)
    peer.say(access_check=pb.AccessCheckOperation(request_id="a", access=access))
    assert (await peer.expect("access_check_response")).decision.allowed
    for kind, answer, operation in (
        ("task_query", "task_query", pb.TaskQuery(request_id="t")),
        ("token_op", "token", pb.TokenOperation(request_id="t")),
        ("session_op", "session_response", pb.SessionOperation(request_id="t")),
        ("workspace_op", "workspace", pb.WorkspaceOperation()),
    ):
        peer.say(**{kind: operation})
        error = await peer.expect_error("ERR_PERMISSION_DENIED", "not for such operations")
        response = await peer.expect(answer)  # weakness 19: whoever waits for the response waits for no timeout
        assert error.request_id == response.request_id == operation.request_id
        assert not response.success
    found = await audit_rows(admin, event_type="authorization", resource_type="operation")
    assert [row.resource_id for row in found] == ["workspace_op", "session_op", "token_op", "task_query"]


async def test_keys_that_ended_long_ago_are_forgotten(admin: Admin, gateway: Gateway) -> None:
    """Weakness 39."""
    now_ms = [1_800_000_000_000]
    store = TokenStore(MemoryRecords(), KeyHasher(b"k" * 32), lambda: now_ms[0])
    service = TokenService(store, gateway.services.access, NO_AUDIT, lambda over: None, lambda: now_ms[0], str)
    for name, changes in {
        "for ever": {},
        "expired": {"expires_ms": now_ms[0] - KEPT_MS - 1},
        "expired lately": {"expires_ms": now_ms[0] - KEPT_MS + 1},
        "revoked": {"revoked_ms": now_ms[0] - KEPT_MS - 1, "expires_ms": now_ms[0] * 2},
    }.items():
        store.add(Token(name, "", name, "Agent", (), (), "x", 1, 1, **changes), name)
    assert service.remove_dead() == 2
    assert {token.id for token in store.all()} == {"for ever", "expired lately"}
    now_ms[0] += 10
    assert service.remove_dead() == 1


async def test_the_newest_key_comes_first_however_fast_they_are_made(wire: Wire, admin: Admin) -> None:
    made = [(await create_token(admin, "Agent", name=f"n{number}")).created_token.id for number in range(10)]
    admin.peer.say(token_op=pb.TokenOperation(op=pb.TokenOperation.LIST))
    listed = [token.id for token in (await admin.peer.expect("token")).tokens]
    assert listed[:10] == made[::-1]


@pytest.mark.parametrize(
    ("kind", "pattern", "fits"),
    [
        ("Agent", "ag::w::i::*", True),
        ("Agent", "*", True),
        ("Agent", "a[g]::w::*", True),
        ("Agent", "ag::w::i::s", True),
        ("Agent", "ag::w::i", False),
        ("Agent", "ta::*", False),
        ("Task", "ta::*", True),
        ("User", "us::alice::*", True),
        ("Service", "ag::*", False),
        ("Service", "nonsense", False),
        ("Service", "", False),
    ],
)
async def test_keys_are_for_the_type_that_they_say(admin: Admin, kind: str, pattern: str, fits: bool) -> None:
    """W-15: a key with a pattern of another type opens nothing, so none is made."""
    request = pb.TokenCreateRequest(
        name="n", principal_type=kind, scopes=["connect", f"identity:{pattern}"], created_by="alice"
    )
    response = await ask_tokens(admin.peer, pb.TokenOperation.CREATE, create_request=request)
    assert response.success is fits
    assert fits or response.error == f'identity pattern "{pattern}" fits no {kind.lower()}'


@pytest.mark.parametrize("op", [pb.TokenOperation.REVOKE, pb.TokenOperation.DELETE])
async def test_who_ends_its_own_key_is_told_so(wire: Wire, admin: Admin, op: int) -> None:
    """And nothing that it says behind that is done."""
    made = await create_token(admin, "Orchestrator")
    mine = await wire.connect(orchestrator("mine", **with_key(made.plaintext_token)))
    request = pb.TokenCreateRequest(name="late", principal_type="Orchestrator")
    mine.write(
        pb.UpstreamMessage(token_op=pb.TokenOperation(op=op, token_id=made.created_token.id)),
        pb.UpstreamMessage(token_op=pb.TokenOperation(op=pb.TokenOperation.CREATE, create_request=request)),
    )
    assert (await mine.expect("token")).success
    assert (await mine.expect("signal")).reason == "API key revoked or expired"
    await mine.expect_status(StatusCode.UNAUTHENTICATED, "API key revoked or expired")
    assert "late" not in {token.name for token in (await ask_tokens(admin.peer, pb.TokenOperation.LIST)).tokens}
