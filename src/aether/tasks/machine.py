"""The task machine (tasks 5, 6, 9 to 11): which changes a task can go through.

Everything here is pure. A transition takes a task and returns the fields that change -- none where the operation is a
success without effect -- or raises :class:`IllegalTransition`, whose text names the state.
:class:`aether.tasks.book.TaskBook` makes the change before anything else can run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aether.errors import AetherError
from aether.tasks.model import (
    LIVE,
    PAUSED,
    WORKED_ON,
    Backoff,
    RetryPolicy,
    Status,
    Task,
    WaitReason,
    WaitSpec,
)

__all__ = [
    "CHECKPOINT_KEY",
    "NEXT_RETRY",
    "RESULT_SUMMARY",
    "RESUME_SESSION",
    "Change",
    "IllegalTransition",
    "assign",
    "cancel",
    "claim",
    "complete",
    "fail",
    "give_back",
    "mark_gone",
    "pause",
    "paused_status",
    "reject",
    "resume",
    "retry",
    "retry_delay_ms",
    "unmark_gone",
    "wake",
]

Change = Mapping[str, Any]
"""New values by field."""

CHECKPOINT_KEY = "_hibernation_checkpoint_key"
RESUME_SESSION = "_hibernation_resume_session_id"
RESULT_SUMMARY = "_result_summary"
NEXT_RETRY = "_next_retry_ms"
"""Keys of metadata that the gateway writes."""

SUMMARY_BYTES_MAX = 4096
REASON_BYTES_MAX = 16 * 1024
FORMER_MAX = 8
EXPONENT_MAX = 62

_CONNECTED: Change = {"disconnected_ms": 0, "disconnected_session": ""}
_NO_WORKER: Change = {"assigned_to": "", "assigned_ms": 0, "bound": "", "stalled": False, **_CONNECTED}
_NO_WAIT: Change = {"wait": None, "paused_ms": 0, "overdue": False}
_ENDED: Change = {**_NO_WAIT, "queued": False, "next_retry_ms": 0, **_CONNECTED}


class IllegalTransition(AetherError):
    """The task is in a state that does not allow this; the text is fit for clients."""


def _illegal(task: Task, to: Status) -> IllegalTransition:
    return IllegalTransition(f"invalid request: invalid task state transition: {task.status} → {to}")


# --------------------------------------------------------------------------------------------- handing out and back


def assign(task: Task, worker: str, now_ms: int) -> Change:
    """A pending task goes to a worker, which has not started yet."""
    if task.status is not Status.PENDING:
        raise _illegal(task, Status.ASSIGNED)
    return {"status": Status.ASSIGNED, "assigned_to": worker, "assigned_ms": now_ms, "queued": False}


def claim(task: Task, worker: str, now_ms: int, *, is_party: bool = False) -> Change:
    """A worker starts. Whoever the task was handed to has it alone; a task that nobody has goes to the first.

    :param is_party: it is the task's creator or subject, who may say so for its worker (tasks 6).
    """
    if task.status not in (Status.PENDING, *WORKED_ON):
        raise IllegalTransition(
            f"task {task.task_id} not in a claimable state (pending, assigned, starting, or running): {task.status}"
        )
    if task.assigned_to and worker not in (task.assigned_to, task.bound) and not is_party:
        raise IllegalTransition(f"task {task.task_id} is held by another worker: {task.status}")
    if task.status is Status.RUNNING:
        return {}
    change: dict[str, Any] = {"status": Status.RUNNING, "started_ms": task.started_ms or now_ms, "queued": False}
    if not task.assigned_to:
        change |= {"assigned_to": worker, "assigned_ms": now_ms}
    return change


def bind(task: Task, worker: str, now_ms: int) -> Change:
    """The worker of a task is connected (tasks 9.2): an open task runs, and a worker that was gone is back."""
    if task.status not in LIVE:
        return {}
    change: dict[str, Any] = {}
    if task.disconnected_ms:
        change |= _CONNECTED
    if task.bound != worker and (task.is_startup or task.assigned_to != worker):
        change |= {"bound": worker}
    if task.status in (Status.PENDING, Status.ASSIGNED):
        change |= {"status": Status.RUNNING, "started_ms": task.started_ms or now_ms, "queued": False}
        if not task.assigned_to:
            change |= {"assigned_to": worker, "assigned_ms": now_ms}
            if not task.is_startup:
                change["bound"] = ""
    return change


def give_back(task: Task) -> Change:
    """The worker is lost, or never got it: the task waits for another one."""
    if task.status not in WORKED_ON:
        raise _illegal(task, Status.PENDING)
    return {**_NO_WORKER, "status": Status.PENDING, "queued": True, "former": _former(task)}


def _former(task: Task) -> list[str]:
    names = [name for name in (task.assigned_to, task.bound) if name and name not in task.former]
    return (task.former + names)[-FORMER_MAX:]


def mark_gone(task: Task, session_id: str, now_ms: int) -> Change:
    """The connection of the worker broke; the first time counts until it is back (tasks 9.4)."""
    if task.status not in WORKED_ON or task.disconnected_ms:
        return {}
    return {"disconnected_ms": now_ms, "disconnected_session": session_id}


def unmark_gone(task: Task) -> Change:
    """The worker is connected again."""
    return _CONNECTED if task.disconnected_ms else {}


# ------------------------------------------------------------------------------------------------------------- ends


def complete(task: Task, now_ms: int, summary: str = "") -> Change:
    """Done; again is a success without effect."""
    if task.status is Status.COMPLETED:
        return {}
    if task.status not in LIVE:
        raise _illegal(task, Status.COMPLETED)
    change = {**_ENDED, "status": Status.COMPLETED, "completed_ms": now_ms}
    if summary:
        change["metadata"] = {**task.metadata, RESULT_SUMMARY: _cut(summary, SUMMARY_BYTES_MAX)}
    return change


def fail(task: Task, now_ms: int, reason: str, uniform: Callable[[float, float], float]) -> Change:
    """An attempt failed. By its retry policy the task will be pending again, or this is its end (tasks 10).

    :param uniform: a random number between two bounds, for jitter.
    """
    if task.status is Status.FAILED:
        return {}
    if task.status not in LIVE:
        raise _illegal(task, Status.FAILED)
    attempts = task.attempts + 1
    change = {
        **_ENDED,
        "status": Status.FAILED,
        "failed_ms": now_ms,
        "attempts": attempts,
        "error": _cut(reason, REASON_BYTES_MAX) or "task failed",
        "error_type": "FAILED",
    }
    if task.retry_policy is not None and attempts < task.max_attempts:
        # 0 would be "never": a retry without delay is due at once, which is a millisecond ago.
        change["next_retry_ms"] = max(1, now_ms + retry_delay_ms(task.retry_policy, attempts, uniform))
        change["metadata"] = {**task.metadata, NEXT_RETRY: str(change["next_retry_ms"])}
    return change


def cancel(task: Task, now_ms: int, reason: str = "") -> Change:
    """Nobody wants it any more; also while it waits to be tried again."""
    if task.is_final:
        raise IllegalTransition(f"task {task.task_id} not found or already completed/failed/cancelled: {task.status}")
    return {
        **_ENDED,
        "status": Status.CANCELLED,
        "completed_ms": now_ms,
        "error": _cut(reason, REASON_BYTES_MAX) or "Task cancelled",
        "error_type": "CANCELLED",
        "metadata": _without_retry(task),
    }


def reject(task: Task, reason: str) -> Change:
    """A worker declines what it has not begun."""
    if task.status not in (Status.PENDING, Status.ASSIGNED, Status.WAITING_INPUT, Status.WAITING_AUTHORITY):
        raise _illegal(task, Status.REJECTED)
    error = _cut(reason, REASON_BYTES_MAX) or "rejected"
    return {**_ENDED, "status": Status.REJECTED, "error": error, "error_type": "REJECTED"}


def retry(task: Task) -> Change:
    """Once more from the beginning; attempts are still counted."""
    if task.status not in (Status.FAILED, Status.CANCELLED):
        raise IllegalTransition(f"task {task.task_id} not found or not in retryable state: {task.status}")
    return {
        **_NO_WORKER,
        "status": Status.PENDING,
        "queued": True,
        "former": _former(task),
        "started_ms": 0,
        "completed_ms": 0,
        "failed_ms": 0,
        "next_retry_ms": 0,
        "error": "",
        "error_type": "",
        "metadata": _without_retry(task),
    }


def _without_retry(task: Task) -> dict[str, str]:
    return {name: value for name, value in task.metadata.items() if name != NEXT_RETRY}


def retry_delay_ms(policy: RetryPolicy, attempt: int, uniform: Callable[[float, float], float]) -> int:
    """Wait before the next attempt, after ``attempt`` failed ones (tasks 10)."""
    match policy.backoff:
        case Backoff.FIXED:
            delay = policy.initial_delay_ms
        case Backoff.EXPLICIT_SCHEDULE:
            schedule = policy.schedule_ms
            delay = schedule[min(attempt, len(schedule)) - 1] if schedule else policy.initial_delay_ms
        case _:
            base = policy.initial_delay_ms if policy.initial_delay_ms > 0 else 1000
            delay = base << min(attempt - 1, EXPONENT_MAX)
            if policy.max_delay_ms > 0:
                delay = min(delay, policy.max_delay_ms)
    delay = max(0, delay)
    jitter = min(1.0, max(0.0, policy.jitter_factor))
    if jitter:
        delay = max(0, int(delay * (1 + uniform(-jitter, jitter))))
    return min(delay, DELAY_MS_MAX)


DELAY_MS_MAX = 10 * 365 * 86_400_000
"""Ten years: later than that is a mistake in a policy, and must still be a time."""


# ---------------------------------------------------------------------------------------------------------- pausing

_WAITS: Mapping[int, Status] = {
    WaitReason.UNSPECIFIED: Status.WAITING_INPUT,
    WaitReason.INPUT: Status.WAITING_INPUT,
    WaitReason.AUTHORITY: Status.WAITING_AUTHORITY,
    WaitReason.DEPENDENCY: Status.WAITING_DEPENDENCY,
    WaitReason.HIBERNATION: Status.HIBERNATED,
}


def paused_status(wait: WaitSpec) -> Status:
    """The status that a wait is (tasks 11.1); an unknown reason is taken for input."""
    return _WAITS.get(wait.reason, Status.WAITING_INPUT)


def pause(task: Task, wait: WaitSpec, now_ms: int) -> Change:
    """Wait for something; a task that waits already waits for the new thing from now on."""
    to = paused_status(wait)
    may_begin = task.status is Status.PENDING and to is Status.WAITING_DEPENDENCY
    may_repeat = task.status is to and to is not Status.HIBERNATED
    if task.status is not Status.RUNNING and not may_begin and not may_repeat:
        raise _illegal(task, to)
    return {
        "status": to,
        "wait": wait,
        "paused_ms": now_ms,
        "overdue": False,
        **_CONNECTED,
    }


def resume(task: Task) -> Change:
    """Go on where it stopped; a task that never had a worker waits for one."""
    if task.status is Status.RUNNING:
        return {}
    if task.status not in PAUSED:
        raise _illegal(task, Status.RUNNING)
    if not task.assigned_to:
        return {**_NO_WAIT, "status": Status.PENDING}
    return {**_NO_WAIT, "status": Status.RUNNING}


def wake(task: Task) -> Change:
    """A hibernated task needs a worker again, which begins from the checkpoint (tasks 11.4)."""
    if task.status is not Status.HIBERNATED:
        raise _illegal(task, Status.PENDING)
    metadata = dict(task.metadata)
    if task.wait is not None and task.wait.hibernation is not None:
        metadata[CHECKPOINT_KEY] = task.wait.hibernation.checkpoint_key
        metadata.pop(RESUME_SESSION, None)
        if task.wait.hibernation.resume_session_id:
            metadata[RESUME_SESSION] = task.wait.hibernation.resume_session_id
    return {**_NO_WORKER, **_NO_WAIT, "status": Status.PENDING, "queued": True, "metadata": metadata}


def _cut(text: str, limit: int) -> str:
    """At most this many bytes of UTF-8."""
    return text if len(text) <= limit // 4 else text.encode()[:limit].decode(errors="ignore")
