"""What is remembered of starts that came to nothing: since when messages wait for the agent, and how long the next
start is held back (tasks 13).

Somebody who asks -- with a message, with new work -- is kept waiting for minutes at most. Work that is left there asks
for nothing: for its sake an agent that never comes up is tried less and less often, down to a few times a day, until
somebody asks, launches it, or changes its registration.
"""

from __future__ import annotations

from dataclasses import dataclass

from aether.records import RecordStore, Table

__all__ = ["Attempts", "Failures"]

ASKED_MS_MAX = 300_000
UNASKED_MS_MAX = 6 * 3_600_000
"""The longest waits after a failure, where somebody asked for the agent, and where only work is left there."""
DECLINED_MAX = 8
"""Starts that an orchestrator declined, for it has no room, hold the next one back for four minutes at most."""
REMEMBERED_MAX = 10_000
ERROR_CHARS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Failures:
    """Times are Unix milliseconds.

    :ivar since_ms: when the first of these starts was asked for: messages since then are still waiting.
    :ivar failures: how many failed, one after the other.
    :ivar failed_ms: when the last one failed.
    :ivar error: why.
    """

    since_ms: int
    failures: int
    failed_ms: int = 0
    error: str = ""

    def not_before_ms(self, *, is_asked: bool) -> int:
        """When the agent may be started again; in the past where nothing failed."""
        longest_ms = ASKED_MS_MAX if is_asked else UNASKED_MS_MAX
        return self.failed_ms + min(longest_ms, 1000 << min(self.failures, 30))


class Attempts:
    """By identity of the agent; kept with the records of the deployment, the oldest forgotten first.

    :raises StoreUnavailable: from every method that changes something: nothing was changed.
    """

    def __init__(self, records: RecordStore) -> None:
        self._table = Table(records, "startup_attempts", Failures)

    def get(self, agent: str) -> Failures | None:
        return self._table.get(agent)

    def asked_for(self, agent: str, now_ms: int) -> None:
        """Nobody may start it now: the next start is for this request too."""
        if agent not in self._table:
            self._put(agent, Failures(now_ms, 0))

    def ended(
        self, agent: str, since_ms: int, *, failed_ms: int = 0, error: str = "", is_declined: bool = False
    ) -> None:
        """A start came to nothing.

        :param failed_ms: when it failed; 0: it did not, nobody wanted it any more.
        :param is_declined: the orchestrator did not try.
        """
        before = self._table.get(agent) or Failures(since_ms, 0)
        after = Failures(since_ms, before.failures, before.failed_ms, before.error)
        if failed_ms:
            failures = before.failures + 1
            if is_declined:
                failures = min(failures, max(before.failures, DECLINED_MAX))
            after = Failures(since_ms, failures, failed_ms, error[:ERROR_CHARS_MAX])
        self._put(agent, after)

    def forgive(self, agent: str) -> None:
        """The next start is a first one; the messages that wait are not forgotten."""
        if (before := self._table.get(agent)) is not None and before.failures:
            self._table.put(agent, Failures(before.since_ms, 0))

    def succeeded(self, agent: str) -> None:
        """It came up: nothing is held against it, and nothing waits for it."""
        self._table.delete(agent)

    def _put(self, agent: str, failures: Failures) -> None:
        self._table.put(agent, failures)
        if len(self._table) > REMEMBERED_MAX:
            self._table.delete(next(iter(self._table)))
