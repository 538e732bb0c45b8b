"""What a task leaves behind: its credentials end with it (tasks 6; weakness 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aether.tasks.book import Transition
from aether.tasks.model import Task

__all__ = ["Ends", "TaskCredentials"]


class TaskCredentials(Protocol):
    """The tokens of tasks."""

    def revoke_task(self, task_id: str) -> int:
        """End the tokens of a task.

        :raises StoreUnavailable: nothing was changed.
        """


class Ends:
    """An observer of the book: once a task has ended for good, and only then, what it lent ends too.

    :param revoke_grants: ends the authority that was made for the task.
    """

    def __init__(self, tokens: TaskCredentials, revoke_grants: Callable[[Task], None] = lambda _: None) -> None:
        self._tokens = tokens
        self._revoke_grants = revoke_grants

    def on_transition(self, transition: Transition) -> None:
        task = transition.task
        if transition.is_new_status and task.is_final:
            self._tokens.revoke_task(task.task_id)
            self._revoke_grants(task)
