"""Operations on groups and roles, and on who is in them (acl 8.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aether.acl.calls import Call, principal_of, refused, stamp
from aether.acl.engine import RuleEngine
from aether.acl.model import MEMBER_TYPES, Edge, subject
from aether.acl.wire import edge_info, group_info
from aether.answers import fit, unix_ms
from aether.proto import aether_pb2 as pb

__all__ = ["GroupOperations"]

Op = pb.ACLOperation


class GroupOperations:
    """What each operation does; who may was asked before. A role is a group by another name."""

    def __init__(self, engine: RuleEngine) -> None:
        self._engine = engine
        self.handlers: Mapping[int, Callable[[Call], None]] = {
            Op.CREATE_GROUP: partial(self._create_group, "group"),
            Op.DELETE_GROUP: partial(self._delete_group, "group"),
            Op.GET_GROUP: partial(self._get_group, "group"),
            Op.LIST_GROUPS: partial(self._list_groups, "group"),
            Op.ADD_GROUP_MEMBER: partial(self._add_member, "group"),
            Op.REMOVE_GROUP_MEMBER: partial(self._remove_member, "group"),
            Op.LIST_GROUP_MEMBERS: partial(self._list_members, "group"),
            Op.CREATE_ROLE: partial(self._create_group, "role"),
            Op.DELETE_ROLE: partial(self._delete_group, "role"),
            Op.GET_ROLE: partial(self._get_group, "role"),
            Op.LIST_ROLES: partial(self._list_groups, "role"),
            Op.ASSIGN_ROLE: partial(self._add_member, "role"),
            Op.UNASSIGN_ROLE: partial(self._remove_member, "role"),
            Op.LIST_ROLE_ASSIGNMENTS: partial(self._list_members, "role"),
            Op.LIST_PRINCIPAL_GROUPS: partial(self._list_memberships, "group"),
            Op.LIST_PRINCIPAL_ROLES: partial(self._list_memberships, "role"),
        }

    def _create_group(self, kind: str, call: Call) -> None:
        member = f"{kind}_request"
        if not call.operation.HasField(member):
            raise refused(f"{member} required for CREATE_{kind.upper()}")
        request = getattr(call.operation, member)
        group = self._engine.create_group(
            kind,
            request.name,
            request.description,
            stamp(call.caller),
            dict(request.metadata),
            lambda group: call.record(f"acl_{kind}_created", kind, group.name),
        )
        getattr(call.response, kind).CopyFrom(group_info(group))
        call.response.message = f"{kind} created"

    def _delete_group(self, kind: str, call: Call) -> None:
        name = call.operation.name
        count = self._engine.delete_group(
            kind, name, lambda rules: call.record(f"acl_{kind}_deleted", kind, name, rules=rules)
        )
        call.response.cleanup_result.deleted_count = count
        call.response.cleanup_result.message = f"rules of the {kind} removed"
        call.response.message = f"{kind} deleted"

    def _get_group(self, kind: str, call: Call) -> None:
        group = self._engine.membership.group(kind, call.operation.name)
        getattr(call.response, kind).CopyFrom(group_info(group))

    def _list_groups(self, kind: str, call: Call) -> None:
        groups = fit(group_info(group) for group in self._engine.membership.groups(kind))
        getattr(call.response, f"{kind}s").extend(groups)

    def _add_member(self, kind: str, call: Call) -> None:
        edge = self._engine.add_member(_edge(kind, call), partial(_record_member, call, f"acl_{kind}_member_added"))
        _edges(kind, call.response).append(edge_info(edge))
        call.response.message = "member added" if kind == "group" else "role assigned"

    def _remove_member(self, kind: str, call: Call) -> None:
        edge = _edge(kind, call)
        record = partial(_record_member, call, f"acl_{kind}_member_removed")
        self._engine.remove_member(kind, edge.name, edge.member_type, edge.member_id, record)
        call.response.message = "member removed" if kind == "group" else "role unassigned"

    def _list_members(self, kind: str, call: Call) -> None:
        edges = self._engine.membership.edges_of_group(kind, call.operation.name)
        _edges(kind, call.response).extend(fit(edge_info(edge) for edge in edges))

    def _list_memberships(self, kind: str, call: Call) -> None:
        edges = self._engine.membership.edges_of_member(kind, *principal_of(call.operation))
        _edges(kind, call.response).extend(fit(edge_info(edge) for edge in edges))


def _edge(kind: str, call: Call) -> Edge:
    """The membership that a request names."""
    operation = call.operation
    member = "member_request" if kind == "group" else "assignment_request"
    is_removal = operation.op in (Op.REMOVE_GROUP_MEMBER, Op.UNASSIGN_ROLE)
    request: Any = getattr(operation, member)
    side = "member" if kind == "group" else "assignee"
    if operation.HasField(member):
        member_type, member_id = getattr(request, f"{side}_type"), getattr(request, f"{side}_id")
    elif is_removal and operation.HasField("principal"):  # as the published Python client says it
        member_type, member_id = operation.principal.principal_type, operation.principal.principal_id
    else:
        raise refused(f"{member} required for {Op.OpType.Name(operation.op)}")
    if member_type not in MEMBER_TYPES:
        raise refused(f'unknown {side} type "{member_type}"')
    if not member_id:
        raise refused(f"{side}_id is required")
    return Edge(
        kind,
        operation.name,
        member_type,
        member_id,
        granted_by=stamp(call.caller),
        expires_ms=unix_ms(request.expires_at),
    )


def _edges(kind: str, response: pb.ACLResponse) -> Any:
    return response.group_members if kind == "group" else response.role_assignments


def _record_member(call: Call, operation: str, edge: Edge) -> None:
    call.record(operation, edge.kind, edge.name, member=subject(edge.member_type, edge.member_id))
