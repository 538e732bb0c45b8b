"""When a task changes by itself (tasks 9 to 11, 14)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aether.tasks.deadlines import Due, Lifetimes, deadline
from aether.tasks.model import PAUSED, Category, Mode, Status, Task, TaskClass, WaitSpec

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


HOUR = Lifetimes(interactive_ms=100, startup_ms=50, pool_ms=50, start_ms=20, begin_ms=30)
STARTUP = Category.ORCHESTRATED
LATER = NOW_MS + 1_000


def given(status: Status, **fields: object) -> Task:
    return replace(task_in(status), **fields)  # type: ignore[arg-type]


P, A, R, WI = Status.PENDING, Status.ASSIGNED, Status.RUNNING, Status.WAITING_INPUT
STARTING = {"category": STARTUP, "mode": Mode.POOL, "assigned_ms": NOW_MS, "assigned_to": "orc::o::1"}
IN_POOL = {"mode": Mode.POOL, "assigned_ms": NOW_MS}


@pytest.mark.parametrize(
    ("task", "lifetimes", "wanted"),
    [
        # nobody cares any more: interactive tasks, measured from the last sign of life
        (given(P), HOUR, (NOW_MS + 100, Due.STALE)),
        (given(P, task_class=TaskClass.INTERACTIVE), HOUR, (NOW_MS + 100, Due.STALE)),
        (given(P, task_class=TaskClass.BACKGROUND), HOUR, None),
        (given(P, task_class=TaskClass.BATCH), HOUR, None),
        (given(R, heartbeat_ms=NOW_MS - 7), HOUR, (NOW_MS + 100, Due.STALE)),
        (given(R, heartbeat_ms=NOW_MS + 7), HOUR, (NOW_MS + 107, Due.STALE)),
        (given(R, category=STARTUP, bound="ag::w::i::s"), HOUR, None),
        (given(WI), HOUR, None),
        # nobody comes: pools and starts, measured from when they began to wait
        (given(P, mode=Mode.POOL), HOUR, (NOW_MS + 50, Due.STALE)),
        (given(P, mode=Mode.POOL, task_class=TaskClass.BATCH), HOUR, (NOW_MS + 50, Due.STALE)),
        (given(P, mode=Mode.TARGETED, task_class=TaskClass.BATCH), HOUR, None),
        (given(R, mode=Mode.POOL, task_class=TaskClass.BATCH), HOUR, None),
        (given(P, mode=Mode.POOL), Lifetimes(100, 0, 200, 0, 0), (NOW_MS + 100, Due.STALE)),
        (given(P, category=STARTUP, mode=Mode.POOL), Lifetimes(1, 9, 1, 0, 0), (NOW_MS + 9, Due.STALE)),
        (given(P, category=STARTUP, mode=Mode.POOL), Lifetimes(1, 0, 5, 0, 0), None),
        (given(P, category=STARTUP, mode=Mode.POOL, hold_ms=LATER), Lifetimes(startup_ms=9), (LATER, Due.HELD)),
        (
            given(P, category=STARTUP, mode=Mode.POOL, hold_ms=NOW_MS - 9),
            Lifetimes(startup_ms=9),
            (NOW_MS - 9, Due.HELD),
        ),
        # that was woken, or is tried again, long after its creation
        (given(P, mode=Mode.POOL, task_class=TaskClass.BATCH, created_ms=5), HOUR, (NOW_MS + 50, Due.STALE)),
        (given(P, category=STARTUP, mode=Mode.POOL, created_ms=5), HOUR, (NOW_MS + 50, Due.STALE)),
        # the agent does not come
        (given(A, **STARTING), HOUR, (NOW_MS + 20, Due.START)),
        (given(A, **STARTING), FOREVER, None),
        (given(A, **STARTING, bound="ag::w::i::s"), HOUR, (NOW_MS + 30, Due.STALLED)),
        (given(R, **STARTING), HOUR, (NOW_MS + 20, Due.START)),
        (given(R, **STARTING, bound="ag::w::i::s"), HOUR, None),
        (given(P, **STARTING), Lifetimes(0, 0, 0, 20, 30), None),
        # held back
        (given(P, hold_ms=LATER), FOREVER, (LATER, Due.HELD)),
        (given(A, hold_ms=LATER), FOREVER, None),
        # its worker is gone, or does not begin
        (given(R, disconnected_ms=NOW_MS, grace_ms=9), FOREVER, (NOW_MS + 9, Due.GRACE)),
        (given(A, disconnected_ms=NOW_MS, grace_ms=9), FOREVER, (NOW_MS + 9, Due.GRACE)),
        (given(P, disconnected_ms=NOW_MS, grace_ms=9), FOREVER, None),
        (given(A, **IN_POOL), Lifetimes(0, 0, 0, 0, 30), (NOW_MS + 30, Due.STALLED)),
        (given(A, mode=Mode.TARGETED, assigned_ms=NOW_MS), Lifetimes(0, 0, 0, 0, 30), (NOW_MS + 30, Due.STALLED)),
        (given(A, mode=Mode.SELF_ASSIGN, assigned_ms=NOW_MS), Lifetimes(0, 0, 0, 0, 30), None),
        (given(R, **IN_POOL), Lifetimes(0, 0, 0, 0, 30), None),
        # of several what comes first, and of equals what is told first
        (given(A, **IN_POOL, disconnected_ms=NOW_MS, grace_ms=9), HOUR, (NOW_MS + 9, Due.GRACE)),
        (given(A, **IN_POOL, disconnected_ms=NOW_MS, grace_ms=40), HOUR, (NOW_MS + 30, Due.STALLED)),
        (
            given(A, **IN_POOL, disconnected_ms=NOW_MS, grace_ms=100),
            Lifetimes(100, 0, 0, 0, 0),
            (NOW_MS + 100, Due.GRACE),
        ),
        # waits
        (given(WI, wait=None), FOREVER, None),
        (given(WI, wait=WaitSpec(timeout_ms=1)), FOREVER, (NOW_MS + 1, Due.TIMEOUT)),
        (given(WI, wait=WaitSpec(timeout_ms=-1)), FOREVER, None),
        (given(WI, wait=WaitSpec(scheduled_wake_ms=1)), FOREVER, (1, Due.WAKE)),
        (given(WI, wait=WaitSpec(scheduled_wake_ms=-1)), FOREVER, None),
        (given(WI, wait=WaitSpec(timeout_ms=9, scheduled_wake_ms=NOW_MS + 9)), FOREVER, (NOW_MS + 9, Due.TIMEOUT)),
        # ends
        (given(Status.COMPLETED, disconnected_ms=5, hold_ms=5), HOUR, None),
        (given(Status.CANCELLED, next_retry_ms=5), HOUR, None),
        (given(Status.FAILED, next_retry_ms=1), HOUR, (1, Due.RETRY)),
        (given(Status.FAILED), HOUR, None),
    ],
)
def test_what_comes_first(task: Task, lifetimes: Lifetimes, wanted: tuple[int, Due] | None) -> None:
    assert deadline(task, lifetimes) == wanted
