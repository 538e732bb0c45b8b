"""The audit log: reading it, and rows of one's own (acl 16, 17)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from aether.client.errors import PermissionDenied, refused
from aether.client.link import Link
from aether.errors import Code
from aether.proto import aether_pb2 as pb

__all__ = ["Audit"]

PAGE = 500
NOBODY = ("", "")
_FOR_THE_MOMENT = frozenset({Code.AUDIT_RATE_LIMITED, Code.AUDIT_UNAVAILABLE})


class Audit:
    """``me.audit``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def submit(
        self,
        operation: str,
        *,
        kind: str = "custom",
        resource: tuple[str, str] = NOBODY,
        workspace: str = "",
        success: bool = True,
        error: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Add a row. Who did it and when is the gateway's word; the row is durable when this returns.

        :param kind: ``custom``, ``message``, ``kv`` or ``task``.
        :param resource: type and id of what it was done with.
        :param workspace: empty: one's own; for another one the capability ``audit_submit`` is needed.
        :param metadata: values under names like ``password`` are not kept.
        :raises RequestRefused: it was not added; ``retryable`` when there were too many, or the log cannot write now.
        """
        request = pb.SubmitAuditEventRequest(
            event_type=kind,
            operation=operation,
            resource_type=resource[0],
            resource_id=resource[1],
            workspace=workspace,
            success=success,
            error_message=error,
            metadata=metadata or {},
        )
        response: pb.SubmitAuditEventResponse = await self._link.request("submit_audit_event", request)
        if not response.success:
            code = response.error_code
            raise refused(
                pb.ErrorResponse(code=code, message=response.error_message, retryable=code in _FOR_THE_MOMENT)
            )

    async def find(
        self,
        *,
        since_s: int = 0,
        until_s: int = 0,
        kind: str = "",
        operation: str = "",
        workspace: str = "",
        actor: tuple[str, str] = NOBODY,
        subject: tuple[str, str] = NOBODY,
        resource: tuple[str, str] = NOBODY,
        grant_id: str = "",
        only_failures: bool = False,
        authorization: pb.AuthorizationContext | None = None,
    ) -> AsyncIterator[pb.AuditEntry]:
        """Rows, the newest first, as they were when the first page was read; pages are fetched as they are needed.
        What is left out, or empty, does not narrow it down.

        :param since_s: Unix time in seconds, and so is ``until_s``.
        :param workspace: its log is open to who manages it; all of it takes the right to ``admin/audit``.
        :param actor: type and id; the id may be empty. So are ``subject``, on whose behalf, and ``resource``.
        :raises PermissionDenied: the log, or that of the workspace, is not for this principal.
        """
        query = pb.AuditQuery(
            start_time=since_s,
            end_time=until_s,
            event_type=kind,
            operation=operation,
            workspace=workspace,
            actor_type=actor[0],
            actor_id=actor[1],
            subject_type=subject[0],
            subject_id=subject[1],
            resource_type=resource[0],
            resource_id=resource[1],
            authority_grant_id=grant_id,
            only_failures=only_failures,
            authorization=authorization,
            limit=PAGE,
        )
        last = 0
        while True:
            page = await self._page(query)
            for entry in page:
                if not last or entry.audit_id < last:  # after a reconnect pages may overlap
                    last = entry.audit_id
                    yield entry
            if not page:
                return
            query.offset += len(page)

    async def _page(self, query: pb.AuditQuery) -> list[pb.AuditEntry]:
        response: pb.AuditQueryResponse = await self._link.request("audit_query", query)
        if response.success:
            return list(response.entries)
        # These responses have no code, only a text.
        if "privileges" in response.error or "permissions" in response.error:
            raise PermissionDenied("AUDIT_QUERY_REFUSED", response.error)
        raise self._link.refusal_of(response.error, "AUDIT_QUERY_REFUSED")
