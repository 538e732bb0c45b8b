"""Bearer tokens of a real issuer on the wire (connection 9.6, checklist 63 to 68; weaknesses W-12, W-19)."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, RSAKey
from tests.support.issuer import AUDIENCE, Issuer, open_issuer
from tests.support.wire import Peer, Wire, agent, open_wire, service, task, user

from aether import Config, Gateway, connect_user
from aether.audit.store import Filter
from aether.client import Options, Unauthenticated
from aether.proto import aether_pb2 as pb
from aether.rpc.status import RpcError, StatusCode

DENIED, UNKNOWN, AWAY = StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED, StatusCode.UNAVAILABLE
REFUSED = "credential authentication failed: authentication failed: no OAuth provider accepted the token"


@asynccontextmanager
async def gateway_for(
    path: Path, engine: str, providers: list[dict[str, Any]], modes: tuple[str, ...] = ("oauth",), **oauth: Any
) -> AsyncIterator[tuple[Gateway, Wire]]:
    config = Config.model_validate(
        {
            "gateway": {"port": 0, "ops_port": 0, "engine": engine},
            "storage": {"data_dir": path / "data"},
            "auth": {"modes": modes, "oauth": {"providers": providers, **oauth}},
        }
    )
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with open_wire(gateway.port) as wire:
            yield gateway, wire


def provider(issuer: Issuer, **changes: Any) -> dict[str, Any]:
    return {"issuer": issuer.url, "audience": AUDIENCE, **changes}


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with open_issuer() as issuer:
        yield issuer


@pytest.fixture
async def wire(issuer: Issuer, tmp_path: Path, engine: str) -> AsyncIterator[Wire]:
    async with gateway_for(tmp_path, engine, [provider(issuer)]) as (_, wire):
        yield wire


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No least time between two fetches."""
    monkeypatch.setattr("aether.authentication.jwks.RETRY_S", 0.0)


def bearer(token: str, name: str = "authorization", prefix: str = "Bearer ") -> dict[str, Any]:
    return {"credentials": {name: prefix + token}}


def who(gateway: Gateway) -> set[str]:
    return {session.identity.key for session in gateway.services.directory}


# ----------------------------------------------------------------------------------------------------- who is who


async def test_a_token_says_who_a_user_is(wire: Wire, issuer: Issuer) -> None:
    """63, 64: the window is the client's, so two of them do not collide (W-12)."""
    token = issuer.token()
    for window in ("w1", "w2"):
        await wire.connect(user("alice", window, **bearer(token)))
    await wire.refused(user("bob", **bearer(token)), DENIED, "token principal id mismatch: token=alice, claimed=bob")
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"], "one fetch serves all"


async def test_a_user_need_not_repeat_its_name(issuer: Issuer, tmp_path: Path, engine: str) -> None:
    async with gateway_for(tmp_path, engine, [provider(issuer)]) as (gateway, wire):
        await wire.connect(user("", "w7", **bearer(issuer.token(sub="carol"))))
        assert who(gateway) == {"us::carol::w7"}
        [row] = (await gateway.services.tier.audit.query(Filter(kind="auth"), 10, 0))[1]
        assert (row.operation, row.actor_id) == ("identity_resolved", "us::carol::w7")
        assert json.loads(row.metadata)["subject"] == f"carol by {issuer.url}"
        malformed = user("", **bearer(issuer.token(sub="a::b")))
        await wire.refused(malformed, StatusCode.INVALID_ARGUMENT, 'user_id must not contain "::"')


@pytest.mark.parametrize("name", ["authorization", "bearer_token"])
@pytest.mark.parametrize("prefix", ["Bearer ", "bearer ", ""])
async def test_how_a_token_is_shown(wire: Wire, issuer: Issuer, name: str, prefix: str) -> None:
    """68."""
    await wire.connect(user(**bearer(issuer.token(), name, prefix)))


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (RSAKey.generate_key(2048), "RS512"),
        (RSAKey.generate_key(2048), "PS256"),
        (ECKey.generate_key("P-256"), "ES256"),
        (ECKey.generate_key("P-384"), "ES384"),
        (ECKey.generate_key("P-521"), "ES512"),
    ],
    ids=["RS512", "PS256", "ES256", "ES384", "ES512"],
)
async def test_algorithms(wire: Wire, issuer: Issuer, key: Any, algorithm: str, at_once: None) -> None:
    issuer.keys = {"k": key}
    await wire.connect(user(**bearer(issuer.token("k", header={"alg": algorithm}))))


async def test_claims_are_mapped(issuer: Issuer, tmp_path: Path, engine: str) -> None:
    """66: an issuer vouches for users, agents and tasks, and for nobody who administrates."""
    mapping = {"principal_type": "kind", "identity": "who", "workspace": "where"}
    async with gateway_for(tmp_path, engine, [provider(issuer, claims_mapping=mapping)]) as (gateway, wire):
        worker = issuer.token(kind="Agent", who="anything", where="prod")
        await wire.connect(agent("1", workspace="prod", **bearer(worker)))
        text = "token principal workspace mismatch: token=prod, claimed=other"
        await wire.refused(agent(workspace="other", **bearer(worker)), DENIED, text)
        text = "token principal type mismatch: token=Agent, claimed=User"
        await wire.refused(user(**bearer(worker)), DENIED, text)
        whole = issuer.token(kind="agent", who="ag::prod::worker::7", where=["prod", "test"])
        await wire.connect(agent("7", workspace="prod", implementation="worker", **bearer(whole)))
        text = "token principal id mismatch: token=ag::prod::worker::7, claimed=ag::test::worker::7"
        await wire.refused(agent("7", workspace="test", implementation="worker", **bearer(whole)), DENIED, text)
        pool = issuer.token(kind="task", who="x", where="prod")
        await wire.connect(task(workspace="prod", **bearer(pool)))
        for kind in ("Service", "Orchestrator", "WorkflowEngine", "Bridge", "MetricsBridge", "root", 7):
            token = issuer.token(kind=kind, who="x", where="prod")
            await wire.refused(service(f"s{kind}", **bearer(token)), UNKNOWN, REFUSED)
        for number, where in enumerate((7, {"a": 1}, ["prod", 1], ["w"] * 101)):
            await wire.refused(user("", f"w{number}", **bearer(issuer.token(who="u", where=where))), UNKNOWN, REFUSED)
        await wire.refused(user("", "n1", **bearer(issuer.token(who=""))), UNKNOWN, REFUSED)
        await wire.refused(user("", "n2", **bearer(issuer.token(who=None))), UNKNOWN, REFUSED)
        alice = await wire.connect(user("", "a", **bearer(issuer.token(who="alice", where="prod"))))
        assert [s.identity.workspace for s in gateway.services.directory if s.identity.id == "alice"] == ["prod"]
        sender = await wire.connect(agent("2", workspace="prod", **bearer(worker)))
        sender.send("gu::prod", b"to all users")
        assert await alice.expect_payloads(1) == [b"to all users"]
        await may_move(alice, yes="prod", no="test")
        bob = await wire.connect(user("", "b", **bearer(issuer.token(who="bob", where=["prod", "te*"]))))
        await may_move(bob, yes="prod", no="test")
        nowhere = await wire.connect(user("", "c", **bearer(issuer.token(who="carol", where=[]))))
        await may_move(nowhere, yes="", no="prod")


async def may_move(peer: Peer, *, yes: str, no: str) -> None:
    """Which workspaces a user may switch to."""
    peer.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id=yes))
    await peer.settle()
    peer.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id=no))
    await peer.expect_error("ERR_PERMISSION_DENIED", f"not authorized for workspace {no}")


async def test_issuers_are_told_apart(tmp_path: Path, engine: str) -> None:
    async with open_issuer() as one, open_issuer() as two:
        providers = [provider(one), provider(two), provider(two, audience="second")]
        async with gateway_for(tmp_path, engine, providers) as (_, wire):
            await wire.connect(user("", "1", **bearer(one.token())))
            await wire.connect(user("", "2", **bearer(two.token())))
            await wire.connect(user("", "3", **bearer(two.token(aud=["x", "second"]))))
            await wire.refused(user("", "4", **bearer(one.token(iss=two.url))), UNKNOWN, REFUSED)
            await wire.refused(user("", "5", **bearer(one.token(aud="second"))), UNKNOWN, REFUSED)


# ------------------------------------------------------------------------------------------------- what is refused


def forged(issuer: Issuer, header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token of alice that no library would make."""
    body = {"iss": issuer.url, "aud": AUDIENCE, "sub": "alice", "exp": int(time.time()) + 60}
    text = b".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"kid": "first"} | header, body)
    )
    return (text + b"." + base64.urlsafe_b64encode(sign(text)).rstrip(b"=")).decode()


async def test_what_is_not_a_token_of_the_issuer(wire: Wire, issuer: Issuer) -> None:
    """63: every one of these says that it is alice's."""
    now = int(time.time())
    good = issuer.token()
    head, body, signature = good.split(".")
    key = issuer.keys["first"]
    public = key.as_pem(private=False)
    stranger = Issuer()
    stranger.port = issuer.port  # the same name, other keys
    other = issuer.token(sub="bob").split(".")
    tokens = {
        "expired": issuer.token(exp=now - 31),
        "not yet valid": issuer.token(nbf=now + 60),
        "issued in the future": issuer.token(iat=now + 60),
        "for ever": issuer.token(exp=None),
        "not a time": issuer.token(exp="tomorrow"),
        "never": issuer.token(exp=float("nan")),
        "other audience": issuer.token(aud="another"),
        "no audience": issuer.token(aud=None),
        "audience of its own kind": issuer.token(aud={"aether": True}),
        "other issuer": issuer.token(iss="https://issuer.example"),
        "no issuer": issuer.token(iss=None),
        "issuer with a slash": issuer.token(iss=issuer.url + "/"),
        "other key": stranger.token(),
        "unknown key": stranger.token(header={"kid": "unknown"}),
        "public key as a secret": forged(issuer, {"alg": "HS256"}, lambda text: hmac.digest(public, text, "sha256")),
        "unsigned": forged(issuer, {"alg": "none"}, lambda text: b""),
        "signature cut off": f"{head}.{body}.",
        "other body": f"{head}.{other[1]}.{signature}",
        "other signature": f"{head}.{body}.{other[2]}",
        "unknown critical header": forged(
            issuer,
            {"alg": "RS256", "crit": ["exp2"], "exp2": 1},
            lambda text: key.private_key.sign(text, PKCS1v15(), SHA256()),
        ),
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.x",
        "five parts": f"{head}.{body}.{signature}.x.y",
        "no token": "x",
        "long": good + "x" * 20_000,
        "not ASCII": good[:-1] + "é",
        "a list": base64.urlsafe_b64encode(b"[]").decode() + f".{body}.{signature}",
    }
    for number, (what, token) in enumerate(tokens.items()):
        peer = await wire.open()
        peer.say(init=user("alice", f"{number}", **bearer(token)))
        try:
            await peer.expect_status(UNKNOWN, REFUSED)
        except AssertionError as error:
            raise AssertionError(what) from error
        await peer.abort()
    await wire.connect(user("alice", "w1", **bearer(good)))


async def test_clocks_may_differ_a_little(issuer: Issuer, tmp_path: Path, engine: str) -> None:
    now = int(time.time())
    async with gateway_for(tmp_path, engine, [provider(issuer)], clock_skew="2m") as (_, wire):
        await wire.connect(user("", "1", **bearer(issuer.token(exp=now - 60))))
        await wire.connect(user("", "2", **bearer(issuer.token(nbf=now + 60, iat=now + 60))))
        await wire.refused(user("", "3", **bearer(issuer.token(exp=now - 150))), UNKNOWN, REFUSED)


async def test_tokens_without_an_end_have_to_be_allowed(issuer: Issuer, tmp_path: Path, engine: str) -> None:
    async with gateway_for(tmp_path, engine, [provider(issuer)], require_exp=False) as (_, wire):
        await wire.connect(user(**bearer(issuer.token(exp=None))))


async def test_algorithms_can_be_limited(issuer: Issuer, tmp_path: Path, engine: str, at_once: None) -> None:
    async with gateway_for(tmp_path, engine, [provider(issuer)], algorithms=["ES256"]) as (_, wire):
        await wire.refused(user(**bearer(issuer.token())), UNKNOWN, REFUSED)
        issuer.keys["ec"] = ECKey.generate_key("P-256")
        await wire.connect(user(**bearer(issuer.token("ec"))))


# ------------------------------------------------------------------------------------------------------------- keys


async def test_keys_change(wire: Wire, issuer: Issuer, at_once: None) -> None:
    """65: without a restart, and the old key opens nothing any more once it is known to be gone."""
    old = issuer.token()
    await wire.connect(user("alice", "1", **bearer(old)))
    issuer.keys = {"second": RSAKey.generate_key(2048)}
    await wire.connect(user("alice", "2", **bearer(issuer.token("second"))))
    await wire.refused(user("alice", "3", **bearer(old)), UNKNOWN, REFUSED)


async def test_unknown_keys_are_not_looked_for_all_the_time(wire: Wire, issuer: Issuer) -> None:
    """Whoever makes up names of keys does not make this gateway ask its issuer each time."""
    await wire.connect(user("alice", "w", **bearer(issuer.token())))
    before = len(issuer.asked)
    for number in range(10):
        token = issuer.token(header={"kid": f"made-up-{number}"})
        await wire.refused(user("alice", f"{number}", **bearer(token)), UNKNOWN, REFUSED)
    assert len(issuer.asked) == before, "the keys are a moment old"


async def test_a_token_may_leave_the_key_open_if_there_is_one(wire: Wire, issuer: Issuer, at_once: None) -> None:
    await wire.connect(user("alice", "1", **bearer(issuer.token(None))))
    issuer.keys["second"] = RSAKey.generate_key(2048)
    await wire.connect(user("alice", "2", **bearer(issuer.token("second"))))
    await wire.refused(user("alice", "3", **bearer(issuer.token(None))), UNKNOWN, REFUSED)


async def test_a_configured_key_set_needs_no_discovery(issuer: Issuer, tmp_path: Path, engine: str) -> None:
    elsewhere = provider(issuer, jwks_url=f"{issuer.url}/keys")
    async with gateway_for(tmp_path, engine, [elsewhere]) as (_, wire):
        await wire.connect(user(**bearer(issuer.token())))
        assert set(issuer.asked) == {"/keys"}


@pytest.mark.parametrize(
    "trouble", ["down", "mute", "status", "garbage", "no keys", "weak keys", "huge", "other issuer", "open line"]
)
async def test_an_issuer_that_cannot_be_asked(tmp_path: Path, engine: str, trouble: str, at_once: None) -> None:
    """Nobody gets in, and clients are told to try again; once it is back they get in."""
    async with open_issuer() as issuer:
        port = issuer.port
        match trouble:
            case "down":
                issuer.port = 1
            case "mute":
                issuer.is_mute = True
            case "status":
                issuer.status = 503
            case "garbage":
                issuer.answers["/keys"] = b"<html>"
            case "no keys":
                issuer.answers["/keys"] = b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "first"}, 7]}'
            case "weak keys":
                short = {"kty": "RSA", "kid": "first", "e": "AQAB", "n": issuer.keys["first"].as_dict()["n"][:170]}
                issuer.answers["/keys"] = json.dumps({"keys": [short]}).encode()
            case "huge":
                issuer.answers["/keys"] = issuer.publish() + b" " * 300_000
            case "other issuer":
                document = {"issuer": "https://other.example", "jwks_uri": f"{issuer.url}/keys"}
                issuer.answers["/.well-known/openid-configuration"] = json.dumps(document).encode()
            case "open line":
                document = {"issuer": issuer.url, "jwks_uri": "http://keys.example/keys"}
                issuer.answers["/.well-known/openid-configuration"] = json.dumps(document).encode()
        async with gateway_for(tmp_path, engine, [provider(issuer)], jwks_timeout="300ms") as (_, wire):
            await wire.refused(user("alice", "1", **bearer(issuer.token())), AWAY, "try again")
            if trouble == "down":
                return
            issuer.port, issuer.is_mute, issuer.status, issuer.answers = port, False, 200, {}
            issuer.keys = {"first": RSAKey.generate_key(2048)}
            for number in range(10):  # an attempt to fetch that began before may fail yet
                if await is_admitted(wire, user("alice", f"again-{number}", **bearer(issuer.token()))):
                    return
            raise AssertionError("never admitted")


async def is_admitted(wire: Wire, init: pb.InitConnection) -> bool:
    """If not, then because the issuer is away."""
    peer = await wire.open()
    peer.say(init=init)
    try:
        await peer.expect("connection_ack")
    except RpcError as error:
        assert error.code is AWAY
        return False
    return True


async def test_known_keys_are_good_while_the_issuer_is_away(
    issuer: Issuer, tmp_path: Path, engine: str, at_once: None
) -> None:
    settings = {"jwks_max_age": "1500ms", "jwks_refresh": "100ms"}
    async with gateway_for(tmp_path, engine, [provider(issuer)], **settings) as (_, wire):
        await wire.connect(user("alice", "1", **bearer(issuer.token())))
        issuer.status = 500
        await trio.sleep(0.3)
        await wire.connect(user("alice", "2", **bearer(issuer.token())))
        new = issuer.token(header={"kid": "perhaps-new"})
        await wire.refused(user("alice", "3", **bearer(new)), AWAY, "try again")
        await trio.sleep(1.6)
        await wire.refused(user("alice", "4", **bearer(issuer.token())), AWAY, "try again")


async def test_many_who_come_at_once_share_one_fetch(issuer: Issuer, tmp_path: Path, engine: str) -> None:
    async with gateway_for(tmp_path, engine, [provider(issuer)]) as (_, wire), trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(wire.connect, user("alice", f"{number}", **bearer(issuer.token())))
    assert len(issuer.asked) == 2


async def test_an_issuer_with_certificates_of_its_own(tmp_path: Path, engine: str) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    for name, ca in (("right", authority), ("wrong", stranger)):
        ca.cert_pem.write_to_path(str(tmp_path / f"{name}.pem"))
    async with open_issuer(context) as issuer:
        for name, admitted in (("right", True), ("wrong", False)):
            trusted = provider(issuer, ca_file=str(tmp_path / f"{name}.pem"))
            async with gateway_for(tmp_path / name, engine, [trusted]) as (_, wire):
                if admitted:
                    await wire.connect(user(**bearer(issuer.token())))
                else:
                    await wire.refused(user(**bearer(issuer.token())), AWAY, "try again")


# --------------------------------------------------------------------------------------------------------- sessions


async def test_a_session_ends_with_its_token(issuer: Issuer, tmp_path: Path, engine: str) -> None:
    """W-19."""
    async with gateway_for(tmp_path, engine, [provider(issuer)], clock_skew="0") as (_, wire):
        token = issuer.token(exp=int(time.time()) + 2)
        peer = await wire.connect(user(**bearer(token)))
        longer = await wire.connect(user("alice", "w2", **bearer(issuer.token())))
        await peer.expect_status(UNKNOWN, "bearer token expired")
        await wire.refused(user(**bearer(token)), UNKNOWN, REFUSED)
        await longer.settle()


async def test_sessions_may_be_allowed_to_outlive_their_token(issuer: Issuer, tmp_path: Path, engine: str) -> None:
    async with gateway_for(tmp_path, engine, [provider(issuer)], clock_skew="0", end_sessions=False) as (_, wire):
        token = issuer.token(exp=int(time.time()) + 2)
        peer = await wire.connect(user(**bearer(token)))
        await trio.sleep(2.5)
        await peer.settle()
        await wire.refused(user("alice", "w2", **bearer(token)), UNKNOWN, REFUSED)


async def test_the_trio_client_brings_a_new_token(issuer: Issuer, tmp_path: Path, engine: str) -> None:
    """Credentials that are asked for: a session whose token runs out is opened again, until there is no new one."""
    shown: list[str] = []

    async def credentials() -> dict[str, str]:
        fresh = issuer.token(exp=int(time.time()) + 3) if len(shown) < 2 else shown[-1]
        shown.append(fresh)
        return {"authorization": f"Bearer {fresh}"}

    async def stay(address: str) -> None:
        options = Options(credentials=credentials, attempts_max=1)
        async with connect_user(address, user_id="alice", window_id="w1", options=options) as me:
            await anext(me)

    async with gateway_for(tmp_path, engine, [provider(issuer)], clock_skew="0") as (gateway, _):
        with trio.fail_after(30), pytest.raises(Unauthenticated, match="no OAuth provider accepted the token"):
            await stay(f"127.0.0.1:{gateway.port}")
    assert len(shown) == 3, "the second was admitted, the third is the second"
