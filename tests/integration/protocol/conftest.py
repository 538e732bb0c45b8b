"""A gateway for each test, and raw streams to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.wire import Wire, open_wire

from aether import Config, Gateway


@pytest.fixture
async def gateway(tmp_path: Path, engine: str) -> AsyncIterator[Gateway]:
    """A development gateway: every principal is admitted, rates and quotas are off."""
    async with Gateway(Config.development(tmp_path / "data")) as gateway:
        yield gateway


@pytest.fixture
async def wire(gateway: Gateway) -> AsyncIterator[Wire]:
    assert gateway.port is not None
    async with open_wire(gateway.port) as wire:
        yield wire
