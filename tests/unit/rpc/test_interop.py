"""Google's gRPC client against our server."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
import trio.testing
import trustme
from services import PATIENCE, Service, connect, connect_stream, make_server, running

from aether.rpc.limits import Limits
from aether.rpc.listener import listen
from aether.rpc.status import frame
from aether.rpc.tls import ServerTls, ServerTlsFiles, TlsTransport, client_context
from aether.rpc.transport import SocketTransport

pytestmark = pytest.mark.usefixtures("engines")

BIG = [("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 16 << 20)]


def stub(channel: grpc.Channel, path: str, kind: str = "stream_stream") -> Any:
    return getattr(channel, kind)(path, request_serializer=bytes, response_deserializer=bytes)


async def in_thread(fn: Any, *args: Any) -> Any:
    with trio.fail_after(3 * PATIENCE):
        return await trio.to_thread.run_sync(fn, *args, abandon_on_cancel=True)


async def against(service: Service, fn: Any, limits: Limits | None = None) -> Any:
    """Run `fn(channel)` in a thread against a server."""
    async with running(service.handlers, limits) as (_, listener):
        target = f"127.0.0.1:{listener.address[1]}"

        def work() -> Any:
            with grpc.insecure_channel(target, options=BIG) as channel:
                return fn(channel)

        return await in_thread(work)


async def test_unary(service: Service) -> None:
    assert await against(service, lambda ch: stub(ch, "/t/Unary", "unary_unary")(b"abc", timeout=PATIENCE)) == b"cba"


@pytest.mark.parametrize("path", ["/t/Echo", "/t/Pull"])
async def test_bidirectional(service: Service, path: str) -> None:
    messages = [b"%d" % i * (i % 50) for i in range(500)]

    def work(channel: grpc.Channel) -> list[bytes]:
        return list(stub(channel, path)(iter(messages), timeout=PATIENCE))

    assert await against(service, work) == messages


@pytest.mark.parametrize("path", ["/t/Echo", "/t/Pull"])
async def test_large_messages(service: Service, path: str) -> None:
    messages = [bytes(3_000_000), b"x" * 4_194_304, b""]

    def work(channel: grpc.Channel) -> list[bytes]:
        return list(stub(channel, path)(iter(messages), timeout=PATIENCE))

    assert await against(service, work) == messages


async def test_message_over_the_limit(service: Service) -> None:
    def work(channel: grpc.Channel) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            stub(channel, "/t/Unary", "unary_unary")(bytes(4_194_305), timeout=PATIENCE)
        # The connection lives on.
        assert stub(channel, "/t/Unary", "unary_unary")(b"ab", timeout=PATIENCE) == b"ba"
        return caught.value

    error = await against(service, work)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_status(service: Service, code: grpc.StatusCode) -> None:
    text = "100% café: \n"

    def work(channel: grpc.Channel) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            stub(channel, "/t/Unary", "unary_unary")(f"fail:{code.value[0]}:{text}".encode(), timeout=PATIENCE)
        return caught.value

    error = await against(service, work)
    assert (error.code(), error.details()) == (code, text)


async def test_handler_failure_says_nothing_internal(service: Service) -> None:
    def work(channel: grpc.Channel) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            stub(channel, "/t/Unary", "unary_unary")(b"boom", timeout=PATIENCE)
        return caught.value

    error = await against(service, work)
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")


async def test_unknown_method(service: Service) -> None:
    def work(channel: grpc.Channel) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            stub(channel, "/t/Nothing", "unary_unary")(b"", timeout=PATIENCE)
        return caught.value

    assert (await against(service, work)).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_compression_is_refused(service: Service) -> None:
    def work(channel: grpc.Channel) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            stub(channel, "/t/Unary", "unary_unary")(bytes(1000), timeout=PATIENCE, compression=grpc.Compression.Gzip)
        return caught.value

    assert (await against(service, work)).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_cancel_reaches_the_handler(service: Service) -> None:
    async with running(service.handlers) as (_server, listener):
        target = f"127.0.0.1:{listener.address[1]}"
        go = threading.Event()

        def requests() -> Iterator[bytes]:
            go.wait(PATIENCE)
            yield from ()

        def work() -> None:
            with grpc.insecure_channel(target) as channel:
                call = stub(channel, "/t/Hang")(requests())
                call.initial_metadata()
                call.cancel()
                trio.from_thread.run(service.cancelled.wait)
                go.set()

        await in_thread(work)
        assert service.cancelled.is_set()


async def test_deadline(service: Service) -> None:
    def work(channel: grpc.Channel) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            list(stub(channel, "/t/Hang")(iter(()), timeout=0.2))
        return caught.value

    assert (await against(service, work)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.is_set()


async def test_metadata(service: Service) -> None:
    def work(channel: grpc.Channel) -> bytes:
        call = stub(channel, "/t/Metadata", "unary_unary")
        return call(b"", timeout=PATIENCE, metadata=[("a", "b"), ("a", "c"), ("raw-bin", b"\x00\xff,")])

    pairs = eval(await against(service, work))
    assert [pair for pair in pairs if pair[0] != "user-agent"] == [("a", "b"), ("a", "c"), ("raw-bin", b"\x00\xff,")]


async def test_many_streams_on_one_connection(service: Service) -> None:
    def work(channel: grpc.Channel) -> list[bytes]:
        call = stub(channel, "/t/Unary", "unary_unary")
        futures = [call.future(b"%04d" % i, timeout=PATIENCE) for i in range(2000)]
        return [future.result() for future in futures]

    assert await against(service, work) == [(b"%04d" % i)[::-1] for i in range(2000)]


async def test_server_streaming_with_back_pressure(service: Service) -> None:
    def work(channel: grpc.Channel) -> int:
        return sum(1 for _ in stub(channel, "/t/Stream", "unary_stream")(b"10000", timeout=3 * PATIENCE))

    assert await against(service, work) == 10_000


async def test_drain_refuses_new_calls_and_waits_for_old_ones(service: Service) -> None:
    async with running(service.handlers) as (server, listener):
        target = f"127.0.0.1:{listener.address[1]}"

        def work() -> tuple[grpc.StatusCode, grpc.StatusCode]:
            with grpc.insecure_channel(target) as channel:
                call = stub(channel, "/t/Hang")(iter(()))
                call.initial_metadata()
                trio.from_thread.run_sync(nursery.start_soon, server.drain, trio.from_thread.run_sync(soon))
                trio.from_thread.run(draining)
                with pytest.raises(grpc.RpcError) as refused:
                    stub(channel, "/t/Unary", "unary_unary")(b"", timeout=PATIENCE)
                trio.from_thread.run_sync(service.release.set)
                list(call)
                return refused.value.code(), call.code()

        def soon() -> float:
            return trio.current_time() + PATIENCE

        async def draining() -> None:
            while not server.draining:
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            refused, old = await in_thread(work)
        assert (refused, old) == (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK)
        assert server.connections == 0


# ---- TLS


class Certificates:
    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        self.directory = directory
        self.ca_file = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        self.server = self.issue("server", "localhost", "127.0.0.1")
        self.client = self.issue("client", "client@example.org")

    def issue(self, name: str, *identities: str) -> tuple[Path, Path]:
        issued = self.authority.issue_cert(*identities, common_name=name)
        cert, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return cert, key


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def serve_tls(service: Service, tls: ServerTls, work: Any) -> Any:
    server = make_server(service.handlers, limits=Limits(handshake_timeout=2.0))
    async with trio.open_nursery() as nursery:
        listeners = await listen("127.0.0.1", 0, tls=tls)
        await nursery.start(server.serve, listeners)
        try:
            return await work(listeners[0].address[1])
        finally:
            nursery.cancel_scope.cancel()


def grpc_credentials(certificates: Certificates, *, certificate: bool) -> grpc.ChannelCredentials:
    cert, key = certificates.client
    return grpc.ssl_channel_credentials(
        certificates.ca_file.read_bytes(),
        key.read_bytes() if certificate else None,
        cert.read_bytes() if certificate else None,
    )


@pytest.mark.parametrize(
    ("client_auth", "certificate", "works"),
    [
        ("require", True, True),
        ("require", False, False),
        ("request", True, True),
        ("request", False, True),
        ("none", True, True),
        ("none", False, True),
    ],
)
async def test_tls(
    service: Service, certificates: Certificates, client_auth: Any, certificate: bool, works: bool
) -> None:
    tls = ServerTls(ServerTlsFiles(*certificates.server, certificates.ca_file, client_auth))

    async def work(port: int) -> None:
        def call() -> Any:
            credentials = grpc_credentials(certificates, certificate=certificate)
            with grpc.secure_channel(f"localhost:{port}", credentials, options=BIG) as channel:
                call = stub(channel, "/t/Unary", "unary_unary")
                assert call(b"ab", timeout=PATIENCE) == b"ba"
                assert call(bytes(2_000_000), timeout=PATIENCE) == bytes(2_000_000)

        if not works:
            with pytest.raises(grpc.RpcError):
                await in_thread(call)
            assert service.calls == []
            return
        await in_thread(call)
        seen = service.calls[0].peer.certificate
        if certificate and client_auth != "none":
            assert seen == ssl.PEM_cert_to_DER_cert(certificates.client[0].read_text())
        else:
            assert seen is None

    await serve_tls(service, tls, work)


async def test_tls_with_our_client_and_reload(service: Service, certificates: Certificates) -> None:
    tls = ServerTls(ServerTlsFiles(*certificates.server, certificates.ca_file))
    context = client_context(
        ca_file=certificates.ca_file, cert_file=certificates.client[0], key_file=certificates.client[1]
    )

    async def work(port: int) -> None:
        from services import unary

        async with connect("localhost", port, tls=context) as channel:
            big = bytes(3_000_000)
            assert await unary(channel, "/t/Echo", big) == big
            certificates.server[1].write_text("not a key")
            with pytest.raises((ssl.SSLError, OSError)):
                tls.reload()
            assert await unary(channel, "/t/Unary", b"ab") == b"ba"
        async with connect("localhost", port, tls=context) as channel:  # the old certificate still serves
            assert await unary(channel, "/t/Unary", b"ab") == b"ba"

    await serve_tls(service, tls, work)


async def test_plaintext_client_on_a_tls_port_is_dropped(service: Service, certificates: Certificates) -> None:
    tls = ServerTls(ServerTlsFiles(*certificates.server, certificates.ca_file))

    async def work(port: int) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            with trio.fail_after(PATIENCE):
                while await stream.receive_some():
                    pass

    await serve_tls(service, tls, work)


async def test_request_in_one_piece_with_the_end_of_the_handshake(service: Service, certificates: Certificates) -> None:
    """Nothing more comes from the socket then, so what TLS already decrypted must be looked at."""
    tls = ServerTls(ServerTlsFiles(*certificates.server, certificates.ca_file, "none"))
    context = client_context(ca_file=certificates.ca_file)

    class Corked:
        """Passes the client's output on in one piece."""

        fd = -1
        buffered = False

        def __init__(self, inner: SocketTransport) -> None:
            self.inner = inner
            self.held: list[bytes] = []
            self.corked = False

        async def receive(self) -> bytes:
            self.corked = True  # the client hello is out: hold back everything until the request is there as well
            return await self.inner.receive()

        def send_nowait(self, data: bytes | memoryview) -> int:
            if self.corked:
                self.held.append(bytes(data))
                return len(data)
            return self.inner.send_nowait(data)

        def uncork(self) -> None:
            self.corked = False
            self.inner.send_nowait(b"".join(self.held))

        async def wait_writable(self) -> None:
            await self.inner.wait_writable()

        def receive_nowait(self) -> bytes | None:
            raise NotImplementedError

        def end_writing(self) -> None:
            self.inner.end_writing()

        def close(self) -> None:
            self.inner.close()

    async def work(port: int) -> None:
        corked = Corked(SocketTransport(socket.create_connection(("127.0.0.1", port))))
        secured = TlsTransport.client(corked, context, "localhost")
        await secured.handshake()
        async with connect_stream(secured) as channel, channel.call("/t/Unary") as call:
            call.send(frame(b"ab"))
            call.half_close()
            await trio.testing.wait_all_tasks_blocked()
            call.flush()
            corked.uncork()
            with trio.fail_after(PATIENCE):
                assert await call.receive() == b"ba"

    await serve_tls(service, tls, work)
