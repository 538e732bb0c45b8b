"""The examples do what they say, with a gateway of their own and with one that runs elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gateway_process import GatewayProcess

EXAMPLES = Path(__file__).parents[2] / "examples"

EXPECTED = {
    "hello": ["bob heard hello from ag::demo::hello::ada", "ada heard hello yourself"],
    "workers": ["20 jobs by 3 workers"],
    "resume": [
        "starting after 0 messages",
        *(f"read {text}" for text in ("one", "two", "three", "four")),
        "starting after 4 messages",
        "read five",
        "read six",
    ],
    "tasks": ["roof is up", "walls is up", "floor is up", "the house stands"],
    "hibernate": ["ann does step 1", "ben does step 2", "cleo does step 3", "in the end: 3 steps"],
    "counter": ["3 of 5 guests have seats ['1', '2', '3']", "1 has the window seat"],
    "progress": [
        "ag::demo::builder::1 building 33% step 1 of 3",
        "ag::demo::builder::1 building 67% step 2 of 3",
        "ag::demo::builder::1 building 100% step 3 of 3",
    ],
}


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    gateway = GatewayProcess(tmp_path).start()
    yield gateway.target
    assert gateway.stop() == 0


def printed(name: str, *arguments: str) -> list[str]:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_example_is_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*EXPECTED, "fabric"}


@pytest.mark.parametrize("name", EXPECTED)
def test_with_a_gateway_of_its_own(name: str) -> None:
    assert printed(name) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_with_a_gateway_elsewhere(name: str, target: str) -> None:
    assert printed(name, target) == EXPECTED[name]
