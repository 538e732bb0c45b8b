"""Following a task: what is not kept waits while a watch reads what is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import trio
import trio.testing

from aether.answers import Answer
from aether.proto import aether_pb2 as pb
from aether.tasks import watches
from aether.tasks.book import TaskBook
from aether.tasks.model import Task
from aether.tasks.store import TaskEvent, TaskStore
from aether.tasks.watches import Watch, Watches


class SlowStore:
    """Has one event, and hands it over when it is let."""

    def __init__(self) -> None:
        self.may_read = trio.Event()

    def last_event(self) -> int:
        return 1

    async def events(self, ids: list[str], after: int, since_ms: int, limit: int) -> list[TaskEvent]:
        await self.may_read.wait()
        event = TaskEvent(1, "t", "w", 5, "", "", "pending", "", "", "")
        return [event] if after < 1 else []


class Reader:
    """A follower with room."""

    session_id = "s"
    has_room = True

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self.told: list[str] = []

    async def wait_room(self) -> None:
        await trio.lowlevel.checkpoint()

    def put(self, answer: Answer) -> None:
        for frame in answer.frames:
            event = pb.DownstreamMessage.FromString(frame[5:]).task_event
            self.told.append(event.progress.state or pb.TaskStatus.Name(event.status_changed.to_status))

    def start_soon(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        self._nursery.start_soon(function, *arguments)


class NoTasks:
    def get(self, task_id: str) -> None:
        return None


async def test_progress_that_comes_while_a_watch_reads_is_told_afterwards(monkeypatch: Any) -> None:
    monkeypatch.setattr(watches, "LATER_MAX", 1)
    store, task = SlowStore(), Task("t", "w", "ag::w::i::s")
    shed: list[None] = []
    followed = Watches(cast(TaskBook, NoTasks()), cast(TaskStore, store), lambda: shed.append(None))

    def report(task: Task, state: str) -> None:
        followed.on_progress(task, pb.ProgressReport(task_id=task.task_id, state=state), 7)

    async with trio.open_nursery() as nursery:
        reader = Reader(nursery)
        watch = Watch("w1", reader, "t", 0, 1, recursive=False)
        followed.open(watch)
        report(task, "first")
        await trio.testing.wait_all_tasks_blocked()
        report(task, "second")
        report(Task("part", "w", "ag::w::i::s", parent_task_id="t"), "not followed")
        assert reader.told == []
        store.may_read.set()
        await trio.testing.wait_all_tasks_blocked()
        assert reader.told == ["TASK_STATUS_QUEUED", "second"]
        report(task, "third")
        assert reader.told[-1] == "third"
        assert (watch.later, shed) == ({}, [])
