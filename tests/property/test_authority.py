"""No sequence of exchanges, requests, approvals, delegations, renewals and revocations reaches what nobody gave;
revocation is final."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.unit.fakes import FakeCaller, WallClock, agent, service, user

from aether.access import Decision, OpenAccess
from aether.audit.events import NO_AUDIT
from aether.authority.grants import Grants
from aether.authority.making import Maker
from aether.authority.model import Grant
from aether.authority.request_service import RequestService
from aether.authority.requests import Request, Requests
from aether.authority.service import AuthorityService
from aether.proto import aether_pb2 as pb
from aether.storage.memory.records import MemoryRecords

G = pb.AuthorityGrantOperation
R = pb.AuthorityRequestOperation
Decide = pb.ResolveAuthorityRequestPayload
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
ON_CALL = "on_call"


class Holdings(OpenAccess):
    """What each principal holds itself: agent ``b`` may decide for those on call, and may write to ``ws1``."""

    HELD = {
        ("agent", "ag::w::i::b", "capability", ON_CALL): 30,
        ("agent", "ag::w::i::b", "workspace", "ws1"): 20,
        ("agent", "ag::w::i::b", "kv_key", "cfg"): 10,
    }

    def decide(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int, workspace: str
    ) -> Decision:
        held = self.HELD.get((principal_type, principal_id, resource_type, resource_id), 0)
        return Decision(held >= level, level=held)

    def holds_throughout(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int, workspace: str
    ) -> bool:
        """Nobody holds anything by a pattern here, so what is not held by its name is not held throughout."""
        return self.decide(principal_type, principal_id, resource_type, resource_id, level, workspace).allowed


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


def reference(caller: FakeCaller) -> pb.PrincipalRef:
    identity = caller.identity
    return pb.PrincipalRef(principal_type=identity.kind.label, principal_id=identity.canonical_id)


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
        self.requests: list[str] = []
        self.open()

    def open(self) -> None:
        sessions = Everybody(self.callers)
        self.grants = Grants(self.records, sessions, lambda grant, *_: self.revoked.add(grant.id), self.clock)
        maker = Maker(self.grants, OpenAccess(), sessions, NO_AUDIT, self.clock, lambda: next(self.ids))
        self.service = AuthorityService(maker, self.grants, NO_AUDIT, self.clock)
        self.book = Requests(self.records, self.grants, Holdings(), NO_AUDIT, self.clock, lambda: next(self.ids))
        self.sudo = RequestService(self.book, sessions, NO_AUDIT)

    def ask_sudo(self, caller: FakeCaller, **fields: object) -> pb.AuthorityRequestOperationResponse:
        [frame] = self.sudo.handle(caller, pb.AuthorityRequestOperation(**fields)).frames  # type: ignore[arg-type]
        return pb.DownstreamMessage.FromString(frame[PREFIX_BYTES:]).authority_request_response

    def request(self, request_id: str) -> Request:
        found = self.book._table.get(request_id)
        assert found is not None
        return found

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

    @rule(
        data=st.data(),
        level=st.integers(2, 6),
        workspaces=workspace_scopes,
        operations=operation_scopes,
        resources=resource_scopes,
        to=st.integers(0, 4),
    )
    def request_authority(self, data, level, workspaces, operations, resources, to) -> None:
        """By anybody, for anybody, decided by anybody."""
        caller, target = data.draw(st.sampled_from(self.callers)), data.draw(st.sampled_from(self.callers))
        routing = pb.AuthorityRequestRoutingTarget(capability=ON_CALL)
        if to < len(self.callers):
            routing = pb.AuthorityRequestRoutingTarget(principal=reference(self.callers[to]))
        payload = pb.CreateAuthorityRequestPayload(
            target_subject=reference(target),
            desired_workspace_scope=workspaces,
            desired_operation_scope=operations,
            desired_resource_scope=[
                pb.AuthorityRequestResourceScopeEntry(resource_type=entry.resource_type, patterns=entry.patterns)
                for entry in resources
            ],
            requested_access_level=level,  # type: ignore[arg-type]
            requested_duration_seconds=30,
            routing_target=routing,
        )
        response = self.ask_sudo(caller, op=R.CREATE, create=payload)
        assert response.success, response.error
        self.requests.append(response.request.request_id)

    @precondition(lambda self: self.requests)
    @rule(
        data=st.data(),
        decision=st.sampled_from((Decide.APPROVE, Decide.APPROVE, Decide.DENY)),
        workspaces=workspace_scopes,
        operations=operation_scopes,
        level=st.integers(0, 6),
        hops=st.integers(0, 2),
    )
    def decide(self, data, decision, workspaces, operations, level, hops) -> None:
        """By anybody, one of the last few."""
        request = self.request(data.draw(st.sampled_from(self.requests[-3:])))
        caller = data.draw(st.sampled_from(self.callers))
        payload = pb.ResolveAuthorityRequestPayload(
            decision=decision,
            granted_workspace_scope=workspaces,
            granted_operation_scope=operations,
            granted_access_level=level,  # type: ignore[arg-type]
            may_delegate=hops > 0,
            remaining_hops=hops,
        )
        before = len(self.all())
        response = self.ask_sudo(caller, op=R.RESOLVE, request_id=request.id, resolve=payload)
        assert len(self.all()) == before + (response.success and decision == Decide.APPROVE)
        if response.success:
            assert request.status == "pending"
            assert self.clock() < request.expires_ms

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
            if not grant.parent_id:
                self.root_was_given(grant)
                continue
            parent = grants[grant.parent_id]
            assert grant.subject == parent.subject
            assert grant.expires_ms <= parent.expires_ms
            assert grant.remaining_hops < parent.remaining_hops
            if parent.revoked_ms:
                assert grant.revoked_ms
            for (kind, name), level, operation, workspace in QUESTIONS:
                if not grant.permits(kind, name, level, operation, workspace):
                    assert not parent.permits(kind, name, level, operation, workspace)

    def root_was_given(self, grant: Grant) -> None:
        """By the subject itself, or by somebody else who holds as much and is not the one who gets it."""
        issuer = (grant.issued_by_type, grant.issued_by_id)
        if issuer == grant.subject:
            return
        assert issuer != grant.delegate
        for (kind, name), level, operation, workspace in QUESTIONS:
            if not grant.permits(kind, name, level, operation, workspace):
                assert Holdings().decide(*issuer, "workspace", workspace or "*", level, "").allowed
                if kind not in ("workspace", "kv_scope", "kv_key", "agent", "task"):
                    assert Holdings().decide(*issuer, kind, name, level, "").allowed

    @invariant()
    def revocation_is_final(self) -> None:
        for grant in self.all():
            assert bool(grant.revoked_ms) == (grant.id in self.revoked)


Authority.TestCase.settings = settings(stateful_step_count=30)
TestAuthority = Authority.TestCase
