"""Whether a principal is connected anywhere in the deployment (connection 13.2)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from aether.access import Access, Level, is_system
from aether.answers import Answer, Caller
from aether.errors import Refusal, StoreUnavailable
from aether.identity import SEPARATOR, Identity, InvalidIdentity, PrincipalType, parse_identity, principal_type
from aether.proto import aether_pb2 as pb
from aether.sessions.live import UNAVAILABLE, Directory, LiveSession, refused
from aether.sessions.store import IdentityLocks
from aether.sessions.wire import connection_status_answer

__all__ = ["ConnectionStatus"]

REMEMBERED_MAX = 10_000


class ConnectionStatus:
    """Answers ``connection_status_request``.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self, directory: Directory, locks: IdentityLocks, access: Access, wall_clock: Callable[[], int]
    ) -> None:
        self._directory = directory
        self._locks = locks
        self._access = access
        self._wall_clock = wall_clock
        self._left: OrderedDict[str, int] = OrderedDict()

    async def handle(self, caller: Caller, request: pb.ConnectionStatusRequest) -> Answer:
        """Answer one question."""
        response = pb.ConnectionStatusResponse(request_id=request.request_id)
        try:
            reference = _read_reference(request)
            if not reference.names(caller.identity):
                self._admit(caller, reference.workspace)
            response.connected, last_seen_ms = await self._find(reference)
            response.last_seen_at = last_seen_ms // 1000
            response.ok = True
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = UNAVAILABLE
        return connection_status_answer(response)

    def _admit(self, caller: Caller, workspace: str) -> None:
        """:param workspace: of the principal asked about; the capability may be held for one workspace only."""
        if is_system(caller, workspace):
            return
        decision = self._access.rights(caller).check(
            "capability", "capability/query_connections", Level.READ, "query_connections", workspace
        )
        if not decision.allowed:
            raise refused("not authorized")

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
        raise refused("principal is required")
    name = request.principal.principal_id.strip()
    try:
        kind = principal_type(request.principal.principal_type)
    except InvalidIdentity as error:
        raise refused(f"invalid principal: {error}") from None
    if not name:
        raise refused("invalid principal: principal_id is required")
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
