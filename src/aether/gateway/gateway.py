"""A gateway: opens the tier, the services and the listeners, in one nursery (design 4).

``async with Gateway(config) as gateway`` is the whole lifetime. Entering returns when clients can connect; leaving
drains: clients are told to come back, sessions give up what they hold, staged writes reach the disk.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import structlog
import trio

from aether.access import Access
from aether.config import Config
from aether.errors import AetherError, TlsUnusable
from aether.gateway import configured
from aether.gateway.authenticator import Authenticator
from aether.gateway.composition import compose
from aether.gateway.connect import serve_connect
from aether.gateway.reasons import CloseReason
from aether.gateway.services import Services
from aether.metrics import Metrics
from aether.nurseries import unwrapped_nursery
from aether.proto import aether_pb2 as pb
from aether.rpc.engine import EngineUnavailable, create_server
from aether.rpc.health import HealthState
from aether.rpc.listener import Listener, listen
from aether.rpc.reflection import Reflection
from aether.tiers import open_tier

if TYPE_CHECKING:
    from aether.rpc.tls import ServerTls

__all__ = ["CONNECT", "Gateway"]

log = structlog.get_logger("aether.gateway")

SERVICE = "aether.v1.AetherGateway"
CONNECT = f"/{SERVICE}/Connect"
"""The one method of the protocol."""


class Gateway:
    """An Aether gateway in the caller's process.

    >>> async with Gateway(Config.development()) as gateway:    # doctest: +SKIP
    ...     print(gateway.port)

    :ivar port: TCP port of the gRPC listener (chosen by the system when configured as 0); None without a listener.
    :ivar is_draining: it is about to go, and says so to who asks for its health.
    :raises DataDirectoryInUse: another gateway holds the data directory.
    :raises StoreUnavailable: what is in the data directory cannot be read, or there is no room to open it.
    :raises TlsUnusable: the configured certificate, key or authorities cannot be read.
    :raises OSError: the port is taken.
    """

    def __init__(
        self,
        config: Config,
        *,
        authenticator: Authenticator | None = None,
        access: Access | None = None,
        wall_clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        randomness: random.Random | None = None,
        listen: bool = True,
    ) -> None:
        self.config = config
        self.port: int | None = None
        self.metrics = Metrics()
        self._authenticator = authenticator
        self._given_access = access
        self._wall_clock = wall_clock
        self._random = randomness or random.SystemRandom()
        self._listen = listen
        self._tls: ServerTls | None = None
        self._manager: AbstractAsyncContextManager[None] | None = None
        self.is_draining = False
        self._draining = trio.Lock()
        self._drained = False

    async def __aenter__(self) -> Gateway:
        if problem := self.config.authentication_problem():
            raise ValueError(problem)
        self._manager = self._open()
        await self._manager.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._manager is not None
        return await self._manager.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            tier = await stack.enter_async_context(open_tier(self.config, self._wall_clock))
            async with unwrapped_nursery() as nursery:
                services, runs = compose(
                    self.config,
                    tier,
                    self.metrics,
                    self._wall_clock,
                    self._random,
                    authenticator=self._authenticator,
                    access=self._given_access,
                )
                self.services = services
                self.health = HealthState(["", SERVICE])
                self._server = self._create_server(services)
                services.flush_all = self._server.flush_set.flush_all
                self._server.flush_set.before = services.commits.before_flush
                self._server.flush_set.busy = lambda: bool(services.commits.waiting)
                for run in runs:
                    await nursery.start(run)
                listeners = await self._listeners(stack)
                await nursery.start(self._server.serve, listeners)
                self._nursery = nursery
                self.health.set_serving(True)
                try:
                    yield
                finally:
                    settings = services.settings
                    with trio.move_on_after(settings.pre_drain_delay_s + settings.drain_timeout_s, shield=True):
                        await self.drain()
                    nursery.cancel_scope.cancel()

    def _create_server(self, services: Services) -> Any:
        handlers = {CONNECT: partial(serve_connect, services=services), **self.health.handlers()}
        if self.config.gateway.reflection:
            handlers |= Reflection([SERVICE], [pb.DESCRIPTOR]).handlers()
        try:
            return create_server(
                self.config.gateway.engine, handlers, limits=configured.rpc_limits(self.config), health=self.health
            )
        except EngineUnavailable as error:
            raise AetherError(str(error)) from error

    async def _listeners(self, stack: AsyncExitStack) -> list[Listener]:
        if not self._listen:
            return []
        self._tls = self._server_tls()
        listeners = await listen(self.config.gateway.host, self.config.gateway.port, tls=self._tls)
        for listener in listeners:
            stack.callback(listener.socket.close)
        self.port = listeners[0].address[1]
        return listeners

    def _server_tls(self) -> ServerTls | None:
        tls = self.config.gateway.tls
        if tls.cert_file is None or tls.key_file is None:
            return None
        from aether.rpc.tls import ServerTls, ServerTlsFiles

        try:
            return ServerTls(ServerTlsFiles(tls.cert_file, tls.key_file, tls.ca_file, tls.client_auth))
        except (OSError, ssl.SSLError) as error:
            raise TlsUnusable(str(error)) from error

    def reload_certificates(self) -> bool:
        """Read the certificate and its key again, for handshakes from now on; streams that are open go on.

        The authorities and ``client_auth`` stay as they were at the start (connection 10). Files that cannot be used
        leave the old certificate in service.

        :returns: False when the gateway serves without TLS, so that there was nothing to read.
        :raises TlsUnusable: the files cannot be used.
        """
        if self._tls is None:
            return False
        try:
            self._tls.reload()
        except (OSError, ssl.SSLError) as error:
            raise TlsUnusable(str(error)) from error
        return True

    async def open_transport(self) -> Any:
        """A connection to this gateway without a socket: the client's end of a pair of memory streams."""
        return await self._server.open_in_process(self._nursery)

    @property
    def sessions(self) -> int:
        """Live sessions."""
        return len(self.services.directory)

    @property
    def engine(self) -> str:
        """Name of the HTTP/2 engine that runs, ``native`` or ``purerpc``."""
        return str(self._server.engine)

    async def drain(self) -> None:
        """Say goodbye to every client so that it comes back elsewhere, or here later (connection 8.3); idempotent.

        Returns when every session has given up its lock, or ``shutdown.graceful_timeout`` after the delay before it.
        """
        async with self._draining:
            if not self._drained:
                await self._drain()
                self._drained = True

    async def _drain(self) -> None:
        services = self.services
        settings = services.settings
        if not self.is_draining:
            self.is_draining = True
            self.health.set_serving(False)
            await trio.sleep(settings.pre_drain_delay_s)  # clients that were sent here meanwhile are still served
        deadline = trio.current_time() + settings.drain_timeout_s
        services.draining = True
        services.half_open.refuse()
        sessions = list(services.directory)
        log.info("draining", sessions=len(sessions))
        pause_s = settings.drain_spread_s / len(sessions) if sessions else 0.0
        for session in sessions:
            session.end(CloseReason.DRAIN)
            if pause_s:
                await trio.sleep(pause_s)
        await self._server.drain(deadline)
