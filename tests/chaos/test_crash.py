"""kill -9: what a client could know to be accepted is there afterwards, once, in order (design, promises)."""

from __future__ import annotations

import trio
from tests.chaos.wire import agent
from tests.support.gateway_process import GatewayProcess

from aether.proto import aether_pb2 as pb
from aether.rpc.status import RpcError

RECEIVER = "ag::chaos::chaos::receiver"


def numbered(start: int, end: int) -> list[bytes]:
    return [b"%d" % number for number in range(start, end)]


async def restart(gateway: GatewayProcess) -> None:
    await trio.to_thread.run_sync(gateway.start)


async def test_messages_to_an_absent_receiver(gateway: GatewayProcess) -> None:
    """A later answer on the sender's stream is the proof that its messages are safe."""
    async with agent(gateway.port, "sender") as sender:
        for payload in numbered(0, 2000):
            sender.send(RECEIVER, payload)
        await sender.settle()
        gateway.kill()
    await restart(gateway)
    async with agent(gateway.port, "receiver") as receiver:
        assert await receiver.receive(2000) == numbered(0, 2000)


async def test_killed_in_the_middle_of_a_stream(gateway: GatewayProcess) -> None:
    """Beyond what was proved safe there may be more, but no gap, no second copy and no other order."""
    proved = 0
    with_load = trio.Event()

    async def stream() -> None:
        nonlocal proved
        async with agent(gateway.port, "sender") as sender:
            try:
                for start in range(0, 100_000, 100):
                    for payload in numbered(start, start + 100):
                        sender.send(RECEIVER, payload)
                    await sender.settle()
                    proved = start + 100
                    if proved >= 1000:
                        with_load.set()
            except RpcError:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream)
        await with_load.wait()
        gateway.kill()
    assert proved >= 1000
    await restart(gateway)
    async with agent(gateway.port, "receiver") as receiver, agent(gateway.port, "marker") as marker:
        marker.send(RECEIVER, b"end")
        marker.flush()
        got: list[bytes] = []
        while not got or got[-1] != b"end":
            got += await receiver.receive(1)
    assert len(got) - 1 >= proved
    assert got[:-1] == numbered(0, len(got) - 1)


async def test_a_receiver_that_dies_with_unread_messages(gateway: GatewayProcess) -> None:
    """What its transport never took, the next session with its name gets, whether or not the gateway crashed."""
    size = 2000
    payloads = [payload.ljust(size) for payload in numbered(0, 3000)]
    async with agent(gateway.port, "sender") as sender:
        async with agent(gateway.port, "receiver") as receiver:
            receiver.call.pause_reading()
            for payload in payloads:
                sender.send(RECEIVER, payload)
            await sender.settle()
        gateway.kill()
    await restart(gateway)
    async with agent(gateway.port, "receiver") as receiver:
        first = await receiver.receive(1)
        start = payloads.index(first[0])
        assert start * size < 6_000_000  # it took a window at most
        assert first + await receiver.receive(2999 - start) == payloads[start:]


async def test_identities_are_free_at_once_and_can_be_resumed(gateway: GatewayProcess) -> None:
    """connection 32: nobody waits for locks that a dead process held."""
    async with (
        agent(gateway.port, "resuming") as resuming,
        agent(gateway.port, "anew"),
        agent(gateway.port, "settled") as s,
    ):
        await s.settle()
        gateway.kill()
    await restart(gateway)
    async with (
        agent(gateway.port, "anew") as anew,
        agent(gateway.port, "resuming", resume=resuming.ack.session_id) as resumed,
    ):
        assert (anew.ack.resumed, anew.ack.reconnection_count) == (False, 0)
        assert (resumed.ack.resumed, resumed.ack.reconnection_count) == (True, 1)
        assert resumed.ack.initial_connection_unix_ms == resuming.ack.initial_connection_unix_ms


async def test_answered_writes_and_checkpoints(gateway: GatewayProcess) -> None:
    """Eight writers count in their own keys; whatever was answered is there, and at most one write more."""
    answered = [0] * 8
    busy = trio.Event()

    async def count(index: int) -> None:
        operation = pb.KVOperation(op=pb.KVOperation.INCREMENT, scope=pb.KVOperation.GLOBAL, key=f"counter-{index}")
        async with agent(gateway.port, f"writer-{index}") as writer:
            try:
                while True:
                    answered[index] = (await writer.ask(operation)).kv.counter_value
                    if min(answered) >= 30:
                        busy.set()
            except RpcError:
                return

    async with trio.open_nursery() as nursery:
        for index in range(8):
            nursery.start_soon(count, index)
        await busy.wait()
        gateway.kill()
    await restart(gateway)
    async with agent(gateway.port, "reader") as reader:
        for index, known in enumerate(answered):
            read = pb.KVOperation(op=pb.KVOperation.GET, scope=pb.KVOperation.GLOBAL, key=f"counter-{index}")
            assert int((await reader.ask(read)).kv.value) in (known, known + 1)
