"""Settings of who may connect, what they may do, and the record of it (see :mod:`aether.config.base`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, SecretStr

from aether.config.base import Section
from aether.config.values import (
    Allowed,
    Count,
    Duration,
    FilePath,
    Flag,
    Names,
    OptionalText,
    PositiveDuration,
    Rate,
    Secret,
    Secrets,
    Text,
    lower_case,
    structure,
)

__all__ = ["Acl", "Audit", "Auth", "OAuth"]


class Mtls(Section):
    """Client certificates as credentials, with ``mtls`` among ``auth.modes``."""

    required: Flag = False
    """Whether clients without a certificate are refused."""
    mode: Annotated[Literal["strict", "semi-strict", "relaxed"], BeforeValidator(lower_case)] = "strict"
    """What the common name of a certificate binds: ``strict`` the whole identity, ``semi-strict`` all but the
    specifier, ``relaxed`` only the type of principal."""


class ClaimsMapping(Section):
    """Where a token of this issuer says what."""

    principal_type: OptionalText = ""
    """Claim with the type of principal, of ``User``, ``Agent`` and ``Task``; empty: always ``default_principal``."""
    identity: Text = "sub"
    """Claim with the user id. For others it binds the whole identity when it has one, such as ``ag::prod::worker::1``,
    else only type and workspace are the token's."""
    workspace: OptionalText = ""
    """Claim with the workspace, or a list of those that the session may be in; empty: tokens say nothing about them."""


class OAuthProvider(Section):
    """An issuer of bearer tokens."""

    name: OptionalText = ""
    """Its name in the gateway's log; empty: the issuer."""
    issuer: Text
    """Its ``iss``, exactly as in its tokens; a URL."""
    audience: Text
    """What has to be among the ``aud`` of a token."""
    jwks_url: OptionalText = ""
    """Where its keys are; empty: its ``/.well-known/openid-configuration`` says."""
    ca_file: FilePath | None = None
    """PEM file with the authorities that vouch for its servers, instead of those of the system."""
    claims_mapping: ClaimsMapping = ClaimsMapping()
    default_principal: Annotated[
        Literal["User", "Agent", "Task"], BeforeValidator(lambda value: str(value).strip().capitalize())
    ] = "User"
    """Type of principal of tokens that have no claim about it."""
    default_workspace: OptionalText = ""
    """Workspace of tokens that have no claim about it."""

    def __str__(self) -> str:
        return self.issuer


Providers = Annotated[
    tuple[OAuthProvider, ...], BeforeValidator(structure), Allowed("a list of sections, each with issuer and audience")
]


class OAuth(Section):
    """Bearer tokens as credentials, with ``oauth`` among ``auth.modes``: JSON Web Tokens of OpenID Connect issuers."""

    providers: Providers = ()
    """Who is believed, in this order. In a variable they are written as YAML, such as ``[{issuer: ..., audience:
    ...}]``."""
    algorithms: Names = (
        "RS256",
        "RS384",
        "RS512",
        "ES256",
        "ES384",
        "ES512",
        "PS256",
        "PS384",
        "PS512",
    )
    """Signature algorithms to accept, of these."""
    clock_skew: Duration = 30.0
    """How far the clocks of issuers and this machine may differ."""
    require_exp: Flag = True
    """Whether tokens that never expire are refused."""
    end_sessions: Flag = True
    """Whether a session ends when the token that opened it does; if not, it goes on and cannot be opened again."""
    jwks_refresh: PositiveDuration = 3600.0
    """How often the keys of issuers are fetched; besides, when a token names an unknown one, at most every 5 s."""
    jwks_max_age: PositiveDuration = 24 * 3600.0
    """How long keys are good for while their issuer cannot be reached; after that its tokens are refused as
    retryable."""
    jwks_timeout: PositiveDuration = 5.0
    """How long fetching one document from an issuer may take."""


class Auth(Section):
    """Who may connect. A gateway without any method admits nobody unless it runs with ``dev``."""

    METHODS: ClassVar[frozenset[str]] = frozenset({"mtls", "api_key", "oauth", "task_token"})
    """Methods of authentication that this version has."""

    modes: Names = ()
    """Methods of authentication to accept: ``mtls`` (client certificates), ``api_key``, ``oauth`` (bearer tokens).
    Task tokens are always accepted; ``task_token`` may be named."""
    mtls: Mtls = Mtls()
    oauth: OAuth = OAuth()
    task_session_grace: Duration = 30.0
    """How long a session that was opened with a task token may go on after its task has ended."""
    token_hmac_key: Secret = SecretStr("")
    """Key under which API keys are stored, 32 characters or more; empty: one is made in the data directory at the first
    start. Another key makes all API keys worthless, unless this one is kept among the old keys."""
    token_hmac_old_keys: Secrets = ()
    """Keys that ``token_hmac_key`` was before: API keys stored under them go on working, and are stored anew when they
    are used."""


class CapabilityDuration(Section):
    """How long whoever decides by a capability may give authority."""

    capability: Text
    """The capability that requests are routed to, such as ``capability/on_call``."""
    max: PositiveDuration
    """The longest that its holders can give."""

    def __str__(self) -> str:
        return f"{self.capability}: {self.max:g}s"


CapabilityDurations = Annotated[
    tuple[CapabilityDuration, ...],
    BeforeValidator(structure),
    Allowed("a list of sections, each with capability and max"),
]


class Acl(Section):
    """Access rules. Without them everybody who is connected may do all ordinary work, and nobody may administrate."""

    enabled: Flag = True
    """Whether access rules decide; off by default with ``dev``."""
    none_denies: Flag = False
    """Whether a rule of level NONE wins over every other rule, instead of only those that rank below it."""
    wildcards_match_patterns: Flag = False
    """Whether rules for everybody of a type, such as ``_any_agent``, may name resources by a pattern."""
    authority_request_lifetime: PositiveDuration = 1800.0
    """How long a request for authority can be decided."""
    authority_duration_max: PositiveDuration = 3600.0
    """The longest that a request for authority can be about, and its approval can last."""
    authority_grants_max: Count = 10_000
    """Grants of authority that one principal made and that still hold; more are refused. 0 is unlimited."""
    authority_durations: CapabilityDurations = ()
    """Shorter ones for requests that are routed to a capability."""


class Audit(Section):
    """The audit log: who did what, and was allowed to or not. Refusals and administrative changes are always recorded,
    before they are answered."""

    enabled: Flag = True
    """Whether there is an audit log."""
    event_types: Names = (
        "connection",
        "auth",
        "message",
        "kv",
        "task",
        "admin",
        "acl",
        "authorization",
        "authority_request",
        "custom",
    )
    """Kinds of events of which success is recorded too; ``custom`` are those that clients submit."""
    audit_coalesce_window: Duration = 60.0
    """The same success of the same principal is recorded once in this time; 0 records every one, at the cost of the
    fast path of messages."""
    rows_per_principal: Count = 10_000
    """Rows of success of one principal within that time; more are counted instead, and a row says how many. 0 is
    unlimited."""
    retention_days: Count = 90
    """How long rows are kept, in days; 0 is forever."""
    foreign_rate: Rate = 100.0
    """Events that a principal may submit per second; 0 is unlimited."""
    workspace_reader_level: Annotated[Literal["read", "readwrite", "manage", "admin"], BeforeValidator(lower_case)] = (
        "manage"
    )
    """Level on a workspace that lets somebody read the log of that workspace; the right to ``admin/audit`` always
    does."""
