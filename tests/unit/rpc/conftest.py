"""Fixtures of the gRPC layer's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.support.engines import NATIVE

sys.path.insert(0, str(Path(__file__).parent))

from services import ENGINES, Service


@pytest.fixture
def service() -> Service:
    return Service()


# Each engine with each other; two of the slow one show nothing that these do not, unless there is no other.
PAIRS = [("native", "native"), ("purerpc", "native"), ("native", "purerpc")] if NATIVE else [("purerpc", "purerpc")]


@pytest.fixture(params=PAIRS, ids="-".join)
def engines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs with each implementation of HTTP/2 on each side: (server, client)."""
    monkeypatch.setattr(ENGINES, "server", request.param[0])
    monkeypatch.setattr(ENGINES, "client", request.param[1])
