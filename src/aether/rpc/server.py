"""What a handler sees of the gRPC server, whatever the engine: a call, its peer, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import trio

from aether.rpc.limits import Limits
from aether.rpc.metadata import Metadata
from aether.rpc.status import RpcError, StatusCode

Sink = Callable[[list[bytes]], None]


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a connection."""

    address: str
    certificate: bytes | None = None
    """DER of the client certificate, verified by TLS."""
    in_process: bool = False


class ServerCall(Protocol):
    """One RPC being served, whatever the engine."""

    path: str
    metadata: Metadata
    peer: Peer
    cancel_scope: trio.CancelScope
    """Around the handler; cancelled at once when the client resets the stream or the connection is lost."""

    @property
    def half_closed(self) -> bool:
        """The client ended its side."""
        ...

    @property
    def closed(self) -> bool:
        """The stream is over: ended on both sides, reset, or lost with its connection."""
        ...

    @property
    def pending(self) -> int:
        """Bytes of frames queued by `send` that the transport has not accepted yet."""
        ...

    @property
    def sent(self) -> int:
        """Bytes of frames that the transport has accepted."""
        ...

    @property
    def queued(self) -> int:
        """Bytes of frames ever queued: `sent + pending`."""
        ...

    async def receive(self) -> bytes | None: ...

    def set_sink(self, sink: Sink, on_half_close: Callable[[], None]) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def send(self, frame: bytes) -> Any: ...

    def flush(self) -> None: ...

    async def wait_pending_below(self, limit: int) -> None: ...

    def confirm(self, callback: Callable[[], None]) -> None: ...


Handler = Callable[[Any], Awaitable[None]]
"""Takes a ServerCall. Returning ends the RPC with OK, RpcError with its status, any other exception with INTERNAL."""


class Health(Protocol):
    """What the server asks of a health state."""

    def set_serving(self, serving: bool) -> None:
        """Every service becomes SERVING or NOT_SERVING."""
        ...


def rpc_error_in(error: BaseException) -> RpcError | None:
    """The RpcError that a handler's nursery wrapped into exception groups; None when something else is in there too."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = [rpc_error_in(inner) for inner in error.exceptions]
        if found and all(item is not None for item in found):
            return found[0]
    return None


__all__ = ["Handler", "Health", "Limits", "Metadata", "Peer", "RpcError", "ServerCall", "Sink", "StatusCode"]
