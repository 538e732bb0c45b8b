"""Workers come and go: which tasks they have in hand, and what becomes of those (tasks 9; weaknesses 2, 7 to 9).

One authority for all kinds of tasks: a worker that goes leaves a mark on what it had in hand, and if it is not back
when the grace of the task is over, the task is given to another or fails. Who reconnects takes the marks away.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import trio

from aether.errors import StoreUnavailable
from aether.tasks import machine
from aether.tasks.book import TaskBook, Transition
from aether.tasks.dispatch import Dispatcher
from aether.tasks.model import LIVE, PAUSED, WORKED_ON, Mode, Status, Task
from aether.tasks.workers import Worker

__all__ = ["Liveness", "TaskSession"]

RETRY_S = 1.0
REMEMBERED_MAX = 10_000
LOSSES_MAX = 10
"""Workers that a task may outlive: one that ends all of them is not offered for ever."""


class TaskSession(Worker, Protocol):
    """A session, as far as tasks care."""

    @property
    def task_id(self) -> str:
        """The task whose token it came with; empty for none."""

    @property
    def resumes(self) -> bool:
        """The same process was connected before, so it still has what it was given."""


class Liveness:
    """Follows sessions for the tasks of the book; also an observer of it.

    :param started_by: the unfinished startup task of an identity, if there is one.
    :param chooser: of the jitter of retries.
    """

    def __init__(
        self,
        book: TaskBook,
        dispatcher: Dispatcher,
        wall_clock: Callable[[], int],
        chooser: random.Random,
        started_by: Callable[[str], Task | None] = lambda _: None,
    ) -> None:
        self._book = book
        self._dispatcher = dispatcher
        self._wall_clock = wall_clock
        self._random = chooser
        self._started_by = started_by
        self._bound: dict[str, str] = {}
        self._gone: dict[str, tuple[str, str]] = {}
        self._cut_off: OrderedDict[str, int] = OrderedDict()
        self._unsettled = trio.Event()

    def begin(self) -> None:
        """After a start nobody is connected: every worker has from now on to come back.

        :raises StoreUnavailable: try again.
        """
        for task in self._book:
            self._book.change(task, machine.mark_gone(task, "", self._wall_clock()))

    # ----------------------------------------------------------------------------------------------------- sessions

    def connected(self, session: TaskSession) -> None:
        """A session is ready; its tasks go on, and it gets what waits for it.

        :raises StoreUnavailable: not all of that could be stored.
        """
        identity = session.identity.key
        self._gone.pop(identity, None)
        self._cut_off.pop(identity, None)
        self._bind(session)
        for task in self._book.held_by(identity):
            if task.worker == identity:  # an orchestrator holds what its agents work on
                self._book.change(task, machine.unmark_gone(task))
            if self._has_lost(session, task):
                self._dispatcher.send(task, session)
        self._dispatcher.connect(session)

    def _has_lost(self, session: TaskSession, task: Task) -> bool:
        """Whether the worker does not know what it was given: a new process knows nothing of that, an old one not what
        was under way when its connection broke."""
        identity = session.identity.key
        if task.is_startup or task.assigned_to != identity or task.mode is Mode.SELF_ASSIGN:
            return False
        if not session.resumes:
            return task.status in WORKED_ON
        return task.status is Status.ASSIGNED and self._dispatcher.is_unconfirmed(identity, task.task_id)

    def _bind(self, session: TaskSession) -> None:
        """The session works on the task whose token it has, or that it was started by (tasks 9.1)."""
        identity = session.identity.key
        task = self._book.get(session.task_id) if session.task_id else self._started_by(identity)
        if task is None:
            return
        if task.status in LIVE and task.assigned_to in ("", identity) and not self._dispatcher.prepare(task, session):
            return
        self._book.change(task, machine.bind(task, identity, self._wall_clock()))
        self._bound[session.session_id] = task.task_id

    def bound_task(self, session_id: str) -> str:
        """The task a session is bound to; empty for none."""
        return self._bound.get(session_id, "")

    def disconnected(self, session: TaskSession, *, is_clean: bool) -> None:
        """A session has ended.

        :param is_clean: the client closed it, so that a worker with a task of its own has done it.
        """
        task_id = self._bound.pop(session.session_id, "")
        self._dispatcher.disconnect(session)
        identity = session.identity.key
        if self._dispatcher.worker(identity) is not None:
            return  # a successor has them
        if not is_clean:
            self._cut_off[identity] = self._wall_clock()
            self._cut_off.move_to_end(identity)
            if len(self._cut_off) > REMEMBERED_MAX:
                self._cut_off.popitem(last=False)
        self._gone[identity] = (session.session_id, task_id if is_clean else "")
        self._settle()

    def cut_off_ms(self, identity: str) -> int:
        """When the last session of an identity broke, if it did and no other came since; 0: none of that is known."""
        return self._cut_off.get(identity, 0)

    def _settle(self) -> None:
        """Write down what follows from the sessions that ended."""
        try:
            while self._gone:
                identity, (session_id, done) = next(iter(self._gone.items()))
                task = self._book.get(done)
                if task is not None and task.status in WORKED_ON and task.worker == identity:
                    self._book.change(task, machine.complete(task, self._wall_clock()))
                for task in self._book.held_by(identity):
                    if task.worker == identity and not task.awaits_start:
                        self._book.change(task, machine.mark_gone(task, session_id, self._wall_clock()))
                del self._gone[identity]
        except StoreUnavailable:
            self._unsettled.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write down later what the store did not take, for ever."""
        task_status.started()
        while True:
            await self._unsettled.wait()
            self._unsettled = trio.Event()
            await trio.sleep(RETRY_S)
            self._settle()

    # ---------------------------------------------------------------------------------------------------- its tasks

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book: a task that goes on without its worker waits for it no longer than its grace."""
        task = transition.task
        if (
            transition.before in PAUSED
            and task.status in WORKED_ON
            and not task.awaits_start
            and self._dispatcher.worker(task.worker) is None
        ):
            self._book.change(task, machine.mark_gone(task, "", self._wall_clock()))

    def on_grace(self, task: Task) -> None:
        """The worker has been gone for too long.

        :raises StoreUnavailable: nothing was changed.
        """
        if self._dispatcher.worker(task.worker) is not None:
            self._book.change(task, machine.unmark_gone(task))
            return
        is_pool = task.mode is Mode.POOL and not task.is_startup
        is_untouched = task.mode is Mode.TARGETED and task.status is Status.ASSIGNED
        if (is_pool or is_untouched) and task.losses < LOSSES_MAX:
            self._book.change(task, {**machine.give_back(task), "losses": task.losses + 1}, "worker gone")
        else:
            reason = f"worker disconnected and did not reconnect within grace window ({task.grace_ms}ms)"
            self._book.change(task, machine.fail(task, self._wall_clock(), reason, self._random.uniform), reason)
