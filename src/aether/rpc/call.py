"""A call on an HTTP/2 connection, as far as server and client share it: what was received, and what is to be sent."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import trio

from aether.rpc.status import RpcError, StatusCode

if TYPE_CHECKING:
    from aether.rpc.http2 import Stream
else:
    Stream = object

__all__ = ["Call", "Carrier", "Sink"]

logger = logging.getLogger("aether.rpc")

Sink = Callable[[list[bytes]], None]


class Carrier(Protocol):
    """What a call needs of the driver of its connection.

    :ivar http2: the sans-IO connection that the call is a stream of.
    :ivar close_reason: why it ended; empty before.
    """

    http2: Any
    close_reason: str

    def flush(self) -> None:
        """Write what is queued, without blocking and without raising."""


class Call(Stream):
    """One RPC of a connection, as seen by either side.

    The frame queue and its counters live in the stream of the HTTP/2 implementation, which `aether.rpc.http2.on_stream`
    puts below. A base in C allows no second one with attributes, so these are declared in `SLOTS`.
    """

    __slots__ = ()
    SLOTS: ClassVar[tuple[str, ...]] = (
        "_inbox",
        "_on_half_close",
        "_over",
        "_paused",
        "_progress",
        "_sink",
        "_wakeup",
        "driver",
        "error",
    )

    def __init__(self) -> None:
        super().__init__()
        self.driver: Carrier | None = None
        self._inbox: deque[bytes] | None = None
        self._sink: Sink | None = None
        self._on_half_close: Callable[[], None] | None = None
        self._wakeup: trio.Event | None = None
        self._progress: trio.Event | None = None
        self._paused = False
        self._over = False
        self.error: RpcError | None = None

    # ---- receiving

    async def receive(self) -> bytes | None:
        """The next message.

        None after the peer ended its side. Raises RpcError when the peer broke a rule or the call died.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while True:
            inbox = self._inbox
            if inbox:
                message = inbox.popleft()
                if not inbox and not self._paused:
                    self.release()
                return message
            if self.error is not None:
                raise self.error
            if self._over:
                return None
            self._wakeup = trio.Event()
            if self._inbox is not None:
                self._flush_if_dirty()
            await self._wakeup.wait()

    def _flush_if_dirty(self) -> None:
        """Let a window update that `receive` earned go out before it waits."""
        if self.driver is not None and self.driver.http2.dirty:
            self.driver.flush()

    def set_sink(self, sink: Sink, on_half_close: Callable[[], None]) -> None:
        """Hand batches to `sink` synchronously, in the connection's reader task, from now on.

        Messages that were already received are handed over first, inside this call. A sink that raises ends its own
        call.
        """
        self._sink = sink
        self._on_half_close = on_half_close
        inbox, self._inbox = self._inbox, None
        if inbox:
            self.on_messages(list(inbox))
        if not self._paused:
            self.release()
        if self._over:
            self.on_half_closed()

    def drop_sink(self) -> None:
        """What arrives from now on interests nobody."""
        self._sink = None
        self._on_half_close = None

    def pause_reading(self) -> None:
        """Stop returning flow-control window: at most one window of data arrives until `resume_reading`."""
        self._paused = True
        self.hold()

    def resume_reading(self) -> None:
        """Continue after `pause_reading`."""
        if self._paused:
            self._paused = False
            if not self._inbox:
                self.release()
                self._flush_if_dirty()

    def on_messages(self, batch: list[bytes]) -> None:
        sink = self._sink
        if sink is None:
            if self._inbox is None:
                self._inbox = deque()
            self._inbox.extend(batch)
            self.hold()
            self._wake()
            return
        try:
            sink(batch)
        except RpcError as error:
            self.fail(error)
        except Exception:
            logger.exception("a message sink failed")
            self.fail(RpcError(StatusCode.INTERNAL, "internal error"))

    def on_half_closed(self) -> None:
        """The peer ended its side and all its messages were handed over."""
        self._over = True
        callback, self._on_half_close = self._on_half_close, None
        if callback is not None:
            try:
                callback()
            except RpcError as error:
                self.fail(error)
            except Exception:
                logger.exception("a half-close callback failed")
                self.fail(RpcError(StatusCode.INTERNAL, "internal error"))
        self._wake()

    def _wake(self) -> None:
        if self._wakeup is not None:
            self._wakeup.set()
            self._wakeup = None

    def fail(self, error: RpcError) -> None:
        """End the call from our side with this status; the first error wins."""
        if self.error is None:
            self.error = error
        self._wake()

    # ---- sending

    def flush(self) -> None:
        """Write this call's connection now; what the transport doesn't take goes to the writer task."""
        if self.driver is not None:
            self.driver.flush()

    async def wait_pending_below(self, limit: int) -> None:
        """Wait until fewer than `limit` bytes of frames wait for the transport, or the call is gone.

        Always a checkpoint.
        """
        if self.pending < limit or self.closed:
            await trio.lowlevel.checkpoint()
            return
        while self.pending >= limit and not self.closed:
            if self._progress is None:
                self._progress = trio.Event()
                self.waiters = True
            await self._progress.wait()

    def on_progress(self) -> None:
        progress, self._progress = self._progress, None
        self.waiters = False
        if progress is not None:
            progress.set()

    def confirm(self, callback: Callable[[], None]) -> None:
        """Run `callback` once the peer's transport acknowledged everything `sent` so far (what is only queued is not
        covered).

        One PING per connection is in flight at a time; what is confirmed meanwhile shares the next one. Never called
        when the connection is lost.
        """
        if self.driver is not None:
            self.driver.http2.confirm(callback)
            self._flush_if_dirty()

    # ---- events, for the driver

    def on_reset(self, code: int) -> None:
        """The stream died: reset by the peer, or the connection was lost."""

    def on_closed(self) -> None:
        """The stream ended regularly."""
