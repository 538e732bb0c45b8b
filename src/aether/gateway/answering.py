"""Answers and notices for one client, in order, each once it may be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import trio

from aether._fastpath import Port
from aether.answers import Answer
from aether.gateway.commits import Commits
from aether.gateway.refusals import uncertain
from aether.rpc.server import ServerCall

__all__ = ["UNREAD_BYTES_MAX", "Answers"]

UNREAD_BYTES_MAX = 4 * 1024 * 1024
"""Answers a client may leave unread before the gateway handles no more of its requests."""


class Waiting(NamedTuple):
    """An answer that waits for the disk, and what it answers."""

    ticket: int
    answer: Answer
    kind: str | None
    operation: Any


class Answers:
    """Answers of one session, in request order, each not before its ticket is durable.

    An answer also waits for the messages the session sent before it: whoever reads it knows that those are safe.

    :ivar waiting: answers that wait for the disk, in order.
    :ivar on_full: called when more is unread than may be, after each answer.
    """

    __slots__ = (
        "_call",
        "_commits",
        "_durability",
        "_port",
        "_sent",
        "_ticket",
        "_waiting_bytes",
        "on_full",
        "waiting",
    )

    def __init__(self, call: ServerCall, port: Port, commits: Commits) -> None:
        self._call = call
        self._port = port
        self._commits = commits
        self._durability = commits.durability
        self._ticket = 0
        self._waiting_bytes = 0
        self._sent: trio.Event | None = None
        self.on_full: Callable[[], None] = _do_nothing
        self.waiting: list[Waiting] = []  # mostly empty, and a deque takes ten times as much then

    def put(self, answer: Answer, kind: str | None = None, operation: Any = None) -> None:
        """Send now, or once the store has what it rests on; one without frames only waits for what came before it.

        :param kind: of the operation that is answered, as :func:`aether.gateway.refusals.uncertain` takes it; None for
            a notice, which is sent once it is safe, however long commits fail.
        """
        if self._port.published:
            self._port.published = False
            self._ticket = max(self._ticket, self._durability.latest_ticket)
        ticket = max(self._ticket, answer.ticket)
        if not self.waiting and ticket <= self._durability.committed:
            self._send(answer)
        else:
            self.waiting.append(Waiting(ticket, answer, kind, operation))
            self._waiting_bytes += sum(map(len, answer.frames))
            self._commits.waiting.add(self)
        if self._waiting_bytes + self._call.pending > UNREAD_BYTES_MAX:
            self.on_full()

    async def wait_room(self) -> None:
        """Until half of what may be unread has left."""
        while self._waiting_bytes + self._call.pending > UNREAD_BYTES_MAX // 2:
            if self.waiting:
                self._commits.wanted = True
                self._sent = trio.Event()
                self._commits.flush()
                await self._sent.wait()
            else:
                await self._call.wait_pending_below(UNREAD_BYTES_MAX // 2)

    def after_all(self, then: Callable[[], None]) -> None:
        """Call something once every answer is out and every message before it durable, and see to it that they are."""
        self.put(Answer((), on_sent=then))
        if self.waiting:
            self._commits.wanted = True

    def on_durable(self) -> None:
        """Send what the last commit made safe."""
        committed = self._durability.committed
        safe = 0
        for item in self.waiting:
            if item.ticket > committed:
                break
            self._send(item.answer)
            safe += 1
        del self.waiting[:safe]
        self._on_sent()

    def on_commit_failed(self) -> None:
        """Tell whoever waits that the outcome is open: the store goes on trying, but nobody knows for how long. What
        answers nothing goes on waiting, and so does the end after a half-close."""
        committed = self._durability.committed
        waiting, self.waiting = self.waiting, []
        for item in waiting:
            answer = item.answer
            if item.ticket <= committed:
                self._send(answer)
            elif answer.in_doubt is not None:
                self._send(Answer(answer.in_doubt()))
            elif item.kind is not None:
                self._send(Answer(uncertain(item.kind, item.operation, answer)))
            else:
                self.waiting.append(item)
        self._on_sent()

    def _on_sent(self) -> None:
        """Some that waited are out, or none could be."""
        self._waiting_bytes = sum(len(frame) for item in self.waiting for frame in item.answer.frames)
        if not self.waiting:
            self._commits.waiting.discard(self)
        if self._sent is not None:
            self._sent.set()

    def close(self) -> None:
        """Nobody is there to be told; idempotent."""
        self._commits.waiting.discard(self)

    def _send(self, answer: Answer) -> None:
        for frame in answer.frames:
            self._call.send(frame)
        if answer.on_sent is not None:
            answer.on_sent()


def _do_nothing() -> None: ...
