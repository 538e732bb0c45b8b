"""Tasks by their id, for those who may know of them (tasks 4)."""

from __future__ import annotations

from aether.answers import Caller
from aether.errors import AetherError
from aether.tasks.book import TaskBook
from aether.tasks.model import Task
from aether.tasks.parties import Parties

__all__ = ["Lookup", "TaskNotFound"]


class TaskNotFound(AetherError):
    """There is none, or it is none of the caller's business: the text is the same."""

    def __init__(self) -> None:
        super().__init__("task not found")


class Lookup:
    def __init__(self, book: TaskBook, parties: Parties) -> None:
        self._book = book
        self._parties = parties

    def find(self, caller: Caller, task_id: str) -> Task:
        """:raises TaskNotFound: what a caller may not see does not exist for it.
        :raises StoreUnavailable: it cannot be read, or decided, now.
        """
        task = self._book.get(task_id)
        if task is None or not self._parties.may_operate(caller, task):
            raise TaskNotFound
        return task
