"""Which engine serves."""

from __future__ import annotations

import logging
import sys

import pytest

import aether.rpc
from aether.rpc.engine import EngineUnavailable, create_server, implementation


@pytest.fixture
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if libnghttp2 had been missing when the package was built."""
    monkeypatch.setitem(sys.modules, "aether.rpc._http2", None)
    monkeypatch.delattr(aether.rpc, "_http2", raising=False)


@pytest.mark.parametrize(("asked", "serves"), [("auto", "native"), ("native", "native"), ("purerpc", "purerpc")])
def test_the_asked_engine_serves(asked: str, serves: str, caplog: pytest.LogCaptureFixture) -> None:
    assert create_server(asked, {}).engine == implementation(asked).name == serves
    assert not caplog.records


@pytest.mark.usefixtures("not_compiled")
def test_auto_falls_back_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert create_server("auto", {}).engine == "purerpc"
    assert [record.message for record in caplog.records] == ["libnghttp2 was not compiled in; the slower engine serves"]


@pytest.mark.usefixtures("not_compiled")
def test_a_missing_native_engine_is_not_replaced() -> None:
    with pytest.raises(EngineUnavailable, match="libnghttp2-dev"):
        create_server("native", {})


def test_an_engine_that_does_not_exist() -> None:
    with pytest.raises(EngineUnavailable, match="use one of auto, native, purerpc"):
        create_server("asyncio", {})
