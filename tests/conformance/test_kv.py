"""The key/value port (kv 4, 7): the same answers from every adapter."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from aether.errors import InvalidArgument, KVError, NotAnInteger, Overflow, WrongType
from aether.kv.store import Command, Namespace, Op, Result, Scope

from .conftest import Stores, WallClock, open_stores

HERE = Namespace(Scope.GLOBAL_EXCLUSIVE, owner=("impl", "spec"))


async def run(
    stores: Stores, op: Op, key: str = "k", value: bytes = b"", *, at: Namespace = HERE, **rest: object
) -> Result:
    return await stores.kv.execute(Command(op, at, key, value, **rest))  # type: ignore[arg-type]


async def test_absent_and_empty_values(stores: Stores) -> None:
    assert not (await run(stores, Op.GET)).found
    await run(stores, Op.PUT, value=b"")
    result = await run(stores, Op.GET)
    assert result.found and result.value == b""


async def test_put_get_delete(stores: Stores) -> None:
    await run(stores, Op.PUT, value=b"\x00\xff")
    assert (await run(stores, Op.GET)).value == b"\x00\xff"
    await run(stores, Op.PUT, value=b"two")
    assert (await run(stores, Op.GET)).value == b"two"
    assert (await run(stores, Op.DELETE)).found
    assert not (await run(stores, Op.DELETE)).found
    assert not (await run(stores, Op.GET)).found


@pytest.mark.parametrize("size", [0, 10, 3_000_000])
async def test_the_newest_value_is_read_whatever_the_sizes(stores: Stores, size: int) -> None:
    """No cache keeps what was there before: nothing, a small value, a large one."""
    assert not (await run(stores, Op.GET)).found
    for value in (b"x" * size, b"small", b"y" * size, b""):
        await run(stores, Op.PUT, value=value)
        result = await run(stores, Op.GET)
        assert result.found
        assert result.value == value
    await run(stores, Op.DELETE)
    assert not (await run(stores, Op.GET)).found


@pytest.mark.parametrize("key", ["a:b", "a/b", "with space", "*", "?", "[x]", "ünïcode", "\x00nul", "'quote\""])
async def test_any_characters_in_keys(stores: Stores, key: str) -> None:
    await run(stores, Op.PUT, key, b"v")
    assert (await run(stores, Op.GET, key)).value == b"v"
    assert (await run(stores, Op.LIST, "")).keys == [key]
    await run(stores, Op.DELETE, key)
    assert (await run(stores, Op.LIST, "")).keys == []


async def test_key_length_is_counted_in_bytes(stores: Stores) -> None:
    await run(stores, Op.PUT, "x" * 256, b"v")
    for key in ("", "x" * 257, "ü" * 129):
        with pytest.raises(InvalidArgument):
            await run(stores, Op.GET, key)


async def test_namespaces_are_separate_and_injective(stores: Stores) -> None:
    places = [
        *(Namespace(scope) for scope in Scope),
        Namespace(Scope.USER_SHARED, user="u", workspace=""),
        Namespace(Scope.USER_WORKSPACE_SHARED, user="u", workspace="w"),
        Namespace(Scope.WORKSPACE, workspace="a:b"),
        Namespace(Scope.WORKSPACE, workspace="a|b"),
        Namespace(Scope.WORKSPACE, workspace="a_b"),
        Namespace(Scope.GLOBAL_EXCLUSIVE, owner=("a|b", "c")),
        Namespace(Scope.GLOBAL_EXCLUSIVE, owner=("a", "b|c")),
    ]
    for number, place in enumerate(places):
        await run(stores, Op.PUT, "k", b"%d" % number, at=place)
    for number, place in enumerate(places):
        assert (await run(stores, Op.GET, "k", at=place)).value == b"%d" % number


async def test_counters(stores: Stores) -> None:
    assert (await run(stores, Op.INCREMENT)).counter == 1
    assert (await run(stores, Op.INCREMENT)).counter == 2
    assert (await run(stores, Op.GET)).value == b"2"
    assert (await run(stores, Op.DECREMENT, "d")).counter == -1
    for start in (b"41", b"10000000", b"-1000000"):
        await run(stores, Op.PUT, value=start)
        assert (await run(stores, Op.INCREMENT)).counter == int(start) + 1


async def test_counters_on_other_content_change_nothing(stores: Stores) -> None:
    for value, error in ((b"x", NotAnInteger), (b"", NotAnInteger), (b"9223372036854775807", Overflow)):
        await run(stores, Op.PUT, value=value)
        with pytest.raises(error):
            await run(stores, Op.INCREMENT)
        assert (await run(stores, Op.GET)).value == value


async def test_guarded_counters(stores: Stores) -> None:
    up = [await run(stores, Op.INCREMENT_IF, delta=1, guard=2) for _ in range(3)]
    assert [(r.applied, r.counter) for r in up] == [(True, 1), (True, 2), (False, 2)]
    assert (await run(stores, Op.INCREMENT_IF, "zero", guard=0)).applied is False
    down = [await run(stores, Op.DECREMENT_IF, "d", guard=-2) for _ in range(3)]
    assert [(r.applied, r.counter) for r in down] == [(True, -1), (True, -2), (False, -2)]
    with pytest.raises(InvalidArgument):
        await run(stores, Op.INCREMENT_IF, delta=-1, guard=5)


async def test_conditional_writes(stores: Stores) -> None:
    assert (await run(stores, Op.SET_NX, value=b"a")).applied
    loser = await run(stores, Op.SET_NX, value=b"b")
    assert (loser.applied, loser.value) == (False, b"a")
    assert not (await run(stores, Op.COMPARE_AND_SET, value=b"c", expected=b"x")).applied
    assert (await run(stores, Op.COMPARE_AND_SET, value=b"c", expected=b"a")).applied
    assert not (await run(stores, Op.COMPARE_AND_SET, "absent", b"c", expected=b"")).applied
    assert not (await run(stores, Op.COMPARE_AND_DELETE, expected=b"x")).applied
    assert (await run(stores, Op.COMPARE_AND_DELETE, expected=b"c")).applied
    assert not (await run(stores, Op.GET)).found


async def test_sets(stores: Stores) -> None:
    added = [await run(stores, Op.SET_ADD, value=member) for member in (b"\xff", b"\xfe", b"\xff", b"")]
    assert [(r.applied, r.counter) for r in added] == [(True, 1), (True, 2), (False, 2), (True, 3)]
    assert (await run(stores, Op.SET_CARD)).counter == 3
    assert (await run(stores, Op.SET_CARD, "absent")).counter == 0
    for op in (Op.INCREMENT, Op.GET):
        with pytest.raises(WrongType):
            await run(stores, op)
    await run(stores, Op.PUT, "plain", b"v")
    with pytest.raises(WrongType):
        await run(stores, Op.SET_ADD, "plain", b"m")
    assert (await run(stores, Op.GET, "plain")).value == b"v"
    await run(stores, Op.DELETE)
    assert (await run(stores, Op.SET_CARD)).counter == 0


async def test_time_to_live(stores: Stores) -> None:
    await run(stores, Op.PUT, "short", b"v", ttl_s=1)
    await run(stores, Op.PUT, "kept", b"v", ttl_s=60)
    await run(stores, Op.PUT, "kept", b"v")
    await run(stores, Op.INCREMENT, "window", ttl_s=2)
    await run(stores, Op.SET_NX, "lease", b"a", ttl_s=1)
    stores.clock.advance(1.5)
    await run(stores, Op.INCREMENT, "window", ttl_s=60)
    assert not (await run(stores, Op.GET, "short")).found
    assert (await run(stores, Op.SET_NX, "lease", b"b", ttl_s=1)).applied
    assert (await run(stores, Op.COMPARE_AND_SET, "lease", b"b", expected=b"b", ttl_s=100)).applied
    stores.clock.advance(60)
    assert (await run(stores, Op.INCREMENT, "window")).counter == 1
    assert (await run(stores, Op.GET, "lease")).value == b"b"
    assert sorted((await run(stores, Op.LIST, "")).keys) == ["kept", "lease", "window"]
    await run(stores, Op.COMPARE_AND_SET, "lease", b"b", expected=b"b")
    stores.clock.advance(1000)
    assert (await run(stores, Op.GET, "lease")).found


async def test_listing_by_literal_prefix(stores: Stores) -> None:
    for key in ("a*1", "a*2", "ab", "b", "a", "ÿ", "ÿÿ"):
        await run(stores, Op.PUT, key, key.encode())
    result = await run(stores, Op.LIST, "a*")
    assert result.keys == ["a*1", "a*2"] and result.values == [b"a*1", b"a*2"] and not result.more
    assert (await run(stores, Op.LIST, "ÿ")).keys == ["ÿ", "ÿÿ"]
    assert (await run(stores, Op.LIST, "zz")).keys == []


@pytest.mark.parametrize(("count", "limit"), [(250, 0), (50, 7), (49, 7), (3, 100)])
async def test_paging_is_complete_and_without_repetition(stores: Stores, count: int, limit: int) -> None:
    for number in range(count):
        await run(stores, Op.PUT, f"key-{number:03}", b"v")
    keys: list[str] = []
    cursor = ""
    while True:
        page = await run(stores, Op.LIST, "key-", limit=limit, cursor=cursor)
        assert len(page.keys) <= (limit or 100)
        keys += page.keys
        for gone in page.keys[:1]:
            await run(stores, Op.DELETE, gone)  # a key that goes between pages hides no other
        if not page.more:
            assert page.cursor == ""
            break
        cursor = page.cursor
    assert keys == [f"key-{number:03}" for number in range(count)]


async def test_a_bad_cursor_is_refused(stores: Stores) -> None:
    with pytest.raises(InvalidArgument):
        await run(stores, Op.LIST, "", cursor="§")


async def test_a_page_is_bounded_in_bytes(stores: Stores) -> None:
    for number in range(5):
        await run(stores, Op.PUT, f"big-{number}", b"x" * 1_000_000)
    page = await run(stores, Op.LIST, "")
    assert page.more and 1 <= len(page.keys) < 5


async def test_purge_removes_what_has_the_prefix_and_says_how_much(stores: Stores) -> None:
    for key in ("a1", "a2", "b1"):
        await run(stores, Op.PUT, key, b"v")
    await run(stores, Op.SET_ADD, "a-set", b"m")
    assert (await run(stores, Op.PURGE_IDENTITY, "a")).counter == 3
    assert (await run(stores, Op.LIST, "")).keys == ["b1"]
    assert (await run(stores, Op.PURGE_IDENTITY, "")).counter == 1


async def test_concurrent_commands_lose_nothing(stores: Stores) -> None:
    won = 0

    async def contend() -> None:
        nonlocal won
        await run(stores, Op.INCREMENT, "count")
        applied = (await run(stores, Op.SET_NX, "one", b"me")).applied
        won += applied
        await run(stores, Op.INCREMENT_IF, "capped", guard=10)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(contend)
    assert won == 1
    assert (await run(stores, Op.GET, "count")).value == b"50"
    assert (await run(stores, Op.GET, "capped")).value == b"10"


async def test_count_of_a_namespace(stores: Stores) -> None:
    assert await stores.kv.count(HERE) == 0
    for number in range(5):
        await run(stores, Op.PUT, f"k{number}", b"v")
    await run(stores, Op.PUT, "k0", b"again")
    await run(stores, Op.DELETE, "k1")
    assert await stores.kv.count(HERE) == 4


async def test_values_survive_a_restart(persistent_adapter: str, tmp_path: Path, clock: WallClock) -> None:
    async with open_stores(persistent_adapter, tmp_path, clock) as before:
        await run(before, Op.PUT, "a", b"1", ttl_s=100)
        await run(before, Op.SET_ADD, "s", b"m")
        await run(before, Op.PUT, "gone", b"1")
        await run(before, Op.DELETE, "gone")
    async with open_stores(persistent_adapter, tmp_path, clock) as after:
        assert (await run(after, Op.GET, "a")).value == b"1"
        assert (await run(after, Op.SET_CARD, "s")).counter == 1
        assert not (await run(after, Op.GET, "gone")).found
        clock.advance(101)
        assert not (await run(after, Op.GET, "a")).found


async def test_errors_are_of_one_family() -> None:
    assert all(issubclass(error, KVError) for error in (InvalidArgument, NotAnInteger, Overflow, WrongType))


async def test_a_key_that_is_written_again_after_its_life_counts_once(stores: Stores) -> None:
    """Or leases that come and go would fill a namespace (weakness 16)."""
    for settled in (True, False, True):
        assert (await run(stores, Op.SET_NX, value=b"v", ttl_s=1)).applied
        if settled:
            await stores.settle()
        assert await stores.kv.count(HERE) == 1
        stores.clock.advance(2)


async def test_who_writes_without_a_pause_does_not_hold_up_a_purge(stores: Stores) -> None:
    """What was there when it began is gone when it returns."""
    for number in range(5):
        await run(stores, Op.PUT, f"p{number}", b"old")

    writing = trio.Event()

    async def write() -> None:
        while True:
            await run(stores, Op.PUT, "p1", b"new")
            writing.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await writing.wait()
            assert (await run(stores, Op.PURGE_IDENTITY, "p")).counter == 5
            nursery.cancel_scope.cancel()
    assert set((await run(stores, Op.LIST, "p")).keys) <= {"p1"}
