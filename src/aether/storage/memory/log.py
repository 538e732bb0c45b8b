"""The topic log in lists; everything is durable at once."""

from __future__ import annotations

from collections.abc import Callable

import trio

from aether._fastpath import Head, Topic

__all__ = ["MemoryLog"]


class MemoryLog:
    """Implements :class:`aether.messaging.log.TopicLog`. Records stay in their topic's staging list."""

    def __init__(self, wall_clock: Callable[[], int]) -> None:
        self._wall_clock = wall_clock
        self._head = Head()
        self._head.on_dirty = self._stamp
        self._topics: dict[str, Topic] = {}
        self._cursors: dict[tuple[str, str], int] = {}
        self._times: list[tuple[int, int]] = []

    def _stamp(self) -> None:
        """Note when this position was reached; called for the first record after each look at the times."""
        self._times.append((self._head.position, self._wall_clock()))
        self._head.dirty.clear()

    @property
    def staged_bytes(self) -> int:
        return 0

    def topic(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Topic(name, self._head)
        return topic

    @property
    def position(self) -> int:
        return int(self._head.position)

    def append(self, name: str, frame: bytes) -> int:
        self._times.append((self._head.position + 1, self._wall_clock()))
        return int(self.topic(name).append(frame))

    async def read(self, topic: str, after: int, max_bytes: int) -> list[tuple[int, bytes]]:
        await trio.lowlevel.checkpoint()
        page: list[tuple[int, bytes]] = []
        size = 0
        for position, frame in self.topic(topic).staged:
            if position > after:
                if page and size >= max_bytes:
                    break
                page.append((position, frame))
                size += len(frame)
        return page

    async def first_at_or_after(self, topic: str, time_ms: int) -> int:
        await trio.lowlevel.checkpoint()
        later = [position for position, time in self._times if time >= time_ms]
        return min(later) - 1 if later else int(self._head.position)

    async def load_cursor(self, topic: str, consumer: str) -> int | None:
        await trio.lowlevel.checkpoint()
        return self._cursors.get((topic, consumer))

    def commit_cursor(self, topic: str, consumer: str, position: int) -> None:
        self._cursors[topic, consumer] = max(position, self._cursors.get((topic, consumer), 0))

    async def trim(self, *, max_age_ms: int, max_bytes: int) -> int:
        await trio.lowlevel.checkpoint()
        before_ms = self._wall_clock() - max_age_ms if max_age_ms > 0 else 0
        times = dict(self._times)
        records = sorted(
            (position, len(frame), topic) for topic in self._topics.values() for position, frame in topic.staged
        )
        total = sum(size for _, size, _ in records)
        removed = 0
        for position, size, topic in records:
            if times.get(position, before_ms) >= before_ms and (max_bytes <= 0 or total - removed <= max_bytes):
                break
            topic.staged = [record for record in topic.staged if record[0] != position]
            removed += size
        return removed
