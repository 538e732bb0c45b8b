"""``me.tasks``: creating, working on and following tasks with the trio client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess
from tests.support.link import Link
from tests.unit.fakes import WallClock

import aether
from aether import Config, Gateway
from aether.client import (
    Connection,
    NotFound,
    Options,
    RequestRefused,
    Retry,
    TaskFailed,
    TaskLost,
    TaskRefused,
    operations,
    to,
    work,
)
from aether.proto import aether_pb2 as pb

QUICK = Options(backoff_initial_s=0.01, backoff_max_s=0.05)
AT_ONCE = Retry(attempts=3, delay_s=0.01, delay_max_s=0.01)

Somewhere = str | Gateway | Link


@asynccontextmanager
async def agent(target: Somewhere, specifier: str, implementation: str = "i") -> AsyncIterator[Connection]:
    async with aether.connect_agent(
        target, workspace="w", implementation=implementation, specifier=specifier, options=QUICK
    ) as connection:
        yield connection


@pytest.fixture
async def me(target: str | Gateway) -> AsyncIterator[Connection]:
    async with agent(target, "me") as me:
        yield me


@asynccontextmanager
async def working(target: str | Gateway, fails: int = 0) -> AsyncIterator[list[bytes]]:
    """A worker of the pool ``pool`` whose first attempts fail; yields the payloads that it began with."""
    seen: list[bytes] = []

    async def work(worker: Connection) -> None:
        async for assignment in worker.tasks:
            try:
                async with worker.tasks.claim(assignment) as task:
                    seen.append(task.payload)
                    if len(seen) <= fails:
                        raise ValueError("not yet")
                    await task.progress("working", 0.5, "half")
                    task.result = "done"
            except ValueError:
                pass

    async with agent(target, "worker", "pool") as worker, trio.open_nursery() as nursery:
        nursery.start_soon(work, worker)
        yield seen
        nursery.cancel_scope.cancel()


async def test_run_waits_for_a_worker(target: str | Gateway, me: Connection) -> None:
    async with working(target) as seen:
        task = await me.tasks.run("sum", b"1+1", pool="pool", metadata={"a": "b"})
    assert seen == [b"1+1"]
    assert (task.status, task.metadata["_result_summary"]) == (pb.TASK_STATUS_COMPLETED, "done")


async def test_a_block_that_raises_fails_its_task_and_a_policy_tries_again(
    target: str | Gateway, me: Connection
) -> None:
    async with working(target, fails=2) as seen:
        task = await me.tasks.run("sum", b"x", pool="pool", retry=AT_ONCE)
    assert (len(seen), task.attempt, task.status) == (3, 2, pb.TASK_STATUS_COMPLETED)


async def test_run_raises_for_what_does_not_complete(target: str | Gateway, me: Connection) -> None:
    async with working(target, fails=9):
        with pytest.raises(TaskFailed, match="failed: not yet") as caught:
            await me.tasks.run("sum", pool="pool")
    assert caught.value.task.error == "not yet"


async def test_cancelling_run_cancels_the_task(me: Connection) -> None:
    with trio.move_on_after(0.1):
        await me.tasks.run("sum", pool="nobody")
    [task] = [task async for task in me.tasks.find(task_type="sum")]
    assert (task.status, task.error) == (pb.TASK_STATUS_CANCELLED, "nobody waits for it any more")


async def test_cancelling_a_block_fails_its_task(target: str | Gateway, me: Connection) -> None:
    task_id = (await me.tasks.create(pool="pool")).task_id
    async with agent(target, "worker", "pool") as worker:
        assignment = await anext(worker.tasks)
        with trio.CancelScope() as scope:
            async with worker.tasks.claim(assignment):
                scope.cancel()
                await trio.sleep_forever()
    assert (await me.tasks.get(task_id)).error == "the worker was cancelled"


async def test_operations(me: Connection) -> None:
    tasks = me.tasks
    one, two, three = [(await tasks.create(str(number))).task_id for number in range(3)]
    assert (await tasks.begin(one)).status == pb.TASK_STATUS_RUNNING
    assert (await tasks.pause(one, expected="us::alice", timeout_s=60)).wait_spec.timeout_ms == 60_000
    assert (await tasks.resume(one)).status == pb.TASK_STATUS_RUNNING
    assert (await tasks.wait_for(one, [two, three], any_of_them=True)).depends_on == [two, three]
    assert (await tasks.reject(two, "no")).error == "no"
    assert (await tasks.get(one)).status == pb.TASK_STATUS_RUNNING
    await me.checkpoints.save(b"state", "K")
    assert (await tasks.hibernate(one, "K", at_timeout="alert")).status == pb.TASK_STATUS_HIBERNATED
    assert (await tasks.resume(one)).status == pb.TASK_STATUS_RUNNING
    assert (await tasks.fail(one, "bad")).error == "bad"
    assert (await tasks.retry(one)).attempt == 1
    assert (await tasks.cancel(three, "enough")).error == "enough"
    with pytest.raises(TaskRefused, match="cancelled → completed"):
        await tasks.complete(three)
    with pytest.raises(NotFound):
        await tasks.get("unknown")


async def test_a_refused_create_is_one_exception(me: Connection) -> None:
    with pytest.raises(RequestRefused, match="not found in registry"):
        await me.tasks.create(target="ag::w::unknown::1")
    assert len(me.errors) == 0
    await me.confirm()


async def test_a_task_is_not_for_a_pool_and_a_target(me: Connection) -> None:
    with pytest.raises(ValueError, match="not for both"):
        await me.tasks.create("both", pool="pool", target="ag::w::pool::1")
    with pytest.raises(ValueError, match="not for both"):
        await me.tasks.run("both", pool="pool", target="ag::w::pool::1")
    assert [task async for task in me.tasks.find()] == []


async def test_find_reads_page_after_page(me: Connection) -> None:
    created = [(await me.tasks.create("many")).task_id for _ in range(250)]
    found = [task.task_id async for task in me.tasks.find(task_type="many")]
    assert found == created[::-1]
    assert len([task async for task in me.tasks.find(task_type="many", limit=30)]) == 30
    assert len([task async for task in me.tasks.find(task_type="many", limit=220)]) == 220


async def test_watch_with_history(me: Connection) -> None:
    task_id = (await me.tasks.create()).task_id
    await me.tasks.begin(task_id)
    async with me.tasks.watch(task_id, since_ms=1) as events:
        await me.tasks.complete(task_id)
        told = [(await anext(events)).status_changed.to_status for _ in range(3)]
    assert told == [pb.TASK_STATUS_QUEUED, pb.TASK_STATUS_RUNNING, pb.TASK_STATUS_COMPLETED]


async def test_work_can_wait_for_other_work(target: str | Gateway, me: Connection) -> None:
    part = (await me.tasks.create("part")).task_id
    whole = (await me.tasks.create("whole")).task_id
    order = []

    async def assemble() -> None:
        async with me.tasks.claim(whole) as work:
            await work.wait_for([part])
            order.append("whole")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(assemble)
        async with me.tasks.watch(whole) as events:
            while (await anext(events)).status_changed.to_status != pb.TASK_STATUS_WAITING_DEPENDENCY:
                pass
        order.append("part")
        await me.tasks.complete(part)
    assert order == ["part", "whole"]
    assert (await me.tasks.get(whole)).status == pb.TASK_STATUS_COMPLETED


async def test_run_and_work_survive_a_kill_of_the_gateway(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path).start()
    started, go_on = trio.Event(), trio.Event()
    results = []

    async def boss() -> None:
        async with agent(gateway.target, "boss") as me:
            results.append(await me.tasks.run("long", b"work", pool="pool"))

    async def worker() -> None:
        async with (
            agent(gateway.target, "worker", "pool") as me,
            me.tasks.claim(await anext(me.tasks)) as work,
        ):
            assert work.payload == b"work"
            started.set()
            await go_on.wait()
            await me.tasks.get(work.task_id)  # it is there again

    try:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(boss)
                nursery.start_soon(worker)
                await started.wait()
                gateway.kill()
                gateway.start()
                go_on.set()
    finally:
        gateway.stop()
    assert [task.status for task in results] == [pb.TASK_STATUS_COMPLETED]


# -------------------------------------------------------------------------------------------------- what others do


async def test_a_task_that_others_end_ends_its_block(
    target: str | Gateway, me: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "FOLLOW_AFTER_S", 0)
    task_id = (await me.tasks.create(pool="pool")).task_id
    async with agent(target, "worker", "pool") as worker:
        assignment = await anext(worker.tasks)

        async def go_on() -> None:
            async with worker.tasks.claim(assignment):
                await me.tasks.cancel(task_id, "enough")
                await trio.sleep_forever()

        with pytest.raises(TaskLost, match="not ours any more: cancelled: enough"):
            await go_on()
        assert (await me.tasks.get(task_id)).error == "enough"


@pytest.mark.parametrize("follow_after_s", [0, 3600], ids=["noticed", "at the end"])
async def test_a_worker_that_was_gone_for_too_long_has_lost_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, follow_after_s: float
) -> None:
    monkeypatch.setattr(work, "FOLLOW_AFTER_S", follow_after_s)
    clock, back, lost = WallClock(), trio.Event(), trio.Event()
    config = Config.development(tmp_path / "data")
    async with Gateway(config, listen=False, wall_clock=clock) as gateway, agent(gateway, "me") as me:
        link = Link(gateway)
        task_id = (await me.tasks.create(pool="pool")).task_id

        async def work_slowly() -> None:
            async with agent(link, "slow", "pool") as slow, slow.tasks.claim(await anext(slow.tasks)):
                link.cut()
                await back.wait()
                if not follow_after_s:
                    await trio.sleep_forever()

        async def lose() -> None:
            with pytest.raises(TaskLost):
                await work_slowly()
            lost.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose)
            while not (await me.tasks.get(task_id)).disconnected_at:
                pass
            async with agent(gateway, "quick", "pool") as quick:
                clock.advance(60)
                gateway.services.tasks.timers.fire_due()
                async with quick.tasks.claim(await anext(quick.tasks)) as task:
                    link.mend()
                    back.set()
                    await lost.wait()
                    task.result = "quick"
        done = await me.tasks.get(task_id)
        assert (done.status, done.metadata["_result_summary"]) == (pb.TASK_STATUS_COMPLETED, "quick")


async def test_a_task_that_others_ended_unnoticed_cannot_be_completed(me: Connection) -> None:
    task_id = (await me.tasks.create()).task_id
    with pytest.raises(TaskLost, match="cancelled → completed"):
        async with me.tasks.claim(task_id):
            await me.tasks.cancel(task_id)


async def test_a_task_that_has_ended_is_not_begun(me: Connection) -> None:
    task_id = (await me.tasks.create()).task_id
    await me.tasks.cancel(task_id, "enough")
    with pytest.raises(TaskRefused, match="claimable"):
        async with me.tasks.claim(task_id):
            raise AssertionError("it runs")
    assert (await me.tasks.get(task_id)).error == "enough"


async def test_work_pauses_until_a_message_comes(
    target: str | Gateway, me: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "FOLLOW_AFTER_S", 0)
    task_id = (await me.tasks.create()).task_id
    async with agent(target, "other") as other:

        async def answer() -> None:
            async with other.tasks.watch(task_id, since_ms=1) as events:
                while (await events.next_status()).status_changed.to_status != pb.TASK_STATUS_WAITING_INPUT:
                    pass
            await other.send("ag::w::i::me", b"yes")

        async with trio.open_nursery() as nursery, me.tasks.claim(task_id) as task:
            nursery.start_soon(answer)
            await task.pause(expected="ag::w::i::other")
            assert (await anext(me)).payload == b"yes"
            task.result = "asked"
    assert (await me.tasks.get(task_id)).metadata["_result_summary"] == "asked"


async def test_a_wait_that_takes_too_long_ends_the_block(me: Connection) -> None:
    task_id = (await me.tasks.create()).task_id
    with pytest.raises(TaskLost, match="failed: wait timeout"):
        async with me.tasks.claim(task_id) as task:
            await task.pause(timeout_s=0.05)


async def test_a_hibernated_task_comes_back_to_a_worker(target: str | Gateway, me: Connection) -> None:
    task_id = (await me.tasks.create(pool="pool")).task_id
    async with agent(target, "worker", "pool") as worker:
        async with worker.tasks.claim(await anext(worker.tasks)) as task:
            await worker.checkpoints.save(b"half", "K")
            await task.hibernate("K", wake_at_ms=1)
        async with worker.tasks.claim(await anext(worker.tasks)) as task:
            checkpoint = await worker.checkpoints.load(task.checkpoint_key)
            assert checkpoint is not None
            assert (task.task_id, checkpoint.data) == (task_id, b"half")
    assert (await me.tasks.get(task_id)).status == pb.TASK_STATUS_COMPLETED


async def test_the_error_of_a_task_is_what_went_wrong_inside(me: Connection) -> None:
    async def break_off() -> None:
        raise KeyError

    task_id = (await me.tasks.create()).task_id
    with pytest.raises(KeyError):
        async with me.tasks.claim(task_id), trio.open_nursery() as nursery:
            nursery.start_soon(break_off)
    assert (await me.tasks.get(task_id)).error == "KeyError"


# ------------------------------------------------------------------------------------------------ lost connections


async def cut_and_mend(link: Link) -> None:
    """What the gateway was told once the client is muted is carried out; the client never hears of it."""
    while not link.muted:
        await trio.lowlevel.checkpoint()
    await trio.sleep(0.1)
    link.cut()
    link.mend()


async def test_a_watch_that_has_heard_nothing_misses_nothing(target: str | Gateway, me: Connection) -> None:
    task_id = (await me.tasks.create()).task_id
    link = Link(target)
    async with agent(link, "other") as other, other.tasks.watch(task_id) as events:
        link.cut()
        await me.tasks.begin(task_id)
        await me.tasks.complete(task_id)
        link.mend()
        told = [(await events.next_status()).status_changed.to_status for _ in range(2)]
        assert told == [pb.TASK_STATUS_RUNNING, pb.TASK_STATUS_COMPLETED]
        assert (await other.tasks.wait(task_id)).status == pb.TASK_STATUS_COMPLETED


async def test_a_watch_repeats_nothing(target: str | Gateway, me: Connection) -> None:
    task_id = (await me.tasks.create()).task_id
    link = Link(target)
    told = []
    operations = iter((me.tasks.begin, me.tasks.fail, me.tasks.retry, None, me.tasks.begin, me.tasks.complete))
    async with agent(link, "other") as other, other.tasks.watch(task_id, since_ms=1) as events:
        while pb.TASK_STATUS_COMPLETED not in told:
            told.append((await events.next_status()).status_changed.to_status)
            link.cut()
            if (operate := next(operations, None)) is not None:
                await operate(task_id)
            link.mend()
    queued, running = pb.TASK_STATUS_QUEUED, pb.TASK_STATUS_RUNNING
    # A task of one's own is pending, then assigned, which looks the same.
    assert told == [queued, running, pb.TASK_STATUS_FAILED, queued, queued, running, pb.TASK_STATUS_COMPLETED]


async def test_run_outlasts_lost_answers(target: str | Gateway, me: Connection) -> None:
    link = Link(target)
    async with working(target), agent(link, "other") as other, trio.open_nursery() as nursery:
        link.mute_after(b"marker")
        nursery.start_soon(cut_and_mend, link)
        assert (await other.tasks.run("marker", pool="pool")).status == pb.TASK_STATUS_COMPLETED
    assert len([task async for task in me.tasks.find(task_type="marker")]) == 1


async def test_cancelling_run_before_its_answer_cancels_the_task(target: str | Gateway, me: Connection) -> None:
    link = Link(target)
    async with agent(link, "other") as other, trio.open_nursery() as nursery:
        link.mute_after(b"marker")
        with trio.CancelScope() as scope:

            async def cancel() -> None:
                while not link.muted:
                    await trio.lowlevel.checkpoint()
                scope.cancel()
                await cut_and_mend(link)

            nursery.start_soon(cancel)
            await other.tasks.run("marker", pool="nobody")
    [task] = [task async for task in me.tasks.find(workspace="w")]
    assert (task.task_type, task.status) == ("marker", pb.TASK_STATUS_CANCELLED)


async def test_a_claim_that_is_cancelled_before_its_answer_is_given_up(target: str | Gateway, me: Connection) -> None:
    task_id = (await me.tasks.create(pool="pool")).task_id
    link = Link(target)
    async with agent(link, "worker", "pool") as worker, trio.open_nursery() as nursery:
        assignment = await anext(worker.tasks)
        link.mute_after(task_id.encode())
        nursery.start_soon(cut_and_mend, link)
        with trio.move_on_after(0.05):
            async with worker.tasks.claim(assignment):
                raise AssertionError("it was answered")
    task = await me.tasks.get(task_id)
    assert (task.status, task.error) == (pb.TASK_STATUS_FAILED, "the worker was cancelled")


@pytest.mark.parametrize("patience_s", [60, 0.05], ids=["patient", "cancelled"])
async def test_hibernation_whose_answer_is_lost_is_hibernation(
    target: str | Gateway, me: Connection, patience_s: float
) -> None:
    task_id = (await me.tasks.create(pool="pool")).task_id
    link = Link(target)
    async with agent(link, "worker", "pool") as worker, trio.open_nursery() as nursery:
        await worker.checkpoints.save(b"half", "K")
        with trio.move_on_after(60) as scope:
            async with worker.tasks.claim(await anext(worker.tasks)) as task:
                link.mute_after(b"marker")
                nursery.start_soon(cut_and_mend, link)
                scope.deadline = trio.current_time() + patience_s
                await task.hibernate("K", resume_session_id="marker")
        assert (await me.tasks.get(task_id)).status == pb.TASK_STATUS_HIBERNATED
        await me.tasks.resume(task_id)
        await worker.tasks.complete(task_id)


async def test_run_ends_behind_messages_that_nobody_takes_meanwhile(target: str | Gateway, me: Connection) -> None:
    async def work_loudly() -> None:
        async with agent(target, "worker", "pool") as worker, worker.tasks.claim(await anext(worker.tasks)):
            for _ in range(50):
                await worker.send("ag::w::i::me", b"x" * 100_000)
            await worker.confirm()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work_loudly)
        assert (await me.tasks.run("loud", pool="pool")).status == pb.TASK_STATUS_COMPLETED


async def test_a_watch_that_nobody_reads_holds_up_the_stream_until_it_is_left(
    target: str | Gateway, me: Connection
) -> None:
    task_id = (await me.tasks.create()).task_id
    async with agent(target, "other") as other, agent(target, "idle") as idle, other.tasks.watch(task_id) as events:
        async with idle.tasks.watch(task_id):
            for number in range(100):
                await me.tasks.report(task_id, str(number), summary="x" * 40_000)
                await anext(events)
            while idle._link.held.size < 1_000_000:
                await trio.lowlevel.checkpoint()
            await me.send("ag::w::i::idle", b"behind it all")
            await me.confirm()
            assert idle._link.held.size < 3_000_000
        assert (await anext(idle)).payload == b"behind it all"


@pytest.mark.parametrize("patience_s", [60, 0.05], ids=["patient", "cancelled"])
async def test_what_was_done_is_told_however_long_it_takes(
    target: str | Gateway, me: Connection, patience_s: float
) -> None:
    task_id = (await me.tasks.create(pool="pool")).task_id
    link = Link(target)
    async with agent(link, "worker", "pool") as worker, trio.open_nursery() as nursery:
        with trio.move_on_after(60) as scope:
            async with worker.tasks.claim(await anext(worker.tasks)) as task:
                link.mute_after(b"marker")
                nursery.start_soon(cut_and_mend, link)
                task.result = "marker"
                scope.deadline = trio.current_time() + patience_s
    task_info = await me.tasks.get(task_id)
    assert (task_info.status, task_info.metadata["_result_summary"]) == (pb.TASK_STATUS_COMPLETED, "marker")


@pytest.mark.parametrize("patience_s", [60, 0.05], ids=["patient", "cancelled"])
async def test_a_failure_whose_answer_is_lost_is_of_one_attempt(
    target: str | Gateway, me: Connection, patience_s: float
) -> None:
    """The policy has it done again by the same worker before that hears that its failure was noted."""
    task_id = (await me.tasks.create(pool="pool", retry=AT_ONCE)).task_id
    link = Link(target)
    async with agent(link, "worker", "pool") as worker, trio.open_nursery() as nursery:
        with pytest.raises(ValueError, match="marker") if patience_s > 1 else trio.move_on_after(60) as scope:
            async with worker.tasks.claim(await anext(worker.tasks)):
                link.mute_after(b"marker")
                nursery.start_soon(cut_and_mend, link)
                if isinstance(scope, trio.CancelScope):
                    scope.deadline = trio.current_time() + patience_s
                raise ValueError("marker")
        async with worker.tasks.claim(await anext(worker.tasks)) as task:
            assert task.info.attempt == 1
    task_info = await me.tasks.get(task_id)
    assert (task_info.status, task_info.attempt) == (pb.TASK_STATUS_COMPLETED, 1)


async def test_a_watch_that_is_cancelled_before_its_answer_leaves_nothing(tmp_path: Path) -> None:
    async with Gateway(Config.development(tmp_path / "data"), listen=False) as gateway, agent(gateway, "me") as me:
        task_id = (await me.tasks.create()).task_id

        async def follow() -> None:
            async with me.tasks.watch(task_id):
                await trio.sleep_forever()

        for steps in range(40):  # somewhere on this way it was asked for and not answered
            async with trio.open_nursery() as nursery:
                nursery.start_soon(follow)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
        for _ in range(2):  # what the answers led to comes behind the first
            await me.tasks.get(task_id)
        assert gateway.services.tasks.watches.count(me.session_id) == 0


async def test_an_assignment_that_a_crash_kept_back_arrives(tmp_path: Path) -> None:
    """It was stored, and the worker, which goes on, never heard of it."""
    gateway = await trio.to_thread.run_sync(GatewayProcess(tmp_path).start)
    try:
        with trio.fail_after(60):
            link = Link(gateway.target)
            async with agent(gateway.target, "me") as me, agent(link, "worker", "pool") as worker:
                link.mute_after(b"marker")
                await worker.send("ag::w::i::me", b"marker")
                await anext(me)
                task_id = (await me.tasks.create(pool="pool")).task_id
                assert (await me.tasks.get(task_id)).assigned_to == "ag::w::pool::worker"
                gateway.kill()
                link.cut()
                await trio.to_thread.run_sync(gateway.start)
                link.mend()
                assert (await anext(worker.tasks)).task_id == task_id
    finally:
        await trio.to_thread.run_sync(gateway.stop)


async def test_an_assignment_that_is_told_twice_is_one(tmp_path: Path) -> None:
    """A gateway that crashed does not know what its workers heard: it tells what they have not begun again."""
    gateway = await trio.to_thread.run_sync(GatewayProcess(tmp_path).start)
    try:
        with trio.fail_after(60):
            async with agent(gateway.target, "me") as me, agent(gateway.target, "worker", "pool") as worker:
                first = (await me.tasks.create(pool="pool")).task_id
                await worker.kv.get("k")  # behind the assignment
                gateway.kill()
                await trio.to_thread.run_sync(gateway.start)
                second = (await me.tasks.create(pool="pool", idempotency_key="second")).task_id
                await worker.tasks.get(second)  # behind what it is told at connect
                assert [(await anext(worker.tasks)).task_id for _ in range(2)] == [first, second]
    finally:
        await trio.to_thread.run_sync(gateway.stop)


# ----------------------------------------------------------------------------------------------------------- budget


async def test_a_budget_that_is_used_up_slows_down_what_can_wait(tmp_path: Path) -> None:
    config = Config.development(tmp_path / "data", gateway={"task_rate_limit": 50.0})
    async with Gateway(config, listen=False) as gateway, agent(gateway, "me") as me:

        async def create_on_and_on() -> None:
            while True:
                await me.tasks.create()

        with pytest.raises(RequestRefused, match="rate limit") as caught:
            await create_on_and_on()
        assert (caught.value.retryable, caught.value.code) == (True, "ERR_RATE_LIMITED")
        task_id = (await me.tasks.create(idempotency_key="patient")).task_id
        async with me.tasks.claim(task_id) as task:
            task.result = "done"
        assert (await me.tasks.get(task_id)).status == pb.TASK_STATUS_COMPLETED
        assert list(me.errors) == []
        await me.confirm()


# ------------------------------------------------------------------------------------------------------ everything ends


@pytest.mark.parametrize("how", ["run", "claim"])
async def test_who_is_cancelled_with_its_connection_still_says_goodbye(
    target: str | Gateway, me: Connection, how: str
) -> None:
    """As on Ctrl-C: the connection lasts until its block has been left."""
    begun = trio.Event()

    async def work_on() -> None:
        async with agent(target, "worker", "pool") as worker:
            if how == "run":
                begun.set()
                await worker.tasks.run("goodbye", pool="nobody")
            else:
                async with worker.tasks.claim((await worker.tasks.create("goodbye")).task_id):
                    begun.set()
                    await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(work_on)
        await begun.wait()
        while not [task async for task in me.tasks.find(task_type="goodbye")]:
            pass
        nursery.cancel_scope.cancel()
    [task] = [task async for task in me.tasks.find(task_type="goodbye")]
    assert task.error == ("nobody waits for it any more" if how == "run" else "the worker was cancelled")


async def test_goodbyes_are_said_once_the_gateway_is_back(
    target: str | Gateway, me: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose block is cancelled while the gateway is away does not wait for it, and goes on."""
    monkeypatch.setattr(operations, "GOODBYE_S", 0.05)
    link = Link(target)
    async with agent(link, "worker", "pool") as worker:
        own = (await worker.tasks.create()).task_id
        with trio.CancelScope() as scope:
            async with worker.tasks.claim(own), trio.open_nursery() as nursery:
                nursery.start_soon(worker.tasks.run, "forsaken")
                while not [task async for task in me.tasks.find(task_type="forsaken")]:
                    pass
                link.cut()
                scope.cancel()
        link.mend()
        [forsaken] = [task async for task in me.tasks.find(task_type="forsaken")]
        ended = [await me.tasks.wait(task_id) for task_id in (own, forsaken.task_id)]
    assert [task.error for task in ended] == ["the worker was cancelled", "nobody waits for it any more"]


@pytest.mark.parametrize("fails", [False, True])
async def test_who_fails_has_not_done_the_task_that_it_has_the_token_of(
    target: str | Gateway, me: Connection, fails: bool
) -> None:
    """What it sent before it failed arrives all the same."""
    created = await me.tasks.create("job", token_for="tu::w::job::1")
    options = Options(credentials={"token": created.task_token})
    try:
        async with aether.connect_task(
            target, workspace="w", implementation="job", specifier="1", options=options
        ) as worker:
            await worker.send(to.agent("w", "i", "me"), b"last words")
            if fails:
                raise ValueError("broken")
    except ValueError:
        assert fails
    assert (await anext(me)).payload == b"last words"
    async with me.tasks.watch(created.task_id, since_ms=1) as events:
        task = await me.tasks.get(created.task_id)
        while not fails and task.status != pb.TASK_STATUS_COMPLETED:
            await events.next_status()
            task = await me.tasks.get(created.task_id)
        while fails and not task.disconnected_at:
            await trio.sleep(0.01)
            task = await me.tasks.get(created.task_id)
    assert task.status == (pb.TASK_STATUS_RUNNING if fails else pb.TASK_STATUS_COMPLETED)
