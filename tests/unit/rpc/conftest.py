"""Fixtures of the gRPC layer's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from services import Service


@pytest.fixture
def service() -> Service:
    return Service()
