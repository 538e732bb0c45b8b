"""kill -9 of gateway and workers while tasks are created, claimed and completed: what was answered is there, nothing is
half, nobody's work is lost or in two hands (design, promises)."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio
import trio.lowlevel
from tests.support.gateway_process import GatewayProcess

import aether
from aether.client import ClientError, ConnectionLost, Options, Retry, TaskRefused
from aether.proto import aether_pb2 as pb

PATIENCE_S = 90
ONCE = Options(attempts_max=3)
QUICK = Options(backoff_initial_s=0.05, backoff_max_s=0.2)
COMPLETED = pb.TASK_STATUS_COMPLETED


def connect(gateway: GatewayProcess, specifier: str, implementation: str = "boss", options: Options = QUICK) -> object:
    return aether.connect_agent(
        gateway.target, workspace="w", implementation=implementation, specifier=specifier, options=options
    )


async def restart(gateway: GatewayProcess) -> None:
    await trio.to_thread.run_sync(gateway.start)


async def statuses(gateway: GatewayProcess) -> dict[str, pb.TaskInfo]:
    async with connect(gateway, "reader") as me:  # type: ignore[attr-defined]
        return {task.task_id: task async for task in me.tasks.find(workspace="w")}


async def kill_amid(
    gateway: GatewayProcess, clients: int, work: Callable[[Any, str], Awaitable[None]], enough: trio.Event
) -> None:
    """Let that many clients work until there is enough; then kill the gateway, and start it again."""

    async def work_until_it_is_dead(name: str) -> None:
        try:
            async with connect(gateway, name, options=ONCE) as me:  # type: ignore[attr-defined]
                await work(me, name)
        except* ClientError:
            pass

    async with trio.open_nursery() as nursery:
        for number in range(clients):
            nursery.start_soon(work_until_it_is_dead, f"c{number}")
        await enough.wait()
        gateway.kill()
        nursery.cancel_scope.cancel()
    await restart(gateway)


async def test_answered_operations_survive(gateway: GatewayProcess) -> None:
    """Eight clients create, claim and complete; each notes what was answered, and then the gateway is killed."""
    answered: dict[str, int] = {}
    enough = trio.Event()

    async def work(me: Any, name: str) -> None:
        while True:
            task_id = (await me.tasks.create(name, b"payload")).task_id
            answered[task_id] = pb.TASK_STATUS_QUEUED
            answered[task_id] = (await me.tasks.begin(task_id)).status
            answered[task_id] = (await me.tasks.complete(task_id)).status
            if len(answered) > 300:
                enough.set()

    with trio.fail_after(PATIENCE_S):
        await kill_amid(gateway, 8, work, enough)
        found = await statuses(gateway)
    assert set(answered) <= set(found)
    for task_id, status in answered.items():
        assert found[task_id].status >= status, found[task_id]  # the numbers grow along this way
    assert len(found) - len(answered) <= 8  # at most one without an answer in each client


async def test_answered_waits_and_wakes_survive(gateway: GatewayProcess) -> None:
    """Clients pause, resume, hibernate and wake tasks; after a kill each task is where it was said to be, or one step
    further, and its events tell of exactly the way to there."""
    answered: dict[str, int] = {}
    enough = trio.Event()

    async def work(me: Any, name: str) -> None:
        await me.checkpoints.save(b"state", "k")
        while True:
            task_id = (await me.tasks.create(name)).task_id
            steps: list[Callable[[], Awaitable[object]]] = [
                partial(me.tasks.begin, task_id),
                partial(me.tasks.pause, task_id),
                partial(me.tasks.resume, task_id),
                partial(me.tasks.hibernate, task_id, "k"),
                partial(me.tasks.resume, task_id),
                partial(me.tasks.fail, task_id, "no"),
            ]
            answered[task_id] = 0
            for number, step in enumerate(steps, start=1):
                await step()
                answered[task_id] = number
            if len(answered) > 100:
                enough.set()

    with trio.fail_after(PATIENCE_S):
        await kill_amid(gateway, 4, work, enough)
        found = await statuses(gateway)
        assert set(answered) <= set(found)
        for number in range(4):
            async with connect(gateway, f"c{number}") as me:  # type: ignore[attr-defined]
                for task_id in [task_id for task_id in answered if found[task_id].task_type == f"c{number}"][-2:]:
                    seen = await history(me, task_id, found[task_id].status)
                    assert len(seen) - 1 in (answered[task_id] + SELF, answered[task_id] + SELF + 1)
                    assert seen == WAY[: len(seen)]


SELF = 1
"""The assignment to the creator is a step too, which looks like none: both are QUEUED."""
WAY = ["QUEUED", "QUEUED", "RUNNING", "WAITING_INPUT", "RUNNING", "HIBERNATED", "RUNNING", "FAILED"]


async def history(me: aether.Connection, task_id: str, status: int) -> list[str]:
    """The statuses that a task went through, up to the one it has."""
    numbers = [pb.TASK_STATUS_QUEUED]
    async with me.tasks.watch(task_id, since_ms=1) as events:
        end = object()
        while True:
            event: object = end
            with trio.move_on_after(0.5 if numbers[-1] == status else 20):
                event = await events.next_status()
            if event is end:
                break
            change = event.status_changed  # type: ignore[attr-defined]
            assert change.from_status == numbers[-1]
            numbers.append(change.to_status)
    assert numbers[-1] == status
    return [pb.TaskStatus.Name(number).removeprefix("TASK_STATUS_") for number in numbers]


async def test_pools_finish_whatever_is_killed(gateway: GatewayProcess, tmp_path: Path) -> None:
    """Workers in processes of their own, which are killed, as the gateway is: in the end every task is done, and no
    completion was taken from a worker that had lost its task."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    chooser = random.Random(7)
    created: set[str] = set()

    def start(number: int) -> subprocess.Popen[bytes]:
        done = tmp_path / f"done-{number}-{time.time_ns()}"
        command = [sys.executable, str(script), gateway.target, str(number), str(done)]
        return subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"})

    workers = {number: start(number) for number in range(3)}
    try:
        with trio.fail_after(PATIENCE_S):
            async with connect(gateway, "boss") as boss:  # type: ignore[attr-defined]
                for number in range(120):
                    key = f"task {number}"
                    created.add((await boss.tasks.create("work", pool="pool", idempotency_key=key)).task_id)
                    if number in (40, 80):
                        gateway.kill()
                        await restart(gateway)
                    if number % 30 == 10:
                        victim = chooser.choice(sorted(workers))
                        workers[victim].send_signal(signal.SIGKILL)
                        workers[victim].wait()
                        workers[victim] = start(victim)
                assert len(created) == 120
                for task_id in created:
                    assert (await boss.tasks.wait(task_id)).status == COMPLETED
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()
    done = [line for file in tmp_path.glob("done-*") for line in file.read_text().splitlines()]
    assert set(done) <= created
    assert len(done) == len(set(done)), "one task was completed by two"


WORKER = """
import sys, trio, aether
from aether.client import ClientError, Options
target, number, path = sys.argv[1:]
async def main():
    options = Options(backoff_initial_s=0.05, backoff_max_s=0.2, retry_on_duplicate=True)
    me = aether.connect_agent(target, workspace="w", implementation="pool", specifier=number, options=options)
    async with me as me:
        async for assignment in me.tasks:
            try:
                await me.tasks.begin(assignment.task_id)
                await trio.sleep(0.005)
                await me.tasks.complete(assignment.task_id, number)
            except ClientError:
                continue
            with open(path, "a") as done:
                done.write(assignment.task_id + "\\n")
trio.run(main)
"""


async def test_timers_outlive_the_gateway(gateway: GatewayProcess) -> None:
    """A retry, a wait with an end and a wake-up that come due while the gateway is dead, and after."""
    with trio.fail_after(PATIENCE_S):
        async with connect(gateway, "boss") as boss:  # type: ignore[attr-defined]
            tasks = boss.tasks
            soon = [(await tasks.create(str(number))).task_id for number in range(3)]
            policy = pb.RetryPolicy(max_attempts=2, backoff=pb.BACKOFF_STRATEGY_FIXED, initial_delay_ms=300)
            retried = (await tasks.create("retried", pool="nobody", retry=policy)).task_id
            await tasks.fail(retried, "once")
            for task_id, timeout_s in zip(soon, (0.2, 1.5, 3600), strict=True):
                await tasks.begin(task_id)
                await tasks.pause(task_id, timeout_s=timeout_s)
            gateway.kill()
            await trio.sleep(0.5)
            await restart(gateway)
            wanted = [pb.TASK_STATUS_FAILED, pb.TASK_STATUS_FAILED, pb.TASK_STATUS_WAITING_INPUT]
            while [(await tasks.get(task_id)).status for task_id in soon] != wanted:  # noqa: ASYNC110
                await trio.sleep(0.05)
            while (await tasks.get(retried)).status != pb.TASK_STATUS_QUEUED:  # noqa: ASYNC110
                await trio.sleep(0.05)
            assert (await tasks.get(soon[0])).error == "wait timeout"


async def test_a_gateway_with_many_tasks_starts_again(gateway: GatewayProcess) -> None:
    """Five thousand unfinished tasks are known after a kill, and handed out in their order."""
    with trio.fail_after(PATIENCE_S):
        async with connect(gateway, "boss") as boss:  # type: ignore[attr-defined]

            async def create(first: int) -> None:
                for number in range(first, first + 250):
                    await boss.tasks.create("many", b"%d" % number, pool="pool", priority=10 + 10 * (number % 3))

            async with trio.open_nursery() as nursery:
                for first in range(0, 5000, 250):
                    nursery.start_soon(create, first)
            gateway.kill()
            await restart(gateway)
            async with connect(gateway, "1", "pool") as worker:  # type: ignore[attr-defined]
                assignment = await anext(worker.tasks)
                assert (await worker.tasks.get(assignment.task_id)).priority == 30
            found = [task async for task in boss.tasks.find(task_type="many")]
            assert len({task.task_id for task in found}) == 5000


async def test_an_unanswered_create_is_done_once(gateway: GatewayProcess) -> None:
    """A client that repeats a create with its key after a lost connection gets one task."""
    with trio.fail_after(PATIENCE_S):
        async with connect(gateway, "boss") as boss:  # type: ignore[attr-defined]
            ids = []

            async def create() -> None:
                for number in range(200):
                    while True:
                        try:
                            ids.append((await boss.tasks.create("once", idempotency_key=str(number))).task_id)
                            break
                        except ConnectionLost:
                            continue

            async with trio.open_nursery() as nursery:
                nursery.start_soon(create)
                while len(ids) < 50:
                    await trio.lowlevel.checkpoint()
                gateway.kill()
                await restart(gateway)
            found = [task.task_id async for task in boss.tasks.find(task_type="once")]
    assert sorted(found) == sorted(ids)
    assert len(ids) == 200


async def test_blocks_and_runs_outlast_the_gateway(gateway: GatewayProcess) -> None:
    """Tasks whose first attempt raises, in blocks of workers, for clients that wait: each fails once and is done once,
    whatever answers the kills of the gateway kept back."""
    tried: Counter[str] = Counter()
    done: Counter[str] = Counter()
    ended: list[pb.TaskInfo] = []

    async def work(number: int) -> None:
        async with connect(gateway, str(number), "pool") as me:  # type: ignore[attr-defined]
            async for assignment in me.tasks:
                try:
                    async with me.tasks.claim(assignment) as task:
                        await trio.sleep(0.005)
                        tried[task.task_id] += 1
                        if task.info.attempt == 0:
                            raise ValueError("the first time")
                        done[task.task_id] += 1
                except (ValueError, TaskRefused):
                    continue

    async def run(number: int) -> None:
        async with connect(gateway, f"boss{number}") as me:  # type: ignore[attr-defined]
            for _ in range(15):
                task = await me.tasks.run("work", pool="pool", retry=Retry(attempts=2, delay_s=0.01))
                ended.append(task)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as workers:
            for number in range(3):
                workers.start_soon(work, number)
            async with trio.open_nursery() as bosses:
                for number in range(6):
                    bosses.start_soon(run, number)
                for so_many in (10, 40, 70):
                    while len(ended) < so_many:  # noqa: ASYNC110
                        await trio.sleep(0.01)
                    gateway.kill()
                    await restart(gateway)
            workers.cancel_scope.cancel()
    assert len({task.task_id for task in ended}) == 90
    assert {(task.status, task.attempt) for task in ended} == {(COMPLETED, 1)}
    assert set(done.values()) == {1}
    assert max(tried.values()) == 2
