"""The chain of credentials without a network: which one wins, how attempts are counted (connection 9.1, 9.7, 9.8)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.fakes import WallClock

from aether.audit.events import Event, NoAudit
from aether.authentication.chain import CredentialChain
from aether.authentication.model import (
    Admission,
    Attempt,
    Denied,
    NotAuthenticated,
    Rejected,
    TaskBinding,
    TokenIdentity,
)
from aether.authentication.throttle import COOLDOWN_S
from aether.errors import StoreUnavailable
from aether.gateway.authenticator import source_of
from aether.identity import PrincipalType, parse_identity
from aether.storage.memory.records import MemoryRecords
from aether.tokens.keys import KeyHasher
from aether.tokens.store import Token, TokenStore

ALICE = parse_identity("us::alice::w1")
HOME, ELSEWHERE = "10.0.0.1", "10.0.0.2"


class Rows(NoAudit):
    def __init__(self) -> None:
        self.rows: list[Event] = []
        self.full = False

    def record(self, event: Event) -> None:
        if self.full:
            raise StoreUnavailable("disk full")
        self.rows.append(event)


class Issuers:
    """Believes tokens that begin with ``good``; ``away`` is one whose issuer does not answer."""

    async def verify(self, token: str) -> TokenIdentity:
        if token == "away":
            raise StoreUnavailable("issuer away")
        if not token.startswith("good"):
            raise Rejected("no")
        return TokenIdentity(PrincipalType.USER, "alice", None, False, 7_000, "issuer")


class Tasks:
    def find(self, token: str) -> TaskBinding | None:
        return TaskBinding("task-1", ALICE.key) if token == "task" else None


class Chain:
    """A chain with a key for alice, and a clock to move."""

    def __init__(self, *modes: str, **options: Any) -> None:
        self.now = 0.0
        self.rows = Rows()
        self.tokens = TokenStore(MemoryRecords(), KeyHasher(b"k" * 32), WallClock())
        self.tokens.add(Token("id", "", "n", "User", (), (), "alice", 1, 1, expires_ms=1_800_000_000_000), "key")
        self.chain = CredentialChain(
            modes or ("api_key", "oauth"),
            self.tokens,
            bearer=Issuers(),
            task_tokens=Tasks(),
            recorder=self.rows,
            clock=lambda: self.now,
            **options,
        )

    async def admit(self, source: str = HOME, identity: str = ALICE.key, **options: Any) -> Admission:
        flags = {name: options.pop(name) for name in ("has_certificate", "in_process") if name in options}
        names = {"authorization": "authorization", "key": "x-api-key", "token": "token", "api_key": "api_key"}
        credentials = {names[name]: value for name, value in options.items()}
        return await self.chain.admit(Attempt(parse_identity(identity), source, credentials, **flags))

    async def refused(self, source: str = HOME, **options: Any) -> str:
        with pytest.raises((NotAuthenticated, Denied)) as error:
            await self.admit(source, **options)
        return str(error.value)


@pytest.mark.parametrize(
    ("credentials", "method"),
    [
        ({"token": "task", "key": "key", "authorization": "good"}, "task_token"),
        ({"token": "task", "key": "wrong"}, "task_token"),
        ({"key": "key", "authorization": "good"}, "api_key"),
        ({"key": "key", "authorization": "wrong"}, "api_key"),
        ({"key": "wrong", "authorization": "Bearer good"}, "oauth"),
        ({"api_key": "key", "key": "wrong"}, "api_key"),
        ({"authorization": "good"}, "oauth"),
        ({"has_certificate": True}, "mtls"),
        ({"has_certificate": True, "key": "key"}, "mtls"),
        ({"has_certificate": True, "authorization": "good"}, "mtls"),
        ({"has_certificate": True, "token": "task"}, "task_token"),
        ({"in_process": True}, "in_process"),
    ],
)
async def test_which_credential_wins(credentials: dict[str, Any], method: str) -> None:
    """Connection 9.7: a task token is final, then the first that is accepted."""
    assert (await Chain().admit(**credentials)).method == method


@pytest.mark.parametrize(
    ("credentials", "text"),
    [
        ({"token": "wrong", "key": "key"}, "token not found"),
        ({"key": "wrong", "authorization": "wrong"}, "no OAuth provider accepted the token"),
        ({"api_key": "wrong", "key": "key"}, "invalid API key"),
        ({"has_certificate": True, "key": "wrong"}, "invalid API key"),
        ({"has_certificate": True, "authorization": "wrong"}, "no OAuth provider accepted the token"),
        ({"in_process": True, "key": "wrong"}, "invalid API key"),
        ({"identity": "us::bob::w1", "key": "key", "authorization": "good"}, "API key principal id mismatch"),
        ({"key": " "}, "requires a matching API key credential"),
        ({}, "requires a matching API key credential"),
    ],
)
async def test_what_no_other_credential_makes_good(credentials: dict[str, Any], text: str) -> None:
    """A certificate or our own process does not make a wrong credential right; a key for somebody else is final."""
    assert text in await Chain().refused(**credentials)


async def test_methods_that_are_off_admit_nobody() -> None:
    assert "invalid API key" in await Chain("oauth").refused(key="key")
    assert "no OAuth provider" in await Chain("api_key").refused(authorization="good")
    assert "no authenticator is configured" in await Chain("mtls").refused()
    assert (await Chain("mtls").admit(has_certificate=True)).method == "mtls"
    assert (await Chain("mtls").admit(token="task")).task_id == "task-1"


async def test_a_session_has_the_end_of_its_credential() -> None:
    chain = Chain()
    assert (await chain.admit(key="key")).expires_ms == 1_800_000_000_000
    assert (await chain.admit(has_certificate=True, key="key")).expires_ms == 1_800_000_000_000
    assert (await chain.admit(authorization="good")).expires_ms == 7_000
    assert (await chain.admit(has_certificate=True, authorization="good")).expires_ms == 7_000
    assert (await Chain(end_expired=False).admit(authorization="good")).expires_ms == 0


async def test_an_issuer_that_is_away_decides_nothing() -> None:
    """Neither admitted nor counted as a failure."""
    chain = Chain()
    for _ in range(10):
        with pytest.raises(StoreUnavailable):
            await chain.admit(authorization="away")
    assert (await chain.admit(key="key", authorization="away")).method == "api_key"


async def test_strangers_lock_nobody_out() -> None:
    """W-21: failures elsewhere for an identity do not count against whoever holds its key."""
    chain = Chain()
    for _ in range(10):
        await chain.refused(ELSEWHERE, key="guess")
    assert "throttled" in await chain.refused(ELSEWHERE, key="key")
    assert (await chain.admit(HOME, key="key")).method == "api_key"
    chain.now += COOLDOWN_S
    assert (await chain.admit(ELSEWHERE, key="key")).method == "api_key"


@pytest.mark.parametrize("right", [{"key": "key"}, {"token": "task"}, {"authorization": "good"}])
async def test_whoever_gets_in_has_all_attempts_again(right: dict[str, str]) -> None:
    """Connection 62."""
    chain = Chain()
    for _ in range(3):
        for _ in range(4):
            assert "throttled" not in await chain.refused(key="guess")
        await chain.admit(**right)


async def test_a_wrong_claim_counts_like_a_wrong_credential() -> None:
    """Or whoever has one token finds out which names exist at its leisure."""
    chain = Chain()
    for _ in range(5):
        assert "mismatch" in await chain.refused(identity="us::bob::w1", authorization="good")
    assert "throttled" in await chain.refused(identity="us::bob::w1", authorization="good")


async def test_who_keeps_trying_does_not_fill_the_audit_log() -> None:
    """Connection 95: the failures, and one row of each cooldown."""
    chain = Chain()
    for _ in range(500):
        await chain.refused(key="guess")
    assert [row.metadata["reason"] for row in chain.rows.rows] == ["credential_auth_failed"] * 5 + [
        "auth_throttle_engaged"
    ]
    assert {row.metadata["source"] for row in chain.rows.rows} == {HOME}
    chain.now += COOLDOWN_S
    for _ in range(500):
        await chain.refused(key="guess")
    assert len(chain.rows.rows) == 12


async def test_a_refusal_that_cannot_be_recorded_is_not_one() -> None:
    chain = Chain()
    chain.rows.full = True
    with pytest.raises(StoreUnavailable):
        await chain.admit(key="guess")


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("10.1.2.3:4567", "10.1.2.3"),
        ("[2001:db8::1:2:3]:4567", "2001:db8::/64"),
        ("2001:db8::1:2:3:4567", "2001:db8::/64"),
        ("somewhere", "somewhere"),
    ],
)
def test_whose_failures_are_counted_together(address: str, source: str) -> None:
    """A whole network of IPv6 addresses belongs to one."""
    assert source_of(address) == source
