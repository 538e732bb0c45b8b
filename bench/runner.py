"""Rounds: every side of a suite in turn, then again, so that what the machine does meanwhile meets them all."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import trio

from bench.measure import Sample, cpu_seconds, merged, resident_bytes
from bench.sides import SIDES, PeerMissing, peer, running
from bench.suites import SUITES

__all__ = ["Row", "run_suite"]

PATIENCE_S = 240.0
"""How long anything may take besides the measurement itself, of which there are a few at most."""

MEASUREMENTS_MAX = 3


@dataclass
class Row:
    """What was measured of a suite on one side, a sample for each round."""

    suite: str
    side: str
    rounds: list[Sample] = field(default_factory=list)


async def run_suite(
    suite: str, sides: Sequence[str], rounds: int, seconds: float, tell: Callable[[str], None]
) -> list[Row]:
    """All rounds of a suite; a side that is not installed is said and left out."""
    rows = {side: Row(suite, side) for side in sides}
    for number in range(rounds):
        for side in list(rows):
            tell(f"{suite} {side} {number + 1}/{rounds}")
            try:
                rows[side].rounds.append(await run(suite, side, seconds))
            except PeerMissing as error:
                tell(str(error))
                del rows[side]
    return list(rows.values())


async def run(suite: str, side: str, seconds: float) -> Sample:
    """One round."""
    what = SUITES[suite]
    seconds *= what.longer
    if what.workload == "access":
        return await figures(["bench.access", str(what.arguments["rules"]), str(seconds)], seconds)
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as name:
        directory = Path(name)
        began = time.perf_counter()
        async with running(side, suite, directory) as (port, pid):
            if what.workload == "start_up":
                took_ms = (time.perf_counter() - began) * 1e3
                used = {"cpu_us": cpu_seconds(pid) * 1e6, "resident_mib": resident_bytes(pid) / 2**20}
                return {"ready_ms": took_ms, **used}
            protocol = SIDES[side].protocol
            if protocol == "slim":
                return await run_slim(port, pid, seconds, **what.arguments)
            command = ["bench.load", suite, protocol, str(port), str(pid), str(seconds), name]
            parts: list[Sample] = []

            async def generate(share: int) -> None:
                parts.append(await figures([*command, str(share), str(what.generators)], seconds))

            async with trio.open_nursery() as nursery:
                for share in range(what.generators):
                    nursery.start_soon(generate, share)
    return merged(parts)


async def run_slim(port: int, pid: int, seconds: float, number: int, window: int, size: int) -> Sample:
    """Pairs of applications, each end of a pair in one of two processes."""
    python = str(peer("python"))
    answers = [python, "-m", "bench.slim", "answer", str(port), str(number)]
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, answers, stdout=subprocess.PIPE, check=False)
        answering: trio.Process = await nursery.start(start)
        assert answering.stdout is not None
        with trio.fail_after(PATIENCE_S):
            await answering.stdout.receive_some()  # it says that it is ready
        arguments = map(str, (port, number, window, size, pid, seconds))
        result = await figures(["bench.slim", "ask", *arguments], seconds, python)
        nursery.cancel_scope.cancel()
    return result


async def figures(command: list[str], seconds: float, python: str = sys.executable) -> Sample:
    """What a generator that measures for some seconds prints, between the lines that SLIM's bindings print."""
    with trio.fail_after(PATIENCE_S + MEASUREMENTS_MAX * seconds):
        done = await trio.run_process([python, "-m", *command], capture_stdout=True)
    result: Sample = json.loads(next(line for line in done.stdout.splitlines() if line.startswith(b"{")))
    return result
