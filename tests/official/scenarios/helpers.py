"""Every helper that sends, of either family: who hears what, of which type, from whom."""

import asyncio
import inspect
import json
import sys

import scitrera_aether_client as aether
from scitrera_aether_client.metrics import new_metric
from scitrera_aether_client.proto import aether_pb2 as pb

TARGET, FAMILY = sys.argv[1:3]
HANDLERS = ("on_chat_message", "on_control_message", "on_tool_call", "on_event", "on_metric")


def make(name, *arguments, **options):
    return getattr(aether, ("Async" if FAMILY == "async" else "") + name)(*arguments, **options)


async def run(result):
    return await result if inspect.isawaitable(result) else result


async def until(condition):
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.05)


async def main():
    heard, typed, errors = [], [], []
    clients = {
        "a": make("AgentClient", "w", "i", "a"),
        "b": make("AgentClient", "w", "i", "b"),
        "task": make("TaskClient", "w", "job", "t"),
        "worker": make("TaskClient", "w", "pool"),
        "alice": make("UserClient", "alice", "w1"),
        "bob": make("UserClient", "bob", "w1"),
        "s1": make("ServiceClient", "svc", "s1"),
        "s2": make("ServiceClient", "svc", "s2"),
        "keeper": make("OrchestratorClient", "orc", ["python"], specifier="o"),
        "engine": make("WorkflowEngineClient"),
        "bridge": make("MetricsBridgeClient"),
    }

    def told(name):
        def on_message(message):
            payload = "metric" if message.message_type == pb.METRIC else message.payload.decode()
            source = message.source_topic.split("::")[0]
            heard.append([payload, name, message.message_type, source])

        return on_message

    for name, client in clients.items():
        client.on_message = told(name)
        for handler in HANDLERS:
            setattr(client, handler, lambda m, handler=handler: typed.append([handler, m.message_type]))
        client.on_error = lambda e, name=name: errors.append([name, e.code])
        await run(client.connect(TARGET))
    await asyncio.sleep(0.5)
    await run(clients["alice"].switch_workspace("w"))
    await run(clients["bob"].switch_workspace("old"))
    await run(clients["bob"].switch_workspace("w2"))
    for name in ("alice", "bob"):  # answered after the switch
        client = clients[name]
        await run(client.checkpoint_list() if FAMILY == "async" else client.checkpoint_list_sync())
    metric = new_metric().trace("t").add("tokens", "input", 3.0).build()

    async def send(sender, helper, *arguments, payload=None, **options):
        if not hasattr(clients[sender], helper):
            return
        payload = payload if payload is not None else f"{sender}.{helper}".encode()
        await run(getattr(clients[sender], helper)(*arguments, payload=payload, **options))

    for sender in ("a", "task", "alice", "s1"):
        await send(sender, "send_message_to_agent", "w", "i", "b")
        await send(sender, "send_message_to_task", "w", "job", unique_specifier="t")
        await send(sender, "send_message_to_task", "w", "pool", payload=f"{sender}.pool".encode())
        await send(sender, "send_message_to_user_session", "alice", "w1")
    for sender in ("a", "alice", "s1", "engine"):
        await send(sender, "send_message_to_user_workspace", "alice", "w")
    for sender in ("s1", "engine"):
        await send(sender, "send_message_to_user_broadcast", "alice")
    await send("engine", "send_message_to_user", "alice", "w1")
    for sender in ("a", "engine"):
        await send(sender, "send_broadcast_to_agents", "w")
        await send(sender, "send_broadcast_to_users", "w")
        await send(sender, "send_broadcast_to_users", "old", payload=b"to whom has left")
        await send(sender, "send_broadcast_to_users", "w2", payload=f"{sender}.elsewhere".encode())
    for sender in ("a", "s1"):
        await send(sender, "send_message_to_service", "svc", "s2")
        if hasattr(clients[sender], "send_message_to_service"):
            await send(sender, "send_message_to_service", "svc", aether.SERVICE_WILDCARD, payload=b"any")
    for sender in ("a", "task", "s1"):
        await send(sender, "send_event")
    for client in (clients[name] for name in ("a", "task", "engine", "s1")):
        if hasattr(client, "send_metric"):
            await run(client.send_metric(metric))
    for kind in ("agent", "task"):
        place = ("w", "i", "b") if kind == "agent" else ("w", "job")
        options = {} if kind == "agent" else {"unique_specifier": "t"}
        await send("keeper", f"send_status_to_{kind}", *place, **options)
        await send("engine", f"send_command_to_{kind}", *place, **options)
    for number, kind in enumerate((pb.CHAT, pb.CONTROL, pb.TOOL_CALL)):
        await send("a", "send_message_to_agent", "w", "i", "b", payload=b"typed_%d" % number, message_type=kind)
    await send("bridge", "send_acknowledgment", "ag::w::i::b")
    question = pb.ResourceAccessRequest(resource_type="workspace", resource_id="w", required_access_level=20)
    await send("a", "send_checked_message", "ag::w::i::b", checked_access=question)
    await send("a", "send_message_to_agent", "w", "i", "b", payload=b"last")
    await until(lambda: any(entry[0] == "last" for entry in heard) and errors)
    await asyncio.sleep(0.5)
    for client in clients.values():
        await run(client.close())
    print(json.dumps({"heard": sorted(heard), "typed": sorted(typed), "errors": errors}))


asyncio.run(main())
