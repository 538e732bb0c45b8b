"""`python -m tests.fuzz [TARGET...] [--inputs N] [--seed S]`: inputs are numbered, a number gives one input."""

from __future__ import annotations

import argparse
import random
import resource
import secrets
import sys
import time

from tests.fuzz.targets import TARGETS, Target

WEIGHTS = {"purerpc-server": 0.05, "purerpc-client": 0.05}
"""Share of inputs for targets that are slow, against 1 for the others."""
GROWTH_MAX_KIB = 96 * 1024
"""Memory that a run may add after its first tenth: more is a leak."""


def run(name: str, target: Target, seed: int, inputs: int) -> None:
    """One target with its inputs; raises what the target raises after saying which input did it."""
    start = time.monotonic()
    settled = 0
    for number in range(inputs):
        if number == inputs // 10:
            settled = peak_kib()
        try:
            target(random.Random(f"{name}:{seed}:{number}"))
        except BaseException:
            print(f"\n{name}: input {number} of seed {seed}; again with --seed {seed} --only {number} {name}")
            raise
        if number % 1000 == 0 and sys.stderr.isatty():
            print(f"\r{name}: {number:,}", end="", file=sys.stderr, flush=True)
    grown = peak_kib() - settled
    seconds = time.monotonic() - start
    print(f"\r{name}: {inputs:,} inputs in {seconds:.0f} s, memory grew by {grown:,} KiB")
    if grown > GROWTH_MAX_KIB:
        raise SystemExit(f"{name}: memory grew by {grown:,} KiB")


def peak_kib() -> int:
    """The process's largest resident set so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all when none is named")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="in all, shared by the targets")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    parser.add_argument("--only", type=int, help="just this input, to look at a failure")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    names = options.targets or list(TARGETS)
    if options.only is not None:
        for name in names:
            TARGETS[name](random.Random(f"{name}:{options.seed}:{options.only}"))
        return
    total = sum(WEIGHTS.get(name, 1.0) for name in names)
    print(f"seed {options.seed}")
    for name in names:
        run(name, TARGETS[name], options.seed, round(options.inputs * WEIGHTS.get(name, 1.0) / total))


if __name__ == "__main__":
    main()
