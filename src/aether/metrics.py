"""What a gateway counts, under the names that dashboards of Aether gateways know (operations 11).

One :class:`Metrics` per gateway with a registry of its own, so that several gateways fit in one process. The message
path never calls in here: sessions count in compiled code, and :meth:`aether.gateway.observe.Observer.collect` moves
the counts before each scrape.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from aether._version import __version__
from aether.errors import Code

__all__ = ["Metrics"]

WORKSPACES_MAX = 200
"""Workspace names are chosen by clients, so only this many become label values; later ones count as ``other``."""

MESSAGE_TYPES = ("UNSPECIFIED", "CHAT", "CONTROL", "TOOL_CALL", "EVENT", "METRIC", "OPAQUE")
"""By number of the protocol's MessageType."""

_ERROR_TYPES = {
    Code.QUOTA: "quota_exceeded",
    Code.SV_UNAVAILABLE: "sv_wildcard_unavailable",
    Code.METRIC_INVALID: "metric_validation",
    Code.METRIC_EMPTY: "metric_validation",
    Code.METRIC_INVALID_ENTRY: "metric_validation",
    Code.METRIC_NEGATIVE_FORBIDDEN: "metric_validation",
}
"""Label values that are not the catalogue code in lower case without its prefix."""


def _doubling(start: float, count: int) -> list[float]:
    return [start * 2**step for step in range(count)]


class Metrics:
    """The counters of one gateway and their exposition."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        session_labels = ["workspace", "principal_type"]
        self._active = Gauge("aether_active_connections", "Live sessions.", session_labels, registry=registry)
        self._attempts = Counter(
            "aether_connection_attempts",
            "Streams that asked for a session, by outcome.",
            [*session_labels, "status"],
            registry=registry,
        )
        self._durations = Histogram(
            "aether_connection_duration_seconds",
            "Life of sessions that ended.",
            session_labels,
            buckets=_doubling(1, 15),
            registry=registry,
        )
        self._routed = Counter(
            "aether_messages_routed", "Messages accepted.", ["workspace", "message_type"], registry=registry
        )
        self._bytes = Counter(
            "aether_metering_bytes_routed", "Payload bytes of accepted messages.", ["workspace"], registry=registry
        )
        self._errors = Counter(
            "aether_message_errors", "Messages and reports refused.", ["workspace", "error_type"], registry=registry
        )
        self._kv = Counter(
            "aether_kv_operations", "Key/value operations.", ["operation", "scope", "status"], registry=registry
        )
        self._kv_latency = Histogram(
            "aether_kv_operation_latency_seconds",
            "Key/value operations, from the request to its answer, the commit included.",
            ["operation", "scope"],
            buckets=_doubling(0.0001, 14),
            registry=registry,
        )
        self._checkpoints = Counter(
            "aether_metering_checkpoint_operations",
            "Checkpoint operations that succeeded.",
            ["workspace", "operation"],
            registry=registry,
        )
        build = Gauge("aether_build_info", "Always 1; the labels tell what runs.", ["version"], registry=registry)
        build.labels(__version__).set(1)
        self._workspaces: set[str] = set()

    def _workspace(self, name: str) -> str:
        if name in self._workspaces:
            return name
        if len(self._workspaces) >= WORKSPACES_MAX:
            return "other"
        self._workspaces.add(name)
        return name

    def connected(self, workspace: str, principal_type: str) -> None:
        """A session began."""
        workspace = self._workspace(workspace)
        self._attempts.labels(workspace, principal_type, "success").inc()
        self._active.labels(workspace, principal_type).inc()

    def disconnected(self, workspace: str, principal_type: str, duration_s: float) -> None:
        """A session ended; ``workspace`` is the one it was reported with at :meth:`connected`."""
        workspace = self._workspace(workspace)
        self._active.labels(workspace, principal_type).dec()
        self._durations.labels(workspace, principal_type).observe(duration_s)

    def rejected(self, workspace: str, principal_type: str, status: str) -> None:
        """A connect failed: ``lock_failed``, ``quota_exceeded``, ``acl_denied`` or ``auth_failed``."""
        self._attempts.labels(self._workspace(workspace), principal_type, status).inc()

    def routed(self, workspace: str, counts: Sequence[int], payload_bytes: int) -> None:
        """Messages accepted since the last call: ``counts`` by number of the message type."""
        workspace = self._workspace(workspace)
        for name, count in zip(MESSAGE_TYPES, counts, strict=False):
            if count:
                self._routed.labels(workspace, name).inc(count)
        if payload_bytes:
            self._bytes.labels(workspace).inc(payload_bytes)

    def message_error(self, workspace: str, code: str) -> None:
        """A message or report was refused with a code of the catalogue."""
        error_type = _ERROR_TYPES.get(code) or code.removeprefix("ERR_").lower()
        self._errors.labels(self._workspace(workspace), error_type).inc()

    def kv_operation(self, operation: str, scope: str, *, ok: bool, seconds: float) -> None:
        """A key/value operation was answered; ``operation`` is the protocol's name, such as ``PUT``."""
        self._kv.labels(operation, scope, "ok" if ok else "error").inc()
        self._kv_latency.labels(operation, scope).observe(seconds)

    def checkpoint_operation(self, workspace: str, operation: str) -> None:
        """A checkpoint operation succeeded."""
        self._checkpoints.labels(self._workspace(workspace), operation).inc()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
