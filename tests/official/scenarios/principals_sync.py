"""Every principal type of the synchronous client."""

import json
import sys
import time

from scitrera_aether_client import (
    AgentClient,
    MetricsBridgeClient,
    OrchestratorClient,
    ServiceClient,
    TaskClient,
    UserClient,
    WorkflowEngineClient,
    new_metric,
)

TARGET = sys.argv[1]


def until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)


got = []
clients = {
    "agent": AgentClient("w", "i", "a"),
    "task": TaskClient("w", "job", "t1"),
    "user": UserClient("alice", "w1"),
    "service": ServiceClient("svc", "s1"),
    "orchestrator": OrchestratorClient("orc", ["python"], specifier="o1"),
    "engine": WorkflowEngineClient(),
    "bridge": MetricsBridgeClient(),
}
for name in ("agent", "task", "user"):
    clients[name].on_message = lambda m, name=name: got.append([name, m.source_topic.split("::")[0]])
clients["engine"].on_event = lambda m: got.append(["engine", m.payload.decode()])
clients["bridge"].on_metric = lambda m: got.append(["bridge", m.source_topic.split("::")[0]])
for client in clients.values():
    client.connect(TARGET)
time.sleep(0.5)
agent = clients["agent"]
clients["task"].send_message_to_agent("w", "i", "a", b"x")
clients["user"].send_message_to_agent("w", "i", "a", b"x")
clients["service"].send_message_to_agent("w", "i", "a", b"x")
clients["orchestrator"].send_status_to_agent("w", "i", "a", b"x")
agent.send_message_to_task("w", "job", payload=b"x", unique_specifier="t1")
agent.send_message_to_user_session("alice", "w1", b"x")
agent.send_event(b"happened")
agent.send_metric(new_metric().trace("t").add("tokens", "input", 3.0).build())
until(lambda: len(got) >= 8)
for client in clients.values():
    client.close()
print(json.dumps(sorted(got)))
