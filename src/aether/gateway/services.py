"""Everything that a session uses of its gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from aether._fastpath import TokenBucket
from aether.access import Access
from aether.audit.events import Recorder
from aether.gateway.directory import Directory
from aether.gateway.half_open import HalfOpen
from aether.gateway.handshake import Authenticator
from aether.gateway.heartbeat import Heartbeat
from aether.gateway.inbound import Handler
from aether.gateway.live import LiveSession
from aether.gateway.observe import Observer
from aether.gateway.outbound import Confirmations, Durability
from aether.gateway.settings import Settings
from aether.gateway.tasks import Tasks
from aether.kv.store import KVStore
from aether.messaging.groups import Groups
from aether.messaging.log import TopicLog
from aether.messaging.router import Router
from aether.sessions.store import IdentityLocks
from aether.tiers import Tier
from aether.tokens.tasks import TaskTokens
from aether.workspaces.quotas import WorkspaceQuotas

__all__ = ["Services"]


@dataclass
class Services:
    """Everything a session uses; one per gateway."""

    settings: Settings
    quotas: WorkspaceQuotas
    tier: Tier
    access: Access
    task_tokens: TaskTokens
    tasks: Tasks
    authenticator: Authenticator
    directory: Directory
    confirmations: Confirmations
    half_open: HalfOpen
    heartbeat: Heartbeat
    groups: Groups
    router: Router
    observer: Observer
    audit: Recorder
    handlers: Mapping[str, Handler]
    wall_clock: Callable[[], int]
    new_id: Callable[[], str]
    note_end: Callable[[LiveSession], None]
    flush_all: Callable[[], None] = lambda: None
    commit_wanted: bool = False
    """Answers wait for a commit; it comes once all that was received together has been handled."""
    draining: bool = False
    """No session begins any more."""
    waiting_answers: set[LiveSession] = field(default_factory=set)
    _flushing: bool = False
    """What is queued now goes out with the rest."""
    _workspace_buckets: dict[str, TokenBucket] = field(default_factory=dict)

    @property
    def log(self) -> TopicLog:
        return self.tier.log

    @property
    def locks(self) -> IdentityLocks:
        return self.tier.locks

    @property
    def kv_store(self) -> KVStore:
        return self.tier.kv

    @property
    def durability(self) -> Durability:
        durability: Durability = self.tier.durability
        return durability

    def before_flush(self) -> None:
        """Everything that was received together is handled: one commit for all of it."""
        if self.commit_wanted:
            self.commit_wanted = False
            self._flushing = True
            try:
                self.tier.durability.kick()
            finally:
                self._flushing = False

    def on_durable(self) -> None:
        """After a group commit: answers that waited for it may go out."""
        for session in list(self.waiting_answers):
            session.on_durable()
        if not self._flushing:
            self.flush_all()

    def on_commit_failed(self) -> None:
        """A group commit failed and will be tried again: waiting answers say that their outcome is open."""
        for session in list(self.waiting_answers):
            session.on_commit_failed()
        self.flush_all()

    def log_is_full(self) -> bool:
        """More staged than may be lost to a slow disk: senders have to wait."""
        return self.tier.log.staged_bytes > self.settings.staged_bytes_max

    async def wait_log_room(self) -> None:
        while self.log_is_full():
            await self.tier.durability.wait_durable(self.tier.durability.latest_ticket)

    def workspace_bucket(self, workspace: str) -> TokenBucket | None:
        """The bucket shared by all senders of a workspace, or None while there is no such limit."""
        rate = self.quotas.of(workspace).message_rate
        if rate <= 0 or not workspace:
            return None
        bucket = self._workspace_buckets.get(workspace)
        if bucket is None:
            if len(self._workspace_buckets) >= 10_000:
                self._workspace_buckets.clear()
            bucket = TokenBucket(rate, max(1.0, float(int(rate))), trio.current_time())
            self._workspace_buckets[workspace] = bucket
        return bucket

    def on_quotas_changed(self, workspace: str) -> None:
        """A workspace has other quotas; who is over them now stays, and nothing more is admitted."""
        self._workspace_buckets.pop(workspace, None)
        for session in self.directory:
            if session.identity.workspace == workspace:
                session.set_workspace_limit()
