"""Operations on access rules: who may change or read which, and what each does (acl 8).

Every operation is answered once, with its typed response and the request's id. A change is in effect when the handler
returns and announced when it is durable together with its audit row. Who granted or changed something is stamped from
the caller, never read from the request (weakness 10).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from aether.access import InvalidAuthority, Level, Rights, is_system
from aether.acl.control import AccessControl
from aether.acl.engine import RuleEngine
from aether.acl.model import MEMBER_TYPES, Edge, Fallback, InvalidRule, Rule, canonical_resource, is_glob, subject
from aether.acl.wire import edge_info, explanation_info, fallback_info, group_info, response_frame, rule_info
from aether.answers import Answer, Caller, Reply, fit, unix_ms
from aether.audit.events import Event, Recorder, actor_of
from aether.audit.paging import Pages
from aether.audit.store import Filter
from aether.audit.trail import AuditTrail
from aether.audit.wire import SECOND_US, decision_entry, end_of, start_of
from aether.errors import Refusal, StoreUnavailable
from aether.identity import InvalidIdentity, canonical_reference
from aether.proto import aether_pb2 as pb

__all__ = ["ACLService"]

Op = pb.ACLOperation

_READS = frozenset({Op.LIST_RULES, Op.GET_RULE, Op.QUERY_AUDIT, Op.GET_FALLBACK_POLICY})
_DELEGATED = frozenset({Op.LIST_RULES, Op.GET_RULE, Op.GRANT, Op.REVOKE})
"""What who manages a workspace may do for that workspace."""
_ADMIN_ONLY = frozenset({Op.SET_FALLBACK_POLICY, Op.CLEANUP_EXPIRED, Op.CLEANUP_AUDIT_LOGS})
_AUDIT_READS = frozenset({Op.GET_FALLBACK_POLICY, Op.QUERY_AUDIT})

AUDIT_PAGE_DEFAULT = 100
AUDIT_PAGE_MAX = 1000
AUDIT_DAYS_DEFAULT = 90

_UNAVAILABLE = "the access rules are unavailable, try again"
_IN_DOUBT = "the change could not be made durable yet; look before you try again"


class _Call(NamedTuple):
    """One operation on its way."""

    caller: Caller
    operation: pb.ACLOperation
    response: pb.ACLResponse
    rights: Rights


class ACLService:
    """Answers ``acl_op``.

    :param recorder: told of every change and refusal.
    :param trail: the audit log to read and clean; None where there is none.
    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self,
        control: AccessControl,
        recorder: Recorder,
        trail: AuditTrail | None,
        wall_clock: Callable[[], int],
    ) -> None:
        self._engine: RuleEngine = control.engine
        self._control = control
        self._recorder = recorder
        self._trail = trail
        self._wall_clock = wall_clock
        self._pages = Pages()
        self._handlers: Mapping[int, Callable[[_Call], None]] = {
            Op.LIST_RULES: self._list_rules,
            Op.GET_RULE: self._get_rule,
            Op.GRANT: self._grant,
            Op.REVOKE: self._revoke,
            Op.GET_FALLBACK_POLICY: self._get_fallback,
            Op.SET_FALLBACK_POLICY: self._set_fallback,
            Op.CLEANUP_EXPIRED: self._cleanup_expired,
            Op.CREATE_GROUP: functools.partial(self._create_group, "group"),
            Op.DELETE_GROUP: functools.partial(self._delete_group, "group"),
            Op.GET_GROUP: functools.partial(self._get_group, "group"),
            Op.LIST_GROUPS: functools.partial(self._list_groups, "group"),
            Op.ADD_GROUP_MEMBER: functools.partial(self._add_member, "group"),
            Op.REMOVE_GROUP_MEMBER: functools.partial(self._remove_member, "group"),
            Op.LIST_GROUP_MEMBERS: functools.partial(self._list_members, "group"),
            Op.CREATE_ROLE: functools.partial(self._create_group, "role"),
            Op.DELETE_ROLE: functools.partial(self._delete_group, "role"),
            Op.GET_ROLE: functools.partial(self._get_group, "role"),
            Op.LIST_ROLES: functools.partial(self._list_groups, "role"),
            Op.ASSIGN_ROLE: functools.partial(self._add_member, "role"),
            Op.UNASSIGN_ROLE: functools.partial(self._remove_member, "role"),
            Op.LIST_ROLE_ASSIGNMENTS: functools.partial(self._list_members, "role"),
            Op.LIST_PRINCIPAL_GROUPS: functools.partial(self._list_memberships, "group"),
            Op.LIST_PRINCIPAL_ROLES: functools.partial(self._list_memberships, "role"),
            Op.EXPLAIN_ACCESS: self._explain,
        }

    def handle(self, caller: Caller, operation: pb.ACLOperation) -> Reply:
        """Run one operation; every failure is an answer."""
        if operation.op in (Op.QUERY_AUDIT, Op.CLEANUP_AUDIT_LOGS):
            return self._handle_audit(caller, operation)
        response = pb.ACLResponse(request_id=operation.request_id)
        before = self._engine.ticket
        try:
            handler = self._handlers.get(operation.op)
            if handler is None:
                raise _refused("unknown ACL operation")
            rights = self._admit(caller, operation)
            handler(_Call(caller, operation, response, rights))
            response.success = True
        except (InvalidRule, Refusal) as error:
            response.error = error.message if isinstance(error, Refusal) else str(error)
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        ticket = max(self._engine.ticket, self._recorder.ticket) if self._engine.ticket != before else 0
        return Answer((response_frame(response),), ticket, functools.partial(_in_doubt, operation.request_id))

    # ------------------------------------------------------------------------------------------------ admission

    def _admit(self, caller: Caller, operation: pb.ACLOperation) -> Rights:
        """Who may call (acl 8.2); returns the rights the caller acts with.

        :raises Refusal: not this one.
        """
        try:
            rights = self._control.rights(caller, operation.authorization)
        except InvalidAuthority as error:
            raise _refused(f"invalid authorization context: {error}") from None
        workspace = self._workspace_of(operation)
        if rights.lineage is None and is_system(caller, workspace or ""):
            return rights
        level = Level.READ if operation.op in _READS else Level.ADMIN
        ask = functools.partial(rights.check, "admin", "admin/acl", level, "admin_op_acl", workspace or "")
        if ask(tentative=True).allowed:
            return rights
        if operation.op in _DELEGATED and workspace is not None:
            self._admit_manager(caller, rights, operation, workspace)
            return rights
        ask()  # the refusal is recorded
        if operation.op in _AUDIT_READS:
            raise _refused("this ACL operation requires an admin_acl grant")
        if operation.op in _ADMIN_ONLY:
            raise _refused("this ACL operation requires global admin privileges")
        raise _refused("ACL operations on non-workspace resources require an admin_acl grant")

    def _workspace_of(self, operation: pb.ACLOperation) -> str | None:
        """The workspace an operation is about; None when it is about something else."""
        if operation.op == Op.GRANT:
            named: Any = operation.grant_request
        else:
            named = operation.rule_filter
            if operation.op != Op.LIST_RULES and not _names_rule(named):
                named = self._find_rule(operation)
        if named is None or named.resource_type != "workspace" or is_glob(named.resource_id):
            # A pattern is more than the workspace of that name: who manages `team-?` must not give away `team-*`.
            return None
        return str(named.resource_id) or None

    def _admit_manager(self, caller: Caller, rights: Rights, operation: pb.ACLOperation, workspace: str) -> None:
        """Delegated administration of one workspace: nobody gives or takes more than readers and writers have,
        unless it administrates the workspace."""
        match operation.op:
            case Op.GRANT:
                # What is replaced counts as well, or a manager could take an administrator's rule away.
                existing = self._engine.rule_for(*_key_of(operation.grant_request))
                touched = max(operation.grant_request.access_level, existing.level if existing else 0)
                # So does what others hold by a rule for more: the new one would be looked at before that.
                request = operation.grant_request
                held = self._engine.evaluate(
                    request.principal_type, request.principal_id, "workspace", workspace, Level.NONE
                )
                if held.by_rule and subject(request.principal_type, request.principal_id) != _stamp(caller):
                    touched = max(touched, held.level)
                need = Level.MANAGE if touched <= Level.READWRITE else Level.ADMIN
            case Op.REVOKE:
                rule = self._find_rule(operation)
                need = Level.MANAGE if rule is None or rule.level <= Level.READWRITE else Level.ADMIN
            case _:
                need = Level.READ
        if not rights.check("workspace", workspace, need, "acl_manage", workspace).allowed:
            raise _refused(f'insufficient access on workspace "{workspace}" for this ACL operation (need {need.name})')

    # ---------------------------------------------------------------------------------------------------- rules

    def _find_rule(self, operation: pb.ACLOperation) -> Rule | None:
        """By all four names, else by id."""
        for named in (operation.rule_filter, operation.grant_request):  # some clients name it as they granted it
            if _names_rule(named):
                return self._engine.rule_for(*_key_of(named))
        return self._engine.rule(operation.rule_id) if operation.rule_id else None

    def _list_rules(self, call: _Call) -> None:
        wanted = call.operation.rule_filter
        resource_type, resource_id = canonical_resource(wanted.resource_type, wanted.resource_id)
        conditions = {
            "principal_type": wanted.principal_type,
            "principal_id": wanted.principal_id,
            "resource_type": resource_type,
            "resource_id": resource_id,
        }
        asked = [(name, value) for name, value in conditions.items() if value]
        rules = [rule for rule in self._engine.rules() if all(getattr(rule, name) == value for name, value in asked)]
        first = max(0, wanted.offset)
        last = first + wanted.limit if wanted.limit > 0 else None
        call.response.total_rules = len(rules)
        call.response.rules.extend(fit(rule_info(rule) for rule in rules[first:last]))

    def _get_rule(self, call: _Call) -> None:
        rule = self._find_rule(call.operation)
        if rule is None:
            raise _refused("failed to get ACL rule: ACL rule not found")
        call.response.rule.CopyFrom(rule_info(rule))

    def _grant(self, call: _Call) -> None:
        if not call.operation.HasField("grant_request"):
            raise _refused("grant_request required for GRANT")
        request = call.operation.grant_request
        before = self._engine.rule_for(*_key_of(request))

        def record(rule: Rule) -> None:
            changed = {"before": _shown(before), "after": _shown(rule)}
            self._record(call, "acl_rule_granted", rule.resource_type, rule.resource_id, **changed)

        try:
            rule = self._engine.grant(
                Rule(
                    rule_id="",
                    principal_type=request.principal_type,
                    principal_id=request.principal_id,
                    resource_type=request.resource_type,
                    resource_id=request.resource_id,
                    level=request.access_level,
                    granted_by=_stamp(call.caller),
                    expires_ms=unix_ms(request.expires_at),
                    reason=request.reason,
                ),
                record,
            )
        except InvalidRule as error:
            raise _refused(f"failed to grant ACL access: {error}") from None
        call.response.rule.CopyFrom(rule_info(rule))
        call.response.message = "ACL access granted"

    def _revoke(self, call: _Call) -> None:
        rule = self._find_rule(call.operation)
        if rule is None:
            by_id = call.operation.rule_id and not _names_rule(call.operation.rule_filter)
            text = f'ACL rule not found for rule_id "{call.operation.rule_id}": ' if by_id else ""
            raise _refused(text + "ACL rule not found")
        self._record(call, "acl_rule_revoked", rule.resource_type, rule.resource_id, before=_shown(rule))
        self._engine.revoke(rule)
        call.response.message = "ACL access revoked"

    def _explain(self, call: _Call) -> None:
        principal_type, principal_id = _principal(call.operation, "EXPLAIN_ACCESS")
        operation = call.operation
        explanation = self._control.explain(
            principal_type, principal_id, operation.resource_type, operation.resource_id, operation.required_level
        )
        who = subject(principal_type, principal_id)
        call.response.explanation.CopyFrom(explanation_info(who, explanation))
        self._recorder.routine(
            Event(
                kind="authorization",
                operation="explain_access",
                **actor_of(call.caller.identity),
                resource_type=operation.resource_type,
                resource_id=operation.resource_id,
                workspace=call.caller.identity.workspace,
                session_id=call.caller.session_id,
                metadata={"principal": who, "required_level": operation.required_level},
                lineage=call.rights.lineage,
            )
        )

    # ------------------------------------------------------------------------------------- policies and cleaning

    def _get_fallback(self, call: _Call) -> None:
        try:
            policy = self._engine.fallback(call.operation.rule_category)
        except InvalidRule as error:
            raise _refused(f"failed to get fallback policy: {error}") from None
        call.response.fallback_policy.CopyFrom(fallback_info(policy))

    def _set_fallback(self, call: _Call) -> None:
        if not call.operation.HasField("fallback_request"):
            raise _refused("fallback_request required for SET_FALLBACK_POLICY")
        request = call.operation.fallback_request

        def record(policy: Fallback) -> None:
            self._record(call, "acl_fallback_set", "fallback_policy", policy.category, after={"level": policy.level})

        try:
            policy = self._engine.set_fallback(
                request.rule_category, request.fallback_access_level, _stamp(call.caller), record
            )
        except InvalidRule as error:
            raise _refused(f"failed to set fallback policy: {error}") from None
        call.response.fallback_policy.CopyFrom(fallback_info(policy))
        call.response.message = "fallback policy updated successfully"

    def _cleanup_expired(self, call: _Call) -> None:
        count = self._engine.remove_expired(
            lambda count: self._record(call, "acl_cleanup_expired", "acl", "", count=count)
        )
        call.response.cleanup_result.deleted_count = count
        call.response.cleanup_result.message = "expired rules and memberships removed"

    # ------------------------------------------------------------------------------------------ the audit log

    async def _handle_audit(self, caller: Caller, operation: pb.ACLOperation) -> Answer:
        """The operations that read or clean the audit log, which takes time."""
        response = pb.ACLResponse(request_id=operation.request_id)
        try:
            self._admit(caller, operation)
            if self._trail is None:
                raise _refused("audit logging not enabled")
            if operation.op == Op.QUERY_AUDIT:
                await self._query_audit(self._trail, caller, operation.audit_filter, response)
            else:
                await self._cleanup_audit(self._trail, caller, operation.retention_days, response)
            response.success = True
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        return Answer((response_frame(response),))

    async def _query_audit(
        self, trail: AuditTrail, caller: Caller, wanted: pb.ACLAuditFilter, response: pb.ACLResponse
    ) -> None:
        limit = min(wanted.limit, AUDIT_PAGE_MAX) if wanted.limit > 0 else AUDIT_PAGE_DEFAULT
        found = Filter(
            start_us=start_of(wanted.start_time),
            end_us=end_of(wanted.end_time),
            kind="authorization",
            actor_type=wanted.principal_type,
            actor_id=wanted.principal_id,
            resource_type=wanted.resource_type,
            resource_id=wanted.resource_id,
            workspace=wanted.workspace,
            decision=wanted.decision.upper(),
        )
        found = self._pages.fix(caller.session_id, found, wanted.offset, trail.store.head[0])
        response.total_audit_entries, rows = await trail.store.query(found, limit, max(0, wanted.offset))
        response.audit_entries.extend(fit(decision_entry(row) for row in rows))

    async def _cleanup_audit(
        self, trail: AuditTrail, caller: Caller, retention_days: int, response: pb.ACLResponse
    ) -> None:
        days = retention_days if retention_days > 0 else AUDIT_DAYS_DEFAULT
        before_us = self._wall_clock() * 1000 - days * 86_400 * SECOND_US
        response.cleanup_result.deleted_count = await trail.trim(before_us, actor_of(caller.identity))
        response.cleanup_result.message = f"audit rows older than {days} days removed"

    # -------------------------------------------------------------------------------------------- groups, roles

    def _create_group(self, kind: str, call: _Call) -> None:
        member = f"{kind}_request"
        if not call.operation.HasField(member):
            raise _refused(f"{member} required for CREATE_{kind.upper()}")
        request = getattr(call.operation, member)
        group = self._engine.create_group(
            kind,
            request.name,
            request.description,
            _stamp(call.caller),
            dict(request.metadata),
            lambda group: self._record(call, f"acl_{kind}_created", kind, group.name),
        )
        getattr(call.response, kind).CopyFrom(group_info(group))
        call.response.message = f"{kind} created"

    def _delete_group(self, kind: str, call: _Call) -> None:
        name = call.operation.name
        count = self._engine.delete_group(
            kind, name, lambda rules: self._record(call, f"acl_{kind}_deleted", kind, name, rules=rules)
        )
        call.response.cleanup_result.deleted_count = count
        call.response.cleanup_result.message = f"rules of the {kind} removed"
        call.response.message = f"{kind} deleted"

    def _get_group(self, kind: str, call: _Call) -> None:
        group = self._engine.membership.group(kind, call.operation.name)
        getattr(call.response, kind).CopyFrom(group_info(group))

    def _list_groups(self, kind: str, call: _Call) -> None:
        groups = fit(group_info(group) for group in self._engine.membership.groups(kind))
        getattr(call.response, f"{kind}s").extend(groups)

    def _add_member(self, kind: str, call: _Call) -> None:
        edge = self._engine.add_member(
            self._edge(kind, call), functools.partial(self._record_member, call, f"acl_{kind}_member_added")
        )
        _edges(kind, call.response).append(edge_info(edge))
        call.response.message = "member added" if kind == "group" else "role assigned"

    def _remove_member(self, kind: str, call: _Call) -> None:
        edge = self._edge(kind, call)
        record = functools.partial(self._record_member, call, f"acl_{kind}_member_removed")
        self._engine.remove_member(kind, edge.name, edge.member_type, edge.member_id, record)
        call.response.message = "member removed" if kind == "group" else "role unassigned"

    def _edge(self, kind: str, call: _Call) -> Edge:
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
            raise _refused(f"{member} required for {Op.OpType.Name(operation.op)}")
        if member_type not in MEMBER_TYPES:
            raise _refused(f'unknown {side} type "{member_type}"')
        if not member_id:
            raise _refused(f"{side}_id is required")
        return Edge(
            kind,
            operation.name,
            member_type,
            member_id,
            granted_by=_stamp(call.caller),
            expires_ms=unix_ms(request.expires_at),
        )

    def _list_members(self, kind: str, call: _Call) -> None:
        edges = self._engine.membership.edges_of_group(kind, call.operation.name)
        _edges(kind, call.response).extend(fit(edge_info(edge) for edge in edges))

    def _list_memberships(self, kind: str, call: _Call) -> None:
        principal = _principal(call.operation, f"LIST_PRINCIPAL_{kind.upper()}S")
        edges = self._engine.membership.edges_of_member(kind, *principal)
        _edges(kind, call.response).extend(fit(edge_info(edge) for edge in edges))

    # ---------------------------------------------------------------------------------------------------- audit

    def _record_member(self, call: _Call, operation: str, edge: Edge) -> None:
        self._record(call, operation, edge.kind, edge.name, member=subject(edge.member_type, edge.member_id))

    def _record(self, call: _Call, operation: str, resource_type: str, resource_id: str, **metadata: Any) -> None:
        """The row of a change, in the same commit as the change itself."""
        caller = call.caller
        self._recorder.record(
            Event(
                kind="acl",
                operation=operation,
                **actor_of(caller.identity),
                resource_type=resource_type,
                resource_id=resource_id,
                workspace=resource_id if resource_type == "workspace" else "",
                session_id=caller.session_id,
                metadata={name: value for name, value in metadata.items() if value is not None},
                lineage=call.rights.lineage,
            )
        )


def _names_rule(named: Any) -> bool:
    return bool(named.principal_type or named.principal_id or named.resource_type or named.resource_id)


def _key_of(named: Any) -> tuple[str, str, str, str]:
    return named.principal_type, named.principal_id, named.resource_type, named.resource_id


def _stamp(caller: Caller) -> str:
    """Who did it, as rules name principals."""
    return subject(caller.identity.kind.label, caller.identity.canonical_id)


def _shown(rule: Rule | None) -> dict[str, Any] | None:
    return None if rule is None else asdict(rule)


def _principal(operation: pb.ACLOperation, name: str) -> tuple[str, str]:
    if not operation.HasField("principal"):
        raise _refused(f"principal required for {name}")
    try:
        return canonical_reference(operation.principal.principal_type, operation.principal.principal_id)
    except InvalidIdentity as error:
        raise _refused(f"invalid principal: {error}") from None


def _edges(kind: str, response: pb.ACLResponse) -> Any:
    return response.group_members if kind == "group" else response.role_assignments


def _in_doubt(request_id: str) -> tuple[bytes, ...]:
    return (response_frame(pb.ACLResponse(request_id=request_id, error=_IN_DOUBT)),)


def _refused(message: str) -> Refusal:
    """A refusal whose text goes into the typed response; those have no code."""
    return Refusal("", message)
