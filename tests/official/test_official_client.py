"""The published Python client against our gateway (sdk 13)."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from tests.support.gateway_process import GatewayProcess

import aether
from aether.cli.pki import Authority
from aether.gateway import configured
from aether.proto import aether_pb2 as pb

from .conftest import SCENARIOS, Play, interpreter, run_scenario


def test_everyday_work_with_the_asynchronous_client(play: Play) -> None:
    seen = play("everyday.py")
    assert seen["messages"] == [["ag::w::i::a", str(number)] for number in range(20)]
    assert seen["events"] == ["happened"]
    assert seen["metrics"] == ["ag::w::i::a"]
    assert seen["user"] == ["hello"]
    assert seen["errors"] == ["ERR_INVALID_TOPIC"]
    assert seen["progress"] == [["ag::w::i::a", "working"]]
    assert seen["kv"] == {scope: scope for scope in seen["kv"]}
    assert len(seen["kv"]) == 8
    assert seen["counters"] == list(range(1, 51))
    assert seen["guarded"] == [[1, True], [2, True], [2, False]]
    assert seen["listed"] == ["g", "k", "n"]
    assert seen["checkpoint"] == ["state", ["default"]]
    assert seen["status"] == [True, True]


def test_everyday_work_with_the_synchronous_client(play: Play) -> None:
    seen = play("synchronous.py")
    assert seen["messages"] == [str(number) for number in range(10)]
    assert seen["stored"] == ["", "v"]
    assert seen["pool"] == ["work"]
    assert seen["loaded"] == "state"
    assert seen["saved"] is True


def test_every_principal_type_with_the_asynchronous_client(play: Play) -> None:
    seen = play("principals.py")
    assert (seen["types"], seen["count"]) == ([1, 2, 2, 2, 3, 4, 5, 6, 8, 8], 10)
    got = [(name, text) for name, text in seen["got"]]
    assert ("task", "to the task") in got
    workers = [(name, text) for name, text in got if name.startswith("worker")]
    assert sorted(int(text) for _, text in workers) == list(range(20))  # each to one worker of the pool
    assert {name for name, _ in workers} == {"worker0", "worker1"}
    assert ("service0", "to one service") in got
    anywhere = [text for name, text in got if name.startswith("service") and text.startswith("any")]
    assert sorted(anywhere) == [f"any{number}" for number in range(10)]
    for text in ("from the service", "from the orchestrator", "from the user", "from the task", "all agents"):
        assert ("agent", text) in got
    assert ("user", "all users") in got
    assert ("user", "the user on w") in got
    assert len(got) == 39
    assert seen["config"] == {"k": "stored"}


def test_ends_of_sessions_with_the_asynchronous_client(play: Play) -> None:
    """What the administrator ends, a duplicate and a required extension stay ended; nobody tries for ever."""
    seen = play("principals.py")
    assert seen["disconnects"] == ["maintenance"]
    assert not seen["victim_back"]
    assert seen["twin_refused"]
    assert seen["first_stays"]
    assert seen["picky_attempts"] == 1


def test_every_principal_type_with_the_synchronous_client(play: Play) -> None:
    assert play("principals_sync.py") == [
        ["agent", "orc"],
        ["agent", "sv"],
        ["agent", "tu"],
        ["agent", "us"],
        ["bridge", "ag"],
        ["engine", "happened"],
        ["task", "ag"],
        ["user", "ag"],
    ]


HEARD = """
a.pool worker 6 ag
a.send_broadcast_to_agents a,b 6 ag
a.send_broadcast_to_users alice 6 ag
a.elsewhere bob 6 ag
a.send_checked_message b 6 ag
a.send_event engine 4 ag
a.send_message_to_agent b 6 ag
a.send_message_to_task task 6 ag
a.send_message_to_user_session alice 6 ag
a.send_message_to_user_workspace alice 6 ag
alice.pool worker 6 us
alice.send_message_to_agent b 6 us
alice.send_message_to_task task 6 us
alice.send_message_to_user_session alice 6 us
alice.send_message_to_user_workspace alice 6 us
engine.send_broadcast_to_agents a,b 2 event
engine.send_broadcast_to_users alice 6 event
engine.elsewhere bob 6 event
engine.send_command_to_agent b 2 event
engine.send_command_to_task task 2 event
engine.send_message_to_user alice 6 event
engine.send_message_to_user_broadcast alice 6 event
engine.send_message_to_user_workspace alice 6 event
keeper.send_status_to_agent b 2 orc
keeper.send_status_to_task task 2 orc
last b 6 ag
metric bridge 5 ag
metric bridge 5 event
metric bridge 5 tu
s1.pool worker 6 sv
s1.send_message_to_agent b 6 sv
s1.send_message_to_task task 6 sv
s1.send_message_to_user_broadcast alice 6 sv
s1.send_message_to_user_session alice 6 sv
s1.send_message_to_user_workspace alice 6 sv
task.pool worker 6 tu
task.send_event engine 4 tu
task.send_message_to_agent b 6 tu
task.send_message_to_task task 6 tu
task.send_message_to_user_session alice 6 tu
typed_0 b 1 ag
typed_1 b 2 ag
typed_2 b 3 ag
"""
"""Payload, who hears it, type and kind of the source, of every helper that both families have."""

HEARD_ASYNC = """
a.send_message_to_service s2 6 ag
any one 6 ag
any one 6 sv
metric bridge 5 sv
s1.send_event engine 4 sv
s1.send_message_to_service s2 6 sv
"""

FAMILIES = {"native": "async", "purerpc": "sync"}
"""Scenarios of both families play one with each engine: what a helper does is no matter of both at once."""

HANDLERS = {1: "on_chat_message", 2: "on_control_message", 3: "on_tool_call", 4: "on_event", 5: "on_metric"}


def test_every_helper_that_sends(gateway: GatewayProcess, engine: str) -> None:
    """sdk 3, 13, 14, 16, 18 to 20: with the right type and source, and to nobody else."""
    family = FAMILIES[engine]
    expected = []
    for line in filter(None, (HEARD + (HEARD_ASYNC if family == "async" else "")).splitlines()):
        payload, recipients, kind, source = line.split()
        expected += [[payload, name, int(kind), source] for name in recipients.split(",")]
    seen = run_scenario("helpers.py", gateway.target, family)
    one_service = [entry if entry[0] != "any" else ["any", "one", *entry[2:]] for entry in seen["heard"]]
    assert sorted(one_service) == sorted(expected)
    assert seen["typed"] == sorted([HANDLERS[kind], kind] for _, _, kind, _ in expected if kind in HANDLERS)
    assert seen["errors"] == [["bridge", "ERR_PERMISSION_DENIED"]]  # acknowledgments of metrics are refused


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_nothing_is_lost_when_the_gateway_goes(tmp_path: Path, engine: str, end: str) -> None:
    """Answered writes and the messages before them survive; clients come back by themselves, in time."""
    gateway = GatewayProcess(tmp_path, "--engine", engine).start()
    command = [interpreter(), str(SCENARIOS / "restart.py"), gateway.target]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        gateway.kill() if end == "kill" else gateway.stop()
        gateway.start()
        client.stdin.write("go\n")
        client.stdin.flush()
        seen = json.loads(client.stdout.readline())
    assert gateway.stop() == 0
    assert seen["received"] == [str(number) for number in range(100)]
    assert seen["twin"] == ["connection lost"]
    assert (seen["before"], seen["after"]) == ("before", "before")
    (before, _), (_, named) = seen["resumed"]
    assert named == before  # sdk 5: the client names the session that it had


class Survivor:
    """A client in a process of its own; what it hears is told at its end."""

    def __init__(self, target: str, kind: str, expected: int) -> None:
        command = [interpreter(), str(SCENARIOS / "survivor.py"), target, kind, str(expected)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._output = self._process.stdout

    def wait_ready(self) -> None:
        """Until it has heard something."""
        assert self._output.readline() == "ready\n"

    def end(self) -> list[str]:
        received: list[str] = json.loads(self._output.readline())
        assert self._process.wait(30) == 0
        self._output.close()
        return received


async def send_to(kind: str, target: str, numbers: range) -> None:
    """Each message until the gateway has it."""
    async with aether.connect_service(target, implementation="s", specifier="1") as me:
        for number in numbers:
            await me.send(f"ag::w::i::{kind}", b"%d" % number)
            await me.confirm()


@pytest.mark.parametrize(("end", "kind"), [("kill", "async"), ("stop", "async")])
async def test_clients_come_back_to_their_messages(tmp_path: Path, engine: str, end: str, kind: str) -> None:
    """connection 76: from a signal to stop, and from a crash; in time, without anybody's help. (The synchronous client
    sometimes stays away after it was refused a connection, with one open on which there is no stream.)"""
    gateway = await trio.to_thread.run_sync(GatewayProcess(tmp_path, "--engine", engine).start)
    survivor = Survivor(gateway.target, kind, 20)
    await send_to(kind, gateway.target, range(10))
    await trio.to_thread.run_sync(survivor.wait_ready)
    await trio.to_thread.run_sync(gateway.kill if end == "kill" else gateway.stop)
    await trio.to_thread.run_sync(gateway.start)
    await send_to(kind, gateway.target, range(10, 20))
    received = await trio.to_thread.run_sync(survivor.end)
    assert await trio.to_thread.run_sync(gateway.stop) == 0
    assert list(dict.fromkeys(received)) == [str(number) for number in range(20)]


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_no_message_is_lost_when_connections_reach_their_age(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """connection 81: the clients come back, resume, and hear the rest."""
    config = aether.Config.development(tmp_path)
    limits = replace(configured.rpc_limits(config), max_connection_age=1.0, max_connection_age_grace=0.2)
    monkeypatch.setattr(configured, "rpc_limits", lambda _: limits)
    async with aether.Gateway(config) as gateway:
        target = f"127.0.0.1:{gateway.port}"
        survivor = Survivor(target, kind, 20)
        await send_to(kind, target, range(2))
        await trio.to_thread.run_sync(survivor.wait_ready)
        resumed = set()
        for start in range(2, 20, 2):
            await send_to(kind, target, range(start, start + 2))
            resumed |= {session.session_id for session in gateway.services.directory if session.lock.resumed}
            await trio.sleep(0.7)  # connections are looked at once a second
        received = await trio.to_thread.run_sync(survivor.end)
    assert resumed, "it had to come back"
    assert list(dict.fromkeys(received)) == [str(number) for number in range(20)]


@pytest.fixture
def ruled(tmp_path: Path, engine: str) -> Iterator[GatewayProcess]:
    """A gateway with access rules."""
    settings = tmp_path / "aether.yaml"
    settings.write_text("acl:\n  enabled: true\n", encoding="utf-8")
    process = GatewayProcess(tmp_path, "--engine", engine, "--config", str(settings)).start()
    yield process
    assert process.stop() == 0, process.log.read_text()


def test_access_rules_with_the_asynchronous_client(ruled: GatewayProcess) -> None:
    seen = run_scenario("access.py", ruled.target)
    assert seen == {
        "granted": [True, "MANAGE", "on call"],
        "by_id": True,
        "listed": [1, True],
        "checks": [True, False, True],
        "explained": [True, ["user:bob", "group:devs"]],
        "roles": [True, 1, ["lead"], ["devs"], True, False],
        "revoked": True,
        "policy": [True, True],
        "cleaned": 0,
        "gone": [True, seen["gone"][1]],
        "refused": [False, 'insufficient access on workspace "w" for this ACL operation (need ADMIN)'],
        "decision": [True, "ALLOW", True],
        "decisions": [True, False],
        "denied": "ERR_PERMISSION_DENIED",
        # Denied twice, without a user, no such operations for orchestrators, too long a key, no such grant (kv 12 to
        # 14).
        "kv": [
            "PermissionDeniedError",
            "PermissionDeniedError",
            "AetherError",
            "AetherError",
            "InvalidArgumentError",
            "PermissionDeniedError",
        ],
    }
    assert "ACL rule not found" in seen["gone"][1]


def test_access_rules_with_the_synchronous_client(ruled: GatewayProcess) -> None:
    assert run_scenario("access_sync.py", ruled.target) == {
        "by_id": 30,
        "checks": [True, False],
        "explained": True,
        "roles": [True, 1, ["lead"], ["devs"], True, False],
        "revoked": [True, True],
        "refused": "ACL operations on non-workspace resources require an admin_acl grant",
        "decision": True,
    }


def test_every_helper_of_the_administration(ruled: GatewayProcess, engine: str) -> None:
    """sdk 36, 37, 38, 44; sdk 7.3."""
    seen = run_scenario("admin_surface.py", ruled.target, FAMILIES[engine])
    assert seen.pop("failed") == []
    if FAMILIES[engine] == "async":
        assert seen.pop("sessions") == ["ag::w::i::a", "ag::w::i::a"]
        assert seen.pop("connections") == 1
        assert seen.pop("unknown") == [False, True]
    assert seen == {
        "workspace": ["Works", "for work", {"a": "b"}],
        "workspaces": ["w"],
        "agent": ["other", "", {"profile": "other"}],  # an update says everything
        "agents": [["impl"], 0],
        "group": ["a kind of list", ["g"], [1, 1], 0, 0],
        "role": ["a kind of list", ["g"], [1, 1], 0, 0],
        "rules": [1, 2, 0],
        "policy": 10,
        "explained": [True, True],
        "checked": True,
    }


def test_operations_side_by_side_with_the_asynchronous_client(ruled: GatewayProcess) -> None:
    """sdk 21, 24, 26, 33, 34, 42, 43."""
    seen = run_scenario("operations.py", ruled.target)
    assert len(seen["values"]) == 8
    assert seen["values"] == {scope: [["k"], scope, scope, True, True] for scope in seen["values"]}
    assert seen["own_values"] == [str(number) for number in range(10)]
    assert seen["checkpoints"] == [["default", "short"], "1", True, [True, 0], []]
    assert seen["made"]
    assert seen["workspaces"] == [[True, f"name {number}"] for number in range(10)]
    assert seen["rules"] == [[True, f"u{number}"] for number in range(10)]
    assert seen["agents"] == [*([True, f"impl{number}"] for number in range(10)), [False, ""]]
    assert seen["status"] == [True, True, True, False]
    assert seen["refused"] == [False, "DENY"]
    assert seen["in_order"]
    assert seen["alternating"]
    assert (seen["none"], seen["too_many"]) == ("InvalidArgumentError", "InvalidArgumentError")


def test_authority_with_the_asynchronous_client(ruled: GatewayProcess) -> None:
    assert run_scenario("authority.py", ruled.target) == {
        "exchanged": [True, "alice", "sv::svc::s", "to help"],
        "received": ["for alice", "alice"],
        "kv": True,
        "got": True,
        "renewed": 60,
        "derived": [True, True, ""],
        "reused": ["existing authority grant reused", True],
        "mine": [True],
        "on_me": 2,
        "resolved": [True, 10],
        "batch": [False, 1, "index 1"],
        "in_order": [["first", "last", "first"], ["first"]],
        "cached": ["alice", 1, 0, False],
        "revoked": True,
        "notice": [True, False, True],
        "after": False,
        "asked": [True, "capability/x", ["authority_request_approved", "authority_request_created"]],
        "approved": "approved",
    }


def test_authority_with_the_synchronous_client(ruled: GatewayProcess) -> None:
    assert run_scenario("authority_sync.py", ruled.target) == {
        "exchanged": [True, "alice"],
        "got": True,
        "renewed": 60,
        "derived": [True, "sv::svc::s"],
        "revoked": True,
        "after": True,
    }


@pytest.fixture
def made(tmp_path: Path, engine: str) -> Iterator[tuple[str, str, str]]:
    """Target, authority and administrator's key of a gateway that `aether init` made."""
    directory = tmp_path / "made"
    command = [sys.executable, "-m", "aether", "init", "--dir", str(directory)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    config = str(directory / "aether.yaml")
    process = GatewayProcess(tmp_path, "--engine", engine, "--config", config, dev=False).start()
    yield f"localhost:{process.port}", str(directory / "tls/ca-cert.pem"), str(directory / "admin.key")
    assert process.stop() == 0, process.log.read_text()


def test_beginnings_and_ends_of_connections(made: tuple[str, str, str], engine: str) -> None:
    """sdk 1, 4, 7, 8, 11, 12: what cannot succeed is tried once."""
    assert run_scenario("connections.py", *made, FAMILIES[engine]) == {
        "in_time": True,
        "session": ["ag::prod::worker::a"],
        "extensions": [[], False],
        "twin": [1, True],
        "wrong_key": [1, True],
        "picky": True,
        "picky_attempts": 1,
        "first_stays": [[1], [], True],
        "ended": [["maintenance"], [1], False],
    }


def test_tls_from_the_environment(tmp_path: Path) -> None:
    """sdk 9: with an authority and a client's certificate."""
    authority = Authority.load_or_create(tmp_path)
    (server, server_key), client = authority.issue_server(tmp_path, []), authority.issue_client(tmp_path, "a", "x")
    tls = {"cert_file": str(server), "key_file": str(server_key), "ca_file": str(tmp_path / "ca-cert.pem")}
    settings = tmp_path / "aether.yaml"
    settings.write_text(json.dumps({"gateway": {"tls": {**tls, "client_auth": "require"}}}), encoding="utf-8")
    process = GatewayProcess(tmp_path, "--config", str(settings)).start()
    environment = {
        "AETHER_TLS_ENABLED": "true",
        "AETHER_TLS_CA_CERT": str(tmp_path / "ca-cert.pem"),
        "AETHER_TLS_CLIENT_CERT": str(client[0]),
        "AETHER_TLS_CLIENT_KEY": str(client[1]),
    }
    try:
        assert run_scenario("environment.py", f"localhost:{process.port}", environment=environment) == "v"
    finally:
        assert process.stop() == 0, process.log.read_text()


def test_administration_with_the_asynchronous_client(made: tuple[str, str, str]) -> None:
    assert run_scenario("administration.py", *made) == {
        "made": [True, 44, "Agent"],
        "lower_case": "Agent",
        "users": "created_by (the target user id) is required for user tokens",
        "shown": [True, "worker", ""],
        "listed": ["other", "worker", "administrator"],
        "with_key": True,
        "wrong_key": False,
        "no_key": False,
        "wrong_task_token": False,
        "refused": "PermissionDeniedError",
        "sessions": ["ag::prod::worker::live"],
        "session": "ag::prod::worker::live",
        "connections": 2,
        "submitted": [True, ""],
        "revoked": True,
        "ended": "API key revoked or expired",
        "after": False,
        "listed_revoked": [["other", False], ["worker", True], ["administrator", False]],
        "deleted": True,
        "gone": True,
        "audit": [True, 4, ["token_delete", "token_revoke"]],
        "custom": ["ag::prod::worker::live", "principal", '{"db_password":"[REDACTED]"}'],
        "failures": [f"ag::prod::worker::{specifier}" for specifier in "bcde"],
        "decisions": [True, 1],
        "cleaned": 0,
    }


def test_administration_with_the_synchronous_client(made: tuple[str, str, str]) -> None:
    assert run_scenario("administration_sync.py", *made) == {
        "made": [True, 44],
        "shown": ["worker", 2],
        "listed": ["worker", "administrator"],
        "submitted": True,
        "revoked": True,
        "ended": True,
        "deleted": True,
        "decisions": True,
        "cleaned": 0,
    }


def test_tasks_and_started_agents_with_the_asynchronous_client(play: Play) -> None:
    seen = play("tasks.py")
    assert seen["created"] == [True, "pending_pool"]
    assert seen["assigned"] == [True, "1+1", "w", {"a": "b"}]
    assert (seen["subscribed"], seen["unsubscribed"]) == (True, True)
    assert (seen["claimed"], seen["waiting"]) == ([True, 2], [True, 8])
    assert seen["statuses"] == [2, 8, 2, 3]
    assert seen["progress"] == ["working", "half"]
    notices = [state for state in seen["notices"] if state != "working"]
    assert notices == ["assigned", "running", "waiting_dependency", "running", "completed"]
    assert seen["failed"] == [4, 2, "broke"]
    assert (seen["retried"], seen["rejected"]) == (True, 10)
    assert [seen[name] for name in ("paused", "resumed", "hibernated", "cancelled")] == [6, 2, 9, 5]
    assert seen["listed"] == ["own", "part", "sum"]
    assert seen["unknown"] == [False, "task not found"]
    assert (seen["registered"], seen["agents"]) == (True, ["lazy"])
    assert seen["start"] == ["agent_startup", "python", "1", "m"]
    assert (seen["held"], seen["running"]) == ("wake up", 2)
    assert (seen["launched"], seen["deleted"]) == (True, True)


def test_tasks_with_the_synchronous_client(play: Play) -> None:
    seen = play("tasks_sync.py")
    assert (seen["created"], seen["assigned"]) == ([True, "pending_pool"], [True, "1+1"])
    assert (seen["subscribed"], seen["completed"], seen["told"]) == (True, True, 3)
    assert seen["quiet"] == "quiet"
    assert (seen["rejected"], seen["failed"], seen["retried"], seen["cancelled"]) == (10, "broke", 1, 5)
    assert seen["listed"] == ["sum"]


def test_workers_with_the_token_of_their_task_and_long_lists(play: Play) -> None:
    seen = play("task_tokens.py")
    # Progress is not kept, and comes late to who is still being sent what was.
    seen["story"].remove("working")
    assert seen == {
        "token": [True, 44],
        "running": True,
        "parent": True,
        "completed": 3,
        "afterwards": True,
        "stolen": True,
        "cancelled": "invalid request: invalid task state transition: cancelled → completed",
        "over": True,
        "sync_running": True,
        "sync": [6, "us::alice", 2, True],
        "sync_hibernated": [
            'hibernation requires a saved checkpoint with key "K" for identity tu::w::job::4',
            9,
        ],
        "sync_completed": 3,
        "story": [1, 2, 6, 2, 8, 2, 9, 2, 3],
        "pages": [5, 250, True],
        "offset": 50,
    }


async def test_the_published_orchestrator_starts_the_published_agent(gateway: GatewayProcess) -> None:
    """The flow that comes with the client (sdk 10): a message for an agent that is not there starts it."""
    environment = {**os.environ, "AETHER_GATEWAY": gateway.target}
    command = [interpreter(), "-m", "scitrera_aether_client.echo_test.echo_orchestrator"]
    run = functools.partial(
        trio.run_process,
        command,
        env=environment,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
        start_new_session=True,
    )
    with trio.fail_after(60):
        async with (
            trio.open_nursery() as nursery,
            aether.connect_orchestrator(gateway.target, implementation="o", specifier="a", profiles=()) as admin,
        ):
            process = await nursery.start(run)
            info = pb.AgentRegistrationInfo(implementation="echo-agent", launch_params={"profile": "echo"})
            register = pb.AgentOperation(op=pb.AgentOperation.REGISTER, agent=info)
            assert (await admin.request("agent_op", register)).success
            await admin.send("ag::default::echo-agent::e1", b"hello to the one who is asleep")
            await admin.confirm()
            [start] = [task async for task in admin.tasks.find(task_type="agent_startup")]
            async with admin.tasks.watch(start.task_id, since_ms=1) as events:
                async for event in events:
                    if event.status_changed.to_status == pb.TASK_STATUS_RUNNING:
                        break
            assert await admin.connection_status("agent", "ag::default::echo-agent::e1")
            os.killpg(process.pid, signal.SIGTERM)  # the agent too, which it would leave behind


def test_what_else_there_is_for_tasks_and_agents(gateway: GatewayProcess, engine: str) -> None:
    seen = run_scenario("task_surface.py", gateway.target, FAMILIES[engine])
    assert seen == {
        "offline": [[True, "", "queued"], [False, "ERR_TARGET_OFFLINE", ""]],
        "targeted": [True, "assigned"],
        "handed": [True, "now"],
        "quiet": "quiet",
        "begun": True,
        "paused": [pb.TASK_STATUS_WAITING_INPUT, pb.WAIT_REASON_INPUT],
        "resumed": pb.TASK_STATUS_RUNNING,
        "depending": [pb.TASK_STATUS_WAITING_DEPENDENCY, True],
        "went_on": True,
        "illegal": [False, True],
        "hibernated": [True, pb.TASK_STATUS_HIBERNATED],
        "awake": pb.TASK_STATUS_RUNNING,
        "state": ["state", True],
        "unsubscribed": True,
        "found": ["first", "held", "later", "now", "quiet", "second"],
        "of_context": "c",
        "agent": ["sleeps well", "c"],
        "orchestrators": ["orc::orc::o"],
        "launched": [True, "1", "d"],
        "again": False,
        "start": "no such program",
        "deleted": [True, False],
        "heard": ["to the agent"],
        "workspaces": ["w"],
    }


def test_the_orchestrator_class_of_the_published_client(play: Play) -> None:
    """Its agents show the token that they get, or come without one: either way one start each, over with its agent."""
    assert play("orchestrator_class.py") == {
        "shows": [1, 1],
        "hides": [2, 2],
        "answers": ["thanks for hello", "thanks for hello", "thanks for bye"],
        "starts": {"ag::w::shows::1": pb.TASK_STATUS_COMPLETED, "ag::w::hides::1": pb.TASK_STATUS_RUNNING},
        "again": "thanks for once more",
        "printed": ["connected"],
    }
