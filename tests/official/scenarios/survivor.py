"""A client that lives through the end of its connection and hears what is sent to it afterwards; the test ends the
connection when it reads "ready"."""

import asyncio
import json
import sys
import time

from scitrera_aether_client import AgentClient, AsyncAgentClient

TARGET, KIND, EXPECTED = sys.argv[1], sys.argv[2], int(sys.argv[3])
PATIENCE_S = 90

received = []


def hear(message):
    received.append(message.payload.decode())
    if len(received) == 1:
        print("ready", flush=True)


def is_done():
    return len(set(received)) >= EXPECTED


async def asynchronous():
    client = AsyncAgentClient("w", "i", KIND)
    client.on_message = hear
    await client.connect(TARGET)
    for _ in range(20 * PATIENCE_S):
        if is_done():
            break
        await asyncio.sleep(0.05)
    await client.close()


def synchronous():
    client = AgentClient("w", "i", KIND)
    client.on_message = hear
    client.connect(TARGET)
    for _ in range(20 * PATIENCE_S):
        if is_done():
            break
        time.sleep(0.05)
    client.close()


if KIND == "async":
    asyncio.run(asynchronous())
else:
    synchronous()
print(json.dumps(received), flush=True)
