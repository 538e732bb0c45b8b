"""Handlers and helpers that the tests of the gRPC layer share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from aether.rpc import client
from aether.rpc.client import Channel
from aether.rpc.engine import create_server
from aether.rpc.limits import Limits
from aether.rpc.listener import Listener, listen
from aether.rpc.server import Peer, ServerCall
from aether.rpc.serving import Server
from aether.rpc.status import RpcError, StatusCode, frame
from aether.rpc.transport import memory_pair

PATIENCE = 10.0
"""Seconds after which a test that waits has failed."""


@dataclass
class Engines:
    """Which HTTP/2 implementation each side of a test runs on; set by the fixture ``engines``."""

    server: str = "auto"
    client: str = "auto"


ENGINES = Engines()


def make_server(handlers: Any, **options: Any) -> Server:
    return create_server(ENGINES.server, handlers, **options)


def connect(host: str, port: int, **options: Any) -> AbstractAsyncContextManager[Channel]:
    return client.connect(host, port, engine=ENGINES.client, **options)


def connect_stream(transport: Any, **options: Any) -> AbstractAsyncContextManager[Channel]:
    return client.connect_stream(transport, engine=ENGINES.client, **options)


class Service:
    """Handlers that record what happened to them."""

    def __init__(self) -> None:
        self.calls: list[ServerCall] = []
        self.cancelled = trio.Event()
        self.started = trio.Event()
        self.release = trio.Event()
        self.handlers: dict[str, Any] = {
            "/t/Echo": self.echo,
            "/t/Pull": self.pull,
            "/t/Unary": self.unary,
            "/t/Hang": self.hang,
            "/t/Stream": self.stream,
            "/t/Metadata": self.metadata,
        }

    async def echo(self, call: ServerCall) -> None:
        """Sends every message back, by a sink."""
        done = trio.Event()

        def sink(batch: list[bytes]) -> None:
            for message in batch:
                call.send(frame(message))

        self.calls.append(call)
        call.set_sink(sink, done.set)
        call.flush()
        await done.wait()

    async def pull(self, call: ServerCall) -> None:
        """Sends every message back, by receive()."""
        self.calls.append(call)
        while (message := await call.receive()) is not None:
            await call.wait_pending_below(1 << 20)
            call.send(frame(message))
            call.flush()

    async def unary(self, call: ServerCall) -> None:
        """Reverses; `fail:<code>:<text>` fails, `boom` raises."""
        self.calls.append(call)
        message = await call.receive()
        assert message is not None
        if message.startswith(b"fail:"):
            _, code, text = message.decode().split(":", 2)
            raise RpcError(StatusCode(int(code)), text)
        if message == b"boom":
            raise ValueError("secret detail")
        call.send(frame(message[::-1]))

    async def hang(self, call: ServerCall) -> None:
        """Waits to be cancelled."""
        self.calls.append(call)
        call.flush()
        self.started.set()
        try:
            await self.release.wait()
        except trio.Cancelled:
            self.cancelled.set()
            raise

    async def stream(self, call: ServerCall) -> None:
        """Sends as many messages as the request says."""
        message = await call.receive()
        assert message is not None
        for number in range(int(message)):
            await call.wait_pending_below(256 * 1024)
            call.send(frame(b"%d" % number))
            if number % 100 == 0:
                call.flush()

    async def metadata(self, call: ServerCall) -> None:
        """Sends the call's metadata as text."""
        call.send(frame(repr(list(call.metadata)).encode()))


@asynccontextmanager
async def running(
    handlers: Any, limits: Limits | None = None, **options: Any
) -> AsyncIterator[tuple[Server, Listener]]:
    """A server on a free port of the loopback interface."""
    server = make_server(handlers, limits=limits, **options)
    async with trio.open_nursery() as nursery:
        listeners = await listen("127.0.0.1", 0)
        await nursery.start(server.serve, listeners)
        try:
            yield server, listeners[0]
        finally:
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def in_memory(
    handlers: Any, limits: Limits | None = None, client_limits: Limits | None = None, *, capacity: int = 256 * 1024
) -> AsyncIterator[tuple[Server, Channel]]:
    """A server with one client, connected without a socket."""
    server = make_server(handlers, limits=limits)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [])
        ours, theirs = memory_pair(capacity)
        nursery.start_soon(server.serve_stream, ours, Peer("memory", in_process=True))
        async with connect_stream(theirs, limits=client_limits) as channel:
            yield server, channel
        nursery.cancel_scope.cancel()


async def unary(channel: Channel, path: str, message: bytes, **options: Any) -> bytes:
    """One request, one response."""
    async with channel.call(path, **options) as call:
        call.send(frame(message))
        call.half_close()
        call.flush()
        response = await call.receive()
        assert response is not None
        assert await call.receive() is None
        return response
