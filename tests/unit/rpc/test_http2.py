"""The sans-IO HTTP/2 and gRPC framing: bytes in, events out, and what a hostile peer gets."""

from __future__ import annotations

import gc
import random
import struct
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.engines import ENGINES

from aether.rpc import http2
from aether.rpc.engine import implementation
from aether.rpc.limits import Limits
from aether.rpc.status import RpcError, StatusCode, frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/t/Echo"),
    (b":authority", b"test"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
]
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def frames_of(data: bytes) -> list[tuple[int, int, int, bytes]]:
    """The frames in a piece of output."""
    found = []
    while data:
        length = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        data = data[9 + length :]
    return found


def literal(name: bytes, value: bytes) -> bytes:
    """An HPACK literal without indexing or Huffman code; lengths below 127."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def header_block(headers: list[tuple[bytes, bytes]] = REQUEST) -> bytes:
    return b"".join(literal(name, value) for name, value in headers)


@pytest.fixture(scope="module", autouse=True, params=ENGINES)
def engine(request: pytest.FixtureRequest) -> None:
    """Every test of this module runs on each implementation."""
    Side.engine = implementation(request.param)


class Side:
    """One end of a connection, with all events it ever saw."""

    engine: http2.Http2

    def __init__(self, client: bool, limits: Limits | None = None) -> None:
        self.http2 = self.engine.connection(client, limits or Limits())
        self.http2.owner = self
        self.events: list[Any] = []
        self.now = 0.0

    def take(self, limit: int = 262144) -> bytes:
        data = self.http2.data_to_send(limit)
        self.http2.acknowledge_sent()
        self.events += self.http2.take_events()
        return data

    def give(self, data: bytes, step: int | None = None) -> None:
        if step is None:
            self.events += self.http2.receive_data(data, self.now)
        else:
            for start in range(0, len(data), step):
                self.events += self.http2.receive_data(data[start : start + step], self.now)

    def of(self, kind: int) -> list[Any]:
        return [event for event in self.events if event[0] == kind]

    def messages(self) -> list[bytes]:
        return [message for _, _, batch in self.of(http2.MESSAGES) for message in batch]


class Pair:
    """A client and a server whose bytes are moved by hand."""

    def __init__(self, limits: Limits | None = None, client_limits: Limits | None = None) -> None:
        self.client = Side(True, client_limits or limits)
        self.server = Side(False, limits)

    def pump(self, step: int | None = None, rounds: int = 200) -> None:
        for _ in range(rounds):
            up, down = self.client.take(), self.server.take()
            if not up and not down:
                return
            self.server.give(up, step)
            self.client.give(down, step)
        raise AssertionError("the connection never becomes quiet")

    def call(self) -> tuple[Any, Any]:
        """A new stream, both ends."""
        mine = Side.engine.stream()
        self.client.http2.request(mine, REQUEST)
        self.pump()
        return mine, self.server.of(http2.REQUEST)[-1][1]


def server_with(data: bytes, limits: Limits | None = None) -> Side:
    """A server that received a preface, empty SETTINGS and `data`."""
    side = Side(False, limits)
    side.give(PREFACE + raw(SETTINGS, 0, 0) + data)
    return side


def goaway_of(side: Side) -> tuple[int, bytes]:
    """Error code and debug data of the GOAWAY in the output."""
    found = [payload for kind, _, _, payload in frames_of(side.take()) if kind == GOAWAY]
    assert len(found) == 1
    assert side.http2.terminating
    assert side.take() == b""
    return int.from_bytes(found[0][4:8], "big"), found[0][8:]


# ---- a call


@pytest.mark.parametrize("step", [None, 1, 7, 1000])
def test_messages_both_ways(step: int | None) -> None:
    pair = Pair()
    mine, theirs = pair.call()
    sent = [b"", b"x", b"y" * 70_000, b"z" * 3]
    for message in sent:
        mine.send(frame(message))
        theirs.send(frame(message))
    mine.half_close()
    pair.pump(step)
    theirs.finish([(b"grpc-status", b"0")])
    pair.pump(step)
    assert pair.server.messages() == sent
    assert pair.client.messages() == sent
    assert [event[2] for event in pair.server.of(http2.HALF_CLOSED)] == [None]
    assert pair.client.of(http2.HALF_CLOSED)[0][2] == [(b"grpc-status", b"0")]
    assert pair.client.of(http2.CLOSED)
    assert pair.server.of(http2.CLOSED)
    assert not pair.client.of(http2.RESET)
    assert not pair.server.of(http2.RESET)
    assert pair.client.http2.stream_count == pair.server.http2.stream_count == 0


def test_one_read_gives_one_batch_per_stream() -> None:
    pair = Pair()
    one, _ = pair.call()
    other, _ = pair.call()
    for _ in range(10):
        one.send(frame(b"1"))
        other.send(frame(b"2"))
    pair.server.events.clear()
    pair.server.give(pair.client.take())
    batches = pair.server.of(http2.MESSAGES)
    assert sorted(tuple(batch) for _, _, batch in batches) == [(b"1",) * 10, (b"2",) * 10]


def test_request_headers_arrive() -> None:
    pair = Pair()
    pair.call()
    assert pair.server.of(http2.REQUEST)[0][2] == REQUEST


def test_trailers_only_when_nothing_was_sent() -> None:
    pair = Pair()
    _, theirs = pair.call()
    theirs.finish([(b"grpc-status", b"5"), (b"grpc-message", b"no")])
    output = frames_of(pair.server.take())
    assert [(kind, flags & END_STREAM) for kind, flags, _, _ in output] == [(HEADERS, END_STREAM), (RST_STREAM, 0)]


def test_headers_messages_and_trailers_are_separate_frames() -> None:
    pair = Pair()
    mine, theirs = pair.call()
    mine.half_close()
    pair.pump()
    theirs.start_response()
    theirs.start_response()
    assert [kind for kind, *_ in frames_of(pair.server.take())] == [HEADERS]
    theirs.send(frame(b"a"))
    theirs.finish([(b"grpc-status", b"0")])
    assert [kind for kind, *_ in frames_of(pair.server.take())] == [DATA, HEADERS]


def test_server_that_ends_first_tells_the_client_to_stop() -> None:
    pair = Pair()
    mine, theirs = pair.call()
    theirs.send(frame(b"a"))
    theirs.finish([(b"grpc-status", b"0")])
    pair.pump()
    assert pair.client.messages() == [b"a"]
    assert mine.closed
    assert theirs.closed
    assert pair.client.of(http2.CLOSED)
    mine.send(frame(b"late"))
    assert (mine.pending, pair.client.take()) == (0, b"")


def test_small_frames_share_a_data_frame() -> None:
    pair = Pair()
    mine, _ = pair.call()
    for _ in range(50):
        mine.send(frame(b"x" * 100))
    assert [kind for kind, *_ in frames_of(pair.client.take())] == [DATA]


def test_streams_take_turns() -> None:
    pair = Pair()
    calls = [pair.call()[0] for _ in range(2)]
    for mine in calls:
        mine.send(frame(bytes(100_000)))
    order = [stream for kind, _, stream, _ in frames_of(pair.client.take()) if kind == DATA]
    assert {calls[0].id, calls[1].id} == set(order[:4])


def test_requests_over_the_servers_limit_wait() -> None:
    pair = Pair(Limits(max_concurrent_streams=2), Limits())
    pair.pump()
    calls = []
    for number in range(6):
        mine = Side.engine.stream()
        pair.client.http2.request(mine, REQUEST)
        mine.send(frame(b"%d" % number))
        pair.pump()
        mine.send(frame(b"more"))
        mine.half_close()
        calls.append(mine)
    calls[4].reset()
    pair.pump()
    answered = 0
    while answered < 5:
        requests = pair.server.of(http2.REQUEST)
        assert answered < len(requests) <= answered + 2
        for _, theirs, _ in requests[answered:]:
            theirs.finish([(b"grpc-status", b"0")])
        answered = len(requests)
        pair.pump()
    assert [number for number in pair.server.messages() if number != b"more"] == [b"0", b"1", b"2", b"3", b"5"]
    assert len(pair.client.of(http2.CLOSED)) == 5
    assert [stream for _, stream, _ in pair.client.of(http2.RESET)] == [calls[4]]
    assert pair.client.http2.stream_count == 0


def test_requests_that_wait_when_the_server_leaves_are_refused() -> None:
    pair = Pair(Limits(max_concurrent_streams=1), Limits())
    pair.pump()
    calls = [Side.engine.stream() for _ in range(2)]
    for mine in calls:
        pair.client.http2.request(mine, REQUEST)
        pair.pump()
    pair.server.http2.shutdown_notice()
    pair.pump()
    pair.server.of(http2.REQUEST)[0][1].finish([(b"grpc-status", b"0")])
    pair.pump()
    assert [event[1] for event in pair.client.of(http2.CLOSED)] == calls[:1]
    assert [event[1:] for event in pair.client.of(http2.RESET)] == [(calls[1], http2.REFUSED_STREAM)]
    assert len(pair.server.of(http2.REQUEST)) == 1


def test_window_for_a_side_that_ended_is_ignored() -> None:
    pair = Pair()
    mine, theirs = pair.call()
    mine.half_close()
    pair.pump()
    pair.client.give(raw(WINDOW_UPDATE, 0, 0, struct.pack(">I", 10)) + raw(SETTINGS, 0, 0, b"\0\4\0\2\0\0"))
    pair.client.give(raw(WINDOW_UPDATE, 0, mine.id, struct.pack(">I", 10)))
    assert [(kind, flags) for kind, flags, *_ in frames_of(pair.client.take())] == [(SETTINGS, ACK)]
    theirs.finish([(b"grpc-status", b"0")])
    pair.pump()
    assert pair.client.of(http2.CLOSED)


# ---- counters


def test_sent_counts_what_the_transport_accepted() -> None:
    pair = Pair()
    mine, _ = pair.call()
    mine.send(frame(b"x" * 95))
    assert (mine.queued, mine.sent, mine.pending) == (100, 0, 100)
    assert pair.client.http2.data_to_send()
    assert (mine.sent, mine.pending) == (0, 100)
    pair.client.http2.acknowledge_sent()
    assert (mine.sent, mine.pending) == (100, 0)


def test_pending_is_bounded_by_the_peers_window() -> None:
    pair = Pair(Limits(initial_window=100_000))
    mine, theirs = pair.call()
    theirs.hold()
    for _ in range(30):
        mine.send(frame(b"x" * 9995))
    pair.pump()
    assert mine.sent == 100_000
    assert len(pair.server.messages()) == 10
    theirs.release()
    theirs.hold()
    pair.pump()
    assert mine.sent == 200_000
    theirs.release()
    pair.pump()
    assert mine.pending == 0
    assert len(pair.server.messages()) == 30


@pytest.mark.parametrize("window", [1, 1000, 65_534])
def test_a_window_below_the_default_does_not_stall(window: int) -> None:
    """The client may use 64 KiB until it has seen the server's SETTINGS, and here it sends before that."""
    pair = Pair(Limits(initial_window=window), Limits())
    mine = Side.engine.stream()
    pair.client.http2.request(mine, REQUEST)
    sent = [bytes((number,)) * 2000 for number in range(20)]
    for message in sent[:10]:
        mine.send(frame(message))
    pair.server.give(pair.client.take())
    for message in sent[10:]:
        mine.send(frame(message))
    pair.pump(rounds=100_000)
    assert pair.server.messages() == sent
    assert mine.pending == 0


def test_output_stops_near_the_limit() -> None:
    pair = Pair()
    mine, _ = pair.call()
    mine.send(frame(bytes(500_000)))
    assert 50_000 <= len(pair.client.take(50_000)) <= 50_000 + 17_000


def test_progress_is_reported_once() -> None:
    class Watching(Side.engine.stream):
        reports = 0

        def on_progress(self) -> None:
            self.reports += 1
            self.waiters = False

    pair = Pair()
    mine = Watching()
    pair.client.http2.request(mine, REQUEST)
    pair.pump()
    mine.waiters = True
    mine.send(frame(b"x"))
    pair.pump()
    mine.send(frame(b"x"))
    pair.pump()
    assert mine.reports == 1


def test_frame_over_the_send_limit_is_refused() -> None:
    pair = Pair(Limits(max_send_message=10))
    mine, _ = pair.call()
    mine.send(frame(bytes(10)))
    with pytest.raises(RpcError) as caught:
        mine.send(frame(bytes(11)))
    assert caught.value.code is StatusCode.RESOURCE_EXHAUSTED


@given(st.lists(st.binary(max_size=300), max_size=40), st.integers(1, 400))
@settings(deadline=None, max_examples=60)
def test_any_split_gives_the_same_messages(messages: list[bytes], step: int) -> None:
    pair = Pair()
    mine, _ = pair.call()
    for message in messages:
        mine.send(frame(message))
    pair.pump(step)
    assert pair.server.messages() == messages


@given(st.lists(st.binary(max_size=50), max_size=20), st.data())
@settings(deadline=None, max_examples=60)
def test_messages_cut_across_data_frames(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(frame(message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    side = server_with(
        raw(HEADERS, END_HEADERS, 1, header_block())
        + b"".join(raw(DATA, 0, 1, piece) for piece in pieces)
        + raw(DATA, END_STREAM, 1)
    )
    assert side.messages() == messages
    assert not side.of(http2.INVALID)


# ---- rules of gRPC


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\1\0\0\0\1x", StatusCode.UNIMPLEMENTED),
        (b"\7\0\0\0\1x", StatusCode.INTERNAL),
        (b"\0" + (1001).to_bytes(4, "big"), StatusCode.RESOURCE_EXHAUSTED),
        (b"\0\xff\xff\xff\xff", StatusCode.RESOURCE_EXHAUSTED),
    ],
)
def test_bad_prefix(body: bytes, code: StatusCode) -> None:
    good = frame(b"x" * 1000)
    side = server_with(
        raw(HEADERS, END_HEADERS, 1, header_block()) + raw(DATA, 0, 1, good + body), Limits(max_receive_message=1000)
    )
    assert side.messages() == [b"x" * 1000]
    assert [event[2].code for event in side.of(http2.INVALID)] == [code]
    side.give(raw(DATA, END_STREAM, 1, bytes(500)))  # the rest is dropped
    assert side.messages() == [b"x" * 1000]
    assert len(side.of(http2.INVALID)) == 1
    assert not side.http2.terminating


@pytest.mark.parametrize("body", [b"\0", b"\0\0\0\0", b"\0\0\0\0\5abcd"])
def test_end_inside_a_message(body: bytes) -> None:
    side = server_with(raw(HEADERS, END_HEADERS, 1, header_block()) + raw(DATA, END_STREAM, 1, body))
    assert [event[2].code for event in side.of(http2.INVALID)] == [StatusCode.INTERNAL]
    assert side.of(http2.HALF_CLOSED)


def test_a_length_prefix_alone_reserves_little_memory() -> None:
    limits = Limits(max_receive_message=1 << 30)
    side = server_with(raw(HEADERS, END_HEADERS, 1, header_block()), limits)
    before = sys.getallocatedblocks()
    side.give(raw(DATA, 0, 1, b"\0" + (1 << 30).to_bytes(4, "big") + b"x"))
    assert sys.getallocatedblocks() - before < 100
    assert not side.of(http2.INVALID)


# ---- hostile peers


def test_bad_preface() -> None:
    side = Side(False)
    side.give(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert goaway_of(side)[0] == http2.PROTOCOL_ERROR


def test_header_list_over_the_limit_resets_the_stream() -> None:
    headers = [*REQUEST, *((b"name-%d" % i, b"v" * 100) for i in range(20))]
    side = server_with(raw(HEADERS, END_HEADERS, 1, header_block(headers)), Limits(max_header_list=2000))
    assert not side.of(http2.REQUEST)
    assert [kind for kind, *_ in frames_of(side.take())][-1] == RST_STREAM
    side.give(raw(HEADERS, END_HEADERS, 3, header_block()))
    assert side.of(http2.REQUEST)
    assert side.http2.stream_count == 1


def test_too_many_streams_are_refused() -> None:
    limits = Limits(max_concurrent_streams=2)
    side = Side(False, limits)
    side.give(PREFACE + raw(SETTINGS, 0, 0))
    side.take()
    side.give(raw(SETTINGS, ACK, 0))
    side.give(b"".join(raw(HEADERS, END_HEADERS, stream, header_block()) for stream in (1, 3, 5)))
    assert len(side.of(http2.REQUEST)) == 2
    assert side.http2.stream_count == 2


@pytest.mark.parametrize("ack", [False, True])
def test_ping_flood(ack: bool) -> None:
    limits = Limits(max_ping_strikes=2, min_client_ping_interval=10.0)
    side = server_with(b"", limits)
    ping = raw(PING, ACK if ack else 0, 0, bytes(8))
    for _ in range(3):
        side.give(ping)
    assert not side.http2.terminating
    side.give(ping)
    if ack:  # answers nobody asked for are harmless
        assert not side.http2.terminating
    else:
        assert goaway_of(side) == (http2.ENHANCE_YOUR_CALM, b"too_many_pings")


def test_patient_pings_are_answered() -> None:
    side = server_with(b"", Limits(min_client_ping_interval=10.0))
    side.take()
    for number in range(20):
        side.now += 10.0
        side.give(raw(PING, 0, 0, bytes((number,) * 8)))
        assert frames_of(side.take()) == [(PING, ACK, 0, bytes((number,) * 8))]


def test_pings_after_our_data_are_no_strikes() -> None:
    """A client measures its bandwidth with a PING for the data it gets."""
    side = server_with(raw(HEADERS, END_HEADERS, 1, header_block()))
    stream = side.of(http2.REQUEST)[0][1]
    for _ in range(20):
        stream.send(frame(b"x"))
        side.take()
        side.give(raw(PING, 0, 0, bytes(8)))
    assert not side.http2.terminating


def test_rapid_reset() -> None:
    side = server_with(b"", Limits(max_resets_per_window=10))
    for number in range(11):
        stream = 2 * number + 1
        side.give(raw(HEADERS, END_HEADERS, stream, header_block()) + raw(RST_STREAM, 0, stream, struct.pack(">I", 8)))
        side.take() if number < 10 else None
    assert goaway_of(side) == (http2.ENHANCE_YOUR_CALM, b"too_many_resets")


def test_occasional_resets_are_fine() -> None:
    side = server_with(b"", Limits(max_resets_per_window=10, abuse_window=10.0))
    for number in range(100):
        side.now += 2.0
        stream = 2 * number + 1
        side.give(raw(HEADERS, END_HEADERS, stream, header_block()) + raw(RST_STREAM, 0, stream, struct.pack(">I", 8)))
        side.take()
    assert not side.http2.terminating
    assert len(side.of(http2.RESET)) == 100


def test_settings_flood() -> None:
    side = server_with(raw(SETTINGS, 0, 0) * 20, Limits(max_settings_per_window=20))
    assert goaway_of(side) == (http2.ENHANCE_YOUR_CALM, b"too_many_settings")


def test_continuation_flood() -> None:
    block = header_block()
    side = server_with(
        raw(HEADERS, 0, 1, block[:10]) + b"".join(raw(CONTINUATION, 0, 1, block[i : i + 1]) for i in range(10, 40))
    )
    assert goaway_of(side)[0] == http2.ENHANCE_YOUR_CALM


def test_header_bomb() -> None:
    """A few bytes on the wire, many in the decoder: an entry of the dynamic table, named again and again."""
    entry = b"\x40\x01a\x7e" + b"v" * 126
    side = server_with(
        raw(HEADERS, END_HEADERS, 1, header_block() + entry + b"\xbe" * 5000), Limits(max_header_list=10_000)
    )
    assert not side.of(http2.REQUEST)
    assert [kind for kind, *_ in frames_of(side.take())][-1] in (RST_STREAM, GOAWAY)
    assert not side.http2.streams


def test_refused_streams_of_a_peer_that_does_not_read() -> None:
    side = server_with(b"", Limits(max_concurrent_streams=1))
    side.take()
    side.give(raw(SETTINGS, ACK, 0))
    block = header_block()
    for number in range(40_000):
        if side.http2.terminating:
            break
        side.give(raw(HEADERS, END_HEADERS, 2 * number + 1, block))
    assert goaway_of(side)[0] in (http2.ENHANCE_YOUR_CALM, http2.PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "header",
    [
        (b"", b"x"),
        (b"a b", b"x"),
        (b"a", b"x\0"),
        (b"a", b"x\r\nb: c"),
        (b":path", b"/again"),
        (b":status", b"200"),
        (b"connection", b"close"),
        (b"te", b"gzip"),
    ],
)
def test_malformed_requests_cost_their_stream_only(header: tuple[bytes, bytes]) -> None:
    side = server_with(raw(HEADERS, END_HEADERS, 1, header_block([*REQUEST, header])))
    side.give(raw(HEADERS, END_HEADERS, 3, header_block()))
    assert [stream.id for _, stream, _ in side.of(http2.REQUEST)] == [3]
    assert not side.http2.terminating


def test_malformed_requests_flood() -> None:
    bad = [(b":method", b"POST"), (b":path", b"/x"), (b"Upper", b"case")]
    side = server_with(
        b"".join(raw(HEADERS, END_HEADERS, 2 * i + 1, header_block(bad)) for i in range(200)),
        Limits(max_resets_per_window=50),
    )
    assert goaway_of(side)[0] == http2.ENHANCE_YOUR_CALM
    assert not side.of(http2.REQUEST)


@pytest.mark.parametrize(
    "data",
    [
        raw(DATA, 0, 1, b"x"),  # data on a stream that is not open
        raw(HEADERS, END_HEADERS, 2, header_block()),  # even stream from a client
        raw(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff"),  # HPACK garbage
        raw(SETTINGS, 0, 0, b"123"),
        raw(PING, 0, 0, b"123"),
        raw(WINDOW_UPDATE, 0, 0, bytes(4)),
        raw(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"),
        raw(CONTINUATION, 0, 1, b""),
        b"\xff\xff\xff" + bytes(6),  # a frame of 16 MiB
        raw(HEADERS, END_HEADERS, 1, header_block()) + raw(DATA, 0, 1, bytes(16384)) * 8,  # more than the window
    ],
)
def test_protocol_errors_end_the_connection(data: bytes) -> None:
    side = Side(False, Limits(initial_window=65_535, initial_window_connection=65_535))
    side.give(PREFACE + raw(SETTINGS, 0, 0))
    for end in range(0, len(data), 16384 + 9):
        side.give(data[end : end + 16384 + 9])
        for _, stream, _ in side.of(http2.REQUEST):
            stream.hold()  # where a test is about the window, nothing is given back
    assert any(kind == GOAWAY for kind, *_ in frames_of(side.take()))
    assert side.http2.terminating
    assert side.http2.receive_data(b"more", 0.0) == []


def recorded_session() -> bytes:
    """What a client sends in a session with some of everything."""
    client = Side(True)
    data = client.take()
    for number in range(4):
        stream = Side.engine.stream()
        client.http2.request(stream, [*REQUEST, (b"k", b"v" * number)])
        for size in (0, 10, 2000):
            stream.send(frame(bytes(size)))
        if number % 2:
            stream.half_close()
        data += client.take()
        if number == 2:
            stream.reset()
    client.http2.ping()
    return data + client.take()


@pytest.mark.parametrize("seed", range(300))
def test_mutated_input_never_breaks_us(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(recorded_session())
    for _ in range(rng.randint(1, 20)):
        place = rng.randrange(24, len(data)) if rng.random() < 0.95 else rng.randrange(24)
        choice = rng.random()
        if choice < 0.6:
            data[place] = rng.randrange(256)
        elif choice < 0.8:
            del data[place : place + rng.randint(1, 30)]
        else:
            data[place:place] = rng.randbytes(rng.randint(1, 30))
    side = Side(False, Limits(max_receive_message=100_000))
    position = 0
    while position < len(data):
        step = rng.choice((1, 9, 100, 5000))
        side.give(bytes(data[position : position + step]))
        position += step
        for kind, stream, _ in side.events:
            if kind == http2.REQUEST:
                stream.send(frame(b"answer"))
                if rng.random() < 0.3:
                    stream.finish([(b"grpc-status", b"0")])
        side.events.clear()
        for _ in range(100):
            if not side.take():
                break
        else:
            raise AssertionError("endless output")
    side.http2.close()
    assert side.http2.stream_count == 0


# ---- confirmation


def test_confirmation_follows_what_was_serialised() -> None:
    pair = Pair()
    mine, _ = pair.call()
    mine.send(frame(b"x"))
    output = pair.client.take()
    pair.client.http2.confirm(lambda: None)
    output += pair.client.take()
    assert [kind for kind, *_ in frames_of(output)] == [DATA, PING]
    assert not pair.client.of(http2.CONFIRMED)
    pair.server.give(output)
    pair.pump()
    assert len(pair.client.of(http2.CONFIRMED)) == 1


def test_confirmations_share_pings() -> None:
    pair = Pair()
    pair.call()
    output = b""
    for number in range(5):
        pair.client.http2.confirm(lambda number=number: number)  # type: ignore[misc]
        output += pair.client.take()
    assert [kind for kind, *_ in frames_of(output)] == [PING]
    pair.server.give(output)
    pair.pump()
    batches = [[callback() for callback in event[2]] for event in pair.client.of(http2.CONFIRMED)]
    assert batches == [[0], [1, 2, 3, 4]]


# ---- ends


def test_reset_drops_the_queue() -> None:
    pair = Pair()
    mine, theirs = pair.call()
    mine.send(frame(bytes(100)))
    theirs.reset(http2.CANCEL)
    pair.client.give(pair.server.take())
    assert pair.client.of(http2.RESET)[0][1:] == (mine, http2.CANCEL)
    assert mine.closed
    assert mine.pending == 0


def test_close_frees_frames_and_streams() -> None:
    pair = Pair()
    mine, theirs = pair.call()
    message = frame(bytes(1000))
    references = sys.getrefcount(message)
    for _ in range(100):
        mine.send(message)
    assert sys.getrefcount(message) == references + 100
    pair.client.http2.close()
    assert sys.getrefcount(message) == references
    mine.send(message)
    assert sys.getrefcount(message) == references
    pair.client.http2.close()
    assert pair.client.http2.data_to_send() == b""
    assert pair.client.http2.receive_data(b"x", 0.0) == []
    with pytest.raises(RpcError):
        pair.client.http2.request(Side.engine.stream(), REQUEST)
    del theirs


def test_connections_leave_nothing_behind() -> None:
    def round_trip() -> None:
        pair = Pair()
        for _ in range(3):
            mine, theirs = pair.call()
            mine.send(frame(bytes(100_000)))
            theirs.send(frame(b"y"))
        pair.pump()
        mine.send(frame(b"unsent"))

    round_trip()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(20):
        round_trip()
    gc.collect()
    assert sys.getallocatedblocks() - before < 200


def test_shutdown_notice_lets_calls_finish() -> None:
    pair = Pair()
    _mine, theirs = pair.call()
    pair.server.http2.shutdown_notice()
    pair.pump()
    assert pair.client.of(http2.GOAWAY)[0][2][0] == http2.NO_ERROR
    assert not pair.client.http2.request_allowed
    theirs.send(frame(b"last"))
    theirs.finish([(b"grpc-status", b"0")])
    pair.pump()
    assert pair.client.messages() == [b"last"]


def test_terminate_sends_nothing_after_its_goaway() -> None:
    pair = Pair()
    _, theirs = pair.call()
    theirs.send(frame(b"x"))
    pair.server.http2.terminate(http2.NO_ERROR, b"bye")
    assert goaway_of(pair.server) == (http2.NO_ERROR, b"bye")
