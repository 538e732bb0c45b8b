"""Access rules, for principals that may administer them, and decisions for everybody (acl 8, 19)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aether.client.errors import NotFound, PermissionDenied, RequestRefused
from aether.client.link import Link
from aether.proto import aether_pb2 as pb

__all__ = ["AccessRules", "Subject", "question"]

Subject = tuple[str, str]
"""A principal, group, role or wildcard: ``("user", "alice")``, ``("group", "devs")``."""

Op = pb.ACLOperation


class AccessRules:
    """``me.acl``. Levels are 0 none, 10 read, 20 read and write, 30 manage, 40 administrate, 50 everything.

    Every method raises PermissionDenied where the rules do not let this principal administer rules, and NotFound for
    what is not there. Times are Unix seconds; 0 is never.
    """

    def __init__(self, link: Link) -> None:
        self._link = link

    # ---------------------------------------------------------------------------------------------------- rules

    async def grant(
        self,
        subject: Subject,
        resource_type: str,
        resource_id: str,
        level: int,
        *,
        reason: str = "",
        expires_at: int = 0,
    ) -> pb.ACLRuleInfo:
        """Give a level on a resource, or change the rule of this subject and resource."""
        request = pb.ACLGrantRequest(
            principal_type=subject[0],
            principal_id=subject[1],
            resource_type=resource_type,
            resource_id=resource_id,
            access_level=level,
            reason=reason,
            expires_at=expires_at,
        )
        return (await self._run(Op.GRANT, grant_request=request)).rule

    async def revoke(self, rule_id: str) -> None:
        """Take a rule away."""
        await self._run(Op.REVOKE, rule_id=rule_id)

    async def get(self, rule_id: str) -> pb.ACLRuleInfo:
        """One rule."""
        return (await self._run(Op.GET_RULE, rule_id=rule_id)).rule

    async def list(
        self,
        *,
        subject: Subject = ("", ""),
        resource_type: str = "",
        resource_id: str = "",
        limit: int = 0,
        offset: int = 0,
    ) -> Sequence[pb.ACLRuleInfo]:
        """Rules, the newest first; what is left empty does not narrow it down."""
        wanted = pb.ACLRuleFilter(
            principal_type=subject[0],
            principal_id=subject[1],
            resource_type=resource_type,
            resource_id=resource_id,
            limit=limit,
            offset=offset,
        )
        return [*(await self._run(Op.LIST_RULES, rule_filter=wanted)).rules]

    async def explain(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int
    ) -> pb.ACLAccessExplanationInfo:
        """The decision for somebody, and every rule that speaks to it."""
        response = await self._run(
            Op.EXPLAIN_ACCESS,
            principal=pb.PrincipalRef(principal_type=principal_type, principal_id=principal_id),
            resource_type=resource_type,
            resource_id=resource_id,
            required_level=level,
        )
        return response.explanation

    async def get_fallback(self, category: str) -> int:
        """The level of everybody where no rule decides; a category is ``{principal type}_{resource type}``."""
        response = await self._run(Op.GET_FALLBACK_POLICY, rule_category=category)
        return int(response.fallback_policy.fallback_access_level)

    async def set_fallback(self, category: str, level: int) -> None:
        """Change it."""
        request = pb.ACLSetFallbackRequest(rule_category=category, fallback_access_level=level)
        await self._run(Op.SET_FALLBACK_POLICY, fallback_request=request)

    async def remove_expired(self) -> int:
        """Forget rules and memberships that ended; returns how many."""
        return int((await self._run(Op.CLEANUP_EXPIRED)).cleanup_result.deleted_count)

    # --------------------------------------------------------------------------------------------- groups, roles

    async def create_group(self, name: str, description: str = "", metadata: Mapping[str, str] | None = None) -> None:
        """A name that rules can have as their subject, with members."""
        request = pb.ACLGroupRequest(name=name, description=description, metadata=metadata or {})
        await self._run(Op.CREATE_GROUP, group_request=request)

    async def delete_group(self, name: str) -> None:
        """With its memberships and its rules."""
        await self._run(Op.DELETE_GROUP, name=name)

    async def groups(self) -> Sequence[pb.ACLGroupInfo]:
        """All groups, by name."""
        return [*(await self._run(Op.LIST_GROUPS)).groups]

    async def add_member(self, group: str, member: Subject, *, expires_at: int = 0) -> None:
        """Add a principal, or another group."""
        request = pb.ACLGroupMemberRequest(member_type=member[0], member_id=member[1], expires_at=expires_at)
        await self._run(Op.ADD_GROUP_MEMBER, name=group, member_request=request)

    async def remove_member(self, group: str, member: Subject) -> None:
        """Take a member out."""
        request = pb.ACLGroupMemberRequest(member_type=member[0], member_id=member[1])
        await self._run(Op.REMOVE_GROUP_MEMBER, name=group, member_request=request)

    async def members(self, group: str) -> Sequence[pb.ACLGroupMemberInfo]:
        """Direct members."""
        return [*(await self._run(Op.LIST_GROUP_MEMBERS, name=group)).group_members]

    async def create_role(self, name: str, description: str = "") -> None:
        """As a group, but assigned."""
        await self._run(Op.CREATE_ROLE, role_request=pb.ACLRoleRequest(name=name, description=description))

    async def delete_role(self, name: str) -> None:
        """With its assignments and its rules."""
        await self._run(Op.DELETE_ROLE, name=name)

    async def assign_role(self, role: str, assignee: Subject, *, expires_at: int = 0) -> None:
        """Assign it to a principal or a group."""
        request = pb.ACLRoleAssignmentRequest(assignee_type=assignee[0], assignee_id=assignee[1], expires_at=expires_at)
        await self._run(Op.ASSIGN_ROLE, name=role, assignment_request=request)

    async def unassign_role(self, role: str, assignee: Subject) -> None:
        """Take it back."""
        request = pb.ACLRoleAssignmentRequest(assignee_type=assignee[0], assignee_id=assignee[1])
        await self._run(Op.UNASSIGN_ROLE, name=role, assignment_request=request)

    async def roles(self) -> Sequence[pb.ACLRoleInfo]:
        """All roles, by name."""
        return [*(await self._run(Op.LIST_ROLES)).roles]

    async def assignments(self, role: str) -> Sequence[pb.ACLRoleAssignmentInfo]:
        """Who has it by itself, and not through a group."""
        return [*(await self._run(Op.LIST_ROLE_ASSIGNMENTS, name=role)).role_assignments]

    # ------------------------------------------------------------------------------------------------- decisions

    async def check(
        self, resource_type: str, resource_id: str, level: int, *, operation: str = "", workspace: str = ""
    ) -> pb.AccessDecisionReceipt:
        """May this principal do that? Being denied is a result: look at ``allowed``. Open to everybody."""
        operation_ = pb.AccessCheckOperation(access=question(resource_type, resource_id, level, operation, workspace))
        response = await self._link.request("access_check", operation_)
        if not response.success:
            raise RequestRefused("ACCESS_CHECK_FAILED", response.error)
        decision: pb.AccessDecisionReceipt = response.decision
        return decision

    async def check_all(self, questions: Iterable[pb.ResourceAccessRequest]) -> Sequence[pb.AccessDecisionReceipt]:
        """Up to 100 decisions in one request, in the order of the questions; see :func:`question`."""
        operation = pb.BatchAccessCheckOperation(access=questions)
        response = await self._link.request("batch_access_check", operation)
        if not response.success:
            raise RequestRefused("BATCH_ACCESS_CHECK_FAILED", response.error)
        return [*response.decisions]

    async def _run(self, op: int, **fields: Any) -> pb.ACLResponse:
        response: pb.ACLResponse = await self._link.request("acl_op", pb.ACLOperation(op=op, **fields))  # type: ignore[arg-type]
        if response.success:
            return response
        # These responses have no code, only a text.
        for text, error in (
            ("not found", NotFound),
            ("requires", PermissionDenied),
            ("require an", PermissionDenied),
            ("insufficient", PermissionDenied),
        ):
            if text in response.error:
                raise error("ACL_OPERATION_REFUSED", response.error)
        raise RequestRefused("ACL_OPERATION_REFUSED", response.error)


def question(
    resource_type: str, resource_id: str, level: int, operation: str = "", workspace: str = ""
) -> pb.ResourceAccessRequest:
    """A question about access, for :meth:`AccessRules.check_all` or as the condition of a message."""
    return pb.ResourceAccessRequest(
        resource_type=resource_type,
        resource_id=resource_id,
        required_access_level=level,
        operation=operation,
        workspace=workspace,
    )
