"""Listening sockets for `Server.serve`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import trio

BACKLOG = 4096


class TlsSource(Protocol):
    """Gives the SSL context of each new handshake, see `aether.rpc.tls.ServerTls`."""

    def context(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket and the TLS of its connections (None = plaintext)."""

    socket: trio.socket.SocketType
    tls: TlsSource | None = None

    @property
    def address(self) -> Any:
        """What getsockname says: (host, port, ...) or the path."""
        return self.socket.getsockname()


async def listen(
    host: str | None, port: int, *, tls: TlsSource | None = None, backlog: int = BACKLOG
) -> list[Listener]:
    """Bind TCP sockets on every address of `host` (None = all interfaces; port 0 = any free one). Raises OSError."""
    listeners = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    return [Listener(listener.socket, tls) for listener in listeners]


async def listen_unix(path: Path, *, tls: TlsSource | None = None, backlog: int = BACKLOG) -> Listener:
    """Bind a Unix socket that only our user may connect to; a stale socket file is replaced. Raises OSError."""
    _remove_stale(path)
    sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        await sock.bind(os.fspath(path))
        _restrict(path)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, tls)


def _remove_stale(path: Path) -> None:
    if path.is_socket():
        path.unlink(missing_ok=True)


def _restrict(path: Path) -> None:
    path.chmod(0o600)
