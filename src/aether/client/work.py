"""A task in hand: what a worker does with it, and what its end means (tasks 6, 9, 11)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from aether.client.errors import ClientError, ConnectionLost, NotFound, RequestRefused, TaskLost, TaskRefused
from aether.client.operations import TERMINAL, TaskOperations
from aether.client.watch import PAUSE_S, Watch
from aether.nurseries import unwrapped_nursery
from aether.proto import aether_pb2 as pb

__all__ = ["Work"]

Op = pb.TaskOperation

NOT_OURS = TERMINAL | {pb.TASK_STATUS_QUEUED}
"""A task with this status is in nobody's hands, or in those of another worker that has not begun."""
CANCELLED = "the worker was cancelled"
FOLLOW_AFTER_S = 1.0
"""Blocks that are done within this time need not know what happens to their task meanwhile."""


class Work:
    """A task in hand; see :meth:`aether.client.tasks.Tasks.claim`.

    :ivar assignment: what the worker was handed; only with ``task_id`` for a task that was claimed by its id.
    :ivar info: the task when it began, or went on.
    :ivar result: summary that the task is completed with, 4 KiB at most.
    """

    def __init__(self, tasks: TaskOperations, assignment: pb.TaskAssignment) -> None:
        self._tasks = tasks
        self.assignment = assignment
        self.info = pb.TaskInfo(task_id=assignment.task_id)
        self.result = ""
        self._is_ending = False
        self._was_told = False

    @property
    def task_id(self) -> str:
        return self.assignment.task_id

    @property
    def payload(self) -> bytes:
        """What the creator sent along; empty for a task that was claimed by its id."""
        return self.assignment.payload

    @property
    def metadata(self) -> Mapping[str, str]:
        return self.info.metadata

    @property
    def checkpoint_key(self) -> str:
        """Where a task that was hibernated left its state; empty for others."""
        return self.assignment.checkpoint_key

    async def progress(self, state: str, completion: float = -1.0, summary: str = "") -> None:
        """A sign of life, and news for those who follow the task; ``completion`` from 0 to 1, -1: unknown."""
        await self._tasks.report(self.task_id, state, completion, summary)

    # ------------------------------------------------------------------------------------------------------ waiting

    async def pause(self, **options: Any) -> None:
        """Wait for a message, or for somebody's RESUME; returns when the task runs again. As ``me.tasks.pause``.

        :raises TaskLost: it ended meanwhile.
        """
        async with self._tasks.watch(self.task_id) as events:
            await self._until_running(events, await self._tasks.pause(self.task_id, **options))

    async def wait_for(self, others: Iterable[str], **options: Any) -> None:
        """Pause until other tasks have ended; returns when this one runs again. See :meth:`.TaskOperations.wait_for`.

        :raises TaskLost: it ended meanwhile.
        """
        async with self._tasks.watch(self.task_id) as events:
            await self._until_running(events, await self._tasks.wait_for(self.task_id, others, **options))

    async def _until_running(self, events: Watch, task: pb.TaskInfo) -> None:
        while task.status != pb.TASK_STATUS_RUNNING:
            if task.status in NOT_OURS:
                raise self._lost(task)
            with self._tasks.awaiting():
                await events.next_status()
            task = await self._tasks.get(self.task_id)
        self.info = task

    # ---------------------------------------------------------------------------------------------------------- end

    async def complete(self, result: str = "") -> None:
        """End it now, before the block does."""
        await self._tell(Op.COMPLETE, result or self.result)

    async def fail(self, reason: str) -> None:
        """End it so, before the block does; a retry policy may have it done again."""
        await self._tell(Op.FAIL, reason)

    async def hibernate(self, checkpoint_key: str, **options: Any) -> None:
        """Give it up until it is woken; the block should end now. See :meth:`.TaskOperations.hibernate`."""
        self._is_ending = True
        try:
            while True:
                try:
                    await self._tasks.hibernate(self.task_id, checkpoint_key, **options)
                    return
                except ConnectionLost:
                    if (await self._tasks.get(self.task_id)).status != pb.TASK_STATUS_RUNNING:
                        return
        except trio.Cancelled:
            await self._tasks.see_to(partial(self._fail_if, pb.TASK_STATUS_RUNNING))
            raise
        except RequestRefused:
            self._is_ending = False
            raise

    # -------------------------------------------------------------------------------------------------------- block

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Begin, and end as the block does."""
        await self._begin()
        try:
            async with unwrapped_nursery() as nursery:
                nursery.start_soon(self._follow)
                yield
                if not self._is_ending:
                    await self.complete()
                nursery.cancel_scope.cancel()
        except BaseException as error:
            await self._let_go(error)
            raise

    async def _begin(self) -> None:
        try:
            self.info = await self._tasks.begin(self.task_id)
        except trio.Cancelled:
            # What was handed to this worker stays with it, whether it begins or not.
            handed = [pb.TASK_STATUS_QUEUED] if self.assignment.assigned_to else []
            await self._tasks.see_to(partial(self._fail_if, pb.TASK_STATUS_RUNNING, *handed))
            raise

    async def _fail_if(self, *statuses: int) -> None:
        """It is not known whether the last operation was carried out."""
        task = await self._tasks.get(self.task_id)
        if task.status in statuses:
            self.info = task
            await self._say(Op.FAIL, CANCELLED)

    async def _follow(self) -> None:
        """Watch for others to end the task, or have it given to another worker.

        :raises TaskLost: so it happened.
        """
        await trio.sleep(FOLLOW_AFTER_S)
        try:
            async with self._tasks.watch(self.task_id) as events:
                task = await self._tasks.get(self.task_id)
                while task.status not in NOT_OURS and task.assigned_to == self.info.assigned_to:
                    await events.next_status()
                    task = await self._tasks.get(self.task_id)
        except NotFound:
            task = self.info  # for a worker that lost it, it is not there any more
        except RequestRefused:
            return  # too many subscriptions: the end of the block will tell
        if self._is_ending:
            await trio.sleep_forever()
        raise self._lost(task)

    async def _let_go(self, error: BaseException) -> None:
        if self._is_ending:
            return
        if isinstance(error, Exception):
            try:
                await self.fail(_text(error))
            except ClientError:
                pass  # it has ended otherwise
        else:  # who is to have the task next should not have to wait until this worker is gone
            self._is_ending = True
            await self._tasks.see_to(partial(self._say, Op.FAIL, CANCELLED))

    async def _tell(self, op: int, text: str) -> None:
        """End the task, however long the gateway is away. When this is cancelled, it has a few seconds more.

        :raises TaskLost: it has ended otherwise, or somebody else has it.
        """
        self._is_ending = True
        try:
            await self._say(op, text)
        except trio.Cancelled:
            await self._tasks.see_to(partial(self._say, op, text))
            raise
        except (TaskRefused, NotFound) as refusal:
            raise TaskLost(refusal.code, refusal.message) from None

    async def _say(self, op: int, text: str) -> None:
        while True:
            try:
                if self._was_told and op == Op.FAIL and await self._has_failed():
                    return
                self._was_told = True
                await self._tasks.operate(op, self.task_id, text)
                return
            except ConnectionLost:
                await trio.lowlevel.checkpoint()
            except RequestRefused as refusal:
                if not refusal.retryable:
                    raise
                await trio.sleep(max(PAUSE_S, refusal.retry_after_ms / 1000))

    async def _has_failed(self) -> bool:
        """FAIL without an answer may have been carried out. A second one would be of the next attempt."""
        task = await self._tasks.get(self.task_id)
        return task.attempt != self.info.attempt or task.status in TERMINAL

    def _lost(self, task: pb.TaskInfo) -> TaskLost:
        self._is_ending = True
        status = pb.TaskStatus.Name(task.status).removeprefix("TASK_STATUS_").lower()
        told = f"{status}: {task.error}" if task.error else status
        return TaskLost("TASK_LOST", f"task {self.task_id} is not ours any more: {told}")


def _text(error: BaseException) -> str:
    """What a failure is about: of a lone exception in groups that one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return str(error) or type(error).__name__
