"""Refusals of messages that are recorded, and the audit rows of messages (routing 3.2, acl 15.1)."""

from __future__ import annotations

from aether.answers import Caller
from aether.audit.events import Event, Lineage, Recorder, actor_of
from aether.errors import Code, Refusal
from aether.proto import aether_pb2 as pb

__all__ = ["DENIALS", "NO_BROADCAST", "Denial", "record"]

NO_BROADCAST = "cross_workspace_broadcast_denied"

DENIALS = {
    Code.PERMISSION_DENIED: "acl_check_failed",
    Code.SV_UNAVAILABLE: "sv_wildcard_unavailable",
    Code.METRIC_INVALID: "metric_validation",
    Code.METRIC_EMPTY: "metric_validation",
    Code.METRIC_INVALID_ENTRY: "metric_validation",
    Code.METRIC_NEGATIVE_FORBIDDEN: "metric_validation",
}
"""Refusals that are recorded, with the reason their rows name unless a step names its own (acl 15.1)."""


class Denial(Refusal):
    """A refusal for lack of rights, with what only the audit log may know of it.

    :ivar reason: ``denied_reason`` of its row.
    :ivar details: more metadata of the row.
    :ivar lineage: the authority that did not suffice.
    """

    def __init__(
        self, message: str, reason: str = "acl_check_failed", *, lineage: Lineage | None = None, **details: str
    ) -> None:
        super().__init__(Code.PERMISSION_DENIED, message)
        self.reason = reason
        self.details = details
        self.lineage = lineage

    @property
    def counted_as(self) -> str:
        """See :attr:`Refusal.counted_as`."""
        return self.reason if self.reason == NO_BROADCAST else self.code


def record(
    recorder: Recorder,
    caller: Caller,
    message: pb.SendMessage,
    topic: str,
    operation: str,
    lineage: Lineage | None,
    refusal: Refusal | None = None,
) -> None:
    """The audit row of a message (routing 3.2)."""
    identity = caller.identity
    kind = message.message_type
    metadata = {
        "from": identity.source,
        "to": topic,
        "message_type": pb.MessageType.Name(kind) if kind in pb.MessageType.values() else str(kind),
    }
    if refusal is not None:
        metadata["error_code"] = refusal.code
        metadata["denied_reason"] = DENIALS[refusal.code]
        if isinstance(refusal, Denial):
            metadata |= {"denied_reason": refusal.reason, **refusal.details}
    event = Event(
        kind="message",
        operation=operation,
        success=refusal is None,
        **actor_of(identity),
        resource_type="topic",
        resource_id=topic,
        workspace=identity.workspace,
        session_id=caller.session_id,
        error="" if refusal is None else refusal.message,
        metadata=metadata,
        lineage=lineage,
    )
    if refusal is None:
        recorder.routine(event)
    else:
        recorder.record(event)
