"""The task machine: what each operation does in each state (tasks 5, 6, 10)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from aether.tasks import machine
from aether.tasks.machine import Change, IllegalTransition, retry_delay_ms
from aether.tasks.model import PAUSED, Category, Hibernation, RetryPolicy, Status, Task, WaitSpec

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


def test_the_next_worker_has_its_own_time_to_begin() -> None:
    assert machine.retry(task_in(FAILED))["stalled"] is False


# --------------------------------------------------------------------------------------------------- whole changes

CONNECTED = {"disconnected_ms": 0, "disconnected_session": ""}
NO_WAIT = {"wait": None, "paused_ms": 0, "overdue": False}
NO_WORKER = {"assigned_to": "", "assigned_ms": 0, "bound": "", "stalled": False, **CONNECTED}
ENDED = {**NO_WAIT, **CONNECTED, "queued": False, "next_retry_ms": 0}
NOTES = {"k": "v", machine.NEXT_RETRY: "5"}
ME, OTHER, ORCHESTRATOR = WORKER, "ag::w::i::2", "orc::o::1"
ONCE_MORE = RetryPolicy(2, 1, 1000)
HIBERNATED = WaitSpec(4, hibernation=Hibernation("K", "S"))
STARTUP = Category.ORCHESTRATED


def no_jitter(low: float, high: float) -> float:
    return (low + high) / 2


def given_task(status: Status, **fields: object) -> Task:
    return replace(task_in(status), **fields)  # type: ignore[arg-type]


WHOLE: list[tuple[Task, Callable[[Task], Change], dict[str, object]]] = [
    (
        given_task(P, queued=True),
        lambda task: machine.assign(task, ME, NOW_MS),
        {"status": A, "assigned_to": ME, "assigned_ms": NOW_MS, "queued": False},
    ),
    (
        given_task(P, queued=True),
        lambda task: machine.claim(task, ME, NOW_MS),
        {"status": R, "started_ms": NOW_MS, "queued": False, "assigned_to": ME, "assigned_ms": NOW_MS},
    ),
    (
        given_task(A, started_ms=7),
        lambda task: machine.claim(task, ME, NOW_MS),
        {"status": R, "started_ms": 7, "queued": False},
    ),
    (
        given_task(A, assigned_to=ORCHESTRATOR, bound=ME),
        lambda task: machine.claim(task, ME, NOW_MS),
        {"status": R, "started_ms": NOW_MS, "queued": False},
    ),
    (
        given_task(A, assigned_to=OTHER),
        lambda task: machine.claim(task, ME, NOW_MS, is_party=True),
        {"status": R, "started_ms": NOW_MS, "queued": False},
    ),
    (given_task(R, assigned_to=OTHER), lambda task: machine.claim(task, ME, NOW_MS, is_party=True), {}),
    (
        given_task(P, category=STARTUP),
        lambda task: machine.bind(task, ME, NOW_MS),
        {
            "bound": ME,
            "status": R,
            "started_ms": NOW_MS,
            "queued": False,
            "assigned_to": ME,
            "assigned_ms": NOW_MS,
        },
    ),
    (
        given_task(A, category=STARTUP, assigned_to=ORCHESTRATOR, started_ms=7),
        lambda task: machine.bind(task, ME, NOW_MS),
        {"bound": ME, "status": R, "started_ms": 7, "queued": False},
    ),
    (
        given_task(P),
        lambda task: machine.bind(task, ME, NOW_MS),
        {"status": R, "started_ms": NOW_MS, "queued": False, "assigned_to": ME, "assigned_ms": NOW_MS, "bound": ""},
    ),
    (
        given_task(A, disconnected_ms=5),
        lambda task: machine.bind(task, ME, NOW_MS),
        {**CONNECTED, "status": R, "started_ms": NOW_MS, "queued": False},
    ),
    (
        given_task(R, assigned_to=OTHER, disconnected_ms=5, disconnected_session="s"),
        lambda task: machine.bind(task, ME, NOW_MS),
        {**CONNECTED, "bound": ME},
    ),
    (given_task(R, category=STARTUP, bound=ME), lambda task: machine.bind(task, ME, NOW_MS), {}),
    (given_task(R), lambda task: machine.bind(task, ME, NOW_MS), {}),
    (given_task(WI, assigned_to=OTHER, bound=OTHER), lambda task: machine.bind(task, ME, NOW_MS), {"bound": ME}),
    (given_task(DONE, disconnected_ms=5), lambda task: machine.bind(task, OTHER, NOW_MS), {}),
    (
        given_task(R, assigned_to=ORCHESTRATOR, bound=ME, former=[OTHER]),
        machine.give_back,
        {**NO_WORKER, "status": P, "queued": True, "former": [OTHER, ORCHESTRATOR, ME]},
    ),
    (
        given_task(A, former=[f"{number}" for number in range(8)]),
        machine.give_back,
        {**NO_WORKER, "status": P, "queued": True, "former": ["1", "2", "3", "4", "5", "6", "7", ME]},
    ),
    (
        given_task(A, former=[ME]),
        machine.give_back,
        {**NO_WORKER, "status": P, "queued": True, "former": [ME]},
    ),
    (
        given_task(R),
        lambda task: machine.mark_gone(task, "s", NOW_MS),
        {"disconnected_ms": NOW_MS, "disconnected_session": "s"},
    ),
    (given_task(A, disconnected_ms=5), lambda task: machine.mark_gone(task, "s", NOW_MS), {}),
    (given_task(WI), lambda task: machine.mark_gone(task, "s", NOW_MS), {}),
    (given_task(R, disconnected_ms=5), machine.unmark_gone, CONNECTED),
    (given_task(R), machine.unmark_gone, {}),
    (
        given_task(R, metadata=NOTES),
        lambda task: machine.complete(task, NOW_MS),
        {**ENDED, "status": DONE, "completed_ms": NOW_MS},
    ),
    (
        given_task(R, metadata={"k": "v"}),
        lambda task: machine.complete(task, NOW_MS, "done"),
        {
            **ENDED,
            "status": DONE,
            "completed_ms": NOW_MS,
            "metadata": {"k": "v", machine.RESULT_SUMMARY: "done"},
        },
    ),
    (
        given_task(R, attempts=1),
        lambda task: machine.fail(task, NOW_MS, "", no_jitter),
        {
            **ENDED,
            "status": FAILED,
            "failed_ms": NOW_MS,
            "attempts": 2,
            "error": "task failed",
            "error_type": "FAILED",
        },
    ),
    (
        given_task(R, retry_policy=ONCE_MORE, max_attempts=2, metadata={"k": "v"}),
        lambda task: machine.fail(task, NOW_MS, "no", no_jitter),
        {
            **ENDED,
            "status": FAILED,
            "failed_ms": NOW_MS,
            "attempts": 1,
            "error": "no",
            "error_type": "FAILED",
            "next_retry_ms": NOW_MS + 1000,
            "metadata": {"k": "v", machine.NEXT_RETRY: str(NOW_MS + 1000)},
        },
    ),
    (
        given_task(R, retry_policy=ONCE_MORE, max_attempts=2, attempts=1),
        lambda task: machine.fail(task, NOW_MS, "no", no_jitter),
        {**ENDED, "status": FAILED, "failed_ms": NOW_MS, "attempts": 2, "error": "no", "error_type": "FAILED"},
    ),
    (
        given_task(FAILED, next_retry_ms=5, metadata=NOTES),
        lambda task: machine.cancel(task, NOW_MS),
        {
            **ENDED,
            "status": CANCELLED,
            "completed_ms": NOW_MS,
            "error": "Task cancelled",
            "error_type": "CANCELLED",
            "metadata": {"k": "v"},
        },
    ),
    (
        given_task(P),
        lambda task: machine.reject(task, ""),
        {**ENDED, "status": REJECTED, "error": "rejected", "error_type": "REJECTED"},
    ),
    (
        given_task(FAILED, metadata=NOTES, bound=OTHER),
        machine.retry,
        {
            **NO_WORKER,
            "status": P,
            "queued": True,
            "former": [ME, OTHER],
            "started_ms": 0,
            "completed_ms": 0,
            "failed_ms": 0,
            "next_retry_ms": 0,
            "error": "",
            "error_type": "",
            "metadata": {"k": "v"},
        },
    ),
    (
        given_task(R, overdue=True, disconnected_ms=5),
        lambda task: machine.pause(task, HIBERNATED, NOW_MS),
        {**CONNECTED, "status": H, "wait": HIBERNATED, "paused_ms": NOW_MS, "overdue": False},
    ),
    (given_task(WI), machine.resume, {**NO_WAIT, "status": R}),
    (given_task(WD, assigned_to=""), machine.resume, {**NO_WAIT, "status": P}),
    (
        given_task(H, wait=HIBERNATED, metadata={"k": "v"}),
        machine.wake,
        {
            **NO_WORKER,
            **NO_WAIT,
            "status": P,
            "queued": True,
            "metadata": {"k": "v", machine.CHECKPOINT_KEY: "K", machine.RESUME_SESSION: "S"},
        },
    ),
    (
        given_task(
            H,
            wait=WaitSpec(4, hibernation=Hibernation("K")),
            metadata={machine.CHECKPOINT_KEY: "old", machine.RESUME_SESSION: "old"},
        ),
        machine.wake,
        {**NO_WORKER, **NO_WAIT, "status": P, "queued": True, "metadata": {machine.CHECKPOINT_KEY: "K"}},
    ),
    (
        given_task(H, wait=WaitSpec(4), metadata={"k": "v"}),
        machine.wake,
        {**NO_WORKER, **NO_WAIT, "status": P, "queued": True, "metadata": {"k": "v"}},
    ),
    (
        given_task(H, wait=None, metadata={"k": "v"}),
        machine.wake,
        {**NO_WORKER, **NO_WAIT, "status": P, "queued": True, "metadata": {"k": "v"}},
    ),
]


@pytest.mark.parametrize("case", range(len(WHOLE)))
def test_every_field_that_changes(case: int) -> None:
    task, operation, wanted = WHOLE[case]
    change = operation(task)
    assert dict(change) == wanted


@pytest.mark.parametrize("status", [A, R])
def test_nobody_takes_what_another_has(status: Status) -> None:
    with pytest.raises(IllegalTransition, match="held by another worker"):
        machine.claim(given_task(status, assigned_to=OTHER), ME, NOW_MS)
    with pytest.raises(IllegalTransition, match="held by another worker"):
        machine.claim(given_task(status, assigned_to=ORCHESTRATOR, bound=OTHER), ME, NOW_MS)


@pytest.mark.parametrize("letter", ["x", "ß", "…"])
def test_texts_are_cut_to_bytes(letter: str) -> None:
    size = len(letter.encode())
    for length in (4096 // size, 4096 // size + 1, 1024, 1025):
        metadata = machine.complete(task_in(R), NOW_MS, letter * length)["metadata"]
        assert metadata[machine.RESULT_SUMMARY] == letter * min(length, 4096 // size)
    for text in (
        machine.fail(task_in(R), NOW_MS, letter * 20_000, no_jitter)["error"],
        machine.cancel(task_in(R), NOW_MS, letter * 20_000)["error"],
        machine.reject(task_in(A), letter * 20_000)["error"],
    ):
        assert text == letter * (16 * 1024 // size)


@pytest.mark.parametrize(
    ("policy", "attempt", "delay_ms"),
    [
        (RetryPolicy(backoff=1, initial_delay_ms=-5), 1, 0),
        (RetryPolicy(backoff=2), 1, 1000),
        (RetryPolicy(initial_delay_ms=1), 2, 2),
        (RetryPolicy(initial_delay_ms=0), 3, 4000),
        (RetryPolicy(initial_delay_ms=1, max_delay_ms=1), 9, 1),
        (RetryPolicy(initial_delay_ms=1), 200, machine.DELAY_MS_MAX),
        (RetryPolicy(backoff=3, initial_delay_ms=7), 1, 7),
        (RetryPolicy(backoff=3, initial_delay_ms=7, schedule_ms=[1, 2]), 1, 1),
        (RetryPolicy(backoff=3, initial_delay_ms=7, schedule_ms=[1, 2]), 2, 2),
        (RetryPolicy(backoff=3, initial_delay_ms=7, schedule_ms=[1, 2]), 3, 2),
        (RetryPolicy(backoff=1, initial_delay_ms=9, max_delay_ms=1), 1, 9),
    ],
)
def test_delays(policy: RetryPolicy, attempt: int, delay_ms: int) -> None:
    assert retry_delay_ms(policy, attempt, no_jitter) == delay_ms


@pytest.mark.parametrize(("jitter", "drawn"), [(0.5, 0.5), (1.0, 1.0), (7.0, 1.0)])
def test_58_jitter_is_drawn_from_both_sides(jitter: float, drawn: float) -> None:
    asked: list[tuple[float, float]] = []

    def lowest(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    policy = RetryPolicy(backoff=1, initial_delay_ms=1000, jitter_factor=jitter)
    assert retry_delay_ms(policy, 1, lowest) == 1000 * (1 - drawn)
    assert asked == [(-drawn, drawn)]


@pytest.mark.parametrize("jitter", [0.0, -1.0, float("nan")])
def test_58_no_jitter_draws_nothing(jitter: float) -> None:
    def draw(low: float, high: float) -> float:
        raise AssertionError

    assert retry_delay_ms(RetryPolicy(backoff=1, initial_delay_ms=9, jitter_factor=jitter), 1, draw) == 9


def test_a_retry_without_delay_at_the_beginning_of_time_is_due() -> None:
    task = given_task(R, retry_policy=RetryPolicy(2, 1), max_attempts=2)
    assert machine.fail(task, 0, "", no_jitter)["next_retry_ms"] == 1


def test_unknown_reasons_to_wait_are_input() -> None:
    assert [machine.paused_status(WaitSpec(reason)) for reason in range(6)] == [WI, WI, WA, WD, H, WI]
