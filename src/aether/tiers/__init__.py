"""Which adapter serves which port: one module per tier, one page each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aether.audit.store import AuditStore
from aether.checkpoints.store import CheckpointStore
from aether.config import Config
from aether.kv.store import KVStore
from aether.messaging.log import TopicLog
from aether.records import RecordStore
from aether.sessions.store import IdentityLocks
from aether.tasks.store import TaskStore

__all__ = ["Tier", "open_tier"]

Service = Callable[..., Awaitable[Any]]


@dataclass
class Tier:
    """The ports of a running tier.

    :ivar services: long-running tasks of the adapters, started with ``nursery.start``.
    :ivar probe: returns when the stores work; raises StoreUnavailable when not.
    """

    name: str
    log: TopicLog
    kv: KVStore
    checkpoints: CheckpointStore
    locks: IdentityLocks
    records: RecordStore
    tasks: TaskStore
    audit: AuditStore
    durability: Any
    probe: Callable[[], Awaitable[None]]
    services: list[Service] = field(default_factory=list)


@asynccontextmanager
async def open_tier(config: Config, wall_clock: Callable[[], int]) -> AsyncIterator[Tier]:
    """Open the stores the configuration asks for; everything staged is durable when this is left."""
    from aether.tiers.local import open_local

    async with open_local(config, wall_clock) as tier:
        yield tier
