"""The connected workers, and which of them is next (tasks 8; weaknesses 34 to 41).

The workers of a pool are its connected agents or, where there is none, the connected services of the implementation.
The one with the fewest open tasks is next, and among equals the one whose turn was longest ago.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

from aether.answers import Answer, WorkspaceLimit
from aether.identity import Identity, PrincipalType
from aether.tasks.backlog import Pool
from aether.tasks.book import TaskBook

__all__ = ["BATCH", "Seat", "Worker", "Workers"]

BATCH = 8
"""Tasks of a backlog that a worker gets before it has begun or ended one."""
EXACT_MAX = 16
"""Among more workers than this, two are drawn and the one with fewer open tasks is taken."""


class Worker(Protocol):
    """A connected principal that can be given tasks."""

    @property
    def identity(self) -> Identity: ...

    @property
    def session_id(self) -> str: ...

    @property
    def workspace_limit(self) -> WorkspaceLimit | None: ...

    @property
    def consumes_pool_tasks(self) -> bool: ...

    @property
    def has_room(self) -> bool:
        """It takes what it is sent; False while too much of that waits for it."""

    def put(self, answer: Answer) -> None:
        """Send frames, in order, each once its ticket is durable."""

    def give(self, task_id: str, assignment: Answer) -> None:
        """As :meth:`put`; :meth:`aether.tasks.dispatch.Dispatcher.confirm` is called when it has arrived."""


class Seat:
    """A worker of a pool.

    :ivar credit: tasks of a backlog that it may have before it has begun or ended one.
    :ivar turn: when it was last chosen.
    """

    __slots__ = ("credit", "turn", "worker")

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.credit = BATCH
        self.turn = 0


class Workers:
    """Who is connected, by identity and by pool.

    :param open_max: how many open tasks a worker of an implementation may have; 0: any number.
    """

    def __init__(self, book: TaskBook, chooser: random.Random, open_max: Callable[[str], int]) -> None:
        self._book = book
        self._random = chooser
        self._open_max = open_max
        self._by_identity: dict[str, Worker] = {}
        self._agents: dict[Pool, dict[str, Seat]] = {}
        self._services: dict[str, dict[str, Seat]] = {}
        self._turns = 0

    def get(self, identity: str) -> Worker | None:
        return self._by_identity.get(identity)

    def add(self, worker: Worker) -> None:
        identity = worker.identity
        self._by_identity[identity.key] = worker
        if identity.kind is PrincipalType.AGENT:
            self._agents.setdefault((identity.workspace, identity.implementation), {})[identity.key] = Seat(worker)
        elif identity.kind is PrincipalType.SERVICE and worker.consumes_pool_tasks:
            self._services.setdefault(identity.implementation, {})[identity.key] = Seat(worker)

    def remove(self, worker: Worker) -> Pool | None:
        """Forget a worker; idempotent, and harmless when a successor holds the identity.

        :returns: a pool that lost its last agent, so that services are its workers from now on.
        """
        identity = worker.identity
        if self._by_identity.get(identity.key) is not worker:
            return None
        del self._by_identity[identity.key]
        if identity.kind is PrincipalType.AGENT:
            pool = (identity.workspace, identity.implementation)
            seats = self._agents[pool]
            del seats[identity.key]
            if not seats:
                del self._agents[pool]
                return pool
        elif identity.kind is PrincipalType.SERVICE and (services := self._services.get(identity.implementation)):
            services.pop(identity.key, None)
            if not services:
                del self._services[identity.implementation]
        return None

    def has(self, pool: Pool) -> bool:
        """Whether anybody works for a pool."""
        return pool in self._agents or pool[1] in self._services

    def seat(self, identity: Identity) -> Seat | None:
        """The seat of an agent or service that works for pools."""
        if identity.kind is PrincipalType.AGENT:
            seats = self._agents.get((identity.workspace, identity.implementation), {})
        else:
            seats = self._services.get(identity.implementation, {})
        return seats.get(identity.key)

    def seats(self, pool: Pool) -> list[Seat]:
        """Who works for a pool."""
        agents = self._agents.get(pool)
        if agents:
            return list(agents.values())
        return [seat for seat in self._services.get(pool[1], {}).values() if _admits(seat.worker, pool[0])]

    def choose(self, pool: Pool, *, urgent: bool, backlog: bool) -> Seat | None:
        """The worker that has least to do; None when none may have more now.

        :param urgent: nothing but a lack of room keeps the task from a worker.
        :param backlog: it takes credit.
        """
        seats = self.seats(pool)
        if len(seats) > EXACT_MAX:
            for _ in range(4):
                drawn = [seat for seat in self._random.sample(seats, 2) if self._may_have(seat, pool, urgent, backlog)]
                if drawn:
                    return self._take_turn(min(drawn, key=self._load))
        free = [seat for seat in seats if self._may_have(seat, pool, urgent, backlog)]
        return self._take_turn(min(free, key=self._load)) if free else None

    def is_any_free(self, pool: Pool) -> bool:
        """Whether somebody may have a task of a pool that is not urgent."""
        return any(self._may_have(seat, pool, urgent=False, backlog=False) for seat in self.seats(pool))

    def _take_turn(self, seat: Seat) -> Seat:
        self._turns += 1
        seat.turn = self._turns
        return seat

    def _load(self, seat: Seat) -> tuple[int, int]:
        """Open tasks; among equals, whose turn was longest ago."""
        return self._book.open_count(seat.worker.identity.key), seat.turn

    def _may_have(self, seat: Seat, pool: Pool, urgent: bool, backlog: bool) -> bool:
        if not seat.worker.has_room:
            return False
        if urgent:
            return True
        if backlog and seat.credit <= 0:
            return False
        limit = self._open_max(pool[1])
        worker = seat.worker.identity.key
        if not limit or self._book.open_count(worker) < limit:
            return True
        return sum(not task.is_startup for task in self._book.held_by(worker)) < limit  # its own start is no work


def _admits(worker: Worker, workspace: str) -> bool:
    """A service works for all workspaces that its credential is for."""
    return worker.workspace_limit is None or worker.workspace_limit.admits_workspace(workspace)
