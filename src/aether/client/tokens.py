"""API tokens, for principals that may administer them (connection 13.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from aether.client.errors import NotFound, RequestRefused
from aether.client.link import Link
from aether.proto import aether_pb2 as pb

__all__ = ["NewToken", "Tokens"]

Op = pb.TokenOperation


class NewToken(NamedTuple):
    """A token that was just made; its key is never shown again."""

    info: pb.TokenInfo
    key: str

    def __repr__(self) -> str:
        return f"NewToken(id={self.info.id!r}, name={self.info.name!r})"


class Tokens:
    """``me.tokens``. Every method raises PermissionDenied for principals that may not administer tokens."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def create(
        self,
        name: str,
        principal_type: str,
        *,
        user_id: str = "",
        identity: str = "",
        workspaces: Sequence[str] = (),
        scopes: Sequence[str] = (),
        hours: int = 0,
    ) -> NewToken:
        """Make a key that admits principals of a type.

        :param principal_type: such as ``agent``.
        :param user_id: the user that it admits; needed for users.
        :param identity: pattern of the identities that it admits, such as ``ag::prod::worker::*``; empty: all.
        :param workspaces: patterns of workspaces; none: all.
        :param scopes: ``send``, ``kv``, ``task`` and ``admin`` restrict it to these kinds of operations; none: all.
        :param hours: its life; 0: forever.
        """
        bound = [f"identity:{identity}"] if identity else []
        request = pb.TokenCreateRequest(
            name=name,
            principal_type=principal_type,
            workspace_patterns=workspaces,
            scopes=[*(scopes or ("connect",)), *bound],
            expires_in_hours=hours,
            created_by=user_id,
        )
        response = await self._run(Op.CREATE, create_request=request)
        return NewToken(response.created_token, response.plaintext_token)

    async def get(self, token_id: str) -> pb.TokenInfo:
        """:raises NotFound: there is no such token."""
        return (await self._run(Op.GET, token_id=token_id)).token

    async def list(self, *, revoked: bool = False, limit: int = 0, offset: int = 0) -> Sequence[pb.TokenInfo]:
        """Tokens, the newest first; 100 unless ``limit`` says otherwise.

        :param revoked: those that were revoked as well.
        """
        wanted = pb.TokenFilter(limit=limit, offset=offset, include_revoked=revoked)
        return [*(await self._run(Op.LIST, filter=wanted)).tokens]

    async def revoke(self, token_id: str) -> None:
        """End a token and the sessions it opened.

        :raises NotFound: there is no such token.
        """
        await self._run(Op.REVOKE, token_id=token_id)

    async def delete(self, token_id: str) -> None:
        """As :meth:`revoke`, and forget it."""
        await self._run(Op.DELETE, token_id=token_id)

    async def rotate(self, token_id: str, *, keep: bool = False) -> NewToken:
        """Make another key with the same properties, then end the old one.

        :param keep: leave the old one in service, to be revoked when nobody uses it any more.
        """
        old = await self.get(token_id)
        hours = max(1, round((old.expires_at - old.created_at) / 3600)) if old.expires_at else 0
        request = pb.TokenCreateRequest(
            name=old.name,
            principal_type=old.principal_type,
            workspace_patterns=old.workspace_patterns,
            scopes=old.scopes,
            expires_in_hours=hours,
            created_by=old.created_by,
        )
        response = await self._run(Op.CREATE, create_request=request)
        if not keep:
            await self.revoke(token_id)
        return NewToken(response.created_token, response.plaintext_token)

    async def _run(self, op: int, **fields: Any) -> pb.TokenResponse:
        response: pb.TokenResponse = await self._link.request("token_op", pb.TokenOperation(op=op, **fields))  # type: ignore[arg-type]
        if response.success:
            return response
        error = NotFound if "not found" in response.error else RequestRefused
        raise error("TOKEN_OPERATION_REFUSED", response.error)
