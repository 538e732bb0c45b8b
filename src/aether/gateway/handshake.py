"""From the first upstream message to a resolved, authenticated claim (connection 2 to 4, 9, 12).

Everything here fails with a gRPC status and leaves nothing behind; acquiring begins in :mod:`aether.gateway.connect`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection
from dataclasses import dataclass

import trio
from google.protobuf.message import DecodeError

from aether.authentication.model import Admission, Denied, NotAuthenticated
from aether.gateway.authenticator import Authenticator
from aether.gateway.extensions import Extensions, negotiate
from aether.identity import Identity, InvalidIdentity, PrincipalType, check_identifier
from aether.proto import aether_pb2 as pb
from aether.rpc.server import ServerCall
from aether.rpc.status import RpcError, StatusCode
from aether.sessions.store import ClientInfo, Lock

__all__ = ["Claim", "build_ack", "read_claim", "read_init"]


@dataclass(frozen=True)
class Claim:
    """A well-formed ``InitConnection`` of an admitted client.

    :ivar identity: that of the admission, or that of the session it resumes.
    """

    identity: Identity
    admission: Admission
    resume_session_id: str
    client: ClientInfo
    extensions: Extensions
    consumes_pool_tasks: bool = True
    profiles: tuple[str, ...] = ()


async def read_init(call: ServerCall, *, timeout_s: float) -> pb.InitConnection:
    """Wait for the first message, which has to be ``InitConnection``.

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
    return message.init


async def read_claim(
    init: pb.InitConnection,
    call: ServerCall,
    authenticator: Authenticator,
    *,
    strict: bool,
    new_id: str,
    supported: Callable[[Identity], Collection[str]] = lambda _: (),
) -> Claim:
    """Settle who the client is.

    :param supported: URIs of the extensions that a principal may use.
    :param new_id: the session id to be; also the id of a non-unique task and the seed of an unnamed orchestrator.
    :raises RpcError: ``INVALID_ARGUMENT``, ``UNAUTHENTICATED`` or ``PERMISSION_DENIED``.
    :raises StoreUnavailable: it cannot be decided now.
    """
    credentials = dict(init.credentials)
    try:
        admission = await authenticator.authenticate(
            call.peer, credentials, lambda: resolve_identity(init, strict=strict, new_id=new_id), new_id
        )
        if admission.identity.kind is PrincipalType.USER:
            # A bearer token may have named both.
            check_identifier("user_id", admission.identity.id, strict=strict, required=True)
            check_identifier("workspace", admission.identity.workspace, strict=strict)
    except InvalidIdentity as error:
        raise RpcError(StatusCode.INVALID_ARGUMENT, f"invalid identity: {error}") from None
    except NotAuthenticated as error:
        raise RpcError(StatusCode.UNAUTHENTICATED, str(error)) from None
    except Denied as error:
        raise RpcError(StatusCode.PERMISSION_DENIED, str(error)) from None
    build = init.client_build_info
    return Claim(
        identity=admission.identity,
        admission=admission,
        resume_session_id=init.resume_session_id,
        client=ClientInfo(
            version=init.client_version or "unknown",
            sdk=init.client_sdk or "unknown",
            commit=build.commit,
            built_at=build.built_at,
            runtime=build.runtime,
            os=build.os,
        ),
        extensions=negotiate(init.extensions, call.metadata, supported(admission.identity)),
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

    has_bearer = any(init.credentials.get(name) for name in ("bearer_token", "authorization"))  # it names the user
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
                id=checked("user_id", init.user.user_id, required=not has_bearer),
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


def build_ack(claim: Claim, lock: Lock, *, version: str) -> pb.DownstreamMessage:
    """``ConnectionAck`` (connection 4.1); ``assigned_id`` is the instance id in a pool worker's own topic."""
    return pb.DownstreamMessage(
        connection_ack=pb.ConnectionAck(
            session_id=lock.session_id,
            resumed=lock.resumed,
            assigned_id=claim.identity.id if claim.identity.is_pool_task else "",
            negotiated_extensions=[item.wire() for item in claim.extensions.negotiated],
            server_version=version,
            server_build_info=pb.BuildInfo(
                runtime=f"python{platform.python_version()}",
                os=f"{platform.system().lower()}/{platform.machine()}",
            ),
            initial_connection_unix_ms=lock.initial_ms,
            reconnection_count=lock.reconnects,
        )
    )
