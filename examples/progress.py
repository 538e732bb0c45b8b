"""Tell others how far one is: everybody on the workspace, or one of them."""

from __future__ import annotations

import trio
from fabric import fabric

import aether


async def main() -> None:
    async with (
        fabric() as target,
        aether.connect_agent(target, workspace="demo", implementation="builder", specifier="1") as builder,
        aether.connect_agent(target, workspace="demo", implementation="watcher", specifier="1") as watcher,
    ):
        for step in (1, 2, 3):
            await builder.progress.report("building", completion=step / 3, summary=f"step {step} of 3")
        async for update in watcher.progress:
            print(update.source, update.state, f"{update.completion:.0%}", update.summary)
            if update.completion >= 1:
                break


trio.run(main)
