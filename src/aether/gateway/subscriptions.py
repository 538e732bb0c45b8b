"""Which topics a session follows, and from where (routing 4.1 and 4.2).

Ways to start a lane: *resume* continues at the committed cursor and begins with the whole retained log (or at a
hint); *tail* is like it but begins at the end, and stores that at once so that the first gap is not lost; *live*
keeps no cursor and follows from now on; *all* keeps none either, and begins at the start.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from aether._fastpath import Lane, Port
from aether.identity import Identity, PrincipalType
from aether.messaging.groups import Group, Groups, Worker
from aether.messaging.log import TopicLog
from aether.messaging.progress import ProgressFilter

__all__ = ["Start", "Subscription", "Subscriptions", "topics_of", "workspace_topics"]

LEFT_MAX = 64
"""Lanes a session has left and might come back to; of the oldest what was not confirmed may come again."""


class Start(enum.Enum):
    RESUME = "resume"
    TAIL = "tail"
    LIVE = "live"
    COMPETE = "compete"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Subscription:
    topic: str
    start: Start
    progress: bool = False


def topics_of(identity: Identity, *, competing: bool) -> list[Subscription]:
    """The automatic subscriptions of a principal, without those of a user's workspace."""
    own = Subscription(identity.topic, Start.RESUME)
    match identity.kind:
        case PrincipalType.AGENT:
            return [
                own,
                Subscription(f"ga::{identity.workspace}", Start.LIVE),
                Subscription(f"pg::{identity.workspace}", Start.TAIL, progress=True),
            ]
        case PrincipalType.TASK if identity.is_pool_task:
            pool = f"{identity.workspace}::{identity.implementation}"
            return [
                own,
                Subscription(f"tb::{pool}", Start.COMPETE if competing else Start.LIVE),
                Subscription(f"ta::{pool}::", Start.COMPETE),
            ]
        case PrincipalType.USER:
            return [
                own,
                Subscription(f"pg::us::{identity.id}", Start.TAIL, progress=True),
                Subscription(f"uu::{identity.id}", Start.TAIL),
            ]
        case PrincipalType.ORCHESTRATOR:
            return []
    return [own]


def workspace_topics(user: str, workspace: str) -> list[Subscription]:
    """What a user follows while on a workspace."""
    if not workspace:
        return []
    return [
        Subscription(f"gu::{workspace}", Start.TAIL),
        Subscription(f"uw::{user}::{workspace}", Start.TAIL),
        Subscription(f"pg::{workspace}", Start.TAIL, progress=True),
    ]


class Subscriptions:
    """The lanes of one session. Opening may wait for the log; closing never does.

    A lane that is left during the session is kept for a while: what it was sent may not be confirmed yet, and would
    come a second time if the session came back to the topic and began at the committed cursor.

    After :meth:`close_all` nothing is opened any more, nor what was being opened then: a session that ended meanwhile
    must not take messages from its successor.
    """

    def __init__(self, port: Port, log: TopicLog, groups: Groups) -> None:
        self._port = port
        self._log = log
        self._groups = groups
        self._lanes: dict[str, Lane] = {}
        self._left: dict[str, Lane] = {}
        self._workers: list[tuple[Group, Worker]] = []
        self._closed = False

    async def open(
        self, wanted: list[Subscription], identity: Identity, hint_ms: int = 0, tail: int | None = None
    ) -> None:
        """Open all or none.

        :param tail: position of the log at which those begin that begin now; None: the one it has by then.
        :param hint_ms: where a principal that never was here begins to resume, in Unix milliseconds (0: at the start).
        :raises StoreUnavailable: the log could not be read; nothing stays open.
        """
        opened: list[Lane] = []
        try:
            for subscription in wanted:
                if subscription.topic in self._lanes:
                    continue
                if subscription.start is Start.COMPETE:
                    worker = await self._groups.join(subscription.topic, self._port)
                    self._workers.append((worker.group, worker))
                else:
                    opened.append(await self._open_lane(subscription, identity, hint_ms, tail))
        except BaseException:
            for lane in opened:
                if self._left.get(lane.topic.name) is not lane:
                    lane.detach()
            raise
        if self._closed:
            self.close_all()  # groups that were joined meanwhile
            return
        for lane in opened:
            self._left.pop(lane.topic.name, None)
            self._lanes[lane.topic.name] = lane
            lane.attach()

    async def _open_lane(self, subscription: Subscription, identity: Identity, hint_ms: int, tail: int | None) -> Lane:
        name = subscription.topic
        if (left := self._left.get(name)) is not None:
            return left
        consumer = identity.key
        keeps_cursor = subscription.start not in (Start.LIVE, Start.ALL)
        position = await self._log.load_cursor(name, consumer) if keeps_cursor else None
        topic = self._log.topic(name)
        if position is None:
            position = topic.last if tail is None else min(topic.last, tail)
            if subscription.start in (Start.RESUME, Start.ALL):
                position = await self._log.first_at_or_after(name, hint_ms) if hint_ms else 0
            if subscription.start is Start.TAIL:
                self._log.commit_cursor(name, consumer, position)
        accepts: Callable[[bytes], bool] | None = ProgressFilter(identity.topic) if subscription.progress else None
        commit = self._log.commit_cursor if keeps_cursor else None
        return Lane(topic, self._port, position, consumer, commit, accepts)

    def count(self) -> tuple[int, int]:
        """Topics that are followed, and those of them that wait for the reader."""
        behind = sum(not lane.live for lane in self._lanes.values())
        return len(self._lanes) + len(self._workers), behind

    def close(self, names: list[str]) -> None:
        """Leave some topics."""
        for name in names:
            lane = self._lanes.pop(name, None)
            if lane is None:
                continue
            if lane.keeps_cursor:
                lane.leave()
                self._left[name] = lane
            else:
                lane.detach()
        while len(self._left) > LEFT_MAX:
            self._left.pop(next(iter(self._left))).detach()

    def close_all(self) -> None:
        """Leave every topic and group, and give up their cursors, for good; idempotent."""
        self._closed = True
        for lane in (*self._lanes.values(), *self._left.values()):
            lane.detach()
        self._lanes.clear()
        self._left.clear()
        workers, self._workers = self._workers, []
        for group, worker in workers:
            group.leave(worker)
