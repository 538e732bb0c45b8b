"""Group commits of the store, as sessions see them: who waits for one, when to ask for one, when to wait for room."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from aether.errors import StoreUnavailable
from aether.messaging.log import TopicLog

__all__ = ["Commits", "Durability"]


class Durability(Protocol):
    """What the store tells about its group commits."""

    @property
    def committed(self) -> int:
        """The last ticket that is durable."""

    @property
    def latest_ticket(self) -> int:
        """That of the last write."""

    def kick(self) -> None:
        """Commit soon."""

    def wait_durable(self, ticket: int) -> Awaitable[None]: ...


class Waiter(Protocol):
    def on_durable(self) -> None: ...

    def on_commit_failed(self) -> None: ...


class Commits:
    """One per gateway.

    :param staged_bytes_max: more than that may not be lost to a slow disk.
    :param flush: sends what was queued for sessions.
    :ivar wanted: answers wait for a commit; it comes once all that was received together has been handled.
    :ivar waiting: who hears of the next commit.
    """

    def __init__(self, log: TopicLog, durability: Durability, staged_bytes_max: int, flush: Callable[[], None]) -> None:
        self.durability = durability
        self.wanted = False
        self.waiting: set[Waiter] = set()
        self._log = log
        self._staged_bytes_max = staged_bytes_max
        self.flush = flush
        self._flushing = False
        """What is queued now goes out with the rest."""

    def before_flush(self) -> None:
        """Everything that was received together is handled: one commit for all of it."""
        if self.wanted:
            self.wanted = False
            self._flushing = True
            try:
                self.durability.kick()
            finally:
                self._flushing = False

    def on_durable(self) -> None:
        """After a group commit: answers that waited for it may go out."""
        for waiter in list(self.waiting):
            waiter.on_durable()
        if not self._flushing:
            self.flush()

    def on_failed(self) -> None:
        """A group commit failed and will be tried again: waiting answers say that their outcome is open."""
        for waiter in list(self.waiting):
            waiter.on_commit_failed()
        self.flush()

    def log_is_full(self) -> bool:
        """More staged than may be lost to a slow disk: senders have to wait."""
        return self._log.staged_bytes > self._staged_bytes_max

    async def wait_log_room(self) -> None:
        """Until there is room again, however long commits fail."""
        while self.log_is_full():
            try:
                await self.durability.wait_durable(self.durability.latest_ticket)
            except StoreUnavailable:
                await self._wait_commit()

    async def _wait_commit(self) -> None:
        """Until a commit succeeds."""
        waiter = _Patient()
        self.waiting.add(waiter)
        try:
            await waiter.committed.wait()
        finally:
            self.waiting.discard(waiter)


class _Patient:
    """Waits for a commit, whatever fails before it."""

    def __init__(self) -> None:
        self.committed = trio.Event()

    def on_durable(self) -> None:
        self.committed.set()

    def on_commit_failed(self) -> None:
        """The store tries again by itself."""
