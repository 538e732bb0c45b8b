"""What a gateway counts, under the names that dashboards of Aether gateways know (operations 11).

One :class:`Metrics` per gateway with a registry of its own, so that several gateways fit in one process. The message
path never calls in here: sessions count in compiled code, and :meth:`aether.gateway.observe.Observer.collect` moves
the counts before each scrape.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from operator import add

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from aether._fastpath import Durations, Tally
from aether._version import __version__
from aether.errors import Code

__all__ = ["KVOperations", "Metrics", "TaskOperations"]

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


class KVOperations(Collector):
    """Counts and latencies of key/value operations: a dictionary and a few integers, where the library's labels and
    locks cost a quarter of the operation."""

    def __init__(self, label_of: Callable[[str], str]) -> None:
        self._label_of = label_of
        self._durations: dict[tuple[str, str, bool], Durations] = {}
        """Per operation, scope and success."""
        self._metered: dict[tuple[str, str], Tally] = {}
        """Successes, per workspace and operation."""
        self.stored: Callable[[], Iterable[tuple[str, int, int]]] = tuple
        """Workspaces, with the keys and bytes that they store."""

    def observe(self, operation: str, scope: str, workspace: str, ok: bool, seconds: float) -> None:
        """An operation was answered; ``operation`` is the protocol's name, such as ``PUT``."""
        self._durations_of(operation, scope, ok).observe(seconds)
        if ok:
            self._tally_of(workspace, operation).count += 1

    def successes(self, operation: str, scope: str, workspace: str) -> tuple[Durations, Tally]:
        """Where to count operations that succeed."""
        return self._durations_of(operation, scope, True), self._tally_of(workspace, operation)

    def _durations_of(self, operation: str, scope: str, ok: bool) -> Durations:
        durations = self._durations.get((operation, scope, ok))
        if durations is None:
            durations = self._durations[operation, scope, ok] = Durations()
        return durations

    def _tally_of(self, workspace: str, operation: str) -> Tally:
        tally = self._metered.get((workspace, operation))
        if tally is None:
            tally = self._metered.setdefault((self._label_of(workspace), operation), Tally())
        return tally

    def collect(self) -> Iterator[Metric]:
        operations = CounterMetricFamily(
            "aether_kv_operations", "Key/value operations.", labels=["operation", "scope", "status"]
        )
        latency = HistogramMetricFamily(
            "aether_kv_operation_latency_seconds",
            "Key/value operations, from the request to its evaluation.",
            labels=["operation", "scope"],
        )
        merged: dict[tuple[str, str], tuple[list[int], float]] = {}
        for (operation, scope, ok), durations in self._durations.items():
            counts, seconds = durations.counts, durations.seconds
            operations.add_metric([operation, scope, "ok" if ok else "error"], sum(counts))
            before, seconds_before = merged.get((operation, scope), ([0] * len(counts), 0.0))
            merged[operation, scope] = [*map(add, before, counts)], seconds_before + seconds
        bounds = [*map(floatToGoString, Durations.bounds), "+Inf"]
        for labels, (counts, seconds) in merged.items():
            latency.add_metric(list(labels), list(zip(bounds, accumulate(counts), strict=True)), seconds)
        metered = CounterMetricFamily(
            "aether_metering_kv_operations",
            "Key/value operations that succeeded.",
            labels=["workspace", "operation"],
        )
        for (workspace, operation), tally in self._metered.items():
            metered.add_metric([workspace, operation], tally.count)
        yield operations
        yield latency
        yield metered
        yield from self._collect_stored()

    def _collect_stored(self) -> Iterator[Metric]:
        totals: Counts[tuple[str, str]] = Counts()
        for workspace, keys, size in self.stored():
            label = self._label_of(workspace)
            totals["keys", label] += keys
            totals["bytes", label] += size
        for unit in ("keys", "bytes"):
            text = f"What is stored under keys, and as checkpoints, in {unit}."
            family = GaugeMetricFamily(f"aether_kv_stored_{unit}", text, labels=["workspace"])
            for (counted, label), number in totals.items():
                if counted == unit:
                    family.add_metric([label], number)
            yield family


class TaskOperations(Collector):
    """Operations on tasks, and what becomes of those that are handed out; counted as those on values are.

    :ivar waiting: how many tasks nobody has in hand yet; asked at each scrape.
    """

    def __init__(self, label_of: Callable[[str], str]) -> None:
        self._label_of = label_of
        self._operations: Counts[tuple[str, str]] = Counts()
        self._moves: Counts[str] = Counts()
        self._latency = Durations()
        self.waiting: Callable[[], int] = lambda: 0

    def operated(self, workspace: str, operation: str) -> None:
        """An operation succeeded: ``create``, or the protocol's name, such as ``CLAIM``; the workspace is the
        caller's."""
        self._operations[self._label_of(workspace), operation] += 1

    def handed_out(self, waited_s: float | None) -> None:
        """A worker was given a task; ``waited_s`` since it was created, None where it had been in hand before."""
        self._moves["claimed"] += 1
        if waited_s is not None:
            self._latency.observe(waited_s)

    def ended(self, how: str) -> None:
        """A task was ``completed``, or ``failed`` (once for each attempt)."""
        self._moves[how] += 1

    def collect(self) -> Iterator[Metric]:
        metered = CounterMetricFamily(
            "aether_metering_task_operations", "Operations on tasks that succeeded.", labels=["workspace", "operation"]
        )
        for labels, count in self._operations.items():
            metered.add_metric(list(labels), count)
        yield metered
        bounds = [*map(floatToGoString, Durations.bounds), "+Inf"]
        buckets = list(zip(bounds, accumulate(self._latency.counts), strict=True))
        for prefix in ("aether_", ""):  # the reference has no prefix here, and dashboards know these names
            yield GaugeMetricFamily(
                f"{prefix}dispatcher_queue_depth", "Tasks that wait for a worker.", value=self.waiting()
            )
            for move, text in _MOVES.items():
                yield CounterMetricFamily(f"{prefix}dispatcher_tasks_{move}", text, value=self._moves[move])
            yield HistogramMetricFamily(
                f"{prefix}dispatcher_claim_latency_seconds",
                "From the creation of a task until a worker was given it.",
                buckets=buckets,
                sum_value=self._latency.seconds,
            )


_MOVES = {
    "claimed": "Tasks that workers were given.",
    "completed": "Tasks that were completed.",
    "failed": "Attempts that failed.",
}


class Metrics:
    """The counters of one gateway and their exposition."""

    def __init__(self) -> None:
        self._workspaces: set[str] = set()
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
        self._auth_failures = Counter(
            "aether_auth_failures",
            "Attempts to connect whose credentials admitted nobody, by reason.",
            ["reason"],
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
        self._metered = Counter(
            "aether_metering_messages_routed", "Messages accepted.", ["workspace", "message_type"], registry=registry
        )
        self._delivered = Counter(
            "aether_messages_delivered",
            "Messages and progress handed to receivers, by the workspace of the receiver.",
            ["workspace"],
            registry=registry,
        )
        self._replayed = Counter(
            "aether_messages_replayed",
            "Those of the delivered that came out of the log: for who was away or reads slowly.",
            ["workspace"],
            registry=registry,
        )
        self._shed = Counter(
            "aether_deliveries_shed",
            "What was left out because its receiver did not read, by kind of lane.",
            ["lane"],
            registry=registry,
        )
        self._topics_followed = Gauge(
            "aether_topic_subscriptions_active", "Topics that sessions follow.", registry=registry
        )
        self._topics_behind = Gauge(
            "aether_topic_subscriptions_behind", "Those whose reader is behind the newest message.", registry=registry
        )
        self._bytes = Counter(
            "aether_metering_bytes_routed", "Payload bytes of accepted messages.", ["workspace"], registry=registry
        )
        self._errors = Counter(
            "aether_message_errors", "Messages and reports refused.", ["workspace", "error_type"], registry=registry
        )
        self.kv = KVOperations(self._workspace)
        registry.register(self.kv)
        self.tasks = TaskOperations(self._workspace)
        registry.register(self.tasks)
        self._checkpoints = Counter(
            "aether_metering_checkpoint_operations",
            "Checkpoint operations that succeeded.",
            ["workspace", "operation"],
            registry=registry,
        )
        self._audit_left_out = Counter(
            "aether_audit_rows_left_out", "Rows of ordinary success that found no room.", registry=registry
        )
        self._triggers = Counter(
            "aether_orchestration_triggers",
            "Agents whose start a message asked for.",
            ["workspace"],
            registry=registry,
        )
        self._not_started = Counter(
            "aether_orchestration_not_started",
            "Messages for absent agents that started none, or none yet, by reason.",
            ["reason"],
            registry=registry,
        )
        self._neglected = Counter(
            "aether_tasks_neglected",
            "Tasks that stay as they are and that somebody should look at: task_stalled, task_overdue.",
            ["reason"],
            registry=registry,
        )
        build = Gauge("aether_build_info", "Always 1; the labels tell what runs.", ["version"], registry=registry)
        build.labels(__version__).set(1)

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

    def startup_triggered(self, outcome: str, workspace: str) -> None:
        """A message found its agent absent: ``started``, or why not."""
        if outcome in ("started", "no_orchestrator"):
            self._triggers.labels(self._workspace(workspace)).inc()
        if outcome != "started":
            self._not_started.labels(outcome).inc()

    def task_neglected(self, reason: str) -> None:
        """A task that its worker does not begin, or a hibernated one whose time is over."""
        self._neglected.labels(reason).inc()

    def auth_failed(self, reason: str) -> None:
        """Credentials that admitted nobody; ``reason`` as in the audit log."""
        self._auth_failures.labels(reason).inc()

    def audit_left_out(self, count: int) -> None:
        """Rows that the audit log had to leave out; a row there says so too."""
        self._audit_left_out.inc(count)

    def routed(self, workspace: str, counts: Sequence[int], payload_bytes: int) -> None:
        """Messages accepted since the last call: ``counts`` by number of the message type."""
        workspace = self._workspace(workspace)
        for name, count in zip(MESSAGE_TYPES, counts, strict=False):
            if count:
                self._routed.labels(workspace, name).inc(count)
                self._metered.labels(workspace, name).inc(count)
        if payload_bytes:
            self._bytes.labels(workspace).inc(payload_bytes)

    def delivered(self, workspace: str, count: int, replayed: int) -> None:
        """Messages handed to receivers since the last call, ``replayed`` of them out of the log."""
        workspace = self._workspace(workspace)
        if count:
            self._delivered.labels(workspace).inc(count)
        if replayed:
            self._replayed.labels(workspace).inc(replayed)

    def shed(self, lane: str) -> None:
        """Something was left out because its receiver does not read."""
        self._shed.labels(lane).inc()

    def followed(self, topics: int, behind: int) -> None:
        """How many topics all sessions follow, and on how many of them they are behind."""
        self._topics_followed.set(topics)
        self._topics_behind.set(behind)

    def message_error(self, workspace: str, code: str) -> None:
        """A message or report was refused: with a code of the catalogue, or for a reason that is told apart from it."""
        error_type = _ERROR_TYPES.get(code) or code.removeprefix("ERR_").lower()
        self._errors.labels(self._workspace(workspace), error_type).inc()

    def checkpoint_operation(self, workspace: str, operation: str) -> None:
        """A checkpoint operation succeeded."""
        self._checkpoints.labels(self._workspace(workspace), operation).inc()

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
