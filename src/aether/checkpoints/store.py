"""The port to checkpoint storage (kv 11): one value per identity and key, replaced atomically."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Checkpoint", "CheckpointStore"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What was saved. ``saved_at_s`` is in Unix seconds."""

    data: bytes
    saved_at_s: int


class CheckpointStore(Protocol):
    """Every method is durable, or consistent with what is durable, when it returns.

    :raises StoreUnavailable: the backend did not answer; retry.
    """

    async def save(self, identity: str, key: str, data: bytes, *, saved_at_s: int, ttl_s: int) -> None:
        """Create or replace; ``ttl_s`` 0 or less: never expires.

        :raises InvalidArgument: an empty key, or one over 1024 bytes.
        :raises WorkspaceFull: the identity's workspace may not store more.
        """

    async def load(self, identity: str, key: str) -> Checkpoint | None:
        """The checkpoint; None when absent or expired."""

    async def delete(self, identity: str, key: str) -> None:
        """Remove; absent is fine."""

    async def list(self, identity: str) -> list[str]:
        """Live keys, in lexicographic order."""

    async def count(self, identity: str) -> int:
        """How many checkpoints an identity has; those that expired a moment ago may still be counted."""
