"""Operations on tasks (tasks 4 to 6, 11)."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping

from aether.answers import Answer, Caller
from aether.audit.events import Event, Recorder, actor_of
from aether.checkpoints.store import CheckpointStore
from aether.errors import AetherError, StoreUnavailable
from aether.proto import aether_pb2 as pb
from aether.tasks import machine, wire
from aether.tasks.book import TaskBook
from aether.tasks.dependencies import Dependencies, InvalidDependency
from aether.tasks.dispatch import Dispatcher
from aether.tasks.lookup import Lookup, TaskNotFound
from aether.tasks.machine import Change, IllegalTransition
from aether.tasks.model import PAUSED, Status, Task, WaitReason, WaitSpec
from aether.tasks.parties import Parties
from aether.tasks.room import NoRoom
from aether.tasks.wire import UNAVAILABLE

__all__ = ["OperationService"]

WAIT_BYTES_MAX = 256 * 1024

Op = pb.TaskOperation


class _Refused(AetherError):
    """An operation that is not carried out; the text is fit for clients."""


class OperationService:
    """Answers ``task_op``.

    :param wall_clock: current Unix time in milliseconds.
    :param chooser: of the jitter of retries.
    :param check_retry: raises ValueError or NoRoom, with a text fit for clients, for a task that cannot be tried again
        now.
    :param entrust_again: gives a task that ended what it may do on behalf of others, for another attempt.
    :param meter: told of each operation that succeeds: the caller's workspace and the protocol's name.
    """

    def __init__(
        self,
        book: TaskBook,
        parties: Parties,
        dispatcher: Dispatcher,
        dependencies: Dependencies,
        checkpoints: CheckpointStore,
        recorder: Recorder,
        wall_clock: Callable[[], int],
        chooser: random.Random,
        check_retry: Callable[[Task], None] = lambda _: None,
        entrust_again: Callable[[Caller, Task], None] = lambda *_: None,
        meter: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._book = book
        self._parties = parties
        self._lookup = Lookup(book, parties)
        self._dispatcher = dispatcher
        self._dependencies = dependencies
        self._checkpoints = checkpoints
        self._recorder = recorder
        self._wall_clock = wall_clock
        self._random = chooser
        self._check_retry = check_retry
        self._entrust_again = entrust_again
        self._meter = meter
        self._changes: Mapping[int, tuple[str, Callable[[Caller, Task, pb.TaskOperation], Change]]] = {
            Op.CANCEL: ("task cancelled", lambda _, task, op: machine.cancel(task, wall_clock(), op.reason)),
            Op.RETRY: ("task queued for retry", self._retry),
            Op.COMPLETE: ("task completed", self._complete),
            Op.FAIL: ("task marked as failed", self._fail),
            Op.PAUSE: ("task paused", self._pause),
            Op.WAIT_FOR: ("task waiting on dependencies", self._wait_for),
            Op.RESUME: ("task resumed", self._resume),
            Op.REJECT: ("task rejected", self._reject),
            Op.CLAIM: ("task claimed", self._claim),
        }

    def operate(self, caller: Caller, operation: pb.TaskOperation) -> Answer | Awaitable[Answer]:
        """One operation, one response."""
        try:
            task = self._admit(caller, operation)
            if operation.op == Op.PAUSE and operation.wait_spec.reason == pb.WAIT_REASON_HIBERNATION:
                return self._hibernate(caller, task, operation)
            return self._run(caller, task, operation)
        except (_Refused, TaskNotFound, IllegalTransition) as error:
            return _refused(operation, str(error))
        except StoreUnavailable:
            return _refused(operation, UNAVAILABLE)

    def _admit(self, caller: Caller, operation: pb.TaskOperation) -> Task:
        """The task, if the caller may operate on it."""
        if operation.op not in self._changes:
            raise _Refused("unknown task operation")
        if operation.op == Op.PAUSE and not operation.HasField("wait_spec"):
            raise _Refused("invalid request: wait_spec required for PAUSE")
        if operation.op == Op.WAIT_FOR and not any(operation.wait_spec.depends_on):
            raise _Refused("invalid request: wait_spec.depends_on required for WAIT_FOR")
        if operation.wait_spec.ByteSize() > WAIT_BYTES_MAX:
            raise _Refused(f"invalid request: wait_spec must not exceed {WAIT_BYTES_MAX} bytes")
        return self._lookup.find(caller, operation.task_id)

    def _run(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Answer:
        message, decide = self._changes[operation.op]
        change = decide(caller, task, operation)
        reason = _reason(operation, change)
        if self._book.change(task, change, reason) is not None:
            self._record(caller, task, operation, reason)
            if change.get("status") is Status.HIBERNATED:
                self._tell_hibernated(task)
        self._meter(caller.identity.workspace, Op.OpType.Name(operation.op))
        response = pb.TaskOperationResponse(
            success=True, message=message, task=wire.task_info(task), request_id=operation.request_id
        )
        return Answer(
            (wire.operation_frame(response),), self._book.ticket, lambda: _refused(operation, UNAVAILABLE).frames
        )

    def _check_holder(self, caller: Caller, task: Task) -> None:
        """A worker that lost the task comes too late, whatever else it may do (tasks 6)."""
        identity = caller.identity.key
        if identity in task.former and identity not in (task.creator, task.assigned_to, task.bound):
            raise _Refused(f"the task was given to another worker: {task.status}")

    def _complete(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Change:
        self._check_holder(caller, task)
        return machine.complete(task, self._wall_clock(), operation.reason)

    def _reject(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Change:
        self._check_holder(caller, task)
        return machine.reject(task, operation.reason)

    def _fail(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Change:
        self._check_holder(caller, task)
        return machine.fail(task, self._wall_clock(), operation.reason, self._random.uniform)

    def _retry(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Change:
        del operation
        machine.retry(task)  # before anything else is done about it
        try:
            self._check_retry(task)
        except (ValueError, NoRoom) as error:
            raise _Refused(str(error)) from None
        if not self._is_mere_worker(caller, task):
            self._entrust_again(caller, task)
        return machine.retry(task)

    def _is_mere_worker(self, caller: Caller, task: Task) -> bool:
        """It had the task and is nothing else to it: it does not get back by itself what it was to lose with the
        task."""
        identity = caller.identity.key
        if identity == task.creator or self._parties.is_subject(caller, task):
            return False
        return identity in (task.assigned_to, task.bound, *task.former)

    def _claim(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Change:
        identity = caller.identity.key
        is_party = identity == task.creator or self._parties.is_subject(caller, task)
        return machine.claim(task, identity, self._wall_clock(), is_party=is_party)

    def _pause(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Change:
        self._check_holder(caller, task)
        wait = wire.wait_spec(operation.wait_spec)
        change = machine.pause(task, wait, self._wall_clock())
        if machine.paused_status(wait) is Status.WAITING_DEPENDENCY:
            self._check_dependencies(task, wait)
        return change

    def _wait_for(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Change:
        self._check_holder(caller, task)
        wait = wire.wait_spec(operation.wait_spec)
        wait.reason = WaitReason.DEPENDENCY
        change = machine.pause(task, wait, self._wall_clock())
        self._check_dependencies(task, wait)
        return change

    def _check_dependencies(self, task: Task, wait: WaitSpec) -> None:
        try:
            self._dependencies.check(task, wait.depends_on)
        except InvalidDependency as error:
            raise _Refused(str(error)) from None

    def _resume(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Change:
        self._check_holder(caller, task)
        if task.status is Status.HIBERNATED and self._dispatcher.worker(task.worker) is None:
            return machine.wake(task)  # nobody would go on with it
        return machine.resume(task)

    async def _hibernate(self, caller: Caller, task: Task, operation: pb.TaskOperation) -> Answer:
        """A pause that its worker may leave over needs the state to come back to (tasks 11.4)."""
        try:
            descriptor = operation.wait_spec.hibernation
            if not operation.wait_spec.HasField("hibernation"):
                raise _Refused("hibernation requires wait_spec.hibernation with a checkpoint_key")
            if not descriptor.checkpoint_key:
                raise _Refused("hibernation requires a non-empty wait_spec.hibernation.checkpoint_key")
            if not task.worker:
                raise _Refused("hibernation requires the task to have an assignee identity for checkpoint scoping")
            self._pause(caller, task, operation)
            key, worker = descriptor.checkpoint_key, task.worker
            if await self._checkpoints.load(worker, key) is None:
                raise _Refused(f'hibernation requires a saved checkpoint with key "{key}" for identity {worker}')
            return self._run(caller, task, operation)  # decided anew: the task may have changed meanwhile
        except (_Refused, TaskNotFound, IllegalTransition) as error:
            return _refused(operation, str(error))
        except StoreUnavailable:
            return _refused(operation, UNAVAILABLE)

    def _tell_hibernated(self, task: Task) -> None:
        if (worker := self._dispatcher.worker(task.worker)) is not None:
            worker.put(Answer((wire.hibernated_frame(task),), self._book.ticket))

    def _record(self, caller: Caller, task: Task, operation: pb.TaskOperation, reason: str) -> None:
        self._recorder.routine(
            Event(
                kind="task",
                operation=f"task_{Op.OpType.Name(operation.op).lower()}",
                **actor_of(caller.identity),
                resource_type="task",
                resource_id=task.task_id,
                workspace=task.workspace,
                session_id=caller.session_id,
                metadata={"status": str(task.status), "reason": reason} if reason else {"status": str(task.status)},
            )
        )


_WAIT_NAMES = {
    WaitReason.UNSPECIFIED: "input",
    WaitReason.INPUT: "input",
    WaitReason.AUTHORITY: "authority",
    WaitReason.DEPENDENCY: "dependency",
    WaitReason.HIBERNATION: "hibernation",
}


def _reason(operation: pb.TaskOperation, change: Change) -> str:
    """What those who follow the task read as the reason of a change."""
    if change.get("status") in PAUSED:
        name = _WAIT_NAMES.get(change["wait"].reason, "input")
        return f"{name}: {operation.reason}" if operation.reason else name
    return operation.reason or str(change.get("error", ""))


def _refused(operation: pb.TaskOperation, text: str) -> Answer:
    response = pb.TaskOperationResponse(error=text, request_id=operation.request_id)
    return Answer((wire.operation_frame(response),))
