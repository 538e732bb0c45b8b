"""Work that outlives its workers: a task hibernates between its steps, and whoever is there goes on with it."""

from __future__ import annotations

import time

import trio
from fabric import fabric

import aether
from aether.client import Scope, TaskRefused

STEPS = 3


async def work(name: str, target: str | aether.Gateway) -> None:
    """A worker that does one step and leaves; what it knows is where all workers find it."""
    async with aether.connect_agent(target, workspace="demo", implementation="survey", specifier=name) as me:
        async for assignment in me.tasks:
            try:
                async with me.tasks.claim(assignment) as task:
                    step = int(await me.kv.get(task.task_id, scope=Scope.WORKSPACE) or b"0") + 1
                    print(f"{name} does step {step}")
                    if step == STEPS:
                        task.result = f"{step} steps"
                        return
                    await me.kv.put(task.task_id, b"%d" % step, scope=Scope.WORKSPACE)
                    await me.checkpoints.save(b"", "survey")
                    await task.hibernate("survey", wake_at_ms=time.time_ns() // 1_000_000 + 100)
                    return
            except TaskRefused:
                continue  # somebody ended it


async def main() -> None:
    async with (
        fabric() as target,
        aether.connect_agent(target, workspace="demo", implementation="owner", specifier="1") as owner,
    ):
        survey = (await owner.tasks.create("survey", pool="survey")).task_id
        for name in ("ann", "ben", "cleo"):
            await work(name, target)
        print("in the end:", (await owner.tasks.wait(survey)).metadata["_result_summary"])


trio.run(main)
