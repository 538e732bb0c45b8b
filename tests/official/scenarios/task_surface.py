"""What the other scenarios leave out of tasks, agents, checkpoints and workspaces, with either family of helpers."""

import asyncio
import inspect
import json
import sys

import scitrera_aether_client as aether
from scitrera_aether_client.proto import aether_pb2 as pb

TARGET, FAMILY = sys.argv[1:3]
IS_ASYNC = FAMILY == "async"
PATIENCE_S = 10


def make(name, *arguments, **options):
    return getattr(aether, ("Async" if IS_ASYNC else "") + name)(*arguments, **options)


async def run(result):
    return await result if inspect.isawaitable(result) else result


async def until(condition):
    for _ in range(20 * PATIENCE_S):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(inspect.getsource(condition))


async def main():
    seen = {}
    boss, worker = make("AgentClient", "w", "i", "boss"), make("AgentClient", "w", "pool", "1")
    assigned, events, stored, heard = [], [], [], []
    worker.on_task_assignment = assigned.append
    worker.on_message = lambda message: heard.append(message.payload.decode())
    boss.register_task_event_handler(events.append)
    for client in (boss, worker):
        await run(client.connect(TARGET))

    # whom a task is for, whether that is there or not
    seen["offline"] = []
    for policy in (aether.TARGET_OFFLINE_QUEUE, aether.TARGET_OFFLINE_REJECT):
        made = await run(
            boss.create_task_sync("later", "w", target_agent_id="ag::w::away::1", target_offline_policy=policy)
        )
        seen["offline"].append([made.success, made.error_code, made.status])
    made = await run(boss.create_task_sync("now", "w", target_agent_id="ag::w::pool::1"))
    seen["targeted"] = [made.success, made.status]
    await until(lambda: assigned)
    seen["handed"] = [assigned[0].task_id == made.task_id, assigned[0].task_type]
    await run(boss.create_task("quiet", "w", target_agent_id="ag::w::pool::1", priority=40))
    await until(lambda: len(assigned) == 2)
    seen["quiet"] = assigned[1].task_type

    # pausing and going on, of a worker that has begun with its token
    keeper = aether.AsyncAgentClient("w", "i", "keeper")
    await keeper.connect(TARGET)
    made = await keeper.create_task_sync("held", "w", target_identity="tu::w::job::1", context_id="c")
    job = make("TaskClient", "w", "job", "1", credentials=aether.Credentials.task_token(made.task_token))
    woken = []
    job.on_task_assignment = woken.append
    await run(job.connect(TARGET))

    async def has_status(status):
        for _ in range(20 * PATIENCE_S):
            if (await run(boss.get_task(made.task_id))).task.status == status:
                return True
            await asyncio.sleep(0.05)
        return False

    seen["begun"] = await has_status(pb.TASK_STATUS_RUNNING)
    subscription = await run(boss.subscribe_to_task(made.task_id, start_timestamp_unix_ms=1))
    await run(job.pause_task(made.task_id, aether.make_wait_spec(pb.WAIT_REASON_INPUT), "a question"))
    waiting = (await run(boss.get_task(made.task_id))).task
    seen["paused"] = [waiting.status, waiting.wait_spec.reason]
    seen["resumed"] = (await run(boss.resume_task(made.task_id))).task.status
    first, second = [(await run(boss.create_task_sync(name, "w"))).task_id for name in ("first", "second")]
    held = await run(job.wait_for_task(made.task_id, [first, second], wake_on_any=True, reason="parts"))
    seen["depending"] = [held.task.status, sorted(held.task.wait_spec.depends_on) == sorted([first, second])]
    await run(boss.complete_task(second))
    seen["went_on"] = await has_status(pb.TASK_STATUS_RUNNING)
    refused = await run(boss.resume_task(first))
    seen["illegal"] = [refused.success, bool(refused.error)]

    # checkpoints without an answer, and hibernation
    job.on_checkpoint_response = lambda response: stored.append(response.success)
    tail = "_nowait" if IS_ASYNC else ""
    await run(getattr(job, "checkpoint_save" + tail)(b"state", key="K"))
    await run(getattr(job, "checkpoint_load" + tail)("K"))
    await run(getattr(job, "checkpoint_list" + tail)())
    await run(getattr(job, "checkpoint_delete" + tail)("no such"))
    await until(lambda: len(stored) >= 4)
    tail = "" if IS_ASYNC else "_sync"
    asleep = await run(job.hibernate_until(made.task_id, "K", timeout_ms=60_000))
    seen["hibernated"] = [asleep.success, asleep.task.status]
    seen["awake"] = (await run(boss.resume_task(made.task_id))).task.status
    loaded = await run(getattr(job, "checkpoint_load" + tail)("K"))
    seen["state"] = [loaded.data.decode(), (await run(getattr(job, "checkpoint_delete" + tail)("K"))).success]
    await run(job.complete_task(made.task_id))
    await until(lambda: any(e.status_changed.to_status == pb.TASK_STATUS_COMPLETED for e in events))
    seen["unsubscribed"] = (await run(boss.unsubscribe_from_task(subscription.subscription_id))).success

    # finding them page by page
    found, token = [], ""
    while True:
        page = await run(boss.query_tasks(workspace="w", task_type="", limit=2, page_token=token))
        found += [task.task_type for task in page.tasks]
        token = page.next_page_token
        if not token:
            break
    seen["found"] = sorted(found)
    seen["of_context"] = (await run(boss.get_task(made.task_id))).task.context_id

    # agents, and orchestrators that are told of starts
    await keeper.close()
    keeper = make("OrchestratorClient", "orc", ["python"], specifier="o")
    starts = []
    keeper.on_task_assignment = starts.append
    await run(keeper.connect(TARGET))
    await run(keeper.register_agent("lazy", "python", "sleeps", {"a": "b"}, capabilities={"fast": True}))
    await run(keeper.update_agent("lazy", "python", "sleeps well", {"a": "c"}))
    agent = (await run(keeper.get_agent("lazy"))).agent
    seen["agent"] = [agent.description, agent.launch_params["a"]]
    listed = await run(keeper.agent_op(pb.AgentOperation(op=pb.AgentOperation.LIST_ORCHESTRATORS)))
    seen["orchestrators"] = [one.orchestrator_id for one in listed.orchestrators]
    launched = await run(keeper.launch_agent("lazy", "w", "1", {"a": "d"}))
    await until(lambda: starts)
    seen["launched"] = [launched.success, starts[0].specifier, starts[0].launch_params["a"]]
    seen["again"] = (await run(keeper.launch_agent("lazy", "w", "1"))).success
    await run(keeper.fail_task(starts[0].task_id, "no such program"))
    seen["start"] = (await run(keeper.get_task(starts[0].task_id))).task.error
    seen["deleted"] = [(await run(keeper.delete_agent("lazy"))).success, (await run(keeper.get_agent("lazy"))).success]
    await run(keeper.send_status_to_agent("w", "pool", "1", b"to the agent"))
    await until(lambda: heard)
    seen["heard"] = heard

    # workspaces
    asked = pb.WorkspaceOperation(op=pb.WorkspaceOperation.LIST)
    seen["workspaces"] = [info.workspace_id for info in (await run(keeper.workspace_op(asked))).workspaces]

    print(json.dumps(seen), flush=True)
    for client in (keeper, job, worker, boss):
        await run(client.close())


asyncio.run(main())
