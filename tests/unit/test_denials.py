"""Counting refusals: who had too many is heard again when the rate allows it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from aether.errors import Code, Refusal
from aether.gateway import denials
from aether.gateway.denials import Denials


async def test_heard_again_after_a_while(mock_clock: MockClock) -> None:
    counted = Denials(2.0)
    for _ in range(101):
        counted.check("a")
        counted.note("a")
    with pytest.raises(Refusal) as caught:
        counted.check("a")
    assert (caught.value.code, caught.value.retryable) == (Code.RATE_LIMITED, True)
    counted.check("b")
    mock_clock.jump(0.4)
    with pytest.raises(Refusal):
        counted.check("a")
    mock_clock.jump(caught.value.retry_after_ms / 1000 - 0.4)
    counted.check("a")
    assert not counted.barred
    counted.note("a")
    assert list(counted.barred) == ["a"]


async def test_without_a_rate_nobody_is_counted() -> None:
    counted = Denials(0)
    for _ in range(1000):
        counted.note("a")
    counted.check("a")
    await trio.lowlevel.checkpoint()


async def test_only_so_many_principals_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "PRINCIPALS_MAX", 2)
    counted = Denials(0.02)  # one at once
    for principal in ("a", "a", "b", "c"):
        counted.note(principal)
    counted.check("a")
    assert not counted.barred
    await trio.lowlevel.checkpoint()
