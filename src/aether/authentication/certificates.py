"""Reads client certificates; TLS has verified their chain (connection 9.2)."""

from __future__ import annotations

import datetime as dt

from cryptography import x509
from cryptography.x509.oid import NameOID

from aether.authentication.model import NotAuthenticated

__all__ = ["common_name"]


def common_name(certificate: bytes, now: dt.datetime) -> str:
    """The common name of a client certificate.

    :param certificate: DER.
    :raises NotAuthenticated: it cannot be read, is not valid now, is an authority, or has no single name.
    """
    refused = NotAuthenticated("invalid client certificate", "resolve_identity_failed")
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        is_authority = _is_authority(parsed)
    except ValueError:
        raise refused from None
    if is_authority or not parsed.not_valid_before_utc <= now <= parsed.not_valid_after_utc or len(names) != 1:
        raise refused
    return str(names[0].value)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
