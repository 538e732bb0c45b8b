"""``python -m bench [SUITE ...]``: see README.md here."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import trio
from rich.console import Console

from bench.report import print_table, write_json
from bench.runner import Row, run_suite
from bench.sides import SIDES
from bench.suites import SUITES

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure; README.md has the suites.")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help="default: a selection of all")
    parser.add_argument("--side", action="append", choices=list(SIDES), help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--list", action="store_true", help="print the suites with their sides, and what sides are")
    parser.add_argument("--output", type=Path, help="for the JSON; default: results/ with the time as its name")
    arguments = parser.parse_args()
    console = Console()
    if arguments.list:
        for name, suite in SUITES.items():
            console.print(f"{name}: {', '.join(suite.sides)}{'' if suite.default else ' (when asked for)'}")
        for name, side in SIDES.items():
            console.print(f"  {name}: {side.does}")
        return
    for name in arguments.suites:
        if name not in SUITES:
            parser.error(f"there is no suite {name!r}; --list prints them")
    output = arguments.output or RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    rows: list[Row] = []
    for name in arguments.suites or [name for name, suite in SUITES.items() if suite.default]:
        sides = [side for side in SUITES[name].sides if not arguments.side or side in arguments.side]
        rows += trio.run(
            run_suite, name, sides, arguments.rounds, arguments.seconds, lambda text: console.print(text, style="dim")
        )
        write_json(output, rows)  # after each suite, so that an interrupted run has what it measured
    print_table(console, rows)
    console.print(f"written to {output}")


if __name__ == "__main__":
    main()
