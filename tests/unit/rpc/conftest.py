"""Fixtures of the gRPC layer's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from services import ENGINES, Service


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture(params=[("native", "native"), ("purerpc", "native"), ("native", "purerpc")], ids="-".join)
def engines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs with each implementation of HTTP/2 on each side: (server, client)."""
    monkeypatch.setattr(ENGINES, "server", request.param[0])
    monkeypatch.setattr(ENGINES, "client", request.param[1])
