"""A key that belongs to one holder for a time: what locks, permits and leadership are made of (kv 10.4).

What is stored is what the official helpers store: the key holds the owner's id and lives for the lease.

* acquire: SET_NX of the owner's id with the lease as TTL;
* renew: COMPARE_AND_SET of the id by itself, every third of the lease;
* release: COMPARE_AND_DELETE of the id.

An owner's id belongs to one acquisition, never to two, so that each of these can be repeated when an answer got lost
with the connection: the gateway's next answer tells what is true. A holder counts a lease from before it asked for it,
and stops a tenth of the lease before its end: by the time that somebody else can hold the key, the block of the last
holder has been cancelled.
"""

from __future__ import annotations

import platform
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, TypeVar

import trio

from aether.client.errors import ClientError, ConnectionLost, LeaseHeld, LeaseLost, RequestRefused
from aether.kv.store import Scope
from aether.nurseries import unwrapped_nursery

if TYPE_CHECKING:
    from aether.client.kv import KV

__all__ = ["LEASE_S", "Lease", "Place"]

LEASE_S = 30
RENEWALS = 3
"""Per lease; two of them may fail."""
MARGIN = 0.1
"""Part of the lease that its holder does not use, for clocks that run apart."""
RELEASE_S = 5.0
"""How long giving up may take; after that the lease ends by itself."""
FENCE_KEY = "_sys/coord/fence"
"""The counter of fencing numbers. All leases of a scope share it: it stays for good, and names of locks are many."""
PAUSE_MIN_S = 0.05
PAUSE_MAX_S = 1.0

T = TypeVar("T")


class Where(TypedDict):
    """The arguments of every key/value operation that say where the key is."""

    scope: Scope
    user: str
    workspace: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where keys are, as in :class:`aether.client.kv.KV`."""

    scope: Scope
    user: str = ""
    workspace: str = ""

    @property
    def arguments(self) -> Where:
        return {"scope": self.scope, "user": self.user, "workspace": self.workspace}


class Lease:
    """One acquisition of a key; not used twice.

    :ivar key: what is held.
    :ivar owner: the value that says by whom, ``<host name>:<16 hexadecimal digits>``.
    """

    def __init__(self, kv: KV, key: str, place: Place, ttl_s: int) -> None:
        if ttl_s < 1:
            raise ValueError("a lease lasts a second or more")
        self.key = key
        self.owner = f"{platform.node()}:{secrets.token_hex(8)}"
        self._kv = kv
        self._where = place.arguments
        self._value = self.owner.encode()
        self._ttl_s = ttl_s
        self._perhaps_held = False
        self._valid_until = 0.0
        self._fence = 0

    async def fence(self) -> int:
        """A number greater than that of every lease of the same scope that asked for one before.

        Give it to what the lease protects, which refuses a number below the greatest it has seen: then a holder that
        was stopped for longer than its lease does no harm when it goes on. The number is the same for the whole lease.

        :raises LeaseLost: it is not held any more.
        """
        if self._fence == 0:
            await self._draw()
        return self._fence

    async def _draw(self) -> None:
        number, _ = await self._settled(lambda: self._kv.increment(FENCE_KEY, **self._where))
        # Only a number that was drawn while the key was ours is greater than those of all holders before.
        if not await self._extend():
            raise self._lost("taken over")
        if self._fence == 0:  # another task of ours may have drawn one meanwhile
            self._fence = number

    # ---------------------------------------------------------------------------------------------- acquisition

    @asynccontextmanager
    async def hold(self, patience_s: float) -> AsyncIterator[None]:
        """Acquire, keep for the block, release.

        :raises LeaseHeld: others held it all the time; there is one attempt at least.
        :raises LeaseLost: it ended before the block did.
        """
        released = True
        try:
            await self._acquire(patience_s)
            async with self.kept():
                yield
        finally:
            released = await self.release()
        if not released:
            raise self._lost("taken over")

    async def _acquire(self, patience_s: float) -> None:
        deadline = trio.current_time() + patience_s
        if await self.attempt():
            return
        with trio.move_on_at(deadline):
            for pause_s in _pauses():
                await trio.sleep(pause_s)
                if await self.attempt():
                    return
        raise LeaseHeld(f"{self.key}: held by others")

    async def attempt(self) -> bool:
        """Take the key if it is free. When this is cancelled, :meth:`release` is due."""
        self._perhaps_held = True
        taken, repeated = await self._settled(self._take)
        if not taken and repeated:
            taken = await self._extend()  # the first try may have succeeded
        self._perhaps_held = taken
        return taken

    async def _take(self) -> bool:
        asked_at = trio.current_time()
        taken = await self._kv.set_nx(self.key, self._value, ttl_s=self._ttl_s, **self._where)
        if taken:
            self._count_from(asked_at)
        return taken

    # -------------------------------------------------------------------------------------------------- renewal

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Renew during the block; cancel it when the lease is lost.

        :raises LeaseLost: it was.
        """
        async with unwrapped_nursery() as nursery:
            nursery.start_soon(self._keep)
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()

    async def _keep(self) -> None:
        while True:
            await trio.sleep(self._ttl_s / RENEWALS)
            with trio.move_on_at(self._valid_until) as scope:
                try:
                    if not await self._extend():
                        raise self._lost("taken over")
                except RequestRefused as error:
                    raise self._lost("its renewal was refused") from error
            if scope.cancelled_caught:
                raise self._lost("not renewed in time")

    async def _extend(self) -> bool:
        """Begin the lease anew; False: the key is not ours."""

        async def extend() -> bool:
            asked_at = trio.current_time()
            extended = await self._replace(self._ttl_s)
            if extended:
                self._count_from(asked_at)
            return extended

        extended, _ = await self._settled(extend)
        return extended

    async def _replace(self, ttl_s: int) -> bool:
        return await self._kv.compare_and_set(self.key, self._value, self._value, ttl_s=ttl_s, **self._where)

    def _count_from(self, asked_at: float) -> None:
        self._valid_until = max(self._valid_until, asked_at + self._ttl_s * (1 - MARGIN))

    # ------------------------------------------------------------------------------------------------------ end

    async def release(self) -> bool:
        """Give up what is held, or may be; False: it was not ours any more.

        Not cancelled from outside, and over after five seconds: then the lease ends by itself.
        """
        if not self._perhaps_held:
            return True
        with trio.move_on_after(RELEASE_S, shield=True):
            try:
                deleted, repeated = await self._settled(
                    lambda: self._kv.compare_and_delete(self.key, self._value, **self._where)
                )
            except ClientError:
                return True
            self._perhaps_held = False
            return deleted or repeated
        return True

    async def settle(self, ttl_s: int) -> None:
        """Leave the key behind for ``ttl_s`` seconds, 0: for good. Not while it is :meth:`kept`.

        :raises LeaseLost: it was not ours any more, or the gateway did not answer in time.
        """
        with trio.move_on_after(RELEASE_S, shield=True):
            settled, _ = await self._settled(lambda: self._replace(ttl_s))
            if not settled:
                raise self._lost("taken over")
            self._perhaps_held = False
            return
        raise self._lost("the gateway did not answer")

    def _lost(self, reason: str) -> LeaseLost:
        """There is nothing to give up any more."""
        self._perhaps_held = False
        return LeaseLost(self.key, self.owner, reason)

    async def _settled(self, operation: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """The result of an operation, asked for until there is one; and whether it was asked for more than once.

        :raises RequestRefused: for good.
        :raises ConnectionClosed: there is nobody to ask any more.
        """
        repeated = False
        for pause_s in _pauses():
            try:
                return await operation(), repeated
            except ConnectionLost:
                pass
            except RequestRefused as refusal:
                if not refusal.retryable:
                    raise
            repeated = True
            await trio.sleep(pause_s)
        raise AssertionError("pauses do not end")


def _pauses() -> Iterator[float]:
    """Ever longer, up to a second, give or take a quarter so that contenders do not move in step."""
    pause_s = PAUSE_MIN_S
    while True:
        yield pause_s * random.uniform(0.75, 1.25)  # noqa: S311 - not a secret
        pause_s = min(pause_s * 2, PAUSE_MAX_S)
