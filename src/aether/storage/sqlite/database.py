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

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
import trio

from aether.errors import StoreUnavailable
from aether.nurseries import unwrapped_nursery
from aether.storage.sqlite.directory import DATABASE, note_data, ours_alone
from aether.storage.sqlite.journal import Journal, Rows, read_journal, record
from aether.storage.sqlite.rows import Statement
from aether.storage.sqlite.scans import Kind, Scans
from aether.storage.sqlite.schema import check_version, migrate
from aether.storage.sqlite.writer import Durability, Writer, connect

__all__ = ["Database", "Participant", "opening"]

log = structlog.get_logger("aether.storage")

LINGER_S = 0.005
MOVE_S = 0.2
"""How long rows stay in the journal while there are few."""

T = TypeVar("T")


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Around what reads a file for the first time.

    :raises StoreUnavailable: it cannot be used; the text names it and says why.
    """
    try:
        yield
    except (sqlite3.Error, ValueError) as error:  # the latter of records that no program of ours has written
        raise StoreUnavailable(f"cannot use {path}: {error}") from error


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
    rows: list[Rows]
    """Those that it writes to the journal."""
    journal_bytes: int = 0


class Database:
    """See the module; open with ``async with Database.open(...)``.

    :ivar open_ticket: ticket of the batch that is being filled.
    :ivar committed: ticket of the last durable batch.
    :ivar moved: ticket of the last batch of which all rows are in their tables, unless younger ones had none.
    :ivar on_durable: called on the trio thread after each commit, before waiters run.
    :ivar on_moved: called on the trio thread after rows were moved into their tables.
    :ivar on_failure: called on the trio thread after each failed attempt to commit.
    """

    def __init__(self, path: Path, durability: Durability) -> None:
        self.path = path
        self.durability = durability
        self.open_ticket = 1
        self.committed = 0
        self.moved = 0
        self.failing = False
        self.on_durable: list[Callable[[], None]] = []
        self.on_moved: list[Callable[[], None]] = []
        self.on_failure: list[Callable[[], None]] = []
        self._writing: _Batch | None = None
        self._journal = Journal()
        self._is_moving = False
        self._moving_from = 0
        self._touched: list[Participant] = []
        self._urgent = False
        self._dirty = trio.Event()
        self._waiters: trio.Event | None = None
        self._writer = Writer(path, durability, self._on_failure)
        with ExitStack() as undo:
            undo.callback(self._writer.connection.close)
            self._migrate()
            self._scans = Scans(path, durability)
            undo.callback(self._scans.close)
            self.reader = connect(path, durability, query_only=True)
            undo.pop_all()

    @classmethod
    @asynccontextmanager
    async def open(cls, directory: Path, durability: Durability = "batch") -> AsyncIterator[Database]:
        """Open or create the database of a data directory, which is ours alone until this is left.

        :raises DataDirectoryInUse: another process has it.
        :raises StoreUnavailable: the file is damaged, of a newer version, emptied or gone, or there is no room to open
            it.
        :raises OSError: the directory cannot be created or written.
        """
        with ours_alone(directory):
            with opening(directory / DATABASE):
                database = cls(directory / DATABASE, durability)
            note_data(directory)
            try:
                async with unwrapped_nursery() as nursery:
                    await nursery.start(database._writer.run)
                    nursery.start_soon(database._linger)
                    nursery.start_soon(database._keep_moving)
                    try:
                        yield database
                    finally:
                        with trio.CancelScope(shield=True):
                            await database._finish()
                        nursery.cancel_scope.cancel()
            finally:
                database._scans.close()
                database.reader.close()
                database._writer.connection.close()

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
        while (self._is_moving and self._moving_from <= ticket) or (self._journal and self._journal.first <= ticket):
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
        batch = _Batch(self.open_ticket, participants, rows)
        if rows:
            statement, batch.journal_bytes = record(batch.ticket, rows)
            statements.append(statement)
        self.open_ticket += 1
        self._urgent = False
        self._writing = batch
        if self.durability == "os" and not self._behind and self._writer.commit_inline(statements):
            self._on_commit(batch)
        else:
            self._writer.put(statements, partial(self._on_commit, batch))

    @property
    def _behind(self) -> bool:
        """Whether the writer thread is slower at moving rows than they come: then it commits too, so they come slower
        and the journal stays bounded."""
        return self._is_moving and self._journal.is_full

    async def _linger(self) -> None:
        """Seal batches nobody waits for. While batches follow each other this looks once in a while, as waking up for
        each of them would cost more than most of them do."""
        while True:
            seen = self.open_ticket
            await trio.sleep(LINGER_S)
            self.kick()
            if self.open_ticket == seen:
                self._dirty = trio.Event()
                await self._dirty.wait()

    async def _keep_moving(self) -> None:
        """Move rows into their tables that are few."""
        while True:
            await trio.sleep(MOVE_S)
            self._move()

    def _move(self) -> None:
        """Begin to move what is in the journal into its tables."""
        if self._journal and not self._is_moving:
            self._is_moving = True
            self._moving_from = self._journal.first
            ticket, statements = self._journal.take()
            # Without a sync of its own: where it does not outlive a crash, the journal does.
            self._writer.put(statements, partial(self._on_moved, ticket), synced=False)

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

    def _on_moved(self, ticket: int) -> None:
        """On the trio thread, after the writer moved rows into their tables; durable when the next batch is."""
        self._is_moving = False
        self.failing = False
        self.moved = ticket
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
            while (self._touched or self._writing or self._is_moving or self._journal) and not self.failing:
                self.kick()
                if self._writing is None:
                    self._move()
                if self._writing or self._is_moving:
                    await self._news()
        if self._touched or self._writing:
            log.error("closed with changes that could not be written; none of them was acknowledged")
        self._writer.close()

    # ----------------------------------------------------------------------------------------------- reading

    async def scan(self, kind: Kind, query: Callable[[sqlite3.Connection], T]) -> T:
        """See :meth:`aether.storage.sqlite.scans.Scans.run`."""
        return await self._scans.run(kind, query)

    async def maintain(self, job: Callable[[sqlite3.Connection], T]) -> T:
        """Run a write outside of batches, in a transaction of its own, in the writer thread. Keep it short.

        :raises StoreUnavailable: it failed and changed nothing.
        """
        return await self._writer.run_job(job)

    # ------------------------------------------------------------------------------------------------- opening

    def _migrate(self) -> None:
        connection = self._writer.connection
        version = check_version(connection, self.path)
        for batch in read_journal(connection):
            self._journal.add(*batch)
        if self._journal:
            self._writer.commit(self._journal.take()[1])
        migrate(connection, version)
