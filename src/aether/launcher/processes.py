"""Agents as processes of this machine: their output line by line, and never longer than the orchestrator."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import trio

from aether.launcher.guard import Guard

__all__ = ["run_process"]

LINE_BYTES_MAX = 64 * 1024
KILL_S = 10.0
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True) if os.uname().sysname == "Linux" else None


async def run_process(
    command: list[str],
    environment: Mapping[str, str],
    directory: Path | None,
    stop_timeout_s: float,
    on_line: Callable[[str], None],
    guard: Guard | None = None,
) -> int:
    """Run a program until it ends; returns its exit code. Cancelling asks it to end, then ends it.

    It is in a process group of its own, which ends as a whole; if the orchestrator is killed, the kernel tells it.

    :param environment: added to ours, without what is secret in ours.
    :param guard: ends the group if the orchestrator is killed.
    :raises OSError: it cannot be started.
    """
    # Started from this thread, not by trio from one of its own: the kernel's "parent" whose death it tells is a thread.
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - two milliseconds; the command is the operator's
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=directory,
        env={**_inherited(), **environment},
        start_new_session=True,
        preexec_fn=_end_with_parent if _libc is not None else None,
    )
    if guard is not None:
        guard.add(process.pid, stop_timeout_s)
    assert process.stdout is not None
    output = trio.lowlevel.FdStream(os.dup(process.stdout.fileno()))
    process.stdout.close()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_lines, output, on_line)
            code = await _wait(process)
            with trio.move_on_after(stop_timeout_s):  # what it wrote last; others may hold the pipe open for ever
                await _drained(nursery)
            nursery.cancel_scope.cancel()
        return code
    finally:
        with trio.CancelScope(shield=True):
            await _end(process, stop_timeout_s)
            if guard is not None:
                guard.remove(process.pid)
            await output.aclose()


def _inherited() -> dict[str, str]:
    """Our environment, without the credentials in it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}


def _end_with_parent() -> None:
    """In the child, before the program: a signal when the parent is gone, however that came about."""
    assert _libc is not None
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def _wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code, once there is one."""
    if not hasattr(os, "pidfd_open"):
        return await trio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
    descriptor = os.pidfd_open(process.pid)
    try:
        await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)
    return process.wait()


async def _drained(nursery: trio.Nursery) -> None:
    while nursery.child_tasks:  # noqa: ASYNC110 - at most a moment
        await trio.sleep(0.01)


async def _read_lines(stream: trio.abc.ReceiveStream, on_line: Callable[[str], None]) -> None:
    """Until the end of the output; what is longer than a line may be comes in pieces."""
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            on_line(line.decode(errors="replace"))
        if len(rest) > LINE_BYTES_MAX:
            on_line(rest.decode(errors="replace"))
            rest = b""
    if rest:
        on_line(rest.decode(errors="replace"))


async def _end(process: subprocess.Popen[bytes], stop_timeout_s: float) -> None:
    """Whatever is left of its group."""
    for number, patience_s in ((signal.SIGTERM, stop_timeout_s), (signal.SIGKILL, KILL_S)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        if process.poll() is None:
            with trio.move_on_after(patience_s):
                await _wait(process)
    process.poll()
