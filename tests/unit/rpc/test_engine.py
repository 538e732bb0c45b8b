"""Which engine serves."""

from __future__ import annotations

import logging

import pytest
from tests.support.engines import ENGINES, hide_native

from aether.rpc.engine import EngineUnavailable, create_server, implementation


@pytest.fixture
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    hide_native(monkeypatch)


@pytest.mark.parametrize("asked", ENGINES)
def test_the_asked_engine_serves(asked: str, caplog: pytest.LogCaptureFixture) -> None:
    assert create_server(asked, {}).engine == implementation(asked).name == asked
    assert not caplog.records


def test_auto_takes_the_fastest_there_is() -> None:
    assert create_server("auto", {}).engine == implementation("auto").name == ENGINES[0]


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
