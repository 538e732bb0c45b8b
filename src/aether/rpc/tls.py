"""TLS for gRPC: a transport over another transport, and the contexts of both sides (connection 10).

`TlsTransport` keeps what it encrypted but could not pass on in `_cipher`; while that is not empty it takes no more
(`buffered` is true), so at most one `send_nowait` worth of bytes waits here.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import trio

from aether.rpc.transport import Transport

ALPN = ["h2"]
SEND_STEP = 64 * 1024
"""Plaintext encrypted at a time: keeps the outgoing BIO small."""
READ_STEP = 64 * 1024
CIPHER_MAX = 256 * 1024
"""Ciphertext that may wait for the transport before `send_nowait` refuses."""

ClientAuth = Literal["require", "request", "none"]


class TlsTransport:
    """TLS over a transport, with ssl.SSLObject and memory BIOs. Await `handshake` before anything else."""

    __slots__ = ("_cipher", "_early", "_incoming", "_inner", "_object", "_outgoing")

    def __init__(
        self, inner: Transport, context: ssl.SSLContext, *, server_side: bool, server_hostname: str | None
    ) -> None:
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        self._cipher = b""
        self._early = True

    @classmethod
    def server(cls, inner: Transport, context: ssl.SSLContext) -> TlsTransport:
        return cls(inner, context, server_side=True, server_hostname=None)

    @classmethod
    def client(cls, inner: Transport, context: ssl.SSLContext, server_hostname: str) -> TlsTransport:
        return cls(inner, context, server_side=False, server_hostname=server_hostname)

    async def handshake(self) -> None:
        """Raises ssl.SSLError or OSError when it fails, also when the peer does not speak HTTP/2 over ALPN."""
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush_all()
                self._feed(await self._inner.receive())
                continue
            except ssl.SSLError:
                self._push()  # the alert
                raise
            await self._flush_all()
            if self._object.selected_alpn_protocol() != "h2":
                raise ssl.SSLError("the peer did not negotiate h2")
            return

    @property
    def peer_certificate(self) -> bytes | None:
        """DER of the peer's verified certificate."""
        return self._object.getpeercert(binary_form=True)

    @property
    def buffered(self) -> bool:
        return bool(self._cipher)

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _push(self) -> None:
        """Pass ciphertext on as far as the inner transport takes it."""
        if self._outgoing.pending:
            fresh = self._outgoing.read()
            self._cipher = self._cipher + fresh if self._cipher else fresh
        if self._cipher:
            taken = self._inner.send_nowait(self._cipher)
            self._cipher = self._cipher[taken:]

    async def _flush_all(self) -> None:
        self._push()
        while self._cipher:
            await self._inner.wait_writable()
            self._push()

    @property
    def fd(self) -> int:
        return self._inner.fd

    def _read(self) -> bytes | None:
        """Everything that is decrypted by now; None when more ciphertext is needed, b"" at the end."""
        chunks = []
        ended = False
        try:
            while piece := self._object.read(READ_STEP):
                chunks.append(piece)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            ended = True
        if self._outgoing.pending:
            self._push()  # answers of the TLS layer itself, such as key updates
        if chunks:
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]
        return b"" if ended else None

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint_if_cancelled()
        while (data := self._read()) is None:
            self._feed(await self._inner.receive())
        return data

    def receive_nowait(self) -> bytes | None:
        # What one call feeds it reads completely, so nothing decrypted waits while the socket is silent. Only the
        # handshake leaves something: the first records may come in one piece with its end.
        if self._early:
            self._early = False
            data = self._read()
            if data is not None:
                return data
        fresh = self._inner.receive_nowait()
        if fresh is None:
            return None
        self._feed(fresh)
        return self._read()

    def send_nowait(self, data: bytes | memoryview) -> int:
        if self._cipher:
            self._push()
        view = memoryview(data)
        taken = 0
        while taken < len(view) and len(self._cipher) < CIPHER_MAX:
            taken += self._object.write(view[taken : taken + SEND_STEP])
            self._push()
        return taken

    async def wait_writable(self) -> None:
        if self._cipher:
            await self._flush_all()
        else:
            await self._inner.wait_writable()

    def end_writing(self) -> None:
        try:
            self._object.unwrap()
        except (ssl.SSLError, OSError):
            pass  # the peer's close_notify is not awaited
        try:
            self._push()
        except OSError:
            pass
        self._inner.end_writing()

    def close(self) -> None:
        self._inner.close()


@dataclass(frozen=True, slots=True)
class ServerTlsFiles:
    """Where the server's TLS material is. Without `ca_file` no client certificate is good."""

    cert_file: Path
    key_file: Path
    ca_file: Path | None = None
    client_auth: ClientAuth = "require"


class ServerTls:
    """The server's SSL context; `reload` re-reads certificate and key for handshakes that start afterwards."""

    def __init__(self, files: ServerTlsFiles) -> None:
        self.files = files
        self._context = self._build()

    def context(self) -> ssl.SSLContext:
        return self._context

    def reload(self) -> None:
        """Read the files again.

        Raises OSError or ssl.SSLError and keeps the old certificate when they are not usable.
        """
        self._context = self._build()

    def _build(self) -> ssl.SSLContext:
        files = self.files
        for path in (files.cert_file, files.key_file, files.ca_file):
            if path is not None:
                path.open("rb").close()  # the ssl module does not say which file it could not read
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(ALPN)
        context.load_cert_chain(files.cert_file, files.key_file)
        context.num_tickets = 0  # sessions are long: resumption would only cost memory and tie certificates to tickets
        if files.client_auth != "none":
            context.verify_mode = ssl.CERT_REQUIRED if files.client_auth == "require" else ssl.CERT_OPTIONAL
            if files.ca_file is not None:
                context.load_verify_locations(files.ca_file)
        return context


def client_context(
    *,
    ca_file: Path | str | None = None,
    ca_data: str | None = None,
    cert_file: Path | str | None = None,
    key_file: Path | str | None = None,
    verify: bool = True,
) -> ssl.SSLContext:
    """Context of a client.

    TLS 1.2 or newer, h2 only. `cert_file` and `key_file` are for servers that ask for a certificate.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca_file, cadata=ca_data)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(ALPN)
    if cert_file is not None:
        context.load_cert_chain(cert_file, key_file)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
