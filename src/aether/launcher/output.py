"""The output of an agent in a file that does not grow without end."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import TracebackType

__all__ = ["LOG_BYTES_MAX", "LogFile"]

LOG_BYTES_MAX = 64 * 1024 * 1024


class LogFile:
    """Lines behind those that are there already. A full file becomes ``NAME.1``, in the place of the one before it.

    :raises OSError: it cannot be opened.
    """

    def __init__(self, path: Path, bytes_max: int = LOG_BYTES_MAX) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._file = path.open("ab", buffering=0)
        self._bytes = self._file.tell()

    def write(self, line: str) -> None:
        """:raises OSError: it is lost."""
        data = f"{line}\n".encode()
        if self._bytes and self._bytes + len(data) > self._bytes_max:
            self._begin_anew()
        self._file.write(data)
        self._bytes += len(data)

    def _begin_anew(self) -> None:
        with suppress(FileNotFoundError):  # somebody removed it, or the last time no new one could be opened
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        full, self._file = self._file, self._path.open("ab", buffering=0)
        full.close()
        self._bytes = 0

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
