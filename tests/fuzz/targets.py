"""What is fuzzed. A target takes one input made from a generator of random numbers and asserts what must hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError
from tests.fuzz.mutate import mutated, pieces
from tests.support.engines import ENGINES
from tests.support.values import check_taken

from aether import _fastpath as fast
from aether.identity import PrincipalType
from aether.proto import aether_pb2 as pb
from aether.rpc.engine import implementation
from aether.rpc.http2 import MESSAGES, REQUEST, Http2
from aether.rpc.limits import Limits
from aether.rpc.status import frame
from aether.topics import InvalidTopic, may_send, parse_target

__all__ = ["TARGETS", "Target"]

Target = Callable[[random.Random], None]

LIMITS = Limits(max_receive_message=100_000, max_concurrent_streams=20)
CALL = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/t/Echo"),
    (b":authority", b"test"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]
OUTPUT_ROUNDS = 200


class Endless(AssertionError):
    """A connection that always has more to say: a busy loop in the gateway."""


def _drain(connection: Any) -> bytes:
    output = b""
    for _ in range(OUTPUT_ROUNDS):
        data = connection.data_to_send()
        connection.acknowledge_sent()
        if not data:
            return output
        output += data
    raise Endless


def _recorded_client(codec: Http2) -> bytes:
    """What a client sends in a session with some of everything."""
    client = codec.connection(True, LIMITS)
    data = _drain(client)
    for number in range(4):
        stream = codec.stream()
        client.request(stream, [*CALL, (b"k-bin", b"v" * number)])
        for size in (0, 10, 300):
            stream.send(frame(bytes(size)))
        if number % 2:
            stream.half_close()
        data += _drain(client)
        if number == 2:
            stream.reset()
    client.ping()
    return data + _drain(client)


def _recorded_server(codec: Http2) -> bytes:
    """What a server answers to three calls."""
    client, server = codec.connection(True, LIMITS), codec.connection(False, LIMITS)
    for _ in range(3):
        client.request(codec.stream(), CALL)
    data = b""
    for event in server.receive_data(_drain(client), 0.0):
        if event[0] == REQUEST:
            event[1].send(frame(b"answer"))
            event[1].send(frame(bytes(700)))
            if len(data) % 2:
                event[1].finish([(b"grpc-status", b"0")])
            data += _drain(server)
    server.confirm(lambda: None)
    server.shutdown_notice()
    return data + _drain(server)


def _check_messages(events: list[Any]) -> None:
    for event in events:
        if event[0] == MESSAGES:
            assert all(type(message) is bytes and len(message) <= LIMITS.max_receive_message for message in event[2])


def _finish(connection: Any) -> None:
    """Whatever happened: output ends, a connection that is over stays silent, nothing is left."""
    _drain(connection)
    connection.take_events()
    if connection.terminating:
        assert connection.receive_data(b"more", 1.0) == []
        assert not _drain(connection)
    streams = connection.streams
    connection.close()
    assert connection.stream_count == 0
    assert all(stream.closed and not stream.pending for stream in streams)


def http2_server(codec: Http2) -> Target:
    """A server that answers, against a client gone wrong."""
    recording = _recorded_client(codec)

    def target(rng: random.Random) -> None:
        connection = codec.connection(False, LIMITS)
        for piece in pieces(mutated(recording, rng), rng):
            events = connection.receive_data(piece, 0.0)
            _check_messages(events)
            for kind, stream, _ in events:
                if kind == REQUEST:
                    _answer(stream, rng)
            if rng.random() < 0.5:
                _drain(connection)
        _finish(connection)

    return target


def _answer(stream: Any, rng: random.Random) -> None:
    match rng.randrange(5):
        case 0:
            stream.finish([(b"grpc-status", b"0")])
        case 1:
            stream.send(frame(b"answer"))
            stream.finish([(b"grpc-status", b"0")])
        case 2:
            stream.reset()
        case 3:
            stream.hold()
            stream.send(frame(bytes(1000)))
        case _:
            stream.send(frame(b"answer"))


def http2_client(codec: Http2) -> Target:
    """A client with open calls, against a server gone wrong."""
    recording = _recorded_server(codec)

    def target(rng: random.Random) -> None:
        connection = codec.connection(True, LIMITS)
        for _ in range(3):
            stream = codec.stream()
            connection.request(stream, CALL)
            stream.send(frame(b"question"))
        _drain(connection)
        for piece in pieces(mutated(recording, rng), rng):
            _check_messages(connection.receive_data(piece, 0.0))
            if rng.random() < 0.5:
                _drain(connection)
        _finish(connection)

    return target


def upstream_messages() -> Target:
    """What the fast path reads, protobuf reads alike."""
    send = pb.SendMessage(target_topic="ag::w::i::s", payload=b"payload" * 5, message_type=pb.MessageType.CHAT)
    recording = pb.UpstreamMessage(send=send).SerializeToString()

    def target(rng: random.Random) -> None:
        data = mutated(recording, rng, changes_max=4)
        read = fast.read_send(data)
        if read is None:
            return
        message = pb.UpstreamMessage()
        try:
            message.ParseFromString(data)
        except DecodeError:
            return  # text that is not UTF-8: such a topic is on no route, so the slow path refuses it
        topic, payload, message_type = read
        assert message.WhichOneof("payload") == "send"
        assert message.send.target_topic.encode() == topic
        assert message.send.payload == payload
        assert message.send.message_type & (2**64 - 1) == message_type

    return target


class Receiver:
    """One end of the message path, where the gateway has an RPC and a session: it notes what reaches it."""

    pending = 0

    def __init__(self, room: int) -> None:
        self.frames: list[bytes] = []
        self.messages: list[bytes] = []
        self.room = room
        self.behind: list[Any] = []
        self.port = fast.Port(self, self, lambda port: None, lambda: 0.0, payload_max=100)
        self.port.inbound = self.port.outbound = self

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)
        if len(self.frames) >= self.room:
            self.pending = self.port.high_water

    def on_message(self, message: bytes) -> None:
        self.messages.append(message)

    def on_lane_behind(self, lane: Any) -> None:
        self.behind.append(lane)

    def on_batch_end(self) -> None:
        self.port.held.clear()


def forwarding() -> Target:
    """Of what a sender sends, each message goes the known route, as protobuf would write it, or to the Python path."""
    name = "ag::w::i::s"
    recordings = [
        pb.UpstreamMessage(
            send=pb.SendMessage(target_topic=name, payload=b"p" * size, message_type=kind)  # type: ignore[arg-type]
        ).SerializeToString()
        for size, kind in ((0, 0), (5, 1), (90, 6), (110, 1), (1, 2**31 - 1))
    ]

    def target(rng: random.Random) -> None:
        topic = fast.Topic(name, fast.Head())
        sender, receiver = Receiver(0), Receiver(rng.randrange(1, 20))
        sender.port.routes = {name.encode(): fast.Route(topic, b"ag::w::i::me", b"w")}
        sender.port.busy = False
        fast.Lane(topic, receiver.port, 0).attach()
        batch = [
            mutated(recording, rng, changes_max=3) if rng.random() < 0.7 else recording
            for recording in rng.choices(recordings, k=rng.randrange(12))
        ]
        sender.port.on_messages(batch)

        records, packed = topic.take()
        expected = [read for message in batch if (read := fast.read_send(message)) and _has_route(read, name)]
        assert [_delivered(frame) for _, frame in records] == [(payload, kind) for _, payload, kind in expected]
        assert len(records) + len(sender.messages) == len(batch)
        assert fast.unpack(packed) == records
        assert receiver.frames == [frame for _, frame in records][: receiver.room]
        assert bool(receiver.behind) == (len(records) > receiver.room)
        counts, size = sender.port.take_counts()
        assert (sum(counts), size) == (len(records), sum(len(payload) for _, payload, _ in expected))

    return target


def _has_route(read: tuple[bytes, bytes, int], name: str) -> bool:
    topic, payload, kind = read
    return topic == name.encode() and len(payload) <= 100 and kind != pb.MessageType.METRIC


def _delivered(data: bytes) -> tuple[bytes, int]:
    """Payload and type of a frame that protobuf would write in the same way."""
    message = pb.DownstreamMessage.FromString(data[5:])
    assert (message.msg.source_topic, message.msg.workspace) == ("ag::w::i::me", "w")
    assert frame(message.SerializeToString()) == data
    return message.msg.payload, message.msg.message_type


def topics() -> Target:
    """The compiled grammar and permission matrix equal the readable ones."""
    examples = [
        topic.encode()
        for topic in (
            "ag::w::i::s",
            "tu::w::i::s",
            "ta::w::i::s",
            "tb::w::i",
            "us::u::w",
            "uw::u::w",
            "ga::w",
            "gu::w",
            "event::w::e",
            "metric::w::m",
            "sv::i::s",
            "br::i::s",
            "wf::w",
            "ag::ü::x::*",
        )
    ]
    senders = list(PrincipalType)

    def target(rng: random.Random) -> None:
        raw = mutated(rng.choice(examples), rng, changes_max=3)
        sender = rng.choice(senders)
        code, allowed = fast.classify(raw), fast.may_send(sender, raw)
        try:
            topic = parse_target(raw.decode())
        except UnicodeDecodeError:
            return  # the wire's text is UTF-8; protobuf refuses this before a topic is looked at
        except InvalidTopic:
            assert (code, allowed) == (-1, False)
        else:
            assert (code, allowed) == (int(topic.prefix), may_send(sender, topic))

    return target


def values() -> Target:
    """What is taken for a plain get or put is one."""
    put = pb.KVOperation(
        op=pb.KVOperation.PUT,
        scope=pb.KVOperation.USER_WORKSPACE,
        key="key",
        value=b"value" * 5,
        user_id="user",
        workspace="w",
        request_id="r1",
    )
    get = pb.KVOperation(key="key", request_id="r1")
    recordings = [pb.UpstreamMessage(kv_op=operation).SerializeToString() for operation in (put, get)]
    assert all(map(check_taken, recordings))

    def target(rng: random.Random) -> None:
        check_taken(mutated(rng.choice(recordings), rng, changes_max=4))

    return target


def packed_records() -> Target:
    """Records of a damaged file are read or refused, never beyond their end."""
    recording = b"".join(
        number.to_bytes(8, "little") + (7 * number).to_bytes(4, "little") + bytes(7 * number) for number in range(6)
    )

    def target(rng: random.Random) -> None:
        data = mutated(recording, rng, changes_max=3)
        try:
            records = fast.unpack(data)
        except ValueError:
            return
        assert sum(12 + len(record) for _, record in records) == len(data)

    return target


TARGETS: dict[str, Target] = {
    "upstream-messages": upstream_messages(),
    "forwarding": forwarding(),
    "topics": topics(),
    "values": values(),
    "packed-records": packed_records(),
}
for _engine in ENGINES:
    TARGETS[f"{_engine}-server"] = http2_server(implementation(_engine))
    TARGETS[f"{_engine}-client"] = http2_client(implementation(_engine))
