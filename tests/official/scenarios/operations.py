"""Operations side by side: everybody gets the answer to its own question."""

import asyncio
import json
import sys

from scitrera_aether_client import AetherError, AsyncAdminClient, AsyncAgentClient, AsyncOrchestratorClient
from scitrera_aether_client.proto import aether_pb2 as pb

TARGET = sys.argv[1]
SCOPES = (
    "global",
    "workspace",
    "user",
    "user-workspace",
    "global-exclusive",
    "workspace-exclusive",
    "user-shared",
    "user-workspace-shared",
)


async def main():
    seen = {}
    agent = AsyncAgentClient("w", "i", "a")
    keeper = AsyncOrchestratorClient("orc", ["python"], specifier="o")
    for client in (agent, keeper):
        await client.connect(TARGET)
    admin = AsyncAdminClient(keeper)

    await keeper.acl_grant("agent", "ag::w::i::a", "kv_scope", "*", 20, "me")
    values = {}
    for scope in SCOPES:
        place = {"scope": scope, "user_id": "u" if "user" in scope else ""}
        await agent.kv_put("k", scope.encode(), **place)
        await agent.kv_put("other", b"v", **place)
        listed = await agent.kv_list("k", **place)
        value = (await agent.kv_get("k", **place)).value.decode()
        deleted = (await agent.kv_delete("k", **place)).success
        gone = (await agent.kv_get("k", **place)).value == b""
        values[scope] = [list(listed.keys), listed.kv_map["k"].decode(), value, deleted, gone]
    seen["values"] = values
    for number in range(10):
        await agent.kv_put(f"n{number}", b"%d" % number, scope="global-exclusive")
    answers = await asyncio.gather(*(agent.kv_get(f"n{number}", scope="global-exclusive") for number in range(10)))
    seen["own_values"] = [answer.value.decode() for answer in answers]

    await agent.checkpoint_save(b"1")
    await agent.checkpoint_save(b"2", key="short", ttl=1)
    seen["checkpoints"] = [
        sorted((await agent.checkpoint_list()).keys),
        (await agent.checkpoint_load("")).data.decode(),
    ]
    deleted = (await agent.checkpoint_delete("")).success
    absent = await agent.checkpoint_load("")
    seen["checkpoints"] += [deleted, [absent.success, absent.saved_at]]
    await asyncio.sleep(1.1)
    seen["checkpoints"].append(list((await agent.checkpoint_list()).keys))

    made = await asyncio.gather(*(admin.create_workspace(f"ws{number}", f"name {number}") for number in range(10)))
    seen["made"] = all(response.success for response in made)

    async def of_a_workspace(number):
        response = await admin.get_workspace(f"ws{number}")
        return [response.success, response.workspace.display_name]

    async def of_an_agent(number):
        if number < 10:
            await keeper.register_agent(f"impl{number}")
        response = await keeper.get_agent(f"impl{number}")
        return [response.success, response.agent.implementation]

    async def of_a_rule(number):
        made = await keeper.acl_grant("user", f"u{number}", "workspace", "w", 10, "me")
        return [made.success, made.rule.principal_id]

    calls = [of_a_workspace(number) for number in range(10)] + [of_a_rule(number) for number in range(10)]
    answers = await asyncio.gather(*calls, *(of_an_agent(number) for number in range(11)))
    seen["workspaces"], seen["rules"], seen["agents"] = answers[:10], answers[10:20], answers[20:]

    await keeper.acl_grant("agent", "ag::w::i::a", "capability", "capability/query_connections", 30, "me")
    online = await agent.connection_status("agent", "ag::w::i::a")
    offline = await agent.connection_status("agent", "ag::w::i::nobody")
    seen["status"] = [online.ok, online.connected, offline.ok, offline.connected]

    def question(number, workspace="w"):
        return pb.ResourceAccessRequest(
            resource_type="workspace",
            resource_id=workspace,
            required_access_level=10 if number % 2 else 50,
            correlation_id=str(number),
        )

    refused = await agent.check_access(question(0))
    seen["refused"] = [refused.allowed, refused.decision]
    receipts = await agent.batch_check_access([question(number) for number in range(100)])
    seen["in_order"] = [receipt.request.correlation_id for receipt in receipts] == [
        str(number) for number in range(100)
    ]
    seen["alternating"] = [receipt.allowed for receipt in receipts] == [False, True] * 50
    for name, count in (("none", 0), ("too_many", 101)):
        try:
            await agent.batch_check_access([question(number) for number in range(count)])
            seen[name] = "answered"
        except (AetherError, ValueError) as error:
            seen[name] = type(error).__name__

    for client in (agent, keeper):
        await client.close()
    print(json.dumps(seen))


asyncio.run(main())
