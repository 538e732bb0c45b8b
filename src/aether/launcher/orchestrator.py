"""Takes starts from a gateway and has their agents run until they end."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import trio

from aether.client import Connection
from aether.client.errors import ClientError, ConnectionLost, RequestRefused
from aether.client.operations import TERMINAL
from aether.launcher.containers import EngineRefused, run_container
from aether.launcher.guard import Guard, open_guard
from aether.launcher.output import LOG_BYTES_MAX, LogFile
from aether.launcher.processes import run_process
from aether.launcher.profiles import ContainerProfile, ProcessProfile, environment, fill
from aether.nurseries import unwrapped_nursery
from aether.proto import aether_pb2 as pb

__all__ = ["Orchestrator"]

log = structlog.get_logger("aether.launcher")

LAST_LINES = 20
NANOCPUS = 1_000_000_000
RETRY_S = 1.0
NAME_BYTES_MAX = 200
"""File names may be 255 bytes long; three names of an agent can be longer."""

Run = Callable[[pb.TaskAssignment, Callable[[str], None]], Awaitable[int]]


@dataclass(eq=False)
class _Turn:
    """One run of an agent.

    :ivar is_given_up: its start has failed after the agent was there, for instance because it was cut off for too long.
        It may come back, so it goes on until another one is to take its place.
    """

    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)
    is_given_up: bool = False


class Orchestrator:
    """Starts what ``me`` is asked to start; :meth:`run` lasts until it is cancelled or the connection ends for good.

    :param gateway: address that the agents connect to.
    :param log_directory: one file for each agent with its output; None: the output is logged.
    :param log_bytes_max: of such a file; as much of what was before is kept in a second one.
    :param engine_socket: of the container engine.
    """

    def __init__(
        self,
        me: Connection,
        profiles: Mapping[str, ProcessProfile | ContainerProfile],
        gateway: str,
        *,
        agents_max: int = 100,
        log_directory: Path | None = None,
        log_bytes_max: int = LOG_BYTES_MAX,
        engine_socket: str = "/var/run/docker.sock",
    ) -> None:
        self._me = me
        self._profiles = profiles
        self._gateway = gateway
        self._agents_max = agents_max
        self._log_directory = log_directory
        self._log_bytes_max = log_bytes_max
        self._engine_socket = engine_socket
        self._guard: Guard | None = None
        self._running: set[str] = set()
        self._turns: dict[str, _Turn] = {}
        """The last run of each agent."""
        self._again: dict[str, pb.TaskAssignment] = {}
        """Starts that came while their agent was running: told again after a lost connection, or woken before the
        process that hibernated had ended."""

    async def run(self) -> None:
        """Every agent ends with this."""
        with ExitStack() as stack:
            try:
                self._guard = stack.enter_context(open_guard())
            except OSError as error:
                log.warning("agents are not ended if this process is killed", error=str(error))
            await self._take()

    async def _take(self) -> None:
        async with trio.open_nursery() as nursery:
            async for start in self._me.tasks:
                if start.task_id in self._running:
                    self._again[start.task_id] = start
                    if (turn := self._turns.get(_agent(start))) is not None and turn.is_given_up:
                        turn.scope.cancel()
                    continue
                if len(self._running) >= self._agents_max:
                    await self._decline(start, f"{self._agents_max} agents run here already")
                    continue
                self._running.add(start.task_id)
                nursery.start_soon(self._start, start)
            nursery.cancel_scope.cancel()

    async def _start(self, start: pb.TaskAssignment) -> None:
        task_id, turn = start.task_id, start
        try:
            while (again := await self._run_once(turn)) is not None:
                turn = again
        finally:
            self._running.discard(task_id)
            self._again.pop(task_id, None)

    async def _run_once(self, start: pb.TaskAssignment) -> pb.TaskAssignment | None:
        """Have an agent run to its end; returns the start that is to follow it, if one came meanwhile."""
        agent, turn = _agent(start), _Turn()
        last: deque[str] = deque(maxlen=LAST_LINES)
        try:
            await self._replace(agent, turn)
            with self._output(agent, last) as note:
                log.info("starting", agent=agent, profile=start.profile)
                code = await self._run_wanted(start, turn, note)
        except (OSError, ValueError, EngineRefused) as error:
            await self._fail(start, f"cannot be started: {error}")
            return None
        except Exception as error:  # what goes wrong with one agent is nothing to the others
            log.exception("failed", agent=agent)
            await self._fail(start, f"{type(error).__name__}: {error}")
            return None
        finally:
            turn.ended.set()
            if self._turns.get(agent) is turn:
                del self._turns[agent]
        if code is None:
            again = self._again.pop(start.task_id, None)
            return again if again is not None and await self._is_waited_for(start) else None
        log.info("ended", agent=agent, code=code)
        if code != 0:
            await self._fail(start, "\n".join([f"ended with code {code}", *last]))
        elif await self._is_waited_for(start):
            await trio.lowlevel.checkpoint()  # a start that was sent before that answer is in its place then
            if (again := self._again.pop(start.task_id, None)) is not None:
                return again
            await self._fail(start, "\n".join(["ended before it was connected", *last]))
        return None

    async def _replace(self, agent: str, turn: _Turn) -> None:
        """Take the place of the run before, which ends first if it was given up."""
        before, self._turns[agent] = self._turns.get(agent), turn
        if before is not None and before.is_given_up:
            before.scope.cancel()
            await before.ended.wait()

    async def _run_wanted(self, start: pb.TaskAssignment, turn: _Turn, note: Callable[[str], None]) -> int | None:
        """Have an agent run; returns its exit code, None: it was ended because nobody waits for it."""
        code = None
        with turn.scope:
            async with unwrapped_nursery() as nursery:
                nursery.start_soon(self._follow, start.task_id, turn)
                code = await self._runner(start)(start, note)
                nursery.cancel_scope.cancel()
        return code

    async def _follow(self, task_id: str, turn: _Turn) -> None:
        """End an agent that hangs before it is connected, or whose start an operator cancels. It would take up room for
        ever, and the next start of the same agent would be its twin."""
        try:
            async with self._me.tasks.watch(task_id) as events:
                task = await self._me.tasks.get(task_id)
                status, was_there = task.status, task.started_at != 0
                while status not in TERMINAL:
                    was_there = was_there or status == pb.TASK_STATUS_RUNNING
                    status = (await events.next_status()).status_changed.to_status
        except ClientError as error:
            log.debug("a start cannot be followed", task=task_id, error=str(error))
            return
        if status == pb.TASK_STATUS_FAILED and was_there:
            turn.is_given_up = True
        elif status != pb.TASK_STATUS_COMPLETED:  # who closes its session may have something left to do
            log.info("not wanted any more", task=task_id, status=pb.TaskStatus.Name(status))
            turn.scope.cancel()

    async def _is_waited_for(self, start: pb.TaskAssignment) -> bool:
        """Whether the gateway has not seen the agent yet."""
        try:
            return (await self._me.tasks.get(start.task_id)).status == pb.TASK_STATUS_QUEUED
        except ClientError:
            return False

    def _runner(self, start: pb.TaskAssignment) -> Run:
        profile = self._profiles.get(start.profile)
        match profile:
            case ProcessProfile():

                async def process(start: pb.TaskAssignment, note: Callable[[str], None]) -> int:
                    command = fill(profile.command, start)
                    variables = environment(profile, start, self._gateway)
                    return await run_process(
                        command, variables, profile.directory, profile.stop_timeout, note, self._guard
                    )

                return process
            case ContainerProfile():

                async def container(start: pb.TaskAssignment, note: Callable[[str], None]) -> int:
                    limits = {
                        "NetworkMode": profile.network or "default",
                        "Memory": profile.memory_bytes,
                        "NanoCpus": int(profile.cpus * NANOCPUS),
                    }
                    return await run_container(
                        self._engine_socket,
                        profile.image,
                        fill(profile.command, start),
                        environment(profile, start, self._gateway),
                        limits,
                        profile.stop_timeout,
                        note,
                    )

                return container
        raise ValueError(f"no profile {start.profile}")

    @contextmanager
    def _output(self, agent: str, last: deque[str]) -> Iterator[Callable[[str], None]]:
        """Where the lines of an agent go.

        :raises OSError: they cannot be written.
        """
        if self._log_directory is None:

            def note(line: str) -> None:
                last.append(line)
                log.info(line, agent=agent)

            yield note
            return
        with LogFile(self._log_directory / f"{_file_name(agent)}.log", self._log_bytes_max) as file:

            def write(line: str) -> None:
                last.append(line)
                try:
                    file.write(line)
                except OSError as error:  # a full disk does not end agents
                    log.warning("output is lost", agent=agent, error=str(error))

            yield write

    async def _decline(self, start: pb.TaskAssignment, reason: str) -> None:
        """That is not held against the agent."""
        log.warning("declined", task=start.task_id, reason=reason)
        await self._tell(self._me.tasks.reject, start, reason)

    async def _fail(self, start: pb.TaskAssignment, reason: str) -> None:
        log.warning("failed", task=start.task_id, reason=reason)
        await self._tell(self._me.tasks.fail, start, reason)

    async def _tell(
        self, end: Callable[[str, str], Awaitable[pb.TaskInfo]], start: pb.TaskAssignment, reason: str
    ) -> None:
        """Tell the gateway, unless the agent's own end has told it already."""
        while True:
            try:
                await end(start.task_id, reason)
            except ConnectionLost:  # once more: ending twice is ending once
                await trio.lowlevel.checkpoint()
            except ClientError as error:
                if isinstance(error, RequestRefused) and error.retryable:
                    await trio.sleep(max(RETRY_S, error.retry_after_ms / 1000))
                    continue
                log.debug("the start has ended otherwise", task=start.task_id, error=str(error))
                return
            else:
                return


def _agent(start: pb.TaskAssignment) -> str:
    return f"ag::{start.workspace}::{start.target_implementation}::{start.specifier}"


def _file_name(agent: str) -> str:
    name = agent.replace("::", ".").replace("/", "_")
    encoded = name.encode()
    if len(encoded) <= NAME_BYTES_MAX:
        return name
    return f"{encoded[:NAME_BYTES_MAX].decode(errors='ignore')}-{hashlib.sha256(agent.encode()).hexdigest()[:8]}"
