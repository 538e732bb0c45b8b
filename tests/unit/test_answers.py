"""Answers of one session: in order, each once it may be told, and what is told while commits fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from tests.unit.fakes import FakeCall, FakeDurability

from aether._fastpath import Port
from aether.answers import NOTHING, Answer
from aether.gateway.answering import UNREAD_BYTES_MAX, Answers
from aether.gateway.commits import Commits
from aether.gateway.refusals import uncertain
from aether.proto import aether_pb2 as pb

GET = pb.KVOperation(op=pb.KVOperation.GET, key="k", request_id="r")


class Desk:
    """The answers of one session, and what it waits for."""

    def __init__(self) -> None:
        self.call = FakeCall()
        self.store = FakeDurability()
        self.port = Port(self.call, None, lambda port: None, trio.current_time)
        self.commits = Commits(self.store, self.store, 1000, lambda: None)  # type: ignore[arg-type]
        self.answers = Answers(self.call, self.port, self.commits)  # type: ignore[arg-type]

    def publish(self) -> None:
        """The session sent a message that is not durable yet."""
        self.store.latest_ticket += 1
        self.port.published = True

    def commit(self, ticket: int) -> None:
        self.store.committed = ticket
        self.commits.on_durable()

    def fail(self) -> None:
        self.commits.on_failed()


def test_what_rests_on_nothing_is_sent_at_once() -> None:
    desk = Desk()
    desk.answers.put(Answer((b"1", b"2")), "kv_op", GET)
    assert desk.call.frames == [b"1", b"2"]
    assert not desk.answers.waiting


def test_answers_keep_their_order_behind_one_that_waits() -> None:
    desk = Desk()
    desk.store.latest_ticket = 2
    sent: list[str] = []
    desk.answers.put(Answer((b"1",), 1, on_sent=lambda: sent.append("1")))
    desk.answers.put(Answer((b"2",)))
    desk.answers.put(Answer((b"3",), 2))
    desk.answers.put(Answer((b"4",), 1))
    assert desk.call.frames == []
    desk.commit(1)
    assert (desk.call.frames, sent) == ([b"1", b"2"], ["1"])
    desk.commit(2)
    assert desk.call.frames == [b"1", b"2", b"3", b"4"]
    desk.commit(3)
    assert len(desk.call.frames) == 4


def test_an_answer_says_that_the_messages_before_it_are_safe() -> None:
    desk = Desk()
    desk.publish()
    desk.answers.put(Answer((b"1",)))
    desk.publish()
    desk.answers.put(Answer((b"2",)))
    desk.commit(1)
    assert desk.call.frames == [b"1"]
    desk.commit(2)
    assert desk.call.frames == [b"1", b"2"]


@pytest.mark.parametrize(
    ("kind", "operation", "answer"),
    [
        ("kv_op", GET, Answer((b"yes",))),
        ("task_query", pb.TaskQuery(request_id="r"), Answer((b"yes",), 1)),
        ("create_task", pb.CreateTaskRequest(request_id="r"), Answer((b"yes",), 1)),
    ],
)
def test_operations_are_in_doubt_while_commits_fail(kind: str, operation: object, answer: Answer) -> None:
    desk = Desk()
    desk.publish()
    desk.answers.put(answer, kind, operation)
    desk.fail()
    assert desk.call.frames == list(uncertain(kind, operation, answer))
    assert b"yes" not in desk.call.frames
    desk.commit(1)
    assert len(desk.call.frames) == len(uncertain(kind, operation, answer)), "answered once"


def test_a_feature_may_say_itself_what_is_in_doubt() -> None:
    desk = Desk()
    desk.publish()
    desk.answers.put(Answer((b"yes",), 1, lambda: (b"perhaps",)), "acl_op", pb.ACLOperation(request_id="r"))
    desk.fail()
    assert desk.call.frames == [b"perhaps"]


def test_notices_and_the_end_wait_however_long_commits_fail() -> None:
    desk = Desk()
    desk.publish()
    ended: list[bool] = []
    desk.answers.put(Answer((b"notice",)))
    desk.answers.put(Answer((b"yes",)), "kv_op", GET)
    desk.answers.put(Answer((b"no such topic",)), "send")
    desk.answers.after_all(lambda: ended.append(True))
    desk.fail()
    assert b"notice" not in desk.call.frames and not ended
    assert desk.call.frames[-1] == b"no such topic", "true whatever becomes of the message before it"
    desk.commit(1)
    assert desk.call.frames[-1] == b"notice"
    assert ended == [True]


def test_the_end_is_at_once_where_nothing_waits_and_asks_for_a_commit_otherwise() -> None:
    desk = Desk()
    ended: list[int] = []
    end: Callable[[], None] = lambda: ended.append(1)  # noqa: E731
    desk.answers.after_all(end)
    assert (ended, desk.commits.wanted) == ([1], False)
    desk.publish()
    desk.answers.after_all(end)
    assert (ended, desk.commits.wanted) == ([1], True)
    desk.commit(1)
    assert ended == [1, 1]


def test_nothing_is_no_frame_and_waits_for_nothing() -> None:
    desk = Desk()
    desk.answers.put(NOTHING)
    assert not desk.call.frames and not desk.answers.waiting


def test_who_is_gone_hears_of_no_commit() -> None:
    desk = Desk()
    desk.publish()
    desk.answers.put(Answer((b"1",)))
    desk.answers.close()
    desk.answers.close()
    desk.commit(1)
    assert desk.call.frames == []


async def test_more_than_may_be_unread_is_told_until_half_has_left() -> None:
    desk = Desk()
    told: list[int] = []
    desk.answers.on_full = lambda: told.append(len(desk.call.frames))
    frame = bytes(UNREAD_BYTES_MAX // 2)
    desk.answers.put(Answer((frame,)))
    assert not told
    desk.publish()
    desk.answers.put(Answer((frame,)))
    desk.answers.put(Answer((b"1",)))
    assert told == [1], "what waits for the disk counts too"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.answers.wait_room)
        await trio.testing.wait_all_tasks_blocked()
        assert desk.commits.wanted
        desk.commit(1)
        await trio.testing.wait_all_tasks_blocked()
        assert nursery.child_tasks, "nobody has read any of it"
        desk.call.take()
