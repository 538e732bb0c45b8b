"""What a load generator does; each returns the figures of its run.

Those of messages run on any fabric, the others are a gateway's.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import trio

from aether.proto import aether_pb2 as pb
from aether.rpc.client import ClientCall, connect
from aether.rpc.tls import client_context
from bench.fabrics import CONNECT, AetherFabric, End, Fabric, message, upstream
from bench.measure import STAMP, Latencies, Sample, cpu_seconds, resident_bytes

__all__ = ["WORKLOADS", "Load"]

WARM_UP_S = 0.7
MARK = b"\xf1LATENCY"
TICK_S = 0.0001
PENDING_MAX = 2_000_000


@dataclass
class Load:
    """One generator's part of a run.

    :ivar pid: of the server.
    :ivar directory: what the runner left for clients is here.
    :ivar share: number of this generator, of as many as ``shares``, each of which has its own ends.
    :ivar count: operations so far.
    """

    fabric: Fabric
    pid: int
    seconds: float
    directory: Path
    share: int = 0
    shares: int = 1
    count: int = field(default=0, init=False)

    @property
    def gateway(self) -> AetherFabric:
        return cast(AetherFabric, self.fabric)

    async def all_generators(self) -> None:
        """Until every one has come this far, so that they measure the same seconds."""
        (self.directory / f"generator-{self.share}").touch()
        while len(list(self.directory.glob("generator-*"))) < self.shares:
            await trio.sleep(0.01)

    async def measure(self) -> Sample:
        """Operations a second and the server's CPU for each, after a warm-up."""
        await self.all_generators()
        await trio.sleep(WARM_UP_S)
        count, started, cpu = self.count, time.perf_counter(), cpu_seconds(self.pid)
        await trio.sleep(self.seconds)
        done = self.count - count
        elapsed = time.perf_counter() - started
        return {"per_second": done / elapsed, "cpu_us": (cpu_seconds(self.pid) - cpu) / max(done, 1) * 1e6}


# -------------------------------------------------------------------------------------------------- messages

Pair = tuple[tuple[End, bytes], tuple[End, bytes]]


async def open_pairs(load: Load, number: int, size: int) -> list[Pair]:
    """Pairs of ends, each with what it sends to the other."""
    payload = b"x" * size
    pairs = []
    for index in range(load.share, number, load.shares):
        names = f"pair-{index}.a", f"pair-{index}.b"
        a, b = [await load.fabric.end(name) for name in names]
        pairs.append(((a, load.fabric.prepare(names[1], payload)), (b, load.fabric.prepare(names[0], payload))))
    return pairs


async def pairs(load: Load, number: int, window: int, size: int = 256, soak: bool = False) -> Sample:
    """Pairs of ends that answer each message with one, ``window`` of them under way in each pair."""
    exchange(load, await open_pairs(load, number, size), window)
    return await (measure_growth(load) if soak else load.measure())


def exchange(load: Load, everyone: list[Pair], window: int) -> None:
    """Let pairs begin."""
    for pair in everyone:
        for end, answer in pair:

            def arrived(batch: list[bytes], end: End = end, answer: bytes = answer) -> None:
                load.count += len(batch)
                for _ in batch:
                    end.send(answer)

            end.on_arrival(arrived)
    for first, second in everyone:
        for turn in range(window):  # an echo's messages stay with the end that sent them
            end, prepared = second if load.fabric.echoes and turn % 2 else first
            end.send(prepared)
        first[0].flush()
        second[0].flush()


async def measure_growth(load: Load) -> Sample:
    """How the server's memory grows while it works, and whether it gets slower; a fifth of the time is to get going."""
    await trio.sleep(load.seconds / 5)
    memory = resident_bytes(load.pid)
    load.seconds /= 2
    first, second = await load.measure(), await load.measure()
    grew_mib = (resident_bytes(load.pid) - memory) / 2**20
    return {**second, "grew_mib": grew_mib, "of_first_half": second["per_second"] / first["per_second"]}


async def pairs_beside(load: Load, topics: int, each: int) -> Sample:
    """``pairs`` of a gateway that retains messages for agents that are away: so many topics with so many messages."""
    filler = await load.gateway.agent("filler", "f")
    for number in range(topics):
        for _ in range(each):
            filler.send(message(f"ag::bench::away::{number}", b"x" * 64))
        if filler.pending > PENDING_MAX:
            filler.flush()
            await filler.wait_pending_below(PENDING_MAX // 2)
    filler.flush()
    await kv_round(filler)
    return await pairs(load, 50, 8)


async def kv_round(call: ClientCall) -> None:
    """An answer to a request, so what was sent before it was taken."""
    get = pb.KVOperation(op=pb.KVOperation.GET, scope=pb.KVOperation.GLOBAL_EXCLUSIVE, key="k", request_id="r")
    call.send(upstream(kv_op=get))
    call.flush()
    while not pb.DownstreamMessage.FromString(await call.receive() or b"").HasField("kv"):
        pass


async def open_loop(load: Load, number: int, rate: float) -> Sample:
    """Messages at a fixed rate, whether or not earlier ones arrived; latency counts from when a message was due, so
    that a stalled server cannot hide the messages that it kept from being sent."""
    latencies = Latencies()
    measuring = False
    ends = []

    def arrived(batch: list[bytes]) -> None:
        load.count += len(batch)
        if measuring:
            now = time.monotonic_ns()
            for data in batch:
                at = data.index(MARK)
                latencies.add(now - STAMP.unpack_from(data, at)[1])

    for index in range(load.share, number, load.shares):
        names = f"pair-{index}.a", f"pair-{index}.b"
        sender, receiver = [await load.fabric.end(name) for name in names]
        (sender if load.fabric.echoes else receiver).on_arrival(arrived)
        prepared = load.fabric.prepare(names[1], STAMP.pack(MARK, 0) + b"x" * (256 - STAMP.size))
        at = prepared.index(MARK)
        ends.append((sender, prepared[:at], prepared[at + STAMP.size :]))

    async def send() -> None:
        period = 1e9 * load.shares / rate
        due = float(time.monotonic_ns())
        turn = 0
        while True:
            now = time.monotonic_ns()
            busy = set()
            while due <= now:
                end, before, after = ends[turn]
                turn = (turn + 1) % len(ends)
                end.send(before + STAMP.pack(MARK, int(due)) + after)
                busy.add(end)
                due += period
            for end in busy:
                end.flush()
            await trio.sleep(TICK_S)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await load.all_generators()
        await trio.sleep(WARM_UP_S)
        measuring = True
        count, cpu, started = load.count, cpu_seconds(load.pid), time.perf_counter()
        await trio.sleep(load.seconds)
        elapsed, done = time.perf_counter() - started, load.count - count
        used = cpu_seconds(load.pid) - cpu
        nursery.cancel_scope.cancel()
    return {"per_second": done / elapsed, "cpu_us": used / max(done, 1) * 1e6, **latencies.sample()}


async def fan_out(load: Load, receivers: int, window: int) -> Sample:
    """One agent sends to all of a workspace, ``window`` broadcasts under way; one is over when the last got it."""
    arrived = 0
    sender = await load.fabric.end("sender.s")
    broadcast = load.fabric.prepare_all(b"x" * 256)

    def got(batch: list[bytes]) -> None:
        nonlocal arrived
        load.count += len(batch)
        arrived += len(batch)
        if arrived >= receivers:
            while arrived >= receivers:
                arrived -= receivers
                sender.send(broadcast)
            sender.flush()

    for index in range(receivers):
        (await load.fabric.member(str(index))).on_arrival(got)
    sender.on_arrival(lambda _: None)
    for _ in range(window):
        sender.send(broadcast)
    sender.flush()
    return await load.measure()


async def workers(load: Load, number: int, window: int) -> Sample:
    """Tasks without a name of their own compete for messages; each makes its worker ask for another."""
    boss = await load.gateway.agent("boss", "b")
    job = message("tb::bench::pool", b"x" * 256)
    counts = [0] * number
    for index in range(number):
        task = pb.TaskIdentity(workspace="bench", implementation="pool")
        worker = await load.gateway.session(pb.InitConnection(task=task))

        def arrived(batch: list[bytes], index: int = index) -> None:
            load.count += len(batch)
            counts[index] += len(batch)
            for _ in batch:
                boss.send(job)
            boss.flush()

        worker.set_sink(arrived, lambda: None)
    for _ in range(window):
        boss.send(job)
    boss.flush()
    result = await load.measure()
    return {**result, "least_share": min(counts) * number / max(sum(counts), 1)}


async def slow_and_fast(load: Load, slow: int) -> Sample:
    """Fifty fast pairs, while other agents, to whom as much is sent, do not read; then those do: what is lost?"""
    receivers, missing = [], [0] * slow
    sender = await load.gateway.agent("slow", "sender")
    sent = 0
    for index in range(slow):
        receiver = await load.gateway.agent("slow", str(index))
        receiver.pause_reading()
        receivers.append(receiver)

    async def fill() -> None:
        nonlocal sent
        frames = [message(f"ag::bench::slow::{index}", b"x" * 1024) for index in range(slow)]
        while True:
            for prepared in frames:
                sender.send(prepared)
            sent += 1
            sender.flush()
            await sender.wait_pending_below(100_000)
            await trio.sleep(0.002)

    everyone = await open_pairs(load, 50, 256)
    memory = resident_bytes(load.pid)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill)
        exchange(load, everyone, 8)
        result = await load.measure()
        nursery.cancel_scope.cancel()
    result["grew_mib"] = (resident_bytes(load.pid) - memory) / 2**20
    complete = trio.Event()
    for index, receiver in enumerate(receivers):

        def arrived(batch: list[bytes], index: int = index) -> None:
            missing[index] += len(batch)
            if min(missing) >= sent:
                complete.set()

        receiver.set_sink(arrived, lambda: None)
        receiver.resume_reading()
        receiver.flush()
    with trio.move_on_after(20):
        await complete.wait()
    return {**result, "lost": sum(sent - got for got in missing)}


async def slow_reader(load: Load, messages: int) -> Sample:
    """A receiver that does not read while messages arrive for it, then does: how many are lost."""
    sender, receiver = await load.gateway.agent("slow", "sender"), await load.gateway.agent("slow", "receiver")
    receiver.pause_reading()
    received = 0
    complete = trio.Event()

    def arrived(batch: list[bytes]) -> None:
        nonlocal received
        received += len(batch)
        if received >= messages:
            complete.set()

    receiver.set_sink(arrived, lambda: None)
    memory = resident_bytes(load.pid)
    send = message("ag::bench::slow::receiver", b"x" * 1024)
    for _ in range(messages):
        sender.send(send)
        if sender.pending > 100_000:
            sender.flush()
            await sender.wait_pending_below(50_000)
    sender.flush()
    await trio.sleep(3)
    grown = resident_bytes(load.pid) - memory
    receiver.resume_reading()
    receiver.flush()
    with trio.move_on_after(20):
        await complete.wait()
    return {"lost": messages - received, "grew_mib": grown / 2**20}


async def replay(load: Load, messages: int) -> Sample:
    """An agent comes back and gets all that was retained for it."""
    async with connect("127.0.0.1", load.gateway.port) as channel, channel.call(CONNECT) as call:
        agent = pb.AgentIdentity(workspace="bench", implementation="reader", specifier="r")
        call.send(upstream(init=pb.InitConnection(agent=agent)))
        call.flush()
        await call.receive()
        await call.receive()
        call.half_close()
        call.flush()
        while await call.receive() is not None:
            pass
    sender = await load.gateway.agent("writer", "w")
    frame = message("ag::bench::reader::r", b"x" * 64)
    for _ in range(messages // 100):
        for _ in range(100):
            sender.send(frame)
        if sender.pending > PENDING_MAX:
            sender.flush()
            await sender.wait_pending_below(PENDING_MAX // 2)
    sender.flush()
    await kv_round(sender)
    await trio.sleep(1)
    cpu, started = cpu_seconds(load.pid), time.perf_counter()
    reader = await load.gateway.agent("reader", "r")
    complete = trio.Event()

    def arrived(batch: list[bytes]) -> None:
        load.count += len(batch)
        if load.count >= messages:
            complete.set()

    reader.set_sink(arrived, lambda: None)
    with trio.move_on_after(60):
        await complete.wait()
    elapsed, got = time.perf_counter() - started, max(load.count, 1)
    return {
        "per_second": load.count / elapsed,
        "cpu_us": (cpu_seconds(load.pid) - cpu) / got * 1e6,
        "lost": messages - load.count,
    }


# ------------------------------------------------------------------------------------------- values and tasks


async def requests(load: Load, clients: int, window: int, operations: list[bytes]) -> Sample:
    """Clients that ask, one operation after the other in turn, ``window`` of them under way."""
    calls = []
    for index in range(clients):
        call = await load.gateway.agent(f"asks-{index}", "s")
        turn = [0]

        def step(call: ClientCall = call, turn: list[int] = turn) -> None:
            turn[0] += 1
            call.send(operations[turn[0] % len(operations)])

        def arrived(batch: list[bytes], step: Callable[[], None] = step) -> None:
            load.count += len(batch)
            for _ in batch:
                step()

        call.set_sink(arrived, lambda: None)
        calls.append((call, step))
    for call, step in calls:
        for _ in range(window):
            step()
        call.flush()
    return await load.measure()


async def key_value(load: Load, clients: int, window: int) -> Sample:
    """Put and get of one private key, in turn; each value is another one, since storing the same costs a store less."""
    private = {"scope": pb.KVOperation.GLOBAL_EXCLUSIVE, "key": "k", "request_id": "r"}
    get = pb.KVOperation(op=pb.KVOperation.GET, **private)  # type: ignore[arg-type]
    messages = []
    for number in range(100):
        value = b"%0100d" % number
        put = pb.KVOperation(op=pb.KVOperation.PUT, value=value, **private)  # type: ignore[arg-type]
        messages += [upstream(kv_op=put), upstream(kv_op=get)]
    return await requests(load, clients, window, messages)


async def checkpoints(load: Load, clients: int, window: int) -> Sample:
    """Save and load of one checkpoint of 4 KiB, in turn."""
    save = pb.CheckpointOperation(op=pb.CheckpointOperation.SAVE, data=b"x" * 4096, request_id="r")
    load_it = pb.CheckpointOperation(op=pb.CheckpointOperation.LOAD, request_id="r")
    return await requests(load, clients, window, [upstream(checkpoint_op=save), upstream(checkpoint_op=load_it)])


def task_op(op: int, task_id: str) -> bytes:
    return upstream(task_op=pb.TaskOperation(op=op, task_id=task_id, request_id="r"))  # type: ignore[arg-type]


async def tasks(load: Load, clients: int) -> Sample:
    """Create, claim and complete a task, one after the other, in each client; counts whole tasks."""
    create = upstream(create_task=pb.CreateTaskRequest(request_id="r", payload=b"x" * 256, task_type="bench"))
    calls = []
    for index in range(clients):
        call = await load.gateway.agent("tasks", str(index))

        def arrived(batch: list[bytes], call: ClientCall = call) -> None:
            for data in batch:
                answer = pb.DownstreamMessage.FromString(data)
                kind = answer.WhichOneof("payload")
                if kind == "create_task":
                    call.send(task_op(pb.TaskOperation.CLAIM, answer.create_task.task_id))
                elif kind == "task_op" and answer.task_op.task.status == pb.TASK_STATUS_RUNNING:
                    call.send(task_op(pb.TaskOperation.COMPLETE, answer.task_op.task.task_id))
                elif kind == "task_op":
                    load.count += 1
                    call.send(create)
            call.flush()

        call.set_sink(arrived, lambda: None)
        calls.append(call)
    for call in calls:
        call.send(create)
        call.flush()
    return await load.measure()


async def dispatch(load: Load) -> Sample:
    """From the create of a pool's task to its assignment at an idle worker, one at a time."""
    boss, worker = await load.gateway.agent("boss", "b"), await load.gateway.agent("pool", "w")
    create = upstream(
        create_task=pb.CreateTaskRequest(
            request_id="r", payload=b"x" * 256, assignment_mode=pb.POOL, target_implementation="pool"
        )
    )
    latencies = Latencies()
    began = 0

    def arrived(batch: list[bytes]) -> None:
        nonlocal began
        for data in batch:
            answer = pb.DownstreamMessage.FromString(data)
            if answer.HasField("task_assignment"):
                latencies.add(time.monotonic_ns() - began)
                load.count += 1
                worker.send(task_op(pb.TaskOperation.COMPLETE, answer.task_assignment.task_id))
            elif answer.HasField("task_op"):
                began = time.monotonic_ns()
                boss.send(create)
                boss.flush()
        worker.flush()

    worker.set_sink(arrived, lambda: None)
    boss.set_sink(lambda _: None, lambda: None)
    began = time.monotonic_ns()
    boss.send(create)
    boss.flush()
    return {**await load.measure(), **latencies.sample()}


# ---------------------------------------------------------------------------------------------------- sessions


async def connects(load: Load, mode: str) -> Sample:
    """Clients that connect, get their ack, and leave in order, one after the other each; a new TCP connection every
    time."""
    clients = json.loads((load.directory / "clients.json").read_text())

    async def come_and_go(number: int, shown: dict[str, Any]) -> None:
        files = {name: value for name, value in shown.items() if name != "credentials"}
        context = client_context(**files) if files else None
        if mode == "bearer":
            who: dict[str, Any] = {"user": pb.UserIdentity(user_id="alice", window_id=str(number))}
        else:
            agent = pb.AgentIdentity(workspace="bench", implementation="connect", specifier=str(number))
            who = {"agent": agent}
        init = upstream(init=pb.InitConnection(credentials=shown.get("credentials", {}), **who))
        while True:
            async with connect("localhost", load.gateway.port, tls=context) as channel, channel.call(CONNECT) as call:
                call.send(init)
                call.flush()
                if await call.receive() is None:
                    raise RuntimeError(f"refused: {call.status}")
                call.half_close()
                call.flush()
                while await call.receive() is not None:
                    pass
            load.count += 1

    async with trio.open_nursery() as nursery:
        for number, shown in enumerate(clients):
            nursery.start_soon(come_and_go, number, shown)
        result = await load.measure()
        nursery.cancel_scope.cancel()
    return result


async def idle(load: Load, sessions: int) -> Sample:
    """Sessions that only connect: CPU of each connect, all of the server's memory by session, CPU while all are
    idle."""
    cpu, started = cpu_seconds(load.pid), time.perf_counter()
    for index in range(sessions):
        await load.fabric.end(f"idle.{index}")
    elapsed = time.perf_counter() - started
    used = cpu_seconds(load.pid) - cpu
    await trio.sleep(5)  # what came with the connects is written and moved by then
    waiting = await wait(load)
    return {
        "per_second": sessions / elapsed,
        "cpu_us": used / sessions * 1e6,
        "kib_each": resident_bytes(load.pid) / sessions / 1024,
        "cpu_percent": waiting["cpu_percent"],
    }


async def wait(load: Load) -> Sample:
    """Nothing happens; the gateway has what the runner put into its store."""
    await trio.sleep(2)
    cpu = cpu_seconds(load.pid)
    await trio.sleep(load.seconds)
    used = cpu_seconds(load.pid) - cpu
    return {"cpu_percent": used / load.seconds * 100, "resident_mib": resident_bytes(load.pid) / 2**20}


WORKLOADS: dict[str, Callable[..., Awaitable[Sample]]] = {
    "pairs": pairs,
    "pairs_beside": pairs_beside,
    "soak": functools.partial(pairs, soak=True),
    "open_loop": open_loop,
    "fan_out": fan_out,
    "workers": workers,
    "slow_and_fast": slow_and_fast,
    "slow_reader": slow_reader,
    "replay": replay,
    "key_value": key_value,
    "checkpoints": checkpoints,
    "tasks": tasks,
    "dispatch": dispatch,
    "connects": connects,
    "idle": idle,
    "wait": wait,
}
