"""Extensions that a client declares, and what came of it (connection 12)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from aether.errors import Code
from aether.proto import aether_pb2 as pb
from aether.rpc.status import RpcError, StatusCode

__all__ = ["Extensions", "Negotiated", "extension_refusal", "negotiate"]

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
