"""The orchestrator of this machine, with a connection that only notes what it is told: trouble with one agent is not
that of others, and the gateway hears of every start that came to nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from aether.client.errors import ClientError, ConnectionLost, NotFound, RequestRefused, TaskRefused
from aether.launcher import orchestrator
from aether.launcher.orchestrator import Orchestrator
from aether.launcher.output import LogFile
from aether.launcher.profiles import ContainerProfile, ProcessProfile
from aether.proto import aether_pb2 as pb

SHELL: Mapping[str, ProcessProfile | ContainerProfile] = {"sh": ProcessProfile(command=("/bin/sh", "-c", "{script}"))}


class FakeTasks:
    """``me.tasks``."""

    def __init__(self, *starts: pb.TaskAssignment) -> None:
        self.starts = starts
        self.running: Callable[[], object] = lambda: False
        self.failed: dict[str, str] = {}
        self.connected: set[str] = set()
        self.troubles: list[ClientError] = []

    async def __aiter__(self) -> AsyncIterator[pb.TaskAssignment]:
        for start in self.starts:
            yield start
        while self.running():  # noqa: ASYNC110 - processes tell nobody else
            await trio.sleep(0.01)

    @asynccontextmanager
    async def watch(self, task_id: str) -> AsyncIterator[None]:
        raise NotFound("TASK_NOT_FOUND", f"task {task_id} not found")
        yield

    async def fail(self, task_id: str, reason: str) -> None:
        if self.troubles:
            raise self.troubles.pop()
        if task_id == "ended":
            raise TaskRefused("ERR_TASK", "it has ended")
        self.failed[task_id] = reason

    async def get(self, task_id: str) -> pb.TaskInfo:
        if task_id == "forgotten":
            raise NotFound("ERR_NOT_FOUND", "task not found")
        status = pb.TASK_STATUS_COMPLETED if task_id in self.connected else pb.TASK_STATUS_QUEUED
        return pb.TaskInfo(task_id=task_id, status=status)


def start(task_id: str, script: str, specifier: str = "1") -> pb.TaskAssignment:
    return pb.TaskAssignment(
        task_id=task_id,
        profile="sh",
        workspace="w",
        target_implementation="lazy",
        specifier=specifier,
        launch_params={"script": script},
    )


async def failures(tasks: FakeTasks, **options: Any) -> dict[str, str]:
    """What the gateway was told until every agent had ended."""
    starter = Orchestrator(SimpleNamespace(tasks=tasks), SHELL, "here", **options)  # type: ignore[arg-type]
    tasks.running = lambda: starter._running
    with trio.fail_after(20):
        await starter.run()
    return tasks.failed


async def test_an_agent_that_ends_before_it_was_connected_has_failed() -> None:
    names = ("silent", "connected", "forgotten")
    tasks = FakeTasks(*(start(name, f"echo {name}", name) for name in names), start("broken", "echo no; exit 3"))
    tasks.connected.add("connected")
    assert await failures(tasks) == {
        "silent": "ended before it was connected\nsilent",
        "broken": "ended with code 3\nno",
    }


async def test_names_are_longer_than_those_of_files(tmp_path: Path) -> None:
    long = "n" * 128
    twins = [start(name, f"echo {name}", long + name) for name in ("a", "b")]
    for twin in twins:
        twin.workspace = long
    assert set(await failures(FakeTasks(*twins), log_directory=tmp_path)) == {"a", "b"}
    assert sorted(file.read_text() for file in tmp_path.iterdir()) == ["a\n", "b\n"]


async def test_an_agent_without_a_log_is_not_started_and_others_are(tmp_path: Path) -> None:
    (tmp_path / "ag.w.lazy.blocked.log").mkdir()
    tasks = FakeTasks(start("blocked", f"touch {tmp_path}/started", "blocked"), start("other", "exit 1", "other"))
    failed = await failures(tasks, log_directory=tmp_path)
    assert failed["blocked"].startswith("cannot be started: ")
    assert failed["other"] == "ended with code 1"
    assert not (tmp_path / "started").exists()


async def test_a_full_disk_ends_no_agent(tmp_path: Path) -> None:
    (tmp_path / "ag.w.lazy.full.log").symlink_to("/dev/full")
    tasks = FakeTasks(start("full", f"echo lost; sleep 0.1; touch {tmp_path}/done; exit 5", "full"))
    assert await failures(tasks, log_directory=tmp_path) == {"full": "ended with code 5\nlost"}
    assert (tmp_path / "done").exists()


async def test_what_goes_wrong_with_one_agent_is_nothing_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    fill = orchestrator.fill

    def stumble(command: tuple[str, ...], start: pb.TaskAssignment) -> list[str]:
        if start.task_id == "odd":
            raise ExceptionGroup("odd", [RuntimeError("a mistake of ours")])
        return fill(command, start)

    monkeypatch.setattr(orchestrator, "fill", stumble)
    failed = await failures(FakeTasks(start("odd", "true"), start("other", "sleep 0.1; exit 1", "2")))
    assert set(failed) == {"odd", "other"}


async def test_a_failure_is_told_until_that_is_answered(autojump_clock: trio.testing.MockClock) -> None:
    """However the connection does, unless the start has ended otherwise."""
    tasks = FakeTasks(start("lost", "exit 1"))
    tasks.troubles = [ConnectionLost("gone"), RequestRefused("ERR_RATE_LIMITED", "later", retryable=True)]
    starter = Orchestrator(SimpleNamespace(tasks=tasks), SHELL, "here")  # type: ignore[arg-type]
    await starter._fail(start("lost", ""), "why")
    assert (tasks.failed, tasks.troubles) == ({"lost": "why"}, [])
    await starter._fail(start("ended", ""), "why")
    assert "ended" not in tasks.failed


def test_a_full_log_makes_room_for_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    for lines in (("line 1", "line 2", "line 3"), ("line 4", "line 5", "line 6", "longer than a file may be")):
        with LogFile(path, bytes_max=15) as log:
            for line in lines:
                log.write(line)
    assert path.read_text() == "longer than a file may be\n"
    assert (tmp_path / "agent.log.1").read_text() == "line 5\nline 6\n"
    assert len(list(tmp_path.iterdir())) == 2


def test_the_log_of_an_agent_goes_on_when_somebody_removed_it(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    with LogFile(path, 10) as file:
        file.write("12345678")
        path.unlink()
        file.write("next")
    assert path.read_text() == "next\n"
