"""What workspaces store, and how much they may (kv 6.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from aether.errors import WorkspaceFull
from aether.kv.store import Command, Namespace, Op, Scope

from .conftest import Stores, WallClock, open_stores

PRIVATE = [Namespace(Scope.USER, owner=("i", "s"), user=str(number)) for number in range(10)]


async def put(
    stores: Stores, user: int = 0, key: str = "k", value: bytes = b"123", *, op: Op = Op.PUT, account: str = "w"
) -> None:
    await stores.kv.execute(Command(op, PRIVATE[user], key, value, account=account))


def limit(stores: Stores, keys: int, size: int) -> None:
    stores.kv.accounts.limit_by(lambda workspace: (keys, size))


async def test_all_namespaces_of_an_account_count_together(stores: Stores) -> None:
    for user in range(3):
        await put(stores, user, value=b"x" * user)
    await put(stores, 5, account="v")
    assert stores.kv.accounts.stored("w") == (3, 3 + 0 + 1 + 2)
    assert stores.kv.accounts.stored("v") == (1, 4)
    assert stores.kv.accounts.stored("nobody") == (0, 0)


async def test_a_namespace_is_its_makers(stores: Stores) -> None:
    await put(stores, account="w")
    await put(stores, key="other", account="v")
    assert stores.kv.accounts.stored("w") == (2, 4 + 8)
    assert stores.kv.accounts.stored("v") == (0, 0)


async def test_what_is_replaced_or_removed_counts_no_more(stores: Stores) -> None:
    await put(stores, value=b"12345")
    await put(stores, value=b"1")
    assert stores.kv.accounts.stored("w") == (1, 2)
    await put(stores, 1, "set", b"ab", op=Op.SET_ADD)
    await put(stores, 1, "set", b"ab", op=Op.SET_ADD)
    assert stores.kv.accounts.stored("w") == (2, 2 + 3 + 4 + 2)
    await put(stores, op=Op.DELETE)
    await put(stores, op=Op.DELETE)
    await stores.kv.execute(Command(Op.PURGE_IDENTITY, PRIVATE[1]))
    assert stores.kv.accounts.stored("w") == (0, 0)


@pytest.mark.parametrize("op", [Op.PUT, Op.SET_NX, Op.SET_ADD, Op.INCREMENT])
async def test_no_operation_makes_more_keys_than_there_may_be(stores: Stores, op: Op) -> None:
    limit(stores, 2, 0)
    await put(stores, 0)
    await put(stores, 1)
    for user, key in ((0, "new"), (2, "k")):
        with pytest.raises(WorkspaceFull, match="kv_keys_per_workspace in workspace 'w': current 2, limit 2"):
            await put(stores, user, key, b"1", op=op)
        assert not (await stores.kv.execute(Command(Op.GET, PRIVATE[user], key))).found
    await put(stores, 2, account="v")
    await put(stores, 1, value=b"what is there may be changed")
    await put(stores, 1, op=Op.DELETE)
    await put(stores, 0, "new", b"1", op=op)


async def test_bytes_are_bounded_however_they_come(stores: Stores) -> None:
    limit(stores, 0, 20)
    await put(stores, 0, "plain", b"1234")
    await put(stores, 1, "set", b"a", op=Op.SET_ADD)
    assert stores.kv.accounts.stored("w") == (2, 17)
    for user, key, value, op in (
        (0, "plain", b"12345678", Op.PUT),
        (1, "set", b"b", Op.SET_ADD),
        (3, "new", b"1", Op.SET_NX),
    ):
        with pytest.raises(WorkspaceFull, match="kv_bytes_per_workspace in workspace 'w': current 17, limit 20"):
            await put(stores, user, key, value, op=op)
    await put(stores, 0, "plain", b"1234567")
    limit(stores, 0, 5)
    await put(stores, 0, "plain", b"123456")
    with pytest.raises(WorkspaceFull):
        await put(stores, 0, "plain", b"1234567")


async def test_who_has_no_workspace_has_no_bound(stores: Stores) -> None:
    limit(stores, 1, 1)
    for user in range(3):
        await put(stores, user, account="")


async def test_limits_can_change(stores: Stores) -> None:
    bounds = {"w": (1, 0), "v": (1, 0)}
    stores.kv.accounts.limit_by(bounds.__getitem__)
    await put(stores, 0)
    bounds["w"] = (2, 0)
    with pytest.raises(WorkspaceFull):
        await put(stores, 1)
    stores.kv.accounts.on_limits_changed("w")
    await put(stores, 1)
    stores.kv.accounts.on_limits_changed("v")
    with pytest.raises(WorkspaceFull):
        await put(stores, 2)


async def test_counts_outlive_the_process(tmp_path: Path) -> None:
    clock = WallClock()
    async with open_stores("sqlite", tmp_path, clock) as stores:
        await put(stores, 0)
        await put(stores, 1, "set", b"member", op=Op.SET_ADD)
        await put(stores, 2, account="v")
    async with open_stores("sqlite", tmp_path, clock) as stores:
        assert stores.kv.accounts.stored("w") == (2, 4 + 3 + 4 + 6)
        limit(stores, 2, 0)
        with pytest.raises(WorkspaceFull):
            await put(stores, 0, "another")
        assert stores.kv.accounts.stored("v") == (1, 4)


async def test_refused_namespaces_leave_nothing(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path, WallClock()) as stores:
        limit(stores, 1, 0)
        await put(stores, 0)
        for user in range(1, 10):
            with pytest.raises(WorkspaceFull):
                await put(stores, user)
            await put(stores, user, op=Op.DELETE)
        rows = stores.kv._database.reader.execute("SELECT count(*) FROM namespaces").fetchone()  # type: ignore[attr-defined]
        assert rows == (1,)
