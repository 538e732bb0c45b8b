"""Tasks that wait for a request for authority: which requests count, and what each answer does (tasks 11.2)."""

from __future__ import annotations

import random
from typing import cast

import pytest

from aether.authority.requests import Request
from aether.proto import aether_pb2 as pb
from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import machine
from aether.tasks.approvals import Approvals
from aether.tasks.book import TaskBook
from aether.tasks.model import Status, Task, WaitReason, WaitSpec
from aether.tasks.watches import Watches

BOSS, WORKER, STRANGER, ALICE = "ag::w::i::boss", "ag::w::pool::1", "ag::w::i::stranger", "alice"


class Followers:
    """Notes which tasks' followers are told of a request."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_authority_request(self, task: Task, event: pb.AuthorityRequestEvent, now_ms: int) -> None:
        del event, now_ms
        self.told.append(task.task_id)


class Scene:
    def __init__(self) -> None:
        self.book = TaskBook(MemoryTasks(), lambda: 5)
        self.requests: dict[str, Request] = {}
        self.followers = Followers()
        watches = cast(Watches, self.followers)
        self.approvals = Approvals(self.book, watches, lambda: 5, random.Random(1), self.requests.get)
        self.book.observers = [self.approvals.on_transition]
        self.task = self.book.add(Task("t", "w", BOSS, subject_type="user", subject_id=ALICE))
        self.book.change(self.task, machine.claim(self.task, WORKER, 5))

    def request(self, requester: tuple[str, str], status: str, *, task_id: str = "", reason: str = "") -> None:
        """A request of somebody's stands like this from now on."""
        what = ("user", ALICE, 20, 600, "agent", BOSS, 5, 50)
        self.requests["r"] = Request("r", *requester, *what, status, task_id=task_id, resolution_reason=reason)
        self.approvals.on_request(self.requests["r"], pb.AuthorityRequestEvent())

    def wait(self, reason: WaitReason = WaitReason.AUTHORITY, request_id: str = "r") -> None:
        self.book.change(self.task, machine.pause(self.task, WaitSpec(reason, authority_request_id=request_id), 5))


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    ("status", "after", "error"),
    [
        ("pending", Status.WAITING_AUTHORITY, ""),
        ("approved", Status.RUNNING, ""),
        ("denied", Status.FAILED, "authority request denied: because"),
        ("expired", Status.FAILED, "authority request expired: because"),
        ("cancelled", Status.FAILED, "authority request cancelled: because"),
    ],
)
def test_every_answer(scene: Scene, status: str, after: Status, error: str, early: bool) -> None:
    steps = [scene.wait, lambda: scene.request(("agent", WORKER), status, reason="because")]
    for step in reversed(steps) if early else steps:
        step()
    assert (scene.task.status, scene.task.error) == (after, error)


@pytest.mark.parametrize(
    ("requester", "counts"),
    [
        (("agent", BOSS), True),
        (("agent", WORKER), True),
        (("user", ALICE), True),
        (("agent", STRANGER), False),
        (("agent", ALICE), False),
        (("user", BOSS), False),
    ],
)
def test_requests_of_those_who_have_a_part_in_the_task(scene: Scene, requester: tuple[str, str], counts: bool) -> None:
    scene.wait()
    scene.request(requester, "approved")
    assert scene.task.status is (Status.RUNNING if counts else Status.WAITING_AUTHORITY)
    scene.request(requester, "approved", task_id="t")
    assert scene.followers.told == (["t"] if counts else [])
    assert scene.task.status is Status.RUNNING  # a request that was made for the task counts, whoever made it


def test_requests_that_nobody_made(scene: Scene) -> None:
    scene.wait(request_id="unknown")
    assert scene.task.status is Status.WAITING_AUTHORITY
    scene.request(("agent", WORKER), "approved", task_id="unknown")
    assert (scene.task.status, scene.followers.told) == (Status.WAITING_AUTHORITY, [])


def test_who_waits_for_something_else_waits_on(scene: Scene) -> None:
    scene.request(("agent", WORKER), "approved")
    scene.wait(WaitReason.INPUT)
    assert scene.task.status is Status.WAITING_INPUT


def test_names_that_are_no_identities_have_no_part(scene: Scene) -> None:
    task = scene.book.add(Task("start", "w", "gateway"))
    scene.book.change(task, machine.claim(task, WORKER, 5))
    scene.request(("agent", WORKER), "pending", task_id="start")
    scene.request(("agent", STRANGER), "pending", task_id="start")
    assert scene.followers.told == ["start"]
