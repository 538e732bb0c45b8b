"""The poller lingers for quick peers, and never at the cost of other tasks."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import trio

from aether.rpc import poller

pytestmark = pytest.mark.skipif(not poller.available, reason="epoll is Linux's")


class Echo:
    """Answers every byte at once; counts."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.calls = 0

    def on_readable(self) -> None:
        self.calls += 1
        self.sock.send(self.sock.recv(1))


@contextmanager
def quick_peer() -> Iterator[Echo]:
    """A thread that sends the next byte as soon as it has the last one back, until it is told to stop."""
    ours, theirs = socket.socketpair()
    stop = threading.Event()

    def play() -> None:
        with closing(theirs):
            while not stop.is_set():
                theirs.send(b"x")
                theirs.recv(1)

    thread = threading.Thread(target=play)
    with closing(ours):
        ours.setblocking(False)
        thread.start()
        try:
            yield Echo(ours)
        finally:
            stop.set()
            ours.setblocking(True)
            ours.send(b"x")  # whatever the thread waits for, it has it now
            thread.join()


class Passes(trio.abc.Instrument):
    """Counts passes of the scheduler."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def messages_each_pass(busy: bool, messages: int) -> float:
    """How many messages share a pass of the scheduler, over so many of them."""
    enough = trio.Event()
    passes = Passes()
    with quick_peer() as echo:
        served = poller.Poller(lambda: enough.set() if echo.calls >= messages else None, lambda: busy)
        async with trio.open_nursery() as nursery:
            await nursery.start(served.run)
            trio.lowlevel.add_instrument(passes)
            served.add(echo.sock.fileno(), echo)
            await enough.wait()
            trio.lowlevel.remove_instrument(passes)
            nursery.cancel_scope.cancel()
        return echo.calls / passes.count


async def test_quick_messages_share_a_pass_of_the_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "QUICK_S", 60)  # however slow this machine is at the moment
    # A task that was woken together with the poller is not seen by it, and waits for so long.
    monkeypatch.setattr(poller, "LINGER_S", 2)
    monkeypatch.setattr(poller, "TURN_S", 2)
    assert await messages_each_pass(busy=False, messages=1000) > 100


async def test_no_lingering_while_a_thread_is_about_to_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "QUICK_S", 60)
    monkeypatch.setattr(poller, "LINGER_S", 60)
    monkeypatch.setattr(poller, "TURN_S", 60)
    assert await messages_each_pass(busy=True, messages=500) <= 1.1


async def test_other_tasks_are_not_starved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Timers and threads have their turn while messages follow each other without end."""
    # However slow this machine is at the moment, the poller lingers, and is not late for the next message.
    monkeypatch.setattr(poller, "QUICK_S", 60)
    monkeypatch.setattr(poller, "LINGER_S", 0.02)
    monkeypatch.setattr(poller, "TURN_S", 0.02)
    news = trio.Event()

    async def message() -> None:
        """Until the next one has been served."""
        nonlocal news
        news = trio.Event()
        await news.wait()

    turn = 0

    def after_batch() -> None:
        news.set()
        assert echo.calls - turn < 200_000, "nobody else has had a turn"

    with quick_peer() as echo:
        served = poller.Poller(after_batch)
        async with trio.open_nursery() as nursery:
            await nursery.start(served.run)
            served.add(echo.sock.fileno(), echo)
            for _ in range(20):
                await message()
                await trio.sleep(0.002)
                await message()
                await trio.to_thread.run_sync(lambda: None)
                turn = echo.calls
            nursery.cancel_scope.cancel()


async def test_a_connection_that_comes_when_it_ended_is_no_error() -> None:
    """A server that is cancelled may have accepted it just before."""
    with quick_peer() as echo:
        served = poller.Poller(lambda: None)
        async with trio.open_nursery() as nursery:
            await nursery.start(served.run)
            nursery.cancel_scope.cancel()
        served.add(echo.sock.fileno(), echo)
        served.remove(echo.sock.fileno())
        assert echo.calls == 0
