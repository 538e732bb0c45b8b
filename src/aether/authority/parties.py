"""Who grants and requests are about, as operations name them."""

from __future__ import annotations

from typing import Any, Protocol

from aether.answers import WorkspaceLimit
from aether.authority.model import InvalidGrant
from aether.identity import Identity, InvalidIdentity, canonical_reference

__all__ = ["LiveSession", "Sessions", "identity_of", "reference_of"]


class LiveSession(Protocol):
    @property
    def session_id(self) -> str: ...

    @property
    def identity(self) -> Identity: ...

    @property
    def workspace_limit(self) -> WorkspaceLimit | None: ...


class Sessions(Protocol):
    """The live sessions."""

    def get(self, session_id: str) -> LiveSession | None: ...

    def task_of(self, session_id: str) -> str:
        """The task that a session is bound to; empty for none."""


def identity_of(sessions: Sessions, audience_type: str, audience_id: str) -> str:
    """The identity of an audience's session, which its later sessions share; empty for other audiences."""
    session = sessions.get(audience_id) if audience_type == "session" else None
    return session.identity.key if session is not None else ""


def reference_of(request: Any, field: str, refusal: str = "") -> tuple[str, str]:
    """A principal of a request by label and canonical id.

    :param refusal: begins the text for a malformed one.
    :raises InvalidGrant: there is none, or it is malformed.
    """
    if not request.HasField(field):
        raise InvalidGrant("principal ref is required")
    named = getattr(request, field)
    try:
        return canonical_reference(named.principal_type, named.principal_id)
    except InvalidIdentity as error:
        raise InvalidGrant(f"{refusal}{error}") from None
