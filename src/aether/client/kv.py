"""Key/value operations (kv 7). Every write is durable when the call returns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aether.client.errors import RequestRefused
from aether.client.link import Link
from aether.kv.store import Op, Scope
from aether.proto import aether_pb2 as pb

__all__ = ["KV", "Counter", "Scope"]


@dataclass(frozen=True, slots=True)
class Counter:
    """Outcome of a guarded counter: its value now, and whether the step was taken."""

    value: int
    applied: bool


class KV:
    """``me.kv``. Without other words a key is private to the caller's implementation and specifier.

    ``scope`` chooses who shares it; ``user`` and ``workspace`` name whose it is where the scope needs them.
    """

    def __init__(self, link: Link, authorization: pb.AuthorizationContext | None = None) -> None:
        self._link = link
        self._authorization = authorization

    def on_behalf(self, authorization: pb.AuthorizationContext) -> KV:
        """The same operations for somebody else, see :func:`aether.client.authority.on_behalf`."""
        return KV(self._link, authorization)

    async def _run(self, op: Op, key: str, scope: Scope, user: str, workspace: str, **fields: Any) -> pb.KVResponse:
        operation = pb.KVOperation(
            op=op.value,  # type: ignore[arg-type]
            scope=scope.value,  # type: ignore[arg-type]
            key=key,
            user_id=user,
            workspace=workspace,
            authorization=self._authorization,
            **fields,
        )
        response: pb.KVResponse = await self._link.request("kv_op", operation)
        if not response.success:
            raise RequestRefused("KV_ERROR", "the operation was declined")
        return response

    async def get(
        self, key: str, *, scope: Scope = Scope.GLOBAL_EXCLUSIVE, user: str = "", workspace: str = ""
    ) -> bytes:
        """The value; empty for an absent key, which the protocol does not tell apart from an empty value."""
        return (await self._run(Op.GET, key, scope, user, workspace)).value

    async def put(
        self,
        key: str,
        value: bytes,
        *,
        ttl_s: int = 0,
        scope: Scope = Scope.GLOBAL_EXCLUSIVE,
        user: str = "",
        workspace: str = "",
    ) -> None:
        """Store a value, for ``ttl_s`` seconds or for good."""
        await self._run(Op.PUT, key, scope, user, workspace, value=value, ttl=ttl_s)

    async def delete(
        self, key: str, *, scope: Scope = Scope.GLOBAL_EXCLUSIVE, user: str = "", workspace: str = ""
    ) -> None:
        """Remove a key; absent is fine."""
        await self._run(Op.DELETE, key, scope, user, workspace)

    async def increment(
        self, key: str, *, ttl_s: int = 0, scope: Scope = Scope.GLOBAL_EXCLUSIVE, user: str = "", workspace: str = ""
    ) -> int:
        """Add one to a counter; ``ttl_s`` counts when this creates it."""
        return (await self._run(Op.INCREMENT, key, scope, user, workspace, ttl=ttl_s)).counter_value

    async def decrement(
        self, key: str, *, scope: Scope = Scope.GLOBAL_EXCLUSIVE, user: str = "", workspace: str = ""
    ) -> int:
        """Take one from a counter."""
        return (await self._run(Op.DECREMENT, key, scope, user, workspace)).counter_value

    async def increment_if(
        self,
        key: str,
        ceiling: int,
        *,
        delta: int = 1,
        scope: Scope = Scope.GLOBAL_EXCLUSIVE,
        user: str = "",
        workspace: str = "",
    ) -> Counter:
        """Add ``delta`` unless that exceeds ``ceiling``."""
        response = await self._run(Op.INCREMENT_IF, key, scope, user, workspace, delta_value=delta, guard_value=ceiling)
        return Counter(response.counter_value, response.applied)

    async def decrement_if(
        self,
        key: str,
        floor: int,
        *,
        delta: int = 1,
        scope: Scope = Scope.GLOBAL_EXCLUSIVE,
        user: str = "",
        workspace: str = "",
    ) -> Counter:
        """Take ``delta`` unless that goes below ``floor``."""
        response = await self._run(Op.DECREMENT_IF, key, scope, user, workspace, delta_value=delta, guard_value=floor)
        return Counter(response.counter_value, response.applied)

    async def set_nx(
        self,
        key: str,
        value: bytes,
        *,
        ttl_s: int = 0,
        scope: Scope = Scope.GLOBAL_EXCLUSIVE,
        user: str = "",
        workspace: str = "",
    ) -> bool:
        """Store a value if the key is absent; True for the one who did."""
        return (await self._run(Op.SET_NX, key, scope, user, workspace, value=value, ttl=ttl_s)).applied

    async def compare_and_set(
        self,
        key: str,
        expected: bytes,
        value: bytes,
        *,
        ttl_s: int = 0,
        scope: Scope = Scope.GLOBAL_EXCLUSIVE,
        user: str = "",
        workspace: str = "",
    ) -> bool:
        """Replace the value if it is ``expected``."""
        fields = {"expected_value": expected, "value": value, "ttl": ttl_s}
        return (await self._run(Op.COMPARE_AND_SET, key, scope, user, workspace, **fields)).applied

    async def compare_and_delete(
        self,
        key: str,
        expected: bytes,
        *,
        scope: Scope = Scope.GLOBAL_EXCLUSIVE,
        user: str = "",
        workspace: str = "",
    ) -> bool:
        """Remove the key if its value is ``expected``."""
        response = await self._run(Op.COMPARE_AND_DELETE, key, scope, user, workspace, expected_value=expected)
        return response.applied

    async def set_add(
        self,
        key: str,
        member: bytes,
        *,
        ttl_s: int = 0,
        scope: Scope = Scope.GLOBAL_EXCLUSIVE,
        user: str = "",
        workspace: str = "",
    ) -> Counter:
        """Add a member to a set: its cardinality, and whether the member is new."""
        response = await self._run(Op.SET_ADD, key, scope, user, workspace, value=member, ttl=ttl_s)
        return Counter(response.counter_value, response.applied)

    async def set_card(
        self, key: str, *, scope: Scope = Scope.GLOBAL_EXCLUSIVE, user: str = "", workspace: str = ""
    ) -> int:
        """Number of members of a set; 0 when there is none."""
        return (await self._run(Op.SET_CARD, key, scope, user, workspace)).counter_value

    async def purge_identity(
        self,
        identity: str,
        *,
        prefix: str = "",
        scope: Scope = Scope.GLOBAL_EXCLUSIVE,
        user: str = "",
        workspace: str = "",
    ) -> int:
        """Remove another identity's keys that begin with a prefix; returns how many. Needs the capability
        ``kv_purge_identity``; shared scopes need a prefix.

        :param identity: as in topics, for example ``ag::workspace::implementation::specifier``.
        """
        response = await self._run(Op.PURGE_IDENTITY, prefix, scope, user, workspace, target_identity=identity)
        return response.counter_value

    async def list(
        self, prefix: str = "", *, scope: Scope = Scope.GLOBAL_EXCLUSIVE, user: str = "", workspace: str = ""
    ) -> AsyncIterator[tuple[str, bytes]]:
        """Keys with a literal prefix and their values, in order; pages are fetched as they are needed."""
        cursor = ""
        while True:
            page = await self._run(Op.LIST, prefix, scope, user, workspace, cursor=cursor)
            for key in page.keys:
                yield key, page.kv_map[key]
            if not page.has_more:
                return
            cursor = page.next_cursor
