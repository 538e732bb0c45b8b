"""A connection that lives as long as its ``async with`` block, across lost streams and gateway restarts (sdk 14).

The stream is kept by :class:`aether.client.link.Link`. The body of the block sends, asks and iterates. What the gateway
decides for good -- a duplicate identity, wrong credentials, a displacement -- is raised out of the block.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from aether._version import __version__
from aether.client.acl import AccessRules
from aether.client.agents import Agents
from aether.client.audit import Audit
from aether.client.authority import Authority
from aether.client.checkpoints import Checkpoints
from aether.client.coordination import Coordinating
from aether.client.errors import RequestRefused
from aether.client.inbox import Inbox, Recent
from aether.client.kv import KV
from aether.client.link import Link, Options, Target
from aether.client.outages import Lost, Regained
from aether.client.progress import Progress
from aether.client.sessions import Sessions
from aether.client.tasks import Tasks
from aether.client.tokens import Tokens
from aether.client.workspaces import Workspaces
from aether.nurseries import unwrapped_nursery
from aether.proto import aether_pb2 as pb

__all__ = ["Connection", "open_connection"]


class Connection(Coordinating):
    """A connected principal; made by ``connect_agent`` and its siblings. Iterating it gives the messages, in order.

    :ivar session_id: of the current stream; changes with every reconnect.
    :ivar assigned_id: instance id of a pool worker, empty for others.
    :ivar resumed: the last reconnect took over the session that was lost.
    :ivar config: the state the gateway gave at connect (agents and tasks).
    :ivar closed_reason: why the connection is over for good, for people; empty until then.
    :ivar outages: one :class:`Lost` whenever the connection goes without being over, and one :class:`Regained` when it
        is back, see :class:`aether.client.inbox.Recent`.
    :ivar errors: refusals of messages, see :class:`aether.client.inbox.Recent`.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._messages = Inbox(link.held)
        self.config = pb.ConfigSnapshot()
        self.outages: Recent[Lost | Regained] = link.outages
        self.errors: Recent[RequestRefused] = link.errors
        self.acl = AccessRules(link)
        self.agents = Agents(link)
        self.audit = Audit(link)
        self.authority = Authority(link)
        self.kv = KV(link)
        self.checkpoints = Checkpoints(link)
        self.progress = Progress(link)
        self.sessions = Sessions(link)
        self.tasks = Tasks(link, self.progress)
        self.tokens = Tokens(link)
        self.workspaces = Workspaces(link)
        link.handlers |= {
            "msg": self._messages.put,
            "progress_update": self.progress.on_update,
            "config": self._on_config,
            "task_assignment": self.tasks.on_assignment,
            "task_event": self.tasks.watches.on_event,
            "authority_request_event": self.authority.on_notice,
            "authority_grant_revocation": self.authority.on_notice,
        }
        link.leftovers["task_subscription_response"] = self.tasks.watches.on_abandoned
        self._inboxes = (self._messages, self.progress, self.tasks, self.authority.notices)

    @property
    def session_id(self) -> str:
        return self._link.session_id

    @property
    def assigned_id(self) -> str:
        return self._link.assigned_id

    @property
    def resumed(self) -> bool:
        return self._link.resumed

    @property
    def closed_reason(self) -> str:
        return self._link.closed_reason

    def _on_config(self, size: int, config: pb.ConfigSnapshot) -> None:
        del size
        self.config = config

    # ------------------------------------------------------------------------------------------------- sending

    async def send(
        self,
        topic: str,
        payload: bytes,
        message_type: int = pb.OPAQUE,
        *,
        app_workspace: str = "",
        only_if: pb.ResourceAccessRequest | None = None,
        authorization: pb.AuthorizationContext | None = None,
        continuation: pb.AuthorityContinuationRequest | None = None,
    ) -> None:
        """Send one message; waits while disconnected or while the transport is full.

        There is no acknowledgement: a refusal arrives in :attr:`errors`. Once an operation that was started later has
        been answered, the message is safe in the gateway's log; :meth:`confirm` waits for that.

        :param only_if: deliver only if this access is allowed, see :func:`aether.client.acl.question`; the receiver
            gets the decision with the message.
        :param authorization: send for somebody else, see :func:`aether.client.authority.on_behalf`.
        :param continuation: the receiver may go on acting for them, see :func:`aether.client.authority.continuation`;
            it finds its ``authorization`` in the message's ``forwarded_authorization``.
        :raises ConnectionClosed: the block of this connection was left.
        """
        message = pb.SendMessage(
            target_topic=topic,
            payload=payload,
            message_type=message_type,  # type: ignore[arg-type]
            app_workspace=app_workspace,
            checked_access=only_if,
            authorization=authorization,
            authority_continuation=continuation,
        )
        await self._link.transmit(pb.UpstreamMessage(send=message))

    async def event(self, payload: bytes) -> None:
        """Send an event of one's own workspace to the workflow engine."""
        await self.send("event::*", payload, pb.EVENT)

    async def metric(
        self, name: str, quantity: float, kind: str = "", *, trace_id: str = "", tags: Mapping[str, str] | None = None
    ) -> None:
        """Send one quantity to the metrics bridge; negative ones need the capability ``metric_credit``."""
        metric = pb.Metric(
            trace_id=trace_id,
            entries=[pb.MetricEntry(name=name, kind=kind, qty=quantity)],
            metadata=tags or {},
            client_timestamp_ms=time.time_ns() // 1_000_000,
        )
        await self.send("metric::*", metric.SerializeToString(), pb.METRIC)

    async def confirm(self) -> None:
        """Wait until everything sent before is safe in the gateway's log.

        :raises RequestRefused: some of what was sent since the last ``confirm`` was refused; this is the first refusal,
            all of them are in :attr:`errors`. Or it cannot be made safe now, such as by a full disk: then it
            is ``retryable``, and another ``confirm`` may wait for the same.
        :raises ConnectionLost: the stream ended since the last ``confirm``, with messages that may have been lost.
        """
        await self._link.confirm()

    async def transmit(self, message: pb.UpstreamMessage) -> None:
        """Send any upstream message."""
        await self._link.transmit(message)

    async def request(self, member: str, operation: Any) -> Any:
        """Run any operation that carries a ``request_id`` and return its typed response.

        :param member: the field of ``UpstreamMessage``, for example ``kv_op``.
        :raises RequestRefused: the gateway declined.
        :raises ConnectionLost: the stream ended before the answer.
        """
        return await self._link.request(member, operation)

    async def switch_workspace(self, workspace: str) -> None:
        """Move a user to another workspace, or to none (routing 6)."""
        await self._link.transmit(pb.UpstreamMessage(switch_workspace=pb.SwitchWorkspace(new_workspace_id=workspace)))

    async def connection_status(self, principal_type: str, principal_id: str) -> bool:
        """Is a principal connected anywhere in the deployment?"""
        principal = pb.PrincipalRef(principal_type=principal_type, principal_id=principal_id)
        request = pb.ConnectionStatusRequest(principal=principal)
        return bool((await self._link.request("connection_status_request", request)).connected)

    # ----------------------------------------------------------------------------------------------- receiving

    def __aiter__(self) -> AsyncIterator[pb.IncomingMessage]:
        return self

    async def __anext__(self) -> pb.IncomingMessage:
        message: pb.IncomingMessage = await self._link.take(self._messages)
        return message

    async def close(self, *, in_order: bool = True) -> None:
        """Leave, and end every iteration.

        :param in_order: as somebody who has done what there was to do, and has done the task that the session is bound
            to; else as a crash would, except that what was sent before arrives.
        """
        await (self._link.close() if in_order else self._link.finish())
        for inbox in self._inboxes:
            inbox.close()


class _Started:
    """Once a connection is there it is the block that ends it: what is said when that is cancelled, such as that a lock
    is given up, has a connection to be said on. From one moment to the other: a cancellation in between would end the
    stream without ending the connection."""

    def __init__(self, task_status: trio.TaskStatus[None], lifetime: trio.CancelScope) -> None:
        self._task_status = task_status
        self._lifetime = lifetime

    def started(self, value: None = None) -> None:
        self._task_status.started(value)
        self._lifetime.shield = True


@asynccontextmanager
async def open_connection(target: Target, init: pb.InitConnection, options: Options) -> AsyncIterator[Connection]:
    """Connect as ``init`` says; see :class:`Connection`. A block that ends with an error breaks the connection off.

    :raises ConnectFailed: refused for good, before or during the block.
    :raises Disconnected: the gateway ended the session for good.
    """
    init.client_version = __version__
    init.client_sdk = "aether-trio"
    link = Link(target, init, options)
    connection = Connection(link)
    async with unwrapped_nursery() as nursery:
        lifetime = trio.CancelScope()

        async def live(*, task_status: trio.TaskStatus[None]) -> None:
            with lifetime:
                await link.run(task_status=_Started(task_status, lifetime))

        await nursery.start(live)
        link.background = nursery
        in_order = True
        try:
            yield connection
        except Exception:  # not where it was told to end, such as by Ctrl-C
            in_order = False
            raise
        finally:
            with trio.move_on_after(2, shield=True):
                await connection.close(in_order=in_order)
            lifetime.cancel()
            nursery.cancel_scope.cancel()
