"""What services see of the gateway, reduced to what a test says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from aether.access import Decision, DirectRights, InvalidAuthority, Level, Rights, is_direct
from aether.answers import Answer, Caller, WorkspaceLimit
from aether.errors import StoreUnavailable
from aether.identity import Identity, PrincipalType
from aether.kv.store import Command, KVStore, Namespace, Result
from aether.proto import aether_pb2 as pb


class WallClock:
    """Unix time in milliseconds, moved by the test."""

    def __init__(self) -> None:
        self.now_ms = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


@dataclass
class FakeCaller:
    identity: Identity
    session_id: str = "session"
    task_id: str = ""
    workspace_limit: WorkspaceLimit | None = None


def agent(specifier: str = "s", workspace: str = "w", implementation: str = "i") -> FakeCaller:
    return FakeCaller(Identity(PrincipalType.AGENT, workspace, implementation, specifier))


def service(specifier: str = "s") -> FakeCaller:
    return FakeCaller(Identity(PrincipalType.SERVICE, "", "svc", specifier))


def unique_task(specifier: str = "s", implementation: str = "i") -> FakeCaller:
    return FakeCaller(Identity(PrincipalType.TASK, "w", implementation, specifier))


def pool_task(instance: str = "n") -> FakeCaller:
    return FakeCaller(Identity(PrincipalType.TASK, "w", "i", id=instance))


def user(name: str = "u", window: str = "win") -> FakeCaller:
    return FakeCaller(Identity(PrincipalType.USER, "w", specifier=window, id=name))


def engine() -> FakeCaller:
    return FakeCaller(Identity(PrincipalType.WORKFLOW_ENGINE))


def orchestrator(implementation: str = "o", specifier: str = "s") -> FakeCaller:
    return FakeCaller(Identity(PrincipalType.ORCHESTRATOR, implementation=implementation, specifier=specifier))


def bridge() -> FakeCaller:
    return FakeCaller(Identity(PrincipalType.BRIDGE, implementation="b", specifier="s"))


@dataclass
class RuleAccess:
    """An access engine with exact rules ``{(resource type, resource id): level}``; everything else is denied."""

    rules: dict[tuple[str, str], int] = field(default_factory=dict)
    broken: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    configured: bool = True

    def check(
        self,
        principal: Identity,
        resource_type: str,
        resource_id: str,
        level: Level,
        operation: str,
        workspace: str,
        *,
        tentative: bool = False,
        barred: str = "",
        session_id: str = "",
    ) -> Decision:
        if self.broken:
            raise StoreUnavailable("rules cannot be read")
        if barred:
            return Decision(False, barred, by_rule=True)
        self.asked.append((resource_type, resource_id, operation))
        granted = self.rules.get((resource_type, resource_id))
        if granted is None:
            return Decision(False, "no rule")
        return Decision(granted >= level, f"rule at {granted}", by_rule=True)

    def rights(self, caller: Caller, context: pb.AuthorizationContext | None = None) -> Rights:
        if context is not None and not is_direct(context):
            raise InvalidAuthority("authority grants require ACL service")
        return DirectRights(self, caller)


class AwaitedKV:
    """Any store seen only through the port that waits, as those of other processes are."""

    def __init__(self, store: KVStore) -> None:
        self._store = store

    async def execute(self, command: Command) -> Result:
        return await self._store.execute(command)

    async def count(self, namespace: Namespace) -> int:
        return await self._store.count(namespace)


class BrokenKV:
    """A store whose backend is away."""

    async def execute(self, command: Command) -> Result:
        raise StoreUnavailable("connection refused by 10.0.0.7")

    async def count(self, namespace: Namespace) -> int:
        raise StoreUnavailable("connection refused by 10.0.0.7")


async def settle(
    reply: Answer | Awaitable[Answer], wait_durable: Callable[[int], Awaitable[None]] | None = None
) -> Answer:
    """The answer, once it may be told."""
    answer = reply if isinstance(reply, Answer) else await reply
    if wait_durable is not None:
        await wait_durable(answer.ticket)
    return answer


def messages(answer: Answer) -> list[pb.DownstreamMessage]:
    """The answer's frames, each checked to be exactly one gRPC message."""
    out = []
    for frame in answer.frames:
        assert frame[0] == 0
        assert int.from_bytes(frame[1:5], "big") == len(frame) - 5
        out.append(pb.DownstreamMessage.FromString(frame[5:]))
    return out


class FakeCall:
    """An RPC whose client reads when the test says so.

    :ivar pauses: what was done to reading, in order.
    """

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.pending = 0
        self.pauses: list[str] = []
        self._room = trio.Event()

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)
        self.pending += len(frame)

    def flush(self) -> None:
        """Nothing leaves before :meth:`take`."""

    def take(self) -> None:
        """The client reads everything."""
        self.pending = 0
        self._room.set()
        self._room = trio.Event()

    async def wait_pending_below(self, limit: int) -> None:
        while self.pending >= limit:
            await self._room.wait()

    def set_sink(self, sink: Callable[[list[bytes]], None], on_half_close: Callable[[], None]) -> None:
        self.receive, self.half_close = sink, on_half_close

    def pause_reading(self) -> None:
        self.pauses.append("pause")

    def resume_reading(self) -> None:
        self.pauses.append("resume")


class FakeDurability:
    """A store whose commits the test makes; also the log, as far as :class:`aether.gateway.commits.Commits` sees it."""

    def __init__(self) -> None:
        self.committed = 0
        self.latest_ticket = 0
        self.staged_bytes = 0
        self.kicks = 0

    def kick(self) -> None:
        self.kicks += 1

    async def wait_durable(self, ticket: int) -> None:
        raise StoreUnavailable
