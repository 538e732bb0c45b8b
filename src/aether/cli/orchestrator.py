"""``aether orchestrator``: start agents when a gateway asks for them."""

from __future__ import annotations

import secrets
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import structlog
import trio

from aether.cli.credentials import api_key, trusting
from aether.cli.logs import set_up_logs
from aether.cli.remote import DEFAULT_ADDRESS, gateway_address
from aether.client import ConnectFailed, Disconnected, Options, connect_orchestrator
from aether.config.serving import Log
from aether.launcher.orchestrator import Orchestrator
from aether.launcher.profiles import InvalidProfiles, load_profiles

__all__ = ["orchestrator"]

log = structlog.get_logger("aether.launcher")


@click.group()
def orchestrator() -> None:
    """Start agents when they are needed."""


@orchestrator.command()
@click.option(
    "--profiles",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="YAML file that says what can be started, and how.",
)
@click.option(
    "--address",
    envvar="AETHER_ADDRESS",
    metavar="HOST:PORT",
    callback=gateway_address,
    help=f"Gateway.  [default: {DEFAULT_ADDRESS}]",
)
@click.option(
    "--agents-address",
    default="",
    metavar="HOST:PORT",
    callback=lambda context, option, text: text and gateway_address(context, option, text),
    help="Gateway as the agents reach it; default: the same.",
)
@click.option("--specifier", default="", help="Name of this orchestrator; default: a new one each time.")
@click.option(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="AETHER_API_KEY_FILE",
    help="File with the key; else AETHER_API_KEY.",
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="AETHER_CA_FILE",
    help="Authority of the gateway's certificate; implies TLS.",
)
@click.option(
    "--log-dir", type=click.Path(file_okay=False, path_type=Path), help="One file for each agent with its output."
)
@click.option("--engine-socket", default="/var/run/docker.sock", show_default=True, help="Of the container engine.")
def local(
    file: Path,
    address: str,
    agents_address: str,
    specifier: str,
    api_key_file: Path | None,
    ca_file: Path | None,
    log_dir: Path | None,
    engine_socket: str,
) -> None:
    """Run agents on this machine, as processes or containers, until Ctrl-C or SIGTERM; they end with it."""
    set_up_logs(Log())
    try:
        profiles, agents_max = load_profiles(file)
    except InvalidProfiles as error:
        raise SystemExit(str(error)) from None
    key, tls = api_key(api_key_file), trusting(ca_file)
    if log_dir is not None:
        log_dir.mkdir(parents=True, exist_ok=True)
    options = Options(credentials={"x-api-key": key} if key else {}, tls=tls, retry_on_duplicate=True)

    async def run() -> None:
        log.info("connecting", gateway=address)  # it is waited for, if it is not there yet
        async with connect_orchestrator(
            address,
            implementation="aether-local",
            specifier=specifier or secrets.token_hex(4),
            profiles=tuple(profiles),
            options=options,
        ) as me:
            log.info("ready", gateway=address, profiles=" ".join(profiles))
            starter = Orchestrator(
                me,
                profiles,
                agents_address or address,
                agents_max=agents_max,
                log_directory=log_dir,
                engine_socket=engine_socket,
            )
            await starter.run()

    try:
        trio.run(_until_signal, run)
    except* (ConnectFailed, Disconnected) as group:
        raise SystemExit(f"{address}: {group.exceptions[0]}") from None


async def _until_signal(run: Callable[[], Awaitable[None]]) -> None:
    """Run until the process is asked to end."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                async for _ in signals:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await run()
            nursery.cancel_scope.cancel()
