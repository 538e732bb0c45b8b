"""Identities from the common names of client certificates (connection 9.2).

A common name becomes an identity, or the frame that the claimed one has to fit into. A part of a name that stands for
many -- all agents of a workspace, a pool -- is taken from the claim, never left as a wildcard in an identity (weakness
W-31).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aether.authentication.model import Denied, NotAuthenticated
from aether.identity import SEPARATOR, Identity, InvalidIdentity, PrincipalType, check_identifier

__all__ = ["ANONYMOUS", "CertificateName", "Mode", "parse_name", "settle_identity"]

ANONYMOUS = "_anonymous"
"""Common name of a certificate that only secures the transport."""

Mode = Literal["strict", "semi-strict", "relaxed"]
Claim = Callable[[], Identity]
"""Reads the identity that the client claims; raises InvalidIdentity."""

ANY = "*"

_KINDS = {
    "ag": PrincipalType.AGENT,
    "ga": PrincipalType.AGENT,
    "tu": PrincipalType.TASK,
    "ta": PrincipalType.TASK,
    "tb": PrincipalType.TASK,
    "us": PrincipalType.USER,
    "gu": PrincipalType.USER,
    "orc": PrincipalType.ORCHESTRATOR,
    "wfe": PrincipalType.WORKFLOW_ENGINE,
    "metrics": PrincipalType.METRICS_BRIDGE,
    "br": PrincipalType.BRIDGE,
    "sv": PrincipalType.SERVICE,
}


@dataclass(frozen=True, slots=True)
class CertificateName:
    """A common name in parts. ``*`` stands for a part that the claim fills in."""

    kind: PrincipalType
    workspace: str = ""
    implementation: str = ""
    specifier: str = ""
    id: str = ""

    @property
    def is_whole(self) -> bool:
        """It names one identity."""
        return ANY not in (self.workspace, self.implementation, self.specifier, self.id)

    def identity(self) -> Identity:
        return Identity(self.kind, self.workspace, self.implementation, self.specifier, self.id)


def parse_name(text: str, *, strict: bool = True) -> CertificateName:
    """Read a common name.

    :param strict: hold its parts to the identifier rules in full.
    :raises InvalidIdentity: it follows no form of the table.
    """
    prefix, *parts = text.split(SEPARATOR)
    for part in parts:
        check_identifier("common name", part, strict=strict)
    match prefix, parts:
        case (("ag" | "tu"), [workspace, implementation, specifier]) if workspace and implementation and specifier:
            return CertificateName(_KINDS[prefix], workspace, implementation, specifier)
        case "ga", [workspace] if workspace:
            return CertificateName(PrincipalType.AGENT, workspace, ANY, ANY)
        case "ta", [workspace, implementation, specifier] if workspace and implementation and specifier:
            return CertificateName(PrincipalType.TASK, workspace, implementation, specifier)
        case (("ta" | "tb"), [workspace, implementation]) if workspace and implementation:
            # A worker of a pool; its instance id is the gateway's.
            return CertificateName(PrincipalType.TASK, workspace, implementation, "" if prefix == "ta" else ANY, ANY)
        case "us", [user, window] if user:
            return CertificateName(PrincipalType.USER, specifier=window, id=user)
        case "gu", [workspace] if workspace:
            return CertificateName(PrincipalType.USER, specifier=ANY, id=ANY)
        case "orc", [implementation] if implementation:
            return CertificateName(PrincipalType.ORCHESTRATOR, implementation=implementation, specifier=ANY)
        case "orc", [implementation, specifier] if implementation and specifier:
            return CertificateName(PrincipalType.ORCHESTRATOR, implementation=implementation, specifier=specifier)
        case (("wfe" | "metrics"), [_]):
            return CertificateName(_KINDS[prefix])
        case (("br" | "sv"), [implementation, specifier]) if implementation:
            return CertificateName(_KINDS[prefix], implementation=implementation, specifier=specifier)
    raise InvalidIdentity("not a common name of a principal")


def settle_identity(text: str, mode: Mode, claim: Claim, *, strict: bool = True) -> Identity:
    """The identity of a client with a named certificate.

    :param text: its common name.
    :param claim: called when the mode, or an open part of the name, needs what the client says.
    :raises NotAuthenticated: the name cannot be read.
    :raises Denied: the claim does not fit to it.
    :raises InvalidIdentity: a claim that is needed is malformed.
    """
    if mode == "relaxed":
        kind = _KINDS.get(text.split(SEPARATOR, 1)[0])
        if kind is None:
            raise NotAuthenticated("invalid client certificate", "resolve_identity_failed")
        claimed = claim()
        if claimed.kind is not kind:
            raise Denied(
                f"identity mismatch: identity type mismatch: certificate confirms {kind.title} but InitConnection "
                f"provides {claimed.kind.title}",
                "identity_mismatch",
            )
        return claimed
    try:
        name = parse_name(text, strict=strict)
    except InvalidIdentity:
        raise NotAuthenticated("invalid client certificate", "resolve_identity_failed") from None
    if mode == "strict" and name.is_whole:
        return name.identity()
    claimed = claim()
    _compare("principal type", name.kind.title, claimed.kind.title, "type_mismatch")
    _compare("workspace", name.workspace, claimed.workspace, "workspace_mismatch")
    _compare("implementation", name.implementation, claimed.implementation, "impl_mismatch")
    if name.kind is PrincipalType.USER:
        _compare("user id", name.id, claimed.id, "identity_mismatch")
    if mode == "strict":
        _compare("specifier", name.specifier, claimed.specifier, "identity_mismatch")
    return claimed


def _compare(what: str, certified: str, claimed: str, reason: str) -> None:
    if certified not in (ANY, claimed):
        raise Denied(f"{what} mismatch: cert={certified}, claimed={claimed}", reason)
