"""Lanes of a session that are not at the tail are fed from the log, at the pace of the reader (design 5)."""

from __future__ import annotations

from collections import deque

import trio

from aether._fastpath import Lane, Port
from aether.errors import StoreUnavailable
from aether.messaging.log import TopicLog
from aether.rpc.server import ServerCall

__all__ = ["CatchUp"]

READ_BYTES = 256 * 1024
RETRY_S = 1.0
"""Pause after a log that could not be read."""


class CatchUp:
    """Feeds the lanes of one session that are not at the tail; made when the first falls behind, one task while there
    are any."""

    def __init__(self, call: ServerCall, port: Port, log: TopicLog) -> None:
        self._call = call
        self._port = port
        self._log = log
        self._behind: deque[Lane] = deque()
        self.running = False

    def add(self, lane: Lane) -> bool:
        """Note a lane; True when :meth:`run` has to be started."""
        self._behind.append(lane)
        if self.running:
            return False
        self.running = True
        return True

    async def run(self) -> None:
        """Read in turns until every lane is live; lanes take turns so that none starves."""
        try:
            while self._behind:
                lane = self._behind.popleft()
                if lane in lane.topic.lanes and not await self._feed(lane):
                    self._behind.append(lane)
        finally:
            self.running = False

    async def _feed(self, lane: Lane) -> bool:
        """One page of one lane; True when the lane has joined the tail, or was left."""
        await self._call.wait_pending_below(max(1, self._port.high_water // 2))
        if lane not in lane.topic.lanes:
            return True
        last = lane.topic.last
        if lane.sent < last:
            try:
                page = await self._log.read(lane.topic.name, lane.sent, READ_BYTES)
            except StoreUnavailable:
                await trio.sleep(RETRY_S)
                return False
            if lane not in lane.topic.lanes:  # left meanwhile
                return True
            if not page:
                lane.sent = max(lane.sent, last)  # retention took everything up to there
            before = self._port.delivered
            for position, frame in page:
                if not lane.deliver(position, frame):
                    break
            self._port.replayed += self._port.delivered - before
            self._call.flush()
        # No checkpoint between this comparison and the switch: a publisher sees the lane either behind or live.
        if lane.sent >= lane.topic.last:
            lane.live = True
        return bool(lane.live)
