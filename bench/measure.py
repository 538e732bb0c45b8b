"""What a process used, and what a run of operations took."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path

__all__ = ["STAMP", "Latencies", "Sample", "cpu_seconds", "merged", "resident_bytes"]

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
STAMP = struct.Struct("<8sq")
"""How a payload begins whose latency is measured: a mark, and when it was due in ns of the monotonic clock."""

Sample = dict[str, float]
"""Figures of a run by the names of :data:`bench.report.UNITS`."""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE


class Latencies:
    """Counts by latency; a bucket is 1/32 wide, so a percentile is at most 3 % too high."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}

    def add(self, ns: int) -> None:
        shift = max(ns.bit_length() - 6, 0)
        bucket = shift << 6 | ns >> shift
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many per cent did not exceed; 0 where nothing was counted."""
        wanted = sum(self.counts.values()) * percent / 100
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return (((bucket & 63) + 1 << (bucket >> 6)) - 1) / 1e6
        return 0.0

    def sample(self) -> Sample:
        return {
            "p50_ms": self.percentile_ms(50),
            "p99_ms": self.percentile_ms(99),
            "p999_ms": self.percentile_ms(99.9),
            "max_ms": self.percentile_ms(100),
        }


def merged(parts: Sequence[Sample]) -> Sample:
    """What generators saw that ran at the same time: rates are added, the server's CPU is divided by all operations,
    and of latencies the worst counts."""
    if len(parts) == 1:
        return parts[0]
    rate = sum(part["per_second"] for part in parts)
    result: Sample = {"per_second": rate}
    if "cpu_us" in parts[0]:  # each of them counted the whole CPU for its part of the operations
        cpu = sum(part["cpu_us"] * part["per_second"] for part in parts) / len(parts)
        result["cpu_us"] = cpu / rate if rate else 0.0
    for name in parts[0]:
        if name.endswith("_ms"):
            result[name] = max(part[name] for part in parts)
    return result
