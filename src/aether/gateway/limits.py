"""How fast sessions may send: each by itself, all of a workspace together, and an identity by its quota (routing 9)."""

from __future__ import annotations

import trio

from aether._fastpath import Port, TokenBucket, Window
from aether.gateway.directory import Directory
from aether.gateway.settings import Settings
from aether.workspaces.quotas import WorkspaceQuotas

__all__ = ["Limits"]

WORKSPACES_MAX = 10_000
"""Workspaces whose senders are counted together; one more begins anew with all of them."""


class Limits:
    """One per gateway; what it allows a session is kept in the session's port, where the message path looks."""

    def __init__(self, settings: Settings, quotas: WorkspaceQuotas, directory: Directory) -> None:
        self._settings = settings
        self._quotas = quotas
        self._directory = directory
        self._buckets: dict[str, TokenBucket] = {}

    def begin(self, port: Port, workspace: str) -> None:
        """The session's own, once: who moves to another workspace has used what it has used."""
        settings = self._settings
        now = trio.current_time()
        if settings.message_rate > 0:
            port.bucket = TokenBucket(settings.message_rate, settings.message_burst, now)
        if settings.identity_message_rate > 0:
            port.quota = Window(settings.identity_message_rate, now)
        self.share(port, workspace)

    def share(self, port: Port, workspace: str) -> None:
        """The one that all senders of the session's workspace share."""
        port.workspace_bucket = self._bucket(workspace)
        port.limited = bool(port.bucket or port.quota or port.workspace_bucket)

    def operations(self) -> TokenBucket | None:
        """What a session may ask for beside messages; None: any number of times."""
        rate = self._settings.task_rate
        return TokenBucket(rate, 2 * rate, trio.current_time()) if rate > 0 else None

    def on_quotas_changed(self, workspace: str) -> None:
        """A workspace has other quotas; who is over them now stays, and nothing more is admitted."""
        self._buckets.pop(workspace, None)
        for session in self._directory:
            if session.identity.workspace == workspace:
                session.set_workspace_limit()

    def _bucket(self, workspace: str) -> TokenBucket | None:
        rate = self._quotas.of(workspace).message_rate
        if rate <= 0 or not workspace:
            return None
        bucket = self._buckets.get(workspace)
        if bucket is None:
            if len(self._buckets) >= WORKSPACES_MAX:
                self._buckets.clear()
            bucket = TokenBucket(rate, max(1.0, float(int(rate))), trio.current_time())
            self._buckets[workspace] = bucket
        return bucket
