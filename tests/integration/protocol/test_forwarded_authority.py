"""Authority that goes on with a message (access chapter 19): the receiver may act for the subject, and no further."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.access import ME, Admin
from tests.support.audit import audit_rows
from tests.support.authority import SERVICE, Trusted, ask_grants, exchanged, in_seconds, on_behalf, trust
from tests.support.wire import Wire, agent, service

from aether import Gateway
from aether.authority import continuation
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
    assert row.session_id == trusted.peer.ack.session_id
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


SCOPE: dict[str, Any] = {"workspace_scope": ["ws1", "ws2"], "operation_scope": ["send_message", "kv_get"]}


@pytest.mark.parametrize(
    "less",
    [
        {"workspace_scope": ["ws1"]},
        {"resource_scope": [pb.ACLAuthorityGrantResourceScopeEntry(resource_type="kv_key", patterns=["cfg"])]},
        {"operation_scope": ["kv_get"]},
        {"max_access_level": 10},
    ],
)
async def test_what_is_not_attenuated_is_the_senders(wire: Wire, admin: Admin, less: dict[str, Any]) -> None:
    """And what is, is a grant of its own."""
    trusted = await trust(wire, admin, **HOPS, **SCOPE)
    whole = await forwarded(trusted, INHERIT)
    assert whole.scope == pb.AuthorityContinuationScope(max_access_level=20, **SCOPE)
    wanted = Mode(scope_mode=Mode.SCOPE_MODE_ATTENUATE, scope=pb.AuthorityContinuationScope(**less))
    part = await forwarded(trusted, wanted)
    assert part.scope == pb.AuthorityContinuationScope(**{"max_access_level": 20, **SCOPE, **less})
    resolved = part.authorization.resolved
    assert resolved.workspace_scope == part.scope.workspace_scope
    assert (resolved.max_access_level, resolved.expires_at_ms) == (part.scope.max_access_level, part.expires_at_ms)
    assert resolved.root_subject == trusted.grant.subject
    assert part.authorization.grant_id != whole.authorization.grant_id
    assert (await forwarded(trusted, wanted)).authorization == part.authorization


@pytest.mark.parametrize("scope", ["*", "_subject_workspaces"])
async def test_any_workspace_is_shown_as_a_star(wire: Wire, admin: Admin, scope: str) -> None:
    trusted = await trust(wire, admin, **HOPS, workspace_scope=[scope])
    given = await forwarded(trusted, INHERIT)
    assert list(given.scope.workspace_scope) == list(given.authorization.resolved.workspace_scope) == ["*"]


async def test_each_receiver_has_a_grant_of_its_own(wire: Wire, admin: Admin) -> None:
    """A service as well as an agent."""
    trusted = await trust(wire, admin, **HOPS)
    other = await wire.connect(service("other"))
    given = await forwarded(trusted, INHERIT)
    trusted.peer.send("sv::i::other", authorization=on_behalf(trusted.grant), authority_continuation=INHERIT)
    another = (await other.expect("msg")).forwarded_authorization
    assert another.delivery_target == "sv::i::other"
    assert another.authorization.grant_id != given.authorization.grant_id
    other.send(ME, authorization=given.authorization)
    await other.expect_error("ERR_PERMISSION_DENIED")
    other.send(ME, b"for alice", authorization=another.authorization)
    message = await trusted.receiver.expect("msg")
    assert (message.payload, message.on_behalf_subject) == (b"for alice", trusted.grant.subject)


async def test_one_that_was_revoked_is_not_given_again(wire: Wire, admin: Admin) -> None:
    trusted = await trust(wire, admin, **HOPS)
    first = (await forwarded(trusted, INHERIT)).authorization
    response = await ask_grants(trusted.alice, pb.AuthorityGrantOperation.REVOKE, grant_id=first.grant_id)
    assert response.success, response.error
    await trusted.receiver.expect("authority_grant_revocation")
    second = (await forwarded(trusted, INHERIT)).authorization
    assert second.grant_id != first.grant_id
    trusted.receiver.send(ME, b"for alice", authorization=second)
    assert (await trusted.receiver.expect("msg")).payload == b"for alice"


async def test_it_cannot_be_renewed(wire: Wire, admin: Admin) -> None:
    """By its receiver, that is: it lasts as long as the sender's did when it was made."""
    trusted = await trust(wire, admin, **HOPS, renewable_until=in_seconds(600))
    given = (await forwarded(trusted, INHERIT)).authorization
    response = await ask_grants(trusted.receiver, pb.AuthorityGrantOperation.GET, grant_id=given.grant_id)
    grant = response.grant
    assert (grant.expires_at, grant.renewable_until) == (trusted.grant.expires_at, trusted.grant.expires_at)


async def test_so_many_hang_on_one(wire: Wire, admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continuation, "CHILDREN_MAX", 1)
    trusted = await trust(wire, admin, **HOPS)
    await forwarded(trusted, INHERIT)
    less = Mode(scope_mode=Mode.SCOPE_MODE_ATTENUATE, scope=pb.AuthorityContinuationScope(max_access_level=10))
    trusted.peer.send(ME, authorization=on_behalf(trusted.grant), authority_continuation=less)
    await trusted.peer.expect_error("ERR_PERMISSION_DENIED", "no more than 1 grants can be derived from one")
    await forwarded(trusted, INHERIT)


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
