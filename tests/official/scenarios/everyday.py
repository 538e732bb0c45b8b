"""What most programs do with the asynchronous client."""

import asyncio
import json
import sys

from scitrera_aether_client import (
    AsyncAgentClient,
    AsyncMetricsBridgeClient,
    AsyncUserClient,
    AsyncWorkflowEngineClient,
)
from scitrera_aether_client.metrics import new_metric

TARGET = sys.argv[1]


async def until(condition):
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.05)


async def main():
    seen = {"messages": [], "events": [], "metrics": [], "errors": [], "user": [], "progress": []}
    a, b = AsyncAgentClient("w", "i", "a"), AsyncAgentClient("w", "i", "b")
    user = AsyncUserClient("alice", "w1")
    engine, bridge = AsyncWorkflowEngineClient(), AsyncMetricsBridgeClient()
    b.on_message = lambda m: seen["messages"].append([m.source_topic, m.payload.decode()])
    b.on_progress = lambda p: seen["progress"].append([p.source, p.state])
    engine.on_event = lambda m: seen["events"].append(m.payload.decode())
    bridge.on_metric = lambda m: seen["metrics"].append(m.source_topic)
    user.on_message = lambda m: seen["user"].append(m.payload.decode())
    a.on_error = lambda e: seen["errors"].append(e.code)
    clients = [a, b, user, engine, bridge]
    for client in clients:
        await client.connect(TARGET)
    await asyncio.sleep(0.5)

    for number in range(20):
        await a.send_message_to_agent("w", "i", "b", b"%d" % number)
    await a.send_event(b"happened")
    await a.send_metric(new_metric().trace("t").add("tokens", "input", 3.0).build())
    await a.send_message_to_user_session("alice", "w1", b"hello")
    await a.send_message_to_agent("w", "i", "*", b"x")
    await a.report_progress(task_id="", state="working")

    kv = {}
    for scope, arguments in {
        "global": {},
        "workspace": {},
        "user": {"user_id": "u"},
        "user-workspace": {"user_id": "u"},
        "global-exclusive": {},
        "workspace-exclusive": {},
        "user-shared": {"user_id": "u"},
        "user-workspace-shared": {"user_id": "u"},
    }.items():
        await a.kv_put("k", scope.encode(), scope=scope, **arguments)
        kv[scope] = (await a.kv_get("k", scope=scope, **arguments)).value.decode()
    counted = await asyncio.gather(*(a.kv_increment("n", scope="global-exclusive") for _ in range(50)))
    guarded = [await a.kv_increment_if("g", delta=1, ceiling=2, scope="global-exclusive") for _ in range(3)]
    listed = sorted((await a.kv_list(scope="global-exclusive")).keys)
    await a.checkpoint_save(b"state")
    loaded = await a.checkpoint_load()
    keys = list((await a.checkpoint_list()).keys)
    await until(
        lambda: len(seen["messages"]) == 20 and seen["events"] and seen["metrics"] and seen["user"] and seen["errors"]
    )
    await until(lambda: seen["progress"])
    status = await a.connection_status("agent", "ag::w::i::a")
    for client in clients:
        await client.close()
    print(
        json.dumps(
            seen
            | {
                "kv": kv,
                "counters": sorted(response.counter_value for response in counted),
                "guarded": guarded,
                "listed": listed,
                "checkpoint": [loaded.data.decode(), keys],
                "status": [status.ok, status.connected],
            }
        )
    )


asyncio.run(main())
