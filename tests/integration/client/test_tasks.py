"""``me.tasks``: creating, working on and following tasks with the trio client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess

import aether
from aether import Config, Gateway
from aether.client import NotFound, RequestRefused, TaskFailed, TaskRefused
from aether.proto import aether_pb2 as pb

FIXED = pb.BACKOFF_STRATEGY_FIXED


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with Gateway(Config.development(tmp_path / "data"), listen=False) as gateway:
        yield gateway


def agent(target: Gateway | str, specifier: str, implementation: str = "i") -> object:
    return aether.connect_agent(target, workspace="w", implementation=implementation, specifier=specifier)


@pytest.fixture
async def me(gateway: Gateway) -> AsyncIterator[aether.Connection]:
    async with agent(gateway, "me") as me:  # type: ignore[attr-defined]
        yield me


@asynccontextmanager
async def working(target: Gateway, fails: int = 0) -> AsyncIterator[list[bytes]]:
    """A worker of the pool ``pool`` whose first attempts fail; yields the payloads that it began with."""
    seen: list[bytes] = []

    async def work(worker: aether.Connection) -> None:
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

    async with agent(target, "worker", "pool") as worker, trio.open_nursery() as nursery:  # type: ignore[attr-defined]
        nursery.start_soon(work, worker)
        yield seen
        nursery.cancel_scope.cancel()


async def test_run_waits_for_a_worker(gateway: Gateway, me: aether.Connection) -> None:
    async with working(gateway) as seen:
        task = await me.tasks.run("sum", b"1+1", pool="pool", metadata={"a": "b"})
    assert seen == [b"1+1"]
    assert (task.status, task.metadata["_result_summary"]) == (pb.TASK_STATUS_COMPLETED, "done")


async def test_a_block_that_raises_fails_its_task_and_a_policy_tries_again(
    gateway: Gateway, me: aether.Connection
) -> None:
    retry = pb.RetryPolicy(max_attempts=3, backoff=FIXED, initial_delay_ms=10)
    async with working(gateway, fails=2) as seen:
        task = await me.tasks.run("sum", b"x", pool="pool", retry=retry)
    assert (len(seen), task.attempt, task.status) == (3, 2, pb.TASK_STATUS_COMPLETED)


async def test_run_raises_for_what_does_not_complete(gateway: Gateway, me: aether.Connection) -> None:
    async with working(gateway, fails=9):
        with pytest.raises(TaskFailed, match="failed: not yet") as caught:
            await me.tasks.run("sum", pool="pool")
    assert caught.value.task.error == "not yet"


async def test_cancelling_run_cancels_the_task(me: aether.Connection) -> None:
    with trio.move_on_after(0.1):
        await me.tasks.run("sum", pool="nobody")
    [task] = [task async for task in me.tasks.find(task_type="sum")]
    assert (task.status, task.error) == (pb.TASK_STATUS_CANCELLED, "nobody waits for it any more")


async def test_cancelling_a_block_fails_its_task(gateway: Gateway, me: aether.Connection) -> None:
    task_id = (await me.tasks.create(pool="pool")).task_id
    async with agent(gateway, "worker", "pool") as worker:  # type: ignore[attr-defined]
        assignment = await anext(worker.tasks)
        with trio.CancelScope() as scope:
            async with worker.tasks.claim(assignment):
                scope.cancel()
                await trio.sleep_forever()
    assert (await me.tasks.get(task_id)).error == "the worker was cancelled"


async def test_operations(me: aether.Connection) -> None:
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


async def test_a_refused_create_is_one_exception(me: aether.Connection) -> None:
    with pytest.raises(RequestRefused, match="not found in registry"):
        await me.tasks.create(target="ag::w::unknown::1")
    assert len(me.errors) == 0
    await me.confirm()


async def test_find_reads_page_after_page(me: aether.Connection) -> None:
    created = [(await me.tasks.create("many")).task_id for _ in range(250)]
    found = [task.task_id async for task in me.tasks.find(task_type="many")]
    assert found == created[::-1]
    assert len([task async for task in me.tasks.find(task_type="many", limit=30)]) == 30
    assert len([task async for task in me.tasks.find(task_type="many", limit=220)]) == 220


async def test_watch_with_history(me: aether.Connection) -> None:
    task_id = (await me.tasks.create()).task_id
    await me.tasks.begin(task_id)
    async with me.tasks.watch(task_id, since_ms=1) as events:
        await me.tasks.complete(task_id)
        told = [(await anext(events)).status_changed.to_status for _ in range(3)]
    assert told == [pb.TASK_STATUS_QUEUED, pb.TASK_STATUS_RUNNING, pb.TASK_STATUS_COMPLETED]


async def test_work_can_wait_for_other_work(gateway: Gateway, me: aether.Connection) -> None:
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
    address = f"127.0.0.1:{gateway.port}"
    started, go_on = trio.Event(), trio.Event()
    results = []

    async def boss() -> None:
        async with agent(address, "boss") as me:  # type: ignore[attr-defined]
            results.append(await me.tasks.run("long", b"work", pool="pool"))

    async def worker() -> None:
        async with (
            agent(address, "worker", "pool") as me,  # type: ignore[attr-defined]
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
