"""Gateways as the tests need them, raw streams to them, and their administrators.

The gateway of a module that overrides nothing is one for development. Those for which access rules or credentials
matter override ``gateway``, and ``admin`` where it needs a key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.access import Admin
from tests.support.tokens import ADMIN_KEY, first_token, with_key
from tests.support.wire import Wire, open_wire, orchestrator
from tests.unit.fakes import WallClock

from aether import Config, Gateway


@pytest.fixture
def clock() -> WallClock:
    """For gateways that are opened with it: Unix time, which only the test moves."""
    return WallClock()


@pytest.fixture
async def gateway(tmp_path: Path, engine: str) -> AsyncIterator[Gateway]:
    """A development gateway: every principal is admitted, rates and quotas are off."""
    async with Gateway(Config.development(tmp_path / "data")) as gateway:
        yield gateway


@pytest.fixture
async def gateway_with_rules(tmp_path: Path, engine: str) -> AsyncIterator[Gateway]:
    """Access rules on, with the seeded policies."""
    config = Config.development(tmp_path / "data", acl={"enabled": True}, gateway={"engine": engine})
    async with Gateway(config) as gateway:
        yield gateway


@pytest.fixture
async def gateway_with_keys(tmp_path: Path, engine: str) -> AsyncIterator[Gateway]:
    """API keys only, as in production."""
    settings = {
        "gateway": {"port": 0, "ops_port": 0, "engine": engine, "message_rate_limit": 0},
        "storage": {"data_dir": tmp_path / "data"},
        "auth": {"modes": ["api_key"]},
    }
    config = Config.model_validate(settings)
    async with Gateway(config) as seeding:
        first_token(seeding)
    async with Gateway(config) as gateway:
        yield gateway


@pytest.fixture
async def wire(gateway: Gateway) -> AsyncIterator[Wire]:
    assert gateway.port is not None
    async with open_wire(gateway.port) as wire:
        yield wire


@pytest.fixture
async def admin(wire: Wire) -> Admin:
    return Admin(await wire.connect(orchestrator("admin")))


@pytest.fixture
async def admin_with_key(wire: Wire) -> Admin:
    """With the key that is there from the start."""
    return Admin(await wire.connect(orchestrator("admin", **with_key(ADMIN_KEY))))
