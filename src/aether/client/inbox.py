"""What a connection received and nobody has taken yet."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar, overload

import trio

__all__ = ["Held", "Inbox", "Recent"]

RECENT_MAX = 1000

T = TypeVar("T")


class Held:
    """Bytes in all inboxes that hold up the stream when they are full."""

    def __init__(self) -> None:
        self.size = 0


class Inbox:
    """What arrived for one kind of reader, in order.

    :param held: what this inbox counts for; whoever fills it stops in time.
    :param keep_bytes: without that, the oldest items are forgotten beyond this.
    """

    def __init__(self, held: Held | None = None, keep_bytes: int = 0) -> None:
        self._held = held or Held()
        self._keep_bytes = keep_bytes
        self.items: deque[tuple[int, Any]] = deque()
        self.size = 0
        self.closed = False
        self._changed = trio.Event()

    def put(self, size: int, item: Any) -> None:
        self.items.append((size, item))
        self.size += size
        self._held.size += size
        while self._keep_bytes and self.size > self._keep_bytes and len(self.items) > 1:
            oldest, _ = self.items.popleft()
            self.size -= oldest
            self._held.size -= oldest
        self._changed.set()

    def clear(self) -> None:
        """Forget what nobody will take."""
        self._held.size -= self.size
        self.size = 0
        self.items.clear()

    def close(self) -> None:
        self.closed = True
        self._changed.set()

    async def get(self) -> tuple[int, Any]:
        """The oldest item; StopAsyncIteration after the end."""
        await trio.lowlevel.checkpoint()
        while not self.items:
            if self.closed:
                raise StopAsyncIteration
            if self._changed.is_set():  # else others wait for it already
                self._changed = trio.Event()
            await self._changed.wait()
        size, item = self.items.popleft()
        self.size -= size
        self._held.size -= size
        return size, item


class Recent(Sequence[T]):
    """What came without being asked for, such as ``me.errors``: the refusals of messages.

    A sequence, the newest last; the oldest are dropped beyond a thousand. ``async for`` takes them out as they come,
    until the connection is closed.
    """

    def __init__(self) -> None:
        self._items: deque[T] = deque(maxlen=RECENT_MAX)
        self._changed = trio.Event()
        self._closed = False

    def put(self, item: T) -> None:
        self._items.append(item)
        self._changed.set()

    def remove_last(self, condition: Callable[[T], bool]) -> T | None:
        """Take the newest item out, if it is one of these."""
        return self._items.pop() if self._items and condition(self._items[-1]) else None

    def close(self) -> None:
        self._closed = True
        self._changed.set()

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return list(self._items)[index]

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        await trio.lowlevel.checkpoint()
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            if self._changed.is_set():
                self._changed = trio.Event()
            await self._changed.wait()
        return self._items.popleft()
