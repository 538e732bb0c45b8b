"""Names in certificates, throttling and the chain of credentials (connection 9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aether.authentication.common_names import parse_name, settle_identity
from aether.authentication.model import Denied, NotAuthenticated
from aether.authentication.throttle import COOLDOWN_S, ENTRIES_MAX, WINDOW_S, Throttle
from aether.identity import Identity, InvalidIdentity, PrincipalType, parse_identity
from aether.storage.memory.records import MemoryRecords
from aether.tokens.keys import KeyHasher, load_hmac_key, new_key
from aether.tokens.store import Token, TokenStore

AGENT = parse_identity("ag::w::i::s")

NAMES = {
    "ag::w::i::s": AGENT,
    "tu::w::i::s": parse_identity("tu::w::i::s"),
    "ta::w::i::s": parse_identity("tu::w::i::s"),
    "us::alice::w1": parse_identity("us::alice::w1"),
    "orc::o::s": parse_identity("orc::o::s"),
    "wfe::anything": parse_identity("wfe::shard0"),
    "metrics::x": parse_identity("metrics::shard0"),
    "br::b::s": parse_identity("br::b::s"),
    "sv::x::s": parse_identity("sv::x::s"),
}


def never() -> Identity:
    raise AssertionError("the claim is not asked for")


@pytest.mark.parametrize(("name", "identity"), NAMES.items())
def test_a_whole_name_needs_no_claim(name: str, identity: Identity) -> None:
    assert settle_identity(name, "strict", never) == identity


@pytest.mark.parametrize(
    ("name", "fits", "other"),
    [
        ("ga::w", "ag::w::any::one", "ag::v::any::one"),
        ("tb::w::i", "tu::w::i::s", "tu::w::j::s"),
        ("ta::w::i", "ta::w::i::id7", "ta::w::j::id7"),
        ("gu::w", "us::alice::w1", "ag::w::i::s"),
        ("orc::o", "orc::o::x", "orc::p::x"),
    ],
)
def test_an_open_name_is_a_frame_for_the_claim(name: str, fits: str, other: str) -> None:
    """W-31: no identity ever has a wildcard in it."""
    assert settle_identity(name, "strict", lambda: parse_identity(fits)) == parse_identity(fits)
    with pytest.raises(Denied, match="mismatch: cert="):
        settle_identity(name, "strict", lambda: parse_identity(other))


@pytest.mark.parametrize(
    ("name", "claim", "text"),
    [
        ("ag::w::i::s", "tu::w::i::s", "principal type mismatch: cert=Agent, claimed=Task"),
        ("ag::w::i::s", "ag::v::i::s", "workspace mismatch: cert=w, claimed=v"),
        ("ag::w::i::s", "ag::w::j::s", "implementation mismatch: cert=i, claimed=j"),
        ("us::alice::w1", "us::bob::w1", "user id mismatch: cert=alice, claimed=bob"),
    ],
)
def test_semi_strict_binds_all_but_the_specifier(name: str, claim: str, text: str) -> None:
    """W-14: the user id too."""
    with pytest.raises(Denied) as error:
        settle_identity(name, "semi-strict", lambda: parse_identity(claim))
    assert str(error.value) == text


def test_semi_strict_takes_the_specifier_of_the_claim() -> None:
    assert settle_identity("ag::w::i::s", "semi-strict", lambda: parse_identity("ag::w::i::x")).specifier == "x"
    assert settle_identity("us::alice::w1", "semi-strict", lambda: parse_identity("us::alice::w2")).specifier == "w2"


def test_relaxed_binds_the_type() -> None:
    assert settle_identity("ag", "relaxed", lambda: AGENT) == AGENT
    with pytest.raises(Denied) as error:
        settle_identity("sv", "relaxed", lambda: AGENT)
    assert str(error.value) == (
        "identity mismatch: identity type mismatch: certificate confirms Service but InitConnection provides Agent"
    )


@given(st.text(max_size=20), st.sampled_from(["strict", "semi-strict", "relaxed"]))
def test_any_name_is_an_identity_or_refused(name: str, mode: str) -> None:
    try:
        identity = settle_identity(name, mode, lambda: AGENT)  # type: ignore[arg-type]
    except (NotAuthenticated, Denied):
        return
    assert "*" not in identity.key


@given(st.from_regex(r"(ag|tu|ta|us|orc|wfe|metrics|br|sv|ga|gu|tb)(::[a-z*> ]{0,3}){0,4}", fullmatch=True))
def test_names_never_smuggle_what_identifiers_forbid(name: str) -> None:
    try:
        parsed = parse_name(name)
    except InvalidIdentity:
        return
    if parsed.is_whole and parsed.kind not in (PrincipalType.WORKFLOW_ENGINE, PrincipalType.METRICS_BRIDGE):
        assert not set(parsed.identity().key) & set("*> ")


class Throttling(RuleBasedStateMachine):
    """Five failures within the window block for the cooldown; a plain list of times says the same."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.throttle = Throttle(5, lambda: self.now)
        self.failures: list[float] = []
        self.blocked_until = 0.0

    @rule(seconds=st.sampled_from([0.5, 5, 29, 31]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def fail(self) -> None:
        if self.throttle.blocks("x"):
            return  # such attempts are refused before anything is checked
        if self.failures and (self.now - self.failures[0] > WINDOW_S or self.blocked_until):
            self.failures = []
            self.blocked_until = 0.0
        self.failures.append(self.now)
        began = self.throttle.fail("x")
        assert began == (len(self.failures) >= 5)
        if began:
            self.blocked_until = self.now + COOLDOWN_S

    @rule()
    def succeed(self) -> None:
        if not self.throttle.blocks("x"):
            self.throttle.succeed("x")
            self.failures = []
            self.blocked_until = 0.0

    @invariant()
    def blocks_exactly_in_the_cooldown(self) -> None:
        assert self.throttle.blocks("x") == (self.now < self.blocked_until)
        assert not self.throttle.blocks("y")


TestThrottling = Throttling.TestCase


def test_the_table_of_failures_stays_small_and_keeps_the_blocked() -> None:
    throttle = Throttle(2, lambda: 0.0)
    for _ in range(2):
        throttle.fail("blocked")
    for number in range(3 * ENTRIES_MAX):
        throttle.fail(f"other{number}")
    assert throttle.blocks("blocked")
    assert len(throttle._records) <= ENTRIES_MAX + 1


def test_keys_are_long_and_only_their_hash_is_kept() -> None:
    hasher = KeyHasher(b"k" * 32)
    key = new_key()
    assert len(key) == 44
    assert key != new_key()
    assert len(hasher.hash(key)) == 64
    assert hasher.matches(key, hasher.hash(key))
    assert not hasher.matches(new_key(), hasher.hash(key))
    assert hasher.hash(key) != KeyHasher(b"l" * 32).hash(key)


@given(st.text(max_size=600))
def test_any_text_can_be_hashed(text: str) -> None:
    assert len(KeyHasher(b"k").hash(text)) == 64


def test_the_servers_key_is_made_once(tmp_path) -> None:
    first = load_hmac_key("", tmp_path / "data")
    assert load_hmac_key("", tmp_path / "data") == first
    assert len(first) >= 32
    assert (tmp_path / "data/token-hmac-key").stat().st_mode & 0o777 == 0o600
    assert load_hmac_key("configured" * 4, tmp_path / "data") == b"configured" * 4
    (tmp_path / "data/token-hmac-key").write_bytes(b"")
    with pytest.raises(OSError, match="not a key of 32 characters"):
        load_hmac_key("", tmp_path / "data")


def test_the_servers_key_can_be_changed() -> None:
    """W-34: what is stored under an old key works, and is stored under the new one when it is used."""
    records = MemoryRecords()
    old, new = b"o" * 32, b"n" * 32
    token = Token("id", "", "n", "Agent", (), (), "x", 1, 1)
    TokenStore(records, KeyHasher(old), lambda: 1).add(token, "key")
    assert TokenStore(records, KeyHasher(new), lambda: 1).find("key") is None
    between = TokenStore(records, KeyHasher(new, [b"x" * 32, old]), lambda: 1)
    assert between.find("wrong") is None
    for _ in range(2):
        found = between.find("key")
        assert found is not None
        assert found.id == "id"
    assert len(between.all()) == 1
    after = TokenStore(records, KeyHasher(new), lambda: 1).find("key")
    assert after is not None
    assert TokenStore(records, KeyHasher(old), lambda: 1).find("key") is None
