"""Who may look at access rules, and who may change which (acl 8.2)."""

from __future__ import annotations

import functools
from typing import Any

from aether.access import InvalidAuthority, Level, Rights, is_system
from aether.acl.calls import find_rule, key_of, names_rule, refused, stamp
from aether.acl.control import AccessControl
from aether.acl.model import is_glob, subject
from aether.answers import Caller
from aether.proto import aether_pb2 as pb

__all__ = ["Admission"]

Op = pb.ACLOperation

RULES_OF_WORKSPACE_MAX = 10_000
"""Who administers all rules may make more."""

_READS = frozenset({Op.LIST_RULES, Op.GET_RULE, Op.QUERY_AUDIT, Op.GET_FALLBACK_POLICY})
_DELEGATED = frozenset({Op.LIST_RULES, Op.GET_RULE, Op.GRANT, Op.REVOKE})
"""What who manages a workspace may do for that workspace."""
_ADMIN_ONLY = frozenset({Op.SET_FALLBACK_POLICY, Op.CLEANUP_EXPIRED, Op.CLEANUP_AUDIT_LOGS})
_AUDIT_READS = frozenset({Op.GET_FALLBACK_POLICY, Op.QUERY_AUDIT})


class Admission:
    """Asks the rules who may handle them."""

    def __init__(self, control: AccessControl) -> None:
        self._control = control
        self._engine = control.engine

    def admit(self, caller: Caller, operation: pb.ACLOperation) -> Rights:
        """Who may call (acl 8.2); returns the rights the caller acts with.

        :raises Refusal: not this one.
        """
        try:
            rights = self._control.rights(caller, operation.authorization)
        except InvalidAuthority as error:
            raise refused(f"invalid authorization context: {error}") from None
        workspace = self._workspace_of(operation)
        if rights.lineage is None and is_system(caller, workspace or ""):
            return rights
        level = Level.READ if operation.op in _READS else Level.ADMIN
        ask = functools.partial(rights.check, "admin", "admin/acl", level, "admin_op_acl", workspace or "")
        if ask(tentative=True).allowed:
            return rights
        if operation.op in _DELEGATED and workspace is not None and self._may_know(rights, operation, workspace):
            self._admit_manager(caller, rights, operation, workspace)
            return rights
        ask()  # the refusal is recorded
        if operation.op in _AUDIT_READS:
            raise refused("this ACL operation requires an admin_acl grant")
        if operation.op in _ADMIN_ONLY:
            raise refused("this ACL operation requires global admin privileges")
        raise refused("ACL operations on non-workspace resources require an admin_acl grant")

    def _may_know(self, rights: Rights, operation: pb.ACLOperation, workspace: str) -> bool:
        """Whether a caller may be told which workspace a rule is for: who named no more than the rule's id and may not
        read the workspace is refused as if there were no such rule."""
        if any(map(names_rule, (operation.rule_filter, operation.grant_request))):
            return True
        return rights.check("workspace", workspace, Level.READ, "acl_manage", workspace, tentative=True).allowed

    def _workspace_of(self, operation: pb.ACLOperation) -> str | None:
        """The workspace an operation is about; None when it is about something else."""
        if operation.op == Op.GRANT:
            named: Any = operation.grant_request
        else:
            named = operation.rule_filter
            if operation.op != Op.LIST_RULES and not names_rule(named):
                named = find_rule(self._engine, operation)
        if named is None or named.resource_type != "workspace" or is_glob(named.resource_id):
            # A pattern is more than the workspace of that name: who manages `team-?` must not give away `team-*`.
            return None
        return str(named.resource_id) or None

    def _admit_manager(self, caller: Caller, rights: Rights, operation: pb.ACLOperation, workspace: str) -> None:
        """Delegated administration of one workspace: nobody gives or takes more than readers and writers have,
        unless it administrates the workspace.

        Which rules there are counts only once the caller may do as much by itself: others would learn of them from
        what they are told they need.
        """
        match operation.op:
            case Op.GRANT:
                asked = _to_handle(operation.grant_request.access_level)
                there = _to_handle(self._held(caller, operation.grant_request, workspace))
            case Op.REVOKE:
                rule = find_rule(self._engine, operation)
                asked, there = Level.MANAGE, _to_handle(rule.level if rule is not None else Level.NONE)
            case _:
                asked = there = Level.READ
        _require(rights, workspace, asked)
        if there > asked:
            _require(rights, workspace, there)
        is_new = operation.op == Op.GRANT and self._engine.rule_for(*key_of(operation.grant_request)) is None
        if is_new and self._engine.count_of("workspace", workspace) >= RULES_OF_WORKSPACE_MAX:
            # Rules are kept in memory: whoever may make them for its workspace must not decide how many there are.
            raise refused(f"a workspace has no more than {RULES_OF_WORKSPACE_MAX} rules")

    def _held(self, caller: Caller, request: pb.ACLGrantRequest, workspace: str) -> int:
        """The level that a new rule would take the place of."""
        # What is replaced counts, or a manager could take an administrator's rule away.
        existing = self._engine.rule_for(*key_of(request))
        held = self._engine.evaluate(request.principal_type, request.principal_id, "workspace", workspace, Level.NONE)
        # So does what others hold by a rule for more: the new one would be looked at before that.
        by_others = held.by_rule and subject(request.principal_type, request.principal_id) != stamp(caller)
        return max(existing.level if existing else 0, held.level if by_others else 0)


def _to_handle(level: int) -> Level:
    """What it takes to give or take away a level."""
    return Level.MANAGE if level <= Level.READWRITE else Level.ADMIN


def _require(rights: Rights, workspace: str, need: Level) -> None:
    """:raises Refusal: the caller holds less."""
    if not rights.check("workspace", workspace, need, "acl_manage", workspace).allowed:
        raise refused(f'insufficient access on workspace "{workspace}" for this ACL operation (need {need.name})')
