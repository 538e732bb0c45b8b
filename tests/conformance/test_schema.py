"""Files of every earlier version are brought to this one, or refused as they are."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from aether.errors import StoreUnavailable
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.schema import MIGRATIONS


def tables(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        return dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"))


async def fresh(directory: Path) -> Path:
    async with Database.open(directory):
        return directory / "aether.db"


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
async def test_a_file_of_an_earlier_version(tmp_path: Path, version: int) -> None:
    old = tmp_path / "old"
    old.mkdir()
    with sqlite3.connect(old / "aether.db") as connection:
        for script in MIGRATIONS[:version]:
            connection.executescript(script)
        if version:
            connection.execute("INSERT INTO meta VALUES ('position', 7)")
        connection.execute(f"PRAGMA user_version={version}")
    async with Database.open(old) as database:
        assert database.reader.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        kept = database.reader.execute("SELECT value FROM meta WHERE name = 'position'").fetchall()
        assert kept == ([(7,)] if version else [])
    assert tables(old / "aether.db") == tables(await fresh(tmp_path / "new"))


async def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = await fresh(tmp_path)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    with pytest.raises(StoreUnavailable, match="newer version"):
        await fresh(tmp_path)
