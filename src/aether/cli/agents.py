"""``aether agents``: registered agents of a running gateway, and those who start them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from aether.cli.output import plain, show, timestamp
from aether.cli.remote import Remote, remote_options
from aether.client import Connection
from aether.proto import aether_pb2 as pb

__all__ = ["agents"]

STARTUP = "agent_startup"
ATTEMPT, NOT_BEFORE, LAST_ERROR = "startup_attempt", "startup_not_before_ms", "startup_last_error"
STARTS = ("agent", "orchestrator", "attempt", "not_before", "last_error", "asked_for", "task")
COLUMNS = ("implementation", "profile", "description", "launch_params", "updated")


@click.group()
def agents() -> None:
    """Agents that can be started: how, and by whom."""


@agents.command("ls")
@click.option("--profile", default="", help="Only of this profile.")
@remote_options
def list_agents(remote: Remote, profile: str) -> None:
    """Show registered agents."""

    async def run(me: Connection) -> Sequence[pb.AgentRegistrationInfo]:
        return await me.agents.list(profile=profile)

    show((_row(agent, remote.as_json) for agent in remote.run(run)), COLUMNS, as_json=remote.as_json)


@agents.command("show")
@click.argument("implementation")
@remote_options
def show_agent(remote: Remote, implementation: str) -> None:
    """Show one registration."""
    found = remote.run(lambda me: me.agents.get(implementation))
    show([_row(found, remote.as_json)], COLUMNS, as_json=remote.as_json)


@agents.command()
@click.argument("implementation")
@click.argument("profile")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A launch parameter; repeat for more.")
@click.option("--description", default="")
@remote_options
def register(remote: Remote, implementation: str, profile: str, params: tuple[str, ...], description: str) -> None:
    """Let orchestrators of PROFILE start agents of IMPLEMENTATION."""
    launch_params = _params(params)
    found = remote.run(lambda me: me.agents.register(implementation, profile, launch_params, description=description))
    show([_row(found, remote.as_json)], COLUMNS, as_json=remote.as_json)


@agents.command()
@click.argument("implementation")
@remote_options
def rm(remote: Remote, implementation: str) -> None:
    """Forget a registration; agents that run are left alone."""
    remote.run(lambda me: me.agents.delete(implementation))
    click.echo(f"removed {implementation}", err=True)


@agents.command()
@click.argument("implementation")
@click.option("--workspace", "-w", default="default", show_default=True)
@click.option("--specifier", default="default", show_default=True)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Overrides a launch parameter.")
@remote_options
def launch(remote: Remote, implementation: str, workspace: str, specifier: str, params: tuple[str, ...]) -> None:
    """Start an agent; prints the id of the task that stands for it."""
    overrides = _params(params)
    click.echo(remote.run(lambda me: me.agents.launch(implementation, workspace, specifier, overrides)))


@agents.command()
@remote_options
def orchestrators(remote: Remote) -> None:
    """Show who can start agents."""
    found = remote.run(lambda me: me.agents.orchestrators())
    rows = [
        {
            "orchestrator": one.orchestrator_id,
            "profiles": " ".join(one.profiles),
            "connected": timestamp(one.connected_at),
        }
        for one in found
    ]
    show(rows, ("orchestrator", "profiles", "connected"), as_json=remote.as_json)


@agents.command()
@click.option("--workspace", "-w", default="", help="Only of this workspace.")
@remote_options
def starts(remote: Remote, workspace: str) -> None:
    """Show agents that are to be started and are not there yet.

    One that failed before is held back, longer each time; "launch" starts it at once.
    """
    wanted: dict[str, Any] = {"task_type": STARTUP, "workspace": workspace, "statuses": [pb.TASK_STATUS_QUEUED]}

    async def run(me: Connection) -> Sequence[pb.TaskInfo]:
        return [task async for task in me.tasks.find(**wanted)]

    show((_start(task) for task in remote.run(run)), STARTS, as_json=remote.as_json, important=STARTS[2:5])


def _start(task: pb.TaskInfo) -> dict[str, Any]:
    not_before_ms = task.metadata.get(NOT_BEFORE, "")
    return {
        "agent": task.target_topic,
        "orchestrator": task.assigned_to,
        "attempt": int(task.metadata.get(ATTEMPT, "1")),
        "not_before": timestamp(int(not_before_ms) / 1000) if not_before_ms.isdecimal() else "",
        "last_error": task.metadata.get(LAST_ERROR, ""),
        "asked_for": timestamp(task.created_at),
        "task": task.task_id,
    }


def _params(pairs: tuple[str, ...]) -> dict[str, str]:
    params = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{pair} is not NAME=VALUE", param_hint="--param")
        params[name] = value
    return params


def _row(agent: pb.AgentRegistrationInfo, as_json: bool) -> dict[str, Any]:
    if as_json:
        return plain(agent)
    params = {name: value for name, value in agent.launch_params.items() if name != "profile"}
    return {
        "implementation": agent.implementation,
        "profile": agent.orchestrator_profile,
        "description": agent.description,
        "launch_params": " ".join(f"{name}={value}" for name, value in sorted(params.items())),
        "updated": timestamp(agent.updated_at),
    }
