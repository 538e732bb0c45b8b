"""Requests for authority end by themselves, and are forgotten long after: once, and also across restarts (acl 12)."""

from __future__ import annotations

import itertools
from typing import cast

import pytest
import trio
from tests.unit.fakes import agent
from trio.testing import MockClock

from aether.access import OpenAccess
from aether.audit.events import NO_AUDIT
from aether.authority.grants import Grants
from aether.authority.requests import SWEEP_S, Control, Request, RequestLimits, Requests
from aether.errors import StoreUnavailable
from aether.storage.memory.records import MemoryRecords

NOW_MS = 1_000_000_000
LIMITS = RequestLimits(lifetime_s=60, retention_days=1)
DAY_S = 86_400
ASKER = agent("asker")


class Scene:
    def __init__(self) -> None:
        self.records = MemoryRecords()
        self.ids = map(str, itertools.count())
        self.told: list[tuple[str, str]] = []
        self.later_ms = 0
        self.open()

    def now_ms(self) -> int:
        return NOW_MS + self.later_ms + int(trio.current_time() * 1000)

    def open(self) -> None:
        """A gateway starts."""
        access, grants = cast(Control, OpenAccess()), cast(Grants, None)
        self.requests = Requests(
            self.records, grants, access, NO_AUDIT, self.now_ms, lambda: next(self.ids), limits=LIMITS
        )
        self.requests.on_event.append(lambda request: self.told.append((request.id, request.status)))

    def ask(self) -> Request:
        who = ("agent", ASKER.identity.canonical_id)
        wanted = Request("", *who, "user", "alice", 20, 600, *who, 0, 0, routing_type="user", routing_id="alice")
        return self.requests.create(ASKER, wanted)

    def status(self, request: Request) -> str:
        found = self.requests.find(request.id)
        return found.status if found is not None else "forgotten"


async def test_requests_end_once_and_are_forgotten(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.requests.run)
        first = scene.ask()
        await trio.sleep(40)
        second = scene.ask()
        await trio.sleep(20 + 2 * SWEEP_S)
        assert (scene.status(first), scene.status(second)) == ("expired", "pending")
        ended = scene.requests.find(first.id)
        assert ended is not None
        assert ended.resolved_ms == first.expires_ms
        with monkeypatch.context() as patch:

            def unavailable() -> None:
                raise StoreUnavailable("disk full")

            patch.setattr(scene.requests, "sweep", unavailable)
            await trio.sleep(60)
            assert scene.told[-1] == (first.id, "expired")
        await trio.sleep(2 * SWEEP_S)
        assert scene.told == [
            (first.id, "pending"),
            (second.id, "pending"),
            (first.id, "expired"),
            (second.id, "expired"),
        ]
        nursery.cancel_scope.cancel()
    scene.open()
    third = scene.ask()
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.requests.run)
        scene.later_ms += (DAY_S - 200) * 1000
        await trio.sleep(2 * SWEEP_S)
        assert [scene.status(request) for request in (first, second, third)] == ["expired"] * 3
        scene.later_ms += 175_000
        await trio.sleep(2 * SWEEP_S)
        assert [scene.status(request) for request in (first, second, third)] == ["forgotten", "forgotten", "expired"]
        nursery.cancel_scope.cancel()
    assert len(scene.told) == 6  # what was forgotten is not told again
