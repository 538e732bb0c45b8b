"""Composes the task features and ties them to sessions (design 4)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from aether.access import Access, InvalidAuthority
from aether.answers import Answer, Caller
from aether.audit.events import Event
from aether.authority.requests import Requests
from aether.gateway import configured
from aether.gateway.foundation import Foundation, Handler, Run
from aether.gateway.live import LiveSession
from aether.identity import Identity, PrincipalType
from aether.metrics import TaskOperations
from aether.orchestration.autostart import Autostart
from aether.orchestration.queue import StartQueue
from aether.orchestration.startups import Startups
from aether.proto import aether_pb2 as pb
from aether.registry.registry import Registry
from aether.registry.service import RegistryService
from aether.tasks import machine
from aether.tasks.announcer import Announcer
from aether.tasks.approvals import Approvals
from aether.tasks.authority import TaskGrants
from aether.tasks.book import TaskBook, Transition
from aether.tasks.creation import CreateService
from aether.tasks.deadlines import Due
from aether.tasks.dependencies import Dependencies
from aether.tasks.dispatch import Dispatcher
from aether.tasks.ends import Ends
from aether.tasks.inputs import Inputs
from aether.tasks.liveness import Liveness
from aether.tasks.lookup import Lookup
from aether.tasks.model import Mode, Status, Task
from aether.tasks.operations import OperationService
from aether.tasks.participants import Participants, lane_of
from aether.tasks.parties import Parties
from aether.tasks.placement import Placement
from aether.tasks.progress import Heartbeats
from aether.tasks.queries import QueryService
from aether.tasks.room import Room
from aether.tasks.subscriptions import SubscriptionService
from aether.tasks.timers import Timers
from aether.tasks.upkeep import Upkeep
from aether.tasks.watches import Watches
from aether.tasks.wire import assignment_frame
from aether.tasks.workers import Worker
from aether.tokens.tasks import TaskTokens
from aether.workspaces.quotas import WorkspaceQuotas

__all__ = ["Tasks", "compose_tasks"]


@dataclass(frozen=True, slots=True)
class Tasks:
    """What sessions need of tasks.

    :ivar services: long-running tasks of the gateway's nursery.
    """

    book: TaskBook
    liveness: Liveness
    dispatcher: Dispatcher
    starts: StartQueue
    startups: Startups
    registry: Registry
    parties: Parties
    participants: Participants
    approvals: Approvals
    watches: Watches
    heartbeats: Heartbeats
    timers: Timers
    upkeep: Upkeep
    handlers: Mapping[str, Handler]
    services: tuple[Run, ...]
    authority: TaskGrants | None

    def connected(self, session: LiveSession) -> None:
        """A session is ready to be given tasks."""
        self.liveness.connected(session)
        session.task_id = self.liveness.bound_task(session.session_id) or session.task_id
        if self.authority is not None:
            for task in self.book.held_by(session.identity.key):
                if not task.awaits_start:
                    self.authority.renew(task)
        match session.identity.kind:
            case PrincipalType.ORCHESTRATOR:
                self.starts.connect(session)
            case PrincipalType.USER:
                self.participants.connected(session.identity.id, session)

    def extensions_of(self, identity: Identity) -> Collection[str]:
        """URIs of the extensions that the registration of an agent lists; nobody else has any (connection 12)."""
        registration = self.registry.find(identity.implementation) if identity.kind is PrincipalType.AGENT else None
        return registration.extensions if registration is not None else ()

    async def review_watches(self) -> None:
        """After a change of rules: end what sessions follow and may no longer.

        :raises StoreUnavailable: it cannot be decided now.
        """
        await self.watches.review(self.parties.may_operate)

    def is_party(self, caller: Caller, topic: str) -> bool:
        """Whether a sender may write to the lane of a task because of its part in it."""
        task = self.book.get(topic.split("::")[2])
        return task is not None and lane_of(task) == topic and self.parties.is_party(caller, task)

    def workspace_of_part(self, caller: Caller, task_id: str) -> str:
        """The workspace of a task that somebody has a part in; empty for any other."""
        task = self.book.get(task_id)
        return task.workspace if task is not None and self.parties.is_party(caller, task) else ""

    def implied_authority(self, caller: Caller) -> pb.AuthorizationContext | None:
        """What a session would send along to act for whom its task is for; None for a task without authority."""
        task = self.book.get(caller.task_id) if self.authority is not None else None
        return self.authority.context(task) if self.authority is not None and task is not None else None

    def disconnected(self, session: LiveSession, *, is_clean: bool) -> None:
        """A session has ended."""
        self.watches.close_session(session.session_id)
        self.liveness.disconnected(session, is_clean=is_clean)
        if session.identity.kind is PrincipalType.ORCHESTRATOR:
            self.starts.disconnect(session)


def compose_tasks(
    base: Foundation,
    quotas: WorkspaceQuotas,
    access: Access,
    tokens: TaskTokens,
    authority: TaskGrants | None,
    requests: Requests | None,
    flush: Callable[[], None],
) -> Tasks:
    """The task features of a gateway, and what starts agents for them.

    :param authority: None where there are no grants.
    :param flush: sends what was queued for sessions by something that is not a session.
    """
    config, tier, directory, recorder = base.config, base.tier, base.directory, base.recorder
    wall_clock, chooser, new_id = base.wall_clock, base.random, base.new_task_id
    book = TaskBook(tier.tasks, wall_clock)
    watches = Watches(book, tier.tasks, partial(base.metrics.shed, "task_events"))

    def tell(identity: str, answer: Answer) -> None:
        if (session := directory.holder(identity)) is not None:
            session.put(answer)

    def assignment(task: Task) -> Answer:
        context = authority.context(task) if authority is not None else None
        frame = assignment_frame(task, book.store.payload(task.task_id), authorization=context)
        return Answer((frame,), book.ticket)

    def prepare(task: Task, worker: Worker) -> bool:
        if authority is None:
            return True
        try:
            authority.prepare(task, worker)
        except InvalidAuthority as error:
            book.change(task, machine.fail(task, wall_clock(), str(error), chooser.uniform), str(error))
            return False
        return True

    def open_max(implementation: str) -> int:
        registration = registry.find(implementation)
        return registration.limit("max_open_tasks") if registration is not None else 0

    def report(task: Task, operation: str) -> None:
        base.metrics.task_neglected(operation)
        recorder.routine(
            Event(
                kind="task",
                operation=operation,
                success=False,
                resource_type="task",
                resource_id=task.task_id,
                workspace=task.workspace,
                metadata={"worker": task.worker},
            )
        )

    announcer = Announcer(book, watches, tier.log, tell, wall_clock, config.gateway.gateway_id)
    dispatcher = Dispatcher(book, wall_clock, chooser, assignment, prepare, open_max, flush)
    registry = Registry(tier.records, wall_clock)

    def is_connected(identity: str) -> bool:
        return dispatcher.worker(identity) is not None

    def authorize(sender: Caller, task: Task, claimed: str) -> None:
        if authority is not None:
            authority.authorize_startup(sender, task, claimed)

    room = Room(book, quotas.tasks)
    starts = StartQueue(book, tokens, wall_clock, flush)
    startups = Startups(
        book,
        tier.records,
        registry,
        starts,
        wall_clock,
        new_id,
        is_connected,
        config.gateway.gateway_id,
        lambda identity: liveness.cut_off_ms(identity),
        authorize,
        base.metrics.startup_triggered,
        room.check,
    )
    dispatcher.autostart = Autostart(registry, startups, is_connected)
    registry.on_change += [startups.reconsider, dispatcher.reconsider]
    liveness = Liveness(book, dispatcher, wall_clock, chooser, startups.started_by)
    dependencies = Dependencies(book)
    upkeep = Upkeep(book, liveness, wall_clock, chooser, configured.task_retention(config), report)

    def fire(task: Task, due: Due) -> None:
        if due is Due.GRACE and task.awaits_start:
            starts.on_grace(task)
        else:
            upkeep.fire(task, due)
        if due is Due.STALE and task.is_startup:
            dispatcher.start_target(task.target)  # nobody served its profile, but it is still needed

    timers = Timers(book, fire, wall_clock, configured.task_lifetimes(config), flush=flush)
    find = requests.find if requests is not None else (lambda _: None)
    approvals = Approvals(book, watches, wall_clock, chooser, find)
    inputs = Inputs(book, tier.log, flush=flush)
    ends = Ends(tokens, authority.revoke) if authority is not None else Ends(tokens)
    parties = Parties(access, recorder)
    metrics = base.metrics.tasks
    metrics.waiting = lambda: dispatcher.waiting + len(starts)
    participants = Participants(book, lambda user: directory.sessions_of(("user", user)))
    # In this order: what a change means is told before what follows from it, and the next worker comes last.
    book.observers += [
        timers.on_transition,
        announcer.on_transition,
        participants.on_transition,
        ends.on_transition,
        partial(_measure, metrics),
        liveness.on_transition,
        inputs.on_transition,
        approvals.on_transition,
        dependencies.on_transition,
        startups.on_transition,
        dispatcher.on_transition,
    ]
    liveness.begin()

    def check_retry(task: Task) -> None:
        startups.check_retry(task)
        if task.is_final:
            room.check(task.workspace)

    creation = CreateService(
        book,
        access,
        recorder,
        Placement(book, tokens, startups, wall_clock, is_connected, authority),
        configured.task_limits(config),
        room,
        wall_clock,
        new_id,
        authority,
        metrics.operated,
    )
    operations = OperationService(
        book,
        parties,
        dispatcher,
        dependencies,
        tier.checkpoints,
        recorder,
        wall_clock,
        chooser,
        check_retry,
        authority.entrust_again if authority is not None else lambda *_: None,
        metrics.operated,
    )
    handlers: dict[str, Handler] = {
        "create_task": creation.handle,
        "task_op": operations.operate,
        "task_query": QueryService(book, parties).query,
        "task_subscription_op": SubscriptionService(Lookup(book, parties), watches, announcer, new_id).subscribe,
        "agent_op": RegistryService(
            registry, startups, starts.orchestrators, access, recorder, strict=config.gateway.strict_identifiers
        ).handle,
    }
    return Tasks(
        book,
        liveness,
        dispatcher,
        starts,
        startups,
        registry,
        parties,
        participants,
        approvals,
        watches,
        Heartbeats(book, watches, wall_clock, authority.renew if authority is not None else None),
        timers,
        upkeep,
        handlers,
        (timers.run, dispatcher.run, starts.run, liveness.run, upkeep.run, inputs.run),
        authority,
    )


def _measure(metrics: TaskOperations, transition: Transition) -> None:
    """Count what becomes of tasks; nobody hands out one's own."""
    task = transition.task
    if not transition.is_new_status or transition.before is None:
        return
    match task.status:
        case Status.ASSIGNED if task.mode is not Mode.SELF_ASSIGN:
            is_first = not (task.attempts or task.former)
            metrics.handed_out(max(0, task.assigned_ms - task.created_ms) / 1000 if is_first else None)
        case Status.COMPLETED | Status.FAILED:
            metrics.ended(task.status.value)
