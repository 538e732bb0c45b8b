"""Pages of lists, as clients ask for them: a limit and an offset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["page", "page_size", "part"]

SIZE_DEFAULT = 100
SIZE_MAX = 1000

T = TypeVar("T")


def page_size(limit: int, largest: int = SIZE_MAX) -> int:
    """How many a page has; 0 and less leave it to us."""
    return min(limit, largest) if limit > 0 else SIZE_DEFAULT


def page(found: Sequence[T], limit: int, offset: int) -> Sequence[T]:
    """One page of what was found."""
    first = max(0, offset)
    return found[first : first + page_size(limit)]


def part(found: Sequence[T], limit: int, offset: int) -> Sequence[T]:
    """As :func:`page`, but a limit of 0 and less is none: for lists that only the size of a response cuts."""
    first = max(0, offset)
    return found[first : first + limit] if limit > 0 else found[first:]
