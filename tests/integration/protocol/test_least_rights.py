"""An agent that was given nothing, on every operation of the protocol."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.support.access import ALICE, ME, Admin
from tests.support.snapshot import snapshot
from tests.support.tasks import Desk
from tests.support.wire import Peer, Wire, agent, user

from aether import Gateway
from aether.gateway.refusals import ANSWERED_BY
from aether.proto import aether_pb2 as pb

Op = pb.ACLOperation


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


NOTHING_GIVEN = {
    # What needs no rule, since it is about oneself: private values, what one may do, who may act for whom.
    ("kv_op", "GET"),
    ("kv_op", "PUT"),
    ("kv_op", "LIST"),
    ("kv_op", "DELETE"),
    ("checkpoint_op", "LOAD"),
    ("checkpoint_op", "LIST"),
    ("authority_grant_op", "LIST_MY_GRANTS"),
    ("authority_grant_op", "LIST_GRANTS_ON_ME"),
    ("authority_request_op", "CREATE"),
    ("authority_request_op", "LIST_PENDING"),
    ("access_check", ""),
    ("batch_access_check", ""),
    ("task_query", "LIST"),
    ("submit_audit_event", ""),
    ("connection_status_request", ""),
    ("task_subscription_op", "UNSUBSCRIBE"),
}


def filled(message: Any, ids: dict[str, str], text: str, depth: int = 3) -> None:
    """Something plausible in every field: ids of what exists and belongs to others, everything else as given."""
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            continue
        if field.name == "authorization" or (field.containing_oneof is not None and field.message_type is not None):
            continue
        if field.message_type is not None:
            if depth:
                target = getattr(message, field.name)
                child = target.add() if field.is_repeated else target
                child.SetInParent()
                filled(child, ids, text, depth - 1)
            continue
        value: Any = {
            field.CPPTYPE_STRING: b"x" if field.type == field.TYPE_BYTES else ids.get(field.name, text),
            field.CPPTYPE_BOOL: False,
            field.CPPTYPE_ENUM: 1,
            field.CPPTYPE_DOUBLE: 1.0,
            field.CPPTYPE_FLOAT: 1.0,
        }.get(field.cpp_type, 20)
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


TEXTS = ["x", "", "*", "a\x00b\u202e[/x]\x1b[2J' OR 1=1 --../../etc"]


@pytest.mark.parametrize("text", TEXTS)
async def test_the_least_of_agents_reaches_nothing(wire: Wire, admin: Admin, text: str) -> None:
    """Every operation of every frame, on what belongs to others: refused, answered once, and in its own type."""
    for category in ("agent_workspace", "user_workspace"):
        await admin.fallback(category, 0)
    await admin.grant(ALICE, ("workspace", "*"), 40)
    await admin.grant(("agent", "ag::ws1::i::boss"), ("workspace", "ws1"), 40)
    await admin.grant(("agent", ME), ("workspace", "ws1"), 10)
    rule = await admin.grant(ALICE, ("admin", "admin/*"), 40)
    alice = await wire.connect(user())
    boss = Desk(await wire.connect(agent("boss", workspace="ws1")))
    end = int(time.time()) + 600
    exchange = pb.AuthorityGrantExchangeRequest(
        max_access_level=40, expires_at=end, renewable_until=end, may_delegate=True, remaining_hops=3
    )
    alice.say(
        authority_grant_op=pb.AuthorityGrantOperation(op=pb.AuthorityGrantOperation.EXCHANGE, exchange_request=exchange)
    )
    grant = (await alice.expect("authority_grant")).grant
    task_id = await boss.created(task_type="hidden task")
    token = pb.TokenOperation(
        op=pb.TokenOperation.CREATE, create_request=pb.TokenCreateRequest(name="hidden token", principal_type="Agent")
    )
    admin.peer.say(token_op=token)
    made = (await admin.peer.expect("token")).created_token
    request = pb.CreateAuthorityRequestPayload(
        routing_target=pb.AuthorityRequestRoutingTarget(
            principal=pb.PrincipalRef(principal_type="user", principal_id="alice")
        ),
        requested_access_level=pb.ACCESS_LEVEL_READ,
        requested_duration_seconds=60,
    )
    boss.peer.say(
        authority_request_op=pb.AuthorityRequestOperation(op=pb.AuthorityRequestOperation.CREATE, create=request)
    )
    asked = (await boss.next("authority_request_response")).request
    ids = {
        "rule_id": rule.rule_id,
        "grant_id": grant.grant_id,
        "parent_grant_id": grant.grant_id,
        "task_id": task_id,
        "parent_task_id": task_id,
        "token_id": made.id,
        "session_id": alice.ack.session_id,
        "source_session_id": alice.ack.session_id,
        "audience_id": alice.ack.session_id,
        "request_id": asked.request_id,
        "principal_type": "user",
        "principal_id": "alice",
        "target_identity": "ag::ws1::i::boss",
        "workspace": text or "ws2",
    }
    peer = await wire.connect(agent(workspace="ws1"))
    before = await snapshot(admin)
    for kind, member in ANSWERED_BY.items():
        descriptor = pb.UpstreamMessage.DESCRIPTOR.fields_by_name[kind].message_type
        op = descriptor.fields_by_name.get("op")
        numbers = [(value.number, value.name) for value in op.enum_type.values] if op is not None else [(None, "")]
        for number, name in [*numbers, *([(9999, "")] if op is not None else [])]:
            upstream = pb.UpstreamMessage()
            operation = getattr(upstream, kind)
            operation.SetInParent()
            filled(operation, ids, text)
            if number is not None:
                operation.op = number
            peer.write(upstream)
            answer = await next_answer(peer)
            if answer.WhichOneof("payload") == "error":
                assert answer.error.code != "ERR_INTERNAL", (kind, name, answer)
                if kind == "workflow_op":
                    continue
                answer = await next_answer(peer)
            assert answer.WhichOneof("payload") == member, (kind, name, answer)
            response = getattr(answer, member)
            if (kind, name) not in NOTHING_GIVEN:
                told = {field.name for field, _ in response.ListFields()}
                yes = {"success", "ok"} & told
                assert not yes, (kind, name, answer)
            assert b"hidden" not in answer.SerializeToString(), (kind, name, answer)
    for now, then in zip(await snapshot(admin), before, strict=True):
        assert now == then


async def next_answer(peer: Peer) -> pb.DownstreamMessage:
    """The next message that is not what every reader of a workspace is told."""
    while (message := await peer.receive()).WhichOneof("payload") in ("progress_update", "authority_request_event"):
        pass
    return message
