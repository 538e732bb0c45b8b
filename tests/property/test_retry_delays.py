"""How long a failed task waits for its next attempt, under any policy and any chance (tasks 10, items 55 to 58)."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from aether.tasks import machine
from aether.tasks.machine import DELAY_MS_MAX, retry_delay_ms
from aether.tasks.model import Backoff, RetryPolicy, Status, Task

NOW_MS = 1_700_000_000_000
BASE_MS_DEFAULT = 1000

INT64 = st.integers(-(2**63), 2**63 - 1)
"""What a client may send."""
hostile_policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(-(2**31), 2**31 - 1),
    backoff=st.integers(-1, 4),
    initial_delay_ms=INT64,
    max_delay_ms=INT64,
    jitter_factor=st.floats(),
    schedule_ms=st.lists(INT64, max_size=3),
)
delays = st.integers(0, 10**7)
policies = st.builds(
    RetryPolicy,
    backoff=st.sampled_from(Backoff),
    initial_delay_ms=delays,
    max_delay_ms=delays,
    schedule_ms=st.lists(delays, max_size=5),
)
"""Of people: without jitter, and nothing of it longer than hours."""
attempts = st.integers(1, 100)
jitters = st.floats(0.01, 1)
choosers = st.randoms(use_true_random=False)


def no_chance(low: float, high: float) -> float:
    raise AssertionError("without jitter nothing is left to chance")


def exact_ms(policy: RetryPolicy, attempt: int) -> int:
    return retry_delay_ms(policy, attempt, no_chance)


def is_exponential(policy: RetryPolicy) -> bool:
    return policy.backoff in (Backoff.UNSPECIFIED, Backoff.EXPONENTIAL)


# ---------------------------------------------------------------------------------------------------------- bounds


@given(hostile_policies, st.integers(1, 10_000), choosers)
def test_a_delay_is_a_time_to_come_and_not_beyond_all_times(
    policy: RetryPolicy, attempt: int, chooser: random.Random
) -> None:
    delay_ms = retry_delay_ms(policy, attempt, chooser.uniform)
    assert isinstance(delay_ms, int)
    assert 0 <= delay_ms <= DELAY_MS_MAX


@given(policies, attempts)
def test_no_exponential_delay_is_longer_than_its_cap(policy: RetryPolicy, attempt: int) -> None:
    assume(is_exponential(policy) and policy.max_delay_ms)
    assert exact_ms(policy, attempt) <= policy.max_delay_ms


@given(policies, attempts, delays)
def test_only_exponential_delays_have_a_cap(policy: RetryPolicy, attempt: int, cap_ms: int) -> None:
    assume(not is_exponential(policy))
    assert exact_ms(replace(policy, max_delay_ms=cap_ms), attempt) == exact_ms(policy, attempt)


# -------------------------------------------------------------------------------------------------- without jitter


@given(policies, attempts)
def test_exponential_delays_double_until_they_are_at_their_cap(policy: RetryPolicy, attempt: int) -> None:
    assume(is_exponential(policy))
    base_ms = policy.initial_delay_ms or BASE_MS_DEFAULT
    cap_ms = min(policy.max_delay_ms or DELAY_MS_MAX, DELAY_MS_MAX)
    assert exact_ms(policy, 1) == min(base_ms, cap_ms)
    assert exact_ms(policy, attempt + 1) == min(2 * exact_ms(policy, attempt), cap_ms)


@given(policies, attempts)
def test_no_delay_is_shorter_than_the_one_before(policy: RetryPolicy, attempt: int) -> None:
    """A schedule is as its author wrote it."""
    assume(policy.backoff is not Backoff.EXPLICIT_SCHEDULE)
    assert exact_ms(policy, attempt) <= exact_ms(policy, attempt + 1)


@given(policies, attempts)
def test_fixed_delays_and_empty_schedules_stay_as_they_are(policy: RetryPolicy, attempt: int) -> None:
    for fixed in (replace(policy, backoff=Backoff.FIXED), replace(policy, backoff=3, schedule_ms=[])):
        assert exact_ms(fixed, attempt) == policy.initial_delay_ms


@given(policies, st.lists(delays, min_size=1, max_size=5), st.integers(1, 20))
def test_a_schedule_is_followed_and_its_last_delay_kept(
    policy: RetryPolicy, schedule_ms: list[int], beyond: int
) -> None:
    scheduled = replace(policy, backoff=Backoff.EXPLICIT_SCHEDULE, schedule_ms=schedule_ms)
    count = len(schedule_ms)
    assert [exact_ms(scheduled, attempt) for attempt in range(1, count + 1)] == schedule_ms
    assert exact_ms(scheduled, count + beyond) == schedule_ms[-1]


# ----------------------------------------------------------------------------------------------------- with jitter


@given(policies, attempts, jitters, choosers)
def test_58_jitter_takes_or_adds_no_more_than_its_part(
    policy: RetryPolicy, attempt: int, jitter: float, chooser: random.Random
) -> None:
    exact = exact_ms(policy, attempt)
    delay_ms = retry_delay_ms(replace(policy, jitter_factor=jitter), attempt, chooser.uniform)
    assert int(exact * (1 - jitter)) <= delay_ms <= min(DELAY_MS_MAX, exact * (1 + jitter))


@given(policies, attempts, jitters)
def test_58_jitter_is_around_the_delay_that_there_is_without(policy: RetryPolicy, attempt: int, jitter: float) -> None:
    """Also around the cap, which it may exceed: those who fail together are not to come back together there."""
    exact = exact_ms(policy, attempt)
    assume(exact <= DELAY_MS_MAX // 2)
    jittered = replace(policy, jitter_factor=jitter)
    assert retry_delay_ms(jittered, attempt, lambda low, high: (low + high) / 2) == exact
    assert retry_delay_ms(jittered, attempt, lambda low, _: low) == int(exact * (1 - jitter))
    assert retry_delay_ms(jittered, attempt, lambda _, high: high) == int(exact * (1 + jitter))


@given(st.integers(0, 2**32), st.sampled_from([0.1, 0.5, 1.0]), st.sampled_from(Backoff))
def test_58_those_who_fail_together_come_back_spread(seed: int, jitter: float, backoff: Backoff) -> None:
    """Of two thousand each tenth of the span gets its share, within six standard deviations."""
    policy = RetryPolicy(2, backoff, 10_000, 10_000, jitter, schedule_ms=[10_000])
    chooser, count, parts = random.Random(seed), 2000, 10
    low_ms, span_ms = 10_000 * (1 - jitter), 20_000 * jitter
    shares: Counter[int] = Counter()
    for _ in range(count):
        task = Task("t", "w", status=Status.RUNNING, retry_policy=policy, max_attempts=2)
        back_ms = machine.fail(task, NOW_MS, "", chooser.uniform)["next_retry_ms"]
        shares[min(parts - 1, int((back_ms - NOW_MS - low_ms) / span_ms * parts))] += 1
    assert set(shares) == set(range(parts))
    fair, deviation = count / parts, (count / parts * (1 - 1 / parts)) ** 0.5
    assert all(abs(share - fair) <= 6 * deviation for share in shares.values()), shares


# ------------------------------------------------------------------------------------------------- over all attempts


@given(hostile_policies, st.integers(1, 30), choosers)
def test_a_task_is_tried_as_often_as_it_may_be_and_then_ends(
    policy: RetryPolicy, most: int, chooser: random.Random
) -> None:
    task = Task("t", "w", retry_policy=policy, max_attempts=most)
    now_ms, tried = NOW_MS, 0
    while not task.is_final:
        tried += 1
        for change in (machine.claim(task, "ag::w::i::1", now_ms), machine.fail(task, now_ms, "", chooser.uniform)):
            for name, value in change.items():
                setattr(task, name, value)
        if not task.is_final:
            assert now_ms <= task.next_retry_ms <= now_ms + DELAY_MS_MAX
            now_ms = task.next_retry_ms
            for name, value in machine.retry(task).items():
                setattr(task, name, value)
    assert (tried, task.attempts, task.status) == (most, most, Status.FAILED)
