"""The audit log on every adapter (acl 15)."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.fakes import WallClock

from aether.audit.chain import Verifier
from aether.audit.events import Event, Lineage
from aether.audit.store import GENESIS, AuditStore, Filter, Row, compact_json
from aether.audit.trail import AuditSettings, AuditTrail, redact
from aether.storage.memory.audit import MemoryAudit, matches
from aether.storage.sqlite.audit import SqliteAudit, open_offline, read_rows, select_rows
from aether.storage.sqlite.database import Database


@pytest.fixture(params=["memory", "sqlite-batch", "sqlite-os"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AuditStore]:
    kind, _, durability = request.param.partition("-")
    if kind == "memory":
        yield MemoryAudit()
        return
    async with Database.open(tmp_path, durability) as database:  # type: ignore[arg-type]
        yield SqliteAudit(database)


def event(number: int = 0, **changes: object) -> Event:
    fields = {
        "kind": "message",
        "operation": f"op{number % 3}",
        "success": number % 4 != 0,
        "actor_type": ("user", "service")[number % 2],
        "actor_id": f"us::alice::w{number}",
        "canonical_id": "alice",
        "resource_type": "topic",
        "resource_id": f"r{number}",
        "workspace": ("", "w1", "w2")[number % 3],
        "metadata": {"n": number, "text": "ä\u2028\x00"},
    }
    return Event(**{**fields, **changes})  # type: ignore[arg-type]


def trail_on(store: AuditStore, clock: WallClock | None = None, **settings: object) -> AuditTrail:
    return AuditTrail(store, AuditSettings("gw", **settings), clock or WallClock())  # type: ignore[arg-type]


async def verified(store: AuditStore) -> Verifier:
    verifier = Verifier()
    verifier.feed(await store.read(0, 10_000))
    assert verifier.finish() is None
    return verifier


FILTERS = [
    Filter(),
    Filter(kind="message", operation="op1"),
    Filter(kind="authorization"),
    Filter(decision="DENY"),
    Filter(decision="ALLOW"),
    Filter(actor_id="alice"),
    Filter(actor_id="us::alice::w3"),
    Filter(actor_type="user", only_failures=True),
    Filter(workspace="w1", resource_id="r7"),
    Filter(exclude_actor_types=("user",)),
    Filter(exclude_workspaces=("w1", "w2")),
    Filter(exclude_service_direct=True),
    Filter(authority_mode="on_behalf_of", subject_type="user", subject_id="root", grant_id="g"),
    Filter(before_number=8),
    Filter(start_us=1_700_000_000_005_000, end_us=1_700_000_000_009_000),
]


@pytest.mark.parametrize("wanted", FILTERS)
async def test_queries_find_what_the_filter_says(store: AuditStore, wanted: Filter) -> None:
    clock = WallClock()
    trail = trail_on(store, clock)
    lineage = Lineage("user", "root", "user", "root", "g", "g0")
    for number in range(24):
        kind = ("message", "kv", "authorization")[number % 5 % 3]
        trail.record(event(number, kind=kind, lineage=lineage if number % 6 == 0 else None))
        clock.now_ms += 1
    rows = await store.read(0, 100)
    expected = [row for row in reversed(rows) if matches(row, wanted)]
    assert expected, "a filter that finds nothing shows nothing"
    assert await store.query(wanted, 100, 0) == (len(expected), expected)
    pages = [await store.query(wanted, 5, offset) for offset in range(0, len(expected) + 5, 5)]
    assert [row for _, page in pages for row in page] == expected
    assert {total for total, _ in pages} == {len(expected)}


async def test_rows_are_numbered_and_chained(store: AuditStore) -> None:
    assert store.head == (0, GENESIS)
    trail = trail_on(store)
    for number in range(5):
        trail.record(event(number))
    rows = await store.read(0, 100)
    assert [row.number for row in rows] == [1, 2, 3, 4, 5]
    assert [row.number for row in await store.read(3, 1)] == [4]
    assert (await verified(store)).head == store.head == (5, rows[-1].hash)


async def test_times_never_go_back(store: AuditStore) -> None:
    clock = WallClock()
    trail = trail_on(store, clock)
    trail.record(event())
    clock.now_ms -= 10_000
    trail.record(event())
    await verified(store)


async def test_what_is_removed_leaves_its_hash(store: AuditStore) -> None:
    clock = WallClock()
    trail = trail_on(store, clock)
    for number in range(6):
        trail.record(event(number))
        clock.now_ms += 1000
    removed = await trail.trim((clock.now_ms - 3500) * 1000)
    rows = await store.read(0, 100)
    assert removed == 3
    assert [row.number for row in rows] == [4, 5, 6, 7]
    assert rows[-1].operation == "audit_trimmed"
    await verified(store)
    assert await trail.trim(0) == 0


async def test_retention_removes_rows_as_they_grow_old(autojump_clock: trio.testing.MockClock) -> None:
    """Day after day in the background; without a retention nothing ever goes."""
    for days, left in ((2, 2), (0, 6)):
        store, clock = MemoryAudit(), WallClock()
        trail = trail_on(store, clock, retention_days=days)
        async with trio.open_nursery() as nursery:
            await nursery.start(trail.run)
            for number in range(6):
                trail.record(event(number))
                for _ in range(24):
                    clock.advance(3600)
                    await trio.sleep(3600)
            nursery.cancel_scope.cancel()
        assert len([row for row in store.rows if row.kind == "message"]) == left
        await verified(store)


async def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    for _ in range(3):
        async with Database.open(tmp_path) as database:
            store = SqliteAudit(database)
            trail_on(store).record(event())
            await database.wait_durable(database.latest_ticket)
    async with Database.open(tmp_path) as database:
        assert (await verified(SqliteAudit(database))).rows == 3


async def test_rows_that_a_crash_left_in_the_journal_are_seen(tmp_path: Path) -> None:
    """Offline, before the gateway has moved them, and after it has."""
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with Database.open(tmp_path / "live") as database:
        trail = trail_on(SqliteAudit(database))
        trail.record(event())
        await trail.store.read(0, 1)  # the first row is in its table
        for number in range(1, 5):
            trail.record(event(number))
        await database.wait_durable(database.latest_ticket)
        with closing(sqlite3.connect(crashed / "aether.db")) as image:
            database.reader.backup(image)  # what a crash would leave
    offline = open_offline(crashed / "aether.db")
    assert offline.execute("SELECT count(*) FROM main.audit").fetchone() == (1,)
    verifier = Verifier()
    verifier.feed(read_rows(offline, 0, 100))
    assert (verifier.finish(), verifier.rows) == (None, 5)
    total, rows = select_rows(offline, Filter(only_failures=True), 1, 0)
    assert (total, [row.number for row in rows]) == (2, [5])
    offline.close()
    async with Database.open(crashed) as database:
        assert (await verified(SqliteAudit(database))).rows == 5


@given(st.lists(st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.booleans())))
def test_the_hash_is_of_standard_json(values: list[object]) -> None:
    assert compact_json(values) == json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def test_half_a_surrogate_pair_is_hashed_too() -> None:
    assert compact_json(["\ud800"]) == b'["\xed\xa0\x80"]'


# ------------------------------------------------------------------------------------------------------- tampering

HISTORY = MemoryAudit()
_trail = trail_on(HISTORY)
for _number in range(8):
    _trail.record(event(_number))
ROWS = tuple(HISTORY.rows)


def first_problem(rows: list[Row]) -> int | None:
    verifier = Verifier()
    verifier.feed(rows)
    finding = verifier.finish()
    return None if finding is None else finding.number


@given(st.integers(0, 7), st.sampled_from([name for name in Row._fields if name != "number"]))
def test_any_changed_field_shows(index: int, name: str) -> None:
    value = getattr(ROWS[index], name)
    changed = (not value) if isinstance(value, bool) else value + (1 if isinstance(value, int) else "x")
    rows = list(ROWS)
    rows[index] = rows[index]._replace(**{name: changed})
    if index == 7 and name == "hash":
        assert first_problem(rows) == 8
    else:
        assert first_problem(rows) in (index + 1, index + 2)


@given(st.integers(0, 6))
def test_a_removed_row_shows(index: int) -> None:
    rows = list(ROWS)
    del rows[index]
    assert first_problem(rows) == (index + 1 if index else 1)


@given(st.permutations(range(8)).filter(lambda order: order != sorted(order)))
def test_another_order_shows(order: list[int]) -> None:
    assert first_problem([ROWS[index] for index in order]) is not None


@given(st.integers(0, 8), st.integers(0, 7))
def test_a_row_put_in_shows(position: int, source: int) -> None:
    rows = list(ROWS)
    rows.insert(position, ROWS[source]._replace(number=position + 1))
    assert first_problem(rows) is not None


def test_the_untouched_log_is_fine() -> None:
    assert first_problem(list(ROWS)) is None
    assert first_problem([]) is None


# ------------------------------------------------------------------------------------------------------- the trail


async def test_repeats_within_a_window_are_one_row() -> None:
    store = MemoryAudit()
    trail = trail_on(store, window_s=60)
    same = event(1)
    for _ in range(50):
        trail.routine(same)
    assert len(store.rows) == 1
    assert trail.repeats(same.kind, same.actor_id, same.resource_type, same.resource_id, same.operation)
    assert not trail.repeats(same.kind, "somebody else", same.resource_type, same.resource_id, same.operation)
    for _ in range(50):
        trail.record(same._replace(success=False))
    assert len(store.rows) == 51
    for_alice = Lineage("user", "alice", "user", "alice", "grant", "grant")
    assert not trail.repeats(same.kind, same.actor_id, same.resource_type, same.resource_id, same.operation, "grant")
    for _ in range(2):
        trail.routine(same._replace(lineage=for_alice))
    assert trail.repeats(same.kind, same.actor_id, same.resource_type, same.resource_id, same.operation, "grant")
    assert [row.subject_id for row in store.rows[51:]] == ["alice"]
    trail.begin_window()
    assert not trail.repeats(same.kind, same.actor_id, same.resource_type, same.resource_id, same.operation)
    trail.routine(same)
    assert len(store.rows) == 53


async def test_without_a_window_every_row_is_kept() -> None:
    store = MemoryAudit()
    trail = trail_on(store, window_s=0)
    for _ in range(50):
        trail.routine(event(1))
    assert len(store.rows) == 50
    assert not trail.coalesces


async def test_kinds_that_are_off_keep_refusals() -> None:
    store = MemoryAudit()
    trail = trail_on(store, kinds=frozenset({"kv"}))
    trail.routine(event(1))
    trail.record(event(1, success=False))
    assert [row.success for row in store.rows] == [False]


async def test_under_pressure_rows_are_counted() -> None:
    store, told = MemoryAudit(), []
    trail = AuditTrail(store, AuditSettings("gw", window_s=0), WallClock(), told.append)
    store.staged = 10_000
    for number in range(7):
        trail.routine(event(number))
    trail.record(event(8, success=False))
    assert len(store.rows) == 1, "a refusal is kept under any pressure"
    store.staged = 0
    trail.routine(event(9))
    assert [(row.operation, row.metadata) for row in store.rows][1] == ("audit_rows_left_out", '{"count":7}')
    assert told == [7]


def test_credentials_are_redacted_at_any_depth() -> None:
    secret = {"db_password": "x", "n": 1, "list": [{"Api_Key": "y", "deep": {"bearerToken": "z"}}]}
    assert redact(secret) == {
        "db_password": "[REDACTED]",
        "n": 1,
        "list": [{"Api_Key": "[REDACTED]", "deep": {"bearerToken": "[REDACTED]"}}],
    }


names = st.text(alphabet="abc_", max_size=4)


@given(
    st.recursive(
        st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
        max_leaves=10,
    ),
    st.sampled_from(["password", "X-API_KEY", "mytoken", "Authorization"]),
    st.integers(0, 3),
)
def test_no_secret_survives(value: object, key: str, depth: int) -> None:
    for _ in range(depth):
        value = [{"a": value, key: "hunter2"}]
    assert "hunter2" not in str(redact({"v": value, key: "hunter2"}))


def test_numbers_count_without_gaps() -> None:
    assert [row.number for row in ROWS] == list(itertools.islice(itertools.count(1), 8))
