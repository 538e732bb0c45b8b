"""What each part of a gateway needs of its configuration, in the part's own terms."""

from __future__ import annotations

from aether._version import __version__
from aether.access import Level
from aether.acl.engine import Semantics
from aether.audit.service import AuditLimits
from aether.audit.trail import AuditSettings
from aether.authority.requests import RequestLimits
from aether.checkpoints.service import CheckpointLimits
from aether.config import Config
from aether.gateway.settings import Settings
from aether.kv.limits import KVLimits
from aether.rpc.limits import Limits
from aether.tasks.creation import TaskLimits
from aether.tasks.deadlines import Lifetimes
from aether.tasks.model import Status
from aether.tasks.upkeep import Retention
from aether.tokens.keys import KeyHasher, load_hmac_key
from aether.workspaces.quotas import Share

__all__ = [
    "acl_semantics",
    "audit_limits",
    "audit_settings",
    "checkpoint_limits",
    "gateway_settings",
    "hmac_key",
    "key_hasher",
    "kv_limits",
    "request_limits",
    "rpc_limits",
    "task_lifetimes",
    "task_limits",
    "task_retention",
    "workspace_quotas",
]


def key_hasher(config: Config) -> KeyHasher:
    """What turns API keys into what is stored of them.

    :raises OSError: the key cannot be read or written.
    """
    old_keys = [secret.get_secret_value().encode() for secret in config.auth.token_hmac_old_keys]
    return KeyHasher(hmac_key(config), old_keys)


def hmac_key(config: Config) -> bytes:
    """The key under which API keys are stored; made when there is none yet.

    :raises OSError: it cannot be read or written.
    """
    return load_hmac_key(config.auth.token_hmac_key.get_secret_value(), config.storage.data_dir)


def gateway_settings(config: Config) -> Settings:
    """What the gateway's core needs."""
    gateway, quotas = config.gateway, config.quotas
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
        denial_rate=gateway.denial_rate_limit,
        identity_message_rate=quotas.max_message_rate_per_identity if quotas.enabled else 0.0,
        staged_bytes_max=config.storage.staging_bytes,
        exclusive_to_identities=config.kv.exclusive_by == "identity",
        pre_drain_delay_s=config.shutdown.pre_drain_delay,
        drain_spread_s=config.shutdown.spread,
        drain_timeout_s=config.shutdown.graceful_timeout,
    )


def rpc_limits(config: Config) -> Limits:
    """What the gRPC server needs."""
    gateway = config.gateway
    return Limits(
        max_receive_message=gateway.max_receive_message,
        max_send_message=gateway.max_send_message,
        max_connections=gateway.max_connections,
        max_connection_idle=gateway.max_connection_idle,
        max_connection_age=gateway.max_connection_age or None,
    )


def kv_limits(config: Config) -> KVLimits:
    """What the KV service needs."""
    quotas = config.quotas
    return KVLimits(
        value_bytes_max=(quotas.max_kv_value_size if quotas.enabled else 0) or config.gateway.max_receive_message,
        keys_per_namespace_max=quotas.max_kv_keys_per_namespace if quotas.enabled else 0,
        default_ttl_s=int(config.kv.default_ttl),
        ttl_s_max=int(config.kv.max_ttl),
        exclusive_to_identities=config.kv.exclusive_by == "identity",
    )


def workspace_quotas(config: Config) -> Share:
    """What a workspace may have that has no quotas of its own."""
    quotas = config.quotas
    return Share(
        connections=quotas.max_connections_per_workspace if quotas.enabled else 0,
        tasks=quotas.max_tasks_per_workspace if quotas.enabled else 0,
        message_rate=config.gateway.workspace_rate_limit,
        kv_keys=quotas.max_kv_keys_per_workspace if quotas.enabled else 0,
        kv_bytes=quotas.max_kv_bytes_per_workspace if quotas.enabled else 0,
    )


def task_limits(config: Config) -> TaskLimits:
    """What may be asked of the task service."""
    quotas = config.quotas
    return TaskLimits(
        payload_max=quotas.max_task_payload_size,
        strict_identifiers=config.gateway.strict_identifiers,
    )


def task_lifetimes(config: Config) -> Lifetimes:
    """How long tasks may go without anything happening."""
    cleanup = config.cleanup
    return Lifetimes(
        interactive_ms=int(cleanup.interactive_task_ttl * 1000),
        startup_ms=int(cleanup.startup_task_ttl * 1000),
        pool_ms=int(cleanup.pool_task_ttl * 1000),
        start_ms=int(cleanup.startup_timeout * 1000),
        begin_ms=int(cleanup.assignment_lease * 1000),
    )


def task_retention(config: Config) -> Retention:
    """How long tasks that ended are kept."""
    cleanup = config.cleanup
    kept_s = {
        Status.COMPLETED: cleanup.completed_task_retention,
        Status.FAILED: cleanup.failed_task_retention,
        Status.CANCELLED: cleanup.cancelled_task_retention,
        Status.REJECTED: cleanup.cancelled_task_retention,
    }
    kept_ms = {status: int(seconds * 1000) for status, seconds in kept_s.items()}
    return Retention(kept_ms, cleanup.task_purge_interval)


def acl_semantics(config: Config) -> Semantics:
    """What the rule engine needs."""
    return Semantics(config.acl.none_denies, config.acl.wildcards_match_patterns)


def request_limits(config: Config) -> RequestLimits:
    """What requests for authority need."""
    acl = config.acl
    return RequestLimits(
        lifetime_s=int(acl.authority_request_lifetime),
        duration_s_max=int(acl.authority_duration_max),
        duration_s_by_capability={item.capability: int(item.max) for item in acl.authority_durations},
    )


def audit_settings(config: Config) -> AuditSettings | None:
    """What the audit log needs; None without one."""
    audit = config.audit
    if not audit.enabled:
        return None
    return AuditSettings(
        gateway_id=config.gateway.gateway_id,
        kinds=frozenset(audit.event_types),
        window_s=audit.audit_coalesce_window,
        retention_days=audit.retention_days,
        share_max=audit.rows_per_principal,
    )


def audit_limits(config: Config) -> AuditLimits:
    """What clients may do with the audit log."""
    return AuditLimits(config.audit.foreign_rate, Level[config.audit.workspace_reader_level.upper()])


def checkpoint_limits(config: Config) -> CheckpointLimits:
    """What the checkpoint service needs."""
    checkpoint = config.checkpoint
    return CheckpointLimits(
        default_ttl_s=int(checkpoint.default_ttl),
        size_bytes_max=checkpoint.max_size,
        count_max=checkpoint.max_count,
        recorded=checkpoint.audit,
    )
