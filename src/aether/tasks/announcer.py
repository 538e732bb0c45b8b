"""Tells those concerned what happened to a task (tasks 12; weaknesses 10, 46).

Whatever the cause of a change, its event is stored with it, the creator is told, the subject where it takes part, and
at the end the workflow engine where it was asked for. Notices go through the log of whom they are for, so that nobody
misses them by being away.
"""

from __future__ import annotations

from collections.abc import Callable

from aether.answers import Answer
from aether.identity import InvalidIdentity, parse_identity
from aether.messaging.log import TopicLog
from aether.tasks.book import TaskBook, Transition
from aether.tasks.machine import RESULT_SUMMARY
from aether.tasks.model import Task
from aether.tasks.participants import takes_part
from aether.tasks.store import TaskEvent
from aether.tasks.watches import Watches
from aether.tasks.wire import completion_frame, notice_frame

__all__ = ["Announcer"]

EVENTS_TOPIC = "event::receiver0"
_SHOWN = ("thread_id", "message_id", "started_at_ms", "task_type")


class Announcer:
    """An observer of the book.

    :param tell: gives an answer to the sessions of an identity that has no topic.
    :param gateway_id: what notices name as their source.
    """

    def __init__(
        self,
        book: TaskBook,
        watches: Watches,
        log: TopicLog,
        tell: Callable[[str, Answer], None],
        wall_clock: Callable[[], int],
        gateway_id: str,
    ) -> None:
        self._book = book
        self._watches = watches
        self._log = log
        self._tell = tell
        self._wall_clock = wall_clock
        self._gateway_id = gateway_id
        self._last = book.store.last_event()

    @property
    def last_event(self) -> int:
        return self._last

    def on_transition(self, transition: Transition) -> None:
        """An observer of the book."""
        task = transition.task
        if transition.before is None:
            self._tell_parent(task, "spawned")
        elif transition.is_new_status:
            reason = transition.reason or task.error
            self._emit(task, from_status=str(transition.before), to_status=str(task.status), reason=reason)
            self._tell_parent(task, "completed" if task.is_final else "transitioned")
            self._notify_creator(task)
            self._notify_subject(task)
            if task.is_final:
                self._publish_completion(task)

    def _emit(self, task: Task, **fields: str) -> None:
        self._last += 1
        event = TaskEvent(
            self._last, task.task_id, task.workspace, self._wall_clock(), parent_task_id=task.parent_task_id, **fields
        )
        ticket = self._book.store.append(event)
        self._watches.on_event(task, event, ticket)

    def _tell_parent(self, task: Task, lifecycle: str) -> None:
        parent = self._book.get(task.parent_task_id) if task.parent_task_id else None
        if parent is not None:
            self._emit(parent, child_task_id=task.task_id, to_status=str(task.status), lifecycle=lifecycle)

    def _notify_creator(self, task: Task) -> None:
        if not task.creator:
            return
        summary = {"summary": task.metadata[RESULT_SUMMARY]} if RESULT_SUMMARY in task.metadata else {}
        frame = notice_frame(task, self._gateway_id, self._wall_clock(), task.creator, summary)
        topic = _topic_of(task.creator)
        if topic:
            self._log.topic(topic).publish(frame)
        else:
            self._tell(task.creator, Answer((frame,), self._book.ticket))

    def _notify_subject(self, task: Task) -> None:
        if not takes_part(task):
            return
        metadata = {"status": str(task.status)}
        metadata |= {name: task.metadata[name] for name in _SHOWN if name in task.metadata}
        metadata.setdefault("task_type", task.task_type)
        recipient = f"us::{task.subject_id}"
        frame = notice_frame(task, self._gateway_id, self._wall_clock(), recipient, metadata)
        self._log.topic(f"pg::us::{task.subject_id}").publish(frame)

    def _publish_completion(self, task: Task) -> None:
        event = task.completion_event
        if event is None or (event.on_statuses and task.status not in event.on_statuses):
            return
        if any(event.named_statuses) and not event.on_statuses:
            return  # it named statuses that nothing ends with
        name = event.event_name or f"task.{task.status}"
        self._log.topic(EVENTS_TOPIC).publish(completion_frame(task, name, self._gateway_id))


def _topic_of(identity: str) -> str:
    """The topic of an identity; empty for one that has none."""
    try:
        return parse_identity(identity).topic
    except InvalidIdentity:
        return ""
