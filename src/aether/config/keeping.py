"""Settings of what is kept, and for how long (see :mod:`aether.config.base`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator

from aether.config.base import GIB, MIB, Section
from aether.config.values import (
    Count,
    Duration,
    FilePath,
    Flag,
    PositiveSize,
    Size,
    lower_case,
)

__all__ = ["KV", "Checkpoint", "Cleanup", "Storage"]


class Storage(Section):
    """Where the local tier keeps messages, values, checkpoints and sessions, and for how long."""

    data_dir: FilePath = Path("aether-data")
    """Directory of the database; made when missing, used by one gateway at a time."""
    durability: Annotated[Literal["batch", "os"], BeforeValidator(lower_case)] = "batch"
    """What an accepted message or write survives: ``batch`` a power cut (each group of writes is synced to the disk),
    ``os`` the end of the process, but not of the machine."""
    message_retention: Duration = 24 * 3600.0
    """How long messages are kept for consumers that are away; 0 is forever."""
    message_retention_bytes: Size = 10 * GIB
    """Bytes of messages to keep, the oldest go first; 0 is unlimited."""
    offset_retention: Duration = 168 * 3600.0
    """How long the place of a consumer in a topic is remembered after it was last used; 0 is forever."""
    staging_bytes: PositiveSize = 8 * MIB
    """Bytes of messages that wait for the disk before senders have to wait too."""


class KV(Section):
    """Values that clients store."""

    default_ttl: Duration = 0.0
    """Life of a value that was written without one, in whole seconds; 0 is forever."""
    max_ttl: Duration = 0.0
    """Longest life of a value, in whole seconds; longer ones, and forever, are cut to it; 0 is unlimited."""
    exclusive_by: Annotated[Literal["name", "identity"], BeforeValidator(lower_case)] = "name"
    """Who shares the exclusive scopes: ``name`` whatever has the same implementation and specifier, as on other Aether
    gateways; ``identity`` nobody, also no principal of another type or workspace. Values that were written before a
    change of this are not found after it."""


class Checkpoint(Section):
    """Checkpoints that clients save."""

    default_ttl: Duration = 0.0
    """Life of a checkpoint whose client leaves it to the server, in whole seconds; 0 is forever."""
    max_size: PositiveSize = 3 * MIB
    """Largest checkpoint, in bytes."""
    max_count: Count = 1000
    """Checkpoints per identity; 0 is unlimited."""
    audit: Flag = False
    """Whether successful operations are in the audit log too, as events of the kind ``kv``; refused ones always are."""


class Cleanup(Section):
    """When tasks that nobody ends are cancelled, and how long those that ended are kept."""

    interactive_task_ttl: Duration = 3600.0
    """How long an interactive task may go without progress or change, unless it waits for something; 0 is forever."""
    startup_task_ttl: Duration = 1800.0
    """How long the start of an agent may wait for an orchestrator; 0 is forever."""
    startup_timeout: Duration = 600.0
    """How long an orchestrator has until the agent that it starts is connected; 0 is forever."""
    assignment_lease: Duration = 600.0
    """How long a worker may hold a task without a word before the audit log and a metric tell of it; 0 is never. It
    keeps the task."""
    pool_task_ttl: Duration = 3600.0
    """How long a task may wait for a worker of its pool; 0 is forever."""
    task_purge_interval: Duration = 24 * 3600.0
    """How often tasks that are kept no longer are removed; 0 is never."""
    completed_task_retention: Duration = 168 * 3600.0
    """How long completed tasks are kept; 0 is forever."""
    failed_task_retention: Duration = 336 * 3600.0
    """How long failed tasks are kept; 0 is forever."""
    cancelled_task_retention: Duration = 168 * 3600.0
    """How long cancelled and rejected tasks are kept; 0 is forever."""
