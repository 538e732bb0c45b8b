"""Competing consumers: every message to exactly one worker, in a log that outlives them (routing 4.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from aether._fastpath import Head, Port, Topic
from aether.messaging.groups import Groups, Worker

TOPIC = "tb::w::i"


class FakeCall:
    """The part of an RPC a worker uses; ``take`` plays the transport."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.pending = 0
        self._room = trio.Event()

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.pending += len(frame)

    def flush(self) -> None:
        pass

    def take(self) -> None:
        self.pending = 0
        self._room.set()
        self._room = trio.Event()

    async def wait_pending_below(self, limit: int) -> None:
        while self.pending >= limit:
            await self._room.wait()


class FakeLog:
    """A log in a list."""

    def __init__(self) -> None:
        self.head = Head()
        self.topics: dict[str, Topic] = {}
        self.cursors: dict[tuple[str, str], int] = {}

    def topic(self, name: str) -> Topic:
        return self.topics.setdefault(name, Topic(name, self.head))

    async def read(self, topic: str, after: int, max_bytes: int) -> list[tuple[int, bytes]]:
        await trio.lowlevel.checkpoint()
        return [item for item in self.topic(topic).staged if item[0] > after]

    async def load_cursor(self, topic: str, consumer: str) -> int | None:
        await trio.lowlevel.checkpoint()
        return self.cursors.get((topic, consumer))

    def commit_cursor(self, topic: str, consumer: str, position: int) -> None:
        self.cursors[topic, consumer] = position


@asynccontextmanager
async def running(log: FakeLog) -> AsyncIterator[Groups]:
    groups = Groups(log)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        await nursery.start(groups.run)
        yield groups
        nursery.cancel_scope.cancel()


async def join(groups: Groups, high_water: int = 1000) -> tuple[FakeCall, Worker]:
    call = FakeCall()
    port = Port(call, None, lambda port: None, trio.current_time, high_water)
    worker = await groups.join(TOPIC, port)
    await trio.testing.wait_all_tasks_blocked()
    return call, worker


async def test_each_message_reaches_one_worker_and_all_get_some() -> None:
    log = FakeLog()
    async with running(log) as groups:
        members = [await join(groups) for _ in range(3)]
        for number in range(30):
            log.topic(TOPIC).publish(b"%d" % number)
        received = [call.frames for call, _ in members]
        assert sorted(frame for frames in received for frame in frames) == sorted(b"%d" % n for n in range(30))
        assert all(received)


async def test_messages_wait_for_the_first_worker() -> None:
    log = FakeLog()
    async with running(log) as groups:
        for number in range(5):
            log.topic(TOPIC).publish(b"%d" % number)
        call, _ = await join(groups)
        assert call.frames == [b"0", b"1", b"2", b"3", b"4"]


async def test_unconfirmed_messages_go_to_another_worker() -> None:
    log = FakeLog()
    async with running(log) as groups:
        first_call, first = await join(groups)
        for number in range(4):
            log.topic(TOPIC).publish(b"%d" % number)
        assert len(first_call.frames) == 4
        first.confirm(2)
        second_call, _ = await join(groups)
        first.group.leave(first)
        await trio.testing.wait_all_tasks_blocked()
        assert second_call.frames == [b"2", b"3"]


async def test_the_shared_cursor_stays_below_what_is_unfinished() -> None:
    log = FakeLog()
    async with running(log) as groups:
        _, first = await join(groups)
        _, second = await join(groups)
        for number in range(4):
            log.topic(TOPIC).publish(b"%d" % number)
        second.confirm(second.mark())
        assert log.cursors[TOPIC, "group"] == 0
        first.confirm(first.mark())
        assert log.cursors[TOPIC, "group"] == 4


async def test_a_full_pool_leaves_messages_in_the_log_until_there_is_room() -> None:
    log = FakeLog()
    async with running(log) as groups:
        call, _ = await join(groups, high_water=2)
        for number in range(6):
            log.topic(TOPIC).publish(b"%d" % number)
        await trio.testing.wait_all_tasks_blocked()
        assert call.frames == [b"0", b"1"]
        for _ in range(3):
            call.take()
            await trio.testing.wait_all_tasks_blocked()
        assert call.frames == [b"%d" % n for n in range(6)]


async def test_a_group_without_workers_keeps_what_was_given_back() -> None:
    log = FakeLog()
    async with running(log) as groups:
        _, first = await join(groups)
        for number in range(3):
            log.topic(TOPIC).publish(b"%d" % number)
        first.confirm(1)
        first.group.leave(first)
        call, _ = await join(groups)
        assert call.frames == [b"1", b"2"]


async def test_what_groups_without_workers_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held no longer is read from the log again."""
    log = FakeLog()
    async with running(log) as groups:
        _, first = await join(groups)
        for number in range(3):
            log.topic(TOPIC).publish(b"%d" % number)
        first.confirm(1)
        monkeypatch.setattr("aether.messaging.groups.RESTING_BYTES_MAX", 0)
        first.group.leave(first)
        assert log.topic(TOPIC).group is None
        call, _ = await join(groups)
        assert call.frames == [b"1", b"2"]


async def test_a_group_whose_messages_are_too_old_waits_for_the_next_one() -> None:
    """It does not look for them over and over."""
    log = FakeLog()
    async with running(log) as groups:
        for number in range(3):
            log.topic(TOPIC).publish(b"%d" % number)
        log.topic(TOPIC).staged.clear()
        with trio.fail_after(5):
            call, _ = await join(groups)
        log.topic(TOPIC).publish(b"young")
        assert call.frames == [b"young"]
