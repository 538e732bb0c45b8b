"""Sessions of the gateway, for principals that may administer them (connection 13.1)."""

from __future__ import annotations

from aether.client.errors import NotFound, PermissionDenied, RequestRefused
from aether.client.link import Link
from aether.proto import aether_pb2 as pb

__all__ = ["Sessions"]


class Sessions:
    """``me.sessions``. Every method raises PermissionDenied for principals that may not administer sessions."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def list(
        self, *, principal_type: int = 0, workspace: str = "", limit: int = 0, offset: int = 0
    ) -> list[pb.ConnectionInfo]:
        """Live sessions, the oldest first; 0 and the empty text do not narrow it down."""
        wanted = pb.ConnectionFilter(
            type=principal_type,  # type: ignore[arg-type]
            workspace=workspace,
            limit=limit,
            offset=offset,
        )
        response = await self._run(pb.SessionOperation(op=pb.SessionOperation.LIST, filter=wanted))
        return list(response.connections)

    async def get(self, session_id: str) -> pb.ConnectionInfo:
        """One session.

        :raises NotFound: there is no such session.
        """
        return (await self._run(pb.SessionOperation(op=pb.SessionOperation.GET, session_id=session_id))).connection

    async def disconnect(self, session_id: str, reason: str = "") -> None:
        """End a session for good; its client is told the reason and does not come back by itself.

        :raises NotFound: there is no such session.
        """
        await self._run(pb.SessionOperation(op=pb.SessionOperation.DISCONNECT, session_id=session_id, reason=reason))

    async def _run(self, operation: pb.SessionOperation) -> pb.SessionOperationResponse:
        response: pb.SessionOperationResponse = await self._link.request("session_op", operation)
        if response.success:
            return response
        # These responses have no code, only a text.
        for text, error in (("not found", NotFound), ("privileges", PermissionDenied)):
            if text in response.error:
                raise error("SESSION_OPERATION_REFUSED", response.error)
        raise RequestRefused("SESSION_OPERATION_REFUSED", response.error)
