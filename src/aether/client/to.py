"""Topics by what they address (routing 2.1), for ``send`` and wherever else a topic is asked for.

>>> from aether.client import to
>>> to.agent("shop", "clerk", "7")
'ag::shop::clerk::7'
>>> to.pool("shop", "packer")
'tb::shop::packer'

Each function raises ValueError for parts that would make a different topic: empty ones, and those that contain ``::``
or begin or end with ``:``. The gateway refuses whatever else is wrong with a topic.
"""

from __future__ import annotations

from aether.identity import SEPARATOR, check_identifier

__all__ = [
    "agent",
    "all_agents",
    "all_users",
    "any_service",
    "bridge",
    "pool",
    "service",
    "task",
    "user",
    "user_in",
    "window",
    "worker",
]


def agent(workspace: str, implementation: str, specifier: str) -> str:
    """One agent."""
    return _topic("ag", workspace, implementation, specifier)


def task(workspace: str, implementation: str, specifier: str) -> str:
    """One task with a specifier of its own."""
    return _topic("tu", workspace, implementation, specifier)


def worker(workspace: str, implementation: str, assigned_id: str) -> str:
    """One worker of a pool, by the id that the gateway gave it."""
    return _topic("ta", workspace, implementation, assigned_id)


def pool(workspace: str, implementation: str) -> str:
    """Any one worker of a pool: the next that is free."""
    return _topic("tb", workspace, implementation)


def all_agents(workspace: str) -> str:
    """All agents of a workspace."""
    return _topic("ga", workspace)


def all_users(workspace: str) -> str:
    """All users that are on a workspace."""
    return _topic("gu", workspace)


def user(user_id: str) -> str:
    """All windows of a user."""
    return _topic("uu", user_id)


def user_in(user_id: str, workspace: str) -> str:
    """The windows of a user that are on a workspace."""
    return _topic("uw", user_id, workspace)


def window(user_id: str, window_id: str) -> str:
    """One window of a user."""
    return _topic("us", user_id, window_id)


def service(implementation: str, specifier: str) -> str:
    """One instance of a service."""
    return _topic("sv", implementation, specifier)


def any_service(implementation: str) -> str:
    """Any one connected instance of a service."""
    return _topic("sv", implementation)


def bridge(implementation: str, specifier: str) -> str:
    """One bridge."""
    return _topic("br", implementation, specifier)


def _topic(prefix: str, *parts: str) -> str:
    for part in parts:
        check_identifier("a part of a topic", part, strict=False, required=True)
    return SEPARATOR.join((prefix, *parts))
