"""What server and client share: the driver that moves bytes and events of an HTTP/2 connection.

Theory of operation
-------------------
A `Driver` owns one transport and one sans-IO connection of an HTTP/2 implementation (`aether.rpc.http2`). Its reader
receives bytes, lets the connection parse them all, and hands each call its batch of messages synchronously
(`dispatch`). The reader is the task in `run`, or the poller that many connections share (`start`); those have no task
of their own until they end.
Sinks queue frames on any call of any connection that shares the `FlushSet`; after the batch the reader flushes every
connection that was written to, with non-blocking sends in its own task. Only when a transport takes no more is a writer
task started; it ends when the rest is gone.

Rules:
* nothing here awaits between changing protocol state and handing its bytes to the transport or to `_leftover`;
* bytes that the transport did not take are kept in order in `_leftover` and nothing else is serialised until they are
  gone;
* frames count as `sent` only when the transport took all that was serialised with them;
* a failure of one connection never leaves `flush`: it ends that connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import trio

from aether.rpc.call import Call
from aether.rpc.http2 import (
    CLOSED,
    CONFIRMED,
    GOAWAY,
    HALF_CLOSED,
    HEADERS,
    INVALID,
    MESSAGES,
    NO_ERROR,
    REQUEST,
    RESET,
    Http2,
    on_stream,
)
from aether.rpc.limits import Limits
from aether.rpc.poller import Poller
from aether.rpc.transport import SocketTransport, Transport

logger = logging.getLogger("aether.rpc")

GOODBYE_TIMEOUT = 1.0
"""Seconds that a final GOAWAY gets to reach the peer."""


class FlushSet:
    """The connections that have unsent frames."""

    __slots__ = ("before", "busy", "dirty")

    def __init__(self) -> None:
        self.dirty: list[Driver] = []
        self.before: Callable[[], None] | None = None
        """Called first by `flush_all`: what it queues goes out with the rest."""
        self.busy: Callable[[], bool] = lambda: False
        """Whether a thread is about to report something, which then has to be written."""

    def flush_all(self) -> None:
        """Write every connection that was written to since its last flush.

        Never blocks, never raises for a broken connection.
        """
        if self.before is not None:
            self.before()
        dirty = self.dirty
        while dirty:
            drivers = dirty.copy()
            dirty.clear()
            for driver in drivers:
                driver.flush()


class Driver:
    """Moves bytes between a transport and an HTTP/2 connection, and events to its calls."""

    __slots__ = (
        "__weakref__",
        "_blocked",
        "_fd",
        "_leftover",
        "_peer_leaves",
        "_ping_sent",
        "_poller",
        "_reading",
        "_unblocked",
        "_writing",
        "call_type",
        "close_reason",
        "flush_set",
        "http2",
        "last_received",
        "limits",
        "lost",
        "nursery",
        "transport",
    )

    def __init__(
        self,
        transport: Transport,
        limits: Limits,
        flush_set: FlushSet,
        *,
        client: bool,
        engine: Http2,
        call_type: type[Call],
    ) -> None:
        self.transport = transport
        self._fd = transport.fd if engine.direct and isinstance(transport, SocketTransport) else -1
        """Descriptor on which the connection receives and sends itself; -1 = through the transport's methods."""
        self._poller: Poller | None = None
        """Who reads; None before `start`, in `run`, and when nobody does any more."""
        self._peer_leaves = False
        self.limits = limits
        self.flush_set = flush_set
        self.call_type: Any = on_stream(call_type, engine.stream)
        self.http2: Any = engine.connection(client, limits, stream_type=self.call_type)
        self.http2.owner = self
        self.http2.dirty_list = flush_set.dirty
        self.lost = False
        """The transport is dead or given up; nothing is read or written any more."""
        self.close_reason = ""
        self.last_received = trio.current_time()
        self._ping_sent: float | None = None
        self._leftover: memoryview | None = None
        self._blocked = False
        self._unblocked: trio.Event | None = None
        self.nursery: trio.Nursery | None = None
        self._reading: trio.CancelScope | None = None
        self._writing: trio.CancelScope | None = None

    # ---- lifetime

    async def run(self, nursery: trio.Nursery) -> None:
        """Read until the connection ends.

        Then every live call is told and the transport is closed. Writers run in `nursery`.
        """
        self.nursery = nursery
        try:
            self.flush()
            await self._read_loop()
            await self._say_goodbye()
        except OSError as error:
            self.abort(transport_error(error))
        finally:
            self.close()

    async def _read_loop(self) -> None:
        receive = self.transport.receive
        http2 = self.http2
        flush_all = self.flush_set.flush_all
        current_time = trio.current_time
        with trio.CancelScope() as self._reading:
            while not http2.terminating and not self.lost:
                data = await receive()
                if not data:
                    return
                self.last_received = now = current_time()
                self._ping_sent = None
                events = http2.receive_data(data, now)
                if events:
                    self.dispatch(events)
                flush_all()

    def start(self, nursery: trio.Nursery, poller: Poller) -> None:
        """Be read by `poller` until the connection ends, then as in `run`. The caller flushes the `FlushSet`.

        For transports with a descriptor.
        """
        self.nursery = nursery
        self._poller = poller
        try:
            poller.add(self.transport.fd, self)
        except OSError as error:
            self.abort(transport_error(error))
            return
        # Most peers have said hello by now, so that our settings and the answer to theirs are one write. And a TLS
        # handshake may have taken more from the socket than it needed.
        self.on_readable()
        self.flush()

    def on_readable(self) -> None:
        """One read for the poller: parse and dispatch; the poller flushes after its batch."""
        if self._poller is None:
            return
        http2 = self.http2
        now = trio.current_time()
        try:
            if self._fd >= 0:
                events = http2.receive_from(self._fd, now)
            else:
                data = self.transport.receive_nowait()
                if data is None:
                    return
                events = http2.receive_data(data, now) if data else None
        except OSError as error:
            self.abort(transport_error(error))
            return
        except Exception:
            logger.exception("parsing failed")
            self.abort("internal error")
            return
        if events is None:
            self._stop_reading()
            return
        self.last_received = now
        self._ping_sent = None
        if events:
            self.dispatch(events)
        if http2.terminating:
            self._stop_reading()

    def _stop_reading(self) -> None:
        """The connection ends: let `run` go on, or take it from the poller at once, as the end of a transport stays
        readable."""
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.remove(self.transport.fd)
            assert self.nursery is not None
            self.nursery.start_soon(self._finish)
        elif self._reading is not None:
            self._reading.cancel()

    async def _finish(self) -> None:
        """The end of a connection that the poller read."""
        try:
            await self._say_goodbye()
        except OSError as error:
            self.abort(transport_error(error))
        except Exception:
            logger.exception("a goodbye failed")
        finally:
            self.close()

    async def _say_goodbye(self) -> None:
        """Give a final GOAWAY a moment to reach the peer: closing with unread data would turn it into a TCP reset."""
        if self.lost or not self.http2.terminating:
            return
        if self._peer_leaves:  # and wants nothing any more
            self.flush()
            return
        self.close_reason = self.close_reason or "protocol error of the peer"
        with trio.move_on_after(GOODBYE_TIMEOUT):
            self.flush()
            while self._blocked and not self.lost:
                self._unblocked = trio.Event()
                await self._unblocked.wait()
            if not self.lost:
                self.transport.end_writing()
                while await self.transport.receive():
                    pass

    def close(self) -> None:
        """Give up what is not sent, tell every live call, close the transport. The end of `run` and of `start`."""
        self.close_reason = self.close_reason or "closed by the peer"
        self.lost = True
        if self._writing is not None:
            self._writing.cancel()
        self._leftover = None
        calls = self.http2.streams
        self.http2.close()
        for call in calls:
            call.on_progress()
            call.on_reset(-1)
        self.transport.close()
        self.http2.owner = None

    def abort(self, reason: str) -> None:
        """Give the connection up: it ends without a goodbye, its calls are told."""
        if not self.close_reason:
            self.close_reason = reason
        self.lost = True
        self._stop_reading()

    def terminate(self, reason: str, code: int = NO_ERROR) -> None:
        """End the connection with a final GOAWAY; live calls are told."""
        if not self.lost and not self.http2.terminating:
            self.close_reason = self.close_reason or reason
            self.http2.terminate(code)
            self._stop_reading()

    # ---- events

    def dispatch(self, events: list[tuple[int, Any, Any]]) -> None:
        """Hand parsed events to their calls. Never raises: calls end by their own failures, and what remains, a mistake
        of ours, ends this connection."""
        try:
            for kind, call, value in events:
                if kind == MESSAGES:
                    call.on_messages(value)
                elif kind == HALF_CLOSED:
                    self.on_half_closed(call, value)
                elif kind == REQUEST:
                    self.on_request(call, value)
                elif kind == HEADERS:
                    self.on_headers(call, value)
                elif kind == RESET:
                    call.on_progress()
                    call.on_reset(value)
                elif kind == CLOSED:
                    call.on_progress()
                    call.on_closed()
                elif kind == INVALID:
                    call.fail(value)
                elif kind == CONFIRMED:
                    for callback in value:
                        try:
                            callback()
                        except Exception:
                            logger.exception("a confirmation callback failed")
                elif kind == GOAWAY:
                    self._peer_leaves = True
                    self.on_goaway(*value)
        except Exception:
            logger.exception("handling events failed")
            self.abort("internal error")

    def on_request(self, call: Any, headers: list[tuple[bytes, bytes]]) -> None:
        """Server: a new stream."""

    def on_headers(self, call: Any, headers: list[tuple[bytes, bytes]]) -> None:
        """Client: the response headers of a call."""

    def on_half_closed(self, call: Any, trailers: list[tuple[bytes, bytes]] | None) -> None:
        """The peer ended its side; only a server's trailers mean something."""
        del trailers
        call.on_half_closed()

    def on_goaway(self, code: int, last_stream: int, debug: bytes) -> None:
        """The peer will not take new streams."""

    # ---- writing

    def flush(self) -> None:
        """Serialise and write without blocking. Never raises for a broken transport: the connection ends instead."""
        http2 = self.http2
        if self._blocked or self.lost or self.nursery is None:
            http2.dirty = False
            return
        transport = self.transport
        chunk = self.limits.write_chunk
        try:
            if self._fd >= 0:
                rest = http2.send_to(self._fd, chunk)
                if rest is not None:
                    self._block(memoryview(rest))
            while self._fd < 0:
                data = http2.data_to_send(chunk)
                if not data:
                    break
                taken = transport.send_nowait(data)
                if taken < len(data) or transport.buffered:
                    self._block(memoryview(data)[taken:])
                    break
                http2.acknowledge_sent()
                if len(data) < chunk:
                    break
        except OSError as error:
            self.abort(transport_error(error))
        except Exception:
            logger.exception("serialising failed")
            self.abort("internal error")
        if http2.has_events:
            self.dispatch(http2.take_events())
        if http2.terminating:
            self._stop_reading()

    def _block(self, leftover: memoryview) -> None:
        self._leftover = leftover
        self._blocked = True
        assert self.nursery is not None
        self._writing = trio.CancelScope()
        self.nursery.start_soon(self._write_rest, self._writing)

    async def _write_rest(self, scope: trio.CancelScope) -> None:
        transport = self.transport
        try:
            with scope:
                while not self.lost:
                    await transport.wait_writable()
                    leftover = self._leftover
                    if leftover:
                        taken = transport.send_nowait(leftover)
                        leftover = self._leftover = leftover[taken:]
                    if leftover or transport.buffered:
                        continue
                    self._leftover = None
                    self._blocked = False
                    if self._unblocked is not None:
                        self._unblocked.set()
                    self.http2.acknowledge_sent()
                    self.flush()  # may block again, with a new writer task
                    return
        except OSError as error:
            self.abort(transport_error(error))
        except Exception:
            logger.exception("writing failed")
            self.abort("internal error")

    # ---- time

    def check_keepalive(self, now: float) -> float:
        """Ping a silent peer, abort when it doesn't answer. Returns the time of the next check."""
        limits = self.limits
        if self._ping_sent is not None:
            due = self._ping_sent + limits.keepalive_timeout
            if now >= due:
                self.abort("keepalive timeout")
            return due
        due = self.last_received + limits.keepalive_after
        if now < due:
            return due
        self._ping_sent = now
        self.http2.ping()
        self.flush()
        return now + limits.keepalive_timeout


def transport_error(error: OSError) -> str:
    """Text for `close_reason`."""
    return f"transport error: {error.strerror or type(error).__name__}"
