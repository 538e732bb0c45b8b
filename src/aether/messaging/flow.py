"""Who sent how many messages to whom within the last hour, for the picture of a workspace (tasks 19, weakness 50).

An :class:`Edge` is a counter that the compiled message path increments; the routes of sessions hold theirs. Here they
are found again, for as long as something was counted, whether or not the sender is still connected.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import trio

from aether._fastpath import Edge

__all__ = ["EDGES_MAX", "Flow", "Sent"]

STEP_S = 300.0
STEPS = 12
"""An hour, in steps of five minutes."""
EDGES_MAX = 10_000
"""Pairs that are counted at a time; what other pairs send is not in the picture."""


class Sent(NamedTuple):
    """Messages of a sender to a topic."""

    source: str
    topic: str
    messages: int


class Flow:
    """The counters of all workspaces of this gateway."""

    def __init__(self) -> None:
        self._edges: dict[str, dict[tuple[str, str], Edge]] = {}
        self._past: dict[Edge, deque[int]] = {}

    def edge(self, workspace: str, source: str, topic: str) -> Edge:
        """The counter of a pair; one that nobody reads when there are too many."""
        edges = self._edges.get(workspace)
        edge = edges.get((source, topic)) if edges is not None else None
        if edge is not None:
            return edge
        edge = Edge()
        if len(self._past) < EDGES_MAX:
            self._edges.setdefault(workspace, {})[source, topic] = edge
            self._past[edge] = deque(maxlen=STEPS - 1)
        return edge

    def sent(self, workspace: str) -> list[Sent]:
        """Every pair of a workspace that was counted within the hour, the busiest first."""
        edges = self._edges.get(workspace, {}).items()
        counted = [Sent(source, topic, edge.count + sum(self._past[edge])) for (source, topic), edge in edges]
        return sorted((sent for sent in counted if sent.messages), key=lambda sent: -sent.messages)

    def step(self) -> None:
        """Five minutes are over: begin to count anew, and forget pairs that were silent for an hour."""
        for workspace, edges in list(self._edges.items()):
            for pair, edge in list(edges.items()):
                past = self._past[edge]
                past.append(edge.count)
                edge.count = 0
                if not any(past):
                    del edges[pair], self._past[edge]
                    edge.expired = True
            if not edges:
                del self._edges[workspace]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let time pass, for ever."""
        task_status.started()
        while True:
            await trio.sleep(STEP_S)
            self.step()
