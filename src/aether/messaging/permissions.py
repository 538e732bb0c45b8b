"""Who may send what to whom, where access rules decide (routing 3.5, 3.6).

Beside :func:`aether.topics.may_send`, which says it for types of principals and topics.
"""

from __future__ import annotations

from aether.access import Access, InvalidAuthority, Level, Rights
from aether.answers import Caller
from aether.errors import Code, Refusal
from aether.identity import Identity, PrincipalType
from aether.messaging.rows import NO_BROADCAST, Denial
from aether.proto import aether_pb2 as pb
from aether.topics import Prefix, Target

__all__ = [
    "FAN_IN",
    "check_access",
    "check_foreign_fan_in",
    "check_metric_credit",
    "claimed_rights",
    "claimed_workspace",
    "implied_rights",
    "rule_for_user",
]

FAN_IN = frozenset({Prefix.EVENT, Prefix.METRIC})

_USER = frozenset({Prefix.US, Prefix.UW, Prefix.UU})

_TASK_WORKERS = frozenset({PrincipalType.AGENT, PrincipalType.TASK})
"""Who acts for the subject of its task without saying so."""


def check_foreign_fan_in(access: Access, caller: Caller, target: Target, topic: str, declared: str) -> None:
    """An event or metric for another workspace needs the broadcast capability (routing 3.5 A)."""
    if not declared or declared == caller.identity.workspace:
        return
    operation = "event_broadcast" if target.prefix is Prefix.EVENT else "metric_broadcast"
    decision = access.rights(caller).check(
        "capability", f"capability/{operation}", Level.READWRITE, operation, declared
    )
    if not decision.allowed:
        raise Denial(
            f"cross-workspace broadcast to {topic} denied: cross-workspace broadcast requires "
            f'capability/{operation} on workspace "{declared}"',
            NO_BROADCAST,
            declared_workspace=declared,
        )


def claimed_rights(access: Access, caller: Caller, message: pb.SendMessage, topic: str) -> Rights:
    """The sender's own rights, or those of a subject under a grant (routing 3.6)."""
    context = message.authorization if message.HasField("authorization") else None
    try:
        return access.rights(caller, context)
    except InvalidAuthority as error:
        raise Denial(
            f"not authorized to send to topic {topic}", "invalid_authorization_context", cause=str(error)
        ) from None


def implied_rights(
    access: Access, caller: Caller, context: pb.AuthorizationContext | None, target: Target
) -> Rights | None:
    """Those of whom the sender's task is for (routing 3.6), as far as they reach; None: the sender has its own.

    Nobody asked for them, so whatever is wrong with them is no reason to refuse.
    """
    if context is None or caller.identity.kind not in _TASK_WORKERS:
        return None
    try:
        rights = access.rights(caller, context)
    except InvalidAuthority:
        return None
    return rights if _is_allowed(caller.identity, rights, target, tentative=True) else None


def check_access(identity: Identity, rights: Rights, target: Target, topic: str) -> None:
    if not _is_allowed(identity, rights, target):
        raise Denial(f"not authorized to send to topic {topic}", lineage=rights.lineage)


def _is_allowed(identity: Identity, rights: Rights, target: Target, *, tentative: bool = False) -> bool:
    """READWRITE on the workspace concerned: the target's where it differs, else the sender's (routing 3.5 C-F).

    An event or metric for another workspace has passed the gate of its own, and concerns the sender's.

    Under a grant the sender's own right will do too, but not beyond what the grant is for: receivers are told
    whose authority it was.
    """
    is_granted = rights.lineage is not None
    if target.prefix is Prefix.METRIC and identity.kind is PrincipalType.AGENT and not is_granted:
        return True
    is_own = target.prefix in FAN_IN and not is_granted
    workspace = identity.workspace if is_own else target.workspace or identity.workspace
    if target.prefix in _USER:
        rule = rule_for_user(rights, target.topic.split("::")[1], "send_message", workspace, tentative=tentative)
        if rule is False or (rule and not target.workspace and not is_granted):
            return rule
    if not workspace and not is_granted:
        return True
    question = ("workspace", workspace, Level.READWRITE, "send_message", workspace)
    may_itself = is_granted and identity.workspace and rights.permits(*question)
    if may_itself and rights.check(*question, direct=True, tentative=True).allowed:
        return True
    return rights.check(*question, tentative=tentative).allowed


def claimed_workspace(rights: Rights, message: pb.SendMessage) -> str:
    """The workspace that a sender claims for its message, if it may write there: receivers go by it."""
    claimed = message.app_workspace
    question = ("workspace", claimed, Level.READWRITE, "send_message", claimed)
    return claimed if claimed and rights.check(*question, tentative=True).allowed else ""


def check_metric_credit(rights: Rights, workspace: str) -> None:
    """:param workspace: that the metric is for; the capability may be held for one only."""
    decision = rights.check("capability", "capability/metric_credit", Level.ADMIN, "metric_write_negative", workspace)
    if not decision.allowed:
        raise Refusal(Code.METRIC_NEGATIVE_FORBIDDEN, "negative metric deltas require additional authorization")


def rule_for_user(rights: Rights, user: str, operation: str, workspace: str, *, tentative: bool = False) -> bool | None:
    """What a rule says about the sender itself and the user that it writes to (weakness 28); None where there is none.

    :param tentative: see :meth:`aether.access.Access.check`.
    """
    question = ("user", user, Level.READWRITE, operation, workspace)
    decision = rights.check(*question, direct=True, tentative=True)
    if not decision.by_rule:
        return None
    return decision.allowed or rights.check(*question, direct=True, tentative=tentative).allowed
