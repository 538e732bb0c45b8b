"""Every field of tasks on the wire (tasks 7.1, 8.1, 11.4, 12)."""

from __future__ import annotations

import json

import pytest
from tests.unit.fakes import messages

from aether.answers import Answer
from aether.proto import aether_pb2 as pb
from aether.tasks import wire
from aether.tasks.model import CompletionEvent, Hibernation, Status, Task, WaitSpec
from aether.tasks.store import TaskEvent

WAIT = pb.WaitSpec(
    reason=pb.WAIT_REASON_HIBERNATION,
    expected_principal="us::bob",
    input_match={"k": "v"},
    authority_request_id="request",
    depends_on=["t8", "t9"],
    wake_on_any=True,
    timeout_ms=21,
    scheduled_wake_unix_ms=22,
    hibernation=pb.HibernationDescriptor(
        checkpoint_key="key", resume_session_id="session", wake_event_types=["mail"], escalation_policy="alert"
    ),
)


def shown(*frames: bytes) -> list[pb.DownstreamMessage]:
    return messages(Answer(frames))


@pytest.fixture
def task() -> Task:
    """Nothing in it is like anything else."""
    return Task(
        "t1",
        "w",
        creator="ag::w::i::boss",
        task_type="kind",
        task_class=3,
        status=Status.HIBERNATED,
        priority=40,
        target="ag::w::i::target",
        implementation="impl",
        specifier="spec",
        profile="profile",
        launch_params={"not": "shown"},
        assigned_to="ag::w::i::worker",
        parent_task_id="t2",
        root_task_id="t3",
        correlation_id="correlation",
        context_id="context",
        created_ms=1_000_000_999,
        assigned_ms=2_000_000_999,
        started_ms=3_000_000_999,
        completed_ms=4_000_000_999,
        failed_ms=5_999,
        attempts=6,
        max_attempts=7,
        error="broke",
        metadata={"m": "n", "_hibernation_checkpoint_key": "saved", "_hibernation_resume_session_id": "before"},
        disconnected_ms=8_000_000_999,
        grace_ms=9_999,
        wait=wire.wait_spec(WAIT),
        paused_ms=10_000_000_999,
        completion_event=CompletionEvent("ended", [Status.FAILED], [pb.TASK_STATUS_FAILED]),
        authority_mode="on_behalf_of",
        subject_type="workflow_engine",
        subject_id="subject",
        root_subject_type="user",
        root_subject_id="root",
        grant_id="g1",
        root_grant_id="g2",
        parent_grant_id="g3",
        anchor_grant_id="g4",
    )


def test_all_of_a_task(task: Task) -> None:
    expected = pb.TaskInfo(
        task_id="t1",
        task_type="kind",
        status=pb.TASK_STATUS_HIBERNATED,
        workspace="w",
        target_topic="ag::w::i::target",
        assigned_to="ag::w::i::worker",
        created_at=1_000_000,
        started_at=3_000_000,
        completed_at=4_000_000,
        attempt=6,
        max_attempts=7,
        error="broke",
        metadata=task.metadata,
        authority_mode="on_behalf_of",
        subject_type="WorkflowEngine",
        subject_id="subject",
        root_subject_type="User",
        root_subject_id="root",
        authority_grant_id="g1",
        root_authority_grant_id="g2",
        parent_authority_grant_id="g3",
        creator_actor_id="ag::w::i::boss",
        parent_task_id="t2",
        task_class=pb.TASK_CLASS_BATCH,
        disconnected_at=8_000_000,
        grace_window_ms=9_999,
        wait_spec=WAIT,
        depends_on=["t8", "t9"],
        context_id="context",
        paused_at=10_000_000,
        priority=pb.TASK_PRIORITY_HIGH,
        correlation_id="correlation",
        root_task_id="t3",
        completion_event=pb.TaskCompletionEvent(enabled=True, event_name="ended", on_statuses=[pb.TASK_STATUS_FAILED]),
    )
    assert wire.task_info(task) == expected
    unset = {field.name for field in pb.TaskInfo.DESCRIPTOR.fields} - {field.name for field, _ in expected.ListFields()}
    assert unset == set(), "a field that this test does not look at"


def test_without_a_grant_the_kind_of_a_subject_is_a_label(task: Task) -> None:
    task.grant_id = ""
    info = wire.task_info(task)
    assert (info.subject_type, info.root_subject_type) == ("workflow_engine", "user")


def test_what_a_task_does_not_have_is_not_shown() -> None:
    info = wire.task_info(Task("t1", "w"))
    assert not any(info.HasField(name) for name in ("wait_spec", "completion_event"))
    assert (list(info.depends_on), dict(info.metadata)) == ([], {})


def test_a_wait_without_hibernation_has_none(task: Task) -> None:
    wait = wire.wait_spec(pb.WaitSpec(reason=pb.WAIT_REASON_INPUT))
    assert wait == WaitSpec(reason=1, hibernation=None)
    task.wait = wait
    assert not wire.task_info(task).wait_spec.HasField("hibernation")


@pytest.mark.parametrize("status", list(Status))
def test_statuses_there_and_back(status: Status) -> None:
    number = wire.wire_status(status)
    assert status in wire.statuses([number])
    assert all(wire.wire_status(one) == number for one in wire.statuses([number]))


def test_statuses_that_are_none() -> None:
    assert wire.wire_status("") == pb.TASK_STATUS_UNSPECIFIED
    assert wire.statuses([pb.TASK_STATUS_UNSPECIFIED, 99]) == frozenset()
    assert wire.statuses([pb.TASK_STATUS_QUEUED]) == {Status.PENDING, Status.ASSIGNED}


def test_all_of_an_assignment(task: Task) -> None:
    authorization = pb.AuthorizationContext(grant_id="g1")
    [frame] = shown(wire.assignment_frame(task, b"payload", authorization=authorization))
    assert frame.task_assignment == pb.TaskAssignment(
        task_id="t1",
        task_type="kind",
        assigned_to="ag::w::i::worker",
        metadata=task.metadata,
        assigned_at=2_000_000,
        target_implementation="impl",
        workspace="w",
        payload=b"payload",
        task_class=pb.TASK_CLASS_BATCH,
        checkpoint_key="saved",
        resume_session_id="before",
        authorization=authorization,
    )


@pytest.mark.parametrize("params", [{}, {"image": "usual"}])
def test_what_an_orchestrator_is_asked(task: Task, params: dict[str, str]) -> None:
    [frame] = shown(wire.assignment_frame(task, b"", launch_params=params))
    asked = frame.task_assignment
    assert (asked.task_type, asked.profile, asked.specifier) == ("agent_startup", "profile", "spec")
    assert (dict(asked.launch_params), asked.HasField("authorization")) == (params, False)


def test_a_worker_that_may_go(task: Task) -> None:
    [frame] = shown(wire.hibernated_frame(task))
    assert frame.task_hibernated == pb.TaskHibernated(task_id="t1", descriptor=WAIT.hibernation)  # type: ignore[call-arg, unused-ignore]
    assert task.wait is not None
    assert task.wait.hibernation == Hibernation("key", "session", ["mail"], "alert")


def test_events(task: Task) -> None:
    changed = TaskEvent(5, "t1", "w", 77, "t2", "running", "failed", "broke")
    child = TaskEvent(6, "t2", "w", 78, "t3", "", "completed", "", "t1", "completed")
    report = pb.ProgressReport(state="working", completion=0.5, summary="half", metadata={"k": "v"})
    news = pb.AuthorityRequestEvent(event_type=1)  # type: ignore[arg-type]
    frames = shown(
        wire.event_frame(changed, "s"),
        wire.event_frame(child, "s"),
        wire.progress_frame(task, report, 79, "s"),
        wire.authority_request_frame(task, news, 80, "s"),
    )
    of_task = {"task_id": "t1", "workspace": "w", "parent_task_id": "t2", "subscription_id": "s"}
    assert [frame.task_event for frame in frames] == [
        pb.TaskEvent(
            emitted_at_unix_ms=77,
            status_changed=pb.TaskStatusChangedEvent(
                from_status=pb.TASK_STATUS_RUNNING, to_status=pb.TASK_STATUS_FAILED, reason="broke"
            ),
            **of_task,
        ),
        pb.TaskEvent(
            emitted_at_unix_ms=78,
            child_lifecycle=pb.TaskChildLifecycleEvent(
                child_task_id="t1", child_status=pb.TASK_STATUS_COMPLETED, lifecycle="completed"
            ),
            **{**of_task, "task_id": "t2", "parent_task_id": "t3"},
        ),
        pb.TaskEvent(
            emitted_at_unix_ms=79,
            progress=pb.TaskProgressEvent(state="working", progress=0.5, message="half", metadata={"k": "v"}),
            **of_task,
        ),
        pb.TaskEvent(emitted_at_unix_ms=80, authority_request=pb.TaskAuthorityRequestEventRelay(event=news), **of_task),
    ]


@pytest.mark.parametrize(
    ("error", "metadata", "summary"),
    [
        ("broke", {"summary": "unused"}, "task hibernated: broke"),
        ("", {"summary": "all is well"}, "task hibernated: all is well"),
        ("", {}, "task hibernated"),
    ],
)
def test_a_notice(task: Task, error: str, metadata: dict[str, str], summary: str) -> None:
    task.error = error
    [frame] = shown(wire.notice_frame(task, "sv::gateway::g", 81, "us::bob", metadata))
    assert frame.progress_update == pb.ProgressUpdate(
        source="sv::gateway::g",
        task_id="t1",
        state="hibernated",
        summary=summary,
        timestamp_ms=81,
        workspace="w",
        recipient="us::bob",
        metadata=metadata,
        kind=pb.PROGRESS_KIND_TASK,
    )


def test_the_event_at_the_end(task: Task) -> None:
    task.metadata = {"name": "Zoë"}
    [frame] = shown(wire.completion_frame(task, "ended", "sv::gateway::g"))
    message = frame.msg
    assert (message.source_topic, message.message_type, message.workspace) == ("sv::gateway::g", pb.EVENT, "w")
    assert "Zoë".encode() in message.payload
    assert json.loads(message.payload) == {
        "source_agent": "orchestrator",
        "workspace": "w",
        "event_names": ["ended"],
        "data": {
            "task_id": "t1",
            "status": "hibernated",
            "task_type": "kind",
            "correlation_id": "correlation",
            "root_task_id": "t3",
            "metadata": {"name": "Zoë"},
        },
    }


def test_what_is_asked_for_of_a_new_task() -> None:
    request = pb.CreateTaskRequest(
        retry_policy=pb.RetryPolicy(
            max_attempts=9,
            backoff=pb.BACKOFF_STRATEGY_FIXED,
            initial_delay_ms=2,
            max_delay_ms=3,
            jitter_factor=0.5,
            schedule_ms=[4, 5],
            retryable_status_codes=[503],
            honor_retry_after=True,
        ),
        completion_event=pb.TaskCompletionEvent(
            enabled=True, event_name="ended", on_statuses=[pb.TASK_STATUS_FAILED, pb.TASK_STATUS_COMPLETED]
        ),
    )
    policy, event = wire.retry_policy(request), wire.completion_event(request)
    assert policy is not None
    assert (policy.max_attempts, policy.backoff, policy.initial_delay_ms, policy.max_delay_ms) == (9, 1, 2, 3)
    assert (policy.jitter_factor, policy.schedule_ms, policy.retryable_status_codes) == (0.5, [4, 5], [503])
    assert policy.honor_retry_after
    assert event is not None
    assert (event.event_name, event.named_statuses) == ("ended", [pb.TASK_STATUS_FAILED, pb.TASK_STATUS_COMPLETED])
    assert set(event.on_statuses) == {Status.FAILED, Status.COMPLETED}


def test_what_is_not_asked_for_of_a_new_task() -> None:
    request = pb.CreateTaskRequest(completion_event=pb.TaskCompletionEvent(event_name="not enabled"))
    assert (wire.retry_policy(request), wire.completion_event(request)) == (None, None)


@pytest.mark.parametrize(("request_id", "kinds"), [("r", ["error", "create_task"]), ("", ["error"])])
def test_a_refusal(request_id: str, kinds: list[str]) -> None:
    frames = shown(*wire.created_frames(request_id, code="CODE", text="no", detail="because", retryable=True))
    assert [frame.WhichOneof("payload") for frame in frames] == kinds
    error = frames[0].error
    assert (error.code, error.message, error.retryable, error.request_id) == ("CODE", "no", True, "")
    for frame in frames[1:]:
        assert frame.create_task == pb.CreateTaskResponse(
            error_code="CODE", error_message="because", request_id=request_id
        )


def test_a_refusal_without_details_says_the_same_twice() -> None:
    refusal, answer = shown(*wire.created_frames("r", code="CODE", text="no"))
    assert (refusal.error.retryable, answer.create_task.error_message) == (False, "no")


def test_an_answer_to_a_create() -> None:
    response = pb.CreateTaskResponse(success=True, task_id="t1")
    assert wire.created_frames("", response) == ()
    [frame] = shown(*wire.created_frames("r", response))
    assert frame.create_task == pb.CreateTaskResponse(success=True, task_id="t1", request_id="r")
