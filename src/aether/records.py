"""Small administrative state -- rules, tokens, grants -- as named records in a store (backends 3.5, 3.6).

A feature keeps its records in a :class:`Table`: all of them in memory, so that a decision never waits for a store, and
each change staged with the store before the caller goes on. The change is in effect at once; who announces it waits
for the ticket of the batch it belongs to (see :class:`aether.answers.Answer`). Changes made without a checkpoint in
between, an audit row among them, become durable together or not at all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from pydantic import TypeAdapter

__all__ = ["RecordStore", "Table"]

R = TypeVar("R")


class RecordStore(Protocol):
    """The port: texts by kind and key."""

    def load(self, kind: str) -> Mapping[str, bytes]:
        """Every record of a kind; called once, when the feature starts.

        :raises StoreUnavailable: the store cannot be read.
        """

    def put(self, kind: str, key: str, record: bytes) -> int:
        """Create or replace; returns the ticket of the batch that makes it durable.

        :raises StoreUnavailable: the store takes no changes now; nothing was changed.
        """

    def delete(self, kind: str, key: str) -> int:
        """Remove; absent is fine. As :meth:`put`."""


@functools.cache
def _adapter(record: Any) -> TypeAdapter[Any]:
    """Building one takes a millisecond, and every gateway of a process needs the same."""
    return TypeAdapter(record)


class Table(Generic[R]):
    """The records of one kind, by key, in order of creation.

    :param record: a dataclass of plain fields; stored as JSON, so that operators can read it.
    :ivar ticket: of the latest change.
    """

    def __init__(self, store: RecordStore, kind: str, record: type[R]) -> None:
        self._store = store
        self._kind = kind
        self._adapter: TypeAdapter[R] = _adapter(record)  # type: ignore[arg-type]  # a class is hashable
        self._records = {key: self._adapter.validate_json(text) for key, text in store.load(kind).items()}
        self.ticket = 0

    def get(self, key: str) -> R | None:
        return self._records.get(key)

    def put(self, key: str, record: R) -> None:
        """Create or replace.

        :raises StoreUnavailable: nothing was changed; retry.
        """
        self.ticket = self._store.put(self._kind, key, self._adapter.dump_json(record))
        self._records[key] = record

    def delete(self, key: str) -> R | None:
        """Remove and return a record; None when there is none.

        :raises StoreUnavailable: nothing was changed; retry.
        """
        record = self._records.get(key)
        if record is not None:
            self.ticket = self._store.delete(self._kind, key)
            del self._records[key]
        return record

    def values(self) -> list[R]:
        return list(self._records.values())

    def items(self) -> list[tuple[str, R]]:
        return list(self._records.items())

    def __contains__(self, key: str) -> bool:
        return key in self._records

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._records))

    def __len__(self) -> int:
        return len(self._records)
