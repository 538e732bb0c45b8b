"""A short run of every target; `make fuzz` is the long one."""

from __future__ import annotations

import random

import pytest
from tests.fuzz.targets import TARGETS

INPUTS = 300


@pytest.mark.parametrize("name", TARGETS)
def test_target(name: str) -> None:
    for number in range(INPUTS):
        TARGETS[name](random.Random(f"{name}:{number}"))
