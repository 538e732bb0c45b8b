"""What tests share is in support modules and conftest.py: no test module needs another one, to be read or to run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


def imported_test_modules(source: str) -> Iterator[str]:
    """Every import of a ``test_*`` module or of something in one, at any level of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [".".join(filter(None, (node.module, alias.name))) for alias in node.names]
        else:
            continue
        yield from (name for name in names if any(part.startswith("test_") for part in name.split(".")))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from tests.integration.protocol.test_access import Admin", ["tests.integration.protocol.test_access.Admin"]),
        ("from tests.integration.protocol import conftest, test_access", ["tests.integration.protocol.test_access"]),
        ("import tests.unit.test_flow as flow", ["tests.unit.test_flow"]),
        ("from .test_flow import helper", ["test_flow.helper"]),
        ("from . import test_flow", ["test_flow"]),
        ("def late():\n    from tests.unit.test_flow import helper", ["tests.unit.test_flow.helper"]),
        ("from tests.support.wire import Peer\nimport tests.unit.fakes", []),
    ],
)
def test_imports_of_test_modules_are_found(source: str, found: list[str]) -> None:
    assert list(imported_test_modules(source)) == found


def test_no_module_imports_a_test_module() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("*.py"))}
    assert Path(__file__).resolve() in sources
    assert {
        path.relative_to(TESTS): names for path, text in sources.items() if (names := [*imported_test_modules(text)])
    } == {}
