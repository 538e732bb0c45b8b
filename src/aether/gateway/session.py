"""A connected principal, from its ack to the last thing it gives back (connection 2, 6 and 7).

What a session acquires sits on one stack, in this order: lock, directory entry, subscriptions. Leaving it unwinds the
stack, shielded and with a deadline, so a session can always be followed by another of the same identity. Whatever
ends a session -- the client, a successor, an operator, a lost lock, a drain -- ends it through :meth:`Session.end`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
import trio
from google.protobuf.message import DecodeError

from aether._fastpath import Lane, Port, TokenBucket, Window
from aether.access import Level
from aether.answers import Answer, down, refuse
from aether.audit.events import Event, actor_of
from aether.errors import Code, Refusal, StoreUnavailable
from aether.gateway.admission import SYSTEM, over_quota, withdrawn
from aether.gateway.deliveries import Deliveries
from aether.gateway.handshake import Claim, build_ack, extension_refusal
from aether.gateway.inbound import absent, decline
from aether.gateway.outbound import ANSWER_BYTES_MAX, Answers, CatchUp
from aether.gateway.reasons import CloseReason, store_away
from aether.gateway.services import Services
from aether.gateway.snapshot import config_snapshot
from aether.gateway.subscriptions import Start, Subscription, Subscriptions, topics_of, workspace_topics
from aether.identity import InvalidIdentity, PrincipalType, check_identifier
from aether.messaging.router import refuse_limited
from aether.proto import aether_pb2 as pb
from aether.rpc.server import ServerCall
from aether.rpc.status import RpcError, StatusCode
from aether.sessions.store import Lock

__all__ = ["Session"]

log = structlog.get_logger("aether.session")

SIGNAL_FLUSH_S = 1.0
EXPIRY_CHECK_S = 60.0
"""Wall clocks are set; how long it takes to notice."""
HELD_BYTES_MAX = 1024 * 1024
OPERATION_KINDS = {
    "init": "send",
    "send": "send",
    "progress": "send",
    "switch_workspace": "send",
    "kv_op": "kv",
    "checkpoint_op": "kv",
    "create_task": "task",
    "task_op": "task",
    "task_query": "task",
    "task_subscription_op": "task",
    "proxy_http_request": "send",
    "proxy_http_body_chunk": "send",
    "proxy_http_response": "send",
    "tunnel_open": "send",
    "tunnel_data": "send",
    "tunnel_ack": "send",
    "tunnel_close": "send",
    "access_check": "",
    "batch_access_check": "",
    "connection_status_request": "",
}
"""Scope that a restricted token needs for an operation; none for questions about oneself, ``admin`` for all others."""
BUDGETED = frozenset({"create_task", "task_op", "task_query", "task_subscription_op", "agent_op", "workspace_op"})
"""Operations that a session has a budget for, beside that of its messages (tasks 1)."""


class Session:
    """A connected principal. ``identity`` changes only by SwitchWorkspace, and then as a whole.

    :ivar task_id: the task it works on, by the token it came with; empty for none (tasks 9.1).
    """

    __slots__ = (
        "__weakref__",
        "_answers",
        "_budget",
        "_call",
        "_catch_up",
        "_deliveries",
        "_ended",
        "_followed",
        "_half_closed",
        "_idle",
        "_nursery",
        "_port",
        "_reading",
        "_reason",
        "_reason_text",
        "_services",
        "_subscriptions",
        "claim",
        "connected_at_ms",
        "displaced",
        "fence",
        "identity",
        "is_acknowledged",
        "last_activity_ms",
        "lock",
        "lock_deadline",
        "lock_key",
        "peer",
        "quota_workspace",
        "session_id",
        "task_id",
        "workspace_limit",
    )

    def __init__(self, call: ServerCall, claim: Claim, lock: Lock, services: Services, *, displaced: bool) -> None:
        settings = services.settings
        self.session_id = lock.session_id
        self.identity = claim.identity
        self.task_id = claim.admission.task_id
        self.workspace_limit = claim.admission if claim.admission.is_limited else None
        self.fence = lock.fence
        self.lock_key = claim.identity.key
        self.lock_deadline = services.heartbeat.deadline()
        self.claim = claim
        self.lock = lock
        self.displaced = displaced
        self.peer = call.peer
        self.connected_at_ms = services.wall_clock()
        self.last_activity_ms = self.connected_at_ms
        self.quota_workspace = claim.identity.workspace if claim.identity.kind not in SYSTEM else ""
        self._call = call
        self._services = services
        self._port = Port(
            call,
            self,
            services.confirmations.on_dirty,
            trio.current_time,
            settings.outbound_bytes,
            settings.payload_bytes_max,
        )
        self._set_limits()
        self._answers = Answers(call, self._port, services.durability)
        self._catch_up: CatchUp | None = None
        self._subscriptions = Subscriptions(self._port, services.log, services.groups)
        self._deliveries = Deliveries(self._port, partial(services.tasks.dispatcher.confirm, self.lock_key))
        rate = settings.task_rate
        self._budget = TokenBucket(rate, 2 * rate, trio.current_time()) if rate > 0 else None
        self._followed: set[str] = set()
        self._reason: CloseReason | None = None
        self._reason_text = ""
        self._ended = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._reading = True
        self._half_closed = False
        self.is_acknowledged = False
        self._idle: trio.Event | None = None

    # ------------------------------------------------------------------------------------------------ lifetime

    async def run(self, stack: AsyncExitStack) -> None:
        """Serve until the session ends; raises the status for every end but a half-close."""
        services = self._services
        if (denied := over_quota(self.identity, services)) is not None:
            raise denied  # others came since it was asked first; from here on it counts
        services.directory.add(self)
        stack.callback(services.directory.remove, self)
        stack.callback(self._release)
        if (denied := withdrawn(self.claim, self.session_id, services)) is not None:
            raise denied
        services.observer.negotiated(self)
        ack = down(build_ack(self.claim, self.lock, version=services.settings.version))
        if self.claim.extensions.unsupported_required:
            await self._refuse_extension(ack)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self.is_acknowledged = True
            self._call.send(ack)
            startups = services.tasks.startups
            context = startups.context(self.identity.key)
            by_identity = services.settings.exclusive_to_identities
            snapshot = await config_snapshot(self.identity, services.kv_store, context, by_identity=by_identity)
            if snapshot is not None:
                self._call.send(snapshot)
            self._return_to_workspace()
            try:
                wanted = topics_of(self.identity, competing=services.settings.competing_pools)
                if self.identity.kind is PrincipalType.USER:
                    wanted += workspace_topics(self.identity.id, self.identity.workspace)
                await self._subscriptions.open(wanted, self.identity, startups.hint_ms(self.identity.key))
            except StoreUnavailable:
                raise RpcError(StatusCode.INTERNAL, "failed to setup subscriptions") from None
            services.observer.connected(self)
            stack.callback(services.observer.disconnected, self)
            stack.callback(services.note_end, self)
            stack.callback(self._leave_tasks)
            if self.claim.admission.expires_ms:
                nursery.start_soon(self._expire)
            try:
                services.tasks.connected(self)
            except StoreUnavailable:
                raise store_away() from None
            self._start_reading()
            await self._ended.wait()
            nursery.cancel_scope.cancel()
        assert self._reason is not None
        if self._reason is CloseReason.CLIENT_CLOSE:
            return
        raise await self._say_goodbye(self._reason)

    def end(self, reason: CloseReason, text: str = "") -> None:
        """End the session; the first reason wins. Delivery stops at once, before a successor can subscribe."""
        if self._reason is not None:
            return
        self._reason = reason
        self._reason_text = text
        self._port.busy = True
        self._port.routes.clear()
        if reason is CloseReason.CLIENT_CLOSE:
            self._services.confirmations.settle(self._port)
        self._release()
        self._services.directory.remove(self)
        self._ended.set()

    def end_answered(self, reason: CloseReason) -> None:
        """As :meth:`end`, but what is being asked is answered before; nothing else is begun."""
        self._port.busy = True
        self._port.routes.clear()
        self.start_soon(self._end_answered, reason)

    async def _end_answered(self, reason: CloseReason) -> None:
        answered = trio.Event()
        if self._answers.put(Answer((), on_sent=answered.set)):
            self._services.waiting_answers.add(self)
            self._services.commit_wanted = True
        with trio.move_on_after(SIGNAL_FLUSH_S):
            await answered.wait()
        self.end(reason)

    def _leave_tasks(self) -> None:
        """Tasks may go on without the session, for a while."""
        self._services.tasks.disconnected(self, is_clean=self._reason is CloseReason.CLIENT_CLOSE)
        self._services.flush_all()

    @property
    def resumes(self) -> bool:
        """Whether the client says that it was connected before."""
        return bool(self.claim.resume_session_id)

    @property
    def profiles(self) -> tuple[str, ...]:
        """What an orchestrator can start."""
        return self.claim.profiles

    @property
    def consumes_pool_tasks(self) -> bool:
        return self.claim.consumes_pool_tasks

    @property
    def end_reason(self) -> str:
        """Why the session ended, in a word; it was cut off when nobody knows better."""
        return (self._reason or CloseReason.CLIENT_GONE).name.lower()

    async def _expire(self) -> None:
        """End with the credential that opened the session."""
        admission = self.claim.admission
        while True:
            left_ms = admission.expires_ms - self._services.wall_clock()
            if left_ms <= 0:
                break
            await trio.sleep(min(left_ms / 1000, EXPIRY_CHECK_S))
        self.end(CloseReason.TOKEN_REVOKED if admission.token_id else CloseReason.BEARER_EXPIRED)

    def end_lock_lost(self) -> None:
        log.warning("lock lost", identity=self.lock_key)
        self.end(CloseReason.LOCK_LOST)

    def forget_routes(self) -> None:
        """Decide the next message to each topic anew."""
        self._port.routes.clear()

    def take_counts(self) -> tuple[list[int], int]:
        """Messages by type and payload bytes routed since the last call."""
        return self._port.take_counts()

    def take_deliveries(self) -> tuple[int, int]:
        """Messages handed to the stream since the last call, and how many of them came out of the log."""
        port = self._port
        taken = (port.delivered, port.replayed)
        port.delivered = port.replayed = 0
        return taken

    @property
    def topics_followed(self) -> tuple[int, int]:
        """How many topics, and on how many of them there is more in the log than the client was sent."""
        return self._subscriptions.count()

    def _release(self) -> None:
        """Stop following topics and give up cursors; idempotent."""
        self._services.confirmations.forget(self._port)
        self._subscriptions.close_all()
        self._services.waiting_answers.discard(self)

    async def _refuse_extension(self, ack: bytes) -> None:
        """Ack with the negotiation, then a final end that also clients which retry the status understand (sdk 3.2)."""
        refusal = extension_refusal(self.claim.extensions)
        self._call.send(ack)
        self._call.send(_signal(pb.Signal.FORCE_DISCONNECT, refusal.message))
        await self._flushed()
        raise refusal

    async def _say_goodbye(self, reason: CloseReason) -> RpcError:
        """Send what is due to the client and its signal; never longer than a second."""
        signal = reason.signal
        if reason is CloseReason.DRAIN and self.claim.client.sdk == "python":
            signal = None  # its synchronous client never comes back from the signal (connection 8.3)
        if signal is not None:
            status = reason.status
            text = self._reason_text or ("server shutting down" if reason is CloseReason.DRAIN else status.message)
            if reason is CloseReason.ADMIN and not self._reason_text:
                text = "disconnected by administrator"
            self._call.send(_signal(signal, text))
        await self._flushed()
        return reason.status

    async def _flushed(self) -> None:
        with trio.move_on_after(SIGNAL_FLUSH_S, shield=True):
            self._call.flush()
            await self._call.wait_pending_below(1)

    # -------------------------------------------------------------------------------------------------- inbound

    def _start_reading(self) -> None:
        """Take over the stream; what the client pipelined behind its first message is handled first, in order."""
        self._port.busy = False
        self._call.set_sink(self._port.on_messages, self._on_half_close)
        self._call.flush()
        self._services.flush_all()

    def _on_half_close(self) -> None:
        """The client said all it will say; what it asked for before is still answered, and what it sent is safe when
        the stream ends with OK."""
        self._half_closed = True
        if not self._port.busy:
            self._end_when_safe()

    def _end_when_safe(self) -> None:
        """End after a half-close, once every answer is out and every message is durable."""
        if self._answers.put(Answer(())):
            self._services.waiting_answers.add(self)
            self._services.commit_wanted = True
        else:
            self.end(CloseReason.CLIENT_CLOSE)

    def on_message(self, data: bytes) -> None:
        """Handle a message that the fast path left over; called in order, from the connection's reader."""
        try:
            message = pb.UpstreamMessage.FromString(data)
        except DecodeError:
            self.put(Answer((refuse(Code.INVALID_ARGUMENT, "message could not be decoded"),)))
            return
        kind = message.WhichOneof("payload")
        if kind is None:
            self.put(Answer((refuse(Code.NOT_IMPLEMENTED, "unknown or empty payload"),)))
            return
        self.put_reply(kind, getattr(message, kind))

    def put_reply(self, kind: str, operation: Any) -> None:
        """Dispatch one operation; an operation that waits holds up the later ones of this session.

        What had to be recorded on the way is durable before the answer is out.
        """
        recorded = self._services.audit.ticket
        try:
            reply = self._handle(kind, operation)
        except Refusal as refusal:
            reply = _refused(refusal, kind, operation)
            self._count_refused(kind, refusal.counted_as)
        except StoreUnavailable:
            reply = _unavailable(kind, operation)
            self._count_refused(kind, Code.PUBLISH_FAILED)
        except Exception:
            log.exception("operation failed", kind=kind, identity=self.lock_key)
            reply = _broken(kind, operation)
        if isinstance(reply, Answer):
            if self._services.audit.ticket != recorded:
                reply = self._after_record(reply, kind, operation)
            self.put(reply)
        elif self._nursery is not None:
            self._port.busy = True  # the fast path now queues in ``held``, so order is kept
            self._nursery.start_soon(self._finish, kind, operation, reply)

    def _count_refused(self, kind: str, code: str) -> None:
        if kind in ("send", "progress"):
            self._services.observer.refused(self.identity, code)

    def _after_record(self, answer: Answer, kind: str, operation: Any) -> Answer:
        """The answer, not before the rows that were recorded on the way. If those cannot be written, the client is told
        to try again: what is not recorded was not refused."""
        ticket = self._services.audit.ticket
        in_doubt = answer.in_doubt or (lambda: _unavailable(kind, operation).frames)
        return answer._replace(ticket=max(answer.ticket, ticket), in_doubt=in_doubt)

    def _check_scope(self, kind: str) -> None:
        """A token may be for some kinds of operations only (weakness 9).

        :raises Refusal: this is none of them.
        :raises StoreUnavailable: nor can that be recorded.
        """
        operations = self.claim.admission.operations
        needed = OPERATION_KINDS.get(kind, "admin")
        if operations is None or not needed or needed in operations:
            return
        text = "the API key of this connection is not for such operations"
        self._services.audit.record(
            Event(
                kind="authorization",
                operation=kind,
                success=False,
                **actor_of(self.identity),
                resource_type="operation",
                resource_id=kind,
                workspace=self.identity.workspace,
                session_id=self.session_id,
                error="access denied",
                metadata={"decision": "DENY", "reason": text},
            )
        )
        raise Refusal(Code.PERMISSION_DENIED, text)

    def _handle(self, kind: str, operation: Any) -> Answer | Awaitable[Answer]:
        self._check_scope(kind)
        handler = self._services.handlers.get(kind)
        if handler is not None:
            bucket = self._budget if kind in BUDGETED and not _gives_up(kind, operation) else None
            if bucket is not None and not bucket.take(trio.current_time()):
                text = "task operation rate limit exceeded"
                wait_ms = bucket.wait_ms()
                return decline(
                    kind, operation, Code.RATE_LIMITED, text, retryable=True, retry_after_ms=wait_ms, by_id=False
                )
            return handler(self, operation)
        match kind:
            case "send":
                self._services.router.send(self._port, self, operation)
                return _NOTHING
            case "progress":
                self._services.router.report(self._port, self, operation, self._services.wall_clock())
                self._services.tasks.heartbeats.on_report(self, operation)
                return _NOTHING
            case "switch_workspace":
                return self._switch_workspace(operation.new_workspace_id)
            case "init":
                self.end(CloseReason.PROTOCOL)
                return _NOTHING
        return absent(kind, operation)

    async def _finish(self, kind: str, operation: Any, reply: Awaitable[Answer]) -> None:
        """Wait for one operation, then for those that queued behind it."""
        recorded = self._services.audit.ticket
        try:
            answer = await reply
        except Refusal as refusal:
            answer = _refused(refusal, kind, operation)
        except StoreUnavailable:
            answer = _unavailable(kind, operation)
        except Exception:
            log.exception("operation failed", kind=kind, identity=self.lock_key)
            answer = _broken(kind, operation)
        if self._services.audit.ticket != recorded:
            answer = self._after_record(answer, kind, operation)
        self.put(answer)
        if self._reason is not None:
            return
        held, self._port.held = self._port.held, []
        self._port.busy = False
        if held:
            self._port.on_messages(held)
        elif self._answers.waiting:
            self._services.commit_wanted = True
        if not self._port.busy:
            if self._idle is not None:
                self._idle.set()
            if self._half_closed:
                self._end_when_safe()
        self._services.flush_all()

    def on_limited(self, limit: int) -> None:
        """A message of the fast path met a limit."""
        refusal = refuse_limited(self._port, self.identity, limit)
        self._services.observer.refused(self.identity, refusal.code)
        self.put(_refused(refusal, "send", None))

    def on_batch_end(self) -> None:
        """After each read: apply back-pressure and let waiting answers have their commit."""
        self.last_activity_ms = self._services.wall_clock()
        if self._answers.waiting:
            self._services.commit_wanted = True
        over = (
            self._call.pending > ANSWER_BYTES_MAX
            or (self._port.held and sum(map(len, self._port.held)) > HELD_BYTES_MAX)
            or self._services.log_is_full()
        )
        if over and self._reading and self._nursery is not None:
            self._reading = False
            self._call.pause_reading()
            self._nursery.start_soon(self._resume_reading)

    async def _resume_reading(self) -> None:
        """Read on once the client took its answers, the held messages are through and the log has room."""
        await self._call.wait_pending_below(ANSWER_BYTES_MAX // 2)
        while self._port.busy:
            self._idle = trio.Event()
            await self._idle.wait()
        self._idle = None
        await self._services.wait_log_room()
        self._reading = True
        self._call.resume_reading()

    def put(self, answer: Answer) -> None:
        """Queue an answer; see :class:`Answers`."""
        if answer.frames and self._answers.put(answer):
            self._services.waiting_answers.add(self)

    def give(self, task_id: str, assignment: Answer) -> None:
        """Queue a task for a worker, and take note when its transport has it."""
        self.put(assignment._replace(on_sent=partial(self._deliveries.sent, task_id)))

    def on_durable(self) -> None:
        """After a group commit."""
        self._answers.on_durable()
        if not self._answers.waiting:
            self._services.waiting_answers.discard(self)
            if self._half_closed and not self._port.busy:
                self.end(CloseReason.CLIENT_CLOSE)

    def on_commit_failed(self) -> None:
        """A group commit failed and will be tried again."""
        self._answers.on_commit_failed()
        if not self._answers.waiting:
            self._services.waiting_answers.discard(self)

    # ------------------------------------------------------------------------------------------------- outbound

    @property
    def has_room(self) -> bool:
        """Less waits for the client than may."""
        return self._call.pending < ANSWER_BYTES_MAX

    async def wait_room(self) -> None:
        """Until half of what may wait for the client has left."""
        self._services.flush_all()
        await self._call.wait_pending_below(ANSWER_BYTES_MAX // 2)

    def start_soon(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """Run something beside the session's operations, as long as it lasts."""
        if self._nursery is not None and self._reason is None:
            self._nursery.start_soon(function, *arguments)

    def on_lane_behind(self, lane: Lane) -> None:
        """A lane has no room or history to read: feed it from the log, at the reader's pace."""
        if self._reason is not None or self._nursery is None:
            return
        if self._catch_up is None:
            self._catch_up = CatchUp(self._call, self._port, self._services.log)
        if self._catch_up.add(lane):
            self._nursery.start_soon(self._catch_up.run)

    def on_lane_overtaken(self, lane: Lane) -> None:
        """Messages left the log before the client read so far: it is told, and operators see it (routing 4.7)."""
        topic = str(lane.topic.name)
        self._services.observer.overtaken(topic)
        self.put(Answer((refuse(Code.BACKPRESSURE, f"messages on {topic} became too old before they were read"),)))

    def follow(self, topic: str) -> None:
        """See :class:`aether.tasks.participants.LaneFollower`."""
        if topic not in self._followed:
            self._followed.add(topic)
            self.start_soon(self._follow, topic)

    async def _follow(self, topic: str) -> None:
        try:
            await self._subscriptions.open([Subscription(topic, Start.ALL)], self.identity)
        except StoreUnavailable:
            log.warning("lane not followed", topic=topic, identity=self.lock_key)
            self._followed.discard(topic)
        if topic not in self._followed:  # it was over before it began
            self._subscriptions.close([topic])
        self._services.flush_all()

    def unfollow(self, topic: str) -> None:
        self._followed.discard(topic)
        self._subscriptions.close([topic])

    # ------------------------------------------------------------------------------------------------ workspace

    def _set_limits(self) -> None:
        """The session's own, once: who moves to another workspace has used what it has used (routing 9)."""
        settings = self._services.settings
        now = trio.current_time()
        if settings.message_rate > 0:
            self._port.bucket = TokenBucket(settings.message_rate, settings.message_burst, now)
        if settings.identity_message_rate > 0:
            self._port.quota = Window(settings.identity_message_rate, now)
        self.set_workspace_limit()

    def set_workspace_limit(self) -> None:
        """The one that all senders of the current workspace share."""
        self._port.workspace_bucket = self._services.workspace_bucket(self.identity.workspace)
        self._port.limited = bool(self._port.bucket or self._port.quota or self._port.workspace_bucket)

    async def _switch_workspace(self, workspace: str) -> Answer:
        """Move a user to another workspace, or to none; all or nothing (routing 6)."""
        identity = self.identity
        if identity.kind is not PrincipalType.USER:
            raise Refusal(Code.INVALID_PRINCIPAL, "only users can switch workspaces")
        if workspace == identity.workspace:
            return _NOTHING
        try:
            check_identifier("workspace", workspace, strict=self._services.settings.strict_identifiers)
        except InvalidIdentity as error:
            raise Refusal(Code.WORKSPACE_SWITCH_FAILED, str(error)) from None
        if workspace and not self._may_be_in(workspace):
            by_key = not self.claim.admission.admits_workspace(workspace)
            text = "API key not authorized for" if by_key else "not authorized to access"
            raise Refusal(Code.PERMISSION_DENIED, f"{text} workspace {workspace}")
        try:
            await self._subscriptions.open(workspace_topics(identity.id, workspace), identity)
        except StoreUnavailable:
            raise Refusal(Code.WORKSPACE_SWITCH_FAILED, "workspace could not be switched", retryable=True) from None
        self._subscriptions.close([item.topic for item in workspace_topics(identity.id, identity.workspace)])
        self._move_to(workspace)
        try:
            await self._services.locks.keep_workspace(self.lock_key, self.session_id, self.fence, workspace)
        except StoreUnavailable:
            log.warning("workspace not remembered", identity=self.lock_key)
        return _NOTHING

    def _move_to(self, workspace: str) -> None:
        self.identity = replace(self.identity, workspace=workspace)
        self._port.routes.clear()
        self.set_workspace_limit()

    def _may_be_in(self, workspace: str) -> bool:
        check = self._services.access.rights(self).check
        return check("workspace", workspace, Level.READ, "connect", workspace).allowed

    def _return_to_workspace(self) -> None:
        """A user who resumes is where it was, if it still may (connection W-28)."""
        workspace = self.lock.workspace
        if not workspace or self.identity.workspace:
            return
        try:
            if self._may_be_in(workspace):
                self._move_to(workspace)
        except StoreUnavailable:  # nowhere is always allowed
            log.warning("not returned to the workspace", identity=self.lock_key)


_NOTHING = Answer(())


_UNDELIVERED = {"send": "message delivery failed", "progress": "progress delivery failed"}


def _gives_up(kind: str, operation: Any) -> bool:
    """An UNSUBSCRIBE is never refused for its rate: few clients would try again, and events that nobody wants would go
    on until the session ends."""
    return kind == "task_subscription_op" and operation.op == pb.TaskSubscriptionOperation.UNSUBSCRIBE


def _signal(kind: int, reason: str) -> bytes:
    return down(pb.DownstreamMessage(signal=pb.Signal(type=kind, reason=reason)))  # type: ignore[arg-type]


def _refused(refusal: Refusal, kind: str, operation: Any) -> Answer:
    return decline(
        kind,
        operation,
        refusal.code,
        refusal.message,
        retryable=refusal.retryable,
        retry_after_ms=refusal.retry_after_ms,
    )


def _unavailable(kind: str, operation: Any) -> Answer:
    text = _UNDELIVERED.get(kind, "store unavailable")
    return decline(kind, operation, Code.PUBLISH_FAILED, text, retryable=True)


def _broken(kind: str, operation: Any) -> Answer:
    return decline(kind, operation, Code.INTERNAL, "internal error", retryable=False)
