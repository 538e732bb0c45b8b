"""The compiled way to values answers as the service does, on any history; what it cannot read it leaves alone."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import trio
from hypothesis import given
from hypothesis import strategies as st
from tests.support.values import check_taken
from tests.unit.fakes import WallClock, agent

from aether._fastpath import Durations, Tally
from aether.access import OpenAccess
from aether.answers import Answer, Caller
from aether.gateway.refusals import uncertain
from aether.kv._shortcuts import Shortcut, Shortcuts
from aether.kv.limits import KVLimits
from aether.kv.service import KVService
from aether.kv.store import Op, Place, Scope
from aether.kv.wire import in_doubt
from aether.proto import aether_pb2 as pb
from aether.storage.sqlite.database import Database
from aether.storage.sqlite.kv import SqliteKV

K = pb.KVOperation
VALUE_MAX = 4
BYTES_MAX = 12

operations = st.builds(
    pb.KVOperation,
    op=st.sampled_from([K.GET, K.GET, K.GET, K.PUT, K.PUT, K.PUT, K.DELETE, K.INCREMENT, K.SET_ADD]),
    scope=st.sampled_from([K.GLOBAL_EXCLUSIVE, K.GLOBAL, K.USER_SHARED]),
    key=st.sampled_from(["a", "a", "b", "ü", ""]),
    value=st.sampled_from([b"", b"1", b"\xff\x00", b"long!"]),
    user_id=st.sampled_from(["", "u"]),
    workspace=st.sampled_from(["", "", "w", "other"]),
    ttl=st.sampled_from([0, 0, 0, 1]),
    request_id=st.sampled_from(["", "r", "ü", "x" * 130]),
    cursor=st.sampled_from(["", "", "", "unused"]),
)
steps = st.one_of(operations, operations, operations, st.sampled_from(["advance", "commit", "forget"]))


class Desk:
    """A session that asks one store, the short way where there is one."""

    def __init__(self, database: Database, clock: WallClock, *, short: bool) -> None:
        self.store = SqliteKV(database, clock, cache_bytes=700)
        self.store.accounts.limit_by(lambda _: (4, BYTES_MAX))
        self.caller = agent()
        self.answers: list[Answer] = []
        self.shortcuts = self._none_yet()
        self.taken = 0
        limits = KVLimits(value_bytes_max=VALUE_MAX, keys_per_namespace_max=1)
        self.service = KVService(self.store, OpenAccess(), limits, on_repeat=self._keep if short else None)

    def _none_yet(self) -> Shortcuts:
        return Shortcuts(self.store.entries, VALUE_MAX, self._answer)

    def forget(self) -> None:
        self.shortcuts = self._none_yet()

    def _answer(self, frame: bytes, ticket: int, request_id: str) -> None:
        self.answers.append(Answer((frame,), ticket, partial(in_doubt, request_id)))

    def _keep(self, caller: Caller, op: Op, scope: Scope, workspace: str, question: bytes, place: Place) -> None:
        self.shortcuts.add(question, Shortcut(place, Durations(), Tally()))

    def ask(self, operation: pb.KVOperation) -> Answer:
        if self.shortcuts.take(pb.UpstreamMessage(kv_op=operation).SerializeToString()):
            self.taken += 1
            return self.answers.pop()
        answer = self.service.handle(self.caller, operation)
        assert isinstance(answer, Answer)
        return answer


@given(st.lists(steps, max_size=60))
def test_histories(history: list[pb.KVOperation | str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        trio.run(play, history, Path(directory))


async def play(history: list[pb.KVOperation | str], directory: Path) -> None:
    clock = WallClock()
    async with Database.open(directory / "short", "os") as one, Database.open(directory / "long", "os") as other:
        short, long = Desk(one, clock, short=True), Desk(other, clock, short=False)
        for step in history:
            if step == "advance":
                clock.advance(2)
            elif step == "commit":
                one.kick()
                other.kick()
            elif step == "forget":
                short.forget()
            elif isinstance(step, pb.KVOperation):
                answer, expected = short.ask(step), long.ask(step)
                assert answer.frames == expected.frames, step
                assert answer.ticket == expected.ticket, step
                assert short.store.accounts.stored("w") == long.store.accounts.stored("w"), step
                if expected.ticket:
                    in_doubt = uncertain("kv_op", step, expected)
                    assert (answer.in_doubt() if answer.in_doubt else in_doubt) == in_doubt


async def test_what_is_asked_again_takes_the_short_way(tmp_path: Path) -> None:
    async with Database.open(tmp_path, "os") as database:
        desk = Desk(database, WallClock(), short=True)
        put = pb.KVOperation(op=K.PUT, scope=K.WORKSPACE_EXCLUSIVE, key="ü", value=b"1", workspace="w")
        get = pb.KVOperation(op=K.GET, scope=K.WORKSPACE_EXCLUSIVE, key="ü", workspace="w", request_id="r")
        for operation in (put, get) * 3:
            desk.ask(operation)
        assert desk.taken == 4
        desk.forget()
        desk.ask(get)
        assert desk.taken == 4


readable = st.builds(lambda operation: pb.UpstreamMessage(kv_op=operation).SerializeToString(), operations)


@given(st.one_of(st.binary(max_size=60), readable, st.tuples(readable, st.binary(max_size=9)).map(b"".join)))
def test_only_plain_gets_and_puts_are_taken(message: bytes) -> None:
    check_taken(message)


async def test_nothing_is_changed_while_the_store_cannot_write(tmp_path: Path) -> None:
    async with Database.open(tmp_path, "os") as database:
        desk = Desk(database, WallClock(), short=True)
        put = pb.KVOperation(op=K.PUT, scope=K.GLOBAL, key="a", value=b"1", request_id="r")
        for _ in range(2):
            desk.ask(put)
        assert desk.taken == 1
        database.failing = True
        put.value = b"2"
        refused, _ = desk.ask(put).frames
        assert pb.DownstreamMessage.FromString(refused[5:]).error.retryable
        database.failing = False
        answer = desk.ask(pb.KVOperation(op=K.GET, scope=K.GLOBAL, key="a"))
        assert pb.DownstreamMessage.FromString(answer.frames[0][5:]).kv.value == b"1"
