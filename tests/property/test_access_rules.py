"""The compiled decision equals a plain model of it, on any rules and any history of changes (acl 5.1)."""

from __future__ import annotations

import fnmatch
import itertools
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.fakes import WallClock

from aether.acl.engine import RuleEngine, Semantics
from aether.acl.model import SEEDED_FALLBACKS, Edge, InvalidRule, Rule, is_glob, wildcard_of
from aether.acl.patterns import compile_pattern, covers, literal_prefix
from aether.storage.memory.records import MemoryRecords

USERS = ("al", "alice", "bob")
GROUPS = ("devs", "ops", "all")
WORKSPACES = ("prod-1", "prod-2", "dev", "a/b", "*")

subjects = st.one_of(
    st.tuples(st.just("user"), st.sampled_from((*USERS, "al*", "?ob"))),
    st.tuples(st.just("group"), st.sampled_from((*GROUPS, "d*"))),
    st.tuples(st.just("role"), st.sampled_from(GROUPS)),
    st.tuples(st.just("wildcard"), st.just("_any_authenticated_user")),
)
objects = st.tuples(st.just("workspace"), st.sampled_from((*WORKSPACES, "prod-*", "?ev")))
levels = st.sampled_from((0, 10, 20, 30, 40, 50))
lives = st.sampled_from((0, 0, 0, 1, 50))


def model(rules, edges, now_ms, user, workspace, semantics):
    """The twenty lines: subjects, five tiers, fallback."""
    who, grown = {f"user:{user}"}, True
    while grown:
        found = {f"{e.kind}:{e.name}" for e in edges if f"{e.member_type}:{e.member_id}" in who and alive(e, now_ms)}
        grown, who = not found <= who, who | found
    wildcard = wildcard_of("user")
    asked, any_ = f"workspace:{workspace}", "workspace:*"
    live = [(f"{r.principal_type}:{r.principal_id}", f"{r.resource_type}:{r.resource_id}", r) for r in rules]
    live = [(s, o, r) for s, o, r in live if alive(r, now_ms)]
    literal = [(s, o, r) for s, o, r in live if not r.is_pattern]
    seen = who | {wildcard} if semantics.wildcards_match_patterns else who
    tiers = [
        [r for s, o, r in literal if s in who and o == asked],
        [r for s, o, r in literal if s == wildcard and o == asked],
        [r for s, o, r in literal if s in who and o == any_],
        [r for s, o, r in literal if s == wildcard and o == any_],
        [r for s, o, r in live if r.is_pattern and glob(o, asked) and any(glob(s, name) for name in seen)],
    ]
    if semantics.none_denies and any(r.level == 0 for r in itertools.chain(*tiers)):
        return 0
    decisive = next((tier for tier in tiers if tier), None)
    return max(r.level for r in decisive) if decisive else SEEDED_FALLBACKS["user_workspace"]


def alive(thing, now_ms):
    return thing.expires_ms == 0 or now_ms < thing.expires_ms


def glob(pattern, text):
    """Without classes and escapes this is what fnmatch does, slashes apart."""
    parts, names = pattern.split("/"), text.split("/")
    return len(parts) == len(names) and all(map(fnmatch.fnmatchcase, names, parts))


class AccessRules(RuleBasedStateMachine):
    """Any history of grants, revocations, memberships and passing time, before and after a restart."""

    @initialize(none_denies=st.booleans(), wildcards=st.booleans())
    def start(self, none_denies, wildcards):
        self.semantics = Semantics(none_denies, wildcards)
        self.records = MemoryRecords()
        self.clock = WallClock()
        self.ids = map(str, itertools.count())
        self.rules: dict[tuple[str, str, str, str], Rule] = {}
        self.edges: dict[tuple[str, str, str, str], Edge] = {}
        self.open()
        for kind, name in itertools.product(("group", "role"), GROUPS):
            self.engine.create_group(kind, name, "", "", {})

    def open(self):
        self.engine = RuleEngine(self.records, self.clock, lambda: next(self.ids), self.semantics)

    def expiry(self, life):
        return self.clock.now_ms + life if life else 0

    @rule(subject=subjects, object_=objects, level=levels, life=lives)
    def grant(self, subject, object_, level, life):
        granted = Rule("", *subject, *object_, level, expires_ms=self.expiry(life))
        self.rules[granted.key] = granted
        self.engine.grant(granted)

    @precondition(lambda self: self.rules)
    @rule(data=st.data())
    def revoke(self, data):
        key = data.draw(st.sampled_from(sorted(self.rules)))
        del self.rules[key]
        found = self.engine.rule_for(*key)
        assert found is not None
        self.engine.revoke(found)

    @rule(
        kind=st.sampled_from(("group", "role")),
        name=st.sampled_from(GROUPS),
        member=st.one_of(
            st.tuples(st.just("user"), st.sampled_from(USERS)), st.tuples(st.just("group"), st.sampled_from(GROUPS))
        ),
        life=lives,
    )
    def join(self, kind, name, member, life):
        edge = Edge(kind, name, *member, expires_ms=self.expiry(life))
        try:
            self.engine.add_member(edge)
        except InvalidRule as error:
            assert "cycle" in str(error)
        else:
            self.edges[kind, name, *member] = edge

    @precondition(lambda self: self.edges)
    @rule(data=st.data())
    def leave(self, data):
        key = data.draw(st.sampled_from(sorted(self.edges)))
        del self.edges[key]
        self.engine.remove_member(*key)

    @rule(kind=st.sampled_from(("group", "role")), name=st.sampled_from(GROUPS))
    def recreate(self, kind, name):
        """A group that is deleted takes its rules and memberships along."""
        self.engine.delete_group(kind, name)
        self.engine.create_group(kind, name, "", "", {})
        self.rules = {key: granted for key, granted in self.rules.items() if key[:2] != (kind, name)}
        self.edges = {
            key: edge
            for key, edge in self.edges.items()
            if key[:2] != (kind, name) and not (kind == "group" and key[2:] == (kind, name))
        }

    @rule(elapsed=st.sampled_from((1, 30)))
    def wait(self, elapsed):
        self.clock.now_ms += elapsed

    @rule()
    def clean(self):
        now_ms = self.clock.now_ms
        self.engine.remove_expired()
        self.rules = {key: granted for key, granted in self.rules.items() if alive(granted, now_ms)}
        self.edges = {key: edge for key, edge in self.edges.items() if alive(edge, now_ms)}

    @rule()
    def restart(self):
        self.open()

    @invariant()
    def decisions_equal_the_model(self):
        for user, workspace in itertools.product(USERS, WORKSPACES):
            expected = model(
                self.rules.values(), self.edges.values(), self.clock.now_ms, user, workspace, self.semantics
            )
            for level in (10, 30):
                decision = self.engine.evaluate("user", user, "workspace", workspace, level)
                assert (decision.level, decision.allowed) == (expected, expected >= level), (user, workspace)
            explained = self.engine.explain("user", user, "workspace", workspace, 10)
            assert explained.decision == self.engine.evaluate("user", user, "workspace", workspace, 10)


AccessRules.TestCase.settings = settings(stateful_step_count=30)
TestAccessRules = AccessRules.TestCase

texts = st.text(alphabet="ab/", max_size=6)
patterns = st.text(alphabet="ab/*?", max_size=6)


@given(patterns, texts)
def test_patterns_match_what_a_plain_matcher_matches(pattern, text):
    assert compile_pattern(pattern)(text) == glob(pattern, text)


@given(st.text(alphabet=r"ab/*?[]^-\\", max_size=10), texts)
def test_any_text_is_a_pattern_and_never_matches_beyond_its_literal_beginning(pattern, text):
    if compile_pattern(pattern)(text):
        assert text.startswith(literal_prefix(pattern))


@given(patterns, patterns, texts)
def test_what_a_parent_covers_reaches_no_further(parent, child, text):
    if covers(parent, child) and compile_pattern(child)(text):
        assert compile_pattern(parent)(text)


@given(subjects, objects, levels)
def test_a_grant_repeated_is_one_rule_with_its_first_id(subject, object_, level):
    ids = map(str, itertools.count())
    engine = RuleEngine(MemoryRecords(), WallClock(), lambda: next(ids))
    first = engine.grant(Rule("", *subject, *object_, level, reason="first"))
    second = engine.grant(Rule("", *subject, *object_, 10, reason="second"))
    assert second == replace(first, level=10, reason="second")
    assert engine.rules() == [second]
    assert is_glob(subject[1]) or is_glob(object_[1]) or not second.is_pattern
