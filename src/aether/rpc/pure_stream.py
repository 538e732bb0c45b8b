"""One RPC of `aether.rpc.pure_http2`: frames that wait to be sent, and messages cut out of the input."""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol

from aether.rpc import http2
from aether.rpc.http2 import CANCEL, MESSAGES, Headers
from aether.rpc.limits import Limits
from aether.rpc.status import RpcError, StatusCode

__all__ = ["Stream"]

PREFIX = 5
"""Bytes before a gRPC message: flag and length."""
RESPONSE_HEADERS: Headers = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity"),
]


class Connection(http2.Connection, Protocol):
    """What a stream needs of its connection, :class:`aether.rpc.pure_http2.Connection`."""

    @property
    def limits(self) -> Limits: ...

    def want_to_send(self, stream: Any) -> None:
        """The stream has something to send."""

    def reset_stream(self, stream: Any, code: int) -> None:
        """End a stream from our side."""

    def consume(self, stream_id: int, amount: int) -> None:
        """Return window for received data, in bytes."""

    def emit(self, kind: int, stream: Any, value: Any) -> None:
        """Hand an event to the application."""


class Stream:
    """One RPC on a connection, see `aether.rpc.http2.Stream`."""

    __slots__ = (
        "_announced",
        "_batch",
        "_connection",
        "_extracted",
        "_has_headers",
        "_headers",
        "_headers_end",
        "_hold",
        "_offset",
        "_partial",
        "_queue",
        "_trailers",
        "_trailers_received",
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

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self.id = 0
        self.half_closed = False
        self.closed = False
        self.invalid = False
        """The peer broke a gRPC rule; its data is dropped."""
        self.ended = False
        self.finished = False
        """Our end left `data_to_send`."""
        self.queued = 0
        self.sent = 0
        self.waiters = False
        self._extracted = 0
        """Bytes of frames that left `data_to_send`."""
        self._announced = False
        """The application knows the stream."""
        self._queue: deque[bytes] = deque()
        self._offset = 0
        """Bytes of the first queued frame that left already."""
        self._has_headers = False
        self._headers: Headers | None = None
        """Header block to send before anything else."""
        self._headers_end = False
        self._trailers: Headers = []
        self._trailers_received: Headers | None = None
        self._batch: list[bytes] | None = None
        self._partial = bytearray()
        self._hold = False
        self._unconsumed = 0
        """Received bytes whose window the peer has not got back."""

    @property
    def connection(self) -> Connection | None:
        return self._connection

    @property
    def pending(self) -> int:
        return self.queued - self.sent

    def on_progress(self) -> None:
        """Called by `acknowledge_sent` when `sent` grew and `waiters` is true."""

    # ---- sending

    def send(self, frame: bytes) -> int:
        connection = self._connection
        if self.closed or self.ended or connection is None:
            return 0
        if len(frame) > connection.limits.max_send_message + PREFIX:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, "message too large to send")
        if frame:
            self._queue.append(frame)
            self.queued += len(frame)
            self.start_response()
            connection.want_to_send(self)
        return 0

    def start_response(self) -> None:
        if not self._has_headers and not self.closed and self._connection is not None:
            self._has_headers = True
            self._headers = RESPONSE_HEADERS
            self._connection.want_to_send(self)

    def finish(self, trailers: Headers) -> None:
        if self.closed or self.ended or self._connection is None:
            return
        self.ended = True
        if not self._has_headers:
            self._has_headers = self._headers_end = True
            self._headers = RESPONSE_HEADERS + trailers
        else:
            self._trailers = trailers
        self._connection.want_to_send(self)

    def half_close(self) -> None:
        if not self.closed and not self.ended and self._connection is not None:
            self.ended = True
            self._connection.want_to_send(self)

    def reset(self, code: int = CANCEL) -> None:
        if not self.closed and self._connection is not None:
            self.ended = True
            self._connection.reset_stream(self, code)

    def take(self, size: int) -> bytes:
        """The next `size` bytes of the queued frames."""
        self._extracted += size
        pieces = []
        while size:
            frame = self._queue[0]
            piece = frame[self._offset : self._offset + size]
            pieces.append(piece)
            size -= len(piece)
            self._offset += len(piece)
            if self._offset == len(frame):
                self._queue.popleft()
                self._offset = 0
        return b"".join(pieces)

    @property
    def available(self) -> int:
        """Bytes of frames that did not leave `data_to_send` yet."""
        return self.queued - self._extracted

    # ---- receiving

    def hold(self) -> None:
        self._hold = True

    def release(self) -> None:
        self._hold = False
        if self._unconsumed and self._connection is not None and not self.closed:
            amount, self._unconsumed = self._unconsumed, 0
            self._connection.consume(self.id, amount)

    def feed(self, data: bytes) -> RpcError | None:
        """Cut messages out of a piece of the stream's data; returns what is wrong with it."""
        partial = self._partial
        partial += data
        limit = self._connection.limits.max_receive_message if self._connection is not None else 0
        while len(partial) >= PREFIX:
            length = int.from_bytes(partial[1:PREFIX], "big")
            if partial[0] == 1:
                return RpcError(StatusCode.UNIMPLEMENTED, "compressed messages are not supported")
            if partial[0] != 0:
                return RpcError(StatusCode.INTERNAL, "malformed message prefix")
            if length > limit:
                text = f"message of {length} bytes is larger than the maximum of {limit}"
                return RpcError(StatusCode.RESOURCE_EXHAUSTED, text)
            if len(partial) < PREFIX + length:
                break
            if self._batch is None:
                self._batch = []
                assert self._connection is not None
                self._connection.emit(MESSAGES, self, self._batch)
            self._batch.append(bytes(partial[PREFIX : PREFIX + length]))
            del partial[: PREFIX + length]  # advances the start of the buffer, copies nothing
        return None
