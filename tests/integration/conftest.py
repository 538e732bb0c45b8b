"""Every test of this folder runs on both HTTP/2 engines, server and client."""

from __future__ import annotations

import sys

import pytest

import aether.rpc
from aether.rpc.engine import implementation


@pytest.fixture(autouse=True, params=["native", "purerpc"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine that serves; for ``purerpc`` the compiled one is missing, as on a machine without libnghttp2."""
    name: str = request.param
    if name == "purerpc":
        monkeypatch.setitem(sys.modules, "aether.rpc._http2", None)
        monkeypatch.delattr(aether.rpc, "_http2", raising=False)
    assert implementation().name == name
    return name
