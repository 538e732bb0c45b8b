"""Following tasks: subscriptions to their events (tasks 12.4).

An event is stored in the batch of the change it tells of. A watch at the tail gets it as it happens, after that batch
is durable; a watch that begins in the past, or whose session has no room, reads the stored events first and joins the
tail without gap or repeat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

import trio

from aether.answers import Answer, refuse
from aether.errors import Code, StoreUnavailable
from aether.proto import aether_pb2 as pb
from aether.tasks.book import TaskBook
from aether.tasks.model import Task
from aether.tasks.store import Filter, TaskEvent, TaskStore
from aether.tasks.wire import authority_request_frame, event_frame, progress_frame

__all__ = ["Follower", "Watch", "Watches"]

PAGE = 500
RETRY_S = 1.0
DEPTH_MAX = 64
"""Generations that a recursive watch looks down."""
FAMILY_MAX = 10_000
REVIEWED_AT_ONCE = 100
LATER_MAX = 64


class Follower(Protocol):
    """A session that follows tasks."""

    @property
    def session_id(self) -> str: ...

    @property
    def has_room(self) -> bool: ...

    async def wait_room(self) -> None:
        """Until it takes more."""

    def put(self, answer: Answer) -> None: ...

    def start_soon(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """Run something as long as the session lasts."""


class Watch:
    """One subscription.

    :ivar position: number of the last event it was sent, or was not to be sent.
    :ivar missed: something happened while it was reading.
    :ivar later: what is not kept and came while it was reading, the newest of each kind.
    :ivar is_shedding: what is not kept is left out until the follower reads on, and it was told so.
    """

    def __init__(
        self, watch_id: str, follower: Follower, task_id: str, position: int, since_ms: int, *, recursive: bool
    ) -> None:
        self.watch_id = watch_id
        self.follower = follower
        self.task_id = task_id
        self.recursive = recursive
        self.position = position
        self.since_ms = since_ms
        self.is_live = False
        self.missed = False
        self.is_shedding = False
        self.later: dict[str, bytes] = {}


class Watches:
    """All subscriptions of a gateway.

    :param on_shed: told each time that something was left out for a follower that does not read.
    """

    def __init__(self, book: TaskBook, store: TaskStore, on_shed: Callable[[], None] = lambda: None) -> None:
        self._on_shed = on_shed
        self._book = book
        self._store = store
        self._by_id: dict[str, Watch] = {}
        self._by_task: dict[str, dict[str, Watch]] = {}
        self._by_session: dict[str, dict[str, None]] = {}
        self._recursive = 0
        self._last = store.last_event()

    def count(self, session_id: str) -> int:
        return len(self._by_session.get(session_id, ()))

    def open(self, watch: Watch) -> None:
        """Begin; what it is sent first is put into the follower's queue after what is there already."""
        self._by_id[watch.watch_id] = watch
        self._by_task.setdefault(watch.task_id, {})[watch.watch_id] = watch
        self._by_session.setdefault(watch.follower.session_id, {})[watch.watch_id] = None
        self._recursive += watch.recursive
        if watch.since_ms:
            watch.follower.start_soon(self._catch_up, watch)
        else:
            watch.is_live = True

    def close(self, session_id: str, watch_id: str) -> None:
        """End a subscription of a session; anything else is left alone."""
        watch = self._by_id.get(watch_id)
        if watch is None or watch.follower.session_id != session_id:
            return
        del self._by_id[watch_id]
        self._recursive -= watch.recursive
        for index, key in ((self._by_task, watch.task_id), (self._by_session, session_id)):
            entries: dict[str, Any] = index[key]
            del entries[watch_id]
            if not entries:
                del index[key]

    def close_session(self, session_id: str) -> None:
        for watch_id in list(self._by_session.get(session_id, ())):
            self.close(session_id, watch_id)

    async def review(self, may_follow: Callable[[Any, Task], bool]) -> None:
        """End the subscriptions to tasks that their sessions may no longer follow, a few at a time.

        :raises StoreUnavailable: it cannot be decided now.
        """
        for number, watch in enumerate(list(self._by_id.values()), start=1):
            task = self._book.get(watch.task_id)
            if watch.watch_id in self._by_id and task is not None and not may_follow(watch.follower, task):
                self.close(watch.follower.session_id, watch.watch_id)
            if number % REVIEWED_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------------------------------------------- events

    def on_event(self, task: Task, event: TaskEvent, ticket: int) -> None:
        """Tell those who follow the task."""
        self._last = event.number
        if not self._by_id:
            return
        for watch in self._watching(task):
            if not watch.is_live:
                watch.missed = True
            elif watch.follower.has_room:
                watch.position = event.number
                watch.follower.put(Answer((event_frame(event, watch.watch_id),), ticket))
            else:
                watch.is_live = False
                watch.missed = True
                watch.follower.start_soon(self._catch_up, watch)

    def on_progress(self, task: Task, report: pb.ProgressReport, now_ms: int) -> None:
        """Progress is for those who watch just now, and not kept: a newer report replaces it."""
        for watch in self._watching(task) if self._by_id else ():
            self._tell_now(watch, task.task_id, progress_frame(task, report, now_ms, watch.watch_id))

    def on_authority_request(self, task: Task, event: pb.AuthorityRequestEvent, now_ms: int) -> None:
        """News of a request that names the task, for those who watch just now: the request itself is kept elsewhere."""
        for watch in self._watching(task) if self._by_id else ():
            frame = authority_request_frame(task, event, now_ms, watch.watch_id)
            self._tell_now(watch, f"{event.request.request_id} {event.event_type}", frame)

    def _tell_now(self, watch: Watch, kind: str, frame: bytes) -> None:
        """Now, or once what is stored has been read; a follower that has no room is told once that there was something
        (routing 4.7).

        :param kind: what a newer one replaces.
        """
        if watch.follower.has_room and watch.is_live:
            watch.is_shedding = False
            watch.follower.put(Answer((frame,)))
            return
        if watch.follower.has_room and (kind in watch.later or len(watch.later) < LATER_MAX):
            watch.later[kind] = frame
            return
        self._on_shed()
        if not watch.is_shedding and not watch.follower.has_room:
            watch.is_shedding = True
            text = f"progress of task {watch.task_id} is left out until what was sent before it has been read"
            watch.follower.put(Answer((refuse(Code.BACKPRESSURE, text),)))

    def _watching(self, task: Task) -> Iterator[Watch]:
        """Those who follow a task or, in the same workspace, one that it is a part of: for parts elsewhere the right to
        the whole says nothing."""
        yield from list(self._by_task.get(task.task_id, {}).values())
        above: Task | None = task
        for _ in range(DEPTH_MAX):
            if not self._recursive or above is None or not above.parent_task_id:
                return
            above = self._book.get(above.parent_task_id)
            if above is None or above.workspace != task.workspace:
                continue
            for watch in list(self._by_task.get(above.task_id, {}).values()):
                if watch.recursive:
                    yield watch

    async def _catch_up(self, watch: Watch) -> None:
        """Send stored events until there is none that was not sent."""
        while watch.watch_id in self._by_id and not watch.is_live:
            await watch.follower.wait_room()
            try:
                await self._send_page(watch)
            except StoreUnavailable:
                await trio.sleep(RETRY_S)

    async def _send_page(self, watch: Watch) -> None:
        """Some of what is stored; once that is nothing, the watch is at the tail."""
        watch.missed = False
        horizon = self._last  # what happens later may be about a descendant that is not known yet
        ids = [watch.task_id]
        if watch.recursive and (task := self._book.get(watch.task_id)) is not None:
            here = frozenset([task.workspace])
            family = Filter(workspaces=here, parent_task_id=watch.task_id, descendants=True)
            ids += [part.task_id for part in await self._store.query(family, FAMILY_MAX)]
        stored = await self._store.events(ids, watch.position, watch.since_ms, PAGE)
        if watch.watch_id not in self._by_id:
            return
        page = [event for event in stored if event.number <= horizon]
        for event in page:
            watch.position = event.number
            watch.follower.put(Answer((event_frame(event, watch.watch_id),)))
        # No checkpoint between this comparison and the switch: what happens is either stored and read, or told.
        if not page and not watch.missed:
            watch.is_live = True
            later, watch.later = watch.later, {}
            for frame in later.values():
                watch.follower.put(Answer((frame,)))
