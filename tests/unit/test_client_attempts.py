"""How often a client tries to connect, and what it says when it gives up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio

import aether
from aether.client import ConnectionLost, Options
from aether.client.link import split_address


class Door:
    """A port where nobody is let in."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.knocks = 0

    async def answer(self, stream: trio.SocketStream) -> None:
        self.knocks += 1
        await stream.aclose()


@pytest.fixture
async def door(nursery: trio.Nursery) -> AsyncIterator[Door]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    door = Door(listener.socket.getsockname()[1])
    nursery.start_soon(partial(trio.serve_listeners, door.answer, [listener]))
    yield door
    nursery.cancel_scope.cancel()


async def refusal(address: str, attempts: int) -> ConnectionLost:
    options = Options(attempts_max=attempts, backoff_initial_s=0.001, backoff_max_s=0.001)
    with pytest.raises(ConnectionLost) as info:
        async with aether.connect_agent(address, workspace="w", implementation="i", specifier="1", options=options):
            pass
    return info.value


@pytest.mark.parametrize("attempts", [1, 3])
async def test_as_many_attempts_as_there_may_be(door: Door, attempts: int) -> None:
    error = await refusal(door.address, attempts)
    assert door.knocks == attempts
    assert str(error).startswith("no connection after 3 attempts: ") is (attempts == 3)


async def test_the_reason_is_that_of_the_system() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    error = await refusal(f"127.0.0.1:{port}", 1)
    assert str(error) == f"cannot connect to 127.0.0.1:{port}: Connection refused"


@pytest.mark.parametrize(
    ("address", "parts"),
    [("localhost:1", ("localhost", 1)), ("[::1]:65535", ("::1", 65_535)), ("a.b:50051", ("a.b", 50_051))],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts


@pytest.mark.parametrize(
    "address", ["", "nonsense", "host:", ":1", "host:0", "host:65536", "host:x", "host:-1", "host:²"]
)
async def test_what_is_no_address_is_told_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="it takes HOST:PORT, such as"):
        async with aether.connect_agent(address, workspace="w", implementation="i", specifier="1"):
            pass
