"""The gRPC server on any HTTP/2 implementation: listeners, connections, calls, drain (connection 8.3, 11).

Lifetimes: `Server.serve` opens one nursery for everything. The sockets of its listeners are read by one poller, and
their handlers are tasks in that nursery, so that an idle connection has no task but those of its calls. What has no
descriptor, or runs where there is no epoll, has a task that reads and a nursery of its own. A lost connection cancels
the scope of each of its calls, and is forgotten when they have cleaned up.
"""

from __future__ import annotations

import errno
import heapq
import logging
import math
import random
import socket
import ssl
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import trio

from aether.rpc import poller
from aether.rpc.call import Call
from aether.rpc.connection import Driver, FlushSet
from aether.rpc.http2 import CANCEL, REFUSED_STREAM, Http2
from aether.rpc.limits import Limits
from aether.rpc.listener import Listener, TlsSource
from aether.rpc.metadata import Metadata, decode_metadata, parse_timeout
from aether.rpc.poller import Poller
from aether.rpc.server import Handler, Health, Peer, rpc_error_in
from aether.rpc.status import RpcError, StatusCode, encode_message
from aether.rpc.transport import MemoryTransport, SocketTransport, Transport, memory_pair

logger = logging.getLogger("aether.rpc")

ACCEPT_BATCH = 32
"""Connections taken before those that are there get their turn."""
ACCEPT_RETRY = 0.1
"""Seconds to wait after accept failed for lack of descriptors or memory."""
ACCEPT_ERRNOS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))
GOING_AWAY_CHECK = 5.0
"""Seconds after which a connection that was sent away is looked at again: it ends when it has no calls."""
DRAINING = "gateway draining"


class IncomingCall(Call):
    """The ServerCall of every engine."""

    __slots__ = ()
    SLOTS = (*Call.SLOTS, "cancel_scope", "ended_at", "gone", "metadata", "path", "peer")

    def __init__(self) -> None:
        super().__init__()
        self.path = ""
        self.metadata: Metadata = ()
        self.peer = NOBODY
        self.cancel_scope = trio.CancelScope()
        self.gone = False
        """The client reset the stream or the connection was lost."""
        self.ended_at: tuple[float, int] | None = None
        """When the handler ended (later: when the client last took something), and `sent` then."""

    def flush(self) -> None:
        """Write this call's connection now (the response headers at least)."""
        self.start_response()
        super().flush()

    def fail(self, error: RpcError) -> None:
        # A task in receive() gets the error; with a sink nobody would, so the handler is cancelled.
        super().fail(error)
        if self._sink is not None:
            self.cancel_scope.cancel()

    def on_reset(self, code: int) -> None:
        del code  # whatever the reason, the client is not there any more
        self.gone = True
        self.error = self.error or RpcError(StatusCode.CANCELLED, "call cancelled by the client")
        self.cancel_scope.cancel()

    def on_closed(self) -> None:
        driver = self.driver
        if isinstance(driver, _ServerDriver):
            driver.idle_since = trio.current_time()
            driver.server.changed.unpark_all()

    def end(self, error: RpcError | None) -> None:
        """Queue the trailers."""
        if error is None:
            self.finish(OK_TRAILERS)
            return
        trailers = [(b"grpc-status", b"%d" % error.code)]
        if error.message:
            trailers.append((b"grpc-message", encode_message(error.message)))
        self.finish(trailers)


NOBODY = Peer("")
OK_TRAILERS = [(b"grpc-status", b"0")]


class _ServerDriver(Driver):
    """A connection of the server."""

    __slots__ = ("calls", "check_at", "going_away", "idle_since", "max_age_at", "opened", "peer", "server")

    def __init__(self, server: Server, transport: Transport, peer: Peer) -> None:
        super().__init__(
            transport,
            server.limits,
            server.flush_set,
            client=False,
            engine=server.http2,
            call_type=IncomingCall,  # type: ignore[type-abstract]
        )
        self.server = server
        self.peer = peer
        self.calls = 0
        """Handlers running."""
        self.opened = self.idle_since = trio.current_time()
        self.check_at = math.inf
        """When to look at it; see `Server.check_by`."""
        self.going_away = False
        limits = server.limits
        self.max_age_at: float | None = None
        if limits.max_connection_age is not None:
            self.max_age_at = self.opened + limits.max_connection_age * server.random.uniform(0.9, 1.1)

    def close(self) -> None:
        super().close()
        self.server.forget(self)

    def on_request(self, call: IncomingCall, headers: list[tuple[bytes, bytes]]) -> None:
        server = self.server
        call.driver = self
        call.peer = self.peer
        refusal = self._read_request(call, headers)
        if refusal is not None:
            call.end(refusal)
            return
        handler = server.handlers.get(call.path)
        if handler is None:
            call.end(RpcError(StatusCode.UNIMPLEMENTED, f"unknown method {call.path[:200]}"))
        elif server.draining or self.going_away:
            call.end(RpcError(StatusCode.UNAVAILABLE, DRAINING))
        elif self.calls >= 2 * server.limits.max_concurrent_streams:
            call.reset(REFUSED_STREAM)
        else:
            self.calls += 1
            assert self.nursery is not None
            self.nursery.start_soon(server.run_call, self, call, handler)

    def _read_request(self, call: IncomingCall, headers: list[tuple[bytes, bytes]]) -> RpcError | None:
        """Fill in the call from the request headers; returns why it is refused."""
        fields = dict(headers)
        call.path = fields.get(b":path", b"").decode("latin-1")
        content_type = fields.get(b"content-type", b"")
        if fields.get(b":method") != b"POST":
            return RpcError(StatusCode.UNIMPLEMENTED, "gRPC requests are POST")
        if content_type != b"application/grpc" and not content_type.startswith(
            (b"application/grpc+", b"application/grpc;")
        ):
            return RpcError(StatusCode.UNIMPLEMENTED, "content-type is not application/grpc")
        encoding = fields.get(b"grpc-encoding", b"identity")
        if encoding != b"identity":
            return RpcError(StatusCode.UNIMPLEMENTED, "compression is not supported; use identity")
        try:
            call.metadata = decode_metadata(headers)
            timeout = fields.get(b"grpc-timeout")
            if timeout is not None:
                call.cancel_scope.deadline = trio.current_time() + parse_timeout(timeout)
        except ValueError as error:
            return RpcError(StatusCode.INTERNAL, str(error))
        return None

    def end_call(self, call: IncomingCall, error: RpcError | None) -> None:
        """Send the status of a call whose handler ended. A failure ends this connection, not the server."""
        self.idle_since = now = trio.current_time()
        if call.closed:
            return
        try:
            call.end(error)
            call.ended_at = (now, call.sent)
            self.server.check_by(self, now + self.limits.linger)
        except Exception:
            logger.exception("the end of a call failed", extra={"path": call.path})
            self.abort("internal error")
        self.flush()

    def next_check(self, now: float) -> float:
        """Everything that depends on time; returns when to look again."""
        limits = self.limits
        if not self.http2.ready:
            due = self.opened + limits.handshake_timeout
            if now >= due:
                self.abort("no HTTP/2 preface")
            return due
        due = self.check_keepalive(now)
        if self.max_age_at is not None:
            if now >= self.max_age_at:
                if self.going_away:
                    self.terminate("connection age")
                else:
                    self.go_away()
                    self.max_age_at = now + limits.max_connection_age_grace
            due = min(due, self.max_age_at)
        if self.http2.stream_count or self.calls:
            self.idle_since = now
            due = min(due, self._reset_stuck(now))
        elif self.going_away:
            self.terminate("going away")
        elif now - self.idle_since >= limits.max_connection_idle:
            self.terminate("connection idle")
        else:
            due = min(due, self.idle_since + limits.max_connection_idle)
        return min(due, now + GOING_AWAY_CHECK) if self.going_away else due

    def _reset_stuck(self, now: float) -> float:
        """Reset calls that ended but whose last frames the client does not take; returns when to look again."""
        due = math.inf
        for call in self.http2.streams:
            if call.ended and call.ended_at is not None:
                seen, sent = call.ended_at
                if call.sent != sent:
                    seen = now
                    call.ended_at = (now, call.sent)
                elif now - seen >= self.limits.linger:
                    call.reset(CANCEL)
                    self.flush()
                    continue
                due = min(due, seen + self.limits.linger)
        return due

    def go_away(self) -> None:
        """Ask the client to open new calls elsewhere; running calls go on."""
        if not self.going_away:
            self.going_away = True
            self.server.check_by(self, trio.current_time() + GOING_AWAY_CHECK)
            self.http2.shutdown_notice()
            self.flush()


class Server:
    """Serves `handlers` (path -> handler) on any number of listeners and transports."""

    def __init__(
        self,
        http2: Http2,
        handlers: Mapping[str, Handler],
        *,
        limits: Limits | None = None,
        health: Health | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.http2 = http2
        self.handlers = dict(handlers)
        self.limits = limits or Limits()
        self.health = health
        self.flush_set = FlushSet()
        self.draining = False
        self.random = rng or random.Random()  # noqa: S311 - spreads reconnects, guards nothing
        self._drivers: set[_ServerDriver] = set()
        self._checks: list[tuple[float, int, weakref.ref[_ServerDriver]]] = []
        """When to look at which connection again; those that ended meanwhile are not kept for it."""
        self._sequence = 0
        self._accepting = trio.CancelScope()
        self._serving: trio.CancelScope | None = None
        self._handshakes = 0
        """Sockets that are no connections yet."""
        self.changed = trio.lowlevel.ParkingLot()
        """Tasks that wait for calls or connections to end."""
        self._poller: Poller | None = None

    @property
    def engine(self) -> str:
        """Name of the HTTP/2 implementation."""
        return self.http2.name

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._drivers)

    @property
    def calls(self) -> int:
        """Handlers running."""
        return sum(driver.calls for driver in self._drivers)

    # ---- serving

    async def serve(
        self, listeners: Sequence[Listener], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until cancelled or drained. The listeners are closed on the way out."""
        try:
            async with trio.open_nursery() as nursery:
                self._serving = nursery.cancel_scope
                nursery.start_soon(self._watch)
                if poller.available:
                    self._poller = Poller(self.flush_set.flush_all, self.flush_set.busy)
                    nursery.start_soon(self._poller.run)
                try:
                    with self._accepting:
                        async with trio.open_nursery() as accepting:
                            for listener in listeners:
                                accepting.start_soon(self._accept, listener, nursery)
                            task_status.started()
                            await trio.sleep_forever()
                finally:
                    for listener in listeners:
                        listener.socket.close()
                await self._wait_idle()
                nursery.cancel_scope.cancel()
        finally:
            self._poller = None
            for driver in [driver for driver in self._drivers if driver.nursery is nursery]:
                driver.close()

    async def _accept(self, listener: Listener, nursery: trio.Nursery) -> None:
        """Take connections as they come, several at a time when many do."""
        while True:
            await trio.lowlevel.wait_readable(listener.socket)
            for _ in range(ACCEPT_BATCH):
                try:
                    sock, address = listener.socket.accept()
                except BlockingIOError:
                    break
                except OSError as error:
                    if error.errno in ACCEPT_ERRNOS:
                        logger.warning("accept failed, waiting", extra={"errno": error.errno})
                        await trio.sleep(ACCEPT_RETRY)
                        break
                    if error.errno in (errno.ECONNABORTED, errno.EPROTO, errno.EINTR):
                        continue
                    raise
                if len(self._drivers) + self._handshakes >= self.limits.max_connections:
                    sock.close()
                elif self._poller is None or listener.tls is not None:
                    self._handshakes += 1
                    nursery.start_soon(self._serve_socket, sock, peer_name(address), listener.tls, nursery)
                else:
                    self._open(sock, peer_name(address), self._poller, nursery)
            self.flush_set.flush_all()

    def _open(self, sock: socket.socket, name: str, reader: Poller, nursery: trio.Nursery) -> None:
        """Serve a socket without TLS."""
        try:
            self._connected(SocketTransport(sock), Peer(name)).start(nursery, reader)
        except OSError as error:
            sock.close()
            _log_failure(name, error)

    async def _serve_socket(self, sock: socket.socket, name: str, tls: TlsSource | None, nursery: trio.Nursery) -> None:
        transport: Transport | None = None
        opened = False
        try:
            try:
                transport, certificate = await self._handshake(SocketTransport(sock), tls)
            finally:
                self._handshakes -= 1
            peer = Peer(name, certificate)
            if self._poller is None:
                await self.serve_stream(transport, peer)
            else:
                self._connected(transport, peer).start(nursery, self._poller)
                self.flush_set.flush_all()
            opened = True
        except (OSError, ssl.SSLError, trio.TooSlowError) as error:
            _log_failure(name, error)
        except Exception:
            logger.exception("a connection failed", extra={"peer": name})
        finally:
            if not opened:
                (transport or sock).close()

    async def _handshake(self, transport: Transport, tls: TlsSource | None) -> tuple[Transport, bytes | None]:
        """What to speak HTTP/2 on, and the client's certificate. Closes the transport where the handshake fails."""
        if tls is None:
            return transport, None
        from aether.rpc.tls import TlsTransport

        secured = TlsTransport.server(transport, tls.context())
        try:
            with trio.fail_after(self.limits.handshake_timeout):
                await secured.handshake()
        except BaseException:
            secured.close()
            raise
        return secured, secured.peer_certificate

    async def serve_stream(self, transport: Transport, peer: Peer) -> None:
        """Serve one open transport until it ends.

        Its calls' handlers have ended when this returns. Closes the transport.
        """
        driver = self._connected(transport, peer)
        async with trio.open_nursery() as nursery:
            await driver.run(nursery)

    def _connected(self, transport: Transport, peer: Peer) -> _ServerDriver:
        driver = _ServerDriver(self, transport, peer)
        self._drivers.add(driver)
        self.check_by(driver, driver.opened)
        if self.draining:
            driver.go_away()
        return driver

    def forget(self, driver: _ServerDriver) -> None:
        """A connection ended, or a handler did; nothing is kept of what has neither."""
        if driver.lost and not driver.calls:
            self._drivers.discard(driver)
        self.changed.unpark_all()

    async def open_in_process(self, nursery: trio.Nursery) -> MemoryTransport:
        """The client's end of a connection without a socket, served by a task in `nursery`."""
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_pair()
        nursery.start_soon(self.serve_stream, ours, Peer("in-process", in_process=True))
        return theirs

    async def run_call(self, driver: _ServerDriver, call: IncomingCall, handler: Handler) -> None:
        error: RpcError | None = RpcError(StatusCode.UNAVAILABLE, "server stopped")
        scope = call.cancel_scope
        try:
            with scope:
                try:
                    await handler(call)
                    error = None
                except Exception as failure:
                    error = rpc_error_in(failure)
                    if error is None:
                        error = RpcError(StatusCode.INTERNAL, "internal error")
                        if not call.gone:
                            logger.exception("a handler failed", extra={"path": call.path})
            if scope.cancelled_caught:
                if trio.current_time() >= scope.deadline:
                    error = RpcError(StatusCode.DEADLINE_EXCEEDED, "deadline exceeded")
                else:
                    error = RpcError(StatusCode.CANCELLED, "call cancelled")
            if call.error is not None and (error is None or scope.cancelled_caught):
                error = call.error
        finally:
            driver.calls -= 1
            driver.end_call(call, error)
            call.drop_sink()
            self.forget(driver)

    # ---- time

    def check_by(self, driver: _ServerDriver, due: float) -> None:
        """Look at a connection at this time, unless that is to happen earlier anyway."""
        if due < driver.check_at:
            driver.check_at = due
            self._sequence += 1
            heapq.heappush(self._checks, (due, self._sequence, weakref.ref(driver)))

    async def _watch(self) -> None:
        """Keepalive, idle, age and handshake timeouts of all connections: one task instead of one per connection."""
        while True:
            now = trio.current_time()
            checks = self._checks
            while checks and checks[0][0] <= now:
                due, _, reference = heapq.heappop(checks)
                driver = reference()
                if driver is not None and not driver.lost and driver.check_at == due:
                    driver.check_at = math.inf
                    self.check_by(driver, max(driver.next_check(now), now + 0.05))
            driver = None  # while this sleeps it may end
            await trio.sleep(1.0)

    # ---- end

    async def _wait_idle(self) -> None:
        while self._drivers:
            await self.changed.park()

    async def drain(self, deadline: float) -> None:
        """Stop accepting, refuse new calls, wait for running ones at most until `deadline` (trio time), then close
        everything.

        `serve` returns afterwards.
        """
        self.draining = True
        if self.health is not None:
            self.health.set_serving(False)
        self._accepting.cancel()
        for driver in list(self._drivers):
            driver.go_away()
        with trio.move_on_at(deadline):
            while any(driver.calls or driver.http2.stream_count for driver in self._drivers):
                await self.changed.park()
        for driver in list(self._drivers):
            driver.terminate("drained")
        with trio.move_on_after(5.0):
            await self._wait_idle()
        if self._serving is not None:
            self._serving.cancel()


def peer_name(address: Any) -> str:
    """Text for a socket address: `host:port`, `[host]:port`, or `unix`."""
    if not isinstance(address, tuple):
        return "unix"
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _log_failure(name: str, error: Exception) -> None:
    logger.info("connection failed before HTTP/2", extra={"peer": name, "error": type(error).__name__})
