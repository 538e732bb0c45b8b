"""The audit log as the gateway writes it (acl 15.3, 15.4; weaknesses 37, 42, 43)."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
import trio

from aether.audit.chain import TRIMMED
from aether.audit.events import Event, Lineage, grant_of
from aether.audit.store import AuditStore, Row, chain_hash, compact_json
from aether.errors import StoreUnavailable

__all__ = ["KINDS", "AuditSettings", "AuditTrail", "redact"]

log = structlog.get_logger("aether.audit")

KINDS = (
    "connection",
    "auth",
    "message",
    "kv",
    "task",
    "admin",
    "acl",
    "authorization",
    "authority_request",
    "custom",
)
"""Event types (acl 15.1)."""

COALESCED = frozenset({"message", "kv", "authorization", "task"})
"""Kinds of which a repeat within the window is the same row."""

REPEATS_MAX = 100_000

TEXT_CHARACTERS_MAX = 1024
"""Of each field of a row: what is refused is always recorded, so whoever is refused must not decide how much it is."""
STAGED_MAX = 10_000
"""Rows of ordinary success that may wait for the disk; then they are counted instead."""
METADATA_CHARACTERS_MAX = 16_384
TRIM_S = 3600.0
TRIM_ROWS = 5_000
DAY_US = 86_400_000_000

CACHED_CHARACTERS_MAX = 100
"""Longer keys are looked at anew each time: clients choose them, and what is remembered is bounded."""

REDACTED = "[REDACTED]"
_PLAIN = frozenset({str, int, float, bool, type(None)})
_SECRETS = (
    "password",
    "passwd",
    "api_key",
    "apikey",
    "secret",
    "token",
    "bearer",
    "authorization",
    "credential",
    "private_key",
    "privatekey",
)


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What is recorded, and for how long.

    :ivar kinds: of which rows of success are kept; refusals and changes are always.
    :ivar window_s: repeats of the same success within it are one row; 0: every one is kept.
    :ivar retention_days: 0 is forever.
    :ivar share_max: rows of success of one principal within a window; more are counted. 0: any number. Without a
        window there is none.
    """

    gateway_id: str
    kinds: frozenset[str] = frozenset(KINDS)
    window_s: float = 60.0
    retention_days: int = 90
    share_max: int = 10_000


class AuditTrail:
    """Implements :class:`aether.audit.events.Recorder`.

    :param wall_clock: current Unix time in milliseconds.
    :param on_left_out: told how many rows were counted instead of kept, when that is known.
    :param on_denied: told of each refusal.
    """

    def __init__(
        self,
        store: AuditStore,
        settings: AuditSettings,
        wall_clock: Callable[[], int],
        on_left_out: Callable[[int], None] | None = None,
        on_denied: Callable[[Event], None] | None = None,
    ) -> None:
        self.store = store
        self.settings = settings
        self.ticket = 0
        self.coalesces = settings.window_s > 0
        self._wall_clock = wall_clock
        self._on_left_out = on_left_out
        self._on_denied = on_denied
        self._seen: set[tuple[str, str, str, str, str, str]] = set()
        self._left_out = 0
        self._shares: dict[tuple[str, str], int] = {}
        """Rows of this window by principal, those that were not kept included."""

    # ------------------------------------------------------------------------------------------------- writing

    def record(self, event: Event) -> None:
        """See :meth:`aether.audit.events.Recorder.record`."""
        self.ticket = self._append(event)
        # What a client says of its own failures is no refusal.
        if not event.success and event.source == "gateway" and self._on_denied is not None:
            self._on_denied(event)

    def routine(self, event: Event) -> None:
        """See :meth:`aether.audit.events.Recorder.routine`."""
        if event.kind not in self.settings.kinds:
            return
        if event.kind in COALESCED:
            grant_id = grant_of(event.lineage)
            key = (event.kind, event.actor_id, event.resource_type, event.resource_id, event.operation, grant_id)
            if self.coalesces and not self._first_of_window(key):
                return
        if self._is_beyond_share((event.actor_type, event.canonical_id)):
            return
        if self.store.staged >= STAGED_MAX:
            self._left_out += 1
            return
        try:
            if self._left_out:
                self._confess(self._left_out)
                self._left_out = 0
            self._append(event)
        except StoreUnavailable:
            self._left_out += 1

    def repeats(
        self, kind: str, actor_id: str, resource_type: str, resource_id: str, operation: str, grant_id: str = ""
    ) -> bool:
        """See :meth:`aether.audit.events.Recorder.repeats`."""
        seen = (kind, actor_id, resource_type, resource_id, operation, grant_id) in self._seen
        return seen or kind not in self.settings.kinds

    def begin_window(self) -> None:
        """Every success is new again; called once per window."""
        self._seen.clear()
        shares, self._shares = self._shares, {}
        for (actor_type, canonical_id), count in shares.items():
            beyond = count - self.settings.share_max
            if beyond > 0:
                try:
                    self._confess(beyond, actor_type=actor_type, actor_id=canonical_id, canonical_id=canonical_id)
                except StoreUnavailable:
                    self._left_out += beyond

    def _is_beyond_share(self, principal: tuple[str, str]) -> bool:
        """Whether a principal has had its rows of this window: nobody fills the disk with what it may do, either."""
        if not (self.coalesces and self.settings.share_max and principal[1]):
            return False
        if len(self._shares) >= REPEATS_MAX:
            self._shares.clear()
        count = self._shares[principal] = self._shares.get(principal, 0) + 1
        return count > self.settings.share_max

    def _first_of_window(self, key: tuple[str, str, str, str, str, str]) -> bool:
        if key in self._seen:
            return False
        if len(self._seen) >= REPEATS_MAX:
            self._seen.clear()
        self._seen.add(key)
        return True

    def _confess(self, count: int, **actor: Any) -> None:
        """A row that says how many are not there.

        :param actor: whose, if they are all of one principal.
        :raises StoreUnavailable: nor can that be recorded now.
        """
        metadata = {"count": count}
        self._append(Event(kind="admin", operation="audit_rows_left_out", success=False, metadata=metadata, **actor))
        if self._on_left_out is not None:
            self._on_left_out(count)

    def _append(self, event: Event) -> int:
        number, before = self.store.head
        # Numbers order rows, times must agree with them even when the clock is set back, also while we were not there.
        time_us = max(self.store.time_us, self._wall_clock() * 1000)
        actor = (event.actor_type, event.canonical_id)
        lineage = event.lineage
        operation, actor_id, canonical_id, resource_type, resource_id, workspace, error = _cut(
            event.operation,
            event.actor_id,
            event.canonical_id or event.actor_id,
            event.resource_type,
            event.resource_id,
            event.workspace,
            event.error,
        )
        row = (
            number + 1,
            time_us,
            event.kind,
            operation,
            event.success,
            event.actor_type,
            actor_id,
            canonical_id,
            resource_type,
            resource_id,
            workspace,
            event.session_id,
            self.settings.gateway_id,
            error,
            _encode(event.metadata),
            *((*actor, *actor, "direct", "", "", "") if lineage is None else _lineage_fields(lineage)),
            event.source,
        )
        return self.store.append(Row._make((*row, chain_hash(before, row))))

    # ----------------------------------------------------------------------------------------------- retention

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Remove what is too old, for ever."""
        task_status.started()
        while True:
            await trio.sleep(TRIM_S)
            if self.settings.retention_days:
                try:
                    await self.trim(self._wall_clock() * 1000 - self.settings.retention_days * DAY_US)
                except StoreUnavailable:
                    log.warning("audit log not trimmed")

    async def trim(self, before_us: int, actor: Mapping[str, Any] | None = None) -> int:
        """Remove rows older than a time, a few thousand at once, each time with a row that says so and keeps the hash
        they end with; returns how many.

        :param actor: actor fields of that row; None for the gateway itself.
        :raises StoreUnavailable: some are still there.
        """
        removed = 0
        while True:
            number, hash_ = await self.store.oldest(before_us, TRIM_ROWS)
            if not number:
                return removed
            metadata = {"through": number, "hash": hash_}
            self.record(Event(kind="admin", operation=TRIMMED, metadata=metadata, **(actor or {})))
            # The row must be there before what it stands for is gone; reading makes it durable.
            await self.store.read(number, 1)
            removed += await self.store.remove_through(number)


def _cut(*texts: str) -> Iterable[str]:
    if max(map(len, texts)) <= TEXT_CHARACTERS_MAX:
        return texts
    return [text[:TEXT_CHARACTERS_MAX] for text in texts]


def _lineage_fields(lineage: Lineage) -> tuple[str, ...]:
    """From ``subject_type`` to ``parent_grant_id`` of a row."""
    return (
        lineage.subject_type,
        lineage.subject_id,
        lineage.root_subject_type,
        lineage.root_subject_id,
        "on_behalf_of",
        lineage.grant_id,
        lineage.root_grant_id,
        lineage.parent_grant_id,
    )


def _is_secret(key: str) -> bool:
    if len(key) > CACHED_CHARACTERS_MAX:
        return _has_secret_word(key)
    return _is_known_secret(key)


def _has_secret_word(key: str) -> bool:
    return any(word in key.lower() for word in _SECRETS)


_is_known_secret = functools.lru_cache(maxsize=1024)(_has_secret_word)


def redact(value: Any) -> Any:
    """Plain values without what looks like a credential by its key (acl 15.3)."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Mapping):
        return {str(key): REDACTED if _is_secret(str(key)) else redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _encode(metadata: Mapping[str, Any]) -> str:
    if not metadata:
        return "{}"
    text = compact_json(redact(metadata)).decode("utf-8", "surrogatepass")
    if len(text) <= METADATA_CHARACTERS_MAX:
        return text
    return json.dumps({"truncated": True, "characters": len(text)})
