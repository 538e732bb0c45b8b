"""Starts of agents: one at a time for each, with whoever can do it, and never forgotten (tasks 13)."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
import trio
from tests.unit.fakes import FakeCaller, user
from trio.testing import MockClock

from aether.answers import Answer
from aether.errors import StoreUnavailable
from aether.identity import Identity, parse_identity
from aether.orchestration import attempts, queue
from aether.orchestration.queue import StartQueue
from aether.orchestration.startups import ATTEMPT, LAST_ERROR, NOT_BEFORE, TRIGGERED_AT, Startups
from aether.proto import aether_pb2 as pb
from aether.registry.registry import Registration, Registry
from aether.storage.memory.records import MemoryRecords
from aether.storage.memory.tasks import MemoryTasks
from aether.tasks import machine
from aether.tasks.book import TaskBook
from aether.tasks.model import Category, Hibernation, Mode, Status, Task, WaitReason, WaitSpec
from aether.tasks.room import NoRoom

TARGET = "ag::w::lazy::1"


@dataclass(eq=False)
class Session:
    """An orchestrator."""

    identity: Identity
    profiles: tuple[str, ...]
    resumes: bool = False
    has_room: bool = True
    session_id: str = "s"
    connected_at_ms: int = 0
    workspace_limit: None = None
    consumes_pool_tasks: bool = False
    given: list[pb.TaskAssignment] = field(default_factory=list)

    def put(self, answer: Answer) -> None:
        self.given += [pb.DownstreamMessage.FromString(frame[5:]).task_assignment for frame in answer.frames]

    def give(self, task_id: str, assignment: Answer) -> None: ...

    @property
    def asked(self) -> list[str]:
        return [start.specifier for start in self.given]


class Scene:
    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.store, self.records = MemoryTasks(), MemoryRecords()
        self.online: set[str] = set()
        self.full: set[str] = set()
        self.cut_off: dict[str, int] = {}
        self.tokens: list[tuple[str, str]] = []
        self.token_store_is_down = False
        self.triggers: list[str] = []
        self.flushed = 0
        self.open()
        self.registry.put(Registration("lazy", {"profile": "p", "image": "usual"}))

    def open(self) -> None:
        """A gateway starts."""
        self.registry = Registry(self.records, lambda: self.now_ms)
        self.book = TaskBook(self.store, lambda: self.now_ms)
        self.queue = StartQueue(self.book, self, lambda: self.now_ms, self.flush)
        self.startups = Startups(
            self.book,
            self.records,
            self.registry,
            self.queue,
            lambda: self.now_ms,
            lambda: f"t{len(self.store._tasks)}",
            self.online.__contains__,
            "g",
            lambda identity: self.cut_off.get(identity, 0),
            on_trigger=lambda outcome, workspace: self.triggers.append(f"{outcome} {workspace}"),
            check_room=self.check_room,
        )
        self.book.observers = [self.startups.on_transition]
        self.registry.on_change.append(self.startups.reconsider)

    def flush(self) -> None:
        self.flushed += 1

    def check_room(self, workspace: str) -> None:
        if workspace in self.full:
            raise NoRoom("quota exceeded")

    def issue(self, identity: str, task_id: str) -> str:
        if self.token_store_is_down:
            raise StoreUnavailable("disk full")
        self.tokens.append((identity, task_id))
        return "token"

    def connect(self, name: str = "1", *profiles: str, **fields: object) -> Session:
        session = Session(parse_identity(f"orc::o::{name}"), profiles or ("p",), **fields)  # type: ignore[arg-type]
        self.queue.connect(session)
        return session

    def start(self, target: str = TARGET, **overrides: str) -> Task:
        """Somebody asks."""
        return self.startups.start(target, overrides, creator="ag::w::i::boss")

    def start_for_work(self) -> Task:
        """Nobody asks, but there is work."""
        return self.startups.start(TARGET, {}, creator="ag::w::i::boss", is_asked=False)

    def fail_for_work(self, times: int) -> Task:
        """Starts that fail as soon as they may begin; the one after that."""
        task = self.start_for_work()
        for _ in range(times):
            self.now_ms = max(self.now_ms, task.hold_ms)
            self.book.change(task, {"hold_ms": 0})
            self.fail(task)
            task = self.start_for_work()
        return task

    def fail(self, task: Task, ran_ms: int = 0) -> None:
        if ran_ms:
            self.book.change(task, machine.bind(task, task.target, self.now_ms))
            self.now_ms += ran_ms
        self.book.change(task, machine.fail(task, self.now_ms, "no", random.uniform))

    def held_ms(self, task: Task) -> int:
        """How much longer it is held back."""
        return max(0, task.hold_ms - self.now_ms)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_start_is_one_and_says_everything(scene: Scene) -> None:
    orchestrator = scene.connect()
    task = scene.start(image="special", cpus="2")
    assert scene.start() is task
    [asked] = orchestrator.given
    assert (asked.task_id, asked.task_type, asked.profile) == (task.task_id, "agent_startup", "p")
    assert (asked.workspace, asked.target_implementation, asked.specifier) == ("w", "lazy", "1")
    assert asked.launch_params == {"profile": "p", "image": "special", "cpus": "2", "auth_token": "token"}
    assert scene.tokens == [(TARGET, task.task_id)]
    assert (task.status, task.assigned_to, task.queued) == (Status.ASSIGNED, "orc::o::1", False)
    assert "auth_token" not in task.launch_params


def test_without_a_token_it_is_started_all_the_same(scene: Scene) -> None:
    orchestrator = scene.connect()
    scene.token_store_is_down = True
    scene.start()
    assert "auth_token" not in orchestrator.given[0].launch_params


@pytest.mark.parametrize("target", ["sv::lazy::1", "us::alice::w", "ta::w::lazy::1", "ag::w::unknown::1"])
def test_what_cannot_be_started(scene: Scene, target: str) -> None:
    with pytest.raises(ValueError, match=r"neither an agent|not found in registry"):
        scene.start(target)
    assert len(scene.book) == 0


def test_a_profile_is_needed(scene: Scene) -> None:
    with pytest.raises(ValueError, match="missing 'profile'"):
        scene.start(profile="")


def test_a_new_start_of_who_is_there_or_coming_is_refused(scene: Scene) -> None:
    task = scene.startups.start_new(TARGET, {}, creator="c")
    with pytest.raises(ValueError, match=f"startup task {task.task_id} already exists for lazy/1 in workspace w"):
        scene.startups.start_new(TARGET, {}, creator="c")
    scene.fail(task)
    scene.startups.check_retry(task)
    scene.online.add(TARGET)
    for attempt in (
        lambda: scene.startups.start_new(TARGET, {}, creator="c"),
        lambda: scene.startups.check_retry(task),
    ):
        with pytest.raises(ValueError, match="already online"):
            attempt()
    scene.startups.check_retry(Task("work", "w", target=TARGET))


@pytest.mark.parametrize(
    ("topic", "orchestrated", "outcome"),
    [
        (TARGET, True, "started w"),
        (TARGET, False, "no_orchestrator w"),
        ("ag::v::unknown::1", True, "unregistered v"),
        ("sv::lazy::1", True, "invalid lazy"),
    ],
)
def test_a_message_for_who_is_absent(scene: Scene, topic: str, orchestrated: bool, outcome: str) -> None:
    if orchestrated:
        scene.connect()
    scene.startups.on_absent(user(), topic)
    scene.startups.on_absent(user(), topic)
    again = "duplicate w" if topic == TARGET else outcome
    assert scene.triggers == [outcome, again]


def test_messages_start_no_more_agents_than_their_workspace_has_room_for(scene: Scene) -> None:
    scene.full.add("w")
    scene.startups.on_absent(user(), TARGET)
    assert (scene.triggers, len(scene.book)) == (["quota w"], 0)
    scene.now_ms += 5
    scene.startups.on_absent(user(), TARGET)
    scene.now_ms += 5
    scene.full.clear()
    scene.startups.on_absent(user(), TARGET)
    scene.full.add("w")
    scene.startups.on_absent(user(), TARGET)
    assert scene.triggers == ["quota w", "quota w", "no_orchestrator w", "duplicate w"]
    assert scene.startups.hint_ms(TARGET) == 1_000_000, "the first message is for it too"


def test_for_whom_it_is_started(scene: Scene) -> None:
    scene.startups.on_absent(user("alice"), TARGET)
    task = scene.startups.started_by(TARGET)
    assert task is not None
    assert (task.subject_type, task.subject_id, task.root_subject_type, task.root_subject_id) == (
        ("user", "alice", "user", "alice")
    )
    assert task.creator == "sv::gateway::g"
    context = scene.startups.context(TARGET)
    assert context == {
        TRIGGERED_AT: "1000000",
        "task_id": task.task_id,
        "workspace": "w",
        "implementation": "lazy",
        "specifier": "1",
        "profile": "p",
        "lp.profile": "p",
        "lp.image": "usual",
        "user": "alice",
        "root_user": "alice",
    }
    assert scene.startups.hint_ms(TARGET) == 1_000_000
    assert (scene.startups.context("ag::w::lazy::2"), scene.startups.hint_ms("ag::w::lazy::2")) == ({}, 0)
    scene.fail(task)
    assert (scene.startups.context(TARGET), scene.startups.hint_ms(TARGET)) == ({}, 0)


def test_an_agent_that_is_started_by_an_agent_has_no_user(scene: Scene) -> None:
    caller: FakeCaller = FakeCaller(parse_identity("ag::w::i::boss"))
    scene.startups.on_absent(caller, TARGET)
    assert not {"user", "root_user"} & set(scene.startups.context(TARGET))


def test_the_one_with_the_fewest_starts_is_next_and_an_end_counts(scene: Scene) -> None:
    first, second = scene.connect("1"), scene.connect("2")
    tasks = [scene.start(f"ag::w::lazy::{number}") for number in range(4)]
    assert (first.asked, second.asked) == (["0", "2"], ["1", "3"])
    for task in (tasks[1], tasks[3]):
        scene.fail(task)
    for number in (4, 5):
        scene.start(f"ag::w::lazy::{number}")
    assert second.asked == ["1", "3", "4", "5"]
    scene.book.change(tasks[0], machine.bind(tasks[0], tasks[0].target, scene.now_ms))
    assert [len(one.starting) for one in scene.queue.orchestrators()] == [1, 2], "its agent is there"


def test_starts_wait_for_their_profile_by_priority_and_age(scene: Scene) -> None:
    tasks = [scene.start(f"ag::w::lazy::{number}") for number in range(3)]
    scene.start("ag::w::lazy::other", profile="q")
    tasks[2].priority = 40
    assert len(scene.queue) == 4
    assert scene.connect("1").asked == ["2", "0", "1"]
    assert len(scene.queue) == 1
    assert scene.connect("2", "x", "q").asked == ["other"]
    assert len(scene.queue) == 0


def test_an_orchestrator_that_goes_away_loses_what_has_not_begun(scene: Scene) -> None:
    first = scene.connect("1")
    starting, running = scene.start(), scene.start("ag::w::lazy::2")
    scene.book.change(running, machine.bind(running, running.target, scene.now_ms))
    second = scene.connect("2")
    scene.queue.disconnect(first)
    scene.queue.disconnect(first)
    assert (second.asked, starting.losses, starting.assigned_to) == (["1"], 1, "orc::o::2")
    assert running.assigned_to == "orc::o::1"


@pytest.mark.parametrize("losses", [0, 3])
def test_an_orchestrator_that_comes_and_goes_changes_nothing_for_its_agents(scene: Scene, losses: int) -> None:
    first = scene.connect("1")
    task = scene.start()
    scene.book.change(task, machine.bind(task, TARGET, scene.now_ms))
    task.losses = losses
    scene.queue.disconnect(first)
    again = scene.connect("1")
    assert (again.given, task.status, task.losses) == ([], Status.RUNNING, losses)
    assert scene.queue.orchestrators()[0].starting == set()
    scene.connect("1", resumes=True)
    assert scene.queue.orchestrators()[0].starting == set()


def test_what_an_orchestrator_claimed_is_lost_with_it_too(scene: Scene) -> None:
    first = scene.connect("1")
    task = scene.start()
    scene.book.change(task, machine.claim(task, "orc::o::1", scene.now_ms))
    second = scene.connect("2")
    scene.queue.disconnect(first)
    assert (second.asked, task.status, task.losses) == (["1"], Status.ASSIGNED, 1)


def test_what_an_orchestrator_declines_again_and_again_is_tried_again_within_minutes(scene: Scene) -> None:
    scene.connect()
    task = scene.start_for_work()
    for declined in range(1, 20):
        scene.book.change(task, {"hold_ms": 0})
        scene.book.change(task, machine.reject(task, "no room"))
        task = scene.start_for_work()
        assert scene.held_ms(task) == 1000 * 2 ** min(declined, 8)
        assert task.metadata[LAST_ERROR] == "no room"
        scene.now_ms = task.hold_ms
    late = scene.fail_for_work(5)
    scene.book.change(late, {"hold_ms": 0})
    scene.book.change(late, machine.reject(late, "no room"))
    scene.now_ms = max(scene.now_ms, late.hold_ms)
    assert scene.held_ms(scene.start_for_work()) == 1000 * 2**13, "which makes up for no failure either"


def test_an_agent_that_came_makes_up_for_those_that_did_not(scene: Scene) -> None:
    scene.fail(scene.start())
    task = scene.start()
    scene.book.change(task, machine.complete(task, scene.now_ms))
    assert (scene.start().hold_ms, len(scene.queue)) == (0, 1)


def test_a_start_that_is_paused_tells_nobody_of_it(scene: Scene) -> None:
    task = scene.start()
    scene.book.change(task, machine.bind(task, TARGET, scene.now_ms))
    assert scene.startups.context(TARGET)
    scene.book.change(task, machine.pause(task, WaitSpec(), scene.now_ms))
    assert scene.startups.context(TARGET) == {}
    assert scene.start() is task, "it is under way all the same"


def test_after_a_restart_what_is_held_back_still_is(scene: Scene) -> None:
    scene.fail(scene.start())
    scene.start()
    scene.open()
    assert scene.connect().asked == []


def test_the_record_of_a_start(scene: Scene) -> None:
    task = scene.startups.start_new(TARGET, {}, creator="c", idempotency="hash")
    assert (task.task_type, task.mode, task.category) == ("agent_startup", Mode.POOL, Category.ORCHESTRATED)
    assert (task.queued, task.root_task_id, task.creator, task.target) == (True, task.task_id, "c", TARGET)
    assert scene.book.by_idempotency("hash") is task
    other = scene.startups.launch("ag::w::lazy::2", {}, creator="d")
    assert (found := scene.book.get(other)) is not None
    assert found.creator == "d"
    assert (scene.startups.is_registered("lazy"), scene.startups.is_registered("unknown")) == (True, False)


def test_among_equals_who_waits_longest_is_next(scene: Scene) -> None:
    first, second, other = scene.connect("1"), scene.connect("2"), scene.connect("3", "q")
    for number in range(4):
        task = scene.start(f"ag::w::lazy::{number}")
        scene.book.change(task, machine.cancel(task, scene.now_ms))
    assert (first.asked, second.asked, other.asked) == (["0", "2"], ["1", "3"], [])


def test_an_orchestrator_that_was_never_asked_is_next(scene: Scene) -> None:
    first = scene.connect("1")
    task = scene.start()
    scene.book.change(task, machine.cancel(task, scene.now_ms))
    second = scene.connect("2")
    scene.start("ag::w::lazy::2")
    assert (first.asked, second.asked) == (["1"], ["2"])


async def test_other_orchestrators_do_not_keep_one_without_room_from_being_asked_again(
    scene: Scene, autojump_clock: MockClock
) -> None:
    scene.connect("3", "q")
    busy = scene.connect("1", has_room=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.queue.run)
        scene.start()
        busy.has_room = True
        await trio.sleep(queue.RETRY_S * 1.5)
        assert busy.asked == ["1"]
        nursery.cancel_scope.cancel()


def test_other_tasks_are_no_starts(scene: Scene) -> None:
    orchestrator = scene.connect()
    work = scene.book.add(Task("work", "w", mode=Mode.TARGETED, target=TARGET, queued=True, profile="p"))
    assert (orchestrator.asked, scene.startups.started_by(TARGET), len(scene.queue)) == ([], None, 0)
    scene.open()
    assert (scene.startups.started_by(TARGET), scene.connect().asked) == (None, [])
    scene.fail(work)
    assert scene.start().hold_ms == 0, "that was none of its failures"


def test_a_successor_of_a_session_keeps_what_it_knows(scene: Scene) -> None:
    first = scene.connect("1")
    task = scene.start()
    same = scene.connect("1", resumes=True)
    scene.queue.disconnect(first)
    assert (same.given, task.losses) == ([], 0)
    new = scene.connect("1")
    assert (new.asked, task.losses) == (["1"], 1)


def test_a_start_that_loses_every_orchestrator_fails(scene: Scene) -> None:
    task = scene.start()
    for number in range(4):
        assert task.status is Status.PENDING
        scene.queue.disconnect(scene.connect(str(number)))
    assert (task.status, task.error) == (
        Status.FAILED,
        "orchestrator disconnected before agent started (4 times)",
    )


def test_the_patience_with_an_orchestrator_after_a_restart(scene: Scene) -> None:
    scene.connect("1")
    task = scene.start()
    scene.book.change(task, machine.mark_gone(task, "", scene.now_ms))
    scene.queue.on_grace(task)
    assert (task.status, task.disconnected_ms) == (Status.ASSIGNED, 0), "it is there"
    scene.open()
    [kept] = scene.book
    scene.queue.on_grace(kept)
    assert (kept.status, kept.losses) == (Status.PENDING, 1)
    assert scene.connect("2").asked == ["1"]


def test_failures_hold_the_next_start_back_longer_and_longer(scene: Scene) -> None:
    orchestrator = scene.connect()
    for failures, hold_ms in enumerate([0, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000]):
        before = len(orchestrator.given)
        task = scene.start()
        assert task.hold_ms == (scene.now_ms + hold_ms if hold_ms else 0)
        assert task.metadata.get(ATTEMPT) == (str(failures + 1) if failures else None)
        assert task.metadata.get(NOT_BEFORE) == (str(scene.now_ms + hold_ms) if failures else None)
        assert task.metadata[TRIGGERED_AT] == "1000000", "since then messages wait"
        assert len(orchestrator.given) == before + (not hold_ms)
        scene.now_ms += hold_ms
        scene.book.change(task, {"hold_ms": 0})
        assert len(orchestrator.given) == before + 1
        scene.fail(task)


def test_for_work_that_nobody_asks_for_an_agent_that_never_comes_up_is_tried_less_and_less_often(scene: Scene) -> None:
    scene.connect()
    waits_ms = []
    for failures in range(1, 20):
        task = scene.fail_for_work(1)
        assert task.metadata | {TRIGGERED_AT: ""} == {
            TRIGGERED_AT: "",
            ATTEMPT: str(failures + 1),
            NOT_BEFORE: str(task.hold_ms),
            LAST_ERROR: "no",
        }
        waits_ms.append(scene.held_ms(task))
    doubling = [1000 * 2**failures for failures in range(1, 20)]
    assert waits_ms == [min(wait_ms, 6 * 3_600_000) for wait_ms in doubling]


@pytest.mark.parametrize("by_message", [True, False])
def test_who_asks_waits_for_minutes_at_most(scene: Scene, by_message: bool) -> None:
    def ask() -> None:
        if by_message:
            scene.startups.on_absent(user(), TARGET)
        else:
            assert scene.start() is held

    orchestrator = scene.connect()
    held = scene.fail_for_work(15)
    asked = len(orchestrator.given)
    assert scene.held_ms(held) == 6 * 3_600_000
    scene.now_ms += 1_000
    ask()
    assert (scene.held_ms(held), held.metadata[NOT_BEFORE]) == (299_000, str(held.hold_ms)), "since it failed"
    scene.now_ms += 1_000
    ask()
    assert scene.held_ms(held) == 298_000
    scene.start_for_work()
    assert scene.held_ms(held) == 298_000
    assert len(orchestrator.given) == asked
    held = scene.fail_for_work(1)
    asked = len(orchestrator.given)
    scene.now_ms += 3_600_000
    ask()
    assert (held.status, len(orchestrator.given)) == (Status.ASSIGNED, asked + 1), "that was long ago"


def test_a_launch_begins_at_once_and_anew(scene: Scene) -> None:
    orchestrator = scene.connect()
    held = scene.fail_for_work(12)
    before = len(orchestrator.given)
    assert scene.startups.launch(TARGET, {"cpus": "2"}, creator="c") == held.task_id
    assert (held.status, len(orchestrator.given)) == (Status.ASSIGNED, before + 1)
    assert orchestrator.given[-1].launch_params["cpus"] == "2"
    assert set(held.metadata) == {TRIGGERED_AT}
    with pytest.raises(ValueError, match="already exists"):
        scene.startups.launch(TARGET, {}, creator="c")
    scene.fail(held)
    assert scene.held_ms(scene.start_for_work()) == 2_000


def test_a_launch_where_no_start_is_held_back_begins_at_once_too(scene: Scene) -> None:
    orchestrator = scene.connect()
    for _ in range(3):
        scene.fail(scene.start())
    assert scene.startups.launch(TARGET, {}, creator="c") == orchestrator.given[-1].task_id


def test_another_registration_is_reason_to_try_at_once(scene: Scene) -> None:
    orchestrator = scene.connect("1", "p", "better")
    held = scene.fail_for_work(12)
    other = scene.start("ag::w::lazy:x::2", image="special", profile="nobody")
    before = len(orchestrator.given)
    scene.registry.put(Registration("lazy", {"profile": "p", "image": "usual"}))
    scene.registry.put(Registration("unknown", {"profile": "better", "image": "other"}))
    assert len(orchestrator.given) == before, "that was no change, and that was somebody else"
    scene.registry.put(Registration("lazy", {"profile": "better", "image": "mended"}))
    [asked] = orchestrator.given[before:]
    assert (asked.task_id, asked.profile) == (held.task_id, "better")
    assert asked.launch_params == {"profile": "better", "image": "mended", "auth_token": "token"}
    assert other.launch_params == {"profile": "nobody", "image": "special"}, "it said so itself"
    scene.registry.delete("lazy")
    assert other.status is Status.PENDING
    assert len(scene.queue) == 1


def test_a_start_that_waits_for_an_orchestrator_goes_by_the_registration_of_the_time(scene: Scene) -> None:
    task = scene.start(cpus="2")
    scene.registry.put(Registration("lazy", {"profile": "q", "image": "mended"}))
    assert scene.connect("1", "p").given == []
    [asked] = scene.connect("2", "q").given
    assert (asked.task_id, asked.launch_params["image"], asked.launch_params["cpus"]) == (task.task_id, "mended", "2")


def test_a_registration_is_taken_while_nothing_can_be_stored_of_starts(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise StoreUnavailable("disk full")

    task = scene.start()
    with monkeypatch.context() as patch:
        patch.setattr(scene.store, "check", unavailable)
        scene.registry.put(Registration("lazy", {"profile": "q"}))
    assert task.profile == "p"
    assert len(scene.connect("1", "p").given) == 1, "it waits as before"


@pytest.mark.parametrize("by", ["a message", "work", "work that waits", "a launch"])
def test_an_agent_that_hibernates_is_started_again_when_somebody_wants_it(scene: Scene, by: str) -> None:
    orchestrator = scene.connect()
    task = scene.start()
    scene.book.change(task, machine.bind(task, TARGET, scene.now_ms))
    wait = WaitSpec(WaitReason.HIBERNATION, hibernation=Hibernation("K", "s"))
    scene.book.change(task, machine.pause(task, wait, scene.now_ms))
    scene.online.add(TARGET)
    scene.start()
    assert task.status is Status.HIBERNATED, "it has not left yet"
    scene.online.clear()
    match by:
        case "a message":
            scene.startups.on_absent(user(), TARGET)
            assert scene.triggers == ["started w"]
        case "work":
            assert scene.start() is task
        case "work that waits":
            assert scene.start_for_work() is task
        case "a launch":
            assert scene.startups.launch(TARGET, {}, creator="c") == task.task_id
    again = orchestrator.given[-1]
    assert (len(orchestrator.given), again.task_id, again.checkpoint_key) == (2, task.task_id, "K")
    assert (again.resume_session_id, task.status) == ("s", Status.ASSIGNED)


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_start_that_goes_on_after_its_agent_left_is_for_the_agent_or_for_another_start(
    scene: Scene, comes_back: bool
) -> None:
    orchestrator = scene.connect()
    task = scene.start()
    scene.book.change(task, machine.bind(task, TARGET, scene.now_ms))
    scene.book.change(task, machine.pause(task, WaitSpec(WaitReason.INPUT), scene.now_ms))
    scene.online.add(TARGET)
    scene.book.change(task, machine.resume(task))
    assert task.status is Status.RUNNING, "it is there"
    scene.book.change(task, machine.pause(task, WaitSpec(WaitReason.INPUT), scene.now_ms))
    scene.online.clear()
    scene.book.change(task, machine.resume(task))
    assert (task.status, scene.held_ms(task), len(orchestrator.given)) == (Status.PENDING, task.grace_ms, 1)
    if comes_back:
        scene.book.change(task, machine.bind(task, TARGET, scene.now_ms))
    scene.now_ms = task.hold_ms
    scene.book.change(task, {"hold_ms": 0})
    assert (task.status, len(orchestrator.given)) == ((Status.RUNNING, 1) if comes_back else (Status.ASSIGNED, 2))


def test_what_is_held_back_is_not_given_to_who_comes(scene: Scene) -> None:
    scene.fail(scene.start())
    held = scene.start()
    free = scene.start("ag::w::lazy::2")
    orchestrator = scene.connect()
    assert (orchestrator.asked, held.status, free.status) == (["2"], Status.PENDING, Status.ASSIGNED)


@pytest.mark.parametrize(
    ("end", "holds", "since"),
    [
        ("failed", True, True),
        ("failed after a minute", False, False),
        ("rejected", True, True),
        ("cancelled", False, True),
        ("completed", False, False),
    ],
)
def test_what_the_next_start_knows_of_the_one_before(scene: Scene, end: str, holds: bool, since: bool) -> None:
    task = scene.start()
    scene.now_ms += 100
    match end:
        case "failed":
            scene.fail(task, ran_ms=59_999)
        case "failed after a minute":
            scene.fail(task, ran_ms=60_000)
        case "rejected":
            scene.book.change(task, machine.reject(task, "no"))
        case "cancelled":
            scene.book.change(task, machine.cancel(task, scene.now_ms))
        case "completed":
            scene.book.change(task, machine.complete(task, scene.now_ms))
    scene.open()
    again = scene.start()
    assert (again.hold_ms > 0, again.metadata[TRIGGERED_AT] == "1000000") == (holds, since)


def test_only_so_many_failures_are_remembered(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "REMEMBERED_MAX", 2)
    for number in range(3):
        scene.fail(scene.start(f"ag::w::lazy::{number}"))
    assert [scene.start(f"ag::w::lazy::{number}").hold_ms > 0 for number in range(3)] == [False, True, True]


def test_who_was_cut_off_may_come_back_first(scene: Scene) -> None:
    scene.cut_off[TARGET] = scene.now_ms - 1_000
    assert scene.start().hold_ms == scene.now_ms + 2_000
    scene.cut_off["ag::w::lazy::2"] = scene.now_ms - 3_000
    assert scene.start("ag::w::lazy::2").hold_ms == 0


def test_starts_outlive_the_gateway(scene: Scene) -> None:
    waits, given = scene.start(), scene.start("ag::w::lazy::2", profile="q")
    scene.connect("1", "q")
    assert given.status is Status.ASSIGNED
    scene.open()
    assert scene.start().task_id == waits.task_id
    assert scene.startups.started_by("ag::w::lazy::2") is not None
    assert len(scene.queue) == 1
    assert scene.connect("2").asked == ["1"]


async def test_an_orchestrator_without_room_is_asked_again(scene: Scene, autojump_clock: MockClock) -> None:
    busy = scene.connect("1", has_room=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.queue.run)
        scene.start()
        scene.start("ag::w::lazy::2")
        await trio.sleep(queue.RETRY_S * 2.5)
        assert busy.asked == []
        busy.has_room = True
        await trio.sleep(queue.RETRY_S)
        assert (busy.asked, scene.flushed > 0) == (["1", "2"], True)
        nursery.cancel_scope.cancel()


async def test_what_could_not_be_stored_is_tried_again(
    scene: Scene, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable() -> None:
        raise StoreUnavailable("disk full")

    task = scene.start()
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.queue.run)
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "check", unavailable)
            orchestrator = scene.connect()
            scene.startups.on_absent(user(), "ag::w::lazy::2")
            assert (orchestrator.asked, scene.triggers) == ([], [])
            scene.queue.disconnect(scene.connect("2", "q"))
        await trio.sleep(queue.RETRY_S * 1.5)
        assert (orchestrator.asked, task.status) == (["1"], Status.ASSIGNED)
        with monkeypatch.context() as patch:
            patch.setattr(scene.store, "check", unavailable)
            scene.queue.disconnect(orchestrator)
            assert task.status is Status.ASSIGNED, "until its time is over"
            with pytest.raises(StoreUnavailable):
                scene.queue.on_grace(task)
        nursery.cancel_scope.cancel()
