"""Makes what verifies bearer tokens of what is configured of their issuers (connection 9.6)."""

from __future__ import annotations

from collections.abc import Callable

from aether.authentication.bearer import BearerTokens, Issuer
from aether.authentication.fetching import fetcher
from aether.authentication.jwks import IssuerKeys, KeyPolicy
from aether.config import Config
from aether.config.values import is_safe_url
from aether.identity import principal_type

__all__ = ["bearer_tokens"]


def bearer_tokens(config: Config, wall_clock: Callable[[], int]) -> BearerTokens:
    """Who verifies the bearer tokens of the issuers that are configured.

    :raises OSError: a file with authorities cannot be read.
    """
    oauth = config.auth.oauth
    policy = KeyPolicy(oauth.jwks_refresh, oauth.jwks_max_age)
    issuers = [
        Issuer(
            name=provider.issuer,
            audience=provider.audience,
            keys=IssuerKeys(
                provider.issuer,
                provider.jwks_url,
                fetcher(timeout_s=oauth.jwks_timeout, ca_file=provider.ca_file),
                policy,
                is_safe_url,
                label=provider.name,
            ),
            kind_claim=provider.claims_mapping.principal_type,
            id_claim=provider.claims_mapping.identity,
            workspace_claim=provider.claims_mapping.workspace,
            default_kind=principal_type(provider.default_principal),
            default_workspace=provider.default_workspace,
        )
        for provider in oauth.providers
    ]
    return BearerTokens(
        issuers, oauth.algorithms, wall_clock, skew_s=oauth.clock_skew, require_expiry=oauth.require_exp
    )
