"""Tasks on the wire: requests read, records and events shown."""

from __future__ import annotations

import json
from typing import Any

from aether.answers import down, refuse
from aether.proto import aether_pb2 as pb
from aether.tasks.machine import CHECKPOINT_KEY, RESUME_SESSION
from aether.tasks.model import (
    STARTUP,
    CompletionEvent,
    Hibernation,
    Mode,
    RetryPolicy,
    Status,
    Task,
    WaitSpec,
)
from aether.tasks.store import TaskEvent

__all__ = [
    "MODES",
    "UNAVAILABLE",
    "assignment_frame",
    "authority_request_frame",
    "completion_event",
    "completion_frame",
    "created_frames",
    "event_frame",
    "hibernated_frame",
    "notice_frame",
    "operation_frame",
    "progress_frame",
    "query_frame",
    "retry_policy",
    "statuses",
    "subscription_frame",
    "task_info",
    "wait_spec",
    "wire_status",
]

UNAVAILABLE = "the task store is unavailable, try again"
"""What is answered instead of something that is not in doubt otherwise."""

MODES = {pb.TARGETED: Mode.TARGETED, pb.POOL: Mode.POOL}
"""Any other number is SELF_ASSIGN."""

_WIRE: dict[str, int] = {
    Status.PENDING: pb.TASK_STATUS_QUEUED,
    Status.ASSIGNED: pb.TASK_STATUS_QUEUED,
    Status.RUNNING: pb.TASK_STATUS_RUNNING,
    Status.WAITING_INPUT: pb.TASK_STATUS_WAITING_INPUT,
    Status.WAITING_AUTHORITY: pb.TASK_STATUS_WAITING_AUTHORITY,
    Status.WAITING_DEPENDENCY: pb.TASK_STATUS_WAITING_DEPENDENCY,
    Status.HIBERNATED: pb.TASK_STATUS_HIBERNATED,
    Status.COMPLETED: pb.TASK_STATUS_COMPLETED,
    Status.FAILED: pb.TASK_STATUS_FAILED,
    Status.CANCELLED: pb.TASK_STATUS_CANCELLED,
    Status.REJECTED: pb.TASK_STATUS_REJECTED,
}


def wire_status(status: str) -> int:
    """The number of an internal status; that of an unknown one is UNSPECIFIED."""
    return _WIRE.get(status, 0)


def statuses(numbers: Any) -> frozenset[Status]:
    """Everything that shows as one of these; UNSPECIFIED selects nothing (tasks 5.1)."""
    wanted = set(numbers)
    return frozenset(Status(name) for name, number in _WIRE.items() if number in wanted)


# ---------------------------------------------------------------------------------------------------------- reading


def retry_policy(request: pb.CreateTaskRequest) -> RetryPolicy | None:
    if not request.HasField("retry_policy"):
        return None
    policy = request.retry_policy
    # What is no number is kept as none: a record with it could not be read again.
    jitter_factor = min(1.0, max(0.0, policy.jitter_factor))
    return RetryPolicy(
        policy.max_attempts,
        policy.backoff,
        policy.initial_delay_ms,
        policy.max_delay_ms,
        jitter_factor,
        list(policy.schedule_ms),
        list(policy.retryable_status_codes),
        policy.honor_retry_after,
    )


def completion_event(request: pb.CreateTaskRequest) -> CompletionEvent | None:
    event = request.completion_event
    if not event.enabled:
        return None
    return CompletionEvent(event.event_name, sorted(statuses(event.on_statuses)), list(event.on_statuses))


def wait_spec(wait: pb.WaitSpec) -> WaitSpec:
    descriptor = wait.hibernation
    return WaitSpec(
        wait.reason,
        wait.expected_principal,
        dict(wait.input_match),
        wait.authority_request_id,
        list(wait.depends_on),
        wait.wake_on_any,
        wait.timeout_ms,
        wait.scheduled_wake_unix_ms,
        Hibernation(
            descriptor.checkpoint_key,
            descriptor.resume_session_id,
            list(descriptor.wake_event_types),
            descriptor.escalation_policy,
        )
        if wait.HasField("hibernation")
        else None,
    )


# ---------------------------------------------------------------------------------------------------------- showing


def _descriptor(hibernation: Hibernation) -> pb.HibernationDescriptor:
    return pb.HibernationDescriptor(
        checkpoint_key=hibernation.checkpoint_key,
        resume_session_id=hibernation.resume_session_id,
        wake_event_types=hibernation.wake_event_types,
        escalation_policy=hibernation.escalation_policy,
    )


def _subject_type(task: Task, name: str) -> str:
    """Work with a grant names the type as a title, other tasks and starts of agents as a label (tasks 3.6)."""
    return name.title().replace("_", "") if task.grant_id and not task.is_startup else name


def task_info(task: Task) -> pb.TaskInfo:
    """What is shown of a task (tasks 7.1); times in seconds."""
    info = pb.TaskInfo(
        task_id=task.task_id,
        task_type=task.task_type,
        status=wire_status(task.status),  # type: ignore[arg-type]
        workspace=task.workspace,
        target_topic=task.target,
        assigned_to=task.assigned_to,
        created_at=task.created_ms // 1000,
        started_at=task.started_ms // 1000,
        completed_at=task.completed_ms // 1000,
        attempt=task.attempts,
        max_attempts=task.max_attempts,
        error=task.error,
        metadata=task.metadata or None,  # an empty map costs as much as ten other fields
        authority_mode=task.authority_mode,
        subject_type=_subject_type(task, task.subject_type),
        subject_id=task.subject_id,
        root_subject_type=_subject_type(task, task.root_subject_type),
        root_subject_id=task.root_subject_id,
        authority_grant_id=task.grant_id,
        root_authority_grant_id=task.root_grant_id,
        parent_authority_grant_id=task.parent_grant_id,
        creator_actor_id=task.creator,
        parent_task_id=task.parent_task_id,
        task_class=task.task_class,  # type: ignore[arg-type]
        disconnected_at=task.disconnected_ms // 1000,
        grace_window_ms=task.grace_ms,
        context_id=task.context_id,
        paused_at=task.paused_ms // 1000,
        priority=task.priority,  # type: ignore[arg-type]
        correlation_id=task.correlation_id,
        root_task_id=task.root_task_id,
    )
    if (wait := task.wait) is not None:
        info.wait_spec.CopyFrom(
            pb.WaitSpec(
                reason=wait.reason,  # type: ignore[arg-type]
                expected_principal=wait.expected_principal,
                input_match=wait.input_match,
                authority_request_id=wait.authority_request_id,
                depends_on=wait.depends_on,
                wake_on_any=wait.wake_on_any,
                timeout_ms=wait.timeout_ms,
                scheduled_wake_unix_ms=wait.scheduled_wake_ms,
                hibernation=_descriptor(wait.hibernation) if wait.hibernation is not None else None,
            )
        )
        info.depends_on.extend(wait.depends_on)
    if (event := task.completion_event) is not None:
        info.completion_event.CopyFrom(
            pb.TaskCompletionEvent(enabled=True, event_name=event.event_name, on_statuses=event.named_statuses)  # type: ignore[arg-type]
        )
    return info


def assignment_frame(
    task: Task,
    payload: bytes,
    *,
    launch_params: dict[str, str] | None = None,
    authorization: pb.AuthorizationContext | None = None,
) -> bytes:
    """A task for its worker, or, with launch parameters, an agent for an orchestrator to start (tasks 8.1)."""
    assignment = pb.TaskAssignment(
        task_id=task.task_id,
        task_type=task.task_type,
        assigned_to=task.assigned_to,
        metadata=task.metadata or None,
        assigned_at=task.assigned_ms // 1000,
        target_implementation=task.implementation,
        workspace=task.workspace,
        payload=payload,
        task_class=task.task_class,  # type: ignore[arg-type]
        checkpoint_key=task.metadata.get(CHECKPOINT_KEY, ""),
        resume_session_id=task.metadata.get(RESUME_SESSION, ""),
        authorization=authorization,
    )
    if launch_params is not None:
        assignment.task_type = STARTUP
        assignment.profile = task.profile
        assignment.specifier = task.specifier
        assignment.launch_params.update(launch_params)
    return down(pb.DownstreamMessage(task_assignment=assignment))


def created_frames(
    request_id: str,
    response: pb.CreateTaskResponse | None = None,
    *,
    code: str = "",
    text: str = "",
    detail: str = "",
    retryable: bool = False,
) -> tuple[bytes, ...]:
    """The answer to a create, nothing for one without request id; of a refusal also the error, which has no request id:
    the Python client raises an error that carries one and drops the response (tasks 3.2).

    :param detail: what only the response says; empty: what the error says.
    """
    frames = [] if not code else [refuse(code, text, retryable=retryable)]
    if request_id:
        response = response or pb.CreateTaskResponse(error_code=code, error_message=detail or text)
        response.request_id = request_id
        frames.append(down(pb.DownstreamMessage(create_task=response)))
    return tuple(frames)


def operation_frame(response: pb.TaskOperationResponse) -> bytes:
    return down(pb.DownstreamMessage(task_op=response))


def query_frame(response: pb.TaskQueryResponse) -> bytes:
    return down(pb.DownstreamMessage(task_query=response))


def subscription_frame(response: pb.TaskSubscriptionOperationResponse) -> bytes:
    return down(pb.DownstreamMessage(task_subscription_response=response))


def hibernated_frame(task: Task) -> bytes:
    """Tells the worker that it may go (tasks 11.4)."""
    assert task.wait is not None and task.wait.hibernation is not None
    hibernated = pb.TaskHibernated(task_id=task.task_id, descriptor=_descriptor(task.wait.hibernation))  # type: ignore[call-arg, unused-ignore]
    return down(pb.DownstreamMessage(task_hibernated=hibernated))


def event_frame(event: TaskEvent, subscription_id: str) -> bytes:
    shown = pb.TaskEvent(
        task_id=event.task_id,
        emitted_at_unix_ms=event.time_ms,
        workspace=event.workspace,
        parent_task_id=event.parent_task_id,
        subscription_id=subscription_id,
    )
    if event.lifecycle:
        shown.child_lifecycle.child_task_id = event.child_task_id
        shown.child_lifecycle.child_status = wire_status(event.to_status)  # type: ignore[assignment]
        shown.child_lifecycle.lifecycle = event.lifecycle
    else:
        shown.status_changed.from_status = wire_status(event.from_status)  # type: ignore[assignment]
        shown.status_changed.to_status = wire_status(event.to_status)  # type: ignore[assignment]
        shown.status_changed.reason = event.reason
    return down(pb.DownstreamMessage(task_event=shown))


def progress_frame(task: Task, report: pb.ProgressReport, now_ms: int, subscription_id: str) -> bytes:
    return down(
        pb.DownstreamMessage(
            task_event=pb.TaskEvent(
                task_id=task.task_id,
                emitted_at_unix_ms=now_ms,
                workspace=task.workspace,
                parent_task_id=task.parent_task_id,
                subscription_id=subscription_id,
                progress=pb.TaskProgressEvent(
                    state=report.state,
                    progress=report.completion,
                    message=report.summary,
                    metadata=report.metadata,
                ),
            )
        )
    )


def authority_request_frame(task: Task, event: pb.AuthorityRequestEvent, now_ms: int, subscription_id: str) -> bytes:
    shown = pb.TaskEvent(
        task_id=task.task_id,
        emitted_at_unix_ms=now_ms,
        workspace=task.workspace,
        parent_task_id=task.parent_task_id,
        subscription_id=subscription_id,
        authority_request=pb.TaskAuthorityRequestEventRelay(event=event),
    )
    return down(pb.DownstreamMessage(task_event=shown))


def notice_frame(task: Task, gateway: str, now_ms: int, recipient: str, metadata: dict[str, str]) -> bytes:
    """Tells somebody concerned that a task has a new status (tasks 12.2)."""
    summary = f"task {task.status}"
    if detail := task.error or metadata.get("summary", ""):
        summary += f": {detail}"
    update = pb.ProgressUpdate(
        source=gateway,
        task_id=task.task_id,
        state=task.status,
        summary=summary,
        timestamp_ms=now_ms,
        workspace=task.workspace,
        recipient=recipient,
        metadata=metadata or None,
        kind=pb.PROGRESS_KIND_TASK,
    )
    return down(pb.DownstreamMessage(progress_update=update))


def completion_frame(task: Task, event_name: str, gateway: str) -> bytes:
    """The event for the workflow engine (tasks 12.5), in the envelope of any other event (weakness 10)."""
    event = {
        "source_agent": "orchestrator",
        "workspace": task.workspace,
        "event_names": [event_name],
        "data": {
            "task_id": task.task_id,
            "status": task.status,
            "task_type": task.task_type,
            "correlation_id": task.correlation_id,
            "root_task_id": task.root_task_id,
            "metadata": task.metadata,
        },
    }
    message = pb.IncomingMessage(
        source_topic=gateway,
        payload=json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode(),
        message_type=pb.EVENT,
        workspace=task.workspace,
    )
    return down(pb.DownstreamMessage(msg=message))
