"""Who may connect: access rules and quotas, asked before the identity's lock is taken and once more with it
(connection 2, steps 10 and 11).
"""

from __future__ import annotations

from aether.gateway.handshake import Claim
from aether.gateway.membership import SYSTEM, may_be_connected
from aether.gateway.reasons import CloseReason, duplicate, refused_by_drain
from aether.gateway.services import Services
from aether.identity import Identity
from aether.rpc.status import RpcError, StatusCode

__all__ = ["admit", "over_quota", "withdrawn"]


async def admit(claim: Claim, session_id: str, services: Services) -> None:
    """Access rules and quota, decided before a lock is touched (connection 2, steps 10 and 11; W-9).

    A duplicate is reported before either, as clients expect from the order of the steps.
    """
    denied = _admission_denied(claim.identity, session_id, services)
    if denied is None:
        return
    if await services.locks.holder(claim.identity.key) is not None and not claim.resume_session_id:
        raise duplicate(claim.identity)
    raise denied


def _admission_denied(identity: Identity, session_id: str, services: Services) -> RpcError | None:
    if (denied := _access_denied(identity, session_id, services)) is not None:
        return denied
    if services.directory.holder(identity.key) is not None:
        return None  # which it would replace
    return over_quota(identity, services)


def over_quota(identity: Identity, services: Services) -> RpcError | None:
    limit = services.quotas.of(identity.workspace).connections
    current = services.directory.connections(identity.workspace)
    if limit > 0 and identity.workspace and identity.kind not in SYSTEM and current >= limit:
        return RpcError(
            StatusCode.RESOURCE_EXHAUSTED,
            f"quota exceeded for connections in workspace '{identity.workspace}': current {current}, limit {limit}",
        )
    return None


def _access_denied(identity: Identity, session_id: str, services: Services) -> RpcError | None:
    decision = may_be_connected(identity, session_id, services.access)
    if decision.allowed:
        return None
    tier = decision.reason.partition(": ")[0]  # what follows names rules and groups, which is for the audit log
    text = f"access denied: {tier}: no right to read workspace {identity.workspace or 'without a name'}"
    return RpcError(StatusCode.PERMISSION_DENIED, text)


def withdrawn(claim: Claim, session_id: str, services: Services) -> RpcError | None:
    """What admitted a client may be over by the time it has its lock; only from then on do changes find its session."""
    if services.draining:
        return refused_by_drain()
    if not claim.admission.still_holds():
        reason = CloseReason.TASK_ENDED if claim.admission.task_id else CloseReason.TOKEN_REVOKED
        return reason.status
    return _access_denied(claim.identity, session_id, services)
