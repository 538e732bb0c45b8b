"""One operation on access rules on its way to its answer, and how it names rules and principals (acl 8)."""

from __future__ import annotations

from typing import Any, NamedTuple

from aether.access import Rights
from aether.acl.engine import RuleEngine
from aether.acl.model import Rule, subject
from aether.answers import Caller
from aether.audit.events import Event, Recorder, actor_of
from aether.errors import Refusal
from aether.identity import InvalidIdentity, canonical_reference
from aether.proto import aether_pb2 as pb

__all__ = ["Call", "find_rule", "key_of", "names_rule", "principal_of", "refused", "stamp"]


class Call(NamedTuple):
    """Somebody asks for ``operation`` and acts with ``rights``; what comes of it is put into ``response``."""

    caller: Caller
    operation: pb.ACLOperation
    response: pb.ACLResponse
    rights: Rights
    recorder: Recorder

    def record(self, operation: str, resource_type: str, resource_id: str, **metadata: Any) -> None:
        """The row of a change, in the same commit as the change itself."""
        self.recorder.record(
            Event(
                kind="acl",
                operation=operation,
                **actor_of(self.caller.identity),
                resource_type=resource_type,
                resource_id=resource_id,
                workspace=resource_id if resource_type == "workspace" else "",
                session_id=self.caller.session_id,
                metadata={name: value for name, value in metadata.items() if value is not None},
                lineage=self.rights.lineage,
            )
        )


def refused(message: str) -> Refusal:
    """A refusal whose text goes into the typed response; those have no code."""
    return Refusal("", message)


def names_rule(named: Any) -> bool:
    return bool(named.principal_type or named.principal_id or named.resource_type or named.resource_id)


def key_of(named: Any) -> tuple[str, str, str, str]:
    return named.principal_type, named.principal_id, named.resource_type, named.resource_id


def find_rule(engine: RuleEngine, operation: pb.ACLOperation) -> Rule | None:
    """By all four names, else by id."""
    for named in (operation.rule_filter, operation.grant_request):  # some clients name it as they granted it
        if names_rule(named):
            return engine.rule_for(*key_of(named))
    return engine.rule(operation.rule_id) if operation.rule_id else None


def principal_of(operation: pb.ACLOperation) -> tuple[str, str]:
    """The principal that an operation is about.

    :raises Refusal: there is none, or it is malformed.
    """
    if not operation.HasField("principal"):
        raise refused(f"principal required for {pb.ACLOperation.OpType.Name(operation.op)}")
    try:
        return canonical_reference(operation.principal.principal_type, operation.principal.principal_id)
    except InvalidIdentity as error:
        raise refused(f"invalid principal: {error}") from None


def stamp(caller: Caller) -> str:
    """Who did it, as rules name principals."""
    return subject(caller.identity.kind.label, caller.identity.canonical_id)
