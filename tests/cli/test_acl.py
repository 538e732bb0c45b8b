"""``aether acl`` as an administrator types it, against a gateway in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.gateway_process import GatewayProcess

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def acl(tmp_path: Path) -> Iterator[Run]:
    settings = tmp_path / "aether.yaml"
    settings.write_text("acl:\n  enabled: true\n", encoding="utf-8")
    gateway = GatewayProcess(tmp_path, "--config", str(settings)).start()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "aether", "acl", *arguments]
        environment = {**os.environ, "AETHER_ADDRESS": gateway.target}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)

    yield run
    assert gateway.stop() == 0, gateway.log.read_text()


def test_rules_from_the_command_line(acl: Run) -> None:
    granted = acl("grant", "user:alice", "manage", "workspace:prod", "--reason", "on call", "--for", "2", "--json")
    assert granted.returncode == 0, granted.stderr
    [rule] = json.loads(granted.stdout)
    assert (rule["subject"], rule["resource"], rule["level"]) == ("user:alice", "workspace:prod", "manage")
    assert rule["expires"].endswith("Z")
    assert json.loads(acl("list", "--subject", "user:alice", "--json").stdout) == [rule]
    assert rule["rule_id"] in acl("list").stdout
    explained = acl("explain", "user:alice", "rw", "workspace:prod")
    assert (explained.returncode, explained.stdout.splitlines()[0]) == (
        0,
        "allowed: Explicit rule: user:alice has MANAGE on workspace:prod",
    )
    assert acl("explain", "user:alice", "admin", "workspace:prod").returncode == 3
    assert acl("revoke", rule["rule_id"]).returncode == 0
    again = acl("revoke", rule["rule_id"])
    assert again.returncode == 1
    assert again.stderr.startswith("refused: ACL rule not found")
    for arguments in (
        ("group", "create", "devs"),
        ("group", "add", "devs", "user:bob"),
        ("grant", "group:devs", "admin", "workspace:prod"),
        ("explain", "user:bob", "admin", "workspace:prod"),
    ):
        done = acl(*arguments)
        assert done.returncode == 0, done.stderr
    assert "user:bob" in acl("group", "list", "devs").stdout
    assert acl("group", "remove", "devs", "user:bob").returncode == 0
    assert acl("explain", "user:bob", "admin", "workspace:prod").returncode == 3
    assert json.loads(acl("fallback", "user_workspace", "read", "--json").stdout) == [
        {"category": "user_workspace", "level": "read"}
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("grant", "alice", "rw", "workspace:w"), "not of the form type:id"),
        (("grant", "user:alice", "much", "workspace:w"), "none of none, read, readwrite, manage, admin, superadmin"),
        (("list", "--address", "127.0.0.1:1"), "cannot connect to 127.0.0.1:1: Connection refused"),
        (("grant", "user:alice", "rw", "workspace:w", "--for", "-1"), "not in the range"),
        (("group", "list", "nobody"), "refused: group not found"),
    ],
)
def test_mistakes_are_told(acl: Run, arguments: tuple[str, ...], text: str) -> None:
    done = acl(*arguments)
    assert done.returncode != 0
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_probably_a_mistake_is_told(acl: Run) -> None:
    """The gateway takes rules for any names; what is said of them is tested with the remarks themselves."""
    done = acl("grant", "group:nobody", "write", "workspce:w", "--json")
    assert (done.returncode, json.loads(done.stdout)[0]["level"]) == (0, "readwrite")
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["note", "note"]
    assert "there is no group nobody" in done.stderr
    assert "user_workspace" in acl("fallback", "usr_workspace", "none").stderr


def test_a_membership_for_a_while(acl: Run) -> None:
    assert acl("group", "create", "night").stderr == "created night\n"
    assert acl("group", "add", "night", "user:alice", "--for", "8").stderr == "added user:alice to night\n"
    [member] = json.loads(acl("group", "list", "night", "--json").stdout)
    assert member["expires"].endswith("Z")


def test_roles_from_the_command_line(acl: Run) -> None:
    for arguments in (
        ("role", "create", "keeper", "--description", "keeps things"),
        ("role", "assign", "keeper", "user:bob", "--for", "0.0001"),
        ("grant", "role:keeper", "admin", "workspace:prod"),
    ):
        done = acl(*arguments)
        assert done.returncode == 0, done.stderr
    assert json.loads(acl("role", "list", "--json").stdout) == [{"role": "keeper", "description": "keeps things"}]
    [assigned] = json.loads(acl("role", "list", "keeper", "--json").stdout)
    assert (assigned["assignee"], assigned["expires"][-1]) == ("user:bob", "Z")
    assert acl("role", "list", "nobody").stderr.startswith("refused: role not found")
    assert acl("role", "assign", "keeper", "user:carol").returncode == 0
    assert acl("explain", "user:carol", "admin", "workspace:prod").returncode == 0
    removed = json.loads(acl("cleanup", "--json").stdout)
    assert removed == [{"removed": 1}], "bob's assignment lasted a third of a second, and a command takes longer"
    assert "user:bob" not in acl("role", "list", "keeper").stdout
    assert acl("role", "unassign", "keeper", "user:carol").returncode == 0
    assert acl("explain", "user:carol", "admin", "workspace:prod").returncode == 3
    assert acl("role", "delete", "keeper").returncode == 0
    assert json.loads(acl("role", "list", "--json").stdout) == []


def test_a_gateway_says_which_policies_leave_workspaces_open(tmp_path: Path) -> None:
    settings = tmp_path / "aether.yaml"
    settings.write_text("acl:\n  enabled: true\n", encoding="utf-8")
    gateway = GatewayProcess(tmp_path, "--config", str(settings)).start()
    environment = {**os.environ, "AETHER_ADDRESS": gateway.target}
    for category in ("user_workspace", "agent_workspace", "task_workspace"):
        command = [sys.executable, "-m", "aether", "acl", "fallback", category, "none"]
        subprocess.run(command, timeout=60, check=True, env=environment)
    assert gateway.stop() == 0
    told = gateway.log.read_text()
    assert "agent_workspace, task_workspace, user_workspace" in told
    assert "aether acl fallback agent_workspace none" in told
    gateway.log.unlink()
    gateway.start()
    assert gateway.stop() == 0
    assert "open to everybody" not in gateway.log.read_text()
