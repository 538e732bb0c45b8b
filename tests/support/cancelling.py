"""Cancelling something at each of its awaits in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

__all__ = ["cancelled_at"]


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope before the given step of one task: each step is one await that can be cancelled."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, step: int) -> None:
        self._task = task
        self._scope = scope
        self._left = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


async def cancelled_at(step: int, function: Callable[[], Awaitable[None]]) -> bool:
    """Run a function and cancel it at a step; False when it ended before."""
    with trio.CancelScope() as scope:
        instrument = CancelAtStep(trio.lowlevel.current_task(), scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            await function()
        finally:
            trio.lowlevel.remove_instrument(instrument)
    return scope.cancelled_caught
