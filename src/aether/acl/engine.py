"""The rule engine: which rule decides, and what it gives (acl 4 and 5).

Everything is in memory; :class:`aether._fastpath.RuleTable` finds the deciding rule and remembers decisions. Changes
are in effect for the next question, and listeners learn of them, expiry included, so that what was derived from an
older decision -- routes of sessions, sessions themselves -- is looked at again.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import trio

from aether._fastpath import RuleTable
from aether.access import Decision, Level
from aether.acl.membership import Membership
from aether.acl.model import (
    SEEDED_FALLBACKS,
    Edge,
    Fallback,
    Group,
    InvalidRule,
    Rule,
    canonical_resource,
    check_level,
    check_rule,
    is_glob,
    level_name,
    subject,
    wildcard_of,
)
from aether.acl.patterns import compile_pattern, covers, literal_prefix
from aether.records import RecordStore, Table

__all__ = ["Contribution", "Explanation", "RuleEngine", "Semantics"]

NEVER_MS = 1 << 62
LOOK_AGAIN_S = 0.05
"""Least time between two expiries that listeners are told of."""

TIERS = {
    1: "Explicit rule",
    2: "Wildcard rule",
    3: "Any-resource rule",
    4: "Wildcard any-resource rule",
    5: "Glob pattern rule",
}


def _no_witness(what: object) -> None:
    del what


@dataclass(frozen=True, slots=True)
class Semantics:
    """Where an administrator may choose something stricter than the protocol's order (weakness 16)."""

    none_denies: bool = False
    """A live matching rule of level NONE wins over every other, in whichever tier it is."""
    wildcards_match_patterns: bool = False
    """``_any_agent`` and the like take part in pattern rules."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """A rule that speaks to a question, whether or not it decides."""

    subject: str
    rule: Rule
    expired: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision with everything that went into it."""

    subjects: tuple[str, ...]
    contributions: tuple[Contribution, ...]
    decision: Decision
    fallback_applied: bool


class RuleEngine:
    """Rules, groups, roles and fallback policies of a deployment.

    :param wall_clock: current Unix time in milliseconds.
    :param new_id: makes ids of rules, policies and groups.
    :ivar on_change: called after every change and expiry.
    """

    def __init__(
        self,
        records: RecordStore,
        wall_clock: Callable[[], int],
        new_id: Callable[[], str],
        semantics: Semantics = Semantics(),
    ) -> None:
        self._wall_clock = wall_clock
        self._new_id = new_id
        self._semantics = semantics
        self._table = RuleTable(wall_clock, self._decide)
        self.evaluate: Callable[[str, str, str, str, int], Decision] = self._table.evaluate
        """Does a principal, by type and canonical id, hold at least a level on a resource, by type and id?"""
        self._rules = Table(records, "acl_rule", Rule)
        self._fallbacks = Table(records, "acl_fallback", Fallback)
        self.membership = Membership(records)
        self.on_change: list[Callable[[], None]] = []
        self._by_key: dict[tuple[str, str, str, str], str] = {}
        self._of_resource: Counter[tuple[str, str]] = Counter()
        self._changed = trio.Event()
        self._expiries = [min(expires_ms, NEVER_MS) for expires_ms in self.membership.expiries()]
        """A heap; may name times of rules that are gone by then, which costs one look too many."""
        if not len(self._fallbacks):
            for category, level in SEEDED_FALLBACKS.items():
                self._fallbacks.put(category, Fallback(new_id(), category, level, "_system", wall_clock()))
        for rule in self._rules.values():
            resource = canonical_resource(rule.resource_type, rule.resource_id)
            self._file(replace(rule, resource_type=resource[0], resource_id=resource[1]))
        heapq.heapify(self._expiries)

    @property
    def ticket(self) -> int:
        """Batch that makes the latest change durable."""
        return max(self._rules.ticket, self._fallbacks.ticket, self.membership.ticket)

    # ----------------------------------------------------------------------------------------------- decisions

    def _decide(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int, now_ms: int
    ) -> tuple[Decision, int]:
        """The decision, and until when it holds if nothing changes."""
        resource_type, resource_id = canonical_resource(resource_type, resource_id)
        subjects = self.membership.subjects(principal_type, principal_id, now_ms)
        found = self._find(principal_type, subjects, resource_type, resource_id, now_ms)
        if found is not None:
            rule, tier, winner = found
            reason = f"{TIERS[tier]}: {_describe(rule)}"
            if winner.startswith(("group:", "role:")):
                reason += f" (via {winner})"
            decision = Decision(rule.level >= level, reason, True, rule.level, rule.rule_id)
        else:
            decision = self._fall_back(f"{principal_type}_{resource_type}", level)
        return decision, self.next_expiry_ms(now_ms) or NEVER_MS

    def _find(
        self, principal_type: str, subjects: tuple[str, ...], resource_type: str, resource_id: str, now_ms: int
    ) -> tuple[Rule, int, str] | None:
        wildcard = wildcard_of(principal_type)
        object_ = subject(resource_type, resource_id)
        any_object = subject(resource_type, "*")
        semantics = self._semantics
        found = self._table.find(subjects, wildcard, object_, any_object, now_ms, semantics.wildcards_match_patterns)
        if found is not None and semantics.none_denies and found[0].level > Level.NONE:
            for contribution in self._contributions(principal_type, subjects, resource_type, resource_id, now_ms):
                if contribution.rule.level == Level.NONE and not contribution.expired:
                    return contribution.rule, _tier(contribution.rule), contribution.subject
        return found

    def _fall_back(self, category: str, level: int) -> Decision:
        policy = self._fallbacks.get(category)
        if policy is None:
            return Decision(False, f"No rule or fallback policy for {category}")
        return Decision(
            policy.level >= level, f"Fallback policy for {category}: {level_name(policy.level)}", False, policy.level
        )

    def explain(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int
    ) -> Explanation:
        """The decision that :attr:`evaluate` makes, with every rule that speaks to the question (weakness 17)."""
        now_ms = self._wall_clock()
        resource_type, resource_id = canonical_resource(resource_type, resource_id)
        subjects = self.membership.subjects(principal_type, principal_id, now_ms)
        decision, _ = self._decide(principal_type, principal_id, resource_type, resource_id, level, now_ms)
        contributions = tuple(self._contributions(principal_type, subjects, resource_type, resource_id, now_ms))
        return Explanation(subjects, contributions, decision, not decision.by_rule)

    def holds_throughout(
        self, principal_type: str, principal_id: str, resource_type: str, pattern: str, level: int
    ) -> bool:
        """Whether a principal holds at least a level on whatever a pattern stands for, as far as can be told for sure.

        A pattern is no name: as one, ``team-*`` is matched by a rule for ``team-?``, which reaches less far.
        """
        now_ms = self._wall_clock()
        subjects = self.membership.subjects(principal_type, principal_id, now_ms)
        wildcard = wildcard_of(principal_type)
        rules = [
            (rule, rule.principal_type == "wildcard")
            for rule in self._rules.values()
            if rule.resource_type == resource_type
            and not 0 < rule.expires_ms <= now_ms
            and self._speaks_of(rule, (*subjects, wildcard))
        ]
        is_named = compile_pattern(pattern)
        for rule, _ in rules:
            if rule.resource_id != "*" and not rule.is_pattern and is_named(rule.resource_id):
                decision, _ = self._decide(principal_type, principal_id, resource_type, rule.resource_id, level, now_ms)
                if decision.level < level:
                    return False
            if self._semantics.none_denies and rule.level == Level.NONE:
                return False
        for is_wildcard in (False, True):
            of_all = [
                rule.level
                for rule, of_everybody in rules
                if rule.resource_id == "*" and not rule.is_pattern and of_everybody is is_wildcard
            ]
            if of_all:
                return max(of_all) >= level
        with_everybody = self._semantics.wildcards_match_patterns
        patterns = [rule for rule, of_everybody in rules if rule.is_pattern and (with_everybody or not of_everybody)]
        if any(rule.level >= level and covers(rule.resource_id, pattern) for rule in patterns):
            return True
        # What is left to the policy is so only where no pattern gives less.
        category = f"{principal_type}_{resource_type}"
        return all(rule.level >= level for rule in patterns) and self._fall_back(category, level).allowed

    def _speaks_of(self, rule: Rule, subjects: tuple[str, ...]) -> bool:
        matches = compile_pattern(subject(rule.principal_type, rule.principal_id))
        return any(name and matches(name) for name in subjects)

    def _contributions(
        self, principal_type: str, subjects: tuple[str, ...], resource_type: str, resource_id: str, now_ms: int
    ) -> Iterator[Contribution]:
        """Every rule that matches, decision or not; looks at all of them."""
        object_ = subject(resource_type, resource_id)
        wildcard = wildcard_of(principal_type)
        for rule in self._rules.values():
            if rule.resource_type != resource_type:
                continue
            wanted = subject(rule.principal_type, rule.principal_id)
            if rule.is_pattern:
                if not compile_pattern(subject(rule.resource_type, rule.resource_id))(object_):
                    continue
                candidates = (*subjects, wildcard) if self._semantics.wildcards_match_patterns else subjects
                matches = compile_pattern(wanted)
                who = next((name for name in candidates if name and matches(name)), None)
            elif rule.resource_id in (resource_id, "*"):
                who = wanted if wanted in subjects or wanted == wildcard else None
            else:
                continue
            if who is not None:
                yield Contribution(who, rule, 0 < rule.expires_ms <= now_ms)

    # --------------------------------------------------------------------------------------------------- rules

    def rules(self, wanted: Callable[[Rule], bool] = lambda _: True) -> list[Rule]:
        """Those rules, the newest first."""
        return sorted(filter(wanted, self._rules.values()), key=lambda rule: rule.granted_ms)[::-1]

    def count_of(self, resource_type: str, resource_id: str) -> int:
        """How many rules there are for just this resource."""
        return self._of_resource[resource_type, resource_id]

    def rule(self, rule_id: str) -> Rule | None:
        return self._rules.get(rule_id)

    def rule_for(self, principal_type: str, principal_id: str, resource_type: str, resource_id: str) -> Rule | None:
        """The one rule of a subject and a resource."""
        rule_id = self._by_key.get((principal_type, principal_id, *canonical_resource(resource_type, resource_id)))
        return None if rule_id is None else self._rules.get(rule_id)

    # Every change takes a witness, which is told of what will be before anything is: if it raises, nothing was.

    def grant(self, rule: Rule, witness: Callable[[Rule], None] = _no_witness) -> Rule:
        """Create a rule, or change the one of its subject and resource, which keeps its id.

        :param rule: its id and time of granting are ignored.
        :raises InvalidRule: it cannot be.
        :raises StoreUnavailable: nothing was changed.
        """
        resource_type, resource_id = canonical_resource(rule.resource_type, rule.resource_id)
        rule = replace(rule, resource_type=resource_type, resource_id=resource_id)
        check_rule(rule)
        rule_id = self._by_key.get(rule.key) or self._new_id()
        rule = replace(rule, rule_id=rule_id, granted_ms=self._wall_clock())
        old = self._rules.get(rule_id)
        witness(rule)
        self._rules.put(rule_id, rule)
        if old is not None:
            self._unfile(old)
        self._file(rule)
        self._tell()
        return rule

    def revoke(self, rule: Rule) -> None:
        """Remove a rule.

        :raises StoreUnavailable: nothing was changed.
        """
        self._rules.delete(rule.rule_id)
        self._unfile(rule)
        self._tell()

    def remove_expired(self, witness: Callable[[int], None] = _no_witness) -> int:
        """Forget rules and memberships that ended; returns how many."""
        now_ms = self._wall_clock()
        expired = [rule for rule in self._rules.values() if 0 < rule.expires_ms <= now_ms]
        witness(len(expired) + self.membership.count_expired(now_ms))
        for rule in expired:
            self._rules.delete(rule.rule_id)
            self._unfile(rule)
        return len(expired) + self.membership.remove_expired(now_ms)

    def _file(self, rule: Rule) -> None:
        self._by_key[rule.key] = rule.rule_id
        self._of_resource[rule.resource_type, rule.resource_id] += 1
        expires_ms = min(rule.expires_ms, NEVER_MS)
        self._expect(expires_ms)
        who = subject(rule.principal_type, rule.principal_id)
        what = subject(rule.resource_type, rule.resource_id)
        if rule.is_pattern:
            self._table.add_pattern(
                rule,
                rule.rule_id,
                literal_prefix(who),
                literal_prefix(what),
                rule.level,
                expires_ms,
                compile_pattern(who) if is_glob(who) else None,
                compile_pattern(what) if is_glob(what) else None,
            )
        else:
            self._table.add(rule, who, what, rule.level, expires_ms)

    def _unfile(self, rule: Rule) -> None:
        del self._by_key[rule.key]
        self._of_resource[rule.resource_type, rule.resource_id] -= 1
        if not self._of_resource[rule.resource_type, rule.resource_id]:
            del self._of_resource[rule.resource_type, rule.resource_id]
        who = subject(rule.principal_type, rule.principal_id)
        what = subject(rule.resource_type, rule.resource_id)
        if rule.is_pattern:
            self._table.remove_pattern(rule.rule_id, literal_prefix(who), literal_prefix(what))
        else:
            self._table.remove(who, what)

    # ------------------------------------------------------------------------------------- policies and groups

    def open_to_all(self, resource_type: str, level: Level) -> list[str]:
        """The categories whose policy gives so much of every resource of a type for which no rule decides."""
        return sorted(
            category
            for category, policy in self._fallbacks.items()
            if category.endswith(f"_{resource_type}") and policy.level >= level
        )

    def fallback(self, category: str) -> Fallback:
        """:raises InvalidRule: there is no policy for the category."""
        policy = self._fallbacks.get(category)
        if policy is None:
            raise InvalidRule("fallback policy not found")
        return policy

    def set_fallback(
        self, category: str, level: int, updated_by: str, witness: Callable[[Fallback], None] = _no_witness
    ) -> Fallback:
        """Create or change the policy of a category such as ``user_workspace``.

        :raises InvalidRule: no category, or a level beside the scale.
        """
        if not category:
            raise InvalidRule("rule_category is required")
        check_level(level)
        old = self._fallbacks.get(category)
        policy_id = old.policy_id if old else self._new_id()
        policy = Fallback(policy_id, category, level, updated_by, self._wall_clock())
        witness(policy)
        self._fallbacks.put(category, policy)
        self._tell()
        return policy

    def create_group(
        self,
        kind: str,
        name: str,
        description: str,
        created_by: str,
        metadata: dict[str, str],
        witness: Callable[[Group], None] = _no_witness,
    ) -> Group:
        """:raises InvalidRule: without a name, or with one that exists."""
        group = Group(self._new_id(), kind, name, description, created_by, self._wall_clock(), metadata)
        self.membership.check_new(group)
        witness(group)
        self.membership.create(group)
        return group

    def delete_group(self, kind: str, name: str, witness: Callable[[int], None] = _no_witness) -> int:
        """Remove a group or role, its memberships, and the rules it is the subject of, so that a later one of the same
        name does not inherit them (weakness 15); returns how many rules.

        :raises InvalidRule: there is none.
        """
        self.membership.group(kind, name)
        rules = [rule for rule in self._rules.values() if (rule.principal_type, rule.principal_id) == (kind, name)]
        witness(len(rules))
        self.membership.delete(kind, name)
        for rule in rules:
            self._rules.delete(rule.rule_id)
            self._unfile(rule)
        self._tell()
        return len(rules)

    def add_member(self, edge: Edge, witness: Callable[[Edge], None] = _no_witness) -> Edge:
        """:raises InvalidRule: an unknown group or kind of member, or a cycle."""
        edge = replace(edge, granted_ms=self._wall_clock())
        self.membership.check_edge(edge)
        witness(edge)
        self.membership.add(edge)
        self._expect(edge.expires_ms)
        self._tell()
        return edge

    def remove_member(
        self,
        kind: str,
        name: str,
        member_type: str,
        member_id: str,
        witness: Callable[[Edge], None] = _no_witness,
    ) -> None:
        """:raises InvalidRule: there is no such membership."""
        witness(self.membership.edge(kind, name, member_type, member_id))
        self.membership.remove(kind, name, member_type, member_id)
        self._tell()

    # ----------------------------------------------------------------------------------------------- listening

    def next_expiry_ms(self, now_ms: int) -> int:
        """When the next rule or membership may end; 0: none does."""
        while self._expiries and self._expiries[0] <= now_ms:
            heapq.heappop(self._expiries)
        return self._expiries[0] if self._expiries else 0

    def _expect(self, expires_ms: int) -> None:
        if expires_ms:
            heapq.heappush(self._expiries, min(expires_ms, NEVER_MS))

    def _tell(self) -> None:
        self._table.forget()
        self._changed.set()
        for listener in self.on_change:
            listener()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Tell the listeners of expiries, for ever."""
        task_status.started()
        while True:
            self._changed = trio.Event()
            now_ms = self._wall_clock()
            expiry_ms = self.next_expiry_ms(now_ms)
            if not expiry_ms:
                await self._changed.wait()
                continue
            with trio.move_on_after(max(LOOK_AGAIN_S, (expiry_ms - now_ms) / 1000)) as waiting:
                await self._changed.wait()
            if waiting.cancelled_caught:
                self._tell()


def _tier(rule: Rule) -> int:
    """The tier a rule belongs to."""
    if rule.is_pattern:
        return 5
    return (1 if rule.resource_id != "*" else 3) + (rule.principal_type == "wildcard")


def _describe(rule: Rule) -> str:
    who = subject(rule.principal_type, rule.principal_id)
    return f"{who} has {level_name(rule.level)} on {subject(rule.resource_type, rule.resource_id)}"
