"""Slowing down those who guess (connection 9.8, weakness W-21).

Failures count for an identity as claimed from one address, and for the address alone, so that it cannot try many
identities. What others claim elsewhere locks nobody out; credentials are too long to be guessed from many places.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Throttle"]

WINDOW_S = 30.0
COOLDOWN_S = 30.0
ENTRIES_MAX = 1024


@dataclass(slots=True)
class _Record:
    failures: int
    first_s: float
    blocked_until_s: float = 0.0
    is_marked: bool = False


class Throttle:
    """Failures by name; too many within the window begin a cooldown.

    :param limit: failures within 30 s that begin it.
    :param clock: monotonic time in seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def blocks(self, name: str) -> bool:
        """Whether an attempt is refused without being looked at."""
        record = self._records.get(name)
        return record is not None and self._clock() < record.blocked_until_s

    def mark(self, name: str) -> bool:
        """True for the first call in a cooldown of ``name``."""
        record = self._records.get(name)
        if record is None or record.is_marked or not self.blocks(name):
            return False
        record.is_marked = True
        return True

    def fail(self, name: str) -> bool:
        """Count a failure; True when it begins a cooldown."""
        now_s = self._clock()
        record = self._records.get(name)
        if record is None or now_s - record.first_s > WINDOW_S or 0 < record.blocked_until_s <= now_s:
            # After a cooldown one attempt is looked at again, and the count begins anew.
            record = self._records[name] = _Record(0, now_s)
        self._records.move_to_end(name)
        record.failures += 1
        if record.failures < self._limit:
            self._sweep(now_s)
            return False
        record.blocked_until_s = now_s + COOLDOWN_S
        return True

    def succeed(self, name: str) -> None:
        """Forget the failures."""
        self._records.pop(name, None)

    def _sweep(self, now_s: float) -> None:
        """Keep the table small: the longest untouched go first, those in a cooldown last."""
        if len(self._records) <= ENTRIES_MAX:
            return
        for name in list(self._records):
            record = self._records[name]
            if now_s >= record.blocked_until_s:
                del self._records[name]
                if len(self._records) <= ENTRIES_MAX:
                    return
        self._records.popitem(last=False)
