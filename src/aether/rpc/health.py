"""Health of services."""

from __future__ import annotations

from collections.abc import Iterable


class HealthState:
    """Which services serve."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = dict.fromkeys(services, False)

    def set_serving(self, serving: bool) -> None:
        """All services at once."""
        self._services = dict.fromkeys(self._services, serving)
