"""From the first upstream message to a resolved, authenticated claim (connection 2 to 4, 9, 12).

Everything here fails with a gRPC status and leaves nothing behind; acquiring begins in :mod:`aether.gateway.session`.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio
from google.protobuf.message import DecodeError

from aether.authentication.certificates import ANONYMOUS, Mode, common_name, settle_identity
from aether.authentication.chain import CredentialChain
from aether.authentication.model import Admission, Attempt, Denied, NotAuthenticated
from aether.errors import Code
from aether.identity import Identity, InvalidIdentity, PrincipalType, check_identifier
from aether.proto import aether_pb2 as pb
from aether.rpc.server import Peer, ServerCall
from aether.rpc.status import RpcError, StatusCode
from aether.sessions.store import ClientInfo, Lock

__all__ = [
    "Authenticator",
    "Claim",
    "Extensions",
    "Negotiated",
    "PeerAuthenticator",
    "build_ack",
    "read_claim",
    "read_init",
    "source_of",
]

IPV6_PREFIX = 64
EXTENSION_HEADER = "aether-extensions"


@dataclass(frozen=True, slots=True)
class Negotiated:
    """One extension that a client declared."""

    uri: str
    version: str
    required: bool
    supported: bool

    def wire(self) -> pb.NegotiatedExtension:
        reason = "" if self.supported else "extension URI not supported by this gateway"
        return pb.NegotiatedExtension(
            uri=self.uri, version=self.version, supported=self.supported, rejection_reason=reason
        )


@dataclass(frozen=True)
class Extensions:
    """What the client declared and what came of it, in the order of the declarations (connection 12)."""

    negotiated: tuple[Negotiated, ...] = ()

    @property
    def unsupported_required(self) -> str:
        """URI of the first required extension this gateway lacks; such a connection is refused after its ack."""
        return next((item.uri for item in self.negotiated if item.required and not item.supported), "")


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


class Authenticator(Protocol):
    """Decides whether a peer may be who it claims; the seam for every authentication method."""

    async def authenticate(
        self, peer: Peer, credentials: Mapping[str, str], claim: Callable[[], Identity], session_id: str
    ) -> Admission:
        """Return for an admitted peer, with the identity it gets.

        :param credentials: as in ``InitConnection``.
        :param claim: reads the identity that the client claims; not needed where a certificate says it all.
        :param session_id: of the session to be, for audit rows.
        :raises NotAuthenticated: no or wrong credentials.
        :raises Denied: right ones, but not for this identity.
        :raises InvalidIdentity: the claim is malformed.
        """


class PeerAuthenticator:
    """The gateway's own: the client's certificate first, then its credentials (connection 9.1).

    :param mtls: how a certificate binds the identity; None: certificates only secure the transport.
    :param mtls_required: refuse clients without a certificate.
    :param strict: hold names in certificates to the identifier rules in full.
    """

    def __init__(
        self, chain: CredentialChain, *, mtls: Mode | None = None, mtls_required: bool = False, strict: bool = True
    ) -> None:
        self._chain = chain
        self._mtls = mtls
        self._mtls_required = mtls_required
        self._strict = strict

    async def authenticate(
        self, peer: Peer, credentials: Mapping[str, str], claim: Callable[[], Identity], session_id: str
    ) -> Admission:
        """See :meth:`Authenticator.authenticate`."""
        source = source_of(peer.address)
        try:
            identity, has_certificate = self._identify(peer, claim)
        except (NotAuthenticated, Denied) as error:
            self._chain.refuse_certificate(source, session_id, error, _certificate_name(peer), _claimed(claim))
            raise
        return await self._chain.admit(
            Attempt(
                identity,
                source,
                credentials,
                has_certificate=has_certificate,
                in_process=peer.in_process,
                session_id=session_id,
            )
        )

    def _identify(self, peer: Peer, claim: Callable[[], Identity]) -> tuple[Identity, bool]:
        """The identity by certificate where there is a named one, else by claim; and whether it was by certificate."""
        if self._mtls is None or peer.in_process:
            return claim(), False
        if peer.certificate is None:
            if self._mtls_required:
                raise NotAuthenticated("mTLS is required", "resolve_identity_failed")
            return claim(), False
        name = common_name(peer.certificate, dt.datetime.now(dt.UTC))
        if name == ANONYMOUS:
            return claim(), False
        return settle_identity(name, self._mtls, claim, strict=self._strict), True


def _certificate_name(peer: Peer) -> str:
    """For the audit log; a certificate that is refused may have one all the same."""
    if peer.certificate is None:
        return ""
    try:
        return common_name(peer.certificate, dt.datetime.now(dt.UTC))
    except NotAuthenticated:
        return "unreadable"


def _claimed(claim: Callable[[], Identity]) -> str:
    try:
        return claim().key
    except InvalidIdentity:
        return ""


def source_of(address: str) -> str:
    """Whose failures are counted together: an address without its port, or the network of an IPv6 one, since whoever
    has one has all of it."""
    host = address.rpartition(":")[0].strip("[]") or address
    try:
        if ipaddress.ip_address(host).version == 4:
            return host
        return str(ipaddress.ip_network((host, IPV6_PREFIX), strict=False))
    except ValueError:
        return host


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


def negotiate(
    declared: Sequence[pb.ExtensionDeclaration],
    metadata: Sequence[tuple[str, str | bytes]],
    supported: Collection[str],
) -> Extensions:
    """One result per declaration, in order; URIs in the request header come last and are never required.

    :param supported: URIs that this client may use; versions and schemas are the business of those who use them.
    """
    declarations = [(item.uri, item.version, item.required) for item in declared]
    for name, value in metadata:
        if name.lower() == EXTENSION_HEADER and isinstance(value, str):
            declarations += [(uri.strip(), "", False) for uri in value.split(",")]
    return Extensions(
        tuple(Negotiated(uri, version, required, uri in supported) for uri, version, required in declarations if uri)
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
