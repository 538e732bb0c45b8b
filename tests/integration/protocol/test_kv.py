"""Key/value and the configuration snapshot on the wire: the checklist of the key/value chapter, by number."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.support.access import ALICE, Admin
from tests.support.authority import exchanged, on_behalf, trust
from tests.support.wire import (
    Peer,
    Wire,
    agent,
    bridge,
    engine,
    metrics_bridge,
    orchestrator,
    service,
    task,
    user,
)
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.proto import aether_pb2 as pb

K = pb.KVOperation
ME = ("agent", "ag::w::i::s")
OTHER = ("agent", "ag::w::i::t")
EXCLUSIVE = K.GLOBAL_EXCLUSIVE
DENIED = "KV_ERROR_PERMISSION_DENIED"


@pytest.fixture
def kv() -> dict[str, Any]:
    """Settings of values."""
    return {}


@pytest.fixture
async def gateway(tmp_path: Path, engine: str, clock: WallClock, kv: dict[str, Any]) -> AsyncIterator[Gateway]:
    config = Config.development(
        tmp_path / "data", acl={"enabled": True}, gateway={"engine": engine}, quotas={"enabled": True}, kv=kv
    )
    async with Gateway(config, wall_clock=clock) as gateway:
        yield gateway


@pytest.fixture
async def me(wire: Wire) -> Peer:
    return await wire.connect(agent())


@pytest.fixture
async def granted(admin: Admin, me: Peer) -> Peer:
    """An agent that may read and write in every shared scope."""
    for scope in ("global", "workspace", "user-shared", "user-workspace-shared"):
        for who in (ME, OTHER):
            await admin.grant(who, ("kv_scope", scope), 20)
    return me


def say(peer: Peer, op: int, key: str = "k", value: bytes = b"", *, scope: int = EXCLUSIVE, **fields: Any) -> None:
    fields.setdefault("request_id", "r")
    peer.say(kv_op=K(op=op, key=key, value=value, scope=scope, **fields))  # type: ignore[arg-type]


async def do(peer: Peer, op: int, key: str = "k", value: bytes = b"", **fields: Any) -> pb.KVResponse:
    """An operation that succeeds: one response with its id (23)."""
    say(peer, op, key, value, **fields)
    response: pb.KVResponse = await peer.expect("kv")
    assert response.success
    assert response.request_id == "r"
    return response


async def get(peer: Peer, key: str = "k", **fields: Any) -> bytes:
    return (await do(peer, K.GET, key, **fields)).value


async def fails(peer: Peer, op: int, key: str = "k", value: bytes = b"", code: str = "KV_ERROR", **fields: Any) -> str:
    """An operation that fails: the error, then the response, both with its id, on a stream that goes on (12)."""
    say(peer, op, key, value, **fields)
    error = await peer.expect("error")
    assert code in error.code, error
    assert (error.request_id, error.retryable) == ("r", False)
    response = await peer.expect("kv")
    assert (response.success, response.request_id) == (False, "r")
    await peer.settle()
    text: str = error.message
    return text


# ---------------------------------------------------------------------------------------------- wire and pipeline


async def test_1_to_5_values(granted: Peer) -> None:
    assert await get(granted) == b""
    await do(granted, K.PUT, value=b"\x00\xff")
    assert await get(granted) == b"\x00\xff"
    await do(granted, K.PUT, value=b"")
    assert await get(granted) == b""
    await do(granted, K.PUT, value=b"1")
    await do(granted, K.PUT, value=b"2")
    assert await get(granted) == b"2"
    await do(granted, K.DELETE)
    await do(granted, K.DELETE)
    assert await get(granted) == b""


async def test_6_7_scope_numbers(granted: Peer) -> None:
    await do(granted, K.PUT, value=b"v", scope=0)
    assert await get(granted, scope=K.WORKSPACE) == b"v"
    assert await get(granted, scope=99) == b"v"


async def test_8_an_operation_that_is_none(me: Peer) -> None:
    await fails(me, 99)


@pytest.mark.parametrize("init", [user(), orchestrator("x"), bridge()], ids=lambda init: init.WhichOneof("client_type"))
async def test_9_10_who_has_no_values(wire: Wire, init: pb.InitConnection) -> None:
    await fails(await wire.connect(init), K.GET)


async def test_11_a_failure_without_id_is_one_error(me: Peer) -> None:
    say(me, K.PUT, scope=K.GLOBAL, request_id="")
    error = await me.expect("error")
    assert error.request_id == ""
    await me.expect_nothing()


async def test_14_to_16_what_a_scope_needs(admin: Admin, granted: Peer, wire: Wire) -> None:
    for scope in (K.USER, K.USER_SHARED, K.USER_WORKSPACE, K.USER_WORKSPACE_SHARED):
        await fails(granted, K.GET, scope=scope)
    helper = await wire.connect(service("1", implementation="helper"))
    await admin.grant(("service", "sv::helper::1"), ("kv_scope", "workspace"), 20)
    await fails(helper, K.GET, scope=K.WORKSPACE)
    await do(helper, K.PUT, value=b"v", scope=K.WORKSPACE, workspace="w")
    worker = await wire.connect(task())
    for scope in (K.GLOBAL_EXCLUSIVE, K.WORKSPACE_EXCLUSIVE, K.USER, K.USER_WORKSPACE):
        await fails(worker, K.GET, scope=scope, user_id="u")


async def test_17_an_authorization_that_gives_nothing(me: Peer) -> None:
    context = pb.AuthorizationContext(
        authority_mode="on_behalf_of", subject=pb.PrincipalRef(principal_type="user", principal_id="u"), grant_id="g"
    )
    text = await fails(me, K.GET, code="ERR_PERMISSION_DENIED", authorization=context)
    assert text == "invalid authorization context"


async def test_18_pipelined_in_order(me: Peer) -> None:
    for number, (op, value) in enumerate(((K.PUT, b"1"), (K.PUT, b"2"), (K.GET, b""))):
        say(me, op, value=value, request_id=str(number))
    answers = [await me.expect("kv") for _ in range(3)]
    assert [answer.request_id for answer in answers] == ["0", "1", "2"]
    assert answers[2].value == b"2"


async def test_19_20_keys(me: Peer) -> None:
    await do(me, K.PUT, "k" * 256, b"v")
    await fails(me, K.PUT, "k" * 257, code="KV_ERROR_INVALID_ARGUMENT")
    for op in (K.GET, K.PUT, K.DELETE, K.INCREMENT, K.DECREMENT, K.SET_NX, K.COMPARE_AND_SET, K.COMPARE_AND_DELETE):
        await fails(me, op, "", code="KV_ERROR_INVALID_ARGUMENT")
    for op in (K.INCREMENT_IF, K.DECREMENT_IF, K.SET_ADD, K.SET_CARD):
        await fails(me, op, "", code="KV_ERROR_INVALID_ARGUMENT")


@pytest.mark.parametrize("key", ["a:b", "a/b", "a b", "a*", "a?", "a[b]", "ü"])
async def test_21_any_characters(me: Peer, key: str) -> None:
    await do(me, K.PUT, key, b"v")
    assert await get(me, key) == b"v"
    assert (await do(me, K.LIST, key)).keys == [key]
    await do(me, K.DELETE, key)
    assert (await do(me, K.LIST, "")).keys == []


async def test_22_large_values(me: Peer) -> None:
    await do(me, K.PUT, value=b"x" * 1_048_576)
    text = await fails(me, K.PUT, value=b"x" * 1_048_577, code="ERR_QUOTA_001")
    assert text == "quota exceeded for kv_value_size in workspace 'w': current 1048577, limit 1048576"
    assert len(await get(me)) == 1_048_576


# -------------------------------------------------------------------------------------------------- scopes, access


async def test_24_a_rule_opens_a_scope(admin: Admin, me: Peer) -> None:
    await fails(me, K.PUT, scope=K.GLOBAL, code=DENIED)
    await admin.grant(ME, ("kv_scope", "global"), 20)
    await do(me, K.PUT, value=b"v", scope=K.GLOBAL)


async def test_25_reading_is_not_writing(admin: Admin, me: Peer) -> None:
    await admin.grant(ME, ("kv_scope", "workspace"), 10)
    for op in (K.GET, K.LIST, K.SET_CARD):
        await do(me, op, scope=K.WORKSPACE)
    for op in (K.PUT, K.DELETE, K.INCREMENT, K.SET_NX, K.SET_ADD):
        await fails(me, op, value=b"v", scope=K.WORKSPACE, code=DENIED)


async def test_26_27_rules_for_keys(admin: Admin, me: Peer) -> None:
    await admin.grant(ME, ("kv_scope", "global"), 20)
    await admin.grant(ME, ("kv_key", "closed"), 0)
    await fails(me, K.PUT, "closed", scope=K.GLOBAL, code=DENIED)
    await do(me, K.PUT, "open", scope=K.GLOBAL)
    await admin.grant(ME, ("kv_scope", "workspace"), 0)
    await admin.grant(ME, ("kv_key", "open"), 20)
    await do(me, K.PUT, "open", scope=K.WORKSPACE)
    await fails(me, K.PUT, "other", scope=K.WORKSPACE, code=DENIED)


async def test_28_to_30_what_is_ones_own(me: Peer, wire: Wire) -> None:
    own: list[dict[str, Any]] = [
        {"scope": K.GLOBAL_EXCLUSIVE},
        {"scope": K.WORKSPACE_EXCLUSIVE},
        {"scope": K.USER, "user_id": "alice"},
    ]
    for place in own:
        await do(me, K.PUT, value=b"v", **place)
    other = await wire.connect(agent("t"))
    for place in own:
        assert await get(me, **place) == b"v"
        assert await get(other, **place) == b""
    twin = await wire.connect(task("s"))
    assert await get(twin) == b"v"  # 37


@pytest.mark.parametrize("kv", [{"exclusive_by": "identity"}])
async def test_exclusive_scopes_of_identities(admin: Admin, wire: Wire) -> None:
    """Weakness 20: a principal of another type or workspace that has the same names has none of the values."""
    inits = [agent(), task("s"), service("s"), agent(workspace="w2")]
    peers = [await wire.connect(init) for init in inits]
    for scope in (K.GLOBAL_EXCLUSIVE, K.USER):
        for number, peer in enumerate(peers):
            assert await get(peer, scope=scope, user_id="u") == b""
            await do(peer, K.PUT, value=b"%d" % number, scope=scope, user_id="u")
    for number, peer in enumerate(peers):
        assert await get(peer) == b"%d" % number
    await peers[0].close()
    assert (await wire.connect(agent())).snapshot.global_exclusive_kv == {"k": b"0"}
    await admin.grant(("service", "sv::i::s"), ("capability", "capability/kv_purge_identity"), 30)
    assert (await do(peers[2], K.PURGE_IDENTITY, "", target_identity="ag::w2::i::s")).counter_value == 1
    assert await get(peers[3]) == b""
    assert await get(peers[1]) == b"1"


async def test_31_to_34_what_is_shared(admin: Admin, granted: Peer, wire: Wire) -> None:
    other, far = await wire.connect(agent("t")), await wire.connect(agent(workspace="far"))
    for scope in ("global", "workspace", "user-shared", "user-workspace-shared"):
        await admin.grant(("agent", "ag::far::i::s"), ("kv_scope", scope), 20)
    await do(granted, K.PUT, value=b"w", scope=K.WORKSPACE)
    assert await get(other, scope=K.WORKSPACE) == b"w"
    assert await get(far, scope=K.WORKSPACE) == b""
    assert await get(far, scope=K.WORKSPACE, workspace="w") == b"w"  # 36
    await do(granted, K.PUT, value=b"g", scope=K.GLOBAL)
    assert await get(far, scope=K.GLOBAL) == b"g"
    await do(granted, K.PUT, value=b"u", scope=K.USER_SHARED, user_id="u")
    assert await get(other, scope=K.USER_SHARED, user_id="u") == b"u"
    assert await get(other, scope=K.USER_SHARED, user_id="v") == b""
    await do(granted, K.PUT, value=b"uw", scope=K.USER_WORKSPACE_SHARED, user_id="u")
    assert await get(other, scope=K.USER_WORKSPACE_SHARED, user_id="u") == b"uw"
    assert await get(other, scope=K.USER_WORKSPACE_SHARED, user_id="u", workspace="x") == b""


async def test_35_eight_scopes(granted: Peer) -> None:
    scopes = [scope for scope in K.Scope.values() if scope]
    places = {scope: {"scope": scope, "user_id": "u"} for scope in {*scopes, 0}}
    for scope, place in places.items():
        await do(granted, K.PUT, value=b"%d" % scope, **place)
    values = {await get(granted, **place) for place in places.values()}
    assert len(values) == 8


async def test_38_39_coordination_of_the_workflow_engine(me: Peer, wire: Wire) -> None:
    watcher = await wire.connect(engine())
    assert (await do(watcher, K.SET_NX, "_sys/coord/x", b"me", scope=K.GLOBAL)).applied
    await fails(watcher, K.SET_NX, "x", scope=K.GLOBAL, code=DENIED)
    await fails(me, K.PUT, "_sys/coord/x", scope=K.GLOBAL, code=DENIED)


async def test_40_41_on_behalf_of_a_user(admin: Admin, wire: Wire) -> None:
    case = await trust(wire, admin)
    peer, context = case.peer, on_behalf(case.grant)
    hers: dict[str, Any] = {"scope": K.USER_SHARED, "user_id": "alice", "authorization": context}
    await fails(peer, K.GET, code=DENIED, **hers)
    await admin.grant(ALICE, ("kv_scope", "user-shared"), 10)
    await do(peer, K.GET, **hers)
    await do(peer, K.LIST, "", **hers)
    await fails(peer, K.PUT, code=DENIED, **hers)
    await fails(peer, K.GET, scope=K.USER_SHARED, user_id="alice", code=DENIED)  # in its own right
    resources = [pb.ACLAuthorityGrantResourceScopeEntry(resource_type="kv_scope")]
    narrow = await exchanged(peer, source_session_id=case.alice.ack.session_id, resource_scope=resources)
    await fails(peer, K.GET, code=DENIED, **{**hers, "authorization": on_behalf(narrow)})
    resources.append(pb.ACLAuthorityGrantResourceScopeEntry(resource_type="kv_key", patterns=["open"]))
    wider = await exchanged(peer, source_session_id=case.alice.ack.session_id, resource_scope=resources)
    await do(peer, K.GET, "open", **{**hers, "authorization": on_behalf(wider)})
    await fails(peer, K.GET, "other", code=DENIED, **{**hers, "authorization": on_behalf(wider)})


async def test_a_user_lends_no_entries_of_another(admin: Admin, wire: Wire) -> None:
    """Weakness 18: whatever scopes the user holds; a right to the other one is a rule of its own."""
    case = await trust(wire, admin)
    await admin.grant(ALICE, ("kv_scope", "*"), 20)
    for scope in (K.USER_SHARED, K.USER_WORKSPACE_SHARED, K.USER, K.USER_WORKSPACE):
        place: dict[str, Any] = {"scope": scope, "workspace": "ws1", "authorization": on_behalf(case.grant)}
        await do(case.peer, K.PUT, user_id="alice", **place)
        for op in (K.GET, K.PUT, K.LIST):
            await fails(case.peer, op, code=DENIED, user_id="bob", **place)
    await admin.grant(ALICE, ("kv_user", "bob"), 10)
    await do(case.peer, K.GET, scope=K.USER_SHARED, user_id="bob", authorization=on_behalf(case.grant))
    await fails(case.peer, K.PUT, scope=K.USER_SHARED, user_id="bob", authorization=on_behalf(case.grant), code=DENIED)


# ---------------------------------------------------------------------------------------------------------- expiry


async def test_44_to_50_time_to_live(me: Peer, clock: WallClock) -> None:
    await do(me, K.PUT, "short", b"v", ttl=1)
    await do(me, K.PUT, "kept", b"v", ttl=60)
    await do(me, K.PUT, "kept", b"v", ttl=0)
    await do(me, K.PUT, "never", b"v", ttl=-5)
    assert (await do(me, K.SET_NX, "lock", ttl=1)).applied
    assert not (await do(me, K.SET_NX, "lock", ttl=1)).applied
    await do(me, K.PUT, "extended", b"a", ttl=2)
    await do(me, K.PUT, "freed", b"a", ttl=2)
    assert (await do(me, K.COMPARE_AND_SET, "freed", b"b", expected_value=b"a", ttl=0)).applied
    clock.advance(1.5)
    assert (await do(me, K.COMPARE_AND_SET, "extended", b"b", expected_value=b"a", ttl=2)).applied
    clock.advance(1)
    assert await get(me, "short") == b""
    assert (await do(me, K.LIST, "")).keys == ["extended", "freed", "kept", "never"]
    assert (await do(me, K.SET_NX, "lock", ttl=1)).applied
    assert (await do(me, K.INCREMENT, "count", ttl=2)).counter_value == 1
    clock.advance(1)
    assert (await do(me, K.INCREMENT, "count", ttl=2)).counter_value == 2
    clock.advance(1.5)
    assert (await do(me, K.INCREMENT, "count", ttl=2)).counter_value == 1
    clock.advance(10_000)
    assert (await do(me, K.LIST, "")).keys == ["freed", "kept", "never"]


# -------------------------------------------------------------------------------------------------------- counters


async def test_51_to_53_counting(me: Peer) -> None:
    first = await do(me, K.INCREMENT)
    assert (first.counter_value, first.applied) == (1, False)
    assert (await do(me, K.INCREMENT)).counter_value == 2
    assert await get(me) == b"2"
    assert (await do(me, K.DECREMENT, "other")).counter_value == -1
    await do(me, K.PUT, value=b"41")
    assert (await do(me, K.INCREMENT)).counter_value == 42
    await do(me, K.PUT, value=b"x")
    await fails(me, K.INCREMENT)
    assert await get(me) == b"x"


async def test_54_to_58_counting_within_bounds(me: Peer) -> None:
    up = [await do(me, K.INCREMENT_IF, "up", delta_value=1, guard_value=2) for _ in range(4)]
    assert [(step.applied, step.counter_value) for step in up] == [(True, 1), (True, 2), (False, 2), (False, 2)]
    assert (await do(me, K.INCREMENT_IF, "zero", delta_value=0, guard_value=5)).counter_value == 1
    await fails(me, K.INCREMENT_IF, "zero", delta_value=-1, guard_value=5)
    closed = await do(me, K.INCREMENT_IF, "closed", delta_value=1, guard_value=0)
    assert (closed.applied, closed.counter_value) == (False, 0)
    await do(me, K.PUT, "down", b"1")
    down = [await do(me, K.DECREMENT_IF, "down", delta_value=1, guard_value=0) for _ in range(2)]
    assert [(step.applied, step.counter_value) for step in down] == [(True, 0), (False, 0)]
    below = [await do(me, K.DECREMENT_IF, "below", delta_value=1, guard_value=-2) for _ in range(3)]
    assert [(step.applied, step.counter_value) for step in below] == [(True, -1), (True, -2), (False, -2)]


async def test_59_60_64_at_the_same_time(granted: Peer, admin: Admin, wire: Wire) -> None:
    peers = [granted, await wire.connect(agent("t"))]
    applied = {"limited": 0, "once": 0}

    async def work(peer: Peer) -> None:
        for _ in range(25):
            await do(peer, K.INCREMENT, "all", scope=K.WORKSPACE)
            limited = await do(peer, K.INCREMENT_IF, "limited", delta_value=1, guard_value=10, scope=K.WORKSPACE)
            once = await do(peer, K.SET_NX, "once", b"me", scope=K.WORKSPACE)
            applied["limited"] += limited.applied
            applied["once"] += once.applied

    async with trio.open_nursery() as nursery:
        for peer in peers:
            nursery.start_soon(work, peer)
    assert await get(granted, "all", scope=K.WORKSPACE) == b"50"
    assert applied == {"limited": 10, "once": 1}


@pytest.mark.parametrize("value", [b"10000000", b"-1000000"])
async def test_61_numbers_of_eight_characters(me: Peer, value: bytes) -> None:
    await do(me, K.PUT, value=value)
    assert (await do(me, K.INCREMENT)).counter_value == int(value) + 1
    assert await get(me) == b"%d" % (int(value) + 1)


async def test_62_the_largest_number(me: Peer) -> None:
    await do(me, K.PUT, value=b"9223372036854775807")
    await fails(me, K.INCREMENT, code="KV_ERROR_INVALID_ARGUMENT")
    assert await get(me) == b"9223372036854775807"


# ---------------------------------------------------------------------------------------------- conditions and sets


async def test_63_to_67_conditions(me: Peer) -> None:
    assert (await do(me, K.SET_NX, value=b"a")).applied
    assert not (await do(me, K.SET_NX, value=b"b")).applied
    assert await get(me) == b"a"
    assert not (await do(me, K.COMPARE_AND_SET, value=b"b", expected_value=b"x")).applied
    assert (await do(me, K.COMPARE_AND_SET, value=b"b", expected_value=b"a")).applied
    assert await get(me) == b"b"
    assert not (await do(me, K.COMPARE_AND_SET, "absent", b"b", expected_value=b"")).applied
    assert (await do(me, K.LIST, "")).keys == ["k"]
    assert not (await do(me, K.COMPARE_AND_DELETE, expected_value=b"x")).applied
    assert not (await do(me, K.COMPARE_AND_DELETE, "absent", expected_value=b"x")).applied
    assert (await do(me, K.COMPARE_AND_DELETE, expected_value=b"b")).applied
    assert (await do(me, K.LIST, "")).keys == []


async def test_68_to_71_sets(me: Peer) -> None:
    added = [await do(me, K.SET_ADD, value=member) for member in (b"a", b"b", b"a")]
    assert [(step.applied, step.counter_value) for step in added] == [(True, 1), (True, 2), (False, 2)]
    assert (await do(me, K.SET_CARD)).counter_value == 2
    assert (await do(me, K.SET_CARD, "absent")).counter_value == 0
    for member in (b"\xff", b"\xfe"):
        await do(me, K.SET_ADD, "binary", member)
    assert (await do(me, K.SET_CARD, "binary")).counter_value == 2
    await fails(me, K.INCREMENT)
    assert (await do(me, K.SET_CARD)).counter_value == 2
    await do(me, K.PUT, "plain", b"v")
    await fails(me, K.SET_ADD, "plain", b"a")
    assert await get(me, "plain") == b"v"
    await do(me, K.DELETE)
    assert (await do(me, K.SET_CARD)).counter_value == 0


# ----------------------------------------------------------------------------------------------------------- lists


async def put_many(peer: Peer, prefix: str, count: int) -> list[str]:
    keys = [f"{prefix}{number:03}" for number in range(count)]
    for key in keys:
        await do(peer, K.PUT, key, key.encode())
    return keys


async def pages(peer: Peer, prefix: str = "", limit: int = 0) -> list[pb.KVResponse]:
    found = [await do(peer, K.LIST, prefix, limit=limit)]
    while found[-1].has_more:
        found.append(await do(peer, K.LIST, prefix, limit=limit, cursor=found[-1].next_cursor))
    return found


async def test_72_to_77_lists(me: Peer) -> None:
    keys = await put_many(me, "p", 250)
    listed = await pages(me)
    assert len(listed[0].keys) == 100
    assert [key for page in listed for key in page.keys] == keys
    assert {key: value for page in listed for key, value in page.kv_map.items()} == {key: key.encode() for key in keys}
    assert (listed[-1].has_more, listed[-1].next_cursor) == (False, "")
    by_seven = await pages(me, "p0", 7)
    assert [key for page in by_seven for key in page.keys] == keys[:100]
    await put_many(me, "z", 5)
    assert len((await do(me, K.LIST, "z")).keys) == 5
    await do(me, K.PUT, "a*b", b"")
    await do(me, K.PUT, "axb", b"")
    assert (await do(me, K.LIST, "a*")).keys == ["a*b"]
    first = await do(me, K.LIST, "p", limit=100)
    for key in keys[50:150]:
        await do(me, K.DELETE, key)
    rest = await do(me, K.LIST, "p", limit=1000, cursor=first.next_cursor)
    assert list(rest.keys) == keys[150:]


# ---------------------------------------------------------------------------------------------------------- purging


async def test_79_to_82_purging(admin: Admin, me: Peer, wire: Wire) -> None:
    await put_many(me, "a", 3)
    await put_many(me, "b", 2)
    keeper = await wire.connect(service("1", implementation="keeper"))
    await fails(keeper, K.PURGE_IDENTITY, "", target_identity=ME[1], code=DENIED)
    assert len((await do(me, K.LIST, "")).keys) == 5
    await admin.grant(("service", "sv::keeper::1"), ("capability", "capability/kv_purge_identity"), 30)
    for target in ("", "nonsense"):
        await fails(keeper, K.PURGE_IDENTITY, "", target_identity=target)
    some = await do(keeper, K.PURGE_IDENTITY, "b", target_identity=ME[1])
    assert (some.counter_value, list(some.keys), dict(some.kv_map)) == (2, [], {})
    assert (await do(keeper, K.PURGE_IDENTITY, "", target_identity=ME[1])).counter_value == 3
    assert (await do(me, K.LIST, "")).keys == []


# --------------------------------------------------------------------------------------------------------- snapshot


async def test_83_to_85_the_snapshot(granted: Peer, wire: Wire) -> None:
    for key in "abc":
        await do(granted, K.PUT, key, key.encode())
    for key in "xy":
        await do(granted, K.PUT, key, key.encode(), scope=K.WORKSPACE_EXCLUSIVE)
    for scope in (K.GLOBAL, K.WORKSPACE):
        await do(granted, K.PUT, "shared", b"v", scope=scope)
    await granted.close()
    again = await wire.connect(agent())
    assert again.snapshot.global_exclusive_kv == {key: key.encode() for key in "abc"}
    assert again.snapshot.workspace_exclusive_kv == {key: key.encode() for key in "xy"}
    assert not again.snapshot.kv
    assert not again.snapshot.global_kv
    assert not again.snapshot.task_context
    for init in (user(), service(), orchestrator("2"), bridge(), engine(), metrics_bridge()):
        await (await wire.connect(init)).expect_nothing()


async def test_a_large_snapshot_is_cut_to_what_clients_take(granted: Peer, wire: Wire) -> None:
    """Weakness 35: more than a hundred keys come, and never so many bytes that the stream ends."""
    await put_many(granted, "a", 150)
    await granted.close()
    again = await wire.connect(agent())
    assert len(again.snapshot.global_exclusive_kv) == 150
    for key in "wxyz":
        await do(again, K.PUT, key, bytes(1_048_576))
    await again.close()
    again = await wire.connect(agent())
    assert set("wxy") < set(again.snapshot.global_exclusive_kv)
    assert 3_000_000 < again.snapshot.ByteSize() < 4_000_000
    assert len(await get(again, "z")) == 1_048_576


# ------------------------------------------------------------------------------------------- what the helpers rely on


async def test_103_to_105_leases_and_semaphores(me: Peer, clock: WallClock) -> None:
    assert (await do(me, K.SET_NX, value=b"A", ttl=2)).applied
    assert not (await do(me, K.SET_NX, value=b"B")).applied
    assert not (await do(me, K.COMPARE_AND_DELETE, expected_value=b"B")).applied
    clock.advance(3)
    assert (await do(me, K.SET_NX, value=b"B")).applied
    assert not (await do(me, K.COMPARE_AND_SET, value=b"A", expected_value=b"A", ttl=2)).applied
    assert (await do(me, K.COMPARE_AND_DELETE, expected_value=b"B")).applied
    taken = [(await do(me, K.INCREMENT_IF, "permits", delta_value=1, guard_value=2)).applied for _ in range(3)]
    assert taken == [True, True, False]
    await do(me, K.DECREMENT_IF, "permits", delta_value=1, guard_value=0)
    assert (await do(me, K.INCREMENT_IF, "permits", delta_value=1, guard_value=2)).applied


async def test_99_100_audit(admin: Admin, granted: Peer) -> None:
    await do(granted, K.PUT, value=b"12345", scope=K.GLOBAL)
    await admin.grant(ME, ("kv_key", "closed"), 0)
    await fails(granted, K.GET, "closed", scope=K.GLOBAL, code=DENIED)
    admin.peer.say(audit_query=pb.AuditQuery(event_type="kv", limit=10, request_id="q"))
    denied, put = (await admin.peer.expect("audit_response")).entries
    metadata = json.loads(put.metadata_json)
    assert (put.operation, put.resource_type, put.resource_id, put.success) == ("kv_put", "kv_key", "k", True)
    assert (metadata["scope"], str(metadata["new_value_size"])) == ("global", "5")
    assert (denied.operation, denied.resource_id, denied.success) == ("kv_get", "closed", False)
    assert denied.error_message == f"Explicit rule: agent:{ME[1]} has NONE on kv_key:closed"


async def audited(admin: Admin) -> list[tuple[str, bool, dict[str, Any]]]:
    """Operation, success and metadata of rows of values, the oldest first."""
    admin.peer.say(audit_query=pb.AuditQuery(event_type="kv", limit=100, request_id="q"))
    rows = (await admin.peer.expect("audit_response")).entries
    return [(row.operation, row.success, json.loads(row.metadata_json)) for row in reversed(rows)]


async def test_audit_tells_how_operations_went(admin: Admin, me: Peer) -> None:
    """kv 12.1; weakness 40: a miss is no failure."""
    await do(me, K.GET)
    await do(me, K.PUT, value=b"12", ttl=60)
    await do(me, K.GET, "counter")
    await do(me, K.INCREMENT, "counter")
    await do(me, K.INCREMENT_IF, "counter", guard_value=1)
    await do(me, K.SET_NX, "counter", b"x")
    await do(me, K.COMPARE_AND_SET, "x", b"y", expected_value=b"z")
    await do(me, K.COMPARE_AND_DELETE, "x", expected_value=b"z")
    await do(me, K.SET_ADD, "set", b"m")
    await do(me, K.SET_CARD, "set")
    await do(me, K.LIST, "")
    await do(me, K.DELETE)
    assert [(operation, details) for operation, success, details in await audited(admin) if success] == [
        (operation, {"scope": "global-exclusive", **details})
        for operation, details in (
            ("kv_get", {"found": False}),
            ("kv_put", {"new_value_size": 2, "is_update": False, "ttl_seconds": 60}),
            ("kv_get", {"found": False}),
            ("kv_increment", {"counter_value": 1}),
            ("kv_increment_if", {"counter_value": 1, "guard_value": 1, "delta": 1, "applied": False}),
            ("kv_set_nx", {"new_value_size": 1, "applied": False}),
            ("kv_compare_and_set", {"new_value_size": 1, "applied": False}),
            ("kv_compare_and_delete", {"applied": False}),
            ("kv_set_add", {"new_value_size": 1, "applied": True, "cardinality": 1}),
            ("kv_set_card", {"cardinality": 1}),
            ("kv_list", {"result_count": 2}),
            ("kv_delete", {}),
        )
    ]


async def test_audit_of_purges_and_false_authority(admin: Admin, me: Peer, wire: Wire) -> None:
    """Weakness 22: whose, which and how many; and no refusal goes unrecorded."""
    await put_many(me, "a", 3)
    keeper = await wire.connect(service("1", implementation="keeper"))
    await fails(keeper, K.PURGE_IDENTITY, "a", target_identity=ME[1], code=DENIED)
    await admin.grant(("service", "sv::keeper::1"), ("capability", "capability/kv_purge_identity"), 30)
    await do(keeper, K.PURGE_IDENTITY, "a", target_identity=ME[1])
    context = pb.AuthorizationContext(authority_mode="on_behalf_of", grant_id="g")
    await fails(keeper, K.GET, code="ERR_PERMISSION_DENIED", authorization=context)
    admin.peer.say(audit_query=pb.AuditQuery(event_type="kv", actor_id="sv::keeper::1", request_id="q"))
    rows = list(reversed((await admin.peer.expect("audit_response")).entries))
    assert [(row.operation, row.resource_id, row.success) for row in rows] == [
        ("kv_purge_identity", "a", False),
        ("kv_purge_identity", "a", True),
        ("kv_purge_identity", "a", True),
        ("kv_get", "k", False),
    ]
    assert json.loads(rows[2].metadata_json) == {
        "scope": "global-exclusive",
        "target_identity": ME[1],
        "removed": 3,
    }
    assert rows[3].error_message == "on-behalf-of authorization requires subject"


async def test_101_102_metrics(admin: Admin, me: Peer, gateway: Gateway) -> None:
    await fails(me, K.PUT, scope=K.GLOBAL, code=DENIED)
    await admin.grant(ME, ("kv_scope", "global"), 20)
    for _ in range(2):
        await do(me, K.PUT, scope=K.GLOBAL)
    await do(me, K.LIST, "", scope=K.GLOBAL)
    await fails(me, K.GET, scope=K.USER)  # reached no scope
    lines = gateway.metrics.exposition().decode().splitlines()
    for line in (
        'aether_kv_operations_total{operation="PUT",scope="global",status="ok"} 2.0',
        'aether_kv_operations_total{operation="PUT",scope="global",status="error"} 1.0',
        'aether_kv_operation_latency_seconds_count{operation="PUT",scope="global"} 3.0',
        'aether_metering_kv_operations_total{operation="PUT",workspace="w"} 2.0',
        'aether_metering_kv_operations_total{operation="LIST",workspace="w"} 1.0',
        'aether_kv_stored_keys{workspace="w"} 1.0',
        'aether_kv_stored_bytes{workspace="w"} 1.0',
    ):
        assert line in lines
    assert not [line for line in lines if 'operation="GET"' in line]
