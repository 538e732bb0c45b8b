"""One SQLite file and its one writer thread: group commit for everything the local tier stores (design 5).

Stores stage changes on the trio thread; a *batch* is whatever was staged since the last one was sealed, and has a
ticket. Sealing turns it into a few statements, each of which writes all its rows in one step, so that the interpreter
lock is free while SQLite works (``executemany`` would take it back for every row). Batches are committed in order;
while one is being written the next one fills.

What has many indexes is committed to a journal first, and moved into its tables by transactions of their own
(:mod:`aether.storage.sqlite.journal`).

A batch is sealed at once when somebody waits for it, otherwise after a short linger. A commit that fails is retried
until it succeeds or the database is closed: what was staged before it may already have been seen by others. Meanwhile
:meth:`Database.check` refuses new work, so memory stays bounded and nothing is acknowledged.
"""

from __future__ import annotations

import fcntl
import queue
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import structlog
import trio

from aether.errors import DataDirectoryInUse, StoreUnavailable
from aether.nurseries import unwrapped_nursery
from aether.storage.sqlite.journal import Journal, Rows, read_journal, record
from aether.storage.sqlite.rows import Statement

__all__ = ["Database", "Participant"]

log = structlog.get_logger("aether.storage")

LINGER_S = 0.005
MOVE_S = 0.2
"""How long rows stay in the journal while there are few."""
RETRY_S = 0.5
BUSY_S = 5.0
"""How long a commit waits for another process that is writing to the file, before it counts as failed."""
BUSY_RETRY_S = 0.01
INLINE_BYTES_MAX = 16 * 1024
MIGRATIONS = (
    """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE log (
    id INTEGER PRIMARY KEY, topic INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    time_ms INTEGER NOT NULL, data BLOB NOT NULL
);
CREATE INDEX log_by_topic ON log (topic, first);
CREATE TABLE cursors (
    topic TEXT NOT NULL, consumer TEXT NOT NULL, position INTEGER NOT NULL, used_ms INTEGER NOT NULL,
    PRIMARY KEY (topic, consumer)
) WITHOUT ROWID;
CREATE TABLE namespaces (
    id INTEGER PRIMARY KEY, scope INTEGER NOT NULL, implementation TEXT NOT NULL, specifier TEXT NOT NULL,
    user TEXT NOT NULL, workspace TEXT NOT NULL, UNIQUE (scope, implementation, specifier, user, workspace)
);
CREATE TABLE kv (
    namespace INTEGER NOT NULL, key BLOB NOT NULL, kind INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
    value BLOB NOT NULL, PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
CREATE INDEX kv_by_expiry ON kv (expires_ms) WHERE expires_ms > 0;
CREATE TABLE locks (identity TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;
""",
    """
CREATE TABLE records (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, record TEXT NOT NULL, UNIQUE (kind, key)
);
""",
    """
CREATE TABLE audit (
    number INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, kind TEXT NOT NULL, operation TEXT NOT NULL,
    success INTEGER NOT NULL, actor_type TEXT NOT NULL, actor_id TEXT NOT NULL, canonical_id TEXT NOT NULL,
    resource_type TEXT NOT NULL, resource_id TEXT NOT NULL, workspace TEXT NOT NULL, session_id TEXT NOT NULL,
    gateway_id TEXT NOT NULL, error TEXT NOT NULL, metadata TEXT NOT NULL, subject_type TEXT NOT NULL,
    subject_id TEXT NOT NULL, root_subject_type TEXT NOT NULL, root_subject_id TEXT NOT NULL,
    authority_mode TEXT NOT NULL, grant_id TEXT NOT NULL, root_grant_id TEXT NOT NULL, parent_grant_id TEXT NOT NULL,
    source TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX audit_by_time ON audit (time_us);
CREATE INDEX audit_by_workspace ON audit (workspace, number);
CREATE INDEX audit_by_principal ON audit (canonical_id, number);
CREATE INDEX audit_by_actor ON audit (actor_id, number);
CREATE INDEX audit_by_kind ON audit (kind, number);
CREATE INDEX audit_of_failures ON audit (number) WHERE success = 0;
""",
    """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, workspace TEXT NOT NULL, status TEXT NOT NULL,
    updated_us INTEGER NOT NULL, next_retry_ms INTEGER NOT NULL, creator TEXT NOT NULL, assigned_to TEXT NOT NULL,
    bound TEXT NOT NULL, parent_task_id TEXT NOT NULL, root_task_id TEXT NOT NULL, correlation_id TEXT NOT NULL,
    context_id TEXT NOT NULL, subject_id TEXT NOT NULL, idempotency TEXT NOT NULL, record TEXT NOT NULL
);
CREATE INDEX tasks_by_change ON tasks (updated_us);
CREATE INDEX tasks_by_workspace ON tasks (workspace, updated_us);
CREATE INDEX tasks_by_live_status ON tasks (status, updated_us)
WHERE status NOT IN ('cancelled', 'completed', 'failed', 'rejected');
CREATE INDEX tasks_by_creator ON tasks (creator);
CREATE INDEX tasks_by_assignee ON tasks (assigned_to) WHERE assigned_to != '';
CREATE INDEX tasks_by_worker ON tasks (bound) WHERE bound != '';
CREATE INDEX tasks_by_parent ON tasks (parent_task_id) WHERE parent_task_id != '';
CREATE INDEX tasks_by_root ON tasks (root_task_id);
CREATE INDEX tasks_by_correlation ON tasks (correlation_id) WHERE correlation_id != '';
CREATE INDEX tasks_by_context ON tasks (context_id) WHERE context_id != '';
CREATE INDEX tasks_by_subject ON tasks (subject_id) WHERE subject_id != '';
CREATE INDEX tasks_by_idempotency ON tasks (idempotency) WHERE idempotency != '';
CREATE INDEX tasks_to_retry ON tasks (next_retry_ms) WHERE next_retry_ms > 0;
CREATE TABLE task_payloads (task_id TEXT PRIMARY KEY, payload BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE task_events (
    number INTEGER PRIMARY KEY, task_id TEXT NOT NULL, time_ms INTEGER NOT NULL, event TEXT NOT NULL
);
CREATE INDEX task_events_by_task ON task_events (task_id, number);
DROP INDEX audit_by_actor;
CREATE INDEX audit_by_actor ON audit (actor_id, number) WHERE actor_id != canonical_id;
""",
    """
CREATE TABLE journal (id INTEGER PRIMARY KEY, rows BLOB NOT NULL);
""",
)
"""Scripts that bring a database from version *n*, as ``PRAGMA user_version`` tells, to *n + 1*. Never changed, only
appended to."""

T = TypeVar("T")


class Participant(Protocol):
    """A store that takes part in batches."""

    def stage(self) -> Iterable[Statement | Rows]:
        """Hand over what was staged since the last call, as statements, or as rows for the journal; called on the trio
        thread, if there is anything."""

    def on_committed(self) -> None:
        """The batch of the last :meth:`stage` is durable."""


@dataclass(slots=True)
class _Batch:
    ticket: int
    participants: list[Participant]
    """Those that have something in it."""
    statements: list[Statement]
    rows: list[Rows]
    """Those that the statements write to the journal."""
    journal_bytes: int = 0


@dataclass(slots=True)
class _Move:
    """Of what is in the journal into its tables; durable when the next batch is."""

    ticket: int
    statements: list[Statement]


@dataclass(slots=True)
class _Job:
    run: Callable[[sqlite3.Connection], Any]
    done: Callable[[Any, BaseException | None], None]


class Database:
    """See the module; open with ``async with Database.open(...)``.

    :ivar open_ticket: ticket of the batch that is being filled.
    :ivar committed: ticket of the last durable batch.
    :ivar moved: ticket of the last batch of which all rows are in their tables, unless younger ones had none.
    :ivar on_durable: called on the trio thread after each commit, before waiters run.
    :ivar on_moved: called on the trio thread after rows were moved into their tables.
    :ivar on_failure: called on the trio thread after each failed attempt to commit.
    """

    def __init__(self, path: Path, durability: Literal["batch", "os"]) -> None:
        self.path = path
        self.durability = durability
        self.open_ticket = 1
        self.committed = 0
        self.moved = 0
        self.failing = False
        self.on_durable: list[Callable[[], None]] = []
        self.on_moved: list[Callable[[], None]] = []
        self.on_failure: list[Callable[[], None]] = []
        self._queue: queue.SimpleQueue[_Batch | _Move | _Job | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._connection_lock = threading.Lock()
        self._writing: _Batch | None = None
        self._journal = Journal()
        self._moving: _Move | None = None
        self._moving_from = 0
        self._touched: list[Participant] = []
        self._urgent = False
        self._dirty = trio.Event()
        self._waiters: trio.Event | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._scan_limiter = trio.CapacityLimiter(1)
        self._writer = self._connect()
        self._migrate()
        self.reader = self._connect(query_only=True)
        self._scanner = self._connect(query_only=True)

    @classmethod
    @asynccontextmanager
    async def open(cls, directory: Path, durability: Literal["batch", "os"] = "batch") -> AsyncIterator[Database]:
        """Open or create the database of a data directory, which is ours alone until this is left.

        :raises DataDirectoryInUse: another process has it.
        :raises OSError: the directory cannot be created or written.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        with (directory / "lock").open("w") as guard:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataDirectoryInUse(f"another gateway uses the data directory {directory}") from None
            database = cls(directory / "aether.db", durability)
            try:
                async with unwrapped_nursery() as nursery:
                    await nursery.start(database._run_writer)
                    nursery.start_soon(database._linger)
                    nursery.start_soon(database._keep_moving)
                    try:
                        yield database
                    finally:
                        with trio.CancelScope(shield=True):
                            await database._finish()
                        nursery.cancel_scope.cancel()
            finally:
                for connection in (database.reader, database._scanner, database._writer):
                    connection.close()

    # ---------------------------------------------------------------------------------------------- staging

    @property
    def latest_ticket(self) -> int:
        """Ticket of the newest batch that has something in it: once it is durable, so is all that was staged."""
        return self.open_ticket if self._touched else self.open_ticket - 1

    def check(self) -> None:
        """Refuse new work while commits fail.

        :raises StoreUnavailable: retry later.
        """
        if self.failing:
            raise StoreUnavailable("the store cannot write")

    def touch(self, participant: Participant) -> int:
        """A store has staged something; returns the ticket it belongs to."""
        touched = self._touched
        if not touched:
            self._dirty.set()
        if participant not in touched:  # a handful at most
            touched.append(participant)
        return self.open_ticket

    def kick(self) -> None:
        """Commit what is staged without waiting for more."""
        if self._touched:
            self._urgent = True
            if self._writing is None:
                self._seal()

    async def wait_durable(self, ticket: int) -> None:
        """Until the batch with this ticket is durable.

        :raises StoreUnavailable: commits fail; the change may or may not become durable later.
        """
        while self.committed < ticket:
            self.check()
            self.kick()
            if self.committed < ticket:
                await self._news()
        await trio.lowlevel.checkpoint()

    async def _news(self) -> None:
        """Until the next commit, move or failure."""
        if self._waiters is None:
            self._waiters = trio.Event()
        await self._waiters.wait()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, None
        if waiters is not None:
            waiters.set()

    async def wait_moved(self, ticket: int) -> None:
        """Until the batch with this ticket is durable and its rows are in their tables.

        :raises StoreUnavailable: as :meth:`wait_durable` does.
        """
        await self.wait_durable(ticket)
        while (self._moving is not None and self._moving_from <= ticket) or (
            self._journal and self._journal.first <= ticket
        ):
            self.check()
            self._move()
            await self._news()

    def _seal(self) -> None:
        statements: list[Statement] = []
        rows: list[Rows] = []
        participants, self._touched = self._touched, []
        for participant in participants:
            for staged in participant.stage():
                if isinstance(staged, Rows):
                    rows.append(staged)
                else:
                    statements.append(staged)
        batch = _Batch(self.open_ticket, participants, statements, rows)
        if rows:
            statement, batch.journal_bytes = record(batch.ticket, rows)
            statements.append(statement)
        self.open_ticket += 1
        self._urgent = False
        self._writing = batch
        if self.durability == "os" and not self._behind and self._commit_inline(batch):
            self._on_commit(batch)
        else:
            self._queue.put(batch)

    @property
    def _behind(self) -> bool:
        """Whether the writer thread is slower at moving rows than they come: then it commits too, so they come slower
        and the journal stays bounded."""
        return self._moving is not None and self._journal.is_full

    def _commit_inline(self, batch: _Batch) -> bool:
        """Without a sync a small commit takes less time than waking the thread twice; False when it is not small.

        The writer's connection is free: only one batch is under way, and maintenance takes the lock.
        """
        size = 0
        for _, values in batch.statements:
            for value in values:
                if type(value) is bytes or type(value) is str:
                    size += len(value)
        if size > INLINE_BYTES_MAX or not self._connection_lock.acquire(blocking=False):
            return False
        try:
            self._commit(batch.statements)
        except sqlite3.Error:
            return False
        finally:
            self._connection_lock.release()
        return True

    async def _linger(self) -> None:
        """Seal batches nobody waits for."""
        while True:
            await self._dirty.wait()
            self._dirty = trio.Event()
            await trio.sleep(LINGER_S)
            self.kick()

    async def _keep_moving(self) -> None:
        """Move rows into their tables that are few."""
        while True:
            await trio.sleep(MOVE_S)
            self._move()

    def _move(self) -> None:
        """Begin to move what is in the journal into its tables."""
        if self._journal and self._moving is None:
            self._moving_from = self._journal.first
            self._moving = _Move(*self._journal.take())
            self._queue.put(self._moving)

    def _on_commit(self, batch: _Batch) -> None:
        """On the trio thread, after the writer committed."""
        self._writing = None
        self.failing = False
        self.committed = batch.ticket
        if batch.rows:
            self._journal.add(batch.ticket, batch.rows, batch.journal_bytes)
            if self._journal.is_full:
                self._move()
        for participant in batch.participants:
            participant.on_committed()
        for callback in self.on_durable:
            callback()
        self._wake()
        if self._urgent and self._writing is None:
            self._seal()

    def _on_moved(self, move: _Move) -> None:
        """On the trio thread, after the writer moved rows into their tables."""
        self._moving = None
        self.failing = False
        self.moved = move.ticket
        for callback in self.on_moved:
            callback()
        if self._journal.is_full:
            self._move()
        self._wake()

    def _on_failure(self, text: str) -> None:
        if not self.failing:
            log.error("commit failed, retrying", error=text)
        self.failing = True
        for callback in self.on_failure:
            callback()
        self._wake()

    async def _finish(self) -> None:
        """Make everything durable, or give up when that fails, and end the thread."""
        with trio.move_on_after(10):
            while (self._touched or self._writing or self._moving or self._journal) and not self.failing:
                self.kick()
                if self._writing is None:
                    self._move()
                if self._writing or self._moving:
                    await self._news()
        self._closing.set()
        self._queue.put(None)

    # ----------------------------------------------------------------------------------------------- reading

    async def scan(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run a longer read in a worker thread; sees what is durable.

        :raises StoreUnavailable: the database could not be read.
        """
        try:
            return await trio.to_thread.run_sync(query, self._scanner, limiter=self._scan_limiter)
        except sqlite3.Error as error:
            raise StoreUnavailable("the store cannot be read") from error

    async def maintain(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a write outside of batches, in a transaction of its own, in the writer thread. Keep it short.

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

    # ------------------------------------------------------------------------------------------ writer thread

    async def _run_writer(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Owns the writer thread: the task ends when the thread has."""
        self._token = trio.lowlevel.current_trio_token()
        task_status.started()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._write_loop, limiter=trio.CapacityLimiter(1))

    def _write_loop(self) -> None:
        while (item := self._queue.get()) is not None:
            match item:
                case _Job():
                    self._run_job(item)
                case _Batch():
                    self._write(partial(self._commit, item.statements), partial(self._on_commit, item))
                case _Move():
                    self._write(partial(self._commit_move, item.statements), partial(self._on_moved, item))

    def _write(self, commit: Callable[[], None], on_done: Callable[[], None]) -> None:
        """Until it succeeds or the database is closed."""
        assert self._token is not None
        while True:
            try:
                self._patiently(commit)
            except sqlite3.Error as error:
                self._token.run_sync_soon(self._on_failure, str(error))
                if self._closing.wait(RETRY_S):
                    return
            else:
                self._token.run_sync_soon(on_done)
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

    def _commit_move(self, statements: Sequence[Statement]) -> None:
        """Without a sync of its own: where it does not outlive a crash, the journal does."""
        self._writer.execute("PRAGMA synchronous=NORMAL")
        try:
            self._commit(statements)
        finally:
            self._writer.execute(f"PRAGMA synchronous={self._synchronous}")

    def _commit(self, statements: Sequence[Statement]) -> None:
        """One transaction; leaves none open when it fails."""
        writer = self._writer
        if len(statements) == 1:  # is a transaction by itself
            writer.execute(*statements[0])
            return
        try:
            writer.execute("BEGIN IMMEDIATE")
            for sql, parameters in statements:
                writer.execute(sql, parameters)
            writer.execute("COMMIT")
        except sqlite3.Error:
            if writer.in_transaction:
                writer.execute("ROLLBACK")
            raise

    def _run_job(self, job: _Job) -> None:
        assert self._token is not None

        def run() -> Any:
            with self._writer:
                self._writer.execute("BEGIN IMMEDIATE")
                return job.run(self._writer)

        try:
            value = self._patiently(run)
        except sqlite3.Error as error:
            self._token.run_sync_soon(job.done, None, error)
        else:
            self._token.run_sync_soon(job.done, value, None)

    # ------------------------------------------------------------------------------------------------- opening

    @property
    def _synchronous(self) -> str:
        return "FULL" if self.durability == "batch" else "NORMAL"

    def _connect(self, *, query_only: bool = False) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=64)
        self.path.chmod(0o600)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        # The event loop writes too, and must not wait there for another process.
        connection.execute(f"PRAGMA busy_timeout={5000 if query_only else 0}")
        connection.execute("PRAGMA wal_autocheckpoint=4000")
        connection.execute("PRAGMA cache_size=-16000")
        connection.execute("PRAGMA temp_store=MEMORY")  # journals of statements with many rows, each a file otherwise
        if query_only:
            connection.execute("PRAGMA query_only=1")
        return connection

    def _migrate(self) -> None:
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreUnavailable(f"{self.path} was written by a newer version")
        for batch in read_journal(self._writer):
            self._journal.add(*batch)
        if self._journal:
            self._commit(self._journal.take()[1])
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            self._writer.executescript(f"BEGIN;{script};PRAGMA user_version={number};COMMIT;")
