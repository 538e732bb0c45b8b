"""A connected principal, from its ack to the last thing it gives back (connection 2, 6 and 7).

A session acquires lock, directory entry and subscriptions, in this order, and gives them back in the reverse one,
shielded and with a deadline, so it can always be followed by another of the same identity. Whatever ends a session
-- the client, a successor, an operator, a lost lock, a drain -- ends it through :meth:`Session.end`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
import trio

from aether._fastpath import Port
from aether.answers import Answer, down
from aether.errors import StoreUnavailable
from aether.gateway.admission import over_quota, withdrawn
from aether.gateway.answering import UNREAD_BYTES_MAX, Answers
from aether.gateway.deliveries import Deliveries
from aether.gateway.extensions import extension_refusal
from aether.gateway.handshake import Claim, build_ack
from aether.gateway.inbound import Inbound
from aether.gateway.membership import SYSTEM
from aether.gateway.outbound import Outbound
from aether.gateway.reasons import CloseReason, store_away
from aether.gateway.services import Services
from aether.gateway.snapshot import config_snapshot
from aether.gateway.subscriptions import topics_of, workspace_topics
from aether.gateway.switching import return_to_workspace
from aether.identity import PrincipalType
from aether.proto import aether_pb2 as pb
from aether.rpc.server import ServerCall
from aether.rpc.status import RpcError, StatusCode
from aether.sessions.store import Lock

__all__ = ["Session"]

log = structlog.get_logger("aether.session")

SIGNAL_FLUSH_S = 1.0
EXPIRY_CHECK_S = 60.0
"""Wall clocks are set; how long it takes to notice."""


class Session:
    """A connected principal. ``identity`` changes only by SwitchWorkspace, and then as a whole.

    :ivar task_id: the task it works on, by the token it came with; empty for none (tasks 9.1).
    """

    __slots__ = (
        "__weakref__",
        "_answers",
        "_call",
        "_deliveries",
        "_has_tasks",
        "_inbound",
        "_is_connected",
        "_is_serving",
        "_nursery",
        "_outbound",
        "_port",
        "_reason",
        "_reason_text",
        "_services",
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
        services.limits.begin(self._port, claim.identity.workspace)
        self._answers = Answers(call, self._port, services.commits)
        self._outbound = Outbound(self, call, self._port, self._answers, services)
        self._inbound = Inbound(self, call, self._port, self._answers, self._outbound.subscriptions, services)
        self._port.inbound = self._inbound
        self._port.outbound = self._outbound
        self._deliveries = Deliveries(self._port, partial(services.tasks.dispatcher.confirm, self.lock_key))
        self._reason: CloseReason | None = None
        self._reason_text = ""
        self._nursery: trio.Nursery | None = None
        self.is_acknowledged = False
        self._is_connected = False
        self._is_serving = False
        self._has_tasks = False

    # ------------------------------------------------------------------------------------------------ lifetime

    def join(self) -> None:
        """Be found, and counted, among the sessions of this gateway, until :meth:`leave`.

        :raises RpcError: others came since it was asked first, so that there is no room.
        """
        if (denied := over_quota(self.identity, self._services)) is not None:
            raise denied
        self._services.directory.add(self)

    async def run(self) -> None:
        """Serve until the session ends; raises the status for every end but a half-close."""
        services = self._services
        if (denied := withdrawn(self.claim, self.session_id, services)) is not None:
            raise denied
        services.observer.negotiated(self)
        ack = down(build_ack(self.claim, self.lock, version=services.settings.version))
        if self.claim.extensions.unsupported_required:
            await self._refuse_extension(ack)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self.is_acknowledged = True
            # What is said after the client knows that it is connected is for it, although it follows nothing yet.
            tail = services.log.position
            self._call.send(ack)
            heard_of = self.claim.resume_session_id if self.lock.resumed else ""
            services.confirmations.expect(self._port, services.unheard.acknowledged(heard_of, self.session_id))
            startups = services.tasks.startups
            context = startups.context(self.identity.key)
            by_identity = services.settings.exclusive_to_identities
            snapshot = await config_snapshot(self.identity, services.kv_store, context, by_identity=by_identity)
            if snapshot is not None:
                self._call.send(snapshot)
            return_to_workspace(self, services)
            try:
                wanted = topics_of(self.identity, competing=services.settings.competing_pools)
                if self.identity.kind is PrincipalType.USER:
                    wanted += workspace_topics(self.identity.id, self.identity.workspace)
                hint_ms = startups.hint_ms(self.identity.key)
                await self._outbound.subscriptions.open(wanted, self.identity, hint_ms, tail)
            except StoreUnavailable:
                raise RpcError(StatusCode.INTERNAL, "failed to setup subscriptions") from None
            services.observer.connected(self)
            self._is_connected = True
            if self._reason is None:  # it may have ended while it was waiting, and has a successor then
                self._begin(nursery)
            if self._reason is None:
                self._is_serving = True
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()
        assert self._reason is not None
        if self._reason is CloseReason.CLIENT_CLOSE:
            return
        raise await self._say_goodbye(self._reason)

    def _begin(self, nursery: trio.Nursery) -> None:
        """Everything is there: be given tasks, and take what the client says."""
        if self.claim.admission.expires_ms:
            nursery.start_soon(self._expire)
        self._has_tasks = True
        try:
            self._services.tasks.connected(self)
        except StoreUnavailable:
            raise store_away() from None
        self._inbound.begin()

    def leave(self) -> None:
        """Give back what the session took, the last first, each whatever becomes of the others."""
        services = self._services
        with ExitStack() as leaving:
            leaving.callback(services.directory.remove, self)
            leaving.callback(services.unheard.forget, self.session_id)
            leaving.callback(self._release)
            if self._is_connected:
                leaving.callback(services.observer.disconnected, self)
                leaving.callback(services.note_end, self)
            if self._has_tasks:
                leaving.callback(self._leave_tasks)

    def end(self, reason: CloseReason, text: str = "") -> None:
        """End the session; the first reason wins. Delivery stops at once, before a successor can subscribe."""
        if self._reason is not None:
            return
        self._reason = reason
        self._reason_text = text
        self._inbound.stop()
        if reason is CloseReason.CLIENT_CLOSE:
            self._services.confirmations.settle(self._port)
        self._release()
        self._services.directory.remove(self)
        self._services.unheard.forget(self.session_id)
        if self._is_serving:  # before, it notices by itself
            assert self._nursery is not None
            self._nursery.cancel_scope.cancel()

    def end_answered(self, reason: CloseReason) -> None:
        """As :meth:`end`, but what is being asked is answered before; nothing else is begun."""
        self._inbound.stop()
        self.start_soon(self._end_answered, reason)

    async def _end_answered(self, reason: CloseReason) -> None:
        answered = trio.Event()
        self._answers.after_all(answered.set)
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

    @property
    def port(self) -> Port:
        """The session's end of the compiled path."""
        return self._port

    def forget_routes(self) -> None:
        """Decide the next message to each topic, and the next access to each value, anew."""
        self._port.forget()

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
        return self._outbound.subscriptions.count()

    def _release(self) -> None:
        """Stop following topics, give up cursors, and wait for nothing; idempotent."""
        self._outbound.close()
        self._answers.close()

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

    # ------------------------------------------------------------------------------------- what features may do with it

    def put(self, answer: Answer) -> None:
        """Send an answer or a notice, not before its ticket is durable."""
        if answer.frames:
            self._answers.put(answer)

    def give(self, task_id: str, assignment: Answer) -> None:
        """Queue a task for a worker, and take note when its transport has it."""
        self.put(assignment._replace(on_sent=partial(self._deliveries.sent, task_id)))

    @property
    def has_room(self) -> bool:
        """Less waits for the client than may."""
        return self._call.pending < UNREAD_BYTES_MAX

    async def wait_room(self) -> None:
        """Until half of what may wait for the client has left."""
        self._services.flush_all()
        await self._call.wait_pending_below(UNREAD_BYTES_MAX // 2)

    def start_soon(self, function: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """Run something beside the session's operations, as long as it lasts."""
        if self._nursery is not None and self._reason is None:
            self._nursery.start_soon(function, *arguments)

    def follow(self, topic: str) -> None:
        """See :class:`aether.tasks.participants.LaneFollower`."""
        self._outbound.follow(topic)

    def unfollow(self, topic: str) -> None:
        self._outbound.unfollow(topic)

    # ------------------------------------------------------------------------------------------------ workspace

    def move_to(self, workspace: str) -> None:
        """Be in another workspace from now on."""
        self.identity = replace(self.identity, workspace=workspace)
        self._port.forget()
        self.set_workspace_limit()

    def set_workspace_limit(self) -> None:
        """What all senders of the current workspace share."""
        self._services.limits.share(self._port, self.identity.workspace)


def _signal(kind: int, reason: str) -> bytes:
    return down(pb.DownstreamMessage(signal=pb.Signal(type=kind, reason=reason)))  # type: ignore[arg-type]
