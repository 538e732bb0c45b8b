"""Rules over arbitrary input: metrics, progress, key/value frames and namespaces."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aether.answers import down
from aether.errors import Code, Refusal
from aether.identity import Identity, PrincipalType
from aether.kv.namespaces import namespace_of
from aether.kv.store import Scope
from aether.kv.wire import found
from aether.messaging.metrics_rules import ENTRIES_MAX, METADATA_KEYS_MAX, check_metric
from aether.messaging.progress import ProgressFilter, build_update, is_recipient, progress_topic
from aether.proto import aether_pb2 as pb
from aether.topics import Prefix, parse_target

texts = st.text(st.characters(exclude_categories=["Cs"]))
names = st.text(st.sampled_from("ab.-:@ü"), max_size=4)
identifiers = names.filter(lambda name: name and "::" not in name and ":" not in (name[0], name[-1]))
segments = st.lists(st.one_of(identifiers, names), max_size=5)
topics = st.builds(
    lambda prefix, rest: "::".join([prefix, *rest]), st.sampled_from(["us", "ag", "tu", "ta", "sv", "pg", ""]), segments
)

METRIC_CODES = {Code.METRIC_INVALID, Code.METRIC_EMPTY, Code.METRIC_INVALID_ENTRY}


# ------------------------------------------------------------------------------------------------------- metrics


@given(st.binary(max_size=200))
def test_any_payload_is_a_metric_or_refused_with_a_metric_code(payload: bytes) -> None:
    try:
        check_metric(payload)
    except Refusal as refusal:
        assert refusal.code in METRIC_CODES
    else:
        assert pb.Metric.FromString(payload).entries


@given(
    entries=st.lists(st.tuples(st.text("ab", max_size=2), st.floats()), max_size=6),
    padding=st.sampled_from([0, 0, 0, ENTRIES_MAX]),
    metadata_keys=st.sampled_from([0, METADATA_KEYS_MAX, METADATA_KEYS_MAX + 1]),
)
def test_metric_rules_in_their_order(entries: list[tuple[str, float]], padding: int, metadata_keys: int) -> None:
    metric = pb.Metric(
        entries=[pb.MetricEntry(name=name, qty=quantity) for name, quantity in entries]
        + [pb.MetricEntry(name="x", qty=1.0)] * padding,
        metadata={str(key): "" for key in range(metadata_keys)},
    )
    count = len(entries) + padding
    if not 1 <= count <= ENTRIES_MAX:
        expected = Code.METRIC_EMPTY
    elif metadata_keys > METADATA_KEYS_MAX:
        expected = Code.METRIC_INVALID
    elif any(not name or math.isnan(quantity) or math.isinf(quantity) for name, quantity in entries):
        expected = Code.METRIC_INVALID_ENTRY
    else:
        assert check_metric(metric.SerializeToString()) == any(quantity < 0 for _, quantity in entries)
        return
    with pytest.raises(Refusal) as caught:
        check_metric(metric.SerializeToString())
    assert caught.value.code == expected


# ------------------------------------------------------------------------------------------------------ progress


def delivered(source: str, recipient: str, own: str) -> bool:
    """Routing 7.3, word for word."""
    if source == own:
        return False
    if recipient in ("", own):
        return True
    match recipient.split("::"):
        case ["us", name] if name:
            return own.startswith(f"us::{name}::")
    return False


@given(source=topics, recipient=st.one_of(st.just(""), topics), own=topics)
@example(source="ag::w::i::s", recipient="us::u", own="us::u::w")
@example(source="ag::w::i::s", recipient="us::", own="us::::w")
def test_progress_filter(source: str, recipient: str, own: str) -> None:
    assert is_recipient(source, recipient, own) == delivered(source, recipient, own)
    frame = down(pb.DownstreamMessage(progress_update=pb.ProgressUpdate(source=source, recipient=recipient)))
    assert ProgressFilter(own)(frame) == delivered(source, recipient, own)


@given(source=topics, user=identifiers, window=identifiers, other=identifiers)
def test_every_window_of_a_user_and_no_other_user(source: str, user: str, window: str, other: str) -> None:
    own = f"us::{user}::{window}"
    if source != own:
        assert is_recipient(source, f"us::{user}", own)
        assert is_recipient(source, own, own)
        assert is_recipient(source, f"us::{other}", own) == (other == user)


@given(frame=st.binary(max_size=60))
def test_progress_filter_never_raises(frame: bytes) -> None:
    assert ProgressFilter("ag::w::i::s")(frame) in (True, False)


@given(workspace=st.one_of(st.just(""), identifiers), recipient=st.one_of(st.just(""), topics, texts))
def test_progress_topics_are_well_formed(workspace: str, recipient: str) -> None:
    """Whatever the recipient says, a report lands on a progress lane of the reporter's workspace or of that user."""
    try:
        topic = progress_topic(workspace, recipient)
    except Refusal as refusal:
        assert refusal.code == Code.INVALID_TOPIC
        return
    assert parse_target(topic).prefix is Prefix.PG
    if topic != f"pg::{workspace}":
        assert topic == "pg::us::" + recipient.split("::")[1]
        assert recipient.startswith("us::")


@given(
    st.builds(
        pb.ProgressReport,
        task_id=texts,
        state=texts,
        completion=st.floats(allow_nan=False),
        summary=texts,
        recipient=texts,
        request_id=texts,
        metadata=st.dictionaries(texts, texts, max_size=3),
        kind=st.sampled_from([0, 1, 2, 3, 77]),
    )
)
def test_an_update_says_what_the_report_said(report: pb.ProgressReport) -> None:
    identity = Identity(PrincipalType.AGENT, "w", "i", "s")
    update = build_update(identity, report, workspace="w", now_ms=5)
    assert (update.source, update.workspace, update.timestamp_ms) == ("ag::w::i::s", "w", 5)
    for name in ("task_id", "state", "completion", "summary", "recipient", "request_id", "kind"):
        assert getattr(update, name) == getattr(report, name)
    assert dict(update.metadata) == dict(report.metadata)


# ----------------------------------------------------------------------------------------------------- key/value


@given(value=st.binary(max_size=300), request_id=st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
@example(value=bytes(2**21), request_id="r")
def test_hand_written_get_response_is_what_protobuf_writes(value: bytes, request_id: str) -> None:
    response = pb.KVResponse(success=True, value=value, request_id=request_id)
    assert found(value, request_id) == down(pb.DownstreamMessage(kv=response))


@given(st.lists(st.tuples(st.sampled_from(list(Scope)), names, names, names, names), min_size=2, max_size=2))
def test_namespaces_are_equal_only_for_equal_owners(places: list[tuple[Scope, str, str, str, str]]) -> None:
    keys = []
    for scope, implementation, specifier, user, workspace in places:
        try:
            namespace = namespace_of(scope, implementation, specifier, user, workspace)
        except Refusal as refusal:
            assert refusal.code == Code.KV_ERROR
            return
        relevant = (
            scope,
            (implementation, specifier) if scope.is_exclusive else None,
            user if "USER" in scope.name else None,
            workspace if "WORKSPACE" in scope.name else None,
        )
        keys.append((namespace.key, relevant))
    (first, second) = keys
    assert (first[0] == second[0]) == (first[1] == second[1])
