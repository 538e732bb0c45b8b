"""Startup tasks: at most one for an agent at a time, over when the agent is there or cannot be (tasks 13.1 to 13.3;
weaknesses 19 to 29, 33).

They are handed to orchestrators by :mod:`aether.orchestration.queue`. An agent that fails again and again is started
less and less often (:mod:`aether.orchestration.attempts`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from aether.answers import Caller
from aether.errors import StoreUnavailable
from aether.identity import Identity, InvalidIdentity, PrincipalType, parse_identity
from aether.orchestration.attempts import Attempts
from aether.orchestration.queue import StartQueue
from aether.records import RecordStore
from aether.registry.registry import PROFILE, Registry
from aether.tasks import machine
from aether.tasks.book import TaskBook, Transition
from aether.tasks.model import LIVE, PAUSED, STARTUP, WORKED_ON, Category, Mode, Status, Task
from aether.tasks.room import NoRoom

__all__ = ["ATTEMPT", "LAST_ERROR", "NOT_BEFORE", "TRIGGERED_AT", "Startups"]

log = structlog.get_logger("aether.orchestration")

REJOIN_MS = 3_000
"""How long an agent whose connection broke has to come back by itself, before a message has another one started."""
STABLE_MS = 60_000
"""An agent that ran this long has not failed to start."""

TRIGGERED_AT = "trigger_timestamp_ms"
ATTEMPT = "startup_attempt"
NOT_BEFORE = "startup_not_before_ms"
LAST_ERROR = "startup_last_error"
"""Metadata of a startup task, for operators and for the agent."""


class Startups:
    """Implements :class:`aether.tasks.placement.Startups`; an observer of the book.

    :param is_connected: whether an identity has a session anywhere.
    :param cut_off_ms: when the connection of an identity broke, if it did (Unix milliseconds); 0: it did not.
    :param authorize: gives a startup that a message asked for what the sender may do; nothing by default.
    :param wall_clock: current Unix time in milliseconds.
    :ivar creator: identity that the gateway's own startup tasks are made by.
    :param on_trigger: told how a message for an absent agent went: ``started``, ``unregistered``, ``duplicate``,
        ``no_orchestrator``, ``quota`` or ``invalid``, and the workspace.
    :param check_room: raises NoRoom for a workspace in which messages may not have another agent started now.
    """

    def __init__(
        self,
        book: TaskBook,
        records: RecordStore,
        registry: Registry,
        queue: StartQueue,
        wall_clock: Callable[[], int],
        new_id: Callable[[], str],
        is_connected: Callable[[str], bool],
        gateway_id: str,
        cut_off_ms: Callable[[str], int] = lambda _: 0,
        authorize: Callable[[Caller, Task, str], None] = lambda *_: None,
        on_trigger: Callable[[str, str], None] = lambda *_: None,
        check_room: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._book = book
        self._registry = registry
        self._queue = queue
        self._wall_clock = wall_clock
        self._new_id = new_id
        self._is_connected = is_connected
        self.creator = f"sv::gateway::{gateway_id}"
        self._cut_off_ms = cut_off_ms
        self._authorize = authorize
        self._on_trigger = on_trigger
        self._check_room = check_room
        self._active: dict[str, str] = {task.target: task.task_id for task in book if task.is_startup}
        self._attempts = Attempts(records)

    @property
    def ticket(self) -> int:
        return self._book.ticket

    # ----------------------------------------------------------------------------------------------------- starting

    def is_registered(self, implementation: str) -> bool:
        return self._registry.find(implementation) is not None

    def started_by(self, identity: str) -> Task | None:
        """The unfinished startup of an agent or unique task."""
        task_id = self._active.get(identity)
        return self._book.get(task_id) if task_id is not None else None

    def start(self, target: str, overrides: dict[str, str], *, creator: str, is_asked: bool = True) -> Task:
        """The startup that is under way, or a new one.

        :param is_asked: somebody wants the agent now; False where nothing but work that is left there does.
        :raises ValueError: it cannot be started; the text is fit for clients.
        :raises StoreUnavailable: nothing was changed.
        """
        known = self.started_by(target)
        if known is None:
            return self._create(target, overrides, creator, is_asked=is_asked)
        if is_asked or known.status is Status.HIBERNATED:
            self._hasten(known)
        return known

    def start_new(self, target: str, overrides: dict[str, str], *, creator: str, idempotency: str = "") -> Task:
        """As :meth:`start`, but an error where the agent is connected or being started.

        :param idempotency: hash that the task is found by when it is asked for again.
        """
        self._check_absent(target)
        return self._create(target, overrides, creator, idempotency=idempotency)

    def check_retry(self, task: Task) -> None:
        """:raises ValueError: it is the start of an agent that is connected, or being started, by now."""
        if task.is_startup:
            self._check_absent(task.target)

    def _check_absent(self, target: str) -> None:
        if self._is_connected(target):
            raise ValueError(f"agent {target} is already online")
        if (known := self.started_by(target)) is not None:
            raise ValueError(
                f"startup task {known.task_id} already exists for {known.implementation}/{known.specifier} "
                f"in workspace {known.workspace}"
            )

    def launch(self, target: str, overrides: dict[str, str], *, creator: str) -> str:
        """As :meth:`start_new`, but at once, however often the agent failed before, and also where a start is held
        back for that, or hibernates; the id of the task."""
        known = self.started_by(target)
        if known is not None and known.status is Status.HIBERNATED and not self._is_connected(target):
            self._hasten(known)
            return known.task_id
        if known is not None and NOT_BEFORE in known.metadata and known.status is Status.PENDING:
            self._renew(known, overrides)
            return known.task_id
        self._check_absent(target)
        self._attempts.forgive(target)
        return self._create(target, overrides, creator).task_id

    def reconsider(self, implementation: str) -> None:
        """A registration changed: starts that nobody was given yet go by the new one, and at once."""
        for target in list(self._active):
            task = self.started_by(target)
            if task is None or task.status is not Status.PENDING:
                continue
            if implementation not in (task.implementation, task.implementation.rpartition(":")[0]):
                continue
            try:
                if self._params(task.implementation, task.launch_overrides) != task.launch_params:
                    self._renew(task, task.launch_overrides)
            except ValueError:
                continue  # it was removed; what was asked for before is still to be started
            except StoreUnavailable:
                log.warning("a start that waits goes by the registration of before", task=task.task_id)

    def _renew(self, task: Task, overrides: Mapping[str, str]) -> None:
        """Let a start that waits begin now, as if none had failed before."""
        params = self._params(task.implementation, overrides)
        self._attempts.forgive(task.target)
        profile = task.profile
        change = {
            "hold_ms": 0,
            "launch_params": params,
            "launch_overrides": dict(overrides),
            "profile": params[PROFILE],
            "metadata": {name: value for name, value in task.metadata.items() if name not in _OF_FAILURES},
        }
        self._book.change(task, change)
        if task.profile != profile:
            self._queue.remove(task, profile)

    def _hasten(self, task: Task) -> None:
        """Somebody wants an agent that is not there although there is a start of it: one that was held back for nobody,
        or one that hibernates and has left."""
        if task.status is Status.HIBERNATED and not self._is_connected(task.target):
            self._book.change(task, machine.wake(task), "wanted")
            return
        before = self._attempts.get(task.target)
        if before is None or NOT_BEFORE not in task.metadata or task.status is not Status.PENDING:
            return
        hold_ms = before.not_before_ms(is_asked=True)
        if hold_ms < task.hold_ms:
            hold_ms = hold_ms if hold_ms > self._wall_clock() else 0
            metadata = {**task.metadata, NOT_BEFORE: str(hold_ms or self._wall_clock())}
            self._book.change(task, {"hold_ms": hold_ms, "metadata": metadata})

    def on_absent(self, caller: Caller, topic: str, claimed: str = "") -> None:
        """A message waits for somebody who is not connected; nobody who sends learns anything from this (tasks 13.1).

        A store that takes nothing now is left alone: the message is there, and the next one asks again.
        """
        workspace = topic.split("::", 2)[1]
        try:
            task = self.started_by(topic)
            is_under_way = task is not None and task.status is not Status.HIBERNATED
            if task is not None:
                self._hasten(task)
            elif self._registry.find(parse_identity(topic).implementation) is None:
                self._on_trigger("unregistered", workspace)
                return
            else:
                if self._is_full(workspace):
                    self._attempts.asked_for(topic, self._wall_clock())
                    self._on_trigger("quota", workspace)
                    return
                task = self._create(topic, {}, self.creator, caller, claimed=claimed)
        except (InvalidIdentity, ValueError):
            self._on_trigger("invalid", workspace)
        except StoreUnavailable:
            log.warning("agent not started: the store takes nothing", target=topic)
        else:
            started = "started" if task.assigned_to else "no_orchestrator"
            self._on_trigger("duplicate" if is_under_way else started, workspace)

    def _is_full(self, workspace: str) -> bool:
        try:
            self._check_room(workspace)
        except NoRoom:
            return True
        return False

    def _create(
        self,
        target: str,
        overrides: dict[str, str],
        creator: str,
        sender: Caller | None = None,
        idempotency: str = "",
        is_asked: bool = True,
        claimed: str = "",
    ) -> Task:
        identity = parse_identity(target)
        if identity.kind not in (PrincipalType.AGENT, PrincipalType.TASK) or not identity.specifier:
            raise ValueError(f"{target} is neither an agent nor a unique task")
        params = self._params(identity.implementation, overrides)
        now_ms = self._wall_clock()
        task_id = self._new_id()
        task = Task(
            task_id,
            identity.workspace,
            creator,
            task_type=STARTUP,
            mode=Mode.POOL,
            category=Category.ORCHESTRATED,
            target=target,
            implementation=identity.implementation,
            specifier=identity.specifier,
            profile=params[PROFILE],
            launch_params=params,
            launch_overrides=dict(overrides),
            queued=True,
            root_task_id=task_id,
            idempotency=idempotency,
            metadata={TRIGGERED_AT: str(now_ms)},
        )
        if (before := self._attempts.get(target)) is not None:
            task.metadata[TRIGGERED_AT] = str(min(now_ms, before.since_ms))
            if before.failures:
                task.metadata |= {ATTEMPT: str(before.failures + 1), LAST_ERROR: before.error}
            if (not_before_ms := before.not_before_ms(is_asked=is_asked)) > now_ms:
                task.hold_ms = not_before_ms
                task.metadata[NOT_BEFORE] = str(not_before_ms)
        if rejoins_ms := self._cut_off_ms(target):
            task.hold_ms = max(task.hold_ms, rejoins_ms + REJOIN_MS if rejoins_ms + REJOIN_MS > now_ms else 0)
        if sender is not None:
            self._name_subject(task, sender.identity)
            self._authorize(sender, task, claimed)
        return self._book.add(task)

    def _params(self, implementation: str, overrides: Mapping[str, str]) -> dict[str, str]:
        """What an agent is started with.

        :raises ValueError: it cannot be started; the text is fit for clients.
        """
        registration = self._registry.find(implementation)
        if registration is None:
            raise ValueError(f"target agent implementation '{implementation}' not found in registry")
        params = {**registration.launch_params, **overrides}
        if not params.get(PROFILE):
            raise ValueError("launch params missing 'profile' field")
        return params

    def _name_subject(self, task: Task, sender: Identity) -> None:
        """For whom the agent is started."""
        task.subject_type = task.root_subject_type = sender.kind.label
        task.subject_id = task.root_subject_id = sender.canonical_id

    # ---------------------------------------------------------------------------------------------------- observing

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book."""
        task = transition.task
        if not task.is_startup:
            return
        if transition.before in PAUSED and self._is_left(task):
            # Somebody wants it to go on, so it is started again, unless the agent comes back by itself.
            hold_ms = self._wall_clock() + task.grace_ms
            self._book.change(task, {**machine.give_back(task), "hold_ms": hold_ms}, "its agent is gone")
            return
        if task.is_final:
            if self._active.get(task.target) == task.task_id:
                del self._active[task.target]
            self._judge(task)
        else:
            self._active[task.target] = task.task_id
        self._queue.finish(task, transition.worker_before)
        if task.status is not Status.PENDING:
            self._queue.remove(task, task.profile)
        elif not task.hold_ms:
            self._queue.add(task)

    def _is_left(self, task: Task) -> bool:
        """Whether an agent that was there is not, while its start is under way."""
        return bool(task.bound) and task.status in WORKED_ON and not self._is_connected(task.target)

    def _judge(self, task: Task) -> None:
        """Remember a start that came to nothing, for the next one to come later and yet to find every message."""
        now_ms = self._wall_clock()
        since_ms = int(task.metadata.get(TRIGGERED_AT, now_ms))
        if task.status is Status.CANCELLED:
            self._attempts.ended(task.target, since_ms)
        elif task.status is Status.COMPLETED or (task.started_ms and now_ms - task.started_ms >= STABLE_MS):
            self._attempts.succeeded(task.target)
        else:
            is_declined = task.status is Status.REJECTED
            self._attempts.ended(task.target, since_ms, failed_ms=now_ms, error=task.error, is_declined=is_declined)

    # ------------------------------------------------------------------------------------------------------- agents

    def context(self, identity: str) -> dict[str, str]:
        """What a started agent is told of its start when it connects (tasks 9.3)."""
        task = self.started_by(identity)
        if task is None or task.status not in LIVE - PAUSED:
            return {}
        context = {
            **task.metadata,
            "task_id": task.task_id,
            "workspace": task.workspace,
            "implementation": task.implementation,
            "specifier": task.specifier,
            PROFILE: task.profile,
            **{f"lp.{name}": value for name, value in task.launch_params.items()},
        }
        if task.subject_type == "user":
            context["user"] = task.subject_id
        if task.root_subject_type == "user":
            context["root_user"] = task.root_subject_id
        return context

    def hint_ms(self, identity: str) -> int:
        """Since when messages for an agent that is being started are meant for it; 0: unknown (tasks 9.2)."""
        task = self.started_by(identity)
        text = task.metadata.get(TRIGGERED_AT, "") if task is not None else ""
        return int(text) if text.isdecimal() else 0


_OF_FAILURES = frozenset({ATTEMPT, NOT_BEFORE, LAST_ERROR})
