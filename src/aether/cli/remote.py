"""Commands that talk to a running gateway as an administrator, over the protocol that every client uses."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import trio

from aether.cli.credentials import api_key, trusting
from aether.cli.output import printable
from aether.client import (
    ClientError,
    ConnectFailed,
    Connection,
    ConnectionLost,
    Lost,
    Options,
    RequestRefused,
    connect_orchestrator,
    connect_service,
)
from aether.client.link import split_address
from aether.nurseries import unwrapped_nursery
from aether.rpc.status import StatusCode

__all__ = ["ADMIN_IMPLEMENTATION", "DEFAULT_ADDRESS", "Remote", "gateway_address", "remote_options"]

ADMIN_IMPLEMENTATION = "aether-admin"
"""Implementation of the services that administrators connect as; the specifier is new each time, so that two
administrators do not displace each other."""

DEFAULT_ADDRESS = "127.0.0.1:50051"
PATIENCE_S = 15


@dataclass(frozen=True)
class Remote:
    """Which gateway, and as whom: a service with the administrator's API key, or without one -- a gateway in
    development -- an orchestrator."""

    address: str
    ca_file: Path | None = None
    api_key: str = field(default="", repr=False)
    as_json: bool = False

    def run(self, command: Callable[[Connection], Awaitable[Any]], *, patience_s: float | None = PATIENCE_S) -> Any:
        """Connect, run a command and return its result; failures end the process with a message and code 1.

        :param patience_s: how long it may take; None: until it is interrupted, also across lost connections.
        """
        try:
            return trio.run(self._run, command, patience_s)
        except* (ClientError, trio.TooSlowError) as group:
            raise SystemExit(_explain(_first(group), self)) from None
        except* OSError as group:  # of what the command prints: connections have exceptions of their own
            raise _first(group) from None

    async def _run(self, command: Callable[[Connection], Awaitable[Any]], patience_s: float | None) -> Any:
        with trio.fail_after(PATIENCE_S if patience_s is None else patience_s):
            async with self._connect() as me:
                if patience_s is not None:
                    return await command(me)
        # That it can be reached is known, so from now on it is waited for.
        async with self._connect(attempts_max=None) as me, unwrapped_nursery() as nursery:
            nursery.start_soon(self._tell_outages, me)
            result = await command(me)
            nursery.cancel_scope.cancel()
        return result

    async def _tell_outages(self, me: Connection) -> None:
        async for outage in me.outages:
            is_lost = isinstance(outage, Lost)
            click.echo(f"{self.address}: {'connection lost, trying again' if is_lost else 'connected again'}", err=True)

    def _connect(self, attempts_max: int | None = 1) -> Any:
        tls = trusting(self.ca_file)
        specifier = secrets.token_hex(4)
        if not self.api_key:
            options = Options(tls=tls, attempts_max=attempts_max, backoff_max_s=5)
            return connect_orchestrator(
                self.address, implementation=ADMIN_IMPLEMENTATION, specifier=specifier, profiles=(), options=options
            )
        options = Options(credentials={"x-api-key": self.api_key}, tls=tls, attempts_max=attempts_max, backoff_max_s=5)
        return connect_service(
            self.address,
            implementation=ADMIN_IMPLEMENTATION,
            specifier=specifier,
            consumes_pool_tasks=False,
            options=options,
        )


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _explain(error: BaseException, remote: Remote) -> str:
    address = remote.address
    if isinstance(error, RequestRefused):
        return f"refused: {printable(error.message)}"
    if isinstance(error, ConnectFailed):
        is_about_keys = error.code in (StatusCode.UNAUTHENTICATED, StatusCode.PERMISSION_DENIED)
        hint = "; is --api-key-file, or AETHER_API_KEY_FILE, missing?" if is_about_keys and not remote.api_key else ""
        return f"{address} does not let us in: {printable(str(error))}{hint}"
    if isinstance(error, trio.TooSlowError):
        return f"{address} did not answer within {PATIENCE_S} s"
    if isinstance(error, ConnectionLost) and error.__cause__ is not None and error.__cause__.__cause__ is not None:
        return f"{printable(str(error))}; is a gateway running there?"  # nobody answered
    hint = "" if remote.ca_file else "; is it one with TLS? Then --ca-file, or AETHER_CA_FILE, is missing"
    return f"{address}: {printable(str(error))}{hint if isinstance(error, ConnectionLost) else ''}"


def gateway_address(context: click.Context, option: click.Parameter, text: str | None) -> str:
    """What an option says, else :data:`DEFAULT_ADDRESS`."""
    try:
        split_address(text or DEFAULT_ADDRESS)
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from None
    return text or DEFAULT_ADDRESS


def remote_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where and as whom; the command gets them as a :class:`Remote`."""

    def wrapped(address: str, api_key_file: Path | None, ca_file: Path | None, as_json: bool, **rest: Any) -> Any:
        return command(Remote(address, ca_file, api_key(api_key_file), as_json), **rest)

    wrapped.__name__ = command.__name__
    wrapped.__doc__ = command.__doc__
    wrapped.__dict__.update(command.__dict__)
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="For programs."),
        click.option(
            "--ca-file", type=file, envvar="AETHER_CA_FILE", help="Authority of the gateway's certificate; implies TLS."
        ),
        click.option(
            "--api-key-file", type=file, envvar="AETHER_API_KEY_FILE", help="File with the key; else AETHER_API_KEY."
        ),
        click.option(
            "--address",
            envvar="AETHER_ADDRESS",
            metavar="HOST:PORT",
            callback=gateway_address,
            help=f"Gateway.  [default: {DEFAULT_ADDRESS}]",
        ),
    ):
        wrapped = option(wrapped)
    return wrapped
