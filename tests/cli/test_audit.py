"""``aether audit`` beside a running gateway, and after somebody touched its log."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess

import aether
from aether.client import Scope
from aether.client.errors import PermissionDenied
from aether.storage.sqlite.database import Database

Run = Callable[..., "subprocess.CompletedProcess[str]"]
REFUSALS = 20


@pytest.fixture
def audit(tmp_path: Path) -> Run:
    def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "aether", "audit", command, "--data-dir", str(tmp_path / "data"), *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    return run


async def be_refused(target: str) -> None:
    """Refusals that this client knows of."""
    async with aether.connect_agent(target, workspace="w", implementation="i", specifier="s") as me:
        for _ in range(REFUSALS):
            with pytest.raises(PermissionDenied):
                await me.sessions.list()


async def start_and_stop(directory: Path) -> None:
    async with Database.open(directory):
        pass


def refusals(done: subprocess.CompletedProcess[str]) -> int:
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return sum(not row["success"] and row["actor_id"] == "ag::w::i::s" for row in rows)


@pytest.fixture
def ruled(tmp_path: Path) -> Path:
    """The data directory of a gateway that refused something and was then killed."""
    settings = tmp_path / "aether.yaml"
    settings.write_text("acl:\n  enabled: true\n", encoding="utf-8")
    gateway = GatewayProcess(tmp_path, "--config", str(settings)).start()
    trio.run(be_refused, gateway.target)
    gateway.kill()
    return tmp_path / "data"


def test_what_was_refused_is_there_after_a_crash(ruled: Path, audit: Run) -> None:
    done = audit("query", "--failures", "--actor", "ag::w::i::s", "--json", "--limit", "1000")
    assert done.returncode == 0, done.stderr
    assert refusals(done) >= REFUSALS
    checked = audit("verify")
    assert checked.returncode == 0, checked.stderr
    assert "untouched; head " in checked.stdout
    assert audit("query", "--operation", "nothing").stderr == "no such rows\n"
    table = audit("query", "--since", "1h", "--kind", "authorization").stdout
    assert "session_op_sessions" in table


async def be_refused_a_key(target: str, key: str) -> None:
    async with aether.connect_agent(target, workspace="w", implementation="i", specifier="s") as me:
        with pytest.raises(PermissionDenied):
            await me.kv.get(key, scope=Scope.GLOBAL)


def test_names_of_clients_do_nothing_to_a_terminal(ruled: Path, audit: Run, tmp_path: Path) -> None:
    """kv, weakness 26: a key is any text, of which a table would take some as formatting, or a terminal as orders."""
    gateway = GatewayProcess(tmp_path, "--config", str(tmp_path / "aether.yaml")).start()
    try:
        trio.run(be_refused_a_key, gateway.target, "a[red]b[/x]\x1b[2J\n\x9bü")
    finally:
        gateway.stop()
    table = audit("query", "--kind", "kv")
    assert table.returncode == 0, table.stderr
    assert r"kv_key:a[red]b[/x]\x1b[2J\n\x9bü" in table.stdout
    [row] = audit("query", "--kind", "kv", "--json").stdout.splitlines()
    assert json.loads(row)["resource_id"] == "a[red]b[/x]\x1b[2J\n\x9bü"


def test_a_touched_log_is_found(ruled: Path, audit: Run) -> None:
    trio.run(start_and_stop, ruled)  # now all rows are in the table
    noted = audit("verify").stdout.split("head ")[1].strip()
    with sqlite3.connect(ruled / "aether.db") as writer:
        writer.execute("UPDATE audit SET actor_id = 'ag::w::i::other' WHERE number = 3")
    done = audit("verify")
    assert (done.returncode, done.stderr.strip()) == (1, "row 3 does not fit to the row before, or was changed")
    with sqlite3.connect(ruled / "aether.db") as writer:
        writer.execute("UPDATE audit SET actor_id = 'ag::w::i::s' WHERE number = 3")
    assert audit("verify").returncode == 0
    with sqlite3.connect(ruled / "aether.db") as writer:
        writer.execute("DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)")
    assert (done := audit("verify")).returncode == 1
    assert "and what was after it are missing" in done.stderr
    with sqlite3.connect(ruled / "aether.db") as writer:
        writer.execute("DELETE FROM meta WHERE name = 'audit_length'")
    assert audit("verify").returncode == 0, "whoever hides that too is found only by what was noted"
    done = audit("verify", "--noted", noted)
    assert (done.returncode, "is not the one that was noted" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("verify", "--noted", "x"), "a number and a hash"),
        (("query", "--since", "soon"), "is not a duration such as"),
        (("query",), "is not the data directory of a gateway"),
    ],
)
def test_mistakes_are_told(audit: Run, arguments: tuple[str, ...], text: str) -> None:
    done = audit(*arguments)
    assert done.returncode != 0
    assert text in done.stderr
    assert "Traceback" not in done.stderr
