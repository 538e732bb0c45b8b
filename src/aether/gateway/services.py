"""Everything that a session uses of its gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aether.access import Access
from aether.audit.events import Recorder
from aether.gateway.access import Authority
from aether.gateway.authenticator import Authenticator
from aether.gateway.commits import Commits
from aether.gateway.confirmations import Confirmations
from aether.gateway.denials import Denials
from aether.gateway.directory import Directory
from aether.gateway.foundation import Handler
from aether.gateway.half_open import HalfOpen
from aether.gateway.heartbeat import Heartbeat
from aether.gateway.limits import Limits
from aether.gateway.live import LiveSession
from aether.gateway.observe import Observer
from aether.gateway.settings import Settings
from aether.gateway.tasks import Tasks
from aether.gateway.unheard import Unheard
from aether.kv.store import KVStore
from aether.messaging.groups import Groups
from aether.messaging.log import TopicLog
from aether.messaging.reports import Reports
from aether.messaging.router import Router
from aether.sessions.store import IdentityLocks
from aether.tiers import Tier
from aether.tokens.tasks import TaskTokens
from aether.workspaces.quotas import WorkspaceQuotas

__all__ = ["Services"]


@dataclass
class Services:
    """One per gateway.

    :ivar authority: None where no rules of ours decide.
    :ivar handlers: who answers an operation, by the name of its member.
    :ivar flush_all: sends what was queued for sessions by something that is not one.
    """

    settings: Settings
    quotas: WorkspaceQuotas
    tier: Tier
    access: Access
    authority: Authority | None
    task_tokens: TaskTokens
    tasks: Tasks
    authenticator: Authenticator
    directory: Directory
    confirmations: Confirmations
    half_open: HalfOpen
    unheard: Unheard
    heartbeat: Heartbeat
    groups: Groups
    router: Router
    reports: Reports
    observer: Observer
    audit: Recorder
    handlers: Mapping[str, Handler]
    wall_clock: Callable[[], int]
    new_id: Callable[[], str]
    note_end: Callable[[LiveSession], None]
    limits: Limits
    denials: Denials
    commits: Commits
    flush_all: Callable[[], None] = lambda: None
    draining: bool = False
    """No session begins any more."""

    @property
    def log(self) -> TopicLog:
        return self.tier.log

    @property
    def locks(self) -> IdentityLocks:
        return self.tier.locks

    @property
    def kv_store(self) -> KVStore:
        return self.tier.kv
