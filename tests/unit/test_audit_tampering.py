"""Whatever somebody does to the audit log in the database file, ``aether audit verify`` tells."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result
from tests.unit.fakes import WallClock

from aether.audit.events import Event
from aether.audit.store import FIELDS
from aether.audit.trail import AuditSettings, AuditTrail
from aether.cli.audit import audit
from aether.storage.sqlite.audit import SqliteAudit
from aether.storage.sqlite.database import Database

FIRST, TRIMMED, LAST = 4, 6, 9
"""Rows 1 to 3 are gone, which row 6 says."""


async def go_on(directory: Path, clock: WallClock, rows: int) -> None:
    """More rows, a second apart; they are in their table afterwards."""
    async with Database.open(directory) as database:
        trail = AuditTrail(SqliteAudit(database), AuditSettings("gw"), clock)
        for _ in range(rows):
            trail.record(Event("kv", "kv_put", rows != 5, "agent", "ag::w::i::s", "ag::w::i::s", "kv_key", "k"))
            clock.advance(1)
        if rows == TRIMMED - 1:
            await trail.trim((clock.now_ms - 2000) * 1000)


async def write(directory: Path) -> None:
    clock = WallClock()
    await go_on(directory, clock, TRIMMED - 1)
    await go_on(directory, clock, LAST - TRIMMED)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = tmp_path_factory.mktemp("written")
    trio.run(write, directory)
    return directory


@pytest.fixture
def data(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "data"))


def change(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "aether.db")) as writer, writer:
        for statement in statements:
            writer.execute(statement)


def verify(directory: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(audit, ["verify", "--data-dir", str(directory), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def test_an_untouched_log_is_fine(data: Path) -> None:
    result = verify(data)
    assert (result.exit_code, result.output.split(",")[0]) == (0, f"{LAST - FIRST + 1} rows"), result.output


def columns() -> list[tuple[str, str]]:
    """Another value, and another type of the same value, for every column."""
    found = []
    for name in FIELDS:
        is_number = name in ("number", "time_us", "success")
        found.append((name, f"{name} + 100" if is_number else f"{name} || 'x'"))
        found.append((name, f"{name} + 0.5" if is_number else f"CAST({name} AS BLOB)"))
        if name != "number":  # a key is a number
            found.append((name, "'x'" if is_number else "x'ff'"))
    return found


@pytest.mark.parametrize("number", [FIRST, FIRST + 1, TRIMMED, LAST])
@pytest.mark.parametrize(("name", "value"), columns())
def test_a_changed_value_shows(data: Path, name: str, value: str, number: int) -> None:
    statement = f"UPDATE audit SET {name} = {value} WHERE number = {number}"
    try:
        change(data, statement)
    except sqlite3.IntegrityError:  # not every column takes everything
        return
    result = verify(data)
    assert result.exit_code == 1, (statement, result.output)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit",
        "DELETE FROM audit WHERE number = 4",
        "DELETE FROM audit WHERE number = 6",
        "DELETE FROM audit WHERE number = 9",
        "DELETE FROM audit WHERE number > 5",
        "DELETE FROM audit WHERE number < 9",
        "UPDATE audit SET number = -number",
        "UPDATE audit SET number = 3 WHERE number = 9",
        "UPDATE audit SET success = 2 WHERE success = 1",
        "UPDATE audit SET metadata = 'no JSON' WHERE number = 9",
        "UPDATE audit SET metadata = '[]' WHERE number = 9",
        "DROP TABLE audit",
        "ALTER TABLE audit RENAME COLUMN actor_id TO somebody",
        "INSERT INTO journal VALUES (1000, x'c1')",
        "INSERT INTO journal VALUES (1000, x'01')",
    ],
)
def test_other_changes_show(data: Path, statement: str) -> None:
    change(data, statement)
    assert verify(data).exit_code == 1


@pytest.mark.parametrize("number", ["-5", "0", "3", "10", "9223372036854775807", "-9223372036854775808"])
def test_a_row_put_in_shows_whatever_its_number(data: Path, number: str) -> None:
    """Queries show it, so the check has to look at it."""
    others = ", ".join(name for name in FIELDS if name != "number")
    change(data, f"INSERT INTO audit (number, {others}) SELECT {number}, {others} FROM audit WHERE number = 9")
    assert verify(data).exit_code == 1


def test_a_cut_at_the_end_still_shows_when_the_gateway_has_gone_on(data: Path) -> None:
    change(data, "DELETE FROM audit WHERE number > 7")
    result = verify(data)
    assert (result.exit_code, result.output.strip()) == (1, "row 8 and what was after it are missing")
    trio.run(go_on, data, WallClock(), 2)
    result = verify(data)
    assert (result.exit_code, result.output.strip()) == (1, "row 8 is missing")


def test_who_changes_the_length_too_is_found_by_what_was_noted(data: Path) -> None:
    noted = verify(data).output.split("head ")[1].strip()
    change(data, "DELETE FROM audit WHERE number > 7", "UPDATE meta SET value = 7 WHERE name = 'audit_length'")
    assert verify(data).exit_code == 0
    assert verify(data, "--noted", noted).exit_code == 1


def test_a_clock_that_was_set_back_while_nobody_looked_is_no_change(data: Path) -> None:
    early = WallClock()
    early.advance(-86_400)
    trio.run(go_on, data, early, 2)
    assert verify(data).exit_code == 0
