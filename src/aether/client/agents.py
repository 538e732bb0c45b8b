"""Registered agents and their start, for principals that may administer them (tasks 15.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aether.client.link import Link
from aether.proto import aether_pb2 as pb

__all__ = ["Agents"]

Op = pb.AgentOperation


class Agents:
    """``me.agents``. Every method raises PermissionDenied for those who may not administer agents, and RequestRefused
    with the reason for what cannot be, NotFound where there is no such registration."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def register(
        self,
        implementation: str,
        profile: str,
        launch_params: Mapping[str, str] | None = None,
        *,
        description: str = "",
        capabilities: Mapping[str, bool] | None = None,
        extensions: Sequence[str] = (),
        resource_schema: Sequence[pb.AgentResourceSchemaEntry] = (),
    ) -> pb.AgentRegistrationInfo:
        """Say how agents of an implementation are started, or say it anew.

        :param profile: which orchestrators can do it.
        :param launch_params: defaults of every start; they override nothing that a single start says.
        :param extensions: URIs of protocol extensions that these agents may declare.
        :param resource_schema: families of resources that these agents are in charge of; no two registrations have the
            same prefix. Names the agent in audit rows, and decides no access.
        """
        agent = pb.AgentRegistrationInfo(
            implementation=implementation,
            description=description,
            launch_params={**(launch_params or {}), "profile": profile},
            capabilities=capabilities or {},
            extensions=extensions,
            resource_schema=resource_schema,
        )
        return (await self._run(Op.REGISTER, agent=agent)).agent

    async def get(self, implementation: str) -> pb.AgentRegistrationInfo:
        return (await self._run(Op.GET, implementation=implementation)).agent

    async def list(self, *, profile: str = "", limit: int = 0, offset: int = 0) -> Sequence[pb.AgentRegistrationInfo]:
        """By implementation; those of one profile, or all.

        :param limit: how many at most; 0 for all, in as many requests as that takes.
        """
        found: list[pb.AgentRegistrationInfo] = []
        while True:
            wanted = pb.AgentFilter(orchestrator_profile=profile, limit=limit, offset=offset + len(found))
            response = await self._run(Op.LIST, filter=wanted)
            found += response.agents
            if limit or not response.agents or offset + len(found) >= response.total_count:
                return found

    async def delete(self, implementation: str) -> None:
        """Agents that run are not touched, but none is started any more."""
        await self._run(Op.DELETE, implementation=implementation)

    async def launch(
        self, implementation: str, workspace: str = "", specifier: str = "", params: Mapping[str, str] | None = None
    ) -> str:
        """Start an agent; returns the id of the task that stands for it."""
        wanted = pb.AgentLaunchParams(workspace=workspace, specifier=specifier, param_overrides=params or {})
        response = await self._run(Op.LAUNCH, implementation=implementation, launch_params=wanted)
        return str(response.launch_result.task_id)

    async def orchestrators(self) -> Sequence[pb.OrchestratorInfo]:
        """Those that are connected, the longest first."""
        return [*(await self._run(Op.LIST_ORCHESTRATORS)).orchestrators]

    async def _run(self, op: int, **fields: Any) -> pb.AgentResponse:
        operation = Op(op=op, **fields)  # type: ignore[arg-type]
        response: pb.AgentResponse = await self._link.request("agent_op", operation)
        if not response.success:
            raise self._link.refusal_of(response.error, _code(response.error))
        return response


def _code(text: str) -> str:
    """For a refusal whose text has none."""
    if text.startswith("ERR_"):
        return ""
    return "AGENT_NOT_FOUND" if "not found in registry" in text else "AGENT_REFUSED"
