"""Tasks: creating them and waiting for them, working on them, following them (tasks 3 to 12)."""

from __future__ import annotations

import math
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import trio

from aether.client.errors import ConnectionLost, TaskFailed
from aether.client.inbox import Inbox
from aether.client.link import Link
from aether.client.operations import TaskOperations, milliseconds
from aether.client.progress import Progress
from aether.client.work import Work
from aether.proto import aether_pb2 as pb

__all__ = ["Retry", "Tasks"]

Op = pb.TaskOperation


@dataclass(frozen=True, slots=True)
class Retry:
    """When a task that failed is tried again (tasks 10).

    :ivar attempts: all in all.
    :ivar delay_s: before the second attempt. Each further delay is twice as long as the one before, up to
        ``delay_max_s`` (0: no limit), or the same if ``delay_max_s`` is ``delay_s``.
    :ivar schedule_s: each delay, instead; the last one is used again.
    :ivar jitter: part of the delay by which it may be longer or shorter, 0 to 1.
    """

    attempts: int = 3
    delay_s: float = 1.0
    delay_max_s: float = 0.0
    schedule_s: Sequence[float] = ()
    jitter: float = 0.0

    def policy(self) -> pb.RetryPolicy:
        """On the wire."""
        backoff = pb.BACKOFF_STRATEGY_EXPONENTIAL
        if self.schedule_s:
            backoff = pb.BACKOFF_STRATEGY_EXPLICIT_SCHEDULE
        elif self.delay_s <= 0 or self.delay_max_s == self.delay_s:
            backoff = pb.BACKOFF_STRATEGY_FIXED  # an exponential one has no delay of 0
        return pb.RetryPolicy(
            max_attempts=self.attempts,
            backoff=backoff,
            initial_delay_ms=milliseconds(self.delay_s),
            max_delay_ms=milliseconds(self.delay_max_s),
            jitter_factor=self.jitter,
            schedule_ms=[milliseconds(delay_s) for delay_s in self.schedule_s],
        )


class Tasks(TaskOperations):
    """``me.tasks``. Iterating it gives the tasks this principal is handed, in order; nobody else gets them meanwhile.

    >>> async for assignment in me.tasks:
    ...     async with me.tasks.claim(assignment) as work:
    ...         work.result = await do(work.payload)

    Reading, following, claiming, completing and a create with a key outlast a lost connection; the other operations
    raise ConnectionLost then, since they may have been carried out. Operations raise NotFound for a task that is not
    there or not this principal's business, and TaskRefused where its state does not allow them.
    """

    def __init__(self, link: Link, progress: Progress) -> None:
        super().__init__(link, progress)
        self._assigned = Inbox(link.held)
        self._assignments: dict[str, pb.TaskAssignment] = {}

    # ----------------------------------------------------------------------------------------------------- creating

    async def create(
        self,
        task_type: str = "",
        payload: bytes = b"",
        *,
        pool: str = "",
        target: str = "",
        workspace: str = "",
        metadata: Mapping[str, str] | None = None,
        priority: int = 0,
        task_class: int = 0,
        retry: Retry | pb.RetryPolicy | None = None,
        idempotency_key: str = "",
        parent: str = "",
        root: str = "",
        context_id: str = "",
        correlation_id: str = "",
        completion_event: pb.TaskCompletionEvent | None = None,
        launch_params: Mapping[str, str] | None = None,
        token_for: str = "",
        if_offline: int = pb.TARGET_OFFLINE_POLICY_UNSPECIFIED,
        authorization: pb.AuthorizationContext | None = None,
        downstream_hops: int = 0,
        schedule_id: str = "",
    ) -> pb.CreateTaskResponse:
        """A new task; it is durable when this returns.

        :param payload: for the worker, unchanged; 512 KiB at most unless the gateway is configured otherwise.
        :param pool: implementation whose workers may have it.
        :param target: identity string of the one worker that it is for; without either it is one's own.
        :param workspace: where it belongs; empty: the workspace of this principal.
        :param metadata: goes to the worker, and is shown to all who may see the task.
        :param priority: 10 to 50, 30 where 0 is given; 50 passes ahead of a pool's queue.
        :param task_class: one of ``TASK_CLASS_*``: how long its worker may be gone, and how long it may take.
        :param retry: have it done again when it fails; None: it fails for good.
        :param idempotency_key: a second create with it, within a day, gives the first one's task; so with one a lost
            connection is no reason to give up.
        :param parent: a task in this principal's hands that the new one is a part of; empty: the one its session is
            bound to, if any. ``root``, ``context_id`` and ``correlation_id`` are for finding what belongs together.
        :param completion_event: tell the workflow engine of the end.
        :param launch_params: of the target, where it has to be started.
        :param token_for: identity string that a task token is wanted for, in ``task_token`` of the answer.
        :param if_offline: one of ``TARGET_OFFLINE_POLICY_*``: start the target (default), keep the task for it, or
            refuse.
        :param authorization: on whose behalf, see :func:`aether.client.authority.on_behalf`; the worker must be able
            to pass it on ``downstream_hops`` times.
        :param schedule_id: where it comes from; only the workflow engine is believed.
        :raises RequestRefused: there is none; ``code`` and text say why.
        :raises ValueError: both a pool and a target are given.
        """
        if pool and target:
            raise ValueError("a task is for a pool or for a target, not for both")
        mode = pb.POOL if pool else pb.TARGETED if target else pb.SELF_ASSIGN
        request = pb.CreateTaskRequest(
            task_type=task_type,
            workspace=workspace,
            assignment_mode=mode,
            target_agent_id=target,
            target_implementation=pool,
            launch_param_overrides=launch_params or {},
            metadata=metadata or {},
            payload=payload,
            target_identity=token_for,
            task_class=task_class,  # type: ignore[arg-type]
            context_id=context_id,
            retry_policy=retry.policy() if isinstance(retry, Retry) else retry,
            priority=priority,  # type: ignore[arg-type]
            idempotency_key=idempotency_key,
            correlation_id=correlation_id,
            root_task_id=root,
            completion_event=completion_event,
            parent_task_id=parent,
            target_offline_policy=if_offline,  # type: ignore[arg-type]
            authorization=authorization,
            required_downstream_authority_hops=downstream_hops,
            originating_schedule_id=schedule_id,
        )
        ask = self._ask if idempotency_key else self._ask_once
        response: pb.CreateTaskResponse = await ask("create_task", request)
        return response

    async def run(self, task_type: str = "", payload: bytes = b"", **options: Any) -> pb.TaskInfo:
        """Create a task, wait for its end, and return it. Cancelling this cancels the task.

        :param options: as for :meth:`create`.
        :raises TaskFailed: it ended otherwise than completed.
        """
        key = options.setdefault("idempotency_key", uuid.uuid4().hex)
        task_id = ""
        try:
            task_id = (await self.create(task_type, payload, **options)).task_id
            task = await self.wait(task_id)
        finally:
            if trio.current_effective_deadline() == -math.inf:  # cancelled, however many exceptions that is in
                await self.see_to(partial(self._give_up, task_id, key, options.get("workspace", "")))
        if task.status != pb.TASK_STATUS_COMPLETED:
            raise TaskFailed(task)
        return task

    async def _give_up(self, task_id: str, key: str, workspace: str) -> None:
        if not task_id:
            # Whether it was created is not known: its key gives it back, or one that nobody is handed.
            task_id = (await self.create(workspace=workspace, idempotency_key=key)).task_id
        while True:
            try:
                await self.cancel(task_id, "nobody waits for it any more")
                return
            except ConnectionLost:
                await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------------------------------------------ working

    def __aiter__(self) -> AsyncIterator[pb.TaskAssignment]:
        return self

    async def __anext__(self) -> pb.TaskAssignment:
        return self._assignments.pop(await self._link.take(self._assigned))

    @asynccontextmanager
    async def claim(self, assignment: pb.TaskAssignment | str) -> AsyncIterator[Work]:
        """Work on a task: it runs while the block does, and ends with it.

        Leaving the block completes the task, an exception fails it with its text and goes on, and so does cancelling
        the block: a retry policy decides what comes of it. What the block ended, or hibernated, by the methods of
        :class:`~aether.client.work.Work` stays so. What is to be told at the end is told however long the gateway is
        away. When that is cancelled, it has five seconds more, and is then told while the connection goes on; if that
        ends too, the task's grace decides.

        When others end the task meanwhile, or its worker was gone for too long and another one has it, the block is
        cancelled and TaskLost raised. That is noticed after a second at the latest, while connected.

        :param assignment: what iterating gave, or the id of a task.
        :raises TaskRefused: somebody else has it, or it has ended.
        """
        if isinstance(assignment, str):
            assignment = pb.TaskAssignment(task_id=assignment)
        work = Work(self, assignment)
        async with work.held():
            yield work

    # ----------------------------------------------------------------------------------------- told by the connection

    def on_assignment(self, size: int, assignment: pb.TaskAssignment) -> None:
        """One that nobody has taken yet may be told again after a lost connection."""
        if assignment.task_id not in self._assignments:
            self._assigned.put(size, assignment.task_id)
        self._assignments[assignment.task_id] = assignment

    def close(self) -> None:
        self._assigned.close()
        self.watches.close()
