"""Durable work: a pool that is flaky, a policy that tries again, and one task that waits for the others."""

from __future__ import annotations

import trio
from fabric import fabric

import aether
from aether.client import TaskFailed
from aether.proto import aether_pb2 as pb

PARTS = ("roof", "walls", "floor")
TWICE = pb.RetryPolicy(max_attempts=2, backoff=pb.BACKOFF_STRATEGY_FIXED, initial_delay_ms=50)


async def build(number: int, target: str | aether.Gateway, dropped: set[str]) -> None:
    """A worker that drops every part the first time it has it in hand."""
    async with aether.connect_agent(target, workspace="demo", implementation="builder", specifier=str(number)) as me:
        async for assignment in me.tasks:
            part = assignment.payload.decode()
            try:
                async with me.tasks.claim(assignment) as task:
                    if part not in dropped:
                        dropped.add(part)
                        raise RuntimeError(f"dropped the {part}")
                    await task.progress("building", 0.5)
                    task.result = f"{part} is up"
            except RuntimeError:
                continue


async def main() -> None:
    async with (
        fabric() as target,
        aether.connect_agent(target, workspace="demo", implementation="architect", specifier="1") as architect,
        trio.open_nursery() as nursery,
    ):
        for number in range(2):
            nursery.start_soon(build, number, target, set[str]())
        house = (await architect.tasks.create("house")).task_id
        async with architect.tasks.claim(house) as work:
            parts = [
                (await architect.tasks.create("part", name.encode(), pool="builder", retry=TWICE, parent=house)).task_id
                for name in PARTS
            ]
            for part in parts:
                try:
                    ended = await architect.tasks.wait(part)
                    if ended.status != pb.TASK_STATUS_COMPLETED:
                        raise TaskFailed(ended)
                except TaskFailed as failure:
                    await architect.tasks.retry(failure.task.task_id)
                    ended = await architect.tasks.wait(part)
                print(ended.metadata["_result_summary"])
            work.result = "the house stands"
        print((await architect.tasks.get(house)).metadata["_result_summary"])
        nursery.cancel_scope.cancel()


trio.run(main)
