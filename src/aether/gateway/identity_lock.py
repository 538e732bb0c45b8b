"""The lock of a connected identity, from acquisition to release."""

from __future__ import annotations

import structlog
import trio

from aether.errors import IdentityHeld, StoreUnavailable
from aether.gateway.handshake import Claim
from aether.gateway.reasons import CloseReason, duplicate
from aether.gateway.services import Services
from aether.rpc.status import RpcError, StatusCode
from aether.sessions.store import Lock

__all__ = ["IdentityLock"]

log = structlog.get_logger("aether.session")

RELEASE_S = 5.0
DUPLICATE_PAUSES_S = (0.0, 0.01, 0.03, 0.06)
"""Waits between attempts to get a lock that is held: a tenth of a second in all."""


class IdentityLock:
    """The lock of an identity: an async context manager, from acquisition to release.

    A class, since one is held for as long as a session lives, and a generator would be kept with it.

    :ivar lock: as granted; there once it is entered.
    :ivar displaced: whether a session of this gateway had to leave for it; it is out of the way by then.
    """

    __slots__ = ("_claim", "_services", "_session_id", "displaced", "lock")

    lock: Lock

    def __init__(self, claim: Claim, session_id: str, services: Services) -> None:
        self._claim = claim
        self._session_id = session_id
        self._services = services
        self.displaced = False

    async def __aenter__(self) -> IdentityLock:
        try:
            self.lock = await _acquire(self._claim, self._session_id, self._services)
        except IdentityHeld:
            if not await _displace_silent(self._claim, self._services):
                raise duplicate(self._claim.identity) from None
            self.displaced = True
            try:
                self.lock = await _acquire(self._claim, self._session_id, self._services)
            except IdentityHeld:  # by somebody else who waited for it
                raise duplicate(self._claim.identity) from None
        if self.lock.resumed:
            self._services.unheard.begin(self._claim.resume_session_id, self._session_id)
        predecessor = self._services.directory.holder(self._claim.identity.key)
        if predecessor is not None:
            self.displaced = True
            predecessor.end(CloseReason.SUPERSEDED)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        key = self._claim.identity.key
        with trio.move_on_after(RELEASE_S, shield=True):
            try:
                await self._services.locks.release(key, self._session_id, self.lock.fence)
            except StoreUnavailable:
                log.warning("lock not released", identity=key)


async def _acquire(claim: Claim, session_id: str, services: Services) -> Lock:
    """The identity lock. A client that comes back at once may overtake the end of its own last stream, which came
    over another connection: so a held lock gets a moment to be given up before this is a duplicate.

    :raises IdentityHeld: it was not.
    """
    identity = claim.identity
    for pause_s in (*DUPLICATE_PAUSES_S, None):
        resumed = services.unheard.latest(claim.resume_session_id)
        try:
            return await services.locks.acquire(identity.key, session_id, resumed, claim.client)
        except IdentityHeld:
            if pause_s is None:
                raise
            await trio.sleep(pause_s)
        except StoreUnavailable:
            raise _not_acquired() from None
    raise AssertionError


async def _displace_silent(claim: Claim, services: Services) -> bool:
    """End the session that holds the identity, if its client never heard of it: whoever comes with the same credentials
    is that client, come back after its connection was cut without a word. Keepalive would end it too, half a minute
    later, and the published clients do not try again after a refusal."""
    holder = services.directory.holder(claim.identity.key)
    if holder is None or _credentials(holder.claim) != _credentials(claim):
        return False
    if not await services.unheard.is_silent(holder.session_id):
        return False
    log.info("silent session displaced", identity=holder.lock_key)
    holder.end(CloseReason.SUPERSEDED)
    try:
        await services.locks.release(holder.lock_key, holder.session_id, holder.fence)
    except StoreUnavailable:
        raise _not_acquired() from None
    return True


def _credentials(claim: Claim) -> tuple[str, str, str, str]:
    admission = claim.admission
    return admission.method, admission.token_id, admission.task_id, admission.subject


def _not_acquired() -> RpcError:
    return RpcError(StatusCode.INTERNAL, "failed to acquire session lock")
