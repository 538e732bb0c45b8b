"""Health, facts, counts and connections of a gateway, for those who may administer it (connection 13.3)."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import trio

from aether.access import Access
from aether.answers import Answer, Caller
from aether.errors import Refusal, StoreUnavailable
from aether.identity import PrincipalType
from aether.proto import aether_pb2 as pb
from aether.sessions.live import UNAVAILABLE, Directory, Listing, check_administrator, refused
from aether.sessions.wire import admin_answer, duration_text

__all__ = ["AdminQueries", "Check", "Vitals"]

Op = pb.AdminQuery


@dataclass(frozen=True, slots=True)
class Check:
    """One line of a health report. An empty error means the part works."""

    name: str
    latency_ms: float = 0.0
    error: str = ""


class Vitals(Protocol):
    """What the gateway tells about itself. Times are Unix milliseconds."""

    @property
    def gateway_id(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def started_at_ms(self) -> int: ...

    def messages(self) -> tuple[int, float]:
        """Messages routed since the start, and per second lately."""

    async def checks(self) -> list[Check]:
        """Probe the parts the gateway depends on; the first failing one makes it unhealthy."""


class AdminQueries:
    """Answers ``admin_query``.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(self, directory: Directory, access: Access, vitals: Vitals, wall_clock: Callable[[], int]) -> None:
        self._directory = directory
        self._listing = Listing(directory, wall_clock)
        self._access = access
        self._vitals = vitals
        self._wall_clock = wall_clock

    def handle(self, caller: Caller, query: pb.AdminQuery) -> Answer | Awaitable[Answer]:
        """Answer one question."""
        response = pb.AdminResponse(request_id=query.request_id)
        try:
            check_administrator(self._access, caller, self._access.rights(caller), "admin_query", "")
            match query.op:
                case Op.GET_HEALTH:
                    return self._health(response)
                case Op.GET_INFO:
                    response.info.CopyFrom(self._info())
                case Op.GET_STATS:
                    response.stats.CopyFrom(self._stats())
                case Op.LIST_CONNECTIONS:
                    response.total_count, connections = self._listing.page(query.filter)
                    response.connections.extend(connections)
                case Op.GET_CONNECTION:
                    response.connection.CopyFrom(self._listing.get(query.session_id, "GET_CONNECTION"))
                case _:
                    raise refused("unknown admin operation")
            response.success = True
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = UNAVAILABLE
        return admin_answer(response)

    async def _health(self, response: pb.AdminResponse) -> Answer:
        checks = await self._vitals.checks()
        health = response.health
        for check in checks:
            health.checks[check.name].status = (
                pb.HEALTH_CHECK_STATUS_ERROR if check.error else pb.HEALTH_CHECK_STATUS_OK
            )
            health.checks[check.name].latency = f"{check.latency_ms:.3f}ms"
            health.checks[check.name].error = check.error
        failing = any(check.error for check in checks)
        health.status = pb.HEALTH_STATUS_UNHEALTHY if failing else pb.HEALTH_STATUS_HEALTHY
        health.timestamp = self._wall_clock() // 1000
        health.stats.CopyFrom(self._stats())
        response.success = True
        return admin_answer(response)

    def _info(self) -> pb.GatewayInfo:
        vitals = self._vitals
        up_s = (self._wall_clock() - vitals.started_at_ms) // 1000
        return pb.GatewayInfo(
            gateway_id=vitals.gateway_id,
            version=vitals.version,
            started_at=vitals.started_at_ms // 1000,
            uptime=duration_text(up_s),
            go_version=f"Python {platform.python_version()}",
            num_goroutines=trio.lowlevel.current_statistics().tasks_living,
            memory_alloc_mb=_resident_mib(),
            num_connections=sum(1 for _ in self._directory),
        )

    def _stats(self) -> pb.GatewayStats:
        kinds: Mapping[PrincipalType, int] = Counter(session.identity.kind for session in self._directory)
        total, per_second = self._vitals.messages()
        return pb.GatewayStats(
            agent_connections=kinds[PrincipalType.AGENT],
            task_connections=kinds[PrincipalType.TASK],
            user_connections=kinds[PrincipalType.USER],
            orchestrator_connections=kinds[PrincipalType.ORCHESTRATOR],
            workflow_engine_connected=bool(kinds[PrincipalType.WORKFLOW_ENGINE]),
            metrics_bridge_connected=bool(kinds[PrincipalType.METRICS_BRIDGE]),
            messages_per_second=per_second,
            total_messages=total,
        )


def _resident_mib() -> float:
    """Memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
