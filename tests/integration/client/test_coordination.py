"""Locks, permits, leadership and work done once: contention, death, loss, and cancellation wherever it can strike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.support.cancelling import cancelled_at
from tests.support.gateway_process import GatewayProcess
from tests.support.link import Link

import aether
from aether import Gateway
from aether.client import Connection, Lease, LeaseHeld, LeaseLost, Options, RequestRefused, Scope

QUICK = Options(backoff_initial_s=0.01, backoff_max_s=0.05)


@asynccontextmanager
async def agent(target: str | Gateway | Link, name: str) -> AsyncIterator[Connection]:
    async with aether.connect_agent(
        target, workspace="w", implementation="i", specifier=name, options=QUICK
    ) as connection:
        yield connection


async def stored(connection: Connection, key: str) -> bytes:
    return await connection.kv.get(key, scope=Scope.WORKSPACE)


async def until_gone(connection: Connection, key: str) -> None:
    while await stored(connection, key):  # noqa: ASYNC110 - the gateway tells nobody that a key expired
        await trio.sleep(0.05)


class Occupancy:
    """How many are inside at a time, and how many ever were; nobody leaves before so many were inside at once."""

    def __init__(self, full: int) -> None:
        self.now = self.most = self.total = 0
        self._was_full = trio.Event()
        self._full = full

    async def visit(self) -> None:
        self.now += 1
        self.total += 1
        self.most = max(self.most, self.now)
        if self.most >= self._full:
            self._was_full.set()
        await self._was_full.wait()
        await trio.sleep(0.001)  # others get their chance
        self.now -= 1


# ----------------------------------------------------------------------------------------------------- contention


async def test_one_holder_at_a_time(target: str | Gateway) -> None:
    inside = Occupancy(1)

    async def contend(connection: Connection) -> None:
        async with connection.mutex("m"):
            await inside.visit()

    async with agent(target, "a") as a, agent(target, "b") as b:
        async with trio.open_nursery() as nursery:
            for connection in (a, b) * 5:
                nursery.start_soon(contend, connection)
        assert (inside.most, inside.total) == (1, 10)
        assert await stored(a, "m") == b""


async def test_as_many_holders_as_permits(target: str | Gateway) -> None:
    inside = Occupancy(3)

    async def contend(connection: Connection) -> None:
        async with connection.semaphore("s", 3):
            await inside.visit()

    async with agent(target, "a") as a, agent(target, "b") as b:
        async with trio.open_nursery() as nursery:
            for connection in (a, b) * 4:
                nursery.start_soon(contend, connection)
        assert (inside.most, inside.total) == (3, 8)
        assert [key async for key, _ in a.kv.list("s/", scope=Scope.WORKSPACE)] == []


async def test_who_does_not_wait_is_told(target: str | Gateway) -> None:
    async with agent(target, "a") as a, agent(target, "b") as b:
        async with a.mutex("m"), a.semaphore("s", 1):
            for attempt in (
                b.mutex("m", patience_s=0),
                b.mutex("m", patience_s=0.1),
                b.semaphore("s", 1, patience_s=0),
            ):
                with pytest.raises(LeaseHeld):
                    async with attempt:
                        raise AssertionError("two holders")
        async with b.mutex("m", patience_s=0), b.semaphore("s", 1, patience_s=0):
            pass


async def test_the_key_holds_what_official_helpers_store(target: str | Gateway) -> None:
    """Owner id as value, so that each side respects the other's locks."""
    async with agent(target, "a") as a:
        async with a.mutex("m") as lease:
            assert lease.key == "m"
            assert await stored(a, "m") == lease.owner.encode()
            host, _, digits = lease.owner.rpartition(":")
            assert host
            assert len(bytes.fromhex(digits)) == 8
            assert not await a.kv.set_nx("m", b"other:1", scope=Scope.WORKSPACE)
        assert await a.kv.set_nx("m", b"other:1", scope=Scope.WORKSPACE)
        with pytest.raises(LeaseHeld):
            async with a.mutex("m", patience_s=0):
                pass


async def test_keys_are_where_the_caller_says(target: str | Gateway) -> None:
    async with (
        agent(target, "a") as a,
        aether.connect_service(target, implementation="svc", specifier="1") as service,
    ):
        async with a.mutex("m"), a.mutex("m", scope=Scope.GLOBAL), a.mutex("m", workspace="other"):
            for place in ({"workspace": "w"}, {"scope": Scope.GLOBAL}, {"workspace": "other"}):
                with pytest.raises(LeaseHeld):
                    async with service.mutex("m", patience_s=0, **place):
                        pass
        with pytest.raises(RequestRefused, match="needs a workspace"):
            async with service.mutex("m"):
                pass


async def test_who_may_not_is_told_at_once(target: str | Gateway) -> None:
    async with aether.connect_user(target, user_id="u", window_id="1") as user:
        for attempt in (user.mutex("m"), user.semaphore("s", 1), user.once("o")):
            with pytest.raises(RequestRefused):
                async with attempt:
                    pass


@pytest.mark.parametrize("wrong", [{"ttl_s": 0}, {"permits": 0}])
async def test_what_cannot_be_is_refused_here(target: str | Gateway, wrong: dict[str, int]) -> None:
    async with agent(target, "a") as a:
        with pytest.raises(ValueError, match="or more"):
            async with a.semaphore("s", **{"permits": 1, **wrong}):
                pass


async def test_fencing_numbers_grow_with_every_holder(target: str | Gateway) -> None:
    numbers = []
    async with agent(target, "a") as a, agent(target, "b") as b:
        for connection in (a, b, a):
            async with connection.mutex("m") as lease:
                numbers.append(await lease.fence())
                assert await lease.fence() == numbers[-1]
        async with b.semaphore("s", 2) as permit:
            numbers.append(await permit.fence())
    assert numbers == sorted(set(numbers))


async def test_a_fencing_number_is_only_for_the_holder(target: str | Gateway) -> None:
    async with agent(target, "a") as a:

        async def be_late() -> None:
            async with a.mutex("m") as lease:
                await a.kv.delete("m", scope=Scope.WORKSPACE)
                await lease.fence()

        with pytest.raises(LeaseLost):
            await be_late()


# ---------------------------------------------------------------------------------------------------- once, leader


async def test_work_is_done_once(target: str | Gateway) -> None:
    done = []

    async def work(connection: Connection) -> None:
        async with connection.once("o") as first:
            if first:
                done.append(connection)

    async with agent(target, "a") as a, agent(target, "b") as b:
        async with trio.open_nursery() as nursery:
            for connection in (a, b) * 5:
                nursery.start_soon(work, connection)
        assert len(done) == 1
        assert await stored(a, "o")


async def test_work_that_failed_is_done_by_the_next(target: str | Gateway) -> None:
    async with agent(target, "a") as a, agent(target, "b") as b:

        async def fail() -> None:
            async with a.once("o") as first:
                assert first
                async with b.once("o") as second:
                    assert not second
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        async with b.once("o") as first:
            assert first
        async with a.once("o") as first:
            assert not first


async def test_a_mark_may_be_temporary(target: str | Gateway) -> None:
    async with agent(target, "a") as a:
        async with a.once("o", keep_s=1) as first:
            assert first
        await until_gone(a, "o")
        async with a.once("o") as first:
            assert first


async def test_a_mark_that_vanished_is_told(target: str | Gateway) -> None:
    async with agent(target, "a") as a:
        with pytest.raises(LeaseLost):
            async with a.once("o"):
                await a.kv.put("o", b"somebody", scope=Scope.WORKSPACE)
        assert await stored(a, "o") == b"somebody"


async def test_leaders_follow_each_other(target: str | Gateway) -> None:
    inside = Occupancy(1)

    async def run(connection: Connection) -> None:
        election = connection.leader("l")

        async def lead(term: Lease) -> None:
            assert await election.leader() == term.owner
            await inside.visit()

        await election.run(lead)

    async with agent(target, "a") as a, agent(target, "b") as b:
        async with trio.open_nursery() as nursery:
            for connection in (a, b) * 2:
                nursery.start_soon(run, connection)
        assert (inside.most, inside.total) == (1, 4)
        assert await a.leader("l").leader() == ""


async def test_who_lost_leadership_runs_again(target: str | Gateway) -> None:
    async with agent(target, "a") as a:
        terms: list[str] = []

        async def lead(term: Lease) -> None:
            terms.append(term.owner)
            if len(terms) == 1:
                await a.kv.delete("l", scope=Scope.WORKSPACE)
                await trio.sleep_forever()

        await a.leader("l", ttl_s=1).run(lead)
        assert len(set(terms)) == 2


async def test_the_loss_of_another_lease_is_no_loss_of_leadership(target: str | Gateway) -> None:
    async with agent(target, "a") as a:

        async def lead(term: Lease) -> None:
            async with a.mutex("m"):
                await a.kv.delete("m", scope=Scope.WORKSPACE)

        with pytest.raises(LeaseLost) as caught:
            await a.leader("l").run(lead)
        assert caught.value.key == "m"


# ---------------------------------------------------------------------------------------------------- loss, death


async def test_a_lease_is_renewed_as_long_as_its_block_runs(target: str | Gateway) -> None:
    async with agent(target, "a") as a, a.mutex("m", ttl_s=1) as lease:
        await a.kv.put("yardstick", b"x", ttl_s=2, scope=Scope.WORKSPACE)
        await until_gone(a, "yardstick")
        assert await stored(a, "m") == lease.owner.encode()


async def test_the_block_of_a_lost_lock_is_cancelled(target: str | Gateway) -> None:
    async with agent(target, "a") as a, agent(target, "b") as b:

        async def hold() -> None:
            async with a.mutex("m", ttl_s=1):
                await b.kv.put("m", b"somebody", scope=Scope.WORKSPACE)
                await trio.sleep_forever()

        with pytest.raises(LeaseLost, match="taken over"):
            await hold()
        assert await stored(a, "m") == b"somebody"


async def test_a_lock_lost_unnoticed_is_told_at_the_end(target: str | Gateway) -> None:
    async with agent(target, "a") as a:
        with pytest.raises(LeaseLost, match="taken over"):
            async with a.mutex("m"):
                await a.kv.put("m", b"somebody", scope=Scope.WORKSPACE)
        assert await stored(a, "m") == b"somebody"


async def test_the_error_of_the_block_comes_first(target: str | Gateway) -> None:
    async with agent(target, "a") as a:

        async def fail() -> None:
            async with a.mutex("m"):
                await a.kv.delete("m", scope=Scope.WORKSPACE)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()


@pytest.mark.parametrize("kind", ["mutex", "semaphore", "once"])
async def test_who_is_cut_off_stops_before_the_next_begins(target: str | Gateway, kind: str) -> None:
    """A holder whose connection is cut cannot release; the lease ends, and not before its block did."""
    events = []
    link = Link(target)

    def entry(connection: Connection) -> object:
        match kind:
            case "mutex":
                return connection.mutex("k", ttl_s=1)
            case "semaphore":
                return connection.semaphore("k", 1, ttl_s=1)
            case _:
                return connection.once("k", ttl_s=1)

    async def hold(a: Connection) -> None:
        async with entry(a):
            events.append("first in")
            link.cut()
            try:
                await trio.sleep_forever()
            finally:
                events.append("first out")

    async def lose(a: Connection) -> None:
        with pytest.raises(LeaseLost, match="not renewed in time"):
            await hold(a)
        link.mend()

    async def follow(b: Connection) -> None:
        while "second in" not in events:
            async with entry(b) as given:
                if given is not False:
                    events.append("second in")

    async with agent(link, "a") as a, agent(target, "b") as b, trio.open_nursery() as nursery:
        nursery.start_soon(lose, a)
        while not events:
            await trio.lowlevel.checkpoint()
        nursery.start_soon(follow, b)
    assert events == ["first in", "first out", "second in"]


async def test_a_short_interruption_is_survived(target: str | Gateway) -> None:
    link = Link(target)
    async with agent(link, "a") as a, agent(target, "b") as b:
        async with a.mutex("m", ttl_s=10) as lease:
            link.cut()
            link.mend()
            number = await lease.fence()
            with pytest.raises(LeaseHeld):
                async with b.mutex("m", patience_s=0):
                    pass
        async with b.mutex("m", patience_s=0) as next_lease:
            assert await next_lease.fence() > number


async def test_a_lock_outlives_the_gateway(tmp_path: Path) -> None:
    """Killed and started again, the gateway still knows the holder."""
    gateway = GatewayProcess(tmp_path).start()
    try:
        with trio.fail_after(20):
            async with agent(gateway.target, "a") as a, a.mutex("m") as lease:
                gateway.kill()
                await trio.to_thread.run_sync(gateway.start)
                async with agent(gateway.target, "b") as b:
                    with pytest.raises(LeaseHeld):
                        async with b.mutex("m", patience_s=0):
                            pass
                    assert await lease.fence() == 1
    finally:
        await trio.to_thread.run_sync(gateway.stop)


@pytest.mark.parametrize("kind", ["mutex", "semaphore", "once"])
async def test_an_answer_that_got_lost_is_no_second_holder(target: str | Gateway, kind: str) -> None:
    """The gateway took the lock for us and could not say so: after the reconnect it is ours, or given back."""
    link = Link(target)
    async with agent(link, "a") as a, agent(target, "b") as b, trio.open_nursery() as nursery:
        key = "k/0" if kind == "semaphore" else "k"
        entered = trio.Event()
        leave = trio.Event()

        async def hold() -> None:
            match kind:
                case "mutex":
                    entry = a.mutex("k")
                case "semaphore":
                    entry = a.semaphore("k", 1)
                case _:
                    entry = a.once("k")
            async with entry:
                entered.set()
                await leave.wait()

        link.mute_after(key.encode() + b"\x22")  # SET_NX: the key, then the field of the value
        nursery.start_soon(hold)
        while not (owner := await stored(b, key)):
            await trio.lowlevel.checkpoint()
        assert link.muted
        link.cut()
        link.mend()
        await entered.wait()
        assert await stored(b, key) == owner
        leave.set()


async def test_cancelled_while_the_answer_is_lost(target: str | Gateway) -> None:
    """The gateway took the lock for us, we do not know it, and do not want it any more."""
    link = Link(target)
    async with agent(link, "a") as a, agent(target, "b") as b, trio.open_nursery() as nursery:

        async def hold() -> None:
            async with a.mutex("k"):
                raise AssertionError("nothing was heard")

        link.mute_after(b"k\x22")
        nursery.start_soon(hold)
        while not await stored(b, "k"):
            await trio.lowlevel.checkpoint()
        link.cut()
        nursery.cancel_scope.cancel()
        link.mend()
    async with agent(target, "c") as c:
        assert await stored(c, "k") == b""


async def test_the_end_of_the_connection_ends_what_is_held(target: str | Gateway) -> None:
    """Nothing hangs when the gateway throws us out; the lease ends by itself."""
    async with aether.connect_orchestrator(target, implementation="o", profiles=["p"]) as operator:

        async def hold() -> None:
            async with agent(target, "a") as a, a.mutex("m", ttl_s=1):
                await operator.sessions.disconnect(a.session_id)
                await trio.sleep_forever()

        with pytest.raises(aether.client.Disconnected):
            await hold()
    async with agent(target, "b") as b, b.mutex("m"):
        pass


# --------------------------------------------------------------------------------------------------- cancellation


@pytest.mark.parametrize("kind", ["mutex", "semaphore", "once", "leader"])
async def test_cancellation_anywhere_leaves_nothing_held(target: str | Gateway, kind: str) -> None:
    async with agent(target, "a") as a:
        completed = []

        async def use() -> None:
            match kind:
                case "mutex":
                    async with a.mutex("k") as lease:
                        await lease.fence()
                case "semaphore":
                    async with a.semaphore("k", 2) as lease:
                        await lease.fence()
                case "once":
                    async with a.once("k") as first:
                        assert first
                        await a.kv.get("x")
                case _:
                    await a.leader("k").run(lambda term: term.fence())
            completed.append(kind)

        step = 0
        cancelled = True
        while cancelled:
            step += 1
            completed.clear()
            cancelled = await cancelled_at(step, use)
            left = [key async for key, _ in a.kv.list("k", scope=Scope.WORKSPACE)]
            if kind == "once" and left:
                # Only work that came to its end may leave its mark.
                assert await a.kv.compare_and_delete("k", await stored(a, "k"), scope=Scope.WORKSPACE)
                assert completed or cancelled
            else:
                assert left == []
        assert step > 5


async def test_cancelled_while_waiting(target: str | Gateway) -> None:
    async with agent(target, "a") as a, agent(target, "b") as b:
        async with a.mutex("m") as lease:
            for step in range(1, 10):

                async def contend() -> None:
                    async with b.mutex("m"):
                        raise AssertionError("two holders")

                assert await cancelled_at(step, contend)
                assert await stored(a, "m") == lease.owner.encode()
        async with b.mutex("m", patience_s=0):
            pass


async def test_a_lock_is_given_up_when_its_connection_is_cancelled(target: str | Gateway) -> None:
    held = trio.Event()

    async def hold() -> None:
        async with agent(target, "a") as a, a.mutex("m"):
            held.set()
            await trio.sleep_forever()

    async with agent(target, "b") as b:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold)
            await held.wait()
            nursery.cancel_scope.cancel()
        async with b.mutex("m", patience_s=0):
            pass
