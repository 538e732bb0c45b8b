"""Commands that talk to a running gateway as an administrator, over the protocol that every client uses."""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import trio
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from aether.client import (
    ClientError,
    ConnectFailed,
    Connection,
    ConnectionLost,
    Options,
    RequestRefused,
    connect_orchestrator,
    connect_service,
)

__all__ = ["ADMIN_IMPLEMENTATION", "Remote", "cells", "printable", "remote_options", "show", "timestamp"]

ADMIN_IMPLEMENTATION = "aether-admin"
"""Implementation of the services that administrators connect as; the specifier is new each time, so that two
administrators do not displace each other."""

PATIENCE_S = 15
LINE_MAX = 400


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

        :param patience_s: how long it may take; None: until it is interrupted.
        """
        try:
            return trio.run(self._run, command, patience_s)
        except* (ClientError, OSError, TimeoutError) as group:
            raise SystemExit(_explain(group, self)) from None

    async def _run(self, command: Callable[[Connection], Awaitable[Any]], patience_s: float | None) -> Any:
        with trio.fail_after(math.inf if patience_s is None else patience_s):
            async with self._connect() as me:
                return await command(me)

    def _connect(self) -> Any:
        tls = None
        if self.ca_file is not None:
            from aether.rpc.tls import client_context

            tls = client_context(ca_file=self.ca_file)
        specifier = secrets.token_hex(4)
        if not self.api_key:
            options = Options(tls=tls, attempts_max=1)
            return connect_orchestrator(
                self.address, implementation=ADMIN_IMPLEMENTATION, specifier=specifier, profiles=(), options=options
            )
        options = Options(credentials={"x-api-key": self.api_key}, tls=tls, attempts_max=1)
        return connect_service(
            self.address,
            implementation=ADMIN_IMPLEMENTATION,
            specifier=specifier,
            consumes_pool_tasks=False,
            options=options,
        )


def _explain(group: BaseExceptionGroup[Any], remote: Remote) -> str:
    address = remote.address
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, RequestRefused):
        return f"refused: {printable(error.message)}"
    if isinstance(error, ConnectFailed):
        hint = "" if remote.api_key else "; is --api-key-file, or AETHER_API_KEY_FILE, missing?"
        return f"{address} does not let us in: {printable(str(error))}{hint}"
    if isinstance(error, trio.TooSlowError):
        return f"{address} did not answer within {PATIENCE_S} s"
    hint = "" if remote.ca_file else "; is it one with TLS? Then --ca-file, or AETHER_CA_FILE, is missing"
    return f"{address}: {printable(str(error))}{hint if isinstance(error, ConnectionLost) else ''}"


def remote_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where and as whom; the command gets them as a :class:`Remote`."""

    def wrapped(
        address: str | None, api_key_file: Path | None, ca_file: Path | None, as_json: bool, **rest: Any
    ) -> Any:
        key = api_key_file.read_text(encoding="utf-8").strip() if api_key_file else os.environ.get("AETHER_API_KEY", "")
        return command(Remote(address or "127.0.0.1:50051", ca_file, key, as_json), **rest)

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
            "--address", envvar="AETHER_ADDRESS", metavar="HOST:PORT", help="Gateway.  [default: 127.0.0.1:50051]"
        ),
    ):
        wrapped = option(wrapped)
    return wrapped


def printable(text: str) -> str:
    """Text of clients as it may go to a terminal, which would obey what some characters tell it."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def timestamp(unix_s: float) -> str:
    """A time to the second, in UTC; empty for 0, which is none."""
    return dt.datetime.fromtimestamp(int(unix_s), dt.UTC).isoformat().replace("+00:00", "Z") if unix_s else ""


def cells(row: Mapping[str, Any], columns: Sequence[str]) -> list[Text]:
    """One row of a table; brackets are brackets."""
    return [Text(printable(str(row.get(column, "")))) for column in columns]


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print rows as a table, or as JSON with all that is known of each."""
    if as_json:
        click.echo(json.dumps(list(rows), indent=2))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*cells(row, columns))
    console = Console()
    if not console.is_terminal:
        console.width = LINE_MAX  # nobody wants identifiers in pieces in a file
    console.print(table)
