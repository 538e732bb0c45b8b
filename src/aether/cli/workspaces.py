"""``aether workspaces``: workspaces of a running gateway."""

from __future__ import annotations

from typing import Any

import click

from aether.cli.output import plain, printable, show
from aether.cli.remote import Remote, remote_options
from aether.proto import aether_pb2 as pb

__all__ = ["workspaces"]

UNSAID = -1
"""Of a quota that is to stay."""
QUOTAS = ("connections", "tasks", "message_rate", "kv_keys", "kv_bytes")
COLUMNS = ("workspace", "name", "description", "agents", "tasks", "users", "messages")


@click.group()
def workspaces() -> None:
    """Workspaces: what they are called, and who is in them."""


@workspaces.command("ls")
@click.option("--tenant", default="", help="Only of this tenant.")
@remote_options
def list_workspaces(remote: Remote, tenant: str) -> None:
    """Show workspaces that are described or in use."""
    found = remote.run(lambda me: me.workspaces.list(tenant=tenant))
    show((_row(info, remote.as_json) for info in found), COLUMNS, as_json=remote.as_json)


@workspaces.command("show")
@click.argument("workspace")
@remote_options
def show_workspace(remote: Remote, workspace: str) -> None:
    """Show one workspace, who is connected, and who sent how many messages to whom within the last hour."""
    info = remote.run(lambda me: me.workspaces.get(workspace))
    flow = remote.run(lambda me: me.workspaces.flow(workspace))
    if remote.as_json:
        connected, sent = ([plain(one) for one in some] for some in (flow.nodes, flow.edges))
        show([{**_row(info, True), "connected": connected, "sent": sent}], (), as_json=True)
        return
    show([_row(info, False)], COLUMNS, as_json=False)
    for name, number in _quotas(info).items():
        if number != "default":
            click.echo(f"  quota of {name.replace('_', ' ')}: {number}")
    for node in flow.nodes:
        click.echo(f"  {printable(node.id)}")
    for edge in flow.edges:
        click.echo(printable(f"  {getattr(edge, 'from')} -> {edge.to}: {edge.count}"))


@workspaces.command()
@click.argument("workspace")
@click.option("--name", default="", help="For people.")
@click.option("--description", default="")
@click.option("--tenant", default="")
@remote_options
def create(remote: Remote, workspace: str, name: str, description: str, tenant: str) -> None:
    """Describe a workspace. Of one that is described already, what is not said again stays."""
    info = remote.run(
        lambda me: me.workspaces.update(workspace, display_name=name, description=description, tenant_id=tenant)
    )
    show([_row(info, remote.as_json)], COLUMNS, as_json=remote.as_json)


@workspaces.command()
@click.argument("workspace")
@click.argument("name")
@remote_options
def rename(remote: Remote, workspace: str, name: str) -> None:
    """Give a workspace another NAME for people; its id stays."""
    info = remote.run(lambda me: me.workspaces.update(workspace, display_name=name))
    show([_row(info, remote.as_json)], COLUMNS, as_json=remote.as_json)


def _quota(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """A number, None for ``default``, or :data:`UNSAID`."""
    if text is None:
        return UNSAID
    if text == "default":
        return None
    if not text.isascii() or not text.isdigit():
        raise click.BadParameter('a number from 0 on, or "default"', context, option)
    return int(text)


@workspaces.command()
@click.argument("workspace")
@click.option("--connections", metavar="NUMBER", callback=_quota, help="Live sessions of agents and tasks.")
@click.option("--tasks", metavar="NUMBER", callback=_quota, help="Unfinished tasks.")
@click.option("--message-rate", metavar="NUMBER", callback=_quota, help="Messages a second, of all senders together.")
@click.option("--kv-keys", metavar="NUMBER", callback=_quota, help="Values and checkpoints stored.")
@click.option("--kv-bytes", metavar="NUMBER", callback=_quota, help="Bytes of them, keys included.")
@remote_options
def limit(remote: Remote, workspace: str, **quotas: int | None) -> None:
    """Give a workspace quotas of its own: a number, 0 for any number, "default" for what the configuration says."""
    said = {name: number for name, number in quotas.items() if number != UNSAID}
    if not said:
        raise click.UsageError(f"say which quota: {', '.join('--' + name.replace('_', '-') for name in QUOTAS)}")
    info = remote.run(lambda me: me.workspaces.limit(workspace, **said))
    show([{**_row(info, remote.as_json), **_quotas(info)}], (*COLUMNS[:1], *QUOTAS), as_json=remote.as_json)


@workspaces.command()
@click.argument("workspace")
@remote_options
def rm(remote: Remote, workspace: str) -> None:
    """Remove the description of a workspace and cancel its unfinished tasks."""
    remote.run(lambda me: me.workspaces.delete(workspace))
    click.echo(f"removed {workspace}; what was unfinished in it is cancelled", err=True)


def _quotas(info: pb.WorkspaceInfo) -> dict[str, str]:
    return {name: info.metadata.get(f"quota.{name}", "default") for name in QUOTAS}


def _row(info: pb.WorkspaceInfo, as_json: bool) -> dict[str, Any]:
    if as_json:
        return plain(info)
    return {
        "workspace": info.workspace_id,
        "name": info.display_name,
        "description": info.description,
        "agents": info.active_agents,
        "tasks": info.active_tasks,
        "users": info.active_users,
        "messages": info.total_messages,
    }
