"""API keys on the wire: who gets in with what, and operations on tokens (connection 9, 13.4; acl 40 to 52)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.access import Admin, move
from tests.support.kv_operations import kv
from tests.support.tokens import ADMIN_KEY, ask_tokens, create_token, first_token, key_for, with_key
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
from aether.rpc.status import StatusCode

Op = pb.TokenOperation
DENIED, UNKNOWN = StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED
INVALID_KEY = (
    "credential authentication failed: authentication failed: invalid API key: token not found or expired/revoked"
)


@pytest.fixture
def gateway(gateway_with_keys: Gateway) -> Gateway:
    return gateway_with_keys


@pytest.fixture
def admin(admin_with_key: Admin) -> Admin:
    return admin_with_key


# ------------------------------------------------------------------------------------------------------ connecting


@pytest.mark.parametrize(
    "init",
    [agent(), task("t"), task(), user(), service(), bridge(), orchestrator("o"), engine(), metrics_bridge()],
    ids=lambda init: init.WhichOneof("client_type"),
)
async def test_nobody_gets_in_without_a_credential(wire: Wire, init: pb.InitConnection) -> None:
    """50; W-11: those who administrate least of all."""
    await wire.refused(init, UNKNOWN, "requires a matching API key credential")


@pytest.mark.parametrize(
    ("title", "init"),
    [
        ("Agent", agent),
        ("Task", task),
        ("Service", service),
        ("Bridge", bridge),
        ("Orchestrator", orchestrator),
        ("WorkflowEngine", engine),
        ("MetricsBridge", metrics_bridge),
    ],
)
async def test_a_key_admits_its_type(wire: Wire, admin: Admin, title: str, init: Any) -> None:
    """W-16: workers of a pool too, whose id the gateway makes."""
    key = await key_for(admin, title)
    await wire.connect(init(**with_key(key)))
    wrong = user(**with_key(key))
    await wire.refused(wrong, DENIED, f"API key principal type mismatch: key={title}, claimed=User")


async def test_a_users_key_admits_the_user(wire: Wire, admin: Admin) -> None:
    """45, 46."""
    key = await key_for(admin, "User", created_by="alice")
    for window in ("w1", "w2"):
        await wire.connect(user("alice", window, credentials={"api_key": key}))
    await wire.refused(user("bob", **with_key(key)), DENIED, "API key principal id mismatch: key=alice, claimed=bob")
    await wire.refused(service(**with_key(key)), DENIED, "API key principal type mismatch: key=User, claimed=Service")


async def test_a_key_admits_to_its_workspaces(wire: Wire, admin: Admin) -> None:
    """47; W-13: also when a user switches."""
    key = await key_for(admin, "Agent", workspace_patterns=["ws1", "team-*"])
    await wire.connect(agent(workspace="ws1", **with_key(key)))
    await wire.connect(agent(workspace="team-a", **with_key(key)))
    await wire.refused(agent(workspace="ws2", **with_key(key)), DENIED, "API key not authorized for workspace ws2")
    alice = await wire.connect(
        user(**with_key(await key_for(admin, "User", created_by="alice", workspace_patterns=["ws1"])))
    )
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="ws2"))
    await alice.expect_error("ERR_PERMISSION_DENIED", "API key not authorized for workspace ws2")
    await move(alice, "ws1")


async def test_a_key_can_be_bound_to_identities(wire: Wire, admin: Admin) -> None:
    """W-15: else it opens every implementation and specifier of the type."""
    key = await key_for(admin, "Agent", scopes=["connect", "identity:ag::w::worker::*"])
    await wire.connect(agent(implementation="worker", **with_key(key)))
    await wire.refused(agent(**with_key(key)), DENIED, "API key not authorized for identity ag::w::i::s")


async def test_a_key_can_be_restricted_to_kinds_of_operations(wire: Wire, admin: Admin) -> None:
    """W-17: scopes are enforced."""
    peer = await wire.connect(agent(**with_key(await key_for(admin, "Agent", scopes=["send"]))))
    peer.send("ag::w::i::s", b"to myself")
    assert await peer.expect_payloads(1) == [b"to myself"]
    peer.say(kv_op=kv(pb.KVOperation.GET, pb.KVOperation.GLOBAL_EXCLUSIVE))
    error = await peer.expect_error("ERR_PERMISSION_DENIED", "not for such operations")
    assert error.request_id == "kv"
    keeper = await wire.connect(agent("k", **with_key(await key_for(admin, "Agent", scopes=["kv"]))))
    keeper.say(kv_op=kv(pb.KVOperation.GET, pb.KVOperation.GLOBAL_EXCLUSIVE))
    assert (await keeper.expect("kv")).success
    keeper.send("ag::w::i::s")
    await keeper.expect_error("ERR_PERMISSION_DENIED", "not for such operations")
    response = await ask_tokens(
        admin.peer,
        Op.CREATE,
        create_request=pb.TokenCreateRequest(name="n", principal_type="Agent", scopes=["everything"]),
    )
    assert response.error.startswith('unknown scope "everything"; known are *, admin, connect, kv, send, task')


async def test_dead_keys_open_nothing(wire: Wire, admin: Admin, gateway: Gateway) -> None:
    """48."""
    await wire.refused(agent("unknown", **with_key("x" * 44)), UNKNOWN, INVALID_KEY)
    await wire.refused(agent("long", **with_key("x" * 5000)), UNKNOWN, INVALID_KEY)
    made = await create_token(admin, "Agent")
    assert (await ask_tokens(admin.peer, Op.REVOKE, token_id=made.created_token.id)).message == "token revoked"
    await wire.refused(agent("revoked", **with_key(made.plaintext_token)), UNKNOWN, INVALID_KEY)
    gone = await create_token(admin, "Agent")
    assert (await ask_tokens(admin.peer, Op.DELETE, token_id=gone.created_token.id)).message == "token deleted"
    await wire.refused(agent("deleted", **with_key(gone.plaintext_token)), UNKNOWN, INVALID_KEY)
    for credentials in ({"token": "t"}, {"task_token": "t"}, {"token": "t", "x-api-key": ADMIN_KEY}):
        await wire.refused(agent("task", credentials=credentials), UNKNOWN, "invalid or revoked token: token not found")
    await wire.refused(
        agent("bearer", credentials={"authorization": "Bearer x"}), UNKNOWN, "no OAuth provider accepted the token"
    )


async def test_who_may_not_connect_does_not_displace_who_does(wire: Wire, admin: Admin) -> None:
    """connection 42, W-9: not even with the id of its session."""
    holder = await wire.connect(agent(**with_key(await key_for(admin, "Agent"))))
    elsewhere = await key_for(admin, "Agent", workspace_patterns=["elsewhere"])
    for credentials, code in (({}, UNKNOWN), ({"x-api-key": "wrong"}, UNKNOWN), ({"x-api-key": elsewhere}, DENIED)):
        init = agent(resume_session_id=holder.ack.session_id, credentials=credentials)
        await wire.refused(init, code)
        await holder.settle()
    key = await key_for(admin, "Agent")
    again = await wire.connect(agent(resume_session_id=holder.ack.session_id, **with_key(key)))
    assert again.ack.resumed


async def test_guessing_is_slowed_down(wire: Wire, admin: Admin) -> None:
    """48: the sixth attempt is refused even with the right key; other identities are not."""
    key = await key_for(admin, "Agent")
    for _ in range(5):
        await wire.refused(agent(**with_key("guess")), UNKNOWN, INVALID_KEY)
    await wire.refused(agent(**with_key(key)), UNKNOWN, "auth temporarily throttled after repeated failures")
    await wire.connect(agent("other", **with_key(key)))


async def test_one_place_cannot_try_many_identities(wire: Wire, admin: Admin) -> None:
    """W-21."""
    key = await key_for(admin, "Agent")
    for number in range(50):
        await wire.refused(agent(f"s{number}", **with_key("guess")), UNKNOWN, INVALID_KEY)
    await wire.refused(agent("new", **with_key(key)), UNKNOWN, "auth temporarily throttled after repeated failures")


# ----------------------------------------------------------------------------------------------------- live sessions


@pytest.mark.parametrize("op", [Op.REVOKE, Op.DELETE])
async def test_sessions_end_with_their_token(wire: Wire, admin: Admin, op: int) -> None:
    """49."""
    made = await create_token(admin, "Agent")
    peer = await wire.connect(agent(**with_key(made.plaintext_token)))
    other = await wire.connect(agent("other", **with_key(await key_for(admin, "Agent"))))
    await ask_tokens(admin.peer, op, token_id=made.created_token.id)
    signal = await peer.expect("signal")
    assert (signal.type, signal.reason) == (pb.Signal.FORCE_DISCONNECT, "API key revoked or expired")
    await peer.expect_status(UNKNOWN, "API key revoked or expired")
    await other.settle()


async def test_sessions_end_when_their_token_expires(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "gateway": {"port": 0, "ops_port": 0},
            "storage": {"data_dir": tmp_path / "data"},
            "auth": {"modes": ["api_key"]},
        }
    )
    async with Gateway(config) as seeding:
        first_token(seeding, "Agent", expires_ms=int(time.time() * 1000) + 2000)
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            peer = await wire.connect(agent(**with_key(ADMIN_KEY)))
            await peer.expect("signal")
            await peer.expect_status(UNKNOWN, "API key revoked or expired")
            await wire.refused(agent(**with_key(ADMIN_KEY)), UNKNOWN, INVALID_KEY)


# -------------------------------------------------------------------------------------------------------- operations


async def test_others_may_not_administrate_tokens(wire: Wire, admin: Admin) -> None:
    """40."""
    peer = await wire.connect(agent(**with_key(await key_for(admin, "Agent"))))
    peer.say(token_op=pb.TokenOperation(op=Op.LIST, request_id="t"))
    error = await peer.expect_error("ERR_PERMISSION_DENIED", "admin tokens operations require system-level privileges")
    assert error.request_id == "t"
    assert not (await peer.expect("token")).success
    await admin.grant(("agent", "ag::w::i::s"), ("admin", "admin/tokens"), 40)
    assert (await ask_tokens(peer, Op.LIST)).success
    request = pb.TokenCreateRequest(name="n", principal_type="User", created_by="alice")
    response = await ask_tokens(peer, Op.CREATE, create_request=request)
    assert response.error == "minting user tokens requires capability/mint_user_tokens or global admin (admin/*)"
    await admin.grant(("agent", "ag::w::i::s"), ("capability", "capability/mint_user_tokens"), 30)
    assert (await ask_tokens(peer, Op.CREATE, create_request=request)).success
    await admin.grant(("service", "sv::i::s"), ("admin", "admin/*"), 40)
    holder = await wire.connect(service(**with_key(await key_for(admin, "Service"))))
    assert (await ask_tokens(holder, Op.CREATE, create_request=request)).success
    request.created_by = " "
    response = await ask_tokens(peer, Op.CREATE, create_request=request)
    assert response.error == "created_by (the target user id) is required for user tokens"


async def test_a_key_is_shown_once(wire: Wire, admin: Admin) -> None:
    """42, 43; who made it is stamped."""
    made = await create_token(admin, "agent", created_by="somebody else", expires_in_hours=2)
    assert len(made.plaintext_token) == 44
    info = made.created_token
    assert (made.message, info.principal_type, info.name) == ("token created", "Agent", "n")
    assert (info.created_by, list(info.workspace_patterns), list(info.scopes)) == (
        "orchestrator:orc::o::admin",
        ["*"],
        ["connect"],
    )
    assert info.expires_at == info.created_at + 7200
    await wire.connect(agent(**with_key(made.plaintext_token)))
    for response in (await ask_tokens(admin.peer, Op.GET, token_id=info.id), await ask_tokens(admin.peer, Op.LIST)):
        assert made.plaintext_token.encode() not in response.SerializeToString()
        assert not response.plaintext_token
    assert (await ask_tokens(admin.peer, Op.GET, token_id=info.id)).token.last_used_at >= info.created_at


async def test_pages_of_tokens(wire: Wire, admin: Admin) -> None:
    """52."""
    for number in range(4):
        made = await create_token(admin, "Agent", name=f"n{number}")
    await ask_tokens(admin.peer, Op.REVOKE, token_id=made.created_token.id)
    listed = await ask_tokens(admin.peer, Op.LIST, filter=pb.TokenFilter(limit=2))
    assert (len(listed.tokens), listed.total_count) == (2, 4), "the administrator's and three that are live"
    revoked = await ask_tokens(admin.peer, Op.LIST, filter=pb.TokenFilter(include_revoked=True, limit=5000))
    assert (len(revoked.tokens), revoked.total_count) == (5, 5)
    assert [token.revoked for token in revoked.tokens] == [True, False, False, False, False]


async def test_pages_of_tokens_are_bounded(wire: Wire, admin: Admin) -> None:
    """52."""
    request = pb.TokenCreateRequest(name="n", principal_type="Agent")
    admin.peer.write(*[pb.UpstreamMessage(token_op=pb.TokenOperation(op=Op.CREATE, create_request=request))] * 1001)
    for _ in range(1001):
        await admin.peer.expect("token")
    for limit, expected in ((0, 100), (5000, 1000)):
        listed = await ask_tokens(admin.peer, Op.LIST, filter=pb.TokenFilter(limit=limit))
        assert (len(listed.tokens), listed.total_count) == (expected, 1002)


async def test_what_is_wrong_with_a_token_operation_is_told(wire: Wire, admin: Admin) -> None:
    peer = admin.peer
    assert (await ask_tokens(peer, 99)).error == "unknown token operation"
    for op in (Op.GET, Op.REVOKE, Op.DELETE):
        assert (await ask_tokens(peer, op, token_id="nope")).error == "token not found: nope"
    assert (await ask_tokens(peer, Op.CREATE)).error == "create_request is required"
    for request, text in (
        (pb.TokenCreateRequest(), "name is required"),
        (pb.TokenCreateRequest(name="n"), "principal_type is required"),
        (pb.TokenCreateRequest(name="n", principal_type="Robot"), 'unknown principal type "Robot"'),
        (pb.TokenCreateRequest(name="n" * 300, principal_type="Agent"), "name must not exceed 255 characters"),
    ):
        assert (await ask_tokens(peer, Op.CREATE, create_request=request)).error == text


async def test_no_key_is_ever_written_down(wire: Wire, admin: Admin, tmp_path: Path) -> None:
    """Neither stored, nor in the audit log: not in any file of the data directory."""
    made = await create_token(admin, "Agent", name="findme")
    await wire.connect(agent(**with_key(made.plaintext_token)))
    await wire.refused(agent("x", **with_key("a wrong key that somebody typed")), UNKNOWN)
    await ask_tokens(admin.peer, Op.REVOKE, token_id=made.created_token.id)
    content = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
    assert b"findme" in content
    for secret in (made.plaintext_token, ADMIN_KEY[:20] + "!", "a wrong key that somebody typed"):
        assert secret.encode() not in content


async def test_changes_of_tokens_are_recorded(wire: Wire, admin: Admin) -> None:
    made = await create_token(admin, "Agent")
    await ask_tokens(admin.peer, Op.REVOKE, token_id=made.created_token.id)
    admin.peer.say(audit_query=pb.AuditQuery(request_id="q", resource_type="api_token"))
    found = (await admin.peer.expect("audit_response")).entries
    assert [(row.operation, row.actor_id) for row in found] == [
        ("token_revoke", "orc::o::admin"),
        ("token_create", "orc::o::admin"),
    ]


async def test_failed_attempts_are_recorded(wire: Wire, admin: Admin, gateway: Gateway) -> None:
    """connection 95: with the reason and where from, and counted."""
    await wire.refused(agent(**with_key("guess")), UNKNOWN)
    admin.peer.say(audit_query=pb.AuditQuery(request_id="q", event_type="auth", only_failures=True))
    [row] = (await admin.peer.expect("audit_response")).entries
    assert (row.operation, row.actor_id, row.error_message) == ("auth_token_validation", "ag::w::i::s", INVALID_KEY)
    assert json.loads(row.metadata_json) == {"reason": "credential_auth_failed", "source": "127.0.0.1"}
    lines = gateway.metrics.exposition().decode().splitlines()
    assert 'aether_auth_failures_total{reason="credential_auth_failed"} 1.0' in lines


async def test_rows_of_a_session_have_its_id_from_the_first(wire: Wire, admin: Admin) -> None:
    """Who got in, what it was refused, and its end are found by one id; each refused attempt has one too."""
    key = await key_for(admin, "User", created_by="alice", workspace_patterns=["ws1"])
    await admin.grant(("user", "alice"), ("workspace", "ws3"), 0)
    alice = await wire.connect(user(**with_key(key)))
    for workspace in ("ws2", "ws3"):
        alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id=workspace))
        await alice.expect_error("ERR_PERMISSION_DENIED")
    for _ in range(2):
        await wire.refused(user("bob", **with_key(key)), DENIED)
        await wire.refused(agent(workspace="ws1", **with_key("guess")), UNKNOWN)
    admin.peer.say(audit_query=pb.AuditQuery(request_id="q"))
    found = (await admin.peer.expect("audit_response")).entries
    assert {(row.operation, row.success) for row in found if row.session_id == alice.ack.session_id} == {
        ("identity_resolved", True),
        ("lock_acquired", True),
        ("session_registered", True),
        ("connect", True),
        ("connect", False),
    }
    refused = [row.session_id for row in found if row.operation == "auth_token_validation"]
    assert len({*refused, alice.ack.session_id, ""}) == len(refused) + 2 == 6
