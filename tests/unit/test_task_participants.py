"""Users who take part in tasks: which windows follow which lanes, and until when (tasks 12.3, 12.4)."""

from __future__ import annotations

from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import machine
from aether.tasks.book import TaskBook
from aether.tasks.model import Task, WaitSpec
from aether.tasks.participants import Participants, lane_of

WORKER = "ag::w::pool::1"


class Window:
    def __init__(self) -> None:
        self.lanes: list[str] = []

    def follow(self, topic: str) -> None:
        self.lanes.append(topic)

    def unfollow(self, topic: str) -> None:
        self.lanes.remove(topic)


class Scene:
    def __init__(self) -> None:
        self.store = MemoryTasks()
        self.windows: list[Window] = []
        self.open()

    def open(self) -> None:
        """A gateway starts."""
        self.windows.clear()
        self.book = TaskBook(self.store, lambda: 5)
        self.participants = Participants(self.book, lambda user: self.windows if user == "alice" else [])
        self.book.observers = [self.participants.on_transition]

    def add(self, task_id: str, subject: tuple[str, str] = ("user", "alice"), part: str = "True") -> Task:
        metadata = {"subject_participant": part}
        task = Task(task_id, "w", subject_type=subject[0], subject_id=subject[1], metadata=metadata)
        return self.book.add(task)

    def begin(self, task: Task) -> None:
        self.book.change(task, machine.claim(task, WORKER, 5))

    def window(self, user: str = "alice") -> Window:
        window = Window()
        self.participants.connected(user, window)
        if user == "alice":
            self.windows.append(window)
        return window


def test_every_window_follows_what_was_begun_until_it_ends() -> None:
    scene = Scene()
    early = scene.window()
    task, other = scene.add("t"), scene.add("o", part="1")
    assert early.lanes == []
    scene.begin(task)
    scene.begin(other)
    late = scene.window()
    assert early.lanes == late.lanes == [lane_of(task), lane_of(other)]
    assert scene.window("bob").lanes == []
    scene.book.change(task, machine.pause(task, WaitSpec(), 5))
    scene.book.change(task, machine.resume(task))
    assert early.lanes == [lane_of(task), lane_of(other)]
    scene.book.change(task, machine.complete(task, 5))
    assert early.lanes == late.lanes == scene.window().lanes == [lane_of(other)]
    scene.book.change(other, machine.cancel(other, 5))
    assert early.lanes == scene.window().lanes == []


def test_those_who_take_no_part_follow_nothing() -> None:
    scene = Scene()
    window = scene.window()
    for task in (scene.add("no", part="no"), scene.add("agent", ("agent", "alice")), scene.add("bob", ("user", "bob"))):
        scene.begin(task)
        scene.book.change(task, machine.complete(task, 5))
    assert window.lanes == []


def test_what_was_begun_goes_on_in_the_next_gateway() -> None:
    scene = Scene()
    begun, waiting, alien = scene.add("b"), scene.add("p"), scene.add("a", part="no")
    scene.add("new")
    for task in (begun, waiting, alien):
        scene.begin(task)
    scene.book.change(waiting, machine.pause(waiting, WaitSpec(), 5))
    scene.open()
    window = scene.window()
    assert window.lanes == [lane_of(begun), lane_of(waiting)]
    for task in list(scene.book):
        scene.book.change(task, machine.cancel(task, 5))
    assert window.lanes == []
