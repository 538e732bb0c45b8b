"""The Python path of ``SendMessage`` (routing 3): every rule, in the order clients can observe.

``_fastpath`` takes the messages whose decision this module left behind as a :class:`~aether._fastpath.Route`; the rest
comes here. A refusal is raised and nothing is published; success is silent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from aether._fastpath import Port, Route
from aether.access import Access, InvalidQuestion, Rights
from aether.answers import Caller, down
from aether.audit.events import NO_AUDIT, Recorder, grant_of
from aether.errors import Code, Refusal
from aether.identity import Identity, InvalidIdentity, check_identifier
from aether.messaging.flow import Flow
from aether.messaging.limits import refuse_limited, refuse_oversize
from aether.messaging.log import Topics
from aether.messaging.metrics_rules import check_metric
from aether.messaging.permissions import (
    FAN_IN,
    check_access,
    check_foreign_fan_in,
    check_metric_credit,
    claimed_rights,
    claimed_workspace,
    implied_rights,
)
from aether.messaging.rows import DENIALS, Denial, record
from aether.proto import aether_pb2 as pb
from aether.topics import InvalidTopic, Prefix, Target, may_send, parse_target

__all__ = ["Router"]

ROUTES_MAX = 1024
"""Routes one session may keep; one more clears them all."""

_STARTABLE = frozenset({Prefix.AG, Prefix.TU})
"""Who is started when a message is there for it."""


class Receipts(Protocol):
    """Makes the receipts of messages that are sent under a condition (acl 19)."""

    def receipt(
        self, caller: Caller, rights: Rights, request: pb.ResourceAccessRequest, *, delivery_target: str = ""
    ) -> pb.AccessDecisionReceipt: ...


class Forwards(Protocol):
    """Lets the sender's authority go on with a message (acl 19)."""

    def forward(
        self, caller: Caller, grant_id: str, target: Target, topic: str, wanted: pb.AuthorityContinuationRequest
    ) -> pb.ForwardedAuthorization: ...


class Router:
    """Decides and publishes.

    :param services: the live services of an implementation, by topic; one is chosen for ``sv::{impl}``.
    :param on_absent: told of a sender and a topic of an agent or unique task that is not connected, after each message;
        and of the workspace that the sender claims, if it does and may write there.
    :param is_party: whether a sender has a part in the task of a lane, and so may write there without any rule.
    :param implied: the authority that comes with the sender's task, where that has one.
    :ivar flow: counts who sends to whom.
    :param forwards: passes authority on; None where there are no grants, and hence no authority to pass on.
    """

    def __init__(
        self,
        log: Topics,
        access: Access,
        services: Callable[[str], Sequence[str]],
        chooser: random.Random,
        receipts: Receipts,
        recorder: Recorder = NO_AUDIT,
        forwards: Forwards | None = None,
        on_absent: Callable[..., None] | None = None,
        is_party: Callable[[Caller, str], bool] = lambda *_: False,
        flow: Flow | None = None,
        implied: Callable[[Caller], pb.AuthorizationContext | None] = lambda _: None,
    ) -> None:
        self._log = log
        self._access = access
        self._services = services
        self._random = chooser
        self._receipts = receipts
        self._recorder = recorder
        self._forwards = forwards
        self._on_absent = on_absent
        self._is_party = is_party
        self._implied = implied
        self.flow = flow or Flow()

    def send(self, port: Port, caller: Caller, message: pb.SendMessage) -> None:
        """Check one message and publish it.

        :raises Refusal: with the code of the first step that declines (routing 3.2).
        :raises StoreUnavailable: access could not be decided, or the refusal not be recorded.
        """
        topic = message.target_topic
        try:
            target, topic, declared = self._address(caller.identity, message)
            rights = self._send(port, caller, message, target, topic, declared)
        except Refusal as refusal:
            if refusal.code in DENIALS:
                lineage = refusal.lineage if isinstance(refusal, Denial) else None
                record(self._recorder, caller, message, topic, "message_route_failed", lineage, refusal)
            raise
        actor, lineage = caller.identity.key, rights.lineage
        for operation in ("message_received", "message_routed"):
            if not self._recorder.repeats("message", actor, "topic", topic, operation, grant_of(lineage)):
                record(self._recorder, caller, message, topic, operation, lineage)

    def _address(self, identity: Identity, message: pb.SendMessage) -> tuple[Target, str, str]:
        """The target, its concrete topic and the workspace it was declared to be for (routing 2)."""
        try:
            target = parse_target(message.target_topic)
        except InvalidTopic as error:
            raise Refusal(Code.INVALID_TOPIC, f"invalid target topic: {error}") from None
        try:
            check_identifier("app_workspace", message.app_workspace)
        except InvalidIdentity as error:
            raise Refusal(Code.INVALID_IDENTIFIER, str(error)) from None
        return target, *self._rewrite(identity, target, message.app_workspace)

    def _send(
        self, port: Port, caller: Caller, message: pb.SendMessage, target: Target, topic: str, declared: str
    ) -> Rights:
        """Returns in whose right it was published."""
        identity = caller.identity
        if len(message.payload) > port.payload_max:
            raise refuse_oversize(len(message.payload), port.payload_max)
        if limit := port.admit():
            raise refuse_limited(port, identity, limit)
        check_foreign_fan_in(self._access, caller, target, topic, declared)
        if not may_send(identity.kind, target):
            raise Denial(f"not authorized to send to topic {topic}")
        is_metric = message.message_type == pb.METRIC or target.prefix is Prefix.METRIC
        has_negative = check_metric(message.payload) if is_metric else False
        rights = claimed_rights(self._access, caller, message, topic)
        implied = None if is_metric or rights.lineage is not None else self._implied(caller)
        is_task_lane = target.prefix is Prefix.TK
        if not (is_task_lane and rights.lineage is None and self._is_party(caller, topic)):
            acting = implied_rights(self._access, caller, implied, target)
            if acting is None:
                check_access(identity, rights, target, topic)
            rights = acting or rights
        if has_negative:
            check_metric_credit(rights, declared or identity.workspace)
        receipt = self._check_condition(caller, rights, message, topic)
        forwarded = self._forward(caller, rights, message, target, topic)

        workspace = declared or target.workspace or claimed_workspace(rights, message) or identity.workspace
        edge = self.flow.edge(workspace, identity.source, topic)
        route = Route(self._log.topic(topic), identity.source.encode(), workspace.encode(), edge)
        is_plain = receipt is None and rights.lineage is None
        is_wildcard = topic != message.target_topic and target.prefix is Prefix.SV
        may_be_kept = not (is_metric or is_wildcard or is_task_lane or message.app_workspace or implied is not None)
        if is_plain and self._recorder.coalesces and may_be_kept:
            if len(port.routes) >= ROUTES_MAX:
                port.routes.clear()
            port.routes[message.target_topic.encode()] = route
        port.routed(message.message_type, len(message.payload))
        edge.count += 1
        port.published = True
        if target.prefix in _STARTABLE:
            route.topic.on_absent = self._on_absent
        if is_plain:
            route.topic.publish(route.frame(message.payload, message.message_type))
        else:
            route.topic.publish(_attributed(identity, workspace, message, rights, receipt, forwarded))
        if route.topic.on_absent is not None and not route.topic.is_followed():
            claimed = claimed_workspace(rights, message) if rights.lineage is None else ""
            route.topic.on_absent(caller, topic, claimed)
        return rights

    def _rewrite(self, identity: Identity, target: Target, app_workspace: str) -> tuple[str, str]:
        """Concrete topic and declared workspace (routing 2.4 and 2.5).

        An event or metric that names no workspace is for the sender's. A sender without one may claim a workspace for
        it, which takes the same right as naming it in the topic (weakness 23).
        """
        if target.prefix in FAN_IN:
            declared = target.workspace or identity.workspace or app_workspace
            return f"{target.prefix.name.lower()}::receiver0", declared
        if target.prefix is Prefix.SV and target.topic.count("::") == 1:
            instances = self._services(target.topic.removeprefix("sv::"))
            if not instances:
                raise Refusal(Code.SV_UNAVAILABLE, f"no healthy {target.topic} instances available", retryable=True)
            return self._random.choice(instances), ""
        return target.topic, ""

    def _check_condition(
        self, caller: Caller, rights: Rights, message: pb.SendMessage, topic: str
    ) -> pb.AccessDecisionReceipt | None:
        """The receipt for ``checked_access``: deliver only if this access is allowed (acl 19)."""
        if not message.HasField("checked_access"):
            return None
        try:
            receipt = self._receipts.receipt(caller, rights, message.checked_access, delivery_target=topic)
        except InvalidQuestion as error:
            raise Refusal(Code.INVALID_ARGUMENT, f"invalid checked access: {error}") from None
        if not receipt.allowed:
            raise Denial(f"not authorized to send to topic {topic}", lineage=rights.lineage)
        return receipt

    def _forward(
        self, caller: Caller, rights: Rights, message: pb.SendMessage, target: Target, topic: str
    ) -> pb.ForwardedAuthorization | None:
        """What the receiver may do on behalf of the sender's subject, where the sender asks for that."""
        if not message.HasField("authority_continuation"):
            return None
        if self._forwards is None or rights.lineage is None:
            raise Refusal(Code.INVALID_ARGUMENT, "authority continuation requires on-behalf-of authorization")
        return self._forwards.forward(caller, rights.lineage.grant_id, target, topic, message.authority_continuation)


def _attributed(
    identity: Identity,
    workspace: str,
    message: pb.SendMessage,
    rights: Rights,
    receipt: pb.AccessDecisionReceipt | None,
    forwarded: pb.ForwardedAuthorization | None,
) -> bytes:
    """The frame of a message whose receivers learn on whose authority, or by which decision, it was sent."""
    incoming = pb.IncomingMessage(
        source_topic=identity.source,
        payload=message.payload,
        message_type=message.message_type,
        workspace=workspace,
        access_receipt=receipt,
        forwarded_authorization=forwarded,
    )
    if rights.lineage is not None:
        incoming.on_behalf_subject.principal_type = rights.lineage.subject_type
        incoming.on_behalf_subject.principal_id = rights.lineage.subject_id
    return down(pb.DownstreamMessage(msg=incoming))
