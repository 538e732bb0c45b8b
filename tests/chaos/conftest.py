"""A gateway in a process of its own, that tests kill, stop and starve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gateway_process import GatewayProcess


@pytest.fixture(params=["batch", "os"])
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path, "--durability", request.param).start()
    try:
        yield process
    finally:
        process.stop()
