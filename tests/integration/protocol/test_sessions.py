"""Operations on sessions on the wire: the checklist of the connection chapter, by number."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.support.access import ALICE, Admin
from tests.support.authority import TRUST, exchanged, on_behalf
from tests.support.wire import Peer, Wire, agent, metrics_bridge, service, task, user
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.gateway import session
from aether.proto import aether_pb2 as pb
from aether.rpc.status import RpcError, StatusCode

S = pb.SessionOperation
A = pb.AdminQuery
ME = ("agent", "ag::w::i::s")


@pytest.fixture
async def gateway(tmp_path: Path, engine: str, clock: WallClock) -> AsyncIterator[Gateway]:
    config = Config.development(tmp_path / "data", acl={"enabled": True}, gateway={"engine": engine})
    async with Gateway(config, wall_clock=clock) as gateway:
        yield gateway


async def ask(peer: Peer, op: int, **fields: Any) -> pb.SessionOperationResponse:
    peer.say(session_op=S(op=op, request_id="r", **fields))  # type: ignore[arg-type]
    response: pb.SessionOperationResponse = await peer.expect("session_response")
    assert response.request_id == "r"
    assert response.success != bool(response.error), response
    return response


async def listed(peer: Peer, **wanted: Any) -> list[str]:
    return [one.identity for one in (await ask(peer, S.LIST, filter=pb.ConnectionFilter(**wanted))).connections]


async def listed_for(peer: Peer, grant: pb.ACLAuthorityGrantInfo) -> list[str]:
    """The users, as whoever the grant is about may see them."""
    response = await ask(
        peer, S.LIST, filter=pb.ConnectionFilter(type=pb.PRINCIPAL_USER), authorization=on_behalf(grant)
    )
    return [one.identity for one in response.connections]


async def status(peer: Peer, kind: str, name: str) -> pb.ConnectionStatusResponse:
    principal = pb.PrincipalRef(principal_type=kind, principal_id=name)
    peer.say(connection_status_request=pb.ConnectionStatusRequest(principal=principal, request_id="r"))
    response: pb.ConnectionStatusResponse = await peer.expect("connection_status_response")
    assert response.request_id == "r"
    return response


async def test_82_83_lists(admin: Admin, wire: Wire, clock: WallClock) -> None:
    start = clock.now_ms // 1000
    for init in (agent("1"), agent("2"), task("t"), agent("3", workspace="x")):
        clock.advance(1)
        await wire.connect(init)
    response = await ask(admin.peer, S.LIST)
    first = response.connections[0]
    assert (first.identity, first.type, first.connected_at) == ("orc::o::admin", pb.PRINCIPAL_ORCHESTRATOR, start)
    assert response.total_count == 5
    assert await listed(admin.peer, workspace="w") == ["ag::w::i::1", "ag::w::i::2", "tu::w::i::t"]
    assert await listed(admin.peer, type=pb.PRINCIPAL_AGENT, workspace="w") == ["ag::w::i::1", "ag::w::i::2"]
    page = await ask(admin.peer, S.LIST, filter=pb.ConnectionFilter(limit=2, offset=1))
    assert ([one.identity for one in page.connections], page.total_count) == (["ag::w::i::1", "ag::w::i::2"], 5)
    assert await listed(admin.peer, offset=9) == []


async def test_84_what_is_not_there(admin: Admin) -> None:
    for op in (S.GET, S.DISCONNECT):
        assert (await ask(admin.peer, op, session_id="unknown")).error == "session not found: unknown"
    assert (await ask(admin.peer, S.GET)).error == "session_id required for GET"
    assert (await ask(admin.peer, 99)).error == "unknown session operation"


async def test_get_and_disconnect(admin: Admin, wire: Wire) -> None:
    me = await wire.connect(agent())
    found = (await ask(admin.peer, S.GET, session_id=me.ack.session_id)).connection
    assert (found.identity, found.workspace, found.specifier) == ("ag::w::i::s", "w", "s")
    assert found.remote_addr.startswith("127.0.0.1:")
    ended = await ask(admin.peer, S.DISCONNECT, session_id=me.ack.session_id, reason="enough")
    assert ended.message == "session disconnected"
    signal = await me.expect("signal")
    assert (signal.type, signal.reason) == (pb.Signal.FORCE_DISCONNECT, "enough")
    await me.expect_status(StatusCode.CANCELLED)
    assert await listed(admin.peer) == ["orc::o::admin"]


async def test_75_who_does_not_listen_is_ended_too(admin: Admin, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its identity is free although it takes neither messages nor the signal; when it listens again it learns why."""
    monkeypatch.setattr(session, "SIGNAL_FLUSH_S", 0.05)
    deaf = await wire.connect(agent("deaf"))
    deaf.call.pause_reading()
    sender = await wire.connect(agent("sender"))
    for _ in range(50):
        sender.send("ag::w::i::deaf", bytes(100_000))
    await sender.settle()
    await ask(admin.peer, S.DISCONNECT, session_id=deaf.ack.session_id)
    assert await listed(admin.peer, type=pb.PRINCIPAL_AGENT) == ["ag::w::i::sender"]
    with trio.fail_after(20):
        while True:
            try:
                again = await wire.connect(agent("deaf"))
                break
            except RpcError as error:
                assert error.code is StatusCode.ALREADY_EXISTS
    assert len((await again.expect("msg")).payload) == 100_000
    deaf.call.resume_reading()
    message = await deaf.receive()
    while message.WhichOneof("payload") == "msg":
        message = await deaf.receive()
    assert message.signal.type == pb.Signal.FORCE_DISCONNECT
    await deaf.expect_status(StatusCode.CANCELLED, "disconnected by administrator")


async def test_85_who_may_administer(admin: Admin, wire: Wire, clock: WallClock) -> None:
    me = await wire.connect(agent())
    assert "require system-level privileges" in (await ask(me, S.LIST)).error
    alice = await wire.connect(user("alice"))
    await admin.grant(ALICE, ("admin", "admin/sessions"), 40)
    end = clock.now_ms // 1000 + 600
    grant = await exchanged(alice, max_access_level=40, expires_at=end, renewable_until=end)
    assert (await ask(alice, S.LIST, authorization=on_behalf(grant))).success
    wrong = await ask(me, S.LIST, authorization=on_behalf(grant))
    assert wrong.error.startswith("invalid authorization context: ")
    await admin.grant(ME, TRUST, 30)
    lent = await exchanged(
        me, max_access_level=40, expires_at=end, renewable_until=end, source_session_id=alice.ack.session_id
    )
    assert await listed_for(me, lent) == ["us::alice::w1"]
    await admin.grant(ALICE, ("admin", "admin/sessions"), 0)
    refused = await ask(me, S.LIST, authorization=on_behalf(lent))
    assert "explicit ACL grant" in refused.error
    await admin.grant(ME, ("admin", "admin/sessions"), 40)
    assert await listed(me, type=pb.PRINCIPAL_AGENT) == ["ag::w::i::s"]


async def test_86_who_is_connected(admin: Admin, wire: Wire) -> None:
    me = await wire.connect(agent())
    await wire.connect(user("bob"))
    own = await status(me, *ME)
    assert (own.ok, own.connected) == (True, True)
    refused = await status(me, "agent", "ag::w::i::other")
    assert (refused.ok, refused.error) == (False, "not authorized")
    await admin.grant(ME, ("capability", "capability/query_connections"), 10)
    asked = [
        ("agent", "ag::w::i::other", False),
        ("user", "bob", True),
        ("user", "us::bob::w1", True),
        ("user", "us::bob::w2", False),
        ("orchestrator", "orc::o::admin", True),
        ("orchestrator", "orc::o", True),
        ("orchestrator", "orc::x", False),
    ]
    for kind, name, connected in asked:
        answer = await status(me, kind, name)
        assert (answer.ok, answer.connected) == (True, connected), name
    assert not (await status(me, "nonsense", "x")).ok


async def test_91_who_may_switch(admin: Admin, wire: Wire) -> None:
    me, alice = await wire.connect(agent()), await wire.connect(user("alice"))
    me.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="x"))
    await me.expect_error("ERR_INVALID_PRINCIPAL")
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="home"))
    await alice.settle()
    await admin.grant(ALICE, ("workspace", "closed"), 0)
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="closed"))
    await alice.expect_error("ERR_PERMISSION_DENIED")
    [mine] = (await ask(admin.peer, S.LIST, filter=pb.ConnectionFilter(type=pb.PRINCIPAL_USER))).connections
    assert mine.workspace == "home"


async def test_92_admin_queries(admin: Admin, wire: Wire) -> None:
    me = await wire.connect(agent())
    await wire.connect(metrics_bridge())

    async def query(peer: Peer, op: int, **fields: Any) -> pb.AdminResponse:
        peer.say(admin_query=A(op=op, request_id="q", **fields))  # type: ignore[arg-type]
        response: pb.AdminResponse = await peer.expect("admin")
        assert response.request_id == "q"
        return response

    health = (await query(admin.peer, A.GET_HEALTH)).health
    assert (health.status, health.stats.agent_connections) == (pb.HEALTH_STATUS_HEALTHY, 1)
    assert (await query(admin.peer, A.GET_INFO)).info.num_connections == 3
    assert (await query(admin.peer, A.GET_STATS)).stats.metrics_bridge_connected
    assert (await query(admin.peer, A.LIST_CONNECTIONS)).total_count == 3
    found = await query(admin.peer, A.GET_CONNECTION, session_id=me.ack.session_id)
    assert found.connection.identity == "ag::w::i::s"
    refused = await query(me, A.GET_INFO)
    assert (refused.success, bool(refused.error)) == (False, True)
    assert not (await query(admin.peer, 99)).success


async def test_93_94_the_record_of_sessions(admin: Admin, wire: Wire) -> None:
    build = pb.BuildInfo(commit="c0ffee")
    me = await wire.connect(agent(client_version="1.2", client_sdk="test", client_build_info=build))
    await wire.refused(agent(), StatusCode.ALREADY_EXISTS)
    again = await wire.connect(agent(resume_session_id=me.ack.session_id, client_version="1.3", client_sdk="test"))
    await again.close()
    killed = await wire.connect(task("killed"))
    await killed.abort()
    helper = await wire.connect(service())
    await ask(admin.peer, S.DISCONNECT, session_id=helper.ack.session_id)
    await helper.expect("signal")
    await helper.abort()
    admin.peer.say(audit_query=pb.AuditQuery(event_type="connection", limit=100, request_id="q"))
    entries = (await admin.peer.expect("audit_response")).entries
    seen = [(entry.operation, entry.actor_id, entry.metadata_json) for entry in reversed(entries)]
    rejected = [row for row in seen if row[0] == "lock_rejected"]
    assert [row[1] for row in rejected] == ["ag::w::i::s"]
    first, second = [json.loads(row[2]) for row in seen if row[0] == "lock_acquired" and row[1] == "ag::w::i::s"]
    told = {"initial_connection_unix_ms": me.ack.initial_connection_unix_ms, "server_version": me.ack.server_version}
    assert first == told | {
        "event_kind": "initial",
        "resumed": False,
        "forced": False,
        "reconnection_count": 0,
        "client_version": "1.2",
        "client_sdk": "test",
        "client_build_commit": "c0ffee",
    }
    assert second == told | {
        "event_kind": "reconnect",
        "resumed": True,
        "forced": False,
        "reconnection_count": 1,
        "client_version": "1.3",
        "client_sdk": "test",
        "resume_session_id": me.ack.session_id,
    }
    registered = [row[2] for row in seen if row[0] == "session_registered"]
    assert len(registered) == 5
    assert all("127.0.0.1:" in metadata for metadata in registered)
    closed = [(row[1], json.loads(row[2])) for row in seen if row[0] == "connection_closed"]
    assert [(identity, row["reason"], row["detail"]) for identity, row in closed] == [
        ("ag::w::i::s", "error", "superseded"),
        ("ag::w::i::s", "graceful_close", "client_close"),
        ("tu::w::i::killed", "error", "client_gone"),
        ("sv::i::s", "admin_disconnect", "admin"),
    ]


async def test_30_a_resumed_session_is_the_only_one(admin: Admin, wire: Wire) -> None:
    """connection 30: what asks for the identity finds the new session, and nothing else."""
    old = await wire.connect(agent())
    new = await wire.connect(agent(resume_session_id=old.ack.session_id))
    response = await ask(admin.peer, S.LIST, filter=pb.ConnectionFilter(type=pb.PRINCIPAL_AGENT))
    assert ([one.session_id for one in response.connections], response.total_count) == ([new.ack.session_id], 1)
    assert (await ask(admin.peer, S.GET, session_id=old.ack.session_id)).error.startswith("session not found")
    assert (await status(admin.peer, *ME)).connected
    await admin.grant(("orchestrator", "orc::o::admin"), ("workspace", "w"), 30)
    admin.peer.say(
        create_task=pb.CreateTaskRequest(
            task_type="t",
            workspace="w",
            assignment_mode=pb.TARGETED,
            target_agent_id="ag::w::i::s",
            request_id="c",
        )
    )
    assert (await new.expect("task_assignment")).task_type == "t"
    await old.expect("signal")
    await old.expect_status(StatusCode.CANCELLED)
