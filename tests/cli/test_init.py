"""``aether init`` and what it makes, as an administrator uses it: TLS, API keys, client certificates, access rules."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import aether
from aether import Gateway
from aether.authentication.certificates import common_name
from aether.authentication.common_names import settle_identity
from aether.client import ConnectFailed, Disconnected, Options, Scope, Unauthenticated
from aether.config import load_config
from aether.identity import parse_identity
from aether.rpc.tls import client_context


class Made:
    """A directory that ``aether init`` filled."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "aether", *arguments]
        return subprocess.run(
            line, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
        )

    def administrate(self, *arguments: str) -> Any:
        """A command over the wire with the administrator's key."""
        done = self.command(
            *arguments,
            "--json",
            AETHER_ADDRESS=f"localhost:{self.port}",
            AETHER_CA_FILE=str(self.directory / "tls/ca-cert.pem"),
            AETHER_API_KEY_FILE=str(self.directory / "admin.key"),
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    def options(self, *, key: str = "", certificate: str = "") -> Options:
        clients = self.directory / "tls/clients"
        files = (
            (clients / f"{certificate}-cert.pem", clients / f"{certificate}-key.pem") if certificate else (None, None)
        )
        context = client_context(ca_file=self.directory / "tls/ca-cert.pem", cert_file=files[0], key_file=files[1])
        return Options(credentials={"x-api-key": key} if key else {}, tls=context, attempts_max=1)

    def agent(self, options: Options, specifier: str = "1", **changes: str) -> Any:
        fields = {"workspace": "prod", "implementation": "worker", "specifier": specifier, **changes}
        return aether.connect_agent(f"localhost:{self.port}", options=options, **fields)


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    """The gateway of a fresh directory."""
    made = Made(tmp_path / "aether")
    clients = ("--client", "ag::prod::worker::1", "--client", "anonymous")
    done = await trio.to_thread.run_sync(partial(made.command, "init", "--dir", str(made.directory), *clients))
    assert done.returncode == 0, done.stderr
    assert f"aether serve --config {made.directory}/aether.yaml" in done.stdout
    config = load_config(made.directory / "aether.yaml", env={}, flags={"gateway.port": 0, "gateway.ops_port": 0})
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        made.port = gateway.port
        yield made


async def administrate(made: Made, *arguments: str) -> Any:
    return await trio.to_thread.run_sync(partial(made.administrate, *arguments))


async def test_a_key_from_the_command_line_admits_an_agent(made: Made) -> None:
    [new] = await administrate(made, "token", "create", "worker", "agent", "--identity", "ag::prod::worker::*")
    async with made.agent(made.options(key=new["key"])) as me:
        await me.kv.put("k", b"v")
        assert await me.kv.get("k") == b"v"
    with pytest.raises(ConnectFailed, match="API key not authorized for identity"):
        async with made.agent(made.options(key=new["key"]), implementation="other"):
            pass
    with pytest.raises(Unauthenticated, match="requires a matching API key credential"):
        async with made.agent(made.options()):
            pass
    listed = await administrate(made, "token", "list")
    assert {row["name"] for row in listed} == {"administrator", "worker"}
    assert not any("key" in row for row in listed)


async def test_namesakes_in_other_workspaces_have_values_of_their_own(made: Made) -> None:
    """Whoever has a key for its own workspace may choose every other name, also that of an agent elsewhere."""
    keys = [
        (await administrate(made, "token", "create", name, "agent", "--workspace", name))[0]["key"]
        for name in ("prod", "other")
    ]
    async with (
        made.agent(made.options(key=keys[0])) as victim,
        made.agent(made.options(key=keys[1]), workspace="other") as namesake,
    ):
        for scope in (Scope.GLOBAL_EXCLUSIVE, Scope.USER):
            more = {"user": "alice"} if scope is Scope.USER else {}
            await victim.kv.put("k", b"private", scope=scope, **more)
            assert await namesake.kv.get("k", scope=scope, **more) == b""


@pytest.mark.parametrize("kept", ["name", "identity", ""])
async def test_whose_values_are_private_is_not_changed_by_a_new_configuration(tmp_path: Path, kept: str) -> None:
    made = Made(tmp_path / "aether")
    line = partial(made.command, "init", "--dir", str(made.directory))
    assert (await trio.to_thread.run_sync(line)).returncode == 0
    config = made.directory / "aether.yaml"
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert settings["kv"] == {"exclusive_by": "identity"}
    settings["kv"] = {"exclusive_by": kept} if kept else {}
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert (await trio.to_thread.run_sync(partial(line, "--force"))).returncode == 0
    assert yaml.safe_load(config.read_text(encoding="utf-8"))["kv"] == settings["kv"]


async def test_rotation_and_revocation_reach_live_sessions(made: Made) -> None:
    [old] = await administrate(made, "token", "create", "worker", "agent")
    made_new: list[Any] = []

    async def stay() -> None:
        async with made.agent(made.options(key=old["key"])) as me:
            made_new.extend(await administrate(made, "token", "rotate", old["id"]))
            await anext(me)

    with trio.fail_after(30), pytest.raises(Disconnected, match="API key revoked or expired"):
        await stay()
    [new] = made_new
    assert new["key"] != old["key"]
    async with made.agent(made.options(key=new["key"])):
        pass


async def test_the_administrator_changes_its_own_key(made: Made) -> None:
    """It was ended before the new one was shown: nobody could administrate any more."""
    [old] = await administrate(made, "token", "list")
    [new] = await administrate(made, "token", "rotate", old["id"])
    (made.directory / "admin.key").write_text(new["key"])
    [left] = await administrate(made, "token", "list")
    assert left["id"] == new["id"]
    assert (await administrate(made, "token", "revoke", new["id"])) is None


async def test_the_administrator_gives_rights(made: Made) -> None:
    await administrate(made, "acl", "grant", "agent:ag::prod::worker::1", "none", "workspace:prod")
    [new] = await administrate(made, "token", "create", "worker", "agent")
    with pytest.raises(ConnectFailed, match="access denied"):
        async with made.agent(made.options(key=new["key"])):
            pass


async def test_a_client_certificate_is_the_identity(made: Made) -> None:
    """connection 9.2, strict: whatever the client claims."""
    options = made.options(certificate="ag.prod.worker.1")
    async with made.agent(options, workspace="elsewhere", implementation="x", specifier="y") as me:
        await me.send("ag::prod::worker::1", b"to the one in the certificate")
        with trio.fail_after(20):
            message = await anext(me)
    assert message.source_topic == "ag::prod::worker::1"


NAMES = {
    "ag::prod::worker::1": "ag::prod::worker::1",
    "tu::prod::job::7": "tu::prod::job::7",
    "us::alice::w1": "us::alice::w1",
    "sv::mailer::1": "sv::mailer::1",
    "br::matrix::1": "br::matrix::1",
    "orc::k8s::1": "orc::k8s::1",
    "wfe::main": "wfe::shard0",
    "metrics::main": "metrics::shard0",
}


def test_certificates_of_every_kind_name_who_they_are_for(tmp_path: Path) -> None:
    """connection 99."""
    made = Made(tmp_path / "aether")
    done = made.command("init", "--dir", str(made.directory), *[text for name in NAMES for text in ("--client", name)])
    assert done.returncode == 0, done.stderr
    for name, identity in NAMES.items():
        path = made.directory / "tls/clients" / f"{name.replace('::', '.')}-cert.pem"
        certificate = x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
        shown = common_name(certificate, dt.datetime.now(dt.UTC))
        assert settle_identity(shown, "strict", lambda: parse_identity("ag::no::body::1")) == parse_identity(identity)


async def test_an_anonymous_certificate_only_secures_the_transport(made: Made) -> None:
    with pytest.raises(Unauthenticated, match="requires a matching API key credential"):
        async with made.agent(made.options(certificate="anonymous")):
            pass
    [new] = await administrate(made, "token", "create", "worker", "agent")
    async with made.agent(made.options(certificate="anonymous", key=new["key"])):
        pass


async def test_secrets_are_for_their_owner_only(made: Made) -> None:
    for name in ("admin.key", "aether.yaml", "tls/ca-key.pem", "tls/server-key.pem", "data/token-hmac-key"):
        assert (made.directory / name).stat().st_mode & 0o077 == 0, name


async def test_nothing_is_replaced_by_accident(made: Made) -> None:
    before = (made.directory / "admin.key").read_text()
    done = await trio.to_thread.run_sync(partial(made.command, "init", "--dir", str(made.directory)))
    assert (done.returncode, "--force" in done.stderr) == (1, True)
    assert (made.directory / "admin.key").read_text() == before
    wrong = await trio.to_thread.run_sync(
        partial(made.command, "init", "--dir", str(made.directory / "other"), "--client", "robot::x")
    )
    assert (wrong.returncode, "not a common name of a principal" in wrong.stderr) == (1, True)
    assert not (made.directory / "other").exists()
