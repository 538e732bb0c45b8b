"""What clients are told of operations that are not carried out (connection 6.2).

The table below names, for every member of ``UpstreamMessage.payload``, the member of ``DownstreamMessage`` that
answers it. Each operation is answered exactly once, with the request's id, so that no client waits for a timeout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aether.answers import IN_DOUBT, NOTHING, Answer, down, refuse
from aether.errors import Code, Refusal, StoreUnavailable
from aether.kv.wire import in_doubt
from aether.proto import aether_pb2 as pb

__all__ = ["ANSWERED_BY", "absent", "broken", "decline", "refused", "uncertain"]

ANSWERED_BY: Mapping[str, str] = {
    "kv_op": "kv",
    "create_task": "create_task",
    "checkpoint_op": "checkpoint",
    "admin_query": "admin",
    "session_op": "session_response",
    "task_query": "task_query",
    "task_op": "task_op",
    "workspace_op": "workspace",
    "agent_op": "agent",
    "acl_op": "acl",
    "workflow_op": "workflow_response",
    "token_op": "token",
    "audit_query": "audit_response",
    "authority_grant_op": "authority_grant",
    "authority_request_op": "authority_request_response",
    "task_subscription_op": "task_subscription_response",
    "resolve_authority_request": "resolve_authority_response",
    "connection_status_request": "connection_status_response",
    "submit_audit_event": "submit_audit_event_response",
    "access_check": "access_check_response",
    "batch_access_check": "batch_access_check_response",
    "proxy_http_request": "proxy_http_response",
}

_UNDELIVERED = {"send": "message delivery failed", "progress": "progress delivery failed"}

_NOT_AVAILABLE = "not available on this gateway"


def _request_id(operation: Any) -> str:
    """The id a client correlates by, empty when it sent none or the operation has no such field."""
    return getattr(operation, "client_request_id", "") or getattr(operation, "request_id", "")


def absent(kind: str, operation: Any) -> Answer:
    """Refuse an operation whose feature this gateway does not have."""
    if kind == "workflow_response":
        return NOTHING  # only an engine that was asked may answer, and nobody asked
    request_id = _request_id(operation)
    if kind == "tunnel_open":
        closed = pb.TunnelClose(
            tunnel_id=operation.tunnel_id,
            reason=pb.TunnelClose.ERROR,
            detail=f"{Code.NOT_IMPLEMENTED}: tunnels are {_NOT_AVAILABLE}",
        )
        return Answer((down(pb.DownstreamMessage(tunnel_close=closed)),))
    member = ANSWERED_BY.get(kind)
    if member is None:
        return Answer((refuse(Code.NOT_IMPLEMENTED, f"{kind} is {_NOT_AVAILABLE}", request_id=request_id),))
    text = f"{Code.NOT_IMPLEMENTED}: {kind} is {_NOT_AVAILABLE}"
    return Answer((_typed(member, request_id, text, error_code=Code.NOT_IMPLEMENTED),))


def decline(
    kind: str, operation: Any, code: str, text: str, *, retryable: bool, retry_after_ms: int = 0, by_id: bool = True
) -> Answer:
    """What says no to an operation: an error, and then its typed response, since some clients wait for the one and some
    for the other (acl weakness 19).

    :param by_id: the error names the request. The Python client raises such an error and drops the response, which
        is wrong where the response says more, and always for ``create_task`` (tasks 3.2): that gets a response only
        if it has an id to be found by.
    """
    request_id = _request_id(operation)
    is_create = kind == "create_task"
    error_id = "" if is_create or not by_id else request_id
    frames = [refuse(code, text, retryable=retryable, retry_after_ms=retry_after_ms, request_id=error_id)]
    if kind in ANSWERED_BY and (request_id or not is_create):
        frames.append(_typed(ANSWERED_BY[kind], request_id, f"{code}: {text}" if retryable else text, error_code=code))
    return Answer(tuple(frames))


def refused(error: Refusal | StoreUnavailable, kind: str, operation: Any) -> Answer:
    """The operation did not get through, and its feature left the answer to us."""
    if isinstance(error, Refusal):
        return decline(
            kind,
            operation,
            error.code,
            error.message,
            retryable=error.retryable,
            retry_after_ms=error.retry_after_ms,
        )
    return decline(kind, operation, Code.PUBLISH_FAILED, _UNDELIVERED.get(kind, "store unavailable"), retryable=True)


def broken(kind: str, operation: Any) -> Answer:
    """The operation met an error of ours."""
    return decline(kind, operation, Code.INTERNAL, "internal error", retryable=False)


def uncertain(kind: str, operation: Any, answer: Answer) -> tuple[bytes, ...]:
    """What is said instead of an answer while commits fail. An answer says that the operation, and whatever the session
    sent before it, is safe; so not even a refusal is told, unless it answers nothing that anybody waits for."""
    if kind not in ANSWERED_BY:
        return answer.frames
    if kind == "kv_op":
        return in_doubt(operation.request_id)
    code = Code.TASK_CREATE_FAILED if kind == "create_task" else Code.PUBLISH_FAILED
    return decline(kind, operation, code, IN_DOUBT, retryable=True).frames


def _typed(member: str, request_id: str, text: str, **extra: str) -> bytes:
    """A response of the right type that says no; sets those of the usual fields which the type has."""
    message = pb.DownstreamMessage()
    response = getattr(message, member)
    response.SetInParent()
    fields = response.DESCRIPTOR.fields_by_name
    for name, value in {
        "request_id": request_id,
        "client_request_id": request_id,
        "error": text,
        "error_message": text,
        **extra,
    }.items():
        field = fields.get(name)
        if field is None:
            continue
        if field.message_type is None:
            setattr(response, name, value)
        elif field.message_type == pb.ProxyError.DESCRIPTOR:
            # Any other kind than 0, which some clients take for no error (proxying 3).
            response.error.CopyFrom(pb.ProxyError(kind=pb.ProxyError.SIDECAR_UNAVAILABLE, message=value))
    return down(message)
