"""Readers that stop, connections that break in the middle of a frame, a gateway that stands still, a full disk."""

from __future__ import annotations

import resource
import signal
import socket
import struct

import trio
from tests.chaos.wire import agent, resident_bytes
from tests.support.gateway_process import GatewayProcess

from aether.proto import aether_pb2 as pb

RECEIVER = "ag::chaos::chaos::receiver"
MEMORY_MAX = 96 * 1024 * 1024
"""The store's page caches, and what waits for the disk."""
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def test_a_reader_that_stops_loses_nothing_and_costs_little(gateway: GatewayProcess) -> None:
    payloads = [b"%d" % number + b"." * 8000 for number in range(20_000)]
    async with agent(gateway.port, "receiver") as receiver, agent(gateway.port, "sender") as sender:
        receiver.call.pause_reading()
        before = resident_bytes(gateway.pid)
        for number, payload in enumerate(payloads):
            sender.send(RECEIVER, payload)
            if number % 100 == 0:
                sender.flush()
                await sender.call.wait_pending_below(1 << 20)
        await sender.settle()
        assert resident_bytes(gateway.pid) - before < MEMORY_MAX  # 160 MB were sent
        receiver.call.resume_reading()
        assert await receiver.receive(len(payloads)) == payloads


async def test_a_slow_reader_does_not_hold_up_others(gateway: GatewayProcess) -> None:
    async with (
        agent(gateway.port, "receiver") as slow,
        agent(gateway.port, "quick") as quick,
        agent(gateway.port, "sender") as sender,
    ):
        slow.call.pause_reading()
        for number in range(2000):
            sender.send(RECEIVER, b"%d" % number + b"." * 4000)
            sender.send("ag::chaos::chaos::quick", b"%d" % number)
        await sender.settle()
        assert await quick.receive(2000) == [b"%d" % number for number in range(2000)]


async def test_a_connection_cut_in_the_middle_of_a_frame(gateway: GatewayProcess) -> None:
    """Whatever a broken connection leaves behind, the next one with its name is admitted at once."""
    for length in (10, 24, 30, 33, 40):
        with socket.create_connection(("127.0.0.1", gateway.port)) as raw:
            settings = bytes(3) + b"\x04" + bytes(5)
            raw.sendall((PREFACE + settings + b"\x00\x10\x00\x01\x04\x00\x00\x00\x01half a header")[:length])
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing sends a reset
    for _ in range(20):
        async with agent(gateway.port, "cut") as cut:
            cut.call.send(b"\0\0\0\x10\0partly")
            cut.flush()


async def test_a_gateway_that_stands_still_goes_on(gateway: GatewayProcess) -> None:
    payloads = [b"%d" % number for number in range(1000)]
    async with agent(gateway.port, "receiver") as receiver, agent(gateway.port, "sender") as sender:
        gateway.signal(signal.SIGSTOP)
        try:
            for payload in payloads:
                sender.send(RECEIVER, payload)
            sender.flush()
            await trio.sleep(1)
        finally:
            gateway.signal(signal.SIGCONT)
        assert await receiver.receive(1000) == payloads


async def test_a_full_disk(gateway: GatewayProcess) -> None:
    """While the store cannot grow, writes get a retryable error and sessions live on; then all is as if nothing was."""
    put = pb.KVOperation(op=pb.KVOperation.PUT, scope=pb.KVOperation.GLOBAL, key="k", value=b"before")
    get = pb.KVOperation(op=pb.KVOperation.GET, scope=pb.KVOperation.GLOBAL, key="k")
    async with agent(gateway.port, "writer") as writer, agent(gateway.port, "receiver") as receiver:
        assert (await writer.ask(put)).kv.success
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        try:
            for value in (b"in doubt", b"refused"):
                put.value = value
                answer = await writer.ask(put)
                assert answer.error.retryable
                assert answer.error.code == "KV_ERROR_UNAVAILABLE"
                assert not (await writer.next()).kv.success
            writer.send(RECEIVER, b"delivered")
            writer.flush()
            assert await receiver.receive(1) == [b"delivered"]
            writer.send("ag::chaos::chaos::absent", b"kept")
            writer.flush()
        finally:
            resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        put.value = b"after"
        while (await writer.ask(put)).WhichOneof("payload") == "error":  # until the store tried again
            await writer.next()
        gateway.kill()
    await trio.to_thread.run_sync(gateway.start)
    async with agent(gateway.port, "writer") as writer:
        assert (await writer.ask(get)).kv.value == b"after"
    async with agent(gateway.port, "absent") as absent:
        assert await absent.receive(1) == [b"kept"]
