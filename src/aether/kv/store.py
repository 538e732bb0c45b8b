"""The port to key/value storage (kv 1.3, 4, 7): what a command is, what comes back, what a store must guarantee.

Every single-key command is linearizable, and durable when its result is told. A namespace is a tuple, never joined
text, so no two owners can be mapped to one (kv, weaknesses 4 and 5).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from aether.kv._shortcuts import Entries
    from aether.kv.accounts import Accounts

__all__ = [
    "CONDITIONAL",
    "COUNTERS",
    "CREATES",
    "KEY_BYTES_MAX",
    "LIST_BYTES_MAX",
    "PRIVATE_KEY_BYTES_MAX",
    "PRIVATE_SCOPE",
    "STORES_VALUE",
    "TAKES_TTL",
    "CachingKVStore",
    "Command",
    "ImmediateKVStore",
    "KVStore",
    "Namespace",
    "Op",
    "Place",
    "Result",
    "Scope",
]

KEY_BYTES_MAX = 256
PRIVATE_KEY_BYTES_MAX = 1024
PRIVATE_SCOPE = -1
"""Namespaces of the gateway's own features, such as checkpoints; no number a client can send maps to it."""
LIST_BYTES_MAX = 3_000_000
"""Keys and values of one LIST page; a response has to fit the 4 MiB that official clients accept."""


Place = tuple[int, bytes]
"""Where a store files an entry: namespace id and key."""


class Scope(enum.IntEnum):
    """Who shares an entry (kv 1.4). The numbers are the wire's."""

    GLOBAL = 1
    WORKSPACE = 2
    USER = 3
    USER_WORKSPACE = 4
    GLOBAL_EXCLUSIVE = 5
    WORKSPACE_EXCLUSIVE = 6
    USER_SHARED = 7
    USER_WORKSPACE_SHARED = 8

    @property
    def label(self) -> str:
        """Name in rules, metrics and client arguments, for example ``user-workspace``."""
        return _SCOPE_LABELS[self]

    @property
    def is_exclusive(self) -> bool:
        """Private to one implementation and specifier."""
        return self in (Scope.USER, Scope.USER_WORKSPACE, Scope.GLOBAL_EXCLUSIVE, Scope.WORKSPACE_EXCLUSIVE)


_SCOPE_LABELS = {scope: scope.name.lower().replace("_", "-") for scope in Scope}


class Op(enum.IntEnum):
    """The operations (kv 1.3). The numbers are the wire's."""

    GET = 0
    PUT = 1
    LIST = 2
    DELETE = 3
    INCREMENT = 4
    DECREMENT = 5
    INCREMENT_IF = 6
    DECREMENT_IF = 7
    SET_NX = 8
    COMPARE_AND_SET = 9
    COMPARE_AND_DELETE = 10
    PURGE_IDENTITY = 11
    SET_ADD = 12
    SET_CARD = 13


STORES_VALUE = frozenset({Op.PUT, Op.SET_NX, Op.COMPARE_AND_SET, Op.SET_ADD})
COUNTERS = frozenset({Op.INCREMENT, Op.DECREMENT, Op.INCREMENT_IF, Op.DECREMENT_IF})
CREATES = COUNTERS | {Op.PUT, Op.SET_NX, Op.SET_ADD}
"""Operations after which a key may be there that was not."""
TAKES_TTL = STORES_VALUE | CREATES
CONDITIONAL = frozenset(
    {Op.INCREMENT_IF, Op.DECREMENT_IF, Op.SET_NX, Op.COMPARE_AND_SET, Op.COMPARE_AND_DELETE, Op.SET_ADD}
)
"""Operations that do something only if something holds."""


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where a key lives. Parts that the scope does not use stay empty.

    :ivar owner: implementation and specifier of an exclusive scope.
    """

    scope: int
    owner: tuple[str, str] = ("", "")
    user: str = ""
    workspace: str = ""
    key: tuple[int, str, str, str, str] = field(init=False, repr=False, compare=False)
    """The identity of the namespace, injective."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", (int(self.scope), *self.owner, self.user, self.workspace))


@dataclass(slots=True)
class Command:
    """One operation on one key, or on the keys with a prefix (LIST, PURGE_IDENTITY).

    :ivar ttl_s: whole seconds; 0 or less: none (what that means depends on the operation, kv 4.2).
    :ivar limit: page size of LIST; 0 or less: 100.
    :ivar account: whom a namespace is charged to that this makes, see :mod:`aether.kv.accounts`.
    """

    op: Op
    namespace: Namespace
    key: str = ""
    value: bytes = b""
    ttl_s: int = 0
    guard: int = 0
    delta: int = 0
    expected: bytes = b""
    limit: int = 0
    cursor: str = ""
    account: str = ""


@dataclass(slots=True)
class Result:
    """What a command found or did; fields that do not belong to the operation keep their defaults.

    :ivar value: GET: the value; SET_NX and the comparisons when not applied: the current value.
    :ivar counter: counters: the value after; sets: the cardinality; PURGE_IDENTITY: the keys removed.
    """

    value: bytes = b""
    found: bool = False
    applied: bool = False
    counter: int = 0
    keys: Sequence[str] = ()
    values: Sequence[bytes] = ()
    cursor: str = ""
    more: bool = False


class KVStore(Protocol):
    """Any store.

    :ivar accounts: what is stored, by workspace, and the limits of that.
    """

    @property
    def accounts(self) -> Accounts: ...

    async def execute(self, command: Command) -> Result:
        """Run a command; what it changed is durable when this returns.

        :raises WrongType: a set operation on a plain value, or the other way round.
        :raises NotAnInteger: a counter operation on something else.
        :raises Overflow: the counter would leave the signed 64-bit range; it keeps its value.
        :raises InvalidArgument: empty or overlong key, negative delta, unreadable cursor.
        :raises WorkspaceFull: its account has no room for what it would add.
        :raises StoreUnavailable: the backend did not answer; retry.
        """

    async def count(self, namespace: Namespace) -> int:
        """Live keys in a namespace, for quotas."""


@runtime_checkable
class ImmediateKVStore(KVStore, Protocol):
    """A store in this process that evaluates at once."""

    def apply(self, command: Command) -> tuple[Result, int]:
        """Evaluate a single-key command: its result, and the ticket to be durable before the result is told."""

    def count_nowait(self, namespace: Namespace) -> int:
        """As :meth:`count`, at once; keys that expired a moment ago may still be counted."""


@runtime_checkable
class CachingKVStore(ImmediateKVStore, Protocol):
    """A store that shares what it knows of its entries with the compiled way to them."""

    entries: Entries

    def place(self, namespace: Namespace, key: str) -> Place | None:
        """Where an entry is among them; None while its namespace is empty."""
