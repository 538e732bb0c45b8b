"""Topics, limits, delivery, workspaces and progress: the checklist of the routing chapter on the wire."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import PingReceived
from tests.support.exposition import errors_counted
from tests.support.link import Link
from tests.support.metrics import metric
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
from aether.errors import StoreUnavailable
from aether.gateway import session
from aether.gateway.gateway import CONNECT
from aether.proto import aether_pb2 as pb
from aether.rpc.client import connect_stream
from aether.rpc.status import frame

MIB = 1024 * 1024
ME = "ag::w::i::s"


# ---------------------------------------------------------------------------------------------------------- topics


async def test_a_message_names_its_true_sender(wire: Wire) -> None:
    """routing 1, 2, 46."""
    receiver = await wire.connect(task("t"))
    sender = await wire.connect(agent())
    sender.send("tu::w::i::t", b"\x00\xff", pb.CHAT)
    message = await receiver.expect("msg")
    assert (message.source_topic, message.payload, message.message_type) == (ME, b"\x00\xff", pb.CHAT)
    assert not message.HasField("on_behalf_subject")


async def test_an_orchestrator_has_a_name_though_it_has_no_topic(wire: Wire) -> None:
    """routing weakness 29."""
    receiver, sender = await wire.connect(agent()), await wire.connect(orchestrator("1"))
    sender.send(ME, b"x")
    assert (await receiver.expect("msg")).source_topic == "orc::o::1"
    receiver.send("orc::o::1")
    await receiver.expect_error("ERR_INVALID_TOPIC")


UNADDRESSABLE = [
    "",
    "ag::" + "x" * 253,
    "xx::a",
    "agws",
    "ag.ws.impl.spec",
    "::a",
    "orc::x::y",
    "wfe::shard0",
    "ag::x",
    "us::alice",
    "tk::ws",
    "ag::::i::s",
    "ag::w::i::s::t",
    "ga::*",
    "ga::a b",
    "event::receiver7",
    "tk::w::t::other",
    "sv::*",
    "ag:::w::i::s",
    "ag::w:::i::s",
    "us::alice:",
    "us::alice::w1:",
    "event:::w",
]


@pytest.mark.parametrize("topic", UNADDRESSABLE, ids=lambda topic: topic[:20] or "empty")
async def test_a_topic_that_nobody_can_have_is_refused(wire: Wire, topic: str) -> None:
    """routing 12, 14, 18."""
    peer = await wire.connect(agent())
    peer.send(topic)
    await peer.expect_error("ERR_INVALID_TOPIC")
    await peer.settle()


async def test_long_names_are_addressable(wire: Wire) -> None:
    """routing 13 and weakness 31: up to the sum of what an identity may have."""
    long = "x" * 128
    receiver = await wire.connect(agent(long, workspace=long, implementation=long))
    sender = await wire.connect(agent())
    sender.send(f"ag::{long}::{long}::{long}", b"far")
    assert await receiver.expect_payloads(1) == [b"far"]


@pytest.mark.parametrize("topic", ["event::*", "event::receiver0", "event::w", "event::"])
async def test_events_reach_the_engine_with_their_workspace(wire: Wire, topic: str) -> None:
    """routing 15, 16, 17."""
    receiver, sender = await wire.connect(engine()), await wire.connect(agent())
    sender.send(topic, b"{}", pb.EVENT)
    message = await receiver.expect("msg")
    assert (message.source_topic, message.workspace, message.message_type) == (ME, "w", pb.EVENT)


async def test_metrics_reach_the_bridge_unchanged(wire: Wire) -> None:
    """routing 19."""
    receiver, sender = await wire.connect(metrics_bridge()), await wire.connect(agent())
    payload = metric(trace_id="t") + b"\xc2\x3e\x02hi"  # with a field of a newer client
    sender.send("metric::*", payload, pb.METRIC)
    message = await receiver.expect("msg")
    assert (message.payload, message.workspace) == (payload, "w")


async def test_a_service_without_instance_is_any_connected_one(wire: Wire) -> None:
    """routing 20, 21, 22."""
    sender = await wire.connect(agent())
    sender.send("sv::i", b"nobody")
    await sender.expect_error("ERR_SV_UNAVAILABLE", retryable=True)
    instances = [await wire.connect(service(name)) for name in "ab"]
    for index in range(90):
        sender.send("sv::i", b"%d" % index)
    await sender.settle()
    received = []
    for instance in instances:
        instance.send(f"sv::i::{'ab'[instances.index(instance)]}", b"last")
        mine = []
        while (payload := (await instance.expect("msg")).payload) != b"last":
            mine.append(int(payload))
        assert mine
        received += mine
    assert sorted(received) == list(range(90))


async def test_a_service_topic_with_an_empty_instance_is_concrete(wire: Wire) -> None:
    """routing 23."""
    sender = await wire.connect(agent())
    sender.send("sv::i::", b"x")
    await sender.settle()


# ------------------------------------------------------------------------------------------------- order of checks


async def test_the_size_of_a_payload_is_limited_to_a_mebibyte(wire: Wire) -> None:
    """routing 26."""
    peer = await wire.connect(agent())
    peer.send(ME, bytes(MIB + 1))
    await peer.expect_error("ERR_PAYLOAD_TOO_LARGE")
    peer.send(ME, bytes(MIB))
    peer.send(ME)
    assert await peer.expect_payloads(2) == [bytes(MIB), b""]


async def test_the_first_broken_rule_decides_the_code(wire: Wire) -> None:
    """routing 25, 28, 29, 30."""
    big = bytes(MIB + 1)
    alice, worker = await wire.connect(user()), await wire.connect(agent())
    claim = pb.AuthorizationContext(authority_mode="on_behalf_of", grant_id="none")
    worker.send("nowhere", big)
    await worker.expect_error("ERR_INVALID_TOPIC")
    alice.send("event::x", big)
    await alice.expect_error("ERR_PAYLOAD_TOO_LARGE")
    alice.send("metric::*", b"\xff", pb.METRIC)
    await alice.expect_error("ERR_PERMISSION_DENIED")
    worker.send("metric::*", b"\xff", pb.METRIC, authorization=claim)
    await worker.expect_error("ERR_METRIC_INVALID")
    worker.send(ME, b"x", authorization=claim)
    await worker.expect_error("ERR_PERMISSION_DENIED")
    await alice.settle()
    await worker.settle()


@pytest.mark.parametrize(
    "context",
    [
        pb.AuthorizationContext(authority_mode="direct", grant_id="g"),
        pb.AuthorizationContext(authority_mode="whatever"),
        pb.AuthorizationContext(authority_mode="on_behalf_of", grant_id="g"),
        pb.AuthorizationContext(grant_id="g"),
    ],
    ids=["direct with grant", "unknown mode", "no subject", "grant only"],
)
async def test_an_authorization_that_cannot_be_checked_is_refused(wire: Wire, context: pb.AuthorizationContext) -> None:
    """routing 45, 31: and what was refused never arrives."""
    peer = await wire.connect(agent())
    peer.send("ag::w::i::absent", b"refused", authorization=context)
    await peer.expect_error("ERR_PERMISSION_DENIED")
    peer.send("ag::w::i::absent", b"accepted", authorization=pb.AuthorizationContext(authority_mode="direct"))
    await peer.settle()
    absent = await wire.connect(agent("absent"))
    assert await absent.expect_payloads(1) == [b"accepted"]


@pytest.mark.parametrize("workspace", ["a::b", "a*", "x" * 129, ":a"])
async def test_a_workspace_that_cannot_be_is_not_claimed(wire: Wire, workspace: str) -> None:
    """routing 1.3: what is asked of access rules and shown to receivers has the size of a name."""
    receiver = await wire.connect(engine())
    for init in (agent(), service()):
        peer = await wire.connect(init)
        for topic in ("us::alice::w1", "event::*"):
            peer.send(topic, app_workspace=workspace)
            await peer.expect_error("ERR_INVALID_IDENTIFIER", "app_workspace")
    await receiver.expect_nothing()


@pytest.mark.parametrize(
    ("field", "code"),
    [("checked_access", "ERR_INVALID_ARGUMENT"), ("authority_continuation", "ERR_INVALID_ARGUMENT")],
)
async def test_a_message_with_a_demand_that_cannot_be_met_is_refused(wire: Wire, field: str, code: str) -> None:
    """ruling 13: never served as if the field were absent."""
    peer = await wire.connect(agent())
    message = pb.SendMessage(target_topic=ME, payload=b"x")
    getattr(message, field).SetInParent()
    peer.say(send=message)
    await peer.expect_error(code)
    await peer.settle()


# ----------------------------------------------------------------------------------------------- permission matrix

TOPICS = {
    "ag": "ag::w::x::y",
    "tu": "tu::w::x::y",
    "ta": "ta::w::x::y",
    "tb": "tb::w::x",
    "us": "us::bob::w",
    "uw": "uw::bob::w",
    "uu": "uu::bob",
    "ga": "ga::other",
    "gu": "gu::other",
    "br": "br::x::y",
    "sv": "sv::x::y",
    "tk": "tk::w::t::msg",
    "event": "event::*",
    "metric": "metric::*",
    "pg": "pg::w",
    "tk events": "tk::w::t::events",
}
DIRECT = {"ag", "tu", "ta", "tb"}
PEOPLE = {"us", "uw", "ga", "gu", "br", "sv", "tk"}
MATRIX = {
    "agent": (agent(), DIRECT | PEOPLE | {"event", "metric"}),
    "task": (task("t"), DIRECT | PEOPLE | {"event", "metric"}),
    "user": (user(), DIRECT | PEOPLE),
    "orchestrator": (orchestrator(), DIRECT),
    "service": (service(), DIRECT | PEOPLE | {"event", "metric", "uu"}),
    "bridge": (bridge(), DIRECT | PEOPLE | {"event", "metric", "uu"}),
    "engine": (engine(), DIRECT | PEOPLE | {"event", "metric", "uu"}),
    "metrics bridge": (metrics_bridge(), set()),
}


@pytest.mark.parametrize(("init", "allowed"), MATRIX.values(), ids=MATRIX)
async def test_who_may_send_where(wire: Wire, init: pb.InitConnection, allowed: set[str]) -> None:
    """routing 32 to 37."""
    peer = await wire.connect(init)
    for family, topic in TOPICS.items():
        peer.send(topic, metric(), pb.METRIC if family == "metric" else pb.OPAQUE)
        if family not in allowed:
            await peer.expect_error("ERR_PERMISSION_DENIED", topic.split("::", maxsplit=1)[0])
        elif init.HasField("workflow_engine") and family == "event":
            assert (await peer.expect("msg")).source_topic == "event::receiver0"  # its own lane
        await peer.settle()


async def test_all_windows_of_a_user_get_what_platform_parts_tell_it(wire: Wire) -> None:
    """routing 36."""
    windows = [await wire.connect(user("alice", name)) for name in ("w1", "w2")]
    windows[0].say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="somewhere"))
    await windows[0].settle()
    sender = await wire.connect(service())
    sender.send("uu::alice", b"all of you")
    for window in windows:
        assert await window.expect_payloads(1) == [b"all of you"]


# --------------------------------------------------------------------------------------------------------- metrics

ENTRY = pb.MetricEntry(name="n", qty=1)
REFUSED_METRICS = {
    "no entries": (metric(entries=[]), "ERR_METRIC_EMPTY"),
    "too many entries": (metric(entries=[ENTRY] * 1025), "ERR_METRIC_EMPTY"),
    "too much metadata": (metric(metadata={str(n): "" for n in range(65)}), "ERR_METRIC_INVALID"),
    "no name": (metric(entries=[pb.MetricEntry(qty=1)]), "ERR_METRIC_INVALID_ENTRY"),
    "not a number": (metric(entries=[pb.MetricEntry(name="n", qty=float("nan"))]), "ERR_METRIC_INVALID_ENTRY"),
    "infinite": (metric(entries=[pb.MetricEntry(name="n", qty=float("-inf"))]), "ERR_METRIC_INVALID_ENTRY"),
    "negative": (metric(entries=[pb.MetricEntry(name="n", qty=-1)]), "ERR_METRIC_NEGATIVE_FORBIDDEN"),
    "no metric": (b"\xff", "ERR_METRIC_INVALID"),
}


@pytest.mark.parametrize(("payload", "code"), REFUSED_METRICS.values(), ids=REFUSED_METRICS)
async def test_a_metric_is_checked(wire: Wire, payload: bytes, code: str) -> None:
    """routing 48 to 50; 51: wherever it goes to; 52: whatever a message to the metrics lane calls itself."""
    peer = await wire.connect(agent())
    for topic, kind in (("metric::*", pb.METRIC), (ME, pb.METRIC), ("metric::*", pb.OPAQUE)):
        peer.send(topic, payload, kind)
        await peer.expect_error(code)
    await peer.settle()


async def test_the_largest_metric_is_accepted(wire: Wire) -> None:
    """routing 48, 49."""
    peer = await wire.connect(agent())
    payload = metric(entries=[ENTRY] * 1024, metadata={str(n): "" for n in range(64)})
    peer.send(ME, payload, pb.METRIC)
    assert await peer.expect_payloads(1) == [payload]


# ---------------------------------------------------------------------------------------------------------- limits


async def test_a_burst_over_the_rate_is_refused_with_a_time_to_wait(tmp_path: Path, engine: str) -> None:
    """routing 53, 27, 56: what is too large costs nothing, progress does, key/value operations do not."""
    limits = {"message_rate_limit": 0.01, "message_rate_burst": 3}
    async with Gateway(Config.development(tmp_path / "d", gateway=limits)) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            peer = await wire.connect(agent())
            for _ in range(5):
                peer.send(ME, bytes(MIB + 1))
                await peer.expect_error("ERR_PAYLOAD_TOO_LARGE")
            for index in range(2):
                peer.send(ME, b"%d" % index)
            peer.say(progress=pb.ProgressReport(state="running"))
            assert await peer.expect_payloads(2) == [b"0", b"1"]
            peer.send(ME)
            assert (await peer.expect_error("ERR_RATE_LIMITED", retryable=True)).retry_after_ms >= 10
            peer.say(progress=pb.ProgressReport(state="running"))
            error = await peer.expect_error("ERR_RATE_LIMITED", "progress report rate limit exceeded", retryable=True)
            assert error.retry_after_ms >= 10
            assert errors_counted(gateway) == {"payload_too_large": 5, "rate_limited": 2}
            for index in range(9):
                peer.say(kv_op=pb.KVOperation(op=pb.KVOperation.PUT, key="k", request_id=str(index)))
                assert (await peer.expect("kv")).success


async def test_moving_to_another_workspace_gives_no_new_burst(tmp_path: Path, engine: str) -> None:
    """routing 53: a user could have sent without limit by moving to and fro."""
    limits = {"message_rate_limit": 0.01, "message_rate_burst": 1}
    quotas = {"enabled": True, "max_message_rate_per_identity": 1}
    for name, config in {"a": {"gateway": limits}, "b": {"quotas": quotas}}.items():
        async with Gateway(Config.development(tmp_path / name, **config)) as gateway:
            assert gateway.port is not None
            async with open_wire(gateway.port) as wire:
                peer = await wire.connect(user())
                for workspace in ("w", "elsewhere", "w"):
                    peer.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id=workspace))
                    peer.send("us::alice::w1")
                received = [await peer.receive() for _ in range(3)]
                assert sum(message.HasField("error") for message in received) == 2


async def test_the_rate_of_a_workspace_is_shared(tmp_path: Path, engine: str) -> None:
    """routing 54."""
    limits = {"workspace_rate_limit": 0.01}
    async with Gateway(Config.development(tmp_path / "d", gateway=limits)) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            first, second = await wire.connect(agent("1")), await wire.connect(agent("2"))
            elsewhere = await wire.connect(agent("3", workspace="elsewhere"))
            first.send("ag::w::i::1")
            assert await first.expect_payloads(1) == [b""]
            second.send("ag::w::i::1")
            error = await second.expect_error("ERR_WORKSPACE_RATE_LIMITED", retryable=True)
            assert 10_000 < error.retry_after_ms <= 100_001, "the next token comes in 100 s"
            assert errors_counted(gateway) == {"workspace_rate_limited": 1}
            elsewhere.send("ag::w::i::1")
            assert await first.expect_payloads(1) == [b""]


async def test_the_quota_of_an_identity(tmp_path: Path, engine: str) -> None:
    """routing 55."""
    quotas = {"enabled": True, "max_message_rate_per_identity": 5}
    async with Gateway(Config.development(tmp_path / "d", quotas=quotas)) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            peer = await wire.connect(agent())
            peer.write(*[pb.UpstreamMessage(send=pb.SendMessage(target_topic=ME)) for _ in range(6)])
            assert await peer.expect_payloads(5) == [b""] * 5
            error = await peer.expect_error("ERR_QUOTA_001", "current 5, limit 5", retryable=True)
            assert 10 <= error.retry_after_ms <= 1001
            assert errors_counted(gateway) == {"quota_exceeded": 1}
            with trio.fail_after(PATIENCE_S):
                while True:
                    peer.send(ME, b"in the next second")
                    if (await peer.receive()).WhichOneof("payload") == "msg":
                        break
                    await trio.sleep(0.05)


async def test_after_a_switch_the_new_workspace_counts(tmp_path: Path, engine: str) -> None:
    """routing 82."""
    limits = {"workspace_rate_limit": 0.01}
    async with Gateway(Config.development(tmp_path / "d", gateway=limits)) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            alice, bob = await wire.connect(user()), await wire.connect(user("bob"))
            for workspace in ("ws1", "ws2"):
                alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id=workspace))
                alice.send("us::alice::w1")
                assert await alice.expect_payloads(1) == [b""]
                alice.send("us::alice::w1")
                await alice.expect_error("ERR_WORKSPACE_RATE_LIMITED", f"workspace {workspace}", retryable=True)
            bob.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="ws1"))
            bob.send("us::bob::w1")
            await bob.expect_error("ERR_WORKSPACE_RATE_LIMITED", "workspace ws1", retryable=True)


# -------------------------------------------------------------------------------------------------------- delivery


async def test_what_was_sent_meanwhile_arrives_once_and_in_order(wire: Wire) -> None:
    """routing 58, 60, 68."""
    sender, receiver = await wire.connect(agent("sender")), await wire.connect(agent())
    sender.send(ME, b"before")
    assert await receiver.expect_payloads(1) == [b"before"]
    await receiver.close()
    expected = [b"%d" % index for index in range(300)]
    for payload in expected:
        sender.send(ME, payload)
    await sender.settle()
    receiver = await wire.connect(agent())
    assert await receiver.expect_payloads(300) == expected
    await receiver.close()
    receiver = await wire.connect(agent())
    await receiver.expect_nothing()


async def test_a_restart_loses_nothing(tmp_path: Path, engine: str) -> None:
    """routing 61."""
    config = Config.development(tmp_path / "d")
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            sender = await wire.connect(agent("sender"))
            for index in range(10):
                sender.send(ME, b"%d" % index)
            await sender.settle()
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            receiver = await wire.connect(agent())
            assert await receiver.expect_payloads(10) == [b"%d" % index for index in range(10)]


async def test_a_users_first_connect_begins_now_and_its_next_where_it_left(wire: Wire) -> None:
    """routing 62, 63, 64, 66: also when nothing arrived during the first connection."""
    sender = await wire.connect(service())
    topics = ["uu::alice", "gu::w", "uw::alice::w"]
    on_w = pb.SwitchWorkspace(new_workspace_id="w")

    async def publish(payload: bytes) -> None:
        for topic in topics:
            sender.send(topic, payload)
        await sender.settle()

    await publish(b"history")
    alice = await wire.connect(user())
    alice.say(switch_workspace=on_w)
    await alice.expect_nothing()
    await alice.close()
    await publish(b"missed")
    alice = await wire.connect(user())
    assert await alice.expect_payloads(1) == [b"missed"]
    alice.say(switch_workspace=on_w)
    assert await alice.expect_payloads(2) == [b"missed"] * 2
    await alice.expect_nothing()
    window = await wire.connect(user("alice", "new"))
    window.say(switch_workspace=on_w)
    await window.expect_nothing()


async def test_the_history_of_a_workspace_is_not_replayed_to_agents(wire: Wire) -> None:
    """routing 65."""
    sender = await wire.connect(agent("sender"))
    sender.send("ga::w", b"history")
    assert await sender.expect_payloads(1) == [b"history"]
    newcomer = await wire.connect(agent())
    await newcomer.expect_nothing()
    sender.send("ga::w", b"now")
    assert await newcomer.expect_payloads(1) == [b"now"]


async def test_a_broadcast_reaches_everyone_once_also_its_sender(wire: Wire) -> None:
    """routing 72, 73."""
    peers = [await wire.connect(agent(str(number))) for number in range(4)]
    peers[0].send("ga::w", b"hello")
    for peer in peers:
        assert await peer.expect_payloads(1) == [b"hello"]
        await peer.expect_nothing()


async def test_all_receivers_of_a_broadcast_see_one_order(wire: Wire) -> None:
    """routing 69."""
    senders = [await wire.connect(agent(str(number), workspace="elsewhere")) for number in range(4)]
    receivers = [await wire.connect(agent(str(number))) for number in range(3)]
    for index in range(100):
        for number, sender in enumerate(senders):
            sender.send("ga::w", b"%d-%d" % (number, index))
    orders = [await receiver.expect_payloads(400) for receiver in receivers]
    assert orders[0] == orders[1] == orders[2]
    for number in range(4):
        mine = [payload for payload in orders[0] if payload.startswith(b"%d-" % number)]
        assert mine == [b"%d-%d" % (number, index) for index in range(100)]


async def test_a_receiver_that_pauses_gets_everything_later_and_hinders_nobody(wire: Wire) -> None:
    """routing 70, 76."""
    sender = await wire.connect(agent("sender", workspace="elsewhere"))
    slow, fast = await wire.connect(agent("slow")), await wire.connect(agent("fast"))
    slow.call.pause_reading()
    expected = [b"%05d" % index + bytes(1024) for index in range(3000)]
    sender.write(
        *[pb.UpstreamMessage(send=pb.SendMessage(target_topic="ag::w::i::slow", payload=item)) for item in expected]
    )
    sender.send("ga::w", b"both")
    assert await fast.expect_payloads(1) == [b"both"]
    slow.call.resume_reading()
    received = await slow.expect_payloads(3001)
    assert [item for item in received if item != b"both"] == expected


async def test_what_a_lost_receiver_was_not_handed_comes_after_its_return(wire: Wire) -> None:
    """routing 71: perhaps with some of what it was handed, never without the rest."""
    sender, receiver = await wire.connect(agent("sender")), await wire.connect(agent())
    receiver.call.pause_reading()
    expected = [b"%05d" % index + bytes(1024) for index in range(3000)]
    sender.write(*[pb.UpstreamMessage(send=pb.SendMessage(target_topic=ME, payload=item)) for item in expected])
    await sender.settle()
    await receiver.abort()
    again = await wire.connect(agent(resume_session_id=receiver.ack.session_id))
    first = (await again.expect("msg")).payload
    position = expected.index(first)
    assert await again.expect_payloads(len(expected) - position - 1) == expected[position + 1 :]


def hello(client: H2Connection) -> bytes:
    """What an agent says first, in a stream with the number 1."""
    client.initiate_connection()
    client.send_headers(
        1,
        [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", CONNECT.encode()),
            (b":authority", b"localhost"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        ],
    )
    client.send_data(1, frame(pb.UpstreamMessage(init=agent()).SerializeToString()))
    return client.data_to_send()


async def test_what_left_before_a_half_close_does_not_come_again(wire: Wire, gateway: Gateway) -> None:
    """routing 68: also when it comes before the answer to the PING that asks for it."""
    sender = await wire.connect(agent("sender"))
    client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
        await stream.send_all(hello(client))
        with trio.fail_after(PATIENCE_S):
            while gateway.sessions < 2:
                await sender.settle()
            sender.send(ME, b"once")
            asked = False
            while not asked:
                events = client.receive_data(await stream.receive_some())
                asked = any(isinstance(event, PingReceived) for event in events)
            client.clear_outbound_data_buffer()  # the answer is in it
            client.end_stream(1)
            await stream.send_all(client.data_to_send())
            while gateway.sessions > 1:
                await sender.settle()
    again = await wire.connect(agent())
    sender.send(ME, b"next")
    assert await again.expect_payloads(1) == [b"next"]


async def test_a_half_close_with_a_reset_behind_it_confirms_nothing(wire: Wire, gateway: Gateway) -> None:
    """routing 71: in one write, as of a client that is cancelled; what was queued for it has never left."""
    sender = await wire.connect(agent("sender"))
    expected = [b"%05d" % index + bytes(1024) for index in range(1000)]
    client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    async with await trio.open_tcp_stream("127.0.0.1", gateway.port) as stream:
        await stream.send_all(hello(client))
        with trio.fail_after(PATIENCE_S):
            while gateway.sessions < 2:
                await sender.settle()
        sender.write(*[pb.UpstreamMessage(send=pb.SendMessage(target_topic=ME, payload=item)) for item in expected])
        await sender.settle()
        client.end_stream(1)
        client.reset_stream(1)
        await stream.send_all(client.data_to_send())
        with trio.fail_after(PATIENCE_S):
            while gateway.sessions > 1:
                await sender.settle()
    again = await wire.connect(agent())
    assert await again.expect_payloads(len(expected)) == expected


async def test_what_is_older_than_the_retention_does_not_come(tmp_path: Path, engine: str) -> None:
    """routing 77; and a place in a topic is kept as long as without it something would come again."""
    clock = WallClock()
    async with Gateway(Config.development(tmp_path / "d"), wall_clock=clock) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            sender = await wire.connect(agent("sender"))
            sender.send(ME, b"old")
            await sender.settle()
            clock.advance(3600)
            sender.send(ME, b"young")
            await sender.settle()
            await gateway.services.log.trim(max_age_ms=1_800_000, max_bytes=0)
            receiver = await wire.connect(agent())
            assert await receiver.expect_payloads(1) == [b"young"]
            await receiver.close()
            clock.advance(30 * 86_400)
            await gateway.services.log.trim(max_age_ms=0, max_bytes=0)
            await (await wire.connect(agent())).expect_nothing()


async def test_what_became_too_old_while_no_gateway_ran_goes_at_the_start(tmp_path: Path, engine: str) -> None:
    """routing 77."""
    clock = WallClock()
    config = Config.development(tmp_path / "d", storage={"message_retention": "1h"})
    async with Gateway(config, wall_clock=clock) as gateway:
        gateway.services.log.append("ag::w::i::s", b"old")
    clock.advance(7200)
    async with Gateway(config, wall_clock=clock) as gateway:
        with trio.fail_after(PATIENCE_S):
            while await gateway.services.log.read("ag::w::i::s", 0, 1):
                pass


async def test_who_reads_so_slowly_that_messages_are_gone_is_told(tmp_path: Path, engine: str) -> None:
    """routing 97: the retention is the only thing that takes messages from a reader."""
    clock = WallClock()
    async with Gateway(Config.development(tmp_path / "d"), wall_clock=clock) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            slow, quick = await wire.connect(agent()), await wire.connect(agent("quick"))
            slow.call.pause_reading()
            sent = [b"%05d" % index + bytes(1024) for index in range(3000)]
            quick.write(*[pb.UpstreamMessage(send=pb.SendMessage(target_topic=ME, payload=item)) for item in sent])
            await quick.settle()
            clock.advance(3600)
            await gateway.services.log.trim(max_age_ms=1000, max_bytes=0)
            quick.send(ME, b"young")
            await quick.settle()
            slow.call.resume_reading()
            read = []
            while (message := await slow.receive()).HasField("msg"):
                read.append(message.msg.payload)
            assert message.error.code == "BACKPRESSURE"
            assert ME in message.error.message
            assert read == sent[: len(read)]
            assert await slow.expect_payloads(1) == [b"young"]
            await slow.expect_nothing()
            assert b'aether_deliveries_shed_total{lane="ag"} 1.0' in gateway.metrics.exposition()


@pytest.mark.parametrize("topic", ["ag::w::i::late", "tb::w::late"])
async def test_a_log_that_cannot_be_read_is_read_again(
    wire: Wire, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    """routing 57: who waits for it is served later, and nobody else is concerned."""
    sender = await wire.connect(agent("sender"))
    for index in range(3):
        sender.send(topic, b"%d" % index)
    await sender.settle()
    read, refused = gateway.services.log.read, []

    async def fail(name: str, after: int, max_bytes: int) -> list[tuple[int, bytes]]:
        if name == topic and not refused:
            refused.append(name)
            raise StoreUnavailable("the store cannot be read")
        return await read(name, after, max_bytes)

    monkeypatch.setattr(gateway.services.log, "read", fail)
    late = agent("late") if topic.startswith("ag") else task(implementation="late")
    assert await (await wire.connect(late)).expect_payloads(3) == [b"0", b"1", b"2"]
    assert refused
    await sender.settle()


# ----------------------------------------------------------------------------------------------------------- pools


@pytest.mark.parametrize("topic", ["tb::w::i", "ta::w::i::"])
async def test_each_message_to_a_pool_goes_to_one_worker(wire: Wire, topic: str) -> None:
    """routing 24, 74."""
    workers = [await wire.connect(task()) for _ in range(3)]
    sender = await wire.connect(agent())
    for index in range(30):
        sender.send(topic, b"%d" % index)
    await sender.settle()
    counts: Counter[bytes] = Counter()
    for worker in workers:
        worker.send(f"ta::w::i::{worker.ack.assigned_id}", b"last")
        mine = []
        while (payload := (await worker.expect("msg")).payload) != b"last":
            mine.append(payload)
        assert mine
        counts.update(mine)
    assert counts == Counter(b"%d" % index for index in range(30))


async def test_work_waits_for_the_first_worker(wire: Wire) -> None:
    """routing 4.6."""
    sender = await wire.connect(agent())
    for index in range(5):
        sender.send("tb::w::i", b"%d" % index)
    await sender.settle()
    worker = await wire.connect(task())
    assert await worker.expect_payloads(5) == [b"%d" % index for index in range(5)]
    await worker.close()
    await (await wire.connect(task())).expect_nothing()


async def test_work_of_a_lost_worker_goes_to_another(wire: Wire, gateway: Gateway) -> None:
    """ruling 1: all that the transport of the first has not taken, in order."""
    lost = await wire.connect(task())
    lost.call.pause_reading()
    sender = await wire.connect(agent())
    work = [b"%05d" % index + bytes(1024) for index in range(3000)]
    sender.write(*[pb.UpstreamMessage(send=pb.SendMessage(target_topic="tb::w::i", payload=item)) for item in work])
    await sender.settle()
    await lost.abort()
    with trio.fail_after(PATIENCE_S):
        while gateway.sessions > 1:
            await sender.settle()
    other = await wire.connect(task())
    taken = work.index((await other.expect("msg")).payload)
    assert await other.expect_payloads(len(work) - taken - 1) == work[taken + 1 :]
    await other.expect_nothing()


@pytest.mark.parametrize(("init", "topic"), [(agent(), ME), (task(), "tb::w::i")], ids=["agent", "pool"])
async def test_what_no_transport_confirmed_comes_again(
    wire: Wire, gateway: Gateway, init: pb.InitConnection, topic: str
) -> None:
    """routing 71, ruling 1: the system took it, but nobody knows whether the client did."""
    sender = await wire.connect(agent("sender"))
    link = Link(f"127.0.0.1:{gateway.port}")
    link.mute_after(b"last words")
    work = [b"%02d" % index for index in range(50)]
    async with (
        connect_stream(await link.open_transport()) as channel,
        channel.call(CONNECT) as call,
    ):
        deaf = Peer(call)
        deaf.say(init=init)
        await deaf.expect("connection_ack")
        await deaf.expect("config")
        deaf.send("ag::w::i::sender", b"last words")
        assert await sender.expect_payloads(1) == [b"last words"]
        for item in work:
            sender.send(topic, item)
        await sender.settle()
        with trio.fail_after(PATIENCE_S):
            while sum(session.port.delivered for session in gateway.services.directory) < len(work) + 1:
                await sender.settle()
        link.cut()
    other = await wire.connect(init)
    assert await other.expect_payloads(len(work)) == work
    await other.expect_nothing()


async def test_a_pool_can_be_switched_back_to_broadcast(tmp_path: Path, engine: str) -> None:
    """ruling 1."""
    async with Gateway(Config.development(tmp_path / "d", gateway={"tb_mode": "broadcast"})) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            workers = [await wire.connect(task()) for _ in range(2)]
            workers[0].send("tb::w::i", b"all")
            for worker in workers:
                assert await worker.expect_payloads(1) == [b"all"]


# ------------------------------------------------------------------------------------------------------ workspaces


async def test_only_users_switch_workspaces(wire: Wire) -> None:
    """routing 78, connection 91."""
    for init in (agent(), task("t"), service(), bridge(), orchestrator(), engine(), metrics_bridge()):
        peer = await wire.connect(init)
        peer.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="x"))
        await peer.expect_error("ERR_INVALID_PRINCIPAL", "only users can switch workspaces")
        await peer.settle()


async def test_a_user_that_resumes_is_where_it_was(wire: Wire) -> None:
    """connection W-28: whether its stream was still open or not; whoever begins anew is nowhere."""
    sender = await wire.connect(service())
    alice = await wire.connect(user())
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="ws1"))
    await alice.settle()
    second = await wire.connect(user(resume_session_id=alice.ack.session_id))
    sender.send("gu::ws1", b"1")
    assert await second.expect_payloads(1) == [b"1"]
    await second.close()
    sender.send("gu::ws1", b"2")
    await sender.settle()
    third = await wire.connect(user(resume_session_id=second.ack.session_id))
    assert await third.expect_payloads(1) == [b"2"]
    third.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id=""))
    await third.settle()
    fourth = await wire.connect(user(resume_session_id=third.ack.session_id))
    fourth.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="ws1"))
    await fourth.settle()
    await fourth.close()
    fresh = await wire.connect(user())
    sender.send("gu::ws1", b"3")
    await sender.settle()
    await fresh.expect_nothing()


async def test_a_switch_changes_the_lanes_of_the_workspace_only(wire: Wire) -> None:
    """routing 78, 79, 82."""
    alice, sender = await wire.connect(user()), await wire.connect(service())
    reporters = [await wire.connect(agent(workspace=name)) for name in ("ws1", "ws2")]
    for workspace in ("ws1", "ws2", "ws2"):
        alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id=workspace))
    await alice.expect_nothing()
    for workspace in ("ws1", "ws2"):
        sender.send(f"gu::{workspace}", b"gu " + workspace.encode())
        sender.send(f"uw::alice::{workspace}", b"uw " + workspace.encode())
    sender.send("us::alice::w1", b"us")
    sender.send("uu::alice", b"uu")
    assert await alice.expect_payloads(4) == [b"gu ws2", b"uw ws2", b"us", b"uu"]
    for reporter in reporters:
        reporter.say(progress=pb.ProgressReport(state="broadcast"))
        await reporter.settle()
    assert (await alice.expect("progress_update")).workspace == "ws2"
    reporters[0].say(progress=pb.ProgressReport(recipient="us::alice"))
    assert (await alice.expect("progress_update")).workspace == "ws1"
    alice.send("us::alice::w1", b"to me")
    assert (await alice.expect("msg")).workspace in ("", "ws2")
    alice.say(switch_workspace=pb.SwitchWorkspace())
    await alice.settle()
    sender.send("gu::ws2", b"left")
    await sender.settle()
    await alice.expect_nothing()


async def test_coming_back_repeats_nothing(wire: Wire) -> None:
    """routing 6, 60: also when it is not confirmed yet that what was sent before has arrived."""
    alice, sender = await wire.connect(user()), await wire.connect(service())
    on_w, elsewhere = (pb.SwitchWorkspace(new_workspace_id=name) for name in ("w", "x"))
    alice.say(switch_workspace=on_w)
    await alice.settle()
    for number in range(5):
        sender.send("gu::w", b"%d" % number)
        assert await alice.expect_payloads(1) == [b"%d" % number]
        alice.say(switch_workspace=elsewhere)
        alice.say(switch_workspace=on_w)
        await alice.settle()
    alice.say(switch_workspace=elsewhere)
    await alice.settle()
    sender.send("gu::w", b"missed")
    await sender.settle()
    alice.say(switch_workspace=on_w)
    assert await alice.expect_payloads(1) == [b"missed"]
    await alice.close()
    alice = await wire.connect(user())
    alice.say(switch_workspace=on_w)
    await alice.settle()
    sender.send("gu::w", b"last")
    assert await alice.expect_payloads(1) == [b"last"]


async def test_what_was_sent_on_a_lane_that_was_left_arrives_after_a_loss(wire: Wire, gateway: Gateway) -> None:
    """routing 4.4: a lane that is left keeps its place, also for what the client never took."""
    alice, sender = await wire.connect(user()), await wire.connect(service())
    on_w, elsewhere = (pb.SwitchWorkspace(new_workspace_id=name) for name in ("w", "x"))
    alice.say(switch_workspace=on_w)
    await alice.settle()
    alice.call.pause_reading()
    sent = [b"%05d" % number + bytes(4096) for number in range(1000)]
    sender.write(*[pb.UpstreamMessage(send=pb.SendMessage(target_topic="gu::w", payload=item)) for item in sent])
    await sender.settle()
    alice.say(switch_workspace=elsewhere)
    with trio.fail_after(PATIENCE_S):
        while not any(session.identity.workspace == "x" for session in gateway.services.directory):
            await sender.settle()
    await alice.abort()
    alice = await wire.connect(user())
    alice.say(switch_workspace=on_w)
    first = sent.index((await alice.expect("msg")).payload)
    assert await alice.expect_payloads(len(sent) - first - 1) == sent[first + 1 :]


@pytest.mark.parametrize("workspace", ["a::b", "a*", "x" * 129], ids=["separator", "wildcard", "too long"])
async def test_a_switch_that_fails_changes_nothing(wire: Wire, workspace: str) -> None:
    """routing 81."""
    alice, sender = await wire.connect(user()), await wire.connect(service())
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="w"))
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id=workspace))
    await alice.expect_error("ERR_WORKSPACE_SWITCH_FAILED")
    await alice.settle()
    sender.send("gu::w", b"still here")
    assert await alice.expect_payloads(1) == [b"still here"]


# -------------------------------------------------------------------------------------------------------- progress


async def test_a_report_reaches_agents_and_users_of_the_workspace(wire: Wire, gateway: Gateway) -> None:
    """routing 83."""
    reporter, colleague = await wire.connect(agent()), await wire.connect(agent("other"))
    worker, stranger = await wire.connect(task("t")), await wire.connect(agent(workspace="elsewhere"))
    alice, bob = await wire.connect(user()), await wire.connect(user("bob"))
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="w"))
    await alice.settle()
    report = pb.ProgressReport(
        task_id="t1",
        state="running",
        completion=0.5,
        summary="half",
        step=pb.ProgressStep(name="one", sequence=1),
        request_id="r",
        metadata={"k": "v"},
        kind=pb.PROGRESS_KIND_APP,
    )
    before_ms = gateway.services.wall_clock()
    reporter.say(progress=report)
    for receiver in (colleague, alice):
        update = await receiver.expect("progress_update")
        assert before_ms <= update.timestamp_ms <= gateway.services.wall_clock()
        assert (update.source, update.workspace) == (ME, "w")
        for field in ("task_id", "state", "completion", "summary", "step", "request_id", "metadata", "kind"):
            assert getattr(update, field) == getattr(report, field), field
    for silent in (reporter, worker, stranger, bob):
        await silent.expect_nothing()


async def test_a_report_for_somebody_reaches_only_them(wire: Wire) -> None:
    """routing 84, 85."""
    reporter, colleague = await wire.connect(agent()), await wire.connect(agent("other"))
    third = await wire.connect(agent("third"))
    windows = [await wire.connect(user("alice", name)) for name in ("w1", "w2")]
    bob = await wire.connect(user("alice2", "w1"))
    receivers = {"us::alice::w1": windows[:1], "us::alice": windows, "ag::w::i::other": [colleague]}
    for recipient, expected in receivers.items():
        reporter.say(progress=pb.ProgressReport(recipient=recipient, summary=recipient))
        for receiver in expected:
            assert (await receiver.expect("progress_update")).summary == recipient
    for peer in (reporter, colleague, third, *windows, bob):
        await peer.expect_nothing()


@pytest.mark.parametrize(
    "init",
    [user(), bridge(), orchestrator(), engine(), metrics_bridge()],
    ids=lambda init: init.WhichOneof("client_type"),
)
async def test_who_may_not_report_progress(wire: Wire, init: pb.InitConnection) -> None:
    """routing 86."""
    peer = await wire.connect(init)
    peer.say(progress=pb.ProgressReport(recipient="us::alice"))
    await peer.expect_error("ERR_INVALID_PRINCIPAL", "only agents, tasks, and services can report progress")
    await peer.settle()


async def test_a_service_reports_to_users(wire: Wire) -> None:
    """routing 86; without a workspace it has no broadcast."""
    alice, reporter = await wire.connect(user()), await wire.connect(service())
    reporter.say(progress=pb.ProgressReport(recipient="us::alice"))
    assert (await alice.expect("progress_update")).source == "sv::i::s"
    reporter.say(progress=pb.ProgressReport())
    await reporter.expect_error("ERR_INVALID_TOPIC")


async def test_bad_reports_are_refused(wire: Wire) -> None:
    """routing 7.1, weakness 21."""
    peer = await wire.connect(agent())
    peer.say(progress=pb.ProgressReport(summary="x" * 65536))
    await peer.expect_error("ERR_PAYLOAD_TOO_LARGE")
    for recipient in ("us::", "nobody", "us::a::b::c", "us::a*"):
        peer.say(progress=pb.ProgressReport(recipient=recipient))
        await peer.expect_error("ERR_INVALID_TOPIC")
    await peer.settle()


async def test_progress_meanwhile_arrives_at_the_return(wire: Wire) -> None:
    """routing 62, 63: what was before the first connect does not."""
    reporter, on_w = await wire.connect(agent()), pb.SwitchWorkspace(new_workspace_id="w")

    async def report(summary: str) -> None:
        for recipient in ("us::alice", ""):
            reporter.say(progress=pb.ProgressReport(recipient=recipient, summary=summary))
        await reporter.settle()

    await report("history")
    alice = await wire.connect(user())
    alice.say(switch_workspace=on_w)
    await alice.expect_nothing()
    await alice.close()
    await report("missed")
    alice = await wire.connect(user())
    assert (await alice.expect("progress_update")).summary == "missed"
    alice.say(switch_workspace=on_w)
    assert (await alice.expect("progress_update")).summary == "missed"
    await alice.expect_nothing()


async def test_what_is_said_after_the_ack_arrives(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nothing is followed yet: whoever knows that it is connected may tell others to begin."""
    speaker, go_on = await wire.connect(agent("speaker")), trio.Event()
    original = session.config_snapshot

    async def slow(*arguments: Any, **named: Any) -> bytes | None:
        await go_on.wait()
        return await original(*arguments, **named)

    async def speak(text: str) -> None:
        speaker.send("ga::w", text.encode())
        speaker.say(progress=pb.ProgressReport(summary=text))
        await speaker.expect("msg")
        await speaker.settle()

    await speak("before")
    monkeypatch.setattr(session, "config_snapshot", slow)
    peer = await wire.open()
    peer.say(init=agent())
    await peer.expect("connection_ack")
    await speak("after")
    go_on.set()
    await peer.expect("config")
    heard = {}
    for _ in range(2):
        message = await peer.receive()
        heard[message.WhichOneof("payload")] = message
    assert heard["msg"].msg.payload == b"after"
    assert heard["progress_update"].progress_update.summary == "after"
    await peer.expect_nothing()


# --------------------------------------------------------------------------------------------------- observability


async def test_messages_and_refusals_are_counted(wire: Wire, gateway: Gateway) -> None:
    """routing 95, 96, 97."""
    peer = await wire.connect(agent())
    for _ in range(3):
        peer.send(ME, b"12345", pb.CHAT)
    await peer.expect_payloads(3)
    peer.send("nowhere")
    await peer.expect_error("ERR_INVALID_TOPIC")
    peer.send("uu::alice")
    await peer.expect_error("ERR_PERMISSION_DENIED")
    peer.send(ME, bytes(MIB + 1))
    await peer.expect_error("ERR_PAYLOAD_TOO_LARGE")
    peer.send("sv::nobody")
    await peer.expect_error("ERR_SV_UNAVAILABLE", retryable=True)
    peer.send("metric::*", b"", pb.METRIC)
    await peer.expect_error("ERR_METRIC_EMPTY")
    peer.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="x"))  # neither message nor report
    await peer.expect_error("ERR_INVALID_PRINCIPAL")
    assert errors_counted(gateway) == {
        "invalid_topic": 1,
        "permission_denied": 1,
        "payload_too_large": 1,
        "sv_wildcard_unavailable": 1,
        "metric_validation": 1,
    }
    gateway.services.observer.collect()
    lines = gateway.metrics.exposition().decode().splitlines()
    assert 'aether_messages_routed_total{message_type="CHAT",workspace="w"} 3.0' in lines
    assert 'aether_metering_messages_routed_total{message_type="CHAT",workspace="w"} 3.0' in lines
    assert 'aether_metering_bytes_routed_total{workspace="w"} 15.0' in lines
    assert 'aether_message_errors_total{error_type="invalid_topic",workspace="w"} 1.0' in lines
    assert 'aether_message_errors_total{error_type="permission_denied",workspace="w"} 1.0' in lines


async def test_deliveries_are_counted(wire: Wire, gateway: Gateway) -> None:
    """routing weakness 39: by the workspace of the receiver, and those that came late."""
    sender, receiver = await wire.connect(agent(workspace="elsewhere")), await wire.connect(agent())
    for meanwhile in (False, True):
        if meanwhile:
            await receiver.close()
        for _ in range(3):
            sender.send(ME)
        await sender.settle()
        if meanwhile:
            receiver = await wire.connect(agent())
        await receiver.expect_payloads(3)
    gateway.services.observer.collect()
    lines = gateway.metrics.exposition().decode().splitlines()
    assert 'aether_messages_delivered_total{workspace="w"} 6.0' in lines
    assert 'aether_messages_replayed_total{workspace="w"} 3.0' in lines
    assert "aether_topic_subscriptions_active 6.0" in lines
    assert "aether_topic_subscriptions_behind 0.0" in lines
