"""The live sessions of this gateway, by session id, identity, principal, workspace, service implementation and the task
whose token opened them.

Entries belong to session ids: removing a displaced session never touches its successor (connection W-2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from aether.gateway.live import LiveSession
from aether.gateway.reasons import CloseReason
from aether.identity import PrincipalType

__all__ = ["Directory"]

K = TypeVar("K")


class Directory:
    """Indexes of live sessions; every operation is synchronous."""

    def __init__(self) -> None:
        self._sessions: dict[str, LiveSession] = {}
        self._by_identity: dict[str, LiveSession] = {}
        self._by_principal: dict[tuple[str, str], dict[str, LiveSession]] = {}
        self._services: dict[str, dict[str, None]] = {}
        self._per_workspace: dict[str, int] = {}
        self._by_task: dict[str, dict[str, LiveSession]] = {}

    def add(self, session: LiveSession) -> None:
        self._sessions[session.session_id] = session
        self._by_identity[session.identity.key] = session
        self._by_principal.setdefault(_principal(session), {})[session.session_id] = session
        if session.claim.admission.task_id:
            self._by_task.setdefault(session.claim.admission.task_id, {})[session.session_id] = session
        if session.identity.kind is PrincipalType.SERVICE:
            self._services.setdefault(session.identity.implementation, {})[session.identity.topic] = None
        self._count(session, 1)

    def remove(self, session: LiveSession) -> None:
        """Forget a session; idempotent, and harmless when a successor already holds the identity."""
        if self._sessions.pop(session.session_id, None) is None:
            return
        self._count(session, -1)
        _drop(self._by_principal, _principal(session), session)
        if session.claim.admission.task_id:
            _drop(self._by_task, session.claim.admission.task_id, session)
        if self._by_identity.get(session.identity.key) is not session:
            return
        del self._by_identity[session.identity.key]
        if session.identity.kind is PrincipalType.SERVICE:
            topics = self._services[session.identity.implementation]
            topics.pop(session.identity.topic, None)
            if not topics:
                del self._services[session.identity.implementation]

    def _count(self, session: LiveSession, change: int) -> None:
        workspace = session.quota_workspace
        if workspace:
            self._per_workspace[workspace] = self._per_workspace.get(workspace, 0) + change
            if not self._per_workspace[workspace]:
                del self._per_workspace[workspace]

    def get(self, session_id: str) -> LiveSession | None:
        return self._sessions.get(session_id)

    def holder(self, identity_key: str) -> LiveSession | None:
        return self._by_identity.get(identity_key)

    def is_connected(self, identity: str) -> bool:
        """Whether an identity has a session here."""
        return identity in self._by_identity

    def sessions_of(self, principal: tuple[str, str]) -> list[LiveSession]:
        """The sessions of a principal by label and canonical id: of a user, all its windows."""
        return list(self._by_principal.get(principal, {}).values())

    def task_of(self, session_id: str) -> str:
        """The task that a session is bound to; empty for others."""
        session = self._sessions.get(session_id)
        return session.task_id if session is not None else ""

    def disconnect(self, session_id: str, reason: str) -> bool:
        """End a session on behalf of an operator; False when there is no such session."""
        session = self._sessions.get(session_id)
        if session is None:
            return False
        session.end(CloseReason.ADMIN, reason)
        return True

    def end_token_sessions(self, is_over: Callable[[str], bool], asking: str) -> None:
        """End the sessions whose API token a predicate accepts; the one that asked for it once it has its answer."""
        for session in self:
            token_id = session.claim.admission.token_id
            if token_id and is_over(token_id):
                end = session.end_answered if session.session_id == asking else session.end
                end(CloseReason.TOKEN_REVOKED)

    def end_task_sessions(self, task_id: str, since_ms: int) -> None:
        """End the sessions that a token of a task opened, if it is revoked by now or they began no later than a time in
        Unix milliseconds; others have a token of the task's next attempt."""
        for session in list(self._by_task.get(task_id, {}).values()):
            if not session.claim.admission.still_holds() or session.connected_at_ms <= since_ms:
                session.end(CloseReason.TASK_ENDED)

    def services(self, implementation: str) -> list[str]:
        """Topics of the connected instances of a service."""
        return list(self._services.get(implementation, ()))

    def connections(self, workspace: str) -> int:
        """Sessions that count against the connection quota of a workspace."""
        return self._per_workspace.get(workspace, 0)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(list(self._sessions.values()))

    def __len__(self) -> int:
        return len(self._sessions)


def _drop(index: dict[K, dict[str, LiveSession]], key: K, session: LiveSession) -> None:
    sessions = index[key]
    del sessions[session.session_id]
    if not sessions:
        del index[key]


def _principal(session: LiveSession) -> tuple[str, str]:
    return session.identity.kind.label, session.identity.canonical_id
