"""Who may operate on a task, and whose tasks are shown (tasks 4, 7; weaknesses 17, 18, 42)."""

from __future__ import annotations

from aether.access import Access, Level, barred_from, is_system
from aether.answers import Caller
from aether.audit.events import Event, Recorder, actor_of
from aether.identity import PrincipalType
from aether.tasks.model import Task
from aether.tasks.store import Party

__all__ = ["Parties"]


class Parties:
    """Decides for a task and a caller. Roles are told by identity strings: every principal type can have one."""

    def __init__(self, access: Access, recorder: Recorder) -> None:
        self._access = access
        self._recorder = recorder

    def is_owner(self, caller: Caller, task: Task) -> bool:
        """It created the task or works on it; also from another workspace, but not past its credential's limit."""
        return caller.identity.key in (task.creator, task.assigned_to, task.bound) and not barred_from(
            caller, task.workspace
        )

    def is_subject(self, caller: Caller, task: Task) -> bool:
        """It is the user that the task is for, in any window."""
        identity = caller.identity
        return identity.kind is PrincipalType.USER and (task.subject_type, task.subject_id) == ("user", identity.id)

    def is_party(self, caller: Caller, task: Task) -> bool:
        """It created the task, works on it, or is whom it is for."""
        return self.is_owner(caller, task) or (
            self.is_subject(caller, task) and not barred_from(caller, task.workspace)
        )

    def may_operate(self, caller: Caller, task: Task) -> bool:
        """The rules of tasks 4, the first that matches; a denial is recorded.

        :raises StoreUnavailable: it cannot be decided or recorded now.
        """
        identity = caller.identity
        if self.is_owner(caller, task):
            return True
        if identity.workspace and identity.workspace != task.workspace:
            reason = "the task is in another workspace"
        elif barred := barred_from(caller, task.workspace):
            reason = barred
        elif self.is_subject(caller, task) or not self._access.configured:
            return True
        else:
            decision = self._access.rights(caller).check(
                "workspace", task.workspace, Level.MANAGE, "manage", task.workspace, tentative=True
            )
            if decision.allowed:
                return True
            reason = decision.reason
        self._recorder.record(
            Event(
                kind="task",
                operation="task_authz_denied",
                success=False,
                **actor_of(identity),
                resource_type="task",
                resource_id=task.task_id,
                workspace=task.workspace,
                session_id=caller.session_id,
                error=reason,
            )
        )
        return False

    def may_read(self, caller: Caller, workspace: str) -> bool:
        """Whether the tasks of a workspace are shown to a caller."""
        if is_system(caller, workspace):
            return True
        decision = self._access.rights(caller).check(
            "workspace", workspace, Level.READ, "task_list", workspace, tentative=True
        )
        return decision.allowed

    def party(self, caller: Caller) -> Party:
        """Whose own tasks are the caller's."""
        identity = caller.identity
        return Party(identity.key, identity.id if identity.kind is PrincipalType.USER else "")
