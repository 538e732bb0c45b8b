"""Every setting: its type, default, unit and one sentence on what it does.

The sentences under the fields are the reference: docs/configuration.md is made from them (``python -m aether config
--markdown``). A setting without an effect is not in here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, PrivateAttr, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from aether.config.values import (
    Allowed,
    Count,
    Duration,
    FilePath,
    Flag,
    Host,
    Names,
    OptionalText,
    Port,
    PositiveCount,
    PositiveDuration,
    PositiveSize,
    Rate,
    Secret,
    Secrets,
    Size,
    Text,
    is_loopback,
    is_safe_url,
    lower_case,
    structure,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from aether.acl.engine import Semantics
    from aether.audit.service import AuditLimits
    from aether.audit.trail import AuditSettings
    from aether.authentication.bearer import BearerTokens
    from aether.authority.requests import RequestLimits
    from aether.checkpoints.service import CheckpointLimits
    from aether.gateway.settings import Settings
    from aether.kv.service import KVLimits
    from aether.rpc.limits import Limits
    from aether.tasks.creation import TaskLimits
    from aether.tasks.machine import Lifetimes
    from aether.tasks.upkeep import Retention
    from aether.tokens.keys import KeyHasher
    from aether.workspaces.quotas import Share

__all__ = ["DEV_DEFAULTS", "Config", "Section"]

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

HMAC_KEY_CHARACTERS_MIN = 32
ENVELOPE = 64 * KIB
"""Room a message needs around its payload: topic, identities, authorization."""

DEV_DEFAULTS: dict[str, dict[str, Any]] = {
    "gateway": {"message_rate_limit": 0, "task_rate_limit": 0},
    "quotas": {"enabled": False},
    "acl": {"enabled": False},
}
"""Defaults that differ with ``dev``: a developer measures what the machine can do, not what the limits allow."""


def _warn_is_warning(value: Any) -> Any:
    value = lower_case(value)
    return "warning" if value == "warn" else value


class Section(BaseModel):
    """A section of the file; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class Tls(Section):
    """Encryption of the gRPC port; on when both a certificate and a key are given."""

    cert_file: FilePath | None = None
    """PEM file with the server's certificate chain."""
    key_file: FilePath | None = None
    """PEM file with the private key of the certificate."""
    ca_file: FilePath | None = None
    """PEM file with the authorities that sign client certificates."""
    client_auth: Annotated[Literal["require", "request", "none"], BeforeValidator(lower_case)] = "require"
    """Whether clients must show a certificate (``require``), may (``request``), or are not asked; needs ``ca_file``
    unless ``none``."""


class Gateway(Section):
    """The gRPC listener and the way of a message."""

    host: Host = "127.0.0.1"
    """Address of the listeners, for gRPC and for probes; ``0.0.0.0`` or ``::`` for all interfaces."""
    port: Port = 50051
    """Port of the gRPC listener; 0 lets the system choose."""
    ops_port: Port = 9090
    """Port of health probes and Prometheus metrics, plain HTTP without login; 0 turns it off."""
    gateway_id: Text = "gateway-default"
    """Name of this gateway in session records and statistics."""
    engine: Annotated[Literal["auto", "native", "purerpc"], BeforeValidator(lower_case)] = "auto"
    """HTTP/2 engine: ``native`` is libnghttp2, ``purerpc`` is pure Python and slower, ``auto`` takes the native one
    where it was compiled."""
    reflection: Flag = True
    """Whether clients may list the gRPC services and read their schema (server reflection), as ``grpcurl`` does."""
    strict_identifiers: Flag = True
    """Whether names in identities are held to the protocol's character set."""
    init_timeout: PositiveDuration = 30.0
    """How long a new stream may take to say who it is."""
    lock_ttl: PositiveDuration = 30.0
    """How long an identity stays taken after its gateway was last heard of, at least 1s; renewed every third of it."""
    max_half_open: Count = 4096
    """Streams of one address that have not said yet who they are; more are refused as retryable. 0 is unlimited."""
    message_rate_limit: Rate = 100.0
    """Messages per second that one session may send on average; 0 is unlimited."""
    message_rate_burst: Rate = 0.0
    """Messages that a session may send at once before the rate applies; 0 is twice the rate."""
    workspace_rate_limit: Rate = 0.0
    """Messages per second that all senders of a workspace may send together through this gateway; 0 is unlimited."""
    task_rate_limit: Rate = 500.0
    """Operations per second of a session on tasks, agents and workspaces, in bursts of up to twice as many; 0 is
    unlimited."""
    max_payload_size: PositiveSize = 1 * MIB
    """Largest payload of a message, in bytes."""
    max_receive_message: PositiveSize = 4 * MIB
    """Largest gRPC message a client may send, in bytes."""
    max_send_message: PositiveSize = 16 * MIB
    """Largest gRPC message the gateway sends, in bytes."""
    delivery_buffer_bytes: PositiveSize = 256 * KIB
    """Bytes that wait for the transport of one session before its deliveries are read from the log instead."""
    max_connections: PositiveCount = 100_000
    """Open TCP connections; more are closed right after they were accepted."""
    max_connection_idle: PositiveDuration = 900.0
    """A connection without a stream is closed after this long."""
    max_connection_age: Duration = 0.0
    """A connection is asked to reconnect after this long; 0 is never."""
    tb_mode: Annotated[Literal["competing", "broadcast"], BeforeValidator(lower_case)] = "competing"
    """Whether each message to a pool of tasks (``tb::`` topics) goes to one worker of the pool, or to all of them."""
    tls: Tls = Tls()


class Admin(Section):
    """The admin API: its port is set aside, the API itself is not part of this version."""

    enabled: Flag = False
    """Whether to open the admin API; this version refuses ``true``."""
    port: Port = 31880
    """Port that the admin API will use; nothing listens there yet."""


class Storage(Section):
    """Where the local tier keeps messages, values, checkpoints and sessions, and for how long."""

    data_dir: FilePath = Path("aether-data")
    """Directory of the database; made when missing, used by one gateway at a time."""
    durability: Annotated[Literal["batch", "os"], BeforeValidator(lower_case)] = "batch"
    """What an accepted message or write survives: ``batch`` a power cut (each group of writes is synced to the disk),
    ``os`` the end of the process, but not of the machine."""
    message_retention: Duration = 24 * 3600.0
    """How long messages are kept for consumers that are away; 0 is forever."""
    message_retention_bytes: Size = 10 * GIB
    """Bytes of messages to keep, the oldest go first; 0 is unlimited."""
    offset_retention: Duration = 168 * 3600.0
    """How long the place of a consumer in a topic is remembered after it was last used; 0 is forever."""
    staging_bytes: PositiveSize = 8 * MIB
    """Bytes of messages that wait for the disk before senders have to wait too."""


class KV(Section):
    """Values that clients store."""

    default_ttl: Duration = 0.0
    """Life of a value that was written without one, in whole seconds; 0 is forever."""
    max_ttl: Duration = 0.0
    """Longest life of a value, in whole seconds; longer ones, and forever, are cut to it; 0 is unlimited."""
    exclusive_by: Annotated[Literal["name", "identity"], BeforeValidator(lower_case)] = "name"
    """Who shares the exclusive scopes: ``name`` whatever has the same implementation and specifier, as on other Aether
    gateways; ``identity`` nobody, also no principal of another type or workspace. Values that were written before a
    change of this are not found after it."""


class Checkpoint(Section):
    """Checkpoints that clients save."""

    default_ttl: Duration = 0.0
    """Life of a checkpoint whose client leaves it to the server, in whole seconds; 0 is forever."""
    max_size: PositiveSize = 3 * MIB
    """Largest checkpoint, in bytes."""
    max_count: Count = 1000
    """Checkpoints per identity; 0 is unlimited."""
    audit: Flag = False
    """Whether successful operations are in the audit log too, as events of the kind ``kv``; refused ones always are."""


class Quotas(Section):
    """Shares of the gateway; each can be lifted by 0, all together by ``enabled``."""

    enabled: Flag = True
    """Whether the quotas below apply."""
    max_connections_per_workspace: Count = 1000
    """Live sessions of a workspace; 0 is unlimited."""
    max_message_rate_per_identity: Rate = 100.0
    """Messages per second of an identity, over all its sessions; 0 is unlimited."""
    max_kv_keys_per_namespace: Count = 10_000
    """Live keys in one KV namespace; 0 is unlimited."""
    max_kv_value_size: Size = 1 * MIB
    """Largest KV value, in bytes; 0 leaves it to ``gateway.max_receive_message``."""
    max_task_payload_size: PositiveSize = 512 * KIB
    """Largest payload of a task, in bytes; also with quotas off."""
    max_tasks_per_workspace: Count = 0
    """Unfinished tasks in a workspace; 0 is unlimited."""


class Cleanup(Section):
    """When tasks that nobody ends are cancelled, and how long those that ended are kept."""

    interactive_task_ttl: Duration = 3600.0
    """How long an interactive task may go without progress or change, unless it waits for something; 0 is forever."""
    startup_task_ttl: Duration = 1800.0
    """How long the start of an agent may wait for an orchestrator; 0 is forever."""
    startup_timeout: Duration = 600.0
    """How long an orchestrator has until the agent that it starts is connected; 0 is forever."""
    assignment_lease: Duration = 600.0
    """How long a worker may hold a task without a word before the audit log and a metric tell of it; 0 is never. It
    keeps the task."""
    pool_task_ttl: Duration = 3600.0
    """How long a task may wait for a worker of its pool; 0 is forever."""
    task_purge_interval: Duration = 24 * 3600.0
    """How often tasks that are kept no longer are removed; 0 is never."""
    completed_task_retention: Duration = 168 * 3600.0
    """How long completed tasks are kept; 0 is forever."""
    failed_task_retention: Duration = 336 * 3600.0
    """How long failed tasks are kept; 0 is forever."""
    cancelled_task_retention: Duration = 168 * 3600.0
    """How long cancelled and rejected tasks are kept; 0 is forever."""


class Shutdown(Section):
    """What happens between the signal to stop and the end of the process."""

    graceful_timeout: PositiveDuration = 30.0
    """How long sessions have to end before they are cut off."""
    pre_drain_delay: Duration = 0.0
    """How long the gateway keeps working while its health says "not serving", so that load balancers can look away."""
    spread: Duration = 0.0
    """Time over which clients are told to reconnect, so that they do not come back all at once."""


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
    retention_days: Count = 90
    """How long rows are kept, in days; 0 is forever."""
    foreign_rate: Rate = 100.0
    """Events that a principal may submit per second; 0 is unlimited."""
    workspace_reader_level: Annotated[Literal["read", "readwrite", "manage", "admin"], BeforeValidator(lower_case)] = (
        "manage"
    )
    """Level on a workspace that lets somebody read the log of that workspace; the right to ``admin/audit`` always
    does."""


class Log(Section):
    """The gateway's own log, on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_warn_is_warning)] = "info"
    """Least important event to write."""
    format: Annotated[Literal["auto", "console", "json"], BeforeValidator(lower_case)] = "auto"
    """Lines for people or for machines; ``auto`` is ``console`` on a terminal and ``json`` elsewhere."""


class Config(Section):
    """The configuration of one gateway; see docs/configuration.md.

    Durations are seconds, sizes are bytes. Build one in code::

        Config.development(data_dir="/var/lib/aether", gateway={"port": 50051})
    """

    tier: Annotated[Literal["local"], BeforeValidator(lower_case)] = "local"
    """Where state lives: ``local`` is one process with a database file."""
    dev: Flag = False
    """Development: anonymous clients are admitted, only this machine can connect, rate limits and quotas are off
    unless they are set."""
    gateway: Gateway = Gateway()
    admin: Admin = Admin()
    storage: Storage = Storage()
    kv: KV = KV()
    checkpoint: Checkpoint = Checkpoint()
    quotas: Quotas = Quotas()
    cleanup: Cleanup = Cleanup()
    shutdown: Shutdown = Shutdown()
    auth: Auth = Auth()
    acl: Acl = Acl()
    audit: Audit = Audit()
    log: Log = Log()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def development(cls, data_dir: Path | str | None = None, **sections: Any) -> Config:
        """As ``aether serve --dev``, for embedding and tests: ports are chosen by the system, probes are off.

        :param data_dir: instead of ``storage.data_dir``.
        :param sections: settings by section, such as ``gateway={"engine": "purerpc"}``.
        :raises ValueError: a setting is not allowed.
        """
        sections["gateway"] = {"port": 0, "ops_port": 0} | dict(sections.get("gateway", {}))
        if data_dir is not None:
            sections["storage"] = dict(sections.get("storage", {})) | {"data_dir": data_dir}
        return cls.model_validate({"dev": True, **sections})

    @model_validator(mode="before")
    @classmethod
    def _development_defaults(cls, data: Any) -> Any:
        """Put the defaults of ``dev`` below what is set."""
        if not isinstance(data, dict) or str(data.get("dev", False)).lower() not in (
            "true",
            "t",
            "1",
            "yes",
            "y",
            "on",
        ):
            return data
        merged = dict(data)
        for section, defaults in DEV_DEFAULTS.items():
            given = merged.get(section, {})
            if isinstance(given, dict):
                merged[section] = {**defaults, **given}
        return merged

    @model_validator(mode="after")
    def _check_relations(self) -> Config:
        if violations := list(_violations(self)):
            text = "; ".join(f"{key}: {rule}" for key, rule in violations)
            raise PydanticCustomError("relations", "{text}", {"text": text, "violations": violations})
        return self

    def origin(self, key: str) -> str:
        """Where the value of a dotted key came from, ``default`` when nobody set it."""
        return self._origins.get(key, "default")

    def authentication_problem(self) -> str | None:
        """Why this gateway must not start, in words that say what to configure; None when clients are authenticated.

        With ``dev`` anonymous clients are admitted, on loopback only.
        """
        if unknown := [mode for mode in self.auth.modes if mode not in Auth.METHODS]:
            return (
                f"auth.modes names {', '.join(unknown)}, which this version cannot check; it has "
                f"{', '.join(sorted(Auth.METHODS))}."
            )
        if self.dev or set(self.auth.modes) - {"task_token"}:
            return None
        return (
            "no authentication is configured (auth.modes is empty), so anybody could connect as anyone. Make a "
            "configuration with `aether init`, name methods in auth.modes, or run with --dev (anonymous clients, this "
            "machine only)."
        )

    def key_hasher(self) -> KeyHasher:
        """What turns API keys into what is stored of them.

        :raises OSError: the key cannot be read or written.
        """
        from aether.tokens.keys import KeyHasher

        old_keys = [secret.get_secret_value().encode() for secret in self.auth.token_hmac_old_keys]
        return KeyHasher(self.hmac_key(), old_keys)

    def hmac_key(self) -> bytes:
        """The key under which API keys are stored; made when there is none yet.

        :raises OSError: it cannot be read or written.
        """
        from aether.tokens.keys import load_hmac_key

        return load_hmac_key(self.auth.token_hmac_key.get_secret_value(), self.storage.data_dir)

    def bearer_tokens(self, wall_clock: Callable[[], int]) -> BearerTokens | None:
        """Who verifies bearer tokens; None when no issuer is believed.

        :raises OSError: a file with authorities cannot be read.
        """
        oauth = self.auth.oauth
        if not oauth.providers:
            return None
        from aether.authentication.bearer import BearerTokens, Issuer
        from aether.authentication.fetching import fetcher
        from aether.authentication.jwks import IssuerKeys, KeyPolicy
        from aether.identity import principal_type

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

    def gateway_settings(self) -> Settings:
        """What the gateway's core needs."""
        from aether._version import __version__
        from aether.gateway.settings import Settings

        gateway, quotas = self.gateway, self.quotas
        return Settings(
            version=__version__,
            gateway_id=gateway.gateway_id,
            strict_identifiers=gateway.strict_identifiers,
            init_timeout_s=gateway.init_timeout,
            lock_ttl_s=gateway.lock_ttl,
            half_open_max=gateway.max_half_open,
            competing_pools=gateway.tb_mode == "competing",
            outbound_bytes=gateway.delivery_buffer_bytes,
            payload_bytes_max=gateway.max_payload_size,
            message_rate=gateway.message_rate_limit,
            message_burst=gateway.message_rate_burst or 2 * gateway.message_rate_limit,
            task_rate=gateway.task_rate_limit,
            identity_message_rate=quotas.max_message_rate_per_identity if quotas.enabled else 0.0,
            staged_bytes_max=self.storage.staging_bytes,
            exclusive_to_identities=self.kv.exclusive_by == "identity",
            pre_drain_delay_s=self.shutdown.pre_drain_delay,
            drain_spread_s=self.shutdown.spread,
            drain_timeout_s=self.shutdown.graceful_timeout,
        )

    def rpc_limits(self) -> Limits:
        """What the gRPC server needs."""
        from aether.rpc.limits import Limits

        gateway = self.gateway
        return Limits(
            max_receive_message=gateway.max_receive_message,
            max_send_message=gateway.max_send_message,
            max_connections=gateway.max_connections,
            max_connection_idle=gateway.max_connection_idle,
            max_connection_age=gateway.max_connection_age or None,
        )

    def kv_limits(self) -> KVLimits:
        """What the KV service needs."""
        from aether.kv.service import KVLimits

        quotas = self.quotas
        return KVLimits(
            value_bytes_max=(quotas.max_kv_value_size if quotas.enabled else 0) or self.gateway.max_receive_message,
            keys_per_namespace_max=quotas.max_kv_keys_per_namespace if quotas.enabled else 0,
            default_ttl_s=int(self.kv.default_ttl),
            ttl_s_max=int(self.kv.max_ttl),
            exclusive_to_identities=self.kv.exclusive_by == "identity",
        )

    def workspace_quotas(self) -> Share:
        """What a workspace may have that has no quotas of its own."""
        from aether.workspaces.quotas import Share

        quotas = self.quotas
        return Share(
            connections=quotas.max_connections_per_workspace if quotas.enabled else 0,
            tasks=quotas.max_tasks_per_workspace if quotas.enabled else 0,
            message_rate=self.gateway.workspace_rate_limit,
        )

    def task_limits(self) -> TaskLimits:
        """What may be asked of the task service."""
        from aether.tasks.creation import TaskLimits

        quotas = self.quotas
        return TaskLimits(
            payload_max=quotas.max_task_payload_size,
            strict_identifiers=self.gateway.strict_identifiers,
        )

    def task_lifetimes(self) -> Lifetimes:
        """How long tasks may go without anything happening."""
        from aether.tasks.machine import Lifetimes

        cleanup = self.cleanup
        return Lifetimes(
            interactive_ms=int(cleanup.interactive_task_ttl * 1000),
            startup_ms=int(cleanup.startup_task_ttl * 1000),
            pool_ms=int(cleanup.pool_task_ttl * 1000),
            start_ms=int(cleanup.startup_timeout * 1000),
            begin_ms=int(cleanup.assignment_lease * 1000),
        )

    def task_retention(self) -> Retention:
        """How long tasks that ended are kept."""
        from aether.tasks.model import Status
        from aether.tasks.upkeep import Retention

        cleanup = self.cleanup
        kept_s = {
            Status.COMPLETED: cleanup.completed_task_retention,
            Status.FAILED: cleanup.failed_task_retention,
            Status.CANCELLED: cleanup.cancelled_task_retention,
            Status.REJECTED: cleanup.cancelled_task_retention,
        }
        kept_ms = {status: int(seconds * 1000) for status, seconds in kept_s.items()}
        return Retention(kept_ms, cleanup.task_purge_interval)

    def acl_semantics(self) -> Semantics:
        """What the rule engine needs."""
        from aether.acl.engine import Semantics

        return Semantics(self.acl.none_denies, self.acl.wildcards_match_patterns)

    def request_limits(self) -> RequestLimits:
        """What requests for authority need."""
        from aether.authority.requests import RequestLimits

        acl = self.acl
        return RequestLimits(
            lifetime_s=int(acl.authority_request_lifetime),
            duration_s_max=int(acl.authority_duration_max),
            duration_s_by_capability={item.capability: int(item.max) for item in acl.authority_durations},
        )

    def audit_settings(self) -> AuditSettings | None:
        """What the audit log needs; None without one."""
        from aether.audit.trail import AuditSettings

        audit = self.audit
        if not audit.enabled:
            return None
        return AuditSettings(
            gateway_id=self.gateway.gateway_id,
            kinds=frozenset(audit.event_types),
            window_s=audit.audit_coalesce_window,
            retention_days=audit.retention_days,
        )

    def audit_limits(self) -> AuditLimits:
        """What clients may do with the audit log."""
        from aether.access import Level
        from aether.audit.service import AuditLimits

        return AuditLimits(self.audit.foreign_rate, Level[self.audit.workspace_reader_level.upper()])

    def checkpoint_limits(self) -> CheckpointLimits:
        """What the checkpoint service needs."""
        from aether.checkpoints.service import CheckpointLimits

        checkpoint = self.checkpoint
        return CheckpointLimits(
            default_ttl_s=int(checkpoint.default_ttl),
            size_bytes_max=checkpoint.max_size,
            count_max=checkpoint.max_count,
            recorded=checkpoint.audit,
        )


def _violations(config: Config) -> Any:
    """Rules between settings: the key to blame and what must hold."""
    gateway, tls = config.gateway, config.gateway.tls
    if config.dev and not is_loopback(gateway.host):
        yield "gateway.host", "with dev only a loopback address such as 127.0.0.1, ::1 or localhost"
    if (tls.cert_file is None) != (tls.key_file is None):
        missing = "key_file" if tls.key_file is None else "cert_file"
        yield f"gateway.tls.{missing}", "needed too: a certificate and its key come together"
    if tls.cert_file is not None and tls.client_auth != "none" and tls.ca_file is None:
        # The system's authorities would do, and vouch for half of the world.
        yield "gateway.tls.ca_file", "needed unless gateway.tls.client_auth is none: who vouches for clients"
    elif "mtls" in config.auth.modes and (tls.ca_file is None or tls.client_auth == "none"):
        yield "gateway.tls.ca_file", "needed for mtls in auth.modes, and gateway.tls.client_auth other than none"
    if {"api_key", "oauth"} & set(config.auth.modes) and tls.cert_file is None and not is_loopback(gateway.host):
        yield (
            "gateway.tls.cert_file",
            "needed for api_key or oauth in auth.modes, or credentials could be read on their way",
        )
    if "oauth" in config.auth.modes and not config.auth.oauth.providers:
        yield "auth.oauth.providers", "at least one for oauth in auth.modes"
    for provider in config.auth.oauth.providers:
        url = provider.jwks_url or provider.issuer
        if not is_safe_url(url):
            yield "auth.oauth.providers", f"an https URL (or http on this machine) instead of {url}"
    known_algorithms = OAuth.model_fields["algorithms"].default
    if set(config.auth.oauth.algorithms) - set(known_algorithms) or not config.auth.oauth.algorithms:
        yield "auth.oauth.algorithms", f"some of {', '.join(known_algorithms)}"
    if 0 < len(config.auth.token_hmac_key.get_secret_value()) < HMAC_KEY_CHARACTERS_MIN:
        yield "auth.token_hmac_key", f"{HMAC_KEY_CHARACTERS_MIN} characters or more"
    if config.admin.enabled:
        yield "admin.enabled", "false: this version has no admin API"
    if gateway.lock_ttl < 1:
        yield "gateway.lock_ttl", "at least 1s"
    if gateway.port and gateway.port == gateway.ops_port:
        yield "gateway.ops_port", f"another port than gateway.port ({gateway.port})"
    for key in ("max_receive_message", "max_send_message"):
        needed = gateway.max_payload_size + ENVELOPE
        if getattr(gateway, key) < needed:
            yield f"gateway.{key}", f"at least gateway.max_payload_size and {ENVELOPE} bytes around it ({needed})"
    for key, size in (
        ("quotas.max_kv_value_size", config.quotas.max_kv_value_size),
        ("checkpoint.max_size", config.checkpoint.max_size),
        ("quotas.max_task_payload_size", config.quotas.max_task_payload_size),
    ):
        if size + ENVELOPE > gateway.max_receive_message:
            yield (
                key,
                f"at most gateway.max_receive_message less {ENVELOPE} bytes ({gateway.max_receive_message - ENVELOPE})",
            )
    if unknown := [kind for kind in config.audit.event_types if kind not in Audit.model_fields["event_types"].default]:
        known = ", ".join(Audit.model_fields["event_types"].default)
        yield "audit.event_types", f"some of {known} (not {', '.join(unknown)})"
    if config.kv.max_ttl and config.kv.default_ttl > config.kv.max_ttl:
        yield "kv.default_ttl", "at most kv.max_ttl"
    for key, seconds in (
        ("kv.default_ttl", config.kv.default_ttl),
        ("kv.max_ttl", config.kv.max_ttl),
        ("checkpoint.default_ttl", config.checkpoint.default_ttl),
    ):
        if seconds != int(seconds):
            yield key, "a duration of whole seconds"
