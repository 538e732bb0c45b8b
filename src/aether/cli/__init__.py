"""The ``aether`` command. Each command lives in a module of its own and is imported when it runs."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import click

from aether._version import __version__

__all__ = ["load_settings", "main", "sources"]


class LazyGroup(click.Group):
    """A group whose larger commands are imported when they are named."""

    _MODULES: ClassVar[dict[str, str]] = {
        "acl": "aether.cli.acl",
        "agents": "aether.cli.agents",
        "audit": "aether.cli.audit",
        "cleanup": "aether.cli.cleanup",
        "init": "aether.cli.init",
        "orchestrator": "aether.cli.orchestrator",
        "tasks": "aether.cli.tasks",
        "token": "aether.cli.token",
        "workspaces": "aether.cli.workspaces",
    }

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. What the system refuses, such as room for what is printed, ends it without a traceback.

        That the reader of a pipe is gone is left to click: it ends the command, and nothing is said.
        """
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE or error.strerror is None:
                raise
            where = f": {error.filename}" if error.filename else ""
            raise SystemExit(f"{error.strerror}{where}") from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self._MODULES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self._MODULES.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(module), cmd_name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Aether: a fabric for multi-agent systems."""


def sources(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that take part in the configuration; checked with the rest of it, hence plain texts here."""
    for option in reversed(
        [
            click.option("--dev", is_flag=True, default=None, help="Admit anonymous clients, on this machine only."),
            click.option(
                "--config",
                "file",
                type=click.Path(path_type=Path),
                envvar="AETHER_CONFIG",
                metavar="FILE",
                help="YAML file.",
            ),
            click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]"),
            click.option("--port", metavar="PORT", help="gRPC port.  [default: 50051]"),
            click.option("--ops-port", metavar="PORT", help="Probes and metrics; 0 is off.  [default: 9090]"),
            click.option("--admin-port", metavar="PORT", help="Reserved for the admin API.  [default: 31880]"),
            click.option("--data-dir", metavar="DIRECTORY", help="Where the data lives.  [default: aether-data]"),
            click.option("--engine", metavar="ENGINE", help="auto, native or purerpc.  [default: auto]"),
            click.option("--durability", metavar="LEVEL", help="batch or os.  [default: batch]"),
        ]
    ):
        command = option(command)
    return command


def flags(options: dict[str, Any]) -> dict[str, Any]:
    """Options of :func:`sources` by the setting they are for."""
    keys = {
        "host": "gateway.host",
        "port": "gateway.port",
        "ops_port": "gateway.ops_port",
        "admin_port": "admin.port",
        "data_dir": "storage.data_dir",
        "engine": "gateway.engine",
        "durability": "storage.durability",
        "completed_retention": "cleanup.completed_task_retention",
        "failed_retention": "cleanup.failed_task_retention",
        "cancelled_retention": "cleanup.cancelled_task_retention",
    }
    return {keys.get(name, name): value for name, value in options.items()}


@main.command()
@sources
def serve(file: Path | None, **options: Any) -> None:
    """Run a gateway until Ctrl-C or SIGTERM; a second signal ends it at once."""
    settings = load_settings(file, options)
    from aether.cli.serve import run

    raise SystemExit(run(settings))


@main.command()
@sources
@click.option("--markdown", is_flag=True, help="The reference of all settings instead, for the documentation.")
def config(file: Path | None, markdown: bool, **options: Any) -> None:
    """Show the settings that a gateway would run with, and where each comes from."""
    from aether.cli import settings

    click.echo(settings.reference() if markdown else settings.effective(load_settings(file, options)), nl=False)


@main.command()
def demo() -> None:
    """A gateway and two agents that talk, in this process; leaves nothing behind."""
    from aether.cli.demo import run

    run()


@main.command()
@sources
def doctor(file: Path | None, **options: Any) -> None:
    """Check that a gateway can run here; exit code 1 when something is in the way."""
    from aether.cli.doctor import run

    raise SystemExit(run(load_settings(file, options)))


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"aether {__version__}")


def load_settings(file: Path | None, options: dict[str, Any]) -> Any:
    """The configuration, or the end of the process with every reason why not."""
    from aether.config import ConfigError, load_config

    try:
        return load_config(file, flags=flags(options))
    except ConfigError as error:
        click.echo(f"The configuration cannot be used:\n{error}", err=True)
        raise SystemExit(1) from None
