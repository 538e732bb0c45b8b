"""The audit log as clients read it, and events that they submit to it."""

from __future__ import annotations

from typing import Any

from tests.support.access import Admin
from tests.support.wire import Peer

from aether.proto import aether_pb2 as pb

__all__ = ["audit_event", "audit_rows", "query_audit"]


async def query_audit(peer: Peer, **wanted: Any) -> pb.AuditQueryResponse:
    """The answer to a query, whether or not it succeeds; fields of the query by name."""
    peer.say(audit_query=pb.AuditQuery(request_id="q", **wanted))
    response: pb.AuditQueryResponse = await peer.expect("audit_response")
    assert response.request_id == "q"
    return response


async def audit_rows(admin: Admin, **wanted: Any) -> list[pb.AuditEntry]:
    """Rows of the log, the latest first; fields of the query by name."""
    response = await query_audit(admin.peer, **wanted)
    assert response.success, response.error
    return list(response.entries)


def audit_event(**changes: Any) -> pb.SubmitAuditEventRequest:
    """Something that an application did."""
    fields = {"event_type": "custom", "operation": "deployed", "success": True, "client_request_id": "c", **changes}
    return pb.SubmitAuditEventRequest(**fields)
