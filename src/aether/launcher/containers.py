"""Agents as containers, by the HTTP API of the Docker engine (version 1.41, as Podman has it too)."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from math import ceil
from typing import Any
from urllib.parse import quote

import h11
import structlog
import trio

from aether.errors import AetherError
from aether.launcher.processes import LINE_BYTES_MAX

__all__ = ["EngineRefused", "run_container"]

log = structlog.get_logger("aether.launcher")

API = "/v1.41"
RECEIVE_BYTES = 65_536
STREAM_HEADER = struct.Struct(">BxxxI")
ANSWER_BYTES_MAX = 1024 * 1024
GOODBYE_S = 10.0
CREATE_S = 30.0


class EngineRefused(AetherError):
    """The engine cannot do that; the text is its own."""


async def run_container(
    socket: str,
    image: str,
    command: list[str],
    environment: Mapping[str, str],
    limits: Mapping[str, Any],
    stop_timeout_s: float,
    on_line: Callable[[str], None],
) -> int:
    """Run a container until it ends, and remove it; returns its exit code. Cancelling stops it.

    :param socket: path of the engine's Unix socket.
    :param limits: ``HostConfig`` of the engine's API.
    :raises EngineRefused: it cannot be made or started, for instance because there is no such image.
    :raises OSError: the engine is not there.
    """
    wanted = {
        "Image": image,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "HostConfig": {**limits, "AutoRemove": False},
        "Labels": {"aether.task": environment.get("AETHER_TASK_ID", "")},
        **({"Cmd": command} if command else {}),
    }
    with trio.move_on_after(CREATE_S, shield=True) as waiting:  # what is made and not known could not be removed
        made = await _ask(socket, "POST", "/containers/create", wanted)
    if waiting.cancelled_caught:
        raise EngineRefused(f"the engine has not made the container within {CREATE_S:.0f} s")
    path = f"/containers/{quote(made['Id'])}"
    try:
        await _ask(socket, "POST", f"{path}/start")
        await _follow(socket, f"{path}/logs?follow=1&stdout=1&stderr=1", on_line)
        return int((await _ask(socket, "POST", f"{path}/wait"))["StatusCode"])
    finally:
        with trio.move_on_after(stop_timeout_s + GOODBYE_S, shield=True):
            for method, what in (("POST", f"{path}/stop?t={ceil(stop_timeout_s)}"), ("DELETE", f"{path}?force=1")):
                try:
                    await _ask(socket, method, what)
                except (OSError, EngineRefused) as error:  # somebody else may have removed it
                    log.warning("container not cleaned up", container=made["Id"], request=method, error=str(error))


async def _ask(socket: str, method: str, path: str, body: Any = None) -> Any:
    """One request; the answer's JSON, or None."""
    answer = bytearray()

    def take(data: bytes) -> None:
        answer.extend(data)
        if len(answer) > ANSWER_BYTES_MAX:
            raise EngineRefused("the engine's answer is too long")

    status = await _exchange(socket, method, path, body, take)
    if status >= 400:
        raise EngineRefused(_message(bytes(answer)))
    return json.loads(answer) if answer else None


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace")


async def _follow(socket: str, path: str, on_line: Callable[[str], None]) -> None:
    """The output of a container, until it ends: frames of the engine's own with lines in them."""
    raw, rest = bytearray(), b""

    def take(data: bytes) -> None:
        nonlocal rest
        raw.extend(data)
        while len(raw) >= STREAM_HEADER.size:
            _, size = STREAM_HEADER.unpack_from(raw)
            if len(raw) < STREAM_HEADER.size + size:
                return
            *lines, rest = (rest + bytes(raw[STREAM_HEADER.size : STREAM_HEADER.size + size])).split(b"\n")
            del raw[: STREAM_HEADER.size + size]
            for line in lines:
                on_line(line.decode(errors="replace"))
            if len(rest) > LINE_BYTES_MAX:
                on_line(rest.decode(errors="replace"))
                rest = b""

    status = await _exchange(socket, "GET", path, None, take)
    if status >= 400:
        raise EngineRefused("the engine does not show the output")
    if rest:
        on_line(rest.decode(errors="replace"))


async def _exchange(socket: str, method: str, path: str, body: Any, take: Callable[[bytes], None]) -> int:
    """One request on a connection of its own; returns the status."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = [("host", "engine"), ("content-length", str(len(content))), ("connection", "close")]
    if content:
        headers.append(("content-type", "application/json"))
    http = h11.Connection(h11.CLIENT)
    try:
        return await _talk(socket, http, method, path, headers, content, take)
    except (trio.BrokenResourceError, h11.RemoteProtocolError) as error:
        raise EngineRefused(f"the engine cut its answer off: {error}") from None


async def _talk(
    socket: str,
    http: h11.Connection,
    method: str,
    path: str,
    headers: list[tuple[str, str]],
    content: bytes,
    take: Callable[[bytes], None],
) -> int:
    try:
        connected = await trio.open_unix_socket(socket)
    except OSError as error:  # which does not say where
        raise OSError(error.errno, error.strerror, socket) from None
    async with connected as stream:
        request = http.send(h11.Request(method=method, target=API + path, headers=headers)) or b""
        request += http.send(h11.Data(data=content)) or b""
        await stream.send_all(request + (http.send(h11.EndOfMessage()) or b""))
        status = 0
        while True:
            match http.next_event():
                case h11.NEED_DATA:
                    http.receive_data(bytes(await stream.receive_some(RECEIVE_BYTES)))
                case h11.Response(status_code=code):
                    status = code
                case h11.Data(data=data):
                    take(bytes(data))
                case h11.EndOfMessage():
                    return status
                case h11.ConnectionClosed():
                    raise EngineRefused("the engine cut its answer off")
