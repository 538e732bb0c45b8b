"""Survive one's own end: a checkpoint says how far the last run came, and what was sent meanwhile waits in the log."""

from __future__ import annotations

import trio
from fabric import fabric

import aether


async def process(target: str | aether.Gateway, stop_after: int) -> None:
    """One run: goes on where the last one stopped."""
    async with aether.connect_agent(target, workspace="demo", implementation="reader", specifier="1") as me:
        checkpoint = await me.checkpoints.load()
        done = int(checkpoint.data) if checkpoint else 0
        print(f"starting after {done} messages")
        for _ in range(stop_after):
            message = await anext(me)
            done += 1
            print("read", message.payload.decode())
        await me.checkpoints.save(b"%d" % done)
        await trio.sleep(0.1)  # the gateway counts a message as read once our transport has confirmed it


async def main() -> None:
    async with (
        fabric() as target,
        aether.connect_agent(target, workspace="demo", implementation="writer", specifier="1") as writer,
    ):
        for text in (b"one", b"two", b"three", b"four"):
            await writer.send("ag::demo::reader::1", text)
        await process(target, stop_after=4)
        for text in (b"five", b"six"):
            await writer.send("ag::demo::reader::1", text)
        await process(target, stop_after=2)


trio.run(main)
