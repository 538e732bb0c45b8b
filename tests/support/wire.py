"""A client without opinions: says exactly what a test tells it to, and shows every message that arrives.

Nothing here reconnects, retries or interprets. A test reads the protocol as it is on the wire.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from aether.gateway.gateway import CONNECT
from aether.proto import aether_pb2 as pb
from aether.rpc.client import ClientCall, connect
from aether.rpc.metadata import Metadata
from aether.rpc.status import RpcError, StatusCode, frame

__all__ = [
    "Peer",
    "Wire",
    "agent",
    "bridge",
    "engine",
    "metrics_bridge",
    "open_wire",
    "orchestrator",
    "service",
    "task",
    "user",
]

PATIENCE_S = 20
"""How long an expected message may take before the test fails; no test measures time with it."""


def agent(specifier: str = "s", *, workspace: str = "w", implementation: str = "i", **more: Any) -> pb.InitConnection:
    identity = pb.AgentIdentity(workspace=workspace, implementation=implementation, specifier=specifier)
    return pb.InitConnection(agent=identity, **more)


def task(specifier: str = "", *, workspace: str = "w", implementation: str = "i", **more: Any) -> pb.InitConnection:
    """A unique task, or a worker of a pool without ``specifier``."""
    identity = pb.TaskIdentity(workspace=workspace, implementation=implementation, unique_specifier=specifier)
    return pb.InitConnection(task=identity, **more)


def user(name: str = "alice", window: str = "w1", **more: Any) -> pb.InitConnection:
    return pb.InitConnection(user=pb.UserIdentity(user_id=name, window_id=window), **more)


def orchestrator(specifier: str = "", *, implementation: str = "o", **more: Any) -> pb.InitConnection:
    identity = pb.OrchestratorIdentity(implementation=implementation, specifier=specifier)
    return pb.InitConnection(orchestrator=identity, **more)


def service(specifier: str = "s", *, implementation: str = "i", **more: Any) -> pb.InitConnection:
    return pb.InitConnection(service=pb.ServiceIdentity(implementation=implementation, specifier=specifier), **more)


def bridge(specifier: str = "s", *, implementation: str = "i", **more: Any) -> pb.InitConnection:
    return pb.InitConnection(bridge=pb.BridgeIdentity(implementation=implementation, specifier=specifier), **more)


def engine(instance: str = "", **more: Any) -> pb.InitConnection:
    return pb.InitConnection(workflow_engine=pb.WorkflowEngineIdentity(instance_id=instance), **more)


def metrics_bridge(instance: str = "", **more: Any) -> pb.InitConnection:
    return pb.InitConnection(metrics_bridge=pb.MetricsBridgeIdentity(instance_id=instance), **more)


class Peer:
    """One ``Connect`` stream on a TCP connection of its own.

    :ivar ack: the gateway's first message, once :meth:`Wire.connect` returned.
    :ivar snapshot: the second, for agents and tasks.
    """

    def __init__(self, call: ClientCall) -> None:
        self.call = call
        self.ack = pb.ConnectionAck()
        self.snapshot = pb.ConfigSnapshot()
        self._left = trio.Event()
        self._gone = trio.Event()
        self._asked = 0

    # -------------------------------------------------------------------------------------------------- saying

    def write(self, *messages: pb.UpstreamMessage) -> None:
        """Send messages in one write."""
        for message in messages:
            self.call.send(frame(message.SerializeToString()))
        self.call.flush()

    def write_bytes(self, message: bytes) -> None:
        """Send one gRPC message of any content."""
        self.call.send(frame(message))
        self.call.flush()

    def say(self, **payload: Any) -> None:
        """Send one message: ``say(kv_op=...)``."""
        self.write(pb.UpstreamMessage(**payload))

    def send(self, topic: str, payload: bytes = b"", kind: int = pb.OPAQUE, **more: Any) -> None:
        """Send a ``SendMessage``."""
        self.say(send=pb.SendMessage(target_topic=topic, payload=payload, message_type=kind, **more))  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------------------- hearing

    async def receive(self) -> pb.DownstreamMessage:
        """The next message. The end of the stream fails the test with its status."""
        with trio.fail_after(PATIENCE_S):
            data = await self.call.receive()
        assert data is not None, "the stream ended with OK"
        return pb.DownstreamMessage.FromString(data)

    async def expect(self, member: str) -> Any:
        """The next message, which has to be of this kind."""
        message = await self.receive()
        assert message.WhichOneof("payload") == member, f"expected {member}, got {message}"
        return getattr(message, member)

    async def expect_payloads(self, count: int) -> list[bytes]:
        """Payloads of the next messages, in the order of arrival."""
        return [(await self.expect("msg")).payload for _ in range(count)]

    async def expect_error(self, code: str, text: str = "", *, retryable: bool = False) -> pb.ErrorResponse:
        """An ``ErrorResponse`` with this code, on a stream that goes on."""
        error: pb.ErrorResponse = await self.expect("error")
        assert (error.code, error.retryable) == (code, retryable), error
        assert text in error.message, error
        return error

    async def expect_status(self, code: StatusCode, text: str = "") -> None:
        """The end of the stream, as the next thing that happens."""
        data: bytes | None = None
        with trio.fail_after(PATIENCE_S):
            try:
                data = await self.call.receive()
            except RpcError as error:
                assert error.code is code, error
                assert text in error.message, error
                return
        assert data is None, f"expected the end, got {pb.DownstreamMessage.FromString(data)}"
        assert code is StatusCode.OK

    async def expect_nothing(self) -> None:
        """Nothing was on its way: the answer to a question that every principal may ask comes next."""
        await self.settle()

    async def settle(self) -> None:
        """Everything said so far has been handled, and nothing came back."""
        self._asked += 1
        request_id = f"settle-{self._asked}"
        self.say(checkpoint_op=pb.CheckpointOperation(op=pb.CheckpointOperation.LIST, request_id=request_id))
        answer = await self.expect("checkpoint")
        assert answer.request_id == request_id

    # ------------------------------------------------------------------------------------------------- leaving

    async def close(self) -> None:
        """Half-close, which the gateway answers with OK, whatever is still on its way."""
        self.call.half_close()
        self.call.flush()
        with trio.fail_after(PATIENCE_S):
            while await self.call.receive() is not None:
                pass
        await self.abort()

    async def abort(self) -> None:
        """Reset the stream and close the connection."""
        self._left.set()
        await self._gone.wait()

    async def serve(self) -> None:
        """Keep the connection until :meth:`abort`."""
        await self._left.wait()

    def mark_gone(self) -> None:
        self._gone.set()


class Wire:
    """Opens streams to one gateway; they end with the block of :func:`open_wire`."""

    def __init__(self, port: int, nursery: trio.Nursery) -> None:
        self._port = port
        self._nursery = nursery

    async def open(self, metadata: Metadata = ()) -> Peer:
        """A stream on which nothing has been said."""
        peer: Peer = await self._nursery.start(self._serve, metadata)
        return peer

    async def _serve(self, metadata: Metadata, *, task_status: trio.TaskStatus[Peer]) -> None:
        peer = None
        try:
            async with connect("127.0.0.1", self._port) as channel, channel.call(CONNECT, metadata) as call:
                peer = Peer(call)
                task_status.started(peer)
                await peer.serve()
        finally:
            if peer is not None:
                peer.mark_gone()

    async def connect(self, init: pb.InitConnection, metadata: Metadata = ()) -> Peer:
        """A stream whose acknowledgement, and snapshot if one is due, have been read."""
        peer = await self.open(metadata)
        peer.say(init=init)
        peer.ack = await peer.expect("connection_ack")
        if init.WhichOneof("client_type") in ("agent", "task"):
            peer.snapshot = await peer.expect("config")
        return peer

    async def refused(self, init: pb.InitConnection, code: StatusCode, text: str = "") -> None:
        """A connect that ends with a status and nothing before it."""
        peer = await self.open()
        peer.say(init=init)
        await peer.expect_status(code, text)
        await peer.abort()


@asynccontextmanager
async def open_wire(port: int) -> AsyncIterator[Wire]:
    """Streams to the gateway on this port."""
    async with trio.open_nursery() as nursery:
        try:
            yield Wire(port, nursery)
        finally:
            nursery.cancel_scope.cancel()
