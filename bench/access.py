"""Access decisions alone, without a gateway: ``python -m bench.access RULES SECONDS`` prints one JSON line."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable

from aether._fastpath import may_send
from aether.acl.engine import RuleEngine
from aether.acl.model import Rule
from aether.identity import PrincipalType
from aether.storage.memory.records import MemoryRecords

__all__ = ["build"]

QUESTIONS = 1000


def build(count: int) -> RuleEngine:
    """A third each for single agents, for users, and for all agents of an implementation by a pattern."""
    numbers = itertools.count()
    engine = RuleEngine(MemoryRecords(), lambda: time.time_ns() // 1_000_000, lambda: str(next(numbers)))
    for number in range(count):
        match number % 3:
            case 0:
                who = ("agent", f"ag::ws{number % 97}::impl{number % 13}::{number}")
            case 1:
                who = ("user", f"user{number}")
            case _:
                who = ("agent", f"ag::ws{number % 97}::impl{number}::*")
        engine.grant(Rule("", *who, "workspace", f"ws{number % 1000}", 20, "bench"))
    return engine


def main(count: int, seconds: float) -> None:
    engine = build(count)
    topics = [b"ag::ws%d::impl%d::x" % (number % 1000, number % 13) for number in range(QUESTIONS)]
    asked = [
        ("agent", f"ag::ws{number % 97}::impl{number % 13}::{number}", "workspace", f"ws{number % 1000}", 20)
        for number in range(QUESTIONS)
    ]
    sender = int(PrincipalType.AGENT)
    pairs = list(zip(topics, asked, strict=True))

    def remembered() -> int:
        for topic, question in pairs:
            may_send(sender, topic)
            engine.evaluate(*question)
        return QUESTIONS

    fresh = itertools.count()

    def new() -> int:
        for number in itertools.islice(fresh, QUESTIONS):
            engine.evaluate("agent", f"ag::ws{number % 97}::new{number}::x", "workspace", f"ws{number % 1000}", 20)
        return QUESTIONS

    remembered()
    ns = nanoseconds(remembered, seconds)
    print(json.dumps({"per_second": 1e9 / ns, "ns": ns, "new_ns": nanoseconds(new, seconds)}))


def nanoseconds(work: Callable[[], int], seconds: float) -> float:
    """CPU of each decision."""
    count, began = 0, time.process_time_ns()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        count += work()
    return (time.process_time_ns() - began) / count


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
