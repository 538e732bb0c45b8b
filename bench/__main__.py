"""``python -m bench [SUITE ...]``: a fresh gateway for every run, a load generator beside it, medians of the rounds.

The CPU is the gateway's own, read from the operating system. Both processes share the machine's cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio
from rich.console import Console
from rich.table import Table
from tests.support.gateway_process import GatewayProcess

from bench.access import RULES
from bench.load import SUITES
from bench.setups import prepared

RESULTS = Path(__file__).parent / "results"
GO_GATEWAY = {
    "pair-serial": "2.2 k/s, 186 us",
    "pairs-50x8": "25 k/s, 45 us",
    "pairs-200x8": "13 k/s, 76 us",
    "fan-out-100": "133 k/s, 8.1 us",
    "kv-serial": "10 k/s, 65 us",
    "kv-20x8": "68 k/s, 15 us",
    "tasks-1": "265/s, 3600 us",
    "tasks-10": "258/s",
    "idle-3000": "107 KiB, 1200 us",
    "slow-reader": "4880 lost",
}
"""A Go gateway of the same protocol, measured on this kind of machine; its log is not synced to disk."""


def run(suite: str, durability: str, seconds: float) -> dict[str, float]:
    """One round."""
    if suite in RULES:
        command = [sys.executable, "-m", "bench.access", str(RULES[suite]), str(seconds)]
        return _result(subprocess.run(command, capture_output=True, timeout=180, check=True).stdout)
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as directory:
        return trio.run(_run_gateway, suite, durability, seconds, Path(directory))


async def _run_gateway(suite: str, durability: str, seconds: float, directory: Path) -> dict[str, float]:
    async with prepared(suite, directory) as arguments:
        gateway = GatewayProcess(directory, "--durability", durability, *arguments)
        await trio.to_thread.run_sync(gateway.start)
        try:
            command = [sys.executable, "-m", "bench.load", suite, str(gateway.port), str(gateway.pid), str(seconds)]
            with trio.fail_after(180):
                done = await trio.run_process([*command, str(directory)], capture_stdout=True)
        finally:
            await trio.to_thread.run_sync(gateway.stop)
    return _result(done.stdout)


def _result(output: bytes) -> dict[str, float]:
    result: dict[str, float] = json.loads(output)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("suites", nargs="*", help=", ".join([*SUITES, *RULES]), metavar="SUITE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--durability", choices=["batch", "os"], action="append")
    arguments = parser.parse_args()
    console = Console()
    rows = []
    for suite in arguments.suites or [*SUITES, *RULES]:
        for durability in ["none"] if suite in RULES else arguments.durability or ["batch", "os"]:
            rounds = []
            for number in range(arguments.rounds):
                console.print(f"{suite} {durability} {number + 1}/{arguments.rounds}", style="dim")
                rounds.append(run(suite, durability, arguments.seconds))
            medians = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
            rows.append({"suite": suite, "durability": durability, "median": medians, "rounds": rounds})
    table = Table(title="medians; CPU is the gateway's for each operation")
    for column in ("suite", "durability", "result", "spread", "Go gateway, measured on this kind of machine"):
        table.add_column(column)
    for row in rows:
        suite, rounds = row["suite"], row["rounds"]
        table.add_row(suite, row["durability"], _text(row["median"]), _spread(rounds), GO_GATEWAY.get(suite, ""))
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


UNITS = {
    "per_second": "/s",
    "cpu_us": " us CPU",
    "ns": " ns each",
    "new_ns": " ns for a new one",
    "kib_each": " KiB each",
    "p50_ms": " ms p50",
    "p99_ms": " ms p99",
    "cpu_percent": " % of a core",
    "resident_mib": " MiB",
    "lost": " lost",
    "gateway_grew_mib": " MiB more",
}


def _text(values: dict[str, float]) -> str:
    return ", ".join(f"{value:,.1f}{UNITS[name]}" for name, value in values.items())


def _spread(rounds: list[dict[str, float]]) -> str:
    name = next(iter(rounds[0]))
    values = [each[name] for each in rounds]
    return f"{min(values):,.0f} to {max(values):,.0f}"


if __name__ == "__main__":
    main()
