"""Who may do what with which value, where access rules decide (kv 3.2, 5.1)."""

from __future__ import annotations

import functools

from aether.access import Access, InvalidAuthority, Level, Rights
from aether.answers import Caller
from aether.errors import Code, Refusal
from aether.identity import PrincipalType
from aether.kv.namespaces import EXCLUSIVE, WITH_USER, WITH_WORKSPACE, shown
from aether.kv.rows import LABELS
from aether.kv.store import Op, Scope
from aether.kv.wire import PERMISSION_DENIED
from aether.proto import aether_pb2 as pb

__all__ = ["Denied", "check_access", "claimed_rights", "implied_rights"]

COORDINATION_PREFIX = "_sys/coord/"

_READS = frozenset({Op.GET, Op.SET_CARD, Op.LIST})


class Denied(Refusal):
    """A refusal whose reason is for the audit log only: it may name rules and grants."""

    def __init__(self, code: str, message: str, reason: str) -> None:
        super().__init__(code, message)
        self.reason = reason


def claimed_rights(access: Access, caller: Caller, context: pb.AuthorizationContext) -> Rights:
    """The rights that an operation claims.

    :raises Denied: it claims what nobody gave.
    """
    try:
        return access.rights(caller, context)
    except InvalidAuthority as error:
        raise Denied(Code.PERMISSION_DENIED, "invalid authorization context", str(error)) from None


def implied_rights(access: Access, caller: Caller, context: pb.AuthorizationContext | None, user: str) -> Rights | None:
    """What the caller's task lets it do with the shared entries of a user (kv 3.2); None: what it may itself.

    The authority of one user says nothing about another: a caller that asks for somebody else's entries has its own
    rights there, whomever it works for at the moment.
    """
    if context is None:
        return None
    subject = context.subject
    if subject.principal_type == PrincipalType.USER.label and subject.principal_id != user:
        return None
    try:
        return access.rights(caller, context)
    except InvalidAuthority:
        return None


def check_access(
    access: Access, caller: Caller, rights: Rights | None, op: Op, scope: Scope, key: str, user: str, workspace: str
) -> None:
    """Owner, coordination keys, the key's rule, the scope's rule: the first that decides (kv 5.1).

    :raises Refusal: denied. The text names no rule.
    :raises StoreUnavailable: no decision could be made, so none in favour.
    """
    identity = caller.identity
    # A rule for the scope opens the caller's own workspace; another one needs a right to it as well (weakness 19).
    # Who has no workspace of its own is judged by the scope alone, as its rules are granted for that.
    is_foreign = scope in WITH_WORKSPACE and identity.workspace not in ("", workspace)
    lineage = rights.lineage if rights is not None else None
    is_owner = scope in EXCLUSIVE and lineage is None
    if is_owner and not is_foreign:
        return
    rights = rights or access.rights(caller)
    is_coordination = op is not Op.LIST and key.startswith(COORDINATION_PREFIX)
    if is_coordination and identity.kind is PrincipalType.WORKFLOW_ENGINE and lineage is None:
        return
    # A grant that is limited to workspaces is not for values of all of them, whichever one the caller names; those
    # of its user are reached from where the caller is (kv 42).
    concerned = workspace
    if lineage is not None and scope not in WITH_WORKSPACE:
        concerned = identity.workspace if scope in WITH_USER else ""
    check = functools.partial(
        rights.check,
        level=Level.READ if op in _READS else Level.READWRITE,
        operation=LABELS[op],
        workspace=concerned,
    )
    if not is_owner:
        decision = check("kv_key", key, tentative=True) if op is not Op.LIST else None
        if decision is None or not decision.by_rule:
            decision = check("kv_scope", scope.label)
        if not decision.allowed:
            text = f"not authorized for {LABELS[op]} in scope {scope.label}"
            raise Denied(PERMISSION_DENIED, text, decision.reason)
    if is_foreign and not (decision := check("workspace", workspace)).allowed:
        text = f"not authorized for workspace {shown(workspace)}"
        raise Denied(PERMISSION_DENIED, text, decision.reason)
    # Who acts for a user does so with that user's entries; those of another take a right of their own (weakness
    # 18).
    is_for_user = scope in WITH_USER and lineage is not None and lineage.subject_type == PrincipalType.USER.label
    is_others = is_for_user and lineage is not None and lineage.subject_id != user
    if is_others and not (decision := check("kv_user", user)).allowed:
        raise Denied(PERMISSION_DENIED, "not authorized for the entries of another user", decision.reason)
