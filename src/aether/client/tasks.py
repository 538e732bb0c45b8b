"""Tasks: creating them and waiting for them, working on them, following them (tasks 3 to 12)."""

from __future__ import annotations

import math
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from aether.client.errors import ClientError, ConnectionLost, RequestRefused, TaskFailed
from aether.client.inbox import Held, Inbox
from aether.client.watch import PAUSE_S, Watch, Watches, task_refusal
from aether.client.work import TERMINAL, Work
from aether.proto import aether_pb2 as pb

if TYPE_CHECKING:
    from aether.client.connection import Connection

__all__ = ["Retry", "Tasks", "is_final"]

Op = pb.TaskOperation

_REPEATABLE = frozenset({Op.CLAIM, Op.COMPLETE, Op.WAIT_FOR})
"""Operations whose second time has no effect, so that they outlast a lost connection. FAIL is none of them: it may have
led to the next attempt, which is not to fail."""
GOODBYE_S = 5.0
"""How long the end of a block may take to reach the gateway when the block is cancelled; then it goes on beside."""
PAGE = 200


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
            initial_delay_ms=_ms(self.delay_s),
            max_delay_ms=_ms(self.delay_max_s),
            jitter_factor=self.jitter,
            schedule_ms=[_ms(delay_s) for delay_s in self.schedule_s],
        )


class Tasks:
    """``me.tasks``. Iterating it gives the tasks this principal is handed, in order; nobody else gets them meanwhile.

    >>> async for assignment in me.tasks:
    ...     async with me.tasks.claim(assignment) as work:
    ...         work.result = await do(work.payload)

    Reading, following, claiming, completing and a create with a key outlast a lost connection; the other operations
    raise ConnectionLost then, since they may have been carried out. Operations raise NotFound for a task that is not
    there or not this principal's business, and TaskRefused where its state does not allow them.
    """

    def __init__(self, connection: Connection, held: Held) -> None:
        self._connection = connection
        self._assigned = Inbox(held)
        self._assignments: dict[str, pb.TaskAssignment] = {}
        self.watches = Watches(connection, held)

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
        """
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

    def awaiting(self) -> AbstractContextManager[None]:
        """See :meth:`aether.client.connection.Connection.awaiting`."""
        return self._connection.awaiting()

    async def see_to(self, errand: Callable[[], Awaitable[None]]) -> None:
        """Do something although this is cancelled: a few seconds here, then beside what the connection is used for."""
        with trio.move_on_after(GOODBYE_S, shield=True) as scope:
            await _settle(errand)
        if scope.cancelled_caught and self._connection.background is not None:
            self._connection.background.start_soon(_settle, errand)

    async def wait(self, task_id: str) -> pb.TaskInfo:
        """The task once it has ended for good: one that will be tried again has not."""
        async with self.watch(task_id) as events:
            task = await self.get(task_id)
            while not is_final(task):
                with self.awaiting():
                    while (await events.next_status()).status_changed.to_status not in TERMINAL:
                        pass
                task = await self.get(task_id)
            return task

    # ------------------------------------------------------------------------------------------------------ looking

    async def get(self, task_id: str) -> pb.TaskInfo:
        """What is known of it; its payload is for its worker alone."""
        response = await self._ask("task_query", pb.TaskQuery(op=pb.TaskQuery.GET, task_id=task_id))
        task: pb.TaskInfo = response.task
        return task

    def find(self, *, limit: int = 0, **wanted: Any) -> AsyncIterator[pb.TaskInfo]:
        """Tasks by the fields of ``TaskFilter``, latest change first; read in pages, as they are needed.

        :param limit: at most so many; 0: all.
        :param wanted: such as ``workspace="w"``, ``statuses=[...]`` or ``parent_task_id=...``.
        """
        return _Found(self._ask, wanted, limit)

    def watch(self, task_id: str, *, recursive: bool = False, since_ms: int = 0) -> AbstractAsyncContextManager[Watch]:
        """Follow a task, across lost connections, without gap or repeat of its status events.

        The block gets an iterator of ``TaskEvent``. Progress is told to who watches at the moment.

        :param recursive: and everything below it.
        :param since_ms: begin with the events since this Unix time in milliseconds, 1: with all; 0: with what comes.
        :raises NotFound: it is not there, or not this principal's business.
        """
        return self.watches.open(task_id, recursive=recursive, since_ms=since_ms)

    # ---------------------------------------------------------------------------------------------------- operating

    async def begin(self, task_id: str) -> pb.TaskInfo:
        """CLAIM: this principal works on the task from now on. See :meth:`claim` for the usual way."""
        return await self._operate(Op.CLAIM, task_id)

    async def complete(self, task_id: str, result: str = "") -> pb.TaskInfo:
        """:param result: a summary that is kept with the task, 4 KiB at most."""
        return await self._operate(Op.COMPLETE, task_id, result)

    async def fail(self, task_id: str, reason: str = "") -> pb.TaskInfo:
        """An attempt failed; a task with a retry policy is then pending again."""
        return await self._operate(Op.FAIL, task_id, reason)

    async def cancel(self, task_id: str, reason: str = "") -> pb.TaskInfo:
        """Nobody wants it any more. A worker that has it in hand in a block of :meth:`claim` has that cancelled."""
        return await self._operate(Op.CANCEL, task_id, reason)

    async def reject(self, task_id: str, reason: str = "") -> pb.TaskInfo:
        """Decline what has not begun."""
        return await self._operate(Op.REJECT, task_id, reason)

    async def retry(self, task_id: str) -> pb.TaskInfo:
        """Have it done again, after it failed or was cancelled."""
        return await self._operate(Op.RETRY, task_id)

    async def resume(self, task_id: str) -> pb.TaskInfo:
        """End a wait, whatever for."""
        return await self._operate(Op.RESUME, task_id)

    async def pause(
        self,
        task_id: str,
        *,
        expected: str = "",
        matching: Mapping[str, str] | None = None,
        authority_request: str = "",
        timeout_s: float = 0,
        wake_at_ms: int = 0,
        reason: str = "",
    ) -> pb.TaskInfo:
        """Wait for a message to the worker or to the task's lane, or for a decision, or for :meth:`resume`.

        :param expected: only a message from this identity, or ``us::{user}``.
        :param matching: only one with this ``workspace`` and ``source_topic``.
        :param authority_request: wait for this request to be approved, not for a message; a denial fails the task.
        :param timeout_s: then the task fails; 0: never.
        :param wake_at_ms: go on at this Unix time in milliseconds.
        """
        wait = pb.WaitSpec(
            reason=pb.WAIT_REASON_AUTHORITY if authority_request else pb.WAIT_REASON_INPUT,
            expected_principal=expected,
            input_match=matching or {},
            authority_request_id=authority_request,
            timeout_ms=_ms(timeout_s),
            scheduled_wake_unix_ms=wake_at_ms,
        )
        return await self._operate(Op.PAUSE, task_id, reason, wait)

    async def wait_for(
        self, task_id: str, others: Iterable[str], *, any_of_them: bool = False, timeout_s: float = 0
    ) -> pb.TaskInfo:
        """Pause until other tasks of its workspace have ended, however, all or one of them.

        :param timeout_s: then the task fails; 0: never.
        """
        wait = pb.WaitSpec(
            reason=pb.WAIT_REASON_DEPENDENCY,
            depends_on=others,
            wake_on_any=any_of_them,
            timeout_ms=_ms(timeout_s),
        )
        return await self._operate(Op.WAIT_FOR, task_id, wait=wait)

    async def hibernate(
        self,
        task_id: str,
        checkpoint_key: str,
        *,
        wake_at_ms: int = 0,
        timeout_s: float = 0,
        at_timeout: str = "",
        resume_session_id: str = "",
    ) -> pb.TaskInfo:
        """Give the task up until it is woken; its state is in a checkpoint that was saved before.

        :param wake_at_ms: hand it out again at this Unix time in milliseconds; else :meth:`resume` does.
        :param at_timeout: what happens after ``timeout_s``: ``fail`` (default), ``retry`` wakes it, ``alert``
            leaves it.
        :param resume_session_id: anything its next worker should find in its assignment.
        """
        wait = pb.WaitSpec(
            reason=pb.WAIT_REASON_HIBERNATION,
            timeout_ms=_ms(timeout_s),
            scheduled_wake_unix_ms=wake_at_ms,
            hibernation=pb.HibernationDescriptor(
                checkpoint_key=checkpoint_key, resume_session_id=resume_session_id, escalation_policy=at_timeout
            ),
        )
        return await self._operate(Op.PAUSE, task_id, wait=wait)

    async def _operate(self, op: int, task_id: str, reason: str = "", wait: pb.WaitSpec | None = None) -> pb.TaskInfo:
        ask = self._ask if op in _REPEATABLE else self._ask_once
        return await self._run(ask, op, task_id, reason, wait)

    async def operate(self, op: int, task_id: str, reason: str = "") -> pb.TaskInfo:
        """One attempt at an operation.

        :raises ConnectionLost: it may have been carried out.
        """
        return await self._run(self._ask_once, op, task_id, reason)

    async def _run(
        self, ask: _Ask, op: int, task_id: str, reason: str = "", wait: pb.WaitSpec | None = None
    ) -> pb.TaskInfo:
        operation = pb.TaskOperation(op=op, task_id=task_id, reason=reason, wait_spec=wait)  # type: ignore[arg-type]
        task: pb.TaskInfo = (await ask("task_op", operation)).task
        return task

    async def _ask(self, member: str, operation: Any) -> Any:
        """A request that may as well be made twice: once more after a lost connection, or a refusal for the moment."""
        while True:
            try:
                return await self._ask_once(member, operation)
            except ConnectionLost:
                await trio.lowlevel.checkpoint()
            except RequestRefused as refusal:
                if not refusal.retryable:
                    raise
                await trio.sleep(max(PAUSE_S, refusal.retry_after_ms / 1000))

    async def _ask_once(self, member: str, operation: Any) -> Any:
        """A response that says yes."""
        response = await self._connection.request(member, operation)
        if response.success:
            return response
        if member == "create_task":
            raise self._connection.refusal_of(response.error_message, response.error_code)
        raise task_refusal(self._connection, response.error)

    # ------------------------------------------------------------------------------------------------------ working

    def __aiter__(self) -> AsyncIterator[pb.TaskAssignment]:
        return self

    async def __anext__(self) -> pb.TaskAssignment:
        return self._assignments.pop(await self._connection.take(self._assigned))

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

    async def report(self, task_id: str, state: str, completion: float = -1.0, summary: str = "") -> None:
        """Progress of a task that this principal works on."""
        kind = pb.PROGRESS_KIND_TASK
        await self._connection.progress.report(
            state, task_id=task_id, completion=completion, summary=summary, kind=kind
        )

    # ----------------------------------------------------------------------------------------- told by the connection

    def on_assignment(self, size: int, assignment: pb.TaskAssignment) -> None:
        """One that nobody has taken yet may be told again after a lost connection."""
        if assignment.task_id not in self._assignments:
            self._assigned.put(size, assignment.task_id)
        self._assignments[assignment.task_id] = assignment

    def close(self) -> None:
        self._assigned.close()
        self.watches.close()


_Ask = Callable[[str, Any], Awaitable[Any]]


class _Found:
    """The tasks of a list, page by page; see :meth:`Tasks.find`. Leaving it half-way leaves nothing behind."""

    def __init__(self, ask: _Ask, wanted: dict[str, Any], limit: int) -> None:
        self._ask = ask
        self._wanted = wanted
        self._left = limit or math.inf
        self._page: deque[pb.TaskInfo] = deque()
        self._token: str | None = ""

    def __aiter__(self) -> AsyncIterator[pb.TaskInfo]:
        return self

    async def __anext__(self) -> pb.TaskInfo:
        if not self._page and self._token is not None and self._left > 0:
            await self._read()
        if not self._page:
            raise StopAsyncIteration
        self._left -= 1
        return self._page.popleft()

    async def _read(self) -> None:
        wanted = pb.TaskFilter(**self._wanted, limit=int(min(self._left, PAGE)), page_token=self._token)
        response = await self._ask("task_query", pb.TaskQuery(op=pb.TaskQuery.LIST, filter=wanted))
        self._page.extend(response.tasks)
        self._token = response.next_page_token or None


def is_final(task: pb.TaskInfo) -> bool:
    """It has ended, and nothing will try it again by itself."""
    return task.status in TERMINAL and not task.metadata.get("_next_retry_ms")


async def _settle(errand: Callable[[], Awaitable[None]]) -> None:
    try:
        await errand()
    except ClientError:
        pass  # the task has ended otherwise, or its time limits will see to it


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
