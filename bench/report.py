"""Results as a table and as JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measure import Sample
from bench.runner import Row

__all__ = ["UNITS", "machine", "medians", "print_table", "write_json"]

UNITS = {
    "per_second": "/s",
    "cpu_us": "us CPU",
    "ns": "ns each",
    "new_ns": "ns for a new one",
    "kib_each": "KiB each",
    "p50_ms": "ms p50",
    "p99_ms": "ms p99",
    "p999_ms": "ms p99.9",
    "max_ms": "ms max",
    "ready_ms": "ms until ready",
    "cpu_percent": "% of a core",
    "resident_mib": "MiB",
    "grew_mib": "MiB more",
    "lost": "lost",
    "of_first_half": "of the rate in the first half",
    "least_share": "of a fair share, the least",
}
"""Of every figure there is; CPU is the server's, for each operation."""


def medians(rounds: list[Sample]) -> Sample:
    return {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def print_table(console: Console, rows: Iterable[Row]) -> None:
    """Medians, the first figure's spread over the rounds, and its ratio to the first side's of the suite."""
    table = Table(title="medians; CPU is the server's, for each operation")
    for column in ("suite", "side", "result", "spread", "ratio"):
        table.add_column(column, overflow="fold")
    first: dict[str, Sample] = {}
    for row in rows:
        if not row.rounds:
            continue
        middle = medians(row.rounds)
        result = ", ".join(f"{number(value)} {UNITS[name]}".replace(" /s", "/s") for name, value in middle.items())
        name = next(iter(middle))
        values = [each[name] for each in row.rounds]
        base = first.setdefault(row.suite, middle)
        ratio = f"{middle[name] / base[name]:.2f}" if base is not middle and base.get(name) else ""
        table.add_row(row.suite, row.side, result, f"{number(min(values))} to {number(max(values))}", ratio)
    console.print(table)


def machine() -> dict[str, Any]:
    """What the figures were made on."""
    cpu = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def write_json(path: Path, rows: Iterable[Row]) -> None:
    kept = [
        {"suite": row.suite, "side": row.side, "median": medians(row.rounds), "rounds": row.rounds}
        for row in rows
        if row.rounds
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), "rows": kept}, indent=1) + "\n", encoding="utf-8")
