"""The servers that are compared: ours with its settings, and others. Each is a fresh process for every run."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
from tests.support.gateway_process import free_port

from bench.fabrics import nats_request
from bench.setups import prepared

__all__ = ["SIDES", "PeerMissing", "Side", "peer", "running"]

PEER_PYTHON = Path(".venv-bench/bin/python")
"""Other libraries have an environment of their own, see the Makefile."""
START_S = 90.0


class PeerMissing(RuntimeError):
    """What a side needs is not installed."""


@dataclass(frozen=True, slots=True)
class Side:
    """:ivar protocol: what clients speak, see :mod:`bench.fabrics`.
    :ivar does: what it does for a message, for the table.
    """

    protocol: str
    does: str


SIDES = {
    "batch": Side("aether", "ours: routing, permission matrix, durable log synced to disk"),
    "os": Side("aether", "ours: the same, log written and not synced"),
    "rules": Side("aether", "ours: as batch, with access rules on and 10 000 of them"),
    "echo": Side("echo", "the limit: our HTTP/2 engine (libnghttp2 under trio), sends back what it gets"),
    "purerpc": Side("echo", "purerpc under trio, sends back what it gets"),
    "grpcio": Side("echo", "grpcio's asyncio server, sends back what it gets"),
    "nats": Side("nats", "nats-server: routing; no log, no permissions"),
    "jetstream": Side("jetstream", "nats-server: log not synced, push consumer without acknowledgements"),
    "jetstream-synced": Side("jetstream", "the same, each message synced to disk"),
    "slim": Side("slim", "SLIM node: routing; its own Python bindings generate the load, and are most of the limit"),
    "none": Side("", "no server: the decision alone"),
}


@asynccontextmanager
async def running(side: str, suite: str, directory: Path) -> AsyncIterator[tuple[int, int]]:
    """A server of this side that takes connections; its port and process.

    :raises PeerMissing: it cannot run here.
    """
    port = free_port()
    if SIDES[side].protocol == "aether":
        async with prepared(suite, side, directory) as arguments:
            command = [sys.executable, "-m", "aether", "serve", "--dev", "--port", str(port), "--ops-port", "0"]
            command += ["--data-dir", str(directory / "data"), "--durability", "os" if side == "os" else "batch"]
            async with process([*command, *arguments], port, directory) as pid:
                yield port, pid
    elif SIDES[side].protocol == "echo":
        python = sys.executable if side != "grpcio" else str(peer("python"))
        kind = {"echo": "native"}.get(side, side)
        async with process([python, "-m", "bench.echoes", kind, str(port)], port, directory) as pid:
            yield port, pid
    elif side == "slim":
        command = [str(peer("python")), "-m", "bench.slim", "node", str(port)]
        async with process(command, port, directory) as pid:
            yield port, pid
    else:
        config = directory / "nats.conf"
        text = f"listen: 127.0.0.1:{port}\n"
        if side != "nats":
            sync = "always" if side == "jetstream-synced" else "2m"
            text += f'jetstream {{ store_dir: "{directory / "jetstream"}", sync_interval: {sync} }}\n'
        config.write_text(text)
        async with process([str(peer("nats-server")), "-c", str(config)], port, directory) as pid:
            if side != "nats":
                stream = b'{"name":"bench","subjects":["bench.>"],"storage":"file","retention":"limits","max_msgs":-1}'
                await nats_request(port, "$JS.API.STREAM.CREATE.bench", stream)
            yield port, pid


def peer(program: str) -> Path:
    """A program of the peers' environment.

    :raises PeerMissing: it is not there.
    """
    path = PEER_PYTHON.with_name(program)
    if not path.exists():
        raise PeerMissing(f"{path} is missing; `make bench` installs it")
    return path.absolute()


@asynccontextmanager
async def process(command: list[str], port: int, directory: Path) -> AsyncIterator[int]:
    """A server's process from when it takes connections; killed at the end."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # which children inherit
    log = directory / "server.log"
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        with trio.move_on_after(START_S):
            while child.poll() is None and not await takes_connections(port):
                await trio.sleep(0.002)
        if child.poll() is not None or not await takes_connections(port):
            raise RuntimeError(f"{command[:4]} did not start:\n{log.read_text()[-3000:]}")
        yield child.pid
    finally:
        child.kill()
        child.wait()
        shutil.rmtree(directory / "jetstream", ignore_errors=True)


async def takes_connections(port: int) -> bool:
    try:
        async with await trio.open_tcp_stream("127.0.0.1", port):
            return True
    except OSError:
        return False
