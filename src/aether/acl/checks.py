"""Decisions for applications: access checks and their receipts (acl 19, weakness 46).

A check answers for the caller, or for the subject of a grant it holds. Being denied is a result, not a failure.
"""

from __future__ import annotations

from collections.abc import Callable

from aether.access import Access, InvalidAuthority, InvalidQuestion, Level, Rights
from aether.acl.model import InvalidRule, check_level
from aether.answers import Answer, Caller, down
from aether.errors import Code, StoreUnavailable
from aether.proto import aether_pb2 as pb

__all__ = ["BATCH_MAX", "RECEIPT_MS", "AccessChecks"]

BATCH_MAX = 100
TEXT_CHARACTERS_MAX = 1024
RECEIPT_MS = 30_000
"""How long a receipt speaks for the rules; whoever holds one for longer should ask again."""

_UNAVAILABLE = "the access rules are unavailable, try again"


class AccessChecks:
    """Answers ``access_check`` and ``batch_access_check``, and makes the receipts of checked messages.

    :param wall_clock: current Unix time in milliseconds.
    :param new_id: makes ids of decisions.
    """

    def __init__(self, access: Access, wall_clock: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._access = access
        self._wall_clock = wall_clock
        self._new_id = new_id

    def check(self, caller: Caller, operation: pb.AccessCheckOperation) -> Answer:
        """One decision."""
        response = pb.AccessCheckResponse(request_id=operation.request_id)
        try:
            if not operation.HasField("access"):
                raise InvalidQuestion("access is required")
            rights = self._access.rights(caller, operation.authorization)
            response.decision.CopyFrom(self.receipt(caller, rights, operation.access))
            response.success = True
        except (InvalidQuestion, InvalidAuthority, StoreUnavailable) as error:
            response.error = _text(error)
        return Answer((down(pb.DownstreamMessage(access_check_response=response)),))

    def check_batch(self, caller: Caller, operation: pb.BatchAccessCheckOperation) -> Answer:
        """1 to 100 decisions, in the order of the questions; all of them or none."""
        response = pb.BatchAccessCheckResponse(request_id=operation.request_id)
        try:
            if not 1 <= len(operation.access) <= BATCH_MAX:
                raise InvalidQuestion(f"access must hold 1 to {BATCH_MAX} requests")
            rights = self._access.rights(caller, operation.authorization)
            decisions = [self.receipt(caller, rights, request) for request in operation.access]
            response.decisions.extend(decisions)
            response.success = True
        except (InvalidQuestion, InvalidAuthority, StoreUnavailable) as error:
            response.error = _text(error)
        return Answer((down(pb.DownstreamMessage(batch_access_check_response=response)),))

    def receipt(
        self, caller: Caller, rights: Rights, request: pb.ResourceAccessRequest, *, delivery_target: str = ""
    ) -> pb.AccessDecisionReceipt:
        """Decide, and put the decision in writing.

        :param delivery_target: topic of the message that the decision comes with.
        :raises InvalidQuestion: a question without a resource, or with a level beside the scale.
        :raises StoreUnavailable: no decision could be made.
        """
        if not request.resource_type:
            raise InvalidQuestion("resource_type is required")
        for name in ("resource_type", "resource_id", "operation", "workspace", "correlation_id"):
            if len(getattr(request, name)) > TEXT_CHARACTERS_MAX:
                raise InvalidQuestion(f"{name} must not exceed {TEXT_CHARACTERS_MAX} characters")
        try:
            level = check_level(request.required_access_level)
        except InvalidRule as error:
            raise InvalidQuestion(str(error)) from None
        if level is Level.NONE:
            raise InvalidQuestion("required_access_level is required")
        decision = rights.check(
            request.resource_type,
            request.resource_id,
            level,
            request.operation or "access_check",
            _workspace(caller, request),
        )
        identity, lineage = caller.identity, rights.lineage
        now_ms = self._wall_clock()
        actor = pb.PrincipalRef(principal_type=identity.kind.label, principal_id=identity.canonical_id)
        receipt = pb.AccessDecisionReceipt(
            decision_id=self._new_id(),
            request=request,
            allowed=decision.allowed,
            decision="ALLOW" if decision.allowed else "DENY",
            effective_access_level=decision.level,
            actor=actor,
            subject=actor,
            root_subject=actor,
            authority_mode="direct",
            evaluated_at_ms=now_ms,
            expires_at_ms=now_ms + RECEIPT_MS,
            denial_code="" if decision.allowed else Code.PERMISSION_DENIED,
            delivery_target=delivery_target,
        )
        if lineage is not None:
            receipt.authority_mode = "on_behalf_of"
            receipt.subject.CopyFrom(
                pb.PrincipalRef(principal_type=lineage.subject_type, principal_id=lineage.subject_id)
            )
            receipt.root_subject.CopyFrom(
                pb.PrincipalRef(principal_type=lineage.root_subject_type, principal_id=lineage.root_subject_id)
            )
            receipt.grant_id = lineage.grant_id
            receipt.root_grant_id = lineage.root_grant_id
        return receipt


def _workspace(caller: Caller, request: pb.ResourceAccessRequest) -> str:
    """The workspace that a question concerns. Of a workspace it is that one, whatever else is named, and administration
    is about all unless one is named: a receipt must not say yes to what would be refused."""
    if request.resource_type == "workspace":
        return request.resource_id
    if request.resource_type == "admin":
        return request.workspace
    return request.workspace or caller.identity.workspace


def _text(error: Exception) -> str:
    if isinstance(error, StoreUnavailable):
        return _UNAVAILABLE
    if isinstance(error, InvalidAuthority):
        return f"invalid authorization context: {error}"
    return str(error)
