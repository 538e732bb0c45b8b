"""Progress reports and updates (routing 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from aether.client.inbox import Inbox
from aether.client.link import INBOX_BYTES_MAX, Link
from aether.proto import aether_pb2 as pb

__all__ = ["Progress"]


class Progress:
    """``me.progress``: report one's own, and iterate over that of others. Updates are news: of those that nobody takes,
    the newest megabyte is kept."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._updates = Inbox(keep_bytes=INBOX_BYTES_MAX)

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
        await self._link.transmit(pb.UpstreamMessage(progress=report))

    def __aiter__(self) -> AsyncIterator[pb.ProgressUpdate]:
        return self

    async def __anext__(self) -> pb.ProgressUpdate:
        update: pb.ProgressUpdate = await self._link.take(self._updates)
        return update

    def on_update(self, size: int, update: pb.ProgressUpdate) -> None:
        self._updates.put(size, update)

    def close(self) -> None:
        self._updates.close()
