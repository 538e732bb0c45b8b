"""Where a new task goes: to its creator, to one identity, which may have to be started, or to a pool (tasks 3.4), and
what it gets on its way: authority (3.6) and a token (3.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aether.access import InvalidAuthority
from aether.answers import Caller
from aether.audit.events import Lineage
from aether.errors import Code
from aether.identity import InvalidIdentity, PrincipalType, parse_identity
from aether.proto import aether_pb2 as pb
from aether.tasks import machine
from aether.tasks.book import TaskBook
from aether.tasks.model import STARTUP, Mode, Task
from aether.tasks.rejections import Rejected, impossible

__all__ = ["Grants", "Placement", "Startups", "TokenIssuer"]


class Startups(Protocol):
    """Starts agents that are not there (tasks 13)."""

    def is_registered(self, implementation: str) -> bool: ...

    def start(self, target: str, overrides: dict[str, str], *, creator: str) -> Task:
        """The startup task of an agent: the one that is under way, or a new one.

        :raises ValueError: it cannot be started; the text is fit for clients.
        """

    def start_new(self, target: str, overrides: dict[str, str], *, creator: str, idempotency: str = "") -> Task:
        """As :meth:`start`, but not one that is under way or connected already.

        :param idempotency: hash that the task is found by when it is asked for again.
        """


class TokenIssuer(Protocol):
    @property
    def ticket(self) -> int: ...

    def issue_for(self, caller: Caller, target_identity: str, task_id: str) -> str: ...


class Grants(Protocol):
    """Gives tasks what they may do on behalf of others (tasks 3.6)."""

    def entrust(self, caller: Caller, lineage: Lineage, task: Task, hops: int) -> None:
        """Make the grant of a new task and note it there.

        :raises InvalidAuthority: it cannot be passed on.
        """

    def revoke(self, task: Task) -> None:
        """End what was made for a task."""


class Placement:
    """Stores new tasks.

    :param wall_clock: current Unix time in milliseconds.
    :param is_connected: whether an identity has a session anywhere.
    :param authority: None where there are no grants, and hence no authority to pass on.
    """

    def __init__(
        self,
        book: TaskBook,
        tokens: TokenIssuer,
        startups: Startups,
        wall_clock: Callable[[], int],
        is_connected: Callable[[str], bool],
        authority: Grants | None = None,
    ) -> None:
        self._book = book
        self._tokens = tokens
        self._startups = startups
        self._wall_clock = wall_clock
        self._is_connected = is_connected
        self._authority = authority

    @property
    def ticket(self) -> int:
        """Of the latest change that belongs to a new task."""
        return max(self._book.ticket, self._tokens.ticket)

    def place(
        self, caller: Caller, request: pb.CreateTaskRequest, task: Task, lineage: Lineage | None
    ) -> tuple[Task, pb.CreateTaskResponse]:
        """Store a new task with what it needs; returns it, or the start of an agent that was asked for instead.

        :param lineage: whose authority it has; None for no other than the creator's.
        :raises Rejected: there is no such task then.
        :raises StoreUnavailable: likewise.
        """
        status = self._plan(request, task)
        if status is None:  # the start of an agent was asked for, not work
            started = self._start_new(request, caller, task.idempotency)
            response = pb.CreateTaskResponse(success=True, task_id=started.task_id, status="orchestration_triggered")
            return started, response
        if lineage is not None:
            self._entrust(caller, lineage, task, request.required_downstream_authority_hops)
        if status == "orchestration_triggered":
            try:
                self._start(request, caller)
            except Rejected:
                if self._authority is not None:
                    self._authority.revoke(task)  # there is no task that would end it
                raise
        self._book.add(task, request.payload)
        if task.mode is Mode.SELF_ASSIGN:
            self._book.change(task, machine.assign(task, caller.identity.key, self._wall_clock()))
        token = self._tokens.issue_for(caller, request.target_identity, task.task_id) if request.target_identity else ""
        response = pb.CreateTaskResponse(
            success=True,
            task_id=task.task_id,
            status=status,
            assigned_to=task.assigned_to,
            task_token=token,
            authority_grant_id=task.grant_id,
        )
        return task, response

    def _plan(self, request: pb.CreateTaskRequest, task: Task) -> str | None:
        """Check where the task is to go; returns the status of the answer, or None for the start of an agent."""
        match task.mode:
            case Mode.SELF_ASSIGN:
                return "assigned"
            case Mode.POOL:
                if not task.implementation:
                    raise impossible("target_implementation required for pool assignment")
                task.queued = True
                return "pending_pool"
        if not task.target:
            raise impossible("target_agent_id required for targeted assignment")
        try:
            target = parse_identity(task.target)
        except InvalidIdentity as error:
            raise impossible(f"target_agent_id: {error}") from None
        if task.task_type == STARTUP:
            return None
        task.implementation = task.implementation or target.implementation
        task.queued = True
        if request.target_offline_policy not in (pb.TARGET_OFFLINE_POLICY_QUEUE, pb.TARGET_OFFLINE_POLICY_REJECT):
            task.starts_target = True
            task.launch_params = dict(request.launch_param_overrides)
        if self._is_connected(task.target):
            return "assigned"
        match request.target_offline_policy:
            case pb.TARGET_OFFLINE_POLICY_REJECT:
                raise Rejected(Code.TARGET_OFFLINE, f"target {task.target} is offline")
            case pb.TARGET_OFFLINE_POLICY_QUEUE:
                return "queued"
        if target.kind not in (PrincipalType.AGENT, PrincipalType.TASK) or not target.specifier:
            raise impossible(f"target {task.target} is offline, and is nothing that could be started")
        if not self._startups.is_registered(target.implementation):
            raise impossible(f"target agent implementation '{target.implementation}' not found in registry")
        return "orchestration_triggered"

    def _start(self, request: pb.CreateTaskRequest, caller: Caller) -> None:
        overrides = dict(request.launch_param_overrides)
        try:
            self._startups.start(request.target_agent_id, overrides, creator=caller.identity.key)
        except ValueError as error:
            raise impossible(str(error)) from None

    def _start_new(self, request: pb.CreateTaskRequest, caller: Caller, idempotency: str) -> Task:
        overrides, creator = dict(request.launch_param_overrides), caller.identity.key
        try:
            return self._startups.start_new(
                request.target_agent_id, overrides, creator=creator, idempotency=idempotency
            )
        except ValueError as error:
            raise impossible(str(error)) from None

    def _entrust(self, caller: Caller, lineage: Lineage, task: Task, hops: int) -> None:
        try:
            if self._authority is None:
                raise InvalidAuthority("there is no authority to pass on")
            self._authority.entrust(caller, lineage, task, hops)
        except InvalidAuthority:
            raise Rejected(Code.PERMISSION_DENIED, "unable to delegate task authority") from None
