"""Types of setting values: how they are written, and the words that say what is allowed.

Each type carries an :class:`Allowed` note; error messages and the reference in docs/configuration.md both come from it.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import yaml
from pydantic import BeforeValidator, Field, SecretStr

__all__ = [
    "Allowed",
    "Count",
    "Duration",
    "FilePath",
    "Flag",
    "Host",
    "Names",
    "OptionalText",
    "Port",
    "PositiveCount",
    "PositiveDuration",
    "PositiveSize",
    "Rate",
    "Secret",
    "Secrets",
    "Size",
    "Text",
    "format_duration",
    "format_size",
    "is_loopback",
    "is_safe_url",
    "lower_case",
    "parse_duration",
    "parse_size",
    "structure",
]

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")

_BYTES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_SIZE = re.compile(r"(\d+)\s*([A-Za-z]*)")


@dataclass(frozen=True)
class Allowed:
    """What a value of a type may be, as the end of the sentence "allowed is ..."."""

    text: str


def parse_duration(value: Any) -> float:
    """Seconds of a duration written as in Go: ``"1h30m"``, ``"500ms"``, ``"0"``.

    A number without a unit is refused, except 0: whether 30 means seconds or milliseconds is for nobody to guess.

    >>> parse_duration("1m30s")
    90.0
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("not a duration")
    text = str(value).strip()
    if text in ("0", "0.0"):
        return 0.0
    seconds, position = 0.0, 0
    for part in _DURATION_PART.finditer(text):
        if part.start() != position:
            break
        seconds += float(part[1]) * _SECONDS[part[2]]
        position = part.end()
    if not text or position != len(text):
        raise ValueError("not a duration")
    return seconds


def parse_size(value: Any) -> int:
    """Bytes of a size: a plain number, or one with a unit such as ``"256KiB"`` or ``"1GB"``.

    >>> parse_size("256KiB")
    262144
    """
    if isinstance(value, bool):
        raise ValueError("not a size")
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(str(value).strip())
    if match is None or match[2].upper() not in _BYTES:
        raise ValueError("not a size")
    return int(match[1]) * _BYTES[match[2].upper()]


def format_duration(seconds: float) -> str:
    """A duration as it would be written in a file.

    >>> format_duration(86400.0), format_duration(0.5), format_duration(0)
    ('24h', '500ms', '0')
    """
    if seconds == 0:
        return "0"
    if seconds < 1:
        return f"{seconds * 1000:.12g}ms"
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds / length:.12g}{unit}"
    return f"{seconds:.12g}s"


def format_size(size: int) -> str:
    """A size as it would be written in a file.

    >>> format_size(262144), format_size(1000)
    ('256KiB', '1000')
    """
    for unit, length in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)


def is_loopback(host: str) -> bool:
    """Only this machine can reach a listener on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("not a number")
    return value


def _names(value: Any) -> Any:
    """A list; from the environment and the command line it comes with commas."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


def structure(value: Any) -> Any:
    """A list of sections; from the environment it comes as YAML."""
    if not isinstance(value, str):
        return value
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError("not YAML") from None


def is_safe_url(url: str) -> bool:
    """Nobody on the way can change what comes from ``url``: HTTPS, or HTTP on this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def lower_case(value: Any) -> Any:
    """Choices are read without regard to case."""
    return value.strip().lower() if isinstance(value, str) else value


Flag = Annotated[bool, Allowed("true or false")]
OptionalText = Annotated[str, Allowed("a text")]
Text = Annotated[str, Field(min_length=1), Allowed("a text that is not empty")]
Secret = Annotated[SecretStr, Allowed("a text that nobody else knows")]
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_names), Allowed("a list of texts that nobody else knows")]
Host = Annotated[str, Field(min_length=1), Allowed("an address or host name to listen on")]
FilePath = Annotated[Path, Allowed("a path")]
Names = Annotated[tuple[str, ...], BeforeValidator(_names), Allowed("a list of names")]
Port = Annotated[int, BeforeValidator(_number), Field(ge=0, le=65535), Allowed("a port from 0 to 65535")]
Count = Annotated[int, BeforeValidator(_number), Field(ge=0), Allowed("a whole number, 0 or more")]
PositiveCount = Annotated[int, BeforeValidator(_number), Field(ge=1), Allowed("a whole number above zero")]
Rate = Annotated[
    float,
    BeforeValidator(_number),
    Field(ge=0, allow_inf_nan=False),
    Allowed("a number, 0 or more"),
]
Duration = Annotated[float, BeforeValidator(parse_duration), Allowed('a duration such as "500ms", "30s", "24h" or "0"')]
PositiveDuration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0),
    Allowed('a duration above zero such as "500ms", "30s" or "24h"'),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=0),
    Allowed('a size in bytes such as 1048576, "256KiB" or "1GiB"'),
]
PositiveSize = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(ge=1),
    Allowed('a size in bytes above zero such as 1048576, "256KiB" or "1GiB"'),
]
