"""Frames of API tokens (acl 14.1). Times on the wire are Unix seconds, 0 is unset."""

from __future__ import annotations

from aether.answers import down
from aether.proto import aether_pb2 as pb
from aether.tokens.store import Token

__all__ = ["token_frame", "token_info"]


def token_frame(response: pb.TokenResponse) -> bytes:
    return down(pb.DownstreamMessage(token=response))


def token_info(token: Token) -> pb.TokenInfo:
    """Everything but the hash."""
    return pb.TokenInfo(
        id=token.id,
        name=token.name,
        principal_type=token.principal_type,
        workspace_patterns=token.workspace_patterns,
        scopes=token.scopes,
        created_by=token.created_by,
        expires_at=token.expires_ms // 1000,
        last_used_at=token.last_used_ms // 1000,
        revoked=bool(token.revoked_ms),
        revoked_at=token.revoked_ms // 1000,
        created_at=token.created_ms // 1000,
        updated_at=token.updated_ms // 1000,
    )
