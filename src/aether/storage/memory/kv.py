"""Key/value entries in a dictionary; everything is durable at once."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

import trio

from aether.errors import InvalidArgument
from aether.kv._shortcuts import Usage
from aether.kv.accounts import Accounts
from aether.kv.semantics import UNCHANGED, Entry, check_key, evaluate
from aether.kv.store import LIST_BYTES_MAX, Command, Namespace, Op, Result

__all__ = ["MemoryKV"]

Key = tuple[int, str, str, str, str]


class MemoryKV:
    """Implements :class:`aether.kv.store.ImmediateKVStore`."""

    def __init__(self, wall_clock: Callable[[], int]) -> None:
        self._wall_clock = wall_clock
        self._namespaces: dict[Key, dict[bytes, Entry]] = {}
        self._charged: dict[Key, Usage] = {}
        self.accounts = Accounts()

    def _live(self, namespace: Namespace) -> dict[bytes, Entry]:
        now_ms = self._wall_clock()
        entries = self._namespaces.get(namespace.key, {})
        for key in [key for key, entry in entries.items() if 0 < entry.expires_ms <= now_ms]:
            self._remove(namespace, entries, key)
        return entries

    def _remove(self, namespace: Namespace, entries: dict[bytes, Entry], key: bytes) -> None:
        self._charged[namespace.key].charge(key, entries.pop(key), None)

    def apply(self, command: Command) -> tuple[Result, int]:
        key = check_key(command)
        entries = self._live(command.namespace)
        change, result = evaluate(entries.get(key), command, self._wall_clock())
        if change is None:
            self._remove(command.namespace, entries, key)
        elif isinstance(change, Entry):
            usage = self._charged.get(command.namespace.key) or self.accounts.of(command.account)
            usage.charge(key, entries.get(key), change)
            self._charged[command.namespace.key] = usage
            self._namespaces.setdefault(command.namespace.key, {})[key] = change
        else:
            assert change is UNCHANGED
        return result, 0

    async def execute(self, command: Command) -> Result:
        await trio.lowlevel.checkpoint()
        if command.op is Op.LIST:
            return self._list(command)
        if command.op is Op.PURGE_IDENTITY:
            entries = self._live(command.namespace)
            doomed = [key for key in entries if key.startswith(command.key.encode("utf-8", "surrogatepass"))]
            for key in doomed:
                self._remove(command.namespace, entries, key)
            return Result(counter=len(doomed), applied=bool(doomed))
        return self.apply(command)[0]

    async def count(self, namespace: Namespace) -> int:
        await trio.lowlevel.checkpoint()
        return self.count_nowait(namespace)

    def count_nowait(self, namespace: Namespace) -> int:
        return len(self._live(namespace))

    def _list(self, command: Command) -> Result:
        try:
            after = base64.b64decode(command.cursor if command.cursor != "0" else "", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidArgument("unreadable cursor") from None
        prefix = command.key.encode("utf-8", "surrogatepass")
        limit = command.limit if command.limit > 0 else 100
        result = Result()
        keys: list[str] = []
        values: list[bytes] = []
        room = LIST_BYTES_MAX
        last = b""
        for key, entry in sorted(self._live(command.namespace).items()):
            if not key.startswith(prefix) or key <= after or not isinstance(entry.value, bytes):
                continue
            room -= 2 * len(key) + len(entry.value) + 16
            if len(keys) >= limit or (room < 0 and keys):
                result.more = True
                result.cursor = base64.urlsafe_b64encode(last).decode()
                break
            keys.append(key.decode("utf-8", "surrogatepass"))
            values.append(entry.value)
            last = key
        result.keys, result.values = keys, values
        return result
