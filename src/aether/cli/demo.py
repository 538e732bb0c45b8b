"""``aether demo``: a gateway and two agents that talk, in this process."""

from __future__ import annotations

import tempfile

import click
import structlog
import trio

from aether.client import Connection, connect_agent
from aether.config import Config
from aether.gateway.gateway import Gateway

__all__ = ["run"]


def run() -> None:
    """Show a conversation, a stored value and a checkpoint; nothing stays behind."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    trio.run(_demo)


async def _demo() -> None:
    with tempfile.TemporaryDirectory(prefix="aether-demo-") as directory:
        async with Gateway(Config.development(directory), listen=False) as gateway:
            click.echo("gateway  running in this process, without a socket")
            async with (
                connect_agent(gateway, workspace="demo", implementation="greeter", specifier="ada") as ada,
                connect_agent(gateway, workspace="demo", implementation="greeter", specifier="bob") as bob,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(_answer, bob)
                await _ask(ada)
                nursery.cancel_scope.cancel()
    click.echo("gateway  drained; nothing is left behind")


async def _ask(ada: Connection) -> None:
    click.echo(f"ada      connected, session {ada.session_id}")
    for text in ("hello", "how are you?"):
        click.echo(f"ada      says {text!r}")
        await ada.send("ag::demo::greeter::bob", text.encode())
        reply = await anext(ada)
        click.echo(f"ada      hears {reply.payload.decode()!r} from {reply.source_topic}")
    count = await ada.kv.increment("conversations")
    click.echo(f"ada      counts {count} conversation in its private key/value scope")
    await ada.checkpoints.save(b"said hello")
    checkpoint = await ada.checkpoints.load()
    click.echo(f"ada      finds its checkpoint: {checkpoint.data.decode() if checkpoint else 'nothing'}")


async def _answer(bob: Connection) -> None:
    click.echo(f"bob      connected, session {bob.session_id}")
    async for message in bob:
        click.echo(f"bob      hears {message.payload.decode()!r} from {message.source_topic}")
        await bob.send(message.source_topic, message.payload.upper())
