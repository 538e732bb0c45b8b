"""Composes the services of a gateway: which there are, what each is given, and in which order they begin (design 3)."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from aether.access import Access
from aether.acl.checks import AccessChecks
from aether.audit.events import NoAudit
from aether.audit.service import AuditService
from aether.audit.trail import AuditTrail
from aether.authority.request_wire import event_of
from aether.authority.requests import Request
from aether.checkpoints.service import CheckpointService
from aether.config import Config
from aether.gateway import configured
from aether.gateway.access import AccessParts, Authority, compose_access
from aether.gateway.authenticator import Authenticator
from aether.gateway.commits import Commits
from aether.gateway.confirmations import Confirmations
from aether.gateway.credentials import Credentials, compose_credentials
from aether.gateway.denials import Denials
from aether.gateway.directory import Directory
from aether.gateway.foundation import Foundation, Handler, Run
from aether.gateway.half_open import HalfOpen
from aether.gateway.heartbeat import Heartbeat
from aether.gateway.limits import Limits
from aether.gateway.observe import Observer
from aether.gateway.services import Services
from aether.gateway.settings import Settings
from aether.gateway.tasks import Tasks, compose_tasks
from aether.gateway.unheard import Unheard
from aether.gateway.values import ValueShortcuts
from aether.kv.service import KVService
from aether.kv.store import CachingKVStore
from aether.messaging.flow import Flow
from aether.messaging.groups import Groups
from aether.messaging.reports import Reports
from aether.messaging.router import Router
from aether.metrics import Metrics
from aether.sessions.operations import SessionOperations
from aether.sessions.queries import AdminQueries
from aether.sessions.status import ConnectionStatus
from aether.tasks.authority import TaskGrants
from aether.tiers import Tier
from aether.workspaces.quotas import WorkspaceQuotas
from aether.workspaces.service import WorkspaceService

__all__ = ["compose"]


def compose(
    config: Config,
    tier: Tier,
    metrics: Metrics,
    wall_clock: Callable[[], int],
    chooser: random.Random,
    *,
    authenticator: Authenticator | None = None,
    access: Access | None = None,
) -> tuple[Services, list[Run]]:
    """The services, and what has to run in the gateway's nursery, in this order, before the first client comes.

    :param authenticator: instead of the configured methods.
    :param access: instead of the configured rules.
    :raises OSError: a file that the configuration names cannot be read.
    """
    settings = configured.gateway_settings(config)
    denials = Denials(settings.denial_rate)
    trail = _compose_trail(config, tier, metrics, wall_clock, denials)
    base = Foundation(config, tier, Directory(), trail or NoAudit(), metrics, wall_clock, chooser)
    observer = Observer(base.directory, settings, tier, metrics, wall_clock, base.recorder)

    def flush() -> None:
        services.flush_all()

    rules = compose_access(base, trail, access)
    credentials = compose_credentials(base, rules.access, authenticator)
    quotas = WorkspaceQuotas(configured.workspace_quotas(config))
    limits = Limits(settings, quotas, base.directory)
    quotas.on_change += [limits.on_quotas_changed, tier.kv.accounts.on_limits_changed]
    accounts = tier.kv.accounts
    accounts.limit_by(quotas.stored)
    metrics.kv.stored = lambda: ((usage.account, usage.keys, usage.bytes) for usage in accounts)
    tasks = _compose_tasks(base, quotas, rules, credentials, flush)
    flow = Flow()
    checks = AccessChecks(rules.access, wall_clock, base.new_id)
    status = ConnectionStatus(base.directory, tier.locks, rules.access, wall_clock)
    workspaces = WorkspaceService(
        tier.records,
        base.directory,
        tasks.upkeep,
        rules.access,
        base.recorder,
        wall_clock,
        observer.messages_in,
        flow.sent,
        quotas,
        strict=settings.strict_identifiers,
    )
    services = Services(
        settings=settings,
        quotas=quotas,
        tier=tier,
        access=rules.access,
        authority=rules.authority,
        task_tokens=credentials.task_tokens,
        tasks=tasks,
        authenticator=credentials.authenticator,
        directory=base.directory,
        confirmations=Confirmations(),
        half_open=HalfOpen(settings.half_open_max),
        unheard=Unheard(),
        heartbeat=Heartbeat(tier.locks, base.directory, ttl_s=settings.lock_ttl_s),
        groups=Groups(tier.log),
        router=_compose_router(base, rules, tasks, checks, flow),
        reports=Reports(tier.log, rules.access, base.recorder, tasks.workspace_of_part, wall_clock),
        observer=observer,
        audit=base.recorder,
        handlers={
            **_handlers(base, trail, rules.access, tasks, observer),
            "connection_status_request": status.handle,
            "access_check": checks.check,
            "batch_access_check": checks.check_batch,
            "workspace_op": workspaces.handle,
            **rules.handlers,
            **credentials.handlers,
            **tasks.handlers,
        },
        wall_clock=wall_clock,
        note_end=status.note_end,
        new_id=base.new_id,
        limits=limits,
        denials=denials,
        commits=_compose_commits(tier, settings, flush),
    )
    runs: list[Run] = [services.heartbeat.run, services.confirmations.run, services.groups.run]
    if trail is not None:
        runs.append(trail.run)
        if trail.coalesces:
            runs.append(partial(observer.keep_windows, trail))
    runs += [*rules.runs, *credentials.runs, *tasks.services, flow.run, *tier.services]
    return services, runs


def _compose_commits(tier: Tier, settings: Settings, flush: Callable[[], None]) -> Commits:
    """Sessions hear of the store's group commits."""
    commits = Commits(tier.log, tier.durability, settings.staged_bytes_max, flush)
    tier.durability.on_durable.append(commits.on_durable)
    tier.durability.on_failure.append(commits.on_failed)
    return commits


def _compose_tasks(
    base: Foundation, quotas: WorkspaceQuotas, rules: AccessParts, credentials: Credentials, flush: Callable[[], None]
) -> Tasks:
    """Tasks, with the authority that they can be given where there is any."""
    requests = rules.authority.requests if rules.authority is not None else None
    grants = _task_grants(base, rules.authority)
    tasks = compose_tasks(base, quotas, rules.access, credentials.task_tokens, grants, requests, flush)
    if rules.enforcement is not None:
        rules.enforcement.reviews.append(tasks.review_watches)
    if requests is not None:
        requests.on_event.append(partial(_tell_tasks, tasks, base.wall_clock))
    return tasks


def _compose_router(base: Foundation, rules: AccessParts, tasks: Tasks, checks: AccessChecks, flow: Flow) -> Router:
    """The way of what is not forwarded in compiled code."""
    return Router(
        base.tier.log,
        rules.access,
        base.directory.services,
        base.random,
        checks,
        base.recorder,
        rules.authority.continuations if rules.authority is not None else None,
        tasks.startups.on_absent,
        tasks.is_party,
        flow,
        tasks.implied_authority,
    )


def _handlers(
    base: Foundation, trail: AuditTrail | None, access: Access, tasks: Tasks, observer: Observer
) -> dict[str, Handler]:
    """Those of the services that nothing else needs."""
    checkpoints = CheckpointService(
        base.tier.checkpoints,
        access,
        configured.checkpoint_limits(base.config),
        base.wall_clock,
        base.recorder,
        observe=base.metrics.checkpoint_operation,
    )
    audit = AuditService(trail, access, configured.audit_limits(base.config))
    return {
        "kv_op": _compose_values(base, access, tasks).handle,
        "checkpoint_op": checkpoints.handle,
        "session_op": SessionOperations(base.directory, access, base.wall_clock, base.recorder).handle,
        "admin_query": AdminQueries(base.directory, access, observer, base.wall_clock).handle,
        "audit_query": audit.query,
        "submit_audit_event": audit.submit,
    }


def _compose_trail(
    config: Config, tier: Tier, metrics: Metrics, wall_clock: Callable[[], int], denials: Denials
) -> AuditTrail | None:
    """The audit log, if there is to be one."""
    settings = configured.audit_settings(config)
    if settings is None:
        return None
    return AuditTrail(tier.audit, settings, wall_clock, metrics.audit_left_out, denials.on_refusal)


def _task_grants(base: Foundation, authority: Authority | None) -> TaskGrants | None:
    """The authority of tasks; None where there are no grants."""
    if authority is None:
        return None
    gateway_id = base.config.gateway.gateway_id
    return TaskGrants(authority.grants, base.recorder, base.wall_clock, base.new_id, gateway_id)


def _compose_values(base: Foundation, access: Access, tasks: Tasks) -> KVService:
    """Key/value operations, with shortcuts where the store can be looked into."""
    store, limits, operations = base.tier.kv, configured.kv_limits(base.config), base.metrics.kv
    shortcuts = None
    if isinstance(store, CachingKVStore):
        shortcuts = ValueShortcuts(store, limits.largest_value, operations)
    return KVService(
        store,
        access,
        limits,
        base.recorder,
        implied=tasks.implied_authority,
        observe=operations.observe,
        on_repeat=shortcuts.keep if shortcuts is not None else None,
    )


def _tell_tasks(tasks: Tasks, wall_clock: Callable[[], int], request: Request) -> None:
    """Tasks that wait for a request for authority go on when it is decided."""
    tasks.approvals.on_request(request, event_of(request, wall_clock()))
