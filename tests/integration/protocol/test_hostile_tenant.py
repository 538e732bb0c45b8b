"""Somebody with rights in its own workspace, on every operation of the protocol, against another tenant.

The table names every member of ``UpstreamMessage`` and every value of its ``op``; one that is added has to be attacked
here too. Each attack is made on what is there and on what is not: the answers must not differ, or who asks learns what
exists. Nothing that the other tenant keeps may come back, nothing may change, and nobody there may hear of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.protobuf.message import Message
from tests.support.access import ALICE, Admin
from tests.support.snapshot import snapshot
from tests.support.tasks import Desk
from tests.support.wire import Peer, Wire, agent, bridge, orchestrator, service, task, user

from aether import Config, Gateway
from aether.proto import aether_pb2 as pb
from aether.rpc.status import StatusCode

BOSS = ("agent", "ag::theirs::i::boss")
HIDDEN = "hidden"
"""In everything that only the other tenant may see."""


class Target(NamedTuple):
    """What is attacked; :data:`GHOST` names the same kinds of things, none of which exist, in as many characters."""

    workspace: str
    boss: str
    user: str
    session: str
    task: str
    waiting: str
    grant: str
    derived: str
    request: str
    rule: str
    token: str
    implementation: str
    group: str
    capability: str
    key: str

    def ref(self) -> pb.PrincipalRef:
        return pb.PrincipalRef(principal_type="user", principal_id=self.user)


GHOST_ID = "00000000-0000-4000-8000-000000000000"

Attack = Callable[[Target], Iterable[Message | dict[str, Any]]]


def one(**fields: Any) -> Callable[[Target], list[dict[str, Any]]]:
    """One operation; a field may be a function of the target."""
    return lambda t: [{name: value(t) if callable(value) else value for name, value in fields.items()}]


def names(operation: type[Message]) -> list[str]:
    """All kinds of an operation."""
    return [value.name for value in operation.DESCRIPTOR.fields_by_name["op"].enum_type.values]


def both(*attacks: Attack) -> Attack:
    return lambda t: [item for attack in attacks for item in attack(t)]


def nothing(t: Target) -> list[dict[str, Any]]:
    """The operation without any field: lists of everything, and what needs no name."""
    del t
    return [{}]


def topics(t: Target) -> list[str]:
    """Lanes of a workspace."""
    w = t.workspace
    return [
        t.boss,
        f"ga::{w}",
        f"gu::{w}",
        f"uw::{t.user}::{w}",
        f"tb::{w}::i",
        f"tu::{w}::i::s",
        f"ta::{w}::i::1",
        f"pg::{w}",
        f"tk::{w}::{t.task}::msg",
        f"tk::{w}::{t.task}::events",
        f"event::{w}",
        f"metric::{w}",
        f"ag::mine::..::{w}",
        f"ag::{w}::*::*",
    ]


def sends(t: Target) -> Iterable[dict[str, Any]]:
    for topic in topics(t):
        yield {"target_topic": topic, "payload": b"x"}
        yield {"target_topic": topic, "payload": b"x", "app_workspace": t.workspace}
        access = pb.ResourceAccessRequest(
            resource_type="workspace", resource_id="mine", required_access_level=10, workspace="mine"
        )
        yield {"target_topic": topic, "payload": b"x", "checked_access": access}
    yield {"target_topic": "event::*", "payload": b"x", "app_workspace": t.workspace}


def values(op: str) -> Attack:
    """One operation on values in every scope, by every name that a scope takes."""

    def made(t: Target) -> Iterable[dict[str, Any]]:
        for scope in pb.KVOperation.Scope.values():
            for more in ({}, {"workspace": t.workspace}, {"user_id": t.user}):
                if scope == K.GLOBAL_EXCLUSIVE or (scope in OWN and not more):
                    continue  # the tenant's own
                both_names = {**more, "workspace": t.workspace} if "user_id" in more else more
                yield {
                    "scope": scope,
                    "key": "" if op == "LIST" else t.key,
                    "value": b"1",
                    "delta_value": 1,
                    "guard_value": 100,
                    "expected_value": b"1",
                    "target_identity": t.boss,
                    **both_names,
                }

    return made


K = pb.KVOperation
OWN = {K.GLOBAL_EXCLUSIVE, K.WORKSPACE_EXCLUSIVE, K.USER, K.USER_WORKSPACE}


def tasks(**more: Any) -> Attack:
    return both(one(task_id=lambda t: t.task, **more), one(task_id=lambda t: t.waiting, **more))


def rule(t: Target) -> dict[str, str]:
    return {
        "principal_type": "agent",
        "principal_id": t.boss,
        "resource_type": "workspace",
        "resource_id": t.workspace,
    }


def rules(t: Target) -> list[dict[str, Any]]:
    return [
        {"rule_id": t.rule},
        {"rule_filter": pb.ACLRuleFilter(**rule(t))},
        {"rule_filter": pb.ACLRuleFilter(resource_type="workspace", resource_id=t.workspace)},
        {"rule_filter": pb.ACLRuleFilter(principal_type="user", principal_id=t.user)},
        {},
    ]


def grants_of_rules(t: Target) -> Iterable[dict[str, Any]]:
    for who in (("agent", "ag::mine::i::s"), ("user", "mallory"), ("wildcard", "_any_agent")):
        for what in (("workspace", t.workspace), ("workspace", "*"), ("admin", "admin/*"), ("workspace", "t*")):
            request = pb.ACLGrantRequest(
                principal_type=who[0],
                principal_id=who[1],
                resource_type=what[0],
                resource_id=what[1],
                access_level=20,
                granted_by="root",
            )
            yield {"grant_request": request}


MEMBER = pb.ACLGroupMemberRequest(member_type="agent", member_id="ag::mine::i::s")
ASSIGNEE = pb.ACLRoleAssignmentRequest(assignee_type="agent", assignee_id="ag::mine::i::s")
NAMED = one(name=lambda t: t.group)
PRINCIPAL = one(principal=lambda t: t.ref())


def exchanges(t: Target) -> list[pb.AuthorityGrantExchangeRequest]:
    end = int(time.time()) + 600
    return [
        pb.AuthorityGrantExchangeRequest(
            source_session_id=t.session, max_access_level=50, expires_at=end, renewable_until=end, **more
        )
        for more in ({}, {"audience_type": "agent", "audience_id": t.boss}, {"workspace_scope": [t.workspace]})
    ]


def derivations(t: Target) -> list[dict[str, Any]]:
    end = int(time.time()) + 60
    return [
        {
            "derive_request": pb.AuthorityGrantDeriveRequest(
                parent_grant_id=grant,
                delegate=pb.PrincipalRef(principal_type="agent", principal_id="ag::mine::i::s"),
                max_access_level=10,
                audience_type="agent",
                audience_id="ag::mine::i::s",
                expires_at=end,
            )
        }
        for grant in (t.grant, t.derived)
    ]


def derivations_for_target(t: Target) -> list[dict[str, Any]]:
    return [
        {
            "derive_for_target_request": pb.AuthorityGrantDeriveForTargetRequest(
                parent_grant_id=grant,
                target=pb.PrincipalRef(principal_type="agent", principal_id=t.boss),
                audience_type="agent",
                audience_id=t.boss,
                max_access_level=10,
            )
        }
        for grant in (t.grant, t.derived)
    ]


def resolutions(t: Target) -> list[dict[str, Any]]:
    decisions = (pb.ResolveAuthorityRequestPayload.APPROVE, pb.ResolveAuthorityRequestPayload.DENY)
    return [
        {"request_id": t.request, "resolve": pb.ResolveAuthorityRequestPayload(decision=decision)}
        for decision in decisions
    ]


def forged_requests(t: Target) -> list[dict[str, Any]]:
    """Requests in the name of somebody else, and to oneself for somebody else."""
    fields = {
        "requested_access_level": pb.ACCESS_LEVEL_ADMIN,
        "requested_duration_seconds": 60,
        "target_subject": t.ref(),
    }
    actor = pb.PrincipalRef(principal_type="agent", principal_id=t.boss)
    to_boss = pb.AuthorityRequestRoutingTarget(principal=actor)
    forged = pb.CreateAuthorityRequestPayload(requesting_actor=actor, routing_target=to_boss, **fields)
    return [{"create": forged}]


def checks(t: Target) -> list[pb.ResourceAccessRequest]:
    return [
        pb.ResourceAccessRequest(resource_type=kind, resource_id=name, required_access_level=10, workspace=workspace)
        for kind, name in (
            ("workspace", t.workspace),
            ("agent", t.boss),
            ("user", t.user),
            ("task", t.task),
            ("kv_key", t.key),
            ("admin", "admin/*"),
            ("capability", t.capability),
        )
        for workspace in ("", t.workspace)
    ]


REF = pb.PrincipalRef
QUERY_FIELDS = ("actor_id", "resource_id", "session_id")


def audit_queries(t: Target) -> list[dict[str, Any]]:
    return [
        {},
        {"workspace": t.workspace},
        {"workspace": t.workspace, "actor_id": t.boss},
        {"actor_id": t.user},
        {"subject_type": "user", "subject_id": t.user},
        {"authority_grant_id": t.grant},
        {"workspace": "*"},
        {"workspace": f"mine' OR workspace='{t.workspace}"},
    ]


def created_tasks(t: Target) -> Iterable[dict[str, Any]]:
    base = {"task_type": "x", "request_id": "c"}
    for workspace in (t.workspace, "*"):
        yield {**base, "workspace": workspace}
        yield {**base, "workspace": workspace, "assignment_mode": pb.POOL, "target_implementation": "pool"}
    yield {**base, "assignment_mode": pb.TARGETED, "target_agent_id": t.boss}
    yield {**base, "workspace": "mine", "assignment_mode": pb.TARGETED, "target_agent_id": t.boss}
    yield {**base, "workspace": t.workspace, "target_identity": t.boss}
    yield {**base, "workspace": "mine", "parent_task_id": t.task}
    yield {**base, "workspace": "mine", "originating_schedule_id": t.task}


WAIT = pb.WaitSpec(reason=pb.WAIT_REASON_INPUT)
REGISTRATION = one(
    implementation=lambda t: t.implementation,
    agent=lambda t: pb.AgentRegistrationInfo(implementation=t.implementation, description="taken over"),
)
WORKSPACE = one(
    workspace_id=lambda t: t.workspace,
    workspace=lambda t: pb.WorkspaceInfo(workspace_id=t.workspace, display_name="taken over"),
)
EXTENSION_IDS = ("request_id", "tunnel_id")

ATTACKS: dict[str, dict[str, Attack]] = {
    "send": {"": sends},
    "switch_workspace": {"": one(new_workspace_id=lambda t: t.workspace)},
    "kv_op": {name: values(name) for name in names(K)},
    "create_task": {"": created_tasks},
    "checkpoint_op": {
        "SAVE": one(key=lambda t: f"../{t.boss}/{t.key}", data=b"x"),
        "LOAD": both(one(key=lambda t: t.key), one(key=lambda t: f"../{t.boss}/{t.key}")),
        "DELETE": one(key=lambda t: t.key),
        "LIST": nothing,
    },
    "admin_query": {
        "GET_HEALTH": nothing,
        "GET_INFO": nothing,
        "GET_STATS": nothing,
        "LIST_CONNECTIONS": both(nothing, one(filter=lambda t: pb.ConnectionFilter(workspace=t.workspace))),
        "GET_CONNECTION": one(session_id=lambda t: t.session),
    },
    "session_op": {
        "DISCONNECT": one(session_id=lambda t: t.session, reason="x"),
        "LIST": both(nothing, one(filter=lambda t: pb.ConnectionFilter(workspace=t.workspace))),
        "GET": one(session_id=lambda t: t.session),
    },
    "task_query": {
        "LIST": both(
            nothing,
            one(filter=lambda t: pb.TaskFilter(workspace=t.workspace)),
            one(filter=lambda t: pb.TaskFilter(parent_task_id=t.task, include_descendants=True)),
            one(filter=lambda t: pb.TaskFilter(root_task_id=t.task)),
            one(filter=lambda t: pb.TaskFilter(subject_type="user", subject_id=t.user)),
            one(filter=lambda t: pb.TaskFilter(authority_grant_id=t.grant)),
            one(filter=lambda t: pb.TaskFilter(creator_actor=REF(principal_type="agent", principal_id=t.boss))),
        ),
        "GET": tasks(),
    },
    "task_op": {name: tasks(reason="x", wait_spec=WAIT) for name in names(pb.TaskOperation)},
    "workspace_op": {
        "LIST": nothing,
        **dict.fromkeys(("GET", "UPDATE", "DELETE", "GET_MESSAGE_FLOW", "CREATE"), WORKSPACE),
    },
    "agent_op": {
        "LIST": nothing,
        "LIST_ORCHESTRATORS": nothing,
        **dict.fromkeys(("GET", "REGISTER", "UPDATE", "DELETE", "LAUNCH"), REGISTRATION),
    },
    "acl_op": {
        **dict.fromkeys(("LIST_RULES", "GET_RULE", "REVOKE"), rules),
        "GRANT": grants_of_rules,
        "QUERY_AUDIT": both(nothing, one(audit_filter=lambda t: pb.ACLAuditFilter(workspace=t.workspace))),
        "GET_FALLBACK_POLICY": one(rule_category="user_workspace"),
        "SET_FALLBACK_POLICY": one(
            fallback_request=pb.ACLSetFallbackRequest(rule_category="agent_workspace", fallback_access_level=50)
        ),
        "CLEANUP_EXPIRED": nothing,
        "CLEANUP_AUDIT_LOGS": one(retention_days=1),
        "CREATE_GROUP": one(group_request=pb.ACLGroupRequest(name="mine")),
        "CREATE_ROLE": one(role_request=pb.ACLRoleRequest(name="mine")),
        **dict.fromkeys(("DELETE_GROUP", "GET_GROUP", "LIST_GROUP_MEMBERS"), NAMED),
        **dict.fromkeys(("DELETE_ROLE", "GET_ROLE", "LIST_ROLE_ASSIGNMENTS"), NAMED),
        "LIST_GROUPS": nothing,
        "LIST_ROLES": nothing,
        **dict.fromkeys(
            ("ADD_GROUP_MEMBER", "REMOVE_GROUP_MEMBER"), one(name=lambda t: t.group, member_request=MEMBER)
        ),
        **dict.fromkeys(("ASSIGN_ROLE", "UNASSIGN_ROLE"), one(name=lambda t: t.group, assignment_request=ASSIGNEE)),
        **dict.fromkeys(("LIST_PRINCIPAL_GROUPS", "LIST_PRINCIPAL_ROLES"), PRINCIPAL),
        "EXPLAIN_ACCESS": one(
            principal=lambda t: t.ref(),
            resource_type="workspace",
            resource_id=lambda t: t.workspace,
            required_level=10,
        ),
    },
    "progress": {
        "": lambda t: [
            {"task_id": task_id, "summary": "forged", "recipient": recipient, "metadata": {"workspace": t.workspace}}
            for task_id in (t.task, t.waiting)
            for recipient in ("", t.boss, f"pg::{t.workspace}", f"uw::{t.user}::{t.workspace}", f"ga::{t.workspace}")
        ]
    },
    "workflow_op": {
        name: one(id=lambda t: t.task, workspace=lambda t: t.workspace, data=b"{}")
        for name in names(pb.WorkflowOperation)
    },
    "workflow_response": {"": one(request_id=lambda t: t.request, success=True)},
    "token_op": {
        "LIST": nothing,
        **dict.fromkeys(("GET", "DELETE", "REVOKE"), one(token_id=lambda t: t.token)),
        "CREATE": lambda t: [
            {"create_request": pb.TokenCreateRequest(name="x", principal_type="Agent")},
            {"create_request": pb.TokenCreateRequest(name="x", principal_type="User", created_by=t.user)},
        ],
    },
    "audit_query": {"": audit_queries},
    "authority_grant_op": {
        "EXCHANGE": lambda t: [{"exchange_request": request} for request in exchanges(t)],
        "BATCH_EXCHANGE": lambda t: [
            {"batch_exchange_request": pb.AuthorityGrantBatchExchangeRequest(requests=exchanges(t))}
        ],
        "DERIVE": derivations,
        "DERIVE_FOR_TARGET": derivations_for_target,
        "RENEW": lambda t: [
            {"renew_request": pb.ACLRenewAuthorityGrantRequest(grant_id=grant, extend_seconds=600)}
            for grant in (t.grant, t.derived)
        ],
        **dict.fromkeys(("GET", "REVOKE"), both(one(grant_id=lambda t: t.grant), one(grant_id=lambda t: t.derived))),
        **dict.fromkeys(
            ("LIST_MY_GRANTS", "LIST_GRANTS_ON_ME"),
            both(
                nothing,
                one(
                    list_request=lambda t: pb.AuthorityGrantListRequest(
                        audience_type="session", audience_id=t.session, include_revoked=True
                    )
                ),
            ),
        ),
    },
    "proxy_http_request": {"": one(target_topic=lambda t: t.boss, request_id="p", method="GET", path="/")},
    "proxy_http_body_chunk": {"": one(request_id=lambda t: t.request, data=b"x")},
    "proxy_http_response": {"": one(request_id=lambda t: t.request, status_code=200)},
    "tunnel_open": {"": one(target_topic=lambda t: t.boss, tunnel_id="t")},
    "tunnel_data": {"": one(tunnel_id=lambda t: t.request, data=b"x")},
    "tunnel_close": {"": one(tunnel_id=lambda t: t.request)},
    "tunnel_ack": {"": one(tunnel_id=lambda t: t.request)},
    "resolve_authority_request": {
        "": lambda t: [
            {"grant_id": grant, "subject": t.ref(), "actor": actor}
            for grant in (t.grant, t.derived)
            for actor in (t.ref(), pb.PrincipalRef(principal_type="agent", principal_id=t.boss))
        ]
    },
    "connection_status_request": {
        "": both(
            one(principal=lambda t: t.ref()),
            one(principal=lambda t: REF(principal_type="agent", principal_id=t.boss)),
        )
    },
    "submit_audit_event": {
        "": lambda t: [
            {"event_type": "custom", "operation": "x", "workspace": t.workspace},
            {"event_type": "admin", "operation": "audit_trimmed"},
            {"event_type": "authorization", "operation": "x"},
        ]
    },
    "authority_request_op": {
        "AUTHORITY_REQUEST_OP_UNSPECIFIED": nothing,
        "CREATE": forged_requests,
        "GET": one(request_id=lambda t: t.request),
        "CANCEL": one(request_id=lambda t: t.request),
        "RESOLVE": resolutions,
        "LIST_PENDING": both(
            nothing,
            one(list_filter=lambda t: pb.AuthorityRequestListFilter(matching_capabilities=[t.capability, "*"])),
        ),
    },
    "task_subscription_op": {
        "TASK_SUBSCRIPTION_OP_UNSPECIFIED": nothing,
        "SUBSCRIBE": both(tasks(), tasks(recursive=True, start_timestamp_unix_ms=1)),
        "UNSUBSCRIBE": one(subscription_id=lambda t: t.request),
    },
    "access_check": {"": lambda t: [{"access": access} for access in checks(t)]},
    "batch_access_check": {"": one(access=checks)},
}

ELSEWHERE = {"init": "who may connect as whom is a matter of credentials (test_holes_credentials.py)"}

TELLS_EXISTENCE = {
    ("authority_grant_op", "GET"): "the texts are those of the protocol (83), and ids cannot be guessed",
    ("authority_grant_op", "REVOKE"): "as GET",
    ("authority_grant_op", "RENEW"): "as GET",
    ("authority_grant_op", "DERIVE"): "as GET",
    ("authority_grant_op", "DERIVE_FOR_TARGET"): "as GET",
    ("authority_grant_op", "EXCHANGE"): "the texts are those of the protocol (10.4), and session ids cannot be guessed",
    ("authority_grant_op", "BATCH_EXCHANGE"): "as EXCHANGE",
}

WITH_AUTHORITY = {
    name: field
    for name, field in pb.UpstreamMessage.DESCRIPTOR.fields_by_name.items()
    if field.message_type is not None and "authorization" in field.message_type.fields_by_name
}


def test_every_operation_is_attacked() -> None:
    """Whatever is added to the protocol has to be added here."""
    payloads = {field.name: field.message_type for field in pb.UpstreamMessage.DESCRIPTOR.oneofs[0].fields}
    assert set(payloads) == set(ATTACKS) | set(ELSEWHERE)
    for kind, attacks in ATTACKS.items():
        op = payloads[kind].fields_by_name.get("op")
        assert set(attacks) == ({value.name for value in op.enum_type.values} if op is not None else {""}), kind


class Hostile:
    """Attacks, and keeps everything that comes back."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._asked = 0
        self.heard: list[pb.DownstreamMessage] = []

    async def tries(self, operations: Iterable[pb.UpstreamMessage]) -> list[pb.DownstreamMessage]:
        """What comes back for operations until they have all been handled."""
        self.peer.write(*operations)
        self._asked += 1
        request_id = f"settled-{self._asked}"
        settle = pb.CheckpointOperation(op=pb.CheckpointOperation.LIST, request_id=request_id)
        self.peer.say(checkpoint_op=settle)
        found = []
        while (message := await self.peer.receive()).checkpoint.request_id != request_id:
            found.append(message)
        self.heard += found
        return found


def operations(kind: str, op: str, attack: Attack, target: Target, forged: Target) -> list[pb.UpstreamMessage]:
    """Every operation of an attack, plain and with the authority of somebody else."""
    made = []
    for fields in attack(target):
        message = pb.UpstreamMessage()
        operation = getattr(message, kind)
        operation.SetInParent()
        operation.MergeFrom(type(operation)(**fields))
        if op:
            operation.op = operation.DESCRIPTOR.fields_by_name["op"].enum_type.values_by_name[op].number
        for name in ("request_id", "client_request_id"):
            if name in operation.DESCRIPTOR.fields_by_name and not getattr(operation, name):
                setattr(operation, name, "r")
        made.append(message)
        if kind in WITH_AUTHORITY:
            for grant in (forged.grant, forged.derived, ""):
                claim = pb.UpstreamMessage()
                claim.CopyFrom(message)
                getattr(claim, kind).authorization.CopyFrom(
                    pb.AuthorizationContext(authority_mode="on_behalf_of", subject=forged.ref(), grant_id=grant)
                )
                made.append(claim)
    return made


VOLATILE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9]{10,}\b|retry_after_ms: [0-9]+"
)
NO_GRANT = re.compile(r"authority grant (?:not found|delegate does not match actor)")
"""The texts of 9.2: who has the id of a grant, which cannot be guessed, may know that it is one."""


def plain(messages: list[pb.DownstreamMessage], *targets: Target) -> list[str]:
    """What answers say, without ids, times and the names of what was asked for."""
    found = []
    for message in messages:
        text = str(message)
        for target in targets:
            for name, value in sorted(target._asdict().items(), key=lambda item: -len(item[1])):
                text = text.replace(value, f"<{name}>")
        found.append(NO_GRANT.sub("no grant", VOLATILE.sub("#", re.sub(r"<[a-z]+>", "<>", text))))
    return found


@pytest.fixture
def engine() -> str:
    """What is decided does not depend on how it was received."""
    return "native"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    config = Config.development(tmp_path / "data", acl={"enabled": True}, storage={"durability": "os"})
    async with Gateway(config) as gateway:
        yield gateway


class Victims:
    """The other tenant: a user, and an agent that works for it."""

    def __init__(self, alice: Desk, boss: Desk, target: Target) -> None:
        self.alice, self.boss, self.target = alice, boss, target

    async def state(self) -> list[str]:
        """What they see of what is theirs."""
        found = []
        for scope in (K.GLOBAL, K.GLOBAL_EXCLUSIVE, K.WORKSPACE, K.WORKSPACE_EXCLUSIVE):
            self.boss.peer.say(kv_op=pb.KVOperation(op=K.LIST, scope=scope, request_id="k"))
            found.append(str(await self.boss.next("kv")))
        found += [str(await self.boss.get(task_id)) for task_id in (self.target.task, self.target.waiting)]
        load = pb.CheckpointOperation(op=pb.CheckpointOperation.LOAD, key=self.target.key, request_id="l")
        self.boss.peer.say(checkpoint_op=load)
        found.append(str(await self.boss.next("checkpoint")))
        on_me = pb.AuthorityGrantOperation(op=pb.AuthorityGrantOperation.LIST_GRANTS_ON_ME)
        self.alice.peer.say(authority_grant_op=on_me)
        found.append(str(await self.alice.next("authority_grant")))
        get = pb.AuthorityRequestOperation(op=pb.AuthorityRequestOperation.GET, request_id=self.target.request)
        self.alice.peer.say(authority_request_op=get)
        found.append(str(await self.alice.next("authority_request_response")))
        return found

    async def heard(self) -> list[Any]:
        """Messages, reports and news that came to them since they were asked last."""
        kinds = ("msg", "progress_update", "task_event", "task_assignment", "authority_request_event", "signal")
        kinds += ("authority_grant_revocation", "task_hibernated", "workflow_op", "proxy_http_request")
        return [item for desk in (self.alice, self.boss) for kind in kinds for item in await desk.settled(kind)]


async def victims(wire: Wire, admin: Admin) -> Victims:
    """A tenant with something of everything."""
    rule_ = await admin.grant(BOSS, ("workspace", "theirs"), 40, reason=HIDDEN)
    for workspace in ("theirs", ""):
        await admin.grant(ALICE, ("workspace", workspace), 40, reason=HIDDEN)
    await admin.grant(BOSS, ("kv_scope", "*"), 20, reason=HIDDEN)
    await admin.grant(ALICE, ("capability", "capability/secrets"), 30, reason=HIDDEN)
    group = pb.ACLGroupRequest(name="insiders", description=HIDDEN)
    await admin.do(pb.ACLOperation.CREATE_GROUP, group_request=group)
    admin.peer.say(
        token_op=pb.TokenOperation(
            op=pb.TokenOperation.CREATE,
            create_request=pb.TokenCreateRequest(name=HIDDEN, principal_type="Agent", workspace_patterns=["theirs"]),
        )
    )
    token = (await admin.peer.expect("token")).created_token
    registration = pb.AgentRegistrationInfo(
        implementation="registered", description=HIDDEN, launch_params={"profile": HIDDEN}
    )
    admin.peer.say(agent_op=pb.AgentOperation(op=pb.AgentOperation.REGISTER, agent=registration))
    assert (await admin.peer.expect("agent")).success
    described = pb.WorkspaceInfo(workspace_id="theirs", display_name=HIDDEN, description=HIDDEN)
    admin.peer.say(workspace_op=pb.WorkspaceOperation(op=pb.WorkspaceOperation.CREATE, workspace=described))
    assert (await admin.peer.expect("workspace")).success

    alice, boss = Desk(await wire.connect(user())), Desk(await wire.connect(agent("boss", workspace="theirs")))
    alice.peer.say(switch_workspace=pb.SwitchWorkspace(new_workspace_id="theirs"))
    for scope in (K.GLOBAL, K.GLOBAL_EXCLUSIVE, K.WORKSPACE, K.WORKSPACE_EXCLUSIVE):
        put = pb.KVOperation(op=K.PUT, scope=scope, key="secret-key", value=HIDDEN.encode(), request_id="k")
        boss.peer.say(kv_op=put)
        assert (await boss.next("kv")).success
    save = pb.CheckpointOperation(op=pb.CheckpointOperation.SAVE, key="secret-key", data=HIDDEN.encode())
    boss.peer.say(checkpoint_op=save)
    assert (await boss.next("checkpoint")).success
    running = await boss.created(task_type=HIDDEN, metadata={"why": HIDDEN}, payload=HIDDEN.encode())
    waiting = await boss.pool(task_type=HIDDEN, metadata={"why": HIDDEN})
    boss.peer.say(progress=pb.ProgressReport(task_id=running, summary=HIDDEN))
    end = int(time.time()) + 600
    exchange = pb.AuthorityGrantExchangeRequest(
        max_access_level=40, expires_at=end, renewable_until=end, may_delegate=True, remaining_hops=3, reason=HIDDEN
    )
    grants = pb.AuthorityGrantOperation
    alice.peer.say(authority_grant_op=grants(op=grants.EXCHANGE, exchange_request=exchange))
    root = (await alice.next("authority_grant")).grant
    derive = pb.AuthorityGrantDeriveRequest(
        parent_grant_id=root.grant_id,
        delegate=pb.PrincipalRef(principal_type=BOSS[0], principal_id=BOSS[1]),
        max_access_level=40,
        audience_type="agent",
        audience_id=BOSS[1],
        may_delegate=True,
        remaining_hops=2,
        reason=HIDDEN,
    )
    alice.peer.say(authority_grant_op=grants(op=grants.DERIVE, derive_request=derive))
    derived = (await alice.next("authority_grant")).grant
    assert derived.grant_id
    wanted = pb.CreateAuthorityRequestPayload(
        routing_target=pb.AuthorityRequestRoutingTarget(capability="capability/secrets"),
        target_subject=pb.PrincipalRef(principal_type="user", principal_id="alice"),
        requested_access_level=pb.ACCESS_LEVEL_READ,
        requested_duration_seconds=60,
        reason=HIDDEN,
    )
    requests = pb.AuthorityRequestOperation
    boss.peer.say(authority_request_op=requests(op=requests.CREATE, create=wanted))
    asked = (await boss.next("authority_request_response")).request
    target = Target(
        workspace="theirs",
        boss=BOSS[1],
        user="alice",
        session=alice.peer.ack.session_id,
        task=running,
        waiting=waiting,
        grant=root.grant_id,
        derived=derived.grant_id,
        request=asked.request_id,
        rule=rule_.rule_id,
        token=token.id,
        implementation="registered",
        group="insiders",
        capability="capability/secrets",
        key="secret-key",
    )
    return Victims(alice, boss, target)


GHOST = Target(
    workspace="nobody",
    boss="ag::nobody::i::boss",
    user="carol",
    session=GHOST_ID,
    task=GHOST_ID.replace("4000", "4001"),
    waiting=GHOST_ID.replace("4000", "4002"),
    grant=GHOST_ID.replace("4000", "4003"),
    derived=GHOST_ID.replace("4000", "4004"),
    request=GHOST_ID.replace("4000", "4005"),
    rule=GHOST_ID.replace("4000", "4006"),
    token=GHOST_ID.replace("4000", "4007"),
    implementation="unfamiliar",
    group="strangers",
    capability="capability/nothing",
    key="no-such-key",
)

TENANTS = {
    "agent": agent(workspace="mine"),
    "administrator": agent(workspace="mine"),
    "task": task("s", workspace="mine"),
    "user": user("mallory"),
    "service": service(),
    "bridge": bridge(),
}


@pytest.mark.parametrize("tenant", TENANTS)
async def test_nothing_of_another_tenant_is_within_reach(wire: Wire, tenant: str) -> None:
    admin = Admin(await wire.connect(orchestrator("admin")))
    for category in ("agent_workspace", "task_workspace", "user_workspace", "agent_agent", "user_agent"):
        await admin.fallback(category, 0)
    await admin.grant(("user", "mallory"), ("workspace", ""), 20)
    for who in (("agent", "ag::mine::i::s"), ("task", "tu::mine::i::s"), ("user", "mallory"), ("service", "sv::i::s")):
        await admin.grant(who, ("workspace", "mine"), 40 if tenant == "administrator" else 20)
        if tenant == "administrator":
            for scope in ("workspace", "user-workspace-shared", "workspace-exclusive"):
                await admin.grant(who, ("kv_scope", scope), 20)
    other = await victims(wire, admin)
    hostile = Hostile(await wire.connect(TENANTS[tenant]))
    if tenant == "user":
        await hostile.tries([pb.UpstreamMessage(switch_workspace=pb.SwitchWorkspace(new_workspace_id="mine"))])
    await other.heard()
    before, rules_before = await other.state(), await snapshot(admin)
    named, differences = (other.target, GHOST), []
    for kind, attacks in ATTACKS.items():
        for op, attack in attacks.items():
            found = await hostile.tries(operations(kind, op, attack, other.target, other.target))
            ghostly = await hostile.tries(operations(kind, op, attack, GHOST, GHOST))
            assert "ERR_INTERNAL" not in {message.error.code for message in (*found, *ghostly)}, (kind, op)
            assert HIDDEN.encode() not in b"".join(message.SerializeToString() for message in found), (kind, op, found)
            if (kind, op) in TELLS_EXISTENCE:
                continue
            for real, ghost in zip(plain(found, *named), plain(ghostly, *named), strict=False):
                if real != ghost:
                    differences.append((kind, op, real, ghost))
            if len(found) != len(ghostly):
                differences.append((kind, op, f"{len(found)} answers", f"{len(ghostly)} answers"))
    assert not differences, "\n".join(map(str, differences))
    assert await other.heard() == []
    assert await other.state() == before
    for now, then in zip(await snapshot(admin), rules_before, strict=True):
        assert now.replace("'mine', ", "") == then.replace("'mine', ", "")  # its own, where somebody is connected


async def test_a_second_init_takes_nobodys_place(wire: Wire) -> None:
    boss = await wire.connect(agent("boss", workspace="theirs"))
    peer = await wire.connect(agent(workspace="mine"))
    peer.say(init=agent("boss", workspace="theirs", resume_session_id=boss.ack.session_id))
    await peer.expect_status(StatusCode.INVALID_ARGUMENT)
    await boss.expect_nothing()
