"""Input that is almost right: recordings with bytes changed, cut, repeated and inserted."""

from __future__ import annotations

import random

__all__ = ["mutated", "pieces"]

INTERESTING = (0, 1, 4, 5, 8, 9, 0x7F, 0x80, 0xFF)
"""Bytes at the edges of lengths, flags, types and varints."""


def mutated(original: bytes, rng: random.Random, *, changes_max: int = 12) -> bytes:
    """The recording with one to `changes_max` changes, one time in fifty noise instead."""
    if rng.random() < 0.02:
        return rng.randbytes(rng.randrange(400))
    data = bytearray(original)
    for _ in range(rng.randint(1, changes_max)):
        place = rng.randrange(len(data) + 1)
        length = rng.randint(1, 24)
        match rng.randrange(6):
            case 0 | 1:
                data[place : place + 1] = bytes((rng.choice(INTERESTING),))
            case 2:
                data[place : place + 1] = rng.randbytes(1)
            case 3:
                del data[place : place + length]
            case 4:
                data[place:place] = rng.randbytes(length)
            case _:
                start = rng.randrange(len(data) + 1)
                data[place:place] = data[start : start + length]
    return bytes(data)


def pieces(data: bytes, rng: random.Random) -> list[bytes]:
    """The input as a transport may hand it over: in one piece, or cut anywhere."""
    if rng.random() < 0.4:
        return [data]
    found = []
    position = 0
    while position < len(data):
        step = rng.choice((1, 5, 9, 33, 200, 5000))
        found.append(data[position : position + step])
        position += step
    return found
