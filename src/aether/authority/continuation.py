"""Authority that goes on with a message: its receiver may act for the subject the sender acts for (acl 19).

The sender's grant gets a child for the receiver, within the limits of every derived grant: a hop less, nothing wider,
revoked with its parent. Messages that ask for the same share one child.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from aether.answers import Caller
from aether.audit.events import Event, Recorder, actor_of
from aether.authority.grants import Grants, principal_of
from aether.authority.model import ANY_WORKSPACE, Grant, InvalidGrant, check_within, child_of
from aether.authority.wire import check_size, reference, resource_scope
from aether.errors import Code, Refusal
from aether.proto import aether_pb2 as pb
from aether.topics import Prefix, Target

__all__ = ["Continuations"]

CHILDREN_MAX = 1000
"""Grants that may hang on one: a sender whose every message attenuates differently meets this limit."""

Mode = pb.AuthorityContinuationRequest
_DELEGATES = {Prefix.AG: "agent", Prefix.SV: "service"}


class Continuations:
    """Makes the ``forwarded_authorization`` of messages that were sent under a grant.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self, grants: Grants, recorder: Recorder, wall_clock: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._grants = grants
        self._recorder = recorder
        self._wall_clock = wall_clock
        self._new_id = new_id

    def forward(
        self, caller: Caller, grant_id: str, target: Target, topic: str, wanted: pb.AuthorityContinuationRequest
    ) -> pb.ForwardedAuthorization:
        """What the receiver of a message gets of the sender's authority.

        :param grant_id: the grant under which the message is sent.
        :param topic: the concrete topic of the message.
        :raises Refusal: it reaches no further, or not to such a target.
        :raises StoreUnavailable: the grant cannot be kept.
        """
        kind = _DELEGATES.get(target.prefix)
        if kind is None:
            raise Refusal(Code.INVALID_ARGUMENT, "authority can be continued only by one agent or service")
        parent = self._grants.get(grant_id)
        assert parent is not None, "the message was sent under it"
        try:
            child = self._child(caller, parent, (kind, topic), wanted)
        except InvalidGrant as error:
            raise Refusal(Code.PERMISSION_DENIED, f"authority cannot be continued: {error}") from None
        return _forwarded(child, topic, wanted.binding_id)

    def _child(
        self, caller: Caller, parent: Grant, delegate: tuple[str, str], wanted: pb.AuthorityContinuationRequest
    ) -> Grant:
        level, workspaces, resources, operations = (
            parent.max_access_level,
            parent.workspace_scope,
            parent.resource_scope,
            parent.operation_scope,
        )
        if wanted.scope_mode == Mode.SCOPE_MODE_ATTENUATE:
            scope = wanted.scope
            check_size(scope)
            level = scope.max_access_level or level
            workspaces = tuple(scope.workspace_scope) or workspaces
            resources = resource_scope(scope.resource_scope) or resources
            operations = tuple(scope.operation_scope) or operations
        elif wanted.scope_mode != Mode.SCOPE_MODE_INHERIT_PARENT:
            raise Refusal(Code.INVALID_ARGUMENT, "scope_mode must be INHERIT_PARENT or ATTENUATE")
        check_within(caller.workspace_limit, workspaces)
        # What lives with a session goes on living with that session, whoever uses it.
        follows_session = parent.audience_type == "session" and parent.while_active
        audience = (parent.audience_type, parent.audience_id) if follows_session else delegate
        child = child_of(
            parent,
            self._new_id(),
            issuer=principal_of(caller),
            delegate=delegate,
            audience=audience,
            created_ms=self._wall_clock(),
            reason="continued with a message",
            max_access_level=level,
            workspace_scope=workspaces,
            resource_scope=resources,
            operation_scope=operations,
            renewable_ms=parent.expires_ms,
            audience_identity=parent.audience_identity if follows_session else "",
            while_active=follows_session,
        )
        siblings = self._grants.children(parent.id)
        for sibling in siblings:
            if sibling.is_live(self._wall_clock()) and _terms(sibling) == _terms(child):
                return sibling
        if len(siblings) >= CHILDREN_MAX:
            raise InvalidGrant(f"no more than {CHILDREN_MAX} grants can be derived from one")
        self._grants.add(child, functools.partial(self._record, caller))
        return child

    def _record(self, caller: Caller, child: Grant) -> None:
        self._recorder.record(
            Event(
                kind="acl",
                operation="authority_grant_derive",
                **actor_of(caller.identity),
                resource_type="authority_grant",
                resource_id=child.id,
                session_id=caller.session_id,
                metadata={
                    "delegate": ":".join(child.delegate),
                    "max_access_level": child.max_access_level,
                    "reason": child.reason,
                },
                lineage=child.lineage(),
            )
        )


def _terms(grant: Grant) -> tuple[object, ...]:
    """What makes two grants with the same parent the same."""
    return (
        grant.delegate,
        grant.max_access_level,
        grant.workspace_scope,
        grant.resource_scope,
        grant.operation_scope,
        grant.remaining_hops,
        grant.audience_type,
        grant.audience_id,
        grant.expires_ms,
    )


def _forwarded(grant: Grant, topic: str, binding_id: str) -> pb.ForwardedAuthorization:
    workspaces = ["*" if entry == ANY_WORKSPACE else entry for entry in grant.workspace_scope]
    return pb.ForwardedAuthorization(
        authorization=pb.AuthorizationContext(
            authority_mode="on_behalf_of",
            subject=reference(*grant.subject),
            grant_id=grant.id,
            resolved=pb.ResolvedAuthorityInfo(
                root_subject=reference(grant.root_subject_type, grant.root_subject_id),
                audience_type=grant.audience_type,
                audience_id=grant.audience_id,
                max_access_level=grant.max_access_level,
                workspace_scope=workspaces,
                expires_at_ms=grant.expires_ms,
            ),
        ),
        root_grant_id=grant.root_id,
        expires_at_ms=grant.expires_ms,
        delivery_target=topic,
        binding_id=binding_id,
        scope=pb.AuthorityContinuationScope(
            workspace_scope=workspaces,
            resource_scope=[
                pb.ACLAuthorityGrantResourceScopeEntry(resource_type=kind, patterns=patterns)
                for kind, patterns in grant.resource_scope
            ],
            operation_scope=grant.operation_scope,
            max_access_level=grant.max_access_level,
        ),
    )
