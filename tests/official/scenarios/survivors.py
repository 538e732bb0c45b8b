"""Both clients live through the end of their connection and hear what is sent to them afterwards; the test ends it when
it reads "ready" and says "go" when messages are on their way."""

import asyncio
import json
import sys
import threading
import time

from scitrera_aether_client import AgentClient, AsyncAgentClient

TARGET, EXPECTED = sys.argv[1], int(sys.argv[2])


def main():
    received = {"async": [], "sync": []}

    def done():
        return all(len(set(got)) >= EXPECTED for got in received.values())

    async def asynchronous():
        client = AsyncAgentClient("w", "i", "async")
        client.on_message = lambda m: received["async"].append(m.payload.decode())
        await client.connect(TARGET)
        for _ in range(1200):
            if done():
                break
            await asyncio.sleep(0.05)
        await client.close()

    sync = AgentClient("w", "i", "sync")
    sync.on_message = lambda m: received["sync"].append(m.payload.decode())
    sync.connect(TARGET)
    thread = threading.Thread(target=asyncio.run, args=(asynchronous(),))
    thread.start()
    time.sleep(0.7)
    print("ready", flush=True)
    thread.join()
    sync.close()
    print(json.dumps(received), flush=True)


main()
