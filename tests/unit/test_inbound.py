"""One session's operations: in order, each answered once, and no more read than can be held."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing
from tests.unit.fakes import FakeCall, FakeDurability, WallClock
from trio.testing import MockClock

from aether._fastpath import Port, TokenBucket
from aether.answers import Answer, Reply, down
from aether.errors import Code, Refusal
from aether.gateway.answering import UNREAD_BYTES_MAX, Answers
from aether.gateway.commits import Commits
from aether.gateway.inbound import HELD_BYTES_MAX, Inbound
from aether.gateway.reasons import CloseReason
from aether.identity import Identity, PrincipalType
from aether.proto import aether_pb2 as pb

Handler = Callable[[Any, Any], Reply]


def kv(request_id: str, value: bytes = b"") -> pb.UpstreamMessage:
    return pb.UpstreamMessage(kv_op=pb.KVOperation(request_id=request_id, value=value))


def said(request_id: str) -> Answer:
    return Answer((down(pb.DownstreamMessage(kv=pb.KVResponse(success=True, request_id=request_id))),))


def at_once(session: Any, operation: pb.KVOperation) -> Answer:
    return said(operation.request_id)


class Desk:
    """An :class:`Inbound` with handlers of the test's, and everything around it."""

    def __init__(self, nursery: trio.Nursery, budget: TokenBucket | None = None, **handlers: Handler) -> None:
        self.call = FakeCall()
        self.store = FakeDurability()
        self.audit = SimpleNamespace(ticket=0)
        self.refused: list[str] = []
        self.ended: list[CloseReason] = []
        self.session: Any = SimpleNamespace(
            identity=Identity(PrincipalType.AGENT, "w", "i", "s"),
            lock_key="ag::w::i::s",
            claim=SimpleNamespace(admission=SimpleNamespace(operations=None)),
            end=self.ended.append,
            start_soon=nursery.start_soon,
            last_activity_ms=0,
        )
        self.port = Port(self.call, self.session, lambda port: None, trio.current_time)
        self.commits = Commits(self.store, self.store, 1000, self._flush)  # type: ignore[arg-type]
        self.answers = Answers(self.call, self.port, self.commits)  # type: ignore[arg-type]
        services: Any = SimpleNamespace(
            audit=self.audit,
            commits=self.commits,
            denials=SimpleNamespace(barred={}),
            handlers=handlers,
            router=SimpleNamespace(send=self._send),
            limits=SimpleNamespace(operations=lambda: budget),
            observer=SimpleNamespace(refused=lambda identity, code: self.refused.append(code)),
            flush_all=self._flush,
            wall_clock=WallClock(),
        )
        self.inbound = Inbound(self.session, self.call, self.port, self.answers, None, services)  # type: ignore[arg-type]
        self.port.inbound = self.inbound
        self.inbound.begin()

    def _flush(self) -> None:
        self.commits.before_flush()

    def _send(self, port: Port, session: Any, message: pb.SendMessage) -> None:
        """Topics are refused with their name, and what that costs is on record."""
        self.audit.ticket = self.store.latest_ticket = 1
        raise Refusal(Code.PERMISSION_DENIED, message.target_topic)

    def say(self, *messages: pb.UpstreamMessage) -> None:
        self.call.receive([message.SerializeToString() for message in messages])

    def heard(self) -> list[pb.DownstreamMessage]:
        return [pb.DownstreamMessage.FromString(frame[5:]) for frame in self.call.frames]

    def answered(self) -> list[str]:
        """Ids of the requests that were answered, in this order."""
        return [message.kv.request_id for message in self.heard() if message.HasField("kv")]


class Slow:
    """A handler that answers when it is told to."""

    def __init__(self) -> None:
        self.go = trio.Event()

    def __call__(self, session: Any, operation: pb.KVOperation) -> Reply:
        return self._wait(operation) if operation.value else at_once(session, operation)

    async def _wait(self, operation: pb.KVOperation) -> Answer:
        await self.go.wait()
        if operation.value == b"raises":
            raise RuntimeError
        return said(operation.request_id)


async def test_one_that_waits_holds_up_the_later_ones(nursery: trio.Nursery) -> None:
    slow = Slow()
    desk = Desk(nursery, kv_op=slow)
    desk.say(kv("1"), kv("2", b"slow"), kv("3"))
    desk.say(kv("4"))
    await trio.testing.wait_all_tasks_blocked()
    assert desk.answered() == ["1"]
    slow.go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert desk.answered() == ["1", "2", "3", "4"]


async def test_an_error_of_ours_is_an_answer(nursery: trio.Nursery) -> None:
    slow = Slow()
    slow.go.set()
    desk = Desk(nursery, kv_op=slow, task_query=lambda session, operation: 1 // 0)
    desk.say(pb.UpstreamMessage(task_query=pb.TaskQuery(request_id="1")), kv("2", b"raises"), kv("3"))
    await trio.testing.wait_all_tasks_blocked()
    first, first_typed, second, second_typed, third = desk.heard()
    assert {first.error.code, second.error.code} == {"ERR_INTERNAL"}
    assert (first_typed.task_query.success, first_typed.task_query.request_id) == (False, "1")
    assert (second_typed.kv.success, second_typed.kv.request_id) == (False, "2")
    assert third.kv.success


async def test_what_cannot_be_read_is_declined_and_the_session_goes_on(nursery: trio.Nursery) -> None:
    desk = Desk(nursery, kv_op=at_once)
    desk.call.receive([b"\xff"])
    desk.say(pb.UpstreamMessage(), kv("1"))
    assert [message.error.code for message in desk.heard()[:2]] == ["ERR_INVALID_ARGUMENT", "ERR_NOT_IMPLEMENTED"]
    assert desk.answered() == ["1"]
    assert not desk.ended


async def test_a_second_init_ends_the_session(nursery: trio.Nursery) -> None:
    desk = Desk(nursery)
    desk.say(pb.UpstreamMessage(init=pb.InitConnection()))
    assert desk.ended == [CloseReason.PROTOCOL]


async def test_a_refusal_is_told_once_it_is_on_record(nursery: trio.Nursery) -> None:
    """And not told where it cannot be recorded: then the client may try again."""
    message = pb.UpstreamMessage(send=pb.SendMessage(target_topic="ga::v"))
    for failing in (False, True):
        desk = Desk(nursery)
        desk.say(message)
        assert (desk.heard(), desk.refused, desk.store.kicks) == ([], ["ERR_PERMISSION_DENIED"], 0)
        desk.commits.flush()
        assert desk.store.kicks == 1, "whoever waits has its commit, once everything received is handled"
        if failing:
            desk.commits.on_failed()
        else:
            desk.store.committed = 1
            desk.commits.on_durable()
        [told] = desk.heard()
        assert told.error.code == ("ERR_PUBLISH_FAILED" if failing else "ERR_PERMISSION_DENIED")
        assert told.error.retryable is failing


async def test_operations_over_the_budget_are_refused_but_for_giving_up(
    nursery: trio.Nursery, mock_clock: MockClock
) -> None:
    operation = pb.TaskSubscriptionOperation
    bucket = TokenBucket(2, 1, trio.current_time())
    desk = Desk(nursery, bucket, task_subscription_op=lambda session, asked: Answer((down(pb.DownstreamMessage()),)))
    subscribe = pb.UpstreamMessage(task_subscription_op=operation(op=operation.SUBSCRIBE, client_request_id="1"))
    unsubscribe = pb.UpstreamMessage(task_subscription_op=operation(op=operation.UNSUBSCRIBE))
    desk.say(subscribe, subscribe, unsubscribe)
    done, error, typed, given_up = desk.heard()
    assert not done.WhichOneof("payload") and not given_up.WhichOneof("payload")
    assert (error.error.code, error.error.retryable) == ("ERR_RATE_LIMITED", True)
    assert 500 <= error.error.retry_after_ms <= 501
    assert typed.task_subscription_response.client_request_id == "1"
    mock_clock.jump(error.error.retry_after_ms / 1000)
    desk.say(subscribe)
    assert not desk.heard()[-1].WhichOneof("payload")


async def test_a_half_close_has_its_answers_first(nursery: trio.Nursery) -> None:
    slow = Slow()
    desk = Desk(nursery, kv_op=slow)
    desk.say(kv("1", b"slow"))
    desk.port.published = True
    desk.store.latest_ticket = 1
    desk.call.half_close()
    await trio.testing.wait_all_tasks_blocked()
    assert not desk.ended
    slow.go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert not desk.ended, "a message before it is not durable yet"
    desk.store.committed = 1
    desk.commits.on_durable()
    assert desk.answered() == ["1"]
    assert desk.ended == [CloseReason.CLIENT_CLOSE]


async def test_nothing_is_begun_once_it_is_stopped(nursery: trio.Nursery) -> None:
    slow = Slow()
    desk = Desk(nursery, kv_op=slow)
    desk.say(kv("1", b"slow"), kv("2"))
    desk.inbound.stop()
    slow.go.set()
    desk.say(kv("3"))
    await trio.testing.wait_all_tasks_blocked()
    assert desk.answered() == ["1"]


async def test_who_does_not_read_is_not_read(nursery: trio.Nursery) -> None:
    def much(session: Any, operation: pb.KVOperation) -> Answer:
        return Answer((bytes(UNREAD_BYTES_MAX + 1),)) if operation.value else at_once(session, operation)

    desk = Desk(nursery, kv_op=much)
    desk.say(kv("1", b"much"), kv("2"))
    await trio.testing.wait_all_tasks_blocked()
    assert len(desk.call.frames) == 1, "what came with it waits"
    assert desk.call.pauses == ["pause"]
    desk.call.take()
    await trio.testing.wait_all_tasks_blocked()
    assert len(desk.call.frames) == 2
    assert desk.call.pauses == ["pause", "resume"]


async def test_no_more_is_read_than_can_be_held(nursery: trio.Nursery) -> None:
    slow = Slow()
    desk = Desk(nursery, kv_op=slow)
    desk.say(kv("1", b"slow"))
    assert desk.call.pauses == []
    desk.say(kv("2", bytes(HELD_BYTES_MAX)))
    assert desk.call.pauses == ["pause"]
    slow.go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert desk.answered() == ["1", "2"]
    assert desk.call.pauses == ["pause", "resume"]


async def test_who_sends_more_than_the_disk_takes_is_not_read(nursery: trio.Nursery) -> None:
    desk = Desk(nursery, kv_op=at_once)
    desk.store.staged_bytes = 1001
    desk.say(kv("1"))
    await trio.testing.wait_all_tasks_blocked()
    assert (desk.answered(), desk.call.pauses) == (["1"], ["pause"])
    desk.commits.on_failed()
    await trio.testing.wait_all_tasks_blocked()
    assert desk.call.pauses == ["pause"]
    desk.store.staged_bytes = 0
    desk.commits.on_durable()
    await trio.testing.wait_all_tasks_blocked()
    assert desk.call.pauses == ["pause", "resume"]


async def test_a_message_over_a_limit_is_declined(nursery: trio.Nursery, mock_clock: MockClock) -> None:
    desk = Desk(nursery)
    desk.port.bucket = TokenBucket(1, 1, trio.current_time())
    assert desk.port.admit() == 0
    desk.inbound.on_limited(desk.port.admit())
    [told] = desk.heard()
    assert (told.error.code, told.error.retryable) == ("ERR_RATE_LIMITED", True)
    assert desk.refused == ["ERR_RATE_LIMITED"]
