"""The load: clients on the compiled engine, frames built once, counters read by the runner.

Runs in a process of its own. ``python -m bench.load SUITE PORT PID SECONDS DIRECTORY`` prints one JSON line.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import trio

from aether.proto import aether_pb2 as pb
from aether.rpc.client import ClientCall, connect
from aether.rpc.status import frame
from aether.rpc.tls import client_context

CONNECT = "/aether.v1.AetherGateway/Connect"
PAYLOAD = b"x" * 256
CONNECT_MODES = ("anonymous", "api-key", "task-token", "bearer", "tls", "mtls")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def upstream(**payload: object) -> bytes:
    return frame(pb.UpstreamMessage(**payload).SerializeToString())  # type: ignore[arg-type]


class Load:
    """Agents of one run and what they did."""

    def __init__(self, port: int, pid: int, seconds: float, directory: Path, stack: AsyncExitStack) -> None:
        self.port, self.pid, self.seconds, self.directory = port, pid, seconds, directory
        self.count = 0
        self._stack = stack

    async def agent(self, implementation: str, specifier: str, workspace: str = "bench") -> ClientCall:
        """A connected agent that has its ack and snapshot."""
        channel = await self._stack.enter_async_context(connect("127.0.0.1", self.port))
        call = await self._stack.enter_async_context(channel.call(CONNECT))
        identity = pb.AgentIdentity(workspace=workspace, implementation=implementation, specifier=specifier)
        call.send(upstream(init=pb.InitConnection(agent=identity)))
        call.flush()
        await call.receive()
        await call.receive()
        return call

    async def measure(self) -> dict[str, float]:
        """Operations a second and gateway CPU for each, after a warm-up."""
        await trio.sleep(0.7)
        count, started, cpu = self.count, time.perf_counter(), cpu_seconds(self.pid)
        await trio.sleep(self.seconds)
        done = self.count - count
        elapsed = time.perf_counter() - started
        return {"per_second": done / elapsed, "cpu_us": (cpu_seconds(self.pid) - cpu) / max(done, 1) * 1e6}


def message(topic: str) -> bytes:
    return upstream(send=pb.SendMessage(target_topic=topic, payload=PAYLOAD, message_type=pb.OPAQUE))


async def pairs(load: Load, number: int, window: int) -> dict[str, float]:
    """Pairs of agents that answer each message with one, ``window`` of them under way in each pair."""
    starters = []
    for index in range(number):
        ends = {name: await load.agent(f"pair-{number}-{index}", name) for name in "ab"}
        for name, other in ("ab", "ba"):
            call, answer = ends[name], message(f"ag::bench::pair-{number}-{index}::{other}")

            def sink(batch: list[bytes], call: ClientCall = call, answer: bytes = answer) -> None:
                load.count += len(batch)
                for _ in batch:
                    call.send(answer)

            call.set_sink(sink, lambda: None)
            if name == "a":
                starters.append((call, answer))
    for call, first in starters:
        for _ in range(window):
            call.send(first)
        call.flush()
    return await load.measure()


async def fan_out(load: Load, receivers: int) -> dict[str, float]:
    """One agent sends to all agents of a workspace; the next message goes when the last receiver has the one before."""
    arrived = 0
    sender = await load.agent("sender", "s", "fan")
    broadcast = message("ga::fan")

    def sink(batch: list[bytes]) -> None:
        nonlocal arrived
        load.count += len(batch)
        arrived += len(batch)
        while arrived >= receivers + 1:
            arrived -= receivers + 1
            sender.send(broadcast)
        sender.flush()

    for index in range(receivers):
        (await load.agent("receiver", str(index), "fan")).set_sink(sink, lambda: None)
    sender.set_sink(sink, lambda: None)
    for _ in range(8):
        sender.send(broadcast)
    sender.flush()
    return await load.measure()


async def key_value(load: Load, clients: int, window: int) -> dict[str, float]:
    """Put and get of one private key, in turn."""
    put = pb.KVOperation(op=pb.KVOperation.PUT, scope=pb.KVOperation.GLOBAL_EXCLUSIVE, key="k", value=b"x" * 100)
    get = pb.KVOperation(op=pb.KVOperation.GET, scope=pb.KVOperation.GLOBAL_EXCLUSIVE, key="k")
    operations = []
    for operation in (put, get):
        operation.request_id = "r"
        operations.append(upstream(kv_op=operation))
    calls = []
    for index in range(clients):
        call = await load.agent(f"kv-{index}", "s")
        turn = [0]

        def step(call: ClientCall = call, turn: list[int] = turn) -> None:
            turn[0] += 1
            call.send(operations[turn[0] % 2])

        def sink(batch: list[bytes], step: Callable[[], None] = step) -> None:
            load.count += len(batch)
            for _ in batch:
                step()

        call.set_sink(sink, lambda: None)
        calls.append((call, step))
    for call, step in calls:
        for _ in range(window):
            step()
        call.flush()
    return await load.measure()


async def idle(load: Load, sessions: int) -> dict[str, float]:
    """Sessions that only connect: memory and CPU for each."""
    memory, cpu, started = resident_bytes(load.pid), cpu_seconds(load.pid), time.perf_counter()
    for index in range(sessions):
        await load.agent("idle", str(index))
    elapsed = time.perf_counter() - started
    used = cpu_seconds(load.pid) - cpu
    return {
        "per_second": sessions / elapsed,
        "cpu_us": used / sessions * 1e6,
        "kib_each": (resident_bytes(load.pid) - memory) / sessions / 1024,
    }


async def slow_reader(load: Load, messages: int) -> dict[str, float]:
    """A receiver that does not read while messages arrive for it, then does: how many are lost."""
    sender, receiver = await load.agent("slow", "sender"), await load.agent("slow", "receiver")
    receiver.pause_reading()
    received = 0
    complete = trio.Event()

    def sink(batch: list[bytes]) -> None:
        nonlocal received
        received += len(batch)
        if received >= messages:
            complete.set()

    receiver.set_sink(sink, lambda: None)
    memory = resident_bytes(load.pid)
    send = upstream(send=pb.SendMessage(target_topic="ag::bench::slow::receiver", payload=b"x" * 1024))
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
    return {"lost": messages - received, "gateway_grew_mib": grown / 2**20}


async def tasks(load: Load, clients: int) -> dict[str, float]:
    """Create, claim and complete a task, one after the other, in each client; counts whole tasks."""
    create = upstream(create_task=pb.CreateTaskRequest(request_id="r", payload=PAYLOAD, task_type="bench"))
    calls = []
    for index in range(clients):
        call = await load.agent("tasks", str(index))

        def sink(batch: list[bytes], call: ClientCall = call) -> None:
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

        call.set_sink(sink, lambda: None)
        calls.append(call)
    for call in calls:
        call.send(create)
        call.flush()
    return await load.measure()


def task_op(op: int, task_id: str) -> bytes:
    return upstream(task_op=pb.TaskOperation(op=op, task_id=task_id, request_id="r"))  # type: ignore[arg-type]


async def dispatch(load: Load, seconds: float) -> dict[str, float]:
    """From the create of a pool's task to its assignment at an idle worker, one at a time."""
    boss, worker = await load.agent("boss", "b"), await load.agent("pool", "w")
    create = upstream(
        create_task=pb.CreateTaskRequest(
            request_id="r", payload=PAYLOAD, assignment_mode=pb.POOL, target_implementation="pool"
        )
    )
    latencies: list[float] = []
    began = 0.0

    def sink(batch: list[bytes]) -> None:
        nonlocal began
        for data in batch:
            message = pb.DownstreamMessage.FromString(data)
            if message.HasField("task_assignment"):
                latencies.append(time.perf_counter() - began)
                worker.send(task_op(pb.TaskOperation.COMPLETE, message.task_assignment.task_id))
            elif message.HasField("task_op"):
                began = time.perf_counter()
                boss.send(create)
                boss.flush()
        worker.flush()

    worker.set_sink(sink, lambda: None)
    boss.set_sink(lambda _: None, lambda: None)
    began = time.perf_counter()
    boss.send(create)
    boss.flush()
    await trio.sleep(seconds)
    latencies.sort()
    return {
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
        "per_second": len(latencies) / seconds,
    }


async def connects(load: Load, mode: str) -> dict[str, float]:
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
            async with connect("localhost", load.port, tls=context) as channel, channel.call(CONNECT) as call:
                call.send(init)
                call.flush()
                assert await call.receive() is not None
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


async def waiting(load: Load) -> dict[str, float]:
    """Nothing happens; the gateway has what the runner put into its store."""
    await trio.sleep(2)
    cpu = cpu_seconds(load.pid)
    await trio.sleep(load.seconds)
    used = cpu_seconds(load.pid) - cpu
    return {"cpu_percent": used / load.seconds * 100, "resident_mib": resident_bytes(load.pid) / 2**20}


SUITES: dict[str, Callable[[Load], Awaitable[dict[str, float]]]] = {
    "pair-serial": lambda load: pairs(load, 1, 1),
    "pairs-50x8": lambda load: pairs(load, 50, 8),
    "pairs-200x8": lambda load: pairs(load, 200, 8),
    "fan-out-100": lambda load: fan_out(load, 100),
    "kv-serial": lambda load: key_value(load, 1, 1),
    "kv-20x8": lambda load: key_value(load, 20, 8),
    "tasks-1": lambda load: tasks(load, 1),
    "tasks-10": lambda load: tasks(load, 10),
    "tasks-10-of-1000000": lambda load: tasks(load, 10),
    "task-dispatch": lambda load: dispatch(load, load.seconds),
    "task-timers-100000": waiting,
    "pairs-50x8-rules": lambda load: pairs(load, 50, 8),
    **{f"connect-{mode}": functools.partial(connects, mode=mode) for mode in CONNECT_MODES},
    "idle-3000": lambda load: idle(load, 3000),
    "slow-reader": lambda load: slow_reader(load, 6000),
}


async def main(suite: str, port: int, pid: int, seconds: float, directory: Path) -> None:
    async with AsyncExitStack() as stack:
        result = await SUITES[suite](Load(port, pid, seconds, directory, stack))
        print(json.dumps(result), flush=True)
        os._exit(0)  # thousands of orderly goodbyes would take longer than the measurement


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
