"""How many unfinished tasks a workspace may have (tasks 19, weakness 44)."""

from __future__ import annotations

from collections.abc import Callable

from aether.errors import AetherError
from aether.tasks.book import TaskBook

__all__ = ["NoRoom", "Room"]


class NoRoom(AetherError):
    """There are as many as there may be; the text is fit for clients."""


class Room:
    """Asked before a task becomes unfinished because somebody wants it to: a new one, or one that had ended.

    :param most: how many a workspace may have; 0: any number.
    """

    def __init__(self, book: TaskBook, most: Callable[[str], int]) -> None:
        self._book = book
        self._most = most

    def check(self, workspace: str) -> None:
        """:raises NoRoom: none may be added now."""
        most = self._most(workspace)
        if most and self._book.live_in(workspace) >= most:
            raise NoRoom(f"quota exceeded for tasks in workspace '{workspace}': limit {most}")
