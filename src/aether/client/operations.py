"""Operations on tasks that exist: looking at them, following them, changing them (tasks 5 to 12)."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any

import trio

from aether.client.errors import ClientError, ConnectionLost, RequestRefused
from aether.client.link import Link
from aether.client.progress import Progress
from aether.client.watch import PAUSE_S, Watch, Watches, task_refusal
from aether.proto import aether_pb2 as pb

__all__ = ["TERMINAL", "TaskOperations", "is_final", "milliseconds"]

Op = pb.TaskOperation

TERMINAL = frozenset(
    {
        pb.TASK_STATUS_COMPLETED,
        pb.TASK_STATUS_FAILED,
        pb.TASK_STATUS_CANCELLED,
        pb.TASK_STATUS_REJECTED,
    }
)
_REPEATABLE = frozenset({Op.CLAIM, Op.COMPLETE, Op.WAIT_FOR})
"""Operations whose second time has no effect, so that they outlast a lost connection. FAIL is none of them: it may have
led to the next attempt, which is not to fail."""
GOODBYE_S = 5.0
"""How long the end of a block may take to reach the gateway when the block is cancelled; then it goes on beside."""
PAGE = 200


class TaskOperations:
    """The part of :class:`aether.client.tasks.Tasks` that needs to know nothing of a task but its id."""

    def __init__(self, link: Link, progress: Progress) -> None:
        self._link = link
        self._progress = progress
        self.watches = Watches(link)

    def awaiting(self) -> AbstractContextManager[None]:
        """See :meth:`aether.client.link.Link.awaiting`."""
        return self._link.awaiting()

    async def see_to(self, errand: Callable[[], Awaitable[None]]) -> None:
        """Do something although this is cancelled: a few seconds here, then beside what the connection is used for."""
        with trio.move_on_after(GOODBYE_S, shield=True) as scope:
            await _settle(errand)
        if scope.cancelled_caught and self._link.background is not None:
            self._link.background.start_soon(_settle, errand)

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
            timeout_ms=milliseconds(timeout_s),
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
            timeout_ms=milliseconds(timeout_s),
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
            timeout_ms=milliseconds(timeout_s),
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
        response = await self._link.request(member, operation)
        if response.success:
            return response
        if member == "create_task":
            raise self._link.refusal_of(response.error_message, response.error_code)
        raise task_refusal(self._link, response.error)

    async def report(self, task_id: str, state: str, completion: float = -1.0, summary: str = "") -> None:
        """Progress of a task that this principal works on."""
        kind = pb.PROGRESS_KIND_TASK
        await self._progress.report(state, task_id=task_id, completion=completion, summary=summary, kind=kind)


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


def milliseconds(seconds: float) -> int:
    """As the wire has times."""
    return round(seconds * 1000)
