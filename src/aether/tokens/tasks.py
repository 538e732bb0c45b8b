"""Task tokens: credentials for one identity, as long as one task lasts (connection 9.4, tasks 3.7).

A token is made like an API key and kept as its hash. It admits its identity any number of times until its task ends or
a day has passed. Sessions that it opened may go on for a moment after the task, to say goodbye, and are ended then.
"""

from __future__ import annotations

import functools
import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from aether.access import Access, Level
from aether.answers import Caller
from aether.audit.events import Event, Recorder, actor_of
from aether.authentication.model import TaskBinding
from aether.errors import StoreUnavailable
from aether.identity import InvalidIdentity, PrincipalType, parse_identity
from aether.records import RecordStore, Table
from aether.tokens.keys import KeyHasher, new_key

__all__ = ["EndTaskSessions", "TaskToken", "TaskTokens"]

LIFE_MS = 24 * 3_600_000
REVOKED_KEPT_MS = 3_600_000
"""How long a revoked token is told apart from one that never was."""
REMOVED_AT_ONCE = 1000
RETRY_S = 1.0
TOGETHER_S = 0.1
"""What is due within this time is done in one go: under load tasks end at every millisecond."""
SYSTEM_WORKSPACE = "_system"
OPERATION = "task_token_issue"

EndTaskSessions = Callable[[str, int], None]
"""Ends the sessions that a token of this task opened, if they began no later than this time (Unix milliseconds)."""


@dataclass(frozen=True, slots=True)
class TaskToken:
    """What is known of a task token. Times are Unix milliseconds; 0 is not yet."""

    hash: str
    identity: str
    task_id: str
    expires_ms: int
    revoked_ms: int = 0

    @property
    def removed_ms(self) -> int:
        """When nothing has to be known of it any more."""
        return self.revoked_ms + REVOKED_KEPT_MS if self.revoked_ms else self.expires_ms


class TaskTokens:
    """All task tokens, by hash and by task; implements :class:`aether.authentication.model.TaskTokens`.

    :param end_sessions: see :data:`EndTaskSessions`.
    :param wall_clock: current Unix time in milliseconds.
    :param grace_s: how long a session may go on after its task.
    :param clock: seconds that pass alike however the time of day is set.
    """

    def __init__(
        self,
        records: RecordStore,
        hasher: KeyHasher,
        access: Access,
        recorder: Recorder,
        end_sessions: EndTaskSessions,
        wall_clock: Callable[[], int],
        *,
        grace_s: float,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self._table = Table(records, "task_token", TaskToken)
        self._hasher = hasher
        self._access = access
        self._recorder = recorder
        self._end_sessions = end_sessions
        self._wall_clock = wall_clock
        self._grace_s = grace_s
        self._clock = clock
        self._by_task: dict[str, dict[str, None]] = {}
        self._removals: list[tuple[int, str]] = []
        self._endings: deque[tuple[float, str, int]] = deque()
        self._changed = trio.Event()
        for token in self._table.values():
            self._index(token)

    @property
    def ticket(self) -> int:
        """Batch that makes the latest change durable; who tells of a token waits for it."""
        return self._table.ticket

    # --------------------------------------------------------------------------------------------------- checking

    def find(self, token: str) -> TaskBinding | None:
        """What a token was made for, if it is known; it may be revoked."""
        found = next((known for hash_ in self._hasher.hashes(token) if (known := self._table.get(hash_))), None)
        if found is None or not self._hasher.matches(token, found.hash):
            return None
        if not found.revoked_ms and found.expires_ms <= self._wall_clock():
            return None
        return TaskBinding(
            found.task_id,
            found.identity,
            is_revoked=bool(found.revoked_ms),
            still_holds=functools.partial(self._is_live, found.hash),
        )

    def _is_live(self, hash_: str) -> bool:
        token = self._table.get(hash_)
        return token is not None and not token.revoked_ms

    # ---------------------------------------------------------------------------------------------------- issuing

    def issue(self, identity: str, task_id: str) -> str:
        """A new token for an identity string, for as long as the task lasts; the only time that it is seen.

        For tasks that the gateway itself starts. :meth:`issue_for` is for those who ask.

        :raises StoreUnavailable: there is no token, or it could not be recorded.
        """
        self._recorder.record(_event(task_id, identity))
        return self._make(identity, task_id)

    def issue_for(self, caller: Caller, target_identity: str, task_id: str) -> str:
        """The token that a caller asks for with ``target_identity``; empty, with a row that says why, when it may
        not have it (tasks 3.7).

        The caller's own rights count, whatever authority the request claims besides.

        :raises StoreUnavailable: it could not be decided or recorded, so nothing was made.
        """
        error = self._refusal(caller, target_identity.strip())
        self._recorder.record(_event(task_id, target_identity.strip(), caller, error))
        return "" if error else self._make(target_identity.strip(), task_id)

    def _refusal(self, caller: Caller, target_identity: str) -> str:
        """Why the caller gets no token for an identity; empty when it may."""
        try:
            target = parse_identity(target_identity)
        except InvalidIdentity as error:
            return str(error)
        if target.kind is PrincipalType.SERVICE:
            resource = ("service_impl", target.implementation)
        elif not target.workspace:
            return "the target has no workspace"
        elif target.workspace == SYSTEM_WORKSPACE:
            return "nobody gets tokens for the system's workspace"
        else:
            resource = ("workspace", target.workspace)
        decision = self._access.rights(caller).check(*resource, Level.MANAGE, OPERATION, target.workspace)
        return "" if decision.allowed else f"MANAGE on {resource[0]} {resource[1]} is needed"

    def _make(self, identity: str, task_id: str) -> str:
        key = new_key()
        token = TaskToken(self._hasher.hash(key), identity, task_id, self._wall_clock() + LIFE_MS)
        self._table.put(token.hash, token)
        self._index(token)
        return key

    # --------------------------------------------------------------------------------------------------- revoking

    def revoke_task(self, task_id: str) -> int:
        """A task has ended: its tokens open nothing from now on, and what they opened is closed after the grace.

        :returns: how many tokens that were.
        :raises StoreUnavailable: nothing was changed.
        """
        now_ms = self._wall_clock()
        live = [token for hash_ in self._by_task.get(task_id, ()) if (token := self._known(hash_)).revoked_ms == 0]
        if live:
            self._recorder.record(_event(task_id, operation="task_token_revoke", tokens=len(live)))
        for token in live:
            token = replace(token, revoked_ms=now_ms)
            self._table.put(token.hash, token)
            heapq.heappush(self._removals, (token.removed_ms, token.hash))
        # Also where no token is left: it may have run out while the session that it opened goes on.
        if not self._endings:  # otherwise an earlier one is waited for
            self._changed.set()
        self._endings.append((self._clock() + self._grace_s, task_id, now_ms))
        return len(live)

    # --------------------------------------------------------------------------------------------------- tidying

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """End sessions whose grace is over, and forget tokens that mean nothing any more; for ever."""
        task_status.started()
        while True:
            self._changed = trio.Event()
            now_ms, now_s = self._wall_clock(), self._clock()
            while self._endings and self._endings[0][0] <= now_s:
                _, task_id, revoked_ms = self._endings.popleft()
                self._end_sessions(task_id, revoked_ms)
            try:
                self._remove(now_ms)
            except StoreUnavailable:
                await trio.sleep(RETRY_S)
                continue
            left_s = self._endings[0][0] - now_s if self._endings else math.inf
            if self._removals:
                left_s = min(left_s, (self._removals[0][0] - now_ms) / 1000)
            with trio.move_on_after(max(TOGETHER_S, left_s)):
                await self._changed.wait()

    def _remove(self, now_ms: int) -> None:
        """Some of what is over; the rest in the next round."""
        for _ in range(REMOVED_AT_ONCE):
            if not self._removals or self._removals[0][0] > now_ms:
                return
            _, hash_ = self._removals[0]
            token = self._table.get(hash_)
            if token is not None and token.removed_ms <= now_ms:
                self._table.delete(hash_)
                tokens = self._by_task[token.task_id]
                del tokens[hash_]
                if not tokens:
                    del self._by_task[token.task_id]
            heapq.heappop(self._removals)

    def _index(self, token: TaskToken) -> None:
        self._by_task.setdefault(token.task_id, {})[token.hash] = None
        heapq.heappush(self._removals, (token.removed_ms, token.hash))
        if self._removals[0][1] == token.hash:
            self._changed.set()

    def _known(self, hash_: str) -> TaskToken:
        token = self._table.get(hash_)
        assert token is not None
        return token


def _event(
    task_id: str,
    identity: str = "",
    caller: Caller | None = None,
    error: str = "",
    *,
    operation: str = OPERATION,
    tokens: int = 0,
) -> Event:
    actor = actor_of(caller.identity) if caller is not None else {}
    metadata = {"identity": identity} if identity else {"count": tokens}
    return Event(
        kind="task",
        operation=operation,
        success=not error,
        **actor,
        resource_type="task",
        resource_id=task_id,
        session_id=caller.session_id if caller is not None else "",
        error=error,
        metadata=metadata,
    )
