"""Clients that live through what happens to the gateway; the test restarts it when it reads "ready"."""

import asyncio
import json
import sys

from scitrera_aether_client import AsyncAgentClient, AsyncOrchestratorClient

TARGET = sys.argv[1]


async def registrations(keeper, identity):
    """Of each session of an identity, the oldest first: its id, and that of the one it says it was before."""
    rows = (await keeper.audit_query(operation="lock_acquired", actor_id=identity)).entries
    return [[row.session_id, json.loads(row.metadata_json).get("resume_session_id")] for row in reversed(rows)]


async def main():
    received, ended = [], []
    a, b = AsyncAgentClient("w", "i", "a"), AsyncAgentClient("w", "i", "b")
    b.on_message = lambda m: received.append(m.payload.decode())
    twin = AsyncAgentClient("w", "i", "b")
    twin.on_disconnect = ended.append
    for client in (a, b):
        await client.connect(TARGET)
    await asyncio.sleep(0.5)
    await twin.connect(TARGET)
    await asyncio.sleep(0.5)
    for number in range(50):
        await a.send_message_to_agent("w", "i", "b", b"%d" % number)
    await a.kv_put("k", b"before", scope="global-exclusive")
    await asyncio.sleep(0.3)  # cursors follow what the transport confirmed, a moment later
    await b.close()
    await asyncio.sleep(0.3)
    for number in range(50, 100):
        await a.send_message_to_agent("w", "i", "b", b"%d" % number)
    barrier = await a.kv_get("k", scope="global-exclusive")
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    again = AsyncAgentClient("w", "i", "b")
    again.on_message = lambda m: received.append(m.payload.decode())
    await again.connect(TARGET)
    for _ in range(300):
        if len(received) >= 100:
            break
        await asyncio.sleep(0.05)
    value = None
    while value is None:
        value = await a.kv_get("k", scope="global-exclusive", timeout=1)
    keeper = AsyncOrchestratorClient("orc", ["python"])
    await keeper.connect(TARGET)
    resumed = await registrations(keeper, "ag::w::i::a")
    print(
        json.dumps(
            {
                "resumed": resumed,
                "received": received,
                "twin": ended,
                "before": barrier.value.decode(),
                "after": value.value.decode(),
            }
        ),
        flush=True,
    )
    await a.close()
    await again.close()
    await keeper.close()


asyncio.run(main())
