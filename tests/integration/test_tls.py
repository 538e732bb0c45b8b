"""Encryption of the gRPC port: mutual TLS, certificates read again on SIGHUP (connection 10, operations 2.5)."""

from __future__ import annotations

import signal
import ssl
from pathlib import Path

import pytest
import trio
import trustme
from tests.support.gateway_process import GatewayProcess

from aether import Config, Gateway
from aether.client import ConnectionLost, Options, connect_agent
from aether.errors import TlsUnusable
from aether.rpc.tls import client_context

PATIENCE_S = 20


class Certificates:
    """An authority of our own, and files of what it issued."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        self._directory = directory
        self.ca_file = directory / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca_file))
        self.server = self.issue("server", "localhost")
        self.client = self.issue("client", "client@example.org")

    def issue(self, name: str, identity: str) -> tuple[Path, Path]:
        """A certificate and its key, over the files of an earlier one with this name."""
        issued = self._authority.issue_cert(identity)
        cert, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(str(cert))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key

    def config(self, data_dir: Path, **changes: str) -> Config:
        """A gateway's configuration that uses them."""
        cert, key = self.server
        tls = {"cert_file": str(cert), "key_file": str(key), "ca_file": str(self.ca_file), **changes}
        return Config.development(data_dir, gateway={"tls": tls})

    def client_options(self, *, certificate: bool = True) -> Options:
        cert, key = self.client if certificate else (None, None)
        context = client_context(ca_file=self.ca_file, cert_file=cert, key_file=key)
        return Options(tls=context, attempts_max=1)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    directory = tmp_path / "tls"
    directory.mkdir()
    return Certificates(directory)


async def converse(port: int, options: Options) -> None:
    """Connect and send a message to oneself."""
    with trio.fail_after(PATIENCE_S):
        async with connect_agent(
            f"localhost:{port}", workspace="w", implementation="i", specifier="s", options=options
        ) as me:
            await me.send("ag::w::i::s", b"sealed")
            async for message in me:
                assert message.payload == b"sealed"
                return


async def served_certificate(port: int, certificates: Certificates) -> bytes:
    """What a new handshake shows."""
    cert, key = certificates.client
    context = client_context(ca_file=certificates.ca_file, cert_file=cert, key_file=key)

    stream = await trio.open_ssl_over_tcp_stream("localhost", port, ssl_context=context)
    async with stream:
        await stream.do_handshake()
        shown = stream.getpeercert(binary_form=True)
        assert shown is not None
        return bytes(shown)


async def wait_for_another_certificate(port: int, certificates: Certificates, known: bytes) -> None:
    while await served_certificate(port, certificates) == known:
        pass


async def test_a_client_with_a_certificate_talks(tmp_path: Path, certificates: Certificates) -> None:
    async with Gateway(certificates.config(tmp_path / "data")) as gateway:
        assert gateway.port is not None
        await converse(gateway.port, certificates.client_options())


@pytest.mark.parametrize(("client_auth", "admitted"), [("require", False), ("request", True), ("none", True)])
async def test_a_client_without_a_certificate(
    tmp_path: Path, certificates: Certificates, client_auth: str, admitted: bool
) -> None:
    async with Gateway(certificates.config(tmp_path / "data", client_auth=client_auth)) as gateway:
        assert gateway.port is not None
        options = certificates.client_options(certificate=False)
        if admitted:
            await converse(gateway.port, options)
        else:
            with pytest.raises(ConnectionLost):
                await converse(gateway.port, options)


@pytest.mark.parametrize("client_auth", ["require", "request"])
async def test_a_certificate_of_a_foreign_authority_is_worse_than_none(
    tmp_path: Path, certificates: Certificates, client_auth: str
) -> None:
    """connection 49, also where a certificate is only asked for."""
    issued = trustme.CA().issue_cert("client@example.org")
    cert, key = tmp_path / "foreign.pem", tmp_path / "foreign.key"
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    foreign = client_context(ca_file=certificates.ca_file, cert_file=cert, key_file=key)
    async with Gateway(certificates.config(tmp_path / "data", client_auth=client_auth)) as gateway:
        assert gateway.port is not None
        with pytest.raises(ConnectionLost):
            await converse(gateway.port, Options(tls=foreign, attempts_max=1))
        await converse(gateway.port, certificates.client_options())


async def test_older_versions_of_tls_are_refused(tmp_path: Path, certificates: Certificates) -> None:
    """connection 49."""
    cert, key = certificates.client
    async with Gateway(certificates.config(tmp_path / "data")) as gateway:
        assert gateway.port is not None
        for version, admitted in ((ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)):
            context = ssl.create_default_context(cafile=str(certificates.ca_file))
            context.load_cert_chain(cert, key)
            context.set_alpn_protocols(["h2"])
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.maximum_version = version
            stream = await trio.open_ssl_over_tcp_stream("localhost", gateway.port, ssl_context=context)
            with trio.fail_after(PATIENCE_S):
                if admitted:
                    await stream.do_handshake()
                else:
                    with pytest.raises(trio.BrokenResourceError):
                        await stream.do_handshake()
            await trio.aclose_forcefully(stream)


async def test_a_plaintext_client_is_turned_away(tmp_path: Path, certificates: Certificates) -> None:
    async with Gateway(certificates.config(tmp_path / "data")) as gateway:
        assert gateway.port is not None
        with pytest.raises(ConnectionLost):
            await converse(gateway.port, Options(attempts_max=1))
        await converse(gateway.port, certificates.client_options())  # and the port still serves


async def test_unusable_files_stop_the_start_with_their_name(tmp_path: Path, certificates: Certificates) -> None:
    config = certificates.config(tmp_path / "data", key_file=str(tmp_path / "missing.key"))
    with pytest.raises(TlsUnusable, match=r"missing\.key"):
        async with Gateway(config):
            pass


async def test_new_handshakes_show_the_new_certificate(tmp_path: Path, certificates: Certificates) -> None:
    async with Gateway(certificates.config(tmp_path / "data")) as gateway:
        assert gateway.port is not None
        first = await served_certificate(gateway.port, certificates)
        certificates.issue("server", "localhost")
        assert gateway.reload_certificates()
        second = await served_certificate(gateway.port, certificates)
        assert first != second

        certificates.server[1].write_text("not a key")
        with pytest.raises(TlsUnusable):
            gateway.reload_certificates()
        assert await served_certificate(gateway.port, certificates) == second


async def test_a_gateway_without_tls_has_nothing_to_reload(tmp_path: Path) -> None:
    async with Gateway(Config.development(data_dir=tmp_path), listen=False) as gateway:
        assert not gateway.reload_certificates()


async def test_sighup_reloads_and_open_streams_go_on(tmp_path: Path, certificates: Certificates) -> None:
    config_file = tmp_path / "aether.yaml"
    cert, key = certificates.server
    config_file.write_text(
        f"gateway: {{tls: {{cert_file: {cert}, key_file: {key}, ca_file: {certificates.ca_file}}}}}\n"
    )
    process = await trio.to_thread.run_sync(GatewayProcess(tmp_path, "--config", str(config_file)).start)
    try:
        options = certificates.client_options()
        with trio.fail_after(PATIENCE_S):
            async with connect_agent(
                f"localhost:{process.port}", workspace="w", implementation="i", specifier="s", options=options
            ) as me:
                first = await served_certificate(process.port, certificates)
                key.write_text("not a key")
                process.signal(signal.SIGHUP)
                assert await served_certificate(process.port, certificates) == first
                certificates.issue("server", "localhost")
                process.signal(signal.SIGHUP)
                await wait_for_another_certificate(process.port, certificates, first)
                await me.send("ag::w::i::s", b"still here")
                async for message in me:
                    assert message.payload == b"still here"
                    break
    finally:
        await trio.to_thread.run_sync(process.stop)
