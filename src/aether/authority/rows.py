"""Audit rows of operations on grants and requests for them (acl 15)."""

from __future__ import annotations

from typing import Any

from aether.answers import Caller
from aether.audit.events import Event, actor_of
from aether.authority.model import Grant

__all__ = ["failure", "grant_change"]


def grant_change(caller: Caller, operation: str, grant: Grant) -> Event:
    """A grant was made, renewed or revoked."""
    return Event(
        kind="acl",
        operation=operation,
        **actor_of(caller.identity),
        resource_type="authority_grant",
        resource_id=grant.id,
        session_id=caller.session_id,
        metadata={
            "delegate": ":".join(grant.delegate),
            "max_access_level": grant.max_access_level,
            "workspace_scope": grant.workspace_scope,
            "resource_scope": grant.resource_scope,
            "operation_scope": grant.operation_scope,
            "audience": f"{grant.audience_type}:{grant.audience_id}",
            "expires_ms": grant.expires_ms,
            "reason": grant.reason,
        },
        lineage=grant.lineage(),
    )


def failure(caller: Caller, kind: str, resource_type: str, resource_id: str, operation: Any, error: str) -> Event:
    """An operation that was refused.

    :param operation: the message, whose ``op`` may be none that is known.
    """
    known = operation.OpType
    name = known.Name(operation.op).lower() if operation.op in known.values() else "unknown"
    return Event(
        kind=kind,
        operation=f"{resource_type}_{name}",
        success=False,
        **actor_of(caller.identity),
        resource_type=resource_type,
        resource_id=resource_id,
        session_id=caller.session_id,
        error=error,
    )
