"""Listening sockets for `Server.serve`."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any, Protocol

import trio

BACKLOG = 4096


class TlsSource(Protocol):
    """Gives the SSL context of each new handshake, see `aether.rpc.tls.ServerTls`."""

    def context(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, which does not block, and the TLS of its connections (None = plaintext)."""

    socket: socket.socket
    tls: TlsSource | None = None

    @property
    def address(self) -> Any:
        """What getsockname says: (host, port, ...)."""
        return self.socket.getsockname()


async def listen(
    host: str | None, port: int, *, tls: TlsSource | None = None, backlog: int = BACKLOG
) -> list[Listener]:
    """Bind TCP sockets on every address of `host` (None = all interfaces; port 0 = any free one). Raises OSError."""
    listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    return [Listener(_plain(listener.socket), tls) for listener in listeners]


def _plain(sock: trio.socket.SocketType) -> socket.socket:
    """The socket under a trio socket, which is unusable afterwards."""
    plain = socket.socket(sock.family, sock.type, sock.proto, fileno=sock.detach())
    plain.setblocking(False)
    return plain
