"""Users move between workspaces while they are connected (routing 6)."""

from __future__ import annotations

import structlog

from aether.access import Level
from aether.answers import NOTHING, Answer
from aether.errors import Code, Refusal, StoreUnavailable
from aether.gateway.live import LiveSession
from aether.gateway.services import Services
from aether.gateway.subscriptions import Subscriptions, workspace_topics
from aether.identity import InvalidIdentity, PrincipalType, check_identifier

__all__ = ["return_to_workspace", "switch_workspace"]

log = structlog.get_logger("aether.session")


async def switch_workspace(
    session: LiveSession, subscriptions: Subscriptions, workspace: str, services: Services
) -> Answer:
    """Move a user to another workspace, or to none; all or nothing.

    :raises Refusal: it may not, or the log could not be read; it is where it was.
    :raises StoreUnavailable: whether it may cannot be decided now.
    """
    identity = session.identity
    if identity.kind is not PrincipalType.USER:
        raise Refusal(Code.INVALID_PRINCIPAL, "only users can switch workspaces")
    if workspace == identity.workspace:
        return NOTHING
    try:
        check_identifier("workspace", workspace, strict=services.settings.strict_identifiers)
    except InvalidIdentity as error:
        raise Refusal(Code.WORKSPACE_SWITCH_FAILED, str(error)) from None
    if workspace and not _may_be_in(session, workspace, services):
        by_key = not session.claim.admission.admits_workspace(workspace)
        text = "API key not authorized for" if by_key else "not authorized to access"
        raise Refusal(Code.PERMISSION_DENIED, f"{text} workspace {workspace}")
    try:
        await subscriptions.open(workspace_topics(identity.id, workspace), identity)
    except StoreUnavailable:
        raise Refusal(Code.WORKSPACE_SWITCH_FAILED, "workspace could not be switched", retryable=True) from None
    subscriptions.close([item.topic for item in workspace_topics(identity.id, identity.workspace)])
    session.move_to(workspace)
    try:
        await services.locks.keep_workspace(session.lock_key, session.session_id, session.fence, workspace)
    except StoreUnavailable:
        log.warning("workspace not remembered", identity=session.lock_key)
    return NOTHING


def return_to_workspace(session: LiveSession, services: Services) -> None:
    """A user who resumes is where it was, if it still may (connection W-28)."""
    workspace = session.lock.workspace
    if not workspace or session.identity.workspace:
        return
    try:
        if _may_be_in(session, workspace, services):
            session.move_to(workspace)
    except StoreUnavailable:  # nowhere is always allowed
        log.warning("not returned to the workspace", identity=session.lock_key)


def _may_be_in(session: LiveSession, workspace: str, services: Services) -> bool:
    check = services.access.rights(session).check
    return check("workspace", workspace, Level.READ, "connect", workspace).allowed
