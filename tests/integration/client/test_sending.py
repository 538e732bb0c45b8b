"""What becomes of what is sent: confirmed, refused, in doubt; and connections that end or wait."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from tests.support.cancelling import cancelled_at
from tests.support.link import Link

import aether
from aether import Gateway
from aether.client import (
    Connection,
    ConnectionClosed,
    ConnectionLost,
    DuplicateIdentity,
    Options,
    RequestRefused,
)
from aether.proto import aether_pb2 as pb

QUICK = Options(backoff_initial_s=0.01, backoff_max_s=0.05)


@asynccontextmanager
async def agent(target: str | Gateway | Link, name: str, options: Options = QUICK) -> AsyncIterator[Connection]:
    async with aether.connect_agent(
        target, workspace="w", implementation="i", specifier=name, options=options
    ) as connection:
        yield connection


async def test_what_was_confirmed_was_taken(target: str | Gateway) -> None:
    async with agent(target, "a") as a, agent(target, "b") as b:
        for number in range(100):
            await a.send("ag::w::i::b", b"%d" % number)
        await a.confirm()
        assert [(await anext(b)).payload for _ in range(100)] == [b"%d" % number for number in range(100)]
        await a.confirm()
        assert len(a.errors) == 0


async def test_a_refusal_is_raised_where_the_sender_confirms(target: str | Gateway) -> None:
    async with agent(target, "a") as a, agent(target, "b") as b:
        await a.send("nonsense", b"1")
        await a.send("ag::w::i::b", b"2")
        await a.send("event::a::b", b"3")
        with pytest.raises(RequestRefused, match="ERR_INVALID_TOPIC"):
            await a.confirm()
        assert (await anext(b)).payload == b"2"
        assert [error.code for error in a.errors[:]] == ["ERR_INVALID_TOPIC"] * 2
        await a.confirm()  # a refusal is raised once


async def test_several_may_take_messages_and_refusals(target: str | Gateway) -> None:
    """Each is for one of them, and all hear of the end."""
    taken: list[object] = []
    everything = trio.Event()

    async def take(source: AsyncIterator[object]) -> None:
        async for item in source:
            taken.append(item)
            if len(taken) == 8:
                everything.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, agent(target, "a") as me:
            for source in (me, me, me.errors, me.errors):
                nursery.start_soon(take, source)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(4):
                for topic in ("ag::w::i::a", "nonsense"):
                    await me.send(topic, b"%d" % number)
            await everything.wait()


async def test_refusals_can_be_waited_for(target: str | Gateway) -> None:
    codes = []

    async def watch(connection: Connection) -> None:
        codes.extend([refusal.code async for refusal in connection.errors])

    async with trio.open_nursery() as nursery, agent(target, "a") as a:
        nursery.start_soon(watch, a)
        for _ in range(3):
            await a.send("nonsense", b"")
            await a.kv.get("k")
        # The watcher ends with the connection.
    assert codes == ["ERR_INVALID_TOPIC"] * 3


async def test_every_kind_of_principal_confirms(target: str | Gateway) -> None:
    async with (
        aether.connect_user(target, user_id="u", window_id="1") as user,
        aether.connect_bridge(target, implementation="br", specifier="1") as bridge,
        aether.connect_orchestrator(target, implementation="orc", specifier="1", profiles=["p"]) as orchestrator,
        aether.connect_task(target, workspace="w", implementation="pool") as worker,
        aether.connect_metrics_bridge(target) as metrics,
    ):
        for principal in (user, bridge, orchestrator, worker, metrics):
            await principal.send("nonsense", b"")
            with pytest.raises(RequestRefused):
                await principal.confirm()
            await principal.confirm()


@pytest.mark.parametrize("what", ["put", "list", "save", "load", "report", "send", "take"])
async def test_cancellation_anywhere_costs_nothing_else(target: str | Gateway, what: str) -> None:
    """No answer is taken for another one, and no message lost, told twice or out of order."""
    async with agent(target, "a") as me:
        sent, taken = 0, []
        for number in range(150):
            await me.kv.put(f"k{number:03}", b"v")

        async def run() -> None:
            nonlocal sent
            match what:
                case "put":
                    await me.kv.put("k000", b"new")
                case "list":
                    assert len([key async for key, _ in me.kv.list("k")]) == 150
                case "save":
                    assert await me.checkpoints.save(b"state")
                case "load":
                    await me.checkpoints.load()
                case "report":
                    await me.progress.report("working")
                case "send":
                    sent += 1
                    await me.send("ag::w::i::a", b"%d" % sent)
                    await me.confirm()
                case "take":
                    taken.append((await anext(me)).payload)

        step, cancelled = 0, True
        while cancelled:
            step += 1
            if what == "take":
                sent += 1
                await me.send("ag::w::i::a", b"%d" % sent)
                await me.confirm()
            cancelled = await cancelled_at(step, run)
            assert await me.kv.get("k149") == b"v"
        await me.send("ag::w::i::a", b"last")
        while not taken or taken[-1] != b"last":
            taken.append((await anext(me)).payload)
        numbers = [int(payload) for payload in taken[:-1]]
        if what == "send":
            assert numbers == sorted(set(numbers))
            assert sent in numbers
        else:
            assert numbers == list(range(1, sent + 1))
        assert len(me.errors) == 0


async def test_messages_in_doubt_are_not_confirmed(target: str | Gateway) -> None:
    link = Link(target)
    async with agent(link, "a") as a:
        before = a.session_id
        await a.send("ag::w::i::b", b"1")
        link.cut()
        link.mend()
        with pytest.raises(ConnectionLost):
            await a.confirm()
        await a.confirm()
        await a.send("ag::w::i::b", b"2")
        await a.confirm()
        assert a.session_id != before


async def test_events_and_metrics_arrive(target: str | Gateway) -> None:
    async with (
        agent(target, "a") as a,
        aether.connect_workflow_engine(target) as engine,
        aether.connect_metrics_bridge(target) as bridge,
    ):
        await a.event(b"happened")
        await a.metric("tokens", 12.5, "llm", trace_id="t", tags={"model": "m"})
        await a.confirm()
        event = await anext(engine)
        assert (event.payload, event.source_topic, event.message_type) == (b"happened", "ag::w::i::a", pb.EVENT)
        metric = pb.Metric.FromString((await anext(bridge)).payload)
        assert [(entry.name, entry.kind, entry.qty) for entry in metric.entries] == [("tokens", "llm", 12.5)]
        assert (metric.trace_id, dict(metric.metadata)) == ("t", {"model": "m"})


async def test_requests_wait_for_the_reconnect(target: str | Gateway) -> None:
    link = Link(target)
    async with agent(link, "a") as a, trio.open_nursery() as nursery:
        link.cut()
        with pytest.raises(ConnectionLost):
            await a.kv.put("k", b"v")
        nursery.start_soon(a.kv.put, "k", b"v")
        await trio.sleep(0.1)  # attempts to connect fail meanwhile
        link.mend()
    async with agent(target, "a") as a:
        assert await a.kv.get("k") == b"v"


async def test_after_its_block_a_connection_says_so(target: str | Gateway) -> None:
    async with agent(target, "a") as a:
        pass
    with pytest.raises(ConnectionClosed):
        await a.send("ag::w::i::b", b"late")
    with pytest.raises(ConnectionClosed):
        await a.kv.get("k")
    assert [message async for message in a] == []
    assert [refusal async for refusal in a.errors] == []


async def test_a_held_identity_can_be_waited_for(target: str | Gateway) -> None:
    options = Options(retry_on_duplicate=True, backoff_initial_s=0.01, backoff_max_s=0.05)
    refused = 0
    connected = trio.Event()

    class Counted(Link):
        async def open_transport(self) -> object:
            nonlocal refused
            refused += 1
            return await super().open_transport()

    async def wait_for_it() -> None:
        async with agent(Counted(target), "a", options) as a:
            connected.set()
            assert await a.kv.get("k") == b"first"

    async with trio.open_nursery() as nursery, agent(target, "a") as first:
        nursery.start_soon(wait_for_it)
        while refused < 3:
            await trio.lowlevel.checkpoint()
        assert not connected.is_set()
        await first.kv.put("k", b"first")


async def test_a_held_identity_is_not_waited_for_longer_than_told(target: str | Gateway) -> None:
    options = Options(retry_on_duplicate=True, attempts_max=2, backoff_initial_s=0.01)
    async with agent(target, "a"):
        with pytest.raises(DuplicateIdentity):
            async with agent(target, "a", options):
                pass
