"""Aether: the fabric for multi-agent systems.

An embeddable gateway and a trio-native client for the ``aether.v1`` protocol:

>>> async with aether.Gateway(aether.Config.development()) as gateway:            # doctest: +SKIP
...     async with aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s") as me:
...         await me.send("ag::w::i::s", b"hello, me")

Names are imported on first use, so that a command-line tool or a client does not load the gateway.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from aether._version import __version__

if TYPE_CHECKING:
    from aether.client import (
        Connection,
        connect_agent,
        connect_bridge,
        connect_metrics_bridge,
        connect_orchestrator,
        connect_service,
        connect_task,
        connect_user,
        connect_workflow_engine,
    )
    from aether.config import Config
    from aether.errors import AetherError
    from aether.gateway.gateway import Gateway

_HOMES = {
    "Gateway": "aether.gateway.gateway",
    "Config": "aether.config",
    "AetherError": "aether.errors",
    "Connection": "aether.client",
    "connect_agent": "aether.client",
    "connect_bridge": "aether.client",
    "connect_metrics_bridge": "aether.client",
    "connect_orchestrator": "aether.client",
    "connect_service": "aether.client",
    "connect_task": "aether.client",
    "connect_user": "aether.client",
    "connect_workflow_engine": "aether.client",
}

__all__ = [
    "AetherError",
    "Config",
    "Connection",
    "Gateway",
    "__version__",
    "connect_agent",
    "connect_bridge",
    "connect_metrics_bridge",
    "connect_orchestrator",
    "connect_service",
    "connect_task",
    "connect_user",
    "connect_workflow_engine",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module 'aether' has no attribute {name!r}") from None
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
