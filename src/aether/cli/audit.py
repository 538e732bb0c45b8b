"""``aether audit``: the audit log of a data directory, beside a running gateway or without one."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from aether.audit.chain import Verifier
from aether.audit.store import Filter, Row
from aether.audit.trail import KINDS
from aether.cli.output import show
from aether.storage.sqlite.audit import length, open_offline, read_rows, select_rows

__all__ = ["audit"]

BLOCK = 5_000
POLL_S = 0.5
COLUMNS = ("number", "time", "kind", "operation", "ok", "actor", "resource", "workspace", "error")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="AETHER_DATA_DIR",
    default=Path("aether-data"),
    show_default=True,
    help="Data directory of the gateway.",
)


class Ago(click.ParamType[float]):
    """``90s``, ``15m``, ``2h``, ``7d``: that long ago, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = re.fullmatch(r"(\d+)([smhd])", str(value))
        if found is None:
            self.fail(f"{value!r} is not a duration such as 90s, 15m, 2h or 7d", param, ctx)
        return int(found[1]) * SECONDS[found[2]]


@click.group()
def audit() -> None:
    """The audit log: who did what, and was allowed to or not."""


@audit.command()
@data_dir
@click.option(
    "--noted", metavar="NUMBER:HASH", help="A head that was noted earlier: it has to be in the log, unchanged."
)
def verify(data_dir: Path, noted: str | None) -> None:
    """Check that no row was changed, removed, moved or put in.

    Who also changed how long the file says the log is, or made the whole chain anew, is found only against a head that
    was noted elsewhere, as this command prints it. Exit code 1: somebody touched the log.
    """
    number, _, wanted = (noted or "0:").partition(":")
    if not number.isdigit():
        raise click.BadParameter("a number and a hash, as this command prints them", param_hint="--noted")
    verifier = Verifier()
    with _open(data_dir) as reader:
        after = -math.inf  # rows that were put in may have any number
        while rows := read_rows(reader, after, BLOCK):
            after = rows[-1].number
            verifier.feed(rows, remember=frozenset({int(number)}))
        finding = verifier.finish(length(reader))
    if finding is not None:
        raise SystemExit(f"row {finding.number} {finding.problem}")
    if noted and verifier.hash_of(int(number)) != wanted:
        raise SystemExit(f"row {number} is not the one that was noted")
    head, hash_ = verifier.head
    click.echo(f"{verifier.rows} rows, untouched; head {head}:{hash_}")


@audit.command()
@data_dir
@click.option("--kind", type=click.Choice(KINDS), default=None, help="Only this kind of event.")
@click.option("--operation", default="")
@click.option("--actor", default="", help="Identity or principal id.")
@click.option("--resource", default="", help="Id of the resource.")
@click.option("--workspace", default="")
@click.option("--failures", is_flag=True, help="Only what was refused or failed.")
@click.option("--since", type=Ago(), default=None, help="90s, 15m, 2h, 7d.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option("--follow", is_flag=True, help="Go on with what comes.")
@click.option("--json", "as_json", is_flag=True, help="One row per line, with all that is known of it.")
def query(
    data_dir: Path,
    kind: str | None,
    operation: str,
    actor: str,
    resource: str,
    workspace: str,
    failures: bool,
    since: float | None,
    limit: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Show rows, the newest last."""
    wanted = Filter(
        start_us=int((time.time() - since) * 1_000_000) if since is not None else 0,
        kind=kind or "",
        operation=operation,
        actor_id=actor,
        resource_id=resource,
        workspace=workspace,
        only_failures=failures,
    )
    with _open(data_dir) as reader:
        total, rows = select_rows(reader, wanted, limit, 0)
        rows.reverse()
        _print(rows, as_json=as_json)
        if not total and not follow:
            click.echo("no such rows", err=True)
        if total > len(rows) and not as_json:
            click.echo(f"the last {len(rows)} of {total}", err=True)
        seen = rows[-1].number if rows else 0
        while follow:
            time.sleep(POLL_S)
            with _open(data_dir) as newer:
                _, rows = select_rows(newer, wanted, BLOCK, 0)
            fresh = [row for row in reversed(rows) if row.number > seen]
            if fresh:
                seen = fresh[-1].number
                _print(fresh, as_json=as_json)


def _print(rows: list[Row], *, as_json: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps({**row._asdict(), "metadata": json.loads(row.metadata)}))
    elif rows:
        show((_shown(row) for row in rows), COLUMNS, as_json=False)


def _shown(row: Row) -> dict[str, Any]:
    moment = dt.datetime.fromtimestamp(row.time_us / 1_000_000, dt.UTC)
    return {
        "number": row.number,
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
        "kind": row.kind,
        "operation": row.operation,
        "ok": "yes" if row.success else "NO",
        "actor": row.actor_id,
        "resource": f"{row.resource_type}:{row.resource_id}" if row.resource_type else "",
        "workspace": row.workspace,
        "error": row.error,
    }


@contextmanager
def _open(directory: Path) -> Iterator[sqlite3.Connection]:
    """The database, or the end of the process with a message."""
    path = directory / "aether.db"
    if not path.exists():
        raise SystemExit(f"{directory} is not the data directory of a gateway; name that with --data-dir")
    try:
        reader = open_offline(path)
    except (sqlite3.Error, ValueError, TypeError) as error:  # also a journal that cannot be unpacked
        raise SystemExit(f"{path} cannot be read: {error}") from None
    try:
        yield reader
    except sqlite3.Error as error:
        raise SystemExit(f"{path} cannot be read: {error}") from None
    finally:
        reader.close()
