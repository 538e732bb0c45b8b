"""Numbers at the ends of their range, from who may do everything: answered, and nothing stops over them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.access import Admin
from tests.support.tasks import Desk
from tests.support.wire import Peer, Wire, agent

from aether import Gateway
from aether.gateway.refusals import ANSWERED_BY
from aether.proto import aether_pb2 as pb


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


def fill(message: Any, ids: dict[str, str], end: int, depth: int = 3) -> None:
    """The largest or smallest number in every numeric field, and something that exists in the others."""
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
                fill(child, ids, end, depth - 1)
            continue
        ends = {
            field.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
            field.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
            field.CPPTYPE_UINT32: (0, 2**32 - 1),
            field.CPPTYPE_UINT64: (0, 2**64 - 1),
            field.CPPTYPE_DOUBLE: (float("-inf"), float("inf")),
            field.CPPTYPE_FLOAT: (float("-inf"), float("inf")),
            field.CPPTYPE_BOOL: (False, True),
        }.get(field.cpp_type)
        if "level" in field.name:
            value: Any = 20
        elif field.cpp_type == field.CPPTYPE_ENUM:
            value = 1
        elif ends is not None:
            value = ends[end]
        else:
            value = b"1" if field.type == field.TYPE_BYTES else ids.get(field.name, "ws1")
        if field.is_repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)


@pytest.mark.parametrize("end", [0, 1])
async def test_numbers_at_their_ends(wire: Wire, admin: Admin, end: int) -> None:
    await admin.grant(("agent", "ag::ws1::i::s"), ("workspace", "*"), 50)
    await admin.grant(("agent", "ag::ws1::i::s"), ("admin", "admin/*"), 50)
    await admin.grant(("agent", "ag::ws1::i::s"), ("kv_scope", "*"), 50)
    await admin.grant(("agent", "ag::ws1::i::s"), ("capability", "*"), 50)
    peer = await wire.connect(agent(workspace="ws1"))
    desk = Desk(peer)
    for kind, member in ANSWERED_BY.items():
        if kind == "workflow_op":
            continue
        descriptor = pb.UpstreamMessage.DESCRIPTOR.fields_by_name[kind].message_type
        op = descriptor.fields_by_name.get("op")
        for number in [value.number for value in op.enum_type.values] if op is not None else [None]:
            ids = {
                "task_id": await desk.created(),
                "principal_type": "agent",
                "principal_id": "ag::ws1::i::s",
                "request_id": "r",
                "target_agent_id": "",
                "session_id": "nobody",
                "member_type": "agent",
                "assignee_type": "agent",
                "event_type": "custom",
                "parent_task_id": "",
                "name": "devs",
                "rule_category": "agent_log",
                "token_id": "nobody",
                "target_identity": "ag::ws1::i::other",
            }
            upstream = pb.UpstreamMessage()
            operation = getattr(upstream, kind)
            operation.SetInParent()
            fill(operation, ids, end)
            if number is not None:
                operation.op = number
            peer.write(upstream)
            answer = await next_answer(peer)
            if answer.WhichOneof("payload") == "error":
                assert answer.error.code != "ERR_INTERNAL", (kind, number, operation)
                answer = await next_answer(peer)
            assert answer.WhichOneof("payload") == member, (kind, number, answer)
    await desk.created()
    assert (await admin.explain(("agent", "ag::ws1::i::s"), ("workspace", "ws9"))).allowed


async def next_answer(peer: Peer) -> pb.DownstreamMessage:
    news = ("progress_update", "task_event", "authority_request_event", "task_assignment", "task_hibernated", "msg")
    while (message := await peer.receive()).WhichOneof("payload") in news:
        pass
    return message
