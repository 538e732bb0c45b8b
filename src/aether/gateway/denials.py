"""Who is refused over and over is not heard for a while (acl 15).

A refusal is a row of the audit log that is kept, and on the disk before the client knows: more expensive than anything
else a client gets without a right. So it may be refused a number of times a second, and what it asks for beyond that is
declined unseen, which is no decision about its rights and leaves no row.
"""

from __future__ import annotations

from collections import OrderedDict

import trio

from aether._fastpath import TokenBucket
from aether.audit.events import Event
from aether.errors import Code, Refusal

__all__ = ["Denials", "comer"]

BURST_S = 50
PRINCIPALS_MAX = 10_000
"""Principals whose refusals are counted; one more forgets the one that was not refused for the longest time."""


class Denials:
    """One per gateway.

    :param rate: refusals a second that a principal gets on average, and fifty times as many at once; 0: any number.
    :ivar barred: who had more; empty most of the time, so that callers on a hot path need not ask.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()
        self.barred: dict[str, TokenBucket] = {}

    def on_refusal(self, event: Event) -> None:
        """A row of a refusal. Who is refused a connection only says who it is: that counts for where it came from, and
        not for whoever really is."""
        who = event.canonical_id
        if who and event.kind in ("auth", "connection"):
            who = comer(str(event.metadata.get("source", "")), who)
        self.note(who)

    def note(self, principal: str) -> None:
        """A principal, by its canonical id, or somebody who wants to be one, as by :func:`comer`, was refused."""
        if self._rate <= 0 or not principal:
            return
        bucket = self._buckets.get(principal)
        if bucket is None:
            bucket = self._buckets[principal] = TokenBucket(self._rate, BURST_S * self._rate, trio.current_time())
            if len(self._buckets) > PRINCIPALS_MAX:
                forgotten, _ = self._buckets.popitem(last=False)
                self.barred.pop(forgotten, None)
        self._buckets.move_to_end(principal)
        if not bucket.take(trio.current_time()):
            self.barred[principal] = bucket

    def check(self, principal: str) -> None:
        """Before anything is decided for a principal.

        :raises Refusal: it was refused too often just now.
        """
        bucket = self.barred.get(principal)
        if bucket is None:
            return
        if not bucket.take(trio.current_time()):
            text = "too many refused operations"
            raise Refusal(Code.RATE_LIMITED, text, retryable=True, retry_after_ms=bucket.wait_ms())
        del self.barred[principal]


def comer(source: str, principal: str) -> str:
    """Somebody at an address who says that it is a principal."""
    return f"{source} {principal}"
