"""``bench/plots.py RESULT.json ...``: the figures of runs as SVG files. Runs in the environment of the peers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt  # after the backend was chosen

PLOTS = Path(__file__).parent.parent / "docs" / "plots"
OURS, LIMIT, OTHERS = "#1f6f8b", "#b0b7bd", "#d9822b"
COLORS = {"batch": OURS, "os": "#6fb1c7", "rules": "#144b5e", "echo": LIMIT}
GROWTH = {
    "sessions": ["sessions-20", "sessions-200", "sessions-2000"],
    "topics with retained messages": ["topics-100", "topics-10000", "topics-100000"],
    "messages retained for another": ["retained-1000", "retained-100000", "retained-1000000"],
    "access rules (one decision)": ["access-10", "access-1000", "access-100000"],
}
"""What grows on the way, and the suites that measure it, which end with how much of it there is."""

Rows = dict[tuple[str, str], dict[str, Any]]


def bars(rows: Rows, suites: list[str], figure: str, label: str, path: Path, title: str) -> None:
    """A panel for each suite, a bar for each side, its spread over the rounds as a line."""
    suites = [suite for suite in suites if any(figure in row["median"] for (of, _), row in rows.items() if of == suite)]
    drawing, panels = plt.subplots(1, len(suites), figsize=(3.2 * len(suites), 3.4), squeeze=False, layout="tight")
    for panel, suite in zip(panels[0], suites, strict=True):
        shown = [(side, row) for (of, side), row in rows.items() if of == suite and figure in row["median"]]
        for at, (side, row) in enumerate(reversed(shown)):
            value = row["median"][figure]
            values = [each[figure] for each in row["rounds"]]
            panel.barh(at, value, color=COLORS.get(side, OTHERS))
            panel.plot([min(values), max(values)], [at, at], color="black", linewidth=1)
            panel.annotate(f" {value:,.3g}" if value < 1000 else f" {value / 1000:,.3g} k", (value, at), va="center")
        panel.set_yticks(range(len(shown)), [side for side, _ in reversed(shown)])
        panel.set_title(suite, fontsize=10)
        panel.margins(x=0.3)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
        panel.set_xlabel(label, fontsize=8)
    drawing.suptitle(title, fontsize=11)
    drawing.savefig(path, metadata={"Date": None})
    plt.close(drawing)


def growth(rows: Rows, path: Path) -> None:
    """The CPU of a message, or the time of a decision, against how much there is of something; 1 is with the least."""
    drawing, panel = plt.subplots(figsize=(6.5, 3.6), layout="tight")
    for label, suites in GROWTH.items():
        points = []
        for suite in suites:
            row = rows.get((suite, "batch")) or rows.get((suite, "none"))
            if row is not None:
                middle = row["median"]
                points.append((int(suite.rpartition("-")[2]), middle.get("ns", middle.get("cpu_us"))))
        if points:
            panel.plot([at for at, _ in points], [value / points[0][1] for _, value in points], "o-", label=label)
    panel.set_xscale("log")
    panel.set_ylim(0, 2)
    panel.axhline(1, color=LIMIT, linewidth=0.8, zorder=0)
    panel.set_xlabel("how many")
    panel.set_ylabel("cost, 1 with the least of them")
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False)
    drawing.suptitle("what a message or a decision costs while something else grows", fontsize=11)
    drawing.savefig(path, metadata={"Date": None})
    plt.close(drawing)


def main(results: list[Path], directory: Path = PLOTS) -> None:
    rows = {}
    for result in results:
        data = json.loads(result.read_text(encoding="utf-8"))
        rows |= {(row["suite"], row["side"]): row for row in data["rows"]}
    directory.mkdir(exist_ok=True)
    mpl.rcParams["svg.hashsalt"] = "aether"
    messages = ["pair-serial", "pairs-50x8", "pairs-200x8"]
    bars(rows, messages, "per_second", "delivered/s", directory / "messages.svg", "messages of 256 bytes, delivered")
    bars(rows, messages, "cpu_us", "us", directory / "messages-cpu.svg", "CPU of the server for each")
    sizes = ["pairs-50x8", "pairs-50x8-4096", "pairs-50x8-65536"]
    bars(
        rows,
        sizes,
        "per_second",
        "delivered/s",
        directory / "sizes.svg",
        "256 B, 4 KiB and 64 KiB, delivered",
    )
    fans = ["fan-out-100", "fan-out-100x32"]
    bars(rows, fans, "per_second", "delivered/s", directory / "fan-out.svg", "one to a hundred, delivered")
    rates = ["rate-25000", "rate-50000"]
    bars(rows, rates, "p99_ms", "ms", directory / "latency.svg", "p99 of the latency at a fixed rate")
    growth(rows, directory / "growth.svg")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
