"""Documents over HTTP, as the keys of token issuers come: HTTP/1.1 by h11, on trio's streams."""

from __future__ import annotations

import ssl
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import h11
import trio

from aether.authentication.jwks import Fetch, FetchFailed

__all__ = ["fetcher"]

DOCUMENT_BYTES_MAX = 256 * 1024
RECEIVE_BYTES = 65_536


def fetcher(*, timeout_s: float, ca_file: Path | None = None) -> Fetch:
    """A way to fetch small documents: no redirects, no compression, no proxy, and a deadline over all of it.

    :param ca_file: PEM file with the authorities that vouch for the servers; None: those of the system.
    :raises OSError: it cannot be read.
    """
    return partial(_fetch, ssl.create_default_context(cafile=ca_file), timeout_s)


async def _fetch(tls: ssl.SSLContext, timeout_s: float, url: str) -> bytes:
    try:
        with trio.fail_after(timeout_s):
            return await _get(tls, url)
    except trio.TooSlowError:
        raise FetchFailed(f"no answer within {timeout_s:g} s") from None
    except (OSError, trio.BrokenResourceError, h11.ProtocolError, ValueError) as error:
        raise FetchFailed(str(error) or type(error).__name__) from None


async def _get(tls: ssl.SSLContext, url: str) -> bytes:
    parts = urlsplit(url)
    host = parts.hostname or ""
    stream: trio.abc.Stream
    if parts.scheme == "https":
        stream = await trio.open_ssl_over_tcp_stream(host, parts.port or 443, https_compatible=True, ssl_context=tls)
    else:
        stream = await trio.open_tcp_stream(host, parts.port or 80)
    headers = [
        ("host", parts.netloc.rpartition("@")[2]),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("connection", "close"),
    ]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    async with stream:
        http = h11.Connection(h11.CLIENT)
        request = http.send(h11.Request(method="GET", target=target, headers=headers))
        await stream.send_all((request or b"") + (http.send(h11.EndOfMessage()) or b""))
        return await _receive(http, stream)


async def _receive(http: h11.Connection, stream: trio.abc.ReceiveStream) -> bytes:
    body = bytearray()
    while True:
        match http.next_event():
            case h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(RECEIVE_BYTES)))
            case h11.Response(status_code=status) if status != 200:
                raise FetchFailed(f"HTTP status {status}")
            case h11.Data(data=data):
                body += data
                if len(body) > DOCUMENT_BYTES_MAX:
                    raise FetchFailed(f"the answer is longer than {DOCUMENT_BYTES_MAX} bytes")
            case h11.EndOfMessage():
                return bytes(body)
            case h11.ConnectionClosed():
                raise FetchFailed("the answer was cut off")
