"""Tasks on the wire: the checklist of the tasks chapter, items by their numbers."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.support.tasks import Desk, Op
from tests.support.wire import Wire, agent, bridge, engine, open_wire, orchestrator, service, task, user
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.audit.store import Filter
from aether.errors import StoreUnavailable
from aether.proto import aether_pb2 as pb
from aether.tasks import subscriptions

FIXED = pb.BACKOFF_STRATEGY_FIXED
HIBERNATE = pb.WAIT_REASON_HIBERNATION

Connect = Callable[..., Coroutine[Any, Any, Desk]]


@pytest.fixture
async def gateway(tmp_path: Path, engine: str, clock: WallClock) -> AsyncIterator[Gateway]:
    config = Config.development(tmp_path / "data", gateway={"engine": engine})
    async with Gateway(config, wall_clock=clock) as gateway:
        yield gateway


@pytest.fixture
def connect(wire: Wire) -> Connect:
    async def connect(init: pb.InitConnection) -> Desk:
        desk = Desk(await wire.connect(init))
        await desk.settled("error")  # what the gateway does for who is there comes after its ack
        return desk

    return connect


@pytest.fixture
async def boss(connect: Connect) -> Desk:
    """An agent that creates tasks."""
    return await connect(agent("boss"))


@pytest.fixture
async def worker(connect: Connect) -> Desk:
    """The one worker of the pool ``pool``."""
    return await connect(agent("1", implementation="pool"))


def advance(gateway: Gateway, clock: WallClock, seconds: float) -> None:
    """Time passes, and timers that are due fire; without waiting for it."""
    clock.advance(seconds)
    gateway.services.tasks.timers.fire_due()


# -------------------------------------------------------------------------------------------------------- creating


async def test_1_self_assigned(boss: Desk) -> None:
    answer = await boss.create()
    assert (answer.status, answer.assigned_to) == ("assigned", "ag::w::i::boss")
    info = await boss.get(answer.task_id)
    assert (info.status, info.assigned_to) == (pb.TASK_STATUS_QUEUED, "ag::w::i::boss")
    assert await boss.settled("task_assignment") == []


async def test_2_without_request_id_there_is_no_answer(boss: Desk) -> None:
    boss.peer.say(create_task=pb.CreateTaskRequest(task_type="quiet"))
    assert len(await boss.listed(task_type="quiet")) == 1
    assert await boss.settled("create_task") == []


async def test_3_names_that_break_the_rules(boss: Desk) -> None:
    answer = await boss.create(workspace="a*b")
    assert (answer.success, answer.error_code) == (False, "ERR_INVALID_IDENTIFIER")
    error = await boss.next("error")
    assert (error.code, error.request_id) == ("ERR_INVALID_IDENTIFIER", "")


async def test_3_the_rules_can_be_off(tmp_path: Path, engine: str) -> None:
    config = Config.development(tmp_path / "data", gateway={"engine": engine, "strict_identifiers": False})
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        desk = Desk(await wire.connect(service("1")))
        nowhere = await desk.create()
        assert (nowhere.error_code, nowhere.error_message) == ("ERR_INVALID_ARGUMENT", "task workspace is required")
        assert (await desk.create(workspace="a*b")).success


async def test_4_payload_limit(boss: Desk) -> None:
    assert (await boss.create(payload=b"x" * 524288)).success
    boss.peer.say(create_task=pb.CreateTaskRequest(payload=b"x" * 524289, request_id="big"))
    answer = (await boss.peer.receive()).create_task
    assert (answer.request_id, answer.error_code) == ("big", "TASK_PAYLOAD_TOO_LARGE")
    assert answer.error_message == "task payload size 524289 exceeds maximum 524288 bytes"
    await boss.peer.expect_error("TASK_PAYLOAD_TOO_LARGE")
    assert len(await boss.listed()) == 1


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"assignment_mode": pb.POOL}, "target_implementation required"),
        ({"assignment_mode": pb.TARGETED}, "target_agent_id required"),
        ({"assignment_mode": pb.TARGETED, "target_agent_id": "foo"}, "target_agent_id"),
        ({"assignment_mode": pb.TARGETED, "target_agent_id": "ag::w::nobody::x"}, "not found in registry"),
        ({"assignment_mode": pb.TARGETED, "target_agent_id": "us::bob::w1"}, "us::bob::w1 is offline"),
        ({"assignment_mode": pb.TARGETED, "target_agent_id": "ta::w::i::x"}, "ta::w::i::x is offline"),
    ],
)
async def test_5_6_impossible_assignments(boss: Desk, fields: dict[str, Any], detail: str) -> None:
    answer = await boss.create(**fields)
    assert (answer.success, answer.error_code) == (False, "ERR_TASK_CREATE_FAILED")
    assert detail in answer.error_message
    error = await boss.next("error")
    assert (error.code, error.message) == ("ERR_TASK_CREATE_FAILED", "failed to create task")
    assert await boss.listed() == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"workspace": "a*b"}, "ERR_INVALID_IDENTIFIER"),
        ({"metadata": {"k": "x" * 2_000_000}}, "ERR_INVALID_ARGUMENT"),
        ({"authorization": pb.AuthorizationContext(authority_mode="direct", grant_id="g")}, "ERR_PERMISSION_DENIED"),
        ({"assignment_mode": pb.POOL}, "ERR_TASK_CREATE_FAILED"),
    ],
)
async def test_the_error_of_a_create_comes_before_the_response(boss: Desk, fields: dict[str, Any], code: str) -> None:
    boss.peer.say(create_task=pb.CreateTaskRequest(request_id="r", **fields))
    error = await boss.peer.expect_error(code)
    assert error.request_id == ""
    assert (await boss.peer.expect("create_task")).error_code == code


async def test_7_targeted_to_somebody_online(boss: Desk, worker: Desk) -> None:
    payload = bytes(range(256))
    target = "ag::w::pool::1"
    answer = await boss.create(assignment_mode=pb.TARGETED, target_agent_id=target, payload=payload, task_type="t")
    assert (answer.status, answer.assigned_to) == ("assigned", target)
    assignment = await worker.assigned()
    assert (assignment.task_id, assignment.payload) == (answer.task_id, payload)
    assert (assignment.workspace, assignment.target_implementation) == ("w", "pool")


async def test_12_workspace_of_the_caller(boss: Desk) -> None:
    assert (await boss.get(await boss.created())).workspace == "w"


async def test_13_authorization_that_contradicts_itself(boss: Desk) -> None:
    context = pb.AuthorizationContext(authority_mode="direct", grant_id="g")
    answer = await boss.create(authorization=context)
    assert (answer.error_code, answer.error_message) == ("ERR_PERMISSION_DENIED", "invalid authorization context")


async def test_14_to_17_idempotency(boss: Desk, connect: Connect) -> None:
    first = await boss.create(idempotency_key="k")
    second = await boss.create(idempotency_key="k")
    assert second.success
    assert (second.task_id, second.status, second.assigned_to) == (first.task_id, "", "")
    assert await boss.listed() == [first.task_id]
    assert await boss.created(idempotency_key="other") != first.task_id
    assert not (await boss.create(assignment_mode=pb.POOL, idempotency_key="failed")).success
    assert await boss.created(idempotency_key="failed")
    elsewhere = await connect(agent("x", workspace="w2"))
    assert await elsewhere.created(idempotency_key="k") != first.task_id


async def test_18_one_key_at_the_same_time(boss: Desk, connect: Connect) -> None:
    desks = [boss, *[await connect(agent(f"twin{number}")) for number in range(4)]]
    ids = set()

    async def create(desk: Desk) -> None:
        for _ in range(10):
            ids.add(await desk.created(idempotency_key="k"))

    async with trio.open_nursery() as nursery:
        for desk in desks:
            nursery.start_soon(create, desk)
    assert await boss.listed() == [*ids]


async def test_18_one_key_in_one_go(boss: Desk) -> None:
    for number in range(3):
        boss.peer.say(create_task=pb.CreateTaskRequest(idempotency_key="k", request_id=f"go {number}"))
    answers = [await boss.next("create_task") for _ in range(3)]
    assert [answer.request_id for answer in answers] == ["go 0", "go 1", "go 2"]
    assert [answer.task_id for answer in answers] == await boss.listed() * 3


async def test_keys_order_and_room_are_known_after_a_restart(tmp_path: Path, engine: str, clock: WallClock) -> None:
    quotas = {"enabled": True, "max_tasks_per_workspace": 2}
    config = Config.development(tmp_path / "data", gateway={"engine": engine}, quotas=quotas)
    async with Gateway(config, wall_clock=clock) as gateway, open_wire(gateway.port or 0) as wire:
        boss = Desk(await wire.connect(agent("boss")))
        unfinished, ended = [await boss.pool(idempotency_key=key) for key in ("unfinished", "ended")]
        await boss.do(Op.COMPLETE, ended)
    clock.advance(-3600)
    async with Gateway(config, wall_clock=clock) as gateway, open_wire(gateway.port or 0) as wire:
        boss = Desk(await wire.connect(agent("boss")))
        assert await boss.created(idempotency_key="unfinished") == unfinished
        assert await boss.created(idempotency_key="ended") == ended
        newest = await boss.pool()
        assert [task_id for task_id in await boss.listed() if task_id != ended] == [newest, unfinished]
        assert (await boss.create()).error_code == "ERR_QUOTA_001"


async def test_what_had_ended_takes_room_when_it_is_done_again(tmp_path: Path, engine: str, clock: WallClock) -> None:
    quotas = {"enabled": True, "max_tasks_per_workspace": 2}
    config = Config.development(tmp_path / "data", gateway={"engine": engine}, quotas=quotas)
    async with Gateway(config, wall_clock=clock) as gateway, open_wire(gateway.port or 0) as wire:
        boss = Desk(await wire.connect(agent("boss")))
        policy = pb.RetryPolicy(max_attempts=2, initial_delay_ms=60_000)
        ended, failed = await boss.created(), await boss.created(retry_policy=policy)
        await boss.do(Op.CANCEL, ended)
        await boss.created()
        refusal = "quota exceeded for tasks in workspace 'w': limit 2"
        assert await boss.refused(Op.RETRY, ended) == refusal
        await boss.do(Op.FAIL, failed)
        await boss.do(Op.RETRY, failed)  # it never was over
        assert await boss.refused(Op.RETRY, ended) == refusal
        await boss.do(Op.COMPLETE, failed)
        await boss.do(Op.RETRY, ended)


async def test_14_idempotency_lasts_for_a_day_after_the_end(boss: Desk, clock: WallClock) -> None:
    first = await boss.created(idempotency_key="k")
    await boss.do(Op.COMPLETE, first)
    clock.advance(23 * 3600)
    assert await boss.created(idempotency_key="k") == first
    clock.advance(2 * 3600)
    assert await boss.created(idempotency_key="k") != first


@pytest.mark.parametrize(("asked", "stored"), [(0, 30), (37, 37)])
async def test_19_priority(boss: Desk, asked: int, stored: int) -> None:
    assert (await boss.get(await boss.created(priority=asked))).priority == stored


async def test_20_21_ids_that_belong_together(boss: Desk) -> None:
    own = await boss.created()
    assert (await boss.get(own)).root_task_id == own
    other = await boss.created(root_task_id="root", correlation_id="c", context_id="x")
    info = await boss.get(other)
    assert (info.root_task_id, info.correlation_id, info.context_id) == ("root", "c", "x")
    for wanted in ({"root_task_id": "root"}, {"correlation_id": "c"}, {"context_id": "x"}):
        assert await boss.listed(**wanted) == [other]
    assert await boss.listed(root_task_id=own) == [own]


async def test_22_attempts(boss: Desk) -> None:
    assert (await boss.get(await boss.created())).max_attempts == 3
    assert (await boss.get(await boss.created(retry_policy=pb.RetryPolicy()))).max_attempts == 3
    assert (await boss.get(await boss.created(retry_policy=pb.RetryPolicy(max_attempts=5)))).max_attempts == 5


async def test_23_80_metadata_and_what_an_assignment_says(boss: Desk, worker: Desk, clock: WallClock) -> None:
    task_id = await boss.pool(metadata={"a": "b"}, task_class=pb.TASK_CLASS_BATCH, task_type="t")
    assignment = await worker.assigned()
    assert assignment == pb.TaskAssignment(
        task_id=task_id,
        task_type="t",
        assigned_to="ag::w::pool::1",
        metadata={"a": "b"},
        assigned_at=clock.now_ms // 1000,
        target_implementation="pool",
        workspace="w",
        task_class=pb.TASK_CLASS_BATCH,
    )
    assert (await boss.get(task_id)).metadata == {"a": "b"}


async def test_30_a_parent_has_to_be_a_live_task_of_the_caller(boss: Desk, worker: Desk) -> None:
    parent = await boss.pool(correlation_id="c")
    child = await worker.created(parent_task_id=parent)
    info = await worker.get(child)
    assert (info.parent_task_id, info.root_task_id, info.correlation_id) == (parent, parent, "c")
    await worker.do(Op.COMPLETE, parent)
    for desk, task_id in ((worker, parent), (boss, child), (worker, "unknown")):
        answer = await desk.create(parent_task_id=task_id)
        assert (answer.error_code, answer.error_message) == ("ERR_PERMISSION_DENIED", "parent task not found")


async def test_31_what_to_do_about_a_target_that_is_offline(boss: Desk, connect: Connect) -> None:
    target = {"assignment_mode": pb.TARGETED, "target_agent_id": "ag::w::late::1"}
    rejected = await boss.create(**target, target_offline_policy=pb.TARGET_OFFLINE_POLICY_REJECT)
    assert (rejected.success, rejected.error_code) == (False, "ERR_TARGET_OFFLINE")
    assert await boss.listed() == []
    queued = await boss.create(**target, target_offline_policy=pb.TARGET_OFFLINE_POLICY_QUEUE)
    assert (queued.success, queued.status) == (True, "queued")
    assert await boss.listed() == [queued.task_id]
    late = await connect(agent("1", implementation="late"))
    assert (await late.assigned()).task_id == queued.task_id
    for policy in (pb.TARGET_OFFLINE_POLICY_REJECT, pb.TARGET_OFFLINE_POLICY_QUEUE):
        assert (await boss.create(**target, target_offline_policy=policy)).status == "assigned"


# ------------------------------------------------------------------------------------------------------ operations


async def test_32_33_what_is_not_there_and_what_is_not_theirs(boss: Desk, connect: Connect) -> None:
    task_id = await boss.created()
    stranger = await connect(agent("x", workspace="other"))
    assert await stranger.refused(Op.COMPLETE, task_id) == "task not found"
    assert await stranger.refused(Op.COMPLETE, "unknown") == "task not found"
    assert await stranger.refused(Op.COMPLETE, "") == "task not found"
    assert await boss.refused(99, task_id) == "unknown task operation"


async def test_34_roles_reach_beyond_workspaces(connect: Connect, worker: Desk) -> None:
    boss = await connect(agent("b", workspace="elsewhere"))
    task_id = await boss.pool(workspace="w")
    assert (await worker.assigned()).task_id == task_id
    await worker.do(Op.CLAIM, task_id)
    assert (await boss.do(Op.CANCEL, task_id, "enough")).error == "enough"


async def test_a_worker_that_does_not_begin_is_told_of(
    gateway: Gateway, clock: WallClock, boss: Desk, worker: Desk, connect: Connect
) -> None:
    """Weakness 40: it keeps the task, since it may be at it, but operators hear of it, once."""
    task_id = await boss.pool(task_class=pb.TASK_CLASS_BATCH)
    begun = await boss.pool(task_class=pb.TASK_CLASS_BATCH)
    assert {(await worker.assigned()).task_id, (await worker.assigned()).task_id} == {task_id, begun}
    await worker.do(Op.CLAIM, begun)
    other = await connect(agent("2", implementation="pool"))
    for _ in range(3):
        advance(gateway, clock, 601)
    _, (row,) = await gateway.services.tier.audit.query(Filter(operation="task_stalled"), 10, 0)
    assert (row.resource_id, row.success, row.workspace) == (task_id, False, "w")
    assert 'aether_tasks_neglected_total{reason="task_stalled"} 1.0' in gateway.metrics.exposition().decode()
    assert (await boss.get(task_id)).assigned_to == "ag::w::pool::1"
    assert await other.settled("task_assignment") == []
    assert (await worker.do(Op.COMPLETE, task_id)).status == pb.TASK_STATUS_COMPLETED


async def test_claim_is_for_the_worker_and_its_parties(boss: Desk, worker: Desk, connect: Connect) -> None:
    stranger = await connect(agent("stranger"))
    task_id = await boss.pool()
    await worker.assigned()
    assert "held by another worker" in await stranger.refused(Op.CLAIM, task_id)
    claimed = await boss.do(Op.CLAIM, task_id)
    assert (claimed.status, claimed.assigned_to) == (pb.TASK_STATUS_RUNNING, "ag::w::pool::1")
    assert await worker.do(Op.CLAIM, task_id) == claimed
    assert (await stranger.do(Op.COMPLETE, task_id)).status == pb.TASK_STATUS_COMPLETED  # no rule keeps it from it


async def test_what_is_done_with_tasks_is_recorded(boss: Desk, worker: Desk, gateway: Gateway) -> None:
    async def rows(task_id: str) -> list[tuple[str, str, bool, dict[str, Any]]]:
        _, found = await gateway.services.tier.audit.query(Filter(resource_id=task_id), 100, 0)
        found = [row for row in found if (row.kind, row.resource_id) == ("task", task_id)]
        assert {(row.resource_type, row.workspace) for row in found} == {("task", "w")}
        return [(row.operation, row.actor_id, row.success, json.loads(row.metadata)) for row in reversed(found)]

    pool = await boss.pool(task_type="t", payload=b"abc", metadata={"k": "v"})
    await worker.do(Op.CLAIM, pool)
    await worker.do(Op.CLAIM, pool)  # without effect
    await worker.do(Op.PAUSE, pool, "asks", timeout_ms=60_000)
    await boss.do(Op.PAUSE, pool, timeout_ms=50_000)
    await boss.do(Op.RESUME, pool)
    await worker.do(Op.FAIL, pool)
    await boss.refused(Op.REJECT, pool)
    me, it = "ag::w::i::boss", "ag::w::pool::1"
    created = {
        "task_type": "t",
        "assignment_mode": "pool",
        "workspace": "w",
        "payload_size": 3,
        "metadata_entries": 1,
        "target_implementation": "pool",
        "status": "assigned",
        "queued_for_startup": False,
        "assigned_to": it,
    }
    assert await rows(pool) == [
        ("task_create", me, True, created),
        ("task_claim", it, True, {"status": "running"}),
        ("task_pause", it, True, {"status": "waiting_input", "reason": "input: asks"}),
        ("task_pause", me, True, {"status": "waiting_input", "reason": "input"}),
        ("task_resume", me, True, {"status": "running"}),
        ("task_fail", it, True, {"status": "failed", "reason": "task failed"}),
    ]
    await boss.create(assignment_mode=pb.TARGETED, target_agent_id="x", launch_param_overrides={"a": "b"})
    [(operation, actor, success, metadata)] = await rows("")
    assert (operation, actor, success) == ("task_create", me, False)
    assert (metadata["target_agent_id"], metadata["launch_param_overrides"]) == ("x", 1)


async def test_35_complete_without_claim(boss: Desk, worker: Desk) -> None:
    task_id = await boss.pool()
    await worker.assigned()
    info = await worker.do(Op.COMPLETE, task_id, "all fine")
    assert info.status == pb.TASK_STATUS_COMPLETED
    assert info.completed_at > 0
    assert info.metadata["_result_summary"] == "all fine"


async def test_36_fail(boss: Desk) -> None:
    info = await boss.do(Op.FAIL, await boss.created())
    assert (info.status, info.error, info.attempt) == (pb.TASK_STATUS_FAILED, "task failed", 1)
    assert (await boss.do(Op.FAIL, await boss.created(), "why")).error == "why"


async def test_37_cancel_once(boss: Desk) -> None:
    task_id = await boss.created()
    assert (await boss.do(Op.CANCEL, task_id)).status == pb.TASK_STATUS_CANCELLED
    assert "already completed/failed/cancelled" in await boss.refused(Op.CANCEL, task_id)


@pytest.mark.parametrize("end", [Op.CANCEL, Op.FAIL, Op.REJECT])
async def test_38_an_end_is_an_end(boss: Desk, end: int) -> None:
    task_id = await boss.created()
    status = (await boss.do(end, task_id)).status
    assert "invalid task state transition" in await boss.refused(Op.COMPLETE, task_id)
    assert (await boss.get(task_id)).status == status


async def test_38_complete_again_has_no_effect(boss: Desk) -> None:
    task_id = await boss.created()
    subscription = await boss.subscribe(task_id)
    first = await boss.do(Op.COMPLETE, task_id)
    assert await boss.do(Op.COMPLETE, task_id) == first
    assert [event.subscription_id for event in await boss.settled("task_event")] == [subscription.subscription_id]


async def test_39_pause_needs_a_reason_and_a_running_task(boss: Desk) -> None:
    task_id = await boss.created()
    assert "wait_spec required for PAUSE" in await boss.refused(Op.PAUSE, task_id)
    assert "assigned → waiting_input" in await boss.refused(Op.PAUSE, task_id, wake_on_any=True)


async def test_40_claim_twice(boss: Desk, clock: WallClock) -> None:
    task_id = await boss.created()
    first = await boss.do(Op.CLAIM, task_id)
    assert (first.status, first.started_at) == (pb.TASK_STATUS_RUNNING, clock.now_ms // 1000)
    clock.advance(5)
    assert (await boss.do(Op.CLAIM, task_id)).started_at == first.started_at


async def test_41_a_task_has_one_worker(boss: Desk, worker: Desk, connect: Connect) -> None:
    task_id = await boss.pool()
    await worker.assigned()
    other = await connect(agent("2", implementation="pool"))
    assert "held by another worker" in await other.refused(Op.CLAIM, task_id)
    assert (await worker.do(Op.CLAIM, task_id)).assigned_to == "ag::w::pool::1"


async def test_42_pause_and_resume(boss: Desk, clock: WallClock) -> None:
    task_id = await boss.created()
    await boss.do(Op.CLAIM, task_id)
    paused = await boss.do(Op.PAUSE, task_id, wake_on_any=True)
    assert (paused.status, paused.paused_at) == (pb.TASK_STATUS_WAITING_INPUT, clock.now_ms // 1000)
    assert paused.wait_spec == pb.WaitSpec(wake_on_any=True)
    resumed = await boss.do(Op.RESUME, task_id)
    assert (resumed.status, resumed.paused_at, resumed.HasField("wait_spec")) == (pb.TASK_STATUS_RUNNING, 0, False)


async def test_42_who_waits_may_be_gone_when_it_goes_on(boss: Desk, worker: Desk) -> None:
    task_id = await boss.pool()
    await worker.do(Op.CLAIM, task_id)
    await worker.do(Op.PAUSE, task_id, timeout_ms=60_000)
    await worker.peer.abort()
    resumed = await boss.do(Op.RESUME, task_id)
    assert (resumed.status, resumed.assigned_to) == (pb.TASK_STATUS_RUNNING, "ag::w::pool::1")


async def test_what_a_store_that_is_down_cannot_do(
    boss: Desk, worker: Desk, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = gateway.services.tasks.book.store
    task_id = await boss.pool()
    await worker.do(Op.CLAIM, task_id)

    def unavailable(*_: object) -> None:
        raise StoreUnavailable("disk full")

    async def no_answer(*_: object) -> None:
        raise StoreUnavailable("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "check", unavailable)
        patch.setattr(store, "get", unavailable)
        patch.setattr(store, "query", no_answer)
        patch.setattr(gateway.services.tier.checkpoints, "load", no_answer)
        text = "the task store is unavailable, try again"
        assert await worker.refused(Op.COMPLETE, task_id) == text
        hibernation = pb.HibernationDescriptor(checkpoint_key="K")
        assert (await hibernate(worker, task_id, hibernation=hibernation)).error == text
        for query in (pb.TaskQuery(op=pb.TaskQuery.GET, task_id="ended"), pb.TaskQuery()):
            boss.peer.say(task_query=query)
            answer = await boss.next("task_query")
            assert (answer.success, answer.error) == (False, text)
        subscription = await boss.subscribe("ended")
        assert (subscription.success, subscription.error) == (False, text)
        made = await boss.create()
        assert (made.error_code, made.error_message) == ("ERR_TASK_CREATE_FAILED", text)
        error = await boss.next("error")
        assert (error.code, error.retryable) == ("ERR_TASK_CREATE_FAILED", True)
    assert await boss.listed() == [task_id]
    assert await boss.status(task_id) == "RUNNING"


async def test_43_46_dependencies_that_cannot_be(boss: Desk, connect: Connect) -> None:
    one, two = await boss.created(), await boss.created()
    await boss.do(Op.CLAIM, one)
    await boss.do(Op.CLAIM, two)
    assert "depends_on required for WAIT_FOR" in await boss.refused(Op.WAIT_FOR, one)
    assert await boss.refused(Op.WAIT_FOR, one, depends_on=["unknown"]) == "dependency not found: unknown"
    foreign = await (await connect(agent("x", workspace="other"))).created()
    assert await boss.refused(Op.WAIT_FOR, one, depends_on=[foreign]) == f"dependency not found: {foreign}"
    assert "would never end" in await boss.refused(Op.WAIT_FOR, one, depends_on=[one])
    await boss.do(Op.WAIT_FOR, one, depends_on=[two])
    assert "would never end" in await boss.refused(Op.WAIT_FOR, two, depends_on=[one])
    for unfit, text in ((one, "would never end"), ("unknown", "dependency not found: unknown")):
        assert text in (await pause(boss, two, reason=pb.WAIT_REASON_DEPENDENCY, depends_on=[unfit])).error


async def test_44_dependencies(boss: Desk) -> None:
    task_id, a, b = [await boss.created() for _ in range(3)]
    await boss.do(Op.CLAIM, task_id)
    assert (await boss.do(Op.WAIT_FOR, task_id, depends_on=[a, b])).status == pb.TASK_STATUS_WAITING_DEPENDENCY
    await boss.do(Op.COMPLETE, a)
    assert await boss.status(task_id) == "WAITING_DEPENDENCY"
    await boss.do(Op.FAIL, b)
    assert await boss.status(task_id) == "RUNNING"


async def test_44_the_first_of_several_is_enough(boss: Desk) -> None:
    task_id, a, b = [await boss.created() for _ in range(3)]
    await boss.do(Op.CLAIM, task_id)
    await boss.do(Op.WAIT_FOR, task_id, depends_on=[a, b], wake_on_any=True)
    await boss.do(Op.CANCEL, b)
    assert await boss.status(task_id) == "RUNNING"


async def test_44_who_waits_for_something_else_waits_on(boss: Desk) -> None:
    task_id, other = await boss.created(), await boss.created()
    await boss.do(Op.CLAIM, task_id)
    assert (await pause(boss, task_id, reason=pb.WAIT_REASON_INPUT, depends_on=[other])).success
    await boss.do(Op.COMPLETE, other)
    assert await boss.status(task_id) == "WAITING_INPUT"


async def test_44_names_that_are_empty_do_not_count(boss: Desk) -> None:
    task_id, other = await boss.created(), await boss.created()
    await boss.do(Op.CLAIM, task_id)
    waiting = await boss.do(Op.WAIT_FOR, task_id, depends_on=["", other], wake_on_any=True)
    assert waiting.status == pb.TASK_STATUS_WAITING_DEPENDENCY
    await boss.do(Op.COMPLETE, other)
    assert await boss.status(task_id) == "RUNNING"
    assert (await pause(boss, task_id, reason=pb.WAIT_REASON_DEPENDENCY, wake_on_any=True)).success
    assert await boss.status(task_id) == "RUNNING"  # it waits for nothing


async def test_45_dependencies_that_ended_before(boss: Desk) -> None:
    task_id, a = await boss.created(), await boss.created()
    await boss.do(Op.COMPLETE, a)
    await boss.do(Op.CLAIM, task_id)
    assert (await boss.do(Op.WAIT_FOR, task_id, depends_on=[a])).status == pb.TASK_STATUS_RUNNING


async def test_47_a_wait_has_an_end(boss: Desk, gateway: Gateway, clock: WallClock) -> None:
    task_id = await boss.created()
    await boss.do(Op.CLAIM, task_id)
    await boss.do(Op.PAUSE, task_id, timeout_ms=5000)
    advance(gateway, clock, 4.9)
    assert await boss.status(task_id) == "WAITING_INPUT"
    advance(gateway, clock, 0.2)
    info = await boss.get(task_id)
    assert (info.status, info.error) == (pb.TASK_STATUS_FAILED, "wait timeout")


async def test_48_scheduled_wake(boss: Desk, gateway: Gateway, clock: WallClock) -> None:
    task_id = await boss.created()
    await boss.do(Op.CLAIM, task_id)
    await boss.do(Op.PAUSE, task_id, scheduled_wake_unix_ms=clock.now_ms + 60_000)
    advance(gateway, clock, 61)
    assert await boss.status(task_id) == "RUNNING"


async def test_49_reject(boss: Desk, worker: Desk) -> None:
    task_id = await boss.pool()
    await worker.assigned()
    info = await worker.do(Op.REJECT, task_id, "not mine")
    assert (info.status, info.error) == (pb.TASK_STATUS_REJECTED, "not mine")
    running = await boss.pool()
    await worker.do(Op.CLAIM, running)
    assert "running → rejected" in await worker.refused(Op.REJECT, running)


async def test_51_52_retry(boss: Desk, worker: Desk) -> None:
    task_id = await boss.pool(payload=b"p")
    await worker.assigned()
    await worker.do(Op.FAIL, task_id, "broke")
    retried = await boss.do(Op.RETRY, task_id)
    again = await worker.assigned()
    assert (again.task_id, again.payload) == (task_id, b"p")
    assert (retried.attempt, retried.error) == (1, "")
    await worker.do(Op.CLAIM, task_id)
    assert "not in retryable state" in await boss.refused(Op.RETRY, task_id)


async def test_51_ones_own_task_comes_back_to_its_creator_whomever_it_names(boss: Desk, connect: Connect) -> None:
    """Nobody looked whether the creator may give that one anything."""
    named = await connect(agent("x", workspace="elsewhere"))
    task_id = await boss.created(target_agent_id="ag::elsewhere::i::x")
    await boss.do(Op.FAIL, task_id)
    await boss.do(Op.RETRY, task_id)
    assert (await boss.assigned()).task_id == task_id
    assert await named.settled("task_assignment") == []
    assert (await boss.get(task_id)).assigned_to == "ag::w::i::boss"


async def test_53_one_of_many_wins(boss: Desk, connect: Connect) -> None:
    watcher = await connect(engine())
    task_id = await boss.created(completion_event=pb.TaskCompletionEvent(enabled=True))
    ops = [Op.COMPLETE, Op.FAIL, Op.CANCEL] * 7
    boss.peer.write(
        *(
            pb.UpstreamMessage(task_op=pb.TaskOperation(op=op, task_id=task_id, request_id=str(number)))
            for number, op in enumerate(ops)
        )
    )
    answers = [await boss.next("task_op") for _ in ops]
    changed = [answer for answer in answers if answer.success and answer.message != "task completed"]
    assert answers[0].success
    assert changed == []  # repeats of COMPLETE succeed without effect, all others are refused
    assert await boss.status(task_id) == "COMPLETED"
    assert len(await watcher.settled("msg")) == 1


async def test_54_a_message_is_the_input(boss: Desk, worker: Desk, connect: Connect) -> None:
    task_id = await boss.pool()
    await worker.do(Op.CLAIM, task_id)
    alice, bob = await connect(user("alice")), await connect(user("bob"))
    await worker.operate(Op.PAUSE, task_id, expected_principal="us::alice", timeout_ms=0)
    bob.peer.send("ag::w::pool::1", b"no")
    await worker.next("msg")
    assert await boss.status(task_id) == "WAITING_INPUT"
    watched = await boss.subscribe(task_id)
    assert watched.success
    alice.peer.send("ag::w::pool::1", b"yes")
    event = await boss.next("task_event")
    assert event.status_changed.to_status == pb.TASK_STATUS_RUNNING
    assert event.status_changed.reason == "input"


async def test_54_signs_of_life_do_not_end_a_wait(boss: Desk, worker: Desk) -> None:
    task_id = await boss.pool()
    await worker.do(Op.CLAIM, task_id)
    await worker.operate(Op.PAUSE, task_id, expected_principal="", timeout_ms=0)
    worker.peer.say(progress=pb.ProgressReport(task_id=task_id, state="waiting for an answer"))
    await worker.settled("error")
    watched = await boss.subscribe(task_id)
    assert watched.success
    boss.peer.send("ag::w::pool::1", b"answer")
    assert (await boss.next("task_event")).status_changed.to_status == pb.TASK_STATUS_RUNNING


# ---------------------------------------------------------------------------------------------------------- retry


async def retry_gaps(
    boss: Desk, worker: Desk, gateway: Gateway, clock: WallClock, policy: pb.RetryPolicy
) -> tuple[str, list[int]]:
    """Fails a task until nothing tries it again; returns its id and the waits between the attempts in milliseconds."""
    task_id = await boss.pool(retry_policy=policy)
    gaps = []
    while True:
        await worker.assigned()
        info = await worker.do(Op.FAIL, task_id)
        assert info.status == pb.TASK_STATUS_FAILED
        waited = 0
        while waited < 5000 and await boss.status(task_id) == "FAILED":
            advance(gateway, clock, 0.1)
            waited += 100
        if await boss.status(task_id) == "FAILED":
            return task_id, gaps
        gaps.append(waited)


@pytest.mark.parametrize(
    ("policy", "gaps"),
    [
        (pb.RetryPolicy(max_attempts=3, backoff=FIXED, initial_delay_ms=500), [500, 500]),
        (
            pb.RetryPolicy(
                max_attempts=4,
                backoff=pb.BACKOFF_STRATEGY_EXPONENTIAL,
                initial_delay_ms=200,
                max_delay_ms=500,
            ),
            [200, 400, 500],
        ),
        (
            pb.RetryPolicy(max_attempts=4, backoff=pb.BACKOFF_STRATEGY_EXPLICIT_SCHEDULE, schedule_ms=[100, 700]),
            [100, 700, 700],
        ),
    ],
)
async def test_55_to_57_backoff(
    boss: Desk, worker: Desk, gateway: Gateway, clock: WallClock, policy: pb.RetryPolicy, gaps: list[int]
) -> None:
    task_id, seen = await retry_gaps(boss, worker, gateway, clock, policy)
    assert seen == gaps
    assert (await boss.get(task_id)).attempt == policy.max_attempts


async def test_58_what_is_no_number_is_no_jitter_and_harms_nobody(tmp_path: Path, engine: str) -> None:
    config = Config.development(tmp_path / "data", gateway={"engine": engine})
    tasks = []
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        boss = Desk(await wire.connect(agent("boss")))
        for jitter in (float("nan"), float("inf"), float("-inf")):
            policy = pb.RetryPolicy(backoff=FIXED, initial_delay_ms=60_000, jitter_factor=jitter)
            tasks.append(await boss.pool(retry_policy=policy))
        assert sorted(await boss.listed()) == sorted(tasks)
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        boss = Desk(await wire.connect(agent("boss")))
        for task_id in tasks:
            assert "_next_retry_ms" in (await boss.do(Op.FAIL, task_id)).metadata


async def test_60_no_policy_no_retry(boss: Desk, worker: Desk, gateway: Gateway, clock: WallClock) -> None:
    task_id = await boss.pool()
    await worker.do(Op.FAIL, task_id)
    advance(gateway, clock, 3600)
    assert await boss.status(task_id) == "FAILED"


# ---------------------------------------------------------------------------------------------------------- query


async def test_61_62_64_pages(boss: Desk) -> None:
    ids = [await boss.created() for _ in range(150)]
    first = await boss.page()
    assert (first.success, len(first.tasks), first.total_count, bool(first.next_page_token)) == (True, 100, 100, True)
    second = await boss.page(page_token=first.next_page_token, offset=10)  # with a token there is no offset
    assert (len(second.tasks), second.total_count, second.next_page_token) == (50, 50, "")
    assert [task.task_id for task in (*first.tasks, *second.tasks)] == ids[::-1]
    assert len(await boss.listed(limit=5000)) == 150
    assert await boss.listed(offset=10, limit=2) == ids[-11:-13:-1]
    await boss.do(Op.CLAIM, ids[3])
    assert (await boss.listed(limit=1)) == [ids[3]]


async def test_61_pages_while_tasks_change(boss: Desk) -> None:
    """What does not change is there once; what changes meanwhile may be missed or not, but is not there twice."""
    ids = [await boss.created() for _ in range(30)]
    seen: list[str] = []
    changed: set[str] = set()
    token = ""
    while True:
        page = await boss.page(limit=7, page_token=token)
        seen += [task.task_id for task in page.tasks]
        for task_id in (ids[len(seen) % 30], ids[-1 - len(seen) % 30]):
            await boss.do(Op.CLAIM, task_id)
            changed.add(task_id)
        await boss.created()
        if not (token := page.next_page_token):
            break
    assert len(seen) == len(set(seen))
    assert set(ids) - changed <= set(seen) <= set(ids)


async def test_a_list_is_of_the_workspace_that_is_named_or_of_the_callers(boss: Desk, connect: Connect) -> None:
    here, there = await boss.created(), await boss.created(workspace="other")
    assert await boss.listed() == [here]
    system = await connect(orchestrator("boss"))
    assert await system.listed() == [there, here]
    for desk in (boss, system):
        assert await desk.listed(workspace="w") == [here]
        assert await desk.listed(workspace="other") == [there]


async def test_a_question_about_a_task_that_the_caller_may_not_see(boss: Desk, connect: Connect) -> None:
    stranger = await connect(agent("x", workspace="other"))
    for number, task_id in enumerate((await boss.created(), "unknown", "")):
        stranger.peer.say(task_query=pb.TaskQuery(op=pb.TaskQuery.GET, task_id=task_id, request_id=str(number)))
        answer = await stranger.next("task_query")
        assert (answer.request_id, answer.success, answer.error) == (str(number), False, "task not found")
        assert not answer.HasField("task")


@pytest.mark.parametrize("place", ["", "9223372036854775808|t", "-1|t", "1_0|t", " 1|t", "|t", "1|"])
async def test_63_a_token_that_is_none(boss: Desk, place: str) -> None:
    token = base64.urlsafe_b64encode(place.encode()).rstrip(b"=").decode() if place else "xyz"
    page = await boss.page(page_token=token)
    assert not page.success
    assert page.error.startswith("invalid page_token")


async def test_66_times_at_the_ends_of_their_range(boss: Desk) -> None:
    task_id = await boss.created()
    assert await boss.listed(status_timestamp_after_unix_ms=2**63 - 1) == []
    assert await boss.listed(status_timestamp_after_unix_ms=-(2**63)) == [task_id]


async def test_65_66_filters(boss: Desk, worker: Desk) -> None:
    pending = await boss.pool("nobody", task_type="p", priority=40)
    assigned = await boss.pool(task_class=pb.TASK_CLASS_BATCH, priority=50)
    running = await boss.pool(task_type="r")
    await worker.do(Op.CLAIM, running)
    child = await worker.created(parent_task_id=running)
    await worker.do(Op.CLAIM, child)
    grandchild = await worker.created(parent_task_id=child)
    done, failed = await boss.created(), await boss.created()
    await boss.do(Op.COMPLETE, done)
    await boss.do(Op.FAIL, failed)
    queued = pb.TASK_STATUS_QUEUED
    assert await boss.listed(status=queued) == [grandchild, assigned, pending]
    ended = [pb.TASK_STATUS_COMPLETED, pb.TASK_STATUS_FAILED]
    assert await boss.listed(statuses=ended) == [failed, done]
    assert await boss.listed(exclude_statuses=[*ended, queued]) == [child, running]
    assert assigned not in await boss.listed(exclude_task_classes=[pb.TASK_CLASS_BATCH])
    assert await boss.listed(task_class=pb.TASK_CLASS_BATCH) == [assigned]
    assert await boss.listed(task_type="p") == [pending]
    creator = pb.PrincipalRef(principal_id="ag::w::pool::1")
    assert await boss.listed(creator_actor=creator) == [grandchild, child]
    assert await boss.listed(parent_task_id=running) == [child]
    assert await boss.listed(parent_task_id=running, include_descendants=True) == [grandchild, child]
    assert await boss.listed(min_priority=40) == [assigned, pending]
    assert await boss.listed(priority=40) == [pending]
    assert await boss.listed(status=queued, exclude_statuses=[queued]) == []


async def test_65_statuses_of_a_later_version_select_nothing(boss: Desk) -> None:
    task_id = await boss.created()
    assert await boss.listed(statuses=[99]) == await boss.listed(status=99) == []
    assert await boss.listed(statuses=[99, pb.TASK_STATUS_QUEUED]) == await boss.listed(statuses=[0]) == [task_id]
    assert await boss.listed(exclude_statuses=[0, 99]) == [task_id]


async def test_70_times_are_seconds_and_payloads_stay_where_they_are(boss: Desk, clock: WallClock) -> None:
    task_id = await boss.created(payload=b"hidden-away")
    created = clock.now_ms // 1000
    clock.advance(5)
    claimed = await boss.do(Op.CLAIM, task_id)
    clock.advance(5)
    done = await boss.do(Op.COMPLETE, task_id)
    page = await boss.page()
    for info in (done, await boss.get(task_id), *page.tasks):
        assert (info.created_at, info.started_at, info.completed_at) == (created, created + 5, created + 10)
    for answer in (claimed, done, page):
        assert b"hidden-away" not in answer.SerializeToString()


# ------------------------------------------------------------------------------------------------------- delivery


async def test_71_pool_with_a_worker(boss: Desk, worker: Desk) -> None:
    answer = await boss.create(assignment_mode=pb.POOL, target_implementation="pool")
    assert (answer.status, answer.assigned_to) == ("pending_pool", "ag::w::pool::1")
    assert (await worker.assigned()).task_id == answer.task_id


async def test_72_75_pool_that_waits(boss: Desk, connect: Connect) -> None:
    ids = [await boss.pool(priority=priority) for priority in (10, 50, 30, 30)]
    worker = await connect(agent("1", implementation="pool"))
    order = [(await worker.assigned()).task_id for _ in ids]
    assert order == [ids[1], ids[2], ids[3], ids[0]]


async def test_73_74_services(boss: Desk, connect: Connect) -> None:
    shy = await connect(
        pb.InitConnection(service=pb.ServiceIdentity(implementation="pool", specifier="0", no_pool_consumer=True))
    )
    stranger = await connect(agent("x", workspace="other", implementation="pool"))
    waiting = await boss.pool()
    helper = await connect(service("1", implementation="pool"))
    assert (await helper.assigned()).task_id == waiting
    assert (await boss.get(await boss.pool())).assigned_to == "sv::pool::1"
    worker = await connect(agent("1", implementation="pool"))
    assert (await boss.get(await boss.pool())).assigned_to == "ag::w::pool::1"
    assert await shy.settled("task_assignment") == []
    assert await stranger.settled("task_assignment") == []
    assert len(await worker.settled("task_assignment")) == 1


@pytest.mark.parametrize(
    "init",
    [
        task("u", implementation="pool"),
        task(implementation="pool"),
        user("pool"),
        bridge(implementation="pool"),
        orchestrator(implementation="pool"),
    ],
)
async def test_73_others_are_no_workers(boss: Desk, connect: Connect, init: pb.InitConnection) -> None:
    other = await connect(init)
    assert (await boss.get(await boss.pool())).assigned_to == ""
    assert await other.settled("task_assignment") == []


async def test_77_a_fair_share(boss: Desk, connect: Connect) -> None:
    workers = [await connect(agent(name, implementation="pool")) for name in "ab"]
    for _ in range(40):
        await boss.pool()
    shares = [len(await worker.settled("task_assignment")) for worker in workers]
    assert shares == [20, 20]


async def test_77_a_backlog_is_shared_with_who_comes_later(boss: Desk, connect: Connect) -> None:
    ids = {await boss.pool() for _ in range(30)}
    first = await connect(agent("a", implementation="pool"))
    second = await connect(agent("b", implementation="pool"))
    got: dict[str, int] = {}
    for name, desk in (("a", first), ("b", second)):
        got[name] = len(await desk.settled("task_assignment"))
    assert got == {"a": 8, "b": 8}
    done = 0
    while done < len(ids):  # both work on what they have; nobody waits for ever
        for desk in (first, second):
            for task_id in await first.listed(status=pb.TASK_STATUS_QUEUED, limit=100):
                info = await first.get(task_id)
                if info.assigned_to and info.status == pb.TASK_STATUS_QUEUED:
                    await desk.operate(Op.COMPLETE, task_id)
        done = len(await boss.listed(status=pb.TASK_STATUS_COMPLETED))


async def gone(boss: Desk, task_id: str) -> None:
    """Until the gateway has noticed that the worker of a task is gone."""
    with trio.fail_after(20):
        while not (await boss.get(task_id)).disconnected_at:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.01)


async def test_78_who_dies_loses_its_tasks(
    boss: Desk, worker: Desk, connect: Connect, gateway: Gateway, clock: WallClock
) -> None:
    held, claimed = await boss.pool(), await boss.pool(payload=b"p")
    await worker.do(Op.CLAIM, claimed)
    await worker.peer.abort()
    other = await connect(agent("2", implementation="pool"))
    await gone(boss, held)
    advance(gateway, clock, 29)
    assert await other.settled("task_assignment") == []
    advance(gateway, clock, 2)
    assert {(await other.assigned()).task_id for _ in range(2)} == {held, claimed}
    late = await connect(agent("1", implementation="pool"))
    for op in (Op.COMPLETE, Op.FAIL, Op.REJECT, Op.PAUSE, Op.WAIT_FOR):
        assert "given to another worker" in await late.refused(op, claimed, depends_on=[held])
    await other.do(Op.CLAIM, claimed)
    await other.do(Op.PAUSE, claimed, timeout_ms=60_000)
    assert "given to another worker" in await late.refused(Op.RESUME, claimed)
    assert await boss.status(claimed) == "WAITING_INPUT"
    await boss.do(Op.RESUME, claimed)
    assert "held by another worker" in await late.refused(Op.CLAIM, claimed)
    await other.do(Op.COMPLETE, claimed)


async def test_78_who_comes_back_in_time_keeps_them(
    boss: Desk, worker: Desk, connect: Connect, gateway: Gateway, clock: WallClock
) -> None:
    task_id = await boss.pool()
    await worker.do(Op.CLAIM, task_id)
    await worker.peer.abort()
    await gone(boss, task_id)
    again = await connect(agent("1", implementation="pool"))
    assert (await again.assigned()).task_id == task_id  # a new process has to be told
    assert (await boss.get(task_id)).disconnected_at == 0
    advance(gateway, clock, 60)
    assert (await again.do(Op.COMPLETE, task_id)).status == pb.TASK_STATUS_COMPLETED


async def test_an_assignment_that_did_not_arrive_is_sent_again_to_who_resumes(
    boss: Desk, connect: Connect, gateway: Gateway
) -> None:
    worker = await connect(agent("1", implementation="pool"))
    arrived = await boss.pool()
    await worker.assigned()
    while gateway.services.tasks.dispatcher.is_unconfirmed("ag::w::pool::1", arrived):  # noqa: ASYNC110 - nobody tells
        await trio.sleep(0.01)
    worker.peer.call.pause_reading()
    sent = [await boss.pool(payload=b"x" * 500_000) for _ in range(4)]
    session_id = worker.peer.ack.session_id
    await worker.peer.abort()
    lost = [task_id for task_id in sent if gateway.services.tasks.dispatcher.is_unconfirmed("ag::w::pool::1", task_id)]
    assert sent[-1] in lost  # the flow-control window has room for less than half of them
    again = await connect(agent("1", implementation="pool", resume_session_id=session_id))
    told = {(await again.assigned()).task_id for _ in lost}
    assert told == set(lost)
    assert await again.settled("task_assignment") == []  # and not what had arrived


async def test_after_a_crash_what_was_not_begun_is_sent_again_to_who_resumes(tmp_path: Path, engine: str) -> None:
    config = Config.development(tmp_path / "data", gateway={"engine": engine})
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        worker = Desk(await wire.connect(agent("1", implementation="pool")))
        own, begun, waiting = await worker.created(), await worker.pool(), await worker.pool()
        await worker.do(Op.CLAIM, begun)
        session_id = worker.peer.ack.session_id
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        again = Desk(await wire.connect(agent("1", implementation="pool", resume_session_id=session_id)))
        assert [found.task_id for found in await again.settled("task_assignment")] == [waiting]
        assert set(await again.listed()) == {own, begun, waiting}


async def test_87_grace_by_class(boss: Desk) -> None:
    classes = [pb.TASK_CLASS_INTERACTIVE, pb.TASK_CLASS_BACKGROUND, pb.TASK_CLASS_BATCH]
    windows = [(await boss.get(await boss.created(task_class=kind))).grace_window_ms for kind in classes]
    assert windows == [30_000, 600_000, 300_000]


# ---------------------------------------------------------------------------------------------------- hibernation


async def test_88_hibernation_needs_a_checkpoint(boss: Desk, worker: Desk) -> None:
    task_id = await boss.pool()
    await worker.do(Op.CLAIM, task_id)
    for wait, text in (
        ({}, "hibernation requires wait_spec.hibernation with a checkpoint_key"),
        (
            {"hibernation": pb.HibernationDescriptor(resume_session_id="s")},
            "hibernation requires a non-empty wait_spec.hibernation.checkpoint_key",
        ),
        (
            {"hibernation": pb.HibernationDescriptor(checkpoint_key="K")},
            'hibernation requires a saved checkpoint with key "K" for identity ag::w::pool::1',
        ),
    ):
        response = await hibernate(worker, task_id, **wait)
        assert (response.success, response.error) == (False, text)
    not_begun = await boss.pool()
    response = await hibernate(boss, not_begun, hibernation=pb.HibernationDescriptor(checkpoint_key="K"))
    assert "invalid task state transition: assigned" in response.error
    unassigned = await boss.pool("nobody")
    response = await hibernate(boss, unassigned, hibernation=pb.HibernationDescriptor(checkpoint_key="K"))
    assert response.error == "hibernation requires the task to have an assignee identity for checkpoint scoping"


async def hibernate(desk: Desk, task_id: str, **wait: Any) -> pb.TaskOperationResponse:
    return await pause(desk, task_id, reason=HIBERNATE, **wait)


async def pause(desk: Desk, task_id: str, **wait: Any) -> pb.TaskOperationResponse:
    spec = pb.WaitSpec(**wait)
    desk.peer.say(task_op=pb.TaskOperation(op=Op.PAUSE, task_id=task_id, wait_spec=spec))
    response: pb.TaskOperationResponse = await desk.next("task_op")
    return response


async def save(desk: Desk, key: str) -> None:
    desk.peer.say(checkpoint_op=pb.CheckpointOperation(op=pb.CheckpointOperation.SAVE, key=key, data=b"state"))
    assert (await desk.next("checkpoint")).success


async def hibernated(boss: Desk, worker: Desk, **wait: Any) -> str:
    task_id = await boss.pool()
    await worker.assigned()
    await worker.do(Op.CLAIM, task_id)
    await save(worker, "K")
    descriptor = pb.HibernationDescriptor(
        checkpoint_key="K", resume_session_id="s", escalation_policy=wait.pop("policy", "")
    )
    response = await hibernate(worker, task_id, hibernation=descriptor, **wait)
    assert response.success, response.error
    assert (await worker.next("task_hibernated")).descriptor == descriptor
    assert response.task.status == pb.TASK_STATUS_HIBERNATED
    return task_id


async def test_89_90_hibernation_and_wake(
    boss: Desk, worker: Desk, connect: Connect, gateway: Gateway, clock: WallClock
) -> None:
    task_id = await hibernated(boss, worker, scheduled_wake_unix_ms=clock.now_ms + 3_600_000)
    await worker.peer.close()
    advance(gateway, clock, 1800)
    assert await boss.status(task_id) == "HIBERNATED"
    other = await connect(agent("2", implementation="pool"))
    advance(gateway, clock, 1801)
    assignment = await other.assigned()
    assert (assignment.checkpoint_key, assignment.resume_session_id) == ("K", "s")


@pytest.mark.parametrize("policy", ["alert", "retry"])
async def test_92_policies_are_for_those_who_hibernate(
    boss: Desk, gateway: Gateway, clock: WallClock, policy: str
) -> None:
    task_id = await boss.created()
    await boss.do(Op.CLAIM, task_id)
    descriptor = pb.HibernationDescriptor(escalation_policy=policy)
    assert (await pause(boss, task_id, timeout_ms=1000, hibernation=descriptor)).success
    advance(gateway, clock, 1)
    info = await boss.get(task_id)
    assert (info.status, info.error) == (pb.TASK_STATUS_FAILED, "wait timeout")


@pytest.mark.parametrize(("policy", "status"), [("alert", "HIBERNATED"), ("retry", "QUEUED"), ("", "FAILED")])
async def test_92_escalation(
    boss: Desk, worker: Desk, gateway: Gateway, clock: WallClock, policy: str, status: str
) -> None:
    task_id = await hibernated(boss, worker, timeout_ms=10_000, policy=policy)
    advance(gateway, clock, 11)
    assert await boss.status(task_id) == status
    advance(gateway, clock, 11)
    overdue = 'aether_tasks_neglected_total{reason="task_overdue"} 1.0' in gateway.metrics.exposition().decode()
    assert overdue == (policy == "alert")  # once


# --------------------------------------------------------------------------------------------------------- events


async def test_93_events_in_order(boss: Desk, worker: Desk) -> None:
    task_id = await boss.pool()
    subscription = await boss.subscribe(task_id)
    await worker.do(Op.CLAIM, task_id)
    await worker.do(Op.COMPLETE, task_id, "done")
    events = [await boss.next("task_event") for _ in range(2)]
    assert [(event.status_changed.from_status, event.status_changed.to_status) for event in events] == [
        (pb.TASK_STATUS_QUEUED, pb.TASK_STATUS_RUNNING),
        (pb.TASK_STATUS_RUNNING, pb.TASK_STATUS_COMPLETED),
    ]
    assert {event.subscription_id for event in events} == {subscription.subscription_id}
    assert subscription.task_id == task_id
    assert events[1].status_changed.reason == "done"


async def test_the_id_of_a_subscription_says_when_it_began(boss: Desk, clock: WallClock) -> None:
    task_id = await boss.created()
    clock.advance(60)
    began = uuid.UUID((await boss.subscribe(task_id)).subscription_id)
    assert (began.version, began.int >> 80) == (7, clock.now_ms)


async def test_94_unsubscribe(boss: Desk) -> None:
    task_id = await boss.created()
    subscription = await boss.subscribe(task_id)
    ended = await boss.unsubscribe(subscription.subscription_id)
    assert (ended.success, ended.subscription_id) == (True, subscription.subscription_id)
    assert (await boss.unsubscribe("unknown")).success
    nameless = await boss.unsubscribe("")
    assert (nameless.success, nameless.error) == (False, "subscription_id is required for UNSUBSCRIBE")
    await boss.do(Op.COMPLETE, task_id)
    assert await boss.settled("task_event") == []


async def test_94_nobody_ends_the_subscription_of_another(boss: Desk, worker: Desk) -> None:
    task_id = await boss.created()
    subscription = await boss.subscribe(task_id)
    assert (await worker.unsubscribe(subscription.subscription_id)).success
    await boss.do(Op.COMPLETE, task_id)
    assert len(await boss.settled("task_event")) == 1


async def test_95_foreign_tasks_cannot_be_followed(boss: Desk, connect: Connect) -> None:
    stranger = await connect(agent("x", workspace="other"))
    for task_id, error in {
        await boss.created(): "task not found",
        "unknown": "task not found",
        "": "task_id is required",
    }.items():
        response = await stranger.subscribe(task_id)
        assert (response.success, response.error, response.subscription_id) == (False, error, "")


async def test_96_progress(boss: Desk, worker: Desk) -> None:
    task_id = await boss.pool()
    await boss.subscribe(task_id)
    report = pb.ProgressReport(task_id=task_id, state="working", completion=0.5, summary="half", metadata={"k": "v"})
    worker.peer.say(progress=report)
    event = (await boss.next("task_event")).progress
    assert (event.state, event.progress, event.message, dict(event.metadata)) == ("working", 0.5, "half", {"k": "v"})


async def test_96_progress_of_a_task_is_told_by_those_who_have_a_part_in_it(
    boss: Desk, worker: Desk, connect: Connect
) -> None:
    """routing 88."""
    task_id = await boss.pool()
    await boss.subscribe(task_id)
    stranger = await connect(agent("stranger"))
    stranger.peer.say(progress=pb.ProgressReport(task_id=task_id, state="forged"))
    await stranger.settled("error")
    for desk in (boss, worker):
        desk.peer.say(progress=pb.ProgressReport(task_id=task_id, state=desk.peer.ack.session_id))
        assert (await boss.next("task_event")).progress.state == desk.peer.ack.session_id
    assert await boss.settled("task_event") == []


async def test_progress_is_left_out_for_who_does_not_read(
    boss: Desk, worker: Desk, gateway: Gateway, connect: Connect
) -> None:
    """routing 97: counted and told, once, and then it goes on."""
    watcher = await connect(agent("boss2"))
    task_id = await watcher.pool()
    await watcher.subscribe(task_id)
    watcher.peer.call.pause_reading()
    report = pb.ProgressReport(task_id=task_id, state="working", recipient="us::nobody", summary="x" * 60_000)
    for _ in range(50):
        for _ in range(10):
            worker.peer.say(progress=report)
        await worker.settled("error")
        if b'aether_deliveries_shed_total{lane="task_events"}' in gateway.metrics.exposition():
            break
    watcher.peer.call.resume_reading()
    error = await watcher.next("error")
    assert (error.code, task_id in error.message, error.retryable) == ("BACKPRESSURE", True, False)
    await watcher.settled("task_event")
    worker.peer.say(progress=pb.ProgressReport(task_id=task_id, state="again", recipient="us::nobody"))
    assert (await watcher.next("task_event")).progress.state == "again"
    assert await watcher.settled("error") == []


async def test_97_98_families(boss: Desk, worker: Desk) -> None:
    parent = await boss.pool()
    await worker.do(Op.CLAIM, parent)
    old = await worker.created(parent_task_id=parent)
    await boss.subscribe(parent, recursive=True)
    new = await worker.created(parent_task_id=parent)
    for child in (old, new):
        await worker.do(Op.COMPLETE, child)
    events = await boss.settled("task_event")
    told = [
        (event.child_lifecycle.child_task_id, event.child_lifecycle.lifecycle)
        for event in events
        if event.HasField("child_lifecycle")
    ]
    assert (new, "spawned") in told
    assert (old, "completed") in told
    assert (new, "completed") in told
    ends = [event.task_id for event in events if event.status_changed.to_status == pb.TASK_STATUS_COMPLETED]
    assert ends == [old, new]
    begun = next(event for event in events if event.task_id == new and event.HasField("status_changed"))
    assert begun.parent_task_id == parent
    states = {(event.child_lifecycle.lifecycle, event.child_lifecycle.child_status) for event in events}
    assert ("spawned", pb.TASK_STATUS_QUEUED) in states
    assert ("completed", pb.TASK_STATUS_COMPLETED) in states


async def test_97_parts_elsewhere_are_not_followed_with_the_whole(boss: Desk, clock: WallClock) -> None:
    parent = await boss.created()
    elsewhere = await boss.created(parent_task_id=parent, workspace="elsewhere")
    here = await boss.created(parent_task_id=elsewhere)
    clock.advance(1)
    await boss.subscribe(parent, recursive=True)
    await boss.subscribe(parent, recursive=True, start_timestamp_unix_ms=1)
    for task_id in (elsewhere, here):
        await boss.do(Op.CLAIM, task_id)
    events = await boss.settled("task_event")
    assert {event.task_id for event in events} == {parent, here}
    told = {event.child_lifecycle.child_task_id for event in events if event.task_id == parent}
    assert elsewhere in told  # that it is there is a matter of the whole


async def test_99_replay(boss: Desk, clock: WallClock) -> None:
    task_id = await boss.created()
    clock.advance(10)
    since = clock.now_ms
    await boss.do(Op.CLAIM, task_id)
    clock.advance(10)
    later = clock.now_ms
    await boss.do(Op.COMPLETE, task_id)
    for start, expected in (
        (since, [pb.TASK_STATUS_RUNNING, pb.TASK_STATUS_COMPLETED]),
        (later, [pb.TASK_STATUS_COMPLETED]),
        (later + 1, []),
    ):
        await boss.subscribe(task_id, start_timestamp_unix_ms=start)
        assert [(await boss.next("task_event")).status_changed.to_status for _ in expected] == expected
    assert await boss.settled("task_event") == []
    await boss.subscribe(task_id)
    assert await boss.settled("task_event") == []


async def test_81_100_only_the_creator_is_told(boss: Desk, worker: Desk, connect: Connect) -> None:
    member = await connect(agent("member"))
    task_id = await boss.pool()
    await worker.do(Op.CLAIM, task_id)
    await worker.do(Op.FAIL, task_id, "broke")
    notices = [await boss.next("progress_update") for _ in range(3)]
    assert [notice.state for notice in notices] == ["assigned", "running", "failed"]
    assert {(notice.task_id, notice.kind, notice.recipient) for notice in notices} == {
        (task_id, pb.PROGRESS_KIND_TASK, "ag::w::i::boss")
    }
    assert notices[-1].summary == "task failed: broke"
    assert await member.settled("progress_update") == []


async def test_100_a_creator_without_workspace_is_told(worker: Desk, connect: Connect) -> None:
    for init in (service("boss", implementation="bosses"), user("boss"), orchestrator("boss"), engine()):
        boss = await connect(init)
        task_id = await boss.pool(workspace="w")
        await worker.do(Op.COMPLETE, task_id)
        assert [(await boss.next("progress_update")).state for _ in range(2)] == ["assigned", "completed"]


async def test_what_was_asked_for_is_shown(boss: Desk, clock: WallClock) -> None:
    event = pb.TaskCompletionEvent(enabled=True, event_name="mine", on_statuses=[pb.TASK_STATUS_FAILED])
    task_id, other = await boss.created(completion_event=event, context_id="c"), await boss.created()
    await boss.subscribe(task_id)
    await boss.do(Op.CLAIM, task_id)
    wait = pb.WaitSpec(
        reason=pb.WAIT_REASON_DEPENDENCY,
        expected_principal="us::alice",
        input_match={"workspace": "w"},
        depends_on=[other],
        wake_on_any=True,
        timeout_ms=60_000,
        scheduled_wake_unix_ms=clock.now_ms + 90_000,
        hibernation=pb.HibernationDescriptor(checkpoint_key="K", wake_event_types=["mail"], escalation_policy="alert"),
    )
    boss.peer.say(task_op=pb.TaskOperation(op=Op.PAUSE, task_id=task_id, wait_spec=wait))
    assert (await boss.next("task_op")).success
    info = await boss.get(task_id)
    assert (info.wait_spec, list(info.depends_on), info.completion_event) == (wait, [other], event)
    assert info.context_id == "c"
    for told in [await boss.next("task_event") for _ in range(2)]:
        assert (told.task_id, told.workspace, told.emitted_at_unix_ms) == (task_id, "w", clock.now_ms)


async def test_102_completion_events(boss: Desk, connect: Connect) -> None:
    watcher = await connect(engine())
    for named in ([], [0], [pb.TASK_STATUS_FAILED], [pb.TASK_STATUS_RUNNING], [99], [pb.TASK_STATUS_COMPLETED]):
        event = pb.TaskCompletionEvent(enabled=True, on_statuses=named)
        await boss.do(Op.COMPLETE, await boss.created(completion_event=event, task_type="t", correlation_id="c"))
    named = await boss.created(completion_event=pb.TaskCompletionEvent(enabled=True, event_name="mine"))
    await boss.do(Op.CANCEL, named)
    messages = await watcher.settled("msg")
    assert [message.message_type for message in messages] == [pb.EVENT] * 4
    first = json.loads(messages[0].payload)
    assert first["event_names"] == ["task.completed"]
    assert (first["workspace"], first["source_agent"]) == ("w", "orchestrator")
    assert {name: first["data"][name] for name in ("status", "task_type", "correlation_id", "metadata")} == {
        "status": "completed",
        "task_type": "t",
        "correlation_id": "c",
        "metadata": {},
    }
    assert json.loads(messages[-1].payload)["event_names"] == ["mine"]


# --------------------------------------------------------------------------------------------------------- sweeps


@asynccontextmanager
async def served(path: Path, engine: str, **sections: Any) -> AsyncIterator[Desk]:
    """An agent at a gateway with other settings."""
    gateway_section = {"engine": engine, **sections.pop("gateway", {})}
    async with Gateway(Config.development(path, gateway=gateway_section, **sections)) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            yield Desk(await wire.connect(agent("boss")))


async def test_a_session_has_a_budget(tmp_path: Path, engine: str) -> None:
    async with served(tmp_path, engine, gateway={"task_rate_limit": 2}) as boss:
        for _ in range(4):
            await boss.created()
        refused = await boss.create()
        assert (refused.success, refused.error_code) == (False, "ERR_RATE_LIMITED")
        error = await boss.next("error")
        assert (error.code, error.retryable, error.request_id) == ("ERR_RATE_LIMITED", True, "")
        assert 0 < error.retry_after_ms <= 500
        page = await boss.page()
        assert (page.success, "ERR_RATE_LIMITED" in page.error) == (False, True)
        boss.peer.send("ag::w::i::boss", b"messages have their own")
        assert (await boss.next("msg")).payload


async def test_a_subscription_ends_also_when_the_budget_is_used_up(tmp_path: Path, engine: str) -> None:
    async with served(tmp_path, engine, gateway={"task_rate_limit": 1}) as boss:
        task_id = await boss.created()
        report = pb.ProgressReport(task_id=task_id, state="working")
        subscription = await boss.subscribe(task_id)
        boss.peer.say(progress=report)
        assert len(await boss.settled("task_event")) == 1
        while (await boss.page()).success:
            pass
        assert (await boss.unsubscribe(subscription.subscription_id)).success
        boss.peer.say(progress=report)
        assert await boss.settled("task_event") == []


async def test_a_workspace_has_room_for_so_many(tmp_path: Path, engine: str) -> None:
    async with served(tmp_path, engine, quotas={"enabled": True, "max_tasks_per_workspace": 2}) as boss:
        first = await boss.created()
        await boss.created()
        refused = await boss.create()
        assert refused.error_code == "ERR_QUOTA_001"
        assert (await boss.next("error")).retryable
        assert await boss.created(workspace="other")
        await boss.do(Op.COMPLETE, first)
        assert await boss.created()


async def test_sizes_have_limits(tmp_path: Path, engine: str) -> None:
    async with served(tmp_path, engine, quotas={"max_task_payload_size": 10}) as boss:
        assert await boss.created(payload=b"x" * 10)
        assert (await boss.create(payload=b"x" * 11)).error_code == "TASK_PAYLOAD_TOO_LARGE"
        large = await boss.create(metadata={"k": "v" * 65_536})
        assert (large.error_code, "metadata" in large.error_message) == ("ERR_INVALID_ARGUMENT", True)
        assert await boss.created(metadata={"k": "v" * 65_535}, task_type="t")
        for fields in ({"metadata": {"k": "ß" * 32_768}}, {"correlation_id": "c" * 65_536}):
            assert (await boss.create(**fields)).error_code == "ERR_INVALID_ARGUMENT"
        task_id = await boss.created()
        await boss.do(Op.CLAIM, task_id)
        assert "262144 bytes" in await boss.refused(Op.PAUSE, task_id, input_match={"k": "v" * 262_144})


async def test_operations_and_what_becomes_of_tasks_are_counted(
    boss: Desk, worker: Desk, connect: Connect, gateway: Gateway, clock: WallClock
) -> None:
    orchestrator_ = await connect(orchestrator("o"))
    task_id = await boss.pool(retry_policy=pb.RetryPolicy(max_attempts=2, backoff=FIXED, initial_delay_ms=500))
    await worker.do(Op.CLAIM, task_id)
    await worker.do(Op.FAIL, task_id)
    advance(gateway, clock, 0.5)
    await worker.do(Op.COMPLETE, task_id)
    await boss.refused(Op.COMPLETE, "unknown")
    await boss.do(Op.CLAIM, await boss.created())
    for key in "kk":
        await orchestrator_.create(
            workspace="other", assignment_mode=pb.POOL, target_implementation="nobody", idempotency_key=key
        )
    text = gateway.metrics.exposition().decode().splitlines()
    for line in (
        'aether_metering_task_operations_total{operation="create",workspace="w"} 2.0',
        'aether_metering_task_operations_total{operation="create",workspace="other"} 1.0',
        'aether_metering_task_operations_total{operation="CLAIM",workspace="w"} 2.0',
        'aether_metering_task_operations_total{operation="COMPLETE",workspace="w"} 1.0',
        "dispatcher_queue_depth 1.0",
        "dispatcher_tasks_claimed_total 2.0",
        "dispatcher_tasks_completed_total 1.0",
        "dispatcher_tasks_failed_total 1.0",
        "dispatcher_claim_latency_seconds_count 1.0",
        "aether_dispatcher_queue_depth 1.0",
    ):
        assert line in text, line


async def test_127_nobody_cares(boss: Desk, gateway: Gateway, clock: WallClock) -> None:
    interactive = await boss.created(task_class=pb.TASK_CLASS_INTERACTIVE)
    background = await boss.created(task_class=pb.TASK_CLASS_BACKGROUND)
    advance(gateway, clock, 3601)
    assert await boss.status(interactive) == "CANCELLED"
    assert await boss.status(background) == "QUEUED"


async def test_127_progress_is_a_sign_of_life(boss: Desk, gateway: Gateway, clock: WallClock) -> None:
    task_id = await boss.created(task_class=pb.TASK_CLASS_INTERACTIVE)
    clock.advance(3000)
    boss.peer.say(progress=pb.ProgressReport(task_id=task_id, state="working"))
    await boss.settled("task_event")
    advance(gateway, clock, 3000)
    assert await boss.status(task_id) == "QUEUED"
    advance(gateway, clock, 601)
    assert await boss.status(task_id) == "CANCELLED"


async def test_a_sign_of_life_is_a_change_of_the_task(boss: Desk, clock: WallClock) -> None:
    reported, silent = await boss.created(), await boss.created()
    assert await boss.listed() == [silent, reported]
    clock.advance(60)
    since = clock.now_ms
    boss.peer.say(progress=pb.ProgressReport(task_id=reported, state="working"))
    assert await boss.listed() == [reported, silent]
    assert await boss.listed(status_timestamp_after_unix_ms=since) == [reported]


async def test_subjects_of_no_such_type(boss: Desk) -> None:
    await boss.created()
    page = await boss.page(subject_type="no such type", subject_id="x")
    assert (page.success, len(page.tasks)) == (True, 0)


async def test_subscriptions_are_so_many(boss: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "WATCHES_MAX", 2)
    task_id = await boss.created()
    await boss.do(Op.CLAIM, task_id)
    first, second = [await boss.subscribe(task_id) for _ in range(2)]
    assert await boss.settled("task_event") == []  # what was before is for those who ask for it
    assert (first.success, second.success) == (True, True)
    assert "no more than 2 subscriptions" in (await boss.subscribe(task_id)).error
    await boss.unsubscribe(first.subscription_id)
    assert (await boss.subscribe(task_id)).success


async def test_what_cannot_be_asked(boss: Desk) -> None:
    boss.peer.say(task_query=pb.TaskQuery(op=9))  # type: ignore[arg-type]
    answer = await boss.next("task_query")
    assert (answer.success, answer.error) == (False, "unknown task query operation")


async def test_128_what_is_pending_again_waits_as_long_as_what_is_new(
    boss: Desk, gateway: Gateway, clock: WallClock
) -> None:
    policy = pb.RetryPolicy(max_attempts=2, backoff=pb.BACKOFF_STRATEGY_FIXED, initial_delay_ms=7_200_000)
    tasks = [await boss.pool(task_class=pb.TASK_CLASS_BATCH, retry_policy=policy) for _ in range(2)]
    await boss.do(Op.CANCEL, tasks[0])
    await boss.do(Op.FAIL, tasks[1])
    advance(gateway, clock, 7200)
    await boss.do(Op.RETRY, tasks[0])
    for seconds, status in ((0, "QUEUED"), (3599, "QUEUED"), (2, "CANCELLED")):
        advance(gateway, clock, seconds)
        assert [await boss.status(task) for task in tasks] == [status] * 2


async def test_128_nobody_comes(boss: Desk, gateway: Gateway, clock: WallClock) -> None:
    task_id = await boss.pool(task_class=pb.TASK_CLASS_BATCH)
    advance(gateway, clock, 3601)
    assert await boss.status(task_id) == "CANCELLED"


async def test_129_forgetting(boss: Desk, gateway: Gateway, clock: WallClock) -> None:
    ids = [await boss.created() for _ in range(5)]
    for op, task_id in zip((Op.COMPLETE, Op.FAIL, Op.CANCEL, Op.REJECT), ids, strict=False):
        await boss.do(op, task_id)
    clock.advance(8 * 86_400)
    assert await gateway.services.tasks.upkeep.purge() == 3
    assert set(await boss.listed()) == {ids[1], ids[4]}
    assert await boss.refused(Op.RETRY, ids[2]) == "task not found"
    clock.advance(7 * 86_400)
    await gateway.services.tasks.upkeep.purge()
    assert await boss.listed() == [ids[4]]


async def test_130_what_is_zero_never_happens(tmp_path: Path, engine: str, clock: WallClock) -> None:
    names = ("interactive_task_ttl", "pool_task_ttl", "startup_task_ttl", "task_purge_interval")
    config = Config.development(tmp_path / "data", gateway={"engine": engine}, cleanup=dict.fromkeys(names, 0))
    async with Gateway(config, wall_clock=clock) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            boss = Desk(await wire.connect(agent("boss")))
            admin = Desk(await wire.connect(orchestrator("admin")))
            absent = pb.AgentRegistrationInfo(implementation="absent", launch_params={"profile": "nobody"})
            admin.peer.say(agent_op=pb.AgentOperation(op=pb.AgentOperation.REGISTER, agent=absent))
            assert (await admin.next("agent")).success
            boss.peer.send("ag::w::absent::1")
            await boss.settled("error")
            [startup] = await boss.listed(task_type="agent_startup")
            interactive = await boss.created(task_class=pb.TASK_CLASS_INTERACTIVE)
            pool = await boss.pool(task_class=pb.TASK_CLASS_BATCH)
            ended = await boss.created()
            await boss.do(Op.COMPLETE, ended)
            advance(gateway, clock, 10 * 365 * 86_400)
            for task_id in (interactive, pool, startup):
                assert await boss.status(task_id) == "QUEUED"
            with trio.fail_after(5):
                await gateway.services.tasks.upkeep.run()  # which would go on for ever
            assert await boss.status(ended) == "COMPLETED"
