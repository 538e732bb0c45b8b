"""The stream of a connection: opened again whenever it is lost, with what is asked on it (sdk 14).

One task owns the stream: it dials, says who we are, reads, and dials again with the session to resume when the stream
ends. What the gateway decides for good -- a duplicate identity, wrong credentials, a displacement -- ends it.
"""

from __future__ import annotations

import random
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio

from aether.client.errors import (
    ClientError,
    ConnectionClosed,
    ConnectionLost,
    Disconnected,
    DuplicateIdentity,
    RequestRefused,
    Unauthenticated,
    final,
    refused,
)
from aether.client.inbox import Held, Inbox, Recent
from aether.client.outages import Lost, Regained
from aether.proto import aether_pb2 as pb
from aether.rpc.client import Channel, ClientCall, connect, connect_stream
from aether.rpc.status import RpcError, StatusCode, frame

__all__ = ["InProcess", "Link", "Options", "Target", "split_address"]

TRY_AGAIN = ", try again"
"""How a typed response ends that says no for the moment; it has no field for that."""
CONNECT = "/aether.v1.AetherGateway/Connect"
INBOX_BYTES_MAX = 1024 * 1024
"""Received and not yet iterated; over it the stream is not read, and the gateway serves us from its log."""
SEND_BYTES_MAX = 1024 * 1024
"""Sent and not yet taken by the transport; over it ``send`` waits."""


class InProcess(Protocol):
    """Something that opens a transport without a socket, such as an embedded Gateway."""

    async def open_transport(self) -> Any: ...


Target = str | InProcess
"""``host:port``, or a gateway in this process."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a connection behaves.

    :ivar credentials: as in ``InitConnection.credentials``, for example ``{"x-api-key": ...}``; or a function that is
        awaited for them before every attempt to connect, for those that run out. With a function a session that ends
        because its credentials did is opened again with others; what it raises ends the connection.
    :ivar backoff_initial_s: delay before the second attempt in a row; doubled each time up to ``backoff_max_s``,
        plus or minus a quarter. The first attempt comes at once.
    :ivar attempts_max: attempts in a row before giving up; None: for ever.
    :ivar retry_on_duplicate: while another connection holds the identity, try again as after any other failure
        instead of raising DuplicateIdentity at once; with ``attempts_max`` it is raised in the end.
    """

    credentials: Mapping[str, str] | Callable[[], Awaitable[Mapping[str, str]]] = field(
        default_factory=dict, repr=False
    )
    tls: ssl.SSLContext | None = None
    backoff_initial_s: float = 1.0
    backoff_max_s: float = 30.0
    attempts_max: int | None = None
    retry_on_duplicate: bool = False
    randomness: random.Random = field(default_factory=random.Random)


class Link:
    """See the module. Features ask and listen through it.

    :ivar handlers: what takes the members of downstream messages that answer nothing; with the size of the message.
    :ivar leftovers: what takes responses that nobody waits for any more; all others are dropped.
    :ivar session_id: of the current stream; changes with every reconnect.
    :ivar assigned_id: instance id of a pool worker, empty for others.
    :ivar resumed: the last reconnect took over the session that was lost.
    :ivar held: what is in the inboxes that hold up the stream.
    :ivar closed_reason: why it is over for good, for people; empty until then.
    :ivar outages: see :class:`aether.client.connection.Connection`.
    :ivar errors: refusals of what nobody waits for.
    :ivar background: what goes on beside the block and ends with it.
    """

    def __init__(self, target: Target, init: pb.InitConnection, options: Options) -> None:
        self.handlers: dict[str, Callable[[int, Any], None]] = {}
        self.leftovers: dict[str, Callable[[Any], None]] = {}
        self.session_id = ""
        self.assigned_id = ""
        self.resumed = False
        self.held = Held()
        self.closed_reason = ""
        self.outages: Recent[Lost | Regained] = Recent()
        self.errors: Recent[RequestRefused] = Recent()
        self.background: trio.Nursery | None = None
        if isinstance(target, str):
            split_address(target)
        self._target = target
        self._init = init
        self._options = options
        self._call: ClientCall | None = None
        self._connected = trio.Event()
        self._pending: dict[str, _Pending] = {}
        self._awaited = 0
        self._paused = False
        self._ended = trio.Event()
        self._over = False
        self._sent = 0
        self._confirmed = 0
        self._doubtful = False
        self._refused: RequestRefused | None = None

    # ------------------------------------------------------------------------------------------------- sending

    async def confirm(self) -> None:
        """Wait until everything sent before is safe in the gateway's log.

        :raises RequestRefused: some of what was sent since the last ``confirm`` was refused; this is the first refusal,
            all of them are in :attr:`errors`. Or it cannot be made safe now, such as by a full disk: then it
            is ``retryable``, and another ``confirm`` may wait for the same.
        :raises ConnectionLost: the stream ended since the last ``confirm``, with messages that may have been lost.
        """
        if not self._doubtful:
            sent = self._sent
            # Answers come in order, and this operation is open to every kind of principal. What it answers does not
            # matter, nor whether it is refused.
            probe = pb.CheckpointOperation(op=pb.CheckpointOperation.LOAD, key="_sys/confirm")
            try:
                await self.request("checkpoint_op", probe)
            except RequestRefused as problem:
                if problem.retryable:  # the gateway cannot say so now
                    raise
            except ConnectionLost:
                sent = self._confirmed
            self._confirmed = max(self._confirmed, sent)
        refusal, self._refused = self._refused, None
        doubtful, self._doubtful = self._doubtful, False
        if doubtful:
            raise ConnectionLost("the connection was lost; what was sent before may be lost with it") from refusal
        if refusal is not None:
            raise refusal

    async def transmit(self, message: pb.UpstreamMessage) -> None:
        """Send any upstream message."""
        await self._transmit(message)
        self._sent += 1

    async def _transmit(self, message: pb.UpstreamMessage) -> None:
        data = frame(message.SerializeToString())
        while True:
            call = await self._wait_call()
            await call.wait_pending_below(SEND_BYTES_MAX)
            if call is self._call:
                call.send(data)
                call.flush()
                return

    def transmit_nowait(self, message: pb.UpstreamMessage) -> None:
        """Send something small whose answer nobody awaits, and which means nothing on another stream than this."""
        if self._call is not None:
            self._call.send(frame(message.SerializeToString()))
            self._call.flush()

    async def _wait_call(self) -> ClientCall:
        while self._call is None:
            if self._over:
                await trio.lowlevel.checkpoint()
                raise ConnectionClosed("the connection is closed")
            await self._connected.wait()
        return self._call

    async def request(self, member: str, operation: Any, *, on_answer: Callable[[Any], None] | None = None) -> Any:
        """Run an operation that carries a ``request_id`` and return its typed response.

        :param member: the field of ``UpstreamMessage``, for example ``kv_op``.
        :param on_answer: called with the response before anything that came behind it is looked at.
        :raises RequestRefused: the gateway declined.
        :raises ConnectionLost: the stream ended before the answer.
        """
        # Where there are both, the other one names what the operation is about.
        id_field = "client_request_id" if "client_request_id" in operation.DESCRIPTOR.fields_by_name else "request_id"
        request_id = uuid.uuid4().hex
        setattr(operation, id_field, request_id)
        await self._transmit(pb.UpstreamMessage(**{member: operation}))
        # Only now: what waits for a connection is not lost with the one before.
        pending = self._pending[request_id] = _Pending(on_answer)
        self.read_on()
        try:
            await pending.done.wait()
        finally:
            self._pending.pop(request_id, None)
        if pending.error is not None:
            raise pending.error
        return pending.response

    # ----------------------------------------------------------------------------------------------- receiving

    async def take(self, inbox: Inbox) -> Any:
        """The oldest item of one of this connection's inboxes."""
        _, item = await inbox.get()
        self.read_on()
        return item

    @property
    def stream_ended(self) -> trio.Event:
        """Set when the stream that is open now has ended."""
        return self._ended

    def refusal_of(self, text: str, code: str = "") -> RequestRefused:
        """The exception for a typed response that says no, in a text that may begin with a code.

        With some of them comes an error without request id, for clients that wait for that. It says the same and more,
        and is taken back here.
        """
        named, separator, rest = text.partition(": ")
        if not code and separator and named.startswith("ERR_"):
            code, text = named, rest
        told = self.errors.remove_last(lambda refusal: refusal.code == code) if code else None
        if told is None:
            return refused(pb.ErrorResponse(code=code, message=text, retryable=text.endswith(TRY_AGAIN)))
        if self._refused is not None and str(self._refused) == str(told):
            self._refused = None
        known = pb.ErrorResponse(code=code, message=text, retryable=told.retryable, retry_after_ms=told.retry_after_ms)
        return refused(known)

    @contextmanager
    def awaiting(self) -> Iterator[None]:
        """For something that will come in a while, and may be behind what fills the inboxes."""
        self._awaited += 1
        self.read_on()
        try:
            yield
        finally:
            self._awaited -= 1

    def read_on(self) -> None:
        """Resume reading when there is room, or when something is awaited that may be behind what fills it."""
        room = self.held.size < INBOX_BYTES_MAX // 2
        if self._paused and self._call is not None and (room or self._pending or self._awaited):
            self._paused = False
            self._call.resume_reading()
            self._call.flush()

    def _on_batch(self, batch: list[bytes]) -> None:
        for data in batch:
            self._on_message(len(data), pb.DownstreamMessage.FromString(data))
        full = self.held.size > INBOX_BYTES_MAX
        if full and not (self._pending or self._awaited or self._paused) and self._call is not None:
            self._paused = True
            self._call.pause_reading()

    def _on_message(self, size: int, message: pb.DownstreamMessage) -> None:
        kind = message.WhichOneof("payload")
        if kind is None:
            return
        member = getattr(message, kind)
        handler = self.handlers.get(kind)
        if handler is not None:
            handler(size, member)
        elif kind == "error":
            self._on_error(member)
        elif kind == "signal":
            if member.type == pb.Signal.FORCE_DISCONNECT:
                raise _Forced(member.reason)
        else:
            request_id = getattr(member, "client_request_id", "") or getattr(member, "request_id", "")
            if not self._resolve(request_id, response=member) and (take := self.leftovers.get(kind)) is not None:
                take(member)

    def _on_error(self, error: pb.ErrorResponse) -> None:
        refusal = refused(error)
        if not self._resolve(error.request_id, error=refusal):
            self.errors.put(refusal)
            if not error.request_id:  # with one: of a request that was cancelled meanwhile
                self._refused = self._refused or refusal

    def _resolve(self, request_id: str, *, response: Any = None, error: Exception | None = None) -> bool:
        """Settle the request with this id; the first answer counts."""
        pending = self._pending.pop(request_id, None)
        if pending is None:
            return False
        pending.response, pending.error = response, error
        if pending.on_answer is not None and error is None:
            pending.on_answer(response)
        pending.done.set()
        return True

    # ------------------------------------------------------------------------------------------------ lifetime

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep a stream open until cancelled; started once the first is acknowledged.

        :raises ConnectFailed: the gateway refuses for good, or the attempts are used up.
        :raises Disconnected: it ended the session for good.
        """
        try:
            await self._run(task_status)
        except ClientError as error:
            self.closed_reason = str(error)
            raise
        finally:
            self.closed_reason = self.closed_reason or "closed"
            self._over = True
            self._connected.set()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        failures = 0
        started = False
        lost_at = trio.current_time()
        while True:
            if failures > 1:
                await trio.sleep(self._delay(failures))
            was_admitted = False
            await self._take_credentials()
            try:
                async with self._dial() as channel, channel.call(CONNECT) as call:
                    await self._greet(call)
                    was_admitted = True
                    failures = 0
                    if not started:
                        started = True
                        await trio.lowlevel.checkpoint_if_cancelled()  # then nobody would ever close it
                        task_status.started()
                    else:
                        self.outages.put(Regained(trio.current_time() - lost_at, self.resumed))
                    await self._serve(call)
                    error = call.status or RpcError(StatusCode.UNAVAILABLE, "stream ended")
            except RpcError as problem:
                error = problem
            finally:
                self._lost()
            if (reason := self._forced_reason) is not None:
                raise Disconnected(reason)
            refusal = final(error)
            may_retry = (self._options.retry_on_duplicate and isinstance(refusal, DuplicateIdentity)) or (
                callable(self._options.credentials) and was_admitted and isinstance(refusal, Unauthenticated)
            )
            if refusal is not None and not may_retry:
                raise refusal
            if was_admitted:
                lost_at = trio.current_time()
                self.outages.put(Lost(error.message))
            failures += 1
            attempts = failures - started  # to lose a connection was none
            if self._options.attempts_max is not None and attempts >= self._options.attempts_max:
                if refusal is not None:
                    raise refusal
                tried = f"no connection after {attempts} attempts: " if attempts > 1 else ""
                raise ConnectionLost(tried + error.message) from error

    _forced_reason: str | None = None

    def _delay(self, failures: int) -> float:
        options = self._options
        delay = min(options.backoff_initial_s * 2 ** (failures - 2), options.backoff_max_s)
        return float(delay) * options.randomness.uniform(0.75, 1.25)

    @asynccontextmanager
    async def _dial(self) -> AsyncIterator[Channel]:
        if isinstance(self._target, str):
            host, port = split_address(self._target)
            async with connect(host, port, tls=self._options.tls, keepalive=True) as channel:
                yield channel
        else:
            async with connect_stream(await self._target.open_transport()) as channel:
                yield channel

    async def _take_credentials(self) -> None:
        credentials = self._options.credentials
        self._init.credentials.clear()
        self._init.credentials.update(await credentials() if callable(credentials) else credentials)

    async def _greet(self, call: ClientCall) -> None:
        """Say who we are and wait for the ack."""
        self._init.resume_session_id = self.session_id
        call.send(frame(pb.UpstreamMessage(init=self._init).SerializeToString()))
        call.flush()
        data = await call.receive()
        if data is None:
            raise RpcError(StatusCode.UNAVAILABLE, "stream ended")
        ack = pb.DownstreamMessage.FromString(data).connection_ack
        self.session_id = ack.session_id
        self.assigned_id = ack.assigned_id or self.assigned_id
        self.resumed = ack.resumed

    async def _serve(self, call: ClientCall) -> None:
        """Read until the stream ends."""
        ended = self._ended = trio.Event()

        def sink(batch: list[bytes]) -> None:
            try:
                self._on_batch(batch)
            except _Forced as forced:
                self._forced_reason = forced.reason
                ended.set()

        self._paused = False
        self._call = call
        call.set_sink(sink, ended.set)
        self._connected.set()
        await ended.wait()

    def _lost(self) -> None:
        """The stream is gone: whoever waits for an answer is told at once."""
        self._call = None
        if self._connected.is_set():  # else it stays, for those who wait on it
            self._connected = trio.Event()
        if self._confirmed < self._sent:
            self._doubtful = True
            self._confirmed = self._sent
        for request_id in list(self._pending):
            self._resolve(request_id, error=ConnectionLost("the connection was lost before the answer"))

    async def finish(self) -> None:
        """Give what was sent a moment to be handled. The stream is then to be cancelled, and its end tells the gateway
        that this client has failed."""
        if self._call is not None and not self._call.done:
            with trio.move_on_after(1), suppress(ClientError):
                await self.confirm()
        self._end_reports()

    async def close(self) -> None:
        """Half-close, and give the gateway a moment to answer."""
        call = self._call
        if call is not None and not call.done:
            call.half_close()
            call.flush()
            with trio.move_on_after(1):
                await self._ended.wait()
        self._end_reports()

    def _end_reports(self) -> None:
        self.errors.close()
        self.outages.close()


def split_address(address: str) -> tuple[str, int]:
    """Host and port.

    :raises ValueError: it is no address.
    """
    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError(f"{address!r} is no address: it takes HOST:PORT, such as 127.0.0.1:50051")
    return host.strip("[]"), int(port)


class _Forced(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason


@dataclass(slots=True)
class _Pending:
    on_answer: Callable[[Any], None] | None = None
    done: trio.Event = field(default_factory=trio.Event)
    response: Any = None
    error: Exception | None = None
