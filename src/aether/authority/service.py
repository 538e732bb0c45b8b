"""Operations on grants: making, renewing, revoking and listing them (acl 10).

Every operation is answered once, with its typed response and the request's id; changes and refusals are in the audit
log before they are answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aether.access import InvalidAuthority
from aether.answers import IN_DOUBT, Answer, Caller, fit, unix_ms
from aether.audit.events import Recorder
from aether.authority.grants import Grants, principal_of
from aether.authority.making import Maker
from aether.authority.model import Grant, InvalidGrant
from aether.authority.rows import failure, grant_change
from aether.authority.wire import UNAVAILABLE, grant_frame, grant_info
from aether.errors import Refusal, StoreUnavailable
from aether.paging import page
from aether.proto import aether_pb2 as pb

__all__ = ["AuthorityService"]

Op = pb.AuthorityGrantOperation


class AuthorityService:
    """Answers ``authority_grant_op``.

    :param maker: answers those that make grants.
    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(self, maker: Maker, grants: Grants, recorder: Recorder, wall_clock: Callable[[], int]) -> None:
        self._grants = grants
        self._recorder = recorder
        self._wall_clock = wall_clock
        self._handlers: Mapping[int, Callable[[Caller, Any, pb.AuthorityGrantResponse], None]] = {
            **maker.handlers,
            Op.GET: self._get,
            Op.RENEW: self._renew,
            Op.REVOKE: self._revoke,
            Op.LIST_MY_GRANTS: self._list_mine,
            Op.LIST_GRANTS_ON_ME: self._list_on_me,
        }

    def handle(self, caller: Caller, operation: pb.AuthorityGrantOperation) -> Answer:
        """Run one operation; every failure is an answer."""
        response = pb.AuthorityGrantResponse(request_id=operation.request_id)
        before = self._grants.ticket
        try:
            handler = self._handlers.get(operation.op)
            if handler is None:
                raise InvalidGrant("unknown authority grant operation")
            if operation.workflow_schedule_id:
                raise InvalidGrant("grants for workflow schedules are not available on this gateway")
            handler(caller, operation, response)
            response.success = True
        except (InvalidGrant, InvalidAuthority, Refusal) as error:
            response.error = error.message if isinstance(error, Refusal) else str(error)
            row = failure(caller, "acl", "authority_grant", operation.grant_id, operation, response.error)
            self._recorder.record(row)
        except StoreUnavailable:
            response.error = UNAVAILABLE
        ticket = self._grants.ticket if self._grants.ticket != before else 0
        return Answer((grant_frame(response),), ticket, partial(_in_doubt, operation.request_id))

    def _get(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        response.grant.CopyFrom(grant_info(self._grants.get_for(caller, operation.grant_id)))

    def _renew(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        if not operation.HasField("renew_request"):
            raise InvalidGrant("renew_request is required")
        request = operation.renew_request
        grant = self._grants.get_for(caller, request.grant_id or operation.grant_id)
        if request.extend_seconds > 0:
            expires_ms = max(grant.expires_ms, self._wall_clock()) + request.extend_seconds * 1000
        else:
            expires_ms = unix_ms(request.expires_at)
        record = partial(self._record, caller, "authority_grant_renew")
        renewed = self._grants.renew(grant, expires_ms, record)
        response.grant.CopyFrom(grant_info(renewed))
        response.message = "authority grant renewed"

    def _revoke(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        grant = self._grants.get_for(caller, operation.grant_id)
        record = partial(self._record, caller, "authority_grant_revoke")
        ended = self._grants.revoke(grant, f"revoked by {':'.join(principal_of(caller))}", record)
        response.grant.CopyFrom(grant_info(ended[0]))
        response.total = len(ended)
        response.message = "authority grant revoked"

    def _list_mine(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        self._page(self._grants.of_delegate(principal_of(caller)), operation.list_request, response)

    def _list_on_me(self, caller: Caller, operation: Any, response: pb.AuthorityGrantResponse) -> None:
        self._page(self._grants.of_subject(principal_of(caller)), operation.list_request, response)

    def _page(
        self, grants: list[Grant], wanted: pb.AuthorityGrantListRequest, response: pb.AuthorityGrantResponse
    ) -> None:
        matching = [
            grant
            for grant in grants
            if wanted.audience_type in ("", grant.audience_type)
            and wanted.audience_id in ("", grant.audience_id)
            and (wanted.include_revoked or not grant.revoked_ms)
        ]
        response.total = len(matching)
        response.grants.extend(fit(grant_info(grant) for grant in page(matching, wanted.limit, wanted.offset)))

    def _record(self, caller: Caller, operation: str, grant: Grant) -> None:
        self._recorder.record(grant_change(caller, operation, grant))


def _in_doubt(request_id: str) -> tuple[bytes, ...]:
    return (grant_frame(pb.AuthorityGrantResponse(request_id=request_id, error=IN_DOUBT)),)
