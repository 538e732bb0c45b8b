"""The port to the audit log, and its rows (acl 15, weaknesses 37, 42, 50).

Rows form a chain: each carries the SHA-256 of the hash before it and of its own fields, so that a row that is changed,
removed, moved or put in later shows. The hash of a row covers a JSON array of its fields in the order of
:class:`Row`, without spaces and with unescaped Unicode.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pydantic_core import PydanticSerializationError, to_json

__all__ = ["FIELDS", "GENESIS", "AuditStore", "Filter", "Row", "chain_hash", "compact_json"]

GENESIS = hashlib.sha256(b"aether audit log").hexdigest()
"""What stands for the hash before the first row."""


class Row(NamedTuple):
    """One stored event. ``number`` counts from 1 without gaps; ``time_us`` is Unix microseconds, never going back."""

    number: int
    time_us: int
    kind: str
    operation: str
    success: bool
    actor_type: str
    actor_id: str
    canonical_id: str
    resource_type: str
    resource_id: str
    workspace: str
    session_id: str
    gateway_id: str
    error: str
    metadata: str
    """A JSON object."""
    subject_type: str
    subject_id: str
    root_subject_type: str
    root_subject_id: str
    authority_mode: str
    grant_id: str
    root_grant_id: str
    parent_grant_id: str
    source: str
    hash: str = ""


FIELDS = Row._fields
_HASHED = FIELDS.index("hash")


def chain_hash(before: str, row: Sequence[object]) -> str:
    """The hash of a row behind a row with the hash ``before``; its own ``hash`` does not count, and may be missing."""
    return hashlib.sha256(compact_json((before, *row[:_HASHED]))).hexdigest()


def compact_json(value: object) -> bytes:
    """JSON of plain values, without spaces and with unescaped Unicode."""
    try:
        return to_json(value)  # a third of the time of the standard library's, byte by byte the same
    except PydanticSerializationError:  # it refuses half a surrogate pair
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
        return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows; what is left empty does not narrow it down. Times are Unix microseconds, both inclusive.

    :ivar actor_id: in either spelling, identity or canonical id.
    """

    start_us: int = 0
    end_us: int = 0
    kind: str = ""
    actor_type: str = ""
    actor_id: str = ""
    resource_type: str = ""
    resource_id: str = ""
    operation: str = ""
    workspace: str = ""
    only_failures: bool = False
    subject_type: str = ""
    subject_id: str = ""
    authority_mode: str = ""
    grant_id: str = ""
    exclude_actor_types: tuple[str, ...] = ()
    exclude_workspaces: tuple[str, ...] = ()
    exclude_service_direct: bool = False
    decision: str = ""
    """``ALLOW`` or ``DENY``, of authorization rows."""
    before_number: int = 0
    """Only rows before this one; the cursor of a reader that goes back in time."""


class AuditStore(Protocol):
    """Appending is synchronous, part of the batch that is being filled; reading sees what was appended before.

    :ivar head: number and hash of the last row, ``(0, GENESIS)`` in an empty log. The number is higher where rows at
        the end were taken away: the next one then leaves a gap.
    :ivar time_us: time of the last row, 0 in an empty log.
    :ivar staged: rows that are appended and not yet durable.
    """

    head: tuple[int, str]
    time_us: int

    @property
    def staged(self) -> int: ...

    def append(self, row: Row) -> int:
        """Add the next row; returns the ticket of its batch.

        :raises StoreUnavailable: the store takes nothing now.
        """

    async def query(self, wanted: Filter, limit: int, offset: int) -> tuple[int, Sequence[Row]]:
        """How many rows match, and one page of them, the newest first.

        :raises StoreUnavailable: the log cannot be read.
        """

    async def read(self, after: int, limit: int) -> Sequence[Row]:
        """Rows by number, from the one after ``after``."""

    async def oldest(self, before_us: int, limit: int) -> tuple[int, str]:
        """Number and hash of the last of the first ``limit`` rows that are older than a time; ``(0, "")``: none is."""

    async def remove_through(self, number: int) -> int:
        """Forget the rows up to and with a number; returns how many."""
