"""Principals and identities (connection 1, routing 1).

An identity string such as ``ag::workspace::implementation::specifier`` is at once the lock key, the name of the
session's log cursors, the audit actor and -- for most types -- the principal's own topic.
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass

__all__ = [
    "SEPARATOR",
    "Identity",
    "InvalidIdentity",
    "PrincipalType",
    "canonical_reference",
    "check_identifier",
    "parse_identity",
]

SEPARATOR = "::"
IDENTIFIER_BYTES_MAX = 128
CACHED_CHARACTERS_MAX = 512


class PrincipalType(enum.IntEnum):
    """The eight principal types, numbered as the members of ``InitConnection.client_type``."""

    AGENT = 1
    TASK = 2
    USER = 3
    ORCHESTRATOR = 4
    WORKFLOW_ENGINE = 5
    METRICS_BRIDGE = 6
    BRIDGE = 7
    SERVICE = 8

    @property
    def title(self) -> str:
        """Name on the wire, in audit rows and tokens, for example ``WorkflowEngine``."""
        return _TITLES[self]

    @property
    def label(self) -> str:
        """Name in access rules, for example ``workflow_engine``."""
        return _LABELS[self]


_LABELS = {kind: kind.name.lower() for kind in PrincipalType}
_TITLES = {kind: "".join(word.capitalize() for word in kind.name.split("_")) for kind in PrincipalType}

_ALIASES = {kind.label: kind for kind in PrincipalType} | {
    "unique_task": PrincipalType.TASK,
    "non_unique_task": PrincipalType.TASK,
    "workflowengine": PrincipalType.WORKFLOW_ENGINE,
    "metricsbridge": PrincipalType.METRICS_BRIDGE,
}


def principal_type(name: str) -> PrincipalType:
    """Read a ``PrincipalRef.principal_type``, which is trimmed and case-insensitive (routing 1.4)."""
    try:
        return _ALIASES[name.strip().lower()]
    except KeyError:
        raise InvalidIdentity(f'unknown principal type "{name}"') from None


def canonical_reference(type_name: str, principal_id: str) -> tuple[str, str]:
    """Label and canonical id of a ``PrincipalRef`` (acl 1.1, 1.2): an id that is an identity of its own type becomes
    that identity, any other is kept.

    :raises InvalidIdentity: an unknown type, or no id.
    """
    kind = principal_type(type_name)
    principal_id = principal_id.strip()
    if not principal_id:
        raise InvalidIdentity("principal_id is required")
    try:
        identity = parse_identity(principal_id)
    except InvalidIdentity:
        return kind.label, principal_id
    return kind.label, identity.canonical_id if identity.kind is kind else principal_id


class InvalidIdentity(ValueError):
    """An identity or identifier that breaks the rules; the text names the field and is fit for clients."""


def check_identifier(field: str, value: str, *, strict: bool = True, required: bool = False) -> None:
    """Apply the identifier rules (connection 1.2) to one field.

    ``strict=False`` switches the character and length rules off; the separator stays forbidden, since it would let
    one identity pose as another.

    :raises InvalidIdentity: naming ``field``.
    """
    if not value:
        if required:
            raise InvalidIdentity(f"{field} must not be empty")
        return
    if SEPARATOR in value:
        raise InvalidIdentity(f'{field} must not contain "::"')
    if value[0] == ":" or value[-1] == ":":
        raise InvalidIdentity(f'{field} must not begin or end with ":"')
    if not strict:
        return
    if len(value.encode()) > IDENTIFIER_BYTES_MAX:
        raise InvalidIdentity(f"{field} must not exceed {IDENTIFIER_BYTES_MAX} bytes")
    for character in value:
        if character in "*> " or character < " " or character == "\x7f":
            raise InvalidIdentity(f"{field} contains the forbidden character {character!r}")


@dataclass(frozen=True)
class Identity:
    """Who a session is. Users keep ``implementation`` empty and carry user id and window in ``id`` and ``specifier``.

    ``workspace`` of a user is session state (SwitchWorkspace) and never part of :attr:`key`.
    """

    kind: PrincipalType
    workspace: str = ""
    implementation: str = ""
    specifier: str = ""
    id: str = ""

    @functools.cached_property
    def key(self) -> str:
        """The identity string: lock key, cursor owner, audit actor (connection 1.1)."""
        match self.kind:
            case PrincipalType.AGENT:
                parts: tuple[str, ...] = ("ag", self.workspace, self.implementation, self.specifier)
            case PrincipalType.TASK if self.specifier:
                parts = ("tu", self.workspace, self.implementation, self.specifier)
            case PrincipalType.TASK:
                parts = ("ta", self.workspace, self.implementation, self.id)
            case PrincipalType.USER:
                parts = ("us", self.id, self.specifier)
            case PrincipalType.ORCHESTRATOR:
                parts = ("orc", self.implementation, self.specifier)
            case PrincipalType.WORKFLOW_ENGINE:
                parts = ("wfe", "shard0")
            case PrincipalType.METRICS_BRIDGE:
                parts = ("metrics", "shard0")
            case PrincipalType.BRIDGE:
                parts = ("br", self.implementation, self.specifier)
            case PrincipalType.SERVICE:
                parts = ("sv", self.implementation, self.specifier)
        return SEPARATOR.join(parts)

    @property
    def is_pool_task(self) -> bool:
        """True for a non-unique task: a worker whose id the gateway made."""
        return self.kind is PrincipalType.TASK and not self.specifier

    @functools.cached_property
    def topic(self) -> str:
        """The principal's own topic; empty for an orchestrator, which has none (routing 1.1)."""
        if self.kind is PrincipalType.ORCHESTRATOR:
            return ""
        if self.kind is PrincipalType.WORKFLOW_ENGINE:
            return "event::receiver0"
        if self.kind is PrincipalType.METRICS_BRIDGE:
            return "metric::receiver0"
        return self.key

    @property
    def source(self) -> str:
        """What receivers see as ``source_topic``. Orchestrators show their identity so that replies have a name."""
        return self.topic or self.key

    @property
    def canonical_id(self) -> str:
        """Principal id in access rules and audit: the bare user id for users, else the identity (routing 1.4)."""
        return self.id if self.kind is PrincipalType.USER else self.key


def parse_identity(text: str) -> Identity:
    """Read an identity string of any type (routing 1.2).

    :raises InvalidIdentity: for an unknown prefix or a wrong number of segments.
    """
    # Clients name others by texts of any length, and what is remembered is bounded.
    return _parse_known(text) if len(text) <= CACHED_CHARACTERS_MAX else _parse(text)


def _parse(text: str) -> Identity:
    prefix, *rest = text.split(SEPARATOR)
    match prefix, rest:
        case "ag", [workspace, implementation, specifier]:
            return Identity(PrincipalType.AGENT, workspace, implementation, specifier)
        case "tu", [workspace, implementation, specifier]:
            return Identity(PrincipalType.TASK, workspace, implementation, specifier)
        case "ta", [workspace, implementation, instance]:
            return Identity(PrincipalType.TASK, workspace, implementation, id=instance)
        case "us", [user, window]:
            return Identity(PrincipalType.USER, id=user, specifier=window)
        case "orc", [implementation]:
            return Identity(PrincipalType.ORCHESTRATOR, implementation=implementation)
        case "orc", [implementation, specifier]:
            return Identity(PrincipalType.ORCHESTRATOR, implementation=implementation, specifier=specifier)
        case "wfe", [_]:
            return Identity(PrincipalType.WORKFLOW_ENGINE)
        case "metrics", [_]:
            return Identity(PrincipalType.METRICS_BRIDGE)
        case "br", [implementation, specifier]:
            return Identity(PrincipalType.BRIDGE, implementation=implementation, specifier=specifier)
        case "sv", [implementation, specifier]:
            return Identity(PrincipalType.SERVICE, implementation=implementation, specifier=specifier)
    raise InvalidIdentity("not an identity string")


_parse_known = functools.lru_cache(maxsize=4096)(_parse)  # mostly of those who are connected, again and again
