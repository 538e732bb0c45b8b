"""Server and client together: lifetimes, cancellation, back-pressure, time."""

from __future__ import annotations

import gc
import logging
import socket
from typing import Any

import pytest
import trio
import trio.testing
from services import PATIENCE, Service, connect, connect_stream, in_memory, make_server, running, unary

from aether.rpc import poller
from aether.rpc.connection import Driver
from aether.rpc.limits import Limits
from aether.rpc.server import Peer, ServerCall
from aether.rpc.serving import IncomingCall, Server
from aether.rpc.status import RpcError, StatusCode, frame
from aether.rpc.transport import MemoryTransport, SocketTransport, memory_pair

pytestmark = pytest.mark.usefixtures("engines")

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
GOODBYE = bytes([0, 0, 8, 7, 0, 0, 0, 0, 0]) + bytes(8)


async def failing(channel: Any, path: str, message: bytes = b"", **options: Any) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await unary(channel, path, message, **options)
    return caught.value


# ---- calls


async def test_unary_in_memory(service: Service) -> None:
    async with in_memory(service.handlers) as (_server, channel):
        assert await unary(channel, "/t/Unary", b"abc") == b"cba"
        assert service.calls[0].peer == Peer("memory", in_process=True)
        assert service.calls[0].path == "/t/Unary"


async def test_open_in_process(service: Service) -> None:
    server = make_server(service.handlers)
    async with trio.open_nursery() as nursery:
        async with connect_stream(await server.open_in_process(nursery)) as channel:
            assert await unary(channel, "/t/Unary", b"abc") == b"cba"
            assert service.calls[0].peer.in_process
        await server.drain(trio.current_time() + PATIENCE)


@pytest.mark.parametrize("path", ["/t/Echo", "/t/Pull"])
async def test_large_streams_over_sockets(service: Service, path: str) -> None:
    messages = [bytes((i % 256,)) * (i * 37 % 50_000) for i in range(300)]
    received = []
    async with (
        running(service.handlers) as (_, listener),
        connect("127.0.0.1", listener.address[1]) as channel,
        channel.call(path) as call,
        trio.open_nursery() as nursery,
    ):

        async def send() -> None:
            for message in messages:
                await call.wait_pending_below(1 << 20)
                call.send(frame(message))
                call.flush()
            call.half_close()
            call.flush()

        nursery.start_soon(send)
        while (message := await call.receive()) is not None:
            received.append(message)
    assert received == messages


async def test_status_and_text_reach_the_client(service: Service) -> None:
    async with in_memory(service.handlers) as (_, channel):
        error = await failing(channel, "/t/Unary", "fail:7: nö 100%\n ".encode())
        assert (error.code, error.message) == (StatusCode.PERMISSION_DENIED, " nö 100%\n ")


async def test_unknown_path(service: Service) -> None:
    async with in_memory(service.handlers) as (_, channel):
        assert (await failing(channel, "/t/None")).code is StatusCode.UNIMPLEMENTED
        assert await unary(channel, "/t/Unary", b"ab") == b"ba"


async def test_handler_failure_is_logged_not_told(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    async with in_memory(service.handlers) as (_, channel):
        error = await failing(channel, "/t/Unary", b"boom")
    assert (error.code, error.message) == (StatusCode.INTERNAL, "internal error")
    assert "secret detail" in caplog.text


async def test_error_from_a_handlers_nursery() -> None:
    async def handler(call: ServerCall) -> None:
        async def fail() -> None:
            raise RpcError(StatusCode.ABORTED, "inner")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()

    async with in_memory({"/t/X": handler}) as (_, channel):
        error = await failing(channel, "/t/X")
        assert (error.code, error.message) == (StatusCode.ABORTED, "inner")


@pytest.mark.parametrize("error", [ValueError("detail"), RpcError(StatusCode.ABORTED, "told")])
async def test_sink_failure_ends_only_its_call(service: Service, error: Exception) -> None:
    async def handler(call: ServerCall) -> None:
        def sink(batch: list[bytes]) -> None:
            raise error

        call.set_sink(sink, lambda: None)
        await trio.sleep_forever()

    async with in_memory({**service.handlers, "/t/Bad": handler}) as (_, channel):
        expected = error if isinstance(error, RpcError) else RpcError(StatusCode.INTERNAL, "internal error")
        failure = await failing(channel, "/t/Bad", b"x")
        assert (failure.code, failure.message) == (expected.code, expected.message)
        assert await unary(channel, "/t/Unary", b"ab") == b"ba"


async def test_set_sink_hands_over_what_was_queued() -> None:
    got: list[bytes] = []
    ended = trio.Event()

    async def handler(call: ServerCall) -> None:
        assert await call.receive() == b"0"
        while not call.half_closed:
            await trio.lowlevel.checkpoint()
        call.set_sink(got.extend, ended.set)
        assert got == [b"1", b"2"]
        await ended.wait()

    async with in_memory({"/t/X": handler}) as (_, channel), channel.call("/t/X") as call:
        for number in range(3):
            call.send(frame(b"%d" % number))
        call.half_close()
        call.flush()
        assert await call.receive() is None
        assert call.done
        assert call.status is None


async def test_oversized_message(service: Service) -> None:
    limits = Limits(max_receive_message=1000)
    async with in_memory(service.handlers, limits, Limits()) as (_, channel):
        for path in ("/t/Unary", "/t/Echo"):
            error = await failing(channel, path, bytes(1001))
            assert error.code is StatusCode.RESOURCE_EXHAUSTED
        assert await unary(channel, "/t/Unary", bytes(1000)) == bytes(1000)


async def test_oversized_response_ends_the_clients_call(service: Service) -> None:
    async with in_memory(service.handlers, None, Limits(max_receive_message=10)) as (_, channel):
        assert (await failing(channel, "/t/Unary", bytes(11))).code is StatusCode.RESOURCE_EXHAUSTED
        assert await unary(channel, "/t/Unary", b"ab") == b"ba"


async def test_metadata(service: Service) -> None:
    async with in_memory(service.handlers) as (_, channel):
        pairs = eval(await unary(channel, "/t/Metadata", b"", metadata=[("A", "b"), ("x-bin", b"\xff\0")]))
        assert ("a", "b") in pairs
        assert ("x-bin", b"\xff\0") in pairs


async def test_headers_come_before_the_first_message(service: Service) -> None:
    async with in_memory(service.handlers) as (_, channel), channel.call("/t/Hang") as call:
        call.flush()
        with trio.fail_after(PATIENCE):
            await call.wait_headers()
        assert not call.done


# ---- cancellation


async def test_reset_cancels_the_handler(service: Service) -> None:
    async with in_memory(service.handlers) as (_, channel):
        async with channel.call("/t/Hang") as call:
            call.flush()
            await service.started.wait()
        with trio.fail_after(PATIENCE):
            await service.cancelled.wait()


async def test_lost_connection_cancels_the_handlers(service: Service) -> None:
    ours, theirs = memory_pair()
    server = make_server(service.handlers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, ours, Peer("x"))
        async with connect_stream(theirs) as channel:
            async with channel.call("/t/Hang") as call:
                call.flush()
                await service.started.wait()
                theirs.close()
                with trio.fail_after(PATIENCE):
                    await service.cancelled.wait()
                with pytest.raises(RpcError) as caught:
                    await call.receive()
                assert caught.value.code is StatusCode.UNAVAILABLE
            assert not channel.usable
            with pytest.raises(RpcError):
                async with channel.call("/t/Hang"):
                    pass
    assert server.connections == 0


async def test_handler_may_clean_up(service: Service) -> None:
    cleaned = trio.Event()
    proceed = trio.Event()

    async def handler(call: ServerCall) -> None:
        service.started.set()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await proceed.wait()
            cleaned.set()

    async with running({"/t/X": handler}) as (server, listener):
        async with connect("127.0.0.1", listener.address[1]) as channel, channel.call("/t/X") as call:
            call.flush()
            await service.started.wait()
        assert server.calls == 1
        proceed.set()
        with trio.fail_after(PATIENCE):
            await cleaned.wait()


async def test_deadline(service: Service, autojump_clock: trio.testing.MockClock) -> None:
    async with in_memory(service.handlers) as (_, channel):
        start = trio.current_time()
        error = await failing(channel, "/t/Hang", timeout=5.0)
        assert error.code is StatusCode.DEADLINE_EXCEEDED
        assert trio.current_time() - start == pytest.approx(5.0, abs=0.1)
        assert service.cancelled.is_set()


async def test_stopped_server_never_says_ok(service: Service) -> None:
    ours, theirs = memory_pair()
    server = make_server(service.handlers)
    scope = trio.CancelScope()

    async def serve() -> None:
        with scope:
            await server.serve_stream(ours, Peer("x"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        async with connect_stream(theirs) as channel, channel.call("/t/Hang") as call:
            call.flush()
            await service.started.wait()
            scope.cancel()
            with pytest.raises(RpcError) as caught:
                await call.receive()
            assert caught.value.code is StatusCode.UNAVAILABLE


async def test_body_exception_comes_out_alone(service: Service) -> None:
    async with running(service.handlers) as (_, listener):
        with pytest.raises(KeyError):
            async with connect("127.0.0.1", listener.address[1]) as channel, channel.call("/t/Hang"):
                raise KeyError


async def test_connect_refused() -> None:
    with pytest.raises(RpcError) as caught:
        async with connect("127.0.0.1", 1):
            pass
    assert caught.value.code is StatusCode.UNAVAILABLE


# ---- back-pressure


async def test_wait_pending_below_follows_a_slow_reader() -> None:
    sent = 0
    full = trio.Event()

    async def handler(call: ServerCall) -> None:
        nonlocal sent
        payload = frame(bytes(9995))
        for _ in range(300):
            call.send(payload)
            sent += 1
            call.flush()
            if call.pending >= 100_000:
                full.set()
            await call.wait_pending_below(100_000)
        assert call.queued == 3_000_000

    limits = Limits(initial_window=200_000, initial_window_connection=200_000)
    async with (
        in_memory({"/t/X": handler}, limits, limits, capacity=10_000) as (_, channel),
        channel.call("/t/X") as call,
    ):
        call.flush()
        with trio.fail_after(PATIENCE):
            await full.wait()
        await trio.testing.wait_all_tasks_blocked()
        # A window of data, a window's worth that waits in the connection, and the limit.
        assert sent * 10_000 < 700_000
        count = 0
        with trio.fail_after(PATIENCE):
            while await call.receive() is not None:
                count += 1
        assert count == 300


async def test_paused_call_takes_at_most_a_window() -> None:
    got = 0
    calls: list[ServerCall] = []

    async def handler(call: ServerCall) -> None:
        def sink(batch: list[bytes]) -> None:
            nonlocal got
            got += sum(map(len, batch))

        done = trio.Event()
        call.set_sink(sink, done.set)
        call.pause_reading()
        calls.append(call)
        call.flush()
        await done.wait()

    limits = Limits(initial_window=100_000)
    async with in_memory({"/t/X": handler}, limits) as (_, channel), channel.call("/t/X") as call:
        call.flush()
        await call.wait_headers()
        for _ in range(50):
            call.send(frame(bytes(10_000)))
        call.half_close()
        call.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert 0 < got <= 100_000
        calls[0].resume_reading()
        calls[0].flush()
        with trio.fail_after(PATIENCE):
            assert await call.receive() is None
        assert got == 500_000


async def test_unread_messages_stop_the_sender_not_other_calls(service: Service) -> None:
    limits = Limits(initial_window=100_000)
    async with in_memory(service.handlers, limits) as (_, channel), channel.call("/t/Hang") as call:
        for _ in range(100):
            call.send(frame(bytes(10_000)))
        call.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert call.pending >= 700_000
        assert await unary(channel, "/t/Unary", b"ab") == b"ba"


async def test_one_write_for_many_sends() -> None:
    """Everything queued before a flush goes out in one piece."""
    writes: list[int] = []

    class Counting(MemoryTransport):
        def send_nowait(self, data: bytes | memoryview) -> int:
            writes.append(len(data))
            return super().send_nowait(data)

    async def handler(call: ServerCall) -> None:
        while (message := await call.receive()) is not None:
            for _ in range(1000):
                call.send(frame(message))
            call.flush()

    ours, theirs = memory_pair()
    counting = Counting(ours._incoming, ours._outgoing)
    server = make_server({"/t/X": handler})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_stream, counting, Peer("x"))
        async with connect_stream(theirs) as channel, channel.call("/t/X") as call:
            call.send(frame(b"warm"))
            call.flush()
            for _ in range(1000):
                await call.receive()
            writes.clear()
            call.send(frame(b"x" * 95))
            call.flush()
            for _ in range(1000):
                await call.receive()
            assert max(writes) > 95_000
            assert len(writes) < 5


async def test_a_sink_can_write_to_another_connection(service: Service) -> None:
    targets: list[ServerCall] = []

    async def listen_call(call: ServerCall) -> None:
        targets.append(call)
        call.flush()
        await trio.sleep_forever()

    async def talk(call: ServerCall) -> None:
        done = trio.Event()

        def sink(batch: list[bytes]) -> None:
            for message in batch:
                for target in targets:
                    target.send(frame(message))

        call.set_sink(sink, done.set)
        await done.wait()

    handlers = {"/t/Listen": listen_call, "/t/Talk": talk}
    async with running(handlers) as (_, listener):
        port = listener.address[1]
        async with (
            connect("127.0.0.1", port) as one,
            connect("127.0.0.1", port) as two,
            one.call("/t/Listen") as hears,
            two.call("/t/Talk") as says,
        ):
            hears.flush()
            await hears.wait_headers()
            says.send(frame(b"hello"))
            says.flush()
            with trio.fail_after(PATIENCE):
                assert await hears.receive() == b"hello"


async def test_confirm_runs_after_the_peer_acknowledged(service: Service) -> None:
    order: list[str] = []

    async def handler(call: ServerCall) -> None:
        confirmed = trio.Event()
        call.send(frame(b"x"))
        call.flush()
        assert call.pending == 0
        call.confirm(lambda: (order.append("confirmed"), confirmed.set())[0])
        await confirmed.wait()

    async with in_memory({"/t/X": handler}) as (_, channel), channel.call("/t/X") as call:
        call.flush()
        assert await call.receive() == b"x"
        with trio.fail_after(PATIENCE):
            assert await call.receive() is None
    assert order == ["confirmed"]


# ---- time


class Mute:
    """A client that connects, sends what it is told, and never answers."""

    def __init__(self, server: Server, nursery: trio.Nursery) -> None:
        ours, self.transport = memory_pair()
        self.ended = trio.Event()
        self.received = b""
        nursery.start_soon(self._serve, server, ours)
        nursery.start_soon(self._read)

    async def _serve(self, server: Server, ours: MemoryTransport) -> None:
        await server.serve_stream(ours, Peer("mute"))
        self.ended.set()

    async def _read(self) -> None:
        while data := await self.transport.receive():
            self.received += data

    def say(self, data: bytes) -> None:
        assert self.transport.send_nowait(data) == len(data)


@pytest.fixture
async def mute_server(nursery: trio.Nursery, service: Service) -> Any:
    def start(limits: Limits) -> tuple[Server, Mute]:
        server = make_server(service.handlers, limits=limits)
        nursery.start_soon(server.serve, [])
        return server, Mute(server, nursery)

    return start


async def test_silent_connection_without_preface_is_closed(mute_server: Any, autojump_clock: Any) -> None:
    _, client = mute_server(Limits(handshake_timeout=10.0))
    start = trio.current_time()
    await client.ended.wait()
    assert trio.current_time() - start == pytest.approx(10.0, abs=1.5)


async def test_keepalive_closes_a_dead_connection(mute_server: Any, autojump_clock: Any) -> None:
    _server, client = mute_server(Limits(keepalive_after=30.0, keepalive_timeout=10.0))
    client.say(PREFACE + b"\0\0\0\4\0\0\0\0\0")
    start = trio.current_time()
    await client.ended.wait()
    assert trio.current_time() - start == pytest.approx(40.0, abs=3)
    assert b"keepaliv" in client.received


async def test_living_connection_survives_keepalive(service: Service, autojump_clock: Any) -> None:
    limits = Limits(keepalive_after=30.0, keepalive_timeout=10.0)
    async with in_memory(service.handlers, limits) as (_, channel), channel.call("/t/Echo") as call:
        call.flush()
        await trio.sleep(500)
        call.send(frame(b"still here"))
        call.flush()
        assert await call.receive() == b"still here"


async def test_client_keepalive(service: Service, autojump_clock: Any) -> None:
    ours, theirs = memory_pair()
    del ours  # nobody answers
    async with connect_stream(
        theirs, keepalive=True, limits=Limits(keepalive_after=20, keepalive_timeout=5)
    ) as channel:
        async with channel.call("/t/X") as call:
            call.flush()
            with pytest.raises(RpcError) as caught:
                await call.receive()
        assert "keepalive" in caught.value.message
        assert trio.current_time() > 0


async def test_idle_connection_is_sent_away(service: Service, autojump_clock: Any) -> None:
    limits = Limits(max_connection_idle=100.0)
    async with in_memory(service.handlers, limits) as (server, channel):
        async with channel.call("/t/Echo") as call:
            call.flush()
            await trio.sleep(500)
            assert channel.usable
        await trio.sleep(95)
        assert channel.usable
        await trio.sleep(20)
        assert not channel.usable
        assert server.connections == 0


async def test_connection_age(service: Service, autojump_clock: Any) -> None:
    limits = Limits(max_connection_age=100.0, max_connection_age_grace=5.0)
    async with in_memory(service.handlers, limits) as (_server, channel), channel.call("/t/Echo") as call:
        call.flush()
        await trio.sleep(85)
        assert channel.usable
        with pytest.raises(RpcError) as caught:
            await call.receive()
        assert caught.value.code is StatusCode.UNAVAILABLE
        assert 90 <= trio.current_time() - 0 <= 10_000


async def test_ended_call_that_nobody_reads_is_reset(service: Service, autojump_clock: Any) -> None:
    async def handler(call: ServerCall) -> None:
        call.send(frame(bytes(1_000_000)))

    limits = Limits(initial_window=100_000, linger=10.0)
    async with in_memory({"/t/X": handler}, None, limits) as (_server, channel), channel.call("/t/X") as call:
        call.pause_reading()
        call.flush()
        await trio.sleep(5)
        assert not call.done
        await trio.sleep(20)
        assert call.done


# ---- drain


async def test_drain_waits_then_closes(service: Service, autojump_clock: Any) -> None:
    async with in_memory(service.handlers) as (server, channel), channel.call("/t/Hang") as call:
        call.flush()
        await service.started.wait()
        start = trio.current_time()
        await server.drain(start + 10)
        assert trio.current_time() - start == pytest.approx(10, abs=1.5)
        assert service.cancelled.is_set()
        with pytest.raises(RpcError) as caught:
            await call.receive()
        assert caught.value.code is StatusCode.UNAVAILABLE
        assert server.connections == 0


async def test_drain_ends_early_when_calls_end(service: Service, autojump_clock: Any) -> None:
    async with in_memory(service.handlers) as (server, channel), channel.call("/t/Hang") as call:
        call.flush()
        await service.started.wait()
        service.release.set()
        start = trio.current_time()
        await server.drain(start + 1000)
        assert trio.current_time() - start < 10
        assert await call.receive() is None
        assert call.status is None


async def test_drain_tells_health(service: Service) -> None:
    class Health:
        serving = True

        def set_serving(self, serving: bool) -> None:
            self.serving = serving

    health = Health()
    server = make_server(service.handlers, health=health)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, [])
        await server.drain(trio.current_time() + 1)
    assert not health.serving


async def test_new_calls_are_refused_while_draining(service: Service) -> None:
    # The raw way: a client that ignores the GOAWAY still gets an answer.
    async with in_memory(service.handlers) as (server, channel), trio.open_nursery() as nursery:
        async with channel.call("/t/Hang") as call:
            call.flush()
            await service.started.wait()
            server.draining = True
            error = await failing(channel, "/t/Unary", b"x")
            assert (error.code, error.message) == (StatusCode.UNAVAILABLE, "gateway draining")
            service.release.set()
            assert await call.receive() is None
        nursery.start_soon(server.drain, trio.current_time() + PATIENCE)


async def test_connection_limit(service: Service) -> None:
    async with running(service.handlers, Limits(max_connections=2)) as (_, listener):
        port = listener.address[1]
        async with connect("127.0.0.1", port) as one, connect("127.0.0.1", port) as two:
            for channel in (one, two):
                assert await unary(channel, "/t/Unary", b"ab") == b"ba"
            async with connect("127.0.0.1", port) as three:
                with trio.fail_after(PATIENCE):
                    assert (await failing(three, "/t/Unary", b"ab")).code is StatusCode.UNAVAILABLE


@pytest.mark.skipif(not poller.available, reason="epoll is Linux's")
@pytest.mark.parametrize("farewell", [b"", GOODBYE], ids=["end", "goaway"])
async def test_the_end_of_a_connection_is_read_once(
    service: Service, farewell: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays readable until the connection's task has had its turn."""
    reads: list[Driver] = []
    read = Driver.on_readable
    monkeypatch.setattr(Driver, "on_readable", lambda driver: (reads.append(driver), read(driver))[1])
    monkeypatch.setattr(poller, "QUICK_S", 60)  # the poller thinks that much is going on, and lingers
    async with running(service.handlers) as (server, listener):
        for _ in range(20):
            reads.clear()
            stream = await trio.open_tcp_stream("127.0.0.1", listener.address[1])
            await stream.send_all(PREFACE + SETTINGS)
            await stream.receive_some()  # its settings: it has a task by now
            if farewell:
                await stream.send_all(farewell)
            await stream.aclose()
            with trio.fail_after(PATIENCE):
                while server._drivers:
                    await server.changed.park()
            assert len(reads) <= 5


async def idle_connection(port: int) -> trio.SocketStream:
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    await stream.send_all(PREFACE + SETTINGS)
    await stream.receive_some()
    return stream


async def read_to_end(stream: trio.SocketStream) -> None:
    """Until the peer closed it, in whatever way."""
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        pass


@pytest.mark.skipif(not poller.available, reason="the poller is what makes it so")
async def test_an_idle_connection_has_no_task(service: Service) -> None:
    async with running(service.handlers) as (server, listener):
        before = trio.lowlevel.current_statistics().tasks_living
        streams = [await idle_connection(listener.address[1]) for _ in range(5)]
        assert server.connections == 5
        assert trio.lowlevel.current_statistics().tasks_living == before
        for stream in streams:
            await stream.aclose()


async def test_a_server_that_is_cancelled_closes_its_connections(service: Service) -> None:
    async with running(service.handlers) as (server, listener):
        idle = await idle_connection(listener.address[1])
        busy = await idle_connection(listener.address[1])
        await busy.send_all(SETTINGS[:3])  # it is in the middle of something
    assert server.connections == 0
    with trio.fail_after(PATIENCE):
        for stream in (idle, busy):
            await read_to_end(stream)
            await stream.aclose()


@pytest.mark.parametrize(
    ("path", "said"), [("/t/Pull", "the end of a call failed"), ("/t/Unknown", "handling events failed")]
)
async def test_our_own_failures_end_one_connection_alone(
    path: str, said: str, service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end = IncomingCall.end

    def fail(call: IncomingCall, error: RpcError | None) -> None:
        if call.path in ("/t/Pull", "/t/Unknown"):
            raise RuntimeError("a bug")
        end(call, error)

    monkeypatch.setattr(IncomingCall, "end", fail)
    async with running(service.handlers) as (_, listener):
        port = listener.address[1]
        async with connect("127.0.0.1", port) as one, connect("127.0.0.1", port) as other:
            assert (await failing(one, path)).code is StatusCode.UNAVAILABLE
            assert await unary(other, "/t/Unary", b"ab") == b"ba"
    assert said in caplog.text


async def test_garbage_connections_do_not_disturb_others(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with running(service.handlers) as (server, listener):
        port = listener.address[1]
        async with connect("127.0.0.1", port) as channel:
            for garbage in (b"", b"\0", b"GET / HTTP/1.1\r\n\r\n", PREFACE + b"\xff" * 100, PREFACE):
                stream = await trio.open_tcp_stream("127.0.0.1", port)
                await stream.send_all(garbage or b"P")
                if not garbage.startswith(PREFACE) or len(garbage) > len(PREFACE):
                    with trio.fail_after(PATIENCE):
                        await stream.send_eof()
                        await read_to_end(stream)
                await stream.aclose()
                assert await unary(channel, "/t/Unary", b"ab") == b"ba"
            with trio.fail_after(PATIENCE):
                while server.connections > 1:
                    await trio.lowlevel.checkpoint()
    assert not caplog.records


async def test_reset_ends_the_wait_for_a_slow_peer(service: Service) -> None:
    async def handler(call: ServerCall) -> None:
        await call.receive()
        raise RpcError(StatusCode.ABORTED, "enough")

    limits = Limits(initial_window=100_000)
    async with in_memory({"/t/X": handler}, limits) as (_, channel), channel.call("/t/X") as call:
        call.send(frame(bytes(1_000_000)))
        call.flush()
        with trio.fail_after(PATIENCE):
            await call.wait_pending_below(1)
            with pytest.raises(RpcError) as caught:
                await call.receive()
        assert caught.value.code is StatusCode.ABORTED


async def test_a_closed_transport_says_so() -> None:
    """Whoever closes it, and whether somebody waits on it by then."""
    one, other = socket.socketpair()
    with other:
        transport = SocketTransport(one)

        async def wait() -> None:
            with pytest.raises(OSError, match="transport closed"):
                await transport.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            transport.close()
        await wait()
        with pytest.raises(OSError, match="transport closed"):
            await transport.wait_writable()


async def test_connections_that_ended_are_not_kept() -> None:
    """Not even until the time when they would have been looked at: there may be many."""

    def kept() -> int:
        gc.collect()
        return sum(isinstance(thing, Driver) for thing in gc.get_objects())

    before = kept()
    async with running({}) as (_, listener):
        for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") * 10:
            stream = await trio.open_tcp_stream(*listener.address[:2])
            if said:
                await stream.send_all(said)
            await stream.aclose()
        with trio.fail_after(PATIENCE):
            while kept() > before:  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.01)
