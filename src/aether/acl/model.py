"""What access rules are made of, and what makes one acceptable (acl 2 to 4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from aether.access import Level
from aether.acl.patterns import PATTERN_CHARACTERS_MAX
from aether.errors import AetherError
from aether.identity import SEPARATOR, PrincipalType

__all__ = [
    "SEEDED_FALLBACKS",
    "Edge",
    "Fallback",
    "Group",
    "InvalidRule",
    "Rule",
    "canonical_resource",
    "check_level",
    "check_pattern",
    "is_glob",
    "level_name",
    "subject",
    "wildcard_of",
]


REASON_CHARACTERS_MAX = 1024


class InvalidRule(AetherError):
    """A rule, policy or membership that cannot be; the text is fit for clients."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A principal, group, role or wildcard holds a level on a resource. One per subject and resource.

    ``principal_type`` is a label such as ``user`` or one of ``wildcard``, ``group``, ``role``. Times are Unix
    milliseconds; ``expires_ms`` 0 is never.
    """

    rule_id: str
    principal_type: str
    principal_id: str
    resource_type: str
    resource_id: str
    level: int
    granted_by: str = ""
    granted_ms: int = 0
    expires_ms: int = 0
    reason: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        return self.principal_type, self.principal_id, self.resource_type, self.resource_id

    @property
    def is_pattern(self) -> bool:
        """Decided in the pattern tier; a resource that is only ``*`` stands for all of its type and is not."""
        return is_glob(self.principal_id) or (self.resource_id != "*" and is_glob(self.resource_id))


@dataclass(frozen=True, slots=True)
class Fallback:
    """The level of everybody of a type on resources of a type, where no rule decides."""

    policy_id: str
    category: str
    level: int
    updated_by: str
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Group:
    """A group or a role: a name that rules can have as their subject."""

    id: str
    kind: str
    """``group`` or ``role``."""
    name: str
    description: str = ""
    created_by: str = ""
    created_ms: int = 0
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edge:
    """A member of a group, or somebody a role is assigned to; ``expires_ms`` 0 is never."""

    kind: str
    name: str
    member_type: str
    member_id: str
    granted_by: str = ""
    granted_ms: int = 0
    expires_ms: int = 0


MEMBER_TYPES = frozenset(kind.label for kind in PrincipalType) | {"group"}
SUBJECT_TYPES = MEMBER_TYPES | {"wildcard", "role"}

SEEDED_FALLBACKS = {
    "user_workspace": 20,
    "agent_workspace": 20,
    "task_workspace": 20,
    "user_agent": 20,
    "agent_agent": 20,
    "global_read": 20,
    "orchestrator_system": 20,
    "user_kv_scope": 0,
    "agent_kv_scope": 0,
    "task_kv_scope": 0,
    "service_kv_scope": 0,
}
"""Policies of a new store (acl 5.3); what is not in here is denied."""

_WILDCARDS = {
    "user": "_any_authenticated_user",
    "agent": "_any_agent",
    "task": "_any_task",
    "service": "_any_service",
}

_LEGACY_ADMIN = {f"_perm:admin_{name}": f"admin/{name}" for name in ("acl", "tokens", "workspaces", "agents")}
_LEGACY_ADMIN["_perm:admin_operations"] = "admin/*"
_LEGACY_CAPABILITIES = {
    f"_perm:{name}": f"capability/{name}"
    for name in (
        "create_workspace",
        "exchange_authority_grants",
        "authority_intermediary",
        "metric_credit",
        "resolve_authority",
        "query_connections",
        "mint_user_tokens",
    )
}

_SEGMENTS_BEFORE_GLOB = dict.fromkeys(("ag", "tu", "ta"), 3) | dict.fromkeys(
    ("sv", "br", "us", "orc", "wfe", "metric", "event"), 2
)


def subject(principal_type: str, principal_id: str) -> str:
    """A principal, group, role or wildcard as rules name it, for example ``user:alice``."""
    return f"{principal_type}:{principal_id}"


def wildcard_of(principal_type: str) -> str:
    """The subject that stands for everybody of a type; empty for types that have none."""
    name = _WILDCARDS.get(principal_type)
    return f"wildcard:{name}" if name else ""


def is_glob(text: str) -> bool:
    """Holds a wildcard character; a lone character class does not make a pattern (acl 5.1, tier 5)."""
    return "*" in text or "?" in text


def canonical_resource(resource_type: str, resource_id: str) -> tuple[str, str]:
    """The resource that a legacy ``permission`` id stands for; everything else as it is (acl 3)."""
    if resource_type == "permission":
        if resource_id in _LEGACY_ADMIN:
            return "admin", _LEGACY_ADMIN[resource_id]
        if resource_id in _LEGACY_CAPABILITIES:
            return "capability", _LEGACY_CAPABILITIES[resource_id]
    return resource_type, resource_id


def check_level(level: int) -> Level:
    """A level of the scale.

    :raises InvalidRule: it is none.
    """
    try:
        return Level(level)
    except ValueError:
        raise InvalidRule("invalid access level") from None


def level_name(level: int) -> str:
    """``READWRITE`` and the like, ``UNKNOWN`` beside the scale."""
    return Level(level).name if level in Level._value2member_map_ else "UNKNOWN"


def check_pattern(field_name: str, text: str) -> None:
    """Refuse patterns over identities that would reach further than one implementation (acl 4.1).

    :raises InvalidRule: too few concrete segments before the first wildcard.
    """
    if not is_glob(text) or text == "*":
        return
    segments = text.split(SEPARATOR)
    minimum = _SEGMENTS_BEFORE_GLOB.get(segments[0])
    if minimum is None or len(segments) == 1:
        return
    concrete = next(number for number, segment in enumerate(segments) if is_glob(segment))
    if concrete < minimum:
        raise InvalidRule(
            f'{field_name} glob pattern too broad: "{text}" has {concrete} segment(s) before wildcard, '
            f"minimum {minimum} required"
        )


def check_rule(rule: Rule) -> None:
    """Refuse what could never match, or would match too much.

    :raises InvalidRule: and says what is wrong.
    """
    check_level(rule.level)
    if rule.principal_type not in SUBJECT_TYPES:
        raise InvalidRule(f'unknown principal type "{rule.principal_type}"')
    if not rule.principal_id:
        raise InvalidRule("principal_id is required")
    if not rule.resource_type:
        raise InvalidRule("resource_type is required")
    if not rule.resource_id and rule.resource_type != "workspace":
        raise InvalidRule("resource_id is required")
    for name, value, longest in (
        ("principal_id", rule.principal_id, PATTERN_CHARACTERS_MAX),
        ("resource_id", rule.resource_id, PATTERN_CHARACTERS_MAX),
        ("resource_type", rule.resource_type, PATTERN_CHARACTERS_MAX),
        ("reason", rule.reason, REASON_CHARACTERS_MAX),
    ):
        if len(value) > longest:
            raise InvalidRule(f"{name} must not exceed {longest} characters")
    for name, value in (("principal_id", rule.principal_id), ("resource_id", rule.resource_id)):
        check_pattern(name, value)
