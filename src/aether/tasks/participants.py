"""Users who take part in tasks about them: their windows follow the task's message lane while it is worked on (tasks
12.3, 12.4; weakness 51)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from aether.tasks.book import TaskBook, Transition
from aether.tasks.model import LIVE, Status, Task

__all__ = ["LaneFollower", "Participants", "lane_of", "takes_part"]

PARTICIPANT = "subject_participant"
_YES = ("true", "1")


class LaneFollower(Protocol):
    """A window."""

    def follow(self, topic: str) -> None:
        """Get all that is on a topic, and what comes; again is harmless."""

    def unfollow(self, topic: str) -> None: ...


def lane_of(task: Task) -> str:
    """The lane for messages about a task."""
    return f"tk::{task.workspace}::{task.task_id}::msg"


def takes_part(task: Task) -> bool:
    """Whether the subject is a user who is to be told of the task."""
    return task.subject_type == "user" and task.metadata.get(PARTICIPANT, "").lower() in _YES


class Participants:
    """An observer of the book.

    :param windows: the sessions of a user.
    """

    def __init__(self, book: TaskBook, windows: Callable[[str], Iterable[LaneFollower]]) -> None:
        self._book = book
        self._windows = windows
        self._begun: dict[str, dict[str, None]] = {}
        for task in book:
            if takes_part(task) and task.started_ms and task.status in LIVE:
                self._begun.setdefault(task.subject_id, {})[task.task_id] = None

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book."""
        task = transition.task
        if not transition.is_new_status or not takes_part(task):
            return
        begun = self._begun.setdefault(task.subject_id, {})
        if task.status is Status.RUNNING and task.task_id not in begun:
            begun[task.task_id] = None
            for window in self._windows(task.subject_id):
                window.follow(lane_of(task))
        elif task.status not in LIVE and task.task_id in begun:
            del begun[task.task_id]
            for window in self._windows(task.subject_id):
                window.unfollow(lane_of(task))
        if not begun:
            del self._begun[task.subject_id]

    def connected(self, user: str, window: LaneFollower) -> None:
        """A window of a user is there."""
        for task_id in self._begun.get(user, ()):
            if (task := self._book.get(task_id)) is not None:
                window.follow(lane_of(task))
