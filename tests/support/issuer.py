"""An OpenID Connect issuer on loopback: discovery, keys that change, tokens, and the ways in which it can fail."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

__all__ = ["AUDIENCE", "Issuer", "open_issuer"]

AUDIENCE = "aether"

Key = RSAKey | ECKey


class Issuer:
    """Serves until its block ends.

    :ivar keys: what it publishes, by key id; change it at will.
    :ivar answers: documents to answer with instead, by path.
    :ivar status: HTTP status of all answers.
    :ivar is_mute: accept connections and say nothing.
    :ivar asked: paths that were asked for, in order.
    """

    def __init__(self, scheme: str = "http") -> None:
        self.scheme = scheme
        self.port = 0
        self.keys: dict[str, Key] = {"first": RSAKey.generate_key(2048)}
        self.answers: dict[str, bytes] = {}
        self.status = 200
        self.is_mute = False
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.scheme == "http" else "localhost"
        return f"{self.scheme}://{host}:{self.port}"

    def token(self, key_id: str | None = "first", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A signed token of alice for an hour; a claim of None is left out.

        :param key_id: None: the header names none, and the first key signs.
        :param header: more fields of the header.
        """
        now = int(time.time())
        body = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 3600, **claims}
        key = self.keys[key_id or next(iter(self.keys))]
        algorithm = {"RSA": "RS256", "EC": "ES256"}[key.key_type]
        fields = {"alg": algorithm, **({"kid": key_id} if key_id else {}), **(header or {})}
        return jwt.encode(
            fields, {name: value for name, value in body.items() if value is not None}, key, algorithms=[fields["alg"]]
        )

    def publish(self) -> bytes:
        """Its key set, as it serves it."""
        keys = [{**key.as_dict(private=False), "kid": name, "use": "sig"} for name, key in self.keys.items()]
        return json.dumps({"keys": keys}).encode()

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, one answer."""
        async with stream:
            try:
                request = b""
                while b"\r\n\r\n" not in request:
                    part = await stream.receive_some()
                    if not part:
                        return
                    request += part
                path = request.split(b" ")[1].decode()
                self.asked.append(path)
                if self.is_mute:
                    await trio.sleep_forever()
                body = self._answer(path)
                status = self.status if body is not None else 404
                body = body or b""
                head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
                await stream.send_all(head.encode() + body)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    def _answer(self, path: str) -> bytes | None:
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode()
        return self.publish() if path == "/keys" else None


@asynccontextmanager
async def open_issuer(tls: ssl.SSLContext | None = None) -> AsyncIterator[Issuer]:
    """An issuer, over TLS when there is a context for it."""
    issuer = Issuer("https" if tls else "http")
    async with trio.open_nursery() as nursery:
        listeners: list[Any]
        if tls is None:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            sockets = listeners
        else:
            listeners = await trio.open_ssl_over_tcp_listeners(0, tls, host="localhost")
            sockets = [listener.transport_listener for listener in listeners]
        issuer.port = sockets[0].socket.getsockname()[1]

        async def quietly(stream: trio.abc.Stream) -> None:
            try:
                await issuer.serve(stream)
            except (trio.BrokenResourceError, ssl.SSLError):
                pass

        nursery.start_soon(trio.serve_listeners, quietly, listeners[:1])
        try:
            yield issuer
        finally:
            nursery.cancel_scope.cancel()
