"""What a session is sent of the topics it follows.

Publishers hand messages to the lanes at the tail (``_fastpath.Topic.publish``). A lane without room, and one with
history to read, catches up from the log. A cursor moves only past what the client's transport confirmed.
"""

from __future__ import annotations

import structlog

from aether._fastpath import Lane, Port
from aether.answers import Answer, refuse
from aether.errors import Code, StoreUnavailable
from aether.gateway.answering import Answers
from aether.gateway.catch_up import CatchUp
from aether.gateway.live import LiveSession
from aether.gateway.services import Services
from aether.gateway.subscriptions import Start, Subscription, Subscriptions
from aether.rpc.server import ServerCall

__all__ = ["Outbound"]

log = structlog.get_logger("aether.session")


class Outbound:
    """One session's lanes. Called by the port: :meth:`on_lane_behind`, :meth:`on_lane_overtaken`.

    :ivar subscriptions: the lanes.
    """

    __slots__ = (
        "_answers",
        "_call",
        "_catch_up",
        "_closed",
        "_followed",
        "_port",
        "_services",
        "_session",
        "subscriptions",
    )

    def __init__(
        self, session: LiveSession, call: ServerCall, port: Port, answers: Answers, services: Services
    ) -> None:
        self.subscriptions = Subscriptions(port, services.log, services.groups)
        self._session = session
        self._call = call
        self._port = port
        self._answers = answers
        self._services = services
        self._catch_up: CatchUp | None = None
        self._followed: dict[str, None] = {}  # most follow nothing: a quarter of an empty set's memory
        self._closed = False

    def on_lane_behind(self, lane: Lane) -> None:
        """A lane has no room or history to read: feed it from the log, at the reader's pace."""
        if self._closed:
            return
        if self._catch_up is None:
            self._catch_up = CatchUp(self._call, self._port, self._services.log)
        if self._catch_up.add(lane):
            self._session.start_soon(self._catch_up.run)

    def on_lane_overtaken(self, lane: Lane) -> None:
        """Messages left the log before the client read so far: it is told, and operators see it (routing 4.7)."""
        topic = str(lane.topic.name)
        self._services.observer.overtaken(topic)
        self._answers.put(
            Answer((refuse(Code.BACKPRESSURE, f"messages on {topic} became too old before they were read"),))
        )

    def follow(self, topic: str) -> None:
        """See :class:`aether.tasks.participants.LaneFollower`."""
        if topic not in self._followed:
            self._followed[topic] = None
            self._session.start_soon(self._follow, topic)

    async def _follow(self, topic: str) -> None:
        try:
            await self.subscriptions.open([Subscription(topic, Start.ALL)], self._session.identity)
        except StoreUnavailable:
            log.warning("lane not followed", topic=topic, identity=self._session.lock_key)
            self._followed.pop(topic, None)
        if topic not in self._followed:  # it was over before it began
            self.subscriptions.close([topic])
        self._services.flush_all()

    def unfollow(self, topic: str) -> None:
        self._followed.pop(topic, None)
        self.subscriptions.close([topic])

    def close(self) -> None:
        """Stop following topics and give up cursors; idempotent."""
        self._closed = True
        self._services.confirmations.forget(self._port)
        self.subscriptions.close_all()
