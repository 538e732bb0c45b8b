"""The port to administrative records, and the tables that features keep on it (backends 3.5, 3.6, 3.8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aether.errors import StoreUnavailable
from aether.records import Table
from aether.registry.registry import Registration, Registry, RegistryError, ResourceSchema

from .conftest import Stores, WallClock, open_stores


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    tags: tuple[str, ...] = ()
    marks: dict[str, bool] = field(default_factory=dict)


async def test_kinds_are_apart_and_keys_exact(stores: Stores) -> None:
    for kind, key in (("a", "k"), ("b", "k"), ("a", "K"), ("a", "k%"), ("a", ""), ("a", "ключ")):
        stores.records.put(kind, key, f'"{kind}/{key}"'.encode())
    await stores.settle()
    assert stores.records.load("a") == {key: f'"a/{key}"'.encode() for key in ("k", "K", "k%", "", "ключ")}
    assert stores.records.load("b") == {"k": b'"b/k"'}
    assert stores.records.load("c") == {}


async def test_replacing_keeps_the_place_and_deleting_gives_it_up(stores: Stores) -> None:
    records = stores.records
    for key in ("c", "a", "b"):
        records.put("kind", key, b"1")
    records.put("kind", "c", b"2")
    records.delete("kind", "a")
    records.delete("kind", "never")
    records.put("kind", "a", b"3")
    await stores.settle()
    assert list(records.load("kind").items()) == [("c", b"2"), ("b", b"1"), ("a", b"3")]


async def test_a_table_reads_its_own_writes_at_once(stores: Stores) -> None:
    table = Table(stores.records, "note", Note)
    one, two = Note("one", ("x", "y"), {"m": True}), Note("two")
    table.put("1", one)
    table.put("2", two)
    assert (table.get("1"), table.get("3"), list(table), len(table)) == (one, None, ["1", "2"], 2)
    assert table.delete("2") == two
    assert table.delete("2") is None
    await stores.settle()
    again = Table(stores.records, "note", Note)
    assert again.items() == [("1", one)]


async def test_what_was_durable_is_there_afterwards(persistent_adapter: str, tmp_path: Path, clock: WallClock) -> None:
    mail = ResourceSchema("mail/", ("read",), "mail/{box}")
    async with open_stores(persistent_adapter, tmp_path, clock) as before:
        registry = Registry(before.records, clock)
        made = registry.put(Registration("a", {"profile": "p"}, "d", (mail,), {"fast": True}, ("urn:x",)))
        registry.put(Registration("b", {"profile": "p"}))
        registry.delete("b")
        await before.settle()
    clock.advance(1)
    async with open_stores(persistent_adapter, tmp_path, clock) as after:
        registry = Registry(after.records, clock)
        assert registry.all() == [made]
        assert registry.find("a:anything") == made
        with pytest.raises(RegistryError, match='already declared by agent "a"'):
            registry.put(Registration("c", {"profile": "p"}, resource_schema=(mail,)))
        again = registry.put(Registration("a", {"profile": "q"}))
        assert (again.registered_ms, again.updated_ms) == (made.registered_ms, made.registered_ms + 1000)
        registry.put(Registration("c", {"profile": "p"}, resource_schema=(mail,)))  # it is free now


async def test_a_witness_that_refuses_keeps_things_as_they_were(stores: Stores) -> None:
    def refuse() -> None:
        raise StoreUnavailable("no")

    registry = Registry(stores.records, stores.clock)
    old = registry.put(Registration("a", {"profile": "p"}, resource_schema=(ResourceSchema("mail/"),)))
    with pytest.raises(StoreUnavailable):
        registry.put(Registration("a", {"profile": "q"}), refuse)
    with pytest.raises(StoreUnavailable):
        registry.delete("a", refuse)
    with pytest.raises(StoreUnavailable):
        registry.put(Registration("b", {"profile": "q"}, resource_schema=(ResourceSchema("file/"),)), refuse)
    assert registry.all() == [old]
    with pytest.raises(RegistryError, match="ERR_PREFIX_CONFLICT"):
        registry.put(Registration("c", {"profile": "q"}, resource_schema=(ResourceSchema("mail/"),)))
    registry.put(Registration("c", {"profile": "q"}, resource_schema=(ResourceSchema("file/"),)))
