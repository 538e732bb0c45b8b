"""Grants by themselves: what may hang on what, for how long, and when it is forgotten (acl 9, 10)."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from aether.authority.grants import PURGE_S, Grants, Liveness
from aether.authority.model import Grant, InvalidGrant
from aether.errors import StoreUnavailable
from aether.storage.memory.records import MemoryRecords

NOW_MS = 1_000_000_000
DAY_MS = 86_400_000
NOBODY = cast(Liveness, None)


class Scene:
    def __init__(self) -> None:
        self.records = MemoryRecords()
        self.now_ms = NOW_MS
        self.revoked: list[tuple[str, str, bool]] = []
        self.open()

    def open(self) -> None:
        """A gateway starts."""
        self.grants = Grants(self.records, NOBODY, self.on_revoked, lambda: self.now_ms, retention_days=1)

    def on_revoked(self, grant: Grant, reason: str, follows: bool) -> None:
        self.revoked.append((grant.id, reason, follows))

    def grant(self, name: str, parent: str = "", *, ends_in_ms: int = 1000, renewable_in_ms: int = 5000) -> Grant:
        """One on Alice that can be passed on, or a part of another one."""
        whole = Grant(
            id=name,
            root_id=name,
            subject_type="user",
            subject_id="alice",
            delegate_type="agent",
            delegate_id="ag::w::i::d",
            issued_by_type="user",
            issued_by_id="alice",
            max_access_level=20,
            audience_type="agent",
            audience_id="ag::w::i::d",
            expires_ms=self.now_ms + ends_in_ms,
            renewable_ms=self.now_ms + renewable_in_ms,
            created_ms=self.now_ms,
            root_subject_type="user",
            root_subject_id="alice",
            remaining_hops=5,
        )
        if parent:
            above = self.grants.get(parent)
            assert above is not None
            whole = replace(whole, parent_id=parent, root_id=above.root_id, remaining_hops=above.remaining_hops - 1)
        return self.grants.add(whole)

    def live(self) -> set[str]:
        names = ("root", "left", "right", "leaf")
        return {name for name in names if (found := self.grants.get(name)) and found.is_live(self.now_ms)}


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_what_has_ended_has_no_parts(scene: Scene) -> None:
    root = scene.grant("root")
    scene.now_ms = root.expires_ms + 1
    with pytest.raises(InvalidGrant, match="not found"):
        scene.grant("left", "root")


@pytest.mark.parametrize("restart", [False, True])
def test_a_part_lives_no_longer_than_the_whole(scene: Scene, restart: bool) -> None:
    scene.grant("root", ends_in_ms=2000, renewable_in_ms=4000)
    part = scene.grant("left", "root", ends_in_ms=1000, renewable_in_ms=4000)
    if restart:
        scene.open()
    assert scene.grants.renew(part, NOW_MS + 9000).expires_ms == NOW_MS + 2000  # as long as the whole
    root = scene.grants.get("root")
    assert root is not None
    assert scene.grants.renew(root, NOW_MS + 9000).expires_ms == NOW_MS + 4000  # as long as it may
    renewed = scene.grants.renew(part, NOW_MS + 3000)
    assert (renewed.expires_ms, renewed.renewed_ms) == (NOW_MS + 3000, NOW_MS)
    with pytest.raises(InvalidGrant, match="future"):
        scene.grants.renew(renewed, NOW_MS)
    scene.now_ms = NOW_MS + 3001
    with pytest.raises(InvalidGrant, match="cannot be renewed"):
        scene.grants.renew(renewed, NOW_MS + 4000)


@pytest.mark.parametrize("restart", [False, True])
def test_with_a_grant_ends_all_that_hangs_on_it_once(scene: Scene, restart: bool) -> None:
    root = scene.grant("root")
    left, _ = scene.grant("left", "root"), scene.grant("right", "root")
    scene.grant("leaf", "left")
    if restart:
        scene.open()
    assert [grant.id for grant in scene.grants.revoke(left, "one")] == ["left", "leaf"]
    assert scene.live() == {"root", "right"}
    assert scene.revoked == [("left", "one", False), ("leaf", "one", True)]
    assert {grant.id for grant in scene.grants.revoke(root, "all")} == {"root", "right"}
    assert scene.live() == set()
    for name in ("root", "left"):
        ended = scene.grants.get(name)
        assert ended is not None
        with pytest.raises(InvalidGrant, match="not found"):
            scene.grants.revoke(ended, "again")


def test_a_whole_is_kept_while_a_part_is(scene: Scene) -> None:
    scene.grant("root", ends_in_ms=1000)
    scene.grant("left", "root", ends_in_ms=1000)
    scene.now_ms += DAY_MS + 1000
    assert scene.grants.purge(100) == 0  # the retention is not over
    scene.now_ms += 1
    assert [scene.grants.purge(100) for _ in range(3)] == [1, 1, 0]
    assert (scene.grants.get("left"), scene.grants.get("root")) == (None, None)
    assert scene.grants.of_delegate(("agent", "ag::w::i::d")) == scene.grants.children("root") == []


async def test_forgetting_goes_on(scene: Scene, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(scene.grants.run)
        for name, hours in (("left", 1), ("right", 4)):
            scene.grant(name)
            scene.now_ms += DAY_MS + 2000
            if name == "right":
                with monkeypatch.context() as patch:

                    def unavailable(_: int) -> int:
                        raise StoreUnavailable("disk full")

                    patch.setattr(scene.grants, "purge", unavailable)
                    await trio.sleep_until(begun + 3.5 * PURGE_S)
            await trio.sleep_until(begun + (hours - 0.5) * PURGE_S)
            assert scene.grants.get(name) is not None
            await trio.sleep_until(begun + (hours + 0.5) * PURGE_S)
            assert scene.grants.get(name) is None
        nursery.cancel_scope.cancel()
