"""Streams whose client has not said yet who it is, or is being looked at (connection 8.3, W-40).

They belong to nobody, so nothing else bounds them: one address can hold a limited number, and a drain ends them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from aether.gateway.reasons import refused_by_drain
from aether.rpc.status import RpcError, StatusCode

__all__ = ["HalfOpen"]


class HalfOpen:
    """The streams of one gateway that are not sessions yet.

    :param per_source_max: how many one source may have; 0 is any number.
    """

    def __init__(self, per_source_max: int) -> None:
        self._per_source_max = per_source_max
        self._sources: dict[str, int] = {}
        self._scopes: set[trio.CancelScope] = set()
        self._refusing = False

    @contextmanager
    def stream(self, source: str) -> Iterator[None]:
        """Around the handshake of a stream.

        :param source: whose streams are counted together; empty: not counted.
        :raises RpcError: the source has too many, or the gateway goes.
        """
        if self._refusing:
            raise refused_by_drain()
        count = self._sources.get(source, 0)
        if source:
            if 0 < self._per_source_max <= count:
                raise RpcError(StatusCode.RESOURCE_EXHAUSTED, "too many streams without InitConnection, try again")
            self._sources[source] = count + 1
        scope = trio.CancelScope()
        self._scopes.add(scope)
        try:
            with scope:
                yield
        finally:
            self._scopes.discard(scope)
            if source:
                self._leave(source)
        if scope.cancelled_caught:
            raise refused_by_drain()

    def __len__(self) -> int:
        return len(self._scopes)

    def _leave(self, source: str) -> None:
        self._sources[source] -= 1
        if not self._sources[source]:
            del self._sources[source]

    def refuse(self) -> None:
        """End those that are there, and every later one."""
        self._refusing = True
        for scope in list(self._scopes):
            scope.cancel()
