"""A pool of workers: each message to the topic of the pool goes to one of them."""

from __future__ import annotations

from collections import Counter

import trio
from fabric import fabric

import aether

JOBS = 20


async def work(
    name: str,
    target: str | aether.Gateway,
    done: Counter[str],
    finished: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    async with aether.connect_task(target, workspace="demo", implementation="resize") as worker:
        task_status.started()
        async for job in worker:
            await worker.send(job.source_topic, b"done " + job.payload)
            done[name] += 1
            if done.total() == JOBS:
                finished.set()


async def main() -> None:
    done: Counter[str] = Counter()
    finished = trio.Event()
    async with (
        fabric() as target,
        aether.connect_agent(target, workspace="demo", implementation="boss", specifier="1") as boss,
        trio.open_nursery() as nursery,
    ):
        for name in ("one", "two", "three"):
            await nursery.start(work, name, target, done, finished)
        for number in range(JOBS):
            await boss.send("tb::demo::resize", b"%d" % number)
        results = {(await anext(boss)).payload for _ in range(JOBS)}
        await finished.wait()
        nursery.cancel_scope.cancel()
    assert results == {b"done %d" % number for number in range(JOBS)}
    print(f"{done.total()} jobs by {len(done)} workers")


trio.run(main)
