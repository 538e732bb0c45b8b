"""Every helper of the administration, of either family: what answers succeed, and what they say."""

import asyncio
import inspect
import json
import sys

import scitrera_aether_client as aether
from scitrera_aether_client.proto import aether_pb2 as pb

TARGET, FAMILY = sys.argv[1:3]
PREFIX = "Async" if FAMILY == "async" else ""
ALICE = ("user", "alice")


def make(name, *arguments, **options):
    return getattr(aether, PREFIX + name)(*arguments, **options)


async def main():
    failed = []

    async def run(result):
        """The answer of a helper, noted down if it says no."""
        response = await result if inspect.isawaitable(result) else result
        if hasattr(response, "success") and not response.success:
            failed.append([type(response).__name__, response.error])
        return response

    keeper = make("OrchestratorClient", "orc", ["python"], specifier="o")
    await run(keeper.connect(TARGET))
    admin = make("AdminClient", keeper)
    seen = {}

    await run(admin.create_workspace("w", "W", "for work", {"a": "b"}))
    await run(admin.update_workspace("w", "Works"))
    found = (await run(admin.get_workspace("w"))).workspace
    seen["workspace"] = [found.display_name, found.description, dict(found.metadata)]
    seen["workspaces"] = [info.workspace_id for info in (await run(admin.list_workspaces())).workspaces]
    await run(admin.delete_workspace("w"))

    await run(admin.register_agent("impl", "python", "an agent", {"a": "b"}, {"fast": True}))
    await run(admin.update_agent("impl", "other"))
    found = (await run(admin.get_agent("impl"))).agent
    seen["agent"] = [found.orchestrator_profile, found.description, dict(found.launch_params)]
    listed = (await run(admin.list_agents("other"))).agents
    seen["agents"] = [[info.implementation for info in listed], len((await run(admin.list_agents("python"))).agents)]
    await run(admin.delete_agent("impl"))

    for kind, other in (("group", "groups"), ("role", "roles")):
        await run(getattr(admin, f"create_{kind}")("g", "a kind of list", "me", {"a": "b"}))
        found = getattr(await run(getattr(admin, f"get_{kind}")("g")), kind)
        listed = getattr(await run(getattr(admin, f"list_{other}")()), other)
        add, remove, members, of_one = (
            ("add_group_member", "remove_group_member", "list_group_members", "list_principal_groups")
            if kind == "group"
            else ("assign_role", "unassign_role", "list_role_assignments", "list_principal_roles")
        )
        await run(getattr(admin, add)("g", *ALICE))
        edges = "group_members" if kind == "group" else "role_assignments"
        before = [
            len(getattr(await run(getattr(admin, members)("g")), edges)),
            len(getattr(await run(getattr(admin, of_one)(*ALICE)), edges)),
        ]
        await run(getattr(admin, remove)("g", *ALICE))
        after = len(getattr(await run(getattr(admin, members)("g")), edges))
        await run(getattr(admin, f"delete_{kind}")("g"))
        left = len(getattr(await run(getattr(admin, f"list_{other}")()), other))
        seen[kind] = [found.description, [getattr(info, f"{kind}_name") for info in listed], before, after, left]

    made = (await run(admin.create_acl_rule(*ALICE, "workspace", "w", 20, reason="why"))).rule
    await run(admin.create_acl_rule(*ALICE, "workspace", "w2", 20))
    rules = await run(admin.list_acl_rules(principal_id="alice", limit=1))
    seen["rules"] = [len(rules.rules), rules.total_rules]
    await run(admin.delete_acl_rule(made.rule_id))
    await run(admin.revoke_acl_rule(*ALICE, "workspace", "w2"))
    seen["rules"].append((await run(admin.list_acl_rules(principal_id="alice"))).total_rules)
    await run(admin.set_fallback_policy("user_workspace", 10))
    policy = (await run(admin.get_fallback_policy("user_workspace"))).fallback_policy
    seen["policy"] = policy.fallback_access_level
    explained = (await run(admin.explain_access(*ALICE, "workspace", "w", 10))).explanation
    seen["explained"] = [explained.allowed, explained.fallback_applied]
    seen["checked"] = await run(keeper.acl_check_access(*ALICE, "workspace", "w", 10))

    if FAMILY == "async":
        agent = aether.AsyncAgentClient("w", "i", "a")
        await agent.connect(TARGET)
        await agent.connection_status("agent", "ag::w::i::a")
        [mine] = (await run(keeper.list_sessions(principal_type="agent"))).connections
        seen["sessions"] = [mine.identity, (await run(keeper.get_session(mine.session_id))).connection.identity]
        seen["connections"] = (await run(admin.list_connections(principal_type="agent"))).total_count
        await run(admin.disconnect_session(mine.session_id, "enough"))
        await agent.close()
        unknown = pb.WorkspaceOperation()
        unknown.op = 99
        response = await keeper.workspace_op(unknown)
        seen["unknown"] = [response.success, bool(response.error)]
    await run(keeper.close())
    print(json.dumps(seen | {"failed": failed}))


asyncio.run(main())
