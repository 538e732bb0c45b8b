"""What can go wrong for a client (sdk 5). Timeouts are cancel scopes: ``trio.fail_after`` around a call."""

from __future__ import annotations

from aether.errors import AetherError
from aether.proto import aether_pb2 as pb
from aether.rpc.status import RpcError, StatusCode

__all__ = [
    "ClientError",
    "ConnectFailed",
    "ConnectionClosed",
    "ConnectionLost",
    "Disconnected",
    "DuplicateIdentity",
    "InvalidRequest",
    "LeaseHeld",
    "LeaseLost",
    "NotFound",
    "PermissionDenied",
    "RequestRefused",
    "TaskFailed",
    "TaskLost",
    "TaskRefused",
    "Unauthenticated",
]


class ClientError(AetherError):
    """Base of the client's errors."""


class ConnectionLost(ClientError):
    """The connection went away before the answer came; whether the operation ran is not known."""


class ConnectionClosed(ClientError):
    """The connection is not there any more: its ``async with`` block was left, or is being left."""


class ConnectFailed(ClientError):
    """The gateway refused the connection for good; ``code`` is the gRPC status."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message or code.name)
        self.code = code


class DuplicateIdentity(ConnectFailed):
    """The identity is connected elsewhere."""


class Unauthenticated(ConnectFailed):
    """The credentials are missing or wrong."""


class Disconnected(ClientError):
    """The gateway ended the session for good: displaced by another connection, or by an operator."""


class RequestRefused(ClientError):
    """An operation was declined; ``code`` is the catalogue's."""

    def __init__(self, code: str, message: str, *, retryable: bool = False, retry_after_ms: int = 0) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retryable = retryable
        self.retry_after_ms = retry_after_ms


class PermissionDenied(RequestRefused):
    """Not allowed."""


class NotFound(RequestRefused):
    """No such thing."""


class InvalidRequest(RequestRefused):
    """The request itself is wrong."""


class TaskRefused(RequestRefused):
    """An operation that the state of the task, or who has it, does not allow; the text names the state."""


class TaskLost(TaskRefused):
    """A task in hand was ended by others, or given to another worker, so its block was cancelled, or could not
    complete it."""


class TaskFailed(ClientError):
    """A task that was waited for did not complete.

    :ivar task: as it ended, with ``status`` and ``error``.
    """

    def __init__(self, task: pb.TaskInfo) -> None:
        status = pb.TaskStatus.Name(task.status).removeprefix("TASK_STATUS_").lower()
        super().__init__(f"task {task.task_id} {status}: {task.error}")
        self.task = task


class LeaseHeld(ClientError):
    """Others hold what was asked for, and the time to wait for it is over."""


class LeaseLost(ClientError):
    """A lock, permit or leadership ended before its block did, so the block was cancelled; others may hold it now.

    :ivar key: the key of the lease.
    :ivar owner: its owner id, which no other lease has.
    """

    def __init__(self, key: str, owner: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.owner = owner


_BY_SUBSTRING = (("PERMISSION_DENIED", PermissionDenied), ("NOT_FOUND", NotFound), ("INVALID_ARGUMENT", InvalidRequest))


def refused(error: pb.ErrorResponse) -> RequestRefused:
    """The exception for an ``ErrorResponse``; classes go by substring of the code, as the protocol asks."""
    kind = next((kind for text, kind in _BY_SUBSTRING if text in error.code), RequestRefused)
    return kind(error.code, error.message, retryable=error.retryable, retry_after_ms=error.retry_after_ms)


_FINAL = {
    StatusCode.PERMISSION_DENIED: ConnectFailed,
    StatusCode.UNAUTHENTICATED: Unauthenticated,
    StatusCode.ALREADY_EXISTS: DuplicateIdentity,
    StatusCode.INVALID_ARGUMENT: ConnectFailed,
    StatusCode.NOT_FOUND: ConnectFailed,
    StatusCode.UNIMPLEMENTED: ConnectFailed,
}


def final(error: RpcError) -> ConnectFailed | None:
    """The exception for a status after which reconnecting is pointless (sdk 3.2), else None."""
    if error.code in _FINAL:
        return _FINAL[error.code](error.code, error.message)
    if error.code is StatusCode.FAILED_PRECONDITION and "ERR_EXTENSION_UNSUPPORTED" in error.message:
        return ConnectFailed(error.code, error.message)
    return None
