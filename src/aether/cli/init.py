"""``aether init``: everything a gateway needs that is not for development only."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import click
import structlog
import trio
import yaml

from aether.acl.model import Rule
from aether.authentication.common_names import ANONYMOUS, parse_name
from aether.cli.pki import Authority, write_private
from aether.cli.remote import ADMIN_IMPLEMENTATION
from aether.config import Config
from aether.errors import DataDirectoryInUse, StoreUnavailable
from aether.gateway.configured import key_hasher
from aether.identity import InvalidIdentity
from aether.records import Table
from aether.tiers import open_tier
from aether.tokens.keys import new_key
from aether.tokens.store import Token, TokenStore

__all__ = ["init"]

ADMIN_IDENTITY = f"sv::{ADMIN_IMPLEMENTATION}::*"
ADMINISTRATOR = "_system"
"""Who granted what is there before anybody can connect."""


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("aether"),
    show_default=True,
    help="Where everything goes.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address the gateway will listen on.")
@click.option("--san", "names", multiple=True, metavar="NAME", help="Another name or address of the server.")
@click.option(
    "--client",
    "clients",
    multiple=True,
    metavar="IDENTITY",
    help="Also make a client certificate, such as ag::prod::worker::1, or anonymous.",
)
@click.option("--force", is_flag=True, help="Replace the configuration and the administrator's key.")
def init(directory: Path, host: str, names: tuple[str, ...], clients: tuple[str, ...], force: bool) -> None:
    """Make a configuration, a certificate authority, certificates and the administrator's API key.

    Afterwards `aether serve --config DIR/aether.yaml` runs with TLS, API keys, client certificates and access rules.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    config_file = directory / "aether.yaml"
    if config_file.exists() and not force:
        raise SystemExit(f"{config_file} is there already; --force replaces it and the administrator's key")
    try:
        for client in clients:
            if client != "anonymous":
                parse_name(client)
    except InvalidIdentity as error:
        raise SystemExit(f"--client {client}: {error}") from None
    try:
        _make_certificates(directory / "tls", names, clients)
        settings = _settings(config_file, host)
        _write_config(config_file, settings)
        key = trio.run(_make_administrator, Config.model_validate(settings))
    except (OSError, ValueError, DataDirectoryInUse, StoreUnavailable) as error:
        raise SystemExit(f"{directory}: {error}") from None
    write_private(directory / "admin.key", f"{key}\n".encode())
    _tell(directory)


def _make_certificates(directory: Path, names: Sequence[str], clients: Sequence[str]) -> None:
    authority = Authority.load_or_create(directory)
    authority.issue_server(directory, names)
    for client in clients:
        if client == "anonymous":
            authority.issue_client(directory / "clients", ANONYMOUS, "Anonymous")
        else:
            authority.issue_client(directory / "clients", client, parse_name(client).kind.title)


def _settings(config_file: Path, host: str) -> dict[str, object]:
    directory = config_file.parent.absolute()
    tls = directory / "tls"
    return {
        "gateway": {
            "host": host,
            "tls": {
                "cert_file": str(tls / "server-cert.pem"),
                "key_file": str(tls / "server-key.pem"),
                "ca_file": str(tls / "ca-cert.pem"),
                "client_auth": "request",
            },
        },
        "storage": {"data_dir": str(directory / "data")},
        "auth": {"modes": ["mtls", "api_key"]},
        **_private_values(config_file),
    }


def _private_values(config_file: Path) -> dict[str, object]:
    """Private values of a new gateway belong to identities: whoever may call itself as it likes in its own workspace
    would otherwise read those of its namesakes in others. Where there are values already, they stay what they are."""
    if config_file.exists():
        before = yaml.safe_load(config_file.read_text(encoding="utf-8"))
        kept = before.get("kv") if isinstance(before, dict) else None
        return {} if kept is None else {"kv": kept}
    is_new = not (config_file.parent / "data/aether.db").exists()
    return {"kv": {"exclusive_by": "identity"}} if is_new else {}


def _write_config(config_file: Path, settings: dict[str, object]) -> None:
    heading = "# Made by `aether init`. All settings: aether config --markdown\n"
    write_private(config_file, (heading + yaml.safe_dump(settings, sort_keys=False)).encode())


async def _make_administrator(config: Config) -> str:
    """The administrator's API key and rule, straight into the data directory: nobody could connect to make them."""
    key = new_key()
    now_ms = _now_ms()
    async with open_tier(config, _now_ms) as tier:
        tokens = TokenStore(tier.records, key_hasher(config), _now_ms)
        for token in tokens.all():
            # Also what was made of it by rotation.
            if token.created_by == ADMINISTRATOR or f"identity:{ADMIN_IDENTITY}" in token.scopes:
                tokens.delete(token)
        tokens.add(
            Token(
                id=str(uuid.uuid4()),
                hash="",
                name="administrator",
                principal_type="Service",
                workspace_patterns=("*",),
                scopes=("*", f"identity:{ADMIN_IDENTITY}"),
                created_by=ADMINISTRATOR,
                created_ms=now_ms,
                updated_ms=now_ms,
            ),
            key,
        )
        rules = Table(tier.records, "acl_rule", Rule)
        for rule in rules.values():
            if rule.principal_id == ADMIN_IDENTITY:
                rules.delete(rule.rule_id)
        for resource_type, resource_id in (("admin", "admin/*"), ("workspace", "*")):
            rule = Rule(
                rule_id=str(uuid.uuid4()),
                principal_type="service",
                principal_id=ADMIN_IDENTITY,
                resource_type=resource_type,
                resource_id=resource_id,
                level=40,
                granted_by=ADMINISTRATOR,
                granted_ms=now_ms,
                reason="aether init",
            )
            rules.put(rule.rule_id, rule)
        await tier.durability.wait_durable(tier.durability.latest_ticket)
    return key


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _tell(directory: Path) -> None:
    click.echo(f"""Made in {directory}:
  aether.yaml         configuration: TLS, API keys, client certificates, access rules
  tls/                certificate authority and server certificate
  admin.key           the administrator's API key; keep it safe

Start it:             aether serve --config {directory}/aether.yaml
Make keys for others: export AETHER_CA_FILE={directory}/tls/ca-cert.pem AETHER_API_KEY_FILE={directory}/admin.key
                      aether token create worker agent --identity 'ag::prod::worker::*'
Read the audit log:   aether audit query --data-dir {directory}/data""")
