"""Limits of one gRPC endpoint (connection 11). Sizes are bytes, times are seconds of trio's clock."""

from __future__ import annotations

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may cost us. Every field has a finite default except `max_connection_age`.

    Memory of a connection is bounded by `initial_window_connection` for received data that was not consumed, plus
    `max_receive_message` per stream for a message of which only a part arrived, plus what the application queues with
    `send()`.
    """

    max_receive_message: int = 4 * MIB
    """A longer message ends its RPC with RESOURCE_EXHAUSTED as soon as its length prefix is read."""
    max_send_message: int = 16 * MIB
    """`send()` of a longer frame raises RpcError(RESOURCE_EXHAUSTED)."""
    max_header_list: int = 16 * KIB
    """Sum of name + value + 32 over all headers of a block (RFC 9113 6.5.2); more resets the stream."""
    max_concurrent_streams: int = 1000
    """Per connection.

    Twice as many calls may be alive when clients reset calls whose handlers are still cleaning up.
    """
    max_connections: int = 100_000
    """Open connections of a server; more are closed right after accept."""

    initial_window: int = MIB
    """Flow-control window of a stream: what may arrive while the application is not reading it."""
    initial_window_connection: int = 4 * MIB
    """Flow-control window of the connection."""

    keepalive_after: float = 30.0
    """Silence after which we send a PING."""
    keepalive_timeout: float = 10.0
    """The connection is closed when a keepalive PING is not answered for this long."""
    min_client_ping_interval: float = 10.0
    """Client PINGs that come faster than this (and without data from us in between) are strikes."""
    max_ping_strikes: int = 2
    """More strikes end the connection with ENHANCE_YOUR_CALM `too_many_pings`."""
    max_resets_per_window: int = 500
    """RST_STREAM frames accepted from a peer in `abuse_window` (rapid reset)."""
    max_settings_per_window: int = 100
    """SETTINGS frames accepted from a peer in `abuse_window`."""
    abuse_window: float = 10.0

    handshake_timeout: float = 10.0
    """TLS handshake, and then the HTTP/2 preface and SETTINGS, each within this time."""
    max_connection_idle: float = 15 * 60.0
    """A server connection without a call for this long gets a GOAWAY."""
    max_connection_age: float | None = None
    """A server connection older than this (+- 10 % jitter) gets a GOAWAY; None = unlimited."""
    max_connection_age_grace: float = 5.0
    """Time that calls get to end after the GOAWAY for age."""
    linger: float = 10.0
    """A call that ended is reset when the peer did not take its remaining frames and trailers for this long."""

    write_chunk: int = 256 * KIB
    """Most bytes serialised at a time for one connection: bounds what is held outside the streams' own queues."""
