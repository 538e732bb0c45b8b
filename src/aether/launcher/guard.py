"""Ends what an orchestrator that was killed left behind.

A process of its own, since nobody else is left then: it reads which process groups there are, and when its input ends
with the orchestrator, it ends those that are still there. The kernel's signal at the death of a parent
(:mod:`aether.launcher.processes`) reaches the agents themselves at once, but not what they started, and not those that
do not heed it. Only the standard library is imported: it is there in milliseconds, and small.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator

__all__ = ["Guard", "open_guard"]

LOOK_EVERY_S = 0.05


class Guard:
    """The orchestrator's side."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def add(self, group: int, patience_s: float) -> None:
        """A process group: it has so many seconds between being asked to end and being ended."""
        self._say(f"{group} {patience_s}\n")

    def remove(self, group: int) -> None:
        """It has ended; its number may soon be that of another."""
        self._say(f"{group}\n")

    def _say(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # somebody ended the guard; agents go on
            os.write(self._descriptor, line.encode())


@contextlib.contextmanager
def open_guard() -> Iterator[Guard]:
    """A guard for the length of the block.

    :raises OSError: it cannot be started.
    """
    command = [sys.executable, "-I", __file__]
    # In a session of its own, so that Ctrl-C does not end it before its time.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, start_new_session=True)  # noqa: S603
    assert process.stdin is not None
    try:
        yield Guard(process.stdin.fileno())
    finally:
        process.stdin.close()
        process.wait()


def _read(lines: Iterable[str]) -> dict[int, float]:
    """Groups that are there when the input ends, and their patience."""
    groups: dict[int, float] = {}
    for line in lines:
        group, *patience_s = line.split()
        if patience_s:
            groups[int(group)] = float(patience_s[0])
        else:
            groups.pop(int(group), None)
    return groups


def _signal(group: int, number: int) -> bool:
    """Whether there still is such a group."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = _read(sys.stdin)
    begin = time.monotonic()
    left = {group: patience_s for group, patience_s in groups.items() if _signal(group, signal.SIGTERM)}
    while left:
        time.sleep(LOOK_EVERY_S)
        over_s = time.monotonic() - begin
        for group, patience_s in list(left.items()):
            if over_s >= patience_s:
                _signal(group, signal.SIGKILL)
                del left[group]
            elif not _signal(group, 0):
                del left[group]


if __name__ == "__main__":
    _main()
