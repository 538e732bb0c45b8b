"""Metrics as clients send them."""

from __future__ import annotations

from aether.proto import aether_pb2 as pb

__all__ = ["metric"]


def metric(**changes: object) -> bytes:
    """A serialized ``Metric`` with one entry."""
    fields = {"entries": [pb.MetricEntry(name="tokens", kind="count", qty=1)], **changes}
    return pb.Metric(**fields).SerializeToString()  # type: ignore[arg-type]
