"""Access rules with the helpers of the synchronous client."""

import json
import sys

from scitrera_aether_client import AdminClient, AgentClient, OrchestratorClient
from scitrera_aether_client.proto import aether_pb2 as pb

TARGET = sys.argv[1]
RULE = ("user", "alice", "workspace", "w")

seen = {}
keeper = OrchestratorClient("orc", ["python"], specifier="o1")
agent = AgentClient("w", "i", "a")
for client in (keeper, agent):
    client.connect(TARGET)
rule_id = keeper.acl_grant(*RULE, 30, "me").rule.rule_id
seen["by_id"] = keeper.acl_get_rule(rule_id).rule.access_level
seen["checks"] = [keeper.acl_check_access(*RULE, 30), keeper.acl_check_access(*RULE, 40)]
admin = AdminClient(keeper)
admin.create_group("devs")
admin.add_group_member("devs", "user", "bob")
admin.create_acl_rule("group", "devs", "workspace", "w", 40)
seen["explained"] = admin.explain_access("user", "bob", "workspace", "w", 40).explanation.allowed
admin.create_role("lead", "who decides")
admin.assign_role("lead", "user", "carol")
admin.create_acl_rule("role", "lead", "workspace", "w", 40)
found = (admin.explain_access("user", "carol", "workspace", "w", 40)).explanation
assigned = (admin.list_role_assignments("lead")).role_assignments
roles = (admin.list_principal_roles("user", "carol")).role_assignments
groups = (admin.list_principal_groups("user", "bob")).group_members
gone = (admin.unassign_role("lead", "user", "carol")).success
after = (admin.explain_access("user", "carol", "workspace", "w", 40)).explanation.allowed
seen["roles"] = [
    found.allowed,
    len(assigned),
    [r.role_name for r in roles],
    [g.group_name for g in groups],
    gone,
    after,
]
seen["revoked"] = [admin.revoke_acl_rule("group", "devs", "workspace", "w").success, keeper.acl_revoke(rule_id).success]
seen["refused"] = agent.acl_list_rules().error
question = pb.ResourceAccessRequest(resource_type="workspace", resource_id="w", required_access_level=20)
seen["decision"] = agent.check_access(question).allowed
for client in (agent, keeper):
    client.close()
print(json.dumps(seen))
