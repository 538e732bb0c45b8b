"""What the gateway core needs of the configuration, with units in the names."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Limits and switches of connections and messages. A rate or quota of 0 is off."""

    version: str
    gateway_id: str
    strict_identifiers: bool = True
    init_timeout_s: float = 30.0
    lock_ttl_s: float = 30.0
    half_open_max: int = 0
    """Streams of one address that have not said yet who they are; 0 is any number."""
    competing_pools: bool = True
    """``tb`` lanes are competing consumers; False restores the broadcast of older gateways."""
    outbound_bytes: int = 256 * 1024
    """Frames a session may have waiting for its transport before its lanes fall back to the log."""
    payload_bytes_max: int = 1024 * 1024
    message_rate: float = 0.0
    message_burst: float = 0.0
    task_rate: float = 0.0
    """Operations on tasks, agents and workspaces a second; bursts of twice as many."""
    denial_rate: float = 0.0
    """Refusals of a principal a second, before it is not heard for a while; 0 is any number."""
    identity_message_rate: float = 0.0
    staged_bytes_max: int = 64 * 1024 * 1024
    """Messages not yet on disk; over it the gateway stops reading from senders until a commit made room."""
    exclusive_to_identities: bool = False
    """Whose exclusive values a snapshot holds: those of the identity, or of its implementation and specifier."""
    pre_drain_delay_s: float = 0.0
    drain_spread_s: float = 0.0
    drain_timeout_s: float = 30.0
