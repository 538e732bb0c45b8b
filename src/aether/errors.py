"""Errors shared by all parts, and the catalogue of codes a client can meet on an open stream (operations 18).

Three families, told apart by who must react:

* :class:`Refusal` -- the request was understood and declined; it becomes an ``ErrorResponse`` and the stream goes on.
* :class:`StoreUnavailable` -- a backend did not answer; always retryable, never a silent pass.
* :class:`KVError` -- a store evaluated an operation and found that it cannot apply; the value is untouched.

A failed *connect* is none of these: it ends the RPC with an :class:`aether.rpc.status.RpcError`.
"""

from __future__ import annotations

__all__ = [
    "AetherError",
    "Code",
    "DataDirectoryInUse",
    "IdentityHeld",
    "InvalidArgument",
    "KVError",
    "NotAnInteger",
    "Overflow",
    "Refusal",
    "StoreUnavailable",
    "TlsUnusable",
    "WorkspaceFull",
    "WrongType",
]


class Code:
    """The ``ErrorResponse.code`` values; clients match on substrings of them, so they never change."""

    INVALID_TOPIC = "ERR_INVALID_TOPIC"
    PERMISSION_DENIED = "ERR_PERMISSION_DENIED"
    PAYLOAD_TOO_LARGE = "ERR_PAYLOAD_TOO_LARGE"
    RATE_LIMITED = "ERR_RATE_LIMITED"
    WORKSPACE_RATE_LIMITED = "ERR_WORKSPACE_RATE_LIMITED"
    QUOTA = "ERR_QUOTA_001"
    CIRCUIT_OPEN = "ERR_CIRCUIT_OPEN"
    PUBLISH_FAILED = "ERR_PUBLISH_FAILED"
    SV_UNAVAILABLE = "ERR_SV_UNAVAILABLE"
    INVALID_PRINCIPAL = "ERR_INVALID_PRINCIPAL"
    INVALID_ARGUMENT = "ERR_INVALID_ARGUMENT"
    INVALID_IDENTIFIER = "ERR_INVALID_IDENTIFIER"
    WORKSPACE_SWITCH_FAILED = "ERR_WORKSPACE_SWITCH_FAILED"
    NOT_IMPLEMENTED = "ERR_NOT_IMPLEMENTED"
    TASK_CREATE_FAILED = "ERR_TASK_CREATE_FAILED"
    TASK_PAYLOAD_TOO_LARGE = "TASK_PAYLOAD_TOO_LARGE"
    TARGET_OFFLINE = "ERR_TARGET_OFFLINE"
    INTERNAL = "ERR_INTERNAL"
    METRIC_INVALID = "ERR_METRIC_INVALID"
    METRIC_EMPTY = "ERR_METRIC_EMPTY"
    METRIC_INVALID_ENTRY = "ERR_METRIC_INVALID_ENTRY"
    METRIC_NEGATIVE_FORBIDDEN = "ERR_METRIC_NEGATIVE_FORBIDDEN"
    EXTENSION_UNSUPPORTED = "ERR_EXTENSION_UNSUPPORTED"
    AUDIT_DISABLED = "ERR_AUDIT_DISABLED"
    AUDIT_UNAVAILABLE = "ERR_AUDIT_UNAVAILABLE"
    AUDIT_TYPE_FORBIDDEN = "ERR_AUDIT_TYPE_FORBIDDEN"
    AUDIT_RATE_LIMITED = "ERR_AUDIT_RATE_LIMITED"
    BACKPRESSURE = "BACKPRESSURE"
    KV_ERROR = "KV_ERROR"
    """Prefix of every key/value failure; a suffix such as ``KV_ERROR_PERMISSION_DENIED`` names the class."""


class AetherError(Exception):
    """Base of every error this package raises on purpose."""


class Refusal(AetherError):
    """A request that is declined with a catalogue code; the connection stays usable."""

    def __init__(self, code: str, message: str, *, retryable: bool = False, retry_after_ms: int = 0) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms

    @property
    def counted_as(self) -> str:
        """The code, or what metrics tell it apart by from others with the same code."""
        return self.code


class StoreUnavailable(AetherError):
    """A backend could not answer; the caller may retry. Nothing that was acknowledged is affected."""


class TlsUnusable(AetherError):
    """The configured certificate, key or authorities cannot be used; the text names the file and why."""


class DataDirectoryInUse(AetherError):
    """Another process holds the data directory of the local tier."""


class IdentityHeld(AetherError):
    """The identity lock belongs to a live session and the caller did not name it for resumption (connection 5.2)."""


class KVError(AetherError):
    """A key/value operation that cannot apply to what is stored."""


class WrongType(KVError):
    """A set operation met a plain value, or the other way round."""


class NotAnInteger(KVError):
    """A counter operation met a value that is not a decimal 64-bit integer."""


class Overflow(KVError):
    """A counter would leave the signed 64-bit range."""


class WorkspaceFull(KVError):
    """All that a workspace stores would be more than it may; what is there can still be read, made smaller, removed."""

    def __init__(self, quota: str, workspace: str, current: int, limit: int) -> None:
        super().__init__(f"quota exceeded for {quota} in workspace '{workspace}': current {current}, limit {limit}")


class InvalidArgument(KVError):
    """The command itself is malformed: empty or too long key, negative delta, unreadable cursor."""
