"""Administrative records in memory, for tests."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MemoryRecords"]


class MemoryRecords:
    """Implements :class:`aether.records.RecordStore`; what is put is durable at once."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, bytes]] = {}

    def load(self, kind: str) -> Mapping[str, bytes]:
        return dict(self._records.get(kind, {}))

    def put(self, kind: str, key: str, record: bytes) -> int:
        self._records.setdefault(kind, {})[key] = record
        return 0

    def delete(self, kind: str, key: str) -> int:
        self._records.get(kind, {}).pop(key, None)
        return 0
