"""The port to stored tasks (backends 3.4): the same answers from every adapter."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from aether.storage.memory.tasks import MemoryTasks
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.tasks import SqliteTasks
from aether.tasks.model import (
    Category,
    CompletionEvent,
    Hibernation,
    Mode,
    RetryPolicy,
    Status,
    Task,
    WaitSpec,
)
from aether.tasks.store import Filter, InvalidPageToken, Party, TaskEvent, TaskStore, page_token, read_page_token

from .conftest import Stores, WallClock, open_stores


def task(number: int, **fields: Any) -> Task:
    fields = {"workspace": "w", "updated_us": 1_000_000 + number, **fields}
    return Task(f"t{number}", **fields)


FULL = task(
    1,
    creator="ag::w::i::ü",
    status=Status.COMPLETED,
    mode=Mode.POOL,
    category=Category.ORCHESTRATED,
    launch_params={"profile": "p"},
    former=["a", "b"],
    retry_policy=RetryPolicy(3, 1, 5, 6, 0.5, [1, 2], [500], honor_retry_after=True),
    metadata={"k": "v", "quote'": '"'},
    wait=WaitSpec(4, "us::a", {"a": "b"}, "r", ["t2"], True, 5, 6, Hibernation("K", "s", ["e"], "alert")),
    completion_event=CompletionEvent("e", [Status.FAILED], [4]),
    idempotency="hash",
    subject_type="user",
    subject_id="alice",
)


async def ids(store: TaskStore, **wanted: Any) -> list[str]:
    return [found.task_id for found in await store.query(Filter(**wanted), 100)]


async def test_a_record_comes_back_as_it_was(stores: Stores) -> None:
    stores.tasks.put(FULL)
    assert stores.tasks.get("t1") == FULL
    assert await stores.tasks.query(Filter(), 10) == [FULL]
    assert stores.tasks.get("t1") == FULL
    assert stores.tasks.get("t2") is None


async def test_what_is_unfinished_is_not_got_one_by_one(stores: Stores) -> None:
    retried = task(2, status=Status.FAILED, next_retry_ms=5)
    for one in (task(1), retried, task(3, status=Status.FAILED)):
        stores.tasks.put(one)
    assert [stores.tasks.get(name) is not None for name in ("t1", "t2", "t3")] == [False, False, True]
    await stores.tasks.query(Filter(), 10)
    assert [found.task_id for found in stores.tasks.unfinished()] == ["t1", "t2"]


async def test_the_newest_change_counts(stores: Stores) -> None:
    stores.tasks.put(task(1))
    await stores.tasks.query(Filter(), 10)
    stores.tasks.put(task(1, status=Status.RUNNING, assigned_to="ag::w::i::s", updated_us=9_000_000))
    stores.tasks.put(task(1, status=Status.COMPLETED, assigned_to="ag::w::i::s", updated_us=9_000_001))
    found = stores.tasks.get("t1")
    assert found is not None
    assert (found.status, found.assigned_to, found.updated_us) == (Status.COMPLETED, "ag::w::i::s", 9_000_001)
    assert await ids(stores.tasks, statuses=frozenset([Status.PENDING])) == []
    assert await ids(stores.tasks, equal={"assigned_to": "ag::w::i::s"}) == ["t1"]


async def test_payloads(stores: Stores) -> None:
    stores.tasks.put_payload("t1", bytes(range(256)) * 1000)
    assert stores.tasks.payload("t1") == bytes(range(256)) * 1000
    assert stores.tasks.payload("t2") == b""


async def test_idempotency_finds_the_newest(stores: Stores) -> None:
    stores.tasks.put(task(1, idempotency="h", created_ms=1))
    stores.tasks.put(task(2, idempotency="h", created_ms=2))
    stores.tasks.put(task(3))
    await stores.tasks.query(Filter(), 10)
    found = stores.tasks.by_idempotency("h")
    assert found is not None
    assert found.task_id == "t2"
    assert stores.tasks.by_idempotency("other") is None


async def test_pages_neither_lose_nor_repeat(stores: Stores) -> None:
    for number in range(25):
        stores.tasks.put(task(number))
    seen, after = [], None
    while page := await stores.tasks.query(Filter(), 10, after=after):
        seen += [found.task_id for found in page]
        after = (page[-1].updated_us, page[-1].task_id)
        stores.tasks.put(task(24, updated_us=2_000_000 + len(seen)))  # moves to the front
    assert seen == [f"t{number}" for number in range(24, -1, -1)]


async def test_offset(stores: Stores) -> None:
    for number in range(5):
        stores.tasks.put(task(number))
    assert [found.task_id for found in await stores.tasks.query(Filter(), 2, offset=1)] == ["t3", "t2"]


async def test_descendants_in_a_circle_end(stores: Stores) -> None:
    for number, parent in ((1, "t3"), (2, "t1"), (3, "t2"), (4, "t3"), (5, "")):
        stores.tasks.put(task(number, parent_task_id=parent))
    assert await ids(stores.tasks, parent_task_id="t1", descendants=True) == ["t4", "t3", "t2"]
    assert await ids(stores.tasks, parent_task_id="t3") == ["t4", "t1"]


async def test_workspaces(stores: Stores) -> None:
    assert await stores.tasks.workspaces() == []
    for number, workspace in enumerate("bab"):
        stores.tasks.put(task(number, workspace=workspace))
    assert await stores.tasks.workspaces() == ["a", "b"]


async def test_events_in_order_from_a_place_and_a_time(stores: Stores) -> None:
    told = [TaskEvent(number, f"t{number % 2}", "w", 1000 * number, reason="ü") for number in range(1, 9)]
    for event in told:
        stores.tasks.append(event)
    assert stores.tasks.last_event() == 8
    assert await stores.tasks.events(["t0", "t1"], 0, 0, 100) == told
    assert await stores.tasks.events(["t1"], 1, 0, 2) == [told[2], told[4]]
    assert await stores.tasks.events(["t1"], 0, 4000, 100) == [told[4], told[6]]
    assert await stores.tasks.events(["t3"], 0, 0, 100) == []


async def test_purge(stores: Stores) -> None:
    for number in range(4):
        stores.tasks.put(task(number, status=Status.COMPLETED))
        stores.tasks.put_payload(f"t{number}", b"p")
        stores.tasks.append(TaskEvent(number + 1, f"t{number}", "w", 1))
    stores.tasks.put(task(5, status=Status.FAILED))
    stores.tasks.put(task(6, status=Status.COMPLETED, updated_us=9_000_000))
    assert await stores.tasks.purgeable(Status.COMPLETED, 2000) == 4
    removed = [
        *await stores.tasks.purge(Status.COMPLETED, 2000, 3),
        *await stores.tasks.purge(Status.COMPLETED, 2000, 3),
    ]
    assert sorted(removed) == ["t0", "t1", "t2", "t3"]
    assert await stores.tasks.purgeable(Status.COMPLETED, 2000) == 0
    assert await ids(stores.tasks) == ["t6", "t5"]
    assert stores.tasks.get("t0") is None
    assert await stores.tasks.events(["t0"], 0, 0, 10) == []


async def test_everything_is_there_after_a_restart(persistent_adapter: str, tmp_path: Path, clock: WallClock) -> None:
    async with open_stores(persistent_adapter, tmp_path, clock) as stores:
        stores.tasks.put(FULL)
        stores.tasks.put(task(2))
        stores.tasks.put_payload("t2", b"p")
        stores.tasks.append(TaskEvent(5, "t2", "w", 1))
    async with open_stores(persistent_adapter, tmp_path, clock) as stores:
        assert stores.tasks.get("t1") == FULL
        assert list(stores.tasks.unfinished()) == [task(2)]
        assert stores.tasks.payload("t2") == b"p"
        assert stores.tasks.last_event() == 5
        stores.tasks.put(task(2, status=Status.RUNNING, assigned_to="x"))
    async with open_stores(persistent_adapter, tmp_path, clock) as stores:
        assert list(stores.tasks.unfinished()) == [task(2, status=Status.RUNNING, assigned_to="x")]


@pytest.mark.parametrize("token", ["xyz", "", "eA", "MXw", "fGE", "MTIzfA", "é"])
def test_tokens_that_are_none(token: str) -> None:
    with pytest.raises(InvalidPageToken):
        read_page_token(token)


@given(st.integers(0, 2**60), st.text(min_size=1).filter(lambda text: "\ud800" not in text))
def test_tokens_are_read_back(updated_us: int, task_id: str) -> None:
    try:
        task_id.encode()
    except UnicodeEncodeError:
        return
    assert read_page_token(page_token((updated_us, task_id))) == (updated_us, task_id)


# ------------------------------------------------------------------------------------------- queries mean the same

NAMES = ["t0", "t1", "t2", "t3", ""]
tasks = st.lists(
    st.builds(
        dict,
        workspace=st.sampled_from("ab"),
        status=st.sampled_from(Status),
        creator=st.sampled_from(["me", "other"]),
        assigned_to=st.sampled_from(["", "me", "other"]),
        bound=st.sampled_from(["", "", "me"]),
        parent_task_id=st.sampled_from(NAMES),
        root_task_id=st.sampled_from(NAMES),
        context_id=st.sampled_from(["", "c"]),
        correlation_id=st.sampled_from(["", "c"]),
        subject_type=st.sampled_from(["", "user", "agent"]),
        subject_id=st.sampled_from(["", "me"]),
        task_type=st.sampled_from(["", "x"]),
        task_class=st.integers(0, 3),
        priority=st.sampled_from([-5, 10, 30, 40]),
        updated_us=st.integers(0, 5000),
    ),
    max_size=8,
)
filters = st.builds(
    Filter,
    workspaces=st.sampled_from([None, frozenset(), frozenset("a"), frozenset("ab")]),
    party=st.sampled_from([None, Party("me"), Party("me", "me")]),
    statuses=st.frozensets(st.sampled_from(Status), max_size=2),
    exclude_statuses=st.frozensets(st.sampled_from(Status), max_size=2),
    equal=st.dictionaries(
        st.sampled_from(["creator", "context_id", "correlation_id", "root_task_id", "subject_type", "task_type"]),
        st.sampled_from(["me", "c", "t1", "user", "x"]),
        max_size=2,
    ),
    exclude_classes=st.frozensets(st.integers(0, 3), max_size=2),
    min_priority=st.sampled_from([0, 30, 40]),
    changed_since_ms=st.integers(0, 5),
    parent_task_id=st.sampled_from(NAMES),
    descendants=st.booleans(),
)


@settings(max_examples=60)
@given(tasks, st.lists(filters, min_size=1, max_size=10))
def test_a_query_is_what_the_filter_says(records: list[dict[str, Any]], wanted: list[Filter]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        trio.run(compare, records, wanted, Path(directory))


async def compare(records: list[dict[str, Any]], wanted: list[Filter], directory: Path) -> None:
    plain = MemoryTasks()
    async with Database.open(directory, "os") as database:
        store = SqliteTasks(database)
        for number, fields in enumerate(records):
            one = task(number, **{**fields, "updated_us": fields["updated_us"] * 100 + number})
            plain.put(one)
            store.put(one)
        for filter_ in wanted:
            expected = [found.task_id for found in await plain.query(filter_, 100)]
            assert [found.task_id for found in await store.query(filter_, 100)] == expected, filter_
