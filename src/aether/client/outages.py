"""What an application may want to know of a connection that goes and comes back by itself (sdk, weakness 29)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Lost", "Regained"]


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone, and tried for again.

    :ivar reason: what it ended with, for people.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Regained:
    """There is a connection again.

    :ivar after_s: seconds since it was lost.
    :ivar resumed: it goes on with the session that was lost. Otherwise the session is a new one; messages on topics
        that keep a position are delivered from there in both cases.
    """

    after_s: float
    resumed: bool
