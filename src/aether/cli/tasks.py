"""``aether tasks``: the tasks of a running gateway."""

from __future__ import annotations

import datetime as dt
import json
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import click
import trio
from rich.console import Console
from rich.live import Live

from aether.cli.audit import Ago
from aether.cli.output import plain, printable, show, table, timestamp
from aether.cli.remote import Remote, remote_options
from aether.client import Connection
from aether.proto import aether_pb2 as pb

__all__ = ["tasks"]

COLUMNS = ("id", "type", "status", "workspace", "target", "assigned_to", "priority", "attempt", "created", "error")
IMPORTANT = ("status", "type", "error")
STATUSES = [
    value.name.removeprefix("TASK_STATUS_").lower() for value in pb.TaskStatus.DESCRIPTOR.values if value.number
]
LIVE_ROWS = 30
SILENCE_S = 0.5
"""After the end of a task: how long what belongs to it may take to arrive."""


@click.group()
def tasks() -> None:
    """Tasks: what is to be done, by whom, and how far it is."""


@tasks.command("ls")
@click.option("--workspace", "-w", default="", help="Only of this workspace.")
@click.option("--status", "-s", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only with this status.")
@click.option("--type", "task_type", default="", help="Only of this type.")
@click.option("--creator", default="", help="Only created by this identity.")
@click.option("--parent", default="", help="Only below this task.")
@click.option("--since", type=Ago(), default=None, help="Only changed since 90s, 15m, 2h, 7d.")
@click.option("--limit", "-n", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@click.option("--watch", "live", is_flag=True, help="Keep showing them, until Ctrl-C.")
@remote_options
def list_tasks(
    remote: Remote,
    workspace: str,
    statuses: tuple[str, ...],
    task_type: str,
    creator: str,
    parent: str,
    since: float | None,
    limit: int,
    live: bool,
) -> None:
    """Show tasks, those that changed last first."""
    wanted = {
        "workspace": workspace,
        "statuses": [pb.TaskStatus.Value(f"TASK_STATUS_{status.upper()}") for status in statuses],
        "task_type": task_type,
        "creator_actor": pb.PrincipalRef(principal_id=creator),
        "parent_task_id": parent,
        "include_descendants": bool(parent),
        "status_timestamp_after_unix_ms": round((time.time() - since) * 1000) if since is not None else 0,
    }

    async def run(me: Connection) -> Sequence[pb.TaskInfo]:
        return [task async for task in me.tasks.find(**wanted, limit=limit)]

    if live:
        if remote.as_json:
            raise click.UsageError("--watch is for people, and not with --json")
        _until_interrupted(remote, lambda me: _keep_showing(me, wanted, min(limit, LIVE_ROWS)))
        return
    rows = (_row(task, remote.as_json) for task in remote.run(run))
    show(rows, COLUMNS, as_json=remote.as_json, important=IMPORTANT)


@tasks.command("show")
@click.argument("task_id")
@remote_options
def show_task(remote: Remote, task_id: str) -> None:
    """Show everything about one task."""
    _show_one(remote, remote.run(lambda me: me.tasks.get(task_id)))


@tasks.command()
@click.argument("task_id")
@click.option("--recursive", "-r", is_flag=True, help="And everything below it.")
@click.option("--history", is_flag=True, help="Begin with what happened before.")
@remote_options
def watch(remote: Remote, task_id: str, recursive: bool, history: bool) -> None:
    """Print the events of a task as they happen, until it ends."""

    async def run(me: Connection) -> None:
        since_ms = 1 if history else 0
        async with me.tasks.watch(task_id, recursive=recursive, since_ms=since_ms) as events:
            while True:
                patience_s = SILENCE_S if _is_over(await me.tasks.get(task_id)) else math.inf
                with trio.move_on_after(patience_s) as scope:
                    event = await anext(events)
                if scope.cancelled_caught:
                    return
                click.echo(json.dumps(plain(event)) if remote.as_json else printable(_line(event)))

    _until_interrupted(remote, run)


@tasks.command()
@click.argument("task_id")
@remote_options
def retry(remote: Remote, task_id: str) -> None:
    """Have a failed or cancelled task done again."""
    _show_one(remote, remote.run(lambda me: me.tasks.retry(task_id)))


@tasks.command()
@click.argument("task_id")
@click.option("--reason", default="cancelled by an operator", show_default=True, help="Kept with the task.")
@remote_options
def cancel(remote: Remote, task_id: str, reason: str) -> None:
    """End a task that nobody wants any more."""
    _show_one(remote, remote.run(lambda me: me.tasks.cancel(task_id, reason)))


def _until_interrupted(remote: Remote, command: Callable[[Connection], Awaitable[None]]) -> None:
    try:
        remote.run(command, patience_s=None)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


async def _keep_showing(me: Connection, wanted: dict[str, Any], limit: int) -> None:
    console = Console()
    with Live(console=console, auto_refresh=False) as view:
        while True:
            rows = [_row(task, as_json=False) async for task in me.tasks.find(**wanted, limit=limit)]
            shown, _ = table(rows, COLUMNS, console.width, IMPORTANT)
            view.update(shown, refresh=True)
            await trio.sleep(1)


def _show_one(remote: Remote, task: pb.TaskInfo) -> None:
    if remote.as_json:
        click.echo(json.dumps(plain(task), indent=2))
        return
    for name, value in plain(task, whole=False).items():
        if name.endswith("_at") and value:
            value = timestamp(int(value))
        lines = [json.dumps(value)] if isinstance(value, dict | list) else str(value).splitlines()
        click.echo(f"{name.replace('_', ' '):24} " + f"\n{'':25}".join(map(printable, lines)))


def _is_over(task: pb.TaskInfo) -> bool:
    from aether.client.operations import is_final

    return is_final(task)


def _status(number: int) -> str:
    return pb.TaskStatus.Name(number).removeprefix("TASK_STATUS_").lower()


def _row(task: pb.TaskInfo, as_json: bool) -> dict[str, Any]:
    if as_json:
        return plain(task)
    return {
        "id": task.task_id,
        "type": task.task_type,
        "status": _status(task.status),
        "workspace": task.workspace,
        "target": task.target_topic,
        "assigned_to": task.assigned_to,
        "priority": task.priority,
        "attempt": f"{task.attempt}/{task.max_attempts}",
        "created": timestamp(task.created_at),
        "error": task.error,
    }


def _line(event: pb.TaskEvent) -> str:
    when = dt.datetime.fromtimestamp(event.emitted_at_unix_ms / 1000, dt.UTC).strftime("%H:%M:%S.%f")[:-3]
    what = ""
    match event.WhichOneof("event"):
        case "status_changed":
            change = event.status_changed
            what = f"{_status(change.from_status)} → {_status(change.to_status)}"
            what += f"  {change.reason}" if change.reason else ""
        case "progress":
            percent = f" {event.progress.progress:.0%}" if event.progress.progress >= 0 else ""
            what = f"{event.progress.state}{percent}  {event.progress.message}"
        case "child_lifecycle":
            child = event.child_lifecycle
            what = f"child {child.child_task_id} {child.lifecycle}, {_status(child.child_status)}"
    return f"{when}  {event.task_id}  {what}"
