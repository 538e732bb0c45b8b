"""Task tokens under any history: good for a day or until the task ends, whichever comes first, and never again."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.unit.fakes import WallClock

from aether.access import OpenAccess
from aether.audit.events import NO_AUDIT
from aether.storage.memory.records import MemoryRecords
from aether.tokens.keys import KeyHasher
from aether.tokens.tasks import LIFE_MS, REVOKED_KEPT_MS, TaskTokens

TASKS = st.sampled_from(["t1", "t2", "t3"])
IDENTITIES = st.sampled_from(["ag::w::i::a", "ag::w::i::b"])


@dataclass
class Known:
    """What a plain model knows of a token."""

    identity: str
    task_id: str
    expires_ms: int
    revoked_ms: int = 0


class Histories(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.clock = WallClock()
        self.records = MemoryRecords()
        self.known: dict[str, Known] = {}
        self.restart()

    @rule()
    def restart(self) -> None:
        hasher = KeyHasher(b"k" * 32)
        self.tokens = TaskTokens(
            self.records, hasher, OpenAccess(), NO_AUDIT, lambda *_: None, self.clock, grace_s=0, clock=lambda: 0.0
        )

    @rule(identity=IDENTITIES, task_id=TASKS)
    def issue(self, identity: str, task_id: str) -> None:
        token = self.tokens.issue(identity, task_id)
        assert len(token) == 44
        assert token not in self.known
        self.known[token] = Known(identity, task_id, self.clock.now_ms + LIFE_MS)

    @rule(task_id=TASKS)
    def revoke(self, task_id: str) -> None:
        live = [
            known
            for known in self.known.values()
            if known.task_id == task_id and not known.revoked_ms and known.expires_ms > self.clock.now_ms
        ]
        assert self.tokens.revoke_task(task_id) >= len(live)
        for known in live:
            known.revoked_ms = self.clock.now_ms

    @rule(seconds=st.sampled_from([1, 1800, 3600, 12 * 3600, 24 * 3600]))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule()
    def tidy(self) -> None:
        self.tokens._remove(self.clock.now_ms)

    @invariant()
    def tokens_open_what_they_should(self) -> None:
        now_ms = self.clock.now_ms
        for token, known in self.known.items():
            found = self.tokens.find(token)
            if known.revoked_ms:
                assert found is None or found.is_revoked
                assert found is not None or now_ms >= known.revoked_ms + REVOKED_KEPT_MS
            elif now_ms < known.expires_ms:
                assert found is not None
                assert (found.identity, found.task_id, found.is_revoked) == (known.identity, known.task_id, False)
                assert found.still_holds()
            else:
                assert found is None or found.is_revoked
        assert self.tokens.find("x" * 44) is None


TestHistories = Histories.TestCase
