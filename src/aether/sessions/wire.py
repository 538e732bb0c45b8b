"""Frames of the session operations (connection 13.1 to 13.3)."""

from __future__ import annotations

from collections.abc import Iterable

from aether.answers import Answer, down
from aether.proto import aether_pb2 as pb

__all__ = ["LIST_BYTES_MAX", "admin_answer", "connection_status_answer", "duration_text", "fit", "session_answer"]

LIST_BYTES_MAX = 3_500_000
"""Official clients take at most 4 MiB in one message (sdk 11)."""


def session_answer(response: pb.SessionOperationResponse) -> Answer:
    return Answer((down(pb.DownstreamMessage(session_response=response)),))


def admin_answer(response: pb.AdminResponse) -> Answer:
    return Answer((down(pb.DownstreamMessage(admin=response)),))


def connection_status_answer(response: pb.ConnectionStatusResponse) -> Answer:
    return Answer((down(pb.DownstreamMessage(connection_status_response=response)),))


def fit(connections: Iterable[pb.ConnectionInfo]) -> list[pb.ConnectionInfo]:
    """The leading connections that fit into one message; the rest is reached with an offset."""
    room = LIST_BYTES_MAX
    page = []
    for connection in connections:
        room -= connection.ByteSize() + 4
        if room < 0:
            break
        page.append(connection)
    return page


def duration_text(seconds: int) -> str:
    """``12s``, ``3m 4s``, ``2h 5m``, ``1d 3h``: the two largest units."""
    minutes, second = divmod(max(0, seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour}h"
    if hours:
        return f"{hours}h {minute}m"
    if minutes:
        return f"{minutes}m {second}s"
    return f"{second}s"
