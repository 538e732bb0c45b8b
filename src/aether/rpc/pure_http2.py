"""The engine for where libnghttp2 is missing: the shape of `aether.rpc.http2` on purerpc's HTTP/2 layer, in Python.

It keeps every promise of the native engine (limits, back-pressure, drain, confirmations by PING) and passes the same
tests, at a fraction of the speed.

purerpc brings h2 3.2 and mends two of its faults when imported. Its own server cannot be held to the limits of this
gateway (it decompresses without a bound, forgets resets, dies with a malformed request, and knows no drain), so it is
left aside, and `Connection` drives h2 itself: `pure_frames` cuts the input into frames and sees every one of them
before h2 does, h2 keeps the protocol's state, `pure_stream` has the queue and the gRPC messages of a call, and this
module does flow control, the order of sending, and the limits.

Where it differs from the native engine, on purpose:
* An `initial_window` below 64 KiB counts as 64 KiB. A peer may use the protocol's default until it has seen our
  SETTINGS, and h2 may keep the window of what arrived before a smaller one came into force: the stream would hang.
* A header list beyond four times `max_header_list` ends the connection. One beyond the limit only resets its stream, as
  there; but the rest of an endless block would have to be decoded for the compression state, and in Python that costs
  the peer less than us.

Rules of this file:
* h2 never gets an outgoing frame that its state forbids; so an exception of h2 while sending is a bug here;
* what the peer does wrong is never an exception: it ends as RST_STREAM or as GOAWAY (`terminating` becomes true);
* frames of RPCs are serialised in `data_to_send` only, and a stream that waits for window is not in `_ready`.
"""

# ruff: noqa: SLF001 - a stream and its connection are two halves of one state machine

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from h2 import events as h2_events
from h2.config import H2Configuration
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame

from aether.rpc.http2 import (
    CLOSED,
    CONFIRMED,
    ENHANCE_YOUR_CALM,
    GOAWAY,
    HALF_CLOSED,
    HEADERS,
    INVALID,
    MESSAGES,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    REQUEST,
    RESET,
    Event,
    Headers,
)
from aether.rpc.limits import Limits
from aether.rpc.pure_frames import H2, Abuse
from aether.rpc.pure_stream import Stream
from aether.rpc.status import RpcError, StatusCode

__all__ = ["Connection", "Stream"]

DATA_SIZE = 16384
"""Most bytes in a DATA frame, whatever the peer allows: streams take turns by frames."""
BACKLOG_MAX = 256 * 1024
"""Bytes of control frames that wait for the transport; more are the answers to a flood."""
FAR_PAST = -1e300
HEADER_NAME = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-z]+")
HEADER_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
PSEUDO_HEADERS = frozenset((b":method", b":scheme", b":path", b":authority"))
REQUIRED_HEADERS = (b":method", b":scheme", b":path")
CONNECTION_HEADERS = frozenset((b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"))


class Connection:
    """One HTTP/2 connection, see `aether.rpc.http2.Connection`. `client` chooses the side."""

    def __init__(self, client: bool, limits: Limits, *, stream_type: type[Any] = Stream) -> None:
        self.client = client
        self.limits = limits
        self.ready = False
        self.terminating = False
        self.owner: Any = None
        self.dirty_list: list[Any] = []
        self.dirty = True  # the owner flushes once at the start
        self._stream_type = stream_type
        self._streams: dict[int, Any] = {}
        self._events: list[Event] = []
        self._ready: OrderedDict[Any, None] = OrderedDict()
        """Streams that have something to send and, as far as is known, the window for it."""
        self._requests: OrderedDict[Any, None] = OrderedDict()
        """Client: streams not opened yet, in the order of their numbers; some wait for the server's limit."""
        self._touched: list[Any] = []
        self._next_id = 1
        self._confirms: list[Callable[[], None]] = []
        self._confirming: list[Callable[[], None]] | None = None
        self._left = False
        """The peer sent GOAWAY."""
        self._silent = False
        """Nothing is sent any more."""
        self._now = FAR_PAST
        self._last_ping = FAR_PAST
        self._strikes = 0
        self._window_start = FAR_PAST
        self._resets = 0
        self._settings = 0
        self._closed = False
        # Headers are checked here, so that a malformed request costs its stream only.
        config = H2Configuration(
            client_side=client,
            header_encoding=None,
            validate_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = H2(config, limits, self._on_frame, self._on_events)

    # ---- receiving

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        if self._closed or self.terminating:
            return self.take_events()
        self._now = now
        try:
            self._h2.receive_data(data)
        except Abuse as error:
            self.terminate(error.error_code, error.debug)
        except ProtocolError as error:
            self.terminate(int(error.error_code))
        else:
            if self._left and not self._streams:
                self.terminating = True
            elif self._h2.backlog > BACKLOG_MAX:
                self.terminate(ENHANCE_YOUR_CALM, b"too_many_control_frames")
        if self._h2.backlog or self._ready or self._requests:
            self._mark_dirty()
        return self.take_events()

    def take_events(self) -> list[Event]:
        taken = self._events
        if taken:
            self._events = []
            for kind, stream, _ in taken:
                if kind == MESSAGES:
                    stream._batch = None
        return taken

    @property
    def has_events(self) -> bool:
        return bool(self._events)

    def emit(self, kind: int, stream: Any, value: Any) -> None:
        self._events.append((kind, stream, value))

    def _on_frame(self, frame: Any) -> None:
        """Every frame, before h2 looks at it: what costs us although the protocol allows it.

        :raises Abuse: too much of it.
        """
        kind = type(frame)
        if kind is PingFrame:
            if "ACK" in frame.flags:
                self._ping_answered(bytes(frame.opaque_data))
            elif not self.client:
                self._count_ping()
        elif kind is SettingsFrame and "ACK" not in frame.flags:
            self.ready = True
            self._new_window()
            self._settings += 1
            if self._settings > self.limits.max_settings_per_window:
                raise Abuse(b"too_many_settings")
        elif kind is RstStreamFrame and not self.client:
            self._count_reset(b"too_many_resets")
        elif kind is GoAwayFrame:
            self._peer_leaves(int(frame.error_code), frame.last_stream_id, bytes(frame.additional_data)[:256])

    def _new_window(self) -> None:
        if self._now - self._window_start > self.limits.abuse_window:
            self._window_start = self._now
            self._resets = self._settings = 0

    def _count_reset(self, reason: bytes) -> None:
        self._new_window()
        self._resets += 1
        if self._resets > self.limits.max_resets_per_window:
            raise Abuse(reason)

    def _count_ping(self) -> None:
        if self._now - self._last_ping < self.limits.min_client_ping_interval:
            self._strikes += 1
            if self._strikes > self.limits.max_ping_strikes:
                raise Abuse(b"too_many_pings")
        self._last_ping = self._now

    def _ping_answered(self, data: bytes) -> None:
        if self._confirming is not None and data[:1] == b"c":
            self.emit(CONFIRMED, None, self._confirming)
            self._confirming = None
            if self._confirms:
                self._ping_confirms()

    def _peer_leaves(self, code: int, last_stream: int, debug: bytes) -> None:
        self._left = True
        self.emit(GOAWAY, None, (code, last_stream, debug))
        if self.client:
            for stream in self.streams:
                if stream.id > last_stream or stream in self._requests:
                    self.reset_stream(stream, REFUSED_STREAM)

    def _on_events(self, events: list[Any]) -> None:
        """What h2 made of a frame."""
        for event in events:
            kind = type(event)
            if kind is h2_events.DataReceived:
                self._data_received(event.stream_id, event.data, event.flow_controlled_length)
            elif kind is h2_events.RequestReceived:
                self._request_received(event.stream_id, _plain(event.headers))
            elif kind is h2_events.ResponseReceived:
                self._response_received(event.stream_id, _plain(event.headers), event.stream_ended is not None)
            elif kind is h2_events.TrailersReceived:
                if (stream := self._streams.get(event.stream_id)) is not None:
                    stream._trailers_received = _plain(event.headers)
            elif kind is h2_events.StreamEnded:
                self._end_received(event.stream_id)
            elif kind is h2_events.StreamReset:
                if (stream := self._streams.get(event.stream_id)) is not None:
                    self._close_stream(stream, int(event.error_code))
            elif kind is h2_events.WindowUpdated:
                self._window_updated(event.stream_id)
            elif kind is h2_events.RemoteSettingsChanged:
                self._window_updated(0)

    def _request_received(self, stream_id: int, headers: Headers) -> None:
        if not self._fits(headers):
            self._h2.reset_stream(stream_id, ENHANCE_YOUR_CALM)
        elif len(self._streams) >= self.limits.max_concurrent_streams:
            self._h2.reset_stream(stream_id, REFUSED_STREAM)
        elif not _well_formed(headers):
            self._h2.reset_stream(stream_id, PROTOCOL_ERROR)
            self._count_reset(b"too_many_errors")
        else:
            stream = self._stream_type()
            stream._connection = self
            stream.id = stream_id
            stream._announced = True
            self._streams[stream_id] = stream
            self.emit(REQUEST, stream, headers)

    def _response_received(self, stream_id: int, headers: Headers, ended: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if not self._fits(headers):
            self.reset_stream(stream, ENHANCE_YOUR_CALM)
        elif ended:
            stream._trailers_received = headers
        else:
            self.emit(HEADERS, stream, headers)

    def _fits(self, headers: Headers) -> bool:
        return sum(len(name) + len(value) + 32 for name, value in headers) <= self.limits.max_header_list

    def _data_received(self, stream_id: int, data: bytes, flow_controlled: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is None or stream.invalid or not stream._hold:
            self.consume(stream_id, flow_controlled)
        else:
            stream._unconsumed += flow_controlled
        if stream is not None and not stream.invalid and (error := stream.feed(data)) is not None:
            self._invalid(stream, error)

    def _invalid(self, stream: Any, error: RpcError) -> None:
        stream.invalid = True
        stream._partial = bytearray()
        self.emit(INVALID, stream, error)

    def _end_received(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is None or stream.half_closed:
            return
        stream.half_closed = True
        if stream._partial and not stream.invalid:
            self._invalid(stream, RpcError(StatusCode.INTERNAL, "stream ended inside a message"))
        self.emit(HALF_CLOSED, stream, stream._trailers_received)
        if stream.finished:
            self._close_stream(stream, NO_ERROR)

    def consume(self, stream_id: int, amount: int) -> None:
        """Return window for received data; after the stream's end only that of the connection."""
        if amount and not self.terminating:
            self._h2.acknowledge_received_data(amount, stream_id)
            self._mark_dirty()

    # ---- sending

    def want_to_send(self, stream: Any) -> None:
        if stream not in self._requests:
            self._ready[stream] = None
        self._mark_dirty()

    def _mark_dirty(self) -> None:
        if not self.dirty and not self._closed:
            self.dirty = True
            self.dirty_list.append(self.owner)

    def _window_updated(self, stream_id: int) -> None:
        for stream in list(self._streams.values()) if stream_id == 0 else [self._streams.get(stream_id)]:
            if stream is not None and not stream.finished and stream not in self._requests:
                self._ready[stream] = None

    def data_to_send(self, limit: int = 262144) -> bytes:
        self.dirty = False
        if self._closed or self._silent:
            return b""
        if self.terminating:
            self._silent = True
        else:
            self._open_requests()
            while self._ready and self._h2.backlog < limit:
                stream, _ = self._ready.popitem(last=False)
                if self._send_some(stream):
                    self._ready[stream] = None
        output: bytes = self._h2.data_to_send()
        if self._left and not self._streams:
            self.terminating = True
        return output

    def _open_requests(self) -> None:
        if not self._requests:
            return
        room = self._h2.remote_settings.max_concurrent_streams - self._h2.open_outbound_streams
        while self._requests and room > 0:
            stream, _ = self._requests.popitem(last=False)
            self._ready[stream] = None
            self._send_some(stream)
            room -= 1

    def _send_some(self, stream: Any) -> bool:
        """One frame of a stream; returns whether another may follow."""
        h2 = self._h2
        if stream._headers is not None:
            headers, stream._headers = stream._headers, None
            h2.send_headers(stream.id, headers, end_stream=stream._headers_end)
            self._forgive_pings()
            if stream._headers_end:
                self._end_sent(stream)
            return not stream._headers_end
        available = stream.available
        size = min(available, h2.local_flow_control_window(stream.id), h2.max_outbound_frame_size, DATA_SIZE)
        if size > 0:
            self._touched.append(stream)
            last = self.client and stream.ended and size == available
            h2.send_data(stream.id, stream.take(size), end_stream=last)
            self._forgive_pings()
            if last:
                self._end_sent(stream)
                return False
            return True
        if available or not stream.ended:
            return False
        if self.client:
            h2.end_stream(stream.id)
        else:
            h2.send_headers(stream.id, stream._trailers, end_stream=True)
        self._end_sent(stream)
        return False

    def _end_sent(self, stream: Any) -> None:
        stream.finished = True
        if not self.client and not stream.half_closed:
            # The RPC is over; tell a client that is still sending to stop (RFC 9113 8.1).
            self._h2.reset_stream(stream.id, NO_ERROR)
            self._close_stream(stream, NO_ERROR)
        elif stream.half_closed:
            self._close_stream(stream, NO_ERROR)

    def _forgive_pings(self) -> None:
        self._strikes = 0
        self._last_ping = FAR_PAST

    def acknowledge_sent(self) -> None:
        touched, self._touched = self._touched, []
        for stream in dict.fromkeys(touched):
            if not stream.closed:
                stream.sent = stream._extracted
            if stream.waiters:
                stream.on_progress()

    def request(self, stream: Any, headers: Headers) -> None:
        if not self.request_allowed:
            raise RpcError(StatusCode.UNAVAILABLE, "connection closed")
        stream._connection = self
        stream.id = self._next_id
        self._next_id += 2
        stream._has_headers = stream._announced = True
        stream._headers = headers
        self._streams[stream.id] = stream
        self._requests[stream] = None
        self._mark_dirty()

    def ping(self) -> None:
        if not self._closed and not self.terminating:
            self._h2.ping(b"keepaliv")
            self._mark_dirty()

    def confirm(self, callback: Callable[[], None]) -> None:
        if not self._closed and not self.terminating:
            self._confirms.append(callback)
            if self._confirming is None:
                self._ping_confirms()

    def _ping_confirms(self) -> None:
        self._confirming, self._confirms = self._confirms, []
        self._h2.ping(b"confirm.")
        self._mark_dirty()

    # ---- ends

    def reset_stream(self, stream: Any, code: int) -> None:
        """See `Stream.reset`; a request that was not sent yet is only forgotten."""
        if stream not in self._requests and not self.terminating:
            self._h2.reset_stream(stream.id, code)
        self._close_stream(stream, code)
        self._mark_dirty()

    def _close_stream(self, stream: Any, code: int) -> None:
        del self._streams[stream.id]
        self._stream_gone(stream)
        if stream.half_closed if self.client else stream.finished:
            self.emit(CLOSED, stream, None)
        else:
            self.emit(RESET, stream, code)

    def _stream_gone(self, stream: Any) -> None:
        stream.closed = True
        stream._queue.clear()
        stream.queued = stream._extracted = stream.sent
        self._ready.pop(stream, None)
        self._requests.pop(stream, None)
        amount, stream._unconsumed = stream._unconsumed, 0
        self.consume(stream.id, amount)

    def shutdown_notice(self) -> None:
        if not self._closed and not self.terminating and not self.client:
            self._h2.send_shutdown_notice()
            self._mark_dirty()

    def terminate(self, code: int, debug: bytes = b"") -> None:
        if self._closed or self.terminating:
            return
        self.terminating = True
        self._h2.close_connection(code, debug, 0 if self.client else None)
        self._mark_dirty()

    def close(self) -> None:
        if self._closed:
            return
        self.terminating = self._closed = True
        for stream in list(self._streams.values()):
            self._stream_gone(stream)
        self._streams.clear()
        self._confirms.clear()
        self._confirming = None

    # ---- state

    @property
    def streams(self) -> list[Any]:
        return list(self._streams.values())

    @property
    def stream_count(self) -> int:
        return len(self._streams)

    @property
    def request_allowed(self) -> bool:
        return not (self._closed or self.terminating or self._left)


def _plain(headers: Any) -> Headers:
    return [(bytes(name), bytes(value)) for name, value in headers]


def _well_formed(headers: Headers) -> bool:
    """The rules of RFC 9113 8.2 and 8.3 for requests."""
    pseudo: dict[bytes, bytes] = {}
    regular = False
    for name, value in headers:
        if not HEADER_VALUE.fullmatch(value):
            return False
        if name[:1] == b":":
            if regular or name in pseudo or name not in PSEUDO_HEADERS:
                return False
            pseudo[name] = value
        else:
            regular = True
            if not HEADER_NAME.fullmatch(name) or name in CONNECTION_HEADERS:
                return False
            if name == b"te" and value != b"trailers":
                return False
    return all(pseudo.get(name) for name in REQUIRED_HEADERS)
