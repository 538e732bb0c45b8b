"""Operations on requests for authority, and their events (acl 12.1, 12.2, 12.4)."""

from __future__ import annotations

import functools
from typing import Any

from aether.access import Level
from aether.answers import Answer, Caller, down, fit
from aether.audit.events import Event, Recorder, actor_of
from aether.authority.grants import principal_of
from aether.authority.model import AUDIENCES, InvalidGrant, check_delegation
from aether.authority.requests import PENDING, Request, Requests
from aether.authority.service import Sessions
from aether.authority.wire import ENTRIES_MAX, check_size, reference, resource_scope
from aether.errors import StoreUnavailable
from aether.identity import InvalidIdentity, canonical_reference
from aether.proto import aether_pb2 as pb

__all__ = ["RequestService", "event_frame", "request_info"]

PAGE_DEFAULT = 100
PAGE_MAX = 1000
TEXT_CHARACTERS_MAX = 2000

Op = pb.AuthorityRequestOperation
Payload = pb.ResolveAuthorityRequestPayload

_UNAVAILABLE = "the store of authority requests is unavailable, try again"
_IN_DOUBT = "the change could not be made durable yet; look before you try again"

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


class RequestService:
    """Answers ``authority_request_op``. Correlation is by ``client_request_id``."""

    def __init__(self, requests: Requests, sessions: Sessions, recorder: Recorder) -> None:
        self._requests = requests
        self._sessions = sessions
        self._recorder = recorder

    def handle(self, caller: Caller, operation: pb.AuthorityRequestOperation) -> Answer:
        """Run one operation; every failure is an answer, and recorded."""
        response = pb.AuthorityRequestOperationResponse(client_request_id=operation.client_request_id)
        before = self._requests.ticket
        try:
            self._run(caller, operation, response)
            response.success = True
        except InvalidGrant as error:
            response.error = str(error)
            self._record_failure(caller, operation, response.error)
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        ticket = self._requests.ticket if self._requests.ticket != before else 0
        in_doubt = functools.partial(_in_doubt, operation.client_request_id)
        return Answer((_frame(response),), ticket, in_doubt)

    def _run(
        self,
        caller: Caller,
        operation: pb.AuthorityRequestOperation,
        response: pb.AuthorityRequestOperationResponse,
    ) -> None:
        requests = self._requests
        match operation.op:
            case Op.CREATE:
                if not operation.HasField("create"):
                    raise InvalidGrant("create payload is required")
                found = requests.create(caller, self._read(caller, operation.create))
            case Op.LIST_PENDING:
                self._list(caller, operation.list_filter, response)
                return
            case Op.GET | Op.RESOLVE | Op.CANCEL if not operation.request_id:
                raise InvalidGrant("request_id is required")
            case Op.GET:
                found = requests.get_for(caller, operation.request_id)
            case Op.RESOLVE:
                found = self._resolve(caller, operation)
            case Op.CANCEL:
                reason = operation.reason or operation.create.reason
                found = requests.cancel(caller, operation.request_id, _text(reason))
            case _:
                raise InvalidGrant("unknown authority request operation")
        response.request.CopyFrom(request_info(found))

    def _read(self, caller: Caller, payload: Any) -> Request:
        """A request as it was asked for.

        :raises InvalidGrant: something is missing or makes no sense.
        """
        check_size(payload)
        requester = principal_of(caller)
        if payload.HasField("requesting_actor") and _reference(payload, "requesting_actor") != requester:
            raise InvalidGrant("invalid requesting_actor: only the caller itself can be named")
        target = _reference(payload, "target_subject") if payload.HasField("target_subject") else requester
        if not payload.HasField("routing_target"):
            raise InvalidGrant("routing_target is required")
        routing = payload.routing_target
        if routing.HasField("principal") and routing.capability:
            raise InvalidGrant("routing_target must set exactly one of principal or capability")
        if not routing.HasField("principal") and not routing.capability:
            raise InvalidGrant("routing_target must set either principal or capability")
        decider = _reference(routing, "principal") if routing.HasField("principal") else ("", "")
        audience_type = payload.audience_type or "session"
        audience_id = payload.audience_id or (caller.session_id if audience_type == "session" else requester[1])
        if audience_type not in AUDIENCES:
            raise InvalidGrant(f'invalid authority grant audience_type "{audience_type}"')
        session = self._sessions.get(audience_id) if audience_type == "session" else None
        return Request(
            id="",
            requester_type=requester[0],
            requester_id=requester[1],
            subject_type=target[0],
            subject_id=target[1],
            level=_level(payload.requested_access_level),
            duration_s=payload.requested_duration_seconds,
            audience_type=audience_type,
            audience_id=audience_id,
            audience_identity=session.identity.key if session is not None else "",
            created_ms=0,
            expires_ms=0,
            workspace_scope=tuple(payload.desired_workspace_scope),
            resource_scope=resource_scope(payload.desired_resource_scope),
            operation_scope=tuple(payload.desired_operation_scope),
            routing_type=decider[0],
            routing_id=decider[1],
            routing_capability=routing.capability,
            reason=_text(payload.reason),
            task_id=payload.task_id,
            metadata=dict(payload.metadata),
        )

    def _resolve(self, caller: Caller, operation: pb.AuthorityRequestOperation) -> Request:
        if not operation.HasField("resolve"):
            raise InvalidGrant("resolve payload is required")
        payload = operation.resolve
        check_size(payload)
        match payload.decision:
            case Payload.DENY:
                return self._requests.deny(caller, operation.request_id, _text(payload.reason))
            case Payload.APPROVE:
                check_delegation(payload.may_delegate, payload.remaining_hops)
                return self._requests.approve(
                    caller,
                    operation.request_id,
                    workspace_scope=tuple(payload.granted_workspace_scope),
                    resource_scope=resource_scope(payload.granted_resource_scope),
                    operation_scope=tuple(payload.granted_operation_scope),
                    level=_level(payload.granted_access_level),
                    duration_s=payload.granted_duration_seconds,
                    reason=_text(payload.reason),
                    hops=payload.remaining_hops,
                )
        raise InvalidGrant("resolve decision must be APPROVE or DENY")

    def _list(
        self,
        caller: Caller,
        wanted: pb.AuthorityRequestListFilter,
        response: pb.AuthorityRequestOperationResponse,
    ) -> None:
        status = _NAMES.get(wanted.status, PENDING)
        found = [
            request
            for request in self._requests.routed_to(caller, wanted.matching_capabilities[:ENTRIES_MAX])
            if request.status == status and (not wanted.workspace or wanted.workspace in request.workspace_scope)
        ]
        limit = min(wanted.limit, PAGE_MAX) if wanted.limit > 0 else PAGE_DEFAULT
        first = max(0, wanted.offset)
        response.total_count = len(found)
        response.requests.extend(fit(request_info(request) for request in found[first : first + limit]))

    def _record_failure(self, caller: Caller, operation: pb.AuthorityRequestOperation, error: str) -> None:
        name = Op.OpType.Name(operation.op).lower() if operation.op in Op.OpType.values() else "unknown"
        self._recorder.record(
            Event(
                kind="authority_request",
                operation=f"authority_request_{name}",
                success=False,
                **actor_of(caller.identity),
                resource_type="authority_request",
                resource_id=operation.request_id,
                session_id=caller.session_id,
                error=error,
            )
        )


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


def _level(number: int) -> int:
    """The numeric scale of an ``AccessLevel`` (acl 2); 0 for unspecified."""
    return (number - 1) * 10 if 1 <= number <= Level.SUPERADMIN // 10 + 1 else 0


def _text(text: str) -> str:
    return text[:TEXT_CHARACTERS_MAX]


def _reference(message: Any, name: str) -> tuple[str, str]:
    named = getattr(message, name)
    try:
        return canonical_reference(named.principal_type, named.principal_id)
    except InvalidIdentity as error:
        raise InvalidGrant(f"invalid {name}: {error}") from None


def _frame(response: pb.AuthorityRequestOperationResponse) -> bytes:
    return down(pb.DownstreamMessage(authority_request_response=response))


def _in_doubt(client_request_id: str) -> tuple[bytes, ...]:
    response = pb.AuthorityRequestOperationResponse(client_request_id=client_request_id, error=_IN_DOUBT)
    return (_frame(response),)
