"""``Retry`` as the gateway reads it: the delays that its machine makes of the policy."""

from __future__ import annotations

import pytest

from aether.client import Retry
from aether.proto import aether_pb2 as pb
from aether.tasks import machine, wire


def delays_s(retry: Retry, count: int) -> list[float]:
    """Before each further attempt."""
    policy = wire.retry_policy(pb.CreateTaskRequest(retry_policy=retry.policy()))
    assert policy is not None
    return [machine.retry_delay_ms(policy, number, lambda low, high: high) / 1000 for number in range(1, count + 1)]


@pytest.mark.parametrize(
    ("retry", "expected"),
    [
        (Retry(), [1, 2, 4, 8]),
        (Retry(delay_s=0.5, delay_max_s=1.5), [0.5, 1, 1.5, 1.5]),
        (Retry(delay_s=2, delay_max_s=2), [2, 2, 2, 2]),
        (Retry(delay_s=0), [0, 0, 0, 0]),
        (Retry(schedule_s=(1, 5)), [1, 5, 5, 5]),
        (Retry(delay_s=1, delay_max_s=1, jitter=0.5), [1.5, 1.5, 1.5, 1.5]),
    ],
)
def test_delays(retry: Retry, expected: list[float]) -> None:
    assert delays_s(retry, 4) == expected


def test_attempts() -> None:
    assert Retry(attempts=7).policy().max_attempts == 7
