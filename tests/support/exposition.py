"""Numbers that the gateway counts for its operators, read from what it exposes."""

from __future__ import annotations

from collections import Counter

from aether import Gateway

__all__ = ["errors_counted"]


def errors_counted(gateway: Gateway) -> dict[str, int]:
    """``aether_message_errors_total`` of all workspaces, by type."""
    counted: Counter[str] = Counter()
    for line in gateway.metrics.exposition().decode().splitlines():
        if line.startswith("aether_message_errors_total{"):
            labels, number = line.rsplit(" ", 1)
            counted[labels.split('error_type="')[1].split('"')[0]] += int(float(number))
    return dict(counted)
