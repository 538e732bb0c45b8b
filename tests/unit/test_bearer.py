"""Bearer tokens and key sets of any content: refused in words, never by accident (connection 9.6)."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing
from hypothesis import example, given
from hypothesis import strategies as st
from joserfc.jwk import RSAKey
from tests.support.issuer import AUDIENCE, Issuer

from aether.authentication.bearer import BearerTokens
from aether.authentication.bearer import Issuer as Known
from aether.authentication.jwks import FetchFailed, IssuerKeys, KeyPolicy, _read_keys, _read_object
from aether.authentication.model import Rejected
from aether.errors import StoreUnavailable

ISSUER = Issuer()
TOKEN = ISSUER.token()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
key_fields = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "oct", "OKP", 1])},
    optional={
        "n": st.sampled_from([ISSUER.keys["first"].as_dict()["n"], "AQAB" * 100, "!", 5]),
        "e": st.sampled_from(["AQAB", "AA", "", 3]),
        "crv": st.sampled_from(["P-256", "P-999", "Ed25519"]),
        "x": st.text(max_size=50),
        "y": st.text(max_size=50),
        "use": json_values,
        "key_ops": json_values,
        "alg": json_values,
        "kid": json_values,
    },
)


@asynccontextmanager
async def tokens(fetch: Any) -> AsyncIterator[BearerTokens]:
    keys = IssuerKeys(ISSUER.url, "keys", fetch, KeyPolicy(), lambda url: True)
    bearer = BearerTokens([Known(ISSUER.url, AUDIENCE, keys)], ["RS256"], lambda: time.time_ns() // 1_000_000, skew_s=0)
    async with trio.open_nursery() as nursery:
        await nursery.start(bearer.run)
        yield bearer
        nursery.cancel_scope.cancel()


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@example({"keys": [{"kty": "EC", "crv": "P-999", "x": "", "y": ""}]})
@given(st.dictionaries(st.just("keys"), st.lists(key_fields | json_values, max_size=4) | json_values) | json_values)
def test_any_document_is_a_key_set_or_refused(document: Any) -> None:
    try:
        keys = _read_keys(_read_object(json.dumps(document).encode()))
    except FetchFailed:
        return
    for name, key in keys:
        assert isinstance(name, str)
        assert not key.is_private
        assert key.key_type in ("RSA", "EC")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_document_or_refused(text: bytes) -> None:
    try:
        assert isinstance(_read_object(text), dict)
    except FetchFailed:
        pass


@given(st.integers(0, len(TOKEN) - 1), st.characters())
async def test_a_token_with_any_other_character_is_refused(place: int, character: str) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]

    async def fetch(url: str) -> bytes:
        return ISSUER.publish()

    if changed == TOKEN:
        return
    async with tokens(fetch) as bearer:
        assert (await bearer.verify(TOKEN)).id == "alice"
        try:
            identity = await bearer.verify(changed)
        except Rejected:
            return
    # The last character of a part has bits that stand for nothing.
    assert (identity.id, place) in {("alice", TOKEN.index(".") - 1), ("alice", len(TOKEN) - 1)}


@given(st.text(max_size=300) | st.from_regex(r"[A-Za-z0-9_-]{0,60}[.][A-Za-z0-9_-]{0,60}[.][A-Za-z0-9_-]{0,20}"))
async def test_any_text_is_refused(text: str) -> None:
    async def fetch(url: str) -> bytes:
        raise FetchFailed("no")

    async with tokens(fetch) as bearer:
        with pytest.raises((Rejected, StoreUnavailable)):
            await bearer.verify(text)


def test_no_shared_secret_can_be_configured() -> None:
    for algorithm in ("HS256", "none", "EdDSA", ""):
        with pytest.raises(ValueError, match="not for bearer tokens"):
            BearerTokens([], [algorithm], lambda: 0, skew_s=0)


async def test_a_published_private_key_is_read_as_a_public_one() -> None:
    document = {"keys": [{**RSAKey.generate_key(2048).as_dict(private=True), "kid": "a"}]}
    [(name, key)] = _read_keys(document)
    assert (name, key.is_private) == ("a", False)


async def test_whoever_leaves_does_not_end_the_fetch_for_others(autojump_clock: trio.testing.MockClock) -> None:
    """A client that comes and goes while the issuer is slow, and many that wait."""
    asked = 0

    async def fetch(url: str) -> bytes:
        nonlocal asked
        asked += 1
        await trio.sleep(4)
        return ISSUER.publish()

    async with tokens(fetch) as bearer:
        with trio.move_on_after(1):
            await bearer.verify(TOKEN)
        admitted = []

        async def verify() -> None:
            admitted.append(await bearer.verify(TOKEN))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(verify)
        assert (len(admitted), asked, trio.current_time()) == (50, 1, pytest.approx(4, abs=0.1))


async def test_an_issuer_that_never_answers_holds_nobody_for_longer_than_a_fetch(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """However many wait, they are told together."""

    async def fetch(url: str) -> bytes:
        await trio.sleep(10)
        raise FetchFailed("no answer within 10 s")

    async with tokens(fetch) as bearer, trio.open_nursery() as nursery:

        async def verify() -> None:
            with pytest.raises(StoreUnavailable):
                await bearer.verify(TOKEN)
            assert trio.current_time() < 10.1

        for _ in range(50):
            nursery.start_soon(verify)
