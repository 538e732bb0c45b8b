"""Who may do what with tasks, and what tasks may do for others: the checklist of the tasks chapter, by number."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.support.access import ALICE, Admin
from tests.support.authority import on_behalf
from tests.support.kv_operations import kv, kv_allowed, kv_denied
from tests.support.tasks import Desk, Op
from tests.support.wire import Wire, agent, engine, orchestrator, service, task, user
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.audit.store import Filter
from aether.proto import aether_pb2 as pb
from aether.rpc.status import StatusCode

G = pb.AuthorityGrantOperation
K = pb.KVOperation
BOSS = ("agent", "ag::w::i::boss")
WORKER = ("agent", "ag::w::pool::1")
WORKSPACE = ("workspace", "w")

Connect = Callable[..., Coroutine[Any, Any, Desk]]


@pytest.fixture
async def gateway(tmp_path: Path, engine: str, clock: WallClock) -> AsyncIterator[Gateway]:
    config = Config.development(tmp_path / "data", acl={"enabled": True}, gateway={"engine": engine})
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
    return await connect(agent("boss"))


# --------------------------------------------------------------------------------------------------------- access


async def test_10_creating_needs_write_access(admin: Admin, boss: Desk) -> None:
    await admin.grant(BOSS, WORKSPACE, 10)
    answer = await boss.create()
    assert (answer.success, answer.error_code) == (False, "ERR_PERMISSION_DENIED")
    assert answer.error_message == "not authorized to create tasks in workspace w"
    error = await boss.next("error")
    assert (error.code, error.request_id) == ("ERR_PERMISSION_DENIED", "")
    await admin.grant(BOSS, WORKSPACE, 20)
    assert (await boss.create()).success


@pytest.mark.parametrize("task_type", ["work", "agent_startup"])
async def test_an_assignment_takes_the_right_of_a_message(
    admin: Admin, boss: Desk, connect: Connect, task_type: str
) -> None:
    """It reaches whoever it is for, and starts who is not there: not from another workspace without a rule."""
    target = await connect(agent("target", workspace="elsewhere"))
    await admin.grant(("agent", "ag::elsewhere::i::target"), ("workspace", "elsewhere"), 20)
    await admin.grant(BOSS, WORKSPACE, 20)
    await admin.fallback("agent_workspace", 0)
    for name in ("target", "nobody"):
        wanted = {"assignment_mode": pb.TARGETED, "target_agent_id": f"ag::elsewhere::i::{name}"}
        answer = await boss.create(task_type=task_type, **wanted)
        assert answer.error_message == "not authorized to create tasks in workspace elsewhere"
    assert await target.settled("task_assignment") == []
    await admin.grant(BOSS, ("workspace", "elsewhere"), 20)
    at_target = {"assignment_mode": pb.TARGETED, "target_agent_id": "ag::elsewhere::i::target"}
    assert (await boss.create(task_type="work", **at_target)).success
    await target.assigned()


async def test_a_rule_for_a_user_decides_who_gives_it_tasks(admin: Admin, boss: Desk, connect: Connect) -> None:
    """As of messages (routing, weakness 28)."""
    await connect(user("alice"))
    wanted = {"assignment_mode": pb.TARGETED, "target_agent_id": "us::alice::w1"}
    assert (await boss.create(**wanted)).success
    await admin.grant(BOSS, ("user", "alice"), 0)
    assert (await boss.create(**wanted)).error_message == "not authorized to create tasks for user alice"


async def test_11_the_workflow_engine_needs_no_rule(
    admin: Admin, boss: Desk, connect: Connect, gateway: Gateway
) -> None:
    watcher = await connect(engine())
    assert (await watcher.create(workspace="anywhere", originating_schedule_id="nightly")).success
    await admin.grant(BOSS, WORKSPACE, 20)
    assert (await boss.create(originating_schedule_id="forged")).success
    _, rows = await gateway.services.tier.audit.query(Filter(operation="task_create"), 10, 0)
    schedules = {row.workspace: json.loads(row.metadata).get("originating_schedule_id") for row in rows}
    assert schedules == {"anywhere": "nightly", "w": None}  # only the engine is believed


async def test_25_to_28_task_tokens(admin: Admin, boss: Desk, connect: Connect, wire: Wire) -> None:
    for target in ("ag::w::x::1", "ag::_system::x::1", "nonsense", "sv::x::1"):
        answer = await boss.create(target_identity=target)
        assert (answer.success, answer.task_token) == (True, ""), target
    await admin.grant(BOSS, WORKSPACE, 30)
    assert (await boss.create(target_identity="sv::x::1")).task_token == ""
    await admin.grant(BOSS, ("service_impl", "x"), 30)
    assert len((await boss.create(target_identity="sv::x::1")).task_token) == 44
    answer = await boss.create(target_identity="ag::w::x::1", assignment_mode=pb.POOL, target_implementation="nobody")
    credentials = {"token": answer.task_token}
    for _ in range(2):
        worker = await connect(agent("1", implementation="x", credentials=credentials))
        assert await boss.status(answer.task_id) == "RUNNING"
        child = await worker.created()
        assert (await worker.get(child)).parent_task_id == answer.task_id  # 24
        await worker.peer.abort()
    await wire.refused(agent("2", implementation="x", credentials=credentials), StatusCode.PERMISSION_DENIED)
    await boss.do(Op.CANCEL, answer.task_id)
    await wire.refused(agent("1", implementation="x", credentials=credentials), StatusCode.UNAUTHENTICATED)


async def test_33_34_managers_of_the_workspace_and_nobody_else(admin: Admin, boss: Desk, connect: Connect) -> None:
    task_id = await boss.created()
    other, elsewhere, anywhere = [
        await connect(init) for init in (agent("other"), agent("x", workspace="w2"), service("1", implementation="s"))
    ]
    for desk in (other, elsewhere, anywhere):
        assert await desk.refused(Op.CLAIM, task_id) == "task not found"
        assert (await desk.subscribe(task_id)).error == "task not found"
    for who in (("agent", "ag::w::i::other"), ("agent", "ag::w2::i::x"), ("service", "sv::s::1")):
        await admin.grant(who, WORKSPACE, 30)
    assert await elsewhere.refused(Op.CANCEL, task_id) == "task not found"  # a manager, but at home elsewhere
    assert (await other.subscribe(task_id)).success
    assert (await anywhere.do(Op.CANCEL, task_id)).status == pb.TASK_STATUS_CANCELLED


async def test_69_lists_show_what_may_be_read(admin: Admin, boss: Desk, connect: Connect) -> None:
    hidden = await boss.created(task_type="hidden")
    await admin.fallback("agent_workspace", 0)
    for who in (("agent", "ag::w2::i::x"), BOSS):
        await admin.grant(who, ("workspace", who[1].split("::")[1]), 20)
    stranger = await connect(agent("x", workspace="w2"))
    page = await stranger.page(workspace="w")
    assert (page.success, len(page.tasks)) == (True, 0)
    await admin.grant(("agent", "ag::w2::i::x"), WORKSPACE, 20)
    mine = await stranger.created(workspace="w")
    page = await stranger.page(workspace="w")
    assert {task.task_id for task in page.tasks} == {hidden, mine}
    assert page.total_count == 2
    at_home = await stranger.created()
    assert await stranger.listed() == [at_home]
    await admin.grant(("agent", "ag::w2::i::x"), WORKSPACE, 0)
    assert await stranger.listed(workspace="w") == [mine]
    alice = await connect(user("alice"))
    await admin.grant(ALICE, WORKSPACE, 0)
    assert await alice.listed() == [at_home]
    await admin.grant(ALICE, WORKSPACE, 10)
    assert set(await alice.listed()) == {hidden, mine, at_home}


# ------------------------------------------------------------------------------------------------------- authority


async def lent(
    connect: Connect, clock: WallClock, delegate: str, *, hops: int = 3, window: str = "w1", **scopes: Any
) -> pb.ACLAuthorityGrantInfo:
    """A grant of Alice's for an agent, which it can pass on ``hops - 1`` times."""
    alice = await connect(user("alice", window))
    end = clock.now_ms // 1000 + 3600
    request = pb.AuthorityGrantExchangeRequest(
        max_access_level=30, expires_at=end, renewable_until=end + 3600, may_delegate=True, remaining_hops=hops
    )
    alice.peer.say(authority_grant_op=G(op=G.EXCHANGE, exchange_request=request))
    made = await alice.next("authority_grant")
    assert made.success, made.error
    derive = pb.AuthorityGrantDeriveRequest(
        parent_grant_id=made.grant.grant_id,
        delegate=pb.PrincipalRef(principal_type="agent", principal_id=delegate),
        audience_type="agent",
        audience_id=delegate,
        max_access_level=30,
        may_delegate=hops > 1,
        remaining_hops=hops - 1,
        **scopes,
    )
    alice.peer.say(authority_grant_op=G(op=G.DERIVE, derive_request=derive))
    made = await alice.next("authority_grant")
    assert made.success, made.error
    grant: pb.ACLAuthorityGrantInfo = made.grant
    return grant


async def test_29_a_task_on_behalf_of_somebody(admin: Admin, boss: Desk, connect: Connect, clock: WallClock) -> None:
    await admin.fallback("agent_workspace", 10)
    await admin.grant(ALICE, WORKSPACE, 30)
    worker, receiver = await connect(agent("1", implementation="pool")), await connect(agent("receiver"))
    grant = await lent(connect, clock, BOSS[1])
    assert (await boss.create()).error_code == "ERR_PERMISSION_DENIED"  # in its own right
    answer = await boss.create(assignment_mode=pb.POOL, target_implementation="pool", authorization=on_behalf(grant))
    assert answer.success, answer.error_message
    assignment = await worker.assigned()
    assert assignment.metadata["authority_grant_id"] == answer.authority_grant_id == assignment.authorization.grant_id
    assert assignment.metadata["creator_authority_grant_id"] == grant.grant_id
    assert assignment.metadata["subject_type"] == "User"
    assert assignment.authorization.resolved.root_subject.principal_id == "alice"
    info = await worker.get(answer.task_id)
    assert (info.authority_mode, info.subject_type, info.subject_id) == ("on_behalf_of", "User", "alice")
    assert await boss.listed(subject_type="user", subject_id="alice") == [answer.task_id]

    worker.peer.send("ag::w::i::receiver", b"for alice", authorization=assignment.authorization)
    assert (await receiver.next("msg")).on_behalf_subject.principal_id == "alice"
    await worker.do(Op.COMPLETE, answer.task_id)
    assert (await worker.next("authority_grant_revocation")).grant_id == answer.authority_grant_id
    worker.peer.send("ag::w::i::receiver", b"too late", authorization=assignment.authorization)
    assert (await worker.next("error")).code == "ERR_PERMISSION_DENIED"


async def test_29_a_task_that_is_not_created_leaves_no_authority(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock, gateway: Gateway
) -> None:
    await admin.fallback("agent_workspace", 10)
    await admin.grant(ALICE, WORKSPACE, 30)
    info = pb.AgentRegistrationInfo(implementation="lazy", launch_params={"profile": "process"})
    desk = await connect(orchestrator("o"))
    desk.peer.say(agent_op=pb.AgentOperation(op=pb.AgentOperation.REGISTER, agent=info))
    assert (await desk.next("agent")).success
    grant = await lent(connect, clock, BOSS[1])
    answer = await boss.create(
        assignment_mode=pb.TARGETED,
        target_agent_id="ag::w::lazy::1",
        launch_param_overrides={"profile": ""},
        authorization=on_behalf(grant),
    )
    assert answer.error_message == "launch params missing 'profile' field"
    assert gateway.services.authority is not None
    children = gateway.services.authority.grants.children(grant.grant_id)
    assert [child.revoked_ms > 0 for child in children] == [True]


async def sudo(desk: Desk, task_id: str) -> str:
    """The id of a request of an agent that Alice is asked to decide."""
    create = pb.CreateAuthorityRequestPayload(
        target_subject=pb.PrincipalRef(principal_type="user", principal_id="alice"),
        routing_target=pb.AuthorityRequestRoutingTarget(
            principal=pb.PrincipalRef(principal_type="user", principal_id="alice")
        ),
        requested_access_level=pb.ACCESS_LEVEL_READWRITE,
        requested_duration_seconds=600,
        desired_workspace_scope=["w"],
        task_id=task_id,
        audience_type="agent",
        audience_id="ag::w::i::boss",
    )
    operation = pb.AuthorityRequestOperation(op=pb.AuthorityRequestOperation.CREATE, create=create)
    desk.peer.say(authority_request_op=operation)
    made = await desk.next("authority_request_response")
    assert made.success, made.error
    request_id: str = made.request.request_id
    return request_id


async def test_101_a_user_who_takes_part(admin: Admin, connect: Connect, clock: WallClock) -> None:
    await admin.fallback("service_workspace", 0)
    await admin.grant(ALICE, WORKSPACE, 30)
    alice, window = await connect(user("alice")), await connect(user("alice", "w2"))
    helper = await connect(service("1", implementation="pool"))
    grant = await lent(connect, clock, BOSS[1], hops=5, window="w3")
    boss = await connect(agent("boss"))
    task_id = await boss.pool(
        authorization=on_behalf(grant), metadata={"subject_participant": "true", "thread_id": "t"}, task_type="ask"
    )
    lane = f"tk::w::{task_id}::msg"
    boss.peer.send(lane, b"before")
    await boss.settled("error")
    clock.advance(60)
    await helper.do(Op.CLAIM, task_id)
    for desk in (alice, window):
        update = await desk.next("progress_update")
        while update.state != "running":
            update = await desk.next("progress_update")
        assert (update.kind, update.task_id, update.workspace) == (pb.PROGRESS_KIND_TASK, task_id, "w")
        assert update.metadata == {"status": "running", "thread_id": "t", "task_type": "ask"}
    for payload in (b"news", b"more"):
        helper.peer.send(lane, payload)
    for desk in (alice, window):
        assert [(await desk.next("msg")).payload for _ in range(3)] == [b"before", b"news", b"more"]
    later = await connect(user("alice", "late"))
    assert [(await later.next("msg")).payload for _ in range(3)] == [b"before", b"news", b"more"]
    stranger = await connect(service("2", implementation="other"))
    stranger.peer.send(lane, b"spam")
    assert (await stranger.next("error")).code == "ERR_PERMISSION_DENIED"
    await helper.do(Op.COMPLETE, task_id)
    boss.peer.send(lane, b"too late")
    await boss.settled("error")
    assert [await desk.settled("msg") for desk in (alice, window, later)] == [[], [], []]


@pytest.mark.parametrize("end", [Op.FAIL, Op.CANCEL, Op.REJECT])
async def test_101_whatever_ends_a_task_ends_its_lane(
    admin: Admin, connect: Connect, clock: WallClock, end: int
) -> None:
    """routing weakness 26."""
    await admin.grant(ALICE, WORKSPACE, 30)
    alice = await connect(user("alice"))
    grant = await lent(connect, clock, BOSS[1], window="w3")
    boss = await connect(agent("boss"))
    task_id = await boss.created(authorization=on_behalf(grant), metadata={"subject_participant": "1"})
    lane = f"tk::w::{task_id}::msg"
    await boss.do(Op.CLAIM, task_id)
    boss.peer.send(lane, b"news")
    assert (await alice.next("msg")).payload == b"news"
    if end == Op.REJECT:  # only what is not being worked on
        await boss.do(Op.PAUSE, task_id, timeout_ms=60_000)
    await boss.do(end, task_id)
    boss.peer.send(lane, b"too late")
    await boss.settled("error")
    assert await alice.settled("msg") == []


async def test_101_nobody_is_led_to_a_lane_by_a_forged_report(admin: Admin, boss: Desk, connect: Connect) -> None:
    """routing 91."""
    alice, other = await connect(user("alice")), await connect(agent("other"))
    alice.peer.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="w"))
    await alice.settled("error")
    task_id = await boss.created(metadata={"subject_participant": "true"})
    await boss.do(Op.CLAIM, task_id)
    for recipient in ("", "us::alice"):
        report = pb.ProgressReport(
            task_id=task_id, kind=pb.PROGRESS_KIND_TASK, metadata={"status": "running"}, recipient=recipient
        )
        other.peer.say(progress=report)
        assert (await alice.next("progress_update")).task_id == task_id
    boss.peer.send(f"tk::w::{task_id}::msg", b"private")
    await boss.settled("error")
    assert [await desk.settled("msg") for desk in (alice, other)] == [[], []]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize(
    ("verdict", "status", "error"),
    [
        (pb.ResolveAuthorityRequestPayload.APPROVE, "RUNNING", ""),
        (pb.ResolveAuthorityRequestPayload.DENY, "FAILED", "authority request denied: because"),
    ],
)
async def test_50_a_task_waits_for_a_decision(
    admin: Admin, boss: Desk, connect: Connect, verdict: int, status: str, error: str, early: bool
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    alice = await connect(user("alice"))
    task_id = await boss.created()
    await boss.do(Op.CLAIM, task_id)
    await boss.subscribe(task_id)
    request_id = await sudo(boss, task_id)
    relayed = await boss.next("task_event")
    assert relayed.authority_request.event.request.request_id == request_id

    async def pause() -> None:
        wait = pb.WaitSpec(reason=pb.WAIT_REASON_AUTHORITY, authority_request_id=request_id)
        boss.peer.say(task_op=pb.TaskOperation(op=Op.PAUSE, task_id=task_id, wait_spec=wait))
        assert (await boss.next("task_op")).success

    if not early:
        await pause()
        assert await boss.status(task_id) == "WAITING_AUTHORITY"
    decide = pb.ResolveAuthorityRequestPayload(decision=verdict, reason="because")  # type: ignore[arg-type]
    resolve = pb.AuthorityRequestOperation(
        op=pb.AuthorityRequestOperation.RESOLVE, request_id=request_id, resolve=decide
    )
    alice.peer.say(authority_request_op=resolve)
    response = await alice.next("authority_request_response")
    assert response.success, response.error
    if early:
        await pause()
    info = await boss.get(task_id)
    assert (pb.TaskStatus.Name(info.status), info.error) == (f"TASK_STATUS_{status}", error)


async def test_requests_of_strangers_are_nothing_to_a_task(admin: Admin, boss: Desk, connect: Connect) -> None:
    """Any id can be named: who follows a task is told nothing by strangers, and waiting for a request of others tells
    nothing of it."""
    alice, stranger = await connect(user("alice")), await connect(agent("stranger", workspace="elsewhere"))
    task_id, theirs = await boss.created(), await stranger.created()
    await boss.subscribe(task_id)
    await sudo(stranger, task_id)
    request_id = await sudo(boss, task_id)
    await stranger.do(Op.CLAIM, theirs)
    wait = pb.WaitSpec(reason=pb.WAIT_REASON_AUTHORITY, authority_request_id=request_id)
    stranger.peer.say(task_op=pb.TaskOperation(op=Op.PAUSE, task_id=theirs, wait_spec=wait))
    assert (await stranger.next("task_op")).success
    decide = pb.ResolveAuthorityRequestPayload(decision=pb.ResolveAuthorityRequestPayload.DENY, reason="hidden")
    resolve = pb.AuthorityRequestOperation(
        op=pb.AuthorityRequestOperation.RESOLVE, request_id=request_id, resolve=decide
    )
    alice.peer.say(authority_request_op=resolve)
    assert (await alice.next("authority_request_response")).success
    assert await stranger.status(theirs) == "WAITING_AUTHORITY"
    told = [event.authority_request.event for event in await boss.settled("task_event")]
    assert {event.request.request_id for event in told} == {request_id}


async def test_59_authority_and_tokens_outlive_what_will_be_tried_again(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock, gateway: Gateway
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    worker = await connect(agent("1", implementation="pool"))
    grant = await lent(connect, clock, BOSS[1])
    policy = pb.RetryPolicy(max_attempts=2, backoff=pb.BACKOFF_STRATEGY_FIXED, initial_delay_ms=1000)
    task_id = await boss.pool(retry_policy=policy, authorization=on_behalf(grant))
    first = await worker.assigned()
    await worker.do(Op.FAIL, task_id)
    assert await worker.settled("authority_grant_revocation") == []
    clock.advance(2)
    gateway.services.tasks.timers.fire_due()
    gateway.services.flush_all()
    second = await worker.assigned()
    assert second.authorization.grant_id == first.authorization.grant_id
    await worker.do(Op.FAIL, task_id)
    assert (await worker.next("authority_grant_revocation")).grant_id == first.authorization.grant_id


async def test_what_ended_with_a_task_is_made_again_for_another_attempt(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock, gateway: Gateway
) -> None:
    """From what its creator may still pass on (tasks 6)."""
    await admin.grant(ALICE, WORKSPACE, 30)
    receiver, first = await connect(agent("receiver")), await connect(agent("1", implementation="pool"))
    grant = await lent(connect, clock, BOSS[1])
    task_id = await boss.pool(authorization=on_behalf(grant))
    before = (await first.assigned()).authorization.grant_id
    await boss.do(Op.CANCEL, task_id)
    await first.peer.close()
    second = await connect(agent("2", implementation="pool"))
    await boss.do(Op.RETRY, task_id)
    again = await second.assigned()
    assert again.authorization.grant_id not in ("", before)
    assert again.metadata["authority_grant_id"] == again.authorization.grant_id
    assert again.metadata["creator_authority_grant_id"] == grant.grant_id
    second.peer.send("ag::w::i::receiver", b"for alice", authorization=again.authorization)
    assert (await receiver.next("msg")).on_behalf_subject.principal_id == "alice"
    await second.do(Op.COMPLETE, task_id)
    assert (await second.next("authority_grant_revocation")).grant_id == again.authorization.grant_id
    assert gateway.services.authority is not None
    children = gateway.services.authority.grants.children(grant.grant_id)
    assert [child.revoked_ms > 0 for child in children] == [True, True]


async def test_another_attempt_has_no_authority_that_is_withdrawn_by_now(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    worker = await connect(agent("1", implementation="pool"))
    grant = await lent(connect, clock, BOSS[1])
    task_id = await boss.pool(authorization=on_behalf(grant))
    await worker.assigned()
    await worker.do(Op.FAIL, task_id)
    await worker.do(Op.RETRY, task_id)  # which its worker cannot bring back by itself
    assert (await boss.get(task_id)).error == "the authority of the task has ended"
    await boss.do(Op.RETRY, task_id)
    await worker.assigned()
    await worker.do(Op.FAIL, task_id)
    alice = await connect(user("alice", "w2"))
    alice.peer.say(authority_grant_op=G(op=G.REVOKE, grant_id=grant.grant_id))
    assert (await alice.next("authority_grant")).success
    await boss.do(Op.RETRY, task_id)
    info = await boss.get(task_id)
    assert (info.status, info.error) == (pb.TASK_STATUS_FAILED, "the authority of the task has ended")
    assert await worker.settled("task_assignment") == []


async def test_a_task_that_is_taken_from_a_worker_takes_its_authority_along(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock, gateway: Gateway
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    first = await connect(agent("1", implementation="pool"))
    grant = await lent(connect, clock, BOSS[1])
    task_id = await boss.pool(authorization=on_behalf(grant))
    lost = (await first.assigned()).authorization.grant_id
    await first.peer.abort()
    second = await connect(agent("2", implementation="pool"))
    with trio.fail_after(20):
        while not (await boss.get(task_id)).disconnected_at:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.01)
    clock.advance(31)
    gateway.services.tasks.timers.fire_due()
    held = (await second.assigned()).authorization.grant_id
    assert gateway.services.authority is not None
    grants = gateway.services.authority.grants
    taken, given = grants.get(lost), grants.get(held)
    assert taken is not None
    assert given is not None
    assert taken.revoked_ms
    assert (given.delegate, given.parent_id, given.revoked_ms) == (("agent", "ag::w::pool::2"), taken.parent_id, 0)
    await second.do(Op.COMPLETE, task_id)
    assert (await second.next("authority_grant_revocation")).grant_id == held


@pytest.mark.parametrize(
    ("fields", "mode", "delegate"),
    [
        ({}, "self_assign", BOSS),
        ({"assignment_mode": pb.TARGETED, "target_agent_id": WORKER[1]}, "targeted", WORKER),
        ({"assignment_mode": pb.POOL, "target_implementation": "nobody"}, "pool", ("task", "ta::w::t::{}")),
        ({"assignment_mode": pb.POOL, "target_implementation": "none", "task_type": ""}, "pool", ("task", "")),
    ],
)
async def test_the_grant_of_a_task(
    admin: Admin,
    boss: Desk,
    connect: Connect,
    clock: WallClock,
    gateway: Gateway,
    fields: dict[str, Any],
    mode: str,
    delegate: tuple[str, str],
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    await connect(agent("1", implementation="pool"))
    lender = await lent(connect, clock, BOSS[1], workspace_scope=["w"])
    task_id = await boss.created(**{"task_type": "t", **fields}, authorization=on_behalf(lender))
    info = await boss.get(task_id)
    assert gateway.services.authority is not None
    grant = gateway.services.authority.grants.get(info.authority_grant_id)
    assert grant is not None
    worker = (delegate[0], delegate[1].format(task_id) or f"ta::w::_task_authority::{task_id}")
    audience = ("task", task_id) if mode == "pool" else worker
    assert (grant.delegate, (grant.audience_type, grant.audience_id)) == (worker, audience)
    assert (grant.parent_id, grant.remaining_hops, grant.workspace_scope) == (lender.grant_id, 1, ("w",))
    assert (grant.reason, grant.issued_by_id) == (f"task:{mode}:{task_id}", BOSS[1])
    lineage = {
        "authority_mode": "on_behalf_of",
        "subject_type": "User",
        "subject_id": "alice",
        "root_subject_type": "User",
        "root_subject_id": "alice",
        "root_authority_grant_id": grant.root_id,
    }
    passed_on = {**lineage, "authority_grant_id": lender.grant_id, "parent_authority_grant_id": grant.root_id}
    assert info.metadata == {
        **lineage,
        **{f"creator_{name}": value for name, value in passed_on.items()},
        "authority_grant_id": grant.id,
        "parent_authority_grant_id": lender.grant_id,
        "authority_audience_type": audience[0],
        "authority_audience_id": audience[1],
        "authority_delegate_type": worker[0],
        "authority_delegate_id": worker[1],
        "authority_reason": grant.reason,
    }
    await boss.do(Op.CANCEL, task_id)
    _, rows = await gateway.services.tier.audit.query(Filter(resource_id=grant.id), 10, 0)
    assert [row.operation for row in rows] == ["authority_grant_revoke", "authority_grant_derive"]


async def ends_in(desk: Desk, clock: WallClock, grant_id: str) -> int:
    """For how many seconds a grant holds."""
    desk.peer.say(authority_grant_op=G(op=G.GET, grant_id=grant_id))
    expires_at: int = (await desk.next("authority_grant")).grant.expires_at
    return expires_at - clock.now_ms // 1000


async def test_progress_renews_the_authority_of_a_task(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    worker = await connect(agent("1", implementation="pool"))
    hour_s = 3600
    grant = await lent(connect, clock, BOSS[1], renewable_until=clock.now_ms // 1000 + 2 * hour_s)
    task_id = await boss.pool(authorization=on_behalf(grant))
    held = (await worker.assigned()).authorization.grant_id

    async def after(seconds: int) -> int:
        clock.advance(seconds)
        boss.peer.say(progress=pb.ProgressReport(task_id=task_id, state="is it ready?"))
        await boss.settled("error")
        before = await ends_in(worker, clock, held)
        worker.peer.say(progress=pb.ProgressReport(task_id=task_id, state="working"))
        assert before <= 310  # others renew nothing
        return await ends_in(worker, clock, held)

    assert await after(3290) == 310
    assert await after(20) == hour_s
    assert await after(3400) == 490
    assert await after(491) == -1  # too late


async def test_to_connect_renews_the_authority_of_a_task(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    await admin.grant(BOSS, WORKSPACE, 30)
    grant = await lent(connect, clock, BOSS[1], renewable_until=clock.now_ms // 1000 + 7200)
    made = await boss.create(
        assignment_mode=pb.POOL,
        target_implementation="pool",
        target_identity="tu::w::pool::1",
        authorization=on_behalf(grant),
    )
    init = task("1", implementation="pool", credentials={"token": made.task_token})
    worker = await connect(init)
    held = (await worker.get(made.task_id)).authority_grant_id
    await worker.peer.abort()
    clock.advance(3400)
    again = await connect(init)
    assert await ends_in(again, clock, held) == 3600


@pytest.mark.parametrize("target", ["us::bob::w", "orc::o::1"])
async def test_who_cannot_have_the_authority_of_a_task(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock, target: str
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    await connect(user("bob", "w"))
    refused = await boss.create(
        assignment_mode=pb.TARGETED,
        target_agent_id=target,
        target_offline_policy=pb.TARGET_OFFLINE_POLICY_QUEUE,
        authorization=on_behalf(await lent(connect, clock, BOSS[1])),
    )
    assert (refused.error_code, refused.error_message) == (
        "ERR_PERMISSION_DENIED",
        "unable to delegate task authority",
    )
    assert await boss.listed() == []


async def test_hops_are_counted(admin: Admin, boss: Desk, connect: Connect, clock: WallClock) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    grant = await lent(connect, clock, BOSS[1], hops=2)
    pool = {"assignment_mode": pb.POOL, "target_implementation": "pool"}
    refused = await boss.create(**pool, authorization=on_behalf(grant))  # one hop left, and a pool needs two
    assert (refused.error_code, refused.error_message) == (
        "ERR_PERMISSION_DENIED",
        "unable to delegate task authority",
    )
    assert (await boss.create(authorization=on_behalf(grant))).success
    wanted = await boss.create(authorization=on_behalf(grant), required_downstream_authority_hops=1)
    assert wanted.error_message == "unable to delegate task authority"


async def test_a_task_passes_its_authority_to_its_parts(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    worker = await connect(agent("1", implementation="pool"))
    grant = await lent(connect, clock, BOSS[1], hops=5)
    task_id = await boss.pool(authorization=on_behalf(grant))
    await worker.assigned()
    part = await worker.created(parent_task_id=task_id)
    info = await worker.get(part)
    assert (info.subject_id, info.parent_task_id) == ("alice", task_id)
    assert info.root_authority_grant_id == (await boss.get(task_id)).root_authority_grant_id


async def orchestrating(wire: Wire) -> Desk:
    """An orchestrator for agents of the implementation ``lazy``."""
    profiles = pb.OrchestratorIdentity(implementation="o", specifier="1", supported_profiles=["p"])
    keeper = Desk(await wire.connect(pb.InitConnection(orchestrator=profiles)))
    agent_info = pb.AgentRegistrationInfo(implementation="lazy", orchestrator_profile="p")
    keeper.peer.say(agent_op=pb.AgentOperation(op=pb.AgentOperation.REGISTER, agent=agent_info))
    assert (await keeper.next("agent")).success
    return keeper


async def test_what_cannot_be_passed_on_is_not(admin: Admin, boss: Desk, connect: Connect, clock: WallClock) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    worker = await connect(agent("1", implementation="pool"))
    subjects = []
    # The last hop is the worker's own; then it has one to spare; then that has run out.
    for window, hops, seconds in (("1", 3, 0), ("2", 5, 0), ("3", 5, 3601)):
        grant = await lent(connect, clock, BOSS[1], hops=hops, window=window)
        whole = await boss.pool(authorization=on_behalf(grant))
        await worker.assigned()
        clock.advance(seconds)
        part = await worker.created(parent_task_id=whole)
        subjects.append((await worker.get(part)).subject_id)
    assert subjects == ["", "alice", ""]


async def started_by_alice(connect: Connect, wire: Wire) -> tuple[Desk, Desk, pb.TaskAssignment]:
    """An agent that a message of Alice's started, its orchestrator, and the start."""
    keeper = await orchestrating(wire)
    alice = await connect(user("alice"))
    alice.peer.send("ag::w::lazy::1", b"help")
    start = await keeper.assigned()
    credentials = {"token": start.launch_params["auth_token"]}
    return await connect(agent("1", implementation="lazy", credentials=credentials)), keeper, start


async def test_an_agent_started_by_a_user_may_act_for_it(admin: Admin, connect: Connect, wire: Wire) -> None:
    await admin.fallback("agent_workspace", 10)
    await admin.grant(ALICE, WORKSPACE, 20)
    receiver = await connect(agent("receiver"))
    lazy, keeper, start = await started_by_alice(connect, wire)
    context = lazy.peer.snapshot.task_context
    authorization = pb.AuthorizationContext(
        authority_mode="on_behalf_of",
        subject=pb.PrincipalRef(principal_type="user", principal_id=context["user"]),
        grant_id=context["authority_grant_id"],
    )
    lazy.peer.send("ag::w::i::receiver", b"for alice", authorization=authorization)
    assert (await receiver.next("msg")).on_behalf_subject.principal_id == "alice"
    await lazy.peer.close()
    ended = await keeper.get(start.task_id)
    assert (ended.status, ended.subject_type) == (pb.TASK_STATUS_COMPLETED, "user")


async def test_an_agent_started_by_a_user_may_act_where_the_message_was_for(
    admin: Admin, connect: Connect, wire: Wire
) -> None:
    for workspace in ("w", "w2"):
        await admin.grant(ALICE, ("workspace", workspace), 20)
    await admin.grant(ALICE, ("workspace", "forbidden"), 10)
    keeper = await orchestrating(wire)
    alice = await connect(user("alice"))
    scopes = {}
    for number, claimed in enumerate(("", "w2", "forbidden")):
        alice.peer.send(f"ag::w::lazy::{number}", b"help", app_workspace=claimed)
        start = await keeper.assigned()
        credentials = {"token": start.launch_params["auth_token"]}
        lazy = await connect(agent(str(number), implementation="lazy", credentials=credentials))
        lazy.peer.say(authority_grant_op=G(op=G.GET, grant_id=lazy.peer.snapshot.task_context["authority_grant_id"]))
        scopes[claimed] = list((await lazy.next("authority_grant")).grant.workspace_scope)
    assert scopes == {"": ["w"], "w2": ["w", "w2"], "forbidden": ["w"]}


async def test_kv_42_43_a_task_opens_the_values_of_its_user(admin: Admin, connect: Connect, wire: Wire) -> None:
    """kv 42: without being asked for, where the entries are that user's; kv 43: and nowhere else."""
    lazy, _, _ = await started_by_alice(connect, wire)
    await lazy.next("msg")
    peer, me = lazy.peer, ("agent", "ag::w::lazy::1")
    hers = {"scope": K.USER_SHARED, "user_id": "alice"}
    await admin.grant(me, ("kv_scope", "user-shared"), 20)
    await kv_denied(peer, kv(K.GET, **hers))
    await kv_allowed(peer, kv(K.PUT, **hers, authorization=pb.AuthorizationContext(authority_mode="direct")))
    await admin.grant(ALICE, ("kv_scope", "user-shared"), 10)
    await kv_allowed(peer, kv(K.GET, **hers))
    await kv_denied(peer, kv(K.PUT, **hers))
    await kv_allowed(peer, kv(K.PUT, K.USER_SHARED, user_id="bob"))  # its own business
    await kv_denied(peer, kv(K.GET, K.USER_WORKSPACE_SHARED, user_id="alice"))
    await admin.grant(ALICE, ("kv_scope", "user-workspace-shared"), 20)
    await kv_allowed(peer, kv(K.PUT, K.USER_WORKSPACE_SHARED, user_id="alice"))
    for scope in (K.USER, K.USER_WORKSPACE):  # private to the agent, whomever it works for
        await kv_allowed(peer, kv(K.PUT, scope, user_id="alice"))
    await admin.grant(ALICE, ("kv_scope", "global"), 20)
    await kv_denied(peer, kv(K.GET, K.GLOBAL))
    await admin.grant(me, ("kv_scope", "global"), 10)
    await kv_allowed(peer, kv(K.GET, K.GLOBAL))
    admin.peer.say(audit_query=pb.AuditQuery(request_id="q", event_type="kv", operation="kv_get", workspace="w"))
    rows = (await admin.peer.expect("audit_response")).entries
    subjects = [(row.success, row.subject_id) for row in rows]
    assert subjects == [(True, me[1]), (False, me[1]), (False, "alice"), (True, "alice"), (False, "alice")]


async def test_kv_42_the_authority_of_a_task_ends_with_it(admin: Admin, connect: Connect, wire: Wire) -> None:
    lazy, keeper, start = await started_by_alice(connect, wire)
    await lazy.next("msg")
    get = kv(K.GET, K.USER_SHARED, user_id="alice")
    await admin.grant(ALICE, ("kv_scope", "user-shared"), 10)
    await kv_allowed(lazy.peer, get)
    await keeper.do(Op.CANCEL, start.task_id)
    assert (await lazy.next("authority_grant_revocation")).cascade is False
    await kv_denied(lazy.peer, get)


async def test_acl_62_a_creator_writes_to_its_task_from_elsewhere(admin: Admin, connect: Connect) -> None:
    """acl 62: who has no part in it needs a right to its workspace."""
    creator, stranger = await connect(agent("c", workspace="w2")), await connect(agent("s", workspace="w2"))
    task_id = await creator.pool(workspace="w")
    for name in ("c", "s"):
        await admin.grant(("agent", f"ag::w2::i::{name}"), WORKSPACE, 10)
    lane = f"tk::w::{task_id}::msg"
    creator.peer.send(lane, b"hello")
    assert await creator.settled("error") == []
    stranger.peer.send(lane, b"spam")
    assert (await stranger.next("error")).message == f"not authorized to send to topic {lane}"


async def test_acl_63_a_hidden_task_is_an_unknown_one(boss: Desk, connect: Connect, gateway: Gateway) -> None:
    """acl 63: byte for byte, whatever is asked."""
    task_id = await boss.created()
    other = (await connect(agent("other"))).peer
    questions = [
        lambda name: {"task_query": pb.TaskQuery(op=pb.TaskQuery.GET, task_id=name, request_id="q")},
        *(
            lambda name, op=op: {"task_op": pb.TaskOperation(op=op, task_id=name, request_id="q")}
            for op in Op.OpType.values()
        ),
        lambda name: {
            "task_subscription_op": pb.TaskSubscriptionOperation(
                op=pb.TaskSubscriptionOperation.SUBSCRIBE, task_id=name, client_request_id="q"
            )
        },
    ]
    for question in questions:
        answers = []
        for name in (task_id, "f" * len(task_id)):
            other.say(**question(name))
            answer = await other.receive()
            answers.append(answer.SerializeToString().replace(name.encode(), b"the id that was asked for"))
        assert answers[0] == answers[1], question(task_id)
    _, rows = await gateway.services.tier.audit.query(Filter(only_failures=True), 100, 0)
    [denial] = {(row.kind, row.operation, row.resource_type, row.resource_id, row.workspace) for row in rows}
    assert denial == ("task", "task_authz_denied", "task", task_id, "w")
    assert {(row.actor_id, row.session_id) for row in rows} == {("ag::w::i::other", other.ack.session_id)}
    assert all(row.error for row in rows)


async def test_whom_a_task_is_for_has_a_part_in_it_without_any_rule(
    admin: Admin, boss: Desk, connect: Connect, clock: WallClock
) -> None:
    await admin.grant(ALICE, WORKSPACE, 30)
    worker = await connect(agent("1", implementation="pool"))
    authorization = on_behalf(await lent(connect, clock, BOSS[1]))
    task_id = await boss.pool(authorization=authorization, metadata={"subject_participant": "true"})
    await worker.do(Op.CLAIM, task_id)
    for who in (ALICE, ("user", "bob")):
        await admin.grant(who, WORKSPACE, 0)
    alice, bob = await connect(user("alice", "new")), await connect(user("bob"))
    lane = f"tk::w::{task_id}::msg"
    alice.peer.send(lane, b"mine")
    assert (await alice.next("msg")).payload == b"mine"
    assert await alice.listed() == [task_id]
    claimed = await alice.do(Op.CLAIM, task_id)  # several may say that it is worked on
    assert (claimed.status, claimed.assigned_to) == (pb.TASK_STATUS_RUNNING, WORKER[1])
    assert await bob.refused(Op.CLAIM, task_id) == "task not found"
    bob.peer.send(lane, b"spam")
    assert (await bob.next("error")).code == "ERR_PERMISSION_DENIED"
    assert await bob.listed() == []


async def test_hole_for_whom_a_task_is_is_the_gateways_word(boss: Desk, connect: Connect) -> None:
    """Workers read in the metadata whom they act for; a creator could write anybody's name there."""
    worker = await connect(agent("1", implementation="pool"))
    forged = {
        "subject_type": "User",
        "subject_id": "alice",
        "authority_mode": "on_behalf_of",
        "authority_grant_id": "g",
        "creator_subject_id": "alice",
        "authority_delegate_id": "ag::w::pool::1",
    }
    await boss.pool(metadata={**forged, "note": "kept"})
    assert dict((await worker.assigned()).metadata).items() >= {"note": "kept"}.items()
    await boss.pool(metadata={**forged, "note": "kept"})
    assert not forged.keys() & dict((await worker.assigned()).metadata).keys()


async def test_hole_no_task_keeps_its_user_out(admin: Admin, connect: Connect, clock: WallClock) -> None:
    """A number in the metadata of a task for a user was read when that user connected, however long it was."""
    await admin.grant(ALICE, WORKSPACE, 30)
    worker = await connect(agent("1", implementation="pool"))
    grant = await lent(connect, clock, BOSS[1], hops=5, window="w3")
    boss = await connect(agent("boss"))
    for number in ("9" * 5000, "9" * 40, "²"):
        task_id = await boss.pool(
            authorization=on_behalf(grant), metadata={"subject_participant": "true", "started_at_ms": number}
        )
        await worker.assigned()
        await worker.do(Op.CLAIM, task_id)
    alice = await connect(user("alice", "new"))
    assert await alice.settled("error") == []


async def test_acl_24_25_the_authority_of_a_task_that_waits(admin: Admin, connect: Connect, clock: WallClock) -> None:
    """acl, weakness 24: it holds while the task waits; 25: as narrow as the creator had it."""
    await admin.fallback("task_workspace", 10)
    await admin.grant(ALICE, WORKSPACE, 30)
    await admin.grant(BOSS, WORKSPACE, 30)
    receiver = await connect(agent("receiver"))
    grant = await lent(connect, clock, BOSS[1], workspace_scope=["w"], operation_scope=["send_message", "task_create"])
    boss = await connect(agent("boss"))
    made = await boss.create(
        assignment_mode=pb.POOL,
        target_implementation="pool",
        target_identity="tu::w::pool::1",
        authorization=on_behalf(grant),
    )
    worker = await connect(task("1", implementation="pool", credentials={"token": made.task_token}))
    held = (await worker.get(made.task_id)).authority_grant_id
    context = on_behalf(pb.ACLAuthorityGrantInfo(grant_id=held, subject=grant.subject))
    worker.peer.say(authority_grant_op=G(op=G.GET, grant_id=held))
    answer = await worker.next("authority_grant")
    assert answer.success, (held, answer.error)
    info = answer.grant
    assert (list(info.workspace_scope), info.audience_type, info.audience_id) == (["w"], "task", made.task_id)
    assert set(info.operation_scope) == {"send_message", "task_create"}

    async def sends(payload: bytes) -> None:
        worker.peer.send("ag::w::i::receiver", payload, authorization=context)
        message = await receiver.next("msg")
        assert (message.payload, message.on_behalf_subject.principal_id) == (payload, "alice")

    await sends(b"running")
    await worker.do(Op.PAUSE, made.task_id, wake_on_any=True)
    assert await boss.status(made.task_id) == "WAITING_INPUT"
    await sends(b"waiting")
    stranger = await connect(task("2", implementation="pool"))
    stranger.peer.send("ag::w::i::receiver", b"x", authorization=context)
    assert (await stranger.next("error")).code == "ERR_PERMISSION_DENIED"


async def test_hole_what_may_not_be_followed_any_more_is_not(admin: Admin, boss: Desk, connect: Connect) -> None:
    """acl, weakness 11: a service has no workspace to lose, and went on seeing the events of the tasks of one."""
    keeper = await connect(service("1", implementation="s"))
    rule = await admin.grant(("service", "sv::s::1"), WORKSPACE, 30)
    task_id, own = await boss.created(), await keeper.created(workspace="w")
    for followed in (task_id, own):
        assert (await keeper.subscribe(followed)).success
    await boss.do(Op.FAIL, task_id)
    assert (await keeper.next("task_event")).task_id == task_id
    await admin.do(pb.ACLOperation.REVOKE, rule_id=rule.rule_id)
    later = await admin_sees(admin, "task_authz_denied")
    assert [row.actor_id for row in later] == ["sv::s::1"]
    await boss.do(Op.RETRY, task_id)
    await keeper.do(Op.CANCEL, own)
    assert {event.task_id for event in await keeper.settled("task_event")} == {own}


async def admin_sees(admin: Admin, operation: str) -> list[pb.AuditEntry]:
    """Rows of a kind, as soon as there are some."""
    with trio.fail_after(20):
        while True:
            admin.peer.say(audit_query=pb.AuditQuery(operation=operation))
            if found := (await admin.peer.expect("audit_response")).entries:
                return list(found)
