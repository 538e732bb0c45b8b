"""The task machine: what each operation does in each state (tasks 5, 6, 10)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether.tasks import machine
from aether.tasks.machine import Change, IllegalTransition, retry_delay_ms
from aether.tasks.model import PAUSED, Hibernation, RetryPolicy, Status, Task, WaitSpec

NOW_MS = 1_700_000_000_000
WORKER = "ag::w::i::1"
NO_CHANGE = "no change"

P, A, R = Status.PENDING, Status.ASSIGNED, Status.RUNNING
WI, WA, WD, H = Status.WAITING_INPUT, Status.WAITING_AUTHORITY, Status.WAITING_DEPENDENCY, Status.HIBERNATED
DONE, FAILED, CANCELLED, REJECTED = Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.REJECTED
LIVE = (P, A, R, WI, WA, WD, H)

TABLE: dict[str, dict[Status, object]] = {
    "assign": {P: A},
    "claim": {P: R, A: R, R: NO_CHANGE},
    "complete": {**dict.fromkeys(LIVE, DONE), DONE: NO_CHANGE},
    "fail": {**dict.fromkeys(LIVE, FAILED), FAILED: NO_CHANGE},
    "cancel": dict.fromkeys(LIVE, CANCELLED),
    "reject": dict.fromkeys((P, A, WI, WA), REJECTED),
    "retry": {FAILED: P, CANCELLED: P},
    "resume": {**dict.fromkeys(PAUSED, R), R: NO_CHANGE},
    "wait for input": {R: WI, WI: WI},
    "wait for authority": {R: WA, WA: WA},
    "wait for others": {R: WD, WD: WD, P: WD},
    "hibernate": {R: H},
    "wake": {H: P},
    "give back": {A: P, R: P},
}
"""Operation, status before, status after; what is not here is refused (tasks 5.2)."""

OPERATIONS: dict[str, Callable[[Task], Change]] = {
    "assign": lambda task: machine.assign(task, WORKER, NOW_MS),
    "claim": lambda task: machine.claim(task, WORKER, NOW_MS),
    "complete": lambda task: machine.complete(task, NOW_MS),
    "fail": lambda task: machine.fail(task, NOW_MS, "", random.uniform),
    "cancel": lambda task: machine.cancel(task, NOW_MS),
    "reject": lambda task: machine.reject(task, ""),
    "retry": machine.retry,
    "resume": machine.resume,
    "wait for input": lambda task: machine.pause(task, WaitSpec(1), NOW_MS),
    "wait for authority": lambda task: machine.pause(task, WaitSpec(2), NOW_MS),
    "wait for others": lambda task: machine.pause(task, WaitSpec(3), NOW_MS),
    "hibernate": lambda task: machine.pause(task, WaitSpec(4, hibernation=Hibernation("K")), NOW_MS),
    "wake": machine.wake,
    "give back": machine.give_back,
}


def task_in(status: Status) -> Task:
    task = Task("t", "w", "ag::w::i::boss", status=status, created_ms=NOW_MS, updated_us=NOW_MS * 1000)
    if status is not P:
        task.assigned_to = WORKER
    if status in PAUSED:
        task.wait, task.paused_ms = WaitSpec(hibernation=Hibernation("K", "s")), NOW_MS
    return task


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_in_every_state(operation: str, status: Status) -> None:
    wanted = TABLE[operation].get(status)
    task = task_in(status)
    if wanted is None:
        with pytest.raises(IllegalTransition, match=str(status)):
            OPERATIONS[operation](task)
    else:
        change = OPERATIONS[operation](task)
        assert (change.get("status", NO_CHANGE) if change else NO_CHANGE) == wanted


def test_what_never_had_a_worker_waits_for_one_when_it_is_resumed() -> None:
    task = task_in(WD)
    task.assigned_to = ""
    assert machine.resume(task)["status"] is P


def test_a_task_that_will_be_tried_again_can_be_cancelled() -> None:
    task = task_in(FAILED)
    task.next_retry_ms = NOW_MS + 1
    assert machine.cancel(task, NOW_MS)["status"] is CANCELLED


# ---------------------------------------------------------------------------------------------------------- delays

policies = st.builds(
    RetryPolicy,
    backoff=st.integers(-1, 4),
    initial_delay_ms=st.integers(-10, 2**62),
    max_delay_ms=st.integers(-10, 2**40),
    jitter_factor=st.floats(-1, 2),
    schedule_ms=st.lists(st.integers(-5, 2**62), max_size=3),
)


@given(policies, st.integers(1, 10_000), st.randoms(use_true_random=False))
def test_a_delay_is_a_time_to_come(policy: RetryPolicy, attempt: int, chooser: random.Random) -> None:
    assert 0 <= retry_delay_ms(policy, attempt, chooser.uniform) <= machine.DELAY_MS_MAX


@given(st.integers(1, 10**6), st.floats(0, 1), st.randoms(use_true_random=False))
def test_58_jitter_stays_within_its_part(initial_ms: int, jitter: float, chooser: random.Random) -> None:
    delay = retry_delay_ms(
        RetryPolicy(backoff=1, initial_delay_ms=initial_ms, jitter_factor=jitter), 1, chooser.uniform
    )
    assert initial_ms * (1 - jitter) - 1 <= delay <= initial_ms * (1 + jitter) + 1


@given(st.integers(1, 40), st.integers(1, 10_000), st.integers(1, 10**7))
def test_exponential_delays_double_up_to_their_bound(attempt: int, initial_ms: int, most_ms: int) -> None:
    policy = RetryPolicy(backoff=2, initial_delay_ms=initial_ms, max_delay_ms=most_ms)
    assert retry_delay_ms(policy, attempt, random.uniform) == min(initial_ms * 2 ** (attempt - 1), most_ms)


def test_the_next_worker_has_its_own_time_to_begin() -> None:
    assert machine.retry(task_in(FAILED))["stalled"] is False
