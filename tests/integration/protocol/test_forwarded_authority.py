"""Authority that goes on with a message (access chapter 19): the receiver may act for the subject, and no further."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.access import ME, Admin
from tests.support.audit import audit_rows
from tests.support.authority import SERVICE, Trusted, ask_grants, exchanged, on_behalf, trust
from tests.support.wire import Wire, agent

from aether import Gateway
from aether.proto import aether_pb2 as pb

Mode = pb.AuthorityContinuationRequest
INHERIT = Mode(scope_mode=Mode.SCOPE_MODE_INHERIT_PARENT, binding_id="b1")
HOPS = {"may_delegate": True, "remaining_hops": 2}


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


async def forwarded(trusted: Trusted, wanted: pb.AuthorityContinuationRequest) -> pb.ForwardedAuthorization:
    trusted.peer.send(ME, b"x", authorization=on_behalf(trusted.grant), authority_continuation=wanted)
    message: pb.IncomingMessage = await trusted.receiver.expect("msg")
    assert message.on_behalf_subject == trusted.grant.subject
    return message.forwarded_authorization


async def test_the_receiver_acts_for_the_same_subject(wire: Wire, admin: Admin) -> None:
    trusted = await trust(wire, admin, **HOPS)
    given = await forwarded(trusted, INHERIT)
    assert (given.binding_id, given.delivery_target) == ("b1", ME)
    assert given.root_grant_id == trusted.grant.root_grant_id
    assert given.expires_at_ms == trusted.grant.expires_at * 1000
    assert given.authorization.subject == trusted.grant.subject
    assert given.authorization.resolved.max_access_level == 20

    await admin.grant(("agent", ME), ("workspace", "ws2"), 0)
    await admin.grant(("user", "alice"), ("workspace", "ws2"), 20)
    far = await wire.connect(agent(workspace="ws2"))
    trusted.receiver.send("ag::ws2::i::s", b"onward", authorization=given.authorization)
    message = await far.expect("msg")
    assert (message.payload, message.on_behalf_subject) == (b"onward", trusted.grant.subject)
    trusted.receiver.send("ag::ws2::i::s")
    await trusted.receiver.expect_error("ERR_PERMISSION_DENIED")


async def test_equal_messages_share_one_grant(wire: Wire, admin: Admin) -> None:
    trusted = await trust(wire, admin, **HOPS)
    first = await forwarded(trusted, INHERIT)
    again = await forwarded(trusted, Mode(scope_mode=Mode.SCOPE_MODE_INHERIT_PARENT, binding_id="b2"))
    assert (again.binding_id, again.authorization.grant_id) == ("b2", first.authorization.grant_id)
    [row] = await audit_rows(admin, resource_id=first.authorization.grant_id, operation="authority_grant_derive")
    assert (row.success, row.actor_id, row.root_subject_id) == (True, SERVICE[1], "alice")
    assert json.loads(row.metadata_json) == {
        "delegate": f"agent:{ME}",
        "max_access_level": 20,
        "reason": "continued with a message",
    }


async def test_what_is_the_senders_own_goes_to_the_receiver_itself(wire: Wire, admin: Admin) -> None:
    """It lives with a session only where the sender's does."""
    trusted = await trust(wire, admin)
    source = trusted.alice.ack.session_id
    for who, audience, while_active in (
        (trusted.peer, SERVICE, True),
        (trusted.alice, ("session", source), False),
    ):
        more = {"audience_type": audience[0], "audience_id": audience[1], **HOPS}
        grant = await exchanged(who, source_session_id=source, valid_while_audience_active=while_active, **more)
        who.send(ME, b"x", authorization=on_behalf(grant), authority_continuation=INHERIT)
        given = (await trusted.receiver.expect("msg")).forwarded_authorization
        resolved = given.authorization.resolved
        assert (resolved.audience_type, resolved.audience_id) == ("agent", ME)


async def test_attenuated(wire: Wire, admin: Admin) -> None:
    trusted = await trust(wire, admin, **HOPS)
    scope = pb.AuthorityContinuationScope(
        workspace_scope=["ws1"],
        resource_scope=[pb.ACLAuthorityGrantResourceScopeEntry(resource_type="kv_key", patterns=["cfg"])],
        operation_scope=["kv_get"],
        max_access_level=10,
    )
    given = await forwarded(trusted, Mode(scope_mode=Mode.SCOPE_MODE_ATTENUATE, scope=scope))
    assert given.scope == scope
    trusted.receiver.send(ME, authorization=given.authorization)
    await trusted.receiver.expect_error("ERR_PERMISSION_DENIED")


@pytest.mark.parametrize(
    ("changes", "wanted", "code", "text"),
    [
        ({}, INHERIT, "ERR_PERMISSION_DENIED", "authority grant cannot delegate further"),
        (HOPS, Mode(), "ERR_INVALID_ARGUMENT", "scope_mode must be INHERIT_PARENT or ATTENUATE"),
        (
            HOPS,
            Mode(
                scope_mode=Mode.SCOPE_MODE_ATTENUATE,
                scope=pb.AuthorityContinuationScope(max_access_level=40),
            ),
            "ERR_PERMISSION_DENIED",
            "would broaden parent scope",
        ),
        (
            HOPS,
            Mode(
                scope_mode=Mode.SCOPE_MODE_ATTENUATE,
                scope=pb.AuthorityContinuationScope(operation_scope=["x" * 16_384]),
            ),
            "ERR_PERMISSION_DENIED",
            "16384 bytes",
        ),
    ],
)
async def test_no_further_than_the_sender(
    wire: Wire, admin: Admin, changes: dict[str, Any], wanted: pb.AuthorityContinuationRequest, code: str, text: str
) -> None:
    trusted = await trust(wire, admin, **changes)
    trusted.peer.send(ME, authorization=on_behalf(trusted.grant), authority_continuation=wanted)
    await trusted.peer.expect_error(code, text)
    await trusted.receiver.expect_nothing()


async def test_only_to_one_receiver(wire: Wire, admin: Admin) -> None:
    trusted = await trust(wire, admin, **HOPS)
    for topic in ("ga::ws1", "us::alice::w1"):
        trusted.peer.send(topic, authorization=on_behalf(trusted.grant), authority_continuation=INHERIT)
        await trusted.peer.expect_error("ERR_INVALID_ARGUMENT", "only by one agent or service")
    await trusted.receiver.expect_nothing()


async def test_not_without_authority(wire: Wire, admin: Admin) -> None:
    sender = await wire.connect(agent("a", workspace="ws1"))
    sender.send(ME, authority_continuation=INHERIT)
    await sender.expect_error("ERR_INVALID_ARGUMENT", "requires on-behalf-of authorization")


async def test_revoked_with_what_it_came_from(wire: Wire, admin: Admin) -> None:
    """The receiver hears of it."""
    trusted = await trust(wire, admin, **HOPS)
    given = await forwarded(trusted, INHERIT)
    response = await ask_grants(trusted.alice, pb.AuthorityGrantOperation.REVOKE, grant_id=trusted.grant.grant_id)
    assert response.success, response.error
    notice = await trusted.receiver.expect("authority_grant_revocation")
    assert (notice.grant_id, notice.cascade) == (given.authorization.grant_id, True)
    trusted.receiver.send(ME, authorization=given.authorization)
    await trusted.receiver.expect_error("ERR_PERMISSION_DENIED")


async def test_it_ends_with_the_session_it_lives_with(wire: Wire, admin: Admin) -> None:
    """A grant that holds while Alice is connected holds no longer for whoever it was passed on to."""
    trusted = await trust(wire, admin, **HOPS)
    given = await forwarded(trusted, INHERIT)
    await trusted.alice.close()
    trusted.receiver.send(ME, authorization=given.authorization)
    await trusted.receiver.expect_error("ERR_PERMISSION_DENIED")
