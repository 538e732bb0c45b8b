"""Tasks that wait for other tasks (tasks 11.3; weakness 14)."""

from __future__ import annotations

from collections.abc import Iterable

from aether.tasks import machine
from aether.tasks.book import TaskBook, Transition
from aether.tasks.model import Status, Task, WaitSpec

__all__ = ["Dependencies", "InvalidDependency"]


class InvalidDependency(ValueError):
    """A task that cannot be waited for; the text is fit for clients."""


class Dependencies:
    """An observer of the book that lets tasks go on when what they wait for has ended."""

    def __init__(self, book: TaskBook) -> None:
        self._book = book

    def check(self, task: Task, ids: Iterable[str]) -> None:
        """Whether ``task`` can wait for these.

        :raises InvalidDependency: one is unknown, elsewhere, or waits for the task itself.
        """
        for task_id in ids:
            if not task_id:
                continue
            dependency = self._book.get(task_id)
            if dependency is None or dependency.workspace != task.workspace:
                raise InvalidDependency(f"dependency not found: {task_id}")
            if self._waits_for(dependency, task.task_id):
                raise InvalidDependency(f"dependency would never end: {task_id} waits for this task")

    def _waits_for(self, task: Task, task_id: str) -> bool:
        """Whether a task waits for another one, however indirectly, or is it."""
        seen: set[str] = set()
        reached = [task]
        while reached:
            current = reached.pop()
            if current.task_id == task_id:
                return True
            if current.task_id in seen:
                continue
            seen.add(current.task_id)
            reached += [found for name in current.depends_on if (found := self._book.get(name)) is not None]
        return False

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book."""
        task = transition.task
        if task.status is Status.WAITING_DEPENDENCY:
            self._resume_if_satisfied(task)
        elif task.is_final:
            for waiter in self._book.waiters(task.task_id):
                self._resume_if_satisfied(waiter)

    def _resume_if_satisfied(self, task: Task) -> None:
        if task.status is Status.WAITING_DEPENDENCY and task.wait is not None and self._is_satisfied(task.wait):
            self._book.change(task, machine.resume(task), "dependencies ended")

    def _is_satisfied(self, wait: WaitSpec) -> bool:
        """Any way to end counts, and so does having been forgotten."""
        names = [name for name in wait.depends_on if name]
        if not names:
            return True
        ended = ((found := self._book.get(name)) is None or found.is_final for name in names)
        return any(ended) if wait.wake_on_any else all(ended)
