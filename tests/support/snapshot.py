"""What a gateway keeps, to be compared with what it keeps later."""

from __future__ import annotations

from tests.support.access import Admin

from aether.proto import aether_pb2 as pb

__all__ = ["snapshot"]


async def snapshot(admin: Admin) -> list[str]:
    """What an administrator sees of what may not change."""
    peer, acl = admin.peer, pb.ACLOperation
    found = [str(await admin.do(op)) for op in (acl.LIST_RULES, acl.LIST_GROUPS, acl.LIST_ROLES)]
    peer.say(token_op=pb.TokenOperation(op=pb.TokenOperation.LIST))
    found.append(str(await peer.expect("token")))
    peer.say(task_query=pb.TaskQuery(op=pb.TaskQuery.LIST, filter=pb.TaskFilter(workspace="ws1")))
    found.append(str(await peer.expect("task_query")))
    peer.say(workspace_op=pb.WorkspaceOperation(op=pb.WorkspaceOperation.LIST))
    found.append(str([item.workspace_id for item in (await peer.expect("workspace")).workspaces]))
    peer.say(agent_op=pb.AgentOperation(op=pb.AgentOperation.LIST))
    found.append(str(await peer.expect("agent")))
    return found
