"""What is remembered of texts that clients choose is bounded in bytes, not only in number."""

from __future__ import annotations

from aether.acl import patterns
from aether.audit import trail
from aether.identity import _parse_known, parse_identity

LONG = "x" * 10_000


def test_long_texts_are_not_remembered() -> None:
    known = (_parse_known, patterns._compile_known, trail._is_known_secret)
    before = [cached.cache_info().currsize for cached in known]
    assert parse_identity(f"ag::w::i::{LONG}").specifier == LONG
    assert patterns.compile_pattern(f"{LONG}*")(LONG)
    assert trail.redact({f"password{LONG}": "p", LONG: "p"}) == {f"password{LONG}": trail.REDACTED, LONG: "p"}
    assert [cached.cache_info().currsize for cached in known] == before
