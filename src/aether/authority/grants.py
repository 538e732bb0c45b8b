"""All grants of a deployment: making, using, renewing and revoking them (acl 9.2, 9.3, 10).

Everything is synchronous: a grant is made, or revoked with all that was derived from it, between two steps of any
other task, and stored with its audit row in one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol, TypeVar

import trio

from aether.access import InvalidAuthority
from aether.answers import Caller
from aether.authority.forgetting import ended_first
from aether.authority.model import Grant, InvalidGrant, check_child, check_grant
from aether.errors import StoreUnavailable
from aether.records import RecordStore, Table

__all__ = ["Grants", "Liveness", "NotAuthorized"]

DAY_MS = 86_400_000
PURGE_S = 3600.0
PURGE_AT_ONCE = 1000
ENDED_MAX = 100_000
"""Grants that are kept after their end, for those who ask why one does not hold; the audit log has all."""
KEPT_OF_ONE_MAX = 1000
"""Grants of one issuer; if there are more, those that ended are forgotten while it makes others."""

K = TypeVar("K")

Principal = tuple[str, str]
"""Label and canonical id."""


def _no_witness(grant: Grant) -> None:
    del grant


class NotAuthorized(InvalidGrant):
    """Somebody asks for a grant that is none of its business."""


class Liveness(Protocol):
    """Who is connected."""

    def is_connected(self, identity: str) -> bool:
        """Whether an identity has a session."""

    def task_of(self, session_id: str) -> str:
        """The task that a session is bound to; empty for none."""


def principal_of(caller: Caller) -> Principal:
    return caller.identity.kind.label, caller.identity.canonical_id


class Grants:
    """Implements :class:`aether.acl.control.GrantBook`.

    :param issued_max: grants of one issuer that hold at a time; 0 is any number.
    :param on_revoked: told of every grant that ends before its time, with why, and whether it followed another.
    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self,
        records: RecordStore,
        liveness: Liveness,
        on_revoked: Callable[[Grant, str, bool], None],
        wall_clock: Callable[[], int],
        *,
        retention_days: int = 90,
        issued_max: int = 0,
    ) -> None:
        self._table = Table(records, "grant", Grant)
        self._liveness = liveness
        self._on_revoked = on_revoked
        self._wall_clock = wall_clock
        self._retention_ms = retention_days * DAY_MS
        self._issued_max = issued_max
        self._children: dict[str, dict[str, None]] = {}
        self._of_delegate: dict[Principal, dict[str, None]] = {}
        self._of_subject: dict[Principal, dict[str, None]] = {}
        self._of_issuer: dict[Principal, dict[str, None]] = {}
        for grant in self._table.values():
            self._index(grant)

    @property
    def ticket(self) -> int:
        """Batch that makes the latest change durable."""
        return self._table.ticket

    # --------------------------------------------------------------------------------------------------- using

    def resolve(self, caller: Caller, subject_type: str, subject_id: str, grant_id: str) -> Grant:
        """The live grant that ``caller`` may use for a subject (acl 9.2).

        :raises InvalidAuthority: there is none.
        """
        grant = self._table.get(grant_id)
        if grant is None:
            raise InvalidAuthority("authority grant not found")
        self.check_usable(caller, grant)
        if grant.subject != (subject_type, subject_id):
            raise InvalidAuthority("authority grant subject does not match requested subject")
        self.check_audience(caller, grant)
        return grant

    def check_usable(self, caller: Caller, grant: Grant) -> None:
        """:raises InvalidAuthority: it ended, or is somebody else's."""
        if grant.revoked_ms:
            raise InvalidAuthority("authority grant revoked")
        if self._wall_clock() > grant.expires_ms:
            raise InvalidAuthority("authority grant expired")
        if grant.delegate != principal_of(caller):
            raise InvalidAuthority("authority grant delegate does not match actor")

    def check_audience(self, caller: Caller, grant: Grant) -> None:
        """:raises InvalidAuthority: it is not for where the caller is (acl 9.3)."""
        match grant.audience_type:
            case "session":
                is_here = grant.audience_id == caller.session_id
                fits = self._liveness.is_connected(grant.audience_identity) if grant.while_active else is_here
            case "task":
                fits = self._liveness.task_of(caller.session_id) == grant.audience_id
            case "agent" | "service":
                fits = (grant.audience_type, grant.audience_id) == principal_of(caller)
            case _:
                fits = False
        if not fits:
            raise InvalidAuthority("authority grant audience does not match request context")

    def get_for(self, caller: Caller, grant_id: str) -> Grant:
        """A grant for its subject, its issuer, or its delegate where it is valid.

        :raises InvalidGrant: there is none, or not for this caller.
        """
        grant = self._table.get(grant_id)
        if grant is None:
            raise InvalidGrant("authority grant not found")
        who = principal_of(caller)
        if who in (grant.subject, (grant.issued_by_type, grant.issued_by_id)):
            return grant
        if who != grant.delegate:
            raise NotAuthorized(f"not authorized to use authority grant {grant_id}")
        try:
            self.check_audience(caller, grant)
        except InvalidAuthority as error:
            raise NotAuthorized(f"authority grant is not valid for the current delegate context: {error}") from None
        return grant

    def get(self, grant_id: str) -> Grant | None:
        return self._table.get(grant_id)

    def of_delegate(self, principal: Principal) -> list[Grant]:
        """Grants that a principal may use, the newest first."""
        return self._sorted(self._of_delegate.get(principal, ()))

    def of_subject(self, principal: Principal) -> list[Grant]:
        """Grants on a principal, the newest first."""
        return self._sorted(self._of_subject.get(principal, ()))

    def children(self, grant_id: str) -> list[Grant]:
        return self._sorted(self._children.get(grant_id, ()))

    def _sorted(self, ids: Iterable[str]) -> list[Grant]:
        grants = [grant for grant_id in ids if (grant := self._table.get(grant_id)) is not None]
        return sorted(grants, key=lambda grant: grant.created_ms, reverse=True)

    # ------------------------------------------------------------------------------------------------ changing

    # Every change takes a witness, which is told of what will be before anything is: if it raises, nothing was.

    def add(self, grant: Grant, witness: Callable[[Grant], None] = _no_witness) -> Grant:
        """Keep a new grant.

        :raises InvalidGrant: it cannot be, or reaches further than its parent.
        :raises StoreUnavailable: nothing was changed.
        """
        check_grant(grant, self._wall_clock())
        if grant.parent_id:
            parent = self._table.get(grant.parent_id)
            if parent is None or not parent.is_live(self._wall_clock()):
                raise InvalidGrant("authority grant not found")
            check_child(parent, grant)
        issued = self._of_issuer.get((grant.issued_by_type, grant.issued_by_id), {})
        for grant_id in ended_first(issued, KEPT_OF_ONE_MAX, self._is_over):
            self._forget(self._table.get(grant_id))
        witness(grant)
        self._table.put(grant.id, grant)
        self._index(grant)
        return grant

    def _is_over(self, grant_id: str) -> bool:
        """It has ended, and nothing hangs on it any more."""
        grant = self._table.get(grant_id)
        return grant is None or not (grant.is_live(self._wall_clock()) or self._children.get(grant_id))

    def renew(self, grant: Grant, expires_ms: int, witness: Callable[[Grant], None] = _no_witness) -> Grant:
        """Let a live grant live longer, as far as it and its parent allow.

        :raises InvalidGrant: it ended, or would.
        """
        now_ms = self._wall_clock()
        if not grant.is_live(now_ms):
            raise InvalidGrant("authority grant cannot be renewed")
        limits = [grant.renewable_ms]
        if grant.parent_id:
            parent = self._table.get(grant.parent_id)
            limits.append(parent.expires_ms if parent is not None else 0)
        expires_ms = min(expires_ms, *limits)
        if expires_ms <= now_ms:
            raise InvalidGrant("renewed expires_at must be in the future")
        renewed = replace(grant, expires_ms=expires_ms, renewed_ms=now_ms)
        witness(renewed)
        self._table.put(grant.id, renewed)
        return renewed

    def revoke(self, grant: Grant, reason: str, witness: Callable[[Grant], None] = _no_witness) -> list[Grant]:
        """End a grant and everything derived from it; returns those that were live, itself first.

        :raises InvalidGrant: it was revoked before.
        """
        if grant.revoked_ms:
            raise InvalidGrant("authority grant not found")
        now_ms = self._wall_clock()
        ended = []
        open_ = [grant]
        while open_:
            current = open_.pop()
            open_ += self.children(current.id)
            if current.revoked_ms:
                continue
            ended.append(replace(current, revoked_ms=now_ms))
        for revoked in ended:
            witness(revoked)
        for revoked in ended:
            self._table.put(revoked.id, revoked)
        for revoked in ended:
            self._on_revoked(revoked, reason, revoked.id != grant.id)
        return ended

    def check_room(self, issuer: Principal) -> None:
        """Before somebody makes a grant. Those that come with tasks are as many as tasks, and not asked about.

        :raises InvalidGrant: too many of the issuer's still hold.
        """
        issued = self._of_issuer.get(issuer, {})
        if not self._issued_max or len(issued) < self._issued_max:
            return
        now_ms = self._wall_clock()
        if sum(grant.is_live(now_ms) for grant in self._sorted(issued)) >= self._issued_max:
            raise InvalidGrant(f"no more than {self._issued_max} authority grants of one principal can hold")

    def _index(self, grant: Grant) -> None:
        self._of_issuer.setdefault((grant.issued_by_type, grant.issued_by_id), {})[grant.id] = None
        self._of_delegate.setdefault(grant.delegate, {})[grant.id] = None
        self._of_subject.setdefault(grant.subject, {})[grant.id] = None
        if grant.parent_id:
            self._children.setdefault(grant.parent_id, {})[grant.id] = None

    # ------------------------------------------------------------------------------------------------- purging

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Forget what ended long ago, for ever."""
        task_status.started()
        while True:
            await trio.sleep(PURGE_S)
            try:
                while self.purge(PURGE_AT_ONCE):
                    await trio.lowlevel.checkpoint()
            except StoreUnavailable:
                continue

    def purge(self, limit: int) -> int:
        """Forget some grants that ended before the retention, and of too many those that ended first; returns how
        many."""
        now_ms = self._wall_clock()
        ended = sorted((grant for grant in self._table.values() if self._is_over(grant.id)), key=_ended_ms)
        too_many = len(ended) - ENDED_MAX
        before_ms = now_ms - self._retention_ms
        old = [grant for number, grant in enumerate(ended) if number < too_many or _ended_ms(grant) < before_ms]
        for grant in old[:limit]:
            self._forget(grant)
        return len(old[:limit])

    def _forget(self, grant: Grant | None) -> None:
        if grant is None:
            return
        self._table.delete(grant.id)
        _drop(self._of_issuer, (grant.issued_by_type, grant.issued_by_id), grant.id)
        _drop(self._of_delegate, grant.delegate, grant.id)
        _drop(self._of_subject, grant.subject, grant.id)
        _drop(self._children, grant.parent_id, grant.id)


def _ended_ms(grant: Grant) -> int:
    """When a grant that does not hold any more ended."""
    return min(grant.revoked_ms or grant.expires_ms, grant.expires_ms)


def _drop(index: dict[K, dict[str, None]], key: K, grant_id: str) -> None:
    entries = index.get(key)
    if entries is not None:
        entries.pop(grant_id, None)
        if not entries:
            del index[key]
