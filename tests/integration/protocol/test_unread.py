"""Who asks and does not read, or is told and does not read, decides about no more memory than a few mebibytes."""

from __future__ import annotations

import pytest
import trio.testing
from tests.support.authority_requests import ask_requests, created_request, routed_to
from tests.support.kv_operations import kv, kv_allowed
from tests.support.wire import Peer, Wire, agent, user

from aether import Gateway
from aether.gateway.answering import UNREAD_BYTES_MAX
from aether.proto import aether_pb2 as pb

K = pb.KVOperation
Request = pb.AuthorityRequestOperation

VALUE = b"x" * 500_000
TIMES = 100
"""Of such values, that is ten times as much as may be unread."""


@pytest.fixture
def gateway(gateway_with_rules: Gateway) -> Gateway:
    return gateway_with_rules


async def unread(gateway: Gateway, peer: Peer) -> int:
    """Bytes that wait for a client when nothing moves any more."""
    await trio.testing.wait_all_tasks_blocked(0.05)
    session = gateway.services.directory.get(peer.ack.session_id)
    assert session is not None
    answers = session._answers  # type: ignore[attr-defined]
    waiting = sum(len(frame) for item in answers.waiting for frame in item.answer.frames)
    return int(waiting + session._call.pending)  # type: ignore[attr-defined]


@pytest.mark.parametrize("behind", ["nothing", "a change", "an operation that waits"])
async def test_a_few_bytes_ask_for_many(wire: Wire, gateway: Gateway, behind: str) -> None:
    """All of it came with one read. Nothing of it is lost, and the order is kept."""
    peer = await wire.connect(agent())
    await kv_allowed(peer, kv(K.PUT, K.GLOBAL_EXCLUSIVE, value=VALUE))
    get = kv(K.GET, K.GLOBAL_EXCLUSIVE)
    await kv_allowed(peer, get)
    asked = []
    for number in range(TIMES):
        get.request_id = f"r{number}"
        asked.append(pb.UpstreamMessage(kv_op=pb.KVOperation.FromString(get.SerializeToString())))
    first = {
        "nothing": [],
        "a change": [pb.UpstreamMessage(kv_op=kv(K.PUT, K.GLOBAL_EXCLUSIVE, "other", value=b"1"))],
        "an operation that waits": [pb.UpstreamMessage(kv_op=kv(K.LIST, K.GLOBAL_EXCLUSIVE, "o"))],
    }[behind]
    peer.write(*first, *asked)
    assert await unread(gateway, peer) <= UNREAD_BYTES_MAX + len(VALUE) + 1000
    for _ in first:
        assert (await peer.expect("kv")).success
    for number in range(TIMES):
        answer = await peer.expect("kv")
        assert (answer.request_id, answer.value) == (f"r{number}", VALUE)
    await peer.settle()
    peer.write(*asked)
    await peer.close()


async def test_others_tell_somebody_much(wire: Wire, gateway: Gateway) -> None:
    """Requests for authority are shown to who decides, as often as somebody asks."""
    carol, bob = await wire.connect(user("carol")), await wire.connect(user("bob"))
    texts = {"text": "x" * 15_000}
    for _ in range(2 * TIMES):  # each told twice: that it is there, and that it is gone
        request = await created_request(bob, routing_target=routed_to(("user", "carol")), metadata=texts)
        assert (await ask_requests(bob, Request.CANCEL, request_id=request.request_id)).success
    assert await unread(gateway, carol) <= UNREAD_BYTES_MAX + 20_000
    while (message := await carol.receive()).WhichOneof("payload") == "authority_request_event":
        pass
    assert message.error.code == "BACKPRESSURE"
    await carol.settle()
    await created_request(bob, routing_target=routed_to(("user", "carol")))
    await carol.expect("authority_request_event")
