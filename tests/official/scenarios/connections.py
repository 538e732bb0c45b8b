"""How connections begin and end, with either family: callbacks, refusals, extensions."""

import asyncio
import inspect
import json
import sys
import time
from pathlib import Path

import scitrera_aether_client as aether

TARGET, AUTHORITY, ADMIN_KEY, FAMILY = sys.argv[1:5]
TLS = {"tls_enabled": True, "tls_root_cert_path": AUTHORITY}
URI = "urn:nobody:has:this"


def make(name, *arguments, **options):
    return getattr(aether, ("Async" if FAMILY == "async" else "") + name)(*arguments, **options, **TLS)


async def run(result):
    return await result if inspect.isawaitable(result) else result


async def until(condition):
    for _ in range(400):
        if condition():
            return True
        await asyncio.sleep(0.05)
    return False


async def main():
    seen = {}
    api_key = aether.Credentials().with_api_key
    key = api_key(Path(ADMIN_KEY).read_text().strip())
    keeper = aether.AsyncServiceClient("aether-admin", "console", credentials=key, **TLS)
    await keeper.connect(TARGET)
    made = await keeper.create_token("worker", "Agent", workspace_patterns=["prod"])
    token = api_key(made.plaintext_token)

    extension = aether.make_extension(uri=URI, required=False)
    connects, ends = [], []
    agent = make("AgentClient", "prod", "worker", "a", credentials=token, extensions=[extension])
    agent.on_connect = lambda: connects.append(1)
    agent.on_disconnect = lambda reason: ends.append(str(reason))
    began = time.monotonic()
    await run(agent.connect(TARGET))
    await until(lambda: connects)
    seen["in_time"] = time.monotonic() - began < 10
    sessions = (await keeper.list_sessions(principal_type="agent", limit=10)).connections
    seen["session"] = [session.identity for session in sessions]
    seen["extensions"] = [list(agent.negotiated_extensions()), URI in agent.server_supported_extensions()]

    async def attempts(client, operation, identity, **wanted):
        """How often a client tries that is refused, with all its patience, and how often it hears of the end."""
        heard = []
        client.on_disconnect = lambda reason: heard.append(str(reason))
        try:
            await run(client.connect(TARGET))
            await until(lambda: heard)
        except aether.AetherError as error:
            heard.append(str(error))
        await asyncio.sleep(1.5)  # its first pauses are shorter
        rows = await keeper.audit_query(operation=operation, actor_id=identity, only_failures=True, **wanted)
        await run(client.close())
        return [rows.total_count, bool(heard)]

    quick = {"initial_backoff": 0.1, "max_backoff": 0.2}
    twin = make("AgentClient", "prod", "worker", "a", credentials=token, **quick)
    seen["twin"] = await attempts(twin, "lock_rejected", "ag::prod::worker::a")
    wrong = make("AgentClient", "prod", "worker", "b", credentials=api_key("x" * 44), **quick)
    seen["wrong_key"] = await attempts(wrong, "", "ag::prod::worker::b", event_type="auth")
    required = aether.make_extension(uri=URI, required=True)
    picky = make("AgentClient", "prod", "worker", "c", credentials=token, extensions=[required], **quick)
    seen["picky"] = (await attempts(picky, "", "ag::prod::worker::c"))[1]
    rows = await keeper.audit_query(actor_id="ag::prod::worker::c", event_type="auth", limit=10)
    seen["picky_attempts"] = rows.total_count

    async def is_connected():
        sessions = (await keeper.list_sessions(principal_type="agent", limit=10)).connections
        return [session.identity for session in sessions] == ["ag::prod::worker::a"]

    seen["first_stays"] = [list(connects), list(ends), await is_connected()]
    await keeper.disconnect_session(sessions[0].session_id, reason="maintenance")
    await until(lambda: ends)
    await asyncio.sleep(1.5)
    seen["ended"] = [ends, connects, await is_connected()]
    await run(agent.close())
    await keeper.close()
    print(json.dumps(seen))


asyncio.run(main())
