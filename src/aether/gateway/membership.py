"""Who belongs to a workspace, and may be connected to it."""

from __future__ import annotations

from aether.access import Access, Decision, Level
from aether.identity import Identity, PrincipalType

__all__ = ["SYSTEM", "may_be_connected"]

SYSTEM = frozenset(
    {
        PrincipalType.ORCHESTRATOR,
        PrincipalType.WORKFLOW_ENGINE,
        PrincipalType.METRICS_BRIDGE,
        PrincipalType.BRIDGE,
        PrincipalType.SERVICE,
    }
)
"""Principals that belong to no workspace: its rules and quotas do not bind their connection."""


def may_be_connected(identity: Identity, session_id: str, access: Access, *, tentative: bool = False) -> Decision:
    """Whether a principal may read its workspace, which is asked of those that belong to one.

    :param tentative: see :meth:`Access.check`.
    :raises StoreUnavailable: it cannot be decided now, or its refusal cannot be recorded.
    """
    if identity.kind in SYSTEM:
        return Decision(True)
    workspace = identity.workspace
    return access.check(
        identity, "workspace", workspace, Level.READ, "connect", workspace, tentative=tentative, session_id=session_id
    )
