"""A certificate authority for development and small deployments (operations 4.3)."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "write_private"]

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365


@dataclass(frozen=True)
class Authority:
    """Issues certificates; ECDSA P-256 throughout."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load_or_create(cls, directory: Path) -> Authority:
        """The authority of ``ca-cert.pem`` and ``ca-key.pem``, which are made when neither exists.

        :raises ValueError: one of the files is not what it should be.
        :raises OSError: they cannot be read or written.
        """
        cert_file, key_file = directory / "ca-cert.pem", directory / "ca-key.pem"
        if cert_file.exists() and key_file.exists():
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError(f"{key_file} is not a key on an elliptic curve")
            return cls(x509.load_pem_x509_certificate(cert_file.read_bytes()), key)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Aether CA")
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _builder(name, name, key, AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        authority = cls(certificate, key)
        authority._write(certificate, key, cert_file, key_file)
        return authority

    def issue_server(self, directory: Path, names: Sequence[str]) -> tuple[Path, Path]:
        """``server-cert.pem`` and ``server-key.pem`` for this machine and some more names or addresses."""
        wanted = dict.fromkeys(["localhost", "aether-gateway", "127.0.0.1", "::1", *names])
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in wanted])
        return self._issue(directory / "server", _name("aether-gateway"), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def issue_client(self, directory: Path, common_name: str, unit: str) -> tuple[Path, Path]:
        """A client certificate for an identity, named after it with dots for its separators."""
        stem = directory / common_name.replace("::", ".").lstrip("_")
        return self._issue(stem, _name(common_name, unit), ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(
        self, stem: Path, name: x509.Name, usage: x509.ObjectIdentifier, names: x509.SubjectAlternativeName | None
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(name, self.certificate.subject, key, CERTIFICATE_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        cert_file, key_file = stem.with_name(f"{stem.name}-cert.pem"), stem.with_name(f"{stem.name}-key.pem")
        self._write(builder.sign(self.key, hashes.SHA256()), key, cert_file, key_file)
        return cert_file, key_file

    def _write(
        self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey, cert_file: Path, key_file: Path
    ) -> None:
        write_private(cert_file, certificate.public_bytes(serialization.Encoding.PEM))
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        write_private(key_file, pem)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, in a directory that is made when missing."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _name(common_name: str, unit: str = "") -> x509.Name:
    attributes = [
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Aether"),
    ]
    if unit:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name(attributes)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=days))
    )
