"""How much each workspace stores, and may (kv 6.1): all its namespaces together, checkpoints included.

What a namespace holds is charged to an account. That is the workspace the namespace is of, or where the scope knows
none that of the principal that made it: the users whose values it keeps are names that it gives freely, so a bound on
each namespace bounds nothing. Principals without a workspace have the account without a name, which has no bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aether.kv._shortcuts import Usage

__all__ = ["Accounts", "Limits"]

Limits = Callable[[str], tuple[int, int]]
"""Keys and bytes that a workspace may have; 0 is any number."""


class Accounts:
    """Those of one store."""

    def __init__(self) -> None:
        self._usages: dict[str, Usage] = {}
        self._limits: Limits = lambda _: (0, 0)

    def of(self, workspace: str) -> Usage:
        """That of a workspace; without a name that of everybody who has none."""
        usage = self._usages.get(workspace)
        if usage is None:
            usage = self._usages[workspace] = Usage(workspace)
            self.on_limits_changed(workspace)
        return usage

    def stored(self, workspace: str) -> tuple[int, int]:
        """Keys and bytes of a workspace; those that expired a moment ago may still be counted."""
        usage = self._usages.get(workspace)
        return (usage.keys, usage.bytes) if usage is not None else (0, 0)

    def __iter__(self) -> Iterator[Usage]:
        return iter(list(self._usages.values()))

    def limit_by(self, limits: Limits) -> None:
        """From now on; what is stored beyond that stays, and may become less."""
        self._limits = limits
        for workspace in self._usages:
            self.on_limits_changed(workspace)

    def on_limits_changed(self, workspace: str) -> None:
        """A workspace has other limits now."""
        usage = self._usages.get(workspace)
        if usage is not None and workspace:
            usage.keys_max, usage.bytes_max = self._limits(workspace)
