"""What a task may do on behalf of others (tasks 3.6, 13.1).

A task that is created under somebody's authority gets a grant of its own, derived from that of its creator: for its
worker where that is known, else for the task itself, from which each worker it is handed to gets one. All of them end
with the task.
"""

from __future__ import annotations

from collections.abc import Callable

from aether.access import InvalidAuthority, Level
from aether.answers import Caller
from aether.audit.events import Event, Lineage, Recorder
from aether.authority.grants import Grants, principal_of
from aether.authority.model import ANY_WORKSPACE, Grant, InvalidGrant, check_within, child_of
from aether.authority.wire import reference
from aether.errors import StoreUnavailable
from aether.identity import Identity, InvalidIdentity, PrincipalType, parse_identity
from aether.proto import aether_pb2 as pb
from aether.tasks.model import Mode, Task
from aether.tasks.workers import Worker

__all__ = ["TaskGrants"]

ON_BEHALF_OF = "on_behalf_of"
DELEGATES = (PrincipalType.AGENT, PrincipalType.SERVICE, PrincipalType.TASK)
RENEW_BEFORE_MS = 300_000
LEASE_MS_MIN = 60_000
STARTUP_LIFE_MS = 24 * 3_600_000
STARTUP_RENEWABLE_MS = 7 * 24 * 3_600_000

Principal = tuple[str, str]


class TaskGrants:
    """Implements :class:`aether.tasks.creation.Inheritance` and :class:`aether.tasks.placement.Grants`.

    :param wall_clock: current Unix time in milliseconds.
    :param gateway_id: issuer of the grants that the gateway makes by itself.
    """

    def __init__(
        self,
        grants: Grants,
        recorder: Recorder,
        wall_clock: Callable[[], int],
        new_id: Callable[[], str],
        gateway_id: str,
    ) -> None:
        self._grants = grants
        self._recorder = recorder
        self._wall_clock = wall_clock
        self._new_id = new_id
        self._gateway = ("service", f"sv::gateway::{gateway_id}")

    @property
    def ticket(self) -> int:
        return self._grants.ticket

    # --------------------------------------------------------------------------------------------------- creating

    def inherited(self, caller: Caller, task: Task | None) -> Lineage | None:
        """The authority of the caller's own task, where it can be passed on."""
        grant = self._grants.get(task.grant_id) if task is not None and task.grant_id else None
        if grant is None or task is None or grant.remaining_hops < 1 or not grant.is_live(self._wall_clock()):
            return None
        if grant.delegate != principal_of(caller):
            return None
        is_here = (grant.audience_type, grant.audience_id) in (principal_of(caller), ("task", task.task_id))
        return grant.lineage() if is_here else None

    def entrust(self, caller: Caller, lineage: Lineage, task: Task, hops: int) -> None:
        """Make the grant of a new task and note it there.

        :param hops: how often its worker must be able to pass it on.
        :raises InvalidAuthority: it cannot be passed on so far, or not to such a worker.
        :raises StoreUnavailable: nothing was changed.
        """
        parent = self._grants.get(lineage.grant_id)
        if parent is None:
            raise InvalidAuthority("authority grant not found")
        is_pool = task.mode is Mode.POOL
        if parent.remaining_hops - (2 if is_pool else 1) < hops:
            raise InvalidAuthority("authority grant cannot delegate that far")
        if is_pool:
            delegate = ("task", f"ta::{task.workspace}::{task.task_type or '_task_authority'}::{task.task_id}")
            audience = ("task", task.task_id)
        else:
            delegate, audience = _ends_of(task.target or task.creator, task)
        try:
            check_within(caller.workspace_limit, parent.workspace_scope)
        except InvalidGrant as error:
            raise InvalidAuthority(str(error)) from None
        reason = f"task:{task.mode}:{task.task_id}"
        metadata = {
            "authority_task_id": task.task_id,
            "authority_task_type": task.task_type,
            "authority_task_mode": task.mode.value,
        }
        grant = self._derive(parent, principal_of(caller), delegate, audience, reason, metadata)
        before = _metadata(parent)
        task.metadata = {**task.metadata, **{f"creator_{name}": value for name, value in before.items()}}
        task.anchor_grant_id = grant.id
        self._note(task, grant)

    def entrust_again(self, caller: Caller, task: Task) -> None:
        """For another attempt: what ended with the one before is made anew, as far as its creator may still pass it on,
        and the credential of who asks reaches. Where it may not, the task ends when it is handed out.

        :raises StoreUnavailable: nothing was changed.
        """
        now_ms = self._wall_clock()
        ended = self._grants.get(task.anchor_grant_id) if task.anchor_grant_id else None
        parent = self._grants.get(ended.parent_id) if ended is not None and ended.parent_id else None
        if ended is None or parent is None or ended.is_live(now_ms) or not parent.is_live(now_ms):
            return
        issuer, audience = (ended.issued_by_type, ended.issued_by_id), (ended.audience_type, ended.audience_id)
        try:
            check_within(caller.workspace_limit, parent.workspace_scope)
            grant = self._derive(parent, issuer, ended.delegate, audience, ended.reason, dict(ended.metadata))
        except (InvalidGrant, InvalidAuthority):
            return
        task.anchor_grant_id = grant.id
        self._note(task, grant)

    def authorize_startup(self, sender: Caller, task: Task, claimed: str = "") -> None:
        """An agent that is started by a user's message may act for that user, in the workspaces concerned (tasks 13.1).

        :param claimed: workspace that the message is for, where the user may write; empty for none.
        :raises StoreUnavailable: nothing was changed.
        """
        identity = sender.identity
        if identity.kind is not PrincipalType.USER:
            return
        now_ms = self._wall_clock()
        subject = principal_of(sender)
        delegate, audience = _ends_of(task.target, task)
        workspaces = dict.fromkeys(name for name in (task.workspace, identity.workspace, claimed) if name)
        grant_id = self._new_id()
        grant = self._grants.add(
            Grant(
                id=grant_id,
                root_id=grant_id,
                subject_type=subject[0],
                subject_id=subject[1],
                root_subject_type=subject[0],
                root_subject_id=subject[1],
                delegate_type=delegate[0],
                delegate_id=delegate[1],
                issued_by_type=self._gateway[0],
                issued_by_id=self._gateway[1],
                max_access_level=Level.READWRITE,
                audience_type=audience[0],
                audience_id=audience[1],
                remaining_hops=1,
                workspace_scope=tuple(workspaces),
                expires_ms=now_ms + STARTUP_LIFE_MS,
                renewable_ms=now_ms + STARTUP_RENEWABLE_MS,
                created_ms=now_ms,
                reason=f"trigger_orchestration:{task.task_type}:{task.task_id}",
            ),
            self._record,
        )
        task.anchor_grant_id = grant.id
        self._note(task, grant)

    # ------------------------------------------------------------------------------------------------- handing out

    def prepare(self, task: Task, worker: Worker) -> None:
        """Make sure that a worker can use the task's authority; nothing to do for a task without.

        :raises InvalidAuthority: the authority has ended, or is not for such a worker.
        :raises StoreUnavailable: nothing was changed.
        """
        if not task.grant_id:
            return
        now_ms = self._wall_clock()
        principal = (worker.identity.kind.label, worker.identity.canonical_id)
        current, anchor = self._grants.get(task.grant_id), self._grants.get(task.anchor_grant_id)
        for grant in (current, anchor):
            if grant is not None and grant.is_live(now_ms) and grant.delegate == principal:
                self._note(task, grant)
                return
        if current is not None and current is not anchor and current.is_live(now_ms):
            self._grants.revoke(current, "the task has another worker", self._record)
        if anchor is None or not anchor.is_live(now_ms):
            raise InvalidAuthority("the authority of the task has ended")
        delegate, audience = _ends_of(worker.identity.key, task)
        reason = f"task_delivery:{task.task_id}:{worker.identity.key}"
        self._note(task, self._derive(anchor, self._gateway, delegate, audience, reason, {}))

    def context(self, task: Task) -> pb.AuthorizationContext | None:
        """What the worker of a task sends along to act for its subject; None for a task without authority."""
        grant = self._grants.get(task.grant_id) if task.grant_id else None
        if grant is None:
            return None
        return pb.AuthorizationContext(
            authority_mode=ON_BEHALF_OF,
            subject=reference(*grant.subject),
            grant_id=grant.id,
            resolved=pb.ResolvedAuthorityInfo(
                root_subject=reference(grant.root_subject_type, grant.root_subject_id),
                audience_type=grant.audience_type,
                audience_id=grant.audience_id,
                max_access_level=grant.max_access_level,
                workspace_scope=["*" if entry == ANY_WORKSPACE else entry for entry in grant.workspace_scope],
                expires_at_ms=grant.expires_ms,
            ),
        )

    def renew(self, task: Task) -> None:
        """At a sign of life: let the grants of a task live longer that would end soon, as far as they may."""
        chain: list[Grant] = []
        grant = self._grants.get(task.grant_id) if task.grant_id else None
        while grant is not None:
            chain.append(grant)
            grant = self._grants.get(grant.parent_id) if grant.parent_id else None
        now_ms = self._wall_clock()
        for grant in reversed(chain):  # a child lives no longer than its parent
            lease_ms = max(LEASE_MS_MIN, grant.expires_ms - (grant.renewed_ms or grant.created_ms))
            if grant.expires_ms - now_ms < min(RENEW_BEFORE_MS, lease_ms // 2) and grant.is_live(now_ms):
                try:
                    self._grants.renew(grant, now_ms + lease_ms)
                except (InvalidGrant, StoreUnavailable):
                    return  # it has come to its end, or the next sign of life tries again

    def revoke(self, task: Task) -> None:
        """The task has ended: so do its grants, and whatever was derived from them.

        :raises StoreUnavailable: some are still live.
        """
        grant = self._grants.get(task.anchor_grant_id) if task.anchor_grant_id else None
        if grant is not None and not grant.revoked_ms:
            self._grants.revoke(grant, f"task {task.status}", self._record)

    # -------------------------------------------------------------------------------------------------------- parts

    def _derive(
        self,
        parent: Grant,
        issuer: Principal,
        delegate: Principal,
        audience: Principal,
        reason: str,
        metadata: dict[str, str],
    ) -> Grant:
        """A child with the parent's scopes and times, a hop less."""
        try:
            return self._grants.add(
                child_of(
                    parent,
                    self._new_id(),
                    issuer=issuer,
                    delegate=delegate,
                    audience=audience,
                    created_ms=self._wall_clock(),
                    reason=reason,
                    metadata=metadata,
                ),
                self._record,
            )
        except InvalidGrant as error:
            raise InvalidAuthority(str(error)) from None

    def _note(self, task: Task, grant: Grant) -> None:
        """Write the grant that counts now into the task. It is staged with the change that it belongs to."""
        task.authority_mode = ON_BEHALF_OF
        task.subject_type, task.subject_id = grant.subject
        task.root_subject_type, task.root_subject_id = grant.root_subject_type, grant.root_subject_id
        task.grant_id, task.root_grant_id, task.parent_grant_id = grant.id, grant.root_id, grant.parent_id
        task.metadata = {
            **task.metadata,
            **_metadata(grant),
            "authority_audience_type": grant.audience_type,
            "authority_audience_id": grant.audience_id,
            "authority_delegate_type": grant.delegate_type,
            "authority_delegate_id": grant.delegate_id,
            "authority_reason": grant.reason,
        }

    def _record(self, grant: Grant) -> None:
        self._recorder.record(
            Event(
                kind="acl",
                operation=_operation(grant),
                actor_type=grant.issued_by_type,
                actor_id=grant.issued_by_id,
                canonical_id=grant.issued_by_id,
                resource_type="authority_grant",
                resource_id=grant.id,
                metadata={"delegate": f"{grant.delegate_type}:{grant.delegate_id}", "reason": grant.reason},
                lineage=grant.lineage(),
            )
        )


def _operation(grant: Grant) -> str:
    if grant.revoked_ms:
        return "authority_grant_revoke"
    return "authority_grant_derive" if grant.parent_id else "authority_grant_issue"


def _ends_of(identity: str, task: Task) -> tuple[Principal, Principal]:
    """Delegate and audience of a grant for a worker.

    :raises InvalidAuthority: it is neither agent, service nor task.
    """
    try:
        worker: Identity = parse_identity(identity)
    except InvalidIdentity as error:
        raise InvalidAuthority(str(error)) from None
    if worker.kind not in DELEGATES:
        raise InvalidAuthority("only agents, services and tasks can be given the authority of a task")
    delegate = (worker.kind.label, worker.canonical_id)
    return delegate, (("task", task.task_id) if worker.kind is PrincipalType.TASK else delegate)


def _metadata(grant: Grant) -> dict[str, str]:
    """What a task's metadata say of a grant."""
    metadata = {
        "authority_mode": ON_BEHALF_OF,
        "subject_type": grant.subject_type.title(),
        "subject_id": grant.subject_id,
        "root_subject_type": grant.root_subject_type.title(),
        "root_subject_id": grant.root_subject_id,
        "authority_grant_id": grant.id,
        "root_authority_grant_id": grant.root_id,
    }
    if grant.parent_id:
        metadata["parent_authority_grant_id"] = grant.parent_id
    return metadata
