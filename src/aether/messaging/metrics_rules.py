"""What makes a metric payload acceptable (routing 3.7). The gateway forwards the bytes unchanged."""

from __future__ import annotations

import math

from google.protobuf.message import DecodeError

from aether.errors import Code, Refusal
from aether.proto import aether_pb2 as pb

__all__ = ["ENTRIES_MAX", "METADATA_KEYS_MAX", "check_metric"]

ENTRIES_MAX = 1024
METADATA_KEYS_MAX = 64


def check_metric(payload: bytes) -> bool:
    """Check a serialized ``Metric``; True when any quantity is negative, which needs the metric credit capability.

    :raises Refusal: with the code of the first rule that is broken, in the order of routing 3.7.
    """
    try:
        metric = pb.Metric.FromString(payload)
    except DecodeError:
        raise Refusal(Code.METRIC_INVALID, "payload is not a valid Metric") from None
    entries = metric.entries
    if not entries:
        raise Refusal(Code.METRIC_EMPTY, "metric has no entries")
    if len(entries) > ENTRIES_MAX:
        raise Refusal(Code.METRIC_EMPTY, f"metric has {len(entries)} entries, maximum is {ENTRIES_MAX}")
    if len(metric.metadata) > METADATA_KEYS_MAX:
        raise Refusal(
            Code.METRIC_INVALID, f"metric has {len(metric.metadata)} metadata keys, maximum is {METADATA_KEYS_MAX}"
        )
    has_negative = False
    for index, entry in enumerate(entries):
        if not entry.name:
            raise Refusal(Code.METRIC_INVALID_ENTRY, f"metric entry {index} has no name")
        quantity = entry.qty
        if not math.isfinite(quantity):
            raise Refusal(Code.METRIC_INVALID_ENTRY, f"metric entry {index} has a quantity that is not finite")
        if quantity < 0:
            has_negative = True
    return has_negative
