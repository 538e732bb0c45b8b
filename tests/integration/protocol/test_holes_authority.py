"""Holes in authority that is lent, each closed: what the list of weaknesses of the access chapter names, and what was
found beside it. What a checklist item covers is tested with the checklist (test_authority, test_authority_requests)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.access import ALICE, ME, Admin, access_question, ask_acl
from tests.support.audit import audit_rows
from tests.support.authority import SERVICE, ask_grants, derive, exchange, exchanged, on_behalf, revoke_own, trust
from tests.support.authority_requests import (
    ON_CALL,
    ask_requests,
    created_request,
    decide,
    request_event,
    routed_to,
    wanted_authority,
)
from tests.support.kv_operations import kv, kv_allowed, kv_denied
from tests.support.wire import Wire, agent, service, user

from aether import Gateway
from aether.errors import StoreUnavailable
from aether.proto import aether_pb2 as pb

Decide = pb.ResolveAuthorityRequestPayload
Event = pb.AuthorityRequestEvent
G = pb.AuthorityGrantOperation
K = pb.KVOperation
Op = pb.ACLOperation

CAROL = ("user", "carol")
LAST = 2**63 - 1
"""The largest time that fits into a message."""


# ------------------------------------------------------------------------------------------------ workspace scopes


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


async def test_a_grant_for_a_workspace_opens_no_values_of_all(wire: Wire, admin: Admin) -> None:
    """73, weakness 5: naming the workspace besides, which such a scope has no use for, opened it."""
    for scope in ("global", "user-shared", "workspace"):
        await admin.grant(ALICE, ("kv_scope", scope), 20)
    case = await trust(wire, admin, workspace_scope=["ws1"])
    lent = {"authorization": on_behalf(case.grant), "workspace": "ws1", "user_id": "alice"}
    for scope in (K.GLOBAL, K.USER_SHARED):
        await kv_denied(case.peer, kv(K.GET, scope, **lent))
        await kv_denied(case.peer, kv(K.LIST, scope, "", **lent))
    await kv_allowed(case.peer, kv(K.GET, K.WORKSPACE, **lent))


async def test_a_question_about_a_workspace_concerns_that_workspace(wire: Wire, admin: Admin) -> None:
    """Receipts are the gateway's word: naming another workspace besides got one beyond the grant."""
    case = await trust(wire, admin, workspace_scope=["ws1"])
    for resource, workspace, allowed in (("ws1", "", True), ("ws2", "ws1", False), ("ws1", "ws2", True)):
        access = access_question(resource=resource)
        access.workspace = workspace
        check = pb.AccessCheckOperation(access=access, authorization=on_behalf(case.grant))
        case.peer.say(access_check=check)
        response = await case.peer.expect("access_check_response")
        assert (response.success, response.decision.allowed) == (True, allowed), (resource, workspace)


# ------------------------------------------------------------------------------------------------------- approving


async def test_an_approver_of_some_workspaces_opens_no_others(wire: Wire, admin: Admin) -> None:
    """Weakness 1: a pattern is text too, and ``team-*`` matches ``team-?``."""
    await admin.grant(CAROL, ("capability", ON_CALL), 30)
    await admin.grant(CAROL, ("workspace", "team-?"), 30)
    bob, carol = await wire.connect(user("bob")), await wire.connect(user("carol"))
    asked = {"routing_target": routed_to(capability=ON_CALL), "requested_access_level": pb.ACCESS_LEVEL_MANAGE}
    for scope in ("team-*", "team-[a-z]*", "*"):
        request = await created_request(bob, desired_workspace_scope=[scope], **asked)
        await request_event(carol, Event.AUTHORITY_REQUEST_EVENT_CREATED)
        response = await decide(carol, request, Decide.APPROVE)
        assert response.error == f"an approver must hold the granted level on workspace:{scope} itself"
    request = await created_request(bob, desired_workspace_scope=["team-a"], **asked)
    await request_event(carol, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    assert (await decide(carol, request, Decide.APPROVE)).success


async def test_an_approver_without_values_opens_none(wire: Wire, admin: Admin) -> None:
    """Weakness 1: a request that names no resources opened the subject's values, which its approver could not read."""
    await admin.grant(CAROL, ("capability", ON_CALL), 30)
    await admin.grant(ALICE, ("kv_scope", "global"), 20)
    carol = await wire.connect(user("carol"))
    peer = await wire.connect(service())

    async def approved() -> pb.ACLAuthorityGrantInfo:
        request = await created_request(peer, routing_target=routed_to(capability=ON_CALL), desired_workspace_scope=[])
        await request_event(carol, Event.AUTHORITY_REQUEST_EVENT_CREATED)
        response = await decide(carol, request, Decide.APPROVE)
        assert response.success, response.error
        await request_event(peer, Event.AUTHORITY_REQUEST_EVENT_APPROVED)
        subject = pb.PrincipalRef(principal_type="user", principal_id="alice")
        return pb.ACLAuthorityGrantInfo(grant_id=response.request.granted_grant_id, subject=subject)

    await kv_denied(peer, kv(K.GET, K.GLOBAL, authorization=on_behalf(await approved())))
    await admin.grant(CAROL, ("kv_scope", "*"), 20)
    await kv_allowed(peer, kv(K.GET, K.GLOBAL, authorization=on_behalf(await approved())))


# ------------------------------------------------------------------------------------------------------- deriving


async def test_what_is_reused_gives_no_more_than_asked(wire: Wire, admin: Admin) -> None:
    """Whoever asks for READ for a target would have handed it the READWRITE that another call made."""
    case = await trust(wire, admin, may_delegate=True, remaining_hops=2)

    async def derived(level: int, operations: tuple[str, ...] = (), hops: int = 0) -> pb.AuthorityGrantResponse:
        request = pb.AuthorityGrantDeriveForTargetRequest(
            parent_grant_id=case.grant.grant_id,
            target=pb.PrincipalRef(principal_type="agent", principal_id=ME),
            audience_type="agent",
            audience_id=ME,
            max_access_level=level,
            operation_scope=operations,
            may_delegate=hops > 0,
            remaining_hops=hops,
        )
        return await ask_grants(case.peer, G.DERIVE_FOR_TARGET, derive_for_target_request=request)

    wide = await derived(20, hops=1)
    for level, operations in ((10, ()), (20, ("kv_get",)), (20, ())):
        narrow = await derived(level, operations)
        assert (narrow.message, narrow.grant.max_access_level) == ("authority grant derived", level)
        assert (list(narrow.grant.operation_scope), narrow.grant.remaining_hops) == (list(operations), 0)
        assert (await derived(level, operations)).grant == narrow.grant
    assert (await derived(20, hops=1)).grant == wide.grant


# ------------------------------------------------------------------------------------------------------- recording


async def test_authority_that_cannot_be_recorded_is_not_given(
    wire: Wire, admin: Admin, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ruling 12: the row comes first. A grant was there although the answer was to try again."""
    case = await trust(wire, admin, may_delegate=True, remaining_hops=1)
    bob = await wire.connect(user("bob"))
    request = await created_request(bob)
    await request_event(case.alice, Event.AUTHORITY_REQUEST_EVENT_CREATED)
    working = gateway.services.tier.audit.append

    def full(row: object) -> int:
        raise StoreUnavailable("disk full")

    monkeypatch.setattr(gateway.services.tier.audit, "append", full)
    away = "the store of grants is unavailable, try again"
    assert (await exchange(case.alice)).error == away
    assert (await derive(case.peer, case.grant, ME)).error == away
    renew = pb.ACLRenewAuthorityGrantRequest(grant_id=case.grant.grant_id, expires_at=case.grant.expires_at - 1)
    assert (await ask_grants(case.peer, G.RENEW, renew_request=renew)).error == away
    assert (await ask_grants(case.alice, G.REVOKE, grant_id=case.grant.grant_id)).error == away
    approval = await decide(case.alice, request, Decide.APPROVE)
    assert approval.error == "the store of authority requests is unavailable, try again"
    monkeypatch.setattr(gateway.services.tier.audit, "append", working)
    assert (await ask_grants(case.alice, G.LIST_GRANTS_ON_ME)).grants == [case.grant]
    assert (await decide(case.alice, request, Decide.APPROVE)).success
    await request_event(bob, Event.AUTHORITY_REQUEST_EVENT_APPROVED)
    assert (await ask_grants(bob, G.LIST_MY_GRANTS)).total == 1


async def test_what_is_done_for_others_has_a_row_of_its_own(wire: Wire, admin: Admin) -> None:
    """100: not one with what the same principal did in its own right just before."""
    await admin.grant(SERVICE, ("workspace", "ws1"), 20)
    case = await trust(wire, admin)
    case.peer.send(ME)
    await case.receiver.expect("msg")
    await case.sends()
    for operation in ("message_routed", "send_message"):
        found = await audit_rows(admin, operation=operation, actor_id=SERVICE[1])
        assert {(row.authority_mode, row.subject_id) for row in found} == {
            ("direct", SERVICE[1]),
            ("on_behalf_of", "alice"),
        }, operation


# ---------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("seconds", [LAST, LAST // 1000, LAST // 1000 + 1])
async def test_the_end_of_time_ends_nothing_else(wire: Wire, admin: Admin, seconds: int) -> None:
    """Who manages one workspace could stop all decisions, for ever, with a rule that ends too late to be counted."""
    await admin.grant(ALICE, ("workspace", "ws1"), 0, expires_at=seconds)
    await admin.do(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name="g"))
    member = pb.ACLGroupMemberRequest(member_type="user", member_id="alice", expires_at=seconds)
    await admin.do(Op.ADD_GROUP_MEMBER, name="g", member_request=member)
    assert not (await admin.explain(ALICE, ("workspace", "ws1"))).allowed
    alice = await wire.connect(user())
    grant = await exchanged(alice, expires_at=seconds, renewable_until=seconds)
    assert (await ask_grants(alice, G.GET, grant_id=grant.grant_id)).grant == grant
    for wanted in (pb.AuditQuery(start_time=seconds), pb.AuditQuery(end_time=seconds)):
        admin.peer.say(audit_query=wanted)
        assert (await admin.peer.expect("audit_response")).success
    for found in (pb.ACLAuditFilter(start_time=seconds), pb.ACLAuditFilter(end_time=seconds)):
        assert (await admin.ask(Op.QUERY_AUDIT, audit_filter=found)).success


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "changes",
    [
        {"desired_workspace_scope": [LONG]},
        {"desired_resource_scope": [pb.AuthorityRequestResourceScopeEntry(resource_type="kv_key", patterns=[LONG])]},
        {"desired_resource_scope": [pb.AuthorityRequestResourceScopeEntry(resource_type=LONG)]},
        {"desired_operation_scope": [LONG]},
        {"metadata": {"k": LONG}},
        {"routing_target": routed_to(capability=LONG)},
        {"routing_target": routed_to(("user", LONG))},
        {"target_subject": pb.PrincipalRef(principal_type="user", principal_id=LONG)},
        {"audience_id": LONG},
        {"task_id": LONG},
    ],
)
async def test_nobody_is_told_more_than_it_can_take(wire: Wire, admin: Admin, changes: dict[str, Any]) -> None:
    """A request is pushed to those who decide: one that is larger than a message ended their streams."""
    bob = await wire.connect(user("bob"))
    response = await ask_requests(bob, pb.AuthorityRequestOperation.CREATE, create=wanted_authority(**changes))
    assert not response.success
    assert "must not exceed" in response.error


@pytest.mark.parametrize(
    "changes",
    [
        {"workspace_scope": [LONG]},
        {"workspace_scope": ["w"] * 101},
        {"workspace_scope": ["*" + "w" * 255]},
        {"resource_scope": [pb.ACLAuthorityGrantResourceScopeEntry(resource_type="kv_key", patterns=["k" * 256])]},
        {"operation_scope": [LONG]},
        {"resource_scope": [pb.ACLAuthorityGrantResourceScopeEntry(resource_type="kv_key", patterns=["k"] * 101)]},
        {"metadata": {"k": LONG}},
        {"metadata": {str(number): "" for number in range(101)}},
        {"reason": LONG},
    ],
)
async def test_grants_are_of_a_size_that_can_be_listed(wire: Wire, admin: Admin, changes: dict[str, Any]) -> None:
    alice = await wire.connect(user())
    response = await exchange(alice, **changes)
    assert not response.success
    assert "must not exceed" in response.error


async def test_nobody_asks_without_end(wire: Wire, admin: Admin) -> None:
    """Requests that wait are kept in memory and pushed to others; who has a hundred has to wait for an answer."""
    bob = await wire.connect(user("bob"))
    first = await created_request(bob)
    for _ in range(99):
        await created_request(bob)
    refused = await ask_requests(bob, pb.AuthorityRequestOperation.CREATE, create=wanted_authority())
    assert refused.error == "no more than 100 requests of one principal can wait"
    await ask_requests(bob, pb.AuthorityRequestOperation.CANCEL, request_id=first.request_id)
    await created_request(bob)


async def test_rows_are_of_a_size_that_can_be_kept(wire: Wire, admin: Admin) -> None:
    """What was refused is always recorded, so whoever is refused must not decide how much that is."""
    peer = await wire.connect(agent(workspace="ws1"))
    peer.say(authority_grant_op=G(op=G.GET, grant_id="g" * 1_000_000))
    assert not (await peer.expect("authority_grant")).success
    await kv_denied(peer, kv(K.GET, K.GLOBAL, "k" * 1_000_000))
    peer.say(access_check=pb.AccessCheckOperation(access=access_question(40, "w" * 1_000)))
    assert not (await peer.expect("access_check_response")).decision.allowed
    peer.say(access_check=pb.AccessCheckOperation(access=access_question(40, "w" * 1_000_000)))
    assert (await peer.expect("access_check_response")).error == "resource_id must not exceed 1024 characters"
    found = await audit_rows(admin, actor_id=ME, only_failures=True)
    assert {row.operation for row in found} == {"access_check", "authority_grant_get", "kv_get"}
    assert max(row.ByteSize() for row in found) < 20_000


async def test_a_manager_closes_its_workspace_to_no_administrator(wire: Wire, admin: Admin) -> None:
    """28: by a rule that is looked at before the administrator's, which is for all workspaces."""
    await admin.grant(("agent", ME), ("workspace", "ws1"), 30)
    await admin.grant(("user", "root"), ("workspace", "*"), 40)
    await admin.do(Op.CREATE_GROUP, group_request=pb.ACLGroupRequest(name="roots"))
    await admin.grant(("group", "roots"), ("workspace", "*"), 40)
    manager = await wire.connect(agent(workspace="ws1"))
    for kind, name, allowed in (("user", "root", False), ("group", "roots", False), ("user", "other", True)):
        request = pb.ACLGrantRequest(
            principal_type=kind, principal_id=name, resource_type="workspace", resource_id="ws1", access_level=0
        )
        assert (await ask_acl(manager, Op.GRANT, grant_request=request)).success is allowed, name
    assert (await admin.explain(("user", "root"), ("workspace", "ws1"), 40)).allowed


async def test_nobody_holds_up_the_gateway_with_a_pattern(wire: Wire, admin: Admin) -> None:
    """A pattern of a user's own grant, and a text that almost matches it, took the square of their length."""
    alice = await wire.connect(user())
    scope = [pb.ACLAuthorityGrantResourceScopeEntry(resource_type="kv_key", patterns=["*" + "x" * 253 + "y"])]
    grant = await exchanged(alice, resource_scope=scope)
    await kv_denied(alice, kv(K.GET, K.GLOBAL, "x" * 3_000_000, authorization=on_behalf(grant)))


async def test_what_one_principal_has_made_is_bounded(wire: Wire, admin: Admin, gateway: Gateway) -> None:
    """Grants are kept in memory: whoever may make them must not decide how many there are."""
    assert gateway.services.authority is not None
    grants = gateway.services.authority.grants
    grants._issued_max = 3
    alice, carol = await wire.connect(user()), await wire.connect(user("carol"))
    first = await exchanged(alice)
    for _ in range(2):
        await exchanged(alice)
    refused = await exchange(alice)
    assert (refused.success, refused.error) == (False, "no more than 3 authority grants of one principal can hold")
    await exchanged(carol)
    await revoke_own(alice, first.grant_id)
    await exchanged(alice)
    assert not (await exchange(alice)).success


async def test_what_ended_is_bounded(
    wire: Wire, admin: Admin, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aether.authority.grants.ENDED_MAX", 2)
    assert gateway.services.authority is not None
    grants = gateway.services.authority.grants
    alice = await wire.connect(user())
    ids = [(await exchanged(alice)).grant_id for _ in range(5)]
    for grant_id in ids[:4]:
        await revoke_own(alice, grant_id)
    assert grants.purge(100) == 2
    assert [grants.get(grant_id) is not None for grant_id in ids] == [False, False, True, True, True]
