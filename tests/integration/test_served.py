"""A gateway as an administrator gets it: ``aether init`` in a fresh directory, ``aether serve`` with what it made, the
command line and clients from outside; and what of all the secrets is left anywhere afterwards."""

from __future__ import annotations

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
from tests.support.gateway_process import GatewayProcess
from tests.support.issuer import AUDIENCE, Issuer, open_issuer

import aether
from aether.client import ConnectFailed, Options, Unauthenticated
from aether.rpc.tls import client_context


class Served:
    """The process, and its directory.

    :ivar heard: every text that a command or a client got.
    """

    def __init__(self, directory: Path, engine: str) -> None:
        self.directory = directory
        self.heard: list[str] = []
        config = directory / "aether.yaml"
        self.process = GatewayProcess(directory, "--config", str(config), "--engine", engine, dev=False)

    async def command(self, *arguments: str) -> str:
        """What a command prints; it connects with the administrator's key."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AETHER_")},
            "AETHER_ADDRESS": f"localhost:{self.process.port}",
            "AETHER_CA_FILE": str(self.directory / "tls/ca-cert.pem"),
            "AETHER_API_KEY_FILE": str(self.directory / "admin.key"),
        }
        line = [sys.executable, "-m", "aether", *arguments]
        run = partial(subprocess.run, line, capture_output=True, text=True, timeout=60, check=False, env=environment)
        done: subprocess.CompletedProcess[str] = await trio.to_thread.run_sync(run)
        assert done.returncode == 0, done.stderr
        self.heard.append(done.stderr)
        return done.stdout

    async def new_key(self, *arguments: str) -> tuple[str, str]:
        """Key and id of a token."""
        [made] = json.loads(await self.command("token", *arguments, "--json"))
        return made["key"], made["id"]

    def connect(self, credentials: dict[str, str], *, certificate: str = "", specifier: str = "1") -> Any:
        clients = self.directory / "tls/clients"
        files = (
            (clients / f"{certificate}-cert.pem", clients / f"{certificate}-key.pem") if certificate else (None, None)
        )
        tls = client_context(ca_file=self.directory / "tls/ca-cert.pem", cert_file=files[0], key_file=files[1])
        options = Options(credentials=credentials, tls=tls, attempts_max=1)
        address = f"localhost:{self.process.port}"
        return aether.connect_agent(
            address, workspace="prod", implementation="worker", specifier=specifier, options=options
        )

    async def works(self, credentials: dict[str, str], **more: str) -> None:
        async with self.connect(credentials, **more) as me:
            await me.kv.put("k", b"v")

    async def refuses(self, credentials: dict[str, str], error: type[Exception], text: str, **more: str) -> None:
        with pytest.raises(error, match=text) as caught:
            async with self.connect(credentials, **more):
                pass
        self.heard.append(f"{caught.value!r} {caught.value}")


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with open_issuer() as issuer:
        yield issuer


@pytest.fixture
async def served(tmp_path: Path, engine: str, issuer: Issuer) -> AsyncIterator[Served]:
    """With bearer tokens and the most talkative log besides what ``aether init`` sets."""
    served = Served(tmp_path / "aether", engine)
    await served.command("init", "--dir", str(served.directory), "--client", "ag::prod::worker::9")
    config = served.directory / "aether.yaml"
    settings = yaml.safe_load(config.read_text())
    assert "dev" not in settings
    mapping = {"principal_type": "kind", "workspace": "ws"}
    settings["auth"]["modes"].append("oauth")
    settings["auth"]["oauth"] = {"providers": [{"issuer": issuer.url, "audience": AUDIENCE, "claims_mapping": mapping}]}
    settings["log"] = {"level": "debug", "format": "json"}
    config.write_text(yaml.safe_dump(settings))
    await trio.to_thread.run_sync(served.process.start)
    yield served
    assert await trio.to_thread.run_sync(served.process.stop) == 0, served.process.log.read_text()


async def test_what_init_made_is_a_working_gateway(served: Served, issuer: Issuer) -> None:
    """With a key, a certificate and a bearer token; refused without; limits on; keys made, listed, rotated, revoked."""
    key, token_id = await served.new_key("create", "worker", "agent", "--identity", "ag::prod::worker::*")
    await served.works({"x-api-key": key})
    await served.works({}, certificate="ag.prod.worker.9")
    await served.works({"authorization": f"Bearer {issuer.token(kind='Agent', ws='prod')}"})
    await served.refuses({}, Unauthenticated, "requires a matching API key credential")
    await served.refuses({"x-api-key": "x" * 44}, Unauthenticated, "invalid API key", specifier="2")
    new_key, new_id = await served.new_key("rotate", token_id)
    await served.refuses({"x-api-key": key}, Unauthenticated, "invalid API key", specifier="3")
    await served.works({"x-api-key": new_key})
    await served.command("token", "revoke", new_id)
    await served.refuses({"x-api-key": new_key}, Unauthenticated, "invalid API key", specifier="4")
    listed = json.loads(await served.command("token", "list", "--all", "--json"))
    assert {row["name"]: row["state"] for row in listed if row["name"] != "worker"} == {"administrator": "live"}
    assert [row["state"] for row in listed if row["name"] == "worker"] == ["revoked", "revoked"]
    effective = await served.command("config", "--config", str(served.directory / "aether.yaml"))
    for line in (
        "gateway.message_rate_limit: 100",
        "quotas.enabled: true",
        "acl.enabled: true",
        "audit.enabled: true",
        "dev: false",
    ):
        assert any(text.startswith(line) for text in effective.splitlines()), line


async def test_keys_outlive_the_process(served: Served) -> None:
    key, _ = await served.new_key("create", "worker", "agent")
    await trio.to_thread.run_sync(served.process.kill)
    await trio.to_thread.run_sync(served.process.start)
    await served.works({"x-api-key": key})


async def test_no_secret_is_left_anywhere(served: Served, issuer: Issuer) -> None:
    """Not in the log at its most talkative, not in the data directory, not in what clients and commands are told."""
    key, token_id = await served.new_key("create", "find-me", "agent")
    rotated, _ = await served.new_key("rotate", token_id, "--keep")
    bearer = issuer.token(kind="Agent", ws="prod", email="alice@example.com")
    expired = issuer.token(kind="Agent", ws="prod", exp=1)
    foreign = issuer.token(kind="Agent", ws="elsewhere")
    for credentials in ({"x-api-key": key}, {"api_key": rotated}, {"authorization": f"Bearer {bearer}"}):
        await served.works(credentials)
    wrong = {name: f"a-wrong-{name}-that-somebody-typed" for name in ("x-api-key", "token", "bearer_token")}
    for number, (name, value) in enumerate(wrong.items()):
        await served.refuses({name: value}, Unauthenticated, "invalid|no OAuth", specifier=f"w{number}")
    await served.refuses({"authorization": expired}, Unauthenticated, "no OAuth provider", specifier="x1")
    await served.refuses({"authorization": foreign}, ConnectFailed, "workspace mismatch", specifier="x2")
    for _ in range(6):
        await served.refuses({"x-api-key": wrong["x-api-key"]}, Unauthenticated, "invalid|throttled", specifier="x3")
    audit = await served.command("audit", "query", "--data-dir", str(served.directory / "data"), "--json")
    await trio.to_thread.run_sync(served.process.stop)

    secrets = {
        "administrator's key": (served.directory / "admin.key").read_text().strip(),
        "HMAC key": (served.directory / "data/token-hmac-key").read_text().strip(),
        "key": key,
        "rotated key": rotated,
        **{f"wrong {name}": value for name, value in wrong.items()},
    }
    for name, token in (("bearer", bearer), ("expired bearer", expired), ("foreign bearer", foreign)):
        _, claims, signature = token.split(".")
        secrets |= {f"{name} claims": claims, f"{name} signature": signature}
    for name in ("ca", "server"):
        secrets[f"{name} private key"] = (served.directory / f"tls/{name}-key.pem").read_text().splitlines()[1]
    keep = {"admin.key", "token-hmac-key", "ca-key.pem", "server-key.pem"}
    texts = {path.name: path.read_bytes() for path in served.directory.rglob("*") if path.is_file()}
    haystack = b"\0".join([text for name, text in texts.items() if name not in keep])
    haystack += "\0".join([audit, *served.heard]).encode()
    assert b"find-me" in haystack, "the names of keys are there"
    assert b"credential_auth_failed" in haystack, "and what was refused"
    assert b'"level": "info"' in texts["gateway.log"], "and the log"
    for name, secret in secrets.items():
        assert len(secret) > 20, name
        assert secret.encode() not in haystack, name
