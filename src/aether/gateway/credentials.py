"""Composes the methods of authentication, and the tokens that some of them need (connection 9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aether.access import Access
from aether.authentication.chain import CredentialChain
from aether.gateway import configured
from aether.gateway.authenticator import Authenticator, PeerAuthenticator
from aether.gateway.foundation import Foundation, Handler, Run
from aether.tokens.keys import KeyHasher
from aether.tokens.service import TokenService
from aether.tokens.store import TokenStore
from aether.tokens.tasks import TaskTokens

__all__ = ["Credentials", "compose_credentials"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may be who.

    :ivar task_tokens: those that the gateway gives to the workers of tasks.
    """

    authenticator: Authenticator
    task_tokens: TaskTokens
    handlers: Mapping[str, Handler]
    runs: tuple[Run, ...]


def compose_credentials(base: Foundation, access: Access, given: Authenticator | None) -> Credentials:
    """The embedder's own authenticator, or the methods that are configured.

    :raises OSError: a key, or a file with authorities, cannot be read.
    """
    hasher = configured.key_hasher(base.config)
    task_tokens = TaskTokens(
        base.tier.records,
        hasher,
        access,
        base.recorder,
        base.directory.end_task_sessions,
        base.wall_clock,
        grace_s=base.config.auth.task_session_grace,
    )
    if given is not None:
        return Credentials(given, task_tokens, {}, (task_tokens.run,))
    return _compose_own(base, access, hasher, task_tokens)


def _compose_own(base: Foundation, access: Access, hasher: KeyHasher, task_tokens: TaskTokens) -> Credentials:
    auth = base.config.auth
    tokens = TokenStore(base.tier.records, hasher, base.wall_clock)
    end_sessions = base.directory.end_token_sessions
    service = TokenService(tokens, access, base.recorder, end_sessions, base.wall_clock, base.new_id)
    bearer = None
    if auth.oauth.providers:
        # With the libraries behind it that is some MiB, which a gateway without issuers need not hold.
        from aether.gateway.issuers import bearer_tokens

        bearer = bearer_tokens(base.config, base.wall_clock)
    chain = CredentialChain(
        auth.modes,
        tokens,
        anonymous=base.config.dev,
        bearer=bearer,
        end_expired=auth.oauth.end_sessions,
        task_tokens=task_tokens,
        recorder=base.recorder,
        on_failure=base.metrics.auth_failed,
    )
    authenticator = PeerAuthenticator(
        chain,
        mtls=auth.mtls.mode if "mtls" in auth.modes else None,
        mtls_required=auth.mtls.required,
        strict=base.config.gateway.strict_identifiers,
    )
    runs = (task_tokens.run, service.run) if bearer is None else (task_tokens.run, service.run, bearer.run)
    return Credentials(authenticator, task_tokens, {"token_op": service.handle}, runs)
