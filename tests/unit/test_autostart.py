"""Agents that are started because tasks wait: which one is next, and when none is (tasks 19, weakness 31)."""

from __future__ import annotations

from typing import cast

import pytest

from aether.errors import StoreUnavailable
from aether.orchestration.autostart import INSTANCES_MAX, Autostart
from aether.orchestration.startups import Startups
from aether.registry.registry import Registration, Registry
from aether.storage.memory.records import MemoryRecords
from aether.tasks.model import Category, Mode, Task

TARGET = "ag::w::lazy::1"


class Starts:
    """Notes what is started; what it was told of is under way."""

    creator = "sv::gateway::g"

    def __init__(self) -> None:
        self.under_way: dict[str, Task] = {}
        self.started: list[tuple[str, dict[str, str], str, bool]] = []
        self.failure: Exception | None = None

    def started_by(self, identity: str) -> Task | None:
        return self.under_way.get(identity)

    def start(self, target: str, overrides: dict[str, str], *, creator: str, is_asked: bool = True) -> None:
        if self.failure is not None:
            raise self.failure
        self.started.append((target, overrides, creator, is_asked))


class Scene:
    def __init__(self, limit: str = "3") -> None:
        registry = Registry(MemoryRecords(), lambda: 5)
        registry.put(Registration("pool", {"profile": "p", "pool_autostart": limit}))
        self.starts = Starts()
        self.online: set[str] = set()
        self.autostart = Autostart(registry, cast(Startups, self.starts), self.online.__contains__)

    def begun(self, number: int, *, bound: str = "") -> None:
        """The start of a worker of the pool, which may have come up."""
        agent = f"ag::w::pool::pool-{number}"
        self.starts.under_way[agent] = Task("s", "w", category=Category.ORCHESTRATED, bound=bound and agent)

    def next(self, implementation: str = "pool") -> list[str]:
        """Who is started next."""
        self.starts.started.clear()
        self.autostart.start_one("w", implementation)
        assert all(more == [{}, Starts.creator, True] for _, *more in self.starts.started)
        return [target for target, *_ in self.starts.started]


def test_the_first_that_is_neither_there_nor_under_way_is_started() -> None:
    scene = Scene()
    assert scene.next() == ["ag::w::pool::pool-1"]
    scene.online.add("ag::w::pool::pool-1")
    assert scene.next() == ["ag::w::pool::pool-2"]
    scene.begun(2, bound="yes")  # it came up once, and may come back by itself
    assert scene.next() == ["ag::w::pool::pool-3"]
    scene.online.add("ag::w::pool::pool-3")
    assert scene.next() == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_that_is_on_its_way_may_be_enough(number: int) -> None:
    scene = Scene()
    scene.begun(number)
    assert scene.next() == []


@pytest.mark.parametrize(
    ("limit", "allowed"), [("0", 0), ("", 0), ("-1", 0), ("2", 2), (str(INSTANCES_MAX + 1), INSTANCES_MAX)]
)
def test_a_registration_says_how_many(limit: str, allowed: int) -> None:
    scene = Scene(limit)
    assert (scene.autostart.limit("pool"), scene.autostart.limit("unknown")) == (allowed, 0)
    assert len(scene.next()) == (allowed > 0)
    assert scene.next("unknown") == []


@pytest.mark.parametrize("failure", [ValueError("no profile"), StoreUnavailable("disk full")])
def test_a_pool_waits_for_what_cannot_be_started(failure: Exception) -> None:
    scene = Scene()
    scene.starts.failure = failure
    assert scene.next() == []
    scene.starts.failure = None
    assert scene.next() == ["ag::w::pool::pool-1"]


@pytest.mark.parametrize(
    ("failure", "is_settled"), [(None, True), (ValueError("unknown"), True), (StoreUnavailable("disk full"), False)]
)
def test_the_target_of_a_task(failure: Exception | None, is_settled: bool) -> None:
    scene = Scene()
    scene.starts.failure = failure
    task = Task("t", "w", "ag::w::i::boss", mode=Mode.TARGETED, target=TARGET, launch_params={"a": "b"})
    assert scene.autostart.start_target(task) is is_settled
    assert scene.starts.started == ([(TARGET, {"a": "b"}, "ag::w::i::boss", False)] if failure is None else [])
