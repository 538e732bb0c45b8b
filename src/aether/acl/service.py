"""Operations on access rules: who may change or read which, and what each does (acl 8).

Every operation is answered once, with its typed response and the request's id. A change is in effect when the handler
returns and announced when it is durable together with its audit row. Who granted or changed something is stamped from
the caller, never read from the request (weakness 10).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from aether.acl.admission import Admission
from aether.acl.calls import Call, refused
from aether.acl.control import AccessControl
from aether.acl.decision_log import DecisionLog
from aether.acl.group_operations import GroupOperations
from aether.acl.model import InvalidRule
from aether.acl.rule_operations import RuleOperations
from aether.acl.wire import response_frame
from aether.answers import IN_DOUBT, Answer, Caller, Reply
from aether.audit.events import Recorder
from aether.audit.trail import AuditTrail
from aether.errors import Refusal, StoreUnavailable
from aether.proto import aether_pb2 as pb

__all__ = ["ACLService"]

_UNAVAILABLE = "the access rules are unavailable, try again"


class ACLService:
    """Answers ``acl_op``.

    :param recorder: told of every change and refusal.
    :param trail: the audit log to read and clean; None where there is none.
    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self,
        control: AccessControl,
        recorder: Recorder,
        trail: AuditTrail | None,
        wall_clock: Callable[[], int],
    ) -> None:
        self._engine = control.engine
        self._recorder = recorder
        self._admission = Admission(control)
        self._decisions = DecisionLog(trail, wall_clock)
        self._handlers = {**RuleOperations(control).handlers, **GroupOperations(control.engine).handlers}

    def handle(self, caller: Caller, operation: pb.ACLOperation) -> Reply:
        """Run one operation; every failure is an answer."""
        if operation.op in DecisionLog.OPERATIONS:
            return self._handle_log(caller, operation)
        response = pb.ACLResponse(request_id=operation.request_id)
        before = self._engine.ticket
        try:
            handler = self._handlers.get(operation.op)
            if handler is None:
                raise refused("unknown ACL operation")
            rights = self._admission.admit(caller, operation)
            handler(Call(caller, operation, response, rights, self._recorder))
            response.success = True
        except (InvalidRule, Refusal) as error:
            response.error = error.message if isinstance(error, Refusal) else str(error)
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        ticket = max(self._engine.ticket, self._recorder.ticket) if self._engine.ticket != before else 0
        return Answer((response_frame(response),), ticket, functools.partial(_in_doubt, operation.request_id))

    async def _handle_log(self, caller: Caller, operation: pb.ACLOperation) -> Answer:
        response = pb.ACLResponse(request_id=operation.request_id)
        try:
            self._admission.admit(caller, operation)
            await self._decisions.run(caller, operation, response)
            response.success = True
        except Refusal as refusal:
            response.error = refusal.message
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        return Answer((response_frame(response),))


def _in_doubt(request_id: str) -> tuple[bytes, ...]:
    return (response_frame(pb.ACLResponse(request_id=request_id, error=IN_DOUBT)),)
