"""What authentication is asked, and what comes of it (connection 9)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aether.acl.patterns import compile_pattern, covers, is_pattern
from aether.errors import AetherError
from aether.identity import Identity, PrincipalType

__all__ = [
    "Admission",
    "Attempt",
    "Denied",
    "NotAuthenticated",
    "Rejected",
    "TaskBinding",
    "TaskTokens",
    "TokenIdentity",
]


class NotAuthenticated(AetherError):
    """The credentials are missing or wrong; becomes ``UNAUTHENTICATED``. The text is fit for clients.

    :ivar reason: for the audit row.
    """

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class Denied(AetherError):
    """The credentials are right, but not for this; becomes ``PERMISSION_DENIED``. As :class:`NotAuthenticated`."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class Rejected(Exception):
    """A bearer token that no issuer stands for; the text is for the audit log, never for the client."""


@dataclass(frozen=True, slots=True)
class TokenIdentity:
    """What a token says.

    :ivar id: the user; for others what its claim says, which binds when it is an identity.
    :ivar workspaces: that it is limited to; None: to none.
    :ivar is_one_workspace: they came as one name, not as a list: a user is put there.
    :ivar expires_ms: Unix time in milliseconds from which on it is worth nothing; 0: never.
    """

    kind: PrincipalType
    id: str
    workspaces: tuple[str, ...] | None
    is_one_workspace: bool
    expires_ms: int
    issuer: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody wants to be somebody.

    :ivar identity: who the client says it is, after its certificate had its say.
    :ivar source: address of the peer, without the port.
    :ivar has_certificate: a certificate names it; then the identity is its word.
    :ivar in_process: an embedded client, which our own process opened.
    :ivar session_id: that of the session to be, for audit rows.
    """

    identity: Identity
    source: str
    credentials: Mapping[str, str] = field(repr=False)
    has_certificate: bool = False
    in_process: bool = False
    session_id: str = ""

    def credential(self, *names: str) -> str:
        """The first of these credentials that is there; empty ones are not."""
        return next((value for name in names if (value := self.credentials.get(name, "").strip())), "")


@dataclass(frozen=True, slots=True)
class Admission:
    """Why a session was admitted, and what that restricts.

    :ivar identity: who the session is.
    :ivar method: ``mtls``, ``api_key``, ``oauth``, ``task_token``, ``in_process`` or ``anonymous``.
    :ivar token_id: the API token that opened it; the session ends with the token.
    :ivar workspace_patterns: workspaces it may switch to; none stands for all.
    :ivar operations: kinds of operations it may use, of ``send``, ``kv`` and ``admin``; None: all.
    :ivar workspaces: as ``workspace_patterns``, by their names; None: no limit.
    :ivar expires_ms: Unix time in milliseconds at which the session ends; 0: it does not.
    :ivar subject: what a bearer token calls its bearer, and who says so; for the audit log.
    :ivar task_id: the task that its task token belongs to.
    :ivar still_holds: whether what it rests on was neither revoked nor ran out since.
    """

    identity: Identity
    method: str
    token_id: str = ""
    workspace_patterns: tuple[str, ...] = ()
    workspaces: tuple[str, ...] | None = None
    operations: frozenset[str] | None = None
    expires_ms: int = 0
    subject: str = ""
    task_id: str = ""
    still_holds: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)

    @property
    def is_limited(self) -> bool:
        """Not all workspaces are open to it."""
        return self.workspaces is not None or bool(self.workspace_patterns and "*" not in self.workspace_patterns)

    def admits_workspace(self, workspace: str) -> bool:
        if self.workspaces is not None and workspace not in self.workspaces:
            return False
        patterns = self.workspace_patterns
        return not patterns or any(pattern == "*" or compile_pattern(pattern)(workspace) for pattern in patterns)

    def covers_workspaces(self, pattern: str) -> bool:
        """Whether it admits every workspace that a pattern matches, as far as can be told for sure."""
        if self.workspaces is not None and (is_pattern(pattern) or pattern not in self.workspaces):
            return False
        patterns = self.workspace_patterns
        return not patterns or any(held == "*" or covers(held, pattern) for held in patterns)


@dataclass(frozen=True, slots=True)
class TaskBinding:
    """What a task token was made for."""

    task_id: str
    identity: str
    is_revoked: bool = False
    still_holds: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)


class TaskTokens(Protocol):
    """Where task tokens are known."""

    def find(self, token: str) -> TaskBinding | None:
        """The binding of a token that is live or was revoked lately; None for any other text."""
