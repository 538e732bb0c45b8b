"""The pattern language of rules and grants (acl 4.1).

``*`` is any run without ``/``, ``?`` one character except ``/``, ``[...]`` a class (``[^...]`` its complement), and a
backslash takes the next character literally. A pattern matches whole strings; a malformed one matches nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence

__all__ = ["PATTERN_CHARACTERS_MAX", "compile_pattern", "covers", "is_pattern", "literal_prefix", "named_workspaces"]

PATTERN_CHARACTERS_MAX = 255
"""Of rules and of grants. Matching takes a time that grows with the length of the pattern and that of the text."""
CACHED_CHARACTERS_MAX = 512
"""Longer patterns are compiled anew each time: clients choose them, and what is remembered is bounded."""

RUN = "[^/]*"
SPECIAL = frozenset("*?[\\")


def compile_pattern(text: str) -> Callable[[str], bool]:
    """A test for whole strings."""
    return _compile_known(text) if len(text) <= CACHED_CHARACTERS_MAX else _compile(text)


def _compile(text: str) -> Callable[[str], bool]:
    if not is_pattern(text):
        return text.__eq__
    parts = _translate(text)
    if parts is None:
        return _nothing
    matcher = re.compile(_join(parts), re.DOTALL).fullmatch
    return lambda candidate: matcher(candidate) is not None


_compile_known = functools.lru_cache(maxsize=8192)(_compile)


def is_pattern(text: str) -> bool:
    """Holds a character with a meaning, a class or an escape included."""
    return not SPECIAL.isdisjoint(text)


def literal_prefix(text: str) -> str:
    """The characters before the first one with a meaning; the whole text when there is none."""
    return next((text[:index] for index, character in enumerate(text) if character in SPECIAL), text)


def covers(parent: str, child: str) -> bool:
    """Whether every string that ``child`` matches is matched by ``parent``, as far as can be told for sure: equal
    ones, a literal under a pattern, and anything without ``/`` under a lone ``*``."""
    if parent == child:
        return True
    if not is_pattern(child):
        return compile_pattern(parent)(child)
    return parent == "*" and "/" not in child and "[" not in child and "\\" not in child


def named_workspaces(patterns: Sequence[str]) -> Sequence[str]:
    """The workspaces that patterns stand for; one without a name where they cannot be listed, for which only a
    capability for all of them will do (weakness 29)."""
    return [""] if not patterns or any(map(is_pattern, patterns)) else patterns


def _nothing(candidate: str) -> bool:
    del candidate
    return False


def _join(parts: list[str]) -> str:
    """One expression. What stands between two runs is taken at its first occurrence and for good, which is right for
    patterns of this kind and keeps hostile ones from exponential time."""
    groups: list[list[str]] = [[]]
    for part in parts:
        if part == RUN:
            groups.append([])
        else:
            groups[-1].append(part)
    if len(groups) == 1:
        return "".join(parts)
    first, *between, last = ["".join(group) for group in groups]
    return first + "".join(f"(?>{RUN}?{group})" for group in between) + RUN + last


def _translate(text: str) -> list[str] | None:
    """Regular expressions for the parts of a pattern; None when it is malformed."""
    parts: list[str] = []
    index = 0
    while index < len(text):
        character = text[index]
        index += 1
        if character == "*":
            if not parts or parts[-1] != RUN:
                parts.append(RUN)
        elif character == "?":
            parts.append("[^/]")
        elif character == "\\":
            if index == len(text):
                return None
            parts.append(re.escape(text[index]))
            index += 1
        elif character == "[":
            found = _translate_class(text, index)
            if found is None:
                return None
            part, index = found
            parts.append(part)
        else:
            parts.append(re.escape(character))
    return parts


def _translate_class(text: str, index: int) -> tuple[str, int] | None:
    """A class whose ``[`` is behind ``index``, and where it ends; None when it is malformed. Never matches ``/``."""
    negated = text[index : index + 1] == "^"
    if negated:
        index += 1
    ranges: list[str] = []
    while index < len(text) and (text[index] != "]" or not ranges):
        found = _read_member(text, index)
        if found is None:
            return None
        low, index = found
        high = low
        if text[index : index + 1] == "-":
            found = _read_member(text, index + 1)
            if found is None:
                return None
            high, index = found
        if high < low:
            return None
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if index >= len(text) or not ranges:
        return None
    return f"(?!/)[{'^' if negated else ''}{''.join(ranges)}]", index + 1


def _read_member(text: str, index: int) -> tuple[str, int] | None:
    """One end of a range; a ``]`` or ``-`` has to be escaped."""
    if index >= len(text) or text[index] in "]-":
        return None
    if text[index] != "\\":
        return text[index], index + 1
    return (text[index + 1], index + 2) if index + 1 < len(text) else None
