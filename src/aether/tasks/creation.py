"""Creating tasks (tasks 3): checks in the order clients can observe, what the record of the task says, and the row in
the audit log. Where the task then goes is in :mod:`aether.tasks.placement`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aether.access import Access, InvalidAuthority, Level, Rights
from aether.answers import Answer, Caller
from aether.audit.events import Event, Lineage, Recorder, actor_of
from aether.errors import Code, StoreUnavailable
from aether.identity import InvalidIdentity, PrincipalType, check_identifier, parse_identity
from aether.messaging.permissions import rule_for_user
from aether.proto import aether_pb2 as pb
from aether.tasks import wire
from aether.tasks.book import TaskBook
from aether.tasks.model import LIVE, PRIORITY_DEFAULT, Mode, Task, grace_ms_of, without_lineage
from aether.tasks.placement import Placement
from aether.tasks.rejections import Rejected
from aether.tasks.room import NoRoom, Room

__all__ = ["CreateService", "TaskLimits"]

IDEMPOTENCY_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class TaskLimits:
    """Sizes in bytes."""

    payload_max: int = 512 * 1024
    metadata_max: int = 64 * 1024
    strict_identifiers: bool = True


class Inheritance(Protocol):
    """What a task may do on behalf of others, for the tasks that are parts of it."""

    def inherited(self, caller: Caller, task: Task | None) -> Lineage | None:
        """The authority of the caller's own task, where it can be passed on."""


class CreateService:
    """Answers ``create_task``.

    :param wall_clock: current Unix time in milliseconds.
    :param authority: None where there are no grants, and hence no authority to inherit.
    :param meter: told of each task that was created: its workspace and ``create``.
    """

    def __init__(
        self,
        book: TaskBook,
        access: Access,
        recorder: Recorder,
        placement: Placement,
        limits: TaskLimits,
        room: Room,
        wall_clock: Callable[[], int],
        new_id: Callable[[], str],
        authority: Inheritance | None = None,
        meter: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._book = book
        self._access = access
        self._recorder = recorder
        self._placement = placement
        self._limits = limits
        self._room = room
        self._wall_clock = wall_clock
        self._new_id = new_id
        self._authority = authority
        self._meter = meter

    def handle(self, caller: Caller, request: pb.CreateTaskRequest) -> Answer:
        """Create one task; every failure is an answer."""
        request_id = request.request_id
        try:
            task, response, lineage = self._create(caller, request)
        except Rejected as error:
            self._record(caller, request, error=error.detail or error.message)
            frames = wire.created_frames(
                request_id,
                code=error.code,
                text=error.message,
                detail=error.detail,
                retryable=error.retryable,
            )
            return Answer(frames[::-1] if error.response_first else frames)
        except StoreUnavailable:
            return Answer(self._unavailable(request_id))
        if response.status:
            self._record(caller, request, task=task, lineage=lineage)
            self._meter(task.workspace, "create")
        # Without a request id there is no answer, but what was asked for next is not answered before this is safe.
        return Answer(
            wire.created_frames(request_id, response), self._placement.ticket, lambda: self._unavailable(request_id)
        )

    def _unavailable(self, request_id: str) -> tuple[bytes, ...]:
        return wire.created_frames(request_id, code=Code.TASK_CREATE_FAILED, text=wire.UNAVAILABLE, retryable=True)

    # ------------------------------------------------------------------------------------------------------- steps

    def _create(
        self, caller: Caller, request: pb.CreateTaskRequest
    ) -> tuple[Task, pb.CreateTaskResponse, Lineage | None]:
        workspace = request.workspace or caller.identity.workspace
        self._check_names(workspace, request.target_implementation)
        self._check_sizes(request)
        parent = self._parent(caller, request)
        lineage = self._check_access(caller, request, workspace, parent)
        idempotency = ""
        if request.idempotency_key:
            idempotency = hashlib.sha256(f"{workspace}\0{request.idempotency_key}".encode()).hexdigest()
            known = self._book.by_idempotency(idempotency)
            if known is not None and known.created_ms > self._wall_clock() - IDEMPOTENCY_MS:
                return known, pb.CreateTaskResponse(success=True, task_id=known.task_id), None
        try:
            self._room.check(workspace)
        except NoRoom as error:
            raise Rejected(Code.QUOTA, str(error), retryable=True) from None
        task = self._build(caller, request, workspace, parent)
        task.idempotency = idempotency
        return *self._placement.place(caller, request, task, lineage), lineage

    def _check_names(self, workspace: str, implementation: str) -> None:
        try:
            check_identifier("workspace", workspace, strict=self._limits.strict_identifiers, required=True)
            check_identifier("target_implementation", implementation, strict=self._limits.strict_identifiers)
        except InvalidIdentity as error:
            if not workspace and not self._limits.strict_identifiers:
                raise Rejected(Code.INVALID_ARGUMENT, "task workspace is required") from None
            raise Rejected(Code.INVALID_IDENTIFIER, str(error)) from None

    def _check_sizes(self, request: pb.CreateTaskRequest) -> None:
        size = len(request.payload)
        if size > self._limits.payload_max:
            raise Rejected(
                Code.TASK_PAYLOAD_TOO_LARGE,
                f"task payload size {size} exceeds maximum {self._limits.payload_max} bytes",
                response_first=True,
            )
        beside = request.ByteSize() - size
        if beside > self._limits.metadata_max:
            self._check_beside(request, beside)

    def _check_beside(self, request: pb.CreateTaskRequest, beside: int) -> None:
        """Metadata most of all, but everything else is kept too and has as much room.

        :param beside: bytes of the request without its payload.
        """
        most = self._limits.metadata_max
        metadata = sum(len(name.encode()) + len(value.encode()) for name, value in request.metadata.items())
        if metadata > most:
            raise Rejected(Code.INVALID_ARGUMENT, f"task metadata size {metadata} exceeds maximum {most} bytes")
        if beside - metadata > most:
            text = f"task size beside metadata and payload {beside - metadata} exceeds maximum {most} bytes"
            raise Rejected(Code.INVALID_ARGUMENT, text)

    def _parent(self, caller: Caller, request: pb.CreateTaskRequest) -> Task | None:
        """The task of which the new one is a part: a live one of the caller's, or what its session is bound to."""
        if not request.parent_task_id:
            return self._book.get(caller.task_id) if caller.task_id else None
        parent = self._book.get(request.parent_task_id)
        if parent is None or parent.status not in LIVE or caller.identity.key not in (parent.assigned_to, parent.bound):
            raise Rejected(Code.PERMISSION_DENIED, "parent task not found")
        return parent

    def _check_access(
        self, caller: Caller, request: pb.CreateTaskRequest, workspace: str, parent: Task | None
    ) -> Lineage | None:
        """Whose authority the task has; None for no other than the creator's."""
        context = request.authorization if request.HasField("authorization") else None
        try:
            rights: Rights = self._access.rights(caller, context)
        except InvalidAuthority:
            raise Rejected(Code.PERMISSION_DENIED, "invalid authorization context") from None
        if caller.identity.kind is not PrincipalType.WORKFLOW_ENGINE or rights.lineage is not None:
            self._check_workspace(rights, workspace)
            if request.assignment_mode == pb.TARGETED:
                self._check_target(rights, request.target_agent_id, workspace)
        if rights.lineage is None and self._authority is not None:
            return self._authority.inherited(caller, parent)
        return rights.lineage

    def _check_workspace(self, rights: Rights, workspace: str) -> None:
        if not rights.check("workspace", workspace, Level.READWRITE, "task_create", workspace).allowed:
            raise Rejected(Code.PERMISSION_DENIED, f"not authorized to create tasks in workspace {workspace}")

    def _check_target(self, rights: Rights, target_id: str, workspace: str) -> None:
        """An assignment reaches its target, and may start it, like a message: so it takes the same right."""
        try:
            target = parse_identity(target_id)
        except InvalidIdentity:
            return  # which is told as what it is, once everything else has been looked at
        if target.workspace and target.workspace != workspace:
            self._check_workspace(rights, target.workspace)
        is_user = target.kind is PrincipalType.USER
        if is_user and rule_for_user(rights, target.id, "task_create", workspace) is False:
            raise Rejected(Code.PERMISSION_DENIED, f"not authorized to create tasks for user {target.id}")

    def _build(self, caller: Caller, request: pb.CreateTaskRequest, workspace: str, parent: Task | None) -> Task:
        policy = wire.retry_policy(request)
        task_id = self._new_id()
        task = Task(
            task_id,
            workspace,
            caller.identity.key,
            task_type=request.task_type,
            task_class=request.task_class,
            priority=request.priority or PRIORITY_DEFAULT,
            mode=wire.MODES.get(request.assignment_mode, Mode.SELF_ASSIGN),
            target=request.target_agent_id,
            implementation=request.target_implementation,
            parent_task_id=parent.task_id if parent is not None else "",
            root_task_id=request.root_task_id or (parent.root_task_id if parent is not None else "") or task_id,
            correlation_id=request.correlation_id or (parent.correlation_id if parent is not None else ""),
            context_id=request.context_id,
            retry_policy=policy,
            metadata=without_lineage(request.metadata),
            grace_ms=grace_ms_of(request.task_class),
            completion_event=wire.completion_event(request),
        )
        if policy is not None and policy.max_attempts > 0:
            task.max_attempts = policy.max_attempts
        if caller.identity.kind is PrincipalType.WORKFLOW_ENGINE:
            task.schedule_id = request.originating_schedule_id
        return task

    # ------------------------------------------------------------------------------------------------------- audit

    def _record(
        self,
        caller: Caller,
        request: pb.CreateTaskRequest,
        *,
        task: Task | None = None,
        lineage: Lineage | None = None,
        error: str = "",
    ) -> None:
        metadata: dict[str, object] = {
            "task_type": request.task_type,
            "assignment_mode": wire.MODES.get(request.assignment_mode, Mode.SELF_ASSIGN).value,
            "workspace": request.workspace or caller.identity.workspace,
            "payload_size": len(request.payload),
            "metadata_entries": len(request.metadata),
        }
        if request.target_agent_id:
            metadata["target_agent_id"] = request.target_agent_id
        if request.target_implementation:
            metadata["target_implementation"] = request.target_implementation
        if request.launch_param_overrides:
            metadata["launch_param_overrides"] = len(request.launch_param_overrides)
        if task is not None:
            metadata |= {
                "status": task.status.value,
                "queued_for_startup": task.queued,
                "assigned_to": task.assigned_to,
            }
            if task.schedule_id:
                metadata["originating_schedule_id"] = task.schedule_id
        event = Event(
            kind="task",
            operation="task_create",
            success=not error,
            **actor_of(caller.identity),
            resource_type="task",
            resource_id=task.task_id if task is not None else "",
            workspace=request.workspace or caller.identity.workspace,
            session_id=caller.session_id,
            error=error,
            metadata=metadata,
            lineage=lineage,
        )
        if error:
            self._recorder.record(event)
        else:
            self._recorder.routine(event)
