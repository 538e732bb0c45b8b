"""The identity lock port (connection 5, backends 3.1)."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from aether.errors import IdentityHeld
from aether.sessions.store import ClientInfo, Lock

from .conftest import Stores, WallClock, open_stores

ME = "ag::w::i::s"
CLIENT = ClientInfo(version="1", sdk="test")


async def take(stores: Stores, session: str, resume: str = "", identity: str = ME) -> Lock:
    return await stores.locks.acquire(identity, session, resume, CLIENT)


async def test_a_free_lock_is_taken_fresh(stores: Stores) -> None:
    lock = await take(stores, "s1")
    assert (lock.resumed, lock.reconnects, lock.initial_ms) == (False, 0, stores.clock())
    assert await stores.locks.holder(ME) == lock


async def test_a_held_lock_is_refused_and_undisturbed(stores: Stores) -> None:
    lock = await take(stores, "s1")
    with pytest.raises(IdentityHeld):
        await take(stores, "s2")
    with pytest.raises(IdentityHeld):
        await take(stores, "s2", resume="other")
    assert await stores.locks.refresh([(ME, "s1", lock.fence)]) == set()


async def test_resume_takes_over_keeps_the_first_connect_and_counts(stores: Stores) -> None:
    first = await take(stores, "s1")
    stores.clock.advance(5)
    second = await take(stores, "s2", resume="s1")
    assert (second.resumed, second.initial_ms, second.reconnects) == (True, first.initial_ms, 1)
    third = await take(stores, "s3", resume="s2")
    assert third.reconnects == 2
    with pytest.raises(IdentityHeld):
        await take(stores, "s4", resume="s1")


async def test_resuming_a_free_lock_is_a_fresh_start(stores: Stores) -> None:
    lock = await take(stores, "s1", resume="whatever")
    assert (lock.resumed, lock.reconnects) == (False, 0)


async def test_fences_grow_and_the_displaced_holder_is_told(stores: Stores) -> None:
    first = await take(stores, "s1")
    second = await take(stores, "s2", resume="s1")
    assert second.fence > first.fence
    assert await stores.locks.refresh([(ME, "s1", first.fence), (ME, "s2", second.fence)]) == {"s1"}
    assert not await stores.locks.release(ME, "s1", first.fence)
    assert await stores.locks.holder(ME) == second


async def test_release_frees_at_once(stores: Stores) -> None:
    lock = await take(stores, "s1")
    assert await stores.locks.release(ME, "s1", lock.fence)
    assert not await stores.locks.release(ME, "s1", lock.fence)
    assert await stores.locks.holder(ME) is None
    await take(stores, "s2")


async def test_a_lock_expires_unless_refreshed(stores: Stores) -> None:
    lock = await take(stores, "s1")
    stores.clock.advance(29)
    assert await stores.locks.refresh([(ME, "s1", lock.fence)]) == set()
    stores.clock.advance(29)
    with pytest.raises(IdentityHeld):
        await take(stores, "s2")
    stores.clock.advance(2)
    assert await stores.locks.holder(ME) is None
    await take(stores, "s2")
    assert await stores.locks.refresh([(ME, "s1", lock.fence)]) == {"s1"}
    assert not await stores.locks.release(ME, "s1", lock.fence)


async def test_an_expired_lock_that_nobody_took_is_still_its_holders(stores: Stores) -> None:
    """connection W-10: clocks that are set, machines that slept."""
    lock = await take(stores, "s1")
    stores.clock.advance(100)
    assert await stores.locks.holder(ME) is None
    assert await stores.locks.scan(ME) == []
    assert await stores.locks.refresh([(ME, "s1", lock.fence)]) == set()
    assert await stores.locks.holder(ME) == lock
    with pytest.raises(IdentityHeld):
        await take(stores, "s2")
    stores.clock.advance(100)
    other = await take(stores, "s2")
    assert await stores.locks.release(ME, "s2", other.fence)
    assert await stores.locks.refresh([(ME, "s1", lock.fence)]) == {"s1"}, "it was somebody else's in between"


async def test_what_was_given_up_can_be_resumed_for_a_while(stores: Stores) -> None:
    """connection W-42."""
    first = await take(stores, "s1")
    assert await stores.locks.keep_workspace(ME, "s1", first.fence, "here")
    assert await stores.locks.release(ME, "s1", first.fence)
    assert not await stores.locks.keep_workspace(ME, "s1", first.fence, "there")
    assert [lock.session_id for lock in await stores.locks.scan(ME)] == ["s1"]
    stores.clock.advance(599)
    second = await take(stores, "s2", resume="s1")
    assert (second.resumed, second.reconnects, second.initial_ms) == (True, 1, first.initial_ms)
    assert second.workspace == "here"
    assert await stores.locks.release(ME, "s2", second.fence)
    fresh = await take(stores, "s3", resume="s1")
    assert (fresh.resumed, fresh.reconnects, fresh.workspace) == (False, 0, ""), "only the last one"
    assert await stores.locks.release(ME, "s3", fresh.fence)
    stores.clock.advance(601)
    assert await stores.locks.scan(ME) == []
    assert not (await take(stores, "s4", resume="s3")).resumed


async def test_memory_of_what_was_given_up_is_bounded(stores: Stores) -> None:
    for number in range(10_050):
        lock = await take(stores, f"s{number}", identity=f"ag::w::i::{number}")
        await stores.locks.release(lock.identity, lock.session_id, lock.fence)
    assert len(await stores.locks.scan("ag::w::i::")) == 10_000
    assert not (await take(stores, "new", resume="s0", identity="ag::w::i::0")).resumed
    assert (await take(stores, "new", resume="s10049", identity="ag::w::i::10049")).resumed


async def test_of_many_at_once_exactly_one_wins(stores: Stores) -> None:
    won: list[str] = []

    async def contend(session: str) -> None:
        try:
            won.append((await take(stores, session)).session_id)
        except IdentityHeld:
            pass

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(contend, f"s{number}")
    assert len(won) == 1


async def test_scan_finds_by_prefix(stores: Stores) -> None:
    for name in ("sv::a::1", "sv::a::2", "sv::ab::1"):
        await take(stores, f"session-{name}", identity=name)
    assert {lock.identity for lock in await stores.locks.scan("sv::a::")} == {"sv::a::1", "sv::a::2"}


async def test_locks_of_a_dead_process_are_free_and_resumable(
    persistent_adapter: str, tmp_path: Path, clock: WallClock
) -> None:
    async with open_stores(persistent_adapter, tmp_path, clock) as before:
        first = await take(before, "s1")
        await take(before, "t1", identity="ag::w::i::other")
        left = await take(before, "l1", identity="us::alice::w")
        await before.locks.keep_workspace(left.identity, "l1", left.fence, "here")
        await before.locks.release(left.identity, "l1", left.fence)
    async with open_stores(persistent_adapter, tmp_path, clock) as after:
        resumed = await take(after, "s2", resume="s1")
        assert resumed.resumed and resumed.initial_ms == first.initial_ms and resumed.fence > first.fence
        assert (await take(after, "l2", resume="l1", identity="us::alice::w")).workspace == "here"
        stranger = await take(after, "t2", identity="ag::w::i::other")
        assert not stranger.resumed
