"""What every part of a gateway rests on."""

from __future__ import annotations

import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aether.answers import Reply
from aether.audit.events import Recorder
from aether.config import Config
from aether.gateway.directory import Directory
from aether.gateway.live import LiveSession
from aether.metrics import Metrics
from aether.tiers import Tier

__all__ = ["Foundation", "Handler", "Run"]

Handler = Callable[[LiveSession, Any], Reply]
"""Answers an operation; takes the session and the message."""

Run = Callable[..., Awaitable[Any]]
"""A long-running task of the gateway's nursery, which takes a ``task_status``."""


@dataclass(frozen=True, slots=True)
class Foundation:
    """Given to whoever composes a part.

    :ivar wall_clock: current Unix time in milliseconds.
    :ivar random: for ids, jitter and choices.
    """

    config: Config
    tier: Tier
    directory: Directory
    recorder: Recorder
    metrics: Metrics
    wall_clock: Callable[[], int]
    random: random.Random

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def new_task_id(self) -> str:
        """Ids of tasks begin with their time (UUID version 7): what is made together is stored together, so the indexes
        of a million tasks are written at one end."""
        bits = self.random.getrandbits(74)
        time, low = f"{self.wall_clock() & (1 << 48) - 1:012x}", f"{2 << 62 | bits & (1 << 62) - 1:016x}"
        return f"{time[:8]}-{time[8:]}-7{bits >> 62:03x}-{low[:4]}-{low[4:]}"
