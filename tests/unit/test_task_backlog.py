"""Tasks that wait for a worker: whose turn it is (tasks 8; weaknesses 34, 39)."""

from __future__ import annotations

from typing import cast

from aether.tasks.backlog import AGE_MS_PER_POINT, PREEMPT, Backlog
from aether.tasks.book import TaskBook
from aether.tasks.model import Category, Mode, Task

NOW_MS = 1_700_000_000_000
POOL = ("w", "i")


class Book(dict[str, Task]):
    """The tasks that are known."""

    def wait(self, backlog: Backlog, task_id: str, priority: int = 0, age_ms: int = 0, target: str = "") -> Task:
        """A task of the pool, or for somebody."""
        created_ms = NOW_MS - age_ms
        task = Task(task_id, "w", "ag::w::i::boss", created_ms=created_ms, updated_us=created_ms * 1000 + len(self))
        task.implementation, task.priority, task.target = "i", priority, target
        task.mode = Mode.TARGETED if target else Mode.POOL
        self[task_id] = task
        backlog.add(task)
        return task


def backlog_of(book: Book) -> Backlog:
    return Backlog(cast("TaskBook", book))


def drain(backlog: Backlog) -> list[str]:
    order = []
    while (task := backlog.next(POOL)) is not None:
        assert task in backlog
        order.append(task.task_id)
        backlog.remove(task)
        assert task not in backlog
    return order


def test_priority_then_age_and_waiting_makes_up_for_priority() -> None:
    book = Book()
    backlog = backlog_of(book)
    book.wait(backlog, "young")
    book.wait(backlog, "old", age_ms=100)
    book.wait(backlog, "important", priority=10)
    book.wait(backlog, "patient", age_ms=11 * AGE_MS_PER_POINT)
    book.wait(backlog, "second of its time")
    assert drain(backlog) == ["patient", "important", "old", "young", "second of its time"]
    assert POOL not in backlog.pools


def test_41_no_age_makes_up_for_urgency() -> None:
    book = Book()
    backlog = backlog_of(book)
    book.wait(backlog, "ancient", priority=PREEMPT - 1, age_ms=1000 * AGE_MS_PER_POINT)
    book.wait(backlog, "urgent", priority=PREEMPT)
    book.wait(backlog, "more urgent", priority=PREEMPT + 1)
    book.wait(backlog, "urgent for long", priority=PREEMPT, age_ms=2 * AGE_MS_PER_POINT)
    assert drain(backlog) == ["urgent for long", "more urgent", "urgent", "ancient"]


def test_what_left_is_passed_over_and_what_comes_again_has_a_new_place() -> None:
    book = Book()
    backlog = backlog_of(book)
    gone = book.wait(backlog, "gone", age_ms=3)
    back = book.wait(backlog, "back", age_ms=2)
    book.wait(backlog, "stays", age_ms=1)
    del book["gone"]
    backlog.remove(back)
    back.created_ms, back.updated_us = NOW_MS, NOW_MS * 1000
    backlog.add(back)
    assert backlog.waiting_since_us(POOL) == gone.updated_us, "nobody asked for its turn"
    assert drain(backlog) == ["stays", "back"]


def test_pools_are_known_by_implementation_while_they_have_a_queue() -> None:
    book = Book()
    backlog = backlog_of(book)
    book.wait(backlog, "t")
    assert (list(backlog.pools), list(backlog.pools_of("i"))) == ([POOL], [POOL])
    drain(backlog)
    assert (list(backlog.pools), list(backlog.pools_of("i"))) == ([], [])


def test_what_is_for_somebody_waits_for_that_one() -> None:
    book = Book()
    backlog = backlog_of(book)
    first = book.wait(backlog, "first", age_ms=5, target="ag::w::i::me")
    book.wait(backlog, "second", target="ag::w::i::me")
    book.wait(backlog, "urgent", priority=1, target="ag::w::i::me")
    book.wait(backlog, "other", target="ag::w::i::you")
    assert [task.task_id for task in backlog.of("ag::w::i::me")] == ["urgent", "first", "second"]
    backlog.remove(first)
    assert first not in backlog
    assert [task.task_id for task in backlog.of("ag::w::i::me")] == ["urgent", "second"]
    assert backlog.next(POOL) is None


def test_starts_of_agents_are_not_for_workers() -> None:
    book = Book()
    backlog = backlog_of(book)
    start = Task("start", "w", mode=Mode.POOL, category=Category.ORCHESTRATED, implementation="i")
    book["start"] = start
    backlog.add(start)
    assert (len(backlog), start in backlog, list(backlog.pools)) == (0, False, [])


def test_how_many_wait_and_for_whom() -> None:
    book = Book()
    backlog = backlog_of(book)
    tasks = [book.wait(backlog, "a"), *(book.wait(backlog, name, target="ag::w::i::me") for name in "bc")]
    own = Task("own", "w", "ag::w::i::boss", mode=Mode.SELF_ASSIGN)
    book["own"] = own
    backlog.add(own)
    assert (len(backlog), list(backlog.identities)) == (4, ["ag::w::i::me", "ag::w::i::boss"])
    for count, task in zip((3, 2, 1), tasks, strict=True):
        backlog.remove(task)
        backlog.remove(task)
        assert len(backlog) == count
    assert (list(backlog.identities), backlog.of("ag::w::i::me")) == (["ag::w::i::boss"], [])


def test_a_pool_that_runs_dry_leaves_those_of_other_workspaces() -> None:
    book = Book()
    backlog = backlog_of(book)
    book.wait(backlog, "here")
    there = Task("there", "elsewhere", mode=Mode.POOL, implementation="i", updated_us=7)
    book["there"] = there
    backlog.add(there)
    assert backlog.waiting_since_us(("elsewhere", "i")) == 7
    drain(backlog)
    assert backlog.waiting_since_us(POOL) is None
    assert list(backlog.pools_of("i")) == [("elsewhere", "i")]
    backlog.remove(there)
    assert backlog.next(("elsewhere", "i")) is None
    assert list(backlog.pools_of("i")) == []
