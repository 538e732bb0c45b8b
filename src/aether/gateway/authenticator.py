"""Whether a peer may be who it claims: by its certificate, then by its credentials (connection 9.1)."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable, Mapping
from typing import Protocol

from aether.authentication.chain import CredentialChain
from aether.authentication.common_names import ANONYMOUS, Mode, settle_identity
from aether.authentication.model import Admission, Attempt, Denied, NotAuthenticated
from aether.identity import Identity, InvalidIdentity
from aether.rpc.server import Peer

__all__ = ["Authenticator", "PeerAuthenticator", "source_of"]

IPV6_PREFIX = 64


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
        self._common_name = _no_certificates
        if mtls is not None:
            # With the library behind it that is 8 MiB, which a gateway without certificates need not hold.
            from aether.authentication.certificates import common_name

            self._common_name = common_name

    async def authenticate(
        self, peer: Peer, credentials: Mapping[str, str], claim: Callable[[], Identity], session_id: str
    ) -> Admission:
        """See :meth:`Authenticator.authenticate`."""
        source = source_of(peer.address)
        try:
            identity, has_certificate = self._identify(peer, claim)
        except (NotAuthenticated, Denied) as error:
            self._chain.refuse_certificate(source, session_id, error, self._certificate_name(peer), _claimed(claim))
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
        name = self._common_name(peer.certificate, dt.datetime.now(dt.UTC))
        if name == ANONYMOUS:
            return claim(), False
        return settle_identity(name, self._mtls, claim, strict=self._strict), True

    def _certificate_name(self, peer: Peer) -> str:
        """For the audit log; a certificate that is refused may have one all the same."""
        if peer.certificate is None:
            return ""
        try:
            return self._common_name(peer.certificate, dt.datetime.now(dt.UTC))
        except NotAuthenticated:
            return "unreadable"


def _no_certificates(certificate: bytes, now: dt.datetime) -> str:
    raise NotAuthenticated("invalid client certificate", "resolve_identity_failed")


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
