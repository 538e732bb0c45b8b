"""The data directory: ours alone while it is open, and never begun anew by mistake.

SQLite takes a file without content for a new database, and throws away the write-ahead log beside it. That is right in
a new directory. In one that held data it would start an empty gateway in place of the one that was there.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aether.errors import DataDirectoryInUse, StoreUnavailable

__all__ = ["DATABASE", "check_remains", "note_data", "ours_alone"]

DATABASE = "aether.db"
LOCK = "lock"
MADE_BY_DATA = (f"{DATABASE}-wal", f"{DATABASE}-shm", "token-hmac-key")
"""What only a gateway leaves that had its database open."""

NOTE = f"{DATABASE} holds data. Without it no gateway starts in this directory.\n"


@contextmanager
def ours_alone(directory: Path) -> Iterator[None]:
    """Make the directory if there is none, and keep others out.

    :raises DataDirectoryInUse: another process has it.
    :raises StoreUnavailable: as :func:`check_remains` does.
    :raises OSError: it cannot be created or written.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    with (directory / LOCK).open("a", encoding="utf-8") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirectoryInUse(f"another gateway uses the data directory {directory}") from None
        check_remains(directory)
        yield


def note_data(directory: Path) -> None:
    """From now on there is something to lose. Once the tables are on disk; where there is no room, at a later start."""
    lock = directory / LOCK
    with suppress(OSError):
        if not lock.stat().st_size:
            lock.write_text(NOTE, encoding="utf-8")


def check_remains(directory: Path) -> None:
    """Is the database of this directory gone, or emptied?

    :raises StoreUnavailable: it is; the text says what to do.
    """
    database = directory / DATABASE
    if _size(database):
        return
    remains = [name for name in MADE_BY_DATA if _size(directory / name)]
    is_noted = bool(_size(directory / LOCK))
    if database.exists():
        state = "is empty"
    else:
        state = "is missing"
        remains = [name for name in remains if name.startswith(DATABASE)]  # a key may be put there beforehand
    if remains or is_noted:
        shown = f" ({', '.join(remains)} is still there)" if remains else ""
        raise StoreUnavailable(
            f"{database} {state}, but {directory} held data{shown}: restore {DATABASE} from a backup, "
            f"or move the directory away to begin anew without what was stored"
        )


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
