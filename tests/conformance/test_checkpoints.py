"""The checkpoint port (kv 11)."""

from __future__ import annotations

from pathlib import Path

import pytest

from aether.errors import InvalidArgument

from .conftest import Stores, WallClock, open_stores

ME = "ag::w::i::s"


async def test_save_load_replace_delete(stores: Stores) -> None:
    checkpoints = stores.checkpoints
    assert await checkpoints.load(ME, "default") is None
    await checkpoints.save(ME, "default", b"one", saved_at_s=5, ttl_s=0)
    await checkpoints.save(ME, "default", b"", saved_at_s=6, ttl_s=0)
    loaded = await checkpoints.load(ME, "default")
    assert loaded is not None and (loaded.data, loaded.saved_at_s) == (b"", 6)
    await checkpoints.delete(ME, "default")
    await checkpoints.delete(ME, "default")
    assert await checkpoints.load(ME, "default") is None


async def test_keys_are_exact_sorted_and_private(stores: Stores) -> None:
    for key in ("b", "a:b", "a_b", "x" * 1024):
        await stores.checkpoints.save(ME, key, key.encode(), saved_at_s=1, ttl_s=0)
    assert await stores.checkpoints.list(ME) == sorted(["b", "a:b", "a_b", "x" * 1024])
    assert await stores.checkpoints.list("ag::w::i::other") == []
    with pytest.raises(InvalidArgument):
        await stores.checkpoints.save(ME, "x" * 1025, b"", saved_at_s=1, ttl_s=0)


async def test_expiry_is_checked_when_read(stores: Stores) -> None:
    await stores.checkpoints.save(ME, "short", b"v", saved_at_s=1, ttl_s=1)
    await stores.checkpoints.save(ME, "long", b"v", saved_at_s=1, ttl_s=0)
    stores.clock.advance(2)
    assert await stores.checkpoints.load(ME, "short") is None
    assert await stores.checkpoints.list(ME) == ["long"]


async def test_large_data_survives_a_restart(persistent_adapter: str, tmp_path: Path, clock: WallClock) -> None:
    data = bytes(range(256)) * 12_288
    async with open_stores(persistent_adapter, tmp_path, clock) as before:
        await before.checkpoints.save(ME, "big", data, saved_at_s=1, ttl_s=0)
    async with open_stores(persistent_adapter, tmp_path, clock) as after:
        loaded = await after.checkpoints.load(ME, "big")
        assert loaded is not None and loaded.data == data
