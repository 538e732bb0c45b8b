"""Frames of the checkpoint operations (kv 1.7)."""

from __future__ import annotations

from collections.abc import Sequence

from aether.answers import Answer, down
from aether.proto import aether_pb2 as pb

__all__ = ["answer", "failure"]


def answer(request_id: str, *, data: bytes = b"", keys: Sequence[str] = (), saved_at: int = 0) -> Answer:
    """A successful ``CheckpointResponse``; fields that do not belong to the operation keep their defaults."""
    response = pb.CheckpointResponse(success=True, data=data, keys=keys, saved_at=saved_at, request_id=request_id)
    return Answer((down(pb.DownstreamMessage(checkpoint=response)),))


def failure(request_id: str, error: str) -> Answer:
    """A failed one. Checkpoints never answer with an ``ErrorResponse``: clients wait for this type."""
    response = pb.CheckpointResponse(success=False, error=error, request_id=request_id)
    return Answer((down(pb.DownstreamMessage(checkpoint=response)),))
