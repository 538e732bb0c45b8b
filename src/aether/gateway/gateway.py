"""The composition root: opens the tier, the services and the listeners, in one nursery (design 4).

``async with Gateway(config) as gateway`` is the whole lifetime. Entering returns when clients can connect; leaving
drains: clients are told to come back, sessions give up what they hold, staged writes reach the disk.
"""

from __future__ import annotations

import random
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

import structlog
import trio

from aether.access import Access, OpenAccess
from aether.acl.checks import AccessChecks
from aether.acl.control import AccessControl
from aether.acl.engine import RuleEngine
from aether.acl.service import ACLService
from aether.answers import Answer, Reply
from aether.audit.events import NoAudit, Recorder
from aether.audit.service import AuditService
from aether.audit.trail import AuditTrail
from aether.authentication.chain import CredentialChain
from aether.authority.continuation import Continuations
from aether.authority.grants import Grants
from aether.authority.model import Grant
from aether.authority.request_service import RequestService, event_frame, event_of
from aether.authority.requests import Request, Requests
from aether.authority.service import AuthorityService
from aether.authority.wire import revocation_frame
from aether.checkpoints.service import CheckpointService
from aether.config import Config
from aether.errors import AetherError, TlsUnusable
from aether.gateway import configured
from aether.gateway.commits import Commits
from aether.gateway.confirmations import Confirmations
from aether.gateway.connect import serve_connect
from aether.gateway.directory import Directory
from aether.gateway.enforcement import Enforcement
from aether.gateway.half_open import HalfOpen
from aether.gateway.handshake import Authenticator, PeerAuthenticator
from aether.gateway.heartbeat import Heartbeat
from aether.gateway.limits import Limits
from aether.gateway.live import LiveSession
from aether.gateway.observe import Observer
from aether.gateway.reasons import CloseReason
from aether.gateway.services import Services
from aether.gateway.tasks import compose_tasks
from aether.gateway.values import ValueShortcuts
from aether.kv.service import KVService
from aether.kv.store import CachingKVStore
from aether.messaging.flow import Flow
from aether.messaging.groups import Groups
from aether.messaging.router import Router
from aether.metrics import Metrics
from aether.nurseries import unwrapped_nursery
from aether.proto import aether_pb2 as pb
from aether.rpc.engine import EngineUnavailable, create_server
from aether.rpc.health import HealthState
from aether.rpc.listener import Listener, listen
from aether.rpc.reflection import Reflection
from aether.rpc.server import ServerCall
from aether.sessions.service import SessionService
from aether.tasks.authority import TaskGrants
from aether.tiers import Tier, open_tier
from aether.tokens.keys import KeyHasher
from aether.tokens.service import TokenService
from aether.tokens.store import TokenStore
from aether.tokens.tasks import TaskTokens
from aether.workspaces.quotas import WorkspaceQuotas
from aether.workspaces.service import WorkspaceService

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
        self._handlers: dict[str, Callable[[LiveSession, Any], Reply]] = {}
        self._tasks: list[Callable[..., Awaitable[Any]]] = []
        self._continuations: Continuations | None = None
        self._grants: Grants | None = None
        self._requests: Requests | None = None
        self._tls: ServerTls | None = None
        self._manager: AbstractAsyncContextManager[None] | None = None
        self.is_draining = False
        self._closed = trio.Event()
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
            stack.callback(self._closed.set)
            tier = await stack.enter_async_context(open_tier(self.config, self._wall_clock))
            async with unwrapped_nursery() as nursery:
                services = self._compose(tier)
                self.services = services
                self.health = HealthState(["", SERVICE])
                self._server = self._create_server(services)
                services.flush_all = self._server.flush_set.flush_all
                self._server.flush_set.before = services.commits.before_flush
                self._server.flush_set.busy = lambda: bool(services.commits.waiting)
                services.quotas.on_change.append(services.limits.on_quotas_changed)
                tier.durability.on_durable.append(services.commits.on_durable)
                tier.durability.on_failure.append(services.commits.on_failed)
                for service in (
                    services.heartbeat.run,
                    services.confirmations.run,
                    services.groups.run,
                    *self._tasks,
                    *tier.services,
                ):
                    await nursery.start(service)
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

    def _compose(self, tier: Tier) -> Services:
        settings = configured.gateway_settings(self.config)
        directory = Directory()
        trail = self._compose_trail(tier)
        recorder: Recorder = trail or NoAudit()
        observer = Observer(directory, settings, tier, self.metrics, self._wall_clock, recorder)
        if trail is not None and trail.coalesces:
            self._tasks.append(partial(observer.keep_windows, trail))
        access = self._compose_access(tier, directory, recorder, trail)
        audit = AuditService(trail, access, configured.audit_limits(self.config))
        checks = AccessChecks(access, self._wall_clock, self._new_id)
        checkpoints = CheckpointService(
            tier.checkpoints,
            access,
            configured.checkpoint_limits(self.config),
            self._wall_clock,
            recorder,
            observe=self.metrics.checkpoint_operation,
        )
        sessions = SessionService(directory, tier.locks, access, observer, self._wall_clock, recorder)
        hasher = configured.key_hasher(self.config)
        task_tokens = TaskTokens(
            tier.records,
            hasher,
            access,
            recorder,
            directory.end_task_sessions,
            self._wall_clock,
            grace_s=self.config.auth.task_session_grace,
        )
        self._tasks.append(task_tokens.run)
        authenticator = self._authenticator or self._compose_authenticator(
            tier, hasher, task_tokens, directory, access, recorder
        )
        quotas = WorkspaceQuotas(configured.workspace_quotas(self.config))
        tasks = compose_tasks(
            self.config,
            tier,
            quotas,
            access,
            recorder,
            directory,
            task_tokens,
            self._task_grants(recorder),
            self._requests,
            self._wall_clock,
            self._random,
            self._new_task_id,
            lambda: self.services.flush_all(),
            self.metrics.startup_triggered,
            self.metrics.task_neglected,
            partial(self.metrics.shed, "task_events"),
        )
        self._tasks += tasks.services
        kv_limits = configured.kv_limits(self.config)
        shortcuts = None
        if isinstance(tier.kv, CachingKVStore):
            shortcuts = ValueShortcuts(tier.kv, kv_limits.largest_value, self.metrics.kv)
        kv = KVService(
            tier.kv,
            access,
            kv_limits,
            recorder,
            implied=tasks.implied_authority,
            observe=self.metrics.kv.observe,
            on_repeat=shortcuts.keep if shortcuts is not None else None,
        )
        flow = Flow()
        self._tasks.append(flow.run)
        workspaces = WorkspaceService(
            tier.records,
            directory,
            tasks.upkeep,
            access,
            recorder,
            self._wall_clock,
            observer.messages_in,
            flow.sent,
            quotas,
            strict=settings.strict_identifiers,
        )
        return Services(
            settings=settings,
            quotas=quotas,
            tier=tier,
            access=access,
            task_tokens=task_tokens,
            tasks=tasks,
            authenticator=authenticator,
            directory=directory,
            confirmations=Confirmations(),
            half_open=HalfOpen(settings.half_open_max),
            heartbeat=Heartbeat(tier.locks, directory, ttl_s=settings.lock_ttl_s),
            groups=Groups(tier.log),
            router=Router(
                tier.log,
                access,
                directory.services,
                self._random,
                checks,
                recorder,
                self._continuations,
                tasks.startups.on_absent,
                tasks.is_party,
                flow,
                tasks.implied_authority,
                tasks.workspace_of_part,
            ),
            observer=observer,
            audit=recorder,
            handlers={
                "kv_op": kv.handle,
                "checkpoint_op": checkpoints.handle,
                "session_op": sessions.session_op,
                "connection_status_request": sessions.connection_status,
                "admin_query": sessions.admin_query,
                "audit_query": audit.query,
                "submit_audit_event": audit.submit,
                "access_check": checks.check,
                "batch_access_check": checks.check_batch,
                "workspace_op": workspaces.handle,
                **tasks.handlers,
                **self._handlers,
            },
            wall_clock=self._wall_clock,
            note_end=sessions.note_end,
            new_id=self._new_id,
            limits=Limits(settings, quotas, directory),
            commits=Commits(tier.log, tier.durability, settings.staged_bytes_max, lambda: self.services.flush_all()),
        )

    def _compose_trail(self, tier: Tier) -> AuditTrail | None:
        """The audit log, if there is to be one."""
        settings = configured.audit_settings(self.config)
        if settings is None:
            return None
        trail = AuditTrail(tier.audit, settings, self._wall_clock, self.metrics.audit_left_out)
        self._tasks.append(trail.run)
        return trail

    def _compose_access(self, tier: Tier, directory: Directory, recorder: Recorder, trail: AuditTrail | None) -> Access:
        """The embedder's own, the rule engine, or none (design 3, acl)."""
        if self._given_access is not None:
            return self._given_access
        if not self.config.acl.enabled:
            return OpenAccess()
        engine = RuleEngine(tier.records, self._wall_clock, self._new_id, configured.acl_semantics(self.config))
        control = AccessControl(engine, recorder)
        enforcement = Enforcement(directory, control, lambda: self.services.tasks.review_watches())
        engine.on_change.append(enforcement.on_change)
        acl = ACLService(control, recorder, trail, self._wall_clock)
        self._handlers["acl_op"] = acl.handle
        self._compose_authority(tier, directory, control, recorder)
        self._tasks += [engine.run, enforcement.run]
        return control

    def _compose_authority(self, tier: Tier, directory: Directory, control: AccessControl, recorder: Recorder) -> None:
        """On-behalf-of authority, which rests on access rules."""

        def on_revoked(grant: Grant, reason: str, cascade: bool) -> None:
            notice = Answer((revocation_frame(grant, reason, cascade),), grants.ticket)
            for session in directory.sessions_of(grant.delegate):
                session.put(notice)

        grants = Grants(tier.records, directory, on_revoked, self._wall_clock)
        control.grants = grants
        service = AuthorityService(grants, control, directory, recorder, self._wall_clock, self._new_id)
        requests = self._compose_requests(tier, directory, control, recorder, grants)
        self._handlers["authority_request_op"] = RequestService(requests, directory, recorder).handle
        self._tasks.append(requests.run)
        self._handlers["authority_grant_op"] = service.handle
        self._handlers["resolve_authority_request"] = service.resolve
        self._tasks.append(grants.run)
        self._grants = grants
        self._continuations = Continuations(grants, recorder, self._wall_clock, self._new_id)

    def _task_grants(self, recorder: Recorder) -> TaskGrants | None:
        """The authority of tasks; None where there are no grants."""
        if self._grants is None:
            return None
        return TaskGrants(self._grants, recorder, self._wall_clock, self._new_id, self.config.gateway.gateway_id)

    def _compose_requests(
        self, tier: Tier, directory: Directory, control: AccessControl, recorder: Recorder, grants: Grants
    ) -> Requests:
        """Requests for authority, and who hears of them: who asks, and who decides."""

        def on_event(request: Request) -> None:
            told = {session.session_id: session for session in directory.sessions_of(request.requester)}
            if request.routing is not None:
                deciders = directory.sessions_of(request.routing)
            else:
                deciders = [session for session in directory if requests.may_decide(session, request)]
            told |= {session.session_id: session for session in deciders}
            event = Answer((event_frame(request, self._wall_clock()),), requests.ticket)
            for session in told.values():
                session.put(event)
            self.services.tasks.approvals.on_request(request.id, request.task_id, event_of(request, self._wall_clock()))

        limits = configured.request_limits(self.config)
        requests = Requests(tier.records, grants, control, recorder, on_event, self._wall_clock, self._new_id, limits)
        self._requests = requests
        return requests

    def _compose_authenticator(
        self,
        tier: Tier,
        hasher: KeyHasher,
        task_tokens: TaskTokens,
        directory: Directory,
        access: Access,
        recorder: Recorder,
    ) -> Authenticator:
        """The methods that are configured, and the API tokens that one of them needs."""
        auth = self.config.auth
        tokens = TokenStore(tier.records, hasher, self._wall_clock)
        service = TokenService(tokens, access, recorder, directory.end_token_sessions, self._wall_clock, self._new_id)
        self._handlers["token_op"] = service.handle
        self._tasks.append(service.run)
        bearer = configured.bearer_tokens(self.config, self._wall_clock)
        if bearer is not None:
            self._tasks.append(bearer.run)
        chain = CredentialChain(
            auth.modes,
            tokens,
            anonymous=self.config.dev,
            bearer=bearer,
            end_expired=auth.oauth.end_sessions,
            task_tokens=task_tokens,
            recorder=recorder,
            on_failure=self.metrics.auth_failed,
        )
        return PeerAuthenticator(
            chain,
            mtls=auth.mtls.mode if "mtls" in auth.modes else None,
            mtls_required=auth.mtls.required,
            strict=self.config.gateway.strict_identifiers,
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _new_task_id(self) -> str:
        """Ids of tasks begin with their time (UUID version 7): what is made together is stored together, so the indexes
        of a million tasks are written at one end."""
        bits = self._random.getrandbits(74)
        high = (self._wall_clock() & (1 << 48) - 1) << 80 | 7 << 76 | (bits >> 62) << 64
        return str(uuid.UUID(int=high | 2 << 62 | bits & (1 << 62) - 1))

    def _create_server(self, services: Services) -> Any:
        handlers = {CONNECT: partial(_connect, services), **self.health.handlers()}
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

    async def wait_closed(self) -> None:
        """Until the gateway has given up everything."""
        await self._closed.wait()


async def _connect(services: Services, call: ServerCall) -> None:
    await serve_connect(call, services)
