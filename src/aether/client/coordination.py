"""Locks, permits, leadership and work that is done once, over the gateway's key/value store (kv 10.4, sdk 14).

Everything here is a lease that is renewed for as long as its block runs, see :mod:`aether.client.lease`. When the
gateway is away for too long, the block is cancelled before anybody else can hold the lease, and ``LeaseLost`` is
raised; so it is at the next renewal after somebody removed the key. A holder that dies is followed after the lease.

Keys are used as they are given, so that the official helpers and these meet under the same key. Two things differ on
purpose: a semaphore has a lease for each permit instead of a counter, which a holder that dies would keep one short for
good; and the mark of ``once`` has a lease while the work runs, so that work whose doer died is done after all.
"""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aether.client.errors import LeaseLost
from aether.client.lease import LEASE_S, Lease, Place
from aether.kv.store import Scope

if TYPE_CHECKING:
    from aether.client.kv import KV

__all__ = ["Coordinating", "Election"]


class Coordinating:
    """The part of a connection that coordinates with others.

    All methods take a ``key`` and where it is: ``scope``, ``user`` and ``workspace``, as key/value operations do. The
    default is the caller's workspace; principals without one name it, or choose ``Scope.GLOBAL``. ``ttl_s`` is the
    lease in seconds: how long a holder that died is waited for.
    """

    kv: KV

    @asynccontextmanager
    async def mutex(
        self,
        key: str,
        *,
        ttl_s: int = LEASE_S,
        patience_s: float = math.inf,
        scope: Scope = Scope.WORKSPACE,
        user: str = "",
        workspace: str = "",
    ) -> AsyncIterator[Lease]:
        """Hold a lock during the block, as the only one.

        :param patience_s: how long to contend for it; 0: one attempt.
        :raises LeaseHeld: others held it all the time.
        :raises LeaseLost: it was lost before the block ended, which was cancelled.
        """
        lease = Lease(self.kv, key, Place(scope, user, workspace), ttl_s)
        async with lease.hold(patience_s):
            yield lease

    @asynccontextmanager
    async def semaphore(
        self,
        key: str,
        permits: int,
        *,
        ttl_s: int = LEASE_S,
        patience_s: float = math.inf,
        scope: Scope = Scope.WORKSPACE,
        user: str = "",
        workspace: str = "",
    ) -> AsyncIterator[Lease]:
        """Hold one of so many permits during the block; everybody has to name the same number.

        :raises LeaseHeld: others held all of them all the time.
        :raises LeaseLost: the permit was lost before the block ended, which was cancelled.
        """
        lease = _Permit(self.kv, key, permits, Place(scope, user, workspace), ttl_s)
        async with lease.hold(patience_s):
            yield lease

    @asynccontextmanager
    async def once(
        self,
        key: str,
        *,
        keep_s: int = 0,
        ttl_s: int = LEASE_S,
        scope: Scope = Scope.WORKSPACE,
        user: str = "",
        workspace: str = "",
    ) -> AsyncIterator[bool]:
        """True for the first to come, who does the work in the block; False when it was done, or somebody is at it.

        The mark of work that was done stays for ``keep_s`` seconds, 0: for good. Work that fails or is cancelled, or
        whose doer dies, leaves no mark, and the next one to come does it.

        :raises LeaseLost: the mark was lost before the block ended, which was cancelled.
        """
        lease = Lease(self.kv, key, Place(scope, user, workspace), ttl_s)
        try:
            if not await lease.attempt():
                yield False
                return
            async with lease.kept():
                yield True
            await lease.settle(keep_s)
        finally:
            await lease.release()

    def leader(
        self,
        key: str,
        *,
        ttl_s: int = LEASE_S,
        scope: Scope = Scope.WORKSPACE,
        user: str = "",
        workspace: str = "",
    ) -> Election:
        """The election of one leader among all who run for it under this key."""
        return Election(self.kv, key, Place(scope, user, workspace), ttl_s)


class Election:
    """``me.leader(key)``: one leader among all who run for the same key."""

    def __init__(self, kv: KV, key: str, place: Place, ttl_s: int) -> None:
        self.key = key
        self._kv = kv
        self._place = place
        self._ttl_s = ttl_s

    async def run(self, lead: Callable[[Lease], Awaitable[object]]) -> None:
        """Run for leader, call ``lead`` with the lease of the term when elected, until ``lead`` returns.

        When leadership is lost ``lead`` is cancelled, and we run again. However it ends, the key is released, so that
        the next leader need not wait for the lease.
        """
        while True:
            term = Lease(self._kv, self.key, self._place, self._ttl_s)
            try:
                async with term.hold(math.inf):
                    await lead(term)
                return
            except LeaseLost as loss:
                if loss.owner != term.owner:
                    raise

    async def leader(self) -> str:
        """The owner id of the leader, empty when there is none."""
        return (await self._kv.get(self.key, **self._place.arguments)).decode(errors="replace")


class _Permit(Lease):
    """A lease of any one of the keys ``key/0``, ``key/1`` and so on."""

    def __init__(self, kv: KV, key: str, permits: int, place: Place, ttl_s: int) -> None:
        if permits < 1:
            raise ValueError("a semaphore has a permit or more")
        super().__init__(kv, f"{key}/0", place, ttl_s)
        self._prefix = f"{key}/"
        self._permits = [f"{key}/{number}" for number in range(permits)]

    async def attempt(self) -> bool:
        taken, _ = await self._settled(self._taken)
        free = [key for key in self._permits if key not in taken]
        random.shuffle(free)
        for self.key in free:
            if await super().attempt():
                return True
        return False

    async def _taken(self) -> set[str]:
        return {key async for key, _ in self._kv.list(self._prefix, **self._where)}
