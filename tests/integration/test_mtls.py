"""Client certificates as credentials on a real TLS port (connection 9.2, checklist 44 to 48): who gets in as whom in
each mode, and that refusals are on record."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aether import Config, Gateway, connect_agent, connect_service
from aether.audit.store import Filter
from aether.cli.pki import Authority
from aether.client import ConnectFailed, ConnectionLost, Options, Unauthenticated
from aether.gateway.gateway import CONNECT
from aether.proto import aether_pb2 as pb
from aether.rpc.client import connect, connect_stream
from aether.rpc.status import RpcError, frame
from aether.rpc.tls import client_context


class Site:
    """A certificate authority, and gateways that trust it."""

    def __init__(self, directory: Path, engine: str) -> None:
        self.directory = directory
        self.engine = engine
        self.authority = Authority.load_or_create(directory)
        self.server = self.authority.issue_server(directory, [])
        self.port = 0

    @asynccontextmanager
    async def serve(self, mode: str = "strict", *, required: bool = False) -> AsyncIterator[Gateway]:
        cert, key = self.server
        tls = {"cert_file": cert, "key_file": key, "ca_file": self.directory / "ca-cert.pem", "client_auth": "request"}
        config = Config.model_validate(
            {
                "gateway": {"port": 0, "ops_port": 0, "engine": self.engine, "tls": tls},
                "storage": {"data_dir": self.directory / "data"},
                "auth": {"modes": ["mtls"], "mtls": {"mode": mode, "required": required}},
            }
        )
        async with Gateway(config) as gateway:
            assert gateway.port is not None
            self.port = gateway.port
            yield gateway

    def options(self, name: str | None, files: tuple[Path, Path] | None = None) -> Options:
        """Of a client whose certificate has this common name; None: without one."""
        if name is not None and files is None:
            files = self.authority.issue_client(self.directory / "clients", name, "x")
        cert, key = files or (None, None)
        context = client_context(ca_file=self.directory / "ca-cert.pem", cert_file=cert, key_file=key)
        return Options(tls=context, attempts_max=1)

    def agent(self, options: Options, *, workspace: str = "w", implementation: str = "i", specifier: str = "s") -> Any:
        return connect_agent(
            f"localhost:{self.port}",
            workspace=workspace,
            implementation=implementation,
            specifier=specifier,
            options=options,
        )

    async def works(self, name: str, files: tuple[Path, Path] | None = None, **claim: str) -> None:
        async with self.agent(self.options(name, files), **claim) as me:
            await me.kv.put("k", b"v")

    async def refuses(self, options: Options, error: type[Exception], text: str, **claim: str) -> None:
        with pytest.raises(error, match=text):
            async with self.agent(options, **claim):
                pass


@pytest.fixture
def site(tmp_path: Path, engine: str) -> Site:
    return Site(tmp_path, engine)


async def failures(gateway: Gateway) -> list[tuple[str, str]]:
    """Operation and text of the refusals on record, the oldest first."""
    _, found = await gateway.services.tier.audit.query(Filter(kind="auth", only_failures=True), 100, 0)
    assert all(row.session_id for row in found)
    return [(row.operation, row.error) for row in reversed(found)]


async def test_strict_takes_the_certificates_word(site: Site) -> None:
    """44."""
    async with site.serve() as gateway:
        async with site.agent(site.options("ag::w::i::s"), workspace="other", implementation="x", specifier="y"):
            assert [session.identity.key for session in gateway.services.directory] == ["ag::w::i::s"]
        await site.works("ga::w", implementation="any", specifier="one")
        await site.refuses(site.options("ga::w"), ConnectFailed, "workspace mismatch: cert=w, claimed=v", workspace="v")


async def first_word(transport: Any, init: pb.InitConnection) -> str | None:
    """What the gateway says first to a client that says this."""
    async with connect_stream(transport) as channel, channel.call(CONNECT) as call:
        call.send(frame(pb.UpstreamMessage(init=init).SerializeToString()))
        call.flush()
        return pb.DownstreamMessage.FromString(await call.receive() or b"").WhichOneof("payload")


async def test_strict_needs_no_claim(site: Site) -> None:
    """44: the certificate says it all."""
    async with site.serve(required=True) as gateway:
        tls = site.options("ag::w::i::s").tls
        async with connect("localhost", site.port, tls=tls) as channel, channel.call(CONNECT) as call:
            call.send(frame(pb.UpstreamMessage(init=pb.InitConnection()).SerializeToString()))
            call.flush()
            ack = pb.DownstreamMessage.FromString(await call.receive() or b"")
            assert ack.connection_ack.session_id
            assert [session.identity.key for session in gateway.services.directory] == ["ag::w::i::s"]


async def test_our_own_process_needs_no_certificate(site: Site) -> None:
    """69: not even where one is required; and over TCP nobody is believed to be the engine."""
    engine = pb.InitConnection(workflow_engine=pb.WorkflowEngineIdentity())
    async with site.serve(required=True) as gateway:
        assert await first_word(await gateway.open_transport(), engine) == "connection_ack"
        tls = site.options(None).tls
        async with connect("localhost", site.port, tls=tls) as channel, channel.call(CONNECT) as call:
            call.send(frame(pb.UpstreamMessage(init=engine).SerializeToString()))
            call.flush()
            with pytest.raises(RpcError, match="mTLS is required"):
                await call.receive()


@pytest.mark.parametrize("days", [(-2, -1), (1, 2)], ids=["expired", "not yet valid"])
async def test_certificates_of_another_time(site: Site, days: tuple[int, int]) -> None:
    """48."""
    async with site.serve():
        await site.refuses(site.options("", forged(site, name="ag::w::i::s", days=days)), ConnectionLost, "certificate")
        await site.works("", forged(site, name="ag::w::i::s"))


async def test_semi_strict_leaves_the_specifier_open(site: Site) -> None:
    """45."""
    async with site.serve("semi-strict") as gateway:
        await site.works("ag::w::i::s", specifier="another")
        options = site.options("ag::w::i::s")
        await site.refuses(options, ConnectFailed, "workspace mismatch: cert=w, claimed=v", workspace="v")
        await site.refuses(options, ConnectFailed, "implementation mismatch: cert=i, claimed=j", implementation="j")
        with pytest.raises(ConnectFailed, match="principal type mismatch: cert=Agent, claimed=Service"):
            async with connect_service(f"localhost:{site.port}", implementation="i", specifier="s", options=options):
                pass
        assert await failures(gateway) == [
            ("identity_resolve_failed", "workspace mismatch: cert=w, claimed=v"),
            ("identity_resolve_failed", "implementation mismatch: cert=i, claimed=j"),
            ("identity_resolve_failed", "principal type mismatch: cert=Agent, claimed=Service"),
        ]


async def test_relaxed_binds_the_type(site: Site) -> None:
    """46."""
    async with site.serve("relaxed") as gateway:
        await site.works("ag", workspace="anywhere")
        await site.refuses(
            site.options("us"), ConnectFailed, "certificate confirms User but InitConnection provides Agent"
        )
        [(operation, _)] = await failures(gateway)
        assert operation == "identity_resolve_failed"


async def test_a_certificate_may_be_required(site: Site) -> None:
    """47."""
    async with site.serve(required=True) as gateway:
        await site.refuses(site.options(None), Unauthenticated, "mTLS is required")
        await site.refuses(site.options("_anonymous"), Unauthenticated, "requires API key auth but no authenticator")
        await site.works("ag::w::i::s")
        assert [operation for operation, _ in await failures(gateway)] == ["auth_mtls_failure", "auth_token_validation"]


@pytest.mark.parametrize("name", ["robot::x", "ag::w::i", "ag::w::i::*", "ag::::i::s", "us::", ""])
async def test_names_of_nobody(site: Site, name: str) -> None:
    """48."""
    async with site.serve() as gateway:
        options = site.options(name, None if name else forged(site, organization="nobody"))
        await site.refuses(options, Unauthenticated, "invalid client certificate")
        assert await failures(gateway) == [("auth_mtls_failure", "invalid client certificate")]


def forged(
    site: Site, *, organization: str = "", name: str = "", is_authority: bool = False, days: tuple[int, int] = (-1, 1)
) -> tuple[Path, Path]:
    """A certificate signed by the authority, of a kind that it would not make.

    :param days: from now, between which it is valid.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    authority_key = serialization.load_pem_private_key((site.directory / "ca-key.pem").read_bytes(), None)
    authority = x509.load_pem_x509_certificate((site.directory / "ca-cert.pem").read_bytes())
    now = dt.datetime.now(dt.UTC)
    oid = x509.oid.NameOID
    parts = ((oid.ORGANIZATION_NAME, organization), (oid.COMMON_NAME, name))
    subject = [x509.NameAttribute(kind, value) for kind, value in parts if value]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(days=days[0]))
        .not_valid_after(now + dt.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())  # type: ignore[arg-type]
    )
    files = site.directory / "forged-cert.pem", site.directory / "forged-key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


async def test_an_authority_is_no_client(site: Site) -> None:
    """48: a certificate that can sign others names nobody, whatever it says."""
    async with site.serve() as gateway:
        files = forged(site, name="ag::w::i::s", is_authority=True)
        await site.refuses(site.options("", files), Unauthenticated, "invalid client certificate")
        assert await failures(gateway) == [("auth_mtls_failure", "invalid client certificate")]


async def test_whoever_keeps_trying_with_a_wrong_certificate_does_not_fill_the_log(site: Site) -> None:
    async with site.serve() as gateway:
        options = site.options("robot::x")
        for _ in range(60):
            await site.refuses(options, Unauthenticated, "invalid client certificate")
        assert len(await failures(gateway)) == 51, "fifty, and that there are more"
