"""Operations on registrations, and the start of agents by name (tasks 15.1, 15.2; acl 7.4; weaknesses 45, 48)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from aether.access import Access, Level, is_system
from aether.answers import Answer, Caller, down, fit
from aether.audit.events import Event, Recorder, actor_of
from aether.errors import Code, Refusal, StoreUnavailable
from aether.identity import InvalidIdentity, check_identifier
from aether.paging import part
from aether.proto import aether_pb2 as pb
from aether.registry.registry import PROFILE, Registration, Registry, RegistryError, ResourceSchema

__all__ = ["ConnectedOrchestrator", "Launcher", "RegistryService"]

Op = pb.AgentOperation

REGISTRATION_BYTES_MAX = 64 * 1024

_DENIED = "admin agents operations require system-level privileges or an explicit ACL grant"
_UNAVAILABLE = "the registry is unavailable, try again"
_DATA_REQUIRED = "agent data required for REGISTER/UPDATE"


class ConnectedOrchestrator(Protocol):
    @property
    def identity_key(self) -> str: ...

    @property
    def profiles(self) -> tuple[str, ...]: ...

    @property
    def connected_ms(self) -> int: ...


class Launcher(Protocol):
    """Starts agents."""

    @property
    def ticket(self) -> int: ...

    def launch(self, target: str, overrides: dict[str, str], *, creator: str) -> str:
        """The id of the task that stands for the start of an agent.

        :raises ValueError: it cannot be started; the text is fit for clients.
        """


class RegistryService:
    """Answers ``agent_op``; every failure is an answer.

    :param orchestrators: those that are connected, the longest first.
    """

    def __init__(
        self,
        registry: Registry,
        launcher: Launcher,
        orchestrators: Callable[[], Sequence[ConnectedOrchestrator]],
        access: Access,
        recorder: Recorder,
        *,
        strict: bool = True,
    ) -> None:
        self._registry = registry
        self._launcher = launcher
        self._orchestrators = orchestrators
        self._access = access
        self._recorder = recorder
        self._strict = strict
        self._handlers: Mapping[int, Callable[[Caller, pb.AgentOperation, pb.AgentResponse], None]] = {
            Op.LIST: self._list,
            Op.GET: self._get,
            Op.REGISTER: self._register,
            Op.UPDATE: self._update,
            Op.DELETE: self._delete,
            Op.LAUNCH: self._launch,
            Op.LIST_ORCHESTRATORS: self._list_orchestrators,
        }

    def handle(self, caller: Caller, operation: pb.AgentOperation) -> Answer:
        """Run one operation.

        :raises Refusal: this caller may not.
        """
        if not self._may_administer(caller):
            raise Refusal(Code.PERMISSION_DENIED, _DENIED)
        response = pb.AgentResponse(request_id=operation.request_id)
        try:
            handler = self._handlers.get(operation.op)
            if handler is None:
                raise RegistryError("unknown agent operation")
            handler(caller, operation, response)
            response.success = True
        except (RegistryError, ValueError) as error:
            response.error = str(error)
        except StoreUnavailable:
            response.error = _UNAVAILABLE
        ticket = max(self._registry.ticket, self._launcher.ticket)
        return Answer((_frame(response),), ticket, functools.partial(_in_doubt, operation.request_id))

    def _may_administer(self, caller: Caller) -> bool:
        if is_system(caller):
            return True
        return self._access.rights(caller).check("admin", "admin/agents", Level.ADMIN, "admin_op_agents", "").allowed

    # -------------------------------------------------------------------------------------------------- operations

    def _list(self, caller: Caller, operation: pb.AgentOperation, response: pb.AgentResponse) -> None:
        del caller
        wanted = operation.filter
        found = [
            registration
            for registration in self._registry.all()
            if wanted.orchestrator_profile in ("", registration.profile)
        ]
        response.agents.extend(fit(_info(registration) for registration in part(found, wanted.limit, wanted.offset)))
        response.total_count = len(found)

    def _get(self, caller: Caller, operation: pb.AgentOperation, response: pb.AgentResponse) -> None:
        del caller
        registration = self._registry.find(operation.implementation)
        if registration is None:
            raise RegistryError(f"agent implementation '{operation.implementation}' not found in registry")
        response.agent.CopyFrom(_info(registration))

    def _register(self, caller: Caller, operation: pb.AgentOperation, response: pb.AgentResponse) -> None:
        self._put(caller, operation, operation.agent.implementation, response)
        response.message = "agent registered successfully"

    def _update(self, caller: Caller, operation: pb.AgentOperation, response: pb.AgentResponse) -> None:
        self._put(caller, operation, operation.implementation or operation.agent.implementation, response)
        response.message = "agent updated successfully"

    def _put(
        self, caller: Caller, operation: pb.AgentOperation, implementation: str, response: pb.AgentResponse
    ) -> None:
        if not operation.HasField("agent"):
            raise RegistryError(_DATA_REQUIRED)
        if operation.agent.ByteSize() > REGISTRATION_BYTES_MAX:
            raise RegistryError(f"a registration must not exceed {REGISTRATION_BYTES_MAX} bytes")
        try:
            check_identifier("implementation", implementation, strict=self._strict)
        except InvalidIdentity as error:
            raise RegistryError(str(error)) from None
        event = self._event(caller, operation, implementation)
        registration = self._registry.put(
            _registration(operation.agent, implementation), lambda: self._recorder.record(event)
        )
        response.agent.CopyFrom(_info(registration))

    def _delete(self, caller: Caller, operation: pb.AgentOperation, response: pb.AgentResponse) -> None:
        event = self._event(caller, operation, operation.implementation)
        self._registry.delete(operation.implementation, lambda: self._recorder.record(event))
        response.message = "agent deleted successfully"

    def _launch(self, caller: Caller, operation: pb.AgentOperation, response: pb.AgentResponse) -> None:
        params = operation.launch_params
        workspace, specifier = params.workspace or "default", params.specifier or "default"
        try:
            check_identifier("workspace", workspace, strict=self._strict)
            check_identifier("specifier", specifier, strict=self._strict)
            check_identifier("implementation", operation.implementation, strict=self._strict, required=True)
        except InvalidIdentity as error:
            raise RegistryError(str(error)) from None
        target = f"ag::{workspace}::{operation.implementation}::{specifier}"
        overrides = {**params.param_overrides, "specifier": specifier}
        task_id = self._launcher.launch(target, overrides, creator=caller.identity.key)
        self._recorder.routine(self._event(caller, operation, operation.implementation))
        response.message = f"Agent {operation.implementation}.{specifier} launch triggered: {task_id}"
        response.launch_result.task_id = task_id
        response.launch_result.message = response.message

    def _list_orchestrators(self, caller: Caller, operation: pb.AgentOperation, response: pb.AgentResponse) -> None:
        del caller, operation
        for orchestrator in self._orchestrators():
            response.orchestrators.add(
                orchestrator_id=orchestrator.identity_key,
                profiles=orchestrator.profiles,
                connected_at=orchestrator.connected_ms // 1000,
            )
        response.total_count = len(response.orchestrators)

    @staticmethod
    def _event(caller: Caller, operation: pb.AgentOperation, implementation: str) -> Event:
        """The audit row of a change."""
        return Event(
            kind="admin",
            operation=f"agent_{Op.OpType.Name(operation.op).lower()}",
            **actor_of(caller.identity),
            resource_type="agent",
            resource_id=implementation,
            workspace=caller.identity.workspace,
            session_id=caller.session_id,
        )


def _registration(agent: pb.AgentRegistrationInfo, implementation: str) -> Registration:
    params = dict(agent.launch_params)
    if agent.orchestrator_profile:
        params.setdefault(PROFILE, agent.orchestrator_profile)
    return Registration(
        implementation,
        params,
        agent.description,
        tuple(
            ResourceSchema(entry.resource_type_prefix, tuple(entry.permission_verbs), entry.resource_id_schema)
            for entry in agent.resource_schema
        ),
        dict(agent.capabilities),
        tuple(agent.extensions),
    )


def _info(registration: Registration) -> pb.AgentRegistrationInfo:
    return pb.AgentRegistrationInfo(
        implementation=registration.implementation,
        orchestrator_profile=registration.profile,
        description=registration.description,
        launch_params=registration.launch_params,
        registered_at=registration.registered_ms // 1000,
        updated_at=registration.updated_ms // 1000,
        resource_schema=[
            pb.AgentResourceSchemaEntry(
                resource_type_prefix=schema.prefix,
                permission_verbs=schema.verbs,
                resource_id_schema=schema.id_schema,
            )
            for schema in registration.resource_schema
        ],
        capabilities=registration.capabilities,
        extensions=registration.extensions,
    )


def _frame(response: pb.AgentResponse) -> bytes:
    return down(pb.DownstreamMessage(agent=response))


def _in_doubt(request_id: str) -> tuple[bytes, ...]:
    return (_frame(pb.AgentResponse(request_id=request_id, error=_UNAVAILABLE)),)
