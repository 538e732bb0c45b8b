"""``aether token``: API keys of a running gateway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from aether.cli.output import show, timestamp
from aether.cli.remote import Remote, remote_options
from aether.client import Connection
from aether.client.tokens import NewToken
from aether.identity import PrincipalType
from aether.proto import aether_pb2 as pb

__all__ = ["token"]

KEY_CHARACTERS = 44
COLUMNS = ("id", "name", "type", "created_by", "workspaces", "scopes", "state", "expires", "last_used")


@click.group()
def token() -> None:
    """API keys: who may connect as what."""


@token.command("list")
@click.option("--all", "revoked", is_flag=True, help="Revoked ones as well.")
@remote_options
def list_tokens(remote: Remote, revoked: bool) -> None:
    """Show tokens, the newest first. Keys are never shown again."""

    async def run(me: Connection) -> Sequence[pb.TokenInfo]:
        return await me.tokens.list(revoked=revoked, limit=1000)

    show((_row(info) for info in remote.run(run)), COLUMNS, as_json=remote.as_json)


@token.command()
@click.argument("name")
@click.argument(
    "principal_type",
    type=click.Choice([kind.label for kind in PrincipalType], case_sensitive=False),
    metavar="PRINCIPAL_TYPE",
)
@click.option("--user", default="", help="The user that it admits; for keys of type user.")
@click.option("--identity", default="", help="Pattern of the identities it admits, such as ag::prod::worker::*.")
@click.option("--workspace", "workspaces", multiple=True, help="Pattern of a workspace it admits to; default all.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(["send", "kv", "task", "admin"]), help="Only such operations."
)
@click.option("--hours", type=click.IntRange(0), default=0, help="Its life; default for ever.")
@remote_options
def create(
    remote: Remote,
    name: str,
    principal_type: str,
    user: str,
    identity: str,
    workspaces: tuple[str, ...],
    scopes: tuple[str, ...],
    hours: int,
) -> None:
    """Make a key with which a PRINCIPAL_TYPE, such as agent or user, may connect. It is shown once."""
    if (principal_type == PrincipalType.USER.label) != bool(user):
        raise click.UsageError("--user NAME goes with keys of type user, and they with it")

    async def run(me: Connection) -> NewToken:
        return await me.tokens.create(
            name, principal_type, user_id=user, identity=identity, workspaces=workspaces, scopes=scopes, hours=hours
        )

    _show_new(remote, remote.run(run))


@token.command()
@click.argument("token_id")
@remote_options
def revoke(remote: Remote, token_id: str) -> None:
    """End a key, and the sessions that it opened."""
    _check_id(token_id)
    remote.run(lambda me: me.tokens.revoke(token_id))
    click.echo(f"revoked {token_id}", err=True)


@token.command()
@click.argument("token_id")
@click.option("--keep", is_flag=True, help="Leave the old key in service.")
@remote_options
def rotate(remote: Remote, token_id: str, keep: bool) -> None:
    """Make another key with the same properties and end the old one."""
    _check_id(token_id)
    _show_new(remote, remote.run(lambda me: me.tokens.rotate(token_id, keep=keep)))


def _check_id(token_id: str) -> None:
    if len(token_id) == KEY_CHARACTERS and token_id.endswith("="):
        raise click.UsageError("that is a key; its id is in: aether token list")


def _show_new(remote: Remote, new: NewToken) -> None:
    if remote.as_json:
        show([{**_row(new.info), "key": new.key}], (), as_json=True)
        return
    click.echo(f"id:  {new.info.id}", err=True)
    click.echo(new.key)


def _row(info: pb.TokenInfo) -> dict[str, Any]:
    return {
        "id": info.id,
        "name": info.name,
        "type": info.principal_type,
        "created_by": info.created_by,
        "workspaces": " ".join(info.workspace_patterns),
        "scopes": " ".join(info.scopes),
        "state": "revoked" if info.revoked else "live",
        "expires": timestamp(info.expires_at),
        "last_used": timestamp(info.last_used_at),
    }
