"""Checkpoints on top of a key/value store: one private namespace per identity (kv 11)."""

from __future__ import annotations

from aether.checkpoints.store import Checkpoint
from aether.identity import parse_identity
from aether.kv.store import PRIVATE_SCOPE, Command, KVStore, Namespace, Op

__all__ = ["KVCheckpoints"]


class KVCheckpoints:
    """Implements :class:`aether.checkpoints.store.CheckpointStore`: the save time in 8 bytes, then the data."""

    def __init__(self, store: KVStore) -> None:
        self._store = store

    async def save(self, identity: str, key: str, data: bytes, *, saved_at_s: int, ttl_s: int) -> None:
        value = saved_at_s.to_bytes(8, "big") + data
        account = parse_identity(identity).workspace
        await self._store.execute(Command(Op.PUT, _namespace(identity), key, value, ttl_s=ttl_s, account=account))

    async def load(self, identity: str, key: str) -> Checkpoint | None:
        result = await self._store.execute(Command(Op.GET, _namespace(identity), key))
        if not result.found:
            return None
        return Checkpoint(result.value[8:], int.from_bytes(result.value[:8], "big"))

    async def delete(self, identity: str, key: str) -> None:
        await self._store.execute(Command(Op.DELETE, _namespace(identity), key))

    async def list(self, identity: str) -> list[str]:
        keys: list[str] = []
        cursor = ""
        while True:
            page = await self._store.execute(Command(Op.LIST, _namespace(identity), limit=1000, cursor=cursor))
            keys += page.keys
            if not page.more:
                return keys
            cursor = page.cursor

    async def count(self, identity: str) -> int:
        return await self._store.count(_namespace(identity))


def _namespace(identity: str) -> Namespace:
    return Namespace(PRIVATE_SCOPE, owner=("checkpoint", identity))
