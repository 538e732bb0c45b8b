"""Progress reports and updates (routing 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from aether.proto import aether_pb2 as pb

if TYPE_CHECKING:
    from aether.client.connection import Connection

__all__ = ["Progress"]


class Progress:
    """``me.progress``: report one's own, and iterate over that of others. Updates are news: of those that nobody takes,
    the newest megabyte is kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def report(
        self,
        state: str,
        *,
        task_id: str = "",
        completion: float = -1.0,
        summary: str = "",
        recipient: str = "",
        metadata: Mapping[str, str] | None = None,
        kind: int = pb.PROGRESS_KIND_UNSPECIFIED,
    ) -> None:
        """Tell a recipient, or everybody on the workspace, how far one is; ``completion`` from 0 to 1, -1: unknown."""
        report = pb.ProgressReport(
            state=state,
            task_id=task_id,
            completion=completion,
            summary=summary,
            recipient=recipient,
            metadata=metadata or {},
            kind=kind,  # type: ignore[arg-type]
        )
        await self._connection.transmit(pb.UpstreamMessage(progress=report))

    def __aiter__(self) -> AsyncIterator[pb.ProgressUpdate]:
        return self

    async def __anext__(self) -> pb.ProgressUpdate:
        return await self._connection.next_update()
