"""``aether doctor``: is everything here that a gateway needs?"""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from aether._version import __version__
from aether.config import Config
from aether.errors import StoreUnavailable
from aether.storage.sqlite.directory import check_remains

__all__ = ["Finding", "examine", "run"]

SQLITE_MIN = (3, 38)
"""json_each with blobs cut by substr, and RETURNING, as the local tier uses them."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    :ivar ok: None for a remark that stops nothing.
    """

    name: str
    ok: bool | None
    text: str


def run(config: Config) -> int:
    """Print all findings; returns 1 when one of them is in the way."""
    findings = list(examine(config))
    table = Table(box=None, show_header=False, pad_edge=False)
    marks = {True: Text("ok", "green"), False: Text("problem", "bold red"), None: Text("note", "yellow")}
    for finding in findings:
        table.add_row(marks[finding.ok], finding.name, Text(finding.text, overflow="fold"))
    Console(highlight=False).print(table)
    return int(any(finding.ok is False for finding in findings))


def examine(config: Config) -> Iterator[Finding]:
    """Look at everything, in the order of a start."""
    yield Finding("aether", True, __version__)
    version = platform.python_version()
    yield Finding("python", sys.version_info >= (3, 11), f"{version} ({sys.executable}); 3.11 or later is needed")
    yield _fast_path()
    yield _engine(config.gateway.engine)
    yield Finding("protobuf", True, _protobuf())
    yield Finding(
        "sqlite",
        sqlite3.sqlite_version_info >= SQLITE_MIN,
        f"{sqlite3.sqlite_version}; {'.'.join(map(str, SQLITE_MIN))} or later is needed",
    )
    yield from _ports(config)
    yield _data_directory(config.storage.data_dir)
    problem = config.authentication_problem()
    yield _access(config)
    if config.acl.enabled and config.kv.exclusive_by == "name":
        yield Finding(
            "exclusive values",
            None,
            "belong to whatever has the same implementation and specifier, also in another workspace; for tenants who "
            "do not trust each other set kv.exclusive_by to identity (what was written before is not found after that)",
        )
    yield Finding("authentication", not problem, problem or "anonymous clients, this machine only (dev)")


def _access(config: Config) -> Finding:
    """What an administrator may not expect of the access rules as installed (acl 5.3)."""
    if not config.acl.enabled:
        return Finding(
            "access rules", None, "off (acl.enabled): every client may use every workspace and all shared values"
        )
    return Finding(
        "access rules",
        None,
        "on; as installed, users, agents and tasks may write to every workspace for which no rule decides, until "
        "`aether acl fallback user_workspace none` (also agent_workspace, task_workspace)",
    )


def _fast_path() -> Finding:
    try:
        importlib.import_module("aether._fastpath")
    except ImportError as error:
        return Finding("fast path", False, f"not compiled ({error}); run `make build` or reinstall the package")
    return Finding("fast path", True, "compiled")


def _engine(wanted: str) -> Finding:
    """Which HTTP/2 engine would serve, and why that one."""
    pure = f"purerpc {metadata.version('purerpc')}"
    if wanted == "purerpc":
        return Finding("engine", True, f"{pure}, as configured")
    try:
        native = importlib.import_module("aether.rpc._http2")
    except ImportError as error:
        missing = f"the native engine is not compiled ({error}); install libnghttp2-dev and run `make build`"
        if wanted == "native":
            return Finding("engine", False, f"gateway.engine is native, but {missing}")
        return Finding("engine", None, f"{pure}, slower: {missing}")
    why = "as configured" if wanted == "native" else "compiled in, so auto takes it"
    return Finding("engine", True, f"native, libnghttp2 {_nghttp2_version(str(native.__file__))}, {why}")


def _nghttp2_version(extension: str) -> str:
    """Version of the library that the extension is linked with, asked through the extension's own handle."""

    class Info(ctypes.Structure):
        _fields_ = (("age", ctypes.c_int), ("version_num", ctypes.c_int), ("version_str", ctypes.c_char_p))

    try:
        ask = ctypes.CDLL(extension).nghttp2_version
    except (OSError, AttributeError):
        return "(version unknown)"
    ask.restype = ctypes.POINTER(Info)
    answer = ask(0)
    return str(answer.contents.version_str.decode()) if answer else "(version unknown)"


def _protobuf() -> str:
    from google.protobuf.internal import api_implementation

    return f"{metadata.version('protobuf')} ({api_implementation.Type()})"


def _ports(config: Config) -> Iterator[Finding]:
    host = config.gateway.host
    for name, port in (("gRPC port", config.gateway.port), ("ops port", config.gateway.ops_port)):
        if not port:
            continue
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            socket.create_server((host, port), family=family).close()
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else str(error)
            yield Finding(name, False, f"{host} port {port}: {reason}")
        else:
            yield Finding(name, True, f"{host} port {port} is free")


def _data_directory(directory: Path) -> Finding:
    """Writable, or can it be made? Nothing is left behind."""
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding("data directory", False, f"{directory.absolute()}: {place} is not writable ({error.strerror})")
    try:
        check_remains(directory.absolute())
    except StoreUnavailable as error:
        return Finding("data directory", False, str(error))
    state = "writable" if place == directory.absolute() else f"will be made in {place}"
    return Finding("data directory", True, f"{directory.absolute()}: {state}")
