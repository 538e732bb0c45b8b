"""gRPC status codes, the error that carries one, and the length prefix of messages."""

from __future__ import annotations

import enum


class StatusCode(enum.IntEnum):
    """Canonical gRPC status codes; the value is what `grpc-status` carries."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """An RPC ends, or ended, with a status that is not OK.

    Handlers raise it to end their RPC; the text reaches the client. Client calls raise it when the RPC ended so.
    """

    def __init__(self, code: StatusCode, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}" if self.message else self.code.name


def status_code(value: int) -> StatusCode:
    """The code for a number from the wire; numbers we don't know are UNKNOWN, as gRPC asks."""
    try:
        return StatusCode(value)
    except ValueError:
        return StatusCode.UNKNOWN


def frame(message: bytes) -> bytes:
    """The message as a gRPC frame: flag 0 (not compressed), length, message."""
    return b"\0" + len(message).to_bytes(4, "big") + message


_UNRESERVED = frozenset(range(0x20, 0x7F)) - {ord("%")}


def encode_message(message: str) -> bytes:
    """`grpc-message` as it goes on the wire: UTF-8, everything but printable ASCII percent-encoded.

    A space at either end is, too: HTTP/2 allows none there, and the whole stream would be malformed.
    """
    raw = message.encode("utf-8", "replace")
    if raw.isascii() and b"%" not in raw and raw.isalnum():
        return raw
    text = b"".join(bytes((c,)) if c in _UNRESERVED else b"%%%02X" % c for c in raw)
    if text.startswith(b" "):
        text = b"%20" + text[1:]
    return text[:-1] + b"%20" if text.endswith(b" ") else text


def decode_message(raw: bytes) -> str:
    """The text of a `grpc-message`; broken escapes are kept as they are, broken UTF-8 is replaced. Never raises."""
    if b"%" not in raw:
        return raw.decode("utf-8", "replace")
    out = bytearray()
    i = 0
    while i < len(raw):
        if raw[i] == 0x25 and i + 3 <= len(raw):
            try:
                out.append(int(raw[i + 1 : i + 3].decode("ascii"), 16))
                i += 3
                continue
            except (ValueError, UnicodeDecodeError):
                pass
        out.append(raw[i])
        i += 1
    return out.decode("utf-8", "replace")
