"""Tasks that ended are forgotten when their time is over, again and again, also after a store that was down."""

from __future__ import annotations

import random
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from aether.errors import StoreUnavailable
from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import machine
from aether.tasks.book import TaskBook
from aether.tasks.liveness import Liveness
from aether.tasks.model import Status, Task
from aether.tasks.upkeep import Retention, Upkeep

START_MS = 1_000_000


async def test_purging_goes_on(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryTasks()

    def wall_clock() -> int:
        return START_MS + int(trio.current_time() * 1000)

    begun = trio.current_time()
    book = TaskBook(store, wall_clock)
    retention = Retention(kept_ms={Status.COMPLETED: 15_000, Status.FAILED: 0}, every_s=10)
    upkeep = Upkeep(book, cast(Liveness, None), wall_clock, random.Random(1), retention)
    task = book.add(Task("first", "w"))
    book.change(task, machine.complete(task, wall_clock()))
    kept = book.add(Task("kept", "w"))
    book.change(kept, machine.fail(kept, wall_clock(), "no", random.Random(1).uniform))

    async def until(seconds: float) -> None:
        await trio.sleep_until(begun + seconds)

    async with trio.open_nursery() as nursery:
        await nursery.start(upkeep.run)
        await until(19)
        assert book.get("first") is task
        with monkeypatch.context() as patch:

            async def unavailable(*_: object) -> None:
                raise StoreUnavailable("disk full")

            patch.setattr(store, "purge", unavailable)
            await until(29)
            assert book.get("first") is task
        await until(31)
        assert book.get("first") is None
        second = book.add(Task("second", "w"))
        book.change(second, machine.complete(second, wall_clock()))
        await until(49)
        assert book.get("second") is second
        await until(51)
        assert book.get("second") is None
        assert book.get("kept") is kept  # zero: for ever
        nursery.cancel_scope.cancel()
