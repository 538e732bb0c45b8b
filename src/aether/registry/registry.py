"""The registrations of a deployment, by implementation (tasks 15.2, backends 12.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from aether.errors import AetherError
from aether.records import RecordStore, Table

__all__ = ["Registration", "Registry", "RegistryError", "ResourceSchema"]

PROFILE = "profile"


def _no_witness() -> None: ...


class RegistryError(AetherError):
    """A registration that cannot be; the text is fit for clients."""


@dataclass(frozen=True, slots=True)
class ResourceSchema:
    """A family of resources that an agent is in charge of; attributes audit rows, never decides access."""

    prefix: str
    verbs: tuple[str, ...] = ()
    id_schema: str = ""


@dataclass(frozen=True, slots=True)
class Registration:
    """How agents of one implementation are started. Times are Unix milliseconds.

    :ivar launch_params: defaults of every start; ``profile`` says which orchestrators can do it.
    """

    implementation: str
    launch_params: dict[str, str]
    description: str = ""
    resource_schema: tuple[ResourceSchema, ...] = ()
    capabilities: dict[str, bool] = field(default_factory=dict)
    extensions: tuple[str, ...] = ()
    registered_ms: int = 0
    updated_ms: int = 0

    @property
    def profile(self) -> str:
        return self.launch_params.get(PROFILE, "")

    def limit(self, name: str) -> int:
        """A launch parameter that is a number, such as ``max_open_tasks``; 0 when it is absent or none."""
        text = self.launch_params.get(name, "")
        return int(text) if text.isdecimal() else 0


class Registry:
    """All registrations, in memory; changes are staged with the store.

    :param wall_clock: current Unix time in milliseconds.
    :ivar on_change: called with the implementation after each change.
    """

    def __init__(self, records: RecordStore, wall_clock: Callable[[], int]) -> None:
        self._table = Table(records, "agent", Registration)
        self._wall_clock = wall_clock
        self._owners: dict[str, str] = {}
        self.on_change: list[Callable[[str], None]] = []
        for registration in self._table.values():
            self._own(registration)

    @property
    def ticket(self) -> int:
        return self._table.ticket

    def find(self, implementation: str) -> Registration | None:
        """By the exact name, or by the name before its last colon (tasks 13.2, 15.2; weakness 49)."""
        found = self._table.get(implementation)
        if found is None and ":" in implementation:
            found = self._table.get(implementation.rpartition(":")[0])
        return found

    def all(self) -> list[Registration]:
        """By implementation."""
        return sorted(self._table.values(), key=lambda registration: registration.implementation)

    # Every change takes a witness, which is called when nothing is against it: if that raises, nothing was changed.

    def put(self, registration: Registration, witness: Callable[[], None] = _no_witness) -> Registration:
        """Create or replace; what is checked and what is written is one step.

        :raises RegistryError: no name, no profile, or a resource prefix that is taken.
        :raises StoreUnavailable: nothing was changed.
        """
        name = registration.implementation
        if not name:
            raise RegistryError("agent implementation is required")
        if not registration.profile:
            raise RegistryError("launch params missing 'profile' field")
        self._check_prefixes(registration)
        known = self._table.get(name)
        now_ms = self._wall_clock()
        registered_ms = known.registered_ms if known is not None else now_ms
        registration = replace(registration, registered_ms=registered_ms, updated_ms=now_ms)
        witness()
        self._table.put(name, registration)
        if known is not None:
            self._disown(known)
        self._own(registration)
        for callback in self.on_change:
            callback(name)
        return registration

    def delete(self, implementation: str, witness: Callable[[], None] = _no_witness) -> None:
        """:raises RegistryError: there is none of exactly this name.
        :raises StoreUnavailable: nothing was changed.
        """
        known = self._table.get(implementation)
        if known is None:
            raise RegistryError(f"agent implementation '{implementation}' not found in registry")
        witness()
        self._table.delete(implementation)
        self._disown(known)
        for callback in self.on_change:
            callback(implementation)

    def _check_prefixes(self, registration: Registration) -> None:
        own: set[str] = set()
        for schema in registration.resource_schema:
            owner = self._owners.get(schema.prefix, registration.implementation)
            if schema.prefix in own:
                owner = "(self)"
            if schema.prefix and owner != registration.implementation:
                raise RegistryError(
                    f'ERR_PREFIX_CONFLICT: resource_type_prefix "{schema.prefix}" already declared by agent "{owner}"'
                )
            own.add(schema.prefix)

    def _own(self, registration: Registration) -> None:
        for schema in registration.resource_schema:
            if schema.prefix:
                self._owners[schema.prefix] = registration.implementation

    def _disown(self, registration: Registration) -> None:
        for schema in registration.resource_schema:
            if self._owners.get(schema.prefix) == registration.implementation:
                del self._owners[schema.prefix]
