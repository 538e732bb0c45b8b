"""Tasks: creating them and waiting for them, working on them, following them (tasks 3 to 12)."""

from __future__ import annotations

import math
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from aether.client.errors import ClientError, ConnectionLost, NotFound, PermissionDenied, RequestRefused
from aether.client.inbox import Inbox
from aether.nurseries import unwrapped_nursery
from aether.proto import aether_pb2 as pb

if TYPE_CHECKING:
    from aether.client.connection import Connection

__all__ = ["TERMINAL", "TaskFailed", "TaskRefused", "Tasks", "Work", "is_final"]

Op = pb.TaskOperation

TERMINAL = frozenset(
    {
        pb.TASK_STATUS_COMPLETED,
        pb.TASK_STATUS_FAILED,
        pb.TASK_STATUS_CANCELLED,
        pb.TASK_STATUS_REJECTED,
    }
)
_IDEMPOTENT = frozenset({Op.CLAIM, Op.COMPLETE, Op.FAIL})
GOODBYE_S = 5.0
"""How long the end of a block may take to reach the gateway when the block is cancelled."""
PAGE = 200
EARLY_MAX = 1000


class TaskRefused(RequestRefused):
    """An operation that the state of the task, or who has it, does not allow; the text names the state."""


class TaskFailed(ClientError):
    """A task that was waited for did not complete.

    :ivar task: as it ended, with ``status`` and ``error``.
    """

    def __init__(self, task: pb.TaskInfo) -> None:
        status = pb.TaskStatus.Name(task.status).removeprefix("TASK_STATUS_").lower()
        super().__init__(f"task {task.task_id} {status}: {task.error}")
        self.task = task


class Tasks:
    """``me.tasks``. Iterating it gives the tasks this principal is handed, in order; nobody else gets them meanwhile.

    >>> async for assignment in me.tasks:
    ...     async with me.tasks.claim(assignment) as work:
    ...         work.result = await do(work.payload)

    Reading, claiming, completing and failing outlast a lost connection; the other operations raise ConnectionLost then,
    since they may have been carried out. Operations raise NotFound for a task that is not there or not this principal's
    business, and TaskRefused where its state does not allow them.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._assigned = Inbox()
        self._watches: dict[str, _Watch] = {}
        self._early: deque[pb.TaskEvent] = deque(maxlen=EARLY_MAX)

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
        retry: pb.RetryPolicy | None = None,
        idempotency_key: str = "",
        parent: str = "",
        context_id: str = "",
        correlation_id: str = "",
        completion_event: pb.TaskCompletionEvent | None = None,
        launch_params: Mapping[str, str] | None = None,
        token_for: str = "",
        if_offline: int = pb.TARGET_OFFLINE_POLICY_UNSPECIFIED,
        authorization: pb.AuthorizationContext | None = None,
    ) -> pb.CreateTaskResponse:
        """A new task; it is durable when this returns.

        :param pool: implementation whose workers may have it.
        :param target: identity string of the one worker that it is for; without either it is one's own.
        :param idempotency_key: a second create with it, within a day, gives the first one's task; so with one a lost
            connection is no reason to give up.
        :param token_for: identity string that a task token is wanted for, in ``task_token`` of the answer.
        :param if_offline: start the target (default), keep the task for it, or refuse.
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
            retry_policy=retry,
            priority=priority,  # type: ignore[arg-type]
            idempotency_key=idempotency_key,
            correlation_id=correlation_id,
            completion_event=completion_event,
            parent_task_id=parent,
            target_offline_policy=if_offline,  # type: ignore[arg-type]
            authorization=authorization,
        )
        ask = self._ask if idempotency_key else self._connection.request
        response: pb.CreateTaskResponse = await ask("create_task", request)
        if not response.success:
            # The gateway also sends an error without request id, for clients that wait for that.
            self._connection.forget_refusal(response.error_code)
            kind = PermissionDenied if "PERMISSION_DENIED" in response.error_code else RequestRefused
            raise kind(response.error_code, response.error_message)
        return response

    async def run(self, task_type: str = "", payload: bytes = b"", **options: Any) -> pb.TaskInfo:
        """Create a task, wait for its end, and return it. Cancelling this cancels the task.

        :param options: as for :meth:`create`.
        :raises TaskFailed: it ended otherwise than completed.
        """
        options.setdefault("idempotency_key", uuid.uuid4().hex)
        task_id = (await self.create(task_type, payload, **options)).task_id
        try:
            task = await self.wait(task_id)
        finally:
            if trio.current_effective_deadline() == -math.inf:  # cancelled, however many exceptions that is in
                with trio.move_on_after(GOODBYE_S, shield=True):
                    await self._give_up(task_id)
        if task.status != pb.TASK_STATUS_COMPLETED:
            raise TaskFailed(task)
        return task

    async def _give_up(self, task_id: str) -> None:
        try:
            await self.cancel(task_id, "nobody waits for it any more")
        except (ClientError, OSError):
            pass  # it has ended, or its time limits will see to it

    async def wait(self, task_id: str) -> pb.TaskInfo:
        """The task once it has ended for good: one that will be tried again has not."""
        async with self.watch(task_id) as events:
            task = await self.get(task_id)
            while not is_final(task):
                await anext(events)
                task = await self.get(task_id)
            return task

    # ------------------------------------------------------------------------------------------------------ looking

    async def get(self, task_id: str) -> pb.TaskInfo:
        response = await self._ask("task_query", pb.TaskQuery(op=pb.TaskQuery.GET, task_id=task_id))
        if not response.success:
            raise _refused(response.error)
        task: pb.TaskInfo = response.task
        return task

    def find(self, *, limit: int = 0, **wanted: Any) -> AsyncIterator[pb.TaskInfo]:
        """Tasks by the fields of ``TaskFilter``, latest change first; read in pages, as they are needed.

        :param limit: at most so many; 0: all.
        :param wanted: such as ``workspace="w"``, ``statuses=[...]`` or ``parent_task_id=...``.
        """
        return _Found(self._ask, wanted, limit)

    @asynccontextmanager
    async def watch(
        self, task_id: str, *, recursive: bool = False, since_ms: int = 0
    ) -> AsyncIterator[AsyncIterator[pb.TaskEvent]]:
        """Follow a task, across lost connections, without gap or repeat of its status events.

        :param recursive: and everything below it.
        :param since_ms: begin with the events since this Unix time in milliseconds.
        :raises NotFound: it is not there, or not this principal's business.
        """
        watch = _Watch(self._connection, self._watches, self._take_early, task_id, recursive, since_ms)
        await watch.subscribe()
        try:
            async with unwrapped_nursery() as nursery:
                nursery.start_soon(watch.keep)
                yield watch
                nursery.cancel_scope.cancel()
        finally:
            with trio.move_on_after(GOODBYE_S, shield=True):
                await watch.close()

    # ---------------------------------------------------------------------------------------------------- operating

    async def begin(self, task_id: str) -> pb.TaskInfo:
        """CLAIM: this principal works on the task from now on. See :meth:`claim` for the usual way."""
        return await self._operate(Op.CLAIM, task_id)

    async def complete(self, task_id: str, result: str = "") -> pb.TaskInfo:
        """:param result: a summary that is kept with the task, 4 KiB at most."""
        return await self._operate(Op.COMPLETE, task_id, result)

    async def fail(self, task_id: str, reason: str = "") -> pb.TaskInfo:
        return await self._operate(Op.FAIL, task_id, reason)

    async def cancel(self, task_id: str, reason: str = "") -> pb.TaskInfo:
        return await self._operate(Op.CANCEL, task_id, reason)

    async def reject(self, task_id: str, reason: str = "") -> pb.TaskInfo:
        """Decline what has not begun."""
        return await self._operate(Op.REJECT, task_id, reason)

    async def retry(self, task_id: str) -> pb.TaskInfo:
        return await self._operate(Op.RETRY, task_id)

    async def resume(self, task_id: str) -> pb.TaskInfo:
        return await self._operate(Op.RESUME, task_id)

    async def pause(
        self, task_id: str, *, expected: str = "", timeout_s: float = 0, wake_at_ms: int = 0, reason: str = ""
    ) -> pb.TaskInfo:
        """Wait for a message to the worker, or for :meth:`resume`.

        :param expected: only from this identity, or ``us::{user}``.
        :param timeout_s: then the task fails; 0: never.
        :param wake_at_ms: go on at this Unix time in milliseconds.
        """
        wait = pb.WaitSpec(
            reason=pb.WAIT_REASON_INPUT,
            expected_principal=expected,
            timeout_ms=round(timeout_s * 1000),
            scheduled_wake_unix_ms=wake_at_ms,
        )
        return await self._operate(Op.PAUSE, task_id, reason, wait)

    async def wait_for(
        self, task_id: str, others: Iterable[str], *, any_of_them: bool = False, timeout_s: float = 0
    ) -> pb.TaskInfo:
        """Pause until other tasks of its workspace have ended, all or one of them."""
        wait = pb.WaitSpec(
            reason=pb.WAIT_REASON_DEPENDENCY,
            depends_on=others,
            wake_on_any=any_of_them,
            timeout_ms=round(timeout_s * 1000),
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

        :param at_timeout: ``fail`` (default), ``retry`` or ``alert``.
        """
        wait = pb.WaitSpec(
            reason=pb.WAIT_REASON_HIBERNATION,
            timeout_ms=round(timeout_s * 1000),
            scheduled_wake_unix_ms=wake_at_ms,
            hibernation=pb.HibernationDescriptor(
                checkpoint_key=checkpoint_key, resume_session_id=resume_session_id, escalation_policy=at_timeout
            ),
        )
        return await self._operate(Op.PAUSE, task_id, wait=wait)

    async def _operate(self, op: int, task_id: str, reason: str = "", wait: pb.WaitSpec | None = None) -> pb.TaskInfo:
        operation = pb.TaskOperation(op=op, task_id=task_id, reason=reason, wait_spec=wait)  # type: ignore[arg-type]
        ask = self._ask if op in _IDEMPOTENT else self._connection.request
        response = await ask("task_op", operation)
        if not response.success:
            raise _refused(response.error)
        task: pb.TaskInfo = response.task
        return task

    async def _ask(self, member: str, operation: Any) -> Any:
        """A request that may as well be made twice: once more after a lost connection."""
        while True:
            try:
                return await self._connection.request(member, operation)
            except ConnectionLost:
                await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------------------------------------------ working

    def __aiter__(self) -> AsyncIterator[pb.TaskAssignment]:
        return self

    async def __anext__(self) -> pb.TaskAssignment:
        return await self._connection.take(self._assigned)  # type: ignore[no-any-return]

    @asynccontextmanager
    async def claim(self, assignment: pb.TaskAssignment | str) -> AsyncIterator[Work]:
        """Work on a task: it runs while the block does, and ends with it.

        Leaving the block completes the task, an exception fails it with its text and goes on, and so does cancelling
        the block: a retry policy decides what comes of it. What the block ended, paused or hibernated itself stays so.

        :param assignment: what iterating gave, or the id of a task.
        :raises TaskRefused: somebody else has it, or it has ended.
        """
        if isinstance(assignment, str):
            assignment = pb.TaskAssignment(task_id=assignment)
        work = Work(self, assignment, await self.begin(assignment.task_id))
        try:
            yield work
        except BaseException as error:
            # A cancelled block too: whoever is to have the task next should not have to wait for this worker's end.
            with trio.move_on_after(GOODBYE_S, shield=True):
                await self._let_go(work, str(error) if isinstance(error, Exception) else "the worker was cancelled")
            raise
        if not work.is_given_up:
            await self.complete(work.task_id, work.result)

    async def report(self, task_id: str, state: str, completion: float = -1.0, summary: str = "") -> None:
        """Progress of a task that this principal works on."""
        kind = pb.PROGRESS_KIND_TASK
        await self._connection.progress.report(
            state, task_id=task_id, completion=completion, summary=summary, kind=kind
        )

    async def _let_go(self, work: Work, reason: str) -> None:
        if work.is_given_up:
            return
        try:
            await self.fail(work.task_id, reason)
        except (ClientError, OSError):
            pass  # it has ended, or the gateway gives it to another one after its grace

    # ----------------------------------------------------------------------------------------- told by the connection

    @property
    def size(self) -> int:
        """Bytes of assignments that nobody has taken."""
        return self._assigned.size

    def on_assignment(self, size: int, assignment: pb.TaskAssignment) -> None:
        self._assigned.put(size, assignment)

    def on_event(self, event: pb.TaskEvent) -> None:
        if (watch := self._watches.get(event.subscription_id)) is not None:
            watch.on_event(event)
        else:  # whoever subscribes has not seen the answer yet, or has just ended the subscription
            self._early.append(event)

    def _take_early(self, subscription_id: str) -> None:
        """Events that came right behind the answer to a subscription."""
        early, self._early = self._early, deque(maxlen=EARLY_MAX)
        for event in early:
            if event.subscription_id == subscription_id or event.subscription_id in self._watches:
                self.on_event(event)
            else:
                self._early.append(event)

    def close(self) -> None:
        self._assigned.close()


class Work:
    """A task in hand.

    :ivar result: summary that the task is completed with.
    :ivar info: the task when it began.
    """

    def __init__(self, tasks: Tasks, assignment: pb.TaskAssignment, info: pb.TaskInfo) -> None:
        self._tasks = tasks
        self.assignment = assignment
        self.info = info
        self.result = ""
        self.is_given_up = False

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

    async def progress(self, state: str, completion: float = -1.0, summary: str = "") -> None:
        """A sign of life, and news for those who follow the task."""
        await self._tasks.report(self.task_id, state, completion, summary)

    async def fail(self, reason: str) -> None:
        """End it so; the block goes on."""
        await self._tasks.fail(self.task_id, reason)
        self.is_given_up = True

    async def wait_for(self, others: Iterable[str], **options: Any) -> None:
        """Pause until other tasks have ended; returns when this one runs again. See :meth:`Tasks.wait_for`.

        :raises TaskFailed: it ended meanwhile.
        """
        async with self._tasks.watch(self.task_id) as events:
            task = await self._tasks.wait_for(self.task_id, others, **options)
            while task.status != pb.TASK_STATUS_RUNNING:
                if task.status in TERMINAL:
                    self.is_given_up = True
                    raise TaskFailed(task)
                await anext(events)
                task = await self._tasks.get(self.task_id)

    async def hibernate(self, checkpoint_key: str, **options: Any) -> None:
        """Give it up until it is woken; the block should end now. See :meth:`Tasks.hibernate`."""
        await self._tasks.hibernate(self.task_id, checkpoint_key, **options)
        self.is_given_up = True


class _Found:
    """The tasks of a list, page by page; see :meth:`Tasks.find`. Leaving it half-way leaves nothing behind."""

    def __init__(self, ask: Callable[[str, Any], Awaitable[Any]], wanted: dict[str, Any], limit: int) -> None:
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
        response = await self._ask("task_query", pb.TaskQuery(filter=wanted))
        if not response.success:
            raise _refused(response.error)
        self._page.extend(response.tasks)
        self._token = response.next_page_token or None


class _Watch:
    """One subscription, renewed on every stream; see :meth:`Tasks.watch`."""

    def __init__(
        self,
        connection: Connection,
        watches: dict[str, _Watch],
        on_open: Callable[[str], None],
        task_id: str,
        recursive: bool,
        since_ms: int,
    ) -> None:
        self._connection = connection
        self._on_open = on_open
        self._watches = watches
        self._task_id = task_id
        self._recursive = recursive
        self._since_ms = since_ms
        self._id = ""
        self._inbox = Inbox()
        self._latest: set[bytes] = set()
        self._stream = connection.stream_ended

    async def subscribe(self) -> None:
        operation = pb.TaskSubscriptionOperation(
            op=pb.TaskSubscriptionOperation.SUBSCRIBE,
            task_id=self._task_id,
            recursive=self._recursive,
            start_timestamp_unix_ms=self._since_ms,
        )
        response = await self._connection.request("task_subscription_op", operation)
        if not response.success:
            raise _refused(response.error)
        self._stream = self._connection.stream_ended
        self._watches.pop(self._id, None)
        self._id = response.subscription_id
        self._watches[self._id] = self
        self._on_open(self._id)

    async def keep(self) -> None:
        """Subscribe again on every new stream, from the time of the last event."""
        while True:
            await self._stream.wait()
            try:
                await self.subscribe()
            except ConnectionLost:
                await trio.lowlevel.checkpoint()

    def on_event(self, event: pb.TaskEvent) -> None:
        time_ms, subscription_id = event.emitted_at_unix_ms, event.subscription_id
        event.subscription_id = ""
        told = event.SerializeToString(deterministic=True)
        event.subscription_id = subscription_id
        if told in self._latest:
            return
        if time_ms > self._since_ms:
            self._since_ms, self._latest = time_ms, set()
        self._latest.add(told)
        self._inbox.put(len(told), event)

    def __aiter__(self) -> AsyncIterator[pb.TaskEvent]:
        return self

    async def __anext__(self) -> pb.TaskEvent:
        _, event = await self._inbox.get()
        return event  # type: ignore[no-any-return]

    async def close(self) -> None:
        self._watches.pop(self._id, None)
        operation = pb.TaskSubscriptionOperation(op=pb.TaskSubscriptionOperation.UNSUBSCRIBE, subscription_id=self._id)
        try:
            await self._connection.request("task_subscription_op", operation)
        except ClientError:
            pass  # it ended with its stream


def is_final(task: pb.TaskInfo) -> bool:
    """It has ended, and nothing will try it again by itself."""
    return task.status in TERMINAL and not task.metadata.get("_next_retry_ms")


def _refused(text: str) -> RequestRefused:
    kind = NotFound if text == "task not found" else TaskRefused
    return kind("TASK_NOT_FOUND" if kind is NotFound else "TASK_REFUSED", text)
