"""Which HTTP/2 implementation serves gRPC: libnghttp2 where it was compiled in, else purerpc's, in Python."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aether.rpc.http2 import Http2
from aether.rpc.limits import Limits
from aether.rpc.server import Handler, Health
from aether.rpc.serving import Server

__all__ = ["ENGINES", "EngineUnavailable", "create_server", "implementation"]

logger = logging.getLogger("aether.rpc")

ENGINES = ("auto", "native", "purerpc")


class EngineUnavailable(ImportError):
    """The asked engine cannot run here; the text says what is missing."""


def implementation(engine: str = "auto") -> Http2:
    """The HTTP/2 implementation of an engine; ``auto`` is the native one where it was compiled in.

    :raises EngineUnavailable: ``native`` was asked for and not compiled in, or there is no such engine.
    """
    if engine not in ENGINES:
        raise EngineUnavailable(f"there is no gRPC engine {engine!r}; use one of {', '.join(ENGINES)}")
    if engine != "purerpc":
        try:
            from aether.rpc import _http2
        except ImportError as error:
            if engine == "native":
                raise EngineUnavailable(
                    "the native gRPC engine was not compiled in: install libnghttp2's headers (libnghttp2-dev) and "
                    "build again, or use the engine 'purerpc'"
                ) from error
        else:
            return Http2("native", _http2.Connection, _http2.Stream, direct=True)
    from aether.rpc import pure_http2

    return Http2("purerpc", pure_http2.Connection, pure_http2.Stream)


def create_server(
    engine: str, handlers: Mapping[str, Handler], *, limits: Limits | None = None, health: Health | None = None
) -> Server:
    """A server of the asked engine, see `implementation`. Falling back is logged as a warning.

    :raises EngineUnavailable: it cannot run here.
    """
    http2 = implementation(engine)
    if engine == "auto" and http2.name != "native":
        logger.warning("libnghttp2 was not compiled in; the slower engine serves", extra={"engine": http2.name})
    return Server(http2, handlers, limits=limits, health=health)
