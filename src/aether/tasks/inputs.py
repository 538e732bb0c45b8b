"""Tasks that wait for a message (tasks 11.2; weakness 13)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import trio
from google.protobuf.message import DecodeError

from aether._fastpath import Lane
from aether.errors import StoreUnavailable
from aether.identity import InvalidIdentity, parse_identity
from aether.messaging.log import TopicLog
from aether.proto import aether_pb2 as pb
from aether.tasks import machine
from aether.tasks.book import TaskBook, Transition
from aether.tasks.model import Status, Task, WaitSpec
from aether.tasks.participants import lane_of

__all__ = ["Inputs"]

PREFIX_BYTES = 5
RETRY_S = 1.0


class Inputs:
    """An observer of the book that listens for waiting tasks, on the topic of the worker and on the task's own. Nothing
    is listened to while no task waits, so messages cost nothing more.

    :param flush: sends what the changes put into the queues of sessions.
    """

    def __init__(self, book: TaskBook, log: TopicLog, flush: Callable[[], None]) -> None:
        self._book = book
        self._log = log
        self._flush = flush
        self._ears: dict[str, list[Lane]] = {}
        self._heard: deque[tuple[str, WaitSpec | None]] = deque()
        self._wake = trio.Event()
        for task in book:
            self._listen(task)

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book."""
        for lane in self._ears.pop(transition.task.task_id, ()):
            lane.detach()
        self._listen(transition.task)

    def _listen(self, task: Task) -> None:
        if task.status is not Status.WAITING_INPUT:
            return
        names = [lane_of(task)]
        try:
            names.append(parse_identity(task.worker).topic)
        except InvalidIdentity:
            pass  # it has no worker
        self._ears[task.task_id] = [self._ear(task, name) for name in names if name]

    def _ear(self, task: Task, name: str) -> Lane:
        """A lane at the tail that takes nothing."""
        topic = self._log.topic(name)
        wait, task_id = task.wait, task.task_id

        def accepts(frame: bytes) -> bool:
            if self._is_awaited(task, frame):
                # Not here: whoever publishes is in the middle of it.
                self._heard.append((task_id, wait))
                self._wake.set()
            return False

        lane = Lane(topic, None, topic.last, accepts=accepts)
        lane.attach()
        return lane

    def _is_awaited(self, task: Task, frame: bytes) -> bool:
        """Whether a frame is a message that the task waits for."""
        wait = task.wait
        try:
            message = pb.DownstreamMessage.FromString(frame[PREFIX_BYTES:])
        except DecodeError:
            return False
        if wait is None or not message.HasField("msg"):
            return False
        sender, wanted = message.msg.source_topic, wait.expected_principal
        if wanted and sender != wanted and not (wanted.startswith("us::") and sender.startswith(f"{wanted}::")):
            return False
        known = {"workspace": message.msg.workspace, "source_topic": sender}
        return all(known.get(name) == value for name, value in wait.input_match.items())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let tasks go on whose message came, for ever."""
        task_status.started()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            try:
                while self._heard:
                    task_id, wait = self._heard[0]
                    task = self._book.get(task_id)
                    # The wait it was heard for: other changes of the record, such as a sign of life, do not end it.
                    if task is not None and task.wait is wait and task.status is Status.WAITING_INPUT:
                        self._book.change(task, machine.resume(task), "input")
                    self._heard.popleft()
            except StoreUnavailable:
                self._wake.set()
                await trio.sleep(RETRY_S)
            self._flush()
