"""The standard health service, ``grpc.health.v1.Health`` (operations 10.2).

Its two messages have one field each, so they are read and written here; a generated module would be longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import trio

from aether.rpc.status import RpcError, StatusCode, frame

__all__ = ["HealthState"]

SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class HealthState:
    """Which services serve, and the handlers that tell it. Everything starts as not serving."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = dict.fromkeys(services, NOT_SERVING)
        self._changed = trio.Event()

    def set_serving(self, serving: bool) -> None:
        """All services at once; watchers are told."""
        self._services = dict.fromkeys(self._services, SERVING if serving else NOT_SERVING)
        self._changed.set()
        self._changed = trio.Event()

    def handlers(self) -> Mapping[str, Any]:
        """The methods by path, for a server."""
        return {"/grpc.health.v1.Health/Check": self._check, "/grpc.health.v1.Health/Watch": self._watch}

    async def _check(self, call: Any) -> None:
        """Answer once.

        :raises RpcError: NOT_FOUND for a service that is not known here.
        """
        status = self._services.get(await _requested(call))
        if status is None:
            raise RpcError(StatusCode.NOT_FOUND, "unknown service")
        call.send(_response(status))

    async def _watch(self, call: Any) -> None:
        """Answer now and after every change, until the client leaves."""
        service = await _requested(call)
        told = None
        while True:
            changed = self._changed
            status = self._services.get(service, SERVICE_UNKNOWN)
            if status != told:
                call.send(_response(status))
                call.flush()
                told = status
            await changed.wait()


async def _requested(call: Any) -> str:
    """``HealthCheckRequest.service``: field 1, text."""
    data = await call.receive()
    if not data:
        return ""
    if len(data) < 2 or data[0] != 0x0A or data[1] >= 0x80 or data[1] != len(data) - 2:
        raise RpcError(StatusCode.INVALID_ARGUMENT, "not a health check request")
    try:
        return str(data[2:], "utf-8")
    except UnicodeDecodeError:
        raise RpcError(StatusCode.INVALID_ARGUMENT, "not a health check request") from None


def _response(status: int) -> bytes:
    """``HealthCheckResponse.status``: field 1, number."""
    return frame(bytes((0x08, status)))
