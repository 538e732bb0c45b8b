"""Workspaces, for principals that may administer them (tasks 15.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aether.client.link import Link
from aether.proto import aether_pb2 as pb

__all__ = ["Workspaces"]

Op = pb.WorkspaceOperation


class Workspaces:
    """``me.workspaces``. Every method raises PermissionDenied for those who may not administer workspaces, and
    RequestRefused with the reason for what cannot be."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def list(self, *, tenant: str = "", limit: int = 0, offset: int = 0) -> Sequence[pb.WorkspaceInfo]:
        """Those with a description, a session or a task, by name.

        :param limit: how many at most; 0 for all, in as many requests as that takes.
        """
        found: list[pb.WorkspaceInfo] = []
        while True:
            wanted = pb.WorkspaceFilter(tenant_id=tenant, limit=limit, offset=offset + len(found))
            response = await self._run(Op.LIST, filter=wanted)
            found += response.workspaces
            if limit or not response.workspaces or offset + len(found) >= response.total_count:
                return found

    async def get(self, workspace: str) -> pb.WorkspaceInfo:
        """Also of one that nobody uses yet."""
        return (await self._run(Op.GET, workspace_id=workspace)).workspace

    async def create(self, workspace: str, display_name: str = "", **fields: Any) -> pb.WorkspaceInfo:
        """Describe a workspace, in place of what was said before.

        :param fields: ``description``, ``tenant_id``, ``metadata``.
        """
        info = pb.WorkspaceInfo(workspace_id=workspace, display_name=display_name, **fields)
        return (await self._run(Op.CREATE, workspace=info)).workspace

    async def update(
        self,
        workspace: str,
        *,
        display_name: str = "",
        description: str = "",
        tenant_id: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> pb.WorkspaceInfo:
        """Change what is not empty; metadata entry by entry."""
        info = pb.WorkspaceInfo(
            display_name=display_name, description=description, tenant_id=tenant_id, metadata=metadata or {}
        )
        return (await self._run(Op.UPDATE, workspace_id=workspace, workspace=info)).workspace

    async def limit(self, workspace: str, **quotas: int | None) -> pb.WorkspaceInfo:
        """Give a workspace quotas of its own; what is not named stays. For those who administer all workspaces.

        :param quotas: ``connections``, ``tasks`` (unfinished ones), ``message_rate`` (a second, of all senders
            together), ``kv_keys`` and ``kv_bytes`` (values and checkpoints stored); 0 is any number, None as the
            gateway is configured.
        """
        metadata = {f"quota.{name}": "" if number is None else str(number) for name, number in quotas.items()}
        return await self.update(workspace, metadata=metadata)

    async def delete(self, workspace: str) -> None:
        """Its description goes, and its unfinished tasks are cancelled; refused while sessions are connected."""
        await self._run(Op.DELETE, workspace_id=workspace)

    async def connected(self, workspace: str) -> Sequence[pb.FlowNode]:
        """Who is connected."""
        return [*(await self.flow(workspace)).nodes]

    async def flow(self, workspace: str) -> pb.MessageFlowInfo:
        """Who is connected, and who sent how many messages to whom within the last hour."""
        return (await self._run(Op.GET_MESSAGE_FLOW, workspace_id=workspace)).message_flow

    async def _run(self, op: int, **fields: Any) -> pb.WorkspaceResponse:
        operation = Op(op=op, **fields)  # type: ignore[arg-type]
        response: pb.WorkspaceResponse = await self._link.request("workspace_op", operation)
        if not response.success:
            code = "" if response.error.startswith("ERR_") else "WORKSPACE_REFUSED"
            raise self._link.refusal_of(response.error, code)
        return response
