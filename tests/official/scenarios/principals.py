"""Every principal type of the asynchronous client, and how sessions end."""

import asyncio
import json
import sys

from scitrera_aether_client import (
    SERVICE_WILDCARD,
    AetherError,
    AsyncAgentClient,
    AsyncMetricsBridgeClient,
    AsyncOrchestratorClient,
    AsyncServiceClient,
    AsyncTaskClient,
    AsyncUserClient,
    AsyncWorkflowEngineClient,
    make_extension,
)

TARGET = sys.argv[1]


async def until(condition):
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.05)


async def main():
    seen = {"got": [], "config": {}, "disconnects": [], "signals": []}
    agent = AsyncAgentClient("w", "i", "a")
    task = AsyncTaskClient("w", "job", "t1")
    workers = [AsyncTaskClient("w", "pool"), AsyncTaskClient("w", "pool")]
    user = AsyncUserClient("alice", "w1")
    services = [AsyncServiceClient("svc", "s1"), AsyncServiceClient("svc", "s2")]
    orchestrator = AsyncOrchestratorClient("orc", ["python"], specifier="o1")
    engine, bridge = AsyncWorkflowEngineClient(), AsyncMetricsBridgeClient()
    clients = {
        "agent": agent,
        "task": task,
        "worker0": workers[0],
        "worker1": workers[1],
        "user": user,
        "service0": services[0],
        "service1": services[1],
        "orchestrator": orchestrator,
        "engine": engine,
        "bridge": bridge,
    }
    for name, client in clients.items():
        client.on_message = lambda m, name=name: seen["got"].append([name, m.payload.decode()])
        await client.connect(TARGET)
    await asyncio.sleep(0.5)
    sessions = (await engine.list_sessions(limit=100)).connections
    seen["types"] = sorted(session.type for session in sessions)
    seen["count"] = len(sessions)

    await agent.send_message_to_task("w", "job", b"to the task", unique_specifier="t1")
    for number in range(20):
        await agent.send_message_to_task("w", "pool", b"%d" % number)
    await agent.send_message_to_service("svc", "s1", b"to one service")
    for number in range(10):
        await agent.send_message_to_service("svc", SERVICE_WILDCARD, b"any%d" % number)
    await services[0].send_message_to_agent("w", "i", "a", b"from the service")
    await orchestrator.send_status_to_agent("w", "i", "a", b"from the orchestrator")
    await user.send_message_to_agent("w", "i", "a", b"from the user")
    await task.send_message_to_agent("w", "i", "a", b"from the task")
    await agent.send_broadcast_to_agents("w", b"all agents")
    await user.switch_workspace("w")
    await until(lambda: len(seen["got"]) >= 36)
    await asyncio.sleep(0.3)
    await agent.send_broadcast_to_users("w", b"all users")
    await agent.send_message_to_user_workspace("alice", "w", b"the user on w")
    await until(lambda: len(seen["got"]) >= 38)

    await agent.kv_put("k", b"stored", scope="workspace-exclusive")
    await agent.close()
    again = AsyncAgentClient("w", "i", "a")
    again.on_config = lambda config: seen["config"].update(
        {key: value.decode() for key, value in config.workspace_exclusive_kv.items()}
    )
    await again.connect(TARGET)
    await until(lambda: seen["config"])

    victim = AsyncAgentClient("w", "i", "victim")
    victim.on_disconnect = lambda reason: seen["disconnects"].append(str(reason))
    victim.on_signal = lambda signal: seen["signals"].append(signal.type)
    await victim.connect(TARGET)
    await asyncio.sleep(0.3)
    (session,) = [s for s in (await engine.list_sessions(limit=100)).connections if s.specifier == "victim"]
    await engine.disconnect_session(session.session_id, reason="maintenance")
    await until(lambda: seen["disconnects"])
    await asyncio.sleep(1.5)
    sessions = (await engine.list_sessions(limit=100)).connections
    seen["victim_back"] = any(s.specifier == "victim" for s in sessions)

    twin = AsyncAgentClient("w", "i", "a", auto_reconnect=False)
    ends = []
    twin.on_disconnect = lambda reason: ends.append(str(reason))
    try:
        await twin.connect(TARGET)
        await until(lambda: ends)
    except AetherError as error:
        ends.append(type(error).__name__)
    seen["twin_refused"] = bool(ends)
    seen["first_stays"] = (await again.connection_status("agent", "ag::w::i::a")).connected

    extension = make_extension(uri="urn:nobody:has:this", required=True)
    picky = AsyncAgentClient("w", "i", "picky", extensions=[extension], initial_backoff=0.1)
    picky_ends = []
    picky.on_disconnect = lambda reason: picky_ends.append(str(reason))
    try:
        await picky.connect(TARGET)
        await until(lambda: picky_ends)
    except AetherError as error:
        picky_ends.append(str(error))
    await asyncio.sleep(2)
    seen["picky_attempts"] = len(picky_ends)
    for client in [again, victim, twin, picky, *list(clients.values())[1:]]:
        await client.close()
    print(json.dumps(seen))


asyncio.run(main())
