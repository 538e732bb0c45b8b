"""The whole configuration: its sections, and what must hold between settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from aether.config.access import Acl, Audit, Auth, OAuth
from aether.config.base import KIB, Section
from aether.config.keeping import KV, Checkpoint, Cleanup, Storage
from aether.config.serving import Admin, Gateway, Log, Quotas, Shutdown
from aether.config.values import Flag, is_loopback, is_safe_url, lower_case

__all__ = ["DEV_DEFAULTS", "Config"]

HMAC_KEY_CHARACTERS_MIN = 32
ENVELOPE = 64 * KIB
"""Room a message needs around its payload: topic, identities, authorization."""

DEV_DEFAULTS: dict[str, dict[str, Any]] = {
    "gateway": {"message_rate_limit": 0, "task_rate_limit": 0, "denial_rate_limit": 0},
    "quotas": {"enabled": False},
    "acl": {"enabled": False},
}
"""Defaults that differ with ``dev``: a developer measures what the machine can do, not what the limits allow."""


class Config(Section):
    """The configuration of one gateway; see docs/configuration.md.

    Durations are seconds, sizes are bytes. Build one in code::

        Config.development(data_dir="/var/lib/aether", gateway={"port": 50051})
    """

    tier: Annotated[Literal["local"], BeforeValidator(lower_case)] = "local"
    """Where state lives: ``local`` is one process with a database file."""
    dev: Flag = False
    """Development: anonymous clients are admitted, only this machine can connect, rate limits and quotas are off
    unless they are set."""
    gateway: Gateway = Gateway()
    admin: Admin = Admin()
    storage: Storage = Storage()
    kv: KV = KV()
    checkpoint: Checkpoint = Checkpoint()
    quotas: Quotas = Quotas()
    cleanup: Cleanup = Cleanup()
    shutdown: Shutdown = Shutdown()
    auth: Auth = Auth()
    acl: Acl = Acl()
    audit: Audit = Audit()
    log: Log = Log()

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def development(cls, data_dir: Path | str | None = None, **sections: Any) -> Config:
        """As ``aether serve --dev``, for embedding and tests: ports are chosen by the system, probes are off.

        :param data_dir: instead of ``storage.data_dir``.
        :param sections: settings by section, such as ``gateway={"engine": "purerpc"}``.
        :raises ValueError: a setting is not allowed.
        """
        sections["gateway"] = {"port": 0, "ops_port": 0} | dict(sections.get("gateway", {}))
        if data_dir is not None:
            sections["storage"] = dict(sections.get("storage", {})) | {"data_dir": data_dir}
        return cls.model_validate({"dev": True, **sections})

    @model_validator(mode="before")
    @classmethod
    def _development_defaults(cls, data: Any) -> Any:
        """Put the defaults of ``dev`` below what is set."""
        if not isinstance(data, dict) or str(data.get("dev", False)).lower() not in (
            "true",
            "t",
            "1",
            "yes",
            "y",
            "on",
        ):
            return data
        merged = dict(data)
        for section, defaults in DEV_DEFAULTS.items():
            given = merged.get(section, {})
            if isinstance(given, dict):
                merged[section] = {**defaults, **given}
        return merged

    @model_validator(mode="after")
    def _check_relations(self) -> Config:
        if violations := list(_violations(self)):
            text = "; ".join(f"{key}: {rule}" for key, rule in violations)
            raise PydanticCustomError("relations", "{text}", {"text": text, "violations": violations})
        return self

    def origin(self, key: str) -> str:
        """Where the value of a dotted key came from, ``default`` when nobody set it."""
        return self._origins.get(key, "default")

    def authentication_problem(self) -> str | None:
        """Why this gateway must not start, in words that say what to configure; None when clients are authenticated.

        With ``dev`` anonymous clients are admitted, on loopback only.
        """
        if unknown := [mode for mode in self.auth.modes if mode not in Auth.METHODS]:
            return (
                f"auth.modes names {', '.join(unknown)}, which this version cannot check; it has "
                f"{', '.join(sorted(Auth.METHODS))}."
            )
        if self.dev or set(self.auth.modes) - {"task_token"}:
            return None
        return (
            "no authentication is configured (auth.modes is empty), so anybody could connect as anyone. Make a "
            "configuration with `aether init`, name methods in auth.modes, or run with --dev (anonymous clients, this "
            "machine only)."
        )


def _violations(config: Config) -> Iterator[tuple[str, str]]:
    """Rules between settings: the key to blame and what must hold."""
    gateway, tls = config.gateway, config.gateway.tls
    if config.dev and not is_loopback(gateway.host):
        yield "gateway.host", "with dev only a loopback address such as 127.0.0.1, ::1 or localhost"
    if (tls.cert_file is None) != (tls.key_file is None):
        missing = "key_file" if tls.key_file is None else "cert_file"
        yield f"gateway.tls.{missing}", "needed too: a certificate and its key come together"
    if tls.cert_file is not None and tls.client_auth != "none" and tls.ca_file is None:
        # The system's authorities would do, and vouch for half of the world.
        yield "gateway.tls.ca_file", "needed unless gateway.tls.client_auth is none: who vouches for clients"
    elif "mtls" in config.auth.modes and (tls.ca_file is None or tls.client_auth == "none"):
        yield "gateway.tls.ca_file", "needed for mtls in auth.modes, and gateway.tls.client_auth other than none"
    if {"api_key", "oauth"} & set(config.auth.modes) and tls.cert_file is None and not is_loopback(gateway.host):
        yield (
            "gateway.tls.cert_file",
            "needed for api_key or oauth in auth.modes, or credentials could be read on their way",
        )
    if "oauth" in config.auth.modes and not config.auth.oauth.providers:
        yield "auth.oauth.providers", "at least one for oauth in auth.modes"
    for provider in config.auth.oauth.providers:
        url = provider.jwks_url or provider.issuer
        if not is_safe_url(url):
            yield "auth.oauth.providers", f"an https URL (or http on this machine) instead of {url}"
    known_algorithms = OAuth.model_fields["algorithms"].default
    if set(config.auth.oauth.algorithms) - set(known_algorithms) or not config.auth.oauth.algorithms:
        yield "auth.oauth.algorithms", f"some of {', '.join(known_algorithms)}"
    if 0 < len(config.auth.token_hmac_key.get_secret_value()) < HMAC_KEY_CHARACTERS_MIN:
        yield "auth.token_hmac_key", f"{HMAC_KEY_CHARACTERS_MIN} characters or more"
    if config.admin.enabled:
        yield "admin.enabled", "false: this version has no admin API"
    if gateway.lock_ttl < 1:
        yield "gateway.lock_ttl", "at least 1s"
    if gateway.port and gateway.port == gateway.ops_port:
        yield "gateway.ops_port", f"another port than gateway.port ({gateway.port})"
    for key in ("max_receive_message", "max_send_message"):
        needed = gateway.max_payload_size + ENVELOPE
        if getattr(gateway, key) < needed:
            yield f"gateway.{key}", f"at least gateway.max_payload_size and {ENVELOPE} bytes around it ({needed})"
    for key, size in (
        ("quotas.max_kv_value_size", config.quotas.max_kv_value_size),
        ("checkpoint.max_size", config.checkpoint.max_size),
        ("quotas.max_task_payload_size", config.quotas.max_task_payload_size),
    ):
        if size + ENVELOPE > gateway.max_receive_message:
            yield (
                key,
                f"at most gateway.max_receive_message less {ENVELOPE} bytes ({gateway.max_receive_message - ENVELOPE})",
            )
    if unknown := [kind for kind in config.audit.event_types if kind not in Audit.model_fields["event_types"].default]:
        known = ", ".join(Audit.model_fields["event_types"].default)
        yield "audit.event_types", f"some of {known} (not {', '.join(unknown)})"
    if config.kv.max_ttl and config.kv.default_ttl > config.kv.max_ttl:
        yield "kv.default_ttl", "at most kv.max_ttl"
    for key, seconds in (
        ("kv.default_ttl", config.kv.default_ttl),
        ("kv.max_ttl", config.kv.max_ttl),
        ("checkpoint.default_ttl", config.checkpoint.default_ttl),
    ):
        if seconds != int(seconds):
            yield key, "a duration of whole seconds"
