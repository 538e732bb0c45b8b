"""API keys: the one that is there before anybody connects, those made with it, and how a client shows one."""

from __future__ import annotations

from typing import Any

from tests.support.access import Admin
from tests.support.wire import Peer

from aether import Gateway
from aether.gateway.configured import hmac_key
from aether.proto import aether_pb2 as pb
from aether.tokens.keys import KeyHasher
from aether.tokens.store import Token, TokenStore

__all__ = ["ADMIN_KEY", "ask_tokens", "create_token", "first_token", "key_for", "with_key"]

ADMIN_KEY = "the key of the first administrator"


def first_token(gateway: Gateway, principal_type: str = "Orchestrator", key: str = ADMIN_KEY, **changes: Any) -> None:
    """A token that is there before anybody can connect to make one."""
    config = gateway.config
    store = TokenStore(gateway.services.tier.records, KeyHasher(hmac_key(config)), lambda: 0)
    fields = {"id": key, "hash": "", "name": key, "workspace_patterns": ("*",), "scopes": ("*",), "created_by": "x"}
    times = {"created_ms": 1, "updated_ms": 1}
    store.add(Token(principal_type=principal_type, **{**fields, **times, **changes}), key)


def with_key(key: str) -> dict[str, Any]:
    """Fields of the first message of a client that has a key."""
    return {"credentials": {"x-api-key": key}}


async def ask_tokens(peer: Peer, op: int, **fields: Any) -> pb.TokenResponse:
    """One operation and its one answer."""
    peer.say(token_op=pb.TokenOperation(op=op, request_id="t", **fields))  # type: ignore[arg-type]
    response: pb.TokenResponse = await peer.expect("token")
    assert response.request_id == "t"
    return response


async def create_token(admin: Admin, principal_type: str, **fields: Any) -> pb.TokenResponse:
    """A new token, which only this answer shows in full; fields of the request by name."""
    request = pb.TokenCreateRequest(**{"name": "n", "principal_type": principal_type, **fields})
    response = await ask_tokens(admin.peer, pb.TokenOperation.CREATE, create_request=request)
    assert response.success, response.error
    return response


async def key_for(admin: Admin, principal_type: str, **fields: Any) -> str:
    return (await create_token(admin, principal_type, **fields)).plaintext_token
