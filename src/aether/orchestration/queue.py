"""Starts that wait for an orchestrator, and who has which in hand (tasks 13.3, 13.4; weaknesses 21, 26, 27, 32).

A start waits in the queue of its profile until an orchestrator serves it. An orchestrator that goes away before the
agent came loses it to another one; one that stays has a time, and is not asked again: it may still be working on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import structlog
import trio

from aether.answers import Answer
from aether.errors import StoreUnavailable
from aether.orchestration.orchestrators import Orchestrator, Orchestrators, OrchestratorSession
from aether.tasks import machine
from aether.tasks.book import TaskBook
from aether.tasks.model import WORKED_ON, Status, Task
from aether.tasks.wire import assignment_frame

__all__ = ["StartQueue"]

log = structlog.get_logger("aether.orchestration")

LOSSES_MAX = 3
"""Orchestrators that may lose a start before it fails."""
RETRY_S = 1.0
"""When a start is offered again that its orchestrator had no room for, or that could not be stored."""


class TokenSource(Protocol):
    def issue(self, identity: str, task_id: str) -> str: ...


class StartQueue:
    """Hands startup tasks to orchestrators. :class:`aether.orchestration.startups.Startups` says what becomes of each.

    :param tokens: of the agents that are to be started.
    :param wall_clock: current Unix time in milliseconds.
    :param flush: sends what was put into the queues of sessions.
    """

    def __init__(
        self,
        book: TaskBook,
        tokens: TokenSource,
        wall_clock: Callable[[], int],
        flush: Callable[[], None] = lambda: None,
    ) -> None:
        self._book = book
        self._tokens = tokens
        self._wall_clock = wall_clock
        self._flush = flush
        self._orchestrators = Orchestrators()
        self._waiting: dict[str, dict[str, None]] = {}
        self._hungry: dict[str, None] = {}
        self._wake = trio.Event()
        for task in book:
            if task.is_startup and task.status is Status.PENDING:
                self._waiting.setdefault(task.profile, {})[task.task_id] = None

    def __len__(self) -> int:
        """How many starts wait for an orchestrator."""
        return sum(map(len, self._waiting.values()))

    # -------------------------------------------------------------------------------------------------- handing out

    def add(self, task: Task) -> None:
        """Hand a pending start to an orchestrator, or keep it until there is one."""
        orchestrator = self._orchestrators.choose(task.profile)
        if orchestrator is None or not self._give(task, orchestrator):
            self._waiting.setdefault(task.profile, {})[task.task_id] = None
            self._later(task.profile)

    def remove(self, task: Task, profile: str) -> None:
        """It no longer waits for an orchestrator of a profile."""
        waiting = self._waiting.get(profile)
        if waiting is not None:
            waiting.pop(task.task_id, None)
            if not waiting:
                del self._waiting[profile]

    def finish(self, task: Task, orchestrator: str) -> None:
        """Who had a start in hand, if it is an orchestrator, is done with it."""
        if orchestrator and (before := self._orchestrators.get(orchestrator)) is not None:
            before.starting.discard(task.task_id)

    def _later(self, profile: str) -> None:
        """Try again in a moment, where there is somebody to try it with."""
        if self._orchestrators.serves(profile):
            self._hungry[profile] = None
            self._wake.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Offer again what nobody could take, for ever."""
        task_status.started()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(RETRY_S)
            hungry, self._hungry = self._hungry, {}
            for profile in hungry:
                self._serve(profile)
            self._flush()

    def _serve(self, profile: str) -> None:
        """Hand out what waits for a profile, by priority, then by age."""
        waiting = [task for task_id in self._waiting.get(profile, ()) if (task := self._book.get(task_id)) is not None]
        for task in sorted(waiting, key=lambda task: (-task.priority, task.created_ms, task.updated_us)):
            if task.hold_ms or task.status is not Status.PENDING:
                continue
            orchestrator = self._orchestrators.choose(profile)
            if orchestrator is None or not self._give(task, orchestrator):
                self._later(profile)
                return

    def _give(self, task: Task, orchestrator: Orchestrator) -> bool:
        """Assign and send; False when the store takes nothing now."""
        session = orchestrator.session
        try:
            self._book.change(task, machine.assign(task, session.identity.key, self._wall_clock()))
        except StoreUnavailable:
            return False
        params = dict(task.launch_params)
        try:
            params["auth_token"] = self._tokens.issue(task.target, task.task_id)
        except StoreUnavailable:
            log.warning("agent is started without a token", target=task.target)
        orchestrator.starting.add(task.task_id)
        frame = assignment_frame(task, self._book.store.payload(task.task_id), launch_params=params)
        session.put(Answer((frame,), self._book.ticket))
        return True

    # ------------------------------------------------------------------------------------------------ orchestrators

    def orchestrators(self) -> list[Orchestrator]:
        """Those that are connected."""
        return self._orchestrators.all()

    def connect(self, session: OrchestratorSession) -> None:
        """An orchestrator is there: it gets what waits for its profiles. What it was given before it still has, if it
        is the same process."""
        held = [task for task in self._book.held_by(session.identity.key) if task.awaits_start]
        known = {task.task_id for task in held} if session.resumes else set()
        self._orchestrators.connect(session, known)
        for task in held:
            if task.task_id not in known:
                self._try_to_lose(task)
        for profile in session.profiles:
            self._serve(profile)

    def disconnect(self, session: OrchestratorSession) -> None:
        """An orchestrator is gone: what it had not finished is for others (weakness 26)."""
        if not self._orchestrators.disconnect(session):
            return
        for task in self._book.held_by(session.identity.key):
            if task.awaits_start:
                self._try_to_lose(task)

    def on_grace(self, task: Task) -> None:
        """The orchestrator that a start was with has not come back since the gateway started.

        :raises StoreUnavailable: nothing was changed.
        """
        if self._orchestrators.get(task.assigned_to) is None:
            self._lose(task)
        else:
            self._book.change(task, machine.unmark_gone(task))

    def _lose(self, task: Task) -> None:
        if task.losses >= LOSSES_MAX:
            reason = f"orchestrator disconnected before agent started ({task.losses + 1} times)"
            self._book.change(task, machine.fail(task, self._wall_clock(), reason, _no_jitter), reason)
        elif task.status in WORKED_ON:  # it may have claimed it
            self._book.change(task, {**machine.give_back(task), "losses": task.losses + 1}, "orchestrator disconnected")

    def _try_to_lose(self, task: Task) -> None:
        try:
            self._lose(task)
        except StoreUnavailable:
            log.warning("startup stays with an orchestrator that is gone, until its time is over", task=task.task_id)


def _no_jitter(low: float, high: float) -> float:
    """Startups have no retry policy, so there is nothing to vary."""
    return (low + high) / 2
