"""Two agents that talk. `python examples/hello.py [HOST:PORT]`; without a target the gateway runs in this process."""

from __future__ import annotations

import trio
from fabric import fabric

import aether


async def main() -> None:
    async with (
        fabric() as target,
        aether.connect_agent(target, workspace="demo", implementation="hello", specifier="ada") as ada,
        aether.connect_agent(target, workspace="demo", implementation="hello", specifier="bob") as bob,
    ):
        await ada.send("ag::demo::hello::bob", b"hello")
        question = await anext(bob)
        print("bob heard", question.payload.decode(), "from", question.source_topic)
        await bob.send(question.source_topic, b"hello yourself")
        print("ada heard", (await anext(ada)).payload.decode())


trio.run(main)
