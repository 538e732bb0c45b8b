"""A session as those see it who hand out tasks."""

from __future__ import annotations

from dataclasses import dataclass, field

from aether.answers import Answer
from aether.identity import Identity

__all__ = ["WorkerSession"]


@dataclass(eq=False)
class WorkerSession:
    """Notes which tasks it is given."""

    identity: Identity
    session_id: str = "s"
    task_id: str = ""
    resumes: bool = False
    workspace_limit: None = None
    consumes_pool_tasks: bool = True
    has_room: bool = True
    given: list[str] = field(default_factory=list)

    def put(self, answer: Answer) -> None: ...

    def give(self, task_id: str, assignment: Answer) -> None:
        self.given.append(task_id)
