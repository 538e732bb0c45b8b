"""The synchronous client."""

import json
import sys
import time

from scitrera_aether_client import AgentClient, ServiceClient, TaskClient

TARGET = sys.argv[1]


def until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)


messages, stored, pool = [], [], []
a, b = AgentClient("w", "i", "a"), AgentClient("w", "i", "b")
worker, service = TaskClient("w", "pool"), ServiceClient("svc", "1")
b.on_message = lambda m: messages.append(m.payload.decode())
a.on_kv_response = lambda r: stored.append(r.value.decode())
worker.on_message = lambda m: pool.append(m.payload.decode())
for client in (a, b, worker, service):
    client.connect(TARGET)
time.sleep(0.5)
for number in range(10):
    a.send_message_to_agent("w", "i", "b", b"%d" % number)
a.send_message_to_task("w", "pool", payload=b"work", unique_specifier="")
a.kv_put("k", b"v", scope="global-exclusive")
a.kv_get("k", scope="global-exclusive")
saved = a.checkpoint_save_sync(b"state")
loaded = a.checkpoint_load_sync()
until(lambda: len(messages) == 10 and len(stored) == 2 and pool)
for client in (a, b, worker, service):
    client.close()
print(
    json.dumps(
        {"messages": messages, "stored": stored, "pool": pool, "loaded": loaded.data.decode(), "saved": saved.success}
    )
)
