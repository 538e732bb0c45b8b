"""Who may send what for which workspace, and in whose name: the access part of the routing chapter's checklist."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.access import ALICE, ME, Admin, move, send_denied
from tests.support.audit import audit_rows
from tests.support.authority import derive, exchanged, on_behalf
from tests.support.exposition import errors_counted
from tests.support.metrics import metric
from tests.support.tasks import Desk, Op
from tests.support.wire import Peer, Wire, agent, engine, metrics_bridge, service, user

from aether import Gateway
from aether.proto import aether_pb2 as pb

AGENT = ("agent", ME)
SERVICE = ("service", "sv::i::s")
WS1, WS2 = ("workspace", "ws1"), ("workspace", "ws2")
EVENTS, METRICS = ("capability", "capability/event_broadcast"), ("capability", "capability/metric_broadcast")


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


async def accepted(peer: Peer, topic: str, payload: bytes = b"", kind: int = pb.OPAQUE, **more: Any) -> None:
    """Sent, and nothing came back."""
    peer.send(topic, payload, kind, **more)
    await peer.settle()


# ------------------------------------------------------------------------------------------------------- workspaces


async def test_a_rule_for_a_user_is_for_all_its_windows(wire: Wire, admin: Admin) -> None:
    """routing 11."""
    windows = [await wire.connect(user("alice", name)) for name in ("w1", "w2")]
    bob = await wire.connect(user("bob"))
    for peer in (*windows, bob):
        await move(peer, "ws1")
    await admin.grant(ALICE, WS1, 10)
    for window in windows:
        await send_denied(window, ME)
    await accepted(bob, ME)


async def test_another_workspace_takes_the_right_to_write_there(wire: Wire, admin: Admin) -> None:
    """routing 38, 31: and what was denied never arrives."""
    await admin.fallback("agent_workspace", 0)
    await admin.grant(AGENT, WS1, 20)
    await admin.grant(("agent", "ag::ws2::i::s"), WS2, 20)
    peer, target = await wire.connect(agent(workspace="ws1")), "ag::ws2::i::s"
    for level in (0, 10):
        await admin.grant(AGENT, WS2, level)
        peer.send(target, b"denied")
        await peer.expect_error("ERR_PERMISSION_DENIED", f"not authorized to send to topic {target}")
    await admin.grant(AGENT, WS2, 20)
    await accepted(peer, target, b"allowed")
    receiver = await wire.connect(agent(workspace="ws2"))
    message = await receiver.expect("msg")
    assert (message.payload, message.source_topic, message.workspace) == (b"allowed", ME, "ws2")
    await receiver.expect_nothing()


async def test_who_may_only_read_at_home_reports_metrics_and_nothing_else(wire: Wire, admin: Admin) -> None:
    """routing 39."""
    await admin.grant(AGENT, WS1, 10)
    peer = await wire.connect(agent(workspace="ws1"))
    await send_denied(peer, "ga::ws1")
    await send_denied(peer, "us::alice::w1")
    for topic in ("event::*", "event::ws1", "event::receiver0"):
        await send_denied(peer, topic, "not authorized to send to topic event::receiver0")
    for topic in ("metric::*", "metric::ws1", "metric::receiver0"):
        await accepted(peer, topic, metric(), pb.METRIC)


@pytest.mark.parametrize(("family", "capability", "other"), [("event", EVENTS, METRICS), ("metric", METRICS, EVENTS)])
async def test_broadcasts_to_another_workspace_take_their_capability(
    wire: Wire, admin: Admin, gateway: Gateway, family: str, capability: tuple[str, str], other: tuple[str, str]
) -> None:
    """routing 40: that, and no right to the workspace itself."""
    await admin.grant(AGENT, WS2, 0)
    receiver = await wire.connect(engine() if family == "event" else metrics_bridge())
    peer = await wire.connect(agent(workspace="ws1"))
    await admin.grant(AGENT, other, 20)
    await admin.grant(AGENT, capability, 10)
    peer.send(f"{family}::ws2", metric(), pb.METRIC)
    await peer.expect_error("ERR_PERMISSION_DENIED", f"cross-workspace broadcast to {family}::receiver0 denied: ")
    assert errors_counted(gateway) == {"cross_workspace_broadcast_denied": 1}
    await admin.grant(AGENT, capability, 20)
    peer.send(f"{family}::ws2", metric(), pb.METRIC)
    assert (await receiver.expect("msg")).workspace == "ws2"
    [row] = await audit_rows(admin, operation="message_route_failed")
    details = json.loads(row.metadata_json)
    assert (row.resource_id, details["to"]) == (f"{family}::receiver0", f"{family}::receiver0")
    assert (details["denied_reason"], details["declared_workspace"]) == ("cross_workspace_broadcast_denied", "ws2")


async def test_events_of_platform_parts(wire: Wire, admin: Admin) -> None:
    """routing 41: for no workspace without any rule, for a workspace with the capability."""
    receiver = await wire.connect(engine())
    peer = await wire.connect(service())
    for topic in ("event::*", "event::receiver0"):
        peer.send(topic, b"{}", pb.EVENT)
        assert (await receiver.expect("msg")).workspace == ""
    await send_denied(peer, "event::ws1", "cross-workspace broadcast to event::receiver0 denied")
    await admin.grant(SERVICE, EVENTS, 20)
    peer.send("event::ws1", b"{}", pb.EVENT)
    assert (await receiver.expect("msg")).workspace == "ws1"


@pytest.mark.parametrize("topic", ["event::*", "event::", "event::receiver0"])
async def test_an_event_is_for_no_workspace_that_its_sender_only_claims(wire: Wire, admin: Admin, topic: str) -> None:
    """routing weakness 23."""
    receiver = await wire.connect(engine())
    peer, helper = await wire.connect(agent(workspace="ws1")), await wire.connect(service())
    peer.send(topic, b"{}", pb.EVENT, app_workspace="ws2")
    assert (await receiver.expect("msg")).workspace == "ws1"
    helper.send(topic, b"{}", pb.EVENT, app_workspace="ws2")
    await helper.expect_error("ERR_PERMISSION_DENIED", "cross-workspace broadcast to event::receiver0 denied")
    await admin.grant(SERVICE, ("capability", "capability/event_broadcast/ws2"), 20)
    helper.send(topic, b"{}", pb.EVENT, app_workspace="ws2")
    assert (await receiver.expect("msg")).workspace == "ws2"
    await receiver.expect_nothing()


async def test_a_message_names_no_workspace_that_its_sender_may_not_write_to(wire: Wire, admin: Admin) -> None:
    """routing weakness 23, ruling 7: the topic's own comes first, then a claim that is allowed, then the sender's."""
    window, receiver = await wire.connect(user()), await wire.connect(agent(workspace="ws1"))
    peer, helper = await wire.connect(agent("t", workspace="ws1")), await wire.connect(service())
    who = ("agent", "ag::ws1::i::t")
    await admin.grant(who, WS1, 20)

    async def shown(sender: Peer, claimed: str) -> str:
        sender.send("us::alice::w1", app_workspace=claimed)
        message: pb.IncomingMessage = await window.expect("msg")
        return message.workspace

    await admin.grant(who, WS2, 10)
    assert (await shown(peer, "ws2"), await shown(helper, "ws2")) == ("ws1", "")
    await admin.grant(who, WS2, 20)
    await admin.grant(SERVICE, WS2, 20)
    assert (await shown(peer, "ws2"), await shown(helper, "ws2")) == ("ws2", "ws2")
    assert await shown(peer, "") == "ws1"
    peer.send(ME, app_workspace="ws2")
    assert (await receiver.expect("msg")).workspace == "ws1"


async def test_a_rule_for_a_user_decides_who_writes_to_it(wire: Wire, admin: Admin) -> None:
    """routing weakness 28: whatever the workspace, for the next message; without a rule the workspace decides."""
    alice, bob = await wire.connect(user()), await wire.connect(user("bob"))
    peer, helper = await wire.connect(agent(workspace="ws1")), await wire.connect(service())
    topics = {"us::alice::w1": (peer, helper), "uu::alice": (helper,)}
    for level in (0, 10):
        for who in (AGENT, SERVICE):
            await admin.grant(who, ("user", "alice"), level)
        for topic, senders in topics.items():
            for sender in senders:
                await send_denied(sender, topic)
    for sender in (peer, helper):
        for recipient in ("us::alice", "us::alice::w1"):
            sender.say(progress=pb.ProgressReport(recipient=recipient))
            await sender.expect_error("ERR_PERMISSION_DENIED", "not authorized to report progress")
    await alice.expect_nothing()
    peer.send("us::bob::w1", b"others as before")
    assert await bob.expect_payloads(1) == [b"others as before"]
    await admin.grant(AGENT, WS1, 10)
    for who in (AGENT, SERVICE):
        await admin.grant(who, ("user", "alice"), 20)
    for topic, senders in topics.items():
        for sender in senders:
            sender.send(topic, topic.encode())
            assert await alice.expect_payloads(1) == [topic.encode()]
    await send_denied(peer, "us::bob::w1")
    await send_denied(peer, "uw::alice::ws1")  # what is for a workspace takes the right to that, too
    root = await exchanged(bob, may_delegate=True, remaining_hops=1, workspace_scope=["ws2"])
    grant = (await derive(bob, root, ME, workspace_scope=["ws2"])).grant
    peer.send("us::alice::w1", authorization=on_behalf(grant))  # in whose name it would seem to be
    await peer.expect_error("ERR_PERMISSION_DENIED")


async def test_after_a_switch_the_new_workspace_decides(wire: Wire, admin: Admin) -> None:
    """routing 80, 82."""
    await admin.grant(ALICE, WS1, 20)
    await admin.grant(ALICE, WS2, 10)
    await admin.grant(ALICE, ("workspace", "ws3"), 0)
    alice, reporter = await wire.connect(user()), await wire.connect(agent(workspace="ws2"))
    await move(alice, "ws1")
    await accepted(alice, "us::bob::w1")
    await move(alice, "ws2")
    await send_denied(alice, "us::bob::w1")
    alice.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="ws3"))
    await alice.expect_error("ERR_PERMISSION_DENIED", "not authorized to access workspace ws3")
    await send_denied(alice, "us::bob::w1")
    for topic in ("gu::ws2", "uw::alice::ws2"):
        reporter.send(topic, topic.encode())
        assert await alice.expect_payloads(1) == [topic.encode()]
    reporter.say(progress=pb.ProgressReport(summary="still here"))
    assert (await alice.expect("progress_update")).summary == "still here"


async def test_a_refusal_names_the_instance_that_was_chosen(wire: Wire, admin: Admin) -> None:
    """routing 20."""
    await admin.grant(AGENT, WS1, 10)
    await wire.connect(service("a", implementation="x"))
    peer = await wire.connect(agent(workspace="ws1"))
    await send_denied(peer, "sv::x", "not authorized to send to topic sv::x::a")
    await admin.grant(AGENT, WS1, 20)
    await accepted(peer, "sv::x")
    for operation in ("message_route_failed", "message_received", "message_routed"):
        [row] = await audit_rows(admin, operation=operation)
        assert (row.resource_id, json.loads(row.metadata_json)["to"]) == ("sv::x::a", "sv::x::a"), operation


# ------------------------------------------------------------------------------------------------ tasks and authority


async def test_the_parts_of_a_task_write_to_its_lane(wire: Wire, admin: Admin) -> None:
    """routing 42: whoever made it, has it or is meant by it, without any rule; nobody writes its events."""
    await admin.grant(SERVICE, WS1, 30)
    boss = Desk(await wire.connect(service()))
    worker = Desk(await wire.connect(service("w", implementation="pool")))
    stranger = await wire.connect(service("x", implementation="other"))
    task_id = await boss.pool(workspace="ws1")
    await worker.do(Op.CLAIM, task_id)
    await admin.grant(SERVICE, WS1, 0)
    lane = f"tk::ws1::{task_id}"
    for desk in (boss, worker):
        desk.peer.send(f"{lane}::msg", b"mine")
        assert await desk.settled("error") == []
        desk.peer.send(f"{lane}::events", b"forged")
        assert (await desk.next("error")).code == "ERR_PERMISSION_DENIED"
    await send_denied(stranger, f"{lane}::msg")
    for topic in (f"tk::ws2::{task_id}::msg", "tk::ws1::other::msg"):
        boss.peer.send(topic)
        assert (await boss.next("error")).code == "ERR_PERMISSION_DENIED"


async def test_a_right_of_ones_own_will_do_under_a_grant(wire: Wire, admin: Admin) -> None:
    """routing 43, 44: what neither has is denied, and the row says under which grant."""
    alice, receiver = await wire.connect(user()), await wire.connect(agent("r", workspace="ws1"))
    peer = await wire.connect(agent(workspace="ws1"))
    root = await exchanged(alice, may_delegate=True, remaining_hops=1)
    grant = (await derive(alice, root, ME)).grant
    for own, hers, allowed in ((10, 20, True), (20, 10, True), (10, 10, False)):
        await admin.grant(AGENT, WS1, own)
        await admin.grant(ALICE, WS1, hers)
        peer.send("ag::ws1::i::r", b"%d" % own, authorization=on_behalf(grant))
        if allowed:
            message = await receiver.expect("msg")
            assert (message.payload, message.source_topic) == (b"%d" % own, ME)
            assert (message.on_behalf_subject.principal_type, message.on_behalf_subject.principal_id) == ALICE
        else:
            await peer.expect_error("ERR_PERMISSION_DENIED")
    await receiver.expect_nothing()
    [row] = await audit_rows(admin, operation="message_route_failed")
    assert (row.subject_id, row.authority_grant_id) == ("alice", grant.grant_id)


async def test_the_worker_of_somebodys_task_acts_for_it_unasked(wire: Wire, admin: Admin) -> None:
    """routing 47: as far as that authority reaches and as long as the task lasts; beyond, in its own right."""
    profiles = pb.OrchestratorIdentity(implementation="o", specifier="1", supported_profiles=["p"])
    keeper = Desk(await wire.connect(pb.InitConnection(orchestrator=profiles)))
    registration = pb.AgentRegistrationInfo(implementation="lazy", orchestrator_profile="p")
    keeper.peer.say(agent_op=pb.AgentOperation(op=pb.AgentOperation.REGISTER, agent=registration))
    assert (await keeper.next("agent")).success
    bob, alice = await wire.connect(user("bob")), await wire.connect(user())
    alice.send("ag::ws1::lazy::1", b"help")
    start = await keeper.assigned()
    token = {"token": start.launch_params["auth_token"]}
    lazy = await wire.connect(agent("1", workspace="ws1", implementation="lazy", credentials=token))
    assert await lazy.expect_payloads(1) == [b"help"]
    who = ("agent", "ag::ws1::lazy::1")
    await admin.grant(who, WS1, 10)
    await admin.grant(who, WS2, 20)
    elsewhere = await wire.connect(agent(workspace="ws2"))

    async def subject(topic: str, receiver: Peer) -> str:
        lazy.send(topic)
        message: pb.IncomingMessage = await receiver.expect("msg")
        assert message.source_topic == who[1]
        return message.on_behalf_subject.principal_id

    for _ in range(2):
        assert await subject("us::bob::w1", bob) == "alice"  # which it may not by itself
        assert await subject("ag::ws2::i::s", elsewhere) == ""  # where her authority does not reach
    await admin.grant(ALICE, WS1, 10)
    await send_denied(lazy, "us::bob::w1")
    await admin.grant(who, WS1, 20)
    await admin.grant(ALICE, WS1, 20)
    assert await subject("us::bob::w1", bob) == "alice"
    revoke = pb.AuthorityGrantOperation(
        op=pb.AuthorityGrantOperation.REVOKE, grant_id=lazy.snapshot.task_context["authority_grant_id"]
    )
    alice.say(authority_grant_op=revoke)
    assert (await alice.expect("authority_grant")).success
    await lazy.expect("authority_grant_revocation")
    assert await subject("us::bob::w1", bob) == ""


# --------------------------------------------------------------------------------------------------------- progress


async def test_a_report_on_a_task_goes_to_its_workspace(wire: Wire, admin: Admin) -> None:
    """routing 7.1, weakness 21: from a worker without a workspace, if the task is its own."""
    await admin.grant(SERVICE, WS1, 30)
    boss = Desk(await wire.connect(service()))
    worker = await wire.connect(service("w", implementation="pool"))
    stranger = await wire.connect(service("x", implementation="other"))
    member = await wire.connect(agent(workspace="ws1"))
    task_id = await boss.pool(workspace="ws1")
    assert (await worker.expect("task_assignment")).task_id == task_id
    report = pb.ProgressReport(task_id=task_id, state="working")
    worker.say(progress=report)
    update = await member.expect("progress_update")
    assert (update.source, update.workspace, update.task_id) == ("sv::pool::w", "ws1", task_id)
    stranger.say(progress=report)
    await stranger.expect_error("ERR_INVALID_TOPIC")
    await member.expect_nothing()
    worker.say(progress=report)
    await worker.settle()
    [row] = await audit_rows(admin, operation="progress_reported")
    assert (row.actor_id, row.resource_id, row.workspace) == ("sv::pool::w", "pg::ws1", "ws1")


async def test_a_reader_reports_to_nobody(wire: Wire, admin: Admin) -> None:
    """routing weakness 21: users in other workspaces included."""
    await admin.grant(AGENT, WS1, 10)
    peer, alice = await wire.connect(agent(workspace="ws1")), await wire.connect(user())
    for recipient in ("", "us::alice", "us::alice::w1", "ag::ws1::i::t"):
        peer.say(progress=pb.ProgressReport(recipient=recipient))
        await peer.expect_error("ERR_PERMISSION_DENIED", "not authorized to report progress")
    await alice.expect_nothing()
