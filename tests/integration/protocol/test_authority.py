"""Acting on behalf of others, on the wire: the checklist of the access chapter, items by their numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.access import ALICE, ME, Admin, access_question, ask_acl, move, send_denied
from tests.support.authority import (
    SERVICE,
    TRUST,
    ask_grants,
    derive,
    exchange,
    exchange_request,
    exchanged,
    in_seconds,
    on_behalf,
    trust,
)
from tests.support.kv_operations import kv, kv_allowed, kv_denied
from tests.support.wire import Peer, Wire, agent, open_wire, orchestrator, service, user
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.proto import aether_pb2 as pb

Op = pb.ACLOperation

G = pb.AuthorityGrantOperation
K = pb.KVOperation


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


# ------------------------------------------------------------------------------------------------------- exchanging


async def test_a_user_exchanges_its_own_authority(wire: Wire, admin: Admin) -> None:
    """64."""
    alice = await wire.connect(user())
    response = await exchange(alice)
    grant = response.grant
    assert (response.success, response.message) == (True, "authority grant exchanged")
    assert (
        grant.subject
        == grant.delegate
        == grant.root_subject
        == pb.PrincipalRef(principal_type="user", principal_id="alice")
    )
    assert (grant.audience_type, grant.audience_id) == ("session", alice.ack.session_id)
    assert grant.grant_id == grant.root_grant_id


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"max_access_level": 0}, "max_access_level is required and must be explicitly set"),
        ({"max_access_level": 15}, "invalid access level"),
        ({"renewable_until": 1}, "must be on or after expires_at"),
        ({"expires_at": 0, "renewable_until": 0}, "expires_at is required"),
        ({"expires_at": 1000, "renewable_until": 2000}, "must be in the future"),
        ({"may_delegate": True}, "must allow at least one remaining hop"),
        ({"remaining_hops": 1}, "cannot have remaining hops"),
        ({"audience_type": "planet", "audience_id": "x"}, 'invalid authority grant audience_type "planet"'),
        ({"audience_type": "session", "audience_id": "somebody's"}, "audience does not match"),
    ],
)
async def test_exchanges_that_cannot_be(wire: Wire, admin: Admin, changes: dict[str, Any], text: str) -> None:
    """65, 66."""
    response = await exchange(await wire.connect(user()), **changes)
    assert not response.success
    assert text in response.error
    assert not response.HasField("grant")


async def test_others_need_the_session_and_the_capability(wire: Wire, admin: Admin) -> None:
    """67, 68."""
    alice, bob = await wire.connect(user()), await wire.connect(user("bob"))
    await move(alice, "ws1")
    peer = await wire.connect(service())
    assert (await exchange(peer)).error == "source_session_id is required for non-user actors"
    refusal = "not authorized to exchange authority grants from another session"
    assert (await exchange(peer, source_session_id=alice.ack.session_id)).error == refusal
    assert (await exchange(peer, source_session_id="gone")).error == "source_session_id is not active"
    assert (await exchange(peer, source_session_id=admin.peer.ack.session_id)).error == (
        "source_session_id must reference an active user session"
    )
    await admin.grant(SERVICE, ("capability", "capability/exchange_authority_grants/ws1/alice"), 30)
    grant = await exchanged(peer, source_session_id=alice.ack.session_id)
    assert grant.valid_while_audience_active
    assert grant.metadata["exchange_mode"] == "trusted_exchange"
    assert (await exchange(peer, source_session_id=bob.ack.session_id)).error == refusal
    await admin.grant(SERVICE, TRUST, 30)
    assert (await exchange(peer, source_session_id=bob.ack.session_id)).success


async def test_an_exchange_is_for_where_its_parties_are(wire: Wire, admin: Admin) -> None:
    case = await trust(wire, admin)
    source, own = case.alice.ack.session_id, case.peer.ack.session_id
    for kind, name in (("session", source), ("session", own), SERVICE):
        case.grant = await exchanged(case.peer, source_session_id=source, audience_type=kind, audience_id=name)
        assert (case.grant.audience_type, case.grant.audience_id) == (kind, name)
        await case.sends()
    for kind, name in (("service", "sv::i::t"), ("agent", SERVICE[1]), ("session", "s"), ("task", "t"), ("task", "")):
        refused = await exchange(case.peer, source_session_id=source, audience_type=kind, audience_id=name)
        assert refused.error == "authority grant audience does not match request context", (kind, name)


@pytest.mark.parametrize("op", ["exchange", "derive", "derive_for_target"])
async def test_operations_that_say_nothing(wire: Wire, op: str) -> None:
    refused = await ask_grants(await wire.connect(user("alice")), G.OpType.Value(op.upper()))
    assert (refused.success, refused.error) == (False, f"{op}_request is required")


async def test_batches(wire: Wire, admin: Admin) -> None:
    """85."""
    alice = await wire.connect(user())
    requests = [exchange_request(), exchange_request(max_access_level=0), exchange_request()]
    batch = pb.AuthorityGrantBatchExchangeRequest(requests=requests)
    response = await ask_grants(alice, G.BATCH_EXCHANGE, batch_exchange_request=batch)
    assert (response.success, len(response.grants)) == (False, 2)
    assert response.error.startswith("index 1: ")
    batch.stop_on_first_error = True
    response = await ask_grants(alice, G.BATCH_EXCHANGE, batch_exchange_request=batch)
    assert (response.success, len(response.grants)) == (False, 1)
    assert response.error.startswith("batch exchange aborted at index 1: ")
    empty = await ask_grants(alice, G.BATCH_EXCHANGE)
    assert empty.error == "requests must hold 1 to 100 exchanges"


# ----------------------------------------------------------------------------------------------------------- using


async def test_a_delegate_does_what_its_subject_may(wire: Wire, admin: Admin) -> None:
    """69, 100."""
    case = await trust(wire, admin)
    await send_denied(case.peer, ME)
    message = await case.sends(b"for alice")
    assert (message.on_behalf_subject.principal_type, message.on_behalf_subject.principal_id) == ALICE
    admin.peer.say(audit_query=pb.AuditQuery(request_id="q", operation="message_routed", actor_id=SERVICE[1]))
    [row] = (await admin.peer.expect("audit_response")).entries
    assert (row.subject_type, row.subject_id, row.authority_mode) == (*ALICE, "on_behalf_of")
    assert row.authority_grant_id == row.root_authority_grant_id == case.grant.grant_id


async def test_what_is_done_for_somebody_is_recorded_after_the_same_for_oneself(wire: Wire, admin: Admin) -> None:
    """100: and for whom, though repeats are left out."""
    case = await trust(wire, admin)
    await admin.grant(SERVICE, ("workspace", "ws1"), 20)
    for scope in (SERVICE, ALICE):
        await admin.grant(scope, ("kv_scope", "global"), 20)
    for _ in range(2):
        case.peer.send(ME, b"own")
        assert await case.receiver.expect_payloads(1) == [b"own"]
        await case.sends(b"hers")
        await kv_allowed(case.peer, kv(K.GET, K.GLOBAL))
        await kv_allowed(case.peer, kv(K.GET, K.GLOBAL, authorization=on_behalf(case.grant)))
    for kind, operation in (("message", "message_routed"), ("kv", "kv_get"), ("authorization", "send_message")):
        query = pb.AuditQuery(request_id="q", event_type=kind, operation=operation, actor_id=SERVICE[1])
        admin.peer.say(audit_query=query)
        rows = (await admin.peer.expect("audit_response")).entries
        assert [row.subject_id for row in rows] == ["alice", SERVICE[1]], kind


async def test_a_grant_lives_with_the_users_session(wire: Wire, admin: Admin) -> None:
    """70."""
    case = await trust(wire, admin)
    await case.sends()
    await case.alice.close()
    await case.is_refused()
    await wire.connect(user())
    await case.sends(b"again")


async def test_grants_open_nothing_to_others(wire: Wire, admin: Admin) -> None:
    """71: and the audit log knows why."""
    case = await trust(wire, admin)
    await case.is_refused(subject=pb.PrincipalRef(principal_type="user", principal_id="bob"))
    await case.is_refused(grant_id="nope")
    stranger = await wire.connect(service("other"))
    stranger.send(ME, authorization=on_behalf(case.grant))
    await stranger.expect_error("ERR_PERMISSION_DENIED")
    admin.peer.say(audit_query=pb.AuditQuery(request_id="q", operation="message_route_failed"))
    rows = (await admin.peer.expect("audit_response")).entries
    causes = [json.loads(row.metadata_json)["cause"] for row in reversed(rows)]
    assert causes == [
        "authority grant subject does not match requested subject",
        "authority grant not found",
        "authority grant delegate does not match actor",
    ]


async def test_scopes_limit_a_grant(wire: Wire, admin: Admin) -> None:
    """72, 73."""
    case = await trust(wire, admin, operation_scope=["kv_get"])
    await admin.grant(ALICE, ("kv_scope", "global"), 20)
    await case.is_refused()
    await kv_allowed(case.peer, kv(K.GET, K.GLOBAL, authorization=on_behalf(case.grant)))
    await kv_denied(case.peer, kv(K.PUT, K.GLOBAL, value=b"1", authorization=on_behalf(case.grant)))
    case.grant = await exchanged(case.peer, source_session_id=case.alice.ack.session_id, workspace_scope=["ws1"])
    await case.sends()
    await case.is_refused("ag::ws2::i::s")
    await case.is_refused("us::bob::w1")
    open_ = await exchanged(case.peer, source_session_id=case.alice.ack.session_id)
    case.peer.send("us::bob::w1", authorization=on_behalf(open_))
    await case.peer.settle()


async def test_levels_limit_a_grant_and_its_subject_too(wire: Wire, admin: Admin) -> None:
    """74."""
    await admin.grant(ALICE, ("workspace", "ws1"), 30)
    case = await trust(wire, admin, max_access_level=10)
    await case.is_refused()
    case.grant = await exchanged(case.peer, source_session_id=case.alice.ack.session_id, max_access_level=40)
    await case.sends()
    await admin.grant(ALICE, ("workspace", "ws1"), 10)
    await case.is_refused()
    for level, allowed in ((10, True), (20, False)):
        check = pb.AccessCheckOperation(access=access_question(level), authorization=on_behalf(case.grant))
        case.peer.say(access_check=check)
        decision = (await case.peer.expect("access_check_response")).decision
        assert (decision.allowed, decision.effective_access_level) == (allowed, 10)


@pytest.mark.parametrize(
    ("context", "text"),
    [
        (pb.AuthorizationContext(authority_mode="sudo"), 'unsupported authority mode "sudo"'),
        (
            pb.AuthorizationContext(authority_mode="direct", grant_id="g"),
            "direct authorization context must not include subject or grant",
        ),
        (
            pb.AuthorizationContext(subject=pb.PrincipalRef(principal_type="user", principal_id="alice")),
            "direct authorization context must not include subject or grant",
        ),
        (
            pb.AuthorizationContext(authority_mode="on_behalf_of", grant_id="g"),
            "on-behalf-of authorization requires subject",
        ),
        (
            pb.AuthorizationContext(
                authority_mode="on_behalf_of", subject=pb.PrincipalRef(principal_type="user", principal_id="alice")
            ),
            "on-behalf-of authorization requires grant_id",
        ),
    ],
)
async def test_contexts_that_contradict_themselves(
    wire: Wire, admin: Admin, context: pb.AuthorizationContext, text: str
) -> None:
    """75: also for who may do all that is asked in its own right."""
    response = await admin.ask(Op.LIST_RULES, authorization=context)
    assert (response.success, response.error) == (False, f"invalid authorization context: {text}")


async def test_values_on_behalf(wire: Wire, admin: Admin) -> None:
    await admin.grant(ALICE, ("kv_scope", "global"), 20)
    case = await trust(wire, admin)
    await kv_allowed(case.peer, kv(K.PUT, K.GLOBAL, value=b"1", authorization=on_behalf(case.grant)))
    case.peer.say(kv_op=kv(K.GET, K.GLOBAL, authorization=on_behalf(case.grant, grant_id="nope")))
    error = await case.peer.expect_error("ERR_PERMISSION_DENIED", "invalid authorization context")
    assert error.request_id == "kv"
    assert not (await case.peer.expect("kv")).success


async def test_administration_on_behalf_tells_why_not(wire: Wire, admin: Admin) -> None:
    """33."""
    case = await trust(wire, admin)
    await ask_grants(case.alice, G.REVOKE, grant_id=case.grant.grant_id)
    await case.peer.expect("authority_grant_revocation")
    operation = pb.ACLOperation(op=Op.LIST_RULES, request_id="r", authorization=on_behalf(case.grant))
    case.peer.say(acl_op=operation)
    assert (await case.peer.expect("acl")).error == "invalid authorization context: authority grant revoked"


# -------------------------------------------------------------------------------------------------------- delegating


async def test_a_child_never_reaches_further(wire: Wire, admin: Admin) -> None:
    """76, 77, 78."""
    case = await trust(wire, admin, may_delegate=True, remaining_hops=2, workspace_scope=["team-*", "ws1"])
    broader = "authority grant child would broaden parent scope"
    for changes in (
        {"max_access_level": 30, "workspace_scope": ["ws1"]},
        {"expires_at": case.grant.expires_at + 60, "workspace_scope": ["ws1"]},
        {"workspace_scope": ["ws2"]},
        {"workspace_scope": []},
        {"workspace_scope": ["ws1"], "may_delegate": True, "remaining_hops": 2},
    ):
        assert (await derive(case.peer, case.grant, ME, **changes)).error == broader, changes
    child = await derive(case.peer, case.grant, ME, workspace_scope=["team-a", "ws1"])
    assert (child.success, child.message) == (True, "authority grant derived")
    assert child.grant.metadata["derived_from_grant_id"] == case.grant.grant_id
    assert child.grant.subject == case.grant.subject
    last = await derive(case.receiver, child.grant, "ag::ws1::i::x", workspace_scope=["ws1"])
    assert last.error == "authority grant cannot delegate further"
    stranger = await derive(case.receiver, case.grant, ME, workspace_scope=["ws1"])
    assert stranger.error == "authority grant delegate does not match actor"
    source = case.alice.ack.session_id
    case.grant = await exchanged(
        case.peer, source_session_id=source, may_delegate=True, remaining_hops=1, workspace_scope=["*"]
    )
    assert (await derive(case.peer, case.grant, ME, workspace_scope=["team-a"])).success
    assert (await derive(case.peer, case.grant, ME, workspace_scope=[])).error == broader


async def test_revoking_the_root_ends_the_chain_and_says_so(wire: Wire, admin: Admin) -> None:
    """79, 80, 81."""
    case = await trust(wire, admin, may_delegate=True, remaining_hops=2)
    second = (await derive(case.peer, case.grant, ME, may_delegate=True, remaining_hops=1)).grant
    other = await wire.connect(agent("t", workspace="ws1"))
    third = (await derive(case.receiver, second, "ag::ws1::i::t")).grant
    assert third.root_grant_id == case.grant.grant_id
    response = await ask_grants(case.alice, G.REVOKE, grant_id=case.grant.grant_id)
    assert (response.success, response.total) == (True, 3)
    for peer, grant in ((case.peer, case.grant), (case.receiver, second), (other, third)):
        notice = await peer.expect("authority_grant_revocation")
        assert (notice.grant_id, notice.root_grant_id) == (grant.grant_id, case.grant.grant_id)
        assert notice.cascade == (grant is not case.grant)
        assert notice.reason == "revoked by user:alice"
    again = await ask_grants(case.alice, G.REVOKE, grant_id=case.grant.grant_id)
    assert again.error == "authority grant not found"
    await other.settle()
    other.send("ag::ws9::i::s", authorization=on_behalf(third))
    await other.expect_error("ERR_PERMISSION_DENIED")


async def test_windows_of_a_user_learn_that_its_authority_has_ended(wire: Wire, admin: Admin) -> None:
    """80: a delegate that is a user is found in all of its windows."""
    case = await trust(wire, admin, may_delegate=True, remaining_hops=1)
    windows = [await wire.connect(user("bob", window)) for window in ("w1", "w2")]
    bob = pb.PrincipalRef(principal_type="user", principal_id="bob")
    child = await derive(
        case.peer, case.grant, ME, delegate=bob, audience_type="session", audience_id=windows[0].ack.session_id
    )
    assert child.success, child.error
    await ask_grants(case.alice, G.REVOKE, grant_id=case.grant.grant_id)
    for window in windows:
        notice = await window.expect("authority_grant_revocation")
        assert (notice.grant_id, notice.cascade, bool(notice.reason)) == (child.grant.grant_id, True, True)


async def fits(peer: Peer, grant: pb.ACLAuthorityGrantInfo) -> bool:
    """Whether a grant is for where its holder is."""
    peer.say(access_check=pb.AccessCheckOperation(access=access_question(), authorization=on_behalf(grant)))
    answer = await peer.expect("access_check_response")
    assert answer.success or "audience does not match" in answer.error
    return bool(answer.success)


@pytest.mark.parametrize("while_active", [True, False])
@pytest.mark.parametrize("whose", ["delegate", "user"])
async def test_a_derived_grant_lives_with_the_session_that_it_names(
    wire: Wire, admin: Admin, whose: str, while_active: bool
) -> None:
    """9.3: bound to the delegate's own session, or to the life of another one, whatever session its holder has next."""
    case = await trust(wire, admin, may_delegate=True, remaining_hops=1)
    named = case.receiver if whose == "delegate" else case.alice
    more = {"audience_type": "session", "audience_id": named.ack.session_id}
    response = await derive(case.peer, case.grant, ME, valid_while_audience_active=while_active, **more)
    assert response.success, response.error

    async def opens(peer: Peer) -> bool:
        return await fits(peer, response.grant)

    assert await opens(case.receiver) is (while_active or whose == "delegate")
    await case.receiver.close()
    again = await wire.connect(agent(workspace="ws1"))
    assert await opens(again) is while_active, "its next session counts only for the life of the named one's holder"
    if whose == "user":
        await case.alice.close()
        assert not await opens(again)
        await wire.connect(user())
        assert await opens(again) is while_active


async def test_rows_name_the_whole_chain(wire: Wire, admin: Admin) -> None:
    """100."""
    case = await trust(wire, admin, may_delegate=True, remaining_hops=1)
    child = (await derive(case.peer, case.grant, ME)).grant
    await admin.grant(("agent", ME), ("workspace", "ws2"), 0)
    far = await wire.connect(agent(workspace="ws2"))
    case.receiver.send("ag::ws2::i::s", b"x", authorization=on_behalf(child))
    await far.expect("msg")
    for operation in ("message_received", "message_routed", "send_message"):
        admin.peer.say(audit_query=pb.AuditQuery(operation=operation, actor_id=ME, authority_grant_id=child.grant_id))
        [row] = (await admin.peer.expect("audit_response")).entries
        assert (row.subject_type, row.subject_id) == (row.root_subject_type, row.root_subject_id) == ALICE
        assert row.root_authority_grant_id == row.parent_authority_grant_id == case.grant.grant_id


async def test_what_a_client_writes_in_the_gateways_name_is_dropped(wire: Wire, admin: Admin) -> None:
    """112: whether it is a field of the message or only of what the receiver gets."""
    case = await trust(wire, admin)
    context = on_behalf(case.grant)
    context.resolved.max_access_level = 50
    context.resolved.audience_id = "forged"
    message = pb.SendMessage(target_topic=ME, payload=b"x", message_type=pb.OPAQUE, authorization=context)
    forged = pb.IncomingMessage(
        source_topic="us::root::w1",
        on_behalf_subject=pb.PrincipalRef(principal_type="user", principal_id="root"),
        access_receipt=pb.AccessDecisionReceipt(decision_id="forged", allowed=True),
        forwarded_authorization=pb.ForwardedAuthorization(binding_id="forged"),
    )
    unknown = pb.SendMessage.FromString(message.SerializeToString() + _fields_above(forged, 7))
    case.peer.write_bytes(pb.UpstreamMessage(send=unknown).SerializeToString())
    received = await case.receiver.receive()
    assert b"forged" not in received.SerializeToString()
    assert received.msg.on_behalf_subject == case.grant.subject
    assert received.msg.source_topic == SERVICE[1]
    assert not received.msg.HasField("access_receipt")
    assert not received.msg.HasField("forwarded_authorization")


def _fields_above(message: pb.IncomingMessage, number: int) -> bytes:
    """The encoded fields of a message whose numbers are larger: unknown ones to somebody who has fewer."""
    for field, _ in message.ListFields():
        if field.number <= number:
            message.ClearField(field.name)  # type: ignore[arg-type]
    return message.SerializeToString()


async def test_the_same_target_gets_the_same_grant(wire: Wire, admin: Admin) -> None:
    """86: with the parent's scopes; strangers learn nothing."""
    case = await trust(wire, admin, may_delegate=True, remaining_hops=1, workspace_scope=["ws1"])
    request = pb.AuthorityGrantDeriveForTargetRequest(
        parent_grant_id=case.grant.grant_id,
        target=pb.PrincipalRef(principal_type="agent", principal_id=ME),
        audience_type="agent",
        audience_id=ME,
        max_access_level=20,
    )
    first = await ask_grants(case.peer, G.DERIVE_FOR_TARGET, derive_for_target_request=request)
    assert (first.message, list(first.grant.workspace_scope)) == ("authority grant derived", ["ws1"])
    second = await ask_grants(case.peer, G.DERIVE_FOR_TARGET, derive_for_target_request=request)
    assert (second.message, second.grant) == ("existing authority grant reused", first.grant)
    stranger = await ask_grants(admin.peer, G.DERIVE_FOR_TARGET, derive_for_target_request=request)
    assert (stranger.error, stranger.HasField("grant")) == ("authority grant delegate does not match actor", False)


async def test_so_many_are_derived_by_one(tmp_path: Path, engine: str) -> None:
    config = Config.development(
        tmp_path / "data", acl={"enabled": True, "authority_grants_max": 2}, gateway={"engine": engine}
    )
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        case = await trust(wire, Admin(await wire.connect(orchestrator("admin"))), may_delegate=True, remaining_hops=2)
        assert (await derive(case.peer, case.grant, ME)).success
        refused = await derive(case.peer, case.grant, ME)
        assert (refused.success, refused.error) == (False, "no more than 2 authority grants of one principal can hold")


@pytest.mark.parametrize("op", ["derive", "derive_for_target"])
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"parent_grant_id": "nope"}, "authority grant not found"),
        ({"may_delegate": True}, "may_delegate=true must allow at least one remaining hop"),
        ({"remaining_hops": 1}, "may_delegate=false cannot have remaining hops"),
        ({"operation_scope": ["x" * 16_384]}, "16384 bytes"),
    ],
)
async def test_what_cannot_be_derived(wire: Wire, admin: Admin, op: str, changes: dict[str, Any], error: str) -> None:
    case = await trust(wire, admin, may_delegate=True, remaining_hops=2)
    receiver = pb.PrincipalRef(principal_type="agent", principal_id=ME)
    fields = {
        "parent_grant_id": case.grant.grant_id,
        "audience_type": "agent",
        "audience_id": ME,
        "max_access_level": 20,
        "expires_at": case.grant.expires_at,
        **changes,
    }
    if op == "derive":
        request = pb.AuthorityGrantDeriveRequest(delegate=receiver, **fields)
        response = await ask_grants(case.peer, G.DERIVE, derive_request=request)
    else:
        for_target = pb.AuthorityGrantDeriveForTargetRequest(target=receiver, **fields)
        response = await ask_grants(case.peer, G.DERIVE_FOR_TARGET, derive_for_target_request=for_target)
    assert (response.success, error in response.error, response.HasField("grant")) == (False, True, False)


async def test_another_grant_for_the_same_target_where_the_first_is_not_what_is_asked_for(
    wire: Wire, admin: Admin
) -> None:
    scopes = {"workspace_scope": ["ws1"], "operation_scope": ["send_message", "kv_get"]}
    case = await trust(wire, admin, may_delegate=True, remaining_hops=2, **scopes)

    async def derived(**changes: Any) -> pb.AuthorityGrantResponse:
        target = pb.PrincipalRef(principal_type="agent", principal_id=ME)
        fields = {"audience_type": "agent", "audience_id": ME, "max_access_level": 20, "target": target, **changes}
        request = pb.AuthorityGrantDeriveForTargetRequest(parent_grant_id=case.grant.grant_id, **fields)
        return await ask_grants(case.peer, G.DERIVE_FOR_TARGET, derive_for_target_request=request)

    first = await derived()
    assert list(first.grant.operation_scope) == ["send_message", "kv_get"]  # all that its parent has
    end = first.grant.expires_at
    others = [
        await derived(expires_at=end - 1),
        await derived(operation_scope=["kv_get"]),
        await derived(max_access_level=10),
        await derived(may_delegate=True, remaining_hops=1),
    ]
    assert [other.message for other in others] == ["authority grant derived"] * 4
    assert len({other.grant.grant_id for other in others} | {first.grant.grant_id}) == 5
    assert others[0].grant.expires_at == end - 1
    assert "remaining hop" in (await derived(may_delegate=True)).error
    assert "remaining hops" in (await derived(remaining_hops=1, max_access_level=10)).error
    for grant in (first.grant, others[0].grant):
        assert (await ask_grants(case.alice, G.REVOKE, grant_id=grant.grant_id)).success
    anew = await derived()
    assert (anew.message, anew.grant.expires_at) == ("authority grant derived", end)
    assert anew.grant.grant_id != first.grant.grant_id


# ------------------------------------------------------------------------------------------------- looking, renewing


async def test_grants_are_shown_to_those_they_concern(wire: Wire, admin: Admin) -> None:
    """83, 84."""
    case = await trust(wire, admin)
    assert (await ask_grants(case.alice, G.GET, grant_id=case.grant.grant_id)).grant == case.grant
    stranger = await ask_grants(admin.peer, G.GET, grant_id=case.grant.grant_id)
    assert stranger.error == f"not authorized to use authority grant {case.grant.grant_id}"
    assert (await ask_grants(admin.peer, G.GET, grant_id="nope")).error == "authority grant not found"
    assert in_seconds(0) <= case.grant.expires_at <= in_seconds(60), "seconds"
    more = await exchanged(case.peer, source_session_id=case.alice.ack.session_id)
    page = await ask_grants(case.alice, G.LIST_GRANTS_ON_ME, list_request=pb.AuthorityGrantListRequest(limit=1))
    assert (len(page.grants), page.total) == (1, 2)
    await ask_grants(case.alice, G.REVOKE, grant_id=more.grant_id)
    await case.peer.expect("authority_grant_revocation")
    assert [grant.grant_id for grant in (await ask_grants(case.peer, G.LIST_MY_GRANTS)).grants] == [case.grant.grant_id]
    assert [grant.grant_id for grant in (await ask_grants(case.alice, G.LIST_GRANTS_ON_ME)).grants] == [
        case.grant.grant_id
    ]
    everything = pb.AuthorityGrantListRequest(include_revoked=True)
    assert (await ask_grants(case.peer, G.LIST_MY_GRANTS, list_request=everything)).total == 2
    assert (await ask_grants(case.peer, G.LIST_GRANTS_ON_ME)).total == 0
    batch = pb.AuthorityGrantBatchExchangeRequest(requests=[exchange_request()] * 100)
    assert (await ask_grants(case.alice, G.BATCH_EXCHANGE, batch_exchange_request=batch)).success
    page = await ask_grants(case.alice, G.LIST_GRANTS_ON_ME)
    assert (len(page.grants), page.total) == (100, 101)


async def test_a_delegate_is_shown_a_grant_where_it_is_valid(wire: Wire, admin: Admin) -> None:
    case = await trust(wire, admin)
    whole = await exchanged(case.alice, may_delegate=True, remaining_hops=1)
    for kind, name, text in (("agent", ME, ""), ("session", case.alice.ack.session_id, "not valid for the current")):
        part = await derive(case.alice, whole, ME, audience_type=kind, audience_id=name)
        assert text in (await ask_grants(case.receiver, G.GET, grant_id=part.grant.grant_id)).error
        assert (await ask_grants(case.alice, G.GET, grant_id=part.grant.grant_id)).grant == part.grant


async def test_renewing(wire: Wire, admin: Admin) -> None:
    """82."""
    case = await trust(wire, admin, renewable_until=in_seconds(100))
    request = pb.ACLRenewAuthorityGrantRequest(grant_id=case.grant.grant_id, extend_seconds=1000)
    renewed = await ask_grants(case.peer, G.RENEW, renew_request=request)
    assert renewed.grant.expires_at == case.grant.renewable_until
    assert renewed.grant.renewed_at
    past = pb.ACLRenewAuthorityGrantRequest(grant_id=case.grant.grant_id, expires_at=1)
    assert (
        await ask_grants(case.peer, G.RENEW, renew_request=past)
    ).error == "renewed expires_at must be in the future"
    await ask_grants(case.alice, G.REVOKE, grant_id=case.grant.grant_id)
    await case.peer.expect("authority_grant_revocation")
    ended = await ask_grants(case.peer, G.RENEW, renew_request=request)
    assert ended.error == "authority grant cannot be renewed"


async def test_resolving(wire: Wire, admin: Admin) -> None:
    """87."""
    case = await trust(wire, admin, workspace_scope=["_subject_workspaces"])
    request = pb.ResolveAuthorityRequest(request_id="r", grant_id=case.grant.grant_id, subject=case.grant.subject)
    case.peer.say(resolve_authority_request=request)
    response = await case.peer.expect("resolve_authority_response")
    assert (response.request_id, response.ok) == ("r", True)
    assert list(response.authority.grant.workspace_scope) == ["*"]
    case.receiver.say(resolve_authority_request=request)
    refused = await case.receiver.expect("resolve_authority_response")
    assert (refused.ok, refused.error, refused.HasField("authority")) == (False, "not authorized", False)


async def test_grants_survive_a_restart(tmp_path: Path) -> None:
    config = Config.development(tmp_path / "data", acl={"enabled": True})
    grant = pb.ACLAuthorityGrantInfo()
    for round_ in range(2):
        async with Gateway(config) as gateway:
            assert gateway.port is not None
            async with open_wire(gateway.port) as wire:
                alice = await wire.connect(user())
                if round_ == 0:
                    grant = await exchanged(alice)
                else:
                    assert (await ask_grants(alice, G.GET, grant_id=grant.grant_id)).grant == grant


async def test_grants_run_out(tmp_path: Path, engine: str) -> None:
    """71, 82: an end is an end; and the log knows why it was refused, in the words of the protocol."""
    clock = WallClock()
    config = Config.development(tmp_path / "data", acl={"enabled": True}, gateway={"engine": engine})
    async with Gateway(config, wall_clock=clock) as gateway, open_wire(gateway.port or 0) as wire:
        admin = Admin(await wire.connect(orchestrator("admin")))
        end = clock.now_ms // 1000 + 60
        case = await trust(wire, admin, expires_at=end, renewable_until=end + 60)
        elsewhere = await exchanged(case.alice, expires_at=end, renewable_until=end)
        other_window = await wire.connect(user("alice", "w2"))
        other_window.send("us::bob::w1", authorization=on_behalf(elsewhere))
        await other_window.expect_error("ERR_PERMISSION_DENIED")
        revoked = await exchanged(
            case.peer, source_session_id=case.alice.ack.session_id, expires_at=end, renewable_until=end
        )
        await ask_grants(case.alice, G.REVOKE, grant_id=revoked.grant_id)
        await case.peer.expect("authority_grant_revocation")
        case.peer.send(ME, authorization=on_behalf(revoked))
        await case.peer.expect_error("ERR_PERMISSION_DENIED")
        clock.now_ms += 61_000
        await case.is_refused()
        request = pb.ACLRenewAuthorityGrantRequest(grant_id=case.grant.grant_id, extend_seconds=10)
        assert (
            await ask_grants(case.peer, G.RENEW, renew_request=request)
        ).error == "authority grant cannot be renewed"
        assert (await derive(case.peer, case.grant, ME)).error == "authority grant expired"
        response = await ask_acl(case.peer, Op.LIST_RULES, authorization=on_behalf(case.grant))
        assert response.error == "invalid authorization context: authority grant expired"
        admin.peer.say(audit_query=pb.AuditQuery(operation="message_route_failed"))
        rows = (await admin.peer.expect("audit_response")).entries
        assert [json.loads(row.metadata_json)["cause"] for row in reversed(rows)] == [
            "authority grant audience does not match request context",
            "authority grant revoked",
            "authority grant expired",
        ]
