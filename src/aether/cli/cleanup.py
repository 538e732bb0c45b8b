"""``aether cleanup``: remove from a data directory what is kept no longer, while no gateway runs on it (tasks 14)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import trio

from aether.audit.store import Filter
from aether.audit.trail import DAY_US, AuditTrail
from aether.cli import load_settings, sources
from aether.cli.output import show
from aether.config import Config
from aether.errors import DataDirectoryInUse, StoreUnavailable
from aether.gateway.configured import audit_settings, task_retention
from aether.tasks.upkeep import purge
from aether.tiers import open_tier

__all__ = ["cleanup"]

DURATION = 'Such as "24h" or "90m"; "0" is forever.'


@click.command()
@sources
@click.option("--completed-retention", metavar="DURATION", help=f"How long completed tasks are kept. {DURATION}")
@click.option("--failed-retention", metavar="DURATION", help="How long failed tasks are kept.")
@click.option("--cancelled-retention", metavar="DURATION", help="How long cancelled and rejected tasks are kept.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def cleanup(file: Path | None, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Remove tasks that ended, and rows of the audit log, that are older than they are kept.

    A running gateway does this by itself (cleanup.task_purge_interval); this is for a data directory without one, and
    to see what shorter retention would remove. All else needs no sweep: timers end stale tasks when their time is
    over, and locks and claims of a gateway that died are free when it starts again.
    """
    settings = load_settings(file, options)
    data_dir = settings.storage.data_dir
    if not (data_dir / "aether.db").exists():
        raise click.ClickException(f"there is no data in {data_dir}")
    try:
        rows = trio.run(_clean, settings, dry_run)
    except DataDirectoryInUse as error:
        raise click.ClickException(f"{error}; a running gateway removes what is old by itself") from None
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from None
    verb = "would remove" if dry_run else "removed"
    show(({"what": what, verb: count} for what, count in rows.items()), ("what", verb), as_json=as_json)


async def _clean(config: Config, dry_run: bool) -> dict[str, int]:
    """How many of each kind are gone, or would be."""
    now_ms = time.time_ns() // 1_000_000
    retention = task_retention(config)
    async with open_tier(config, lambda: now_ms) as tier:
        if dry_run:
            kept = retention.kept_ms.items()
            ended = {status: ms and await tier.tasks.purgeable(status, now_ms - ms) for status, ms in kept}
        else:
            ended = await purge(tier.tasks, retention, now_ms)
        rows = {f"{status} tasks": count for status, count in ended.items()}
        settings = audit_settings(config)
        if settings is not None and settings.retention_days:
            before_us = now_ms * 1000 - settings.retention_days * DAY_US
            if dry_run:
                rows["audit rows"] = (await tier.audit.query(Filter(end_us=before_us - 1), 0, 0))[0]
            else:
                rows["audit rows"] = await AuditTrail(tier.audit, settings, lambda: now_ms).trim(before_us)
    return rows
