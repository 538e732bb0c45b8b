"""From credentials to an admission (connection 9.1, 9.4 to 9.8)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Protocol

import trio

from aether.audit.events import NO_AUDIT, Event, Recorder, actor_of
from aether.authentication.model import (
    Admission,
    Attempt,
    Denied,
    NotAuthenticated,
    Rejected,
    TaskTokens,
    TokenIdentity,
)
from aether.authentication.throttle import Throttle
from aether.identity import SEPARATOR, Identity, PrincipalType
from aether.tokens.store import Token, TokenStore

__all__ = ["Bearer", "CredentialChain"]

FAILURES_OF_CLAIM = 5
FAILURES_OF_SOURCE = 50

REASON_THROTTLED = "auth_throttle_engaged"
_THROTTLED = "auth temporarily throttled after repeated failures"
_FAILED = "credential authentication failed: authentication failed: "


class Bearer(Protocol):
    """Verifies bearer tokens."""

    async def verify(self, token: str) -> TokenIdentity:
        """:raises Rejected: nobody vouches for it.
        :raises StoreUnavailable: whoever could does not answer."""


class CredentialChain:
    """Decides whether a client may be who it claims.

    :param modes: methods that admit, of ``mtls``, ``api_key``, ``oauth`` and ``task_token``.
    :param end_expired: whether a session ends when the bearer token that opened it does.
    :param on_failure: told of every attempt that fails, by its reason.
    :param anonymous: admit clients that show no credential (development). Wrong ones are refused all the same.
    """

    def __init__(
        self,
        modes: Collection[str],
        tokens: TokenStore | None,
        *,
        anonymous: bool = False,
        bearer: Bearer | None = None,
        end_expired: bool = True,
        task_tokens: TaskTokens | None = None,
        recorder: Recorder = NO_AUDIT,
        on_failure: Callable[[str], None] | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._modes = frozenset(modes)
        self._tokens = tokens
        self._anonymous = anonymous
        self._bearer = bearer
        self._end_expired = end_expired
        self._task_tokens = task_tokens
        self._recorder = recorder
        self._on_failure = on_failure or (lambda _: None)
        self._claims = Throttle(FAILURES_OF_CLAIM, clock)
        self._sources = Throttle(FAILURES_OF_SOURCE, clock)

    async def admit(self, attempt: Attempt) -> Admission:
        """The admission of an attempt.

        :raises NotAuthenticated: no or wrong credentials, or too many failures lately.
        :raises Denied: right credentials, but not for this identity.
        :raises StoreUnavailable: it cannot be decided, or the refusal not be recorded.
        """
        try:
            admission = await self._admit(attempt)
        except (NotAuthenticated, Denied) as error:
            self._on_failure(error.reason)
            if error.reason != REASON_THROTTLED or self._first_throttled(attempt):
                self._record(attempt, "auth_token_validation", error=str(error), reason=error.reason)
            raise
        self._claims.succeed(_claim(attempt))
        self._record(
            replace(attempt, identity=admission.identity),
            "identity_resolved",
            method=admission.method,
            key_id=admission.token_id,
            subject=admission.subject,
            task=admission.task_id,
        )
        return admission

    def refuse_certificate(
        self, source: str, session_id: str, error: NotAuthenticated | Denied, certificate: str, claimed: str
    ) -> None:
        """Count and record that somebody was refused by its certificate, before there was an attempt.

        :param certificate: its common name, as far as it could be read.
        :param claimed: the identity that was claimed, as far as there was one.
        :raises StoreUnavailable: the refusal cannot be recorded.
        """
        self._on_failure(error.reason)
        is_throttled = self._sources.blocks(source)
        self._sources.fail(source)
        if is_throttled and not self._sources.mark(source):
            return
        names = {"source": source, "reason": error.reason, "certificate": certificate, "claimed": claimed}
        self._recorder.record(
            Event(
                kind="auth",
                operation="identity_resolve_failed" if isinstance(error, Denied) else "auth_mtls_failure",
                success=False,
                resource_type="session",
                session_id=session_id,
                error=str(error),
                metadata={name: value for name, value in names.items() if value},
            )
        )

    async def _admit(self, attempt: Attempt) -> Admission:
        if token := attempt.credential("token", "task_token"):
            self._check_throttle(attempt)
            return self._admit_task(attempt, token)
        key = attempt.credential("api_key", "x-api-key")
        bearer = attempt.credential("bearer_token", "authorization")
        if key or bearer or self._modes & {"api_key", "oauth"}:
            self._check_throttle(attempt)
        rejections = []
        if key:
            admission = self._admit_key(attempt, key)
            if admission is not None:
                return admission
            rejections.append("invalid API key: token not found or expired/revoked")
        if bearer:
            admission = await self._admit_bearer(attempt, bearer)
            if admission is not None:
                return admission
            rejections.append("no OAuth provider accepted the token")
        if rejections:
            raise self._failed(attempt, _FAILED + rejections[-1], "credential_auth_failed")
        await trio.lowlevel.checkpoint()
        return self._admit_without(attempt)

    # ------------------------------------------------------------------------------------------------- methods

    def _admit_task(self, attempt: Attempt, token: str) -> Admission:
        """A task token is final: a bad one is not made good by another credential (connection 9.4)."""
        binding = self._task_tokens.find(token) if self._task_tokens is not None else None
        if binding is None:
            raise self._failed(attempt, "invalid or revoked token: token not found", "token_validation_failed")
        if binding.is_revoked:
            raise self._failed(attempt, "invalid or revoked token: token has been revoked", "token_validation_failed")
        if binding.identity != attempt.identity.key:
            raise Denied(f"token issued for {binding.identity}, not {attempt.identity.key}", "token_identity_mismatch")
        return Admission(attempt.identity, "task_token", task_id=binding.task_id, still_holds=binding.still_holds)

    def _admit_key(self, attempt: Attempt, key: str) -> Admission | None:
        """By an API key (connection 9.5); None when it opens nothing."""
        token = self._tokens.find(key) if self._tokens is not None and self._accepts("api_key") else None
        if token is None or not token.may_connect:
            return None
        assert self._tokens is not None
        still_holds = functools.partial(self._tokens.is_live, token.id)
        if attempt.has_certificate:  # which says who it is; the key only has to be valid
            return Admission(
                attempt.identity,
                "mtls",
                token_id=token.id,
                operations=token.operations,
                expires_ms=token.expires_ms,
                still_holds=still_holds,
            )
        self._check_binding(attempt, token)
        return Admission(
            attempt.identity,
            "api_key",
            token_id=token.id,
            workspace_patterns=token.workspace_patterns,
            operations=token.operations,
            expires_ms=token.expires_ms,
            still_holds=still_holds,
        )

    def _check_binding(self, attempt: Attempt, token: Token) -> None:
        """A key opens what it was made for."""
        identity = attempt.identity
        if token.principal_type != identity.kind.title:
            self._count(attempt)
            raise Denied(
                f"API key principal type mismatch: key={token.principal_type}, claimed={identity.kind.title}",
                "api_key_principal_type_mismatch",
            )
        if identity.kind is PrincipalType.USER and identity.id != token.created_by:
            self._count(attempt)
            raise Denied(
                f"API key principal id mismatch: key={token.created_by}, claimed={identity.id}",
                "api_key_principal_id_mismatch",
            )
        if not token.admits_identity(identity.key):
            self._count(attempt)
            raise Denied(f"API key not authorized for identity {identity.key}", "api_key_identity_mismatch")
        if identity.workspace and not token.admits_workspace(identity.workspace):
            raise Denied(f"API key not authorized for workspace {identity.workspace}", "api_key_workspace_mismatch")

    async def _admit_bearer(self, attempt: Attempt, text: str) -> Admission | None:
        """By a bearer token (connection 9.6); None when nobody vouches for it."""
        if self._bearer is None or not self._accepts("oauth"):
            return None
        token = text[7:] if text[:7].lower() == "bearer " else text
        try:
            found = await self._bearer.verify(token.strip())
        except Rejected:
            return None
        expires_ms = found.expires_ms if self._end_expired else 0
        subject = f"{found.id} by {found.issuer}"
        if attempt.has_certificate:  # which says who it is; the token only has to be valid
            return Admission(attempt.identity, "mtls", expires_ms=expires_ms, subject=subject)
        try:
            identity = self._bind(attempt, found)
        except Denied:
            self._count(attempt)
            raise
        return Admission(identity, "oauth", workspaces=found.workspaces, expires_ms=expires_ms, subject=subject)

    def _bind(self, attempt: Attempt, found: TokenIdentity) -> Identity:
        """The claimed identity, as far as the token agrees (weakness W-12): it says who a user is, and the type and
        workspaces of others; window, implementation and specifier are the client's, unless it names all of them."""
        identity = attempt.identity
        if found.kind is not identity.kind:
            raise _mismatch("type", found.kind.title, identity.kind.title)
        if found.workspaces is not None and identity.workspace and identity.workspace not in found.workspaces:
            raise _mismatch("workspace", ",".join(found.workspaces), identity.workspace)
        if identity.kind is not PrincipalType.USER:
            if SEPARATOR in found.id and found.id != identity.key:
                raise _mismatch("id", found.id, identity.key)
            return identity
        if identity.id not in ("", found.id):
            raise _mismatch("id", found.id, identity.id)
        workspace = found.workspaces[0] if found.workspaces and found.is_one_workspace else identity.workspace
        return replace(identity, id=found.id, workspace=workspace)

    def _admit_without(self, attempt: Attempt) -> Admission:
        """The gate for clients without a credential of their own (connection 9.7)."""
        if attempt.has_certificate:
            return Admission(attempt.identity, "mtls")
        if attempt.in_process:
            return Admission(attempt.identity, "in_process")
        if self._anonymous:
            return Admission(attempt.identity, "anonymous")
        kind = attempt.identity.kind.title
        if self._modes & {"api_key", "oauth"}:
            raise self._failed(
                attempt,
                f"anonymous connection as {kind} requires a matching API key credential",
                "no_credential_for_impersonable",
            )
        raise self._failed(
            attempt,
            f"anonymous connection as {kind} requires API key auth but no authenticator is configured",
            "no_authenticator_for_impersonable",
        )

    def _accepts(self, mode: str) -> bool:
        """In development every method that can be checked is."""
        return mode in self._modes or self._anonymous

    # ------------------------------------------------------------------------------------------ throttle, audit

    def _check_throttle(self, attempt: Attempt) -> None:
        if self._claims.blocks(_claim(attempt)) or self._sources.blocks(attempt.source):
            raise NotAuthenticated(_THROTTLED, REASON_THROTTLED)

    def _first_throttled(self, attempt: Attempt) -> bool:
        """Whether this refusal is to be recorded: one a cooldown, or whoever keeps trying would fill the audit log."""
        marks = [self._claims.mark(_claim(attempt)), self._sources.mark(attempt.source)]
        return any(marks)

    def _count(self, attempt: Attempt) -> None:
        self._claims.fail(_claim(attempt))
        self._sources.fail(attempt.source)

    def _failed(self, attempt: Attempt, text: str, reason: str) -> NotAuthenticated:
        self._count(attempt)
        return NotAuthenticated(text, reason)

    def _record(self, attempt: Attempt, operation: str, *, error: str = "", **metadata: str) -> None:
        event = Event(
            kind="auth",
            operation=operation,
            success=not error,
            **actor_of(attempt.identity),
            resource_type="session",
            workspace=attempt.identity.workspace,
            session_id=attempt.session_id,
            error=error,
            metadata={"source": attempt.source, **{name: value for name, value in metadata.items() if value}},
        )
        if error:
            self._recorder.record(event)
        else:
            self._recorder.routine(event)


def _claim(attempt: Attempt) -> str:
    return f"{attempt.source} {attempt.identity.key}"


def _mismatch(what: str, token: str, claimed: str) -> Denied:
    return Denied(f"token principal {what} mismatch: token={token}, claimed={claimed}", "token_identity_mismatch")
