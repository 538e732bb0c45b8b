"""Grants: what one principal may do on behalf of another, and how far it may pass that on (acl 9, 10.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aether.access import Level
from aether.acl.patterns import compile_pattern, covers
from aether.answers import WorkspaceLimit
from aether.audit.events import Lineage
from aether.errors import AetherError

__all__ = [
    "ANY_WORKSPACE",
    "AUDIENCES",
    "Grant",
    "InvalidGrant",
    "ResourceScope",
    "check_child",
    "check_grant",
    "check_within",
    "child_of",
    "is_within",
    "narrow",
    "narrow_resources",
]

ANY_WORKSPACE = "_subject_workspaces"
"""In a workspace scope: every workspace of the subject."""

AUDIENCES = ("session", "task", "agent", "service")

ResourceScope = tuple[tuple[str, tuple[str, ...]], ...]
"""Patterns of ids by resource type; a type without patterns is open as a whole."""

NAME_CHARACTERS_MAX = 1024
"""Longer names are in no scope, and not worth the time to look."""

BROADER = "authority grant child would broaden parent scope"


class InvalidGrant(AetherError):
    """A grant that cannot be made, changed or used so; the text is fit for clients."""


@dataclass(frozen=True, slots=True)
class Grant:
    """``delegate`` may act for ``subject`` within the limits; the subject's own rights are judged at every use.

    Types are labels such as ``user``, ids are canonical. Times are Unix milliseconds. Empty scopes are open.

    :ivar audience_identity: identity of the session that a session audience names: a new session of the same identity
        keeps the grant alive.
    :ivar while_active: it holds only while that session, or task, is there.
    """

    id: str
    root_id: str
    subject_type: str
    subject_id: str
    delegate_type: str
    delegate_id: str
    issued_by_type: str
    issued_by_id: str
    max_access_level: int
    audience_type: str
    audience_id: str
    expires_ms: int
    renewable_ms: int
    created_ms: int
    parent_id: str = ""
    root_subject_type: str = ""
    root_subject_id: str = ""
    audience_identity: str = ""
    while_active: bool = False
    remaining_hops: int = 0
    workspace_scope: tuple[str, ...] = ()
    resource_scope: ResourceScope = ()
    operation_scope: tuple[str, ...] = ()
    renewed_ms: int = 0
    revoked_ms: int = 0
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def delegate(self) -> tuple[str, str]:
        return self.delegate_type, self.delegate_id

    @property
    def subject(self) -> tuple[str, str]:
        return self.subject_type, self.subject_id

    def is_live(self, now_ms: int) -> bool:
        return not self.revoked_ms and now_ms <= self.expires_ms

    def lineage(self) -> Lineage:
        return Lineage(
            subject_type=self.subject_type,
            subject_id=self.subject_id,
            root_subject_type=self.root_subject_type,
            root_subject_id=self.root_subject_id,
            grant_id=self.id,
            root_grant_id=self.root_id,
            parent_grant_id=self.parent_id,
        )

    def permits(self, resource_type: str, resource_id: str, level: int, operation: str, workspace: str) -> str:
        """Empty, or why the grant does not reach that far (acl 9.4)."""
        if level > self.max_access_level:
            return BROADER
        if max(len(resource_id), len(operation), len(workspace)) > NAME_CHARACTERS_MAX:
            return "authority grant does not permit this resource"  # nothing has such a name
        if self.operation_scope and not _any_matches(self.operation_scope, operation):
            return "authority grant does not permit this operation"
        if self.workspace_scope and not _workspace_matches(self.workspace_scope, workspace):
            return "authority grant does not permit this workspace"
        if self.resource_scope:
            patterns = dict(self.resource_scope).get(resource_type)
            if patterns is None or (patterns and not _any_matches(patterns, resource_id)):
                return "authority grant does not permit this resource"
        return ""


def _any_matches(patterns: Sequence[str], text: str) -> bool:
    return any(compile_pattern(pattern)(text) for pattern in patterns)


def _workspace_matches(scope: Sequence[str], workspace: str) -> bool:
    """An operation that names no workspace fits only into a scope of all workspaces (weakness 5)."""
    if "*" in scope or ANY_WORKSPACE in scope:
        return True
    return bool(workspace) and _any_matches(scope, workspace)


# ---------------------------------------------------------------------------------------------------------- checks


def check_grant(grant: Grant, now_ms: int) -> None:
    """What every grant has to be (acl 10.1).

    :raises InvalidGrant: it is not.
    """
    if grant.max_access_level not in Level._value2member_map_:
        raise InvalidGrant("invalid access level")
    if grant.max_access_level == Level.NONE:
        raise InvalidGrant(
            "invalid max_access_level: max_access_level is required and must be explicitly set; "
            "zero is not a valid value"
        )
    if not grant.audience_type or not grant.audience_id:
        raise InvalidGrant("authority grant audience_type and audience_id are required")
    if grant.audience_type not in AUDIENCES:
        raise InvalidGrant(f'invalid authority grant audience_type "{grant.audience_type}"')
    if grant.expires_ms <= now_ms:
        raise InvalidGrant("expires_at is required and must be in the future")
    if grant.renewable_ms < grant.expires_ms:
        raise InvalidGrant("renewable_until must be on or after expires_at")
    if grant.remaining_hops < 0:
        raise InvalidGrant("remaining_hops must not be negative")


def check_within(limit: WorkspaceLimit | None, workspace_scope: Sequence[str]) -> None:
    """Nobody passes on what its own credential keeps it out of (weakness 9).

    :param limit: what the credential says about workspaces.
    :raises InvalidGrant: some of these workspaces are not open to it.
    """
    if not is_within(limit, workspace_scope):
        raise InvalidGrant("authority grant reaches workspaces that the caller's credential is not for")


def is_within(limit: WorkspaceLimit | None, workspace_scope: Sequence[str]) -> bool:
    """Whether a credential is for all workspaces of a scope; an empty one is of all."""
    if limit is None:
        return True
    if not workspace_scope or ANY_WORKSPACE in workspace_scope:
        return False
    return all(map(limit.covers_workspaces, workspace_scope))


def child_of(
    parent: Grant,
    grant_id: str,
    *,
    issuer: tuple[str, str],
    delegate: tuple[str, str],
    audience: tuple[str, str],
    created_ms: int,
    reason: str,
    **narrowed: Any,
) -> Grant:
    """A grant derived from another: for the same subject, a hop less, its scopes and times unless ``narrowed``."""
    fields: dict[str, Any] = {
        "max_access_level": parent.max_access_level,
        "workspace_scope": parent.workspace_scope,
        "resource_scope": parent.resource_scope,
        "operation_scope": parent.operation_scope,
        "expires_ms": parent.expires_ms,
        "renewable_ms": parent.renewable_ms,
        "remaining_hops": max(0, parent.remaining_hops - 1),
        **narrowed,
    }
    fields["metadata"] = {**fields.get("metadata", {}), "derived_from_grant_id": parent.id}
    return Grant(
        id=grant_id,
        root_id=parent.root_id,
        parent_id=parent.id,
        subject_type=parent.subject_type,
        subject_id=parent.subject_id,
        root_subject_type=parent.root_subject_type,
        root_subject_id=parent.root_subject_id,
        delegate_type=delegate[0],
        delegate_id=delegate[1],
        issued_by_type=issuer[0],
        issued_by_id=issuer[1],
        audience_type=audience[0],
        audience_id=audience[1],
        created_ms=created_ms,
        reason=reason,
        **fields,
    )


def check_delegation(may_delegate: bool, hops: int) -> None:
    """``may_delegate`` says the same as the hops (acl 10.1).

    :raises InvalidGrant: it does not.
    """
    if may_delegate and hops < 1:
        raise InvalidGrant("may_delegate=true must allow at least one remaining hop")
    if not may_delegate and hops > 0:
        raise InvalidGrant("may_delegate=false cannot have remaining hops")


def check_child(parent: Grant, child: Grant) -> None:
    """A child reaches nowhere that its parent does not (acl 10.1, weakness 20).

    :raises InvalidGrant: it would.
    """
    if parent.remaining_hops < 1:
        raise InvalidGrant("authority grant cannot delegate further")
    fits = (
        child.subject == parent.subject
        and child.max_access_level <= parent.max_access_level
        and child.expires_ms <= parent.expires_ms
        and child.renewable_ms <= parent.renewable_ms
        and child.remaining_hops < parent.remaining_hops
        and _scope_fits(parent.workspace_scope, child.workspace_scope, workspaces=True)
        and _scope_fits(parent.operation_scope, child.operation_scope)
        and _resources_fit(parent.resource_scope, child.resource_scope)
    )
    if not fits:
        raise InvalidGrant(BROADER)


def _scope_fits(parent: Sequence[str], child: Sequence[str], *, workspaces: bool = False) -> bool:
    if not parent:
        return True
    if not child:
        return False
    return all(_is_covered(parent, entry, workspaces=workspaces) for entry in child)


def _is_covered(parent: Sequence[str], entry: str, *, workspaces: bool = False) -> bool:
    if workspaces and ("*" in parent or ANY_WORKSPACE in parent):
        return True
    return any(covers(pattern, entry) for pattern in parent)


def _resources_fit(parent: ResourceScope, child: ResourceScope) -> bool:
    if not parent:
        return True
    if not child:
        return False
    held = dict(parent)
    return all(kind in held and _scope_fits(held[kind], patterns) for kind, patterns in child)


def narrow(wanted: Sequence[str], given: Sequence[str], *, workspaces: bool = False) -> tuple[str, ...]:
    """What two scopes have in common; an open one gives way to the other (weakness 2).

    :raises InvalidGrant: nothing: that must not become "everything".
    """
    if not wanted or not given:
        return tuple(wanted or given)
    common = [entry for entry in wanted if _is_covered(given, entry, workspaces=workspaces)]
    common += [entry for entry in given if entry not in common and _is_covered(wanted, entry, workspaces=workspaces)]
    if not common:
        raise InvalidGrant("granted scope does not overlap the requested scope")
    return tuple(common)


def narrow_resources(wanted: ResourceScope, given: ResourceScope) -> ResourceScope:
    """As :func:`narrow`, by resource type."""
    if not wanted or not given:
        return wanted or given
    held = dict(given)
    common = []
    for kind, patterns in wanted:
        if kind not in held:
            continue
        try:
            common.append((kind, narrow(patterns, held[kind])))
        except InvalidGrant:
            continue
    if not common:
        raise InvalidGrant("granted scope does not overlap the requested scope")
    return tuple(common)
