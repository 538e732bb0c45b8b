"""How a load generator talks: ends that send prepared messages to each other and are called with what arrived.

All fabrics do the same work for a message of a pair: one receive and one send of the server, with the same payload. An
echo has no second end; what an end sends comes back to it.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

import trio

from aether.proto import aether_pb2 as pb
from aether.rpc.client import ClientCall, connect
from aether.rpc.status import frame
from bench.echoes import ECHO

__all__ = ["CONNECT", "AetherFabric", "EchoFabric", "End", "Fabric", "NatsFabric", "create_fabric", "upstream"]

CONNECT = "/aether.v1.AetherGateway/Connect"
BATCH = 256 * 1024
Arrived = Callable[[list[bytes]], None]


def upstream(**payload: object) -> bytes:
    """A frame of a client."""
    return frame(pb.UpstreamMessage(**payload).SerializeToString())  # type: ignore[arg-type]


def message(topic: str, payload: bytes) -> bytes:
    return upstream(send=pb.SendMessage(target_topic=topic, payload=payload, message_type=pb.OPAQUE))


class End(Protocol):
    """One that sends and gets messages."""

    def on_arrival(self, arrived: Arrived) -> None:
        """Call this with each batch of raw messages, from now on; what it sends is flushed after it."""

    def send(self, prepared: bytes) -> object: ...

    def flush(self) -> None: ...


class Fabric(Protocol):
    """Where ends meet."""

    echoes: bool
    """What an end sends comes back to itself."""

    async def end(self, name: str) -> End:
        """Connect; the end of this name gets what others send to it."""

    def prepare(self, to: str, payload: bytes) -> bytes:
        """What an end sends to get a payload to another one."""

    def prepare_all(self, payload: bytes) -> bytes:
        """What gets a payload to every end of :meth:`member`."""

    async def member(self, name: str) -> End:
        """An end that gets what is sent to all, not its own."""


class AetherEnd:
    """A session, or a stream of an echo."""

    def __init__(self, call: ClientCall) -> None:
        self.call = call
        self.send = call.send
        self.flush = call.flush

    def on_arrival(self, arrived: Arrived) -> None:
        self.call.set_sink(arrived, lambda: None)


class _GrpcFabric:
    """Frames of a gateway's clients, on a connection for each stream."""

    def __init__(self, port: int, stack: AsyncExitStack) -> None:
        self.port = port
        self._stack = stack

    async def _call(self, path: str) -> ClientCall:
        channel = await self._stack.enter_async_context(connect("127.0.0.1", self.port))
        return await self._stack.enter_async_context(channel.call(path))

    def prepare(self, to: str, payload: bytes) -> bytes:
        return message("ag::bench::" + "::".join(to.split(".")), payload)

    def prepare_all(self, payload: bytes) -> bytes:
        return message("ga::all", payload)


class AetherFabric(_GrpcFabric):
    """Agents of a gateway."""

    echoes = False

    async def agent(self, implementation: str, specifier: str, workspace: str = "bench") -> ClientCall:
        """A connected agent that has its ack and snapshot."""
        who = pb.AgentIdentity(workspace=workspace, implementation=implementation, specifier=specifier)
        return await self.session(pb.InitConnection(agent=who))

    async def session(self, init: pb.InitConnection) -> ClientCall:
        """A connected client that has its ack and snapshot."""
        call = await self._call(CONNECT)
        call.send(upstream(init=init))
        call.flush()
        await call.receive()
        await call.receive()
        return call

    async def end(self, name: str) -> AetherEnd:
        return AetherEnd(await self.agent(*name.split(".")))

    async def member(self, name: str) -> AetherEnd:
        return AetherEnd(await self.agent("member", name, "all"))


class EchoFabric(_GrpcFabric):
    """Streams of a gRPC echo; the bytes are those that a gateway would get."""

    echoes = True

    async def end(self, name: str) -> AetherEnd:
        call = await self._call(ECHO)
        call.send(self.prepare(name, b"hello"))
        call.flush()
        await call.receive()
        return AetherEnd(call)

    member = end


class NatsEnd:
    """A connection that speaks the text protocol of NATS."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._out: list[bytes] = []
        self._waiting = trio.Event()
        self._arrived: Arrived = lambda _: None
        self._replies = 0

    def on_arrival(self, arrived: Arrived) -> None:
        self._arrived = arrived

    def send(self, prepared: bytes) -> None:
        self._out.append(prepared)

    def flush(self) -> None:
        """One non-blocking send; what does not fit waits for the writer."""
        if self._waiting.is_set() or not self._out:
            return
        data = b"".join(self._out)
        self._out.clear()
        try:
            sent = os.write(self._stream.socket.fileno(), data)  # trio's own needs a task switch
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._out.append(data[sent:])
            self._waiting.set()

    async def write(self) -> None:
        """Send what did not fit."""
        while True:
            await self._waiting.wait()
            data = b"".join(self._out)
            self._out.clear()
            await self._stream.send_all(data)
            if not self._out:
                self._waiting = trio.Event()

    async def read(self) -> None:
        """Hand over what arrives until the server ends the connection."""
        rest = b""
        while data := await self._stream.receive_some(BATCH):
            rest += data
            at = 0
            batch: list[bytes] = []
            while (line_end := rest.find(b"\r\n", at)) >= 0:
                line = rest[at:line_end]
                if line.startswith(b"MSG "):
                    start = line_end + 2
                    stop = start + int(line[line.rindex(b" ") + 1 :])
                    if stop + 2 > len(rest):
                        break
                    if not line.startswith(b"MSG _ack"):  # a stream's answer to what we sent
                        batch.append(rest[start:stop])
                    at = stop + 2
                    continue
                if line == b"PING":
                    self._out.append(b"PONG\r\n")
                elif line.startswith(b"-ERR"):
                    raise RuntimeError(line.decode())
                at = line_end + 2
            rest = rest[at:]
            if batch:
                self._arrived(batch)
            self.flush()


class NatsFabric:
    """Clients of a nats-server; with a stream, messages are stored in it, and consumers deliver them from there."""

    echoes = False

    def __init__(self, port: int, stack: AsyncExitStack, nursery: trio.Nursery, *, stream: bool) -> None:
        self._port, self._stack, self._nursery, self._stream = port, stack, nursery, stream
        self._ends = 0

    async def _connect(self, *subjects: str) -> NatsEnd:
        stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        stream.socket.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        await self._stack.enter_async_context(stream)
        await stream.receive_some()  # INFO
        text = 'CONNECT {"verbose":false,"echo":false}\r\n'
        text += "".join(f"SUB {subject} {number}\r\n" for number, subject in enumerate(subjects, 1))
        await stream.send_all(text.encode() + b"PING\r\n")
        answer = b""
        while b"PONG\r\n" not in answer:
            answer += await stream.receive_some()
        end = NatsEnd(stream)
        self._nursery.start_soon(end.read)
        self._nursery.start_soon(end.write)
        return end

    async def end(self, name: str) -> NatsEnd:
        if not self._stream:
            return await self._connect(f"bench.{name}")
        self._ends += 1
        end = await self._connect(f"to.{name}", f"_ack.{name}")
        await consume(self._port, f"bench.{name}", f"to.{name}")
        return end

    async def member(self, name: str) -> NatsEnd:
        if not self._stream:
            return await self._connect("all")
        end = await self._connect(f"to.all.{name}", "_ack.all")
        await consume(self._port, "bench.all", f"to.all.{name}")
        return end

    def prepare(self, to: str, payload: bytes) -> bytes:
        # The answer goes to the receiver's name with a stream; who gets it matters to nobody, that it is sent does.
        reply = f" _ack.{to}" if self._stream else ""
        return f"PUB bench.{to}{reply} {len(payload)}\r\n".encode() + payload + b"\r\n"

    def prepare_all(self, payload: bytes) -> bytes:
        subject = "bench.all _ack.all" if self._stream else "all"
        return f"PUB {subject} {len(payload)}\r\n".encode() + payload + b"\r\n"


async def nats_request(port: int, subject: str, body: bytes) -> bytes:
    """One request on a connection of its own; the payload of the answer."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        text = f'CONNECT {{"verbose":false}}\r\nSUB _one 1\r\nPUB {subject} _one {len(body)}\r\n'
        await stream.send_all(text.encode() + body + b"\r\n")
        answer = b""
        while b"MSG _one" not in answer or not answer.endswith(b"}\r\n"):
            data = await stream.receive_some()
            if not data:
                raise RuntimeError("nats-server ended the connection")
            answer += data
    if b'"error"' in answer:
        raise RuntimeError(answer.decode())
    return answer


async def consume(port: int, subject: str, deliver: str) -> None:
    """A push consumer of the stream, without acknowledgements: the least that it can do for a delivery."""
    name = deliver.replace(".", "_")
    config = f'"durable_name":"{name}","deliver_subject":"{deliver}","filter_subject":"{subject}","ack_policy":"none"'
    body = f'{{"stream_name":"bench","config":{{{config},"deliver_policy":"new"}}}}'
    await nats_request(port, f"$JS.API.CONSUMER.DURABLE.CREATE.bench.{name}", body.encode())


@asynccontextmanager
async def create_fabric(protocol: str, port: int) -> AsyncIterator[Fabric]:
    """What speaks the protocol of a side: ``aether``, ``echo``, ``nats``, ``jetstream``."""
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        match protocol:
            case "aether":
                yield AetherFabric(port, stack)
            case "echo":
                yield EchoFabric(port, stack)
            case "nats" | "jetstream":
                yield NatsFabric(port, stack, nursery, stream=protocol == "jetstream")
            case _:
                raise ValueError(protocol)
        nursery.cancel_scope.cancel()
