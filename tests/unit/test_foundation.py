"""Ids that a gateway gives out."""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.unit.fakes import WallClock

from aether import Config
from aether.audit.events import NoAudit
from aether.gateway.directory import Directory
from aether.gateway.foundation import Foundation
from aether.metrics import Metrics
from aether.tiers import open_tier


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
async def foundation(tmp_path: Path, clock: WallClock) -> AsyncIterator[Foundation]:
    config = Config.development(tmp_path / "data")
    async with open_tier(config, clock) as tier:
        yield Foundation(config, tier, Directory(), NoAudit(), Metrics(), clock, random.Random(7))


async def test_ids_of_tasks_are_uuids_that_begin_with_the_time(foundation: Foundation, clock: WallClock) -> None:
    for now_ms in (0, 1, 1_700_000_000_123, (1 << 48) - 1):
        clock.now_ms = now_ms
        for _ in range(200):
            text = foundation.new_task_id()
            task_id = uuid.UUID(text)
            assert str(task_id) == text, "the usual way to write it"
            assert (task_id.version, task_id.variant) == (7, uuid.RFC_4122)
            assert task_id.int >> 80 == now_ms


async def test_ids_of_tasks_differ_and_sort_by_time(foundation: Foundation, clock: WallClock) -> None:
    by_time = []
    for _ in range(50):
        by_time.append({foundation.new_task_id() for _ in range(100)})
        clock.advance(0.001)
    assert [len(ids) for ids in by_time] == [100] * 50
    assert all(max(earlier) < min(later) for earlier, later in itertools.pairwise(by_time))


async def test_all_of_an_id_of_a_task_beside_time_version_and_variant_is_random(foundation: Foundation) -> None:
    ids = [uuid.UUID(foundation.new_task_id()).int for _ in range(200)]
    ever = never = 0
    for one in ids:
        ever, never = ever | one, never | ~one
    varying = ever & never & (1 << 80) - 1
    assert varying == (1 << 80) - 1 - (0xF << 76) - (3 << 62)
