"""``aether serve``: a gateway and its ops port, until a signal says stop."""

from __future__ import annotations

import errno
import gc
import os
import signal
from collections.abc import AsyncIterator

import click
import structlog
import trio

from aether.access import Level
from aether.acl.control import AccessControl
from aether.admin.ops import Ops, Probed
from aether.cli.logs import set_up_logs
from aether.config import Config
from aether.errors import AetherError, TlsUnusable
from aether.gateway.gateway import Gateway

__all__ = ["run"]

log = structlog.get_logger("aether.serve")


COLLECTOR_THRESHOLDS = (50_000, 20, 50)
"""Allocations before each generation of the cycle collector runs. Sessions are many long-lived objects that hardly form
cycles: with the interpreter's default of 700, looking through them again and again is a third of a connect's cost."""


class CannotStart(Exception):
    """Something on this machine is in the way; the text says what."""


def run(config: Config) -> int:
    """Serve; returns the exit code."""
    if problem := config.authentication_problem():
        return _complain(problem)
    set_up_logs(config.log)
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    try:
        trio.run(_serve, config, strict_exception_groups=True)
    except* (CannotStart, AetherError) as group:
        return_code = _complain(_first_text(group))
    else:
        return 0
    return return_code


async def _serve(config: Config) -> None:
    stop = trio.Event()
    with (
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
        trio.open_signal_receiver(signal.SIGHUP) as hangups,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, signals, stop)
            ops = Ops()
            ops_url = ""
            if config.gateway.ops_port:
                try:
                    ops_url = await nursery.start(ops.serve, config.gateway.host, config.gateway.ops_port)
                except OSError as error:
                    raise _cannot_listen("ops", config.gateway.host, config.gateway.ops_port, error) from error
            try:
                async with Gateway(config) as gateway:
                    nursery.start_soon(_reload, hangups, gateway)
                    ops.started(_probed(gateway))
                    _announce(config, gateway, ops_url)
                    _announce_open_workspaces(gateway)
                    gc.freeze()  # what is there by now stays: no need to look through it
                    await stop.wait()
                    await gateway.drain()
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES) and error.filename is None:
                    raise _cannot_listen("gRPC", config.gateway.host, config.gateway.port, error) from error
                where = error.filename or config.storage.data_dir
                raise CannotStart(f"cannot use {where}: {error.strerror or error}") from error
            log.info("stopped")
            nursery.cancel_scope.cancel()


async def _watch(signals: AsyncIterator[int], stop: trio.Event) -> None:
    """The first signal starts the drain, the second ends the process: what was acknowledged is on disk."""
    async for number in signals:
        if stop.is_set():
            os._exit(128 + number)
        log.info("stopping", signal=signal.Signals(number).name)
        stop.set()


async def _reload(hangups: AsyncIterator[int], gateway: Gateway) -> None:
    """SIGHUP reads certificates again; what cannot be used leaves the old ones in service (operations 2.5)."""
    async for _ in hangups:
        try:
            reloaded = gateway.reload_certificates()
        except TlsUnusable as error:
            log.error("certificates not reloaded, the old ones stay", reason=str(error))
        else:
            log.info("certificates reloaded" if reloaded else "nothing to reload: TLS is off")


def _probed(gateway: Gateway) -> Probed:
    services = gateway.services

    def exposition() -> bytes:
        services.observer.collect()
        return gateway.metrics.exposition()

    return Probed(lambda: gateway.is_draining, services.observer.checks, exposition)


def _announce(config: Config, gateway: Gateway, ops_url: str) -> None:
    host = f"[{config.gateway.host}]" if ":" in config.gateway.host else config.gateway.host
    log.info(
        "ready",
        address=f"{host}:{gateway.port}",
        tier=config.tier,
        engine=gateway.engine,
        data_dir=str(config.storage.data_dir.absolute()),
        durability=config.storage.durability,
        ops=ops_url or "off",
        clients="anonymous, this machine only" if config.dev else ", ".join(config.auth.modes),
    )


def _announce_open_workspaces(gateway: Gateway) -> None:
    """What an administrator may not expect of access rules as installed (acl 5.3)."""
    access = gateway.services.access
    if not isinstance(access, AccessControl):
        return
    if categories := access.engine.open_to_all("workspace", Level.READWRITE):
        log.warning(
            "workspaces without rules are open to everybody of a type",
            policies=", ".join(categories),
            close=f"aether acl fallback {categories[0]} none",
        )


def _cannot_listen(what: str, host: str, port: int, error: OSError) -> CannotStart:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return CannotStart(f"cannot listen on {host} port {port} ({what}): {reason}")


def _first_text(group: BaseExceptionGroup[Exception]) -> str:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


def _complain(text: str) -> int:
    click.echo(f"aether: {text}", err=True)
    return 1
