"""What a task is (tasks 2). Plain data: the rules are in :mod:`aether.tasks.machine`.

Times are Unix milliseconds unless a name says otherwise; 0 is "not yet". Identities are identity strings.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = [
    "LIVE",
    "PAUSED",
    "PRIORITY_DEFAULT",
    "STARTUP",
    "TERMINAL",
    "WORKED_ON",
    "Backoff",
    "Category",
    "CompletionEvent",
    "Hibernation",
    "Mode",
    "RetryPolicy",
    "Status",
    "Task",
    "TaskClass",
    "WaitReason",
    "WaitSpec",
    "grace_ms_of",
    "without_lineage",
]

PRIORITY_DEFAULT = 30
ATTEMPTS_DEFAULT = 3
STARTUP = "agent_startup"
"""Reserved task type: an agent that an orchestrator has to start (tasks 13.2)."""


class Status(enum.StrEnum):
    PENDING = "pending"
    ASSIGNED = "assigned"
    RUNNING = "running"
    WAITING_INPUT = "waiting_input"
    WAITING_AUTHORITY = "waiting_authority"
    WAITING_DEPENDENCY = "waiting_dependency"
    HIBERNATED = "hibernated"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.REJECTED})
PAUSED = frozenset({Status.WAITING_INPUT, Status.WAITING_AUTHORITY, Status.WAITING_DEPENDENCY, Status.HIBERNATED})
LIVE = frozenset(Status) - TERMINAL
WORKED_ON = frozenset({Status.ASSIGNED, Status.RUNNING})
"""A worker has it in hand."""


class Mode(enum.StrEnum):
    """Who works on a task (tasks 3.4)."""

    SELF_ASSIGN = "self_assign"
    TARGETED = "targeted"
    POOL = "pool"


class Category(enum.StrEnum):
    REGULAR = "regular"
    ORCHESTRATED = "orchestrated"
    """The start of an agent."""


class TaskClass(enum.IntEnum):
    UNSPECIFIED = 0
    INTERACTIVE = 1
    BACKGROUND = 2
    BATCH = 3


_GRACE_MS: dict[int, int] = {TaskClass.BACKGROUND: 600_000, TaskClass.BATCH: 300_000}
GRACE_MS_DEFAULT = 30_000


class Backoff(enum.IntEnum):
    UNSPECIFIED = 0
    FIXED = 1
    EXPONENTIAL = 2
    EXPLICIT_SCHEDULE = 3


class WaitReason(enum.IntEnum):
    UNSPECIFIED = 0
    INPUT = 1
    AUTHORITY = 2
    DEPENDENCY = 3
    HIBERNATION = 4


@dataclass(slots=True)
class RetryPolicy:
    """When a failed task is tried again (tasks 10). The last two are hints to workers."""

    max_attempts: int = 0
    backoff: int = 0
    initial_delay_ms: int = 0
    max_delay_ms: int = 0
    jitter_factor: float = 0.0
    schedule_ms: list[int] = field(default_factory=list)
    retryable_status_codes: list[int] = field(default_factory=list)
    honor_retry_after: bool = False


@dataclass(slots=True)
class Hibernation:
    """How a hibernated task comes back (tasks 11.4)."""

    checkpoint_key: str = ""
    resume_session_id: str = ""
    wake_event_types: list[str] = field(default_factory=list)
    escalation_policy: str = ""


@dataclass(slots=True)
class WaitSpec:
    """What a paused task waits for (tasks 11.1)."""

    reason: int = 0
    expected_principal: str = ""
    input_match: dict[str, str] = field(default_factory=dict)
    authority_request_id: str = ""
    depends_on: list[str] = field(default_factory=list)
    wake_on_any: bool = False
    timeout_ms: int = 0
    scheduled_wake_ms: int = 0
    hibernation: Hibernation | None = None


@dataclass(slots=True)
class CompletionEvent:
    """The event that the workflow engine gets at the end (tasks 12.5); ``on_statuses`` empty: at every end."""

    event_name: str = ""
    on_statuses: list[Status] = field(default_factory=list)
    named_statuses: list[int] = field(default_factory=list)
    """As asked for, to show it again."""


@dataclass(slots=True)
class Task:
    """One task. Only :class:`aether.tasks.book.TaskBook` changes it.

    :ivar queued: still to be handed out (``queued_for_startup`` in the specification).
    :ivar target: identity that a targeted task is for.
    :ivar starts_target: the target is started whenever the task waits for it; ``launch_params`` are then what overrides
        its registration.
    :ivar launch_overrides: of a startup task: the part of ``launch_params`` that is not from the registration.
    :ivar bound: worker that a startup task brought up: it acts for the task, while ``assigned_to`` is the orchestrator.
    :ivar attempts: failed attempts so far.
    :ivar former: workers that lost the task; what they say of it later does not count.
    :ivar hold_ms: not handed out before this time.
    :ivar stalled: it was reported that its worker does not begin.
    :ivar losses: how often it had to be taken from a worker that was gone.
    :ivar disconnected_session: session whose end set ``disconnected_ms``.
    :ivar updated_us: time of the last change in microseconds, unique and growing within a book.
    """

    task_id: str
    workspace: str
    creator: str = ""
    task_type: str = ""
    task_class: int = 0
    status: Status = Status.PENDING
    priority: int = PRIORITY_DEFAULT
    mode: Mode = Mode.SELF_ASSIGN
    category: Category = Category.REGULAR
    target: str = ""
    starts_target: bool = False
    implementation: str = ""
    specifier: str = ""
    profile: str = ""
    launch_params: dict[str, str] = field(default_factory=dict)
    launch_overrides: dict[str, str] = field(default_factory=dict)
    queued: bool = False
    hold_ms: int = 0
    assigned_to: str = ""
    bound: str = ""
    former: list[str] = field(default_factory=list)
    losses: int = 0
    parent_task_id: str = ""
    root_task_id: str = ""
    correlation_id: str = ""
    context_id: str = ""
    idempotency: str = ""
    schedule_id: str = ""
    created_ms: int = 0
    updated_us: int = 0
    assigned_ms: int = 0
    started_ms: int = 0
    completed_ms: int = 0
    failed_ms: int = 0
    heartbeat_ms: int = 0
    attempts: int = 0
    max_attempts: int = ATTEMPTS_DEFAULT
    next_retry_ms: int = 0
    retry_policy: RetryPolicy | None = None
    error: str = ""
    error_type: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    disconnected_ms: int = 0
    disconnected_session: str = ""
    grace_ms: int = GRACE_MS_DEFAULT
    wait: WaitSpec | None = None
    paused_ms: int = 0
    overdue: bool = False
    stalled: bool = False
    completion_event: CompletionEvent | None = None
    authority_mode: str = ""
    subject_type: str = ""
    subject_id: str = ""
    root_subject_type: str = ""
    root_subject_id: str = ""
    grant_id: str = ""
    root_grant_id: str = ""
    parent_grant_id: str = ""
    anchor_grant_id: str = ""
    """The grant that was made with the task; those of its workers are derived from it and end with it."""

    @property
    def is_final(self) -> bool:
        """It has ended, and nothing will try it again by itself."""
        return self.status in TERMINAL and not self.next_retry_ms

    @property
    def is_startup(self) -> bool:
        return self.category is Category.ORCHESTRATED

    @property
    def awaits_start(self) -> bool:
        """An orchestrator, not a worker, has it in hand, or is to get it."""
        return self.is_startup and not self.bound

    @property
    def worker(self) -> str:
        """Who does the work: of a startup task the worker it brought up, not the orchestrator."""
        return self.bound or self.assigned_to

    @property
    def depends_on(self) -> list[str]:
        return self.wait.depends_on if self.wait is not None else []

    @property
    def awaited(self) -> list[str]:
        """Ids of what ends its wait: tasks, or a request for authority."""
        if self.wait is None:
            return []
        if self.status is Status.WAITING_AUTHORITY:
            return [self.wait.authority_request_id] if self.wait.authority_request_id else []
        return self.wait.depends_on


def grace_ms_of(task_class: int) -> int:
    """How long a worker of such a task may be gone, in milliseconds (tasks 2)."""
    return _GRACE_MS.get(task_class, GRACE_MS_DEFAULT)


_NOTED = (
    "authority_mode",
    "subject_type",
    "subject_id",
    "root_subject_type",
    "root_subject_id",
    "authority_grant_id",
    "root_authority_grant_id",
    "parent_authority_grant_id",
)
LINEAGE = frozenset(
    {
        *_NOTED,
        *(f"creator_{name}" for name in _NOTED),
        "authority_audience_type",
        "authority_audience_id",
        "authority_delegate_type",
        "authority_delegate_id",
        "authority_reason",
    }
)
"""Keys of metadata in which workers read for whom they work (acl 13.1): the gateway's word, never a client's."""


def without_lineage(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata that a client may give a task."""
    return {name: value for name, value in metadata.items() if name not in LINEAGE}
