"""Frames of the session operations (connection 13.1 to 13.3)."""

from __future__ import annotations

from aether.answers import Answer, down
from aether.proto import aether_pb2 as pb

__all__ = ["admin_answer", "connection_status_answer", "duration_text", "session_answer"]


def session_answer(response: pb.SessionOperationResponse) -> Answer:
    return Answer((down(pb.DownstreamMessage(session_response=response)),))


def admin_answer(response: pb.AdminResponse) -> Answer:
    return Answer((down(pb.DownstreamMessage(admin=response)),))


def connection_status_answer(response: pb.ConnectionStatusResponse) -> Answer:
    return Answer((down(pb.DownstreamMessage(connection_status_response=response)),))


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
