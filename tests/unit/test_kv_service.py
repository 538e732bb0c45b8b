"""The key/value service over every kind of store; numbers in names are those of the checklist of kv."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.unit.fakes import (
    AwaitedKV,
    BrokenKV,
    FakeCaller,
    RuleAccess,
    WallClock,
    agent,
    bridge,
    engine,
    messages,
    orchestrator,
    pool_task,
    service,
    settle,
    unique_task,
    user,
)

from aether.access import Access, OpenAccess
from aether.answers import Answer
from aether.kv.limits import VALUE_BYTES_CEILING, KVLimits
from aether.kv.service import KVService
from aether.kv.store import KVStore
from aether.proto import aether_pb2 as pb
from aether.storage.memory.kv import MemoryKV
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.kv import SqliteKV

K = pb.KVOperation
KV_ERROR = "KV_ERROR"
DENIED = "KV_ERROR_PERMISSION_DENIED"
INVALID = "KV_ERROR_INVALID_ARGUMENT"
READ, READWRITE, MANAGE = 10, 20, 30


@dataclass
class Desk:
    """One service over one store; asks as official clients do and checks the shape of every answer."""

    store: KVStore
    clock: WallClock
    wait_durable: Callable[[int], Awaitable[None]] | None = None
    access: Access = field(default_factory=OpenAccess)
    limits: KVLimits = KVLimits()
    observed: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def service(self) -> KVService:
        def observe(operation: str, scope: str, workspace: str, ok: bool, seconds: float) -> None:
            assert seconds >= 0
            self.observed.append((operation, scope, workspace, ok))

        return KVService(self.store, self.access, self.limits, observe=observe)

    async def exchange(self, caller: FakeCaller, op: int, **fields: Any) -> list[pb.DownstreamMessage]:
        operation = pb.KVOperation(**fields)
        operation.op = op  # type: ignore[assignment]  # open enum: any number
        reply: Answer | Awaitable[Answer] = self.service().handle(caller, operation)
        return messages(await settle(reply, self.wait_durable))

    async def ask(self, caller: FakeCaller, op: int, key: str = "k", **fields: Any) -> pb.KVResponse:
        """An operation that succeeds: exactly one response, with the id (23)."""
        (message,) = await self.exchange(caller, op, **{"key": key, "scope": K.GLOBAL, "request_id": "r", **fields})
        assert message.kv.success
        assert message.kv.request_id == "r"
        return message.kv

    async def fails(self, caller: FakeCaller, op: int, key: str = "k", **fields: Any) -> pb.ErrorResponse:
        """An operation that fails: the error first, then the response, both with the id."""
        error, response = await self.exchange(
            caller, op, **{"key": key, "scope": K.GLOBAL, "request_id": "r", **fields}
        )
        assert error.error.request_id == "r"
        assert response.kv == pb.KVResponse(success=False, request_id="r")
        return error.error


@pytest.fixture(params=["memory", "awaited", "sqlite"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desk]:
    clock = WallClock()
    if request.param == "memory":
        yield Desk(MemoryKV(clock), clock)
    elif request.param == "awaited":
        yield Desk(AwaitedKV(MemoryKV(clock)), clock)
    else:
        async with Database.open(tmp_path, "os") as database:
            yield Desk(SqliteKV(database, clock), clock, database.wait_durable)


# ---------------------------------------------------------------------------------------------- wire and pipeline


async def test_01_get_of_an_absent_key(desk: Desk) -> None:
    assert (await desk.ask(agent(), K.GET)).value == b""


async def test_02_bytes_come_back_as_they_were(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"\x00\xff")
    assert (await desk.ask(agent(), K.GET)).value == b"\x00\xff"


async def test_03_empty_value(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"")
    assert (await desk.ask(agent(), K.GET)).value == b""
    assert (await desk.ask(agent(), K.LIST, key="")).keys == ["k"]


async def test_04_the_second_put_wins(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"1")
    await desk.ask(agent(), K.PUT, value=b"2")
    assert (await desk.ask(agent(), K.GET)).value == b"2"


async def test_05_delete_of_an_absent_key(desk: Desk) -> None:
    await desk.ask(agent(), K.DELETE)


@pytest.mark.parametrize("number", [0, 99], ids=["06", "07"])
async def test_06_07_other_scope_numbers_mean_workspace(desk: Desk, number: int) -> None:
    operation = pb.KVOperation(op=K.PUT, key="k", value=b"v", request_id="r")
    operation.scope = number  # type: ignore[assignment]
    (message,) = messages(await settle(desk.service().handle(agent(), operation), desk.wait_durable))
    assert message.kv.success
    assert (await desk.ask(agent(), K.GET, scope=K.WORKSPACE)).value == b"v"


async def test_08_unknown_operation(desk: Desk) -> None:
    assert (await desk.fails(agent(), 99)).code == KV_ERROR


@pytest.mark.parametrize("caller", [user(), orchestrator(), bridge()], ids=["09-user", "10-orchestrator", "10-bridge"])
async def test_09_10_principals_without_key_value_access(desk: Desk, caller: FakeCaller) -> None:
    error = await desk.fails(caller, K.GET)
    assert error.code == KV_ERROR
    assert not error.retryable


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        (99, {}),
        (K.GET, {"scope": K.USER}),
        (K.GET, {"key": ""}),
        (K.PUT, {"value": bytes(2**20 + 1)}),
        (K.LIST, {"cursor": "?"}),
    ],
)
async def test_11_failure_without_request_id_is_one_error(desk: Desk, op: int, fields: dict[str, Any]) -> None:
    (message,) = await desk.exchange(agent(), op, **{"key": "k", "scope": K.GLOBAL, **fields})
    assert message.WhichOneof("payload") == "error"
    assert message.error.request_id == ""


async def test_success_without_request_id_is_answered_with_an_empty_one(desk: Desk) -> None:
    (message,) = await desk.exchange(agent(), K.GET, key="k", scope=K.GLOBAL)
    assert message.kv == pb.KVResponse(success=True)


async def test_12_13_denied_get(desk: Desk) -> None:
    desk.access = RuleAccess()
    error = await desk.fails(agent(), K.GET)
    assert error.code == DENIED  # official Python raises its permission error at once
    assert "rule" not in error.message


async def test_14_user_scope_without_user(desk: Desk) -> None:
    for scope in (K.USER, K.USER_WORKSPACE, K.USER_SHARED, K.USER_WORKSPACE_SHARED):
        assert (await desk.fails(agent(), K.GET, scope=scope)).code == KV_ERROR


async def test_15_workspace_scope_from_a_service(desk: Desk) -> None:
    assert (await desk.fails(service(), K.GET, scope=K.WORKSPACE)).code == KV_ERROR
    desk.access = RuleAccess({("kv_scope", "workspace"): READ})
    await desk.ask(service(), K.GET, scope=K.WORKSPACE, workspace="w")


@pytest.mark.parametrize("scope", [K.USER, K.USER_WORKSPACE, K.GLOBAL_EXCLUSIVE, K.WORKSPACE_EXCLUSIVE])
async def test_16_exclusive_scope_from_a_pool_task(desk: Desk, scope: int) -> None:
    assert (await desk.fails(pool_task(), K.GET, scope=scope, user_id="u")).code == KV_ERROR
    assert (await desk.fails(engine(), K.GET, scope=scope, user_id="u", workspace="w")).code == KV_ERROR


async def test_17_unknown_authorization(desk: Desk) -> None:
    context = pb.AuthorizationContext(
        authority_mode="on_behalf_of", subject=pb.PrincipalRef(principal_type="user", principal_id="u"), grant_id="g"
    )
    error = await desk.fails(agent(), K.GET, authorization=context)
    assert (error.code, error.message) == ("ERR_PERMISSION_DENIED", "invalid authorization context")
    await desk.ask(agent(), K.GET, authorization=pb.AuthorizationContext(authority_mode="direct"))


async def test_18_pipelined_writes_are_seen_in_order(desk: Desk) -> None:
    answers = []
    for op, value in ((K.PUT, b"1"), (K.PUT, b"2"), (K.GET, b"")):
        operation = pb.KVOperation(op=op, scope=K.GLOBAL, key="k", value=value, request_id="r")
        reply = desk.service().handle(agent(), operation)
        answers.append(reply if isinstance(reply, Answer) else await reply)
    tickets = [answer.ticket for answer in answers]
    assert tickets == sorted(tickets)  # a read of a write that is not durable yet waits for it
    assert messages(answers[-1])[0].kv.value == b"2"


async def test_19_key_length_in_bytes(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, key="ü" * 128)
    assert (await desk.fails(agent(), K.PUT, key="ü" * 128 + "x")).code == INVALID


@pytest.mark.parametrize("op", sorted(set(K.OpType.values()) - {K.LIST, K.PURGE_IDENTITY}))
async def test_20_empty_key(desk: Desk, op: int) -> None:
    error = await desk.fails(agent(), op, key="")
    assert error.code == INVALID
    assert "key" in error.message


async def test_21_keys_with_special_characters(desk: Desk) -> None:
    keys = ["a:b", "a/b", "a b", "a*", "a?", "a[b]", "ü\n"]
    for key in keys:
        await desk.ask(agent(), K.PUT, key=key, value=key.encode())
    listed = await desk.ask(agent(), K.LIST, key="")
    assert sorted(listed.keys) == sorted(keys)
    for key in keys:
        assert (await desk.ask(agent(), K.GET, key=key)).value == key.encode()
        await desk.ask(agent(), K.DELETE, key=key)
    assert not (await desk.ask(agent(), K.LIST, key="")).keys


@pytest.mark.parametrize("op", [K.PUT, K.SET_NX, K.COMPARE_AND_SET, K.SET_ADD])
async def test_22_value_quota(desk: Desk, op: int) -> None:
    await desk.ask(agent(), op, value=bytes(1_048_576))
    error = await desk.fails(agent(), op, value=bytes(1_048_577))
    assert (error.code, error.retryable) == ("ERR_QUOTA_001", False)
    assert error.message == "quota exceeded for kv_value_size in workspace 'w': current 1048577, limit 1048576"


async def test_no_quota_still_keeps_values_deliverable(desk: Desk) -> None:
    desk.limits = KVLimits(value_bytes_max=0)
    await desk.ask(agent(), K.PUT, value=bytes(VALUE_BYTES_CEILING))
    (message,) = await desk.exchange(agent(), K.LIST, scope=K.GLOBAL, request_id="r")
    assert message.ByteSize() < 4 * 1024 * 1024
    assert (await desk.fails(agent(), K.PUT, value=bytes(VALUE_BYTES_CEILING + 1))).code == "ERR_QUOTA_001"


@pytest.mark.parametrize("op", [K.PUT, K.SET_NX, K.SET_ADD, K.INCREMENT, K.DECREMENT, K.INCREMENT_IF, K.DECREMENT_IF])
async def test_key_quota_holds_for_whatever_creates(desk: Desk, op: int) -> None:
    desk.limits = KVLimits(keys_per_namespace_max=2)
    guard = {"guard_value": -5 if op == K.DECREMENT_IF else 5}
    await desk.ask(agent(), op, key="a", value=b"1", **guard)
    await desk.ask(agent(), op, key="b", value=b"1", **guard)
    error = await desk.fails(agent(), op, key="c", value=b"1", **guard)
    assert (error.code, error.retryable) == ("ERR_QUOTA_001", False)
    assert "kv_keys_per_namespace" in error.message
    await desk.ask(agent(), op, key="a", value=b"2", **guard)  # what exists may change
    await desk.ask(agent(), K.PUT, key="c", scope=K.WORKSPACE)  # another namespace has its own room
    await desk.ask(agent(), K.DELETE, key="a")
    await desk.ask(agent(), op, key="c", value=b"1", **guard)


@pytest.mark.parametrize("field_name", ["user_id", "workspace"])
async def test_overlong_names_are_refused(desk: Desk, field_name: str) -> None:
    fields = {"user_id": "u", field_name: "x" * 257}
    assert (await desk.fails(agent(), K.PUT, scope=K.USER_WORKSPACE, **fields)).code == INVALID


@pytest.mark.parametrize("op", [K.GET, K.PUT, K.LIST, K.INCREMENT, K.PURGE_IDENTITY])
async def test_store_that_is_away(op: int) -> None:
    desk = Desk(BrokenKV(), WallClock())
    error = await desk.fails(agent(), op, target_identity="sv::i::s")
    assert error.code.startswith(KV_ERROR)
    assert error.retryable
    assert "10.0.0.7" not in error.message


async def test_rules_that_cannot_be_read_deny(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"v")
    desk.access = RuleAccess(broken=True)
    for op in (K.GET, K.PUT, K.LIST, K.PURGE_IDENTITY):
        error = await desk.fails(agent(), op, target_identity="sv::i::s")
        assert error.retryable


# ---------------------------------------------------------------------------------------------- scopes and access


async def test_24_global_needs_a_rule(desk: Desk) -> None:
    access = RuleAccess()
    desk.access = access
    assert (await desk.fails(agent(), K.PUT)).code == DENIED
    access.rules["kv_scope", "global"] = READWRITE
    await desk.ask(agent(), K.PUT)


async def test_25_read_rule(desk: Desk) -> None:
    desk.access = RuleAccess({("kv_scope", "workspace"): READ})
    for op in (K.GET, K.LIST, K.SET_CARD):
        await desk.ask(agent(), op, scope=K.WORKSPACE)
    for op in sorted(set(K.OpType.values()) - {K.GET, K.LIST, K.SET_CARD}):
        assert (await desk.fails(agent(), op, scope=K.WORKSPACE, target_identity="sv::i::s")).code == DENIED


async def test_26_key_rule_denies(desk: Desk) -> None:
    desk.access = RuleAccess({("kv_scope", "global"): READWRITE, ("kv_key", "k"): 0})
    assert (await desk.fails(agent(), K.GET)).code == DENIED
    await desk.ask(agent(), K.GET, key="other")


async def test_27_key_rule_allows(desk: Desk) -> None:
    desk.access = RuleAccess({("kv_key", "k"): READWRITE})
    await desk.ask(agent(), K.PUT)
    assert (await desk.fails(agent(), K.PUT, key="other")).code == DENIED


EXCLUSIVE = [K.GLOBAL_EXCLUSIVE, K.WORKSPACE_EXCLUSIVE, K.USER, K.USER_WORKSPACE]


@pytest.mark.parametrize("scope", EXCLUSIVE)
async def test_28_29_78_own_scopes_need_no_rule(desk: Desk, scope: int) -> None:
    desk.access = RuleAccess()
    await desk.ask(agent(), K.PUT, scope=scope, user_id="u", value=b"v")
    assert (await desk.ask(agent(), K.GET, scope=scope, user_id="u")).value == b"v"
    assert (await desk.ask(agent(), K.LIST, key="", scope=scope, user_id="u")).keys == ["k"]
    assert (await desk.ask(agent(), K.SET_CARD, key="set", scope=scope, user_id="u")).counter_value == 0


@pytest.mark.parametrize("scope", EXCLUSIVE)
async def test_30_own_scopes_are_private(desk: Desk, scope: int) -> None:
    await desk.ask(agent("s1"), K.PUT, scope=scope, user_id="u", value=b"v")
    assert (await desk.ask(agent("s2"), K.GET, scope=scope, user_id="u")).value == b""
    assert not (await desk.ask(agent("s2"), K.LIST, key="", scope=scope, user_id="u")).keys


async def test_31_workspace_entries(desk: Desk) -> None:
    await desk.ask(agent("a"), K.PUT, scope=K.WORKSPACE, value=b"v")
    assert (await desk.ask(agent("b"), K.GET, scope=K.WORKSPACE)).value == b"v"
    assert (await desk.ask(agent("c", workspace="w2"), K.GET, scope=K.WORKSPACE)).value == b""


async def test_32_global_entries(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"v")
    assert (await desk.ask(agent("x", workspace="w2"), K.GET)).value == b"v"


async def test_33_user_shared(desk: Desk) -> None:
    await desk.ask(agent("a"), K.PUT, scope=K.USER_SHARED, user_id="u", value=b"v")
    assert (await desk.ask(agent("b"), K.GET, scope=K.USER_SHARED, user_id="u")).value == b"v"
    assert (await desk.ask(agent("b"), K.GET, scope=K.USER_SHARED, user_id="v")).value == b""


async def test_34_user_workspace_shared(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, scope=K.USER_WORKSPACE_SHARED, user_id="u", value=b"v")
    for other in ({"user_id": "v"}, {"user_id": "u", "workspace": "w2"}):
        assert (await desk.ask(agent(), K.GET, scope=K.USER_WORKSPACE_SHARED, **other)).value == b""


async def test_35_scopes_are_independent(desk: Desk) -> None:
    scopes = range(1, 9)
    for scope in scopes:
        await desk.ask(agent(), K.PUT, scope=scope, user_id="u", value=b"%d" % scope)
    for scope in scopes:
        assert (await desk.ask(agent(), K.GET, scope=scope, user_id="u")).value == b"%d" % scope
        assert (await desk.ask(agent(), K.LIST, key="", scope=scope, user_id="u")).keys == ["k"]


async def test_names_are_never_joined(desk: Desk) -> None:
    """Weaknesses 4 and 5: no scope, user or workspace can be spelled to reach another one."""
    await desk.ask(agent(), K.PUT, key="x", scope=K.USER_WORKSPACE_SHARED, user_id="u", workspace="prod", value=b"v")
    assert (await desk.ask(agent(), K.GET, key="ws:prod:x", scope=K.USER_SHARED, user_id="u")).value == b""
    await desk.ask(agent(), K.PUT, scope=K.USER_SHARED, user_id="a:b", value=b"v")
    for name in ("a_b", "a|b", "*", "?:b", "[a]:b"):
        assert (await desk.ask(agent(), K.GET, scope=K.USER_SHARED, user_id=name)).value == b""
        assert not (await desk.ask(agent(), K.LIST, key="", scope=K.USER_SHARED, user_id=name)).keys
        assert not (await desk.ask(agent(), K.LIST, key="", scope=K.WORKSPACE, workspace=name)).keys


async def test_36_explicit_workspace(desk: Desk) -> None:
    await desk.ask(agent(workspace="w2"), K.PUT, scope=K.WORKSPACE, value=b"v")
    assert (await desk.ask(agent(), K.GET, scope=K.WORKSPACE, workspace="w2")).value == b"v"


async def test_36_foreign_workspace_needs_a_right_to_it(desk: Desk) -> None:
    access = RuleAccess({("kv_scope", "workspace"): READWRITE})
    desk.access = access
    await desk.ask(agent(), K.GET, scope=K.WORKSPACE)
    assert (await desk.fails(agent(), K.GET, scope=K.WORKSPACE, workspace="w2")).code == DENIED
    access.rules["workspace", "w2"] = READ
    await desk.ask(agent(), K.GET, scope=K.WORKSPACE, workspace="w2")
    assert (await desk.fails(agent(), K.PUT, scope=K.WORKSPACE, workspace="w2")).code == DENIED


async def test_37_agent_and_task_of_one_name_share(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, scope=K.GLOBAL_EXCLUSIVE, value=b"v")
    assert (await desk.ask(unique_task(), K.GET, scope=K.GLOBAL_EXCLUSIVE)).value == b"v"


async def test_38_39_coordination_keys(desk: Desk) -> None:
    desk.access = RuleAccess()
    assert (await desk.ask(engine(), K.SET_NX, key="_sys/coord/x", value=b"o")).applied
    assert (await desk.fails(engine(), K.SET_NX, key="x")).code == DENIED
    assert (await desk.fails(agent(), K.PUT, key="_sys/coord/x")).code == DENIED


# ----------------------------------------------------------------------------------------------------------- TTL


async def test_44_expiry(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"v", ttl=1)
    desk.clock.advance(2)
    assert (await desk.ask(agent(), K.GET)).value == b""
    assert not (await desk.ask(agent(), K.LIST, key="")).keys


@pytest.mark.parametrize("ttl", [0, -5], ids=["45", "50"])
async def test_45_50_put_without_ttl_stays(desk: Desk, ttl: int) -> None:
    await desk.ask(agent(), K.PUT, value=b"v", ttl=60)
    await desk.ask(agent(), K.PUT, value=b"v", ttl=ttl)
    desk.clock.advance(1e6)
    assert (await desk.ask(agent(), K.GET)).value == b"v"


async def test_46_set_nx_is_a_lease(desk: Desk) -> None:
    assert (await desk.ask(agent(), K.SET_NX, value=b"a", ttl=1)).applied
    assert not (await desk.ask(agent(), K.SET_NX, value=b"b", ttl=1)).applied
    desk.clock.advance(2)
    assert (await desk.ask(agent(), K.SET_NX, value=b"b", ttl=1)).applied


@pytest.mark.parametrize(("ttl", "wait"), [(2, 1.5), (0, 1e6)], ids=["47", "48"])
async def test_47_48_compare_and_set_renews(desk: Desk, ttl: int, wait: float) -> None:
    await desk.ask(agent(), K.PUT, value=b"a", ttl=1)
    desk.clock.advance(0.9)
    assert (await desk.ask(agent(), K.COMPARE_AND_SET, value=b"a", expected_value=b"a", ttl=ttl)).applied
    desk.clock.advance(wait)
    assert (await desk.ask(agent(), K.GET)).value == b"a"


async def test_49_counter_window(desk: Desk) -> None:
    for number in (1, 2, 3):
        assert (await desk.ask(agent(), K.INCREMENT, ttl=2)).counter_value == number
        desk.clock.advance(0.5)
    desk.clock.advance(1.5)
    assert (await desk.ask(agent(), K.INCREMENT, ttl=2)).counter_value == 1


async def test_guarded_counter_takes_a_ttl_when_created(desk: Desk) -> None:
    await desk.ask(agent(), K.INCREMENT_IF, guard_value=5, ttl=1)
    desk.clock.advance(2)
    assert (await desk.ask(agent(), K.INCREMENT_IF, guard_value=5)).counter_value == 1


async def test_default_and_longest_ttl(desk: Desk) -> None:
    desk.limits = KVLimits(default_ttl_s=5, ttl_s_max=10)
    await desk.ask(agent(), K.PUT, key="default", value=b"v")
    await desk.ask(agent(), K.SET_NX, key="cut", value=b"v", ttl=2**62)
    desk.clock.advance(6)
    assert (await desk.ask(agent(), K.GET, key="default")).value == b""
    assert (await desk.ask(agent(), K.GET, key="cut")).value == b"v"
    desk.clock.advance(5)
    assert (await desk.ask(agent(), K.GET, key="cut")).value == b""


async def test_longest_ttl_also_ends_what_asked_for_none(desk: Desk) -> None:
    desk.limits = KVLimits(ttl_s_max=10)
    await desk.ask(agent(), K.PUT, value=b"v")
    desk.clock.advance(11)
    assert (await desk.ask(agent(), K.GET)).value == b""


async def test_largest_ttl_on_the_wire(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"v", ttl=2**63 - 1)
    assert (await desk.ask(agent(), K.LIST, key="")).kv_map == {"k": b"v"}


# ------------------------------------------------------------------------------------------------------ counters


async def test_51_increment(desk: Desk) -> None:
    for number in (1, 2):
        response = await desk.ask(agent(), K.INCREMENT, delta_value=7)
        assert (response.counter_value, response.applied) == (number, False)
    assert (await desk.ask(agent(), K.GET)).value == b"2"


async def test_52_decrement(desk: Desk) -> None:
    assert (await desk.ask(agent(), K.DECREMENT)).counter_value == -1


async def test_53_counters_are_values(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"41")
    assert (await desk.ask(agent(), K.INCREMENT)).counter_value == 42
    await desk.ask(agent(), K.PUT, value=b"x")
    assert (await desk.fails(agent(), K.INCREMENT)).code == INVALID
    assert (await desk.ask(agent(), K.GET)).value == b"x"


async def test_54_ceiling(desk: Desk) -> None:
    outcomes = []
    for _ in range(4):
        response = await desk.ask(agent(), K.INCREMENT_IF, delta_value=1, guard_value=2)
        outcomes.append((response.counter_value, response.applied))
    assert outcomes == [(1, True), (2, True), (2, False), (2, False)]


async def test_55_delta(desk: Desk) -> None:
    assert (await desk.ask(agent(), K.INCREMENT_IF, guard_value=9)).counter_value == 1
    assert (await desk.fails(agent(), K.INCREMENT_IF, guard_value=9, delta_value=-1)).code == INVALID


async def test_56_ceiling_zero(desk: Desk) -> None:
    response = await desk.ask(agent(), K.INCREMENT_IF, delta_value=1)
    assert (response.counter_value, response.applied) == (0, False)


async def test_57_floor_zero(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"1")
    outcomes = [await desk.ask(agent(), K.DECREMENT_IF) for _ in range(2)]
    assert [(response.counter_value, response.applied) for response in outcomes] == [(0, True), (0, False)]


async def test_58_floor_below_zero(desk: Desk) -> None:
    outcomes = [await desk.ask(agent(), K.DECREMENT_IF, guard_value=-2) for _ in range(3)]
    assert [(r.counter_value, r.applied) for r in outcomes] == [(-1, True), (-2, True), (-2, False)]


async def test_59_60_64_concurrent_callers(desk: Desk) -> None:
    applied: list[bool] = []
    winners: list[bool] = []

    async def work(number: int) -> None:
        caller = agent(f"s{number}")
        await desk.ask(caller, K.INCREMENT, key="counter")
        applied.append((await desk.ask(caller, K.INCREMENT_IF, key="semaphore", guard_value=10)).applied)
        winners.append((await desk.ask(caller, K.SET_NX, key="leader", value=b"%d" % number)).applied)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(work, number)
    assert (await desk.ask(agent(), K.GET, key="counter")).value == b"50"
    assert applied.count(True) == 10
    assert winners.count(True) == 1


@pytest.mark.parametrize("start", [10_000_000, -1_000_000])
async def test_61_counters_of_eight_characters(desk: Desk, start: int) -> None:
    await desk.ask(agent(), K.PUT, value=b"%d" % start)
    assert (await desk.ask(agent(), K.INCREMENT)).counter_value == start + 1
    assert (await desk.ask(agent(), K.GET)).value == b"%d" % (start + 1)


async def test_guarded_counters_count_in_integers(desk: Desk) -> None:
    """Weakness 11: no rounding above 2**53."""
    await desk.ask(agent(), K.PUT, value=b"%d" % 2**53)
    response = await desk.ask(agent(), K.INCREMENT_IF, delta_value=1, guard_value=2**53 + 1)
    assert (response.applied, response.counter_value) == (True, 2**53 + 1)
    assert not (await desk.ask(agent(), K.INCREMENT_IF, delta_value=1, guard_value=2**53 + 1)).applied
    assert (await desk.ask(agent(), K.DECREMENT_IF, delta_value=1, guard_value=2**53)).counter_value == 2**53


async def test_62_overflow(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"%d" % (2**63 - 1))
    assert (await desk.fails(agent(), K.INCREMENT)).code == INVALID
    assert (await desk.ask(agent(), K.GET)).value == b"%d" % (2**63 - 1)


# --------------------------------------------------------------------------------------- conditional and set ops


async def test_63_set_nx_tells_the_holder(desk: Desk) -> None:
    first = await desk.ask(agent(), K.SET_NX, value=b"a")
    assert (first.applied, first.value) == (True, b"")
    second = await desk.ask(agent(), K.SET_NX, value=b"b")
    assert (second.applied, second.value) == (False, b"a")
    assert (await desk.ask(agent(), K.GET)).value == b"a"


async def test_65_compare_and_set(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"a")
    assert (await desk.ask(agent(), K.COMPARE_AND_SET, expected_value=b"a", value=b"b")).applied
    lost = await desk.ask(agent(), K.COMPARE_AND_SET, expected_value=b"a", value=b"c")
    assert (lost.applied, lost.value) == (False, b"b")
    assert (await desk.ask(agent(), K.GET)).value == b"b"


async def test_66_compare_and_set_on_absent(desk: Desk) -> None:
    assert not (await desk.ask(agent(), K.COMPARE_AND_SET, value=b"v")).applied
    assert not (await desk.ask(agent(), K.LIST, key="")).keys


async def test_67_compare_and_delete(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT, value=b"a")
    assert not (await desk.ask(agent(), K.COMPARE_AND_DELETE, expected_value=b"x")).applied
    assert (await desk.ask(agent(), K.COMPARE_AND_DELETE, expected_value=b"a")).applied
    assert not (await desk.ask(agent(), K.COMPARE_AND_DELETE, expected_value=b"a")).applied


async def test_68_sets(desk: Desk) -> None:
    outcomes = [await desk.ask(agent(), K.SET_ADD, value=value) for value in (b"a", b"b", b"a")]
    assert [(r.applied, r.counter_value) for r in outcomes] == [(True, 1), (True, 2), (False, 2)]
    assert (await desk.ask(agent(), K.SET_CARD)).counter_value == 2
    assert (await desk.ask(agent(), K.SET_CARD, key="absent")).counter_value == 0


async def test_69_binary_members(desk: Desk) -> None:
    await desk.ask(agent(), K.SET_ADD, value=b"\xff")
    assert (await desk.ask(agent(), K.SET_ADD, value=b"\xfe")).counter_value == 2


async def test_70_delete_of_a_set(desk: Desk) -> None:
    await desk.ask(agent(), K.SET_ADD, value=b"a")
    await desk.ask(agent(), K.DELETE)
    assert (await desk.ask(agent(), K.SET_CARD)).counter_value == 0


async def test_71_wrong_type(desk: Desk) -> None:
    await desk.ask(agent(), K.SET_ADD, key="set", value=b"a")
    await desk.ask(agent(), K.PUT, key="plain", value=b"v")
    assert (await desk.fails(agent(), K.INCREMENT, key="set")).code == INVALID
    assert (await desk.fails(agent(), K.GET, key="set")).code == INVALID
    assert (await desk.fails(agent(), K.SET_ADD, key="plain", value=b"a")).code == INVALID
    assert (await desk.ask(agent(), K.SET_CARD, key="set")).counter_value == 1
    assert (await desk.ask(agent(), K.GET, key="plain")).value == b"v"


# ---------------------------------------------------------------------------------------------------------- LIST


async def iterate(desk: Desk, **fields: Any) -> list[pb.KVResponse]:
    pages = []
    cursor = ""
    while True:
        page = await desk.ask(agent(), K.LIST, **{"key": "", **fields}, cursor=cursor)
        assert list(page.kv_map) == [] or set(page.kv_map) == set(page.keys)
        pages.append(page)
        if not page.has_more:
            assert page.next_cursor == ""
            return pages
        cursor = page.next_cursor


async def test_72_list(desk: Desk) -> None:
    entries = {f"k{number}": b"%d" % number for number in range(5)}
    for key, value in entries.items():
        await desk.ask(agent(), K.PUT, key=key, value=value)
    (page,) = await iterate(desk)
    assert dict(page.kv_map) == entries
    assert sorted(page.keys) == sorted(entries)


async def test_73_prefix_is_literal(desk: Desk) -> None:
    for key in ("a*", "a*b", "ab", "b"):
        await desk.ask(agent(), K.PUT, key=key)
    (page,) = await iterate(desk, key="a*")
    assert sorted(page.keys) == ["a*", "a*b"]


@pytest.mark.parametrize(("count", "limit", "first"), [(250, 0, 100), (50, 7, 7)], ids=["74", "75"])
async def test_74_75_paging(desk: Desk, count: int, limit: int, first: int) -> None:
    for number in range(count):
        await desk.ask(agent(), K.PUT, key=f"k{number}")
    pages = await iterate(desk, limit=limit)
    assert len(pages[0].keys) == first
    keys = [key for page in pages for key in page.keys]
    assert len(keys) == len(set(keys)) == count


async def test_76_prefix_before_limit(desk: Desk) -> None:
    for number in range(150):
        await desk.ask(agent(), K.PUT, key=f"a{number}")
    for number in range(5):
        await desk.ask(agent(), K.PUT, key=f"b{number}")
    assert len((await desk.ask(agent(), K.LIST, key="b")).keys) == 5


async def test_77_deletions_between_pages(desk: Desk) -> None:
    for number in range(30):
        await desk.ask(agent(), K.PUT, key=f"k{number:02}")
    first = await desk.ask(agent(), K.LIST, key="", limit=10)
    for key in first.keys:
        await desk.ask(agent(), K.DELETE, key=key)
    rest = await desk.ask(agent(), K.LIST, key="", limit=100, cursor=first.next_cursor)
    assert sorted([*first.keys, *rest.keys]) == [f"k{number:02}" for number in range(30)]


async def test_list_stays_under_what_clients_accept(desk: Desk) -> None:
    """Weakness 35: pages are bounded in bytes too."""
    for number in range(6):
        await desk.ask(agent(), K.PUT, key=f"k{number}", value=bytes(1_048_576))
    pages = await iterate(desk)
    assert sum(len(page.keys) for page in pages) == 6
    assert max(page.ByteSize() for page in pages) < 3_670_016


async def test_unreadable_cursor(desk: Desk) -> None:
    assert (await desk.fails(agent(), K.LIST, cursor="?")).code == INVALID


# --------------------------------------------------------------------------------------------------------- PURGE


async def test_79_purge_needs_the_capability(desk: Desk) -> None:
    await desk.ask(agent("victim"), K.PUT, scope=K.GLOBAL_EXCLUSIVE, value=b"v")
    desk.access = RuleAccess({("capability", "capability/kv_purge_identity"): READWRITE})
    fields = {"key": "", "scope": K.GLOBAL_EXCLUSIVE, "target_identity": "ag::w::i::victim"}
    assert (await desk.fails(agent(), K.PURGE_IDENTITY, **fields)).code == DENIED
    assert (await desk.ask(agent("victim"), K.GET, scope=K.GLOBAL_EXCLUSIVE)).value == b"v"


@pytest.mark.parametrize(("prefix", "removed"), [("", 4), ("a", 2)], ids=["80", "81"])
async def test_80_81_purge(desk: Desk, prefix: str, removed: int) -> None:
    victim = agent("victim")
    for key in ("a1", "a2", "b"):
        await desk.ask(victim, K.PUT, key=key, scope=K.GLOBAL_EXCLUSIVE)
    await desk.ask(victim, K.SET_ADD, key="set", scope=K.GLOBAL_EXCLUSIVE, value=b"m")
    await desk.ask(agent("other"), K.PUT, key="a1", scope=K.GLOBAL_EXCLUSIVE)
    desk.access = RuleAccess({("capability", "capability/kv_purge_identity"): MANAGE})
    response = await desk.ask(
        pool_task(), K.PURGE_IDENTITY, key=prefix, scope=K.GLOBAL_EXCLUSIVE, target_identity="ag::w::i::victim"
    )
    assert response == pb.KVResponse(success=True, request_id="r", counter_value=removed)
    assert (await desk.ask(agent("other"), K.LIST, key="", scope=K.GLOBAL_EXCLUSIVE)).keys == ["a1"]


async def test_purge_reaches_workspace_and_user(desk: Desk) -> None:
    victim = agent("victim")
    for scope in (K.WORKSPACE_EXCLUSIVE, K.USER, K.USER_WORKSPACE):
        await desk.ask(victim, K.PUT, scope=scope, user_id="u")
        response = await desk.ask(
            service(), K.PURGE_IDENTITY, key="", scope=scope, user_id="u", target_identity="ag::w::i::victim"
        )
        assert response.counter_value == 1


@pytest.mark.parametrize("target", ["", "nobody", "us::u::w"])
async def test_82_purge_of_nobody(desk: Desk, target: str) -> None:
    error = await desk.fails(agent(), K.PURGE_IDENTITY, scope=K.GLOBAL_EXCLUSIVE, target_identity=target)
    assert error.code.startswith(KV_ERROR)


async def test_shared_scopes_are_purged_by_prefix_only(desk: Desk) -> None:
    """Weakness 22: the global namespace holds locks and workspace records."""
    await desk.ask(agent(), K.PUT, key="_sys/coord/x")
    await desk.ask(agent(), K.PUT, key="mine/1")
    assert (await desk.fails(agent(), K.PURGE_IDENTITY, key="", target_identity="ag::w::i::s")).code == INVALID
    assert (await desk.ask(agent(), K.PURGE_IDENTITY, key="mine/", target_identity="ag::w::i::s")).counter_value == 1
    assert (await desk.ask(agent(), K.LIST, key="")).keys == ["_sys/coord/x"]


# --------------------------------------------------------------------------------------------- metrics, coordination


async def test_101_102_operations_are_observed(desk: Desk) -> None:
    await desk.ask(agent(), K.PUT)
    await desk.ask(agent(), K.LIST, key="", scope=K.WORKSPACE)
    desk.access = RuleAccess()
    await desk.fails(agent(), K.PUT)
    await desk.fails(user(), K.PUT)  # never reached a scope
    assert desk.observed == [
        ("PUT", "global", "w", True),
        ("LIST", "workspace", "w", True),
        ("PUT", "global", "w", False),
    ]


async def test_103_mutex(desk: Desk) -> None:
    outcomes = [
        (await desk.ask(agent(), K.SET_NX, value=b"A", ttl=30)).applied,
        (await desk.ask(agent(), K.SET_NX, value=b"B", ttl=30)).applied,
        (await desk.ask(agent(), K.COMPARE_AND_DELETE, expected_value=b"B")).applied,
        (await desk.ask(agent(), K.COMPARE_AND_DELETE, expected_value=b"A")).applied,
        (await desk.ask(agent(), K.SET_NX, value=b"B", ttl=30)).applied,
    ]
    assert outcomes == [True, False, False, True, True]


async def test_104_refresh_after_the_lease_was_lost(desk: Desk) -> None:
    await desk.ask(agent(), K.SET_NX, value=b"A", ttl=30)
    desk.clock.advance(31)
    await desk.ask(agent(), K.SET_NX, value=b"B", ttl=30)
    assert not (await desk.ask(agent(), K.COMPARE_AND_SET, expected_value=b"A", value=b"A", ttl=30)).applied


async def test_105_semaphore(desk: Desk) -> None:
    take = {"delta_value": 1, "guard_value": 2}
    assert [(await desk.ask(agent(), K.INCREMENT_IF, **take)).applied for _ in range(3)] == [True, True, False]
    assert (await desk.ask(agent(), K.DECREMENT_IF, delta_value=1)).applied
    assert (await desk.ask(agent(), K.INCREMENT_IF, **take)).applied
