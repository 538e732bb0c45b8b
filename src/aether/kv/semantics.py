"""What each single-key command does to an entry: pure functions (kv 4.2, 4.5, 7).

``evaluate`` takes the entry as it is (None: absent or expired) and returns what it becomes, :data:`UNCHANGED` when
nothing is to be written. Stores that evaluate in this process share it, so they cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from aether.errors import InvalidArgument, NotAnInteger, Overflow, WrongType
from aether.kv.store import KEY_BYTES_MAX, PRIVATE_KEY_BYTES_MAX, PRIVATE_SCOPE, Command, Op, Result

__all__ = ["UNCHANGED", "Entry", "Members", "check_key", "evaluate", "upper_bound"]

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)
_INTEGER = re.compile(rb"[+-]?[0-9]{1,19}")

Members = frozenset[bytes]


class Entry(NamedTuple):
    """A stored value: bytes (counters are decimal text), or the members of a set. ``expires_ms`` 0: never."""

    value: bytes | Members
    expires_ms: int = 0


class _Unchanged:
    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = _Unchanged()
Change = Entry | None | _Unchanged
"""The entry to store, None to remove it, or UNCHANGED."""


def check_key(command: Command) -> bytes:
    """The key as stored.

    :raises InvalidArgument: empty, or longer than 256 bytes.
    """
    data = command.key.encode("utf-8", "surrogatepass")
    limit = PRIVATE_KEY_BYTES_MAX if command.namespace.scope == PRIVATE_SCOPE else KEY_BYTES_MAX
    if not 0 < len(data) <= limit:
        raise InvalidArgument(f"key must be 1-{limit} bytes")
    return data


def upper_bound(prefix: bytes) -> bytes | None:
    """The least key that sorts after every key with this prefix; None when there is none."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def evaluate(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    """Apply a single-key command.

    :raises KVError: the command cannot apply; the entry stays as it is.
    """
    try:
        function = _FUNCTIONS[command.op]
    except KeyError:
        raise InvalidArgument("not a single-key operation") from None
    return function(entry, command, now_ms)


def _expiry(command: Command, now_ms: int) -> int:
    return now_ms + command.ttl_s * 1000 if command.ttl_s > 0 else 0


def _plain(entry: Entry) -> bytes:
    if not isinstance(entry.value, bytes):
        raise WrongType("the key holds a set")
    return entry.value


def _members(entry: Entry | None) -> Members:
    if entry is None:
        return frozenset()
    if isinstance(entry.value, bytes):
        raise WrongType("the key holds a plain value")
    return entry.value


def _integer(entry: Entry | None) -> int:
    if entry is None:
        return 0
    value = _plain(entry)
    if not _INTEGER.fullmatch(value):
        raise NotAnInteger("the value is not an integer")
    number = int(value)
    if not INT64_MIN <= number <= INT64_MAX:
        raise NotAnInteger("the value is not a 64-bit integer")
    return number


def _get(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    if entry is None:
        return UNCHANGED, Result()
    return UNCHANGED, Result(value=_plain(entry), found=True)


def _put(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    return Entry(command.value, _expiry(command, now_ms)), Result(found=entry is not None, applied=True)


def _delete(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    if entry is None:
        return UNCHANGED, Result()
    return None, Result(found=True, applied=True)


def _count(entry: Entry | None, command: Command, now_ms: int, number: int) -> tuple[Change, Result]:
    """Store a counter; a TTL counts only when this creates it, and an existing one is kept."""
    if not INT64_MIN <= number <= INT64_MAX:
        raise Overflow("the counter would leave the 64-bit range")
    expires_ms = entry.expires_ms if entry is not None else _expiry(command, now_ms)
    return Entry(b"%d" % number, expires_ms), Result(found=entry is not None, applied=True, counter=number)


def _increment(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    return _count(entry, command, now_ms, _integer(entry) + 1)


def _decrement(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    change, result = _count(entry, command, now_ms, _integer(entry) - 1)
    if entry is None and isinstance(change, Entry):
        change = Entry(change.value)  # DECREMENT never sets a TTL (kv 4.2)
    return change, result


def _guarded(sign: int) -> Callable[[Entry | None, Command, int], tuple[Change, Result]]:
    def function(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
        if command.delta < 0:
            raise InvalidArgument("delta must not be negative")
        current = _integer(entry)
        number = current + sign * (command.delta or 1)
        if sign * number > sign * command.guard:
            return UNCHANGED, Result(found=entry is not None, counter=current)
        return _count(entry, command, now_ms, number)

    return function


def _set_nx(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    if entry is not None:
        return UNCHANGED, Result(value=entry.value if isinstance(entry.value, bytes) else b"", found=True)
    return Entry(command.value, _expiry(command, now_ms)), Result(applied=True)


def _compare_and_set(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    if entry is None:
        return UNCHANGED, Result()
    if _plain(entry) != command.expected:
        return UNCHANGED, Result(value=_plain(entry), found=True)
    return Entry(command.value, _expiry(command, now_ms)), Result(found=True, applied=True)


def _compare_and_delete(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    if entry is None:
        return UNCHANGED, Result()
    if _plain(entry) != command.expected:
        return UNCHANGED, Result(value=_plain(entry), found=True)
    return None, Result(found=True, applied=True)


def _set_add(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    members = _members(entry)
    if command.value in members:
        return UNCHANGED, Result(found=True, counter=len(members))
    kept = entry.expires_ms if entry is not None else 0
    grown = members | {command.value}
    return Entry(grown, _expiry(command, now_ms) or kept), Result(
        found=entry is not None, applied=True, counter=len(grown)
    )


def _set_card(entry: Entry | None, command: Command, now_ms: int) -> tuple[Change, Result]:
    return UNCHANGED, Result(found=entry is not None, counter=len(_members(entry)))


_FUNCTIONS: dict[Op, Callable[[Entry | None, Command, int], tuple[Change, Result]]] = {
    Op.GET: _get,
    Op.PUT: _put,
    Op.DELETE: _delete,
    Op.INCREMENT: _increment,
    Op.DECREMENT: _decrement,
    Op.INCREMENT_IF: _guarded(1),
    Op.DECREMENT_IF: _guarded(-1),
    Op.SET_NX: _set_nx,
    Op.COMPARE_AND_SET: _compare_and_set,
    Op.COMPARE_AND_DELETE: _compare_and_delete,
    Op.SET_ADD: _set_add,
    Op.SET_CARD: _set_card,
}
