"""Which of the connected workers is next (tasks 8; weaknesses 34 to 41)."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

import pytest

from aether.answers import Answer, WorkspaceLimit
from aether.identity import Identity, parse_identity
from aether.tasks.book import TaskBook
from aether.tasks.model import Category, Task
from aether.tasks.workers import BATCH, EXACT_MAX, Seat, Workers

POOL = ("w", "pool")


@dataclass(frozen=True)
class Only:
    """A credential for one workspace."""

    workspace: str

    def admits_workspace(self, workspace: str) -> bool:
        return workspace == self.workspace

    def covers_workspaces(self, pattern: str) -> bool:
        return pattern == self.workspace


@dataclass(eq=False)
class FakeWorker:
    identity: Identity
    session_id: str = "s"
    workspace_limit: WorkspaceLimit | None = None
    consumes_pool_tasks: bool = True
    has_room: bool = True

    def put(self, answer: Answer) -> None: ...

    def give(self, task_id: str, assignment: Answer) -> None: ...


@dataclass
class Book:
    """Who has how many open tasks."""

    open: Counter[str] = field(default_factory=Counter)
    starts: Counter[str] = field(default_factory=Counter)

    def open_count(self, identity: str) -> int:
        return self.open[identity] + self.starts[identity]

    def held_by(self, identity: str) -> list[Task]:
        starts = [Task("start", "w", category=Category.ORCHESTRATED)] * self.starts[identity]
        return [Task("t", "w")] * self.open[identity] + starts


class Scene:
    def __init__(self, open_max: int = 0, seed: int = 1) -> None:
        self.book = Book()
        self.workers = Workers(cast(TaskBook, self.book), random.Random(seed), lambda _: open_max)

    def add(self, name: str, **fields: object) -> FakeWorker:
        worker = FakeWorker(parse_identity(name), **fields)  # type: ignore[arg-type]
        self.workers.add(worker)
        return worker

    def seat(self, name: str) -> Seat:
        seat = self.workers.seat(parse_identity(name))
        assert seat is not None
        return seat

    def next(self, *, urgent: bool = False, backlog: bool = False, pool: tuple[str, str] = POOL) -> str:
        seat = self.workers.choose(pool, urgent=urgent, backlog=backlog)
        return seat.worker.identity.key if seat is not None else ""


A, B, S, S2 = "ag::w::pool::a", "ag::w::pool::b", "sv::pool::1", "sv::pool::2"


def test_the_least_loaded_is_next_and_among_equals_who_waits_longest() -> None:
    scene = Scene()
    for name in (A, B):
        scene.add(name)
    assert [scene.next() for _ in range(4)] == [A, B, A, B]
    scene.book.open[A] = 1
    assert [scene.next() for _ in range(2)] == [B, B]
    scene.book.open[B] = 1
    assert scene.next() == A


def test_services_work_where_no_agent_does() -> None:
    scene = Scene()
    scene.add(S)
    scene.add("sv::pool::none", consumes_pool_tasks=False)
    scene.add("sv::other::1")
    scene.add("us::alice::w")
    assert (scene.next(), scene.next(pool=("v", "pool"))) == (S, S)
    assert scene.workers.seat(parse_identity("sv::pool::none")) is None
    agent = scene.add(A)
    assert (scene.next(), scene.next(pool=("v", "pool"))) == (A, S)
    assert scene.workers.remove(agent) == POOL, "from now on by services"
    assert scene.next() == S


def test_who_is_there() -> None:
    scene = Scene()
    assert not scene.workers.has(POOL)
    a, b, s = scene.add(A), scene.add(B), scene.add(S)
    assert scene.workers.get(A) is a
    assert [seat.worker for seat in scene.workers.seats(POOL)] == [a, b]
    assert scene.workers.remove(a) is None, "there is another agent"
    assert scene.workers.remove(a) is None
    assert scene.workers.remove(b) == POOL
    assert scene.workers.has(POOL)
    assert scene.workers.seat(parse_identity(A)) is None
    assert scene.workers.remove(s) is None
    assert not scene.workers.has(POOL)
    assert (scene.next(), scene.workers.get(S)) == ("", None)
    scene.add(A)
    assert scene.workers.has(POOL)


def test_a_successor_keeps_its_seat_when_the_one_before_goes() -> None:
    for name in (A, S):
        scene = Scene()
        before = scene.add(name)
        scene.seat(name).credit = 0
        after = scene.add(name)
        assert scene.workers.remove(before) is None
        assert scene.workers.get(name) is after
        assert (scene.seat(name).worker, scene.seat(name).credit) == (after, BATCH)


def test_services_are_for_the_workspaces_of_their_credential() -> None:
    scene = Scene()
    scene.add(S, workspace_limit=Only("v"))
    assert (scene.next(), scene.next(pool=("v", "pool"))) == ("", S)
    scene.add(S2)
    assert scene.next() == S2


def test_a_backlog_takes_credit_and_what_is_urgent_takes_only_room() -> None:
    scene = Scene(open_max=2)
    worker = scene.add(A)
    assert scene.workers.is_any_free(POOL)
    scene.seat(A).credit = 0
    assert (scene.next(backlog=True), scene.next(), scene.next(urgent=True, backlog=True)) == ("", A, A)
    scene.seat(A).credit = 1
    assert scene.next(backlog=True) == A
    scene.book.open[A] = 2
    assert (scene.next(), scene.next(urgent=True)) == ("", A)
    assert not scene.workers.is_any_free(POOL)
    other = scene.add(B)
    assert scene.workers.is_any_free(POOL)
    scene.workers.remove(other)
    worker.has_room = False
    assert scene.next(urgent=True) == ""


def test_its_own_start_is_no_work() -> None:
    scene = Scene(open_max=1)
    scene.add(A)
    scene.book.starts[A] = 1
    assert scene.next() == A
    scene.book.open[A] = 1
    assert scene.next() == ""
    scene.book.starts[A] = 0
    assert scene.next() == ""


@pytest.mark.parametrize("count", [EXACT_MAX, EXACT_MAX + 1, 100])
def test_many_workers_get_even_shares(count: int) -> None:
    scene = Scene()
    names = [f"ag::w::pool::{number}" for number in range(count)]
    for name in names:
        scene.add(name)
    for _ in range(20 * count):
        scene.book.open[scene.next()] += 1
    assert set(scene.book.open) == set(names)
    assert max(scene.book.open.values()) - min(scene.book.open.values()) <= (0 if count == EXACT_MAX else 6)


def test_the_one_that_has_room_among_many_is_found() -> None:
    scene = Scene()
    for number in range(200):
        scene.add(f"ag::w::pool::{number}", has_room=number == 150)
    assert {scene.next() for _ in range(20)} == {"ag::w::pool::150"}


def test_of_very_many_only_two_are_compared() -> None:
    """Of two that are drawn the one with less to do is taken, so the busiest of all is never next."""
    scene = Scene()
    for number in range(40):
        scene.add(f"ag::w::pool::{number}")
        scene.book.open[f"ag::w::pool::{number}"] = number
    chosen = Counter(scene.next() for _ in range(500))
    assert len(chosen) > 20
    assert "ag::w::pool::39" not in chosen
