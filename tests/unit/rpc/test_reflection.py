"""What reflection costs. What it answers is in tests/integration."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from services import PATIENCE, in_memory

from aether.proto import aether_pb2 as pb
from aether.rpc.limits import Limits
from aether.rpc.reflection import PENDING_MAX, Reflection
from aether.rpc.server import ServerCall
from aether.rpc.status import frame

pytestmark = pytest.mark.usefixtures("engines")

FILE_BY_FILENAME = b"\x1a\x16aether/v1/aether.proto"
"""A ServerReflectionRequest."""


async def test_answers_wait_for_a_client_that_does_not_read() -> None:
    calls: list[ServerCall] = []

    async def watched(handler: Any, call: ServerCall) -> None:
        calls.append(call)
        await handler(call)

    handlers = Reflection(["aether.v1.AetherGateway"], [pb.DESCRIPTOR]).handlers()
    watched_handlers = {path: partial(watched, handler) for path, handler in handlers.items()}
    window = Limits(initial_window=100_000)
    async with (
        in_memory(watched_handlers, None, window) as (_, channel),
        channel.call(next(iter(handlers))) as call,
    ):
        call.pause_reading()
        for _ in range(100):
            call.send(frame(FILE_BY_FILENAME))
        call.half_close()
        call.flush()
        await trio.testing.wait_all_tasks_blocked()
        answer = len(pb.DESCRIPTOR.serialized_pb) + 1000
        assert PENDING_MAX - answer < calls[0].pending < PENDING_MAX + answer
        assert calls[0].queued < 100 * len(pb.DESCRIPTOR.serialized_pb) / 2
        call.resume_reading()
        count = 0
        with trio.fail_after(PATIENCE):
            while await call.receive() is not None:
                count += 1
        assert count == 100
