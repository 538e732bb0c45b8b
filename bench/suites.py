"""What is measured, and on which sides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["SUITES", "Suite"]

OURS = ("batch", "os")
PEERS = (*OURS, "echo", "purerpc", "grpcio", "nats", "jetstream", "jetstream-synced", "slim")
FEW_PEERS = ("batch", "echo", "nats", "jetstream")
CONNECT_MODES = ("anonymous", "api-key", "task-token", "bearer", "tls", "mtls")


@dataclass(frozen=True, slots=True)
class Suite:
    """One line of the table for each side.

    :ivar workload: of :data:`bench.workloads.WORKLOADS`, or one that needs no generator, see :mod:`bench.runner`.
    :ivar generators: processes that share the work.
    :ivar longer: the measurement takes so many times ``--seconds``.
    :ivar default: run when no suite is named.
    """

    workload: str
    arguments: dict[str, Any] = field(default_factory=dict)
    sides: tuple[str, ...] = OURS
    generators: int = 1
    longer: float = 1
    default: bool = True


def pairs(number: int, window: int, size: int = 256, sides: tuple[str, ...] = FEW_PEERS, **more: Any) -> Suite:
    return Suite("pairs", {"number": number, "window": window, "size": size}, sides, **more)


BATCH = ("batch",)

SUITES: dict[str, Suite] = {
    "pair-serial": pairs(1, 1, sides=PEERS),
    "pairs-50x8": pairs(50, 8, sides=(*PEERS, "rules")),
    "pairs-50x8-2": pairs(50, 8, sides=("batch", "echo"), generators=2, default=False),
    "pairs-200x8": pairs(200, 8),
    "pairs-1000x8": pairs(1000, 8, sides=("batch", "echo", "nats"), default=False),
    "pairs-50x8-64": pairs(50, 8, 64, default=False),
    "pairs-50x8-4096": pairs(50, 8, 4096),
    "pairs-50x8-65536": pairs(50, 8, 65536),
    "rate-5000": Suite("open_loop", {"number": 50, "rate": 5_000}, FEW_PEERS, default=False),
    "rate-25000": Suite("open_loop", {"number": 50, "rate": 25_000}, (*FEW_PEERS, "os"), longer=2),
    "rate-50000": Suite("open_loop", {"number": 50, "rate": 50_000}, (*FEW_PEERS, "os"), longer=2),
    "fan-out-10": Suite("fan_out", {"receivers": 10, "window": 8}, ("batch", "nats"), default=False),
    "fan-out-100": Suite("fan_out", {"receivers": 100, "window": 8}, (*OURS, "nats")),
    "fan-out-100x32": Suite("fan_out", {"receivers": 100, "window": 32}, ("batch", "nats")),
    "fan-out-1000": Suite("fan_out", {"receivers": 1000, "window": 8}, ("batch", "nats"), default=False),
    "workers-10": Suite("workers", {"number": 10, "window": 80}, BATCH),
    "slow-reader": Suite("slow_reader", {"messages": 6000}, BATCH),
    "slow-and-fast": Suite("slow_and_fast", {"slow": 10}, BATCH),
    "kv-serial": Suite("key_value", {"clients": 1, "window": 1}),
    "kv-20x8": Suite("key_value", {"clients": 20, "window": 8}),
    "checkpoints-20x1": Suite("checkpoints", {"clients": 20, "window": 1}, BATCH),
    **{
        f"connect-{mode}": Suite("connects", {"mode": mode}, BATCH, default=mode in ("anonymous", "api-key", "mtls"))
        for mode in CONNECT_MODES
    },
    "idle-3000": Suite("idle", {"sessions": 3000}, (*BATCH, "echo")),
    "idle-10000": Suite("idle", {"sessions": 9500}, (*BATCH, "echo"), longer=15, default=False),
    "tasks-1": Suite("tasks", {"clients": 1}),
    "tasks-10": Suite("tasks", {"clients": 10}),
    "tasks-10-of-1000000": Suite("tasks", {"clients": 10}, ("os",), default=False),
    "task-dispatch": Suite("dispatch", {}, BATCH),
    "task-timers-100000": Suite("wait", {}, BATCH, default=False),
    "start-up": Suite("start_up", {}, (*BATCH, "nats")),
    "soak": Suite("soak", {"number": 10, "window": 4}, BATCH, longer=10),
    "replay-100000": Suite("replay", {"messages": 100_000}, BATCH),
    "replay-1000000": Suite("replay", {"messages": 1_000_000}, BATCH, default=False),
    **{
        f"sessions-{2 * number}": pairs(number, 4, sides=("batch", "echo"), default=number != 1000)
        for number in (10, 100, 1000)
    },
    **{
        f"topics-{topics}": Suite("pairs_beside", {"topics": topics, "each": 1}, BATCH, default=topics < 100_000)
        for topics in (100, 10_000, 100_000)
    },
    **{
        f"retained-{count}": Suite("pairs_beside", {"topics": 1, "each": count}, BATCH, default=count < 1_000_000)
        for count in (1000, 100_000, 1_000_000)
    },
    **{f"access-{rules}": Suite("access", {"rules": rules}, ("none",)) for rules in (10, 1000, 100_000)},
}
