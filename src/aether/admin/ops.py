"""The ops port: health probes and Prometheus metrics over plain HTTP, without login (operations 10).

==================== =====================================================================================
``/health/live``     200 as long as the event loop answers
``/health/startup``  503 until clients can connect, then 200
``/health/ready``    200 while the gateway takes new sessions and its store works, else 503 with the checks
``/metrics``         Prometheus text format
==================== =====================================================================================
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import anycorn
import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

__all__ = ["CheckResult", "Ops", "Probed"]

CHECK_CACHE_S = 2.0
"""Probes that come faster share one look at the store."""


class CheckResult(Protocol):
    """One dependency that was looked at."""

    @property
    def name(self) -> str: ...
    @property
    def latency_ms(self) -> float: ...
    @property
    def error(self) -> str:
        """Empty when the dependency works."""


@dataclass(frozen=True)
class Probed:
    """What the probes ask of a running gateway."""

    draining: Callable[[], bool]
    checks: Callable[[], Awaitable[Sequence[CheckResult]]]
    exposition: Callable[[], bytes]


class Ops:
    """The probes of one process; they answer before the gateway is up and while it drains."""

    def __init__(self) -> None:
        self._gateway: Probed | None = None
        self._checks: Sequence[CheckResult] = ()
        self._checked_at = float("-inf")
        self._looking = trio.Lock()

    def started(self, gateway: Probed) -> None:
        """Clients can connect from now on."""
        self._gateway = gateway

    async def serve(
        self, host: str, port: int, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Answer until cancelled; reports the base URL.

        :param port: 0 lets the system choose.
        :raises OSError: the address cannot be used.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.create_server((host, port), family=family) as listener:
            listener.setblocking(False)
            name, bound = listener.getsockname()[:2]
            config = anycorn.Config()
            config.bind = [f"fd://{os.dup(listener.fileno())}"]
            config.errorlog = logging.getLogger("aether.ops")
            config.loglevel = "WARNING"
            config.graceful_timeout = 0.5
            config.include_server_header = False
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(anycorn.serve, _without_lifespan(self.application()), config, mode="asgi"))
                task_status.started(f"http://[{name}]:{bound}" if ":" in name else f"http://{name}:{bound}")

    def application(self) -> Starlette:
        """The ASGI application."""
        return Starlette(
            routes=[
                Route("/health/live", self._live),
                Route("/health/startup", self._startup),
                Route("/health/ready", self._ready),
                Route("/metrics", self._metrics),
            ]
        )

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _startup(self, _: Request) -> Response:
        if self._gateway is None:
            return JSONResponse({"status": "starting"}, 503)
        return JSONResponse({"status": "ok"})

    async def _ready(self, _: Request) -> Response:
        gateway = self._gateway
        if gateway is None:
            return JSONResponse({"status": "starting", "checks": {}}, 503)
        if gateway.draining():
            return JSONResponse({"status": "draining", "checks": {}}, 503)
        checks = {
            check.name: {"status": "error" if check.error else "ok", "latency_ms": round(check.latency_ms, 3)}
            for check in await self._look(gateway)
        }
        broken = any(check["status"] == "error" for check in checks.values())
        return JSONResponse({"status": "unhealthy" if broken else "ok", "checks": checks}, 503 if broken else 200)

    async def _look(self, gateway: Probed) -> Sequence[CheckResult]:
        async with self._looking:
            if trio.current_time() - self._checked_at >= CHECK_CACHE_S:
                self._checks = await gateway.checks()
                self._checked_at = trio.current_time()
            return self._checks

    async def _metrics(self, _: Request) -> Response:
        if self._gateway is None:
            return Response(status_code=503)
        return Response(self._gateway.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _without_lifespan(application: Starlette) -> Callable[..., Awaitable[None]]:
    """The application for a server that is stopped by cancelling it.

    Starlette turns the cancellation of its lifespan task into a failure and reports it with a traceback. Nothing here
    needs the lifespan protocol, so it is answered in Starlette's place.
    """

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
        await application(scope, receive, send)

    return serve
