"""What a client sends: operations in order, each answered once, and no more read than can be held (connection 6)."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import Any

import structlog
import trio
from google.protobuf.message import DecodeError

from aether._fastpath import Port
from aether.answers import NOTHING, Answer, refuse
from aether.errors import Code, Refusal, StoreUnavailable
from aether.gateway.answering import UNREAD_BYTES_MAX, Answers
from aether.gateway.live import LiveSession
from aether.gateway.reasons import CloseReason
from aether.gateway.refusals import absent, broken, decline, refused
from aether.gateway.scopes import check_scope
from aether.gateway.services import Services
from aether.gateway.subscriptions import Subscriptions
from aether.gateway.switching import switch_workspace
from aether.messaging.limits import refuse_limited
from aether.proto import aether_pb2 as pb
from aether.rpc.server import ServerCall

__all__ = ["Inbound"]

log = structlog.get_logger("aether.session")

HELD_BYTES_MAX = 1024 * 1024
TASKS = frozenset({"create_task", "task_op", "task_query", "task_subscription_op", "agent_op", "workspace_op"})
BUDGETED = TASKS | {"authority_grant_op", "authority_request_op"}
"""Operations that a session has a budget for, beside that of its messages (tasks 1). Each on authority is a row of the
audit log that is kept."""


class Inbound:
    """One session's operations. While one of them waits for something, the port holds the later ones.

    Called by the port, from the connection's reader: :meth:`on_message` for each message that compiled code left over,
    :meth:`on_limited` for one that it refused, :meth:`on_batch_end` after each read.
    """

    __slots__ = (
        "_answers",
        "_audit",
        "_budget",
        "_call",
        "_commits",
        "_denials",
        "_full",
        "_half_closed",
        "_handlers",
        "_idle",
        "_port",
        "_reading",
        "_router",
        "_running",
        "_scopes",
        "_services",
        "_session",
        "_stopped",
        "_subscriptions",
    )

    def __init__(
        self,
        session: LiveSession,
        call: ServerCall,
        port: Port,
        answers: Answers,
        subscriptions: Subscriptions,
        services: Services,
    ) -> None:
        self._session = session
        self._call = call
        self._port = port
        self._answers = answers
        self._subscriptions = subscriptions
        self._services = services
        self._audit = services.audit
        self._commits = services.commits
        self._denials = services.denials
        self._handlers = services.handlers
        self._router = services.router
        self._scopes = session.claim.admission.operations
        self._budget = services.limits.operations()
        self._reading = True
        self._half_closed = False
        self._stopped = False
        self._running = False
        self._full = False
        answers.on_full = self._on_full
        self._idle: trio.Event | None = None

    def begin(self) -> None:
        """Take over the stream; what the client pipelined behind its first message is handled first, in order."""
        self._port.busy = self._full = False
        self._call.set_sink(self._port.on_messages, self._on_half_close)
        self._call.flush()
        self._services.flush_all()

    def stop(self) -> None:
        """Begin nothing more; idempotent."""
        self._stopped = True
        self._port.busy = True
        self._port.forget()

    def _on_half_close(self) -> None:
        """The client said all it will say; what it asked for before is still answered, and what it sent is safe when
        the stream ends with OK."""
        self._half_closed = True
        if not self._port.busy:
            self._end_when_safe()

    def _end_when_safe(self) -> None:
        self._answers.after_all(partial(self._session.end, CloseReason.CLIENT_CLOSE))

    def on_message(self, data: bytes) -> None:
        """Handle one message; an operation that waits holds up the later ones.

        What had to be recorded on the way is durable before the answer is out.
        """
        try:
            message = pb.UpstreamMessage.FromString(data)
        except DecodeError:
            self._decline(Answer((refuse(Code.INVALID_ARGUMENT, "message could not be decoded"),)))
            return
        kind = message.WhichOneof("payload")
        if kind is None:
            self._decline(Answer((refuse(Code.NOT_IMPLEMENTED, "unknown or empty payload"),)))
            return
        operation = getattr(message, kind)
        recorded = self._audit.ticket
        try:
            if self._denials.barred:
                self._denials.check(self._session.identity.canonical_id)
            if self._scopes is not None:
                check_scope(self._session, kind, self._scopes, self._audit)
            reply = self._handle(kind, operation)
        except (Refusal, StoreUnavailable) as error:
            reply = self._refused(error, kind, operation)
        except Exception:
            log.exception("operation failed", kind=kind, identity=self._session.lock_key)
            reply = broken(kind, operation)
        if isinstance(reply, Answer):
            if self._audit.ticket != recorded:
                reply = self._after_record(reply, kind, operation)
            if reply.frames:
                self._answers.put(reply, kind, operation)
        else:
            self._running = True
            self._port.busy = True  # the fast path now queues in ``held``, so order is kept
            self._session.start_soon(self._finish, kind, operation, reply)

    def _handle(self, kind: str, operation: Any) -> Answer | Awaitable[Answer]:
        handler = self._handlers.get(kind)
        if handler is not None:
            if (
                self._budget is not None
                and kind in BUDGETED
                and not _gives_up(kind, operation)
                and not self._budget.take(trio.current_time())
            ):
                text = f"{'task' if kind in TASKS else 'authority'} operation rate limit exceeded"
                wait_ms = self._budget.wait_ms()
                return decline(
                    kind, operation, Code.RATE_LIMITED, text, retryable=True, retry_after_ms=wait_ms, by_id=False
                )
            return handler(self._session, operation)
        match kind:
            case "send":
                self._router.send(self._port, self._session, operation)
                return NOTHING
            case "progress":
                self._services.reports.publish(self._port, self._session, operation)
                self._services.tasks.heartbeats.on_report(self._session, operation)
                return NOTHING
            case "switch_workspace":
                workspace = operation.new_workspace_id
                return switch_workspace(self._session, self._subscriptions, workspace, self._services)
            case "init":
                self._session.end(CloseReason.PROTOCOL)
                return NOTHING
        return absent(kind, operation)

    def _refused(self, error: Refusal | StoreUnavailable, kind: str, operation: Any) -> Answer:
        if kind in ("send", "progress"):
            code = error.counted_as if isinstance(error, Refusal) else Code.PUBLISH_FAILED
            self._services.observer.refused(self._session.identity, code)
        return refused(error, kind, operation)

    def _after_record(self, answer: Answer, kind: str, operation: Any) -> Answer:
        """The answer, not before the rows that were recorded on the way. If those cannot be written, the client is told
        to try again: what is not recorded was not refused."""
        in_doubt = answer.in_doubt or (lambda: refused(StoreUnavailable(), kind, operation).frames)
        return answer._replace(ticket=max(answer.ticket, self._audit.ticket), in_doubt=in_doubt)

    async def _finish(self, kind: str, operation: Any, reply: Awaitable[Answer]) -> None:
        """Wait for one operation, then for those that queued behind it."""
        recorded = self._audit.ticket
        try:
            answer = await reply
        except (Refusal, StoreUnavailable) as error:
            answer = self._refused(error, kind, operation)
        except Exception:
            log.exception("operation failed", kind=kind, identity=self._session.lock_key)
            answer = broken(kind, operation)
        if self._audit.ticket != recorded:
            answer = self._after_record(answer, kind, operation)
        if answer.frames:
            self._answers.put(answer, kind, operation)
        if self._answers.waiting:
            self._commits.wanted = True
        self._running = False
        self._go_on()
        self._services.flush_all()

    def _on_full(self) -> None:
        """More answers are unread than may be. What was received with the last request may ask for any number more, so
        nothing is handled until some have been read."""
        if not self._full and not self._stopped:
            self._full = True
            self._port.busy = True
            self._session.start_soon(self._wait_for_reader)

    async def _wait_for_reader(self) -> None:
        await self._answers.wait_room()
        self._full = False
        self._go_on()
        self._services.flush_all()

    def _go_on(self) -> None:
        """Handle what queued behind an operation, or behind answers that were not read."""
        if self._running or self._full or self._stopped:
            return
        held, self._port.held = self._port.held, []
        self._port.busy = False
        if held:
            self._port.on_messages(held)
        if not self._port.busy:
            if self._idle is not None:
                self._idle.set()
            if self._half_closed:
                self._end_when_safe()

    def _decline(self, answer: Answer) -> None:
        """Of a message that nobody waits for an answer to: true whatever becomes of those before it."""
        self._answers.put(answer, "send")

    def on_limited(self, limit: int) -> None:
        """A message met a limit, by its number."""
        refusal = refuse_limited(self._port, self._session.identity, limit)
        self._services.observer.refused(self._session.identity, refusal.code)
        self._decline(refused(refusal, "send", None))

    def on_batch_end(self) -> None:
        """After each read: apply back-pressure and let waiting answers have their commit."""
        self._session.last_activity_ms = self._services.wall_clock()
        if self._answers.waiting:
            self._commits.wanted = True
        over = (
            self._call.pending > UNREAD_BYTES_MAX
            or (self._port.held and sum(map(len, self._port.held)) > HELD_BYTES_MAX)
            or self._commits.log_is_full()
        )
        if over and self._reading:
            self._reading = False
            self._call.pause_reading()
            self._session.start_soon(self._resume_reading)

    async def _resume_reading(self) -> None:
        """Read on once the client took its answers, the held messages are through and the log has room."""
        await self._call.wait_pending_below(UNREAD_BYTES_MAX // 2)
        while self._port.busy:
            self._idle = trio.Event()
            await self._idle.wait()
        self._idle = None
        await self._commits.wait_log_room()
        self._reading = True
        self._call.resume_reading()


def _gives_up(kind: str, operation: Any) -> bool:
    """An UNSUBSCRIBE is never refused for its rate: few clients would try again, and events that nobody wants would go
    on until the session ends."""
    return kind == "task_subscription_op" and operation.op == pb.TaskSubscriptionOperation.UNSUBSCRIBE
