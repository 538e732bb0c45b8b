"""Task tokens on the wire, and what making them asks for (connection 9.4, tasks 3.7, acl 51)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio.testing
from tests.support.access import Admin
from tests.support.tokens import ADMIN_KEY, ask_tokens, create_token, first_token, with_key
from tests.support.wire import Wire, agent, open_wire, service, task
from tests.unit.fakes import WallClock

from aether import Config, Gateway
from aether.gateway.session import Session
from aether.proto import aether_pb2 as pb
from aether.rpc.status import StatusCode

DENIED, UNKNOWN = StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED
ME = "ag::w::i::s"


def settings(tmp_path: Path, engine: str, grace: str = "0s") -> Config:
    return Config.model_validate(
        {
            "gateway": {"port": 0, "ops_port": 0, "engine": engine},
            "storage": {"data_dir": tmp_path / "data"},
            "auth": {"modes": ["api_key"], "task_session_grace": grace},
        }
    )


@pytest.fixture
async def gateway(tmp_path: Path, engine: str) -> AsyncIterator[Gateway]:
    config = settings(tmp_path, engine)
    async with Gateway(config) as seeding:
        first_token(seeding)
    async with Gateway(config) as gateway:
        yield gateway


@pytest.fixture
def admin(admin_with_key: Admin) -> Admin:
    return admin_with_key


def with_token(token: str) -> dict[str, dict[str, str]]:
    return {"credentials": {"token": token}}


def session_of(gateway: Gateway, identity: str) -> Session:
    session = gateway.services.directory.holder(identity)
    assert session is not None
    return session


async def test_a_token_admits_its_identity_for_its_task(wire: Wire, gateway: Gateway) -> None:
    """51; tasks 25: any number of times, also after a restart of the gateway; the session knows its task."""
    token = gateway.services.task_tokens.issue(ME, "task-1")
    assert len(token) == 44
    for _ in range(2):
        peer = await wire.connect(agent(**with_token(token)))
        assert session_of(gateway, ME).task_id == "task-1"
        await peer.close()
    other = agent("other", **with_token(token))
    await wire.refused(other, DENIED, f"token issued for {ME}, not ag::w::i::other")
    await wire.refused(service(**with_token(token)), DENIED, f"token issued for {ME}, not sv::i::s")


@pytest.mark.parametrize("credential", ["token", "task_token"])
async def test_both_names_of_the_credential_are_bound(wire: Wire, gateway: Gateway, credential: str) -> None:
    """W-8: a token under its other name admitted whoever had one."""
    token = gateway.services.task_tokens.issue("tu::w::i::t", "task-1")
    await wire.refused(agent(credentials={credential: token}), DENIED, "token issued for tu::w::i::t, not ag::w::i::s")
    await wire.connect(task("t", credentials={credential: token}))


async def test_tokens_outlive_the_gateway(tmp_path: Path, engine: str) -> None:
    config = settings(tmp_path, engine)
    async with Gateway(config) as gateway:
        live = gateway.services.task_tokens.issue(ME, "task-1")
        revoked = gateway.services.task_tokens.issue("ag::w::i::gone", "task-2")
        gateway.services.task_tokens.revoke_task("task-2")
    async with Gateway(config) as gateway:
        found = gateway.services.task_tokens.find(live)
        assert found is not None
        assert (found.task_id, found.identity, found.is_revoked) == ("task-1", ME, False)
        again = gateway.services.task_tokens.find(revoked)
        assert again is not None
        assert again.is_revoked
        content = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir())
    assert b"task-1" in content
    assert live.encode() not in content, "W-35: only the hash is kept"


async def test_a_token_ends_with_its_task(wire: Wire, gateway: Gateway) -> None:
    """51; W-18: the sessions it opened too. A bad token is final, whatever else is in the map."""
    tokens = gateway.services.task_tokens
    token, second = tokens.issue(ME, "task-1"), tokens.issue("ag::w::i::two", "task-1")
    peer = await wire.connect(agent(**with_token(token)))
    bystander = await wire.connect(agent("three", **with_token(tokens.issue("ag::w::i::three", "task-2"))))
    assert tokens.revoke_task("task-1") == 2
    signal = await peer.expect("signal")
    assert signal.type == pb.Signal.FORCE_DISCONNECT
    await peer.expect_status(UNKNOWN, "task token revoked: the task has ended")
    text = "invalid or revoked token: token has been revoked"
    await wire.refused(agent(**with_token(token)), UNKNOWN, text)
    await wire.refused(agent("two", credentials={"token": second, "x-api-key": ADMIN_KEY}), UNKNOWN, text)
    await bystander.settle()
    assert tokens.revoke_task("task-1") == 0, "once is enough"


async def test_a_worker_may_say_goodbye_after_its_task(tmp_path: Path, engine: str) -> None:
    """Its session goes on for the grace; one of a retry within it is another matter."""
    async with Gateway(settings(tmp_path, engine, grace="300ms")) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            tokens = gateway.services.task_tokens
            peer = await wire.connect(agent(**with_token(tokens.issue(ME, "task-1"))))
            leaving = await wire.connect(agent("two", **with_token(tokens.issue("ag::w::i::two", "task-1"))))
            tokens.revoke_task("task-1")
            await peer.settle()
            await peer.close()
            again = await wire.connect(agent(**with_token(tokens.issue(ME, "task-1"))))
            await leaving.expect("signal")
            await leaving.expect_status(UNKNOWN, "task token revoked")
            await again.settle()


@pytest.mark.parametrize("moment", ["before the task ends", "in the grace"])
async def test_sessions_end_with_their_task_also_when_the_clock_is_set_back(
    tmp_path: Path, engine: str, clock: WallClock, moment: str
) -> None:
    async with Gateway(settings(tmp_path, engine, grace="300ms"), wall_clock=clock) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            tokens = gateway.services.task_tokens
            peer = await wire.connect(agent(**with_token(tokens.issue(ME, "task-1"))))
            await trio.testing.wait_all_tasks_blocked()
            if moment == "before the task ends":
                clock.advance(-3600)
            tokens.revoke_task("task-1")
            if moment == "in the grace":
                await trio.testing.wait_all_tasks_blocked()
                clock.advance(-3600)
            await peer.expect("signal")
            await peer.expect_status(UNKNOWN, "task token revoked")


async def test_unknown_tokens_open_nothing(wire: Wire, gateway: Gateway) -> None:
    await wire.refused(agent(**with_token("x" * 44)), UNKNOWN, "invalid or revoked token: token not found")
    for _ in range(4):
        await wire.refused(agent(**with_token("x" * 44)), UNKNOWN, "token not found")
    token = gateway.services.task_tokens.issue(ME, "task-1")
    await wire.refused(agent(**with_token(token)), UNKNOWN, "auth temporarily throttled after repeated failures")


async def test_who_gets_a_token_for_whom(wire: Wire, admin: Admin, gateway: Gateway) -> None:
    """Tasks 25 to 27: MANAGE on the workspace of the target, or on the implementation of a service."""
    tokens = gateway.services.task_tokens
    await wire.connect(agent(**with_token(tokens.issue(ME, "task-0"))))
    caller = session_of(gateway, ME)
    for target in (ME, "sv::x::1", "ag::_system::i::s", "us::alice::w1", "nonsense", "", "ag::::i::s"):
        assert tokens.issue_for(caller, target, "task-1") == "", target
    await admin.grant(("agent", ME), ("workspace", "w"), 30)
    await admin.grant(("agent", ME), ("workspace", "_system"), 50)
    assert tokens.issue_for(caller, "sv::x::1", "task-1") == "", "a workspace says nothing about services"
    assert tokens.issue_for(caller, "ag::_system::i::s", "task-1") == "", "never"
    token = tokens.issue_for(caller, " ag::w::other::1 ", "task-1")
    binding = tokens.find(token)
    assert binding is not None
    assert (binding.identity, binding.task_id) == ("ag::w::other::1", "task-1")
    await admin.grant(("agent", ME), ("service_impl", "x"), 30)
    assert tokens.issue_for(caller, "sv::x::1", "task-1")
    await admin.grant(("agent", ME), ("workspace", "w"), 20)
    assert tokens.issue_for(caller, "ag::w::other::1", "task-1") == ""
    admin.peer.say(audit_query=pb.AuditQuery(request_id="q", event_type="task", operation="task_token_issue"))
    rows = [(row.success, row.error_message) for row in reversed((await admin.peer.expect("audit_response")).entries)]
    assert rows == [
        (True, ""),  # the caller's own
        (False, "MANAGE on workspace w is needed"),
        (False, "MANAGE on service_impl x is needed"),
        (False, "nobody gets tokens for the system's workspace"),
        (False, "the target has no workspace"),
        (False, "not an identity string"),
        (False, "not an identity string"),
        (False, "the target has no workspace"),
        (False, "MANAGE on service_impl x is needed"),
        (False, "nobody gets tokens for the system's workspace"),
        (True, ""),
        (True, ""),
        (False, "MANAGE on workspace w is needed"),
    ]


@pytest.mark.parametrize("what", ["task token", "API key", "rule"])
async def test_what_ends_during_a_handshake_ends_the_session(
    wire: Wire, admin: Admin, gateway: Gateway, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Revoked after the check and before the session can be found by those who end sessions."""
    tokens = gateway.services.task_tokens
    made = await create_token(admin, "Agent")
    acquire = gateway.services.locks.acquire

    async def acquire_late(*args: Any) -> Any:
        lock = await acquire(*args)
        match what:
            case "task token":
                tokens.revoke_task("task-1")
            case "API key":
                await ask_tokens(admin.peer, pb.TokenOperation.REVOKE, token_id=made.created_token.id)
            case "rule":
                await admin.grant(("agent", ME), ("workspace", "w"), 0)
        await trio.testing.wait_all_tasks_blocked(0.05)
        return lock

    monkeypatch.setattr(gateway.services.tier.locks, "acquire", acquire_late)
    if what == "task token":
        init = agent(**with_token(tokens.issue(ME, "task-1")))
    else:
        init = agent(**with_key(made.plaintext_token))
    if what == "rule":
        await wire.refused(init, DENIED, "access denied: ")
    else:
        await wire.refused(init, UNKNOWN, "API key revoked or expired" if what == "API key" else "task token revoked")
