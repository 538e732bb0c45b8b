"""Whether a grant holds for an actor, for those whom it concerns (acl 11)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aether.access import Access, InvalidAuthority, Level, is_system
from aether.acl.patterns import named_workspaces
from aether.answers import Answer, Caller, down
from aether.authority.grants import Grants, principal_of
from aether.authority.model import ANY_WORKSPACE, Grant, InvalidGrant
from aether.authority.parties import reference_of
from aether.authority.wire import UNAVAILABLE, reference, resolved_info
from aether.errors import StoreUnavailable
from aether.proto import aether_pb2 as pb

__all__ = ["Resolver"]


class Resolver:
    """Answers ``resolve_authority_request``.

    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(self, grants: Grants, access: Access, wall_clock: Callable[[], int]) -> None:
        self._grants = grants
        self._access = access
        self._wall_clock = wall_clock

    def resolve(self, caller: Caller, request: pb.ResolveAuthorityRequest) -> Answer:
        """Answer one question."""
        response = pb.ResolveAuthorityResponse(request_id=request.request_id)
        try:
            self._resolve(caller, request, response)
            response.ok = True
        except (InvalidGrant, InvalidAuthority) as error:
            response.ClearField("authority")
            response.error = str(error)
        except StoreUnavailable:
            response.ClearField("authority")
            response.error = UNAVAILABLE
        return Answer((down(pb.DownstreamMessage(resolve_authority_response=response)),))

    def _resolve(
        self, caller: Caller, request: pb.ResolveAuthorityRequest, response: pb.ResolveAuthorityResponse
    ) -> None:
        if not request.grant_id:
            raise InvalidGrant("grant_id is required")
        if not request.HasField("subject"):
            raise InvalidGrant("subject is required")
        actor = reference_of(request, "actor") if request.HasField("actor") else principal_of(caller)
        subject = reference_of(request, "subject")
        grant = self._grants.get(request.grant_id)
        self._admit_resolve(caller, grant)
        if grant is None:
            raise InvalidGrant("authority grant not found")
        if grant.revoked_ms:
            raise InvalidGrant("authority grant revoked")
        if not grant.is_live(self._wall_clock()):
            raise InvalidGrant("authority grant expired")
        if grant.delegate != actor:
            raise InvalidGrant("authority grant delegate does not match actor")
        if grant.subject != subject:
            raise InvalidGrant("authority grant subject does not match requested subject")
        if request.audience_type and (request.audience_type, request.audience_id) != (
            grant.audience_type,
            grant.audience_id,
        ):
            raise InvalidGrant("authority grant audience does not match request context")
        response.authority.actor.CopyFrom(reference(*actor))
        response.authority.subject.CopyFrom(reference(*subject))
        response.authority.grant.CopyFrom(resolved_info(grant))

    def _admit_resolve(self, caller: Caller, grant: Grant | None) -> None:
        """The delegate, the audience, administrators, and who holds the capability; others learn nothing."""
        who = principal_of(caller)
        concerned = grant is not None and who in (grant.delegate, (grant.audience_type, grant.audience_id))
        if concerned:
            return
        scope = grant.workspace_scope if grant is not None and ANY_WORKSPACE not in grant.workspace_scope else ()
        check = partial(self._access.rights(caller).check, "capability", "capability/resolve_authority", Level.READ)
        for workspace in named_workspaces(scope):
            if not is_system(caller, workspace) and not check("resolve_authority", workspace).allowed:
                raise InvalidGrant("not authorized")
