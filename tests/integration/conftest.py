"""Every test of this folder runs on both HTTP/2 engines, server and client."""

from __future__ import annotations

import pytest
from tests.support.engines import ENGINES, hide_native

from aether.rpc.engine import implementation


@pytest.fixture(autouse=True, params=ENGINES)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine that serves; for ``purerpc`` the compiled one is missing, as on a machine without libnghttp2."""
    name: str = request.param
    if name == "purerpc":
        hide_native(monkeypatch)
    assert implementation().name == name
    return name
