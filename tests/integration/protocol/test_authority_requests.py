"""Requests for authority on the wire: the checklist of the access chapter, items by their numbers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.access import ALICE, ME, Admin
from tests.support.authority import on_behalf
from tests.support.authority_requests import (
    ON_CALL,
    ask_requests,
    created_request,
    decide,
    principal_ref,
    request_event,
    routed_to,
    wanted_authority,
)
from tests.support.wire import Peer, Wire, agent, open_wire, orchestrator, service, user
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.proto import aether_pb2 as pb

Op = pb.AuthorityRequestOperation
Decide = pb.ResolveAuthorityRequestPayload
Event = pb.AuthorityRequestEvent
BOB = ("user", "bob")


@pytest.fixture
async def gateway(tmp_path: Path, engine: str, clock: WallClock) -> AsyncIterator[Gateway]:
    config = Config.development(tmp_path / "data", acl={"enabled": True}, gateway={"engine": engine})
    async with Gateway(config, wall_clock=clock) as gateway:
        yield gateway


async def pair(wire: Wire) -> tuple[Peer, Peer]:
    return await wire.connect(user("alice")), await wire.connect(user("bob"))


# ------------------------------------------------------------------------------------------------------------ asking


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"routing_target": None}, "routing_target is required"),
        (
            {"routing_target": routed_to(ALICE, ON_CALL)},
            "routing_target must set exactly one of principal or capability",
        ),
        ({"routing_target": routed_to()}, "routing_target must set either principal or capability"),
        ({"requested_duration_seconds": 0}, "invalid authority request: duration_seconds must be > 0"),
        ({"requested_access_level": 0}, "invalid authority request: requested_access: invalid access level"),
        ({"requested_access_level": 9}, "invalid authority request: requested_access: invalid access level"),
        ({"target_subject": principal_ref(("robot", "r"))}, "invalid target_subject: "),
        ({"requesting_actor": principal_ref(ALICE)}, "invalid requesting_actor: "),
        ({"audience_type": "world"}, 'invalid authority grant audience_type "world"'),
        ({"desired_workspace_scope": ["w"] * 101}, "must not exceed 100 entries"),
        ({"desired_workspace_scope": ["w" * 200] * 100}, "must not exceed 16384 bytes"),
    ],
)
async def test_requests_that_make_no_sense(wire: Wire, admin: Admin, changes: dict[str, Any], text: str) -> None:
    """89, 93."""
    bob = await wire.connect(user("bob"))
    response = await ask_requests(bob, Op.CREATE, create=wanted_authority(**changes))
    assert not response.success
    assert text in response.error


@pytest.mark.parametrize(
    ("op", "fields", "text"),
    [
        (Op.CREATE, {}, "create payload is required"),
        (Op.GET, {}, "request_id is required"),
        (Op.CANCEL, {}, "request_id is required"),
        (Op.RESOLVE, {"request_id": "x"}, "resolve payload is required"),
        (Op.RESOLVE, {"request_id": "x", "resolve": Decide()}, "resolve decision must be APPROVE or DENY"),
        (Op.GET, {"request_id": "x"}, "authority request not found"),
        (99, {}, "unknown authority request operation"),
    ],
)
async def test_operations_that_make_no_sense(wire: Wire, admin: Admin, op: int, fields: Any, text: str) -> None:
    bob = await wire.connect(user("bob"))
    response = await ask_requests(bob, op, **fields)
    assert (response.success, response.error) == (False, text)


async def test_a_request_is_kept_as_asked(wire: Wire, admin: Admin) -> None:
    """89: durations are cut to an hour."""
    bob = await wire.connect(user("bob"))
    request = await created_request(bob, requested_duration_seconds=99_999, metadata={"ticket": "7"})
    assert request.status == pb.AUTHORITY_REQUEST_STATUS_PENDING
    assert request.requested_duration_seconds == 3600
    assert (request.requesting_actor, request.target_subject) == (principal_ref(BOB), principal_ref(ALICE))
    assert (request.audience_type, request.audience_id) == ("session", bob.ack.session_id)
    assert request.expires_at - request.created_at == 1800
    assert dict(request.metadata) == {"ticket": "7"}
    assert (await ask_requests(bob, Op.GET, request_id=request.request_id)).request == request


async def test_those_who_decide_hear_of_a_request(wire: Wire, admin: Admin) -> None:
    """95: all windows of the principal it is routed to, and nobody else."""
    alice, bob = await pair(wire)
    other = await wire.connect(user("alice", "w2"))
    carol = await wire.connect(user("carol"))
    request = await created_request(bob)
    assert await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED) == request
    assert await request_event(other, Event.AUTHORITY_REQUEST_EVENT_CREATED) == request
    await carol.expect_nothing()


async def test_holders_of_a_capability_decide(wire: Wire, admin: Admin) -> None:
    """90, 91: routed to a capability, it concerns who really holds that."""
    await admin.grant(("user", "carol"), ("capability", ON_CALL), 30)
    alice, bob = await pair(wire)
    carol = await wire.connect(user("carol"))
    request = await created_request(bob, routing_target=routed_to(capability=ON_CALL))
    assert await request_event(carol, Event.AUTHORITY_REQUEST_EVENT_CREATED) == request
    await alice.expect_nothing()

    mallory = await wire.connect(user("mallory"))
    wishes = pb.AuthorityRequestListFilter(matching_capabilities=[ON_CALL])
    for peer, count in ((mallory, 0), (carol, 1)):
        response = await ask_requests(peer, Op.LIST_PENDING, list_filter=wishes)
        assert (response.success, response.total_count, len(response.requests)) == (True, count, count)
    assert (await ask_requests(mallory, Op.GET, request_id=request.request_id)).error == "authority request not found"
    assert (await decide(mallory, request, Decide.APPROVE)).error == "authority request not found"
    assert (await decide(carol, request, Decide.DENY)).success


async def test_lists_have_pages(wire: Wire, admin: Admin) -> None:
    """The newest first, totals count all matches; the workspace is one of those asked for."""
    alice, bob = await pair(wire)
    ids = [(await created_request(bob, desired_workspace_scope=[f"ws{number % 2}"])).request_id for number in range(5)]
    for _ in ids:
        await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    page = await ask_requests(alice, Op.LIST_PENDING, list_filter=pb.AuthorityRequestListFilter(limit=2, offset=1))
    assert (page.total_count, len(page.requests)) == (5, 2)
    page = await ask_requests(alice, Op.LIST_PENDING, list_filter=pb.AuthorityRequestListFilter(workspace="ws1"))
    assert {request.request_id for request in page.requests} == set(ids[1::2])
    status = pb.AuthorityRequestListFilter(status=pb.AUTHORITY_REQUEST_STATUS_DENIED)
    assert (await ask_requests(alice, Op.LIST_PENDING, list_filter=status)).total_count == 0


async def test_a_requester_takes_its_request_back(wire: Wire, admin: Admin) -> None:
    alice, bob = await pair(wire)
    request = await created_request(bob)
    await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    assert (await ask_requests(alice, Op.CANCEL, request_id=request.request_id)).error == "authority request not found"
    response = await ask_requests(bob, Op.CANCEL, request_id=request.request_id, reason="solved")
    assert response.request.status == pb.AUTHORITY_REQUEST_STATUS_CANCELLED
    assert response.request.resolution_reason == "solved"
    assert await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CANCELLED) == response.request
    assert (await decide(alice, request, Decide.APPROVE)).error == "authority request already resolved"


# ---------------------------------------------------------------------------------------------------------- deciding


async def test_an_approval_is_a_grant(wire: Wire, admin: Admin) -> None:
    """95: the requester is told and can use it at once, within what was granted, as long as was granted."""
    alice, bob = await pair(wire)
    receiver = await wire.connect(agent(workspace="ws1"))
    await admin.grant(BOB, ("workspace", "ws1"), 0)
    request = await created_request(bob)
    await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    await alice.settle()
    response = await decide(alice, request, Decide.APPROVE, granted_duration_seconds=60, reason="go on")
    assert response.success, response.error
    told = await request_event(bob, Event.AUTHORITY_REQUEST_EVENT_APPROVED)
    assert told == response.request
    assert told.granted_grant_id
    assert (told.resolved_by, told.resolution_reason) == (principal_ref(ALICE), "go on")

    grant = pb.ACLAuthorityGrantInfo(grant_id=told.granted_grant_id, subject=principal_ref(ALICE))
    bob.send(ME, b"for alice", authorization=on_behalf(grant))
    message = await receiver.expect("msg")
    assert (message.payload, message.on_behalf_subject) == (b"for alice", principal_ref(ALICE))
    bob.send("ag::ws2::i::s", authorization=on_behalf(grant))
    await bob.expect_error("ERR_PERMISSION_DENIED")

    got = pb.AuthorityGrantOperation(op=pb.AuthorityGrantOperation.GET, grant_id=told.granted_grant_id)
    bob.say(authority_grant_op=got)
    info = (await bob.expect("authority_grant")).grant
    assert (info.subject, info.delegate, info.issued_by) == (
        principal_ref(ALICE),
        principal_ref(BOB),
        principal_ref(ALICE),
    )
    assert (info.max_access_level, list(info.workspace_scope)) == (20, ["ws1"])
    assert info.expires_at == info.renewable_until == told.resolved_at + 60


async def test_an_approval_gives_no_more_than_was_asked_for(wire: Wire, admin: Admin) -> None:
    alice, bob = await pair(wire)
    request = await created_request(bob)
    await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    more = {
        "granted_access_level": pb.ACCESS_LEVEL_ADMIN,
        "granted_duration_seconds": 3000,
        "granted_workspace_scope": ["*"],
    }
    response = await decide(alice, request, Decide.APPROVE, **more)
    assert response.success, response.error
    told = await request_event(bob, Event.AUTHORITY_REQUEST_EVENT_APPROVED)
    got = pb.AuthorityGrantOperation(op=pb.AuthorityGrantOperation.GET, grant_id=told.granted_grant_id)
    bob.say(authority_grant_op=got)
    info = (await bob.expect("authority_grant")).grant
    assert (info.max_access_level, list(info.workspace_scope)) == (20, ["ws1"])
    assert info.expires_at == told.resolved_at + 600
    assert (info.root_subject, info.reason) == (principal_ref(ALICE), "to help")
    assert (info.may_delegate, info.remaining_hops, info.valid_while_audience_active) == (False, 0, True)


async def test_a_denial_gives_nothing(wire: Wire, admin: Admin) -> None:
    alice, bob = await pair(wire)
    request = await created_request(bob)
    await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    response = await decide(alice, request, Decide.DENY, reason="no")
    assert response.request.status == pb.AUTHORITY_REQUEST_STATUS_DENIED
    told = await request_event(bob, Event.AUTHORITY_REQUEST_EVENT_DENIED)
    assert (told.granted_grant_id, told.resolution_reason) == ("", "no")


async def test_decided_once(wire: Wire, admin: Admin) -> None:
    """96: however many approve at once, there is one grant."""
    windows = [await wire.connect(user("alice", f"w{number}")) for number in range(20)]
    bob = await wire.connect(user("bob"))
    request = await created_request(bob)
    for window in windows:
        await request_event(window, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    payload = pb.ResolveAuthorityRequestPayload(decision=Decide.APPROVE)
    operation = pb.AuthorityRequestOperation(op=Op.RESOLVE, request_id=request.request_id, resolve=payload)
    for window in windows:
        window.say(authority_request_op=operation)
    answers = []
    for window in windows:
        while (message := await window.receive()).WhichOneof("payload") == "authority_request_event":
            pass
        answers.append(message.authority_request_response)
    assert sorted(answer.error for answer in answers) == ["", *["authority request already resolved"] * 19]
    mine = pb.AuthorityGrantOperation(op=pb.AuthorityGrantOperation.LIST_MY_GRANTS)
    await request_event(bob, Event.AUTHORITY_REQUEST_EVENT_APPROVED)
    bob.say(authority_grant_op=mine)
    assert len((await bob.expect("authority_grant")).grants) == 1


async def test_requests_run_out(wire: Wire, gateway: Gateway, admin: Admin, clock: WallClock) -> None:
    """97: past its time it is expired, whether or not somebody looked; both sides are told."""
    alice, bob = await pair(wire)
    request = await created_request(bob)
    await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    clock.now_ms += 1800 * 1000
    assert (await decide(alice, request, Decide.APPROVE)).error == "authority request expired"
    seen = (await ask_requests(bob, Op.GET, request_id=request.request_id)).request
    assert seen.status == pb.AUTHORITY_REQUEST_STATUS_EXPIRED
    for peer in (alice, bob):  # the sweep comes every few seconds
        assert (await request_event(peer, Event.AUTHORITY_REQUEST_EVENT_EXPIRED)).request_id == request.request_id


# ------------------------------------------------------------------------------------------------------------- holes


async def test_hole_nobody_approves_its_own_request(wire: Wire, admin: Admin) -> None:
    """92, weakness 1: not by naming itself, nor with another session of its own, nor by a capability it holds."""
    await admin.grant(BOB, ("capability", ON_CALL), 50)
    bob = await wire.connect(user("bob"))
    other = await wire.connect(user("bob", "w2"))
    for target in (routed_to(BOB), routed_to(capability=ON_CALL)):
        request = await created_request(bob, routing_target=target)
        await request_event(other, Event.AUTHORITY_REQUEST_EVENT_CREATED)
        for peer in (bob, other):
            response = await decide(peer, request, Decide.APPROVE)
            assert response.error == "a requester cannot approve its own authority request"


async def test_hole_nobody_gives_what_it_does_not_hold(wire: Wire, admin: Admin) -> None:
    """Weakness 1: an approver that is not the subject must hold the granted level itself."""
    await admin.grant(("user", "carol"), ("capability", ON_CALL), 30)
    await admin.grant(ALICE, ("workspace", "ws1"), 40)
    bob, carol = await wire.connect(user("bob")), await wire.connect(user("carol"))
    changes = {"routing_target": routed_to(capability=ON_CALL), "requested_access_level": pb.ACCESS_LEVEL_ADMIN}
    request = await created_request(bob, **changes)
    await request_event(carol, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    response = await decide(carol, request, Decide.APPROVE)
    assert response.error == "an approver must hold the granted level on workspace:ws1 itself"
    less = await decide(carol, request, Decide.APPROVE, granted_access_level=pb.ACCESS_LEVEL_READWRITE)
    assert less.success, less.error


@pytest.mark.parametrize(("patterns", "named"), [([], "*"), (["admin/agents"], "admin/agents")])
async def test_hole_nobody_gives_resources_that_it_does_not_hold(
    wire: Wire, admin: Admin, patterns: list[str], named: str
) -> None:
    """Weakness 1: nor a resource that was asked for by name."""
    carol_ = ("user", "carol")
    await admin.grant(carol_, ("capability", ON_CALL), 30)
    await admin.grant(carol_, ("workspace", "ws1"), 20)
    await admin.grant(ALICE, ("admin", "admin/*"), 40)
    bob, carol = await wire.connect(user("bob")), await wire.connect(user("carol"))
    wanted = pb.AuthorityRequestResourceScopeEntry(resource_type="admin", patterns=patterns)
    on_call = routed_to(capability=ON_CALL)
    request = await created_request(bob, routing_target=on_call, desired_resource_scope=[wanted])
    await request_event(carol, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    shown = await ask_requests(carol, Op.GET, request_id=request.request_id)
    assert shown.request == request
    response = await decide(carol, request, Decide.APPROVE)
    assert (response.success, response.error) == (
        False,
        f"an approver must hold the granted level on admin:{named} itself",
    )


async def test_hole_an_approver_without_admin_gives_none(wire: Wire, admin: Admin) -> None:
    """Weakness 1: a request that names no resources does not open the subject's administration."""
    await admin.grant(("user", "carol"), ("capability", ON_CALL), 30)
    await admin.grant(ALICE, ("admin", "admin/*"), 40)
    bob, carol = await wire.connect(user("bob")), await wire.connect(user("carol"))
    request = await created_request(bob, routing_target=routed_to(capability=ON_CALL), desired_workspace_scope=[])
    await request_event(carol, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    await admin.grant(("user", "carol"), ("workspace", "*"), 20)
    response = await decide(carol, request, Decide.APPROVE)
    assert response.success, response.error
    await request_event(bob, Event.AUTHORITY_REQUEST_EVENT_APPROVED)
    grant = pb.ACLAuthorityGrantInfo(grant_id=response.request.granted_grant_id, subject=principal_ref(ALICE))
    operation = pb.ACLOperation(op=pb.ACLOperation.LIST_RULES, authorization=on_behalf(grant))
    bob.say(acl_op=operation)
    assert not (await bob.expect("acl")).success


async def test_hole_disjoint_narrowing_is_not_everything(wire: Wire, admin: Admin) -> None:
    """94, weakness 2."""
    alice, bob = await pair(wire)
    request = await created_request(bob, desired_operation_scope=["send_message"])
    await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    for narrowing in ({"granted_operation_scope": ["kv_get"]}, {"granted_workspace_scope": ["ws2"]}):
        response = await decide(alice, request, Decide.APPROVE, **narrowing)
        assert response.error == "granted scope does not overlap the requested scope"


async def test_hole_narrowing_an_open_request_narrows_it(wire: Wire, admin: Admin) -> None:
    """Weakness 2: an empty request is everything, so what is granted is the narrowing."""
    alice, bob = await pair(wire)
    request = await created_request(bob, desired_workspace_scope=[])
    await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    response = await decide(alice, request, Decide.APPROVE, granted_workspace_scope=["ws1"])
    await request_event(bob, Event.AUTHORITY_REQUEST_EVENT_APPROVED)
    grant = pb.ACLAuthorityGrantInfo(grant_id=response.request.granted_grant_id, subject=principal_ref(ALICE))
    bob.send("ag::ws2::i::s", authorization=on_behalf(grant))
    await bob.expect_error("ERR_PERMISSION_DENIED")


async def test_hole_a_request_is_not_shown_to_strangers(wire: Wire, admin: Admin) -> None:
    """90."""
    bob = await wire.connect(user("bob"))
    request = await created_request(bob)
    mallory = await wire.connect(service("m"))
    for op in (Op.GET, Op.CANCEL):
        assert (await ask_requests(mallory, op, request_id=request.request_id)).error == "authority request not found"
    assert (await decide(mallory, request, Decide.DENY)).error == "authority request not found"
    assert (await ask_requests(mallory, Op.LIST_PENDING)).total_count == 0


# ------------------------------------------------------------------------------------------------- keeping, recording


async def test_requests_survive_a_restart(tmp_path: Path, engine: str) -> None:
    config = Config.development(tmp_path / "data", acl={"enabled": True}, gateway={"engine": engine})
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        bob = await wire.connect(user("bob"))
        request = await created_request(bob)
    async with Gateway(config) as gateway, open_wire(gateway.port or 0) as wire:
        alice = await wire.connect(user("alice"))
        page = await ask_requests(alice, Op.LIST_PENDING)
        assert [found.request_id for found in page.requests] == [request.request_id]
        assert (await decide(alice, request, Decide.DENY)).success


async def test_decisions_and_attempts_are_recorded(wire: Wire, admin: Admin) -> None:
    """Weakness 1: attempts too."""
    alice, bob = await pair(wire)
    request = await created_request(bob)
    await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    await decide(bob, request, Decide.APPROVE)
    await decide(alice, request, Decide.DENY, reason="no")
    admin.peer.say(audit_query=pb.AuditQuery(request_id="q", event_type="authority_request"))
    rows = (await admin.peer.expect("audit_response")).entries
    seen = [(row.operation, row.actor_id, row.success) for row in reversed(rows)]
    assert seen == [
        ("authority_request_created", "us::bob::w1", True),
        ("authority_request_resolve", "us::bob::w1", False),
        ("authority_request_denied", "us::alice::w1", True),
    ]
    assert '"resolution_reason":"no"' in rows[0].metadata_json


async def test_how_long_is_configured(tmp_path: Path, engine: str, clock: WallClock) -> None:
    """97, weakness 51: the life of a request, and of what it gives, shorter for a capability."""
    acl = {
        "enabled": True,
        "authority_request_lifetime": "60s",
        "authority_duration_max": "2h",
        "authority_durations": [{"capability": ON_CALL, "max": "5m"}],
    }
    config = Config.development(tmp_path / "data", acl=acl, gateway={"engine": engine})
    async with Gateway(config, wall_clock=clock) as gateway, open_wire(gateway.port or 0) as wire:
        admin = Admin(await wire.connect(orchestrator("admin")))
        await admin.grant(("user", "carol"), ("capability", ON_CALL), 30)
        alice, bob = await pair(wire)
        carol = await wire.connect(user("carol"))
        long = {"requested_duration_seconds": 99_999}
        first = await created_request(bob, **long)
        assert first.requested_duration_seconds == 7200
        assert first.expires_at - first.created_at == 60
        request = await created_request(bob, routing_target=routed_to(capability=ON_CALL), **long)
        assert request.requested_duration_seconds == 300
        await request_event(carol, Event.AUTHORITY_REQUEST_EVENT_CREATED)
        approved = await decide(carol, request, Decide.APPROVE, granted_duration_seconds=1000)
        mine = pb.AuthorityGrantOperation(op=pb.AuthorityGrantOperation.GET, grant_id=approved.request.granted_grant_id)
        await request_event(bob, Event.AUTHORITY_REQUEST_EVENT_APPROVED)
        bob.say(authority_grant_op=mine)
        assert (await bob.expect("authority_grant")).grant.expires_at == approved.request.resolved_at + 300
        clock.now_ms += 60_000
        await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
        assert (await decide(alice, first, Decide.APPROVE)).error == "authority request expired"


async def test_what_ended_long_ago_is_forgotten(wire: Wire, gateway: Gateway, admin: Admin, clock: WallClock) -> None:
    """Weakness 39: after the retention, and not before."""
    assert gateway.services.authority is not None
    requests, grants = gateway.services.authority.requests, gateway.services.authority.grants
    alice, bob = await pair(wire)
    request = await created_request(bob)
    await request_event(alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    grant_id = (await decide(alice, request, Decide.APPROVE)).request.granted_grant_id
    for days, is_there in ((89, True), (3, False)):
        clock.now_ms += days * 86_400_000
        requests.sweep()
        grants.purge(100)
        assert (requests.find(request.request_id) is not None) is is_there
        assert (grants.get(grant_id) is not None) is is_there
    assert not grants.of_delegate(("user", "bob"))
