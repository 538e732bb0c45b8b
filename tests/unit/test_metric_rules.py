"""Which metrics are accepted (routing 3.7, checklist 47 to 50)."""

from __future__ import annotations

import math

import pytest

from aether.errors import Refusal
from aether.messaging.metrics_rules import check_metric
from aether.proto import aether_pb2 as pb


def metric(*quantities: float, name: str = "m", metadata_keys: int = 0) -> bytes:
    return pb.Metric(
        entries=[pb.MetricEntry(name=name, qty=quantity) for quantity in quantities],
        metadata={str(key): "" for key in range(metadata_keys)},
    ).SerializeToString()


def code_of(payload: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        check_metric(payload)
    assert not caught.value.retryable
    return caught.value.code


def test_accepted() -> None:
    assert check_metric(metric(0.0, 1.5)) is False
    assert check_metric(metric(1.0, -0.5)) is True
    assert check_metric(metric(-0.0)) is False


def test_garbage() -> None:
    assert code_of(b"\xff\xff") == "ERR_METRIC_INVALID"
    assert code_of(b"\x0a\x01\xff") == "ERR_METRIC_INVALID"  # text that is not UTF-8


def test_48_number_of_entries() -> None:
    assert code_of(b"") == "ERR_METRIC_EMPTY"
    assert code_of(metric(*[1.0] * 1025)) == "ERR_METRIC_EMPTY"
    assert check_metric(metric(*[1.0] * 1024)) is False


def test_49_shape() -> None:
    assert check_metric(metric(1.0, metadata_keys=64)) is False
    assert code_of(metric(1.0, metadata_keys=65)) == "ERR_METRIC_INVALID"
    assert code_of(metric(1.0, name="")) == "ERR_METRIC_INVALID_ENTRY"
    for quantity in (math.nan, math.inf, -math.inf):
        assert code_of(metric(1.0, quantity)) == "ERR_METRIC_INVALID_ENTRY"


def test_the_first_broken_rule_names_the_code() -> None:
    assert code_of(metric(*[math.nan] * 1025, metadata_keys=65)) == "ERR_METRIC_EMPTY"
    assert code_of(metric(math.nan, metadata_keys=65)) == "ERR_METRIC_INVALID"


def test_a_bad_entry_behind_a_negative_one_is_still_found() -> None:
    assert code_of(metric(-1.0, math.nan)) == "ERR_METRIC_INVALID_ENTRY"
