"""Workers that come with the token of their task, and lists of many tasks, with both clients."""

import asyncio
import json
import sys

from scitrera_aether_client import AsyncAgentClient, AsyncTaskClient, Credentials, TaskClient, make_wait_spec
from scitrera_aether_client.proto import aether_pb2 as pb

TARGET = sys.argv[1]
RUNNING, COMPLETED = 2, 3


def work(worker, task_id, other):
    worker.report_progress(task_id, state="working", completion=0.5, summary="half")
    spec = make_wait_spec(pb.WAIT_REASON_INPUT, expected_principal="us::alice", timeout_ms=60_000)
    paused = worker.pause_task(task_id, spec).task
    resumed = worker.resume_task(task_id).task
    waiting = worker.wait_for_task(task_id, [other]).task
    return [paused.status, paused.wait_spec.expected_principal, resumed.status, list(waiting.depends_on) == [other]]


def hibernate(worker, task_id):
    refused = worker.hibernate_until(task_id, "K").error
    worker.checkpoint_save_sync(b"state", key="K")
    return [refused, worker.hibernate_until(task_id, "K", timeout_ms=60_000).task.status]


async def main():
    seen = {}
    boss = AsyncAgentClient("w", "i", "boss")
    await boss.connect(TARGET)

    async def until(task_id, status):
        for _ in range(200):
            found = (await boss.get_task(task_id)).task.status
            if found == status:
                return True
            await asyncio.sleep(0.05)
        return found

    async def create(specifier):
        return await boss.create_task_sync("job", "w", target_identity=f"tu::w::job::{specifier}")

    # It runs as soon as its worker is there.
    made = await create("1")
    seen["token"] = [made.success, len(made.task_token)]
    worker = AsyncTaskClient("w", "job", "1", credentials=Credentials.task_token(made.task_token))
    await worker.connect(TARGET)
    seen["running"] = await until(made.task_id, RUNNING)
    part = await worker.create_task_sync("part", "w")
    seen["parent"] = (await boss.get_task(part.task_id)).task.parent_task_id == made.task_id
    seen["completed"] = (await worker.complete_task(made.task_id)).task.status
    await worker.close()

    # The token ends with its task, and is for one identity.
    async def is_refused(specifier, token):
        ended, admitted = asyncio.Event(), asyncio.Event()
        other = AsyncTaskClient("w", "job", specifier, credentials=Credentials.task_token(token))
        other.on_connect, other.on_disconnect = admitted.set, lambda _: ended.set()
        await other.connect(TARGET)
        await asyncio.wait_for(ended.wait(), 10)
        return not admitted.is_set()

    seen["afterwards"] = await is_refused("1", made.task_token)
    second = await create("2")
    seen["stolen"] = await is_refused("3", second.task_token)

    # A worker whose task was cancelled is told so, and does not come back.
    worker = AsyncTaskClient("w", "job", "2", credentials=Credentials.task_token(second.task_token))
    await worker.connect(TARGET)
    await until(second.task_id, RUNNING)
    await boss.cancel_task(second.task_id, "enough")
    seen["cancelled"] = (await worker.complete_task(second.task_id)).error
    await worker.close()
    seen["over"] = await is_refused("2", second.task_token)

    # The synchronous client, which cannot claim, has its task running by its token.
    third = await create("4")
    events = asyncio.Queue()
    boss.register_task_event_handler(events.put_nowait)
    subscription = await boss.subscribe_to_task(third.task_id, start_timestamp_unix_ms=1)
    sync = TaskClient("w", "job", "4", credentials=Credentials.task_token(third.task_token))
    await asyncio.to_thread(sync.connect, TARGET)
    seen["sync_running"] = await until(third.task_id, RUNNING)
    other = (await boss.create_task_sync("other", "w")).task_id
    seen["sync"] = await asyncio.to_thread(work, sync, third.task_id, other)
    await boss.complete_task(other)
    await until(third.task_id, RUNNING)
    seen["sync_hibernated"] = await asyncio.to_thread(hibernate, sync, third.task_id)
    await boss.resume_task(third.task_id)
    completed = await asyncio.to_thread(sync.complete_task, third.task_id)
    seen["sync_completed"] = completed.task.status
    seen["story"] = []
    while not {COMPLETED, "working"} <= set(seen["story"]):
        event = await asyncio.wait_for(events.get(), 10)
        if event.subscription_id == subscription.subscription_id:
            progress = event.HasField("progress")
            seen["story"].append(event.progress.state if progress else event.status_changed.to_status)
    await asyncio.to_thread(sync.close)

    # Without a request id there is no answer, and pages neither repeat nor leave out.
    for number in range(250):
        await boss.create_task("many", "w", metadata={"number": str(number)})
    found, token, pages = [], "", 0
    while pages == 0 or token:
        page = await boss.query_tasks(workspace="w", task_type="many", limit=60, page_token=token)
        found += [int(task.metadata["number"]) for task in page.tasks]
        token, pages = page.next_page_token, pages + 1
    seen["pages"] = [pages, len(found), sorted(found) == list(range(250))]
    seen["offset"] = len((await boss.query_tasks(workspace="w", task_type="many", limit=100, offset=200)).tasks)
    print(json.dumps(seen), flush=True)
    await boss.close()


asyncio.run(main())
