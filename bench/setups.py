"""What the gateway of a suite needs before it starts: rules, tasks, keys, certificates, an issuer of tokens."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from tests.support.issuer import AUDIENCE, open_issuer

from aether import Config, Gateway
from aether.acl.engine import RuleEngine
from aether.acl.model import Rule
from aether.cli.pki import Authority
from aether.gateway.configured import hmac_key
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.records import SqliteRecords
from aether.storage.sqlite.tasks import SqliteTasks
from aether.tasks.model import Status, Task, WaitSpec
from aether.tokens.keys import KeyHasher
from aether.tokens.store import Token, TokenStore

__all__ = ["CLIENTS", "prepared"]

CLIENTS = 16
"""Clients that connect at the same time."""
RULES = 10_000
TASKS = {"tasks-10-of-1000000": (1_000_000, False), "task-timers-100000": (100_000, True)}
"""How many are stored, and whether they are paused with a timer."""


@asynccontextmanager
async def prepared(suite: str, side: str, directory: Path) -> AsyncIterator[list[str]]:
    """Makes what a suite and a side need, while this is open; the arguments are for ``aether serve``.

    What the clients show is left in ``clients.json``: their InitConnection's credentials, and files for TLS.
    """
    mode = suite.removeprefix("connect-")
    if suite in TASKS:
        await seed_tasks(directory / "data", *TASKS[suite])
    if side == "rules":
        await seed_rules(directory / "data")
        yield with_config(directory, {"acl": {"enabled": True}})
    elif mode == "bearer":
        async with open_issuer() as issuer:
            show(directory, [{"credentials": {"authorization": f"Bearer {issuer.token()}"}}] * CLIENTS)
            provider = {"issuer": issuer.url, "audience": AUDIENCE}
            yield with_config(directory, {"auth": {"oauth": {"providers": [provider]}}})
    elif mode in ("api-key", "task-token"):
        config = Config.development(directory / "data")
        async with Gateway(config, listen=False) as gateway:
            show(directory, [{"credentials": credentials(gateway, mode, number)} for number in range(CLIENTS)])
        yield []
    elif mode in ("tls", "mtls"):
        yield secured(directory, mode)
    else:
        show(directory, [{}] * CLIENTS)
        yield []


def with_config(directory: Path, settings: dict[str, Any]) -> list[str]:
    path = directory / "aether.yaml"
    path.write_text(json.dumps(settings))  # which is YAML too
    return ["--config", str(path)]


def show(directory: Path, clients: list[dict[str, Any]]) -> None:
    (directory / "clients.json").write_text(json.dumps(clients))


def identity(number: int) -> str:
    return f"ag::bench::connect::{number}"


def credentials(gateway: Gateway, mode: str, number: int) -> dict[str, str]:
    services = gateway.services
    if mode == "task-token":
        return {"token": services.task_tokens.issue(identity(number), f"task-{number}")}
    key = f"key {number}"
    store = TokenStore(services.tier.records, KeyHasher(hmac_key(gateway.config)), services.wall_clock)
    store.add(Token(key, "", key, "Agent", ("*",), ("*",), "bench", 1, 1), key)
    return {"x-api-key": key}


def secured(directory: Path, mode: str) -> list[str]:
    authority = Authority.load_or_create(directory)
    cert, key = authority.issue_server(directory, [])
    tls: dict[str, Any] = {"cert_file": str(cert), "key_file": str(key), "client_auth": "none"}
    clients: list[dict[str, Any]] = [{"ca_file": str(directory / "ca-cert.pem")} for _ in range(CLIENTS)]
    settings: dict[str, Any] = {"gateway": {"tls": tls}}
    if mode == "mtls":
        tls |= {"ca_file": str(directory / "ca-cert.pem"), "client_auth": "request"}
        settings["auth"] = {"modes": ["mtls"], "mtls": {"required": True}}
        for number, client in enumerate(clients):
            files = authority.issue_client(directory / "clients", identity(number), str(number))
            client["cert_file"], client["key_file"] = map(str, files)
    show(directory, clients)
    return with_config(directory, settings)


async def seed_rules(directory: Path) -> None:
    """Ten thousand rules, and one for each of the agents that are going to talk."""
    async with Database.open(directory, "os") as database:
        engine = RuleEngine(SqliteRecords(database), lambda: time.time_ns() // 1_000_000, lambda: str(uuid.uuid4()))
        for number in range(RULES):
            who = f"ag::ws{number % 100}::impl::{number}"
            engine.grant(Rule("", "agent", who, "workspace", f"ws{number % 100}", 20, "bench"))
        for number in range(50):
            for end in "ab":
                who = f"ag::bench::pair-{number}::{end}"
                engine.grant(Rule("", "agent", who, "workspace", "bench", 20, "bench"))
        await database.wait_durable(database.latest_ticket)


async def seed_tasks(directory: Path, count: int, paused: bool) -> None:
    """Fill the task store as a gateway would have left it."""
    async with Database.open(directory, "os") as database:
        store = SqliteTasks(database)
        now_ms = time.time_ns() // 1_000_000
        for number in range(count):
            task = Task(
                str(uuid.uuid4()), "bench", "ag::bench::seed::s", "seed", created_ms=now_ms, root_task_id="seed"
            )
            task.updated_us = now_ms * 1000 + number
            if paused:
                task.status, task.assigned_to = Status.WAITING_INPUT, task.creator
                task.wait, task.paused_ms = WaitSpec(timeout_ms=3_600_000 + number), now_ms
            else:
                task.status, task.completed_ms = Status.COMPLETED, now_ms
            store.put(task)
            if number % 5000 == 0:
                await database.wait_durable(database.latest_ticket)
                await trio.lowlevel.checkpoint()
        await database.wait_durable(database.latest_ticket)
