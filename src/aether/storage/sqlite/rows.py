"""Statements that write many rows each.

SQLite works without the interpreter lock, but every statement takes it back; so rows go in together, in chunks of a
few fixed sizes whose statements stay prepared.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

__all__ = ["Statement", "insert_rows"]

CHUNK_MAX = 64

Statement = tuple[str, Sequence[Any]]


def insert_rows(into: str, rows: Sequence[Sequence[Any]], on_conflict: str = "") -> Iterator[Statement]:
    """``INSERT INTO`` a table, with its columns in parentheses, as few statements as chunks need.

    :param on_conflict: what follows the rows, such as ``ON CONFLICT DO NOTHING``.
    """
    start = 0
    while start < len(rows):
        size = min(CHUNK_MAX, 1 << ((len(rows) - start).bit_length() - 1))
        chunk = rows[start : start + size]
        yield _sql(into, len(chunk[0]), size, on_conflict), list(chain.from_iterable(chunk))
        start += size


@functools.cache
def _sql(into: str, columns: int, size: int, on_conflict: str) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {into} VALUES {', '.join([row] * size)} {on_conflict}"
