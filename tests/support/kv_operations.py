"""Single operations on values, and whether they are allowed."""

from __future__ import annotations

from typing import Any

from tests.support.wire import Peer

from aether.proto import aether_pb2 as pb

__all__ = ["kv", "kv_allowed", "kv_denied"]


def kv(op: int, scope: int, key: str = "k", **more: Any) -> pb.KVOperation:
    return pb.KVOperation(op=op, scope=scope, key=key, request_id="kv", **more)  # type: ignore[arg-type]


async def kv_denied(peer: Peer, operation: pb.KVOperation) -> None:
    """An error of the KV family, then the typed response of the same request."""
    peer.say(kv_op=operation)
    error = await peer.expect("error")
    assert (error.code.startswith("KV_ERROR"), error.request_id) == (True, "kv")
    response = await peer.expect("kv")
    assert (response.success, response.request_id) == (False, "kv")


async def kv_allowed(peer: Peer, operation: pb.KVOperation) -> pb.KVResponse:
    peer.say(kv_op=operation)
    response: pb.KVResponse = await peer.expect("kv")
    assert response.success, response
    return response
