"""Types of the compiled way to values; its docstrings are in the .pyx."""

import builtins
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from aether._fastpath import Durations, Tally
from aether.kv.semantics import Entry
from aether.kv.store import Place

class Batches(Protocol):
    open_ticket: int

class Usage:
    keys: int
    bytes: int
    keys_max: int
    bytes_max: int
    @property
    def account(self) -> str: ...
    def __init__(self, account: str) -> None: ...
    def charge(self, key: builtins.bytes, before: Entry | None, after: Entry | None) -> None: ...

class Entries:
    staged: dict[Place, Entry | None]
    committing: dict[Place, Entry | None]
    @property
    def stored(self) -> OrderedDict[Place, Entry | None]: ...
    @property
    def usages(self) -> dict[int, Usage]: ...
    def __init__(self, batches: Batches, begin: Callable[[], int], clock: Callable[[], int]) -> None: ...

class Shortcut:
    @property
    def place(self) -> Place: ...
    @property
    def durations(self) -> Durations: ...
    @property
    def tally(self) -> Tally: ...
    def __init__(self, place: Place, durations: Durations, tally: Tally) -> None: ...

class Shortcuts:
    def __init__(self, entries: Entries, value_max: int, answer: Callable[[bytes, int, str], None]) -> None: ...
    def add(self, question: bytes, shortcut: Shortcut) -> None: ...
    def take(self, message: bytes) -> bool: ...
