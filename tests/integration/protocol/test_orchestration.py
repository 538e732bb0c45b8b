"""Registered agents and their start on the wire: the checklist of the tasks chapter, items by their numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.support.tasks import Desk, Op
from tests.support.wire import Wire, agent, engine, open_wire, orchestrator, task, user
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.errors import StoreUnavailable
from aether.proto import aether_pb2 as pb
from aether.rpc.status import StatusCode

Agent = pb.AgentOperation
TARGET = "ag::w::lazy::1"

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


def starter(specifier: str = "1", *profiles: str) -> pb.InitConnection:
    """An orchestrator."""
    identity = pb.OrchestratorIdentity(
        implementation="o", specifier=specifier, supported_profiles=profiles or ("process",)
    )
    return pb.InitConnection(orchestrator=identity)


@pytest.fixture
async def admin(connect: Connect) -> Desk:
    return await connect(orchestrator("admin"))


@pytest.fixture
async def boss(connect: Connect) -> Desk:
    return await connect(agent("boss"))


async def ask(desk: Desk, op: int, **fields: Any) -> pb.AgentResponse:
    desk.peer.say(agent_op=Agent(op=op, request_id="a", **fields))  # type: ignore[arg-type]
    response: pb.AgentResponse = await desk.next("agent")
    assert response.request_id == "a"
    assert response.success != bool(response.error), response
    return response


async def register(desk: Desk, implementation: str = "lazy", **params: str) -> None:
    info = pb.AgentRegistrationInfo(implementation=implementation, launch_params={"profile": "process", **params})
    response = await ask(desk, Agent.REGISTER, agent=info)
    assert response.success, response.error


def started(assignment: pb.TaskAssignment, **more: Any) -> pb.InitConnection:
    """What a started agent connects with."""
    credentials = {"token": assignment.launch_params["auth_token"]}
    return agent(
        assignment.specifier,
        workspace=assignment.workspace,
        implementation=assignment.target_implementation,
        credentials=credentials,
        **more,
    )


async def work_for_target(boss: Desk, **fields: Any) -> str:
    return await boss.created(assignment_mode=pb.TARGETED, target_agent_id=TARGET, **fields)


def advance(gateway: Gateway, clock: WallClock, seconds: float) -> None:
    clock.advance(seconds)
    gateway.services.tasks.timers.fire_due()
    gateway.services.flush_all()


@asynccontextmanager
async def opened(config: Config, clock: WallClock) -> AsyncIterator[tuple[Gateway, Wire]]:
    """A gateway for a while, for tests in which it ends."""
    async with Gateway(config, wall_clock=clock) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            yield gateway, wire


@dataclass
class Stage:
    """An agent that is registered and not there, somebody who wants it, and an orchestrator that can start it."""

    gateway: Gateway
    clock: WallClock
    connect: Connect
    admin: Desk
    boss: Desk
    orchestrator: Desk

    async def want(self, payload: bytes = b"") -> None:
        """A message for the agent; what follows from it has happened."""
        self.boss.peer.send(TARGET, payload)
        await self.boss.settled("error")

    async def start(self) -> pb.TaskAssignment:
        """What the orchestrator is given because of a message."""
        await self.want()
        return await self.orchestrator.assigned()

    async def comes_up(self, start: pb.TaskAssignment | None = None) -> Desk:
        """The agent, once the orchestrator has started it.

        :param start: what it was given; else the next that it is given.
        """
        return await self.connect(started(start or await self.orchestrator.assigned()))

    async def by_itself(self) -> Desk:
        """The agent, started by somebody else."""
        return await self.connect(agent("1", implementation="lazy"))

    async def is_idle(self) -> bool:
        """Whether the orchestrator was given nothing."""
        return await self.orchestrator.settled("task_assignment") == []

    async def works_on(self, lazy: Desk, work: str) -> bool:
        """Whether a task is what the agent is given next."""
        return (await lazy.assigned()).task_id == work

    async def is_cut_off(self, lazy: Desk, start: pb.TaskAssignment) -> None:
        """The connection of a started agent breaks, and the gateway has noticed."""
        await lazy.peer.abort()
        with trio.fail_after(20):
            while not (await self.admin.get(start.task_id)).disconnected_at:  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.01)

    async def is_closed(self, lazy: Desk) -> None:
        """The agent ends in order."""
        await lazy.peer.close()
        await self.boss.settled("error")

    def later(self, seconds: float) -> None:
        advance(self.gateway, self.clock, seconds)


async def hibernate(lazy: Desk, start: pb.TaskAssignment, wake_ms: int = 0) -> None:
    """A started agent gives its start up for a while."""
    lazy.peer.say(checkpoint_op=pb.CheckpointOperation(op=pb.CheckpointOperation.SAVE, key="K", data=b"state"))
    await lazy.next("checkpoint")
    wait = pb.WaitSpec(
        reason=pb.WAIT_REASON_HIBERNATION,
        scheduled_wake_unix_ms=wake_ms,
        hibernation=pb.HibernationDescriptor(checkpoint_key="K", resume_session_id="s"),
    )
    lazy.peer.say(task_op=pb.TaskOperation(op=Op.PAUSE, task_id=start.task_id, wait_spec=wait))
    assert (await lazy.next("task_op")).success
    assert (await lazy.next("task_hibernated")).task_id == start.task_id


@pytest.fixture
async def stage(gateway: Gateway, clock: WallClock, connect: Connect, admin: Desk, boss: Desk) -> Stage:
    await register(admin)
    return Stage(gateway, clock, connect, admin, boss, await connect(starter()))


# ------------------------------------------------------------------------------------------------------- registry


async def test_117_118_119_registrations(admin: Desk, clock: WallClock) -> None:
    assert "'profile'" in (await ask(admin, Agent.REGISTER, agent=pb.AgentRegistrationInfo(implementation="x"))).error
    assert (await ask(admin, Agent.REGISTER)).error == "agent data required for REGISTER/UPDATE"
    by_field = pb.AgentRegistrationInfo(implementation="x", orchestrator_profile="p", description="d")
    response = await ask(admin, Agent.REGISTER, agent=by_field)
    assert response.message == "agent registered successfully"
    found = (await ask(admin, Agent.GET, implementation="x:suffix")).agent
    assert (found.implementation, found.orchestrator_profile, found.launch_params) == ("x", "p", {"profile": "p"})
    assert found.registered_at == found.updated_at == clock.now_ms // 1000
    clock.advance(10)
    await ask(admin, Agent.UPDATE, implementation="x", agent=by_field)
    found = (await ask(admin, Agent.GET, implementation="x")).agent
    assert found.updated_at - found.registered_at == 10
    await register(admin, "a")
    listed = await ask(admin, Agent.LIST)
    assert ([one.implementation for one in listed.agents], listed.total_count) == (["a", "x"], 2)
    page = await ask(admin, Agent.LIST, filter=pb.AgentFilter(limit=1, offset=1))
    assert ([one.implementation for one in page.agents], page.total_count) == (["x"], 2)
    of_profile = await ask(admin, Agent.LIST, filter=pb.AgentFilter(orchestrator_profile="process"))
    assert [one.implementation for one in of_profile.agents] == ["a"]
    assert (await ask(admin, Agent.DELETE, implementation="x")).message == "agent deleted successfully"
    assert "not found in registry" in (await ask(admin, Agent.DELETE, implementation="x")).error
    assert "not found in registry" in (await ask(admin, Agent.GET, implementation="x")).error


async def test_118_prefixes_have_one_owner(admin: Desk) -> None:
    def owner(name: str, *prefixes: str) -> pb.AgentRegistrationInfo:
        schema = [pb.AgentResourceSchemaEntry(resource_type_prefix=prefix) for prefix in prefixes]
        return pb.AgentRegistrationInfo(implementation=name, orchestrator_profile="p", resource_schema=schema)

    await ask(admin, Agent.REGISTER, agent=owner("a", "mail/", "file/"))
    taken = await ask(admin, Agent.REGISTER, agent=owner("b", "mail/"))
    assert taken.error == 'ERR_PREFIX_CONFLICT: resource_type_prefix "mail/" already declared by agent "a"'
    twice = await ask(admin, Agent.REGISTER, agent=owner("c", "x/", "x/"))
    assert 'already declared by agent "(self)"' in twice.error
    assert (await ask(admin, Agent.REGISTER, agent=owner("a", "file/"))).success
    assert (await ask(admin, Agent.REGISTER, agent=owner("b", "mail/"))).success


async def test_121_orchestrators_are_listed_while_they_are_there(
    admin: Desk, connect: Connect, clock: WallClock
) -> None:
    clock.advance(60)
    one = await connect(starter("1", "p", "q"))
    listed = (await ask(admin, Agent.LIST_ORCHESTRATORS)).orchestrators
    assert [entry.orchestrator_id for entry in listed] == ["orc::o::admin", "orc::o::1"]
    assert (list(listed[1].profiles), listed[1].connected_at) == (["p", "q"], clock.now_ms // 1000)
    await one.peer.close()
    listed = (await ask(admin, Agent.LIST_ORCHESTRATORS)).orchestrators
    assert [entry.orchestrator_id for entry in listed] == ["orc::o::admin"]


# ----------------------------------------------------------------------------------------------------------- start


async def test_104_116_a_message_starts_its_agent(stage: Stage) -> None:
    await register(stage.admin, image="busy")
    await stage.want(b"work")
    assignment = await stage.orchestrator.assigned()
    assert (assignment.task_type, assignment.profile) == ("agent_startup", "process")
    assert (assignment.workspace, assignment.target_implementation, assignment.specifier) == ("w", "lazy", "1")
    assert len(assignment.launch_params["auth_token"]) == 44
    assert {**assignment.launch_params, "auth_token": ""} == {"profile": "process", "image": "busy", "auth_token": ""}
    lazy = await stage.comes_up(assignment)
    assert (await lazy.next("msg")).payload == b"work"
    context = lazy.peer.snapshot.task_context
    assert context["task_id"] == assignment.task_id
    assert (context["workspace"], context["implementation"], context["specifier"]) == ("w", "lazy", "1")  # kv 86
    assert (context["profile"], context["lp.image"]) == ("process", "busy")
    assert await stage.admin.status(assignment.task_id) == "RUNNING"
    assert (await stage.boss.settled("error"), await stage.boss.settled("progress_update")) == ([], [])


async def test_116_the_user_it_is_for(stage: Stage) -> None:
    alice = await stage.connect(user("alice"))
    alice.peer.send(TARGET, b"")
    lazy = await stage.comes_up()
    assert lazy.peer.snapshot.task_context["user"] == "alice"


async def test_105_one_start_for_many_messages(stage: Stage) -> None:
    senders = [await stage.connect(agent(f"s{number}")) for number in range(10)]
    async with trio.open_nursery() as nursery:

        async def send(desk: Desk) -> None:
            for number in range(10):
                desk.peer.send(TARGET, b"%d" % number)
                await trio.lowlevel.checkpoint()

        for sender in senders:
            nursery.start_soon(send, sender)
    for sender in senders:
        await sender.settled("error")
    assert len(await stage.orchestrator.settled("task_assignment")) == 1
    assert len(await stage.admin.listed(task_type="agent_startup")) == 1


async def test_messages_start_no_more_agents_than_the_workspace_has_room_for(
    tmp_path: Path, clock: WallClock, engine: str
) -> None:
    """The message waits, and the next one asks again."""
    quotas = {"enabled": True, "max_tasks_per_workspace": 2}
    config = Config.development(tmp_path / "data", gateway={"engine": engine}, quotas=quotas)
    async with opened(config, clock) as (_, wire):
        starter_, boss = Desk(await wire.connect(starter())), Desk(await wire.connect(agent("boss")))
        await register(starter_)
        for name in "abc":
            boss.peer.send(f"ag::w::lazy::{name}", b"1")
        await boss.settled("error")
        starts = await starter_.settled("task_assignment")
        assert [start.specifier for start in starts] == ["a", "b"]
        assert (await boss.create()).error_code == "ERR_QUOTA_001"
        await starter_.do(Op.CANCEL, starts[0].task_id)
        clock.advance(60)
        boss.peer.send("ag::w::lazy::c", b"2")
        await boss.settled("error")
        lazy = Desk(await wire.connect(started(await starter_.assigned())))
        assert [(await lazy.next("msg")).payload for _ in range(2)] == [b"1", b"2"]


async def test_106_nobody_is_told_of_an_agent_that_is_not_registered(stage: Stage) -> None:
    stage.boss.peer.send("ag::w::unknown::1", b"later")
    assert await stage.boss.settled("error") == []
    assert await stage.is_idle()
    unknown = await stage.connect(agent("1", implementation="unknown"))
    assert (await unknown.next("msg")).payload == b"later"


async def test_107_108_a_start_waits_for_its_orchestrator(admin: Desk, boss: Desk, connect: Connect) -> None:
    await register(admin)
    for number in range(12):
        await register(admin, f"other{number}", profile="nobody")
        boss.peer.send(f"ag::w::other{number}::1", b"")
    boss.peer.send(TARGET, b"")
    await boss.settled("error")
    [task_id] = [task.task_id for task in (await admin.page(task_type="agent_startup")).tasks if not task.assigned_to][
        :1
    ]
    wrong = await connect(starter("wrong", "another"))
    right = await connect(starter("right"))
    assignment = await right.assigned()
    assert assignment.target_implementation == "lazy"
    assert await wrong.settled("task_assignment") == []
    assert await admin.status(task_id) == "QUEUED"


async def test_an_orchestrator_of_two_profiles(admin: Desk, boss: Desk, connect: Connect) -> None:
    """sdk 59: starts of both, and none of a third."""
    both = await connect(starter("both", "p", "q"))
    for profile in "pqr":
        await register(admin, f"of-{profile}", profile=profile)
        boss.peer.send(f"ag::w::of-{profile}::1", b"")
    await boss.settled("error")
    assigned = await both.settled("task_assignment")
    assert sorted((one.profile, one.target_implementation) for one in assigned) == [("p", "of-p"), ("q", "of-q")]


async def test_109_orchestrators_share(admin: Desk, boss: Desk, connect: Connect) -> None:
    await register(admin)
    both = [await connect(starter(name)) for name in "ab"]
    for number in range(20):
        boss.peer.send(f"ag::w::lazy::{number}", b"")
    await boss.settled("error")
    assert [len(await one.settled("task_assignment")) for one in both] == [10, 10]


async def test_a_pool_without_workers_has_them_started(stage: Stage) -> None:
    """Weakness 31: as many as the registration allows, one after the other, while tasks wait for a second."""

    async def a_second_later() -> list[pb.TaskAssignment]:
        stage.clock.advance(1.01)
        stage.gateway.services.tasks.dispatcher.refill()
        stage.gateway.services.flush_all()
        return await stage.orchestrator.settled("task_assignment")

    work = [await stage.boss.pool("lazy") for _ in range(3)]
    assert await a_second_later() == []  # nobody asked for it
    await register(stage.admin, pool_autostart="2", max_open_tasks="1")
    (first,) = await a_second_later()
    assert (first.workspace, first.specifier) == ("w", "pool-1")
    assert await a_second_later() == []  # one that is on its way may be enough
    one = await stage.comes_up(first)
    assert await stage.works_on(one, work[0])
    (second,) = await a_second_later()
    assert second.specifier == "pool-2"
    two = await stage.comes_up(second)
    assert await stage.works_on(two, work[1])
    assert await a_second_later() == []  # two is as many as there may be
    await one.do(Op.COMPLETE, work[0])
    assert await stage.works_on(one, work[2])
    await one.peer.close()
    await two.do(Op.COMPLETE, work[1])
    assert await a_second_later() == []  # and nothing waits


async def test_110_overrides(stage: Stage) -> None:
    await register(stage.admin, image="usual", cpus="1")
    container = await stage.connect(starter("c", "container"))
    answer = await stage.boss.create(
        assignment_mode=pb.TARGETED,
        target_agent_id=TARGET,
        launch_param_overrides={"profile": "container", "image": "special"},
    )
    assert answer.status == "orchestration_triggered"
    assignment = await container.assigned()
    assignment.launch_params.pop("auth_token")
    assert assignment.launch_params == {"profile": "container", "image": "special", "cpus": "1"}
    assert await stage.is_idle()


async def test_8_9_work_for_an_agent_that_is_started(stage: Stage) -> None:
    work = [await work_for_target(stage.boss, payload=name) for name in (b"a", b"b")]
    start = await stage.orchestrator.assigned()
    assert await stage.is_idle()
    lazy = await stage.comes_up(start)
    assert [(await lazy.assigned()).task_id for _ in work] == work


async def test_a_start_that_failed_is_tried_again_while_work_waits(stage: Stage) -> None:
    work = await work_for_target(stage.boss, launch_param_overrides={"image": "special"})
    for wait_s in (2, 4):
        start = await stage.orchestrator.assigned()
        assert start.launch_params["image"] == "special"
        await stage.orchestrator.do(Op.FAIL, start.task_id, "cannot")
        stage.later(wait_s - 1)
        assert await stage.is_idle()
        stage.later(1)
    assert await stage.works_on(await stage.comes_up(), work)


async def test_work_that_an_agent_left_starts_it_again(stage: Stage) -> None:
    work = await work_for_target(stage.boss)
    lazy = await stage.comes_up()
    assert await stage.works_on(lazy, work)
    await lazy.peer.abort()
    await stage.boss.settled("error")
    stage.later(31)  # the agent is gone, and its work with nobody
    stage.later(3)
    lazy = await stage.comes_up()
    assert await stage.works_on(lazy, work)
    await lazy.do(Op.COMPLETE, work)
    await lazy.peer.abort()
    await stage.boss.settled("error")
    stage.later(31)
    stage.later(300)
    assert await stage.is_idle()  # nothing waits for it


async def test_work_to_be_done_again_starts_its_agent(
    admin: Desk, boss: Desk, connect: Connect, gateway: Gateway
) -> None:
    """Also an agent that was there when the work came, and was registered later."""
    lazy = await connect(agent("1", implementation="lazy"))
    orchestrator = await connect(starter())
    work = await work_for_target(boss)
    await lazy.assigned()
    await lazy.do(Op.FAIL, work)
    await lazy.peer.close()
    await boss.settled("error")
    await boss.do(Op.RETRY, work)
    assert await boss.status(work) == "QUEUED"
    assert await orchestrator.settled("task_assignment") == []
    await register(admin)
    gateway.services.tasks.dispatcher.refill()
    gateway.services.flush_all()
    lazy = await connect(started(await orchestrator.assigned()))
    assert (await lazy.assigned()).task_id == work


async def test_work_for_who_is_starting_is_not_looked_through_each_time(
    admin: Desk, boss: Desk, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much waits for one agent, one more costs the same."""
    await register(admin)
    await work_for_target(boss)
    backlog = gateway.services.tasks.dispatcher._backlog
    monkeypatch.setattr(backlog, "of", lambda _: pytest.fail("looked at everything that waits"))
    await work_for_target(boss)
    assert len(backlog) == 2


async def test_work_that_waits_for_an_agent_to_come_by_itself_starts_none(stage: Stage) -> None:
    work = await work_for_target(stage.boss, target_offline_policy=pb.TARGET_OFFLINE_POLICY_QUEUE)
    await stage.boss.do(Op.CANCEL, work)
    await stage.boss.do(Op.RETRY, work)
    stage.gateway.services.tasks.dispatcher.refill()
    assert await stage.is_idle()
    assert await stage.works_on(await stage.by_itself(), work)


async def test_128_work_outlasts_the_patience_with_a_start(
    admin: Desk, boss: Desk, connect: Connect, gateway: Gateway, clock: WallClock
) -> None:
    await register(admin)
    work = await work_for_target(boss, task_class=pb.TASK_CLASS_BACKGROUND)
    [first] = await admin.listed(task_type="agent_startup", workspace="w")
    advance(gateway, clock, 1801)
    assert await admin.status(first) == "CANCELLED"
    orchestrator = await connect(starter())
    start = await orchestrator.assigned()
    assert start.task_id != first
    await admin.do(Op.CANCEL, start.task_id)  # somebody does not want it
    assert await orchestrator.settled("task_assignment") == []
    assert await boss.status(work) == "QUEUED"


async def test_an_agent_that_leaves_its_work_again_and_again(stage: Stage) -> None:
    lazy = await stage.by_itself()
    work = await work_for_target(stage.boss)
    for _ in range(11):
        assert await stage.works_on(lazy, work)
        await lazy.peer.abort()
        await stage.boss.settled("error")
        stage.later(31)
        lazy = await stage.by_itself()
    assert await stage.boss.status(work) == "FAILED"


async def test_a_start_that_is_asked_for_twice_is_one(stage: Stage) -> None:
    wanted = {"task_type": "agent_startup", "idempotency_key": "k"}
    made = await stage.boss.create(assignment_mode=pb.TARGETED, target_agent_id=TARGET, **wanted)
    first = made.task_id
    assert (made.success, made.status, await stage.boss.listed()) == (True, "orchestration_triggered", [first])
    unknown = await stage.boss.create(
        assignment_mode=pb.TARGETED, target_agent_id="ag::w::unknown::1", task_type="agent_startup"
    )
    assert (unknown.error_code, "not found in registry" in unknown.error_message) == ("ERR_TASK_CREATE_FAILED", True)
    again = await stage.boss.create(assignment_mode=pb.TARGETED, target_agent_id=TARGET, **wanted)
    assert (again.success, again.task_id, again.status) == (True, first, "")


async def test_an_old_start_is_not_tried_again_beside_another(stage: Stage) -> None:
    first = await stage.start()
    await stage.orchestrator.do(Op.FAIL, first.task_id, "cannot")
    await stage.want()
    assert "already exists" in await stage.orchestrator.refused(Op.RETRY, first.task_id)
    stage.later(3)
    second = await stage.orchestrator.assigned()
    lazy = await stage.comes_up(second)
    await stage.orchestrator.do(Op.CANCEL, second.task_id)
    assert "already online" in await stage.orchestrator.refused(Op.RETRY, first.task_id)
    await stage.is_closed(lazy)
    await stage.orchestrator.do(Op.RETRY, first.task_id)
    assert (await stage.orchestrator.assigned()).task_id == first.task_id


async def test_an_orchestrator_that_declines_loses_no_message(stage: Stage) -> None:
    await stage.want(b"1")
    await stage.orchestrator.do(Op.REJECT, (await stage.orchestrator.assigned()).task_id)
    stage.later(1000)
    await stage.want(b"2")
    stage.later(2)
    lazy = await stage.comes_up()
    assert [(await lazy.next("msg")).payload for _ in range(2)] == [b"1", b"2"]


async def test_111_an_orchestrator_that_dies(stage: Stage) -> None:
    given = await stage.start()
    second = await stage.connect(starter("b"))
    await stage.orchestrator.peer.abort()
    again = await second.assigned()
    assert again.task_id == given.task_id
    lazy = await stage.comes_up(given)  # it had been started after all: the first token is as good
    assert await lazy.status(given.task_id) == "RUNNING"


async def test_112_a_start_that_comes_to_nothing(stage: Stage) -> None:
    await stage.want(b"1")
    first = await stage.orchestrator.assigned()
    stage.later(601)
    assert await stage.admin.status(first.task_id) == "FAILED"
    await stage.want(b"2")
    assert await stage.is_idle()  # not at once: it failed just now
    [second] = await stage.admin.listed(status=pb.TASK_STATUS_QUEUED)
    assert (await stage.admin.get(second)).metadata["startup_attempt"] == "2"
    stage.later(3)
    lazy = await stage.comes_up()
    assert [(await lazy.next("msg")).payload for _ in range(2)] == [b"1", b"2"]


async def test_112_crash_loops_get_slower(stage: Stage) -> None:
    waits = []
    for _ in range(6):
        await stage.want()
        waited = 0
        while not (found := await stage.orchestrator.settled("task_assignment")):
            stage.later(1)
            waited += 1
        waits.append(waited)
        info = await stage.orchestrator.do(Op.FAIL, found[0].task_id, "cannot")
        assert info.status == pb.TASK_STATUS_FAILED
    assert waits == [0, 2, 4, 8, 16, 32]


async def test_work_for_an_agent_that_never_comes_up_asks_less_and_less_often(stage: Stage) -> None:
    """Until somebody asks for the agent, or launches it."""

    async def fail() -> int:
        """For how many seconds the next start is held back then."""
        start = await stage.orchestrator.assigned()
        await stage.orchestrator.do(Op.FAIL, start.task_id, "cannot")
        return await held_s()

    async def held_s() -> int:
        [start] = await stage.admin.listed(status=pb.TASK_STATUS_QUEUED, task_type="agent_startup")
        info = await stage.admin.get(start)
        assert (info.target_topic, info.metadata["startup_last_error"]) == (TARGET, "cannot")
        return (int(info.metadata["startup_not_before_ms"]) - stage.clock.now_ms) // 1000

    work = await work_for_target(stage.boss, task_class=pb.TASK_CLASS_BACKGROUND)
    for failures in range(1, 15):
        assert await fail() == 2**failures
        stage.later(2**failures)
    assert await fail() == 21_600
    await stage.want()
    assert await held_s() == 300
    params = pb.AgentLaunchParams(workspace="w", specifier="1")
    assert (await ask(stage.admin, Agent.LAUNCH, implementation="lazy", launch_params=params)).success
    assert await fail() == 2
    await register(stage.admin, image="mended")
    assert await stage.works_on(await stage.comes_up(), work)


async def test_113_who_comes_without_its_token_is_started_all_the_same(stage: Stage) -> None:
    start = await stage.start()
    lazy = await stage.by_itself()
    assert await stage.admin.status(start.task_id) == "RUNNING"
    await stage.is_closed(lazy)
    assert await stage.admin.status(start.task_id) == "COMPLETED"
    assert (await stage.start()).task_id != start.task_id


async def test_an_agent_that_is_cut_off_may_come_back_by_itself(stage: Stage) -> None:
    lazy = await stage.by_itself()
    for comes_back in (True, False):
        await lazy.peer.abort()
        while stage.gateway.services.directory.is_connected(TARGET):  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.01)
        await stage.want(b"there?")
        assert await stage.is_idle()
        if comes_back:
            lazy = await stage.by_itself()
            assert (await lazy.next("msg")).payload == b"there?"
            stage.later(4)
            assert await stage.is_idle()
    stage.later(31)  # the start that the first one had joined fails with it
    await stage.want(b"there?")
    stage.later(4)
    assert (await stage.orchestrator.assigned()).target_implementation == "lazy"


async def test_114_unique_tasks_are_started_too(stage: Stage, wire: Wire) -> None:
    stage.boss.peer.send("tu::w::lazy::1", b"work")
    start = await stage.orchestrator.assigned()
    credentials = {"token": start.launch_params["auth_token"]}
    await wire.refused(agent("1", implementation="lazy", credentials=credentials), StatusCode.PERMISSION_DENIED)
    lazy = await stage.connect(task("1", implementation="lazy", credentials=credentials))
    assert (await lazy.next("msg")).payload == b"work"


async def test_115_an_orchestrator_may_give_up(stage: Stage) -> None:
    start = await stage.start()
    info = await stage.orchestrator.do(Op.FAIL, start.task_id, "no such image")
    assert (info.status, info.error) == (pb.TASK_STATUS_FAILED, "no such image")


async def test_120_launch(stage: Stage) -> None:
    params = pb.AgentLaunchParams(param_overrides={"image": "x"})
    launched = await ask(stage.admin, Agent.LAUNCH, implementation="lazy", launch_params=params)
    assignment = await stage.orchestrator.assigned()
    assert launched.launch_result.task_id == assignment.task_id
    assert launched.message == f"Agent lazy.default launch triggered: {assignment.task_id}"
    assert launched.launch_result.message == launched.message
    assert (assignment.workspace, assignment.specifier) == ("default", "default")
    assert assignment.launch_params["image"] == "x"
    again = await ask(stage.admin, Agent.LAUNCH, implementation="lazy", launch_params=params)
    assert "already exists for lazy/default in workspace default" in again.error
    await stage.comes_up(assignment)
    online = await ask(stage.admin, Agent.LAUNCH, implementation="lazy", launch_params=params)
    assert online.error == "agent ag::default::lazy::default is already online"
    unknown = await ask(stage.admin, Agent.LAUNCH, implementation="unknown")
    assert unknown.error == "target agent implementation 'unknown' not found in registry"


async def test_91_a_started_agent_hibernates_and_is_started_again(stage: Stage) -> None:
    start = await stage.start()
    lazy = await stage.comes_up(start)
    await hibernate(lazy, start, wake_ms=stage.clock.now_ms + 60_000)
    await stage.is_closed(lazy)
    assert await stage.admin.status(start.task_id) == "HIBERNATED"
    stage.later(61)
    again = await stage.orchestrator.assigned()
    assert (again.task_id, again.checkpoint_key, again.resume_session_id) == (start.task_id, "K", "s")


async def test_a_message_wakes_an_agent_that_hibernates(stage: Stage) -> None:
    start = await stage.start()
    lazy = await stage.comes_up(start)
    assert (await lazy.next("msg")).payload == b""  # one that it leaves unread comes again
    await hibernate(lazy, start)
    await stage.is_closed(lazy)
    assert await stage.is_idle()
    await stage.want(b"wake up")
    again = await stage.orchestrator.assigned()
    assert (again.task_id, again.checkpoint_key) == (start.task_id, "K")
    lazy = await stage.comes_up(again)
    assert (await lazy.next("msg")).payload == b"wake up"
    assert await stage.admin.status(start.task_id) == "RUNNING"


async def test_a_message_that_an_agent_waits_for_starts_it_again_if_it_has_left(stage: Stage) -> None:
    start = await stage.start()
    lazy = await stage.comes_up(start)
    assert (await lazy.next("msg")).payload == b""
    wait = pb.WaitSpec(reason=pb.WAIT_REASON_INPUT)
    lazy.peer.say(task_op=pb.TaskOperation(op=Op.PAUSE, task_id=start.task_id, wait_spec=wait))
    assert (await lazy.next("task_op")).success
    await stage.is_closed(lazy)
    assert await stage.admin.status(start.task_id) == "WAITING_INPUT"
    await stage.want(b"answer")
    with trio.fail_after(20):
        while await stage.admin.status(start.task_id) != "QUEUED":  # noqa: ASYNC110 - a moment after the message
            await trio.sleep(0.01)
    assert await stage.is_idle()
    stage.later(30)
    lazy = await stage.comes_up()
    assert (await lazy.next("msg")).payload == b"answer"
    assert await stage.admin.status(start.task_id) == "RUNNING"


async def test_82_to_86_a_worker_with_a_token(stage: Stage) -> None:
    start = await stage.start()
    lazy = await stage.comes_up(start)
    kept = stage.gateway.services.tasks.book.get(start.task_id)
    assert kept is not None
    assert (await stage.admin.status(start.task_id), kept.worker) == ("RUNNING", TARGET)  # connection 36
    await stage.is_cut_off(lazy, start)
    stage.later(20)
    lazy = await stage.comes_up(start)
    info = await stage.admin.get(start.task_id)
    assert (info.status, info.disconnected_at) == (pb.TASK_STATUS_RUNNING, 0)
    stage.later(60)
    assert await stage.admin.status(start.task_id) == "RUNNING"  # connection 38
    await stage.is_cut_off(lazy, start)
    stage.later(29)
    assert await stage.admin.status(start.task_id) == "RUNNING"
    stage.later(2)
    info = await stage.admin.get(start.task_id)
    assert (info.status, info.error) == (
        pb.TASK_STATUS_FAILED,
        "worker disconnected and did not reconnect within grace window (30000ms)",
    )


async def test_an_orchestrator_that_comes_back_is_not_its_agent(stage: Stage) -> None:
    start = await stage.start()
    await stage.is_cut_off(await stage.comes_up(start), start)
    await stage.orchestrator.peer.abort()
    await stage.connect(starter())
    stage.later(31)
    assert await stage.admin.status(start.task_id) == "FAILED"


async def test_86_who_is_sent_away_has_not_finished(stage: Stage) -> None:
    start = await stage.start()
    lazy = await stage.comes_up(start)
    disconnect = pb.SessionOperation(op=pb.SessionOperation.DISCONNECT, session_id=lazy.peer.ack.session_id)
    stage.admin.peer.say(session_op=disconnect)
    assert (await stage.admin.next("session_response")).success
    await lazy.next("signal")
    await stage.is_cut_off(lazy, start)
    assert await stage.admin.status(start.task_id) == "RUNNING"
    await stage.comes_up(start)
    with trio.fail_after(20):
        while (await stage.admin.get(start.task_id)).disconnected_at:  # noqa: ASYNC110 - a moment after the ack
            await trio.sleep(0.01)


async def test_a_worker_of_a_gateway_that_goes_has_not_finished(tmp_path: Path, clock: WallClock, engine: str) -> None:
    """connection 39: drained, it comes back with the token that it has."""
    config = Config.development(tmp_path / "drained", gateway={"engine": engine})
    async with opened(config, clock) as (gateway, wire):
        await register(Desk(await wire.connect(orchestrator("admin"))))
        orchestrator_ = Desk(await wire.connect(starter()))
        await Desk(await wire.connect(agent("boss"))).created(
            assignment_mode=pb.TARGETED, target_agent_id=TARGET, task_type="t"
        )
        start = await orchestrator_.assigned()
        lazy = Desk(await wire.connect(started(start)))
        await lazy.assigned()
        await gateway.drain()
        await lazy.next("signal")
        await lazy.peer.expect_status(StatusCode.UNAVAILABLE)
    async with opened(config, clock) as (gateway, wire):
        admin = Desk(await wire.connect(orchestrator("admin")))
        assert await admin.status(start.task_id) == "RUNNING"
        await wire.connect(started(start))
        advance(gateway, clock, 60)
        assert await admin.status(start.task_id) == "RUNNING"


async def test_a_start_is_taken_from_an_orchestrator_that_is_gone_once_that_can_be_stored(
    tmp_path: Path, clock: WallClock, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise StoreUnavailable("disk full")

    config = Config.development(tmp_path / "kept", gateway={"engine": engine})
    async with opened(config, clock) as (gateway, wire):
        admin = Desk(await wire.connect(starter("admin", "other")))
        await register(admin)
        lost = Desk(await wire.connect(starter("lost")))
        admin.peer.send(TARGET, b"")
        await lost.assigned()
        gateway.services.tasks.starts.disconnect = lambda _: None  # type: ignore[method-assign]  # it crashes
    async with opened(config, clock) as (gateway, wire):
        other = Desk(await wire.connect(starter("other")))
        store = gateway.services.tasks.book.store
        clock.advance(31)
        with monkeypatch.context() as patch:
            patch.setattr(store, "check", unavailable)
            with pytest.raises(StoreUnavailable):
                gateway.services.tasks.timers.fire_due()
        assert await other.settled("task_assignment") == []
        advance(gateway, clock, 0)
        assert await other.assigned()


async def test_a_registration_and_a_start_survive_the_gateway(tmp_path: Path, clock: WallClock, engine: str) -> None:
    config = Config.development(tmp_path / "kept", gateway={"engine": engine})
    async with opened(config, clock) as (_, wire):
        admin = Desk(await wire.connect(orchestrator("admin")))
        await register(admin)
        boss = Desk(await wire.connect(agent("boss")))
        boss.peer.send(TARGET, b"kept")
        await boss.settled("error")
    async with opened(config, clock) as (_, wire):
        starter_ = Desk(await wire.connect(starter()))
        lazy = Desk(await wire.connect(started(await starter_.assigned())))
        assert (await lazy.next("msg")).payload == b"kept"


async def test_starts_are_found_by_the_kind_of_who_wanted_them(admin: Desk, connect: Connect) -> None:
    """However the kind is written."""
    await register(admin)
    for number, sender in enumerate((engine(), task("one"), agent("two"))):
        desk = await connect(sender)
        desk.peer.send(f"ag::w::lazy::{number}", b"x")
        await desk.settled("error")
    kinds = ["workflow_engine", "WorkflowEngine", " WORKFLOW_ENGINE ", "task", "unique_task", "Agent", "user", "nobody"]
    found = [
        [start.subject_type for start in (await admin.page(workspace="w", subject_type=kind)).tasks] for kind in kinds
    ]
    assert found == [["workflow_engine"]] * 3 + [["task"]] * 2 + [["agent"], [], []]
    assert len(await admin.listed(workspace="w", subject_type=" ")) == 3
