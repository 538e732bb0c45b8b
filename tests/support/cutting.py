"""A way to a gateway that breaks again and again, at any byte of either direction."""

from __future__ import annotations

import random

from tests.support.link import Link

from aether import Gateway
from aether.rpc.transport import Transport

__all__ = ["CuttingLink"]


class CuttingLink(Link):
    """Each connection ends after a random number of bytes, until it is :meth:`calm`.

    :ivar cuts: how often it broke.
    :ivar is_calm: it does not break any more.
    """

    def __init__(self, target: str | Gateway, chance: random.Random) -> None:
        super().__init__(target)
        self.cuts = 0
        self._chance = chance
        self.is_calm = False

    def calm(self) -> None:
        """From now on connections last."""
        self.is_calm = True

    async def open_transport(self) -> Transport:
        inner = await super().open_transport()
        if self.is_calm:
            return inner
        most = self._chance.choice((300, 2_000, 10_000))
        return _Cutting(inner, self, self._chance.randrange(most))


class _Cutting:
    """One connection, of so many bytes."""

    fd = -1
    buffered = False

    def __init__(self, inner: Transport, link: CuttingLink, left: int) -> None:
        self._inner = inner
        self._link = link
        self._left = left
        self._is_cut = False

    async def receive(self) -> bytes:
        data = b"" if self._is_cut else await self._inner.receive()
        return self._pass(data)

    def receive_nowait(self) -> bytes | None:
        raise NotImplementedError("there is no descriptor")

    def send_nowait(self, data: bytes | memoryview) -> int:
        passed = self._pass(bytes(data))
        sent = self._inner.send_nowait(passed) if passed else 0
        if self._is_cut:
            self._inner.close()
            return len(data)
        return sent

    def _pass(self, data: bytes) -> bytes:
        """As much of it as gets through."""
        if self._link.is_calm or self._is_cut:
            return b"" if self._is_cut else data
        passed = data[: self._left]
        self._left -= len(data)
        if self._left <= 0:
            self._is_cut = True
            self._link.cuts += 1
        return passed

    async def wait_writable(self) -> None:
        await self._inner.wait_writable()

    def end_writing(self) -> None:
        self._inner.end_writing()

    def close(self) -> None:
        self._inner.close()
