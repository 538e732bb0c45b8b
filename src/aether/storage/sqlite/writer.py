"""The one connection that writes to a file, and the thread that it works in.

Everything that is put in line is written in order, and each until it succeeds or the writer is closed: what was staged
before it may already have been seen by others. Whoever waits is told on the trio thread.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import trio

from aether.errors import StoreUnavailable
from aether.storage.sqlite.rows import Statement

__all__ = ["Durability", "Writer", "connect"]

Durability = Literal["batch", "os"]
"""Whether a commit is synced to the disk, or handed to the operating system."""

RETRY_S = 0.5
BUSY_S = 5.0
"""How long a commit waits for another process that is writing to the file, before it counts as failed."""
BUSY_RETRY_S = 0.01
INLINE_BYTES_MAX = 16 * 1024

T = TypeVar("T")

_SYNCHRONOUS = {"batch": "FULL", "os": "NORMAL"}


def connect(path: Path, durability: Durability, *, query_only: bool = False) -> sqlite3.Connection:
    """A connection to a file, which is made when missing, for its owner only."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    path.chmod(0o600)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")
    # The event loop writes too, and must not wait there for another process.
    connection.execute(f"PRAGMA busy_timeout={5000 if query_only else 0}")
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    connection.execute("PRAGMA cache_size=-16000")
    connection.execute("PRAGMA temp_store=MEMORY")  # journals of statements with many rows, each a file otherwise
    if query_only:
        connection.execute("PRAGMA query_only=1")
    return connection


@dataclass(slots=True)
class _Commit:
    statements: Sequence[Statement]
    on_done: Callable[[], None]
    synced: bool


@dataclass(slots=True)
class _Job:
    run: Callable[[sqlite3.Connection], Any]
    done: Callable[[Any, BaseException | None], None]


class Writer:
    """See the module.

    :param on_failure: told of each failed attempt to commit, on the trio thread.
    """

    def __init__(self, path: Path, durability: Durability, on_failure: Callable[[str], None]) -> None:
        self.connection = connect(path, durability)
        self._durability = durability
        self._on_failure = on_failure
        self._queue: queue.SimpleQueue[_Commit | _Job | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._connection_lock = threading.Lock()
        self._token: trio.lowlevel.TrioToken | None = None

    def put(self, statements: Sequence[Statement], on_done: Callable[[], None], *, synced: bool = True) -> None:
        """Put a transaction in line.

        :param on_done: called on the trio thread once it is committed.
        :param synced: False for what need not outlive a crash, because something else does.
        """
        self._queue.put(_Commit(statements, on_done, synced))

    def commit_inline(self, statements: Sequence[Statement]) -> bool:
        """Commit on the trio thread; False, and nothing is done, when that would take long or cannot be now.

        Without a sync a small commit takes less time than waking the thread twice. Only for who has no commit in line:
        the connection is free then, but for jobs, which take the lock.
        """
        size = 0
        for _, values in statements:
            for value in values:
                if type(value) is bytes or type(value) is str:
                    size += len(value)
        if size > INLINE_BYTES_MAX or not self._connection_lock.acquire(blocking=False):
            return False
        try:
            self.commit(statements)
        except sqlite3.Error:
            return False
        finally:
            self._connection_lock.release()
        return True

    async def run_job(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a write in a transaction of its own, in its turn.

        :raises StoreUnavailable: it failed and changed nothing.
        """
        done = trio.Event()
        outcome: list[Any] = [None, None]

        def finish(value: Any, error: BaseException | None) -> None:
            outcome[:] = value, error
            done.set()

        self._queue.put(_Job(job, finish))
        await done.wait()
        if outcome[1] is not None:
            raise StoreUnavailable("maintenance failed") from outcome[1]
        result: T = outcome[0]
        return result

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Owns the thread: the task ends when the thread has, after :meth:`close`."""
        self._token = trio.lowlevel.current_trio_token()
        # Whoever is cancelled before this returns to it never gets to close: then there must be no thread either.
        await trio.lowlevel.checkpoint_if_cancelled()
        task_status.started()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._work, limiter=trio.CapacityLimiter(1))

    def close(self) -> None:
        """End the thread after what is in line, or at once when that fails."""
        self._closing.set()
        self._queue.put(None)

    def commit(self, statements: Sequence[Statement]) -> None:
        """One transaction; leaves none open when it fails. For whoever has the connection."""
        connection = self.connection
        if len(statements) == 1:  # is a transaction by itself
            connection.execute(*statements[0])
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            for sql, parameters in statements:
                connection.execute(sql, parameters)
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    # ------------------------------------------------------------------------------------------ in the thread

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, _Job):
                self._run_job(item)
            else:
                self._write(item)

    def _write(self, item: _Commit) -> None:
        """Until it succeeds or the writer is closed."""
        assert self._token is not None
        while True:
            try:
                self._patiently(partial(self._commit_item, item))
            except sqlite3.Error as error:
                self._token.run_sync_soon(self._on_failure, str(error))
                if self._closing.wait(RETRY_S):
                    return
            else:
                self._token.run_sync_soon(item.on_done)
                return

    def _patiently(self, write: Callable[[], T]) -> T:
        """Write, and wait a while where another process is writing."""
        until = time.monotonic() + BUSY_S
        while True:
            try:
                with self._connection_lock:
                    return write()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            if self._closing.wait(BUSY_RETRY_S):
                until = 0.0

    def _commit_item(self, item: _Commit) -> None:
        if item.synced:
            self.commit(item.statements)
            return
        self.connection.execute("PRAGMA synchronous=NORMAL")
        try:
            self.commit(item.statements)
        finally:
            self.connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[self._durability]}")

    def _run_job(self, job: _Job) -> None:
        assert self._token is not None

        def run() -> Any:
            with self.connection:
                self.connection.execute("BEGIN IMMEDIATE")
                return job.run(self.connection)

        try:
            value = self._patiently(run)
        except sqlite3.Error as error:
            self._token.run_sync_soon(job.done, None, error)
        else:
            self._token.run_sync_soon(job.done, value, None)
