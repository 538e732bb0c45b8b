"""The way from a client to its gateway, to be cut, muted and mended. What is at both of its ends is real."""

from __future__ import annotations

import trio

from aether import Gateway
from aether.rpc.status import RpcError, StatusCode
from aether.rpc.transport import SocketTransport, Transport

__all__ = ["Link"]


class Link:
    """A target for ``aether.connect_*`` that leads to a gateway in this process or at ``host:port``."""

    def __init__(self, target: str | Gateway) -> None:
        self._target = target
        self._mended = trio.Event()
        self._mended.set()
        self._heard = trio.Event()
        self._heard.set()
        self._last_words = b""
        self._transports: list[_Transport] = []
        self._abandoned: list[_Transport] = []

    async def open_transport(self) -> Transport:
        if not self._mended.is_set():
            raise RpcError(StatusCode.UNAVAILABLE, "the link is cut")
        if isinstance(self._target, str):
            host, _, port = self._target.rpartition(":")
            stream = await trio.open_tcp_stream(host, int(port))
            inner: Transport = SocketTransport(stream.socket._sock)
        else:
            inner = await self._target.open_transport()
        transport = _Transport(inner, self)
        self._transports.append(transport)
        return transport

    def mute_after(self, said: bytes) -> None:
        """Once the client says this, it hears nothing any more; what it says still arrives."""
        self._last_words = said

    def cut(self) -> None:
        """End what is open, without a word; what the client did not hear it never will."""
        self._mended = trio.Event()
        for transport in self._transports:
            transport.close()
        for transport in self._abandoned:
            transport.hang_up()
        self._transports.clear()
        self._abandoned.clear()
        self._last_words = b""
        self._heard.set()

    def abandon(self) -> None:
        """End what is open for the client; the gateway is not told, and hears nothing any more until :meth:`cut`."""
        for transport in self._transports:
            transport.abandon()
        self._abandoned += self._transports
        self._transports.clear()
        self._last_words = b""
        self._heard.set()

    def mend(self) -> None:
        self._mended.set()

    @property
    def muted(self) -> bool:
        return not self._heard.is_set()

    def saying(self, data: bytes) -> None:
        if self._last_words and self._last_words in data and not self.muted:
            self._heard = trio.Event()

    async def wait_heard(self) -> None:
        await self._heard.wait()


class _Transport:
    """One connection over the link."""

    fd = -1
    buffered = False

    def __init__(self, inner: Transport, link: Link) -> None:
        self._inner = inner
        self._link = link
        self._closed = False
        self._abandoned = False
        self._receiving = trio.CancelScope()

    async def receive(self) -> bytes:
        if self._closed:
            return b""
        self._receiving = trio.CancelScope()
        with self._receiving:
            data = await self._inner.receive()
            await self._link.wait_heard()
            return b"" if self._closed else data
        return b""

    def receive_nowait(self) -> bytes | None:
        raise NotImplementedError("there is no descriptor")

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self._abandoned:
            return len(data)
        self._link.saying(bytes(data))
        return self._inner.send_nowait(data)

    async def wait_writable(self) -> None:
        await self._inner.wait_writable()

    def end_writing(self) -> None:
        if not self._abandoned:
            self._inner.end_writing()

    def abandon(self) -> None:
        self._abandoned = self._closed = True
        self._receiving.cancel()

    def close(self) -> None:
        self._closed = True
        if not self._abandoned:
            self._inner.close()

    def hang_up(self) -> None:
        """What is left of an abandoned one."""
        self._inner.close()
