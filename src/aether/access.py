"""The seam to access rules: one question, one small answer (acl 5, routing 3.5).

Features ask :class:`Access` and never see rules, groups or fallback policies. Until a rule engine is configured,
:class:`OpenAccess` stands in: it allows what belongs to ordinary work and refuses everything that needs a grant.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from aether.answers import Caller
from aether.audit.events import Lineage
from aether.errors import AetherError
from aether.identity import Identity, PrincipalType
from aether.proto import aether_pb2 as pb

__all__ = [
    "Access",
    "Decision",
    "DirectRights",
    "InvalidAuthority",
    "InvalidQuestion",
    "Level",
    "OpenAccess",
    "Rights",
    "barred_from",
    "is_direct",
    "is_system",
]


class Level(enum.IntEnum):
    """Access levels; a check passes when the granted level is at least the asked one (acl 2)."""

    NONE = 0
    READ = 10
    READWRITE = 20
    MANAGE = 30
    ADMIN = 40
    SUPERADMIN = 50


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one question.

    :ivar reason: for audit rows and logs; never sent to clients, since it may name rules.
    :ivar by_rule: a rule matched the resource, as opposed to a fallback policy. Only such a decision on a key is final
        (kv 5.1).
    :ivar level: the level that the deciding rule or policy gives; ``NONE`` where nothing decided.
    :ivar rule_id: the deciding rule, empty for a fallback policy.
    """

    allowed: bool
    reason: str = ""
    by_rule: bool = False
    level: int = 0
    rule_id: str = ""


class InvalidAuthority(AetherError):
    """An authorization context that gives nothing: unknown, expired, revoked, or not for this caller (acl 9.2). The
    text is fit for typed answers; messages and values are refused without it."""


class InvalidQuestion(AetherError):
    """A question about access that has no answer: no resource, or a level beside the scale."""


class Rights(Protocol):
    """What a caller may do in one operation: in its own right, or on behalf of another under a grant (acl 9)."""

    @property
    def lineage(self) -> Lineage | None:
        """The authority used, for audit rows and receivers; None in direct mode."""

    def permits(self, resource_type: str, resource_id: str, level: Level, operation: str, workspace: str) -> bool:
        """Whether the grant reaches that far, whoever holds the right; always in direct mode."""

    def check(
        self,
        resource_type: str,
        resource_id: str,
        level: Level,
        operation: str,
        workspace: str,
        *,
        direct: bool = False,
        tentative: bool = False,
    ) -> Decision:
        """As :meth:`Access.check`, for the subject under the grant where there is one.

        :param direct: ask for the caller itself, whatever the context says.
        :param tentative: see :meth:`Access.check`.
        """


class Access(Protocol):
    """Decides what a principal may do with a resource.

    Decisions are made on data in memory, hence synchronous. An engine that cannot decide raises
    :class:`aether.errors.StoreUnavailable`: the operation is refused as retryable, never passed.
    """

    @property
    def configured(self) -> bool:
        """False without a rule engine: the features then follow the rules for a gateway that has none."""

    def check(
        self,
        principal: Identity,
        resource_type: str,
        resource_id: str,
        level: Level,
        operation: str,
        workspace: str,
        *,
        tentative: bool = False,
        barred: str = "",
        session_id: str = "",
    ) -> Decision:
        """May ``principal`` act at ``level`` on the resource?

        :param operation: label for audit and operation scopes, such as ``kv_get``.
        :param workspace: workspace the operation concerns; empty: none, or, of administration and capabilities, all.
        :param tentative: a denial is not final, since the caller will ask another question; it is not recorded.
        :param barred: why the answer is no, whatever the rules say.
        :param session_id: for the audit row.
        :raises StoreUnavailable: no decision could be made, or its refusal could not be recorded.
        """

    def rights(self, caller: Caller, context: pb.AuthorizationContext | None = None) -> Rights:
        """The rights that a request claims with its authorization context; an absent one claims nothing.

        :raises InvalidAuthority: the context gives nothing, so the operation must not run.
        """


class DirectRights:
    """A caller in its own right."""

    lineage: Lineage | None = None

    def __init__(self, access: Access, caller: Caller) -> None:
        self._access = access
        self._caller = caller

    def permits(self, resource_type: str, resource_id: str, level: Level, operation: str, workspace: str) -> bool:
        return True

    def check(
        self,
        resource_type: str,
        resource_id: str,
        level: Level,
        operation: str,
        workspace: str,
        *,
        direct: bool = False,
        tentative: bool = False,
    ) -> Decision:
        del direct
        return self._access.check(
            self._caller.identity,
            resource_type,
            resource_id,
            level,
            operation,
            workspace,
            tentative=tentative,
            barred=barred_from(self._caller, workspace, resource_type),
            session_id=self._caller.session_id,
        )


EVERYWHERE = frozenset({"admin", "capability"})
"""Types of resources that reach all workspaces where none is named."""


def barred_from(caller: Caller, workspace: str, resource_type: str = "workspace") -> str:
    """Why a caller's credential keeps it out of a workspace, or out of what reaches all of them; empty when it does
    not (weakness 9)."""
    limit = caller.workspace_limit
    if limit is None:
        return ""
    if not workspace:
        return "its credential is not for all workspaces" if resource_type in EVERYWHERE else ""
    return "" if limit.admits_workspace(workspace) else f"its credential is not for workspace {workspace}"


_ALLOWED = Decision(True, "no access engine")
_DENIED = Decision(False, "no access engine")

_OPEN_TYPES = frozenset({"workspace", "kv_key", "kv_scope"})
_OPEN_CAPABILITIES = frozenset(
    {"capability/event_broadcast", "capability/metric_broadcast", "capability/kv_purge_identity"}
)


class OpenAccess:
    """No rule engine: connecting, sending and key/value work are allowed; administration and credit are not.

    An unknown resource is refused, so a feature added later starts closed.
    """

    @property
    def configured(self) -> bool:
        return False

    def check(
        self,
        principal: Identity,
        resource_type: str,
        resource_id: str,
        level: Level,
        operation: str,
        workspace: str,
        *,
        tentative: bool = False,
        barred: str = "",
        session_id: str = "",
    ) -> Decision:
        """See :meth:`Access.check`; the "no ACL engine" column of routing 3.5."""
        del principal, level, operation, workspace, tentative, session_id  # nobody holds more than others here
        if barred:
            return Decision(False, barred, by_rule=True)
        if resource_type in _OPEN_TYPES:
            return _ALLOWED
        if resource_type == "capability" and resource_id in _OPEN_CAPABILITIES:
            return _ALLOWED
        return _DENIED

    def rights(self, caller: Caller, context: pb.AuthorizationContext | None = None) -> Rights:
        """See :meth:`Access.rights`; there are no grants without a rule engine."""
        if context is not None and not is_direct(context):
            raise InvalidAuthority("authority grants require ACL service")
        return DirectRights(self, caller)


def is_direct(context: pb.AuthorizationContext) -> bool:
    """True for a context that claims nothing beyond the caller's own rights (routing 3.6).

    Direct mode with a subject or a grant id contradicts itself and counts as a claim. An absent context reads as an
    empty one.
    """
    return (
        context.authority_mode.strip() in ("", "direct")
        and not context.HasField("subject")
        and not context.grant_id.strip()
    )


def is_system(caller: Caller, workspace: str = "") -> bool:
    """Workflow engines and orchestrators pass the gates of administration, in direct mode only (acl 6); not further
    than their credential.

    :param workspace: the only one that the operation concerns; empty: it concerns all.
    """
    is_one = caller.identity.kind in (PrincipalType.WORKFLOW_ENGINE, PrincipalType.ORCHESTRATOR)
    return is_one and not barred_from(caller, workspace, "admin")
