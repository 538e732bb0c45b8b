"""Containers by the engine's API: against an engine of our own that speaks it and runs nothing."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h11
import pytest
import trio

from aether.launcher import containers
from aether.launcher.containers import EngineRefused, run_container

RUN = {"AETHER_TASK_ID": "t1", "A": "b"}


class Engine:
    """Notes what it is asked, and answers as the Docker engine's documentation says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.wanted: dict[str, Any] = {}
        self.exit_code = 0
        self.ends = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        http = h11.Connection(h11.SERVER)
        request, body = None, b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(65536)))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return
        assert request is not None
        method, target = request.method.decode(), request.target.decode()
        assert target.startswith("/v1.41/containers/")
        path = target.removeprefix("/v1.41/containers/")
        self.asked.append((method, path))
        status, content = await self.answer(method, path, json.loads(body) if body else None)
        headers = [("content-length", str(len(content)))]
        data = http.send(h11.Response(status_code=status, headers=headers)) or b""
        await stream.send_all(data + (http.send(h11.Data(data=content)) or b""))

    async def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
        match method, path.split("?")[0]:
            case "POST", "create":
                self.wanted = body
                if body["Image"] == "unknown":
                    return 404, b'{"message": "No such image: unknown"}'
                return 201, b'{"Id": "c1", "Warnings": []}'
            case "GET", "c1/logs":
                await self.ends.wait()
                lines = [(1, b"one\ntw"), (2, b"o\nlast")]
                return 200, b"".join(struct.pack(">BxxxI", kind, len(text)) + text for kind, text in lines)
            case "POST", "c1/wait":
                return 200, json.dumps({"StatusCode": self.exit_code}).encode()
        return 204, b""


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[tuple[Engine, str]]:
    engine, path = Engine(), str(tmp_path / "engine.sock")
    async with listening(engine, path):
        yield engine, path


@asynccontextmanager
async def listening(engine: Engine, path: str) -> AsyncIterator[None]:
    socket = trio.socket.socket(trio.socket.AF_UNIX)
    await socket.bind(path)
    socket.listen()

    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await engine.serve(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(socket)])
        yield
        nursery.cancel_scope.cancel()


async def test_from_create_to_remove(engine: tuple[Engine, str]) -> None:
    server, path = engine
    server.exit_code = 4
    server.ends.set()
    lines: list[str] = []
    code = await run_container(path, "image", ["a", "b"], RUN, {"Memory": 5}, 2, lines.append)
    assert (code, lines) == (4, ["one", "two", "last"])
    assert server.wanted == {
        "Image": "image",
        "Env": ["AETHER_TASK_ID=t1", "A=b"],
        "HostConfig": {"Memory": 5, "AutoRemove": False},
        "Labels": {"aether.task": "t1"},
        "Cmd": ["a", "b"],
    }
    assert server.asked == [
        ("POST", "create"),
        ("POST", "c1/start"),
        ("GET", "c1/logs?follow=1&stdout=1&stderr=1"),
        ("POST", "c1/wait"),
        ("POST", "c1/stop?t=2"),
        ("DELETE", "c1?force=1"),
    ]


async def test_cancelling_stops_and_removes_it(engine: tuple[Engine, str]) -> None:
    server, path = engine
    with trio.move_on_after(0.2):
        await run_container(path, "image", [], RUN, {}, 3, lambda _: None)
    assert server.asked[-2:] == [("POST", "c1/stop?t=3"), ("DELETE", "c1?force=1")]
    assert "Cmd" not in server.wanted


async def test_what_the_engine_refuses(engine: tuple[Engine, str], tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="No such image: unknown"):
        await run_container(engine[1], "unknown", [], RUN, {}, 3, lambda _: None)
    with pytest.raises(OSError, match=r"nobody\.sock"):
        await run_container(str(tmp_path / "nobody.sock"), "image", [], RUN, {}, 3, lambda _: None)


async def test_a_container_that_is_made_while_nobody_waits_any_more_is_removed(tmp_path: Path) -> None:
    class Slow(Engine):
        async def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
            if path == "create":
                await trio.sleep(0.3)
            return await super().answer(method, path, body)

    engine, path = Slow(), str(tmp_path / "engine.sock")
    async with listening(engine, path):
        with trio.move_on_after(0.1):
            await run_container(path, "image", [], RUN, {}, 0.5, print)
    assert engine.asked == [("POST", "create"), ("POST", "c1/stop?t=1"), ("DELETE", "c1?force=1")]


async def test_an_engine_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Engine):
        async def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
            await trio.sleep_forever()
            raise AssertionError

    monkeypatch.setattr(containers, "CREATE_S", 0.1)
    engine, path = Silent(), str(tmp_path / "engine.sock")
    async with listening(engine, path):
        with pytest.raises(EngineRefused, match="has not made the container within"):
            await run_container(path, "image", [], RUN, {}, 1.0, print)


async def test_an_engine_that_goes_away(tmp_path: Path) -> None:
    """In the middle of an answer, or of everything: an error of the engine, and nothing else."""

    async def hang_up(stream: trio.SocketStream) -> None:
        await stream.receive_some(65536)
        await stream.send_all(b"HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\n{")

    engine, path = Engine(), str(tmp_path / "engine.sock")
    engine.serve = hang_up  # type: ignore[method-assign]
    async with listening(engine, path):
        with pytest.raises(EngineRefused, match="cut its answer off"):
            await run_container(path, "image", [], RUN, {}, 1.0, print)


async def test_a_container_that_somebody_removed_has_ended_all_the_same(tmp_path: Path) -> None:
    class Gone(Engine):
        async def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
            status, content = await super().answer(method, path, body)
            return (
                (404, b'{"message": "No such container: c1"}')
                if status == 204 and "start" not in path
                else (
                    status,
                    content,
                )
            )

    engine, path = Gone(), str(tmp_path / "engine.sock")
    engine.ends.set()
    engine.exit_code = 3
    async with listening(engine, path):
        assert await run_container(path, "image", [], RUN, {}, 1.0, print) == 3
    assert [method for method, _ in engine.asked][-2:] == ["POST", "DELETE"]


async def test_a_line_without_end_comes_in_pieces(tmp_path: Path) -> None:
    class Endless(Engine):
        async def answer(self, method: str, path: str, body: Any) -> tuple[int, bytes]:
            if path.startswith("c1/logs"):
                text = b"x" * 60_000
                return 200, (struct.pack(">BxxxI", 1, len(text)) + text) * 3
            return await super().answer(method, path, body)

    lines: list[str] = []
    async with listening(Endless(), path := str(tmp_path / "engine.sock")):
        await run_container(path, "image", [], RUN, {}, 1.0, lines.append)
    assert [len(line) for line in lines] == [120_000, 60_000]
