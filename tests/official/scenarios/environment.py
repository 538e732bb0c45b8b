"""A client whose TLS settings are in its environment."""

import asyncio
import json
import sys

from scitrera_aether_client import AsyncAgentClient


async def main():
    agent = AsyncAgentClient("w", "i", "a")
    await agent.connect(sys.argv[1])
    await agent.kv_put("k", b"v", scope="global-exclusive")
    value = (await agent.kv_get("k", scope="global-exclusive")).value
    await agent.close()
    print(json.dumps(value.decode()))


asyncio.run(main())
