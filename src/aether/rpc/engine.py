"""Which engine serves gRPC. libnghttp2 is the only one so far; a second would be chosen here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aether.rpc.limits import Limits
from aether.rpc.server import Handler, Health

__all__ = ["EngineUnavailable", "create_server"]


class EngineUnavailable(ImportError):
    """The asked engine cannot run here; the text says what is missing."""


def create_server(
    engine: str, handlers: Mapping[str, Handler], *, limits: Limits | None = None, health: Health | None = None
) -> Any:
    """A server of the asked engine: ``auto`` or ``native``.

    :raises EngineUnavailable: it was not compiled in, or does not exist.
    """
    if engine not in ("auto", "native"):
        raise EngineUnavailable(f"the gRPC engine {engine!r} is not available in this version; use 'native'")
    try:
        from aether.rpc.native import Server
    except ImportError as error:
        raise EngineUnavailable(
            "the native gRPC engine was not compiled in: install libnghttp2's headers (libnghttp2-dev) and build again"
        ) from error
    return Server(handlers, limits=limits, health=health)
