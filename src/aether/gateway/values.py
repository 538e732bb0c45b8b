"""Shortcuts to values, for the sessions of this gateway (kv 7.1, 7.2)."""

from __future__ import annotations

from functools import partial
from typing import cast

from aether.answers import Answer, Caller
from aether.gateway.live import LiveSession
from aether.kv._shortcuts import Shortcut, Shortcuts
from aether.kv.store import CachingKVStore, Op, Place, Scope
from aether.kv.wire import in_doubt
from aether.metrics import KVOperations

__all__ = ["ValueShortcuts"]


class ValueShortcuts:
    """Keeps, with the session that it is for, what :class:`aether.kv.service.KVService` reports as a repeat.

    :param value_bytes_max: longer values are refused, so they go to the service.
    """

    def __init__(self, store: CachingKVStore, value_bytes_max: int, operations: KVOperations) -> None:
        self._entries = store.entries
        self._value_bytes_max = value_bytes_max
        self._operations = operations

    def keep(self, caller: Caller, op: Op, scope: Scope, workspace: str, question: bytes, place: Place) -> None:
        """See :class:`aether.kv.service.OnRepeat`."""
        session = cast("LiveSession", caller)
        port = session.port
        if port.shortcuts is None:
            port.shortcuts = Shortcuts(self._entries, self._value_bytes_max, partial(_answer, session))
        successes = self._operations.successes(op.name, scope.label, workspace)
        port.shortcuts.add(question, Shortcut(place, *successes))


def _answer(session: LiveSession, frame: bytes, ticket: int, request_id: str) -> None:
    session.put(Answer((frame,), ticket, partial(in_doubt, request_id)))
