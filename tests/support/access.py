"""Access rules as an administrator changes them, and what they decide for others."""

from __future__ import annotations

from typing import Any

from tests.support.wire import Peer

from aether.proto import aether_pb2 as pb

__all__ = ["ALICE", "ME", "Admin", "access_question", "ask_acl", "move", "send_denied"]

ALICE = ("user", "alice")
"""The principal that ``user()`` connects as."""
ME = "ag::ws1::i::s"
"""The identity that ``agent(workspace="ws1")`` connects as."""


class Admin:
    """An orchestrator, who may change every rule (32)."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def ask(self, op: int, **fields: Any) -> pb.ACLResponse:
        return await ask_acl(self.peer, op, **fields)

    async def do(self, op: int, **fields: Any) -> pb.ACLResponse:
        response = await self.ask(op, **fields)
        assert response.success, response.error
        return response

    async def grant(self, who: tuple[str, str], what: tuple[str, str], level: int, **more: Any) -> pb.ACLRuleInfo:
        """A rule; fields of the request by name."""
        request = pb.ACLGrantRequest(
            principal_type=who[0],
            principal_id=who[1],
            resource_type=what[0],
            resource_id=what[1],
            access_level=level,
            **more,
        )
        return (await self.do(pb.ACLOperation.GRANT, grant_request=request)).rule

    async def fallback(self, category: str, level: int) -> None:
        request = pb.ACLSetFallbackRequest(rule_category=category, fallback_access_level=level)
        await self.do(pb.ACLOperation.SET_FALLBACK_POLICY, fallback_request=request)

    async def explain(
        self, who: tuple[str, str], what: tuple[str, str], level: int = 20
    ) -> pb.ACLAccessExplanationInfo:
        principal = pb.PrincipalRef(principal_type=who[0], principal_id=who[1])
        response = await self.do(
            pb.ACLOperation.EXPLAIN_ACCESS,
            principal=principal,
            resource_type=what[0],
            resource_id=what[1],
            required_level=level,
        )
        return response.explanation


async def ask_acl(peer: Peer, op: int, **fields: Any) -> pb.ACLResponse:
    """One operation and its one answer, which carries the id (23)."""
    operation = pb.ACLOperation(op=op, request_id=f"acl-{op}", **fields)  # type: ignore[arg-type]
    peer.say(acl_op=operation)
    response: pb.ACLResponse = await peer.expect("acl")
    assert response.request_id == f"acl-{op}"
    return response


def access_question(level: int = 20, resource: str = "ws1") -> pb.ResourceAccessRequest:
    """What an access check asks about a workspace."""
    return pb.ResourceAccessRequest(
        resource_type="workspace", resource_id=resource, required_access_level=level, correlation_id="c"
    )


async def move(peer: Peer, workspace: str) -> None:
    """Switch a user's workspace, which has no answer when it succeeds."""
    peer.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id=workspace))
    await peer.settle()


async def send_denied(peer: Peer, topic: str, text: str = "") -> None:
    """A message that its sender may not send, and need not try again."""
    peer.send(topic)
    error = await peer.expect_error("ERR_PERMISSION_DENIED", text or f"not authorized to send to topic {topic}")
    assert not error.retryable
