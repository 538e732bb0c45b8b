"""What a workspace may have at most: the gateway's quotas, or its own (routing 9.2, 9.3; operations 17, weakness 16).

A workspace's own quotas are part of its description, as entries of its metadata, so that every client that can
describe a workspace can set them. They are stored with it and hold from the next session, task or message on, also
where the gateway has no quotas otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from aether.errors import AetherError

__all__ = ["PREFIX", "BadQuota", "Share", "WorkspaceQuotas"]

PREFIX = "quota."
NUMBER_MAX = 2**53 - 1
"""What every client can count to."""


class BadQuota(AetherError):
    """A quota that cannot be; the text says which and what is allowed."""


@dataclass(frozen=True, slots=True)
class Share:
    """Of one workspace; 0 is any number.

    :ivar connections: live sessions of agents and tasks.
    :ivar tasks: unfinished tasks.
    :ivar message_rate: messages a second, of all senders together.
    :ivar kv_keys: values and checkpoints stored, as :mod:`aether.kv.accounts` counts them.
    :ivar kv_bytes: bytes of them, and of their keys.
    """

    connections: int = 0
    tasks: int = 0
    message_rate: int | float = 0
    kv_keys: int = 0
    kv_bytes: int = 0


NAMES = tuple(quota.name for quota in fields(Share))


class WorkspaceQuotas:
    """The quotas of all workspaces; without a store of its own.

    :param defaults: for workspaces that have none.
    :ivar on_change: told of each workspace whose quotas are other ones now.
    """

    def __init__(self, defaults: Share) -> None:
        self._defaults = defaults
        self._own: dict[str, Share] = {}
        self.on_change: list[Callable[[str], None]] = []

    def of(self, workspace: str) -> Share:
        return self._own.get(workspace, self._defaults)

    def tasks(self, workspace: str) -> int:
        return self.of(workspace).tasks

    def stored(self, workspace: str) -> tuple[int, int]:
        """Keys and bytes."""
        share = self.of(workspace)
        return share.kv_keys, share.kv_bytes

    def read(self, metadata: Mapping[str, str]) -> Share:
        """What a description says, the gateway's where it says nothing.

        :raises BadQuota: an entry with our prefix is none of :class:`Share`, or not a number from 0 on.
        """
        wanted = {}
        for key, text in metadata.items():
            if not key.startswith(PREFIX) or not text:
                continue
            name = key.removeprefix(PREFIX)
            if name not in NAMES:
                raise BadQuota(f"{key} is no quota; there are {', '.join(PREFIX + name for name in NAMES)}")
            if not (text.isascii() and text.isdigit() and len(text) <= 16) or int(text) > NUMBER_MAX:
                raise BadQuota(f"{key} must be a whole number from 0 to {NUMBER_MAX}; 0 is any number")
            wanted[name] = int(text)
        return replace(self._defaults, **wanted)

    def set(self, workspace: str, quotas: Share) -> None:
        """From now on."""
        if quotas == self.of(workspace):
            return
        if quotas == self._defaults:
            del self._own[workspace]
        else:
            self._own[workspace] = quotas
        for changed in self.on_change:
            changed(workspace)

    def forget(self, workspace: str) -> None:
        """The gateway's hold for it again."""
        self.set(workspace, self._defaults)

    def has_own(self, workspace: str) -> bool:
        return workspace in self._own
