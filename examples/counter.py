"""Shared state without a race: a counter with a ceiling, and a lock that whoever set it first holds."""

from __future__ import annotations

import trio
from fabric import fabric

import aether
from aether.client import Scope

SEATS = 3


async def book(name: str, target: str | aether.Gateway, booked: list[str], held: list[str]) -> None:
    async with aether.connect_agent(target, workspace="demo", implementation="guest", specifier=name) as guest:
        seat = await guest.kv.increment_if("seats", SEATS, scope=Scope.WORKSPACE)
        if seat.applied:
            booked.append(f"{name}:{seat.value}")
        if await guest.kv.set_nx("window seat", name.encode(), ttl_s=30, scope=Scope.WORKSPACE):
            held.append(name)


async def main() -> None:
    booked: list[str] = []
    held: list[str] = []
    async with fabric() as target, trio.open_nursery() as nursery:
        for name in ("ada", "bob", "cyn", "dan", "eve"):
            nursery.start_soon(book, name, target, booked, held)
    print(f"{len(booked)} of 5 guests have seats {sorted(entry.split(':')[1] for entry in booked)}")
    print(f"{len(held)} has the window seat")


trio.run(main)
