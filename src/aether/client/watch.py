"""Following a task across lost connections (tasks 12.4)."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from aether.client.errors import ConnectionClosed, ConnectionLost, NotFound, RequestRefused, TaskRefused
from aether.client.inbox import Inbox
from aether.client.link import Link
from aether.nurseries import unwrapped_nursery
from aether.proto import aether_pb2 as pb

__all__ = ["PAUSE_S", "Watch", "Watches", "task_refusal"]

PAUSE_S = 0.1
"""Between attempts that the gateway refuses for the moment."""

Op = pb.TaskSubscriptionOperation


class Watches:
    """The watches of a connection."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._by_id: dict[str, Watch] = {}

    @asynccontextmanager
    async def open(self, task_id: str, *, recursive: bool, since_ms: int) -> AsyncIterator[Watch]:
        """A watch for the length of the block."""
        watch = Watch(self, self._link, Inbox(self._link.held), task_id, recursive, since_ms)
        try:
            await watch.subscribe()
            async with unwrapped_nursery() as nursery:
                nursery.start_soon(watch.keep)
                yield watch
                nursery.cancel_scope.cancel()
        finally:
            watch.close()

    def replace(self, old_id: str, new_id: str, watch: Watch) -> None:
        self.remove(old_id)
        self._by_id[new_id] = watch

    def remove(self, subscription_id: str) -> None:
        self._by_id.pop(subscription_id, None)

    # --------------------------------------------------------------------------------------- told by the connection

    def on_event(self, size: int, event: pb.TaskEvent) -> None:
        """Something happened to a task that is watched."""
        del size  # an inbox has what it counts
        watch = self._by_id.get(event.subscription_id)
        if watch is not None:  # else it was closed a moment ago
            watch.on_event(event)

    def on_abandoned(self, response: pb.TaskSubscriptionOperationResponse) -> None:
        """An answer that nobody waits for any more: what it began has to end."""
        if response.success and response.client_request_id:
            self.unsubscribe(response.subscription_id)

    def unsubscribe(self, subscription_id: str) -> None:
        operation = Op(op=Op.UNSUBSCRIBE, subscription_id=subscription_id)
        self._link.transmit_nowait(pb.UpstreamMessage(task_subscription_op=operation))

    def close(self) -> None:
        for watch in self._by_id.values():
            watch.end()


class Watch:
    """One subscription, made anew on every stream from the time of the last event; iterating it gives the events.

    It begins at a time of the gateway's clock, also where nothing has happened yet when the stream ends: ids of
    subscriptions are UUIDs of version 7, which begin with the time. Of a gateway whose ids have none everything that
    is stored is read again then: rather told twice than missed.
    """

    def __init__(
        self, watches: Watches, link: Link, inbox: Inbox, task_id: str, recursive: bool, since_ms: int
    ) -> None:
        self._watches = watches
        self._link = link
        self._task_id = task_id
        self._recursive = recursive
        self._since_ms = since_ms
        self._id = ""
        self._inbox = inbox
        self._latest: Counter[bytes] = Counter()
        self._repeats: Counter[bytes] = Counter()
        self._stream = link.stream_ended

    async def subscribe(self) -> None:
        """:raises RequestRefused: for good."""
        while True:
            operation = Op(
                op=Op.SUBSCRIBE,
                task_id=self._task_id,
                recursive=self._recursive,
                start_timestamp_unix_ms=self._since_ms,
            )
            try:
                response = await self._link.request("task_subscription_op", operation, on_answer=self._on_answer)
            except ConnectionLost:
                await trio.lowlevel.checkpoint()
                continue
            if response.success:
                return
            refusal = task_refusal(self._link, response.error)
            if not refusal.retryable:
                raise refusal
            await trio.sleep(max(PAUSE_S, refusal.retry_after_ms / 1000))

    def _on_answer(self, response: pb.TaskSubscriptionOperationResponse) -> None:
        """Before the events that come right behind it."""
        if not response.success:
            return
        self._watches.replace(self._id, response.subscription_id, self)
        self._id = response.subscription_id
        self._stream = self._link.stream_ended
        self._since_ms = self._since_ms or _time_of(response.subscription_id) or 1
        self._repeats = self._latest.copy()

    async def keep(self) -> None:
        """Subscribe again on every new stream."""
        while True:
            await self._stream.wait()
            await self.subscribe()

    def on_event(self, event: pb.TaskEvent) -> None:
        subscription_id, event.subscription_id = event.subscription_id, ""
        told = event.SerializeToString(deterministic=True)
        event.subscription_id = subscription_id
        if self._repeats[told] > 0:
            self._repeats[told] -= 1
            return
        if event.emitted_at_unix_ms > self._since_ms:
            self._since_ms = event.emitted_at_unix_ms
            self._latest.clear()
            self._repeats.clear()
        if event.emitted_at_unix_ms == self._since_ms:
            self._latest[told] += 1
        self._inbox.put(len(told), event)

    def __aiter__(self) -> AsyncIterator[pb.TaskEvent]:
        return self

    async def __anext__(self) -> pb.TaskEvent:
        event: pb.TaskEvent = await self._link.take(self._inbox)
        return event

    async def next_status(self) -> pb.TaskEvent:
        """The next event of a status.

        :raises ConnectionClosed: there will be none.
        """
        async for event in self:
            if event.HasField("status_changed"):
                return event
        raise ConnectionClosed("the connection is closed")

    def end(self) -> None:
        self._inbox.close()

    def close(self) -> None:
        """Nobody iterates it any more."""
        self._watches.remove(self._id)
        self._inbox.clear()
        self._link.read_on()
        if self._id and not self._stream.is_set():
            self._watches.unsubscribe(self._id)


def task_refusal(link: Link, text: str) -> RequestRefused:
    """The exception for a response about a task that says no; most of these have only a text."""
    refusal = link.refusal_of(text)
    if refusal.code:
        return refusal
    if refusal.retryable:
        return RequestRefused("TASKS_UNAVAILABLE", text, retryable=True)
    if text == "task not found":
        return NotFound("TASK_NOT_FOUND", text)
    return TaskRefused("TASK_REFUSED", text)


def _time_of(subscription_id: str) -> int:
    """Unix milliseconds in a UUID; 0: there are none."""
    try:
        parsed = uuid.UUID(subscription_id)
    except ValueError:
        return 0
    return parsed.int >> 80 if parsed.version == 7 else 0
