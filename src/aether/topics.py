"""Topic grammar and the permission matrix (routing 2 and 3.4): the readable form of what ``_fastpath`` compiles.

Both forms are held equal by ``tests/property/test_fastpath_equivalence.py``. A rule changes here first.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from aether.identity import IDENTIFIER_BYTES_MAX, SEPARATOR, PrincipalType

__all__ = ["InvalidTopic", "Prefix", "Target", "may_send", "parse_target"]

TOPIC_BYTES_MAX = 256


class Prefix(enum.IntEnum):
    """The topic families, in the order in which ``_fastpath`` numbers them."""

    AG = 0
    TU = 1
    TA = 2
    TB = 3
    US = 4
    UW = 5
    UU = 6
    GA = 7
    GU = 8
    PG = 9
    TK = 10
    EVENT = 11
    METRIC = 12
    BR = 13
    SV = 14


_PREFIXES = {prefix.name.lower(): prefix for prefix in Prefix}

SEGMENTS = {
    Prefix.AG: 4,
    Prefix.TU: 4,
    Prefix.TA: 4,
    Prefix.TB: 3,
    Prefix.US: 3,
    Prefix.UW: 3,
    Prefix.UU: 2,
    Prefix.GA: 2,
    Prefix.GU: 2,
    Prefix.TK: 4,
    Prefix.BR: 3,
}
"""Exact number of segments, prefix included; the families missing here have their own shapes below."""

LAST_MAY_BE_EMPTY = frozenset({Prefix.AG, Prefix.TA, Prefix.US, Prefix.BR, Prefix.SV})
"""Families whose identities may have an empty last part; ``ta::{ws}::{impl}::`` means any one worker."""


class InvalidTopic(ValueError):
    """A target that nobody can ever receive; the text is fit for clients."""


@dataclass(frozen=True, slots=True)
class Target:
    """A well-formed ``SendMessage.target_topic``.

    :ivar topic: the topic as addressed; ``event::*`` and the like are still to be rewritten to a receiver.
    :ivar workspace: the workspace of the topic (routing 2.3), empty where the family has none; for ``event`` and
        ``metric`` the one that the sender names, empty where that is its own.
    """

    prefix: Prefix
    topic: str
    workspace: str = ""


def parse_target(topic: str) -> Target:
    """Check and take apart a target topic (routing 2.2, with the strict structure the gateway promises).

    :raises InvalidTopic: wrong length, prefix, number of segments, or a forbidden character.
    """
    size = len(topic.encode("utf-8", "surrogatepass"))
    if not size or size > 3 * IDENTIFIER_BYTES_MAX + 16:
        raise InvalidTopic("topic length must be 1-256 characters")
    segments = topic.split(SEPARATOR)
    if size > TOPIC_BYTES_MAX and any(
        len(segment.encode("utf-8", "surrogatepass")) > IDENTIFIER_BYTES_MAX for segment in segments
    ):
        raise InvalidTopic("topic length must be 1-256 characters")
    prefix = _PREFIXES.get(segments[0])
    if prefix is None or len(segments) == 1:
        raise InvalidTopic("invalid topic prefix")
    if prefix in (Prefix.EVENT, Prefix.METRIC):
        return _parse_fan_in(prefix, topic, segments)
    if any(character in "*> " or character < " " or character == "\x7f" for character in topic):
        raise InvalidTopic("topic contains a forbidden character")
    if prefix is Prefix.SV:
        valid = len(segments) in (2, 3)
    elif prefix is Prefix.PG:
        valid = len(segments) == 2 or (len(segments) == 3 and segments[1] == "us")
    else:
        valid = len(segments) == SEGMENTS[prefix]
    if not valid:
        raise InvalidTopic("wrong number of topic segments")
    required = segments[1:-1] if prefix in LAST_MAY_BE_EMPTY and len(segments) > 2 else segments[1:]
    if not all(required):
        raise InvalidTopic("empty topic segment")
    for segment in segments[1:]:
        _check_edges(segment)
    if prefix is Prefix.TK and segments[3] not in ("msg", "events"):
        raise InvalidTopic("unknown task lane")
    return Target(prefix, topic, _workspace(prefix, segments))


def _parse_fan_in(prefix: Prefix, topic: str, segments: list[str]) -> Target:
    """``event`` and ``metric``: a receiver shard, or a workspace that the gateway turns into one (routing 2.4)."""
    if len(segments) != 2:
        raise InvalidTopic("wrong number of topic segments")
    name = segments[1]
    if name.startswith("receiver"):
        if name != "receiver0":
            raise InvalidTopic("unknown receiver")
        return Target(prefix, topic)
    if name in ("", "*"):
        return Target(prefix, topic)
    if any(character in "*> " or character < " " or character == "\x7f" for character in name):
        raise InvalidTopic("topic contains a forbidden character")
    _check_edges(name)
    return Target(prefix, topic, workspace=name)


def _check_edges(segment: str) -> None:
    """No identifier begins or ends with a colon, since three in a row could be read in two ways."""
    if segment.startswith(":") or segment.endswith(":"):
        raise InvalidTopic('topic segment begins or ends with ":"')


def _workspace(prefix: Prefix, segments: list[str]) -> str:
    if prefix is Prefix.UW:
        return segments[2]
    if prefix in (Prefix.US, Prefix.UU, Prefix.BR, Prefix.SV) or (prefix is Prefix.PG and len(segments) == 3):
        return ""
    return segments[1]


_DIRECT = frozenset({Prefix.AG, Prefix.TU, Prefix.TA, Prefix.TB})
_PEOPLE = frozenset({Prefix.US, Prefix.UW, Prefix.GA, Prefix.GU, Prefix.BR, Prefix.SV, Prefix.TK})
_FAN_IN = frozenset({Prefix.EVENT, Prefix.METRIC})
_WORKERS = _DIRECT | _PEOPLE | _FAN_IN
_PLATFORM = _WORKERS | {Prefix.UU}

MATRIX: dict[PrincipalType, frozenset[Prefix]] = {
    PrincipalType.AGENT: _WORKERS,
    PrincipalType.TASK: _WORKERS,
    PrincipalType.USER: _DIRECT | _PEOPLE,
    PrincipalType.ORCHESTRATOR: _DIRECT,
    PrincipalType.SERVICE: _PLATFORM,
    PrincipalType.BRIDGE: _PLATFORM,
    PrincipalType.WORKFLOW_ENGINE: _PLATFORM,
    PrincipalType.METRICS_BRIDGE: frozenset(),
}
"""Which families a principal may send to (routing 3.4). Nobody sends into ``pg``: it carries gateway-made frames."""


def may_send(sender: PrincipalType, target: Target) -> bool:
    """The permission matrix, before any access rule. ``tk::..::events`` is written by the gateway alone."""
    if target.prefix is Prefix.TK and target.topic.endswith("::events"):
        return False
    return target.prefix in MATRIX[sender]
