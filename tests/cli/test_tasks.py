"""``aether tasks`` and ``aether agents`` as an operator types them, against a gateway in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess, free_port

import aether
from aether.client import Retry

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path).start()
    yield process
    assert process.stop() == 0, process.log.read_text()


@pytest.fixture
def run(gateway: GatewayProcess) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "aether", *arguments]
        environment = {**os.environ, "AETHER_ADDRESS": gateway.target}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    return run


async def make_tasks(gateway: GatewayProcess) -> tuple[str, str]:
    """One that waits for a worker, and a completed one with a child."""
    async with aether.connect_agent(gateway.target, workspace="w", implementation="i", specifier="me") as me:
        retry = Retry(attempts=2, delay_s=3600)
        waiting = (await me.tasks.create("waiting", pool="nobody", priority=40, retry=retry)).task_id
        done = (await me.tasks.create("done")).task_id
        async with me.tasks.claim(done) as work:
            await work.progress("working", 0.5, "half")
            child = (await me.tasks.create("child", parent=done)).task_id
            await me.tasks.complete(child)
            work.result = "all of it"
    return waiting, done


def test_tasks(gateway: GatewayProcess, run: Run) -> None:
    waiting, done = trio.run(make_tasks, gateway)
    listed = json.loads(run("tasks", "ls", "--json").stdout)
    assert [task["task_type"] for task in listed] == ["done", "child", "waiting"]
    assert [task["status"] for task in json.loads(run("tasks", "ls", "-s", "queued", "--json").stdout)] == ["queued"]
    table = run("tasks", "ls", "--type", "waiting", "-w", "w").stdout
    assert waiting in table
    assert "queued" in table
    assert done not in table
    [child] = json.loads(run("tasks", "ls", "--parent", done, "--json").stdout)
    assert child["task_type"] == "child"
    mine = ("tasks", "ls", "--creator", "ag::w::i::me", "--since", "1h", "--json")
    assert len(json.loads(run(*mine).stdout)) == 3
    assert json.loads(run("tasks", "ls", "--creator", "ag::w::i::other", "--json").stdout) == []
    shown = run("tasks", "show", done).stdout
    assert "all of it" in shown
    assert "ag::w::i::me" in shown
    cancelled = json.loads(run("tasks", "cancel", waiting, "--reason", "enough", "--json").stdout)
    assert (cancelled["status"], cancelled["error"]) == ("cancelled", "enough")
    again = run("tasks", "cancel", waiting)
    assert again.returncode == 1
    assert again.stderr.startswith("refused: ")
    assert "already completed/failed/cancelled" in again.stderr
    assert json.loads(run("tasks", "retry", waiting, "--json").stdout)["status"] == "queued"
    events = run("tasks", "watch", done, "--history", "-r").stdout
    assert "queued → running" in events
    assert "running → completed" in events
    assert "spawned" in events
    assert "not with --json" in run("tasks", "ls", "--watch", "--json").stderr
    assert run("tasks", "show", "unknown").stderr == "refused: task not found\n"


def test_on_a_narrow_terminal_ids_are_whole(gateway: GatewayProcess, run: Run) -> None:
    waiting, done = trio.run(make_tasks, gateway)
    for width in (120, 80, 50):
        shown = on_terminal(gateway, width, "tasks", "ls")
        assert waiting in shown
        assert done in shown
        assert all(len(line) <= width for line in shown.splitlines() if "left out" not in line)
    assert "left out for lack of room: assigned to, priority" in on_terminal(gateway, 80, "tasks", "ls")


def on_terminal(gateway: GatewayProcess, width: int, *arguments: str) -> str:
    """What a command shows there, without colours."""
    command = [sys.executable, "-m", "aether", *arguments]
    environment = {**os.environ, "AETHER_ADDRESS": gateway.target, "COLUMNS": str(width), "TERM": "xterm"}
    master, terminal = pty.openpty()
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        shown = b""
        try:
            while part := os.read(master, 65_536):
                shown += part
        except OSError:
            pass  # that is how a terminal says that the command has ended
        os.close(master)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())


def test_who_is_not_there_and_what_is_no_address(run: Run, gateway: GatewayProcess) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    absent = run("tasks", "ls", "--address", nobody)
    reason = f"cannot connect to {nobody}: Connection refused; is a gateway running there?\n"
    assert (absent.returncode, absent.stdout, absent.stderr) == (1, "", reason)
    wrong = run("tasks", "ls", "--address", "nonsense")
    assert wrong.returncode == 2
    assert "Invalid value for '--address': 'nonsense' is no address: it takes HOST:PORT" in wrong.stderr


def test_a_gateway_that_says_nothing_is_not_waited_for_for_ever(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = run("tasks", "ls", "--address", address)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{address} did not answer within 15 s\n")


def test_files_of_no_use_are_named(run: Run, tmp_path: Path) -> None:
    for content in (b"", b"\n", b"\xff\xfe"):
        (file := tmp_path / "file").write_bytes(content)
        for option, what in (("--api-key-file", "no API key"), ("--ca-file", "no certificate")):
            done = run("tasks", "ls", option, str(file))
            assert (done.returncode, done.stdout, done.stderr) == (1, "", f"Error: there is {what} in {file}\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
@pytest.mark.parametrize("arguments", ["ls", "ls --json", "watch --history", "watch --history --json"])
def test_where_nothing_can_be_printed(gateway: GatewayProcess, arguments: str) -> None:
    _, done = trio.run(make_tasks, gateway)
    subject = [done] if arguments.startswith("watch") else []
    command = [sys.executable, "-m", "aether", "tasks", *arguments.split(), *subject, "--address", gateway.target]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (1, "No space left on device\n")


def test_a_reader_that_has_enough_ends_a_watch(gateway: GatewayProcess) -> None:
    own = trio.run(make_own, gateway)
    command = [sys.executable, "-m", "aether", "tasks", "watch", own, "--history", "--address", gateway.target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert "queued" in watching.stdout.readline()
        watching.stdout.close()
        trio.run(end_it, gateway, own)
        assert watching.stderr.read() == ""
    assert watching.returncode == 1


def test_since_now_is_not_since_ever(gateway: GatewayProcess, run: Run) -> None:
    trio.run(make_own, gateway)
    assert json.loads(run("tasks", "ls", "--since", "0s", "--json").stdout) == []
    assert len(json.loads(run("tasks", "ls", "--since", "1h", "--json").stdout)) == 1


async def make_own(gateway: GatewayProcess) -> str:
    async with aether.connect_agent(gateway.target, workspace="w", implementation="i", specifier="me") as me:
        return (await me.tasks.create("own")).task_id


async def end_it(gateway: GatewayProcess, task_id: str) -> None:
    async with (
        aether.connect_agent(gateway.target, workspace="w", implementation="i", specifier="me") as me,
        me.tasks.claim(task_id) as work,
    ):
        await work.progress("working", 0.5, "half")
        work.result = "all of it"


def test_watch_follows_a_task_to_its_end(gateway: GatewayProcess) -> None:
    task_id = trio.run(make_own, gateway)
    command = [sys.executable, "-m", "aether", "tasks", "watch", task_id, "--history", "--json"]
    environment = {**os.environ, "AETHER_ADDRESS": gateway.target}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as watching:
        assert watching.stdout is not None
        first = json.loads(watching.stdout.readline())  # it watches
        trio.run(end_it, gateway, task_id)
        events = [first, *map(json.loads, watching.stdout)]
    assert watching.returncode == 0
    assert [event["status_changed"]["to_status"] for event in events if "status_changed" in event] == [
        "queued",
        "running",
        "completed",
    ]
    assert [event["progress"]["message"] for event in events if "progress" in event] == ["half"]


def test_watch_goes_on_across_a_restart(gateway: GatewayProcess, run: Run) -> None:
    own = trio.run(make_own, gateway)
    command = [sys.executable, "-m", "aether", "tasks", "watch", own, "--history", "--address", gateway.target]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert "queued" in watching.stdout.readline()  # it watches
        gateway.kill()
        assert watching.stderr.readline() == f"{gateway.target}: connection lost, trying again\n"
        gateway.start()
        assert watching.stderr.readline() == f"{gateway.target}: connected again\n"
        assert run("tasks", "cancel", own).returncode == 0
        assert "queued → cancelled" in watching.stdout.read()
    assert watching.returncode == 0


@pytest.mark.parametrize("view", [("ls", "--watch"), ("watch", "--history")], ids=["ls", "watch"])
def test_live_views_last_until_they_are_interrupted(gateway: GatewayProcess, view: tuple[str, ...]) -> None:
    waiting, _ = trio.run(make_tasks, gateway)
    arguments = [*view, waiting] if view[0] == "watch" else view
    command = [sys.executable, "-m", "aether", "tasks", *arguments]
    environment = {**os.environ, "AETHER_ADDRESS": gateway.target, "COLUMNS": "200", "TERM": "xterm"}
    master, terminal = pty.openpty()
    with subprocess.Popen(command, stdout=terminal, stderr=subprocess.PIPE, text=True, env=environment) as shown:
        os.close(terminal)
        text = ""
        if view[0] == "watch":  # nothing has happened to it yet
            trio.run(fail_it, gateway, waiting)
        while waiting not in text:
            text += os.read(master, 65536).decode()
        shown.send_signal(signal.SIGINT)
        assert shown.stderr is not None
        assert shown.stderr.read() == ""
    os.close(master)
    assert shown.returncode == 130


async def fail_it(gateway: GatewayProcess, task_id: str) -> None:
    """It will be tried again, so this is not its end."""
    async with aether.connect_agent(gateway.target, workspace="w", implementation="i", specifier="me") as me:
        await me.tasks.fail(task_id, "not yet")


def test_agents(gateway: GatewayProcess, run: Run) -> None:
    register = ("agents", "register", "lazy", "process")
    assert run(*register, "--param", "image=busy", "--description", "Sleeps").returncode == 0
    [listed] = json.loads(run("agents", "ls", "--json").stdout)
    assert (listed["implementation"], listed["orchestrator_profile"]) == ("lazy", "process")
    assert listed["launch_params"] == {"profile": "process", "image": "busy"}
    table = run("agents", "show", "lazy").stdout
    assert "image=busy" in table
    assert "Sleeps" in table
    task_id = run("agents", "launch", "lazy", "-w", "w", "--specifier", "1").stdout.strip()
    start = json.loads(run("tasks", "show", task_id, "--json").stdout)
    assert (start["task_type"], start["status"], start["workspace"]) == ("agent_startup", "queued", "w")
    assert "already exists" in run("agents", "launch", "lazy", "-w", "w", "--specifier", "1").stderr
    [waiting] = json.loads(run("agents", "starts", "--json").stdout)
    assert (waiting["agent"], waiting["task"], waiting["attempt"]) == ("ag::w::lazy::1", task_id, 1)
    assert "ag::w::lazy::1" in run("agents", "starts", "-w", "w").stdout
    assert json.loads(run("agents", "starts", "-w", "other", "--json").stdout) == []
    assert run("agents", "register", "lazy", "process", "--param", "broken").returncode == 2
    assert run("agents", "rm", "lazy").returncode == 0
    assert run("agents", "show", "lazy").returncode == 1
    [one] = json.loads(run("agents", "orchestrators", "--json").stdout)
    assert one["orchestrator"].startswith("orc::aether-admin::")


async def send_one(gateway: GatewayProcess) -> None:
    async with aether.connect_agent(gateway.target, workspace="w", implementation="i", specifier="talker") as me:
        await me.send("ag::w::i::away", b"")
        await me.confirm()


def test_workspaces(gateway: GatewayProcess, run: Run) -> None:
    assert run("workspaces", "create", "prod", "--name", "Production", "--tenant", "t").returncode == 0
    trio.run(make_tasks, gateway)
    listed = json.loads(run("workspaces", "ls", "--json").stdout)
    assert [info["workspace_id"] for info in listed] == ["prod", "w"]
    assert "Live" in run("workspaces", "rename", "prod", "Live").stdout
    assert "prod" in run("workspaces", "ls", "--tenant", "t").stdout
    assert json.loads(run("workspaces", "show", "prod", "--json").stdout)[0]["connected"] == []
    trio.run(send_one, gateway)
    assert "ag::w::i::talker -> ag::w::i::away: 1" in run("workspaces", "show", "w").stdout
    [shown] = json.loads(run("workspaces", "show", "w", "--json").stdout)
    [sent] = shown["sent"]
    assert (sent["from"], sent["to"], sent["count"]) == ("ag::w::i::talker", "ag::w::i::away", 1)
    [limited] = json.loads(run("workspaces", "limit", "prod", "--tasks", "5", "--connections", "0", "--json").stdout)
    assert (limited["tasks"], limited["connections"], limited["message_rate"]) == ("5", "0", "default")
    assert "quota of tasks: 5" in run("workspaces", "show", "prod").stdout
    [again] = json.loads(run("workspaces", "create", "prod", "--description", "Busy", "--json").stdout)
    assert (again["display_name"], again["description"]) == ("Live", "Busy")
    assert "quota of tasks: 5" in run("workspaces", "show", "prod").stdout
    assert "forbidden character" in run("workspaces", "create", "no name").stderr
    assert "4096" in run("workspaces", "limit", "prod", "--kv-keys", "9", "--kv-bytes", "4096").stdout
    assert "quota of kv keys: 9" in run("workspaces", "show", "prod").stdout
    assert "default" in run("workspaces", "limit", "prod", "--tasks", "default").stdout
    for wrong in ([], ["--tasks", "-1"], ["--tasks", "many"]):
        assert run("workspaces", "limit", "prod", *wrong).returncode == 2
    assert run("workspaces", "rm", "prod").returncode == 0
    assert [info["workspace_id"] for info in json.loads(run("workspaces", "ls", "--json").stdout)] == ["w"]
