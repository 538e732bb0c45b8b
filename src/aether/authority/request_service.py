"""Operations on requests for authority (acl 12.1, 12.2)."""

from __future__ import annotations

import functools
from typing import Any

from aether.answers import IN_DOUBT, Answer, Caller, fit
from aether.audit.events import Recorder
from aether.authority.grants import principal_of
from aether.authority.model import AUDIENCES, InvalidGrant, check_delegation
from aether.authority.parties import Sessions, identity_of, reference_of
from aether.authority.request_wire import level_of, request_info, response_frame, status_name
from aether.authority.requests import Request, Requests
from aether.authority.rows import failure
from aether.authority.wire import ENTRIES_MAX, check_size, resource_scope
from aether.errors import StoreUnavailable
from aether.paging import page
from aether.proto import aether_pb2 as pb

__all__ = ["RequestService"]

TEXT_CHARACTERS_MAX = 2000

Op = pb.AuthorityRequestOperation
Payload = pb.ResolveAuthorityRequestPayload

_UNAVAILABLE = "the store of authority requests is unavailable, try again"


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
            kind = resource_type = "authority_request"
            self._recorder.record(failure(caller, kind, resource_type, operation.request_id, operation, response.error))
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        ticket = self._requests.ticket if self._requests.ticket != before else 0
        in_doubt = functools.partial(_in_doubt, operation.client_request_id)
        return Answer((response_frame(response),), ticket, in_doubt)

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
        if payload.HasField("requesting_actor") and _named(payload, "requesting_actor") != requester:
            raise InvalidGrant("invalid requesting_actor: only the caller itself can be named")
        target = _named(payload, "target_subject") if payload.HasField("target_subject") else requester
        if not payload.HasField("routing_target"):
            raise InvalidGrant("routing_target is required")
        routing = payload.routing_target
        if routing.HasField("principal") and routing.capability:
            raise InvalidGrant("routing_target must set exactly one of principal or capability")
        if not routing.HasField("principal") and not routing.capability:
            raise InvalidGrant("routing_target must set either principal or capability")
        decider = _named(routing, "principal") if routing.HasField("principal") else ("", "")
        audience_type = payload.audience_type or "session"
        audience_id = payload.audience_id or (caller.session_id if audience_type == "session" else requester[1])
        if audience_type not in AUDIENCES:
            raise InvalidGrant(f'invalid authority grant audience_type "{audience_type}"')
        return Request(
            id="",
            requester_type=requester[0],
            requester_id=requester[1],
            subject_type=target[0],
            subject_id=target[1],
            level=level_of(payload.requested_access_level),
            duration_s=payload.requested_duration_seconds,
            audience_type=audience_type,
            audience_id=audience_id,
            audience_identity=identity_of(self._sessions, audience_type, audience_id),
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
                    level=level_of(payload.granted_access_level),
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
        status = status_name(wanted.status)
        found = [
            request
            for request in self._requests.routed_to(caller, wanted.matching_capabilities[:ENTRIES_MAX])
            if request.status == status and (not wanted.workspace or wanted.workspace in request.workspace_scope)
        ]
        response.total_count = len(found)
        response.requests.extend(fit(request_info(request) for request in page(found, wanted.limit, wanted.offset)))


def _named(message: Any, field: str) -> tuple[str, str]:
    return reference_of(message, field, f"invalid {field}: ")


def _text(text: str) -> str:
    return text[:TEXT_CHARACTERS_MAX]


def _in_doubt(client_request_id: str) -> tuple[bytes, ...]:
    response = pb.AuthorityRequestOperationResponse(client_request_id=client_request_id, error=IN_DOUBT)
    return (response_frame(response),)
