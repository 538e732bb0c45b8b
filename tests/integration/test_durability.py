"""When a client may take what it sent for safe (design, promises): an answer, or an OK after its half-close."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.chaos.wire import Agent, agent

from aether import Config, Gateway
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


@pytest.mark.parametrize("durability", ["batch", "os"])
async def test_whoever_sends_more_than_may_be_staged_waits_for_the_disk(
    tmp_path: Path, durability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is full: the session lives, and all of it arrives, once, in order."""
    config = Config.development(tmp_path, storage={"durability": durability, "staging_bytes": 200_000})
    commit = Writer.commit

    def fail(*_: Any) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    monkeypatch.setattr(writer, "RETRY_S", 0.02)
    payloads = [b"%d" % number + bytes(10_000) for number in range(300)]
    async with Gateway(config) as gateway:
        assert gateway.port is not None
        async with agent(gateway.port, "sender") as sender:
            await sender.settle()
            monkeypatch.setattr(Writer, "commit", fail)
            for payload in payloads:
                sender.send("ag::chaos::chaos::receiver", payload)
            sender.flush()
            with trio.fail_after(10):
                while not (gateway.services.commits.log_is_full() and gateway.services.commits.waiting):  # noqa: ASYNC110
                    await trio.sleep(0.01)
            failures = trio.Event()  # of attempts from here on
            gateway.services.tier.durability.on_failure.append(failures.set)
            await failures.wait()
            monkeypatch.setattr(Writer, "commit", commit)
            await sender.settle()
        async with agent(gateway.port, "receiver") as receiver:
            assert await receiver.receive(300) == payloads
