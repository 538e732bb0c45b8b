"""Call metadata and timeouts between Python and HTTP/2 headers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

Metadata = Sequence[tuple[str, str | bytes]]
"""Pairs of name and value; the value is bytes when the name ends with `-bin`."""

_HIDDEN = frozenset(
    (
        b"content-type",
        b"te",
        b"grpc-timeout",
        b"grpc-encoding",
        b"grpc-accept-encoding",
        b"grpc-status",
        b"grpc-message",
    )
)


def decode_metadata(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str | bytes]]:
    """Application metadata of a header block: without pseudo headers and gRPC's own; `-bin` values are decoded.

    Raises ValueError for a `-bin` value that is not base64.
    """
    metadata: list[tuple[str, str | bytes]] = []
    for name, value in headers:
        if name[:1] == b":" or name in _HIDDEN:
            continue
        if name.endswith(b"-bin"):
            for part in value.split(b","):
                part = part.strip()
                try:
                    metadata.append(
                        (name.decode("ascii"), base64.b64decode(part + b"=" * (-len(part) % 4), validate=True))
                    )
                except binascii.Error as error:
                    raise ValueError("malformed binary metadata") from error
        else:
            metadata.append((name.decode("latin-1"), value.decode("latin-1")))
    return metadata


def encode_metadata(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    """Header pairs of application metadata. Raises ValueError for a name that gRPC reserves."""
    headers = []
    for name, value in metadata:
        raw = name.lower().encode("ascii")
        if raw[:1] == b":" or raw in _HIDDEN or raw[:5] == b"grpc-":
            raise ValueError(f"reserved metadata name {name!r}")
        if raw.endswith(b"-bin"):
            binary = value if isinstance(value, bytes) else value.encode()
            headers.append((raw, base64.b64encode(binary).rstrip(b"=")))
        else:
            headers.append((raw, value if isinstance(value, bytes) else value.encode("latin-1")))
    return headers


_TIMEOUT_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def parse_timeout(value: bytes) -> float:
    """Seconds of a `grpc-timeout` value: at most 8 digits and a unit. Raises ValueError."""
    unit = _TIMEOUT_UNITS.get(value[-1:])
    digits = value[:-1]
    if unit is None or not digits.isdigit() or len(digits) > 8:
        raise ValueError("malformed grpc-timeout")
    return int(digits) * unit


def encode_timeout(seconds: float) -> bytes:
    """`grpc-timeout` value, rounded up to what 8 digits can say."""
    for unit, factor in ((b"u", 1e6), (b"m", 1e3), (b"S", 1.0), (b"H", 1 / 3600)):
        value = max(0, int(seconds * factor + 0.999999))
        if value < 100_000_000:
            return b"%d%s" % (value, unit)
    return b"99999999H"
