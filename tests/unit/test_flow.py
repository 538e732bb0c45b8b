"""Counters of who sends to whom: bounded, however many pairs there are."""

from __future__ import annotations

from aether.messaging.flow import EDGES_MAX, STEPS, Flow


def test_pairs_are_counted_up_to_a_limit_and_forgotten_after_an_hour() -> None:
    flow = Flow()
    edges = [flow.edge(f"w{number % 7}", f"ag::w::i::{number}", "ga::w") for number in range(EDGES_MAX + 100)]
    for edge in edges:
        edge.count += 1
    assert sum(len(flow.sent(f"w{workspace}")) for workspace in range(7)) == EDGES_MAX
    assert flow.edge("w0", "ag::w::i::0", "ga::w") is edges[0]
    for _ in range(STEPS - 1):
        flow.step()
    assert not any(edge.expired for edge in edges)
    flow.step()
    assert all(edge.expired for edge in edges[:EDGES_MAX])
    later = flow.edge("w0", "ag::w::i::0", "ga::w")
    later.count += 1
    assert [sent.messages for sent in flow.sent("w0")] == [1]
