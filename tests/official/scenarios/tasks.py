"""Tasks, and agents that are started for them, with the helpers of the asynchronous client."""

import asyncio
import json
import sys

from scitrera_aether_client import AsyncAgentClient, AsyncOrchestratorClient
from scitrera_aether_client.proto import aether_pb2 as pb

TARGET = sys.argv[1]


async def main():
    seen = {}
    boss = AsyncAgentClient("w", "i", "boss")
    worker = AsyncAgentClient("w", "pool", "1")
    assigned, events, notices = asyncio.Queue(), asyncio.Queue(), asyncio.Queue()
    worker.on_task_assignment = assigned.put_nowait
    boss.register_task_event_handler(events.put_nowait)
    boss.on_progress = notices.put_nowait
    await boss.connect(TARGET)
    await worker.connect(TARGET)

    created = await boss.create_task_sync(
        "sum", "w", target_implementation="pool", payload=b"1+1", metadata={"a": "b"}, priority=40
    )
    seen["created"] = [created.success, created.status]
    got = await asyncio.wait_for(assigned.get(), 10)
    seen["assigned"] = [got.task_id == created.task_id, got.payload.decode(), got.workspace, dict(got.metadata)]
    subscription = await boss.subscribe_to_task(created.task_id)
    seen["subscribed"] = subscription.success
    claimed = await worker.claim_task(created.task_id)
    seen["claimed"] = [claimed.success, claimed.task.status]
    await worker.report_progress(created.task_id, state="working", completion=0.5, summary="half")
    waiting = await boss.create_task_sync("part", "w")
    paused = await worker.wait_for_task(created.task_id, [waiting.task_id])
    seen["waiting"] = [paused.success, paused.task.status]
    await boss.complete_task(waiting.task_id)
    await worker.complete_task(created.task_id)
    seen["statuses"] = []
    while not seen["statuses"] or seen["statuses"][-1] != pb.TASK_STATUS_COMPLETED:
        event = await asyncio.wait_for(events.get(), 10)
        if event.HasField("status_changed"):
            seen["statuses"].append(event.status_changed.to_status)
        elif event.HasField("progress"):
            seen["progress"] = [event.progress.state, event.progress.message]
    seen["unsubscribed"] = (await boss.unsubscribe_from_task(subscription.subscription_id)).success
    states = []
    while "completed" not in states:
        update = await asyncio.wait_for(notices.get(), 10)
        if update.task_id == created.task_id:
            states.append(update.state)
    seen["notices"] = states

    retry = pb.RetryPolicy(max_attempts=2, backoff=pb.BACKOFF_STRATEGY_FIXED, initial_delay_ms=50)
    tried = await boss.create_task_sync("try", "w", target_implementation="pool", retry_policy=retry)
    for _ in range(2):
        await asyncio.wait_for(assigned.get(), 10)
        await worker.fail_task(tried.task_id, "broke")
    info = (await boss.get_task(tried.task_id)).task
    seen["failed"] = [info.status, info.attempt, info.error]
    seen["retried"] = (await boss.retry_task(tried.task_id)).success
    await asyncio.wait_for(assigned.get(), 10)
    seen["rejected"] = (await worker.reject_task(tried.task_id, "no")).task.status
    own = await boss.create_task_sync("own", "w")
    await boss.claim_task(own.task_id)
    spec = pb.WaitSpec(reason=pb.WAIT_REASON_INPUT)
    seen["paused"] = (await boss.pause_task(own.task_id, spec)).task.status
    seen["resumed"] = (await boss.resume_task(own.task_id)).task.status
    await boss.checkpoint_save(b"state", key="K")
    seen["hibernated"] = (await boss.hibernate_until(own.task_id, "K", timeout_ms=60_000)).task.status
    seen["cancelled"] = (await boss.cancel_task(own.task_id, "enough")).task.status
    ended = await boss.query_tasks(workspace="w", statuses=["completed", "cancelled"])
    seen["listed"] = sorted(task.task_type for task in ended.tasks)
    unknown = await boss.get_task("unknown")
    seen["unknown"] = [unknown.success, unknown.error]

    keeper = AsyncOrchestratorClient("orc", ["python"], specifier="o1")
    starts = asyncio.Queue()
    keeper.on_task_assignment = starts.put_nowait
    await keeper.connect(TARGET)
    registered = await keeper.register_agent("lazy", profile="python", launch_params={"module": "m"})
    seen["registered"] = registered.success
    seen["agents"] = [agent.implementation for agent in (await keeper.list_agents()).agents]
    await boss.send_message_to_agent("w", "lazy", "1", b"wake up")
    start = await asyncio.wait_for(starts.get(), 10)
    seen["start"] = [start.task_type, start.profile, start.specifier, start.launch_params["module"]]
    from scitrera_aether_client import Credentials

    lazy = AsyncAgentClient("w", "lazy", "1", credentials=Credentials.task_token(start.launch_params["auth_token"]))
    messages = asyncio.Queue()
    lazy.on_message = messages.put_nowait
    await lazy.connect(TARGET)
    seen["held"] = (await asyncio.wait_for(messages.get(), 10)).payload.decode()
    seen["running"] = (await keeper.get_task(start.task_id)).task.status
    seen["launched"] = (await keeper.launch_agent("lazy", workspace="w", specifier="2")).success
    seen["deleted"] = (await keeper.delete_agent("lazy")).success
    print(json.dumps(seen), flush=True)
    for client in (lazy, keeper, worker, boss):
        await client.close()


asyncio.run(main())
