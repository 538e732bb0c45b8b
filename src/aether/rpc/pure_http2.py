"""HTTP/2 and gRPC framing without I/O in pure Python, for where `_http2` was not compiled: the same surface, slower.

Theory of operation
-------------------
The protocol is h2's, with the corrections that purerpc applies to it. Frames are cut out of the input here before h2
sees them, for three reasons: what a peer may repeat without cost to itself (PING, RST_STREAM, SETTINGS, CONTINUATION)
is counted; an error stops at the frame that made it; and GOAWAY, on which h2 would end a connection whose streams may
still finish, never reaches it.

Sending is two steps, because "left us" and "the kernel took it" differ: what `data_to_send` returned counts as `sent`
only after `acknowledge_sent`. Received data returns flow-control window at once, unless the stream is on `hold`.

What the peer does wrong is never an exception: it ends as RST_STREAM or as GOAWAY (`terminating` becomes true). A
malformed request costs the peer the connection here, where `_http2` resets only its stream.
"""

# ruff: noqa: SLF001 - a stream and its connection are two halves of one state machine

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Any

import h2.connection
import h2.events
import purerpc.grpclib.connection  # noqa: F401 - applies purerpc's corrections to h2
from h2.config import H2Configuration
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame

from aether.rpc.http2 import (
    CANCEL,
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
)
from aether.rpc.limits import Limits
from aether.rpc.status import RpcError, StatusCode

__all__ = ["Connection", "Stream"]

HeaderList = list[tuple[bytes, bytes]]
Event = tuple[int, Any, Any]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER = 9
MAX_FRAME = 16_384
MAX_CONTINUATIONS = 8
MAX_CONTROL_BYTES = 1 << 20
"""Answers of ours that may wait for a peer that sends but does not read."""
RECEIVE_SIZE = 256 * 1024
SMALLEST_PREFIX = 5
DEFAULT_WINDOW = 65_535
FAR_PAST = float("-inf")

FRAME_SIZE_ERROR = 6
TYPE_HEADERS, TYPE_RST_STREAM, TYPE_SETTINGS, TYPE_PING, TYPE_GOAWAY, TYPE_CONTINUATION = 1, 3, 4, 6, 7, 9
FLAG_ACK = 1
KEEPALIVE, CONFIRM = b"keepaliv", b"confirm."


class Stream:
    """One RPC on a connection: the queue of outgoing frames and the message that is being received.

    Subclass it to hold what the application knows of the call; `Connection` creates server streams with its
    `stream_type()`.
    """

    __slots__ = (
        "_announced",
        "_batch",
        "_connection",
        "_extracted",
        "_has_headers",
        "_hold",
        "_incoming",
        "_offset",
        "_peer_trailers",
        "_queue",
        "_trailers",
        "_unconsumed",
        "closed",
        "ended",
        "finished",
        "half_closed",
        "id",
        "invalid",
        "queued",
        "sent",
        "waiters",
    )

    _connection: Connection | None
    _batch: list[bytes] | None
    _trailers: HeaderList | None
    _peer_trailers: HeaderList | None

    def __new__(cls, *args: Any, **options: Any) -> Any:  # subclasses need not call our __init__
        del args, options
        self = super().__new__(cls)
        self._connection = None
        self.id = 0
        self.half_closed = False
        """The peer ended its side."""
        self.closed = False
        """Gone: nothing can be sent any more."""
        self.invalid = False
        """The peer broke a gRPC rule; its data is dropped."""
        self.ended = False
        """We ended our side (perhaps not sent yet)."""
        self.finished = False
        """Our end left `data_to_send`."""
        self.queued = 0
        """Bytes of frames ever queued."""
        self.sent = 0
        """Bytes of frames accepted by the transport."""
        self.waiters = False
        """True: `on_progress()` is called when `sent` grew."""
        self._extracted = 0
        self._has_headers = False
        self._announced = False
        self._trailers = None
        self._peer_trailers = None
        self._queue: deque[bytes] = deque()
        self._offset = 0
        self._batch = None
        self._incoming = bytearray()
        self._hold = False
        self._unconsumed = 0
        return self

    @property
    def pending(self) -> int:
        """Bytes of queued frames that the transport has not accepted yet; 0 when the stream is closed."""
        return int(self.queued - self.sent)

    @property
    def connection(self) -> Connection | None:
        return self._connection

    def on_progress(self) -> None:
        """Called by `acknowledge_sent` when `sent` grew and `waiters` is true."""

    def send(self, frame: bytes) -> int:
        """Queue one gRPC frame (with its prefix). Dropped when the stream is closed or we ended it.

        Raises RpcError(RESOURCE_EXHAUSTED) for a frame over `max_send_message`.
        """
        if not isinstance(frame, bytes):
            raise TypeError("a frame is bytes")
        connection = self._connection
        if self.closed or self.ended or connection is None:
            return 0
        if len(frame) > connection.limits.max_send_message + SMALLEST_PREFIX:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, "message too large to send")
        if frame:
            self._queue.append(frame)
            self.queued += len(frame)
            self.start_response()
            connection._want_write(self)
        return 0

    def start_response(self) -> None:
        """Server: send the response headers although there is no message yet. Does nothing the second time."""
        connection = self._connection
        if not self._has_headers and not self.closed and connection is not None:
            self._has_headers = True
            connection._send_headers(self, RESPONSE_HEADERS, end_stream=False)

    def finish(self, trailers: HeaderList) -> None:
        """Server: end the RPC after what is queued, with these trailers ((name, value) bytes pairs)."""
        connection = self._connection
        if self.closed or self.ended or connection is None:
            return
        self.ended = True
        self._trailers = trailers if self._has_headers else RESPONSE_HEADERS + trailers
        self._has_headers = True
        connection._want_write(self)

    def half_close(self) -> None:
        """Client: end our side after what is queued."""
        connection = self._connection
        if self.closed or self.ended or connection is None:
            return
        self.ended = True
        connection._want_write(self)

    def reset(self, code: int = CANCEL) -> None:
        """Send RST_STREAM; what is queued is dropped."""
        connection = self._connection
        if self.closed or connection is None:
            return
        self.ended = True
        connection._reset(self, code)

    def hold(self) -> None:
        """Stop returning flow-control window: at most one window of data arrives until `release`."""
        self._hold = True

    def release(self) -> None:
        """Return the window of everything received so far and of what follows."""
        self._hold = False
        amount, self._unconsumed = self._unconsumed, 0
        if amount and self._connection is not None and not self.closed:
            self._connection._consume(self.id, amount)

    # ---- for Connection

    def _take(self, size: int) -> bytes:
        """The next `size` queued bytes."""
        pieces = []
        while size:
            head = self._queue[0]
            piece = head[self._offset : self._offset + size]
            pieces.append(piece)
            size -= len(piece)
            self._offset += len(piece)
            if self._offset == len(head):
                self._queue.popleft()
                self._offset = 0
        return b"".join(pieces)

    def _feed(self, data: bytes, events: list[Event], max_receive: int) -> None:
        """Cut messages out of a piece of the stream's data."""
        incoming = self._incoming
        incoming += data
        start = 0
        while len(incoming) - start >= SMALLEST_PREFIX:
            size = int.from_bytes(incoming[start + 1 : start + 5], "big")
            if problem := _prefix_problem(incoming[start], size, max_receive):
                incoming.clear()
                self._fail(problem, events)
                return
            end = start + SMALLEST_PREFIX + size
            if end > len(incoming):
                break
            if self._batch is None:
                self._batch = []
                events.append((MESSAGES, self, self._batch))
            self._batch.append(bytes(incoming[start + SMALLEST_PREFIX : end]))
            start = end
        del incoming[:start]

    def _fail(self, error: RpcError, events: list[Event]) -> None:
        self.invalid = True
        events.append((INVALID, self, error))


RESPONSE_HEADERS: HeaderList = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity"),
]


def _prefix_problem(compressed: int, size: int, max_receive: int) -> RpcError | None:
    if compressed == 1:
        return RpcError(StatusCode.UNIMPLEMENTED, "compressed messages are not supported")
    if compressed:
        return RpcError(StatusCode.INTERNAL, "malformed message prefix")
    if size > max_receive:
        text = f"message of {size} bytes is larger than the maximum of {max_receive}"
        return RpcError(StatusCode.RESOURCE_EXHAUSTED, text)
    return None


class Connection:
    """One HTTP/2 connection. `client` chooses the side.

    `owner` is appended to `dirty_list` when something was queued and it is not there yet (see `dirty`).
    """

    def __init__(self, client: bool, limits: Limits, *, stream_type: type[Any] = Stream) -> None:
        self.client = client
        self.limits = limits
        self.ready = False
        """The peer's SETTINGS arrived."""
        self.terminating = False
        """A fatal GOAWAY is queued or sent: flush, then close."""
        self.dirty = True  # the owner flushes once at the start
        self.owner: Any = None
        self.dirty_list: list[Any] = []
        self._stream_type = stream_type
        self._streams: dict[int, Any] = {}
        self._events: list[Event] = []
        self._writers: dict[Any, None] = {}
        """Streams with something to send, in turn."""
        self._touched: list[Any] = []
        self._output = bytearray()
        self._input = bytearray()
        self._preface_seen = client
        self._peer_left = False
        self._closed = False
        self._confirms: list[Callable[[], None]] = []
        self._confirming: list[Callable[[], None]] | None = None
        self._abuse = _Abuse(limits)
        self._h2 = h2.connection.H2Connection(H2Configuration(client_side=client, header_encoding=None))
        self._start(limits)

    def _start(self, limits: Limits) -> None:
        common = {
            SettingCodes.INITIAL_WINDOW_SIZE: limits.initial_window,
            SettingCodes.MAX_HEADER_LIST_SIZE: limits.max_header_list,
        }
        side: dict[SettingCodes, int] = (
            {SettingCodes.ENABLE_PUSH: 0}
            if self.client
            else {SettingCodes.MAX_CONCURRENT_STREAMS: limits.max_concurrent_streams}
        )
        self._h2.local_settings = Settings(client=self.client, initial_values={**common, **side})
        self._h2.decoder.max_header_list_size = max(65_536, 2 * limits.max_header_list)
        self._h2.initiate_connection()
        if not self.client:
            # Announced above; enforced by `_on_request`, which refuses a stream where h2 would end the connection.
            self._h2.local_settings = Settings(client=False, initial_values=common)
        more = limits.initial_window_connection - DEFAULT_WINDOW
        if more > 0:
            self._h2.increment_flow_control_window(more)
        self._collect()

    # ---- receiving

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Parse what the transport received at time `now` (seconds); returns a list of events."""
        if self._closed or self.terminating:
            return self.take_events()
        self._input += data
        self._abuse.now = now
        try:
            self._read_frames()
        except ProtocolError:  # its GOAWAY is in the output
            self._collect()
            self.terminating = True
        self._collect()
        if len(self._output) > MAX_CONTROL_BYTES:
            self.terminate(ENHANCE_YOUR_CALM, b"too_many_control_frames")
        elif self._peer_left and not self._streams:
            self.terminating = True
        return self.take_events()

    def receive_from(self, fd: int, now: float) -> list[Event] | None:
        """One non-blocking read on a socket, parsed like `receive_data`.

        None at the end of the stream; raises OSError.
        """
        try:
            data = os.read(fd, RECEIVE_SIZE)
        except (BlockingIOError, InterruptedError):
            return []
        return self.receive_data(data, now) if data else None

    def _read_frames(self) -> None:
        data = self._input
        start = 0
        if not self._preface_seen:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                self.terminate(PROTOCOL_ERROR)
                return
            if len(data) < len(PREFACE):
                return
            self._preface_seen = True
            self._feed(data[: len(PREFACE)])
            start = len(PREFACE)
        while not self.terminating and len(data) - start >= FRAME_HEADER:
            end = start + FRAME_HEADER + int.from_bytes(data[start : start + 3], "big")
            if end - start > FRAME_HEADER + MAX_FRAME:
                self.terminate(FRAME_SIZE_ERROR)
                return
            if end > len(data):
                break
            self._frame_received(data[start + 3], data[start + 4], bytes(data[start:end]))
            start = end
        del data[:start]

    def _frame_received(self, kind: int, flags: int, frame: bytes) -> None:
        if reason := self._abuse.count(kind, flags, client=self.client):
            self.terminate(ENHANCE_YOUR_CALM, reason)
        elif kind == TYPE_GOAWAY:
            self._goaway_received(frame[FRAME_HEADER:])
        else:
            self._feed(frame)
            if kind == TYPE_SETTINGS:
                self.ready = True

    def _goaway_received(self, payload: bytes) -> None:
        if len(payload) < 8:
            self.terminate(FRAME_SIZE_ERROR)
            return
        last, code = int.from_bytes(payload[:4], "big") & 0x7FFF_FFFF, int.from_bytes(payload[4:8], "big")
        self._peer_left = True
        self._events.append((GOAWAY, None, (code, last, payload[8 : 8 + 256])))
        if self.client:
            for stream in self.streams:
                if stream.id > last:
                    self._close_stream(stream, REFUSED_STREAM)

    def _feed(self, data: bytes | bytearray) -> None:
        for event in self._h2.receive_data(bytes(data)):
            handler = _ON_EVENT.get(type(event))
            if handler is not None:
                handler(self, event)
        self._collect()

    def _on_request(self, event: h2.events.RequestReceived) -> None:
        headers = [(name, value) for name, value in event.headers]
        stream_id = event.stream_id
        if sum(len(name) + len(value) + 32 for name, value in headers) > self.limits.max_header_list:
            self._h2.reset_stream(stream_id, ENHANCE_YOUR_CALM)
            return
        if len(self._streams) >= self.limits.max_concurrent_streams:
            self._h2.reset_stream(stream_id, REFUSED_STREAM)
            return
        stream = self._stream_type()
        stream._connection = self
        stream.id = stream_id
        stream._announced = True
        self._streams[stream_id] = stream
        self._events.append((REQUEST, stream, headers))

    def _on_response(self, event: h2.events.ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None:
            return
        headers = [(name, value) for name, value in event.headers]
        if event.stream_ended is not None:
            stream._peer_trailers = headers
        else:
            self._events.append((HEADERS, stream, headers))

    def _on_trailers(self, event: h2.events.TrailersReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            stream._peer_trailers = [(name, value) for name, value in event.headers]

    def _on_data(self, event: h2.events.DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        size = event.flow_controlled_length
        if stream is not None and stream._hold and not stream.invalid:
            stream._unconsumed += size
        elif size:
            self._h2.acknowledge_received_data(size, event.stream_id)
        if stream is not None and not stream.invalid:
            stream._feed(event.data, self._events, self.limits.max_receive_message)

    def _on_end(self, event: h2.events.StreamEnded) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is None or stream.half_closed:
            return
        stream.half_closed = True
        if stream._incoming and not stream.invalid:
            stream._fail(RpcError(StatusCode.INTERNAL, "stream ended inside a message"), self._events)
        self._events.append((HALF_CLOSED, stream, stream._peer_trailers))
        if stream.finished:
            self._close_stream(stream, NO_ERROR)

    def _on_reset(self, event: h2.events.StreamReset) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            self._close_stream(stream, int(event.error_code))

    def _on_ping_answer(self, event: h2.events.PingAcknowledged) -> None:
        if event.ping_data == CONFIRM and self._confirming is not None:
            self._events.append((CONFIRMED, None, self._confirming))
            self._confirming = None
            if self._confirms:
                self._ping_confirms()

    def take_events(self) -> list[Event]:
        """Events since the last call. `data_to_send` can add RESET and CLOSED events."""
        events = self._events
        if events:
            self._events = []
            for kind, stream, _ in events:
                if kind == MESSAGES:
                    stream._batch = None
        return events

    @property
    def has_events(self) -> bool:
        return bool(self._events)

    # ---- sending

    def data_to_send(self, limit: int = 262144) -> bytes:
        """Serialise queued frames, stopping once `limit` bytes are reached; b"" when there is nothing.

        Call `acknowledge_sent` when the transport accepted all of it, before the next call.
        """
        self.dirty = False
        if self._closed:
            return b""
        while not self.terminating and len(self._output) < limit and self._writers:
            sent = [self._write(stream) for stream in list(self._writers) if len(self._output) < limit]
            if not any(sent):
                break  # all wait for window
        output = bytes(self._output)
        self._output.clear()
        return output

    def send_to(self, fd: int, limit: int = 262144) -> bytes | None:
        """Serialise and send on a non-blocking socket until all is gone.

        Returns None, or the bytes that the socket did not take: send these, then call `acknowledge_sent`. Raises
        OSError.
        """
        while output := self.data_to_send(limit):
            try:
                taken = os.write(fd, output)
            except (BlockingIOError, InterruptedError):
                taken = 0
            if taken < len(output):
                return output[taken:]
            self.acknowledge_sent()
            if len(output) < limit:
                break
        return None

    def acknowledge_sent(self) -> None:
        """The transport accepted everything that `data_to_send` returned."""
        touched, self._touched = self._touched, []
        for stream in touched:
            if not stream.closed:
                stream.sent = stream._extracted
            if stream.waiters:
                stream.on_progress()

    def _write(self, stream: Any) -> bool:
        """One DATA frame of a stream, and its end when that was all. False: nothing could be sent."""
        available = stream.queued - stream._extracted
        if available:
            window = self._h2.local_flow_control_window(stream.id)
            size = min(available, window, self._h2.max_outbound_frame_size)
            if size <= 0:
                return False
            self._h2.send_data(stream.id, stream._take(size))
            stream._extracted += size
            self._touched.append(stream)
            self._abuse.data_sent()
        if stream._extracted == stream.queued:
            del self._writers[stream]
            if stream.ended:
                self._write_end(stream)
        self._collect()
        return True

    def _write_end(self, stream: Any) -> None:
        stream.finished = True
        if stream._trailers is not None:
            self._send_headers(stream, stream._trailers, end_stream=True)
            if not stream.half_closed:
                # The RPC is over; tell a client that is still sending to stop (RFC 9113 8.1).
                self._h2.reset_stream(stream.id, NO_ERROR)
            self._close_stream(stream, NO_ERROR)
        else:
            self._h2.end_stream(stream.id)
            if stream.half_closed:
                self._close_stream(stream, NO_ERROR)

    def _send_headers(self, stream: Any, headers: HeaderList, *, end_stream: bool) -> None:
        if self.terminating:
            return
        self._h2.send_headers(stream.id, headers, end_stream=end_stream)
        self._abuse.data_sent()
        self._collect()
        self._mark_dirty()

    def _want_write(self, stream: Any) -> None:
        self._writers[stream] = None
        self._mark_dirty()

    def _consume(self, stream_id: int, amount: int) -> None:
        if not self.terminating:
            self._h2.acknowledge_received_data(amount, stream_id)
            self._collect()
            self._mark_dirty()

    def _collect(self) -> None:
        """Take what h2 serialised; whatever it is, it goes out in this order."""
        fresh = self._h2.data_to_send()
        if fresh:
            self._output += fresh
            self._mark_dirty()

    def _mark_dirty(self) -> None:
        if not self.dirty and not self._closed:
            self.dirty = True
            self.dirty_list.append(self.owner)

    def request(self, stream: Any, headers: HeaderList) -> None:
        """Client: open `stream` with these headers ((name, value) bytes pairs, pseudo headers first)."""
        if not self.request_allowed:
            raise RpcError(StatusCode.UNAVAILABLE, "connection closed")
        try:
            stream_id = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream_id, headers)
        except ProtocolError as error:
            raise RpcError(StatusCode.UNAVAILABLE, "no more streams on this connection") from error
        stream._connection = self
        stream.id = stream_id
        stream._has_headers = True
        stream._announced = True
        self._streams[stream_id] = stream
        self._collect()

    def ping(self) -> None:
        """Send a PING; its answer shows as received bytes only."""
        if not self._closed and not self.terminating:
            self._h2.ping(KEEPALIVE)
            self._collect()

    def confirm(self, callback: Callable[[], None]) -> None:
        """`callback` goes into a CONFIRMED event once the peer answered a PING that follows everything serialised so
        far.
        """
        if not self._closed and not self.terminating:
            self._confirms.append(callback)
            if self._confirming is None:
                self._ping_confirms()

    def _ping_confirms(self) -> None:
        self._confirming, self._confirms = self._confirms, []
        self._h2.ping(CONFIRM)
        self._collect()

    def shutdown_notice(self) -> None:
        """Server: GOAWAY that refuses nothing yet but asks the client to go elsewhere for new calls."""
        if not self._closed and not self.client and not self.terminating:
            self._output += GoAwayFrame(0, last_stream_id=0x7FFF_FFFF, error_code=NO_ERROR).serialize()
            self._mark_dirty()

    def terminate(self, code: int, debug: bytes = b"") -> None:
        """Queue a final GOAWAY; nothing is sent after it and nothing received is looked at."""
        if self._closed or self.terminating:
            return
        last = 0 if self.client else self._h2.highest_inbound_stream_id
        frame = GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=debug)
        self._collect()
        self._output += frame.serialize()
        self.terminating = True
        self._mark_dirty()

    # ---- state

    @property
    def streams(self) -> list[Any]:
        """Live streams, as a new list."""
        return list(self._streams.values())

    @property
    def stream_count(self) -> int:
        return len(self._streams)

    @property
    def request_allowed(self) -> bool:
        """Client: whether a new stream may be opened (no GOAWAY seen)."""
        return not (self._closed or self.terminating or self._peer_left)

    def close(self) -> None:
        """Give everything up; live streams become closed. Further calls do nothing."""
        self._closed = self.terminating = True
        for stream in self.streams:
            self._stream_gone(stream)
        self._streams.clear()
        self._confirms.clear()
        self._confirming = None
        self._output.clear()
        self._input.clear()

    def _reset(self, stream: Any, code: int) -> None:
        if not self.terminating:
            try:
                self._h2.reset_stream(stream.id, code)
            except StreamClosedError:
                pass  # the peer was quicker
            self._collect()
        self._close_stream(stream, code)
        self._mark_dirty()

    def _stream_gone(self, stream: Any) -> None:
        stream.closed = True
        stream._queue.clear()
        stream._incoming.clear()
        stream.queued = stream._extracted = stream.sent
        self._writers.pop(stream, None)

    def _close_stream(self, stream: Any, code: int) -> None:
        if self._streams.pop(stream.id, None) is None:
            return
        if not stream.finished:
            # What was announced as sent may still be in flight: `sent` is final, the rest is dropped.
            stream._extracted = stream.sent
        regular = stream.half_closed if self.client else stream.finished
        sent = stream._extracted
        self._stream_gone(stream)
        stream.queued = stream.sent = stream._extracted = sent
        if stream._unconsumed:
            self._consume(stream.id, stream._unconsumed)
            stream._unconsumed = 0
        self._events.append((CLOSED, stream, None) if regular else (RESET, stream, code))


class _Abuse:
    """Counts what a peer repeats at no cost to itself."""

    def __init__(self, limits: Limits) -> None:
        self.now = 0.0
        self._limits = limits
        self._window_start = FAR_PAST
        self._resets = 0
        self._settings = 0
        self._strikes = 0
        self._last_ping = FAR_PAST
        self._continuations = 0

    def data_sent(self) -> None:
        """A client measures its bandwidth with a PING for the data it gets: that one is no strike."""
        self._strikes = 0
        self._last_ping = FAR_PAST

    def count(self, kind: int, flags: int, *, client: bool) -> bytes:
        """Why the connection must end, b"" when it need not."""
        limits = self._limits
        if self.now - self._window_start > limits.abuse_window:
            self._window_start = self.now
            self._resets = self._settings = 0
        if kind == TYPE_CONTINUATION:
            self._continuations += 1
            return b"too_many_continuations" if self._continuations > MAX_CONTINUATIONS else b""
        if kind == TYPE_HEADERS:
            self._continuations = 0
        elif kind == TYPE_SETTINGS and not flags & FLAG_ACK:
            self._settings += 1
            return b"too_many_settings" if self._settings > limits.max_settings_per_window else b""
        elif kind == TYPE_RST_STREAM and not client:
            self._resets += 1
            return b"too_many_resets" if self._resets > limits.max_resets_per_window else b""
        elif kind == TYPE_PING and not flags & FLAG_ACK and not client:
            if self.now - self._last_ping < limits.min_client_ping_interval:
                self._strikes += 1
            self._last_ping = self.now
            return b"too_many_pings" if self._strikes > limits.max_ping_strikes else b""
        return b""


_ON_EVENT: dict[type, Callable[[Connection, Any], None]] = {
    h2.events.RequestReceived: Connection._on_request,
    h2.events.ResponseReceived: Connection._on_response,
    h2.events.TrailersReceived: Connection._on_trailers,
    h2.events.DataReceived: Connection._on_data,
    h2.events.StreamEnded: Connection._on_end,
    h2.events.StreamReset: Connection._on_reset,
    h2.events.PingAcknowledged: Connection._on_ping_answer,
    h2.events.PingAckReceived: Connection._on_ping_answer,
}
