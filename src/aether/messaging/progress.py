"""Progress reports: who may send them, where they go, who gets them (routing 7). Pure rules, no I/O."""

from __future__ import annotations

import functools

from google.protobuf.message import DecodeError

from aether.errors import Code, Refusal
from aether.identity import SEPARATOR, Identity, InvalidIdentity, PrincipalType, check_identifier
from aether.proto import aether_pb2 as pb

__all__ = ["REPORT_BYTES_MAX", "ProgressFilter", "build_update", "check_report", "is_recipient", "progress_topic"]

REPORT_BYTES_MAX = 64 * 1024
"""Size of a serialized report; progress is a notice, not a transport (routing 16, weakness 21)."""

_REPORTERS = frozenset({PrincipalType.AGENT, PrincipalType.TASK, PrincipalType.SERVICE})
_RECIPIENTS = frozenset({"ag", "tu", "ta", "br", "sv", "orc", "wfe", "event"})
_PREFIX_BYTES = 5


def check_report(reporter: Identity, report: pb.ProgressReport) -> None:
    """Check who reports and how much.

    :raises Refusal: for another principal type than agent, task or service, and for a report over 64 KiB.
    """
    if reporter.kind not in _REPORTERS:
        raise Refusal(Code.INVALID_PRINCIPAL, "only agents, tasks, and services can report progress")
    size = report.ByteSize()
    if size > REPORT_BYTES_MAX:
        raise Refusal(
            Code.PAYLOAD_TOO_LARGE, f"progress report size {size} exceeds maximum of {REPORT_BYTES_MAX} bytes"
        )


def progress_topic(workspace: str, recipient: str) -> str:
    """The lane of a report: a user's own lane for a user or one of its windows, else that of the workspace.

    :param workspace: the reporter's workspace, or that of the task reported on; may be empty for user recipients.
    :raises Refusal: for a recipient that nobody can be, and for a report that has neither workspace nor user.
    """
    if recipient:
        try:
            user = _check_recipient(recipient)
        except InvalidIdentity as error:
            raise Refusal(Code.INVALID_TOPIC, f"invalid progress recipient: {error}") from None
        if user:
            return f"pg::us::{user}"
    if not workspace:
        raise Refusal(Code.INVALID_TOPIC, "progress without a workspace needs a user as its recipient")
    return f"pg::{workspace}"


def _check_recipient(recipient: str) -> str:
    """The user id of a user or window recipient; empty for a principal's topic.

    :raises InvalidIdentity: for what is neither.
    """
    prefix, *segments = recipient.split(SEPARATOR)
    if prefix == "us" and len(segments) in (1, 2):
        check_identifier("user", segments[0], required=True)
        check_identifier("window", segments[-1])
        return segments[0]
    if prefix not in _RECIPIENTS or len(segments) not in (1, 2, 3):
        raise InvalidIdentity("not a user or the topic of a principal")
    for segment in segments:
        check_identifier("segment", segment)
    return ""


def build_update(reporter: Identity, report: pb.ProgressReport, *, workspace: str, now_ms: int) -> pb.ProgressUpdate:
    """What receivers get. Source, workspace and time are the gateway's word, everything else the reporter's.

    :param workspace: the reporter's workspace, or that of the task reported on.
    """
    return pb.ProgressUpdate(
        source=reporter.source,
        task_id=report.task_id,
        state=report.state,
        completion=report.completion,
        summary=report.summary,
        step=report.step if report.HasField("step") else None,
        timestamp_ms=now_ms,
        workspace=workspace,
        request_id=report.request_id,
        metadata=report.metadata,
        recipient=report.recipient,
        kind=report.kind,
    )


def is_recipient(source: str, recipient: str, own_topic: str) -> bool:
    """Whether the session with ``own_topic`` gets an update (routing 7.3). Nobody gets its own."""
    if source == own_topic:
        return False
    if not recipient or recipient == own_topic:
        return True
    return (
        recipient.startswith("us::")
        and len(recipient) > 4
        and recipient.count(SEPARATOR) == 1
        and own_topic.startswith(f"{recipient}::")
    )


@functools.lru_cache(maxsize=16)
def _source_and_recipient(frame: bytes) -> tuple[str, str] | None:
    """Read once what every session subscribed to the lane asks about the same frame."""
    try:
        message = pb.DownstreamMessage.FromString(frame[_PREFIX_BYTES:])
    except DecodeError:
        return None
    if not message.HasField("progress_update"):
        return None
    return message.progress_update.source, message.progress_update.recipient


class ProgressFilter:
    """Predicate on the frames of a progress lane for one session. An unreadable frame is for nobody."""

    __slots__ = ("_own_topic",)

    def __init__(self, own_topic: str) -> None:
        self._own_topic = own_topic

    def __call__(self, frame: bytes) -> bool:
        ends = _source_and_recipient(frame)
        return ends is not None and is_recipient(*ends, self._own_topic)
