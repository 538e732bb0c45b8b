"""Checking that nobody touched the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from aether.audit.store import FIELDS, GENESIS, Row, chain_hash

__all__ = ["TRIMMED", "Finding", "Verifier"]

TRIMMED = "audit_trimmed"
"""Operation of the row that is written before old rows are removed; it keeps the number and hash of the last of them,
so that the rest still hangs on something."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that is wrong."""

    number: int
    problem: str


class Verifier:
    """Feed it all rows in order; then :meth:`finish`.

    A cut at the end shows against the length that the file keeps beside the rows. Who changed that too is found only by
    comparing the head with one that was noted elsewhere.
    """

    def __init__(self) -> None:
        self._first: Row | None = None
        self._last: tuple[int, str] | None = None
        self._time_us = 0
        self._anchors: dict[int, str] = {0: GENESIS}
        self._finding: Finding | None = None
        self._hashes: dict[int, str] = {}
        self.rows = 0

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last row."""
        return self._last or (0, GENESIS)

    def feed(self, rows: Iterable[Row], *, remember: frozenset[int] = frozenset()) -> None:
        """Look at the next rows.

        :param remember: numbers whose hashes :meth:`hash_of` is asked for later.
        """
        for row in rows:
            if self._finding is not None:
                return
            self._look(row)
            if row.number in remember:
                self._hashes[row.number] = row.hash

    def hash_of(self, number: int) -> str | None:
        """The hash of a row that was to be remembered; None when there is no such row."""
        return self._hashes.get(number)

    def _look(self, row: Row) -> None:
        self.rows += 1
        if not _is_plain(row):
            self._finding = Finding(row.number, "has values that the gateway does not write")
            return
        if self._last is None:
            self._first = row
        else:
            number, before = self._last
            if row.number != number + 1:
                self._finding = Finding(number + 1, "is missing")
                return
            if row.hash != chain_hash(before, row):
                self._finding = Finding(row.number, "does not fit to the row before, or was changed")
                return
            if row.time_us < self._time_us:
                self._finding = Finding(row.number, "is older than the row before")
                return
        self._time_us = row.time_us
        self._last = (row.number, row.hash)
        if row.operation == TRIMMED and row.kind == "admin":
            self._keep_anchor(row.metadata)

    def _keep_anchor(self, metadata: str) -> None:
        try:
            kept = json.loads(metadata)
            self._anchors[kept["through"]] = kept["hash"]
        except (ValueError, TypeError, KeyError):
            return  # it was changed, which its hash tells

    def finish(self, length: int = 0) -> Finding | None:
        """What is wrong first, or None. The first row must follow the genesis or a recorded removal.

        :param length: number of the last row that was ever written, as far as known.
        """
        first = self._first
        if first is not None:
            anchor = self._anchors.get(first.number - 1)
            if anchor is None:
                return Finding(first.number - 1, "and what was before it are missing")
            if first.hash != chain_hash(anchor, first):
                return Finding(first.number, "does not fit to what was before, or was changed")
        if self._finding is None and self.head[0] < length:
            return Finding(self.head[0] + 1, "and what was after it are missing")
        return self._finding


_TYPES: list[type] = [{"number": int, "time_us": int, "success": bool}.get(name, str) for name in FIELDS]


def _is_plain(row: Row) -> bool:
    """Whether every field has its type. A text that was stored as bytes has the same hash, and no query finds it."""
    return row.number > 0 and all(type(value) is wanted for value, wanted in zip(row, _TYPES, strict=True))
