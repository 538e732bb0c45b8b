"""Requests for authority: who asks for what, who is told, and who decides."""

from __future__ import annotations

from typing import Any

from tests.support.access import ALICE
from tests.support.wire import Peer

from aether.proto import aether_pb2 as pb

__all__ = [
    "ON_CALL",
    "ask_requests",
    "created_request",
    "decide",
    "principal_ref",
    "request_event",
    "routed_to",
    "wanted_authority",
]

ON_CALL = "capability/on_call"
"""A capability whose holders decide."""


def principal_ref(who: tuple[str, str]) -> pb.PrincipalRef:
    return pb.PrincipalRef(principal_type=who[0], principal_id=who[1])


def routed_to(who: tuple[str, str] | None = None, capability: str = "") -> pb.AuthorityRequestRoutingTarget:
    principal = principal_ref(who) if who is not None else None
    return pb.AuthorityRequestRoutingTarget(principal=principal, capability=capability)


def wanted_authority(**changes: Any) -> pb.CreateAuthorityRequestPayload:
    """Bob asks to act for Alice in ``ws1``, and she decides."""
    fields: dict[str, Any] = {
        "target_subject": principal_ref(ALICE),
        "routing_target": routed_to(ALICE),
        "requested_access_level": pb.ACCESS_LEVEL_READWRITE,
        "requested_duration_seconds": 600,
        "desired_workspace_scope": ["ws1"],
        "reason": "to help",
        **changes,
    }
    return pb.CreateAuthorityRequestPayload(**{name: value for name, value in fields.items() if value is not None})


async def ask_requests(peer: Peer, op: int, **fields: Any) -> pb.AuthorityRequestOperationResponse:
    """One operation and its one answer; events of it that come before are left out."""
    peer.say(authority_request_op=pb.AuthorityRequestOperation(op=op, client_request_id="c", **fields))  # type: ignore[arg-type]
    while True:
        message = await peer.receive()
        if message.WhichOneof("payload") != "authority_request_event":
            assert message.WhichOneof("payload") == "authority_request_response", message
            assert message.authority_request_response.client_request_id == "c"
            return message.authority_request_response


async def created_request(peer: Peer, **changes: Any) -> pb.AuthorityRequest:
    """A request that waits for a decision."""
    create = wanted_authority(**changes)
    response = await ask_requests(peer, pb.AuthorityRequestOperation.CREATE, create=create)
    assert response.success, response.error
    return response.request


async def decide(peer: Peer, request: pb.AuthorityRequest, decision: int, **fields: Any) -> Any:
    payload = pb.ResolveAuthorityRequestPayload(decision=decision, **fields)  # type: ignore[arg-type]
    resolve = pb.AuthorityRequestOperation.RESOLVE
    return await ask_requests(peer, resolve, request_id=request.request_id, resolve=payload)


async def request_event(peer: Peer, kind: int) -> pb.AuthorityRequest:
    """The next message, which has to be this event."""
    told: pb.AuthorityRequestEvent = await peer.expect("authority_request_event")
    assert told.event_type == kind, told
    assert told.emitted_at > 0
    return told.request
