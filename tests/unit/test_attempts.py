"""What is remembered of starts that came to nothing (tasks 13)."""

from __future__ import annotations

import pytest

from aether.orchestration.attempts import DECLINED_MAX, ERROR_CHARS_MAX, Attempts, Failures
from aether.storage.memory.records import MemoryRecords

AGENT = "ag::w::lazy::1"


@pytest.fixture
def attempts() -> Attempts:
    return Attempts(MemoryRecords())


def test_who_asks_while_nobody_may_start_it_is_no_failure(attempts: Attempts) -> None:
    attempts.asked_for(AGENT, 1_000)
    attempts.asked_for(AGENT, 2_000)
    assert attempts.get(AGENT) == Failures(1_000, 0), "the first of the messages that wait"
    attempts.ended(AGENT, 1_000, failed_ms=9_000, error="no")
    assert attempts.get(AGENT) == Failures(1_000, 1, 9_000, "no")


def test_a_start_that_nobody_wanted_any_more_changes_nothing_but_since_when_messages_wait(attempts: Attempts) -> None:
    attempts.ended(AGENT, 1_000)
    assert attempts.get(AGENT) == Failures(1_000, 0)
    for failed_ms in (5_000, 6_000):
        attempts.ended(AGENT, 1_000, failed_ms=failed_ms, error=f"at {failed_ms}")
    attempts.ended(AGENT, 7_000)
    assert attempts.get(AGENT) == Failures(7_000, 2, 6_000, "at 6000")


def test_starts_that_were_declined_count_up_to_a_limit_and_take_nothing_back(attempts: Attempts) -> None:
    counts = []
    for is_declined in [True] * (DECLINED_MAX + 1) + [False, False, True]:
        attempts.ended(AGENT, 0, failed_ms=1, is_declined=is_declined)
        after = attempts.get(AGENT)
        assert after is not None
        counts.append(after.failures)
    assert counts == [*range(1, DECLINED_MAX + 1), DECLINED_MAX, DECLINED_MAX + 1, DECLINED_MAX + 2, DECLINED_MAX + 2]


def test_of_a_long_error_the_beginning_is_kept(attempts: Attempts) -> None:
    attempts.ended(AGENT, 0, failed_ms=1, error="x" * ERROR_CHARS_MAX + "y")
    assert attempts.get(AGENT) == Failures(0, 1, 1, "x" * ERROR_CHARS_MAX)


def test_forgiven_is_what_failed_and_not_who_waits(attempts: Attempts) -> None:
    attempts.forgive(AGENT)
    assert attempts.get(AGENT) is None
    attempts.ended(AGENT, 1_000, failed_ms=5_000, error="no")
    attempts.forgive(AGENT)
    assert attempts.get(AGENT) == Failures(1_000, 0)
    attempts.succeeded(AGENT)
    assert attempts.get(AGENT) is None
