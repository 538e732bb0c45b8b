"""Locks are kept while the store answers, and given up before anybody else may take them (connection 33, 35; W-10)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock

from aether.errors import IdentityHeld, StoreUnavailable
from aether.gateway.heartbeat import Heartbeat
from aether.sessions.store import ClientInfo, Lock
from aether.storage.memory.locks import MemoryLocks

TTL_S = 30.0


def now_ms() -> int:
    return int(trio.current_time() * 1000)


class Holder:
    """A session, as far as the heartbeat looks."""

    def __init__(self, lock: Lock, heartbeat: Heartbeat) -> None:
        self.session_id = lock.session_id
        self.fence = lock.fence
        self.lock_key = lock.identity
        self.lock_deadline = heartbeat.deadline()
        self.ended_at: float | None = None

    def end_lock_lost(self) -> None:
        self.ended_at = self.ended_at or trio.current_time()


class Store(MemoryLocks):
    """Another gateway would ask the same one.

    :ivar outage: what asking it is like: it refuses, or does not answer.
    """

    outage = ""

    async def refresh(self, held: Sequence[tuple[str, str, int]]) -> set[str]:
        if self.outage == "refuses":
            raise StoreUnavailable
        if self.outage == "hangs":
            await trio.sleep_forever()
        return await super().refresh(held)


class Site:
    """A gateway with sessions, and a stranger who wants their identities."""

    def __init__(self) -> None:
        self.store = Store(now_ms)
        self.sessions: list[Holder] = []
        self.heartbeat = Heartbeat(self.store, self.sessions, ttl_s=TTL_S)

    async def connect(self, name: str) -> Holder:
        lock = await self.store.acquire(f"ag::w::i::{name}", name, "", ClientInfo())
        holder = Holder(lock, self.heartbeat)
        self.sessions.append(holder)
        return holder

    async def stranger_gets_in(self, holder: Holder) -> bool:
        try:
            await self.store.acquire(holder.lock_key, "stranger", "", ClientInfo())
        except IdentityHeld:
            return False
        return True


@pytest.fixture
async def site(nursery: trio.Nursery) -> Site:
    site = Site()
    await nursery.start(site.heartbeat.run)
    return site


async def test_a_lock_is_kept_as_long_as_its_session_lasts(site: Site, autojump_clock: MockClock) -> None:
    """33: never while it is refreshed, at the latest a lifetime afterwards."""
    first = await site.connect("first")
    for step in range(200):
        if step == 7:
            await site.connect("second")
        await trio.sleep(1.5)
        assert not await site.stranger_gets_in(first)
    assert all(holder.ended_at is None for holder in site.sessions)
    site.sessions.remove(first)
    await trio.sleep(TTL_S)
    assert await site.stranger_gets_in(first)


@pytest.mark.parametrize("outage", ["refuses", "hangs"])
async def test_a_short_outage_ends_nobody(site: Site, autojump_clock: MockClock, outage: str) -> None:
    """35."""
    holder = await site.connect("s")
    await trio.sleep(9)
    site.store.outage = outage
    await trio.sleep(14.5)  # not at the moment of an attempt, which would come before or after it by chance
    site.store.outage = ""
    await trio.sleep(100)
    assert holder.ended_at is None
    assert not await site.stranger_gets_in(holder)


@pytest.mark.parametrize("outage", ["refuses", "hangs"])
@pytest.mark.parametrize("connected_s", [0, 3.3, 9.9])
async def test_a_session_ends_before_its_lock_can_be_taken(
    site: Site, autojump_clock: MockClock, outage: str, connected_s: float
) -> None:
    """35: also when the store takes its time to fail."""
    await site.connect("other")
    await trio.sleep(connected_s)
    began = trio.current_time()
    holder = await site.connect("s")
    site.store.outage = outage
    while not await site.stranger_gets_in(holder):  # noqa: ASYNC110 - nobody tells
        await trio.sleep(0.1)
    assert trio.current_time() - began >= TTL_S
    assert holder.ended_at is not None
    assert holder.ended_at - began < 26, "and not long before"


async def test_a_lock_that_somebody_else_has_ends_the_session(site: Site, autojump_clock: MockClock) -> None:
    holder, other = await site.connect("s"), await site.connect("other")
    await site.store.release(holder.lock_key, holder.session_id, holder.fence)
    assert await site.stranger_gets_in(holder)
    await trio.sleep(11)
    assert holder.ended_at is not None
    assert other.ended_at is None
