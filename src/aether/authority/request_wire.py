"""Frames of requests for authority, and of their events (acl 12.1, 12.4). Times on the wire are Unix seconds."""

from __future__ import annotations

from aether.access import Level
from aether.answers import down
from aether.authority.requests import PENDING, Request
from aether.authority.wire import reference
from aether.proto import aether_pb2 as pb

__all__ = ["event_frame", "event_of", "level_of", "request_info", "response_frame", "status_name"]

_STATUS = {
    "pending": pb.AUTHORITY_REQUEST_STATUS_PENDING,
    "approved": pb.AUTHORITY_REQUEST_STATUS_APPROVED,
    "denied": pb.AUTHORITY_REQUEST_STATUS_DENIED,
    "expired": pb.AUTHORITY_REQUEST_STATUS_EXPIRED,
    "cancelled": pb.AUTHORITY_REQUEST_STATUS_CANCELLED,
}
_NAMES = {number: name for name, number in _STATUS.items()}
_EVENTS = {
    "pending": pb.AuthorityRequestEvent.AUTHORITY_REQUEST_EVENT_CREATED,
    "approved": pb.AuthorityRequestEvent.AUTHORITY_REQUEST_EVENT_APPROVED,
    "denied": pb.AuthorityRequestEvent.AUTHORITY_REQUEST_EVENT_DENIED,
    "expired": pb.AuthorityRequestEvent.AUTHORITY_REQUEST_EVENT_EXPIRED,
    "cancelled": pb.AuthorityRequestEvent.AUTHORITY_REQUEST_EVENT_CANCELLED,
}


def request_info(request: Request) -> pb.AuthorityRequest:
    info = pb.AuthorityRequest(
        request_id=request.id,
        status=_STATUS[request.status],
        requesting_actor=reference(*request.requester),
        target_subject=reference(*request.subject),
        desired_workspace_scope=request.workspace_scope,
        desired_resource_scope=[
            pb.AuthorityRequestResourceScopeEntry(resource_type=kind, patterns=patterns)
            for kind, patterns in request.resource_scope
        ],
        desired_operation_scope=request.operation_scope,
        requested_access_level=request.level // 10 + 1,  # type: ignore[arg-type]
        requested_duration_seconds=request.duration_s,
        audience_type=request.audience_type,
        audience_id=request.audience_id,
        routing_target=pb.AuthorityRequestRoutingTarget(capability=request.routing_capability),
        reason=request.reason,
        task_id=request.task_id,
        metadata=request.metadata,
        created_at=request.created_ms // 1000,
        expires_at=request.expires_ms // 1000,
        resolved_at=request.resolved_ms // 1000,
        granted_grant_id=request.grant_id,
        resolution_reason=request.resolution_reason,
    )
    if request.routing is not None:
        info.routing_target.principal.CopyFrom(reference(*request.routing))
    if request.resolver_type:
        info.resolved_by.CopyFrom(reference(request.resolver_type, request.resolver_id))
    return info


def event_of(request: Request, now_ms: int) -> pb.AuthorityRequestEvent:
    """The event of a request that was just made, decided, cancelled or expired."""
    return pb.AuthorityRequestEvent(
        event_type=_EVENTS[request.status], request=request_info(request), emitted_at=now_ms // 1000
    )


def event_frame(request: Request, now_ms: int) -> bytes:
    """Its frame."""
    return down(pb.DownstreamMessage(authority_request_event=event_of(request, now_ms)))


def response_frame(response: pb.AuthorityRequestOperationResponse) -> bytes:
    return down(pb.DownstreamMessage(authority_request_response=response))


def status_name(status: pb.AuthorityRequestStatus) -> str:
    """The status that a list is about; the pending ones when it does not say."""
    return _NAMES.get(status, PENDING)


def level_of(number: int) -> int:
    """The numeric scale of an ``AccessLevel`` (acl 2); 0 for unspecified."""
    return (number - 1) * 10 if 1 <= number <= Level.SUPERADMIN // 10 + 1 else 0
