"""Pages of the audit log that fit together, while rows are added at the end where reading begins (weakness 50)."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from aether.audit.store import Filter

__all__ = ["Pages"]

READERS_MAX = 1000


class Pages:
    """Remembers, for each reader and filter, where the log ended at the first page; later pages end there as well."""

    def __init__(self) -> None:
        self._ends: OrderedDict[tuple[str, Filter], int] = OrderedDict()

    def fix(self, session_id: str, wanted: Filter, offset: int, last: int) -> Filter:
        """The filter for one page.

        :param offset: 0 or less begins anew.
        :param last: number of the last row now.
        """
        key = (session_id, wanted)
        end = self._ends.get(key) if offset > 0 else None
        if end is None:
            end = self._ends[key] = last
            if len(self._ends) > READERS_MAX:
                self._ends.popitem(last=False)
        self._ends.move_to_end(key)
        return replace(wanted, before_number=end + 1)
