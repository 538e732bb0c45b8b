"""Access rules with the helpers of the asynchronous client."""

import asyncio
import json
import sys

from scitrera_aether_client import (
    AetherError,
    AsyncAdminClient,
    AsyncAgentClient,
    AsyncOrchestratorClient,
)
from scitrera_aether_client.proto import aether_pb2 as pb

TARGET = sys.argv[1]
RULE = ("user", "alice", "workspace", "w")
UNKNOWN = pb.AuthorizationContext(
    authority_mode="on_behalf_of",
    subject=pb.PrincipalRef(principal_type="user", principal_id="alice"),
    grant_id="unknown",
)


async def main():
    seen = {}
    keeper = AsyncOrchestratorClient("orc", ["python"], specifier="o1")
    agent = AsyncAgentClient("w", "i", "a")
    for client in (keeper, agent):
        await client.connect(TARGET)
    granted = await keeper.acl_grant(*RULE, 30, "me", reason="on call")
    rule_id = granted.rule.rule_id
    seen["granted"] = [granted.success, granted.rule.access_level_name, granted.rule.reason]
    seen["by_id"] = (await keeper.acl_get_rule(rule_id)).rule.rule_id == rule_id
    listed = await keeper.acl_list_rules(principal_id="alice")
    seen["listed"] = [listed.total_rules, listed.rules[0].rule_id == rule_id]
    seen["checks"] = [
        await keeper.acl_check_access(*RULE, 30),
        await keeper.acl_check_access(*RULE, 40),
        await keeper.acl_check_access("user", "bob", "workspace", "w", 20),
    ]
    admin = AsyncAdminClient(keeper)
    await admin.create_group("devs", "who builds")
    await admin.add_group_member("devs", "user", "bob")
    await admin.create_acl_rule("group", "devs", "workspace", "w", 40)
    explained = (await admin.explain_access("user", "bob", "workspace", "w", 40)).explanation
    seen["explained"] = [explained.allowed, list(explained.subjects)]
    await admin.create_role("lead", "who decides")
    await admin.assign_role("lead", "user", "carol")
    await admin.create_acl_rule("role", "lead", "workspace", "w", 40)
    found = (await admin.explain_access("user", "carol", "workspace", "w", 40)).explanation
    assigned = (await admin.list_role_assignments("lead")).role_assignments
    roles = (await admin.list_principal_roles("user", "carol")).role_assignments
    groups = (await admin.list_principal_groups("user", "bob")).group_members
    gone = (await admin.unassign_role("lead", "user", "carol")).success
    after = (await admin.explain_access("user", "carol", "workspace", "w", 40)).explanation.allowed
    seen["roles"] = [
        found.allowed,
        len(assigned),
        [r.role_name for r in roles],
        [g.group_name for g in groups],
        gone,
        after,
    ]
    revoked = await admin.revoke_acl_rule("group", "devs", "workspace", "w")
    seen["revoked"] = revoked.success
    policy = await keeper.acl_set_fallback_policy("user_workspace", 10)
    seen["policy"] = [policy.success, (await keeper.acl_get_fallback_policy("user_workspace")).success]
    seen["cleaned"] = (await keeper.acl_cleanup_expired_rules()).cleanup_result.deleted_count
    seen["gone"] = [(await keeper.acl_revoke(rule_id)).success, (await keeper.acl_revoke(rule_id)).error]

    refused = await agent.acl_grant("user", "eve", "workspace", "w", 50, "me")
    seen["refused"] = [refused.success, refused.error]
    questions = [
        pb.ResourceAccessRequest(resource_type="workspace", resource_id="w", required_access_level=level)
        for level in (20, 30)
    ]
    decision = await agent.check_access(questions[0])
    seen["decision"] = [decision.allowed, decision.decision, bool(decision.decision_id)]
    seen["decisions"] = [decision.allowed for decision in await agent.batch_check_access(questions)]

    denied = asyncio.get_running_loop().create_future()
    agent.on_error = lambda error: denied.done() or denied.set_result(error.code)
    await keeper.acl_grant("agent", "ag::w::i::a", "workspace", "elsewhere", 10, "me")
    await agent.send_message_to_agent("elsewhere", "i", "a", b"no")
    seen["denied"] = await asyncio.wait_for(denied, 10)

    kv = []
    for call in (
        lambda: agent.kv_get("k", scope="global", timeout=60),
        lambda: agent.kv_put("k", b"v", scope="global", timeout=60),
        lambda: agent.kv_get("k", scope="user", timeout=60),
        lambda: keeper.kv_get("k", scope="global-exclusive", timeout=60),
        lambda: agent.kv_get("k" * 257, scope="global-exclusive", timeout=60),
        lambda: agent.kv_get("k", scope="global-exclusive", timeout=60, authorization=UNKNOWN),
    ):
        began = asyncio.get_running_loop().time()
        try:
            kv.append((await call()).success)
        except AetherError as error:
            kv.append(type(error).__name__)
        assert asyncio.get_running_loop().time() - began < 30  # told, not timed out
    seen["kv"] = kv
    for client in (agent, keeper):
        await client.close()
    print(json.dumps(seen))


asyncio.run(main())
