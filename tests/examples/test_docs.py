"""The programs in the documentation run, and print what they say they do.

A block is a program of its own if it calls ``trio.run``; if it defines tests, they are run; any other is the body of an
async function with the names its page promises. What a ``print`` writes stands behind it as a comment.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from tests.support.gateway_process import GatewayProcess

import aether
from aether.client import to

DOCS = Path(__file__).parents[2] / "docs"
PATIENCE_S = 30
QUIET = """import aether
import structlog
import trio

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
"""
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


README = DOCS.parent / "README.md"


def blocks(page: str) -> list[Any]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        pytest.param(found[1], id=f"line {text.count(chr(10), 0, found.start()) + 1}")
        for found in _BLOCK.finditer(text)
    ]


@asynccontextmanager
async def agent(target: aether.Gateway, name: str) -> AsyncIterator[aether.Connection]:
    async with aether.connect_agent(target, workspace="demo", implementation="agent", specifier=name) as connection:
        yield connection


async def run_block(block: str, names: dict[str, Any]) -> None:
    code = compile(block, "<block>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    names.update(aether=aether, trio=trio)
    result = eval(code, names)  # a coroutine if the block awaits anything
    if inspect.iscoroutine(result):
        await result


def test_no_other_page_has_programs() -> None:
    assert {path.name for path in DOCS.glob("*.md") if blocks(path.name)} == {"client.md", "embedding.md"}


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """Standard output is for what the programs print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("block", blocks("client.md"))
async def test_client(block: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with trio.fail_after(PATIENCE_S):
        async with (
            aether.Gateway(aether.Config.development(tmp_path), listen=False) as target,
            agent(target, "me") as me,
            agent(target, "other") as other,
        ):
            await run_block(block, {"target": target, "me": me, "other": other, "to": to})
    assert capsys.readouterr().out.splitlines() == _PRINTED.findall(block)


@pytest.mark.parametrize("block", blocks("embedding.md"))
async def test_embedding(block: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "def test_" in block:
        output = await run_program(tmp_path / "test_block.py", block, "-m", "pytest", "-q", "-o", "trio_mode=true")
        assert "1 passed" in output
        return
    if "trio.run(" in block:
        output = await run_program(tmp_path / "block.py", block)
    else:
        with trio.fail_after(PATIENCE_S):
            await run_block(block, {"directory": tmp_path})
        output = capsys.readouterr().out
    assert output.splitlines() == _PRINTED.findall(block)


async def test_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, embedding = _BLOCK.findall(README.read_text(encoding="utf-8"))
    gateway = GatewayProcess(tmp_path).start()
    try:
        output = await run_program(tmp_path / "block.py", first.replace("127.0.0.1:50051", gateway.target))
    finally:
        gateway.stop()
    assert output == "ag::demo::hello::1 b'hello'\n"
    monkeypatch.chdir(tmp_path)
    with trio.fail_after(PATIENCE_S):
        await run_block(embedding, {})


async def run_program(path: Path, block: str, *arguments: str) -> str:
    path.write_text(QUIET + block, encoding="utf-8")
    command = [sys.executable, *arguments, str(path)]
    with trio.fail_after(PATIENCE_S):
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=path.parent)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    return done.stdout.decode()
