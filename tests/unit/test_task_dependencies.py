"""Tasks that wait for tasks that wait: what can be waited for, however wide the net is."""

from __future__ import annotations

from itertools import pairwise

import pytest

from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import machine
from aether.tasks.book import TaskBook
from aether.tasks.dependencies import Dependencies, InvalidDependency
from aether.tasks.model import Task, WaitReason, WaitSpec

LEVELS = 64


def test_a_net_of_waits_is_walked_once() -> None:
    """As many ways lead through it as a search that goes each of them would never come to an end with."""
    book = TaskBook(MemoryTasks(), lambda: 5)
    dependencies = Dependencies(book)
    levels = [[book.add(Task(f"{level} {side}", "w")) for side in "lr"] for level in range(LEVELS)]
    for above, below in pairwise(levels):
        for task in above:
            wait = WaitSpec(WaitReason.DEPENDENCY, depends_on=[other.task_id for other in below])
            dependencies.check(task, wait.depends_on)
            book.change(task, machine.pause(task, wait, 5))
    top, bottom = levels[0][0], levels[-1][0]
    dependencies.check(book.add(Task("new", "w")), [top.task_id])
    with pytest.raises(InvalidDependency, match="would never end"):
        dependencies.check(bottom, [top.task_id])
