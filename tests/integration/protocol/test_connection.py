"""Connecting, displacing, leaving: the checklist of the connection chapter on the wire."""

from __future__ import annotations

import re
import socket
import struct
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from tests.support.link import Link
from tests.support.wire import (
    PATIENCE_S,
    Peer,
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
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.authentication.model import Admission
from aether.errors import StoreUnavailable
from aether.gateway import configured, unheard
from aether.gateway.authenticator import Authenticator
from aether.gateway.gateway import CONNECT
from aether.gateway.refusals import ANSWERED_BY
from aether.identity import Identity
from aether.proto import aether_pb2 as pb
from aether.rpc.client import connect, connect_stream
from aether.rpc.status import RpcError, StatusCode, frame
from aether.rpc.transport import SocketTransport

WITHOUT_SNAPSHOT = [user(), service(), bridge(), orchestrator("o"), engine(), metrics_bridge()]
EXCLUSIVE = [
    (agent(), "ag::w::i::s"),
    (task("t"), "tu::w::i::t"),
    (user(), "us::alice::w1"),
    (service(), "sv::i::s"),
    (bridge(), "br::i::s"),
    (orchestrator("x"), "orc::o::x"),
    (engine("one"), "wfe::shard0"),
    (metrics_bridge("one"), "metrics::shard0"),
]


def kind_of(init: pb.InitConnection) -> str:
    return str(init.WhichOneof("client_type"))


def put(key: str, request_id: str = "", scope: int = pb.KVOperation.WORKSPACE) -> pb.KVOperation:
    return pb.KVOperation(op=pb.KVOperation.PUT, scope=scope, key=key, value=b"v", request_id=request_id)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- handshake


async def test_the_acknowledgement_describes_the_session_and_the_server(wire: Wire) -> None:
    """connection 1."""
    peer = await wire.connect(agent())
    ack = peer.ack
    assert uuid.UUID(ack.session_id).version == 4
    assert (ack.resumed, ack.reconnection_count, ack.assigned_id) == (False, 0, "")
    assert abs(ack.initial_connection_unix_ms - time.time() * 1000) < 5000
    assert ack.server_version
    assert ack.server_build_info.runtime
    assert ack.server_build_info.os


@pytest.mark.parametrize("init", [agent(), task("t"), task()], ids=["agent", "unique task", "pool task"])
async def test_agents_and_tasks_get_an_empty_snapshot_second(wire: Wire, init: pb.InitConnection) -> None:
    """connection 2."""
    peer = await wire.connect(init)
    assert peer.snapshot == pb.ConfigSnapshot()
    await peer.expect_nothing()


@pytest.mark.parametrize("init", WITHOUT_SNAPSHOT, ids=kind_of)
async def test_other_principals_get_no_snapshot(wire: Wire, init: pb.InitConnection) -> None:
    """connection 3, kv 85."""
    await (await wire.connect(init)).expect_nothing()


async def test_the_first_message_has_to_be_init(wire: Wire) -> None:
    """connection 6; an undecodable message and a half-close are no init either."""
    text = "first message must be InitConnection"
    peer = await wire.open()
    peer.say(kv_op=put("k"))
    await peer.expect_status(StatusCode.INVALID_ARGUMENT, text)
    peer = await wire.open()
    peer.write_bytes(b"\xff\xff")
    await peer.expect_status(StatusCode.INVALID_ARGUMENT, text)
    peer = await wire.open()
    peer.call.half_close()
    peer.call.flush()
    await peer.expect_status(StatusCode.INVALID_ARGUMENT, text)


async def test_a_silent_stream_is_ended(tmp_path: Path) -> None:
    """connection 7."""
    async with Gateway(Config.development(tmp_path / "d", gateway={"init_timeout": "100ms"})) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            peer = await wire.open()
            peer.call.flush()
            await peer.expect_status(StatusCode.DEADLINE_EXCEEDED, "timeout waiting for InitConnection")


async def test_an_init_without_principal_is_refused(wire: Wire) -> None:
    """connection 8."""
    await wire.refused(pb.InitConnection(), StatusCode.INVALID_ARGUMENT, "unknown principal type")


async def test_a_second_init_ends_the_stream_and_frees_the_identity(wire: Wire) -> None:
    """connection 9."""
    peer = await wire.connect(agent())
    peer.say(init=agent())
    await peer.expect_status(StatusCode.INVALID_ARGUMENT, "InitConnection already sent")
    await wire.connect(agent())


async def test_operations_behind_init_in_the_same_write_are_answered_in_order(wire: Wire) -> None:
    """connection 10, routing 75."""
    peer = await wire.open()
    peer.write(
        pb.UpstreamMessage(init=agent()),
        pb.UpstreamMessage(kv_op=put("k", "1")),
        pb.UpstreamMessage(kv_op=pb.KVOperation(op=pb.KVOperation.GET, scope=2, key="k", request_id="2")),  # type: ignore[arg-type]
        pb.UpstreamMessage(send=pb.SendMessage(target_topic="nowhere")),
        pb.UpstreamMessage(kv_op=pb.KVOperation(op=pb.KVOperation.LIST, scope=2, request_id="3")),  # type: ignore[arg-type]
        pb.UpstreamMessage(checkpoint_op=pb.CheckpointOperation(op=pb.CheckpointOperation.LIST, request_id="4")),
    )
    await peer.expect("connection_ack")
    await peer.expect("config")
    assert (await peer.expect("kv")).request_id == "1"
    read = await peer.expect("kv")
    assert (read.request_id, read.value) == ("2", b"v")
    await peer.expect_error("ERR_INVALID_TOPIC")
    listed = await peer.expect("kv")
    assert (listed.request_id, list(listed.keys)) == ("3", ["k"])
    assert (await peer.expect("checkpoint")).request_id == "4"


UNKNOWN_FIELD = b"\xc2\x3e\x02hi"  # field 1000, which no member of the union has


@pytest.mark.parametrize("data", [b"", UNKNOWN_FIELD], ids=["empty", "unknown"])
async def test_a_message_without_known_payload_is_declined(wire: Wire, data: bytes) -> None:
    """connection 11, routing 99."""
    peer = await wire.connect(agent())
    peer.write_bytes(data)
    await peer.expect_error("ERR_NOT_IMPLEMENTED")
    await peer.expect_nothing()


async def test_a_message_that_is_no_protobuf_is_declined(wire: Wire) -> None:
    peer = await wire.connect(agent())
    peer.write_bytes(b"\x12\xff\xff")
    await peer.expect_error("ERR_INVALID_ARGUMENT")
    await peer.expect_nothing()


BAD_IDENTIFIERS = ["a*b", "a>b", "a b", "a\tb", "a\x7fb", "a\x00b", "a::b", "a" * 129, ":a", "a:"]


@pytest.mark.parametrize("value", BAD_IDENTIFIERS, ids=repr)
async def test_forbidden_identifiers_are_refused_in_every_field(wire: Wire, value: str) -> None:
    """connection 12, routing 8."""
    claims = [
        agent(value),
        agent(workspace=value),
        agent(implementation=value),
        task(value),
        task(workspace=value),
        user(value),
        user("alice", value),
        service(value),
        bridge(implementation=value),
        orchestrator(value),
    ]
    for init in claims:
        await wire.refused(init, StatusCode.INVALID_ARGUMENT, "invalid identity")


@pytest.mark.parametrize("value", ["com.example.bot", "alice@example.com", "a" * 128, "a:b", "ümlaut"], ids=repr)
async def test_ordinary_identifiers_are_accepted(wire: Wire, value: str) -> None:
    """connection 13."""
    await wire.connect(agent(value, workspace=value, implementation=value))
    await wire.connect(user(value, value))


@pytest.mark.parametrize(
    "init",
    [agent(workspace=""), agent(implementation=""), task("t", workspace=""), user(""), service(implementation="")],
    ids=["agent workspace", "agent implementation", "task workspace", "user id", "service implementation"],
)
async def test_required_identifiers_must_not_be_empty(wire: Wire, init: pb.InitConnection) -> None:
    """routing 10."""
    await wire.refused(init, StatusCode.INVALID_ARGUMENT, "must not be empty")


async def test_the_strict_character_set_can_be_switched_off_but_not_the_separator(tmp_path: Path) -> None:
    """connection 14, routing 9."""
    async with Gateway(Config.development(tmp_path / "d", gateway={"strict_identifiers": False})) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            await wire.connect(agent("a*b"))
            await wire.refused(agent("a::b"), StatusCode.INVALID_ARGUMENT)


async def test_waiting_messages_come_after_ack_and_snapshot(wire: Wire) -> None:
    """connection 15, routing 59."""
    sender = await wire.connect(agent("sender"))
    for index in range(3):
        sender.send("ag::w::i::late", b"%d" % index)
    await sender.settle()
    late = await wire.connect(agent("late"))
    assert await late.expect_payloads(3) == [b"0", b"1", b"2"]


# ------------------------------------------------------------------------------------------------------ uniqueness


@pytest.mark.parametrize(("init", "identity"), EXCLUSIVE, ids=[identity for _, identity in EXCLUSIVE])
async def test_an_identity_connects_once(wire: Wire, init: pb.InitConnection, identity: str) -> None:
    """connection 16, 17."""
    first = await wire.connect(init)
    await wire.refused(init, StatusCode.ALREADY_EXISTS, f"DuplicateIdentityError: identity ({identity})")
    await first.expect_nothing()


@pytest.mark.parametrize(
    ("make", "identity"), [(engine, "wfe::shard0"), (metrics_bridge, "metrics::shard0")], ids=["engine", "metrics"]
)
async def test_an_instance_id_does_not_make_another_engine_or_metrics_bridge(
    wire: Wire, make: Callable[[str], pb.InitConnection], identity: str
) -> None:
    """connection 21, routing 6."""
    await wire.connect(make("one"))
    await wire.refused(make("two"), StatusCode.ALREADY_EXISTS, identity)


async def test_windows_of_a_user_are_separate(wire: Wire) -> None:
    """connection 18, routing 5."""
    windows = {name: await wire.connect(user("alice", name)) for name in ("w1", "w2")}
    sender = await wire.connect(agent())
    for name in windows:
        sender.send(f"us::alice::{name}", name.encode())
    for name, window in windows.items():
        assert await window.expect_payloads(1) == [name.encode()]
        await window.expect_nothing()


async def test_pool_tasks_have_ids_of_their_own_and_are_reached_by_them(wire: Wire) -> None:
    """connection 19, 20; routing 3, 4."""
    workers = [await wire.connect(task()) for _ in range(2)]
    ids = [worker.ack.assigned_id for worker in workers]
    assert all(ids)
    assert ids == [worker.ack.session_id for worker in workers]
    sender = await wire.connect(agent())
    for name in ids:
        sender.send(f"ta::w::i::{name}", name.encode())
    for name, worker in zip(ids, workers, strict=True):
        assert await worker.expect_payloads(1) == [name.encode()]
        await worker.expect_nothing()


async def test_unnamed_orchestrators_get_different_names(wire: Wire, gateway: Gateway) -> None:
    """connection 22, routing 7."""
    await wire.connect(orchestrator())
    await wire.connect(orchestrator())
    names = {session.identity.specifier for session in gateway.services.directory}
    assert len(names) == 2
    assert all(re.fullmatch("[0-9a-f]{8}", name) for name in names)


async def test_one_of_fifty_simultaneous_claims_wins(wire: Wire) -> None:
    """connection 23."""
    statuses: list[str] = []
    peers = [await wire.open() for _ in range(50)]
    async with trio.open_nursery() as nursery:
        for peer in peers:
            peer.say(init=agent())
            nursery.start_soon(outcome, peer, statuses)
    assert sorted(statuses) == ["ALREADY_EXISTS"] * 49 + ["ack"]


# -------------------------------------------------------------------------------------------------- locks and resume


async def reconnect(wire: Wire, init: pb.InitConnection) -> Peer:
    """Connect as soon as the gateway has noticed that the holder is gone."""
    with trio.fail_after(PATIENCE_S):
        while True:
            try:
                return await wire.connect(init)
            except RpcError as error:
                assert error.code is StatusCode.ALREADY_EXISTS


async def test_a_half_close_frees_the_identity(wire: Wire) -> None:
    """connection 24, 77."""
    peer = await wire.connect(agent())
    await peer.close()
    ack = (await wire.connect(agent())).ack
    assert (ack.resumed, ack.reconnection_count) == (False, 0)
    assert ack.initial_connection_unix_ms > peer.ack.initial_connection_unix_ms


async def test_who_left_may_come_back(wire: Wire) -> None:
    """connection 31, W-42: with its last session id it is who it was; nobody else came in between."""
    first = await wire.connect(agent())
    await first.close()
    second = await wire.connect(agent(resume_session_id=first.ack.session_id))
    assert (second.ack.resumed, second.ack.reconnection_count) == (True, 1)
    assert second.ack.initial_connection_unix_ms == first.ack.initial_connection_unix_ms
    await second.close()
    await (await wire.connect(agent())).close()
    other = await wire.connect(agent(resume_session_id=second.ack.session_id))
    assert (other.ack.resumed, other.ack.reconnection_count) == (False, 0)


async def test_a_reset_frees_the_identity(wire: Wire) -> None:
    """connection 25."""
    peer = await wire.connect(agent())
    await peer.abort()
    assert not (await reconnect(wire, agent())).ack.resumed


@pytest.mark.parametrize("is_reset", [False, True], ids=["FIN", "RST"])
async def test_a_connection_that_breaks_frees_the_identity(wire: Wire, gateway: Gateway, is_reset: bool) -> None:
    """connection 25: of a process that was killed, without a word of HTTP/2."""
    stream = await trio.open_tcp_stream("127.0.0.1", gateway.port or 0)
    raw = stream.socket._sock  # type: ignore[attr-defined]
    transport = SocketTransport(raw)
    async with connect_stream(transport) as channel, channel.call(CONNECT) as call:
        peer = Peer(call)
        peer.say(init=agent())
        await peer.expect("connection_ack")
        await peer.expect("config")
        await wire.refused(agent(), StatusCode.ALREADY_EXISTS)
        if is_reset:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.close()
        assert not (await reconnect(wire, agent())).ack.resumed


async def test_resuming_displaces_the_open_stream(wire: Wire, gateway: Gateway) -> None:
    """connection 26, 29, 30."""
    old = await wire.connect(agent())
    new = await wire.connect(agent(resume_session_id=old.ack.session_id))
    assert new.ack.resumed
    assert new.ack.session_id != old.ack.session_id
    assert new.ack.reconnection_count == 1
    assert new.ack.initial_connection_unix_ms == old.ack.initial_connection_unix_ms
    signal = await old.expect("signal")
    assert signal.type == pb.Signal.FORCE_DISCONNECT
    await old.expect_status(StatusCode.CANCELLED, "session superseded by a newer connection")
    new.send("ag::w::i::s", b"to me")
    assert await new.expect_payloads(1) == [b"to me"]
    assert [session.session_id for session in gateway.services.directory] == [new.ack.session_id]


async def test_who_is_displaced_before_it_is_ready_takes_and_does_nothing(
    wire: Wire, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """connection 29, W-4: the ack tells the id to resume, and the topics are followed after it."""
    log = gateway.services.tier.log
    load, held, go_on = log.load_cursor, trio.Event(), trio.Event()

    async def load_late(topic: str, consumer: str) -> int | None:
        if not held.is_set():
            held.set()
            await go_on.wait()
        return await load(topic, consumer)

    monkeypatch.setattr(log, "load_cursor", load_late)
    old = await wire.open()
    bound_for_other = pb.SendMessage(target_topic="ag::w::i::other", payload=b"of a session that is over")
    old.write(pb.UpstreamMessage(init=agent()), pb.UpstreamMessage(send=bound_for_other))
    await held.wait()
    gateway.services.flush_all()  # as whatever is sent to somebody else does
    ack = await old.expect("connection_ack")
    await old.expect("config")
    new = await wire.connect(agent(resume_session_id=ack.session_id))
    go_on.set()
    for number in range(3):
        new.send("ag::w::i::s", b"%d" % number)
    assert await new.expect_payloads(3) == [b"0", b"1", b"2"]
    assert (await old.expect("signal")).type == pb.Signal.FORCE_DISCONNECT
    await old.expect_status(StatusCode.CANCELLED, "superseded")
    assert gateway.services.tasks.dispatcher.worker("ag::w::i::s").session_id == new.ack.session_id  # type: ignore[union-attr]
    assert len(log.topic("ag::w::i::s").lanes) == 1
    await (await wire.connect(agent("other"))).expect_nothing()


async def test_only_the_current_session_can_be_resumed(wire: Wire, gateway: Gateway) -> None:
    """connection 27; the one before as long as nobody knows whether the client heard of this one."""
    first = await wire.connect(agent())
    second = await wire.connect(agent(resume_session_id=first.ack.session_id))
    with trio.fail_after(PATIENCE_S):
        while len(gateway.services.unheard):
            await second.settle()
    await wire.refused(agent(resume_session_id=first.ack.session_id), StatusCode.ALREADY_EXISTS)
    third = await wire.connect(agent(resume_session_id=second.ack.session_id))
    assert third.ack.reconnection_count == 2
    assert third.ack.initial_connection_unix_ms == first.ack.initial_connection_unix_ms
    await wire.refused(agent(resume_session_id=first.ack.session_id), StatusCode.ALREADY_EXISTS)
    await third.expect_nothing()


@asynccontextmanager
async def never_heard(gateway: Gateway, init: pb.InitConnection) -> AsyncIterator[Link]:
    """Of a client that says who it is, and hears nothing of what that comes to."""
    link = Link(f"127.0.0.1:{gateway.port}")
    said = pb.UpstreamMessage(init=init).SerializeToString()
    link.mute_after(said)
    async with connect_stream(await link.open_transport()) as channel, channel.call(CONNECT) as call:
        Peer(call).write_bytes(said)
        with trio.fail_after(PATIENCE_S):
            while not gateway.sessions:
                await trio.testing.wait_all_tasks_blocked(0.01)
        yield link


@pytest.fixture
def short_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is silent for a tenth of that is taken for dead."""
    monkeypatch.setattr(unheard, "SILENT_TURNS", 3)


async def test_a_first_acknowledgement_that_was_lost_keeps_nobody_out(
    wire: Wire, gateway: Gateway, short_silence: None
) -> None:
    """connection 16.3: the client has no id to resume, and would not try again after a refusal."""
    async with never_heard(gateway, agent()):
        [ghost] = gateway.services.directory
        back = await wire.connect(agent())
        assert (back.ack.resumed, back.ack.reconnection_count) == (False, 0)
        assert [session.session_id for session in gateway.services.directory] == [back.ack.session_id]
        assert (ghost.end_reason, gateway.services.directory.holder(ghost.lock_key).displaced) == ("superseded", True)  # type: ignore[union-attr]
        back.send("ag::w::i::s", b"to me")
        assert await back.expect_payloads(1) == [b"to me"]
    await wire.refused(agent(), StatusCode.ALREADY_EXISTS)
    await back.expect_nothing()


async def test_of_many_who_come_for_a_silent_one_one_gets_in(wire: Wire, gateway: Gateway, short_silence: None) -> None:
    ends: list[str] = []

    async def come() -> None:
        peer = await wire.open()
        peer.say(init=agent())
        try:
            message = await peer.receive()
            ends.append(str(message.WhichOneof("payload")))
        except RpcError as error:
            ends.append(error.code.name)

    async with never_heard(gateway, agent()), trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(come)
    assert sorted(ends) == ["ALREADY_EXISTS"] * 9 + ["connection_ack"]


async def test_who_is_alive_is_not_displaced(wire: Wire, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """However soon after its acknowledgement somebody else comes: it is waited for until it has confirmed that."""
    monkeypatch.setattr(unheard, "SILENT_TURNS", 10_000)
    for number in range(5):
        peer = await wire.connect(agent(str(number)))
        await wire.refused(agent(str(number)), StatusCode.ALREADY_EXISTS)
        await peer.expect_nothing()


async def test_who_was_heard_once_may_be_silent(wire: Wire, gateway: Gateway, short_silence: None) -> None:
    """A client that is held up, or a laptop that sleeps: keepalive decides, and until then it can be resumed."""
    link = Link(f"127.0.0.1:{gateway.port}")
    async with connect_stream(await link.open_transport()) as channel, channel.call(CONNECT) as call:
        peer = Peer(call)
        peer.say(init=agent())
        ack = await peer.expect("connection_ack")
        await peer.expect("config")
        with trio.fail_after(PATIENCE_S):
            while len(gateway.services.unheard):
                await peer.settle()
        link.abandon()
        await wire.refused(agent(), StatusCode.ALREADY_EXISTS)
        assert (await wire.connect(agent(resume_session_id=ack.session_id))).ack.resumed
    link.cut()


async def test_who_does_not_read_on_was_heard_all_the_same(wire: Wire, gateway: Gateway, short_silence: None) -> None:
    """What is queued right behind the acknowledgement does not keep it from being confirmed."""
    peer = await wire.open()
    ask = pb.KVOperation(op=pb.KVOperation.PUT, scope=pb.KVOperation.GLOBAL_EXCLUSIVE, key="k", value=bytes(1_000_000))
    get = pb.KVOperation(op=pb.KVOperation.GET, scope=pb.KVOperation.GLOBAL_EXCLUSIVE, key="k")
    peer.write(
        pb.UpstreamMessage(init=agent()),
        pb.UpstreamMessage(kv_op=ask),
        *[pb.UpstreamMessage(kv_op=get)] * 20,
    )
    await wire.connect(agent("other"))
    await trio.testing.wait_all_tasks_blocked(0.1)
    await wire.refused(agent(), StatusCode.ALREADY_EXISTS)
    await peer.expect("connection_ack")


async def test_other_credentials_do_not_displace_a_silent_one(tmp_path: Path, engine: str, short_silence: None) -> None:
    """They may be of anybody who may have that name."""

    class ByName(Authenticator):
        """Every key is good."""

        async def authenticate(
            self, peer: Any, credentials: Any, claimed: Callable[[], Identity], session_id: str
        ) -> Admission:
            return Admission(claimed(), "api_key", token_id=credentials["x-api-key"])

    one, other = (agent(credentials={"x-api-key": key}) for key in ("one", "other"))
    config = Config.development(tmp_path / "d")
    async with (
        Gateway(config, authenticator=ByName()) as gateway,
        open_wire(gateway.port or 0) as wire,
        never_heard(gateway, one),
    ):
        await wire.refused(other, StatusCode.ALREADY_EXISTS)
        await wire.connect(one)


async def test_an_unknown_session_id_neither_displaces_nor_hinders(wire: Wire) -> None:
    """connection 28."""
    peer = await wire.connect(agent())
    other = await wire.connect(agent("other"))
    for session_id in (str(uuid.uuid4()), other.ack.session_id):
        await wire.refused(agent(resume_session_id=session_id), StatusCode.ALREADY_EXISTS)
    await peer.expect_nothing()
    fresh = await wire.connect(agent("free", resume_session_id=str(uuid.uuid4())))
    assert (fresh.ack.resumed, fresh.ack.reconnection_count) == (False, 0)


async def test_a_pool_task_that_resumes_keeps_its_id_and_topic(wire: Wire) -> None:
    """connection W-3."""
    old = await wire.connect(task())
    new = await wire.connect(task(resume_session_id=old.ack.session_id))
    assert new.ack.resumed
    assert new.ack.assigned_id == old.ack.assigned_id
    new.send(f"ta::w::i::{old.ack.assigned_id}", b"still me")
    assert await new.expect_payloads(1) == [b"still me"]


async def test_the_end_of_a_displaced_session_does_not_touch_its_successor(wire: Wire) -> None:
    """connection W-2."""
    old = await wire.connect(service())
    await wire.connect(service(resume_session_id=old.ack.session_id))
    await old.expect("signal")
    await old.expect_status(StatusCode.CANCELLED)
    sender = await wire.connect(agent())
    sender.send("sv::i", b"any instance")
    await sender.expect_nothing()
    await wire.refused(service(), StatusCode.ALREADY_EXISTS)


async def test_a_restarted_gateway_accepts_its_clients_at_once(tmp_path: Path) -> None:
    """connection 32; a gateway that stopped in order has given up its locks."""
    config = Config.development(tmp_path / "d")
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            old = (await wire.connect(agent())).ack
            await gateway.drain()
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            new = (await wire.connect(agent(resume_session_id=old.session_id))).ack
            assert (new.resumed, new.initial_connection_unix_ms) == (True, old.initial_connection_unix_ms)
            await wire.refused(agent(), StatusCode.ALREADY_EXISTS)


@pytest.fixture
async def restless(tmp_path: Path, clock: WallClock) -> AsyncIterator[Gateway]:
    """A gateway whose locks last a second."""
    config = Config.development(tmp_path / "restless", gateway={"lock_ttl": "1s"})
    async with Gateway(config, wall_clock=clock) as gateway:
        yield gateway


async def test_a_clock_that_is_set_ends_no_session(restless: Gateway, clock: WallClock) -> None:
    """connection W-10: nor a machine that slept; locks that nobody took meanwhile are renewed."""
    assert restless.port is not None
    async with open_wire(restless.port) as wire:
        peer = await wire.connect(agent())
        clock.advance(3600)
        with trio.fail_after(PATIENCE_S):
            while await restless.services.locks.holder("ag::w::i::s") is None:  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.05)
        await peer.expect_nothing()
        await wire.refused(agent(), StatusCode.ALREADY_EXISTS)


async def test_who_takes_a_lock_that_ran_out_displaces_its_holder(restless: Gateway, clock: WallClock) -> None:
    """connection 33: there is one session at any time."""
    assert restless.port is not None
    async with open_wire(restless.port) as wire:
        old = await wire.connect(agent())
        clock.advance(3600)
        new = await wire.connect(agent())
        assert not new.ack.resumed
        assert (await old.expect("signal")).type == pb.Signal.FORCE_DISCONNECT
        await old.expect_status(StatusCode.CANCELLED, "superseded")
        await new.expect_nothing()


async def test_a_session_without_its_lock_ends(restless: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """connection 35: its identity could be granted elsewhere soon."""

    async def away(_: Any) -> set[str]:
        raise StoreUnavailable

    assert restless.port is not None
    async with open_wire(restless.port) as wire:
        peer = await wire.connect(agent())
        monkeypatch.setattr(restless.services.tier.locks, "refresh", away)
        await peer.expect_status(StatusCode.CANCELLED, "session lock lost")
        monkeypatch.undo()
        await wire.connect(agent())


async def test_a_client_that_is_cut_off_silently_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """connection 34: no FIN, no reset; its identity is free after the keepalive."""
    config = Config.development(tmp_path / "d")
    limits = configured.rpc_limits(config)
    assert (limits.keepalive_after, limits.keepalive_timeout) == (30, 10)
    monkeypatch.setattr(configured, "rpc_limits", lambda _: replace(limits, keepalive_after=0.3, keepalive_timeout=0.3))
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        link = Link(f"127.0.0.1:{gateway.port}")
        link.mute_after(b"last words")
        async with (
            open_wire(gateway.port) as wire,
            connect_stream(await link.open_transport()) as channel,
            channel.call(CONNECT) as call,
        ):
            peer = Peer(call)
            peer.say(init=agent())
            await peer.expect("connection_ack")
            peer.send("ag::w::i::other", b"last words")
            await wire.refused(agent(), StatusCode.ALREADY_EXISTS)
            await reconnect(wire, agent())
            assert link.muted
            link.cut()


# ----------------------------------------------------------------------------------------------- quota, credentials


async def test_the_quota_of_a_workspace_counts_live_sessions(tmp_path: Path) -> None:
    """connection 41, 43."""
    config = Config.development(tmp_path / "d", quotas={"enabled": True, "max_connections_per_workspace": 2})
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            first = await wire.connect(agent("1"))
            await wire.connect(agent("2"))
            await wire.refused(agent("3"), StatusCode.RESOURCE_EXHAUSTED, "limit 2")
            await wire.refused(agent("1"), StatusCode.ALREADY_EXISTS)
            await wire.connect(agent("3", workspace="elsewhere"))
            resumed = await wire.connect(agent("1", resume_session_id=first.ack.session_id))
            assert resumed.ack.resumed
            await (await wire.connect(user())).close()
            assert gateway.sessions == 3
            await resumed.close()
            await wire.connect(agent("3"))
            await wire.refused(agent("1"), StatusCode.RESOURCE_EXHAUSTED, "current 2, limit 2")


async def test_the_quota_holds_for_clients_that_come_at_once(tmp_path: Path) -> None:
    """connection 41: checking and counting are one step."""
    config = Config.development(tmp_path / "d", quotas={"enabled": True, "max_connections_per_workspace": 2})
    statuses: list[str] = []
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            peers = [await wire.open() for _ in range(20)]
            async with trio.open_nursery() as nursery:
                for number, peer in enumerate(peers):
                    peer.say(init=agent(str(number)))
                    nursery.start_soon(outcome, peer, statuses)
            assert sorted(statuses) == ["RESOURCE_EXHAUSTED"] * 18 + ["ack"] * 2
            assert gateway.sessions == 2
            held = [await gateway.services.locks.holder(f"ag::w::i::{number}") for number in range(20)]
            assert len([lock for lock in held if lock is not None]) == 2


async def outcome(peer: Peer, statuses: list[str]) -> None:
    """How a connect ends: with an acknowledgement, or the name of a status."""
    try:
        await peer.expect("connection_ack")
    except RpcError as error:
        statuses.append(error.code.name)
    else:
        statuses.append("ack")


async def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    """connection 43: whichever step refuses, the identity is free and nobody is listed. (A rule: access 2.)"""
    config = Config.development(tmp_path / "d", quotas={"enabled": True, "max_connections_per_workspace": 1})
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            other = await wire.connect(agent("other"))
            await wire.refused(agent(credentials={"x-api-key": "wrong"}), StatusCode.UNAUTHENTICATED)
            await wire.refused(agent(), StatusCode.RESOURCE_EXHAUSTED)
            await other.close()
            peer = await wire.open()
            peer.say(init=agent(extensions=[pb.ExtensionDeclaration(uri="urn:x", required=True)]))
            await peer.expect("connection_ack")
            await peer.expect("signal")
            await peer.expect_status(StatusCode.FAILED_PRECONDITION)
            assert gateway.sessions == 0
            assert await gateway.services.locks.holder("ag::w::i::s") is None
            await wire.connect(agent())


@pytest.mark.parametrize("key", ["token", "task_token", "api_key", "x-api-key", "authorization", "bearer_token"])
async def test_a_credential_that_cannot_be_verified_is_refused(wire: Wire, gateway: Gateway, key: str) -> None:
    """connection 43, 53."""
    await wire.refused(agent(credentials={key: "wrong"}), StatusCode.UNAUTHENTICATED)
    assert gateway.sessions == 0
    await wire.connect(agent())


# ------------------------------------------------------------------------------------------------------ extensions


async def test_unknown_optional_extensions_are_answered_in_order(wire: Wire) -> None:
    """connection 70, 72."""
    declared = [pb.ExtensionDeclaration(uri="c", version="1.2"), pb.ExtensionDeclaration(uri="")]
    metadata = (("aether-extensions", "a, b"), ("aether-extensions", "d,,"))
    peer = await wire.connect(agent(extensions=declared), metadata)
    entries = [(item.uri, item.version, item.supported) for item in peer.ack.negotiated_extensions]
    assert entries == [("c", "1.2", False), ("a", "", False), ("b", "", False), ("d", "", False)]
    assert all(item.rejection_reason for item in peer.ack.negotiated_extensions)
    await peer.expect_nothing()


async def test_an_unknown_required_extension_ends_the_connect_after_the_ack(wire: Wire) -> None:
    """connection 43, 71, W-6: nothing that waits for the client is consumed by it."""
    sender = await wire.connect(agent("sender"))
    sender.send("ag::w::i::s", b"waits")
    await sender.settle()
    peer = await wire.open()
    peer.say(init=agent(extensions=[pb.ExtensionDeclaration(uri="urn:x", required=True)]))
    ack = await peer.expect("connection_ack")
    assert [(item.uri, item.supported) for item in ack.negotiated_extensions] == [("urn:x", False)]
    assert (await peer.expect("signal")).type == pb.Signal.FORCE_DISCONNECT
    await peer.expect_status(
        StatusCode.FAILED_PRECONDITION, "ERR_EXTENSION_UNSUPPORTED: extension required but not supported: urn:x"
    )
    again = await wire.connect(agent())
    assert await again.expect_payloads(1) == [b"waits"]


async def test_agents_may_use_the_extensions_of_their_registration(wire: Wire, gateway: Gateway) -> None:
    """connection 73: nobody else may, and each declaration is on record."""
    registrar = await wire.connect(orchestrator("o"))
    info = pb.AgentRegistrationInfo(implementation="i", launch_params={"profile": "p"}, extensions=["urn:x", "urn:y"])
    registrar.say(agent_op=pb.AgentOperation(op=pb.AgentOperation.REGISTER, agent=info))
    assert (await registrar.expect("agent")).success
    declared = [pb.ExtensionDeclaration(uri="urn:x", version="3", required=True), pb.ExtensionDeclaration(uri="urn:z")]
    peer = await wire.connect(agent(extensions=declared), (("aether-extensions", "urn:y"),))
    assert list(peer.ack.negotiated_extensions) == [
        pb.NegotiatedExtension(uri="urn:x", version="3", supported=True),
        pb.NegotiatedExtension(uri="urn:z", rejection_reason="extension URI not supported by this gateway"),
        pb.NegotiatedExtension(uri="urn:y", supported=True),
    ]
    await peer.expect_nothing()
    for init in (user(extensions=declared), service(extensions=declared), task("t", extensions=declared)):
        other = await wire.open()
        other.say(init=init)
        assert not (await other.expect("connection_ack")).negotiated_extensions[0].supported
        await other.expect("signal")
        await other.expect_status(StatusCode.FAILED_PRECONDITION, "urn:x")
    stranger = await wire.open()
    stranger.say(init=agent(implementation="unregistered", extensions=declared))
    assert not (await stranger.expect("connection_ack")).negotiated_extensions[0].supported
    registrar.say(audit_query=pb.AuditQuery(operation="extension_negotiated", actor_id="ag::w::i::s", limit=10))
    rows = (await registrar.expect("audit_response")).entries
    assert {(row.resource_id, row.success) for row in rows} == {("urn:x", True), ("urn:y", True), ("urn:z", True)}
    registrar.say(audit_query=pb.AuditQuery(operation="extension_negotiated", actor_id="us::alice::w1", limit=10))
    rows = (await registrar.expect("audit_response")).entries
    assert {(row.resource_id, row.success) for row in rows} == {("urn:x", False), ("urn:z", True)}


async def test_active_extensions_of_a_message_are_ignored(wire: Wire) -> None:
    """connection 74."""
    peer = await wire.connect(agent())
    message = pb.UpstreamMessage(send=pb.SendMessage(target_topic="ag::w::i::s", payload=b"x"))
    message.active_extensions.append("urn:unknown")
    peer.write(message)
    assert await peer.expect_payloads(1) == [b"x"]


# ------------------------------------------------------------------------------------------------- ends of a stream


async def test_a_drain_tells_the_clients_to_come_back(wire: Wire, gateway: Gateway) -> None:
    """connection 76, 77: the Python client, whose synchronous form stops for good on a signal, gets the status only."""
    plain, python = await wire.connect(agent("1")), await wire.connect(agent("2", client_sdk="python"))
    await gateway.drain()
    signal = await plain.expect("signal")
    assert (signal.type, signal.reason) == (pb.Signal.GRACEFUL_DISCONNECT, "server shutting down")
    await plain.expect_status(StatusCode.UNAVAILABLE, "gateway draining")
    await python.expect_status(StatusCode.UNAVAILABLE, "gateway draining")
    assert gateway.sessions == 0


async def test_a_drain_does_not_wait_for_who_says_nothing(wire: Wire, gateway: Gateway) -> None:
    """connection 76: nor does it admit who speaks up during it."""
    silent = await wire.open()
    silent.call.flush()
    await wait_half_open(gateway, 1)
    with trio.fail_after(PATIENCE_S):
        await gateway.drain()
    await silent.expect_status(StatusCode.UNAVAILABLE, "gateway draining")


async def wait_half_open(gateway: Gateway, count: int) -> None:
    """Until so many streams are there that have said nothing."""
    with trio.fail_after(PATIENCE_S):
        while len(gateway.services.half_open) != count:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.01)


async def test_who_arrives_during_a_drain_gets_no_session(wire: Wire, gateway: Gateway) -> None:
    """connection 76: a stream that was being admitted when the drain began."""
    acquire = gateway.services.tier.locks.acquire

    async def acquire_late(*arguments: Any) -> Any:
        lock = await acquire(*arguments)
        gateway.services.draining = True
        return lock

    gateway.services.tier.locks.acquire = acquire_late  # type: ignore[method-assign]
    await wire.refused(agent(), StatusCode.UNAVAILABLE, "gateway draining")
    assert await gateway.services.locks.holder("ag::w::i::s") is None


async def test_one_address_holds_few_streams_that_say_nothing(tmp_path: Path) -> None:
    """connection W-40."""
    async with Gateway(Config.development(tmp_path / "d", gateway={"max_half_open": 2})) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            silent = [await wire.open() for _ in range(2)]
            for peer in silent:
                peer.call.flush()
            await wait_half_open(gateway, 2)
            await wire.refused(agent(), StatusCode.RESOURCE_EXHAUSTED, "too many streams without InitConnection")
            await silent[0].abort()
            await wait_half_open(gateway, 1)
            peers = [await wire.connect(agent(str(number))) for number in range(3)]
            await peers[0].expect_nothing()


async def test_before_a_drain_clients_are_served_while_the_health_says_no(tmp_path: Path) -> None:
    """connection 8.3: until load balancers have noticed; then new streams are refused."""
    config = Config.development(tmp_path / "d", shutdown={"pre_drain_delay": "1h"})
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire, trio.open_nursery() as nursery:
            nursery.start_soon(gateway.drain)
            while not gateway.is_draining:
                await trio.lowlevel.checkpoint()
            peer = await wire.connect(agent())
            peer.send("ag::w::i::s", b"x")
            assert await peer.expect_payloads(1) == [b"x"]
            nursery.cancel_scope.cancel()


async def test_an_oversize_message_ends_its_stream_only(wire: Wire, gateway: Gateway) -> None:
    """connection 78."""
    assert gateway.port is not None
    bystander = await wire.connect(agent("bystander"))
    limit = 4 * 1024 * 1024
    async with connect("127.0.0.1", gateway.port) as channel, channel.call(CONNECT) as big, channel.call(CONNECT) as ok:
        for call, name in ((big, "big"), (ok, "ok")):
            call.send(frame(pb.UpstreamMessage(init=agent(name)).SerializeToString()))
            call.flush()
            await call.receive()
            await call.receive()
        peer = Peer(big)
        peer.write_bytes(bytes(limit + 1))
        await peer.expect_status(StatusCode.RESOURCE_EXHAUSTED)
        await Peer(ok).expect_nothing()
    await bystander.expect_nothing()
    await reconnect(wire, agent("big"))


async def test_what_was_asked_before_the_half_close_is_answered(wire: Wire) -> None:
    """connection 77, ruling 8."""
    peer = await wire.connect(agent())
    peer.call.send(frame(pb.UpstreamMessage(kv_op=put("k", "1")).SerializeToString()))
    checkpoint = pb.CheckpointOperation(op=pb.CheckpointOperation.SAVE, data=b"x", request_id="2")
    peer.call.send(frame(pb.UpstreamMessage(checkpoint_op=checkpoint).SerializeToString()))
    peer.call.half_close()
    peer.call.flush()
    assert (await peer.expect("kv")).request_id == "1"
    assert (await peer.expect("checkpoint")).request_id == "2"
    await peer.expect_status(StatusCode.OK)


async def test_many_comings_and_goings_leave_no_session(wire: Wire, gateway: Gateway) -> None:
    """connection 96: however they end, and wherever a user went meanwhile."""
    for index in range(40):
        peer = await wire.connect(agent(f"s{index % 4}"))
        await peer.close()
        alice = await wire.connect(user("alice", str(index)))
        alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="elsewhere"))
        await alice.settle()
        if index % 2:
            alice = await wire.connect(user("alice", str(index), resume_session_id=alice.ack.session_id))
        await alice.abort()
    last = await wire.connect(agent("last"))
    await wire.refused(agent("last"), StatusCode.ALREADY_EXISTS)
    last.say(init=agent("last"))
    await last.expect_status(StatusCode.INVALID_ARGUMENT)
    await wire.connect(agent("last"))
    with trio.fail_after(PATIENCE_S):
        while gateway.sessions > 1:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.01)
    lines = gateway.metrics.exposition().decode().splitlines()
    active = {line for line in lines if line.startswith("aether_active_connections{") and not line.endswith(" 0.0")}
    assert active == {'aether_active_connections{principal_type="Agent",workspace="w"} 1.0'}


# ------------------------------------------------------------------------------------------------ what clients rely on


@pytest.mark.parametrize(
    "kind",
    [
        "kv_op",
        "checkpoint_op",
        "task_op",
        "task_query",
        "task_subscription_op",
        "workspace_op",
        "agent_op",
        "acl_op",
        "token_op",
        "session_op",
        "authority_grant_op",
        "authority_request_op",
        "workflow_op",
    ],
)
@pytest.mark.parametrize("init", [orchestrator("x"), agent()], ids=["orchestrator", "agent"])
async def test_sdk_44_45_operations_that_are_none_are_answered(wire: Wire, init: pb.InitConnection, kind: str) -> None:
    """Whoever asks, and whether or not this gateway has the feature: one typed answer with the id, which says no. An
    error beside it, for who waits for that, names the operation too."""
    peer = await wire.connect(init)
    message = pb.UpstreamMessage()
    operation = getattr(message, kind)
    operation.op = 99
    id_name = "client_request_id" if hasattr(operation, "client_request_id") else "request_id"
    setattr(operation, id_name, "mine")
    peer.write(message)
    answer = await peer.receive()
    if answer.WhichOneof("payload") == "error":
        assert answer.error.request_id == "mine"
        answer = await peer.receive()
    assert answer.WhichOneof("payload") == ANSWERED_BY[kind]
    response = getattr(answer, ANSWERED_BY[kind])
    assert (response.success, getattr(response, id_name)) == (False, "mine")
    await peer.settle()


async def test_sdk_61_equal_ids_of_different_clients_are_different_questions(wire: Wire) -> None:
    """As of programs that count from one."""
    peers = [await wire.connect(agent(name)) for name in ("one", "two")]
    exclusive = pb.KVOperation.GLOBAL_EXCLUSIVE
    for peer, value in zip(peers, (b"1", b"2"), strict=True):
        store = pb.KVOperation(op=pb.KVOperation.PUT, scope=exclusive, key="k", value=value, request_id="req-1")
        peer.say(kv_op=store)
    for peer in peers:
        peer.say(kv_op=pb.KVOperation(op=pb.KVOperation.GET, scope=exclusive, key="k", request_id="req-1"))
    for peer, value in zip(peers, (b"1", b"2"), strict=True):
        answers = [await peer.expect("kv") for _ in range(2)]
        assert [(answer.success, answer.request_id, answer.value) for answer in answers] == [
            (True, "req-1", b""),
            (True, "req-1", value),
        ]
