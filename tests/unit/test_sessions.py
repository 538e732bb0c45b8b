"""Session operations, connection status and admin queries (connection 13.1 to 13.3, checklist 82 to 86 and 92)."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.fakes import (
    FakeCaller,
    RuleAccess,
    WallClock,
    agent,
    bridge,
    engine,
    messages,
    orchestrator,
    pool_task,
    service,
    settle,
    unique_task,
    user,
)

from aether.access import Access, OpenAccess
from aether.answers import LIST_BYTES_MAX, Answer
from aether.errors import StoreUnavailable
from aether.identity import Identity, PrincipalType
from aether.proto import aether_pb2 as pb
from aether.sessions.operations import SessionOperations
from aether.sessions.queries import AdminQueries, Check
from aether.sessions.status import ConnectionStatus
from aether.sessions.store import ClientInfo, IdentityLocks, Lock
from aether.sessions.wire import duration_text
from aether.storage.memory.locks import MemoryLocks

S = pb.SessionOperation
A = pb.AdminQuery
GATE = "admin sessions operations require system-level privileges"


@dataclass
class Session:
    session_id: str
    identity: Identity
    connected_at_ms: int
    last_activity_ms: int
    peer: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(address="10.1.2.3:4567"))


class Directory:
    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.ended: list[tuple[str, str]] = []

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self.sessions.values()))

    def get(self, session_id: str) -> Session | None:
        return self.sessions.get(session_id)

    def holder(self, identity_key: str) -> Session | None:
        return next((each for each in self if each.identity.key == identity_key), None)

    def disconnect(self, session_id: str, reason: str) -> bool:
        self.ended.append((session_id, reason))
        return self.sessions.pop(session_id, None) is not None


class Vitals:
    gateway_id = "gw-1"
    version = "1.2.3"

    def __init__(self, clock: WallClock) -> None:
        self.started_at_ms = clock.now_ms
        self.store_error = ""

    def messages(self) -> tuple[int, float]:
        return 1234, 5.5

    async def checks(self) -> list[Check]:
        return [Check("store", 1.5, self.store_error)]


class BrokenLocks(MemoryLocks):
    async def holder(self, identity: str) -> Lock | None:
        raise StoreUnavailable("connection refused by 10.0.0.7")

    async def scan(self, prefix: str) -> list[Lock]:
        raise StoreUnavailable("connection refused by 10.0.0.7")


class LocksWithDead(MemoryLocks):
    """Also names locks of an earlier process, which nobody holds."""

    async def scan(self, prefix: str) -> list[Lock]:
        return [*await super().scan(prefix), Lock(f"{prefix}dead", "old", 1, 0)]


class Desk:
    def __init__(self) -> None:
        self.clock = WallClock()
        self.directory = Directory()
        self.locks: IdentityLocks = LocksWithDead(self.clock)
        self.access: Access = OpenAccess()
        self.vitals = Vitals(self.clock)
        self._status: ConnectionStatus | None = None

    @property
    def connections(self) -> ConnectionStatus:
        """It remembers who left."""
        if self._status is None:
            self._status = ConnectionStatus(self.directory, self.locks, self.access, self.clock)
        return self._status

    async def connect(self, caller: FakeCaller, session_id: str) -> Session:
        """A live session of this gateway, connected a second after the one before."""
        self.clock.advance(1)
        await self.locks.acquire(caller.identity.key, session_id, "", ClientInfo())
        session = Session(session_id, caller.identity, self.clock.now_ms, self.clock.now_ms)
        self.directory.sessions[session_id] = session
        return session

    async def disconnect(self, session: Session) -> None:
        lock = await self.locks.holder(session.identity.key)
        assert lock is not None
        await self.locks.release(lock.identity, lock.session_id, lock.fence)
        del self.directory.sessions[session.session_id]
        self.connections.note_end(session)

    async def ask(self, caller: FakeCaller, op: int, **fields: Any) -> pb.SessionOperationResponse:
        operation = pb.SessionOperation(request_id="r", **fields)
        operation.op = op  # type: ignore[assignment]
        (message,) = messages(SessionOperations(self.directory, self.access, self.clock).handle(caller, operation))
        response = message.session_response
        assert response.request_id == "r"
        assert response.success == (not response.error)
        return response

    async def status(self, caller: FakeCaller, kind: str, name: str) -> pb.ConnectionStatusResponse:
        reference = pb.PrincipalRef(principal_type=kind, principal_id=name)
        return await self.status_of(caller, pb.ConnectionStatusRequest(request_id="r", principal=reference))

    async def status_of(self, caller: FakeCaller, request: pb.ConnectionStatusRequest) -> pb.ConnectionStatusResponse:
        (message,) = messages(await self.connections.handle(caller, request))
        response = message.connection_status_response
        assert response.request_id == request.request_id
        assert response.ok == (not response.error)
        return response

    async def query(self, caller: FakeCaller, op: int, **fields: Any) -> pb.AdminResponse:
        query = pb.AdminQuery(request_id="r", **fields)
        query.op = op  # type: ignore[assignment]
        reply: Answer | Awaitable[Answer] = AdminQueries(self.directory, self.access, self.vitals, self.clock).handle(
            caller, query
        )
        (message,) = messages(await settle(reply))
        assert message.admin.request_id == "r"
        assert message.admin.success == (not message.admin.error)
        return message.admin


@pytest.fixture
def desk() -> Desk:
    return Desk()


# ---------------------------------------------------------------------------------------------------- session_op


async def test_82_list_fills_every_field(desk: Desk) -> None:
    session = await desk.connect(orchestrator(), "o1")
    desk.clock.advance(184)
    session.last_activity_ms = desk.clock.now_ms - 1000
    response = await desk.ask(orchestrator(), S.LIST)
    assert response.total_count == 1
    assert response.connections[0] == pb.ConnectionInfo(
        session_id="o1",
        type=pb.PRINCIPAL_ORCHESTRATOR,
        identity="orc::o::s",
        implementation="o",
        specifier="s",
        connected_at=session.connected_at_ms // 1000,
        duration="3m 4s",
        remote_addr="10.1.2.3:4567",
        last_activity=session.last_activity_ms // 1000,
    )


async def test_82_filters(desk: Desk) -> None:
    await desk.connect(agent("a", workspace="w1"), "a1")
    await desk.connect(agent("a", workspace="w2"), "a2")
    await desk.connect(user(), "u1")
    response = await desk.ask(engine(), S.LIST, filter=pb.ConnectionFilter(type=pb.PRINCIPAL_AGENT, workspace="w2"))
    assert [connection.session_id for connection in response.connections] == ["a2"]
    response = await desk.ask(engine(), S.LIST, filter=pb.ConnectionFilter(type=pb.PRINCIPAL_USER))
    assert [connection.session_id for connection in response.connections] == ["u1"]


async def test_83_paging_is_stable_and_total_unpaged(desk: Desk) -> None:
    names = [f"s{number}" for number in range(7)]
    for name in names:
        await desk.connect(agent(name), name)
    desk.directory.sessions = dict(reversed(desk.directory.sessions.items()))
    seen = []
    for offset in (0, 3, 6):
        page = await desk.ask(engine(), S.LIST, filter=pb.ConnectionFilter(limit=3, offset=offset))
        assert page.total_count == 7
        seen += [connection.session_id for connection in page.connections]
    assert seen == names
    beyond = await desk.ask(engine(), S.LIST, filter=pb.ConnectionFilter(offset=7))
    assert (beyond.total_count, len(beyond.connections)) == (7, 0)
    negative = await desk.ask(engine(), S.LIST, filter=pb.ConnectionFilter(limit=-1, offset=-1))
    assert len(negative.connections) == 7


async def test_a_long_list_fits_into_one_message(desk: Desk) -> None:
    for number in range(8000):
        name = f"{number:0128}"
        identity = Identity(PrincipalType.AGENT, name, name, name)
        desk.directory.sessions[name] = Session(name, identity, number, number)
    response = await desk.ask(engine(), S.LIST)
    assert response.total_count == 8000
    assert 1000 < len(response.connections) < 8000
    assert response.ByteSize() <= LIST_BYTES_MAX + 100


async def test_84_get(desk: Desk) -> None:
    await desk.connect(agent(), "a1")
    assert (await desk.ask(engine(), S.GET, session_id="a1")).connection.identity == "ag::w::i::s"
    assert (await desk.ask(engine(), S.GET, session_id="x")).error == "session not found: x"
    assert (await desk.ask(engine(), S.GET)).error == "session_id required for GET"


async def test_75_disconnect_passes_the_reason_on(desk: Desk) -> None:
    await desk.connect(agent("a"), "a1")
    await desk.connect(agent("b"), "b1")
    assert (await desk.ask(engine(), S.DISCONNECT, session_id="a1")).message == "session disconnected"
    assert (await desk.ask(engine(), S.DISCONNECT, session_id="b1", reason=" maintenance ")).success
    assert desk.directory.ended == [("a1", "disconnected by administrator"), ("b1", "maintenance")]
    assert (await desk.ask(engine(), S.DISCONNECT, session_id="a1")).error == "session not found: a1"
    assert (await desk.ask(engine(), S.DISCONNECT)).error == "session_id required for DISCONNECT"


async def test_unknown_session_operation(desk: Desk) -> None:
    assert (await desk.ask(engine(), 99)).error == "unknown session operation"


@pytest.mark.parametrize("caller", [agent(), user(), service(), bridge(), unique_task()], ids=lambda c: c.identity.key)
async def test_85_gate_without_engine(desk: Desk, caller: FakeCaller) -> None:
    await desk.connect(agent("a"), "a1")
    for op in (S.LIST, S.GET, S.DISCONNECT, 99):
        assert (await desk.ask(caller, op, session_id="a1")).error == GATE
    assert not desk.directory.ended


async def test_85_gate_with_engine(desk: Desk) -> None:
    access = RuleAccess({("admin", "admin/sessions"): 30})
    desk.access = access
    assert (await desk.ask(agent(), S.LIST)).error == GATE + " or an explicit ACL grant"
    access.rules["admin", "admin/sessions"] = 40
    assert (await desk.ask(agent(), S.LIST)).success
    assert access.asked[-1] == ("admin", "admin/sessions", "session_op_sessions")


async def test_gate_is_closed_when_rules_cannot_be_read(desk: Desk) -> None:
    desk.access = RuleAccess(broken=True)
    assert "unavailable" in (await desk.ask(agent(), S.LIST)).error
    assert "unavailable" in (await desk.query(agent(), A.GET_INFO)).error
    assert "unavailable" in (await desk.status(agent(), "agent", "ag::w::i::other")).error


async def test_explicit_authority_is_refused(desk: Desk) -> None:
    """Also for system principals: they pass in direct mode only."""
    context = pb.AuthorizationContext(authority_mode="on_behalf_of", grant_id="g")
    error = (await desk.ask(engine(), S.LIST, authorization=context)).error
    assert error.startswith("invalid authorization context: ")


# --------------------------------------------------------------------------------------------- connection status


async def test_86_self_is_always_allowed(desk: Desk) -> None:
    for caller, kind in ((agent(), "agent"), (service(), "Service"), (pool_task(), "non_unique_task")):
        await desk.connect(caller, caller.identity.key)
        response = await desk.status(caller, kind, caller.identity.key)
        assert (response.ok, response.connected) == (True, True)
    await desk.connect(user("u", "w1"), "u1")
    assert (await desk.status(user("u", "w1"), "user", "u")).connected
    assert (await desk.status(user("u", "w1"), "user", "us::u::w1")).connected


async def test_86_others_need_the_capability(desk: Desk) -> None:
    await desk.connect(agent("a"), "a1")
    denied = await desk.status(agent("b"), "agent", "ag::w::i::a")
    assert (denied.ok, denied.error, denied.connected) == (False, "not authorized", False)
    desk2 = Desk()
    desk2.access = RuleAccess({("capability", "capability/query_connections"): 10})
    await desk2.connect(agent("a"), "a1")
    assert (await desk2.status(agent("b"), "agent", "ag::w::i::a")).connected
    offline = await desk2.status(agent("b"), "agent", "ag::w::i::c")
    assert (offline.ok, offline.connected, offline.last_seen_at) == (True, False, 0)


@pytest.mark.parametrize(
    ("caller", "kind", "name"),
    [
        (agent(), " Agent ", "ag::w::i::s"),
        (unique_task(), "unique_task", "tu::w::i::s"),
        (pool_task(), "task", "ta::w::i::n"),
        (user("u", "w1"), "user", "u"),
        (user("u", "w1"), "user", "us::u"),
        (user("u", "w1"), "user", "us::u::w1"),
        (orchestrator(), "orchestrator", "orc::o::s"),
        (orchestrator(), "orchestrator", "orc::o"),
        (orchestrator(), "ORCHESTRATOR", "o"),
        (service(), "service", "sv::svc::s"),
        (bridge(), "bridge", "br::b::s"),
        (engine(), "workflowengine", "anything"),
        (engine(), "workflow_engine", "wfe::shard0"),
    ],
)
async def test_86_every_type_is_found(desk: Desk, caller: FakeCaller, kind: str, name: str) -> None:
    asker = orchestrator("asker")
    before = await desk.status(asker, kind, name)
    assert (before.ok, before.connected, before.last_seen_at) == (True, False, 0)
    session = await desk.connect(caller, "x")
    during = await desk.status(asker, kind, name)
    assert (during.connected, during.last_seen_at) == (True, session.last_activity_ms // 1000)
    await desk.disconnect(session)
    desk.clock.advance(100)
    after = await desk.status(asker, kind, name)
    assert (after.connected, after.last_seen_at) == (False, session.last_activity_ms // 1000)


async def test_any_window_counts_for_a_user(desk: Desk) -> None:
    first = await desk.connect(user("u", "w1"), "u1")
    second = await desk.connect(user("u", "w2"), "u2")
    await desk.connect(user("u2", "w1"), "other")
    await desk.disconnect(first)
    response = await desk.status(engine(), "user", "u")
    assert (response.connected, response.last_seen_at) == (True, second.last_activity_ms // 1000)
    assert not (await desk.status(engine(), "user", "us::u::w1")).connected
    assert not (await desk.status(engine(), "user", "u3")).connected


async def test_a_session_of_another_gateway_is_seen_now(desk: Desk) -> None:
    await desk.locks.acquire("ag::w::i::far", "far", "", ClientInfo())
    desk.clock.advance(5)
    response = await desk.status(engine(), "agent", "ag::w::i::far")
    assert (response.connected, response.last_seen_at) == (True, desk.clock.now_ms // 1000)


@pytest.mark.parametrize(("kind", "name"), [("agent", "tu::w::i::s"), ("agent", "nonsense"), ("user", "a::b::c::d")])
async def test_names_nobody_can_have(desk: Desk, kind: str, name: str) -> None:
    await desk.connect(unique_task(), "t")
    response = await desk.status(engine(), kind, name)
    assert (response.ok, response.connected) == (True, False)


async def test_status_errors(desk: Desk) -> None:
    request = pb.ConnectionStatusRequest(request_id="r")
    assert (await desk.status_of(agent(), request)).error == "principal is required"
    assert (await desk.status(agent(), "robot", "x")).error == 'invalid principal: unknown principal type "robot"'
    assert (await desk.status(agent(), "agent", " ")).error == "invalid principal: principal_id is required"


async def test_status_with_the_store_away(desk: Desk) -> None:
    desk.locks = BrokenLocks(desk.clock)
    for kind, name in (("agent", "ag::w::i::s"), ("user", "u")):
        response = await desk.status(engine(), kind, name)
        assert not response.ok
        assert "10.0.0.7" not in response.error


async def test_memory_of_the_departed_is_bounded(desk: Desk) -> None:
    for number in range(10_050):
        desk.connections.note_end(Session("x", agent(f"s{number}").identity, 0, 1000))
    assert (await desk.status(engine(), "agent", "ag::w::i::s0")).last_seen_at == 0
    assert (await desk.status(engine(), "agent", "ag::w::i::s10049")).last_seen_at == 1


# --------------------------------------------------------------------------------------------------- admin_query


async def test_92_health(desk: Desk) -> None:
    await desk.connect(agent(), "a1")
    health = (await desk.query(orchestrator(), A.GET_HEALTH)).health
    assert health.status == pb.HEALTH_STATUS_HEALTHY
    assert health.timestamp == desk.clock.now_ms // 1000
    assert health.checks["store"] == pb.HealthCheck(status=pb.HEALTH_CHECK_STATUS_OK, latency="1.500ms")
    assert health.stats.agent_connections == 1
    desk.vitals.store_error = "store does not answer"
    health = (await desk.query(orchestrator(), A.GET_HEALTH)).health
    assert health.status == pb.HEALTH_STATUS_UNHEALTHY
    assert health.checks["store"].error == "store does not answer"


async def test_92_info(desk: Desk) -> None:
    await desk.connect(agent(), "a1")
    started_at_s = desk.vitals.started_at_ms // 1000
    desk.clock.advance(7200 + 300)
    info = (await desk.query(engine(), A.GET_INFO)).info
    assert (info.gateway_id, info.version, info.num_connections) == ("gw-1", "1.2.3", 1)
    assert (info.started_at, info.uptime) == (started_at_s, "2h 5m")
    assert info.go_version.startswith("Python 3.")
    assert info.num_goroutines > 0


async def test_92_stats(desk: Desk) -> None:
    for number, caller in enumerate((agent("a"), agent("b"), pool_task(), user(), orchestrator(), engine())):
        await desk.connect(caller, str(number))
    stats = (await desk.query(engine(), A.GET_STATS)).stats
    assert stats == pb.GatewayStats(
        agent_connections=2,
        task_connections=1,
        user_connections=1,
        orchestrator_connections=1,
        workflow_engine_connected=True,
        messages_per_second=5.5,
        total_messages=1234,
    )


async def test_92_connections(desk: Desk) -> None:
    await desk.connect(agent("a"), "a1")
    await desk.connect(agent("b"), "b1")
    response = await desk.query(orchestrator(), A.LIST_CONNECTIONS, filter=pb.ConnectionFilter(limit=1))
    assert ([connection.session_id for connection in response.connections], response.total_count) == (["a1"], 2)
    assert (await desk.query(orchestrator(), A.GET_CONNECTION, session_id="b1")).connection.specifier == "b"
    assert (await desk.query(orchestrator(), A.GET_CONNECTION, session_id="x")).error == "session not found: x"


async def test_admin_queries_are_gated(desk: Desk) -> None:
    for op in (*A.OpType.values(), 99):
        assert (await desk.query(agent(), op)).error == GATE
    assert (await desk.query(engine(), 99)).error == "unknown admin operation"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (12, "12s"), (184, "3m 4s"), (7500, "2h 5m"), (97_200, "1d 3h")],
)
def test_durations(seconds: int, text: str) -> None:
    assert duration_text(seconds) == text
