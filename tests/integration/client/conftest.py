"""A gateway to connect to, over a socket and without, and agents on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from aether import Config, Gateway

PATIENCE_S = 20


@pytest.fixture(params=["socket", "in process"])
async def target(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str | Gateway]:
    with trio.fail_after(PATIENCE_S):
        async with Gateway(Config.development(tmp_path), listen=request.param == "socket") as gateway:
            yield f"127.0.0.1:{gateway.port}" if gateway.port else gateway
