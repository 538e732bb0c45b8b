"""What agents declare of themselves: whose a resource prefix is, and who hears of a change (tasks 15.2)."""

from __future__ import annotations

import pytest

from aether.registry.registry import Registration, Registry, RegistryError, ResourceSchema
from aether.storage.memory.records import MemoryRecords


def declared(name: str, *prefixes: str) -> Registration:
    return Registration(name, {"profile": "p"}, resource_schema=tuple(map(ResourceSchema, prefixes)))


def opened(records: MemoryRecords) -> Registry:
    return Registry(records, lambda: 5)


def test_a_prefix_is_taken_until_its_agent_gives_it_up_or_is_gone() -> None:
    records = MemoryRecords()
    opened(records).put(declared("a", "mail/", "file/"))
    registry = opened(records)  # also after a restart
    for prefix in ("mail/", "file/"):
        with pytest.raises(RegistryError, match=f'"{prefix}" already declared by agent "a"'):
            registry.put(declared("b", prefix))
    registry.put(declared("a", "mail/"))
    registry.put(declared("b", "file/"))
    registry.delete("a")
    registry.put(declared("c", "mail/"))
    with pytest.raises(RegistryError, match='"mail/" already declared by agent "c"'):
        registry.put(declared("a", "mail/"))


def test_a_prefix_that_is_empty_is_none() -> None:
    registry = opened(MemoryRecords())
    registry.put(declared("a", "", ""))
    registry.put(declared("b", ""))
    assert [registration.implementation for registration in registry.all()] == ["a", "b"]


def test_every_change_is_told() -> None:
    registry, told = opened(MemoryRecords()), list[str]()
    registry.on_change.append(told.append)
    registry.put(declared("a"))
    registry.put(declared("a"))
    registry.delete("a")
    with pytest.raises(RegistryError, match="not found"):
        registry.delete("a")
    assert told == ["a", "a", "a"]
