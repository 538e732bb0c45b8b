"""Frames of authority (acl 10.2, 11, 12.1). Times on the wire are Unix seconds, 0 is unset."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.message import Message

from aether.acl.model import level_name
from aether.acl.patterns import PATTERN_CHARACTERS_MAX
from aether.answers import down
from aether.authority.model import ANY_WORKSPACE, Grant, InvalidGrant, ResourceScope
from aether.proto import aether_pb2 as pb

__all__ = [
    "ENTRIES_MAX",
    "UNAVAILABLE",
    "check_size",
    "grant_frame",
    "grant_info",
    "reference",
    "resolved_info",
    "resource_scope",
    "revocation_frame",
]

UNAVAILABLE = "the store of grants is unavailable, try again"

BYTES_MAX = 16 * 1024
"""Ten thousand grants of one principal are kept in memory for as long as they hold."""
ENTRIES_MAX = 100


def check_size(request: Message) -> None:
    """What makes a grant, or asks for one, is shown to others: in lists, and in events that they did not ask for. So it
    has to be small, all texts of it together, and no list of it long.

    :raises InvalidGrant: it is not.
    """
    if request.ByteSize() > BYTES_MAX:
        raise InvalidGrant(f"scopes, metadata and texts must not exceed {BYTES_MAX} bytes")
    for field, value in request.ListFields():
        if not field.is_repeated:
            continue
        lists = [value]
        if field.name.endswith("resource_scope"):
            lists += [entry.patterns for entry in value]
        if max(map(len, lists)) > ENTRIES_MAX:
            raise InvalidGrant(f"scopes and metadata must not exceed {ENTRIES_MAX} entries")
        texts = (text for entries in lists for text in entries if isinstance(text, str))
        if field.name.endswith("_scope") and max(map(len, texts), default=0) > PATTERN_CHARACTERS_MAX:
            raise InvalidGrant(f"entries of scopes must not exceed {PATTERN_CHARACTERS_MAX} characters")


def grant_frame(response: pb.AuthorityGrantResponse) -> bytes:
    return down(pb.DownstreamMessage(authority_grant=response))


def revocation_frame(grant: Grant, reason: str, cascade: bool) -> bytes:
    """The notice to a delegate (weakness 35)."""
    notice = pb.AuthorityGrantRevocation(
        grant_id=grant.id,
        root_grant_id=grant.root_id,
        reason=reason,
        revoked_at=grant.revoked_ms // 1000,
        cascade=cascade,
    )
    return down(pb.DownstreamMessage(authority_grant_revocation=notice))


def reference(principal_type: str, principal_id: str) -> pb.PrincipalRef:
    return pb.PrincipalRef(principal_type=principal_type, principal_id=principal_id)


def resource_scope(entries: Iterable[Any]) -> ResourceScope:
    """Scope entries of any message; entries of the same type are one, and one without patterns opens the type."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        before = found.get(entry.resource_type)
        patterns = tuple(entry.patterns)
        is_open = before == () or not patterns
        found[entry.resource_type] = () if is_open else (*(before or ()), *patterns)
    return tuple(found.items())


def grant_info(grant: Grant) -> pb.ACLAuthorityGrantInfo:
    return pb.ACLAuthorityGrantInfo(
        grant_id=grant.id,
        root_grant_id=grant.root_id,
        subject=reference(*grant.subject),
        delegate=reference(*grant.delegate),
        issued_by=reference(grant.issued_by_type, grant.issued_by_id),
        root_subject=reference(grant.root_subject_type, grant.root_subject_id),
        parent_grant_id=grant.parent_id,
        may_delegate=grant.remaining_hops > 0,
        remaining_hops=grant.remaining_hops,
        workspace_scope=grant.workspace_scope,
        resource_scope=[
            pb.ACLAuthorityGrantResourceScopeEntry(resource_type=kind, patterns=patterns)
            for kind, patterns in grant.resource_scope
        ],
        operation_scope=grant.operation_scope,
        max_access_level=grant.max_access_level,
        access_level_name=level_name(grant.max_access_level),
        audience_type=grant.audience_type,
        audience_id=grant.audience_id,
        valid_while_audience_active=grant.while_active,
        expires_at=grant.expires_ms // 1000,
        renewable_until=grant.renewable_ms // 1000,
        renewed_at=grant.renewed_ms // 1000,
        revoked=bool(grant.revoked_ms),
        revoked_at=grant.revoked_ms // 1000,
        reason=grant.reason,
        metadata=grant.metadata,
        created_at=grant.created_ms // 1000,
    )


def resolved_info(grant: Grant) -> pb.AuthorityGrantInfo:
    """As somebody who only asks whether it holds sees it (acl 11)."""
    return pb.AuthorityGrantInfo(
        grant_id=grant.id,
        subject_type=grant.subject_type,
        subject_id=grant.subject_id,
        root_subject_type=grant.root_subject_type,
        root_subject_id=grant.root_subject_id,
        audience_type=grant.audience_type,
        audience_id=grant.audience_id,
        max_access_level=grant.max_access_level,
        workspace_scope=["*" if entry == ANY_WORKSPACE else entry for entry in grant.workspace_scope],
        expires_at=grant.expires_ms // 1000,
        revoked=bool(grant.revoked_ms),
    )
