"""The words that connections and HTTP/2 implementations share: events, error codes, and the shape of both classes.

Two implementations have this shape. `aether.rpc._http2` is libnghttp2 with gRPC framing in Cython;
`aether.rpc.pure_http2` is h2, in Python. Neither does I/O: bytes in, events out; frames in, bytes out. Their
docstrings say how; the ones here say what.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Protocol

from aether.rpc.limits import Limits

Headers = list[tuple[bytes, bytes]]
Event = tuple[int, Any, Any]

# Event kinds: first item of the tuples that `Connection.receive_data` returns. The numbers are those of `_http2`.
REQUEST: Final = 1
"""(REQUEST, stream, headers). Server: a new stream."""
HEADERS: Final = 2
"""(HEADERS, stream, headers). Client: response headers."""
MESSAGES: Final = 3
"""(MESSAGES, stream, [bytes, ...]). Complete messages without their prefix."""
HALF_CLOSED: Final = 4
"""(HALF_CLOSED, stream, trailers or None). The peer ended its side."""
RESET: Final = 5
"""(RESET, stream, error code). The stream died before its regular end."""
CLOSED: Final = 6
"""(CLOSED, stream, None). The stream ended regularly."""
INVALID: Final = 7
"""(INVALID, stream, RpcError). The peer broke a gRPC rule; its further data is dropped."""
CONFIRMED: Final = 8
"""(CONFIRMED, None, [callback, ...]). A PING that followed the data was answered."""
GOAWAY: Final = 9
"""(GOAWAY, None, (error code, last stream, debug data))."""

# Error codes of RST_STREAM and GOAWAY (RFC 9113 7).
NO_ERROR: Final = 0
PROTOCOL_ERROR: Final = 1
INTERNAL_ERROR: Final = 2
REFUSED_STREAM: Final = 7
CANCEL: Final = 8
ENHANCE_YOUR_CALM: Final = 11


class Stream(Protocol):
    """One RPC on a connection: its queue of outgoing frames, and the message that is being received."""

    waiters: bool
    """True: `on_progress()` is called when `sent` grew."""

    @property
    def id(self) -> int: ...
    @property
    def half_closed(self) -> bool:
        """The peer ended its side."""
        ...

    @property
    def closed(self) -> bool:
        """Gone: nothing can be sent any more."""
        ...

    @property
    def ended(self) -> bool:
        """We ended our side, perhaps not sent yet."""
        ...

    @property
    def queued(self) -> int:
        """Bytes of frames ever queued."""
        ...

    @property
    def sent(self) -> int:
        """Bytes of frames that the transport accepted."""
        ...

    @property
    def pending(self) -> int:
        """`queued - sent`; 0 when the stream is closed."""
        ...

    def on_progress(self) -> None:
        """Called by `acknowledge_sent`, see `waiters`."""
        ...

    def send(self, frame: bytes) -> int:
        """Queue one gRPC frame; dropped when the stream is closed or we ended it.

        :raises RpcError: RESOURCE_EXHAUSTED for a frame over `max_send_message`.
        """
        ...

    def start_response(self) -> None:
        """Server: send the response headers although there is no message yet; once."""
        ...

    def finish(self, trailers: Headers) -> None:
        """Server: end the RPC after what is queued."""
        ...

    def half_close(self) -> None:
        """Client: end our side after what is queued."""
        ...

    def reset(self, code: int = CANCEL) -> None:
        """Send RST_STREAM; what is queued is dropped."""
        ...

    def hold(self) -> None:
        """Stop returning flow-control window: at most one window of data arrives until `release`."""
        ...

    def release(self) -> None:
        """Return the window of everything received so far and of what follows."""
        ...


class Connection(Protocol):
    """One HTTP/2 connection. `owner` is appended to `dirty_list` when something was queued and it is not there yet."""

    dirty: bool
    owner: Any
    dirty_list: list[Any]

    def __init__(self, client: bool, limits: Limits, *, stream_type: type[Any] = ...) -> None: ...
    @property
    def ready(self) -> bool:
        """The peer's SETTINGS arrived."""
        ...

    @property
    def terminating(self) -> bool:
        """A fatal GOAWAY is queued or sent, or the peer left: flush, then close."""
        ...

    @property
    def has_events(self) -> bool: ...
    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Parse what the transport received at time `now` (seconds)."""
        ...

    def take_events(self) -> list[Event]:
        """Events since the last call; sending can add RESET and CLOSED."""
        ...

    def data_to_send(self, limit: int = ...) -> bytes:
        """Serialise, stopping once `limit` bytes are reached.

        Call `acknowledge_sent` when the transport accepted all of it, before the next call.
        """
        ...

    def acknowledge_sent(self) -> None:
        """The transport accepted everything that `data_to_send` returned."""
        ...

    def request(self, stream: Any, headers: Headers) -> None:
        """Client: open `stream`.

        :raises RpcError: UNAVAILABLE when the connection takes no more.
        """
        ...

    def ping(self) -> None:
        """Send a PING; its answer shows as received bytes only."""
        ...

    def confirm(self, callback: Callable[[], None]) -> None:
        """A CONFIRMED event has `callback` once the peer answered a PING that follows what is serialised so far."""
        ...

    def shutdown_notice(self) -> None:
        """Server: GOAWAY that refuses nothing yet but asks the client to go elsewhere for new calls."""
        ...

    def terminate(self, code: int, debug: bytes = b"") -> None:
        """Queue a final GOAWAY; nothing is sent after it and nothing received is looked at."""
        ...

    @property
    def streams(self) -> list[Any]:
        """Live streams, as a new list."""
        ...

    @property
    def stream_count(self) -> int: ...
    @property
    def request_allowed(self) -> bool:
        """Client: whether a new stream may be opened."""
        ...

    def close(self) -> None:
        """Forget everything; live streams become closed, further calls do nothing."""
        ...


@dataclass(frozen=True)
class Http2:
    """An implementation.

    :ivar stream: the class below the calls of its connections.
    :ivar direct: its connections also receive from and send to a socket's descriptor themselves (`receive_from`,
        `send_to`), which saves copies.
    """

    name: str
    connection: type[Connection]
    stream: Any
    direct: bool = False


@cache
def on_stream(call: Any, stream: Any) -> Any:
    """The class `call` with an implementation's stream as its base: an RPC is one object, whatever serves it."""
    return type(call.__name__, (call, stream), {"__slots__": call.SLOTS, "__module__": call.__module__})
