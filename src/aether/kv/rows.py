"""Audit rows of key/value operations (kv 12.1); values never get into them."""

from __future__ import annotations

from aether.access import Rights
from aether.answers import Caller
from aether.audit.events import Event, actor_of
from aether.kv.store import CONDITIONAL, COUNTERS, STORES_VALUE, TAKES_TTL, Op, Result, Scope
from aether.proto import aether_pb2 as pb

__all__ = ["LABELS", "row"]

LABELS = {op: f"kv_{op.name.lower()}" for op in Op}
"""Operations as rules and rows name them."""

_GUARDED = frozenset({Op.INCREMENT_IF, Op.DECREMENT_IF})
_SETS = frozenset({Op.SET_ADD, Op.SET_CARD})


def row(
    caller: Caller,
    operation: pb.KVOperation,
    op: Op | None,
    scope: Scope,
    workspace: str,
    rights: Rights | None,
    result: Result | None = None,
    denied: str | None = None,
) -> Event:
    """The row of one operation.

    :param op: None for an unknown one.
    :param result: None before it is there, and of what is refused.
    :param denied: why it was refused, for the log only; None: it was not.
    """
    metadata: dict[str, str | int] = {"scope": scope.label}
    if operation.user_id:
        metadata["user_id"] = operation.user_id
    if op in STORES_VALUE:
        metadata["new_value_size"] = len(operation.value)
    if operation.target_identity:
        metadata["target_identity"] = operation.target_identity
    if op is not None and result is not None:
        metadata |= _outcome(op, operation, result)
    return Event(
        kind="kv",
        operation=LABELS[op] if op is not None else "kv",
        success=denied is None,
        **actor_of(caller.identity),
        resource_type="kv_key",
        resource_id="" if op is Op.LIST else operation.key,
        workspace=workspace,
        session_id=caller.session_id,
        error=denied or "",
        metadata=metadata,
        lineage=rights.lineage if rights is not None else None,
    )


def _outcome(op: Op, operation: pb.KVOperation, result: Result) -> dict[str, str | int]:
    """What an audit row says of how an operation went (kv 7)."""
    told: dict[str, str | int] = {}
    if op is Op.GET:
        told["found"] = result.found
        if result.found:
            told["value_length"] = len(result.value)
    elif op is Op.PUT:
        told["is_update"] = result.found
    elif op is Op.LIST:
        told["result_count"] = len(result.keys)
    elif op is Op.PURGE_IDENTITY:
        told["removed"] = result.counter
    if op in COUNTERS:
        told["counter_value"] = result.counter
    if op in _SETS:
        told["cardinality"] = result.counter
    if op in _GUARDED:
        told |= {"guard_value": operation.guard_value, "delta": operation.delta_value or 1}
    if op in CONDITIONAL:
        told["applied"] = result.applied
    if op in TAKES_TTL and operation.ttl > 0:
        told["ttl_seconds"] = operation.ttl
    return told
