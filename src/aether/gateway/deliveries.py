"""Which assignments of tasks a session's transport has not confirmed: a worker that resumes gets those again."""

from __future__ import annotations

from collections.abc import Callable

from aether._fastpath import Port

__all__ = ["Deliveries"]


class Deliveries:
    """One session's assignments, in the order they were sent; see :class:`aether.gateway.confirmations.Confirmations`.

    :param on_confirmed: told of each task whose assignment has arrived.
    """

    def __init__(self, port: Port, on_confirmed: Callable[[str], None]) -> None:
        self.dirty = False
        self._port = port
        self._on_confirmed = on_confirmed
        self._sent = 0
        self._in_flight: list[str] = []

    def sent(self, task_id: str) -> None:
        """An assignment was queued for the transport."""
        self._sent += 1
        self._in_flight.append(task_id)
        if not self.dirty:
            self.dirty = True
            self._port.touch(self)

    def mark(self) -> int:
        return self._sent

    def confirm(self, mark: int) -> None:
        """The peer's transport has everything up to ``mark``."""
        confirmed = self._sent - len(self._in_flight)
        arrived = self._in_flight[: max(0, mark - confirmed)]
        del self._in_flight[: len(arrived)]
        for task_id in arrived:
            self._on_confirmed(task_id)
