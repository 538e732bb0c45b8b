"""The gRPC client: one connection, any number of calls.

async with connect("127.0.0.1", 50051) as channel:
    async with channel.call("/package.Service/Method") as call:
        call.send(frame(request))
        call.half_close()
        call.flush()
        response = await call.receive()
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from aether.rpc.call import Call
from aether.rpc.connection import Driver, FlushSet
from aether.rpc.engine import implementation
from aether.rpc.http2 import CANCEL, ENHANCE_YOUR_CALM, NO_ERROR, REFUSED_STREAM, Http2
from aether.rpc.limits import Limits
from aether.rpc.metadata import Metadata, decode_metadata, encode_metadata, encode_timeout
from aether.rpc.status import RpcError, StatusCode, decode_message, status_code
from aether.rpc.transport import SocketTransport, Transport

logger = logging.getLogger("aether.rpc")

USER_AGENT = b"grpc-python-aether"

_RESET_STATUS = {
    REFUSED_STREAM: StatusCode.UNAVAILABLE,
    CANCEL: StatusCode.CANCELLED,
    ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED,
    -1: StatusCode.UNAVAILABLE,
}


class ClientCall(Call):
    """One RPC of a client. `receive()` gives messages, then None after status OK; any other status raises RpcError."""

    __slots__ = ()
    SLOTS = (*Call.SLOTS, "_done", "_headers_event", "initial_metadata")

    def __init__(self) -> None:
        super().__init__()
        self._done: RpcError | None = None
        self._headers_event = trio.Event()
        self.initial_metadata: Metadata | None = None

    @property
    def done(self) -> bool:
        """The RPC ended, see `status`."""
        return self._done is not None

    @property
    def status(self) -> RpcError | None:
        """The error that the RPC ended with; None while it runs (see `done`) and after status OK."""
        return None if self._done is None or self._done.code is StatusCode.OK else self._done

    async def wait_headers(self) -> None:
        """Wait until the server opened its side (or the RPC ended)."""
        await self._headers_event.wait()

    def opened(self, metadata: Metadata) -> None:
        """The response headers arrived."""
        self.initial_metadata = metadata
        self._headers_event.set()

    def fail(self, error: RpcError) -> None:
        """End the call from our side: the server gets a reset."""
        self.conclude(error)
        self.reset()
        if self.driver is not None:
            self.driver.flush()

    def on_reset(self, code: int) -> None:
        if code == -1:
            reason = self.driver.close_reason if self.driver is not None else ""
            self.conclude(
                RpcError(StatusCode.UNAVAILABLE, f"connection lost: {reason}" if reason else "connection lost")
            )
        else:
            self.conclude(
                RpcError(_RESET_STATUS.get(code, StatusCode.INTERNAL), f"stream reset with HTTP/2 error {code}")
            )
        self.on_half_closed()

    def conclude(self, status: RpcError) -> None:
        if self._done is None:
            self._done = status
            if status.code is not StatusCode.OK and self.error is None:
                self.error = status
        self._headers_event.set()
        self._wake()


class _ClientDriver(Driver):
    """The connection of a channel."""

    __slots__ = ("goaway",)

    def __init__(self, transport: Transport, limits: Limits, flush_set: FlushSet, engine: Http2) -> None:
        super().__init__(
            transport,
            limits,
            flush_set,
            client=True,
            engine=engine,
            call_type=ClientCall,  # type: ignore[type-abstract]
        )
        self.goaway: tuple[int, bytes] | None = None

    def on_headers(self, call: ClientCall, headers: list[tuple[bytes, bytes]]) -> None:
        fields = dict(headers)
        if fields.get(b":status") != b"200" or not fields.get(b"content-type", b"").startswith(b"application/grpc"):
            call.fail(_http_error(fields))
            return
        encoding = fields.get(b"grpc-encoding", b"identity")
        if encoding != b"identity":
            call.fail(RpcError(StatusCode.INTERNAL, "the server compresses with an encoding that was not offered"))
            return
        call.opened(_lenient(headers))

    def on_half_closed(self, call: ClientCall, trailers: list[tuple[bytes, bytes]] | None) -> None:
        fields = dict(trailers or ())
        raw = fields.get(b"grpc-status")
        if raw is not None and raw.isdigit():
            call.conclude(RpcError(status_code(int(raw)), decode_message(fields.get(b"grpc-message", b""))))
        elif fields.get(b":status", b"200") != b"200":
            call.conclude(_http_error(fields))
        else:
            call.conclude(RpcError(StatusCode.INTERNAL, "the stream ended without a grpc-status"))
        call.on_half_closed()

    def on_goaway(self, code: int, last_stream: int, debug: bytes) -> None:
        self.goaway = (code, debug)
        text = debug.decode("ascii", "replace")
        for call in self.http2.streams:
            if call.id > last_stream:
                call.conclude(RpcError(StatusCode.UNAVAILABLE, f"connection going away {text}".strip()))
        if code != NO_ERROR:
            self.close_reason = f"GOAWAY with error {code} {text}".strip()


def _lenient(headers: list[tuple[bytes, bytes]]) -> Metadata:
    try:
        return decode_metadata(headers)
    except ValueError:
        return ()


def _http_error(fields: dict[bytes, bytes]) -> RpcError:
    status = fields.get(b":status", b"?").decode("ascii", "replace")
    codes = {
        "400": StatusCode.INTERNAL,
        "401": StatusCode.UNAUTHENTICATED,
        "403": StatusCode.PERMISSION_DENIED,
        "404": StatusCode.UNIMPLEMENTED,
        "429": StatusCode.UNAVAILABLE,
        "502": StatusCode.UNAVAILABLE,
        "503": StatusCode.UNAVAILABLE,
        "504": StatusCode.UNAVAILABLE,
    }
    return RpcError(codes.get(status, StatusCode.UNKNOWN), f"not a gRPC response (HTTP status {status})")


class Channel:
    """An open connection to a server."""

    def __init__(self, driver: _ClientDriver, authority: str, scheme: str) -> None:
        self._driver = driver
        self._base = [
            (b":method", b"POST"),
            (b":scheme", scheme.encode()),
            (b":path", b""),
            (b":authority", authority.encode("idna" if not authority.isascii() else "ascii")),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", USER_AGENT),
        ]

    @property
    def usable(self) -> bool:
        """Whether new calls can be opened: the connection lives and the server sent no GOAWAY."""
        return not self._driver.lost and self._driver.goaway is None and self._driver.http2.request_allowed

    @property
    def close_reason(self) -> str:
        """Why the connection ended, "" while it lives."""
        return self._driver.close_reason

    @property
    def flush_set(self) -> FlushSet:
        return self._driver.flush_set

    @asynccontextmanager
    async def call(
        self, path: str, metadata: Metadata = (), *, timeout: float | None = None
    ) -> AsyncIterator[ClientCall]:
        """Open an RPC; leaving the block resets it unless it ended. The request goes out with the first flush.

        Raises RpcError(UNAVAILABLE) when the connection is gone. `timeout` (seconds) is told to the server as its
        deadline.
        """
        if not self.usable:
            reason = self._driver.close_reason
            raise RpcError(StatusCode.UNAVAILABLE, f"connection closed: {reason}" if reason else "connection closed")
        call: ClientCall = self._driver.call_type()
        call.driver = self._driver
        headers = list(self._base)
        headers[2] = (b":path", path.encode("ascii"))
        if timeout is not None:
            headers.append((b"grpc-timeout", encode_timeout(timeout)))
        headers.extend(encode_metadata(metadata))
        self._driver.http2.request(call, headers)
        try:
            yield call
        finally:
            if not call.closed:
                call.reset()
                call.flush()


@asynccontextmanager
async def connect_stream(
    transport: Transport,
    *,
    authority: str = "localhost",
    scheme: str = "http",
    limits: Limits | None = None,
    keepalive: bool = False,
    engine: str = "auto",
) -> AsyncIterator[Channel]:
    """A channel over an open transport, which is closed at the end.

    :param keepalive: ping a silent server.
    :param engine: see `aether.rpc.engine.implementation`.
    """
    limits = limits or Limits()
    driver = _ClientDriver(transport, limits, FlushSet(), implementation(engine))
    async with _unwrapped_nursery() as nursery:
        nursery.start_soon(_run_driver, driver)
        if keepalive:
            nursery.start_soon(_keepalive, driver)
        try:
            yield Channel(driver, authority, scheme)
        finally:
            driver.terminate("closed by the client")
            driver.flush()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _unwrapped_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery whose user sees his own exception, not a group around it."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


async def _run_driver(driver: _ClientDriver) -> None:
    async with trio.open_nursery() as nursery:
        await driver.run(nursery)


async def _keepalive(driver: _ClientDriver) -> None:
    while not driver.lost:
        due = driver.check_keepalive(trio.current_time())
        await trio.sleep_until(due)


def _why(error: BaseException) -> str:
    """What kept a connection from being made: of several attempts, to each address of a name, the first reason."""
    if isinstance(error, trio.TooSlowError):
        return "no answer"
    reason = error.__cause__ or error
    while isinstance(reason, BaseExceptionGroup):
        reason = reason.exceptions[0]
    if not isinstance(reason, OSError) or isinstance(reason, ssl.SSLError) or not reason.errno:
        return str(error) or type(error).__name__
    return os.strerror(reason.errno) if reason.errno > 0 else str(reason.strerror)


@asynccontextmanager
async def connect(
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    limits: Limits | None = None,
    keepalive: bool = False,
    engine: str = "auto",
) -> AsyncIterator[Channel]:
    """Connect over TCP, with TLS when a context is given (see `aether.rpc.tls.client_context`).

    Raises RpcError(UNAVAILABLE) when the server can't be reached or the TLS handshake fails.
    """
    limits = limits or Limits()
    name = server_hostname or host
    try:
        with trio.fail_after(limits.handshake_timeout):
            stream = await trio.open_tcp_stream(host, port)
            sock = stream.socket
            raw = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
            transport: Transport = SocketTransport(raw)
            if tls is not None:
                transport = await _secure(transport, tls, name)
    except (OSError, trio.TooSlowError, ssl.SSLError) as error:
        raise RpcError(StatusCode.UNAVAILABLE, f"cannot connect to {host}:{port}: {_why(error)}") from error
    authority = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
    async with connect_stream(
        transport,
        authority=authority,
        scheme="https" if tls is not None else "http",
        limits=limits,
        keepalive=keepalive,
        engine=engine,
    ) as channel:
        yield channel


async def _secure(transport: Transport, context: ssl.SSLContext, name: str) -> Transport:
    from aether.rpc.tls import TlsTransport

    secured = TlsTransport.client(transport, context, name)
    try:
        await secured.handshake()
    except BaseException:
        transport.close()
        raise
    return secured


__all__ = ["Channel", "ClientCall", "connect", "connect_stream"]
