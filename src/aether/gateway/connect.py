"""The way of a ``Connect`` stream to a session: who the client is, may it connect, is its identity free (connection 2).

A refusal gives back what was taken before it, and is counted and in the audit log before the client knows of it.
"""

from __future__ import annotations

from dataclasses import replace

import trio

from aether.errors import Refusal, StoreUnavailable
from aether.gateway.admission import admit
from aether.gateway.authenticator import source_of
from aether.gateway.denials import comer
from aether.gateway.handshake import Claim, read_claim, read_init
from aether.gateway.identity_lock import IdentityLock
from aether.gateway.reasons import store_away
from aether.gateway.services import Services
from aether.gateway.session import Session
from aether.identity import Identity, parse_identity
from aether.rpc.server import ServerCall
from aether.rpc.status import RpcError, StatusCode

__all__ = ["serve_connect"]

RECORD_S = 5.0
"""How long a client that is refused waits for the audit log."""

_REJECTIONS = {
    StatusCode.ALREADY_EXISTS: "lock_failed",
    StatusCode.RESOURCE_EXHAUSTED: "quota_exceeded",
    StatusCode.PERMISSION_DENIED: "acl_denied",
}
"""Statuses of a refused connect, as counted."""


async def serve_connect(call: ServerCall, services: Services) -> None:
    """Handler of ``/aether.v1.AetherGateway/Connect``.

    :raises RpcError: the status the stream ends with, unless the client half-closed.
    """
    session_id = services.new_id()
    source = source_of(call.peer.address)
    with services.half_open.stream("" if call.peer.in_process else source):
        claim = await _settle_claim(call, session_id, services)
    _check_denials(claim, source, services)
    session: Session | None = None
    try:
        claim = await _keep_assigned_id(claim, services)
        await admit(claim, session_id, services)
        async with IdentityLock(claim, session_id, services) as held:
            session = Session(call, claim, held.lock, services, displaced=held.displaced)
            session.join()
            try:
                await session.run()
            finally:
                session.leave()
    except StoreUnavailable:
        raise store_away() from None
    except RpcError as error:
        if session is None or not session.is_acknowledged:
            await _record_rejection(claim.identity, source, session_id, error, services)
        raise


async def _settle_claim(call: ServerCall, session_id: str, services: Services) -> Claim:
    """Who the client is; a refusal is counted, and in the audit log before it is out. Nobody keeps the message that
    says it: credentials are in it."""
    init = await read_init(call, timeout_s=services.settings.init_timeout_s)
    try:
        return await read_claim(
            init,
            call,
            services.authenticator,
            strict=services.settings.strict_identifiers,
            new_id=session_id,
            supported=services.tasks.extensions_of,
        )
    except StoreUnavailable:
        raise store_away() from None
    except RpcError as error:
        if error.code in (StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED):
            services.observer.not_authenticated(init.WhichOneof("client_type") or "")
            await _wait_recorded(services)
        raise


def _check_denials(claim: Claim, source: str, services: Services) -> None:
    """Who was refused too often is not admitted either; a row for that would be what it is about."""
    try:
        for who in (claim.identity.canonical_id, comer(source, claim.identity.canonical_id)):
            services.denials.check(who)
    except Refusal as refusal:
        raise RpcError(StatusCode.RESOURCE_EXHAUSTED, refusal.message) from None


async def _record_rejection(
    identity: Identity, source: str, session_id: str, error: RpcError, services: Services
) -> None:
    """Count a connect that was refused; it is in the audit log before the client knows.

    :raises RpcError: the log takes nothing now, so the client has to try again.
    """
    status = _REJECTIONS.get(error.code)
    if status is None:
        return
    try:
        services.observer.rejected(identity, source, session_id, status, error.message)
    except StoreUnavailable:
        raise store_away() from None
    await _wait_recorded(services)


async def _wait_recorded(services: Services) -> None:
    """Until the audit log has what was recorded.

    :raises RpcError: it takes too long, or fails.
    """
    try:
        with trio.fail_after(RECORD_S):
            await services.tier.durability.wait_durable(services.audit.ticket)
    except (StoreUnavailable, trio.TooSlowError):
        raise store_away() from None


async def _keep_assigned_id(claim: Claim, services: Services) -> Claim:
    """A pool worker that resumes keeps its instance id, and with it its topic and its cursor (connection W-3)."""
    identity = claim.identity
    if not identity.is_pool_task or not claim.resume_session_id:
        return claim
    prefix = f"ta::{identity.workspace}::{identity.implementation}::"
    resumed = services.unheard.latest(claim.resume_session_id)
    for lock in await services.locks.scan(prefix):
        if lock.session_id == resumed:
            return replace(claim, identity=parse_identity(lock.identity))
    return claim
