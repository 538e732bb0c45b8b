"""Operations on sessions, for those who may administer them (connection 13.1)."""

from __future__ import annotations

from collections.abc import Callable

from aether.access import Access, InvalidAuthority
from aether.answers import Answer, Caller
from aether.audit.events import NO_AUDIT, Event, Recorder, actor_of
from aether.errors import Refusal, StoreUnavailable
from aether.proto import aether_pb2 as pb
from aether.sessions.live import UNAVAILABLE, Directory, Listing, check_administrator, refused
from aether.sessions.wire import session_answer

__all__ = ["SessionOperations"]

REASON_CHARACTERS_MAX = 1000

Op = pb.SessionOperation


class SessionOperations:
    """Answers ``session_op``.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self, directory: Directory, access: Access, wall_clock: Callable[[], int], recorder: Recorder = NO_AUDIT
    ) -> None:
        self._directory = directory
        self._listing = Listing(directory, wall_clock)
        self._access = access
        self._recorder = recorder

    def handle(self, caller: Caller, operation: pb.SessionOperation) -> Answer:
        """LIST, GET and DISCONNECT (connection 13.1)."""
        response = pb.SessionOperationResponse(request_id=operation.request_id)
        try:
            self._admit(caller, operation)
            self._run(caller, operation, response)
            response.success = True
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = UNAVAILABLE
        return session_answer(response)

    def _admit(self, caller: Caller, operation: pb.SessionOperation) -> None:
        try:
            rights = self._access.rights(caller, operation.authorization)
        except InvalidAuthority as error:
            raise refused(f"invalid authorization context: {error}") from None
        check_administrator(self._access, caller, rights, "session_op_sessions", self._workspace_of(operation))

    def _workspace_of(self, operation: pb.SessionOperation) -> str:
        """The only workspace whose sessions an operation concerns; empty: it may be any."""
        if operation.op == Op.LIST:
            return operation.filter.workspace
        session = self._directory.get(operation.session_id)
        return session.identity.workspace if session is not None else ""

    def _run(self, caller: Caller, operation: pb.SessionOperation, response: pb.SessionOperationResponse) -> None:
        match operation.op:
            case Op.LIST:
                response.total_count, connections = self._listing.page(operation.filter)
                response.connections.extend(connections)
            case Op.GET:
                response.connection.CopyFrom(self._listing.get(operation.session_id, "GET"))
            case Op.DISCONNECT:
                found = self._listing.get(operation.session_id, "DISCONNECT")
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
                    raise refused(f"session not found: {session_id}")
                response.message = "session disconnected"
            case _:
                raise refused("unknown session operation")
