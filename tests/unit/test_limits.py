"""How fast sessions may send, and what they are told when it was too fast (routing 9, weakness 41)."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock

from aether._fastpath import Port
from aether.errors import Refusal
from aether.gateway.directory import Directory
from aether.gateway.limits import Limits
from aether.gateway.settings import Settings
from aether.identity import Identity, PrincipalType
from aether.messaging.limits import refuse_limited
from aether.workspaces.quotas import Share, WorkspaceQuotas

IDENTITY = Identity(PrincipalType.AGENT, "w", "i", "s")


def new_port() -> Port:
    return Port(None, None, lambda port: None, trio.current_time)


@dataclass
class Rates:
    """Limits of a gateway with these rates."""

    message: float = 0.0
    burst: float = 0.0
    identity: float = 0.0
    workspace: float = 0.0
    task: float = 0.0

    def limits(self) -> tuple[Limits, WorkspaceQuotas]:
        settings = Settings(
            "v",
            "g",
            message_rate=self.message,
            message_burst=self.burst,
            identity_message_rate=self.identity,
            task_rate=self.task,
        )
        quotas = WorkspaceQuotas(Share(message_rate=self.workspace))
        return Limits(settings, quotas, Directory()), quotas


def refusal(port: Port) -> Refusal:
    """That of a message which is one too many."""
    limit = port.admit()
    assert limit, "it was admitted"
    return refuse_limited(port, IDENTITY, limit)


@pytest.mark.parametrize(
    ("rates", "allowed", "code", "wait_ms"),
    [
        (Rates(message=2, burst=4), 4, "ERR_RATE_LIMITED", 500),
        (Rates(workspace=4), 4, "ERR_WORKSPACE_RATE_LIMITED", 250),
        (Rates(workspace=0.1), 1, "ERR_WORKSPACE_RATE_LIMITED", 10_000),
        (Rates(identity=3), 3, "ERR_QUOTA_001", 1000),
    ],
)
async def test_who_is_refused_is_told_when_it_may_go_on(
    rates: Rates, allowed: int, code: str, wait_ms: int, mock_clock: MockClock
) -> None:
    limits, _ = rates.limits()
    port = new_port()
    limits.begin(port, "w")
    assert [port.admit() for _ in range(allowed)] == [0] * allowed
    first = refusal(port)
    assert (first.code, first.retryable) == (code, True)
    assert wait_ms <= first.retry_after_ms <= wait_ms + 1
    mock_clock.jump(wait_ms * 0.8 / 1000)
    later = refusal(port)
    assert wait_ms * 0.2 - 1 <= later.retry_after_ms <= wait_ms * 0.2 + 1, "some of it has passed"
    mock_clock.jump(later.retry_after_ms / 1000)
    assert port.admit() == 0


async def test_a_workspace_is_shared_and_the_others_are_not(mock_clock: MockClock) -> None:
    limits, _ = Rates(workspace=2).limits()
    first, second, elsewhere, nowhere = (new_port() for _ in range(4))
    for port, workspace in ((first, "w"), (second, "w"), (elsewhere, "v"), (nowhere, "")):
        limits.begin(port, workspace)
    assert (first.admit(), second.admit(), first.admit(), second.admit()) == (0, 0, 2, 2)
    assert elsewhere.admit() == 0
    assert not nowhere.limited


async def test_who_moves_has_used_what_it_has_used(mock_clock: MockClock) -> None:
    limits, _ = Rates(message=1, burst=1).limits()
    port = new_port()
    limits.begin(port, "w")
    assert port.admit() == 0
    for workspace in ("v", "w"):
        limits.share(port, workspace)
        assert port.admit() == 1


async def test_other_quotas_of_a_workspace_hold_for_those_who_are_in_it(mock_clock: MockClock) -> None:
    directory = Directory()
    quotas = WorkspaceQuotas(Share())
    limits = Limits(Settings("v", "g"), quotas, directory)
    quotas.on_change.append(limits.on_quotas_changed)
    ports = {workspace: new_port() for workspace in ("w", "v")}
    for workspace, port in ports.items():
        limits.begin(port, workspace)
        identity = Identity(PrincipalType.AGENT, workspace, "i", "s")
        directory.add(
            SimpleNamespace(  # type: ignore[arg-type]
                session_id=workspace,
                identity=identity,
                quota_workspace=workspace,
                claim=SimpleNamespace(admission=SimpleNamespace(task_id="")),
                set_workspace_limit=lambda port=port, workspace=workspace: limits.share(port, workspace),
            )
        )
    quotas.set("w", Share(message_rate=1))
    assert [ports["w"].admit() for _ in range(2)] == [0, 2]
    assert not ports["v"].limited
    quotas.set("w", Share(message_rate=5))
    assert [ports["w"].admit() for _ in range(6)] == [0] * 5 + [2], "and not what was left of the others"
    quotas.forget("w")
    assert not ports["w"].limited


async def test_operations_have_a_budget_where_one_is_set(mock_clock: MockClock) -> None:
    assert Rates().limits()[0].operations() is None
    budget = Rates(task=2).limits()[0].operations()
    assert budget is not None
    assert [budget.take(trio.current_time()) for _ in range(5)] == [True] * 4 + [False]
    assert 500 <= budget.wait_ms() <= 501
