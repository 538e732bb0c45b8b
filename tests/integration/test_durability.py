"""When a client may take what it sent for safe (design, promises): an answer, or an OK after its half-close."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from tests.chaos.wire import Agent, agent

import aether
from aether import Config, Gateway
from aether.client import RequestRefused
from aether.gateway.refusals import ANSWERED_BY
from aether.proto import aether_pb2 as pb
from aether.storage.sqlite import writer
from aether.storage.sqlite.writer import Writer

PUT = pb.KVOperation(op=pb.KVOperation.PUT, scope=pb.KVOperation.GLOBAL, key="k", value=b"v", request_id="r")
GET = pb.KVOperation(op=pb.KVOperation.GET, scope=pb.KVOperation.GLOBAL, key="k", request_id="r")
SELF = "ag::chaos::chaos::self"


@pytest.fixture(params=["batch", "os"])
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    return Config.development(tmp_path, storage={"durability": request.param})


async def last_messages(client: Agent) -> list[str | None]:
    """What still comes until the stream ends with OK."""
    kinds = []
    with trio.fail_after(10):
        while (data := await client.call.receive()) is not None:
            kinds.append(pb.DownstreamMessage.FromString(data).WhichOneof("payload"))
    return kinds


@pytest.mark.parametrize("pause_s", [0, 0.05])
async def test_an_answer_comes_whether_or_not_the_messages_before_it_are_committed(
    config: Config, pause_s: float
) -> None:
    """With the pause the messages are on disk by themselves before the request arrives."""
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with agent(gateway.port, "self") as client:
            for _ in range(3):
                client.send("ag::chaos::chaos::nobody", b"x")
                client.flush()
                await trio.sleep(pause_s)
                await client.settle()


async def test_a_half_close_waits_for_the_answers(config: Config) -> None:
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with agent(gateway.port, "self") as client:
            for operation in (PUT, GET, PUT):
                client.put(pb.UpstreamMessage(kv_op=operation))
            client.call.half_close()
            client.flush()
            assert await last_messages(client) == ["kv", "kv", "kv"]


@pytest.mark.parametrize("pause_s", [0, 0.05])
async def test_an_ok_after_a_half_close_says_that_messages_are_durable(config: Config, pause_s: float) -> None:
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with agent(gateway.port, "sender") as client:
            client.send(SELF, b"safe")
            client.flush()
            await trio.sleep(pause_s)
            client.call.half_close()
            client.flush()
            assert await last_messages(client) == []
            topic = gateway.services.log.topic(SELF)
            assert topic.last > 0
            assert topic.durable == topic.last
        async with agent(gateway.port, "self") as client:
            assert await client.receive(1) == [b"safe"]


class Disk:
    """Of all gateways in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._commit = Writer.commit
        monkeypatch.setattr(writer, "RETRY_S", 0.02)

    def fill(self) -> None:
        def fail(*_: Any) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        self._monkeypatch.setattr(Writer, "commit", fail)

    def empty(self) -> None:
        self._monkeypatch.setattr(Writer, "commit", self._commit)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


async def test_answers_do_not_wait_for_a_full_disk(config: Config, disk: Disk) -> None:
    """Whatever is asked behind a message that is not safe, and whether or not it changes anything: it may be tried
    again. Only an OK at the end has to wait, and what is wrong with a message is told anyway."""
    who = pb.PrincipalRef(principal_type="agent", principal_id="ag::chaos::chaos::sender")
    asked: list[tuple[dict[str, Any], str]] = [
        ({"kv_op": PUT}, "KV_ERROR_UNAVAILABLE"),
        ({"kv_op": GET}, "KV_ERROR_UNAVAILABLE"),
        (
            {"connection_status_request": pb.ConnectionStatusRequest(principal=who, request_id="r")},
            "ERR_PUBLISH_FAILED",
        ),
        (
            {"checkpoint_op": pb.CheckpointOperation(op=pb.CheckpointOperation.LIST, request_id="r")},
            "ERR_PUBLISH_FAILED",
        ),
        (
            {"create_task": pb.CreateTaskRequest(task_type="t", workspace="chaos", request_id="r")},
            "ERR_TASK_CREATE_FAILED",
        ),
        ({"task_query": pb.TaskQuery(op=pb.TaskQuery.LIST, request_id="r")}, "ERR_PUBLISH_FAILED"),
        ({"token_op": pb.TokenOperation(op=99, request_id="r")}, "ERR_PUBLISH_FAILED"),  # type: ignore[arg-type]
    ]
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with agent(gateway.port, "sender") as sender:
            await sender.settle()
            disk.fill()
            for message, code in asked:
                sender.send("ag::chaos::chaos::receiver", b"waits")
                sender.put(pb.UpstreamMessage(**message))
                sender.flush()
                error = (await sender.next()).error
                assert (error.code, error.retryable) == (code, True)
                [kind] = message
                answer = await sender.next()
                assert answer.WhichOneof("payload") == ANSWERED_BY[kind]
                response = getattr(answer, ANSWERED_BY[kind])
                assert (response.request_id, getattr(response, "success", False)) == ("r", False)
            sender.send("nowhere", b"")
            sender.flush()
            assert (await sender.next()).error.code == "ERR_INVALID_TOPIC"
            sender.call.half_close()
            sender.flush()
            with trio.move_on_after(0.1):
                await sender.next()
            assert gateway.sessions == 1
            disk.empty()
            assert await last_messages(sender) == []
        async with agent(gateway.port, "receiver") as receiver:
            assert await receiver.receive(len(asked)) == [b"waits"] * len(asked)


async def test_nothing_is_confirmed_while_the_disk_is_full(config: Config, disk: Disk) -> None:
    """By the client, whether the disk is found full now or was before."""
    async with (
        Gateway(config) as gateway,
        aether.connect_agent(gateway, workspace="w", implementation="i", specifier="s") as me,
    ):
        disk.fill()
        for _ in range(2):
            await me.send("ag::w::i::receiver", b"x")
            with pytest.raises(RequestRefused) as refusal:
                await me.confirm()
            assert refusal.value.retryable
        disk.empty()
        await me.confirm()
        topic = gateway.services.log.topic("ag::w::i::receiver")
        assert topic.durable == topic.last > 0


async def test_a_gateway_stops_although_the_disk_is_full(config: Config, disk: Disk) -> None:
    """And says what that means; what was acknowledged is there afterwards."""
    with structlog.testing.capture_logs() as logs:
        async with Gateway(config) as gateway:
            assert gateway.port is not None
            async with agent(gateway.port, "sender") as sender:
                sender.send(SELF, b"safe")
                await sender.settle()
                disk.fill()
                sender.send(SELF, b"never acknowledged")
                sender.flush()
                while gateway.services.log.topic(SELF).last == gateway.services.log.topic(SELF).durable:  # noqa: ASYNC110
                    await trio.sleep(0.001)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == [
        "commit failed, retrying",
        "closed with changes that could not be written; none of them was acknowledged",
    ]
    disk.empty()
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with agent(gateway.port, "self") as client:
            assert await client.receive(1) == [b"safe"]
            await client.settle()


@pytest.mark.parametrize("durability", ["batch", "os"])
async def test_whoever_sends_more_than_may_be_staged_waits_for_the_disk(
    tmp_path: Path, durability: str, disk: Disk
) -> None:
    """However long it is full: the session lives, and all of it arrives, once, in order."""
    config = Config.development(tmp_path, storage={"durability": durability, "staging_bytes": 200_000})
    payloads = [b"%d" % number + bytes(10_000) for number in range(300)]
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with agent(gateway.port, "sender") as sender:
            await sender.settle()
            disk.fill()
            for payload in payloads:
                sender.send("ag::chaos::chaos::receiver", payload)
            sender.flush()
            with trio.fail_after(10):
                while not (gateway.services.commits.log_is_full() and gateway.services.commits.waiting):  # noqa: ASYNC110
                    await trio.sleep(0.01)
            failures = trio.Event()  # of attempts from here on
            gateway.services.tier.durability.on_failure.append(failures.set)
            await failures.wait()
            disk.empty()
            await sender.settle()
        async with agent(gateway.port, "receiver") as receiver:
            assert await receiver.receive(300) == payloads
