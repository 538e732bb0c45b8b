"""The port to the topic log (backends 3.3, routing 4): the truth behind live delivery.

Positions are global to the log, grow with every append and are never given twice, not even after retention or a
restart. A record is the frame as it is delivered. A cursor belongs to a (topic, consumer) pair.
"""

from __future__ import annotations

from typing import Protocol

from aether._fastpath import Topic

__all__ = ["TopicLog", "Topics"]


class Topics(Protocol):
    """The part of the log that is published to."""

    def topic(self, name: str) -> Topic:
        """The topic's staging area and lanes; the same object as long as anybody holds it."""


class TopicLog(Topics, Protocol):
    """A log that appends in this process; broker tiers put their own behind the same names.

    :raises StoreUnavailable: from every awaitable method when the backend does not answer.
    """

    @property
    def staged_bytes(self) -> int:
        """Bytes appended and not yet durable."""

    @property
    def position(self) -> int:
        """That of the newest record of all topics; a later record of any topic has a higher one."""

    def append(self, name: str, frame: bytes) -> int:
        """Append without delivering; returns the position."""

    async def read(self, topic: str, after: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """Records after a position, in order, staged ones included; about ``max_bytes``, at least one if any."""

    async def first_at_or_after(self, topic: str, time_ms: int) -> int:
        """The position to start after, so that the first record at or after a time comes first."""

    async def load_cursor(self, topic: str, consumer: str) -> int | None:
        """The committed cursor, staged commits included; None when the consumer has none."""

    def commit_cursor(self, topic: str, consumer: str, position: int) -> None:
        """Stage a cursor; the highest position of a batch wins."""

    async def trim(self, *, max_age_ms: int, max_bytes: int) -> int:
        """Remove the oldest records by age and total size (0: no limit), in bounded steps; returns bytes removed."""
