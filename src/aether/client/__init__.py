"""The trio-native client: one ``async with`` per principal.

>>> async with connect_agent("127.0.0.1:50051", workspace="w", implementation="i", specifier="s") as me:
...     await me.send(to.agent("w", "i", "other"), b"hello")
...     async for message in me:
...         print(message.source_topic, message.payload)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from aether.client import to
from aether.client.connection import Connection, open_connection
from aether.client.coordination import Election
from aether.client.errors import (
    ClientError,
    ConnectFailed,
    ConnectionClosed,
    ConnectionLost,
    Disconnected,
    DuplicateIdentity,
    InvalidRequest,
    LeaseHeld,
    LeaseLost,
    NotFound,
    PermissionDenied,
    RequestRefused,
    TaskFailed,
    TaskLost,
    TaskRefused,
    Unauthenticated,
)
from aether.client.lease import Lease
from aether.client.link import Options, Target
from aether.client.outages import Lost, Regained
from aether.client.tasks import Retry
from aether.client.work import Work
from aether.kv.store import Scope
from aether.proto import aether_pb2 as pb

__all__ = [
    "ClientError",
    "ConnectFailed",
    "Connection",
    "ConnectionClosed",
    "ConnectionLost",
    "Disconnected",
    "DuplicateIdentity",
    "Election",
    "InvalidRequest",
    "Lease",
    "LeaseHeld",
    "LeaseLost",
    "Lost",
    "NotFound",
    "Options",
    "PermissionDenied",
    "Regained",
    "RequestRefused",
    "Retry",
    "Scope",
    "TaskFailed",
    "TaskLost",
    "TaskRefused",
    "Unauthenticated",
    "Work",
    "connect_agent",
    "connect_bridge",
    "connect_metrics_bridge",
    "connect_orchestrator",
    "connect_service",
    "connect_task",
    "connect_user",
    "connect_workflow_engine",
    "to",
]

Opening = AbstractAsyncContextManager[Connection]


def connect_agent(
    target: Target, *, workspace: str, implementation: str, specifier: str, options: Options | None = None
) -> Opening:
    """Connect as an agent."""
    agent = pb.AgentIdentity(workspace=workspace, implementation=implementation, specifier=specifier)
    return open_connection(target, pb.InitConnection(agent=agent), options or Options())


def connect_task(
    target: Target, *, workspace: str, implementation: str, specifier: str = "", options: Options | None = None
) -> Opening:
    """Connect as a task; without a specifier as a worker of the pool, with an id from the gateway."""
    task = pb.TaskIdentity(workspace=workspace, implementation=implementation, unique_specifier=specifier)
    return open_connection(target, pb.InitConnection(task=task), options or Options())


def connect_user(target: Target, *, user_id: str, window_id: str, options: Options | None = None) -> Opening:
    """Connect as one window of a user."""
    user = pb.UserIdentity(user_id=user_id, window_id=window_id)
    return open_connection(target, pb.InitConnection(user=user), options or Options())


def connect_service(
    target: Target,
    *,
    implementation: str,
    specifier: str,
    consumes_pool_tasks: bool = True,
    options: Options | None = None,
) -> Opening:
    """Connect as a service instance."""
    service = pb.ServiceIdentity(
        implementation=implementation, specifier=specifier, no_pool_consumer=not consumes_pool_tasks
    )
    return open_connection(target, pb.InitConnection(service=service), options or Options())


def connect_bridge(target: Target, *, implementation: str, specifier: str, options: Options | None = None) -> Opening:
    """Connect as a bridge."""
    bridge = pb.BridgeIdentity(implementation=implementation, specifier=specifier)
    return open_connection(target, pb.InitConnection(bridge=bridge), options or Options())


def connect_orchestrator(
    target: Target,
    *,
    implementation: str,
    profiles: Sequence[str],
    specifier: str = "",
    options: Options | None = None,
) -> Opening:
    """Connect as an orchestrator for some profiles."""
    orchestrator = pb.OrchestratorIdentity(
        implementation=implementation, specifier=specifier, supported_profiles=profiles
    )
    return open_connection(target, pb.InitConnection(orchestrator=orchestrator), options or Options())


def connect_workflow_engine(target: Target, *, options: Options | None = None) -> Opening:
    """Connect as the workflow engine; a deployment has one."""
    init = pb.InitConnection(workflow_engine=pb.WorkflowEngineIdentity())
    return open_connection(target, init, options or Options())


def connect_metrics_bridge(target: Target, *, options: Options | None = None) -> Opening:
    """Connect as the metrics bridge; a deployment has one."""
    init = pb.InitConnection(metrics_bridge=pb.MetricsBridgeIdentity())
    return open_connection(target, init, options or Options())
