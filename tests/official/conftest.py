"""The published client, unmodified, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.engines import ENGINES
from tests.support.gateway_process import GatewayProcess

ROOT = Path(__file__).parents[2]
SCENARIOS = Path(__file__).parent / "scenarios"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The HTTP/2 engine of the gateway."""
    name: str = request.param
    return name


@pytest.fixture
def gateway(tmp_path: Path, engine: str) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path, "--engine", engine).start()
    yield process
    assert process.stop() == 0, process.log.read_text()


Play = Callable[..., Any]


def interpreter() -> str:
    """Python of the published client's environment."""
    return os.environ.get("AETHER_OFFICIAL_PYTHON", str(ROOT / ".venv-official" / "bin" / "python"))


def run_scenario(name: str, target: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
    """Run a scenario with the client's interpreter; returns what it reports as its last line, in JSON."""
    command = [interpreter(), str(SCENARIOS / name), target, *arguments]
    settings = {**os.environ, **(environment or {})}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=settings)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def play(gateway: GatewayProcess) -> Play:
    """:func:`run_scenario` against the gateway of the test."""
    return lambda name: run_scenario(name, gateway.target)
