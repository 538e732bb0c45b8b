"""A load generator, in a process of its own: ``python -m bench.load SUITE PROTOCOL PORT PID SECONDS DIRECTORY SHARE
SHARES`` prints its figures as one line of JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

import trio

from bench.fabrics import create_fabric
from bench.suites import SUITES
from bench.workloads import WORKLOADS, Load


async def main(
    suite: str, protocol: str, port: int, pid: int, seconds: float, directory: Path, share: int, shares: int
) -> None:
    arguments = SUITES[suite].arguments
    async with create_fabric(protocol, port) as fabric:
        load = Load(fabric, pid, seconds, directory, share, shares)
        result = await WORKLOADS[SUITES[suite].workload](load, **arguments)
        print(json.dumps(result), flush=True)
        os._exit(0)  # thousands of orderly goodbyes would take longer than the measurement


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    name, speaks, server_port, server_pid, duration, where, number, of = sys.argv[1:]
    trio.run(main, name, speaks, int(server_port), int(server_pid), float(duration), Path(where), int(number), int(of))
