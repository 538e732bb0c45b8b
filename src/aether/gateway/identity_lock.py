"""The lock of a connected identity, from acquisition to release."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import trio

from aether.errors import IdentityHeld, StoreUnavailable
from aether.gateway.handshake import Claim
from aether.gateway.reasons import CloseReason, duplicate
from aether.gateway.services import Services
from aether.rpc.status import RpcError, StatusCode
from aether.sessions.store import Lock

__all__ = ["hold_lock"]

log = structlog.get_logger("aether.session")

RELEASE_S = 5.0
DUPLICATE_PAUSES_S = (0.0, 0.01, 0.03, 0.06)
"""Waits between attempts to get a lock that is held: a tenth of a second in all."""


@asynccontextmanager
async def hold_lock(claim: Claim, session_id: str, services: Services) -> AsyncIterator[tuple[Lock, bool]]:
    """The identity lock, from acquisition to release, and whether a session was displaced for it, which is out of the
    way when this returns."""
    identity = claim.identity
    lock = await _acquire(claim, session_id, services)
    try:
        predecessor = services.directory.holder(identity.key)
        if predecessor is not None:
            predecessor.end(CloseReason.SUPERSEDED)
        yield lock, predecessor is not None
    finally:
        with trio.move_on_after(RELEASE_S, shield=True):
            try:
                await services.locks.release(identity.key, session_id, lock.fence)
            except StoreUnavailable:
                log.warning("lock not released", identity=identity.key)


async def _acquire(claim: Claim, session_id: str, services: Services) -> Lock:
    """The identity lock. A client that comes back at once may overtake the end of its own last stream, which came
    over another connection: so a held lock gets a moment to be given up before this is a duplicate."""
    identity = claim.identity
    for pause_s in (*DUPLICATE_PAUSES_S, None):
        try:
            return await services.locks.acquire(identity.key, session_id, claim.resume_session_id, claim.client)
        except IdentityHeld:
            if pause_s is None:
                break
            await trio.sleep(pause_s)
        except StoreUnavailable:
            raise RpcError(StatusCode.INTERNAL, "failed to acquire session lock") from None
    raise duplicate(identity)
