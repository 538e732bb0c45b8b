"""How much of what has ended is kept: whoever may make something must not decide how much is in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

__all__ = ["ended_first"]

LOOKED_AT = 8
"""Of one owner at a time, which is more than are made at a time."""


def ended_first(ids: dict[str, None], kept_max: int, has_ended: Callable[[str], bool]) -> Iterator[str]:
    """Some of the oldest that have ended, where one owner has more than so many; to be taken out by the caller.

    :param ids: all of the owner, the oldest first. What has not ended goes to its end, to be looked at last.
    """
    for item in list(ids)[:LOOKED_AT] if len(ids) > kept_max else ():
        if has_ended(item):
            yield item
        else:
            del ids[item]
            ids[item] = None
