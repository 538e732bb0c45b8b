"""Settings of listeners, limits and the process (see :mod:`aether.config.base`)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from aether.config.base import GIB, KIB, MIB, Section
from aether.config.values import (
    Count,
    Duration,
    FilePath,
    Flag,
    Host,
    Port,
    PositiveCount,
    PositiveDuration,
    PositiveSize,
    Rate,
    Size,
    Text,
    lower_case,
)

__all__ = ["Admin", "Gateway", "Log", "Quotas", "Shutdown"]


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
    """Operations per second of a session on tasks, agents, workspaces and authority, in bursts of up to twice as many;
    0 is unlimited."""
    denial_rate_limit: Rate = 10.0
    """Audit rows per second about what one principal is refused, in bursts of up to fifty times as many; then it is not
    heard for a while. 0 is unlimited."""
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
    max_kv_keys_per_workspace: Count = 1_000_000
    """Values and checkpoints that a workspace stores, in all namespaces; 0 is unlimited."""
    max_kv_bytes_per_workspace: Size = 10 * GIB
    """Bytes of all those, keys included; 0 is unlimited."""
    max_kv_value_size: Size = 1 * MIB
    """Largest KV value, in bytes; 0 leaves it to ``gateway.max_receive_message``."""
    max_task_payload_size: PositiveSize = 512 * KIB
    """Largest payload of a task, in bytes; also with quotas off."""
    max_tasks_per_workspace: Count = 0
    """Unfinished tasks in a workspace; 0 is unlimited."""


class Shutdown(Section):
    """What happens between the signal to stop and the end of the process."""

    graceful_timeout: PositiveDuration = 30.0
    """How long sessions have to end before they are cut off."""
    pre_drain_delay: Duration = 0.0
    """How long the gateway keeps working while its health says "not serving", so that load balancers can look away."""
    spread: Duration = 0.0
    """Time over which clients are told to reconnect, so that they do not come back all at once."""


def _warn_is_warning(value: Any) -> Any:
    value = lower_case(value)
    return "warning" if value == "warn" else value


class Log(Section):
    """The gateway's own log, on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_warn_is_warning)] = "info"
    """Least important event to write."""
    format: Annotated[Literal["auto", "console", "json"], BeforeValidator(lower_case)] = "auto"
    """Lines for people or for machines; ``auto`` is ``console`` on a terminal and ``json`` elsewhere."""
