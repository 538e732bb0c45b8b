"""The orchestrator for this machine: agents as processes, started by messages, ended with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess, free_port

import aether
from aether.launcher.profiles import InvalidProfiles, load_profiles
from aether.proto import aether_pb2 as pb

AGENT = """
import os, sys, trio, aether
from aether.client import Options
async def main():
    options = Options(credentials={"token": os.environ["AETHER_AUTH_TOKEN"]})
    print("who", os.environ["AETHER_SPECIFIER"], *sys.argv[1:], os.environ.get("COLOUR"), flush=True)
    async with aether.connect_agent(os.environ["AETHER_GATEWAY"], workspace=os.environ["AETHER_WORKSPACE"],
            implementation=os.environ["AETHER_IMPLEMENTATION"], specifier=os.environ["AETHER_SPECIFIER"],
            options=options) as me:
        async for message in me:
            print("got", message.payload.decode(), flush=True)
            await me.send(message.source_topic, b"thanks")
            if message.payload == b"bye":
                return
trio.run(main)
"""
PROFILES = """
agents_max: 3
profiles:
  python:
    command: [{python}, {agent}, "{{specifier}}-{{mood}}"]
    allow_environment: [COLOUR]
    stop_timeout: 2s
  broken:
    command: [{python}, -c, "import sys; print('no luck'); sys.exit(3)"]
  sleepy:
    command: [{python}, {sleeper}, {go}]
  hanging:
    command: [{python}, -c, "import os, time; print(os.getpid(), flush=True); time.sleep(600)"]
  lost:
    command: [{python}, {lost}]
  stubborn:
    command: [/bin/sh, -c, "trap '' TERM; sleep 600 & echo $! $$; wait; sleep 600"]
    stop_timeout: 500ms
  missing:
    command: [/does/not/exist]
"""
SLEEPER = """
import os, pathlib, sys, time, trio, aether
from aether.client import Options
async def main():
    options = Options(credentials={"token": os.environ["AETHER_AUTH_TOKEN"]})
    async with aether.connect_agent(os.environ["AETHER_GATEWAY"], workspace=os.environ["AETHER_WORKSPACE"],
            implementation=os.environ["AETHER_IMPLEMENTATION"], specifier=os.environ["AETHER_SPECIFIER"],
            options=options) as me:
        async for message in me:
            if message.payload == b"sleep":
                await me.checkpoints.save(b"state", "dream")
                await me.tasks.hibernate(os.environ["AETHER_TASK_ID"], "dream")
                return
            await me.send(message.source_topic, os.environ["AETHER_CHECKPOINT_KEY"].encode() or b"new")
trio.run(main)
while not pathlib.Path(sys.argv[1]).exists():  # it takes its time to end
    time.sleep(0.02)
"""
LOST = """
import os, time, trio, aether
from aether.client import Options
async def main():
    options = Options(credentials={"token": os.environ["AETHER_AUTH_TOKEN"]})
    async with aether.connect_agent(os.environ["AETHER_GATEWAY"], workspace=os.environ["AETHER_WORKSPACE"],
            implementation=os.environ["AETHER_IMPLEMENTATION"], specifier=os.environ["AETHER_SPECIFIER"],
            options=options) as me:
        print(os.getpid(), flush=True)
        raise RuntimeError("the connection breaks")
try:
    trio.run(main)
except* RuntimeError:
    time.sleep(600)
"""


class Local:
    """A gateway, and the orchestrator as a process of its own."""

    def __init__(self, directory: Path, settings: str = "") -> None:
        (directory / "aether.yaml").write_text(settings)
        self.gateway = GatewayProcess(directory, "--config", str(directory / "aether.yaml")).start()
        self.logs = directory / "logs"
        (directory / "agent.py").write_text(AGENT)
        (directory / "sleeper.py").write_text(SLEEPER)
        (directory / "lost.py").write_text(LOST)
        self.go = directory / "go"
        programs = {name: directory / f"{name}.py" for name in ("agent", "sleeper", "lost")}
        profiles = PROFILES.format(python=sys.executable, go=self.go, **programs)
        (directory / "profiles.yaml").write_text(profiles)
        command = [
            sys.executable,
            "-m",
            "aether",
            "orchestrator",
            "local",
            "--profiles",
            str(directory / "profiles.yaml"),
        ]
        command += ["--address", self.gateway.target, "--log-dir", str(self.logs)]
        self.errors = (directory / "orchestrator.log").open("wb")
        self.process = subprocess.Popen(command, stderr=self.errors, env={**os.environ, "SECRET": "kept"})

    def log(self, specifier: str) -> str:
        return (self.logs / f"ag.w.lazy.{specifier}.log").read_text()

    async def processes(self, starts: int = 1) -> list[int]:
        """Ids that the agent has printed, once it has been started so often."""
        file = self.logs / "ag.w.lazy.1.log"
        while not file.exists() or file.read_text().count("\n") < starts:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.02)
        return [int(number) for number in file.read_text().split()]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(20) == 0
        self.errors.close()
        assert self.gateway.stop() == 0


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    local = Local(tmp_path)
    yield local
    local.stop()


async def start(me: aether.Connection, profile: str = "python", **params: str) -> None:
    await me.agents.register("lazy", profile, {"mood": "calm", **params})


def connect(local: Local) -> object:
    return aether.connect_orchestrator(local.gateway.target, implementation="o", specifier="a", profiles=())


async def ended(me: aether.Connection, status: int) -> pb.TaskInfo:
    """The last start that came to this, once there is one."""
    while True:
        async for task in me.tasks.find(task_type="agent_startup", statuses=[status], limit=1):
            return task
        await trio.sleep(0.05)


async def test_a_message_starts_a_process_and_gets_its_answer(local: Local) -> None:
    with trio.fail_after(60):
        async with (
            connect(local) as me,  # type: ignore[attr-defined]
            aether.connect_agent(local.gateway.target, workspace="w", implementation="i", specifier="me") as boss,
        ):
            await start(me, **{"env.COLOUR": "blue", "env.PATH": "nowhere"})
            for text in (b"hello", b"bye"):
                await boss.send("ag::w::lazy::1", text)
                assert (await anext(boss)).payload == b"thanks"
            assert (await ended(me, pb.TASK_STATUS_COMPLETED)).error == ""
    assert local.log("1").splitlines() == ["who 1 1-calm blue", "got hello", "got bye"]


@pytest.mark.parametrize(
    ("profile", "text"), [("broken", "ended with code 3\nno luck"), ("missing", "cannot be started")]
)
async def test_a_start_that_fails_says_why(local: Local, profile: str, text: str) -> None:
    with trio.fail_after(60):
        async with connect(local) as me:  # type: ignore[attr-defined]
            await start(me, profile)
            await me.agents.launch("lazy", "w", "1")
            assert text in (await ended(me, pb.TASK_STATUS_FAILED)).error


async def test_a_start_for_which_there_is_no_room_is_declined_and_tried_again(local: Local) -> None:
    with trio.fail_after(60):
        async with (
            connect(local) as me,  # type: ignore[attr-defined]
            aether.connect_agent(local.gateway.target, workspace="w", implementation="i", specifier="me") as boss,
        ):
            await start(me)
            for number in range(3):
                await boss.send(f"ag::w::lazy::{number}", b"hello")
                await anext(boss)
            await boss.tasks.create("work", target="ag::w::lazy::late")
            declined = await ended(me, pb.TASK_STATUS_REJECTED)
            assert (declined.target_topic, declined.error) == ("ag::w::lazy::late", "3 agents run here already")
            await boss.send("ag::w::lazy::late", b"now")
            await boss.send("ag::w::lazy::0", b"bye")
            assert {(await anext(boss)).source_topic for _ in range(2)} == {"ag::w::lazy::0", "ag::w::lazy::late"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_agents_end_with_their_orchestrator(local: Local, number: int) -> None:
    with trio.fail_after(60):
        async with (
            connect(local) as me,  # type: ignore[attr-defined]
            aether.connect_agent(local.gateway.target, workspace="w", implementation="i", specifier="me") as boss,
        ):
            await start(me)
            await boss.send("ag::w::lazy::1", b"hello")
            await anext(boss)
            assert await me.connection_status("agent", "ag::w::lazy::1")
            local.process.send_signal(number)
            while await me.connection_status("agent", "ag::w::lazy::1"):  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.05)
            await trio.to_thread.run_sync(local.process.wait)


async def until_gone(*processes: int) -> None:
    """Ended; whether anybody has asked how is not our business."""
    for process in processes:
        status = Path(f"/proc/{process}/status")
        while status.exists() and "State:\tZ" not in status.read_text():  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.02)


async def test_an_agent_that_does_not_heed_signals_ends_with_an_orchestrator_that_is_killed(local: Local) -> None:
    with trio.fail_after(60):
        async with connect(local) as me:  # type: ignore[attr-defined]
            await start(me, "stubborn")
            await me.agents.launch("lazy", "w", "1")
            processes = await local.processes()
            assert len(processes) == 2  # the agent, and one that it has started itself
            local.process.kill()
            await until_gone(*processes)


async def test_an_agent_whose_start_is_cancelled_is_ended(local: Local) -> None:
    with trio.fail_after(60):
        async with connect(local) as me:  # type: ignore[attr-defined]
            await start(me, "hanging")
            task_id = await me.agents.launch("lazy", "w", "1")
            processes = await local.processes()
            await me.tasks.cancel(task_id)
            await until_gone(*processes)
            assert (await me.tasks.get(task_id)).status == pb.TASK_STATUS_CANCELLED


async def test_an_agent_that_hangs_before_it_is_connected_is_ended(tmp_path: Path) -> None:
    local = Local(tmp_path, "cleanup: {startup_timeout: 2s}")
    try:
        with trio.fail_after(60):
            async with connect(local) as me:  # type: ignore[attr-defined]
                await start(me, "hanging")
                await me.agents.launch("lazy", "w", "1")
                processes = await local.processes()
                await ended(me, pb.TASK_STATUS_FAILED)
                await until_gone(*processes)
    finally:
        local.stop()


async def test_an_agent_that_was_given_up_makes_way_for_the_next(local: Local) -> None:
    """It goes on until then, as it may come back."""
    with trio.fail_after(60):
        async with connect(local) as me:  # type: ignore[attr-defined]
            await start(me, "lost")
            task_id = await me.agents.launch("lazy", "w", "1")
            [first] = await local.processes()
            while (await me.tasks.get(task_id)).status != pb.TASK_STATUS_RUNNING:  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.02)
            await me.tasks.fail(task_id, "gone for too long")
            while await me.connection_status("agent", "ag::w::lazy::1"):  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.02)
            assert Path(f"/proc/{first}").exists()
            await me.agents.launch("lazy", "w", "1")
            _, second = await local.processes(2)
            await until_gone(first)
            assert Path(f"/proc/{second}").exists()


async def test_an_agent_that_is_woken_before_its_process_has_ended(local: Local) -> None:
    with trio.fail_after(60):
        async with (
            connect(local) as me,  # type: ignore[attr-defined]
            aether.connect_agent(local.gateway.target, workspace="w", implementation="i", specifier="me") as boss,
        ):
            await start(me, "sleepy")
            await boss.send("ag::w::lazy::1", b"hello")
            assert (await anext(boss)).payload == b"new"
            await boss.send("ag::w::lazy::1", b"sleep")
            await ended(me, pb.TASK_STATUS_HIBERNATED)
            while await me.connection_status("agent", "ag::w::lazy::1"):  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.05)
            await boss.send("ag::w::lazy::1", b"wake up")
            await ended(me, pb.TASK_STATUS_QUEUED)
            local.go.touch()
            assert (await anext(boss)).payload == b"dream"
            assert len([task async for task in me.tasks.find(task_type="agent_startup")]) == 1


async def test_agents_outlive_a_lost_connection_of_their_orchestrator(local: Local) -> None:
    with trio.fail_after(60):
        async with (
            connect(local) as me,  # type: ignore[attr-defined]
            aether.connect_agent(local.gateway.target, workspace="w", implementation="i", specifier="me") as boss,
        ):
            await start(me)
            await boss.send("ag::w::lazy::1", b"hello")
            await anext(boss)
            local.gateway.kill()
            local.gateway.start()
            await boss.send("ag::w::lazy::1", b"still there")
            assert (await anext(boss)).payload == b"thanks"
            assert len([task async for task in me.tasks.find(task_type="agent_startup")]) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "yaml: should be a mapping"),
        ("a list", "yaml: should be a mapping"),
        ("profiles: [a]", "yaml: profiles: should be a mapping"),
        ("profiles: {x: 3}", "yaml: profiles.x: should be a mapping"),
        ("profiles: {}", "at least 1 item"),
        ("profiles: {x: {command: []}}", "at least 1 item"),
        ("profiles: {x: {command: python -m a}}", r"profiles\.x\.command: should be a list, such as"),
        ("profiles: {x: {command: [a, 3]}}", r"profiles\.x\.command\.1: should be a text; numbers .* need quotes"),
        ("profiles: {x: {commands: [a]}}", r"profiles\.x\.commands: there is no such setting"),
        ("profiles: {x: {kind: tank}}", "tank"),
        ("profiles: [", "expected"),
        ("\xff", "utf-8"),
    ],
)
def test_profiles_that_cannot_be(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(InvalidProfiles, match=problem):
        load_profiles(file)


@pytest.mark.parametrize("option", ["--address", "--agents-address"])
def test_what_is_no_address(tmp_path: Path, option: str) -> None:
    (tmp_path / "profiles.yaml").write_text("profiles: {x: {command: [a]}}")
    command = [sys.executable, "-m", "aether", "orchestrator", "local", "--profiles", str(tmp_path / "profiles.yaml")]
    done = subprocess.run([*command, option, "nonsense"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert f"Invalid value for '{option}': 'nonsense' is no address: it takes HOST:PORT" in done.stderr


def test_waiting_for_a_gateway_is_told(tmp_path: Path) -> None:
    (tmp_path / "profiles.yaml").write_text("profiles: {x: {command: [a]}}")
    command = [sys.executable, "-m", "aether", "orchestrator", "local", "--profiles", str(tmp_path / "profiles.yaml")]
    command += ["--address", f"127.0.0.1:{free_port()}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert '"message": "connecting"' in waiting.stderr.readline()
        waiting.send_signal(signal.SIGTERM)
    assert waiting.returncode == 0


def test_the_profiles_of_the_documentation(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "orchestrator.md").read_text(encoding="utf-8")
    [text] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "profiles.yaml").write_text(text)
    profiles, agents_max = load_profiles(tmp_path / "profiles.yaml")
    assert (set(profiles), agents_max) == ({"python", "container"}, 100)
