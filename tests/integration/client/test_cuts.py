"""A connection that breaks at any byte: what was promised holds, whatever got through (design, promises)."""

from __future__ import annotations

import random

import pytest
import trio
from tests.support.cutting import CuttingLink

import aether
from aether import Gateway
from aether.client import Connection, ConnectionLost, Options

CUTS = 12
BATCH = 5


async def hear_in_order(me: Connection, last: int) -> int:
    """Messages up to a number, without gap; returns how often some of them came again."""
    repeats, before = 0, -1
    while before < last:
        number = int((await anext(me)).payload)
        assert number <= before + 1
        repeats += number <= before
        before = number
    return repeats


@pytest.mark.parametrize("seed", range(3))
async def test_a_link_that_breaks_at_any_byte(target: str | Gateway, seed: int) -> None:
    """Messages come in order and without gap, and again only after a loss; what was confirmed has arrived, once; and
    no answer is for another question."""
    link = CuttingLink(target, random.Random(seed))
    quick = Options(backoff_initial_s=0.001, backoff_max_s=0.005, randomness=random.Random(seed))
    place = {"workspace": "w", "implementation": "i"}
    counted, confirmed, arrived = [0], [], []
    lost, enough = 0, trio.Event()

    async def count(me: Connection) -> None:
        nonlocal lost
        while not enough.is_set():
            try:
                counted.append(await me.kv.increment("n"))
            except ConnectionLost:
                lost += 1
                if link.cuts >= CUTS:
                    enough.set()

    async def say(me: Connection) -> None:
        said = 0
        while not enough.is_set():
            batch = [b"%d" % number for number in range(said, said + BATCH)]
            said += BATCH
            for payload in batch:
                await me.send("ag::w::i::steady", payload)
            try:
                await me.confirm()
                confirmed.extend(batch)
            except ConnectionLost:
                await trio.lowlevel.checkpoint()

    async with (
        aether.connect_agent(target, **place, specifier="steady") as steady,
        aether.connect_agent(link, **place, specifier="shaken", options=quick) as me,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count, me)
            nursery.start_soon(say, me)
            sent = 0
            while not enough.is_set():
                for _ in range(10):
                    await steady.send("ag::w::i::shaken", b"%d" % sent)
                    sent += 1
                await steady.confirm()
        link.calm()
        assert await hear_in_order(me, sent - 1) <= link.cuts
        assert counted == sorted(set(counted))
        assert counted[-1] <= await me.kv.increment("n") - 1 <= len(counted) - 1 + lost
        await me.send("ag::w::i::steady", b"last")
        while not arrived or arrived[-1] != b"last":
            arrived.append((await anext(steady)).payload)
        numbers = [int(payload) for payload in arrived[:-1]]
        assert numbers == sorted(set(numbers))
        assert set(confirmed) <= set(arrived)
