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
import uuid
from pathlib import Path

import trio
from rich.console import Console
from rich.table import Table
from tests.support.gateway_process import GatewayProcess

from aether.storage.sqlite.database import Database
from aether.storage.sqlite.tasks import SqliteTasks
from aether.tasks.model import Status, Task, WaitSpec
from bench.load import SUITES

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
    "tasks-10-of-1000000": "",
    "task-dispatch": "",
    "task-timers-100000": "",
    "idle-3000": "107 KiB, 1200 us",
    "slow-reader": "4880 lost",
}
"""A Go gateway of the same protocol, measured on this kind of machine; its log is not synced to disk."""


SEEDS = {"tasks-10-of-1000000": (1_000_000, False), "task-timers-100000": (100_000, True)}
"""Tasks that are stored before the gateway starts: how many, and whether they are paused with a timer."""


async def seed_tasks(directory: Path, count: int, paused: bool) -> None:
    """Fill the task store as a gateway would have left it."""
    async with Database.open(directory, "os") as database:
        store = SqliteTasks(database)
        now_ms = time.time_ns() // 1_000_000
        for number in range(count):
            task = Task(
                str(uuid.uuid4()), "bench", "ag::bench::seed::s", "seed", created_ms=now_ms, root_task_id="seed"
            )
            task.updated_us = now_ms * 1000 + number
            if paused:
                task.status, task.assigned_to = Status.WAITING_INPUT, task.creator
                task.wait, task.paused_ms = WaitSpec(timeout_ms=3_600_000 + number), now_ms
            else:
                task.status, task.completed_ms = Status.COMPLETED, now_ms
            store.put(task)
            if number % 5000 == 0:
                await database.wait_durable(database.latest_ticket)
        await database.wait_durable(database.latest_ticket)


def run(suite: str, durability: str, seconds: float) -> dict[str, float]:
    """One round."""
    with tempfile.TemporaryDirectory(prefix="aether-bench-") as directory:
        if suite in SEEDS:
            trio.run(seed_tasks, Path(directory) / "data", *SEEDS[suite])
        gateway = GatewayProcess(Path(directory), "--durability", durability).start()
        try:
            command = [sys.executable, "-m", "bench.load", suite, str(gateway.port), str(gateway.pid), str(seconds)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
        finally:
            gateway.stop()
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("suites", nargs="*", help=", ".join(SUITES), metavar="SUITE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--durability", choices=["batch", "os"], action="append")
    arguments = parser.parse_args()
    console = Console()
    rows = []
    for suite in arguments.suites or SUITES:
        for durability in arguments.durability or ["batch", "os"]:
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
        table.add_row(suite, row["durability"], _text(row["median"]), _spread(rounds), GO_GATEWAY[suite])
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    machine = {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1))
    console.print(f"written to {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


UNITS = {
    "per_second": "/s",
    "cpu_us": " us CPU",
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
