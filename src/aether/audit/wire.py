"""Frames of the audit log (acl 15.2, 16, 17). Times on the wire are Unix seconds."""

from __future__ import annotations

import json

from aether.answers import down, unix_ms
from aether.audit.store import Filter, Row
from aether.proto import aether_pb2 as pb

__all__ = [
    "SECOND_US",
    "decision_entry",
    "end_of",
    "entry",
    "query_filter",
    "query_frame",
    "start_of",
    "submit_frame",
]

SECOND_US = 1_000_000


def query_frame(response: pb.AuditQueryResponse) -> bytes:
    return down(pb.DownstreamMessage(audit_response=response))


def submit_frame(response: pb.SubmitAuditEventResponse) -> bytes:
    return down(pb.DownstreamMessage(submit_audit_event_response=response))


def start_of(unix_s: int) -> int:
    """The first microsecond of a second; 0 for none."""
    return unix_ms(unix_s) * 1000


def end_of(unix_s: int) -> int:
    """The last microsecond of a second; 0 for none."""
    return unix_ms(unix_s) * 1000 + SECOND_US - 1 if unix_s > 0 else 0


def query_filter(query: pb.AuditQuery) -> Filter:
    """The rows a query is about. Types are compared in lower case; a whole second counts to its end."""
    return Filter(
        start_us=start_of(query.start_time),
        end_us=end_of(query.end_time),
        kind=query.event_type.lower(),
        actor_type=query.actor_type.lower(),
        actor_id=query.actor_id,
        resource_type=query.resource_type.lower(),
        resource_id=query.resource_id,
        operation=query.operation,
        workspace=query.workspace,
        only_failures=query.only_failures,
        subject_type=query.subject_type.lower(),
        subject_id=query.subject_id,
        authority_mode=query.authority_mode.lower(),
        grant_id=query.authority_grant_id,
        exclude_actor_types=tuple(name.lower() for name in query.exclude_actor_types),
        exclude_workspaces=tuple(query.exclude_workspaces),
        exclude_service_direct=query.exclude_service_direct,
    )


def entry(row: Row) -> pb.AuditEntry:
    return pb.AuditEntry(
        audit_id=row.number,
        timestamp=row.time_us // SECOND_US,
        event_type=row.kind,
        actor_type=row.actor_type,
        actor_id=row.actor_id,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        operation=row.operation,
        workspace=row.workspace,
        session_id=row.session_id,
        gateway_id=row.gateway_id,
        success=row.success,
        error_message=row.error,
        metadata_json=row.metadata,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        root_subject_type=row.root_subject_type,
        root_subject_id=row.root_subject_id,
        authority_mode=row.authority_mode,
        root_authority_grant_id=row.root_grant_id,
        authority_grant_id=row.grant_id,
        parent_authority_grant_id=row.parent_grant_id,
        source=row.source,
    )


def decision_entry(row: Row) -> pb.ACLAuditEntryInfo:
    """An authorization row, as operations on access rules show it (acl 8.1)."""
    metadata = json.loads(row.metadata)
    return pb.ACLAuditEntryInfo(
        audit_id=row.number,
        timestamp=row.time_us // SECOND_US,
        decision=metadata.get("decision", "ALLOW" if row.success else "DENY"),
        access_level=metadata.get("level", 0),
        access_level_name=metadata.get("access_level", ""),
        principal_type=row.actor_type,
        principal_id=row.canonical_id,
        resource_type=row.resource_type,
        resource_id=row.resource_id,
        operation=row.operation,
        workspace=row.workspace,
        rule_id=metadata.get("rule_id", ""),
        fallback_applied=metadata.get("fallback_applied", False),
        gateway_id=row.gateway_id,
        session_id=row.session_id,
        metadata={key: str(value) for key, value in metadata.items()},
    )
