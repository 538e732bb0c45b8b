"""From the first upstream message to a resolved, authenticated claim (connection 2 to 4, 9, 12).

Everything here fails with a gRPC status and leaves nothing behind; acquiring begins in :mod:`aether.gateway.session`.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio
from google.protobuf.message import DecodeError

from aether.errors import Code
from aether.identity import Identity, InvalidIdentity, PrincipalType, check_identifier
from aether.proto import aether_pb2 as pb
from aether.rpc.server import Peer, ServerCall
from aether.rpc.status import RpcError, StatusCode
from aether.sessions.store import ClientInfo, Lock

__all__ = ["Authenticator", "Claim", "DevelopmentAuthenticator", "Extensions", "build_ack", "read_claim"]

EXTENSION_HEADER = "aether-extensions"


@dataclass(frozen=True)
class Extensions:
    """What the client declared and what came of it (connection 12)."""

    negotiated: tuple[pb.NegotiatedExtension, ...] = ()
    unsupported_required: str = ""
    """URI of the first required extension this gateway lacks; such a connection is refused after its ack."""


@dataclass(frozen=True)
class Claim:
    """A well-formed ``InitConnection``: who the client says it is."""

    identity: Identity
    resume_session_id: str
    client: ClientInfo
    credentials: dict[str, str] = field(repr=False)
    extensions: Extensions
    consumes_pool_tasks: bool = True
    profiles: tuple[str, ...] = ()


class Authenticator(Protocol):
    """Decides whether a peer may be who it claims; the seam for every authentication method."""

    async def authenticate(self, peer: Peer, claim: Claim) -> None:
        """Return for an admitted claim.

        :raises RpcError: ``UNAUTHENTICATED`` or ``PERMISSION_DENIED``.
        """


class DevelopmentAuthenticator:
    """Admits clients without credentials; a credential that cannot be verified is still refused (connection 9.7)."""

    async def authenticate(self, peer: Peer, claim: Claim) -> None:
        credentials = claim.credentials
        if credentials.get("token") or credentials.get("task_token"):
            raise RpcError(StatusCode.UNAUTHENTICATED, "invalid or revoked token: token not found")
        if credentials.get("api_key") or credentials.get("x-api-key"):
            raise RpcError(
                StatusCode.UNAUTHENTICATED,
                "credential authentication failed: authentication failed: invalid API key: "
                "token not found or expired/revoked",
            )
        if credentials.get("bearer_token") or credentials.get("authorization"):
            raise RpcError(
                StatusCode.UNAUTHENTICATED,
                "credential authentication failed: authentication failed: no OAuth provider accepted the token",
            )
        await trio.lowlevel.checkpoint()


async def read_claim(call: ServerCall, *, timeout_s: float, strict: bool, new_id: str) -> Claim:
    """Wait for ``InitConnection`` and check it.

    :param new_id: the session id to be; also the id of a non-unique task and the seed of an unnamed orchestrator.
    :raises RpcError: with the status and text of the table in connection 2.
    """
    with trio.move_on_after(timeout_s) as scope:
        data = await call.receive()
    if scope.cancelled_caught:
        raise RpcError(StatusCode.DEADLINE_EXCEEDED, "timeout waiting for InitConnection")
    if data is None:
        raise RpcError(StatusCode.INVALID_ARGUMENT, "first message must be InitConnection")
    try:
        message = pb.UpstreamMessage.FromString(data)
    except DecodeError:
        raise RpcError(StatusCode.INVALID_ARGUMENT, "first message must be InitConnection") from None
    if message.WhichOneof("payload") != "init":
        raise RpcError(StatusCode.INVALID_ARGUMENT, "first message must be InitConnection")
    init = message.init
    try:
        identity = resolve_identity(init, strict=strict, new_id=new_id)
    except InvalidIdentity as error:
        raise RpcError(StatusCode.INVALID_ARGUMENT, f"invalid identity: {error}") from None
    build = init.client_build_info
    return Claim(
        identity=identity,
        resume_session_id=init.resume_session_id,
        client=ClientInfo(
            version=init.client_version or "unknown",
            sdk=init.client_sdk or "unknown",
            commit=build.commit,
            built_at=build.built_at,
            runtime=build.runtime,
            os=build.os,
        ),
        credentials=dict(init.credentials),
        extensions=negotiate(init.extensions, call.metadata),
        consumes_pool_tasks=not init.service.no_pool_consumer,
        profiles=tuple(init.orchestrator.supported_profiles),
    )


def resolve_identity(init: pb.InitConnection, *, strict: bool, new_id: str) -> Identity:
    """The claimed identity, with its identifiers checked (connection 1).

    :raises InvalidIdentity: naming the offending field.
    """

    def checked(field_name: str, value: str, *, required: bool = False) -> str:
        check_identifier(field_name, value, strict=strict, required=required)
        return value

    kind = init.WhichOneof("client_type")
    match kind:
        case "agent":
            return Identity(
                PrincipalType.AGENT,
                checked("workspace", init.agent.workspace, required=True),
                checked("implementation", init.agent.implementation, required=True),
                checked("specifier", init.agent.specifier),
            )
        case "task":
            specifier = checked("unique_specifier", init.task.unique_specifier)
            return Identity(
                PrincipalType.TASK,
                checked("workspace", init.task.workspace, required=True),
                checked("implementation", init.task.implementation, required=True),
                specifier,
                id="" if specifier else new_id,
            )
        case "user":
            return Identity(
                PrincipalType.USER,
                id=checked("user_id", init.user.user_id, required=True),
                specifier=checked("window_id", init.user.window_id),
            )
        case "orchestrator":
            return Identity(
                PrincipalType.ORCHESTRATOR,
                implementation=checked("implementation", init.orchestrator.implementation, required=True),
                specifier=checked("specifier", init.orchestrator.specifier) or new_id[:8],
            )
        case "workflow_engine":
            return Identity(PrincipalType.WORKFLOW_ENGINE)
        case "metrics_bridge":
            return Identity(PrincipalType.METRICS_BRIDGE)
        case "bridge":
            return Identity(
                PrincipalType.BRIDGE,
                implementation=checked("implementation", init.bridge.implementation, required=True),
                specifier=checked("specifier", init.bridge.specifier),
            )
        case "service":
            return Identity(
                PrincipalType.SERVICE,
                implementation=checked("implementation", init.service.implementation, required=True),
                specifier=checked("specifier", init.service.specifier),
            )
    raise InvalidIdentity("unknown principal type")


def negotiate(declared: Sequence[pb.ExtensionDeclaration], metadata: Sequence[tuple[str, str | bytes]]) -> Extensions:
    """One result per declaration, in order; URIs in the request header come last and are never required.

    This gateway has no native extensions, so every declaration is answered as unsupported.
    """
    declarations = [(item.uri, item.version, item.required) for item in declared]
    for name, value in metadata:
        if name.lower() == EXTENSION_HEADER and isinstance(value, str):
            declarations += [(uri.strip(), "", False) for uri in value.split(",")]
    declarations = [item for item in declarations if item[0]]
    return Extensions(
        negotiated=tuple(
            pb.NegotiatedExtension(
                uri=uri,
                version=version,
                supported=False,
                rejection_reason="extension URI not supported by this gateway",
            )
            for uri, version, _ in declarations
        ),
        unsupported_required=next((uri for uri, _, required in declarations if required), ""),
    )


def extension_refusal(extensions: Extensions) -> RpcError:
    """The status after an ack that shows a required extension as unsupported."""
    return RpcError(
        StatusCode.FAILED_PRECONDITION,
        f"{Code.EXTENSION_UNSUPPORTED}: extension required but not supported: {extensions.unsupported_required}",
    )


def build_ack(claim: Claim, lock: Lock, *, version: str) -> pb.DownstreamMessage:
    """``ConnectionAck`` (connection 4.1); ``assigned_id`` is the instance id in a pool worker's own topic."""
    return pb.DownstreamMessage(
        connection_ack=pb.ConnectionAck(
            session_id=lock.session_id,
            resumed=lock.resumed,
            assigned_id=claim.identity.id if claim.identity.is_pool_task else "",
            negotiated_extensions=claim.extensions.negotiated,
            server_version=version,
            server_build_info=pb.BuildInfo(
                runtime=f"python{platform.python_version()}",
                os=f"{platform.system().lower()}/{platform.machine()}",
            ),
            initial_connection_unix_ms=lock.initial_ms,
            reconnection_count=lock.reconnects,
        )
    )
