"""Operations on workspaces (tasks 15.1, 15.3; acl 7.4; weaknesses 45, 48, 50).

A workspace exists because something uses it: a session, a task, or a description that was stored. Only descriptions
are made and deleted here.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from aether.access import Access, Level, is_system
from aether.answers import Answer, Caller, down, fit
from aether.audit.events import Event, Recorder, actor_of
from aether.errors import AetherError, Code, Refusal, StoreUnavailable
from aether.identity import Identity, InvalidIdentity, PrincipalType, check_identifier
from aether.messaging.flow import Sent
from aether.paging import part
from aether.proto import aether_pb2 as pb
from aether.records import RecordStore, Table
from aether.workspaces.quotas import PREFIX, BadQuota, WorkspaceQuotas

__all__ = ["Description", "TasksOfWorkspaces", "WorkspaceService"]

log = structlog.get_logger("aether.workspaces")

Op = pb.WorkspaceOperation

_DENIED = "admin workspaces operations require system-level privileges or an explicit ACL grant"
_QUOTAS_DENIED = "quotas of workspaces are set by those who administer all workspaces"
_UNAVAILABLE = "the store of workspaces is unavailable, try again"
_PROTECTED = ("workspace_id", "created_at")
DESCRIPTION_BYTES_MAX = 64 * 1024


class _Refused(AetherError):
    """An operation that is not carried out; the text is fit for clients."""


@dataclass(frozen=True, slots=True)
class Description:
    """What was stored about a workspace. Times are Unix milliseconds."""

    workspace_id: str
    display_name: str = ""
    description: str = ""
    tenant_id: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    created_ms: int = 0
    updated_ms: int = 0


class LiveSession(Protocol):
    @property
    def identity(self) -> Identity: ...


class TasksOfWorkspaces(Protocol):
    """The tasks that are in workspaces."""

    async def workspaces(self) -> Sequence[str]:
        """Every workspace that has a task."""

    def cancel_all(self, workspace: str, reason: str) -> int:
        """End what is unfinished in a workspace; returns how many tasks that were.

        :raises StoreUnavailable: some are left.
        """


class WorkspaceService:
    """Answers ``workspace_op``; every failure is an answer.

    :param sessions: the live sessions.
    :param messages: how many messages were sent in a workspace since the gateway started.
    :param flow: who sent to whom in a workspace within the last hour.
    :param quotas: told what descriptions say about them.
    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self,
        records: RecordStore,
        sessions: Iterable[LiveSession],
        tasks: TasksOfWorkspaces,
        access: Access,
        recorder: Recorder,
        wall_clock: Callable[[], int],
        messages: Callable[[str], int],
        flow: Callable[[str], Iterable[Sent]],
        quotas: WorkspaceQuotas,
        *,
        strict: bool = True,
    ) -> None:
        self._table = Table(records, "workspace", Description)
        self._sessions = sessions
        self._tasks = tasks
        self._access = access
        self._recorder = recorder
        self._wall_clock = wall_clock
        self._messages = messages
        self._flow = flow
        self._quotas = quotas
        self._strict = strict
        for name, description in self._table.items():
            try:
                quotas.set(name, quotas.read(description.metadata))
            except BadQuota as error:  # from before there were quotas
                log.warning("quota of a workspace ignored", workspace=name, error=str(error))
        self._handlers: Mapping[int, Callable[[Caller, pb.WorkspaceOperation, pb.WorkspaceResponse], None]] = {
            Op.GET: self._get,
            Op.CREATE: self._create,
            Op.UPDATE: self._update,
            Op.DELETE: self._delete,
            Op.GET_MESSAGE_FLOW: self._message_flow,
        }

    def handle(self, caller: Caller, operation: pb.WorkspaceOperation) -> Answer | Awaitable[Answer]:
        """Run one operation.

        :raises Refusal: this caller may not.
        """
        if not self._may_administer(caller, operation):
            raise Refusal(Code.PERMISSION_DENIED, _DENIED)
        response = pb.WorkspaceResponse(request_id=operation.request_id)
        try:
            if operation.op == Op.LIST:
                return self._list(operation.filter, response)
            handler = self._handlers.get(operation.op)
            if handler is None:
                raise _Refused("unknown workspace operation")
            handler(caller, operation, response)
            response.success = True
        except (_Refused, BadQuota, InvalidIdentity) as error:
            response.error = str(error)
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        return Answer((_frame(response),), self._table.ticket, functools.partial(_in_doubt, operation.request_id))

    def _may_administer(self, caller: Caller, operation: pb.WorkspaceOperation) -> bool:
        names = {operation.workspace_id, operation.workspace.workspace_id} - {""}
        workspace = names.pop() if len(names) == 1 and operation.op != Op.LIST else ""
        return self._administers(caller, workspace)

    def _administers(self, caller: Caller, workspace: str) -> bool:
        """One workspace, or all where it is empty."""
        if is_system(caller, workspace):
            return True
        check = self._access.rights(caller).check
        return check("admin", "admin/workspaces", Level.ADMIN, "admin_op_workspaces", workspace).allowed

    # -------------------------------------------------------------------------------------------------- operations

    async def _list(self, wanted: pb.WorkspaceFilter, response: pb.WorkspaceResponse) -> Answer:
        """Everything that has a description, a session or a task, by name."""
        try:
            names = {*self._table, *await self._tasks.workspaces()}
        except StoreUnavailable:
            response.error = _UNAVAILABLE
            return Answer((_frame(response),))
        names |= {session.identity.workspace for session in self._sessions if session.identity.workspace}
        counts = self._counts()
        found = [self._info(name, counts) for name in sorted(names)]
        found = [info for info in found if wanted.tenant_id in ("", info.tenant_id)]
        response.workspaces.extend(fit(part(found, wanted.limit, wanted.offset)))
        response.total_count = len(found)
        response.success = True
        return Answer((_frame(response),), self._table.ticket, functools.partial(_in_doubt, response.request_id))

    def _get(self, caller: Caller, operation: pb.WorkspaceOperation, response: pb.WorkspaceResponse) -> None:
        del caller
        response.workspace.CopyFrom(self._info(operation.workspace_id, self._counts()))

    def _create(self, caller: Caller, operation: pb.WorkspaceOperation, response: pb.WorkspaceResponse) -> None:
        wanted = self._wanted(operation)
        name = wanted.workspace_id or operation.workspace_id
        check_identifier("workspace_id", name, strict=self._strict, required=True)
        now_ms = self._wall_clock()
        self._keep(caller, operation, response, _merged(Description(name, created_ms=now_ms), wanted, now_ms))
        response.message = "workspace created successfully"

    def _update(self, caller: Caller, operation: pb.WorkspaceOperation, response: pb.WorkspaceResponse) -> None:
        wanted = self._wanted(operation)
        name = operation.workspace_id or wanted.workspace_id
        check_identifier("workspace_id", name, strict=self._strict, required=True)
        now_ms = self._wall_clock()
        known = self._table.get(name) or Description(name, created_ms=now_ms)
        self._keep(caller, operation, response, _merged(known, wanted, now_ms))
        response.message = "workspace updated successfully"

    def _delete(self, caller: Caller, operation: pb.WorkspaceOperation, response: pb.WorkspaceResponse) -> None:
        """The description goes, and what was to be done in it is not done; values, checkpoints, retained messages and
        rules stay for as long as they are kept anyway."""
        name = operation.workspace_id
        if not name:
            raise _Refused("workspace_id must not be empty")
        connected = sum(session.identity.workspace == name for session in self._sessions)
        if connected:
            raise _Refused(f"cannot delete workspace {name}: has {connected} active connections")
        if self._quotas.has_own(name) and not self._administers(caller, ""):
            raise _Refused(_QUOTAS_DENIED)
        cancelled = self._tasks.cancel_all(name, "workspace deleted")
        self._record(caller, operation, name, cancelled=cancelled)
        self._table.delete(name)
        self._quotas.forget(name)
        response.message = "workspace deleted successfully"

    def _message_flow(self, caller: Caller, operation: pb.WorkspaceOperation, response: pb.WorkspaceResponse) -> None:
        del caller
        flow = response.message_flow
        flow.workspace_id = operation.workspace_id
        flow.updated_at = self._wall_clock() // 1000
        here = (session.identity for session in self._sessions if session.identity.workspace == flow.workspace_id)
        flow.nodes.extend(fit(_node(identity) for identity in here))
        edges = map(_edge, self._flow(flow.workspace_id))
        flow.edges.extend(fit(edges, used=flow.ByteSize()))

    # -------------------------------------------------------------------------------------------------------- parts

    def _wanted(self, operation: pb.WorkspaceOperation) -> pb.WorkspaceInfo:
        if not operation.HasField("workspace"):
            raise _Refused("workspace data required for CREATE/UPDATE")
        return operation.workspace

    def _keep(
        self,
        caller: Caller,
        operation: pb.WorkspaceOperation,
        response: pb.WorkspaceResponse,
        description: Description,
    ) -> None:
        info = self._described(description, self._counts())
        if info.ByteSize() > DESCRIPTION_BYTES_MAX:
            raise _Refused(f"a description must not exceed {DESCRIPTION_BYTES_MAX} bytes")
        name = description.workspace_id
        quotas = self._quotas.read(description.metadata)
        if quotas != self._quotas.of(name) and not self._administers(caller, ""):
            raise _Refused(_QUOTAS_DENIED)
        self._record(caller, operation, name)
        self._table.put(name, description)
        self._quotas.set(name, quotas)
        response.workspace.CopyFrom(info)

    def _counts(self) -> Counter[tuple[str, PrincipalType]]:
        return Counter((session.identity.workspace, session.identity.kind) for session in self._sessions)

    def _info(self, name: str, counts: Counter[tuple[str, PrincipalType]]) -> pb.WorkspaceInfo:
        """A description, or one of a workspace that has none."""
        known = self._table.get(name) or Description(name, created_ms=self._wall_clock())
        return self._described(known, counts)

    def _described(self, known: Description, counts: Counter[tuple[str, PrincipalType]]) -> pb.WorkspaceInfo:
        name = known.workspace_id
        return pb.WorkspaceInfo(
            workspace_id=name,
            display_name=known.display_name or name,
            description=known.description,
            tenant_id=known.tenant_id,
            created_at=known.created_ms // 1000,
            updated_at=known.updated_ms // 1000,
            metadata=known.metadata,
            active_agents=counts[name, PrincipalType.AGENT],
            active_tasks=counts[name, PrincipalType.TASK],
            active_users=counts[name, PrincipalType.USER],
            total_messages=self._messages(name),
        )

    def _record(self, caller: Caller, operation: pb.WorkspaceOperation, name: str, **metadata: int) -> None:
        self._recorder.record(
            Event(
                kind="admin",
                operation=f"workspace_{Op.OpType.Name(operation.op).lower()}",
                **actor_of(caller.identity),
                resource_type="workspace",
                resource_id=name,
                workspace=name,
                session_id=caller.session_id,
                metadata=metadata,
            )
        )


def _merged(known: Description, wanted: pb.WorkspaceInfo, now_ms: int) -> Description:
    """What is not empty replaces what was there; metadata entry by entry, and an empty quota is taken out."""
    metadata = known.metadata | {name: value for name, value in wanted.metadata.items() if name not in _PROTECTED}
    return replace(
        known,
        display_name=wanted.display_name or known.display_name,
        description=wanted.description or known.description,
        tenant_id=wanted.tenant_id or known.tenant_id,
        metadata={name: value for name, value in metadata.items() if value or not name.startswith(PREFIX)},
        updated_ms=now_ms,
    )


def _edge(sent: Sent) -> pb.FlowEdge:
    return pb.FlowEdge(to=sent.topic, count=sent.messages, **{"from": sent.source})  # a word of Python's


def _node(identity: Identity) -> pb.FlowNode:
    return pb.FlowNode(
        id=identity.source,
        label=identity.implementation or identity.id,
        type=pb.PrincipalType.ValueType(identity.kind.value),  # type: ignore[arg-type]
        status="online",
        implementation=identity.implementation,
        specifier=identity.specifier,
        topic=identity.topic,
    )


def _frame(response: pb.WorkspaceResponse) -> bytes:
    return down(pb.DownstreamMessage(workspace=response))


def _in_doubt(request_id: str) -> tuple[bytes, ...]:
    return (_frame(pb.WorkspaceResponse(request_id=request_id, error=_UNAVAILABLE)),)
