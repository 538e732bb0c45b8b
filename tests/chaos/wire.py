"""Agents on the raw wire, for tests that have to stop reading, cut connections and count every message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from aether.proto import aether_pb2 as pb
from aether.rpc.client import ClientCall, connect
from aether.rpc.status import RpcError, StatusCode, frame

__all__ = ["CONNECT", "Agent", "agent", "resident_bytes"]

CONNECT = "/aether.v1.AetherGateway/Connect"
PATIENCE_S = 30.0
"""A test that waits longer has failed."""


class Agent:
    """One open session."""

    def __init__(self, call: ClientCall, ack: pb.ConnectionAck) -> None:
        self.call = call
        self.ack = ack

    def put(self, message: pb.UpstreamMessage) -> None:
        """Queue a message; `flush` or a later `ask` sends it."""
        self.call.send(frame(message.SerializeToString()))

    def send(self, topic: str, payload: bytes) -> None:
        """Queue a message to a topic."""
        self.put(pb.UpstreamMessage(send=pb.SendMessage(target_topic=topic, payload=payload)))

    def flush(self) -> None:
        self.call.flush()

    async def next(self) -> pb.DownstreamMessage:
        """The next message of any kind.

        :raises RpcError: the stream ended.
        """
        with trio.fail_after(PATIENCE_S):
            data = await self.call.receive()
        if data is None:
            raise RpcError(StatusCode.OK, "the stream ended")
        return pb.DownstreamMessage.FromString(data)

    async def receive(self, count: int) -> list[bytes]:
        """The payloads of the next routed messages."""
        payloads: list[bytes] = []
        while len(payloads) < count:
            message = await self.next()
            assert message.WhichOneof("payload") == "msg", message
            payloads.append(message.msg.payload)
        return payloads

    async def ask(self, operation: pb.KVOperation) -> pb.DownstreamMessage:
        """A key/value operation and its answer, which also says that everything sent before it is safe."""
        operation.request_id = "q"
        self.put(pb.UpstreamMessage(kv_op=operation))
        self.flush()
        return await self.next()

    async def settle(self) -> None:
        """Return once the gateway has made safe whatever this agent sent."""
        answer = await self.ask(pb.KVOperation(op=pb.KVOperation.GET, scope=pb.KVOperation.GLOBAL_EXCLUSIVE, key="-"))
        assert answer.kv.success


@asynccontextmanager
async def agent(port: int, name: str, *, resume: str = "") -> AsyncIterator[Agent]:
    """Connect `ag::chaos::chaos::NAME`; leaving resets the stream, as a crash of the client would."""
    identity = pb.AgentIdentity(workspace="chaos", implementation="chaos", specifier=name)
    async with connect("127.0.0.1", port) as channel, channel.call(CONNECT) as call:
        call.send(
            frame(
                pb.UpstreamMessage(init=pb.InitConnection(agent=identity, resume_session_id=resume)).SerializeToString()
            )
        )
        call.flush()
        opened = Agent(call, pb.ConnectionAck())
        first = await opened.next()
        assert first.WhichOneof("payload") == "connection_ack", first
        assert (await opened.next()).WhichOneof("payload") == "config"
        opened.ack = first.connection_ack
        yield opened


def resident_bytes(pid: int) -> int:
    """Memory of a process."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096
