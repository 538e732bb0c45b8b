"""Checkpoints: state an identity saves and finds again after a restart (kv 11)."""

from __future__ import annotations

from aether.checkpoints.store import Checkpoint
from aether.client.errors import RequestRefused
from aether.client.link import Link
from aether.proto import aether_pb2 as pb

__all__ = ["Checkpoint", "Checkpoints"]


class Checkpoints:
    """``me.checkpoints``; the empty key is the default one."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def _run(self, operation: pb.CheckpointOperation) -> pb.CheckpointResponse:
        response: pb.CheckpointResponse = await self._link.request("checkpoint_op", operation)
        if not response.success:
            raise RequestRefused("CHECKPOINT_ERROR", response.error)
        return response

    async def save(self, data: bytes, key: str = "", *, ttl_s: int = -1) -> int:
        """Save; returns the time in Unix seconds. ``ttl_s`` below 0 leaves it to the gateway, 0 keeps it for good."""
        operation = pb.CheckpointOperation(op=pb.CheckpointOperation.SAVE, key=key, data=data, ttl=ttl_s)
        return (await self._run(operation)).saved_at

    async def load(self, key: str = "") -> Checkpoint | None:
        """What was saved last; None for nothing."""
        response = await self._run(pb.CheckpointOperation(op=pb.CheckpointOperation.LOAD, key=key))
        return Checkpoint(response.data, response.saved_at) if response.saved_at else None

    async def delete(self, key: str = "") -> None:
        """Remove; absent is fine."""
        await self._run(pb.CheckpointOperation(op=pb.CheckpointOperation.DELETE, key=key))

    async def list(self) -> list[str]:
        """All keys of this identity."""
        return list((await self._run(pb.CheckpointOperation(op=pb.CheckpointOperation.LIST))).keys)
