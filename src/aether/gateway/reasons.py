"""Why a session ends or never begins, and what its client is told."""

from __future__ import annotations

import enum

from aether.identity import Identity
from aether.proto import aether_pb2 as pb
from aether.rpc.status import RpcError, StatusCode

__all__ = ["CloseReason", "duplicate", "refused_by_drain", "store_away"]


class CloseReason(enum.Enum):
    """Why a session ended, with the status its stream ends with and the signal that precedes it."""

    CLIENT_CLOSE = (StatusCode.OK, "", None)
    CLIENT_GONE = (StatusCode.CANCELLED, "", None)
    SUPERSEDED = (StatusCode.CANCELLED, "session superseded by a newer connection", pb.Signal.FORCE_DISCONNECT)
    ADMIN = (StatusCode.CANCELLED, "session disconnected by administrator", pb.Signal.FORCE_DISCONNECT)
    ACCESS_LOST = (StatusCode.PERMISSION_DENIED, "access denied: no longer allowed", pb.Signal.FORCE_DISCONNECT)
    TOKEN_REVOKED = (StatusCode.UNAUTHENTICATED, "API key revoked or expired", pb.Signal.FORCE_DISCONNECT)
    BEARER_EXPIRED = (StatusCode.UNAUTHENTICATED, "bearer token expired", None)
    TASK_ENDED = (StatusCode.UNAUTHENTICATED, "task token revoked: the task has ended", pb.Signal.FORCE_DISCONNECT)
    LOCK_LOST = (StatusCode.CANCELLED, "session lock lost", None)
    DRAIN = (StatusCode.UNAVAILABLE, "gateway draining", pb.Signal.GRACEFUL_DISCONNECT)
    PROTOCOL = (StatusCode.INVALID_ARGUMENT, "InitConnection already sent", None)

    @property
    def status(self) -> RpcError:
        code, text, _ = self.value
        return RpcError(code, text)

    @property
    def signal(self) -> int | None:
        signal: int | None = self.value[2]
        return signal


def duplicate(identity: Identity) -> RpcError:
    """Another client is connected as this identity."""
    return RpcError(StatusCode.ALREADY_EXISTS, f"DuplicateIdentityError: identity ({identity.key}) already connected")


def refused_by_drain() -> RpcError:
    """What a client is told that comes while the gateway goes."""
    return RpcError(StatusCode.UNAVAILABLE, "gateway draining")


def store_away() -> RpcError:
    """What a client is told when nothing can be decided or kept now."""
    return RpcError(StatusCode.UNAVAILABLE, "store unavailable, try again")
