"""Byte transports under an HTTP/2 connection: TCP or Unix sockets, and a pair in memory.

All have the same shape (`Transport`): reading waits, writing does not. `send_nowait` returns how many bytes it took; 0
means that the caller must `await wait_writable()` first. Errors of a transport are OSError.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import Protocol

import trio

RECEIVE_SIZE = 64 * 1024
"""Most bytes taken by one `receive`. Each gets a buffer of this size, and from 128 KiB on the C library maps them from
the system and back every time, which takes longer than the rest of the read."""

MEMORY_CAPACITY = 256 * 1024
"""Bytes that one direction of a MemoryTransport pair holds before the writer must wait."""


class Transport(Protocol):
    """A bidirectional stream of bytes."""

    @property
    def fd(self) -> int:
        """Descriptor that becomes readable when `receive_nowait` has something; -1 when there is none."""
        ...

    @property
    def buffered(self) -> bool:
        """Whether bytes that `send_nowait` took wait inside the transport for the peer.

        `wait_writable` moves them on.
        """
        ...

    async def receive(self) -> bytes:
        """Wait for bytes; b"" at the end of the stream."""
        ...

    def receive_nowait(self) -> bytes | None:
        """Like `receive`, but None when there is nothing yet. Only for transports with a descriptor."""
        ...

    def send_nowait(self, data: bytes | memoryview) -> int:
        """Write without blocking; returns the number of bytes taken, 0 when none can be taken now."""
        ...

    async def wait_writable(self) -> None:
        """Wait until `send_nowait` can make progress."""
        ...

    def end_writing(self) -> None:
        """Tell the peer that nothing more comes."""
        ...

    def close(self) -> None:
        """Close at once; a task that waits in `receive` or `wait_writable` gets an OSError or the end of the stream."""
        ...


class SocketTransport:
    """A connected stream socket, used without blocking."""

    __slots__ = ("_closed", "fd", "socket")

    buffered = False

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self.fd = sock.fileno()
        self._closed = False

    def _check_open(self) -> None:
        if self._closed:  # trio has no good answer to a descriptor that is none any more
            raise OSError(errno.EBADF, "transport closed")

    async def receive(self) -> bytes:
        while True:
            self._check_open()
            try:
                await trio.lowlevel.wait_readable(self.socket)
                return self.socket.recv(RECEIVE_SIZE)
            except BlockingIOError:
                continue
            except trio.ClosedResourceError:
                raise OSError(errno.EBADF, "transport closed") from None

    def receive_nowait(self) -> bytes | None:
        try:
            return self.socket.recv(RECEIVE_SIZE)
        except (BlockingIOError, InterruptedError):
            return None

    def send_nowait(self, data: bytes | memoryview) -> int:
        try:
            return self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0

    async def wait_writable(self) -> None:
        self._check_open()
        try:
            await trio.lowlevel.wait_writable(self.socket)
        except trio.ClosedResourceError:
            raise OSError(errno.EBADF, "transport closed") from None

    def end_writing(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            trio.lowlevel.notify_closing(self.socket)
            self.socket.close()


class _Pipe:
    """One direction of a memory pair."""

    __slots__ = ("capacity", "chunks", "ended", "readable", "size", "writable")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.chunks: deque[bytes] = deque()
        self.size = 0
        self.ended = False
        self.readable = trio.Event()
        self.writable = trio.Event()

    def end(self) -> None:
        self.ended = True
        self.readable.set()
        self.writable.set()


class MemoryTransport:
    """One end of an in-process connection. No socket, no real time: works under `trio.testing.MockClock`."""

    __slots__ = ("_closed", "_incoming", "_outgoing")

    fd = -1
    buffered = False

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._closed = False

    async def receive(self) -> bytes:
        pipe = self._incoming
        await trio.lowlevel.checkpoint()
        while not pipe.chunks:
            if self._closed:
                raise OSError(errno.EBADF, "transport closed")
            if pipe.ended:
                return b""
            pipe.readable = trio.Event()
            await pipe.readable.wait()
        data = b"".join(pipe.chunks) if len(pipe.chunks) > 1 else pipe.chunks[0]
        pipe.chunks.clear()
        pipe.size = 0
        pipe.writable.set()
        return data

    def receive_nowait(self) -> bytes | None:
        raise NotImplementedError("a memory transport has no descriptor")

    def send_nowait(self, data: bytes | memoryview) -> int:
        pipe = self._outgoing
        if self._closed:
            raise OSError(errno.EBADF, "transport closed")
        if pipe.ended:
            raise BrokenPipeError(errno.EPIPE, "peer closed")
        taken = min(len(data), pipe.capacity - pipe.size)
        if taken > 0:
            pipe.chunks.append(bytes(data[:taken]))
            pipe.size += taken
            pipe.readable.set()
        return taken

    async def wait_writable(self) -> None:
        pipe = self._outgoing
        await trio.lowlevel.checkpoint()
        while pipe.size >= pipe.capacity and not pipe.ended:
            pipe.writable = trio.Event()
            await pipe.writable.wait()

    def end_writing(self) -> None:
        self._outgoing.end()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._outgoing.end()
            self._incoming.end()


def memory_pair(capacity: int = MEMORY_CAPACITY) -> tuple[MemoryTransport, MemoryTransport]:
    """Two connected transports; `capacity` bytes fit into each direction."""
    one, other = _Pipe(capacity), _Pipe(capacity)
    return MemoryTransport(one, other), MemoryTransport(other, one)
