"""Cancelled at every step of what they do, gateways and clients leave nothing behind and end (design 4)."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

import aether
from aether import Config, Gateway
from aether.client.link import Link

PATIENCE_S = 60


class CancelAt(trio.abc.Instrument):
    """Cancels a scope before the n-th step that any task takes inside of it."""

    def __init__(self, step: int, scope: trio.CancelScope) -> None:
        self.left = step
        self._scope = scope

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        del task
        self.left -= 1
        if self.left == 0:
            self._scope.cancel()


async def cancelled_at(step: int, run: Callable[[], Awaitable[None]]) -> bool:
    """Run something and cancel it on the way; False when it was over by then."""
    with trio.CancelScope() as scope:
        instrument = CancelAt(step, scope)
        trio.lowlevel.add_instrument(instrument)
        try:
            await run()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return instrument.left <= 0


def held() -> tuple[int, int]:
    """Open descriptors and living tasks."""
    return len(list(Path("/proc/self/fd").iterdir())), trio.lowlevel.current_statistics().tasks_living


def in_time(function: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Run to the end; what can't even be cancelled would hold up all other tests."""
    outcome: Future[None] = Future()

    def run() -> None:
        try:
            outcome.set_result(trio.run(function, *arguments))
        except BaseException as error:  # noqa: BLE001 - raised where the test is
            outcome.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    outcome.result(PATIENCE_S)


def test_a_gateway_that_is_cancelled_while_it_starts(tmp_path: Path) -> None:
    """At each of its steps; the next one can have the data directory."""

    async def start() -> None:
        async with Gateway(Config.development(tmp_path)):
            pass

    async def sweep() -> None:
        await start()
        before = held()
        step = 1
        while await cancelled_at(step, start):
            assert held() == before
            step += 1
        assert step > 20
        await start()

    in_time(sweep)


@pytest.mark.parametrize("ask", [False, True], ids=["connecting", "asking"])
def test_a_client_that_is_cancelled_on_the_way(tmp_path: Path, ask: bool) -> None:
    """Its session ends, its identity and what it locked are free, and nothing of it waits for anything."""

    async def converse(gateway: Gateway) -> None:
        async with aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s") as me:
            if ask:
                await me.send("ag::w::i::s", b"x")
                await me.kv.put("k", b"v")
                async with me.mutex("m"):
                    await me.kv.get("k")

    async def sweep() -> None:
        async with Gateway(Config.development(tmp_path), listen=False) as gateway:
            await converse(gateway)
            await quiet(gateway)
            before = held()
            step = 1
            while await cancelled_at(step, partial(converse, gateway)):
                await quiet(gateway)
                assert held() == before
                step += 1
            assert step > 10

    in_time(sweep)


def test_a_client_that_is_cancelled_the_moment_it_is_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its block has begun; what the block says at its end still has a connection."""
    serve = Link._serve
    scopes: list[trio.CancelScope] = []

    async def serve_cancelled(link: Link, call: Any) -> None:
        scopes[-1].cancel()
        await serve(link, call)

    async def connect(gateway: Gateway) -> None:
        async with aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s") as me:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await me.kv.put("k", b"v")

    async def sweep() -> None:
        async with Gateway(Config.development(tmp_path), listen=False) as gateway:
            for _ in range(10):
                with trio.CancelScope() as scope:
                    scopes.append(scope)
                    await connect(gateway)
                assert scope.cancelled_caught
                await quiet(gateway)

    monkeypatch.setattr(Link, "_serve", serve_cancelled)
    in_time(sweep)


async def quiet(gateway: Gateway) -> None:
    """Until the gateway has noticed, and tasks that end have ended."""
    await trio.testing.wait_all_tasks_blocked()
    while gateway.sessions or gateway._server.connections:
        await trio.testing.wait_all_tasks_blocked()
