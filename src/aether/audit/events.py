"""What features tell the audit log (acl 15)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from aether.identity import Identity

__all__ = ["NO_AUDIT", "Event", "Lineage", "NoAudit", "Recorder", "actor_of", "grant_of"]


@dataclass(frozen=True, slots=True)
class Lineage:
    """The authority an operation ran under. Types are labels such as ``user``, ids are canonical (acl 1.2)."""

    subject_type: str
    subject_id: str
    root_subject_type: str
    root_subject_id: str
    grant_id: str
    root_grant_id: str
    parent_grant_id: str = ""


def grant_of(lineage: Lineage | None) -> str:
    """The grant an operation ran under; empty for none."""
    return lineage.grant_id if lineage is not None else ""


class Event(NamedTuple):
    """One row to be. The recorder adds time, number, gateway and the chain.

    :ivar kind: event type, such as ``auth``, ``message``, ``kv``, ``admin``, ``acl``, ``authorization`` (acl 15.1).
    :ivar actor_type: label, such as ``agent``; empty for nobody.
    :ivar actor_id: identity string of the actor, or what was claimed where nobody was recognised.
    :ivar canonical_id: principal id in access rules, the same in every row of a principal (weakness 30).
    :ivar error: why it failed, for operators; empty on success.
    :ivar metadata: plain values; keys that look like credentials are redacted by the recorder.
    """

    kind: str
    operation: str
    success: bool = True
    actor_type: str = ""
    actor_id: str = ""
    canonical_id: str = ""
    resource_type: str = ""
    resource_id: str = ""
    workspace: str = ""
    session_id: str = ""
    error: str = ""
    metadata: Mapping[str, Any] = MappingProxyType({})
    lineage: Lineage | None = None
    source: str = "gateway"
    """``gateway``, or ``principal`` for rows that a client submitted."""


class Recorder(Protocol):
    """Takes events; synchronous, since what is recorded belongs to the change or refusal it describes.

    :ivar ticket: batch that makes the latest row of :meth:`record` durable. An answer that announces a change or a
        refusal waits for it.
    """

    ticket: int
    coalesces: bool
    """Repeats of a success need not be reported each time."""

    def record(self, event: Event) -> None:
        """Keep a row that must not be lost: a refusal, or a change of rules, tokens, grants, sessions.

        :raises StoreUnavailable: the log takes nothing now. What should have been recorded must not happen.
        """

    def routine(self, event: Event) -> None:
        """Keep a row of ordinary success. Repeats within the coalescing window are one row; under pressure rows may be
        left out, and a row says how many. Never raises."""

    def repeats(
        self, kind: str, actor_id: str, resource_type: str, resource_id: str, operation: str, grant_id: str = ""
    ) -> bool:
        """Whether :meth:`routine` would do nothing with such an event: for callers on a hot path, who would rather
        not build it.

        :param grant_id: that of the authority used: what is done for somebody repeats nothing else.
        """


class NoAudit:
    """A gateway without an audit log."""

    ticket = 0
    coalesces = True

    def record(self, event: Event) -> None:
        del event

    def routine(self, event: Event) -> None:
        del event

    def repeats(
        self, kind: str, actor_id: str, resource_type: str, resource_id: str, operation: str, grant_id: str = ""
    ) -> bool:
        del kind, actor_id, resource_type, resource_id, operation, grant_id
        return True


NO_AUDIT = NoAudit()


def actor_of(identity: Identity) -> dict[str, Any]:
    """The actor fields of an event for a connected principal."""
    return {"actor_type": identity.kind.label, "actor_id": identity.key, "canonical_id": identity.canonical_id}
