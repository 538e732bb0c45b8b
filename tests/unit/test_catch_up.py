"""Lanes that are fed from the log, and left and taken up again meanwhile (routing 4.5)."""

from __future__ import annotations

import trio
import trio.testing

from aether._fastpath import Head, Lane, Port, Topic
from aether.gateway.catch_up import CatchUp


class FakeCall:
    """Has room when it is told so."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.pending = 0
        self.room = trio.Event()

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)

    def flush(self) -> None:
        pass

    async def wait_pending_below(self, limit: int) -> None:
        await self.room.wait()


class FakeLog:
    """A log of one topic, all of it staged."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self.answered = trio.Event()
        self.answered.set()

    async def read(self, topic: str, after: int, max_bytes: int) -> list[tuple[int, bytes]]:
        page = [record for record in self._topic.staged if record[0] > after]
        await self.answered.wait()
        return page


class Follower:
    """A session with one lane."""

    def __init__(self) -> None:
        self.topic = Topic("gu::w", Head())
        self.call = FakeCall()
        self.log = FakeLog(self.topic)
        port = Port(self.call, None, lambda port: None, trio.current_time)
        port.outbound = self
        self.lane = Lane(self.topic, port, 0, "consumer", lambda *_: None)
        self.catch_up = CatchUp(self.call, port, self.log)  # type: ignore[arg-type]
        self.behind = 0

    def on_lane_behind(self, lane: Lane) -> None:
        self.behind += 1
        self.catch_up.add(lane)


async def test_a_lane_that_is_left_while_it_is_fed_begins_where_it_was() -> None:
    """In order, whatever is published when it is taken up again."""
    session = Follower()
    session.topic.publish(b"0")
    session.lane.attach()
    session.lane.sent = 1  # as another turn has fed it
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.catch_up.run)
        await trio.testing.wait_all_tasks_blocked()
        session.lane.leave()
        session.call.room.set()
    for text in (b"1", b"2"):
        session.topic.publish(text)
    session.lane.attach()
    session.topic.publish(b"3")
    assert session.call.frames == []
    assert session.behind == 2
    await session.catch_up.run()
    session.topic.publish(b"4")
    assert session.call.frames == [b"1", b"2", b"3", b"4"]


async def test_what_was_read_for_a_lane_that_was_left_is_not_sent() -> None:
    """A user who has moved on gets nothing more of the workspace."""
    session = Follower()
    session.call.room.set()
    session.log.answered = trio.Event()
    session.topic.publish(b"0")
    session.lane.attach()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.catch_up.run)
        await trio.testing.wait_all_tasks_blocked()
        session.lane.leave()
        session.log.answered.set()
    assert session.call.frames == []
    session.lane.attach()
    await session.catch_up.run()
    assert session.call.frames == [b"0"]
