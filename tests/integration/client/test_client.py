"""The trio-native client against a gateway in the same process, over sockets and without."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess
from tests.support.link import Link

import aether
from aether import Gateway
from aether.client import (
    Connection,
    Disconnected,
    DuplicateIdentity,
    Lost,
    NotFound,
    Options,
    PermissionDenied,
    Regained,
    Scope,
)
from aether.proto import aether_pb2 as pb

PATIENCE_S = 20


@asynccontextmanager
async def agent(target: str | Gateway | Link, name: str, options: Options | None = None) -> AsyncIterator[Connection]:
    async with aether.connect_agent(
        target, workspace="w", implementation="i", specifier=name, options=options
    ) as connection:
        yield connection


async def test_every_principal_type_connects(target: str | Gateway) -> None:
    async with (
        agent(target, "a"),
        aether.connect_task(target, workspace="w", implementation="job", specifier="1"),
        aether.connect_task(target, workspace="w", implementation="pool") as worker,
        aether.connect_user(target, user_id="u", window_id="w1") as user,
        aether.connect_service(target, implementation="svc", specifier="1"),
        aether.connect_bridge(target, implementation="br", specifier="1"),
        aether.connect_orchestrator(target, implementation="orc", specifier="1", profiles=["p"]) as operator,
        aether.connect_workflow_engine(target),
        aether.connect_metrics_bridge(target),
    ):
        assert worker.assigned_id
        assert sorted(session.type for session in await operator.sessions.list()) == [1, 2, 2, 3, 4, 5, 6, 7, 8]
        assert {session.workspace for session in await operator.sessions.list(workspace="w")} == {"w"}
        assert len(await operator.sessions.list(workspace="w", offset=1)) == 2
        assert await operator.connection_status("user", "us::u::w1")
        await user.switch_workspace("w")
        await user.transmit(pb.UpstreamMessage())
        while not user.errors:
            await trio.lowlevel.checkpoint()
        assert user.errors[0].code == "ERR_NOT_IMPLEMENTED"


async def test_keys_of_every_kind(target: str | Gateway) -> None:
    async with agent(target, "a") as me:
        kv = me.kv
        assert await kv.get("k") == b""  # the protocol does not tell absent from empty
        await kv.put("k", b"v")
        assert await kv.get("k") == b"v"
        assert [await kv.increment("n"), await kv.increment("n"), await kv.decrement("n")] == [1, 2, 1]
        assert (await kv.increment_if("n", 1)).applied is False
        assert (await kv.decrement_if("n", 0)).value == 0
        assert [await kv.set_nx("lock", b"a"), await kv.set_nx("lock", b"b")] == [True, False]
        assert await kv.compare_and_set("lock", b"a", b"c")
        assert not await kv.compare_and_delete("lock", b"a")
        assert await kv.compare_and_delete("lock", b"c")
        assert [(await kv.set_add("set", member)).value for member in (b"x", b"y", b"x")] == [1, 2, 2]
        assert await kv.set_card("set") == 2
        await kv.delete("k")
        assert await kv.get("k") == b""  # the protocol does not tell absent from empty


async def test_listing_neither_loses_nor_repeats(target: str | Gateway) -> None:
    async with agent(target, "a") as me:
        expected = {f"p/{number:03}": b"%d" % number for number in range(250)}
        async with trio.open_nursery() as nursery:
            for key, value in expected.items():
                nursery.start_soon(me.kv.put, key, value)
        await me.kv.put("other", b"")
        found = [entry async for entry in me.kv.list("p/")]
        assert found == sorted(expected.items())


async def test_another_identity_is_purged(target: str | Gateway) -> None:
    async with agent(target, "a") as me, agent(target, "b") as other:
        for key in ("x/1", "x/2", "y"):
            await other.kv.put(key, b"v")
        assert await me.kv.purge_identity("ag::w::i::b", prefix="x/") == 2
        assert [key async for key, _ in other.kv.list()] == ["y"]


async def test_checkpoints(target: str | Gateway) -> None:
    async with agent(target, "a") as me:
        await me.checkpoints.save(b"state", "step")
    async with agent(target, "a") as me:
        checkpoint = await me.checkpoints.load("step")
        assert checkpoint is not None
        assert checkpoint.data == b"state"
        assert await me.checkpoints.list() == ["step"]
        await me.checkpoints.delete("step")
        assert await me.checkpoints.load("step") is None


async def test_private_state_comes_with_the_connection(target: str | Gateway) -> None:
    async with agent(target, "a") as me:
        await me.kv.put("k", b"mine", scope=Scope.WORKSPACE_EXCLUSIVE)
    async with agent(target, "a") as me:
        await me.kv.get("k")  # an answer comes after the snapshot
        assert dict(me.config.workspace_exclusive_kv) == {"k": b"mine"}


async def test_refused_messages_are_kept_for_whoever_looks(target: str | Gateway) -> None:
    async with agent(target, "a") as me:
        await me.send("nonsense", b"x")
        await me.kv.get("k")
        assert [error.code for error in me.errors] == ["ERR_INVALID_TOPIC"]


async def test_a_cancelled_request_disturbs_no_other(target: str | Gateway) -> None:
    async with agent(target, "a") as me:
        await me.kv.put("k", b"v")
        for _ in range(50):
            with trio.move_on_after(0):
                await me.kv.increment("n")
            assert await me.kv.get("k") == b"v"


async def test_administration(target: str | Gateway) -> None:
    async with (
        agent(target, "plain") as plain,
        aether.connect_orchestrator(target, implementation="orc", specifier="1", profiles=["p"]) as operator,
    ):
        with pytest.raises(PermissionDenied):
            await plain.sessions.list()
        with pytest.raises(NotFound):
            await operator.sessions.get("nobody")
        with pytest.raises(Disconnected, match="maintenance"):
            await be_disconnected(target, operator)


async def be_disconnected(target: str | Gateway, operator: Connection) -> None:
    async with agent(target, "victim") as victim:
        assert (await operator.sessions.get(victim.session_id)).specifier == "victim"
        await operator.sessions.disconnect(victim.session_id, "maintenance")
        try:
            await trio.sleep_forever()
        finally:
            assert "maintenance" in victim.closed_reason
            assert not victim.outages


async def test_one_holder_of_an_identity(target: str | Gateway) -> None:
    async with agent(target, "a") as first:
        with pytest.raises(DuplicateIdentity):
            async with agent(target, "a"):
                pass
        await first.kv.put("k", b"still here")
        assert first.closed_reason == ""
    assert first.closed_reason == "closed"


async def test_it_comes_back_when_the_gateway_does(tmp_path: Path) -> None:
    """Requests wait, the session is resumed, and what was sent meanwhile arrives."""
    gateway = GatewayProcess(tmp_path).start()
    try:
        with trio.fail_after(PATIENCE_S):
            options = Options(backoff_initial_s=0.05, backoff_max_s=0.2)
            async with agent(gateway.target, "a", options) as a, agent(gateway.target, "b", options) as b:
                await a.kv.put("k", b"v")
                gateway.kill()
                await trio.to_thread.run_sync(gateway.start)
                value = None
                while value is None:
                    try:
                        value = await a.kv.get("k")
                    except aether.client.ConnectionLost:
                        continue
                assert value == b"v"
                assert a.resumed
                lost, regained = a.outages
                assert isinstance(lost, Lost)
                assert lost.reason
                assert regained == Regained(regained.after_s, resumed=True)
                assert 0 < regained.after_s < PATIENCE_S
                assert a.closed_reason == ""
                await a.send("ag::w::i::b", b"after")
                assert (await anext(b)).payload == b"after"
    finally:
        await trio.to_thread.run_sync(gateway.stop)


async def test_every_outage_is_told_once(target: str | Gateway) -> None:
    """However many attempts it takes; and the last end is none."""
    link = Link(target)
    told: list[Lost | Regained] = []
    with trio.fail_after(PATIENCE_S):
        async with agent(link, "a", Options(backoff_initial_s=0.01, backoff_max_s=0.02)) as me:
            for _ in range(3):
                link.cut()
                told.append(await anext(me.outages))
                await trio.sleep(0.1)  # some attempts
                link.mend()
                told.append(await anext(me.outages))
                await me.kv.put("k", b"v")
            assert not me.outages
        assert [outage async for outage in me.outages] == []
    assert [type(outage) for outage in told] == [Lost, Regained] * 3


@pytest.mark.parametrize("pool", [False, True], ids=["agent", "pool worker"])
async def test_an_acknowledgement_that_got_lost(target: str | Gateway, pool: bool) -> None:
    """connection 5.3: the client does not know of a session that holds its identity; it is not its own rival."""
    link = Link(target)
    quick = Options(backoff_initial_s=0.01, backoff_max_s=0.02)
    place = {"workspace": "w", "implementation": "i"}
    connecting = (
        aether.connect_task(link, **place, options=quick)
        if pool
        else aether.connect_agent(link, **place, specifier="a", options=quick)
    )
    with trio.fail_after(PATIENCE_S):
        async with (
            connecting as me,
            aether.connect_orchestrator(target, implementation="orc", specifier="1", profiles=["p"]) as operator,
        ):
            assigned, known = me.assigned_id, me.session_id
            seen = {known}
            link.cut()
            link.mute_after(known.encode())
            link.mend()
            for attempt in range(3):
                while not (ghosts := {item.session_id for item in await operator.sessions.list(workspace="w")} - seen):
                    pass
                seen |= ghosts
                link.abandon()
                if attempt < 2:
                    link.mute_after(known.encode())
            await me.checkpoints.save(b"still me")
            assert me.resumed
            assert me.assigned_id == assigned
            sessions = await operator.sessions.list(workspace="w")
            assert [item.session_id for item in sessions] == [me.session_id]
            assert me.session_id not in seen
            link.cut()
            link.mend()
