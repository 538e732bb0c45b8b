"""The Python path of ``SendMessage`` (routing 3): every rule, in the order clients can observe.

``_fastpath`` takes the messages whose decision this module left behind as a :class:`~aether._fastpath.Route`; the rest
comes here. A refusal is raised and nothing is published; success is silent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from aether._fastpath import Port, Route, Topic
from aether.access import Access, Level, is_direct
from aether.answers import down
from aether.errors import Code, Refusal
from aether.identity import Identity, PrincipalType
from aether.messaging.metrics_rules import check_metric
from aether.messaging.progress import build_update, check_report, progress_topic
from aether.proto import aether_pb2 as pb
from aether.topics import InvalidTopic, Prefix, Target, may_send, parse_target

__all__ = ["MessageLog", "Router", "refuse_limited"]

ROUTES_MAX = 1024
"""Routes one session may keep; one more clears them all."""

_LIMITS = {
    1: (Code.RATE_LIMITED, "message rate limit exceeded"),
    2: (Code.WORKSPACE_RATE_LIMITED, "workspace {workspace} message rate limit exceeded"),
    3: (
        Code.QUOTA,
        "quota exceeded for message_rate in workspace '{workspace}' (identity: {identity}): limit {limit:g}",
    ),
}


class MessageLog(Protocol):
    """The part of the log the router needs."""

    def topic(self, name: str) -> Topic: ...


def refuse_limited(port: Port, identity: Identity, limit: int) -> Refusal:
    """The refusal for the limit that :meth:`Port.admit` reported (routing 9)."""
    code, text = _LIMITS[limit]
    retry_after_ms = {1: port.bucket.wait_ms() if port.bucket else 0, 2: 100, 3: 1000}[limit]
    message = text.format(
        workspace=identity.workspace, identity=identity.key, limit=port.quota.limit if port.quota else 0
    )
    return Refusal(code, message, retryable=True, retry_after_ms=retry_after_ms)


class Router:
    """Decides and publishes.

    :param services: the live services of an implementation, by topic; one is chosen for ``sv::{impl}``.
    """

    def __init__(
        self,
        log: MessageLog,
        access: Access,
        services: Callable[[str], Sequence[str]],
        chooser: random.Random,
    ) -> None:
        self._log = log
        self._access = access
        self._services = services
        self._random = chooser

    def send(self, port: Port, identity: Identity, message: pb.SendMessage) -> None:
        """Check one message and publish it.

        :raises Refusal: with the code of the first step that declines (routing 3.2).
        """
        try:
            target = parse_target(message.target_topic)
        except InvalidTopic as error:
            raise Refusal(Code.INVALID_TOPIC, f"invalid target topic: {error}") from None
        topic, declared = self._rewrite(identity, target)
        is_wildcard = topic != message.target_topic and target.prefix is Prefix.SV
        if len(message.payload) > port.payload_max:
            raise Refusal(
                Code.PAYLOAD_TOO_LARGE,
                f"message payload size {len(message.payload)} exceeds maximum of {port.payload_max} bytes",
            )
        if limit := port.admit():
            raise refuse_limited(port, identity, limit)
        self._check_foreign_fan_in(identity, target, topic, declared)
        if not may_send(identity.kind, target):
            raise Refusal(Code.PERMISSION_DENIED, f"not authorized to send to topic {topic}")
        is_metric = message.message_type == pb.METRIC or target.prefix is Prefix.METRIC
        has_negative = check_metric(message.payload) if is_metric else False
        self._check_authority(message, topic)
        self._check_access(identity, target, topic)
        if has_negative:
            self._check_metric_credit(identity)
        if message.HasField("checked_access") or message.HasField("authority_continuation"):
            raise Refusal(Code.NOT_IMPLEMENTED, "checked access and authority continuation are not available here")

        workspace = declared or target.workspace or message.app_workspace or identity.workspace
        route = Route(self._log.topic(topic), identity.source.encode(), workspace.encode())
        if not (is_metric or is_wildcard or message.app_workspace):
            if len(port.routes) >= ROUTES_MAX:
                port.routes.clear()
            port.routes[message.target_topic.encode()] = route
        port.routed(message.message_type, len(message.payload))
        port.published = True
        route.topic.publish(route.frame(message.payload, message.message_type))

    def _rewrite(self, identity: Identity, target: Target) -> tuple[str, str]:
        """Concrete topic and declared workspace (routing 2.4 and 2.5)."""
        if target.declared:
            declared = identity.workspace if target.declared == "*" else target.declared
            return f"{target.prefix.name.lower()}::receiver0", declared
        if target.prefix is Prefix.SV and target.topic.count("::") == 1:
            instances = self._services(target.topic.removeprefix("sv::"))
            if not instances:
                raise Refusal(Code.SV_UNAVAILABLE, f"no healthy {target.topic} instances available", retryable=True)
            return self._random.choice(instances), ""
        return target.topic, ""

    def _check_foreign_fan_in(self, identity: Identity, target: Target, topic: str, declared: str) -> None:
        """An event or metric for another workspace needs the broadcast capability (routing 3.5 A)."""
        if not declared or declared == identity.workspace:
            return
        operation = "event_broadcast" if target.prefix is Prefix.EVENT else "metric_broadcast"
        decision = self._access.check(
            identity, "capability", f"capability/{operation}", Level.READWRITE, operation, declared
        )
        if not decision.allowed:
            raise Refusal(Code.PERMISSION_DENIED, f"cross-workspace broadcast to {topic} denied: {decision.reason}")

    def _check_authority(self, message: pb.SendMessage, topic: str) -> None:
        """Explicit on-behalf-of needs grants, which need an access engine; direct mode must be empty (routing 3.6)."""
        if is_direct(message.authorization):
            return
        raise Refusal(Code.PERMISSION_DENIED, f"not authorized to send to topic {topic}")

    def _check_access(self, identity: Identity, target: Target, topic: str) -> None:
        """READWRITE on the workspace concerned: the target's where it differs, else the sender's (routing 3.5 C-E)."""
        if target.prefix is Prefix.METRIC and identity.kind is PrincipalType.AGENT:
            return
        workspace = target.workspace or identity.workspace
        if not workspace:
            return
        decision = self._access.check(identity, "workspace", workspace, Level.READWRITE, "send_message", workspace)
        if not decision.allowed:
            raise Refusal(Code.PERMISSION_DENIED, f"not authorized to send to topic {topic}")

    def _check_metric_credit(self, identity: Identity) -> None:
        decision = self._access.check(
            identity,
            "capability",
            "capability/metric_credit",
            Level.ADMIN,
            "metric_write_negative",
            identity.workspace,
        )
        if not decision.allowed:
            raise Refusal(Code.METRIC_NEGATIVE_FORBIDDEN, "negative metric deltas require additional authorization")

    def report(self, port: Port, identity: Identity, report: pb.ProgressReport, now_ms: int) -> None:
        """Publish a progress report to those it is for (routing 7.1).

        :raises Refusal: wrong principal type, too large, rate limited, or a recipient that nobody can be.
        """
        check_report(identity, report)
        if port.bucket is not None and not port.bucket.take(port.clock()):
            raise Refusal(
                Code.RATE_LIMITED,
                "progress report rate limit exceeded",
                retryable=True,
                retry_after_ms=port.bucket.wait_ms(),
            )
        topic = progress_topic(identity.workspace, report.recipient)
        update = build_update(identity, report, workspace=identity.workspace, now_ms=now_ms)
        port.published = True
        self._log.topic(topic).publish(down(pb.DownstreamMessage(progress_update=update)))
