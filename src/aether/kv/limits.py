"""How large values are, how many, and how long they live (kv 6.1, 12.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from aether.errors import Code, Refusal
from aether.kv.namespaces import shown

__all__ = ["VALUE_BYTES_CEILING", "KVLimits", "refuse_count", "refuse_size"]

VALUE_BYTES_CEILING = 3_500_000
"""No value is larger, whatever the quota says: official clients take at most 4 MiB, keys and envelope included."""

TTL_S_CEILING = 10_000_000_000
"""Three centuries; longer lives are cut to it, so that expiry times fit into 64 bits."""


@dataclass(frozen=True, slots=True)
class KVLimits:
    """Limits of values and namespaces (kv 6.1, 12.3). 0 is none, up to the ceilings above."""

    value_bytes_max: int = 1024 * 1024
    keys_per_namespace_max: int = 10_000
    default_ttl_s: int = 0
    """Given to what is stored without a TTL."""
    ttl_s_max: int = 0
    """Cuts every longer TTL, and none."""
    exclusive_to_identities: bool = False
    """Exclusive scopes belong to an identity, and not to all that have its implementation and specifier."""

    @property
    def largest_value(self) -> int:
        """Longer values are refused, in bytes."""
        return min(self.value_bytes_max or VALUE_BYTES_CEILING, VALUE_BYTES_CEILING)

    def ttl(self, ttl_s: int) -> int:
        """The life of a value for which one was asked, in seconds; the same default and maximum for everything that is
        stored (weakness 15)."""
        if ttl_s <= 0:
            ttl_s = self.default_ttl_s
        if self.ttl_s_max and not 0 < ttl_s <= self.ttl_s_max:
            return self.ttl_s_max
        return min(ttl_s, TTL_S_CEILING)


def refuse_size(size: int, largest: int, workspace: str) -> NoReturn:
    """A value is too large."""
    raise Refusal(
        Code.QUOTA,
        f"quota exceeded for kv_value_size in workspace '{shown(workspace)}': current {size}, limit {largest}",
    )


def refuse_count(workspace: str, limit: int) -> NoReturn:
    """A namespace is full."""
    raise Refusal(
        Code.QUOTA,
        f"quota exceeded for kv_keys_per_namespace in workspace '{shown(workspace)}': current {limit}, limit {limit}",
    )
