"""The benches' own arithmetic, and that a run ends with figures; how large they are is nobody's business here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench.measure import Latencies, cpu_seconds, merged, resident_bytes
from bench.sides import SIDES
from bench.suites import SUITES
from bench.workloads import WORKLOADS
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=200), st.floats(0.1, 100))
def test_a_percentile_is_at_most_one_bucket_too_high(latencies: list[int], percent: float) -> None:
    counted = Latencies()
    for ns in latencies:
        counted.add(ns)
    ranked = sorted(latencies)
    exact = next(ns for rank, ns in enumerate(ranked, 1) if rank >= len(ranked) * percent / 100)
    assert exact <= counted.percentile_ms(percent) * 1e6 + 1e-3 <= exact * (1 + 1 / 32) + 1


def test_nothing_counted_has_no_latency() -> None:
    assert Latencies().sample() == {"p50_ms": 0, "p99_ms": 0, "p999_ms": 0, "max_ms": 0}


def test_generators_share_the_servers_cpu() -> None:
    # A second in which the server used 0.6 s: 60 operations of one generator, 40 of the other.
    parts = [{"per_second": 60.0, "cpu_us": 1e4, "p99_ms": 3.0}, {"per_second": 40.0, "cpu_us": 1.5e4, "p99_ms": 5.0}]
    assert merged(parts) == pytest.approx({"per_second": 100.0, "cpu_us": 6e3, "p99_ms": 5.0})


def test_what_a_process_used_is_read() -> None:
    before = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) == before:
        pass
    assert resident_bytes(os.getpid()) > 2**20


def test_suites_name_what_exists() -> None:
    alone = {"access", "start_up"}
    for suite in SUITES.values():
        assert suite.workload in WORKLOADS.keys() | alone
        assert set(suite.sides) <= SIDES.keys()


@pytest.mark.parametrize("suite", ["pair-serial", "rate-5000", "workers-10", "checkpoints-20x1"])
def test_a_run_ends_with_figures(tmp_path: Path, suite: str) -> None:
    output = tmp_path / "result.json"
    options = ["--rounds", "1", "--seconds", "0.5", "--side", "batch", "--side", "echo", "--output", str(output)]
    subprocess.run([sys.executable, "-m", "bench", suite, *options], check=True, timeout=120, capture_output=True)
    result = json.loads(output.read_text())
    assert result["machine"]["cores"]
    for row in result["rows"]:
        assert row["suite"] == suite
        assert row["median"]["per_second"] > 0
        assert row["rounds"] == [row["median"]]
