"""The Python path of ``SendMessage`` (routing 3): every rule, in the order clients can observe.

``_fastpath`` takes the messages whose decision this module left behind as a :class:`~aether._fastpath.Route`; the rest
comes here. A refusal is raised and nothing is published; success is silent.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from aether._fastpath import Port, Route, Topic
from aether.access import Access, InvalidAuthority, InvalidQuestion, Level, Rights
from aether.answers import Caller, down
from aether.audit.events import NO_AUDIT, Event, Lineage, Recorder, actor_of, grant_of
from aether.errors import Code, Refusal
from aether.identity import Identity, InvalidIdentity, PrincipalType, check_identifier
from aether.messaging.flow import Flow
from aether.messaging.metrics_rules import check_metric
from aether.messaging.progress import build_update, check_report, progress_topic
from aether.proto import aether_pb2 as pb
from aether.topics import InvalidTopic, Prefix, Target, may_send, parse_target

__all__ = ["MessageLog", "Router", "refuse_limited"]

ROUTES_MAX = 1024
"""Routes one session may keep; one more clears them all."""

_STARTABLE = frozenset({Prefix.AG, Prefix.TU})
"""Who is started when a message is there for it."""

_NO_BROADCAST = "cross_workspace_broadcast_denied"

_FAN_IN = frozenset({Prefix.EVENT, Prefix.METRIC})

_USER = frozenset({Prefix.US, Prefix.UW, Prefix.UU})

_TASK_WORKERS = frozenset({PrincipalType.AGENT, PrincipalType.TASK})
"""Who acts for the subject of its task without saying so."""

_DENIALS = {
    Code.PERMISSION_DENIED: "acl_check_failed",
    Code.SV_UNAVAILABLE: "sv_wildcard_unavailable",
    Code.METRIC_INVALID: "metric_validation",
    Code.METRIC_EMPTY: "metric_validation",
    Code.METRIC_INVALID_ENTRY: "metric_validation",
    Code.METRIC_NEGATIVE_FORBIDDEN: "metric_validation",
}
"""Refusals that are recorded, with the reason their rows name unless a step names its own (acl 15.1)."""

_LIMITS = {
    1: (Code.RATE_LIMITED, "message rate limit exceeded"),
    2: (Code.WORKSPACE_RATE_LIMITED, "workspace {workspace} message rate limit exceeded"),
    3: (
        Code.QUOTA,
        "quota exceeded for message_rate in workspace '{workspace}' (identity: {identity}): limit {limit:g}",
    ),
}


class Denial(Refusal):
    """A refusal for lack of rights, with what only the audit log may know of it.

    :ivar reason: ``denied_reason`` of its row.
    :ivar details: more metadata of the row.
    :ivar lineage: the authority that did not suffice.
    """

    def __init__(
        self, message: str, reason: str = "acl_check_failed", *, lineage: Lineage | None = None, **details: str
    ) -> None:
        super().__init__(Code.PERMISSION_DENIED, message)
        self.reason = reason
        self.details = details
        self.lineage = lineage

    @property
    def counted_as(self) -> str:
        """See :attr:`Refusal.counted_as`."""
        return self.reason if self.reason == _NO_BROADCAST else self.code


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
    :param on_absent: told of a sender and a topic of an agent or unique task that is not connected, after each message.
    :param is_party: whether a sender has a part in the task of a lane, and so may write there without any rule.
    :param implied: the authority that comes with the sender's task, where that has one.
    :param task_workspace: the workspace of a task that a reporter has a part in; empty for any other.
    :ivar flow: counts who sends to whom.
    :param forwards: passes authority on; None where there are no grants, and hence no authority to pass on.
    """

    def __init__(
        self,
        log: MessageLog,
        access: Access,
        services: Callable[[str], Sequence[str]],
        chooser: random.Random,
        receipts: Receipts,
        recorder: Recorder = NO_AUDIT,
        forwards: Forwards | None = None,
        on_absent: Callable[[Caller, str], None] | None = None,
        is_party: Callable[[Caller, str], bool] = lambda *_: False,
        flow: Flow | None = None,
        implied: Callable[[Caller], pb.AuthorizationContext | None] = lambda _: None,
        task_workspace: Callable[[Caller, str], str] = lambda *_: "",
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
        self._task_workspace = task_workspace
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
            if refusal.code in _DENIALS:
                lineage = refusal.lineage if isinstance(refusal, Denial) else None
                self._record(caller, message, topic, "message_route_failed", lineage, refusal)
            raise
        actor, lineage = caller.identity.key, rights.lineage
        for operation in ("message_received", "message_routed"):
            if not self._recorder.repeats("message", actor, "topic", topic, operation, grant_of(lineage)):
                self._record(caller, message, topic, operation, lineage)

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
            raise Refusal(
                Code.PAYLOAD_TOO_LARGE,
                f"message payload size {len(message.payload)} exceeds maximum of {port.payload_max} bytes",
            )
        if limit := port.admit():
            raise refuse_limited(port, identity, limit)
        self._check_foreign_fan_in(caller, target, topic, declared)
        if not may_send(identity.kind, target):
            raise Denial(f"not authorized to send to topic {topic}")
        is_metric = message.message_type == pb.METRIC or target.prefix is Prefix.METRIC
        has_negative = check_metric(message.payload) if is_metric else False
        rights = self._rights(caller, message, topic)
        implied = None if is_metric or rights.lineage is not None else self._implied(caller)
        is_task_lane = target.prefix is Prefix.TK
        if not (is_task_lane and rights.lineage is None and self._is_party(caller, topic)):
            acting = self._implied_rights(caller, implied, target)
            if acting is None:
                self._check_access(identity, rights, target, topic)
            rights = acting or rights
        if has_negative:
            self._check_metric_credit(rights, declared or identity.workspace)
        receipt = self._check_condition(caller, rights, message, topic)
        forwarded = self._forward(caller, rights, message, target, topic)

        workspace = declared or target.workspace or self._app_workspace(rights, message) or identity.workspace
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
            route.topic.on_absent(caller, topic)
        return rights

    def _record(
        self,
        caller: Caller,
        message: pb.SendMessage,
        topic: str,
        operation: str,
        lineage: Lineage | None,
        refusal: Refusal | None = None,
    ) -> None:
        """The audit row of a message (routing 3.2)."""
        identity = caller.identity
        kind = message.message_type
        metadata = {
            "from": identity.source,
            "to": topic,
            "message_type": pb.MessageType.Name(kind) if kind in pb.MessageType.values() else str(kind),
        }
        if refusal is not None:
            metadata["error_code"] = refusal.code
            metadata["denied_reason"] = _DENIALS[refusal.code]
            if isinstance(refusal, Denial):
                metadata |= {"denied_reason": refusal.reason, **refusal.details}
        event = Event(
            kind="message",
            operation=operation,
            success=refusal is None,
            **actor_of(identity),
            resource_type="topic",
            resource_id=topic,
            workspace=identity.workspace,
            session_id=caller.session_id,
            error="" if refusal is None else refusal.message,
            metadata=metadata,
            lineage=lineage,
        )
        if refusal is None:
            self._recorder.routine(event)
        else:
            self._recorder.record(event)

    def _rewrite(self, identity: Identity, target: Target, app_workspace: str) -> tuple[str, str]:
        """Concrete topic and declared workspace (routing 2.4 and 2.5).

        An event or metric that names no workspace is for the sender's. A sender without one may claim a workspace for
        it, which takes the same right as naming it in the topic (weakness 23).
        """
        if target.prefix in _FAN_IN:
            declared = target.workspace or identity.workspace or app_workspace
            return f"{target.prefix.name.lower()}::receiver0", declared
        if target.prefix is Prefix.SV and target.topic.count("::") == 1:
            instances = self._services(target.topic.removeprefix("sv::"))
            if not instances:
                raise Refusal(Code.SV_UNAVAILABLE, f"no healthy {target.topic} instances available", retryable=True)
            return self._random.choice(instances), ""
        return target.topic, ""

    def _check_foreign_fan_in(self, caller: Caller, target: Target, topic: str, declared: str) -> None:
        """An event or metric for another workspace needs the broadcast capability (routing 3.5 A)."""
        if not declared or declared == caller.identity.workspace:
            return
        operation = "event_broadcast" if target.prefix is Prefix.EVENT else "metric_broadcast"
        decision = self._access.rights(caller).check(
            "capability", f"capability/{operation}", Level.READWRITE, operation, declared
        )
        if not decision.allowed:
            raise Denial(
                f"cross-workspace broadcast to {topic} denied: cross-workspace broadcast requires "
                f'capability/{operation} on workspace "{declared}"',
                _NO_BROADCAST,
                declared_workspace=declared,
            )

    def _rights(self, caller: Caller, message: pb.SendMessage, topic: str) -> Rights:
        """The sender's own rights, or those of a subject under a grant (routing 3.6)."""
        context = message.authorization if message.HasField("authorization") else None
        try:
            return self._access.rights(caller, context)
        except InvalidAuthority as error:
            raise Denial(
                f"not authorized to send to topic {topic}", "invalid_authorization_context", cause=str(error)
            ) from None

    def _implied_rights(self, caller: Caller, context: pb.AuthorizationContext | None, target: Target) -> Rights | None:
        """Those of whom the sender's task is for (routing 3.6), as far as they reach; None: the sender has its own.

        Nobody asked for them, so whatever is wrong with them is no reason to refuse.
        """
        if context is None or caller.identity.kind not in _TASK_WORKERS:
            return None
        try:
            rights = self._access.rights(caller, context)
        except InvalidAuthority:
            return None
        return rights if self._is_allowed(caller.identity, rights, target, tentative=True) else None

    def _check_access(self, identity: Identity, rights: Rights, target: Target, topic: str) -> None:
        if not self._is_allowed(identity, rights, target):
            raise Denial(f"not authorized to send to topic {topic}", lineage=rights.lineage)

    def _is_allowed(self, identity: Identity, rights: Rights, target: Target, *, tentative: bool = False) -> bool:
        """READWRITE on the workspace concerned: the target's where it differs, else the sender's (routing 3.5 C-F).

        An event or metric for another workspace has passed the gate of its own, and concerns the sender's.

        Under a grant the sender's own right will do too, but not beyond what the grant is for: receivers are told
        whose authority it was.
        """
        is_granted = rights.lineage is not None
        if target.prefix is Prefix.METRIC and identity.kind is PrincipalType.AGENT and not is_granted:
            return True
        is_own = target.prefix in _FAN_IN and not is_granted
        workspace = identity.workspace if is_own else target.workspace or identity.workspace
        if target.prefix in _USER:
            rule = _rule_for_user(rights, target.topic.split("::")[1], "send_message", workspace, tentative=tentative)
            if rule is False or (rule and not target.workspace and not is_granted):
                return rule
        if not workspace and not is_granted:
            return True
        question = ("workspace", workspace, Level.READWRITE, "send_message", workspace)
        may_itself = is_granted and identity.workspace and rights.permits(*question)
        if may_itself and rights.check(*question, direct=True, tentative=True).allowed:
            return True
        return rights.check(*question, tentative=tentative).allowed

    def _app_workspace(self, rights: Rights, message: pb.SendMessage) -> str:
        """The workspace that a sender claims for its message, if it may write there: receivers go by it."""
        claimed = message.app_workspace
        question = ("workspace", claimed, Level.READWRITE, "send_message", claimed)
        return claimed if claimed and rights.check(*question, tentative=True).allowed else ""

    def _check_metric_credit(self, rights: Rights, workspace: str) -> None:
        """:param workspace: that the metric is for; the capability may be held for one only."""
        decision = rights.check(
            "capability", "capability/metric_credit", Level.ADMIN, "metric_write_negative", workspace
        )
        if not decision.allowed:
            raise Refusal(Code.METRIC_NEGATIVE_FORBIDDEN, "negative metric deltas require additional authorization")

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

    def report(self, port: Port, caller: Caller, report: pb.ProgressReport, now_ms: int) -> None:
        """Publish a progress report to those it is for (routing 7.1).

        :raises Refusal: wrong principal type, too large, rate limited, a recipient that nobody can be, or a workspace
            the reporter may not write to.
        """
        identity = caller.identity
        check_report(identity, report)
        if port.bucket is not None and not port.bucket.take(port.clock()):
            raise Refusal(
                Code.RATE_LIMITED,
                "progress report rate limit exceeded",
                retryable=True,
                retry_after_ms=port.bucket.wait_ms(),
            )
        workspace = identity.workspace or (self._task_workspace(caller, report.task_id) if report.task_id else "")
        topic = progress_topic(workspace, report.recipient)
        rights, user = self._access.rights(caller), topic.removeprefix("pg::us::")
        question = ("workspace", workspace, Level.READWRITE, "progress_report", workspace)
        if (identity.workspace and not rights.check(*question).allowed) or (
            user != topic and _rule_for_user(rights, user, "progress_report", workspace) is False
        ):
            raise Refusal(Code.PERMISSION_DENIED, "not authorized to report progress")
        update = build_update(identity, report, workspace=workspace, now_ms=now_ms)
        port.published = True
        self._log.topic(topic).publish(down(pb.DownstreamMessage(progress_update=update)))
        if not self._recorder.repeats("message", identity.key, "topic", topic, "progress_reported"):
            self._recorder.routine(
                Event(
                    kind="message",
                    operation="progress_reported",
                    **actor_of(identity),
                    resource_type="topic",
                    resource_id=topic,
                    workspace=workspace,
                    session_id=caller.session_id,
                )
            )


def _rule_for_user(
    rights: Rights, user: str, operation: str, workspace: str, *, tentative: bool = False
) -> bool | None:
    """What a rule says about the sender itself and the user that it writes to (weakness 28); None where there is none.

    :param tentative: see :meth:`aether.access.Access.check`.
    """
    question = ("user", user, Level.READWRITE, operation, workspace)
    decision = rights.check(*question, direct=True, tentative=True)
    if not decision.by_rule:
        return None
    return decision.allowed or rights.check(*question, direct=True, tentative=tentative).allowed


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
