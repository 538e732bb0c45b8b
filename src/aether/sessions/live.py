"""The live sessions of this gateway, as operators see them (connection 13)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from aether.access import Access, Level, Rights, is_system
from aether.answers import Caller, fit
from aether.errors import Refusal
from aether.identity import Identity
from aether.paging import part
from aether.proto import aether_pb2 as pb
from aether.sessions.wire import duration_text

__all__ = ["UNAVAILABLE", "Directory", "Listing", "LiveSession", "check_administrator", "refused"]

UNAVAILABLE = "the session store is unavailable, try again"

_NOT_AUTHORIZED = "admin sessions operations require system-level privileges"


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


class Listing:
    """What there is to see.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(self, directory: Directory, wall_clock: Callable[[], int]) -> None:
        self._directory = directory
        self._wall_clock = wall_clock

    def page(self, wanted: pb.ConnectionFilter) -> tuple[int, list[pb.ConnectionInfo]]:
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

    def get(self, session_id: str, operation: str) -> pb.ConnectionInfo:
        """One session.

        :param operation: as texts name it.
        :raises Refusal: there is none.
        """
        if not session_id:
            raise refused(f"session_id required for {operation}")
        session = self._directory.get(session_id)
        if session is None:
            raise refused(f"session not found: {session_id}")
        return _describe(session, self._wall_clock())


def check_administrator(access: Access, caller: Caller, rights: Rights, label: str, workspace: str) -> None:
    """The gate of administration (connection 13.1).

    :param workspace: the only one that is concerned; empty: it may be any.
    :raises Refusal: the caller is none.
    """
    if is_system(caller, workspace) and rights.lineage is None:
        return
    if not rights.check("admin", "admin/sessions", Level.ADMIN, label, workspace).allowed:
        raise refused(_NOT_AUTHORIZED + (" or an explicit ACL grant" if access.configured else ""))


def refused(message: str) -> Refusal:
    """A refusal whose text goes into a typed response; those have no code."""
    return Refusal("", message)


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
