"""When a task changes by itself (tasks 9 to 11, 14)."""

from __future__ import annotations

from aether.tasks.deadlines import Due, Lifetimes, deadline
from aether.tasks.model import PAUSED, Mode, Status, Task, WaitSpec

NOW_MS = 1_700_000_000_000
FOREVER = Lifetimes(interactive_ms=0, startup_ms=0, pool_ms=0, start_ms=0, begin_ms=0)


def task_in(status: Status) -> Task:
    task = Task("t", "w", "ag::w::i::boss", status=status, created_ms=NOW_MS, updated_us=NOW_MS * 1000)
    if status in PAUSED:
        task.wait, task.paused_ms = WaitSpec(), NOW_MS
    return task


def test_what_has_no_deadline() -> None:
    for status in Status:
        assert deadline(task_in(status), FOREVER) is None


def test_deadlines() -> None:
    gone = task_in(Status.RUNNING)
    gone.disconnected_ms = NOW_MS
    assert deadline(gone, FOREVER) == (NOW_MS + 30_000, Due.GRACE)
    failed = task_in(Status.FAILED)
    failed.next_retry_ms = NOW_MS + 5
    assert deadline(failed, FOREVER) == (NOW_MS + 5, Due.RETRY)
    waiting = task_in(Status.WAITING_INPUT)
    waiting.wait = WaitSpec(timeout_ms=10, scheduled_wake_ms=NOW_MS + 7)
    assert deadline(waiting, FOREVER) == (NOW_MS + 7, Due.WAKE)
    waiting.wait = WaitSpec(timeout_ms=7, scheduled_wake_ms=NOW_MS + 10)
    assert deadline(waiting, FOREVER) == (NOW_MS + 7, Due.TIMEOUT)
    waiting.overdue = True
    assert deadline(waiting, FOREVER) == (NOW_MS + 10, Due.WAKE)
    pool = task_in(Status.PENDING)
    pool.mode = Mode.POOL
    assert deadline(pool, Lifetimes(interactive_ms=50, pool_ms=20)) == (NOW_MS + 20, Due.STALE)
    assigned = task_in(Status.ASSIGNED)
    assigned.mode, assigned.assigned_ms = Mode.POOL, NOW_MS
    assert deadline(assigned, FOREVER) is None
    assert deadline(assigned, Lifetimes(0, 0, 0, 0, 30)) == (NOW_MS + 30, Due.STALLED)
    assigned.heartbeat_ms = NOW_MS + 5
    assert deadline(assigned, Lifetimes(0, 0, 0, 0, 30)) == (NOW_MS + 35, Due.STALLED)
    assigned.stalled = True
    assert deadline(assigned, Lifetimes(0, 0, 0, 0, 30)) is None
    working = task_in(Status.RUNNING)
    working.heartbeat_ms = NOW_MS + 100
    assert deadline(working, Lifetimes(interactive_ms=50)) == (NOW_MS + 150, Due.STALE)
