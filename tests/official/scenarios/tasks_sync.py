"""Tasks with the helpers of the synchronous client."""

import json
import queue
import sys

from scitrera_aether_client import AgentClient

TARGET = sys.argv[1]
PATIENCE_S = 10

seen = {}
boss, worker = AgentClient("w", "i", "boss"), AgentClient("w", "pool", "1")
assigned, events = queue.Queue(), queue.Queue()
worker.on_task_assignment = assigned.put
boss.register_task_event_handler(events.put)
for client in (boss, worker):
    client.connect(TARGET)

created = boss.create_task_sync("sum", "w", target_implementation="pool", payload=b"1+1")
seen["created"] = [created.success, created.status]
got = assigned.get(timeout=PATIENCE_S)
seen["assigned"] = [got.task_id == created.task_id, got.payload.decode()]
seen["subscribed"] = boss.subscribe_to_task(created.task_id).success
seen["completed"] = worker.complete_task(created.task_id).success
seen["told"] = events.get(timeout=PATIENCE_S).status_changed.to_status
boss.create_task("quiet", "w", target_implementation="pool")
seen["quiet"] = assigned.get(timeout=PATIENCE_S).task_type
own = boss.create_task_sync("own", "w")
seen["rejected"] = boss.reject_task(own.task_id, "no").task.status
other = boss.create_task_sync("other", "w")
seen["failed"] = boss.fail_task(other.task_id, "broke").task.error
seen["retried"] = boss.retry_task(other.task_id).task.status
seen["cancelled"] = boss.cancel_task(other.task_id).task.status
listed = boss.query_tasks(workspace="w", status="completed")
seen["listed"] = [task.task_type for task in listed.tasks]
print(json.dumps(seen), flush=True)
for client in (worker, boss):
    client.close()
