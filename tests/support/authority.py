"""Authority grants: made from what a user may do, passed on, used on its behalf, and revoked."""

from __future__ import annotations

import time
from typing import Any

from tests.support.access import ME, Admin, move
from tests.support.wire import Peer, Wire, agent, service, user

from aether.proto import aether_pb2 as pb

__all__ = [
    "SERVICE",
    "TRUST",
    "Trusted",
    "ask_grants",
    "derive",
    "exchange",
    "exchange_request",
    "exchanged",
    "in_seconds",
    "on_behalf",
    "revoke_own",
    "trust",
]

SERVICE = ("service", "sv::i::s")
"""The principal that ``service()`` connects as."""
TRUST = ("capability", "capability/exchange_authority_grants")
"""What is needed to exchange the authority of somebody else."""


def in_seconds(seconds: int) -> int:
    """Unix time in seconds, as grants have it."""
    return int(time.time()) + seconds


def exchange_request(**changes: Any) -> pb.AuthorityGrantExchangeRequest:
    times = {"expires_at": in_seconds(60), "renewable_until": in_seconds(60)}
    fields = {"max_access_level": 20, **times, **changes}
    return pb.AuthorityGrantExchangeRequest(**fields)


async def ask_grants(peer: Peer, op: int, **fields: Any) -> pb.AuthorityGrantResponse:
    """One operation and its one answer."""
    peer.say(authority_grant_op=pb.AuthorityGrantOperation(op=op, request_id="g", **fields))  # type: ignore[arg-type]
    response: pb.AuthorityGrantResponse = await peer.expect("authority_grant")
    assert response.request_id == "g"
    return response


async def exchange(peer: Peer, **changes: Any) -> pb.AuthorityGrantResponse:
    """Ask for a root grant, and get it or not."""
    return await ask_grants(peer, pb.AuthorityGrantOperation.EXCHANGE, exchange_request=exchange_request(**changes))


async def exchanged(peer: Peer, **changes: Any) -> pb.ACLAuthorityGrantInfo:
    """A root grant."""
    response = await exchange(peer, **changes)
    assert response.success, response.error
    return response.grant


async def derive(peer: Peer, parent: pb.ACLAuthorityGrantInfo, to: str, **changes: Any) -> pb.AuthorityGrantResponse:
    """Ask for a grant below another one, for an agent."""
    fields = {
        "parent_grant_id": parent.grant_id,
        "delegate": pb.PrincipalRef(principal_type="agent", principal_id=to),
        "max_access_level": 20,
        "audience_type": "agent",
        "audience_id": to,
        "expires_at": parent.expires_at,
        **changes,
    }
    request = pb.AuthorityGrantDeriveRequest(**fields)
    return await ask_grants(peer, pb.AuthorityGrantOperation.DERIVE, derive_request=request)


async def revoke_own(peer: Peer, grant_id: str) -> None:
    """Revoke one's own; its delegate is told before."""
    revoke = pb.AuthorityGrantOperation(op=pb.AuthorityGrantOperation.REVOKE, grant_id=grant_id)
    peer.say(authority_grant_op=revoke)
    assert (await peer.expect("authority_grant_revocation")).grant_id == grant_id
    assert (await peer.expect("authority_grant")).success


def on_behalf(grant: pb.ACLAuthorityGrantInfo, **changes: Any) -> pb.AuthorizationContext:
    fields = {"authority_mode": "on_behalf_of", "subject": grant.subject, "grant_id": grant.grant_id, **changes}
    return pb.AuthorizationContext(**fields)


class Trusted:
    """Alice is connected, and a service holds a grant on her."""

    def __init__(self, alice: Peer, peer: Peer, receiver: Peer, grant: pb.ACLAuthorityGrantInfo) -> None:
        self.alice, self.peer, self.receiver, self.grant = alice, peer, receiver, grant

    async def sends(self, payload: bytes = b"x", topic: str = ME, **context: Any) -> pb.IncomingMessage:
        self.peer.send(topic, payload, authorization=on_behalf(self.grant, **context))
        message: pb.IncomingMessage = await self.receiver.expect("msg")
        assert message.payload == payload
        return message

    async def is_refused(self, topic: str = ME, **context: Any) -> None:
        self.peer.send(topic, authorization=on_behalf(self.grant, **context))
        await self.peer.expect_error("ERR_PERMISSION_DENIED", f"not authorized to send to topic {topic}")


async def trust(wire: Wire, admin: Admin, **changes: Any) -> Trusted:
    """Connect Alice, the service and a receiver, and have the service exchange her authority."""
    await admin.grant(SERVICE, TRUST, 30)
    alice = await wire.connect(user())
    await move(alice, "ws1")
    peer = await wire.connect(service())
    receiver = await wire.connect(agent(workspace="ws1"))
    grant = await exchanged(peer, source_session_id=alice.ack.session_id, **changes)
    return Trusted(alice, peer, receiver, grant)
