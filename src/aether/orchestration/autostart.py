"""Agents that are started because tasks wait: workers for pools that have none (tasks 19, weakness 31), and agents that
tasks are for and that are not there, or not any more (tasks 3.4, 11.4).

An implementation asks for workers by the launch parameter ``pool_autostart`` of its registration: how many of its
agents may be there at once in a workspace, by the names ``pool-1``, ``pool-2`` and so on. They end when they like; the
next task that waits starts one again.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from aether.errors import StoreUnavailable
from aether.identity import Identity, PrincipalType
from aether.orchestration.startups import Startups
from aether.registry.registry import Registry
from aether.tasks.model import Task

__all__ = ["Autostart"]

log = structlog.get_logger("aether.orchestration")

LIMIT = "pool_autostart"
INSTANCES_MAX = 1000


class Autostart:
    """Starts one agent at a time for a pool, as many as its registration allows.

    :param is_connected: whether an identity has a session.
    """

    def __init__(self, registry: Registry, startups: Startups, is_connected: Callable[[str], bool]) -> None:
        self._registry = registry
        self._startups = startups
        self._is_connected = is_connected

    def limit(self, implementation: str) -> int:
        """How many agents of an implementation may be started for a pool; 0: none."""
        registration = self._registry.find(implementation)
        return min(registration.limit(LIMIT), INSTANCES_MAX) if registration is not None else 0

    def start_one(self, workspace: str, implementation: str) -> None:
        """A task has waited for a while, and no worker may have it."""
        absent = ""
        for number in range(1, self.limit(implementation) + 1):
            agent = Identity(PrincipalType.AGENT, workspace, implementation, f"pool-{number}").key
            if self._is_connected(agent):
                continue
            if (startup := self._startups.started_by(agent)) is not None and startup.awaits_start:
                return  # the one that is on its way may be enough
            if startup is None:
                absent = absent or agent
        if not absent:
            return
        try:
            self._startups.start(absent, {}, creator=self._startups.creator)
        except (ValueError, StoreUnavailable) as error:
            log.warning("no worker started for a pool", agent=absent, error=str(error))

    def start_target(self, task: Task) -> bool:
        """A task waits for an agent that is not there; False when the store takes nothing now.

        One that cannot be started is left alone: the task is there when it comes, and a registration asks again. One
        that fails again and again is tried less and less often: nobody asked for it just now.
        """
        try:
            self._startups.start(task.target, task.launch_params, creator=task.creator, is_asked=False)
        except StoreUnavailable:
            return False
        except ValueError as error:
            log.debug("the target of a task is not started", agent=task.target, error=str(error))
        return True
