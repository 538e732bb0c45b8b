"""Bearer tokens: JSON Web Tokens of OpenID Connect issuers (connection 9.6; RFC 7519, RFC 8725).

A token is looked at in an order that gives nothing away for free: size, algorithm, issuer, signature, claims. The
algorithms are asymmetric, whatever is configured, so a public key never verifies what anybody could have signed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio
from joserfc import jws, jwt
from joserfc.errors import JoseError

from aether.authentication.jwks import IssuerKeys
from aether.authentication.model import Rejected, TokenIdentity
from aether.errors import StoreUnavailable
from aether.identity import InvalidIdentity, PrincipalType, principal_type

__all__ = ["ALGORITHMS", "BearerTokens", "Issuer"]

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
"""All that can be allowed."""

TOKEN_CHARACTERS_MAX = 16_384
HEADER_BYTES_MAX = 4096
SIGNATURE_BYTES_MAX = 2048
WORKSPACES_MAX = 100
CLAIMABLE = frozenset({PrincipalType.USER, PrincipalType.AGENT, PrincipalType.TASK})
"""Types that an issuer may vouch for."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who is believed, about what.

    :ivar name: its ``iss``.
    :ivar audience: that has to be among the token's ``aud``.
    :ivar kind_claim: claim with the type of principal; empty: it is always ``default_kind``.
    :ivar id_claim: claim with the user id.
    :ivar workspace_claim: claim with a workspace, or a list of them; empty: there is none.
    """

    name: str
    audience: str
    keys: IssuerKeys
    kind_claim: str = ""
    id_claim: str = "sub"
    workspace_claim: str = ""
    default_kind: PrincipalType = PrincipalType.USER
    default_workspace: str = ""


@dataclass(frozen=True, slots=True)
class _Header:
    algorithm: str
    key_id: str
    issuer: str


class BearerTokens:
    """Verifies bearer tokens; implements :class:`aether.authentication.chain.Bearer`.

    :param issuers: tried in this order, as far as the token names them.
    :param algorithms: some of :data:`ALGORITHMS`.
    :param skew_s: how far clocks may differ.
    :param require_expiry: refuse tokens that are good for ever.
    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self,
        issuers: Sequence[Issuer],
        algorithms: Sequence[str],
        wall_clock: Callable[[], int],
        *,
        skew_s: float,
        require_expiry: bool = True,
    ) -> None:
        if unknown := set(algorithms) - set(ALGORITHMS):
            raise ValueError(f"not for bearer tokens: {', '.join(sorted(unknown))}")
        self._issuers = tuple(issuers)
        self._algorithms = tuple(algorithms)
        self._wall_clock = wall_clock
        self._skew_s = int(skew_s)
        self._require_expiry = require_expiry
        self._registry = jws.JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        self._registry.max_header_length = HEADER_BYTES_MAX
        self._registry.max_payload_length = TOKEN_CHARACTERS_MAX
        self._registry.max_signature_length = SIGNATURE_BYTES_MAX

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the keys of all issuers fresh, for ever."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            for issuer in self._issuers:
                nursery.start_soon(issuer.keys.run)

    async def verify(self, token: str) -> TokenIdentity:
        """Who the bearer of a token is.

        :raises Rejected: nobody vouches for it.
        :raises StoreUnavailable: the keys of an issuer that could are not known.
        """
        header = self._read_header(token)
        reason = "no issuer of that name"
        away: StoreUnavailable | None = None
        for issuer in self._issuers:
            if issuer.name != header.issuer:
                continue
            try:
                return self._read_claims(issuer, await self._verified(issuer, header, token))
            except Rejected as error:
                reason = str(error)
            except StoreUnavailable as error:
                away = error
        await trio.lowlevel.checkpoint()
        if away is not None:
            raise away
        raise Rejected(reason)

    def _read_header(self, token: str) -> _Header:
        """What the token says of itself, which proves nothing yet."""
        if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
            raise Rejected("not a token")
        try:
            parsed = jws.extract_compact(token.encode(), registry=self._registry)
            header = parsed.headers()
            claims = json.loads(parsed.payload)
        except (JoseError, ValueError, RecursionError):
            raise Rejected("not a token") from None
        algorithm, key_id = header.get("alg"), header.get("kid", "")
        issuer = claims.get("iss") if isinstance(claims, dict) else None
        if not isinstance(issuer, str) or not isinstance(key_id, str):
            raise Rejected("not a token of an issuer")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise Rejected("its algorithm is not allowed")
        return _Header(algorithm, key_id, issuer)

    async def _verified(self, issuer: Issuer, header: _Header, token: str) -> dict[str, Any]:
        """The claims, once signature, issuer, audience and times are right."""
        keys = await issuer.keys.candidates(header.key_id, header.algorithm)
        reason = "no such key"
        for key in keys:
            try:
                claims = jwt.decode(token, key, registry=self._registry).claims
                self._rules(issuer).validate(claims)
            except (JoseError, ValueError, TypeError, RecursionError) as error:
                reason = str(error) if isinstance(error, JoseError) else "malformed"
                continue
            return dict(claims)
        raise Rejected(reason)

    def _rules(self, issuer: Issuer) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=self._wall_clock() // 1000,
            leeway=self._skew_s,
            iss={"essential": True, "value": issuer.name},
            aud={"essential": True, "value": issuer.audience},
            exp={"essential": self._require_expiry},
        )

    def _read_claims(self, issuer: Issuer, claims: Mapping[str, Any]) -> TokenIdentity:
        """Who that is, by the issuer's mapping."""
        kind = issuer.default_kind
        if issuer.kind_claim and issuer.kind_claim in claims:
            try:
                kind = principal_type(str(claims[issuer.kind_claim]))
            except InvalidIdentity as error:
                raise Rejected(str(error)) from None
        if kind not in CLAIMABLE:
            raise Rejected(f"an issuer does not vouch for a {kind.title}")
        id_ = claims.get(issuer.id_claim)
        if not isinstance(id_, str) or not id_:
            raise Rejected(f"no claim {issuer.id_claim}")
        workspaces = claims.get(issuer.workspace_claim) if issuer.workspace_claim else None
        if workspaces is None:
            workspaces = issuer.default_workspace or None
        is_one = isinstance(workspaces, str)
        if is_one:
            workspaces = [workspaces]
        if workspaces is not None and not _are_names(workspaces):
            raise Rejected(f"the claim {issuer.workspace_claim} has no workspaces")
        expires = claims.get("exp")
        return TokenIdentity(
            kind=kind,
            id=id_,
            workspaces=None if workspaces is None else tuple(workspaces),
            is_one_workspace=is_one,
            expires_ms=0 if expires is None else int((min(expires, 1e11) + self._skew_s) * 1000),
            issuer=issuer.name,
        )


def _are_names(value: object) -> bool:
    return isinstance(value, list) and len(value) <= WORKSPACES_MAX and all(isinstance(name, str) for name in value)
