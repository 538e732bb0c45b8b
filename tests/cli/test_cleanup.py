"""``aether cleanup`` on the data of a gateway that is stopped (tasks 14, checklist 130)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess

import aether

LINE = [sys.executable, "-m", "aether", "cleanup", "--json", "--data-dir"]


def cleanup(directory: Path, *arguments: str) -> dict[str, int]:
    done = subprocess.run([*LINE, str(directory), *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    verb = "would remove" if "--dry-run" in arguments else "removed"
    return {row["what"]: row[verb] for row in json.loads(done.stdout)}


async def end_tasks(target: str) -> None:
    """Three tasks that are completed, one that is cancelled, one that is not ended."""
    async with aether.connect_agent(target, workspace="w", implementation="i", specifier="s") as me:
        for _ in range(3):
            task = await me.tasks.create("job")
            async with me.tasks.claim(task.task_id):
                pass
        await me.tasks.cancel((await me.tasks.create("job")).task_id)
        await me.tasks.create("job")


async def count_tasks(target: str) -> int:
    async with aether.connect_agent(target, workspace="w", implementation="i", specifier="s") as me:
        return len([task async for task in me.tasks.find()])


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    gateway = GatewayProcess(tmp_path).start()
    try:
        trio.run(end_tasks, gateway.target)
    finally:
        gateway.stop()
    return tmp_path / "data"


def test_a_dry_run_tells_and_removes_nothing(data_dir: Path) -> None:
    assert not any(cleanup(data_dir).values())  # all of it is new
    short = ("--completed-retention", "1ms", "--cancelled-retention", "0")
    for _ in range(2):
        wanted = cleanup(data_dir, *short, "--dry-run")
        assert wanted["completed tasks"] == 3
        assert wanted["cancelled tasks"] == wanted["failed tasks"] == 0
    assert cleanup(data_dir, *short)["completed tasks"] == 3
    assert cleanup(data_dir, *short, "--dry-run")["completed tasks"] == 0


async def leave_old_rows(data_dir: Path) -> None:
    """What a gateway recorded a hundred days ago, by its clock."""
    config = aether.Config.development(data_dir)
    then = time.time_ns() // 1_000_000 - 100 * 86_400_000
    async with (
        aether.Gateway(config, listen=False, wall_clock=lambda: then) as gateway,
        aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s"),
    ):
        pass


def test_old_rows_of_the_audit_log_go_and_the_rest_is_still_a_chain(tmp_path: Path) -> None:
    trio.run(leave_old_rows, tmp_path / "data")
    old = cleanup(tmp_path / "data", "--dry-run")["audit rows"]
    assert old > 0
    assert cleanup(tmp_path / "data")["audit rows"] == old
    assert cleanup(tmp_path / "data", "--dry-run")["audit rows"] == 0
    verify = [sys.executable, "-m", "aether", "audit", "verify", "--data-dir", str(tmp_path / "data")]
    assert "untouched" in subprocess.run(verify, capture_output=True, text=True, timeout=60, check=True).stdout


def test_what_is_kept_is_there_afterwards(data_dir: Path) -> None:
    cleanup(data_dir, "--completed-retention", "1ms")
    gateway = GatewayProcess(data_dir.parent).start()
    try:
        assert trio.run(count_tasks, gateway.target) == 2
    finally:
        gateway.stop()


def test_beside_a_running_gateway_it_says_that_nothing_is_to_do(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path).start()
    try:
        line = [*LINE, str(tmp_path / "data")]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    finally:
        gateway.stop()
    assert done.returncode == 1
    assert "removes what is old by itself" in done.stderr


def test_no_data_is_no_success(tmp_path: Path) -> None:
    done = subprocess.run([*LINE, str(tmp_path / "none")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "there is no data" in done.stderr
    assert not (tmp_path / "none").exists()
