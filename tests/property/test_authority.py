"""No sequence of exchanges, delegations, renewals and revocations reaches what nobody gave; revocation is final."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.fakes import FakeCaller, WallClock, agent, service, user

from aether.access import OpenAccess
from aether.audit.events import NO_AUDIT
from aether.authority.grants import Grants
from aether.authority.model import Grant
from aether.authority.service import AuthorityService
from aether.proto import aether_pb2 as pb
from aether.storage.memory.records import MemoryRecords

G = pb.AuthorityGrantOperation
PREFIX_BYTES = 5
WORKSPACES = ("ws1", "ws2", "team-a", "")
OPERATIONS = ("kv_get", "send_message")
RESOURCES = (("workspace", "ws1"), ("kv_key", "cfg"), ("admin", "admin/acl"))
QUESTIONS = tuple(itertools.product(RESOURCES, (10, 20, 40), OPERATIONS, WORKSPACES))

levels = st.sampled_from((10, 20, 40, 50))
workspace_scopes = st.lists(st.sampled_from(("ws1", "team-*", "team-a", "*", "_subject_workspaces")), max_size=2)
operation_scopes = st.lists(st.sampled_from(("kv_*", "kv_get", "send_message", "*")), max_size=2)
resource_scopes = st.lists(
    st.builds(
        pb.ACLAuthorityGrantResourceScopeEntry,
        resource_type=st.sampled_from(("workspace", "kv_key", "admin")),
        patterns=st.lists(st.sampled_from(("ws1", "cfg", "*", "c*")), max_size=2),
    ),
    max_size=2,
)
lives = st.sampled_from((0, 10, 60))


@dataclass
class Everybody:
    """All callers are connected, each in a session of its own."""

    callers: list[FakeCaller]

    def get(self, session_id: str) -> FakeCaller | None:
        return next((caller for caller in self.callers if caller.session_id == session_id), None)

    def is_connected(self, identity: str) -> bool:
        return any(caller.identity.key == identity for caller in self.callers)

    def task_of(self, session_id: str) -> str:
        del session_id
        return ""


class Authority(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.clock = WallClock()
        self.records = MemoryRecords()
        self.callers = [user("alice", "w1"), service("s"), agent("a"), agent("b")]
        for number, caller in enumerate(self.callers):
            caller.session_id = f"session{number}"
        self.ids = map(str, itertools.count())
        self.revoked: set[str] = set()
        self.open()

    def open(self) -> None:
        sessions = Everybody(self.callers)
        self.grants = Grants(self.records, sessions, lambda grant, *_: self.revoked.add(grant.id), self.clock)
        self.service = AuthorityService(
            self.grants, OpenAccess(), sessions, NO_AUDIT, self.clock, lambda: next(self.ids)
        )

    def all(self) -> list[Grant]:
        found = [self.grants.of_delegate((c.identity.kind.label, c.identity.canonical_id)) for c in self.callers]
        return [grant for grants in found for grant in grants]

    def ask(self, caller: FakeCaller, op: int, **fields: object) -> pb.AuthorityGrantResponse:
        answer = self.service.handle(caller, pb.AuthorityGrantOperation(op=op, **fields))  # type: ignore[arg-type]
        [frame] = answer.frames
        return pb.DownstreamMessage.FromString(frame[PREFIX_BYTES:]).authority_grant

    def at(self, seconds: int) -> int:
        return self.clock.now_ms // 1000 + seconds if seconds else 0

    @rule(
        level=levels,
        workspaces=workspace_scopes,
        operations=operation_scopes,
        resources=resource_scopes,
        life=lives,
        hops=st.integers(0, 3),
    )
    def exchange(self, level, workspaces, operations, resources, life, hops) -> None:
        request = pb.AuthorityGrantExchangeRequest(
            max_access_level=level,
            workspace_scope=workspaces,
            operation_scope=operations,
            resource_scope=resources,
            expires_at=self.at(life),
            renewable_until=self.at(life),
            may_delegate=hops > 0,
            remaining_hops=hops,
        )
        response = self.ask(self.callers[0], G.EXCHANGE, exchange_request=request)
        assert response.success == (life > 0), response.error

    @precondition(lambda self: self.all())
    @rule(
        data=st.data(),
        to=st.integers(0, 3),
        level=levels,
        workspaces=workspace_scopes,
        operations=operation_scopes,
        resources=resource_scopes,
        life=lives,
        hops=st.integers(0, 3),
        copy=st.booleans(),
    )
    def derive(self, data, to, level, workspaces, operations, resources, life, hops, copy) -> None:
        """By anybody, from anything, for anybody."""
        parent = data.draw(st.sampled_from(self.all()))
        caller = data.draw(st.sampled_from(self.callers))
        target = self.callers[to].identity
        if copy:
            workspaces, operations = parent.workspace_scope, parent.operation_scope
            resources = [
                pb.ACLAuthorityGrantResourceScopeEntry(resource_type=kind, patterns=patterns)
                for kind, patterns in parent.resource_scope
            ]
            level, hops = min(level, parent.max_access_level), min(hops, max(0, parent.remaining_hops - 1))
        request = pb.AuthorityGrantDeriveRequest(
            parent_grant_id=parent.id,
            delegate=pb.PrincipalRef(principal_type=target.kind.label, principal_id=target.canonical_id),
            max_access_level=level,
            workspace_scope=workspaces,
            operation_scope=operations,
            resource_scope=resources,
            audience_type="session",
            audience_id=self.callers[to].session_id,
            expires_at=self.at(life),
            may_delegate=hops > 0,
            remaining_hops=hops,
        )
        response = self.ask(caller, G.DERIVE, derive_request=request)
        if response.success:
            assert parent.delegate == (caller.identity.kind.label, caller.identity.canonical_id)

    @precondition(lambda self: self.all())
    @rule(data=st.data(), seconds=st.sampled_from((5, 1000)))
    def renew(self, data, seconds) -> None:
        grant = data.draw(st.sampled_from(self.all()))
        caller = data.draw(st.sampled_from(self.callers))
        request = pb.ACLRenewAuthorityGrantRequest(grant_id=grant.id, extend_seconds=seconds)
        self.ask(caller, G.RENEW, renew_request=request)

    @precondition(lambda self: self.all())
    @rule(data=st.data())
    def revoke(self, data) -> None:
        grant = data.draw(st.sampled_from(self.all()))
        caller = data.draw(st.sampled_from(self.callers))
        response = self.ask(caller, G.REVOKE, grant_id=grant.id)
        if response.success:
            assert grant.id in self.revoked

    @rule(seconds=st.sampled_from((1, 20)))
    def wait(self, seconds) -> None:
        self.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        self.open()

    @invariant()
    def nothing_reaches_beyond_its_parent(self) -> None:
        grants = {grant.id: grant for grant in self.all()}
        for grant in grants.values():
            assert grant.subject == ("user", "alice")
            if not grant.parent_id:
                continue
            parent = grants[grant.parent_id]
            assert grant.expires_ms <= parent.expires_ms
            assert grant.remaining_hops < parent.remaining_hops
            if parent.revoked_ms:
                assert grant.revoked_ms
            for (kind, name), level, operation, workspace in QUESTIONS:
                if not grant.permits(kind, name, level, operation, workspace):
                    assert not parent.permits(kind, name, level, operation, workspace)

    @invariant()
    def revocation_is_final(self) -> None:
        for grant in self.all():
            assert bool(grant.revoked_ms) == (grant.id in self.revoked)


Authority.TestCase.settings = settings(stateful_step_count=30)
TestAuthority = Authority.TestCase
