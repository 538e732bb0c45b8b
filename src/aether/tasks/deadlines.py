"""When a task changes by itself (tasks 9 to 11, 14): it depends on the record alone, so timers survive restarts."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from aether.tasks.model import LIVE, PAUSED, WORKED_ON, Mode, Status, Task, TaskClass

__all__ = ["Due", "Lifetimes", "deadline"]

_HANDED_OUT = (Mode.POOL, Mode.TARGETED)


class Due(enum.Enum):
    """What has to happen to a task by itself."""

    RETRY = "retry"
    TIMEOUT = "wait timeout"
    WAKE = "scheduled wake"
    GRACE = "worker gone"
    START = "agent did not start"
    HELD = "held back"
    STALLED = "worker does not begin"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long tasks may go without anything happening, in milliseconds; 0: for ever (tasks 14)."""

    interactive_ms: int = 3_600_000
    startup_ms: int = 1_800_000
    pool_ms: int = 3_600_000
    start_ms: int = 600_000
    """How long an orchestrator has until the agent is connected."""
    begin_ms: int = 600_000
    """How long a worker has to begin a task or report on it, before that is told (weakness 40)."""


def deadline(task: Task, lifetimes: Lifetimes) -> tuple[int, Due] | None:
    """The time in Unix milliseconds, and why; None for a task that stays as it is."""
    if task.status is Status.FAILED:
        return (task.next_retry_ms, Due.RETRY) if task.next_retry_ms else None
    if task.status in PAUSED:
        return _wait_deadline(task)
    if task.status not in LIVE:
        return None
    earliest = _lifetime(task, lifetimes)
    if task.disconnected_ms and task.status in WORKED_ON:
        earliest = _earlier((task.disconnected_ms + task.grace_ms, Due.GRACE), earliest)
    if task.hold_ms and task.status is Status.PENDING:
        earliest = _earlier((task.hold_ms, Due.HELD), earliest)
    if task.awaits_start and task.status in WORKED_ON and lifetimes.start_ms:
        earliest = _earlier((task.assigned_ms + lifetimes.start_ms, Due.START), earliest)
    if _may_stall(task) and lifetimes.begin_ms:
        earliest = _earlier((max(task.assigned_ms, task.heartbeat_ms) + lifetimes.begin_ms, Due.STALLED), earliest)
    return earliest


def _may_stall(task: Task) -> bool:
    """Whether a worker was handed the task, and said nothing yet that would show that it got it."""
    return task.status is Status.ASSIGNED and not task.awaits_start and not task.stalled and task.mode in _HANDED_OUT


def _earlier(one: tuple[int, Due], other: tuple[int, Due] | None) -> tuple[int, Due]:
    return one if other is None or one[0] <= other[0] else other


def _wait_deadline(task: Task) -> tuple[int, Due] | None:
    wait = task.wait
    if wait is None:
        return None
    candidates = []
    if wait.timeout_ms > 0 and not task.overdue:
        candidates.append((task.paused_ms + wait.timeout_ms, Due.TIMEOUT))
    if wait.scheduled_wake_ms > 0:
        candidates.append((wait.scheduled_wake_ms, Due.WAKE))
    return min(candidates, key=lambda candidate: candidate[0], default=None)


def _lifetime(task: Task, lifetimes: Lifetimes) -> tuple[int, Due] | None:
    """When nobody cares for a task any more."""
    end = None
    is_interactive = task.task_class in (TaskClass.UNSPECIFIED, TaskClass.INTERACTIVE) and not task.is_startup
    if is_interactive and lifetimes.interactive_ms:
        end = (max(task.updated_us // 1000, task.heartbeat_ms) + lifetimes.interactive_ms, Due.STALE)
    if task.status is Status.PENDING:
        life_ms = lifetimes.startup_ms if task.is_startup else lifetimes.pool_ms if task.mode is Mode.POOL else 0
        if life_ms:  # since it is pending, which may be long after its creation: it was woken, or is tried again
            end = _earlier((max(task.updated_us // 1000, task.hold_ms) + life_ms, Due.STALE), end)
    return end
