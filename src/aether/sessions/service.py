"""Operations on sessions: who is connected, since when, and ending a session (connection 13.1 to 13.3).

Every operation is answered once with its typed response and the request's id, refusals included. LIST shows the
sessions of this gateway; connection status asks the identity locks and thereby the whole deployment.
"""

from __future__ import annotations

import os
import platform
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from aether.access import Access, InvalidAuthority, Level, Rights, is_system
from aether.answers import Answer, Caller, fit
from aether.audit.events import NO_AUDIT, Event, Recorder, actor_of
from aether.errors import Refusal, StoreUnavailable
from aether.identity import SEPARATOR, Identity, InvalidIdentity, PrincipalType, parse_identity, principal_type
from aether.paging import part
from aether.proto import aether_pb2 as pb
from aether.sessions.store import IdentityLocks
from aether.sessions.wire import admin_answer, connection_status_answer, duration_text, session_answer

__all__ = ["Check", "Directory", "LiveSession", "SessionService", "Vitals"]

REASON_CHARACTERS_MAX = 1000
REMEMBERED_MAX = 10_000

_NOT_AUTHORIZED = "admin sessions operations require system-level privileges"
_UNAVAILABLE = "the session store is unavailable, try again"

Op = pb.SessionOperation
AdminOp = pb.AdminQuery


class PeerAddress(Protocol):
    @property
    def address(self) -> str: ...


class LiveSession(Protocol):
    """A session of this gateway, as far as operators may see it. Times are Unix milliseconds."""

    @property
    def session_id(self) -> str: ...

    @property
    def identity(self) -> Identity:
        """With the workspace the session is on now."""

    @property
    def connected_at_ms(self) -> int: ...

    @property
    def last_activity_ms(self) -> int: ...

    @property
    def peer(self) -> PeerAddress: ...


class Directory(Protocol):
    """The live sessions of this gateway."""

    def __iter__(self) -> Iterator[LiveSession]:
        """All of them, in any order; a snapshot."""

    def get(self, session_id: str) -> LiveSession | None: ...

    def holder(self, identity_key: str) -> LiveSession | None: ...

    def disconnect(self, session_id: str, reason: str) -> bool:
        """End a session with ``FORCE_DISCONNECT`` and this reason; False when there is no such session."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a health report. An empty error means the part works."""

    name: str
    latency_ms: float = 0.0
    error: str = ""


class Vitals(Protocol):
    """What the gateway tells about itself. Times are Unix milliseconds."""

    @property
    def gateway_id(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def started_at_ms(self) -> int: ...

    def messages(self) -> tuple[int, float]:
        """Messages routed since the start, and per second lately."""

    async def checks(self) -> list[Check]:
        """Probe the parts the gateway depends on; the first failing one makes it unhealthy."""


class SessionService:
    """Answers ``session_op``, ``connection_status_request`` and ``admin_query``.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self,
        directory: Directory,
        locks: IdentityLocks,
        access: Access,
        vitals: Vitals,
        wall_clock: Callable[[], int],
        recorder: Recorder = NO_AUDIT,
    ) -> None:
        self._recorder = recorder
        self._directory = directory
        self._locks = locks
        self._access = access
        self._vitals = vitals
        self._wall_clock = wall_clock
        self._left: OrderedDict[str, int] = OrderedDict()

    # ---------------------------------------------------------------------------------------------- session_op

    def session_op(self, caller: Caller, operation: pb.SessionOperation) -> Answer:
        """LIST, GET and DISCONNECT (connection 13.1)."""
        response = pb.SessionOperationResponse(request_id=operation.request_id)
        try:
            self._admit_operation(caller, operation)
            self._run_session_op(caller, operation, response)
            response.success = True
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        return session_answer(response)

    def _admit_operation(self, caller: Caller, operation: pb.SessionOperation) -> None:
        try:
            rights = self._access.rights(caller, operation.authorization)
        except InvalidAuthority as error:
            raise _refused(f"invalid authorization context: {error}") from None
        self._admit(caller, rights, "session_op_sessions", self._workspace_of(operation))

    def _workspace_of(self, operation: pb.SessionOperation) -> str:
        """The only workspace whose sessions an operation concerns; empty: it may be any."""
        if operation.op == Op.LIST:
            return operation.filter.workspace
        session = self._directory.get(operation.session_id)
        return session.identity.workspace if session is not None else ""

    def _admit(self, caller: Caller, rights: Rights, label: str, workspace: str) -> None:
        """The gate of administration (connection 13.1)."""
        if is_system(caller, workspace) and rights.lineage is None:
            return
        if not rights.check("admin", "admin/sessions", Level.ADMIN, label, workspace).allowed:
            raise _refused(_NOT_AUTHORIZED + (" or an explicit ACL grant" if self._access.configured else ""))

    def _run_session_op(
        self, caller: Caller, operation: pb.SessionOperation, response: pb.SessionOperationResponse
    ) -> None:
        match operation.op:
            case Op.LIST:
                response.total_count, connections = self._list(operation.filter)
                response.connections.extend(connections)
            case Op.GET:
                response.connection.CopyFrom(self._get(operation.session_id, "GET"))
            case Op.DISCONNECT:
                found = self._get(operation.session_id, "DISCONNECT")
                session_id = found.session_id
                reason = operation.reason.strip()[:REASON_CHARACTERS_MAX] or "disconnected by administrator"
                self._recorder.record(
                    Event(
                        kind="admin",
                        operation="admin_session_disconnect",
                        **actor_of(caller.identity),
                        resource_type="session",
                        resource_id=session_id,
                        workspace=found.workspace,
                        session_id=caller.session_id,
                        metadata={"identity": found.identity, "reason": reason},
                    )
                )
                if not self._directory.disconnect(session_id, reason):
                    raise _refused(f"session not found: {session_id}")
                response.message = "session disconnected"
            case _:
                raise _refused("unknown session operation")

    def _list(self, wanted: pb.ConnectionFilter) -> tuple[int, list[pb.ConnectionInfo]]:
        """Unpaged total and one page, oldest connection first; limit 0 asks for all."""
        matching = sorted(
            (
                session
                for session in self._directory
                if (not wanted.type or session.identity.kind.value == wanted.type)
                and (not wanted.workspace or session.identity.workspace == wanted.workspace)
            ),
            key=lambda session: (session.connected_at_ms, session.session_id),
        )
        now_ms = self._wall_clock()
        return len(matching), fit(_describe(session, now_ms) for session in part(matching, wanted.limit, wanted.offset))

    def _get(self, session_id: str, operation: str) -> pb.ConnectionInfo:
        if not session_id:
            raise _refused(f"session_id required for {operation}")
        session = self._directory.get(session_id)
        if session is None:
            raise _refused(f"session not found: {session_id}")
        return _describe(session, self._wall_clock())

    # ------------------------------------------------------------------------------- connection_status_request

    async def connection_status(self, caller: Caller, request: pb.ConnectionStatusRequest) -> Answer:
        """Whether a principal is connected anywhere in the deployment (connection 13.2)."""
        response = pb.ConnectionStatusResponse(request_id=request.request_id)
        try:
            reference = _read_reference(request)
            if not reference.names(caller.identity):
                self._admit_status(caller, reference.workspace)
            response.connected, last_seen_ms = await self._find(reference)
            response.last_seen_at = last_seen_ms // 1000
            response.ok = True
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        return connection_status_answer(response)

    def _admit_status(self, caller: Caller, workspace: str) -> None:
        """:param workspace: of the principal asked about; the capability may be held for one workspace only."""
        if is_system(caller, workspace):
            return
        decision = self._access.rights(caller).check(
            "capability", "capability/query_connections", Level.READ, "query_connections", workspace
        )
        if not decision.allowed:
            raise _refused("not authorized")

    async def _find(self, reference: _Reference) -> tuple[bool, int]:
        """Connected now, and when last seen (Unix milliseconds, 0 when unknown)."""
        keys = [reference.key]
        if reference.is_prefix:
            keys = [lock.identity for lock in await self._locks.scan(reference.key)]
        # A scan also names locks that nobody holds but that may still be resumed.
        keys = [key for key in keys if await self._locks.holder(key) is not None]
        if not keys:
            return False, self._left.get(reference.key, 0)
        seen = [session.last_activity_ms for key in keys if (session := self._directory.holder(key)) is not None]
        # A session elsewhere renews its lock every few seconds, so it is seen now.
        return True, max(seen) if len(seen) == len(keys) else self._wall_clock()

    def note_end(self, session: LiveSession) -> None:
        """Remember when a session was last seen; the latest ten thousand principals are kept."""
        key = session.identity.key
        names = [key]
        if session.identity.kind is PrincipalType.USER:
            names.append(SEPARATOR.join(("us", session.identity.id, "")))
        elif session.identity.kind is PrincipalType.ORCHESTRATOR:
            names.append(SEPARATOR.join(("orc", session.identity.implementation, "")))
        for name in names:
            self._left[name] = session.last_activity_ms
            self._left.move_to_end(name)
        while len(self._left) > REMEMBERED_MAX:
            self._left.popitem(last=False)

    # --------------------------------------------------------------------------------------------- admin_query

    def admin_query(self, caller: Caller, query: pb.AdminQuery) -> Answer | Awaitable[Answer]:
        """Health, facts, counts and connections of this gateway (connection 13.3)."""
        response = pb.AdminResponse(request_id=query.request_id)
        try:
            self._admit(caller, self._access.rights(caller), "admin_query", "")
            match query.op:
                case AdminOp.GET_HEALTH:
                    return self._health(response)
                case AdminOp.GET_INFO:
                    response.info.CopyFrom(self._info())
                case AdminOp.GET_STATS:
                    response.stats.CopyFrom(self._stats())
                case AdminOp.LIST_CONNECTIONS:
                    response.total_count, connections = self._list(query.filter)
                    response.connections.extend(connections)
                case AdminOp.GET_CONNECTION:
                    response.connection.CopyFrom(self._get(query.session_id, "GET_CONNECTION"))
                case _:
                    raise _refused("unknown admin operation")
            response.success = True
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        return admin_answer(response)

    async def _health(self, response: pb.AdminResponse) -> Answer:
        checks = await self._vitals.checks()
        health = response.health
        for check in checks:
            health.checks[check.name].status = (
                pb.HEALTH_CHECK_STATUS_ERROR if check.error else pb.HEALTH_CHECK_STATUS_OK
            )
            health.checks[check.name].latency = f"{check.latency_ms:.3f}ms"
            health.checks[check.name].error = check.error
        failing = any(check.error for check in checks)
        health.status = pb.HEALTH_STATUS_UNHEALTHY if failing else pb.HEALTH_STATUS_HEALTHY
        health.timestamp = self._wall_clock() // 1000
        health.stats.CopyFrom(self._stats())
        response.success = True
        return admin_answer(response)

    def _info(self) -> pb.GatewayInfo:
        vitals = self._vitals
        up_s = (self._wall_clock() - vitals.started_at_ms) // 1000
        return pb.GatewayInfo(
            gateway_id=vitals.gateway_id,
            version=vitals.version,
            started_at=vitals.started_at_ms // 1000,
            uptime=duration_text(up_s),
            go_version=f"Python {platform.python_version()}",
            num_goroutines=trio.lowlevel.current_statistics().tasks_living,
            memory_alloc_mb=_resident_mib(),
            num_connections=sum(1 for _ in self._directory),
        )

    def _stats(self) -> pb.GatewayStats:
        kinds: Mapping[PrincipalType, int] = Counter(session.identity.kind for session in self._directory)
        total, per_second = self._vitals.messages()
        return pb.GatewayStats(
            agent_connections=kinds[PrincipalType.AGENT],
            task_connections=kinds[PrincipalType.TASK],
            user_connections=kinds[PrincipalType.USER],
            orchestrator_connections=kinds[PrincipalType.ORCHESTRATOR],
            workflow_engine_connected=bool(kinds[PrincipalType.WORKFLOW_ENGINE]),
            metrics_bridge_connected=bool(kinds[PrincipalType.METRICS_BRIDGE]),
            messages_per_second=per_second,
            total_messages=total,
        )


@dataclass(frozen=True, slots=True)
class _Reference:
    """Whom a request asks about: an identity string, or the common beginning of several."""

    kind: PrincipalType
    key: str
    is_prefix: bool = False
    workspace: str = ""

    def names(self, identity: Identity) -> bool:
        """True when the reference is to ``identity`` itself, for users to any of their windows."""
        if self.kind is not identity.kind:
            return False
        return identity.key.startswith(self.key) if self.is_prefix else identity.key == self.key


def _read_reference(request: pb.ConnectionStatusRequest) -> _Reference:
    """Resolve a ``PrincipalRef`` to what the locks know (routing 1.4, connection W-26).

    A bare user id means any window, an orchestrator without specifier any instance.

    :raises Refusal: without principal, with an unknown type, or without an id.
    """
    if not request.HasField("principal"):
        raise _refused("principal is required")
    name = request.principal.principal_id.strip()
    try:
        kind = principal_type(request.principal.principal_type)
    except InvalidIdentity as error:
        raise _refused(f"invalid principal: {error}") from None
    if not name:
        raise _refused("invalid principal: principal_id is required")
    if kind in (PrincipalType.WORKFLOW_ENGINE, PrincipalType.METRICS_BRIDGE):
        return _Reference(kind, Identity(kind).key)
    try:
        identity = parse_identity(name)
    except InvalidIdentity:
        identity = None
    if identity is not None and identity.kind is kind:
        if kind is PrincipalType.ORCHESTRATOR and not identity.specifier:
            return _Reference(kind, f"orc::{identity.implementation}::", is_prefix=True)
        return _Reference(kind, identity.key, workspace=identity.workspace)
    if kind is PrincipalType.USER and SEPARATOR not in name.removeprefix("us::"):
        return _Reference(kind, f"us::{name.removeprefix('us::')}::", is_prefix=True)
    if kind is PrincipalType.ORCHESTRATOR and SEPARATOR not in name:
        return _Reference(kind, f"orc::{name}::", is_prefix=True)
    return _Reference(kind, "")  # no principal of this type can have such an id


def _describe(session: LiveSession, now_ms: int) -> pb.ConnectionInfo:
    identity = session.identity
    return pb.ConnectionInfo(
        session_id=session.session_id,
        type=pb.PrincipalType.ValueType(identity.kind.value),  # type: ignore[arg-type]
        identity=identity.key,
        workspace=identity.workspace,
        implementation=identity.implementation,
        specifier=identity.specifier,
        connected_at=session.connected_at_ms // 1000,
        duration=duration_text((now_ms - session.connected_at_ms) // 1000),
        remote_addr=session.peer.address,
        last_activity=session.last_activity_ms // 1000,
    )


def _refused(message: str) -> Refusal:
    """A refusal whose text goes into a typed response; those have no code."""
    return Refusal("", message)


def _resident_mib() -> float:
    """Memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
