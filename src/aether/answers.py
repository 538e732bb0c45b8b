"""What a feature needs to know of its caller, and what it gives back (design 3: features never see the gateway).

A feature's ``service.py`` has one method per upstream kind, ``handle(caller, operation)``. It returns an
:class:`Answer`, or an awaitable of one when the operation has to wait. The session sends answers in the order of the
requests, each not before its ticket is durable, so that no client is told of a write that a crash could undo.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol, TypeVar

from google.protobuf.message import Message

from aether.identity import Identity
from aether.proto import aether_pb2 as pb
from aether.rpc.status import frame

__all__ = ["IN_DOUBT", "NOTHING", "Answer", "Caller", "Reply", "WorkspaceLimit", "down", "fit", "refuse", "unix_ms"]

LIST_BYTES_MAX = 3_500_000
"""Official clients take at most 4 MiB in one message (sdk 11)."""

IN_DOUBT = "the change could not be made durable yet; look before you try again"
"""What typed responses say when a commit failed and is tried again."""

UNIX_S_MAX = 253_402_300_799
"""The last second of the year 9999: what is later cannot be counted or shown everywhere."""

M = TypeVar("M", bound=Message)


class WorkspaceLimit(Protocol):
    """What a credential restricts its session to."""

    def admits_workspace(self, workspace: str) -> bool: ...

    def covers_workspaces(self, pattern: str) -> bool:
        """Whether it admits every workspace that a pattern matches, as far as can be told for sure."""


class Caller(Protocol):
    """The session on whose behalf an operation runs. ``identity`` carries the workspace it is on now, ``task_id``
    is the task that the session is bound to, if any, ``workspace_limit`` what its credential says about workspaces."""

    @property
    def identity(self) -> Identity: ...

    @property
    def session_id(self) -> str: ...

    @property
    def task_id(self) -> str: ...

    @property
    def workspace_limit(self) -> WorkspaceLimit | None: ...


class Answer(NamedTuple):
    """Frames to send, in order, once ``ticket`` is durable (0: at once)."""

    frames: tuple[bytes, ...]
    ticket: int = 0
    in_doubt: Callable[[], tuple[bytes, ...]] | None = None
    """Frames to send instead when that commit fails; None: say in general that the outcome is open."""
    on_sent: Callable[[], None] | None = None
    """Called when the frames were given to the transport."""


NOTHING = Answer(())
"""There is nothing to say."""

Reply = Answer | Awaitable[Answer]


def down(message: pb.DownstreamMessage) -> bytes:
    """A complete frame of a downstream message."""
    return frame(message.SerializeToString())


def refuse(code: str, message: str, *, retryable: bool = False, retry_after_ms: int = 0, request_id: str = "") -> bytes:
    """The frame of an ``ErrorResponse`` (operations 18)."""
    return down(
        pb.DownstreamMessage(
            error=pb.ErrorResponse(
                code=code,
                message=message,
                retryable=retryable,
                retry_after_ms=retry_after_ms,
                request_id=request_id,
            )
        )
    )


def unix_ms(unix_s: int) -> int:
    """A time of a message in milliseconds; 0 for none, never beyond the last that can be counted."""
    return min(max(0, unix_s), UNIX_S_MAX) * 1000


def fit(messages: Iterable[M], *, used: int = 0) -> list[M]:
    """The leading messages that fit into one response; the rest is reached with an offset.

    :param used: bytes that the response has already.
    """
    room = LIST_BYTES_MAX - used
    page = []
    for message in messages:
        room -= message.ByteSize() + 4
        if room < 0:
            break
        page.append(message)
    return page
