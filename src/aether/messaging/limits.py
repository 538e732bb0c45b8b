"""The limits of messages, as clients hear of them (routing 3.3, 9)."""

from __future__ import annotations

from aether._fastpath import Port
from aether.errors import Code, Refusal
from aether.identity import Identity

__all__ = ["refuse_limited", "refuse_oversize"]

_LIMITS = {
    1: (Code.RATE_LIMITED, "message rate limit exceeded"),
    2: (Code.WORKSPACE_RATE_LIMITED, "workspace {workspace} message rate limit exceeded"),
    3: (
        Code.QUOTA,
        "quota exceeded for message_rate in workspace '{workspace}' (identity: {identity}): "
        "current {limit:g}, limit {limit:g}",
    ),
}


def refuse_limited(port: Port, identity: Identity, limit: int) -> Refusal:
    """The refusal for the limit that :meth:`Port.admit` reported (routing 9), and how long that refuses more (routing,
    weakness 41)."""
    code, text = _LIMITS[limit]
    retry_after_ms = _wait_ms(port, limit)
    message = text.format(
        workspace=identity.workspace, identity=identity.key, limit=port.quota.limit if port.quota else 0
    )
    return Refusal(code, message, retryable=True, retry_after_ms=retry_after_ms)


def _wait_ms(port: Port, limit: int) -> int:
    if limit == 3:
        return port.quota.wait_ms(port.clock()) if port.quota else 0
    bucket = port.bucket if limit == 1 else port.workspace_bucket
    return bucket.wait_ms() if bucket else 0


def refuse_oversize(size: int, largest: int) -> Refusal:
    """The refusal for a payload that is too large, in bytes."""
    return Refusal(Code.PAYLOAD_TOO_LARGE, f"message payload size {size} exceeds maximum of {largest} bytes")
