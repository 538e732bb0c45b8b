"""Checkpoints: a connection saves state under its own identity and finds it again after a restart (kv 11).

Every principal type may, and only for itself: the namespace is the identity string of the connection. Whatever
happens, the answer is one ``CheckpointResponse`` with the request's id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aether.access import Access, Level
from aether.answers import Answer, Caller
from aether.audit.events import NO_AUDIT, Event, Recorder, actor_of
from aether.checkpoints.store import CheckpointStore
from aether.checkpoints.wire import answer, failure
from aether.errors import Code, InvalidArgument, Refusal, StoreUnavailable, WorkspaceFull
from aether.proto import aether_pb2 as pb

__all__ = ["DATA_BYTES_CEILING", "CheckpointLimits", "CheckpointService"]

DEFAULT_KEY = "default"

DATA_BYTES_CEILING = 4_000_000
"""No checkpoint is larger, whatever is configured: it could never be loaded by a client that takes 4 MiB."""

KEYS_BYTES_MAX = 3_500_000
"""Key names in one LIST, which has no paging."""

TTL_S_CEILING = 10_000_000_000
"""Three centuries; longer lives are cut to it, so that expiry times fit into 64 bits."""

Op = pb.CheckpointOperation


@dataclass(frozen=True, slots=True)
class CheckpointLimits:
    """Limits of one identity's checkpoints. 0 is none, up to the ceilings above (weakness 25)."""

    default_ttl_s: int = 0
    """For clients that leave the life of a checkpoint to the server; 0 is forever."""
    size_bytes_max: int = 3 * 1024 * 1024
    count_max: int = 1000
    recorded: bool = False
    """Successful operations are in the audit log too; refused ones always are."""


class CheckpointService:
    """Answers ``checkpoint_op``.

    :param store: None when the deployment has no checkpoint store.
    :param wall_clock: current Unix time in milliseconds.
    :param observe: told of every operation that succeeded: workspace, operation.
    """

    def __init__(
        self,
        store: CheckpointStore | None,
        access: Access,
        limits: CheckpointLimits,
        wall_clock: Callable[[], int],
        recorder: Recorder = NO_AUDIT,
        *,
        observe: Callable[[str, str], None] | None = None,
    ) -> None:
        self._store = store
        self._access = access
        self._limits = limits
        self._size_bytes_max = min(limits.size_bytes_max or DATA_BYTES_CEILING, DATA_BYTES_CEILING)
        self._wall_clock = wall_clock
        self._recorder = recorder
        self._observe = observe

    async def handle(self, caller: Caller, operation: pb.CheckpointOperation) -> Answer:
        """Run one operation; every failure is an answer."""
        request_id = operation.request_id
        if self._store is None:
            return failure(request_id, "checkpoint store not configured")
        try:
            self._check_access(caller, operation.op)
            done = await self._run(self._store, caller.identity.key, operation)
        except Refusal as refusal:
            return failure(request_id, refusal.message)
        except WorkspaceFull as error:
            return failure(request_id, f"{Code.QUOTA}: {error}")
        except InvalidArgument as error:
            return failure(request_id, f"invalid checkpoint key: {error}")
        except StoreUnavailable:
            return failure(request_id, "the checkpoint store is unavailable, try again")
        if self._observe is not None:
            self._observe(caller.identity.workspace, Op.OpType.Name(operation.op))
        if self._limits.recorded:
            self._record(caller, operation)
        return done

    async def _run(self, store: CheckpointStore, identity: str, operation: pb.CheckpointOperation) -> Answer:
        request_id, key = operation.request_id, operation.key or DEFAULT_KEY
        match operation.op:
            case Op.SAVE:
                return await self._save(store, identity, key, operation)
            case Op.LOAD:
                checkpoint = await store.load(identity, key)
                if checkpoint is None:
                    return answer(request_id)
                return answer(request_id, data=checkpoint.data, saved_at=checkpoint.saved_at_s)
            case Op.DELETE:
                await store.delete(identity, key)
                return answer(request_id)
            case Op.LIST:
                return answer(request_id, keys=_fit(await store.list(identity)))
            case _:
                raise Refusal("", "unknown checkpoint operation")

    def _record(self, caller: Caller, operation: pb.CheckpointOperation) -> None:
        """The audit row of an operation (weakness 25); data never get into it."""
        is_save = operation.op == Op.SAVE
        self._recorder.routine(
            Event(
                kind="kv",
                operation=_label(operation.op),
                **actor_of(caller.identity),
                resource_type="checkpoint",
                resource_id="" if operation.op == Op.LIST else operation.key or DEFAULT_KEY,
                workspace=caller.identity.workspace,
                session_id=caller.session_id,
                metadata={"size": len(operation.data), "ttl_seconds": operation.ttl} if is_save else {},
            )
        )

    def _check_access(self, caller: Caller, op: Op.OpType) -> None:
        """State belongs to the identity, but a workspace that may not be read or written is closed for it too
        (acl weakness list; connection 7). Principals without a workspace need nothing.

        :raises Refusal: denied.
        """
        workspace = caller.identity.workspace
        if not workspace:
            return
        level = Level.READ if op in (Op.LOAD, Op.LIST) else Level.READWRITE
        if not self._access.rights(caller).check("workspace", workspace, level, _label(op), workspace).allowed:
            raise Refusal("", "not authorized for checkpoints in this workspace")

    async def _save(self, store: CheckpointStore, identity: str, key: str, operation: pb.CheckpointOperation) -> Answer:
        size = len(operation.data)
        if size > self._size_bytes_max:
            raise Refusal("", f"checkpoint size {size} exceeds maximum of {self._size_bytes_max} bytes")
        count_max = self._limits.count_max
        if count_max and await store.count(identity) >= count_max and await store.load(identity, key) is None:
            raise Refusal("", f"checkpoint count limit of {count_max} reached")
        saved_at_s = self._wall_clock() // 1000
        ttl_s = operation.ttl if operation.ttl >= 0 else self._limits.default_ttl_s
        await store.save(identity, key, operation.data, saved_at_s=saved_at_s, ttl_s=min(ttl_s, TTL_S_CEILING))
        return answer(operation.request_id, saved_at=saved_at_s)


def _label(op: Op.OpType) -> str:
    return f"checkpoint_{Op.OpType.Name(op).lower()}" if op in Op.OpType.values() else "checkpoint"


def _fit(keys: list[str]) -> list[str]:
    """The leading keys that fit into one message."""
    room = KEYS_BYTES_MAX
    for index, key in enumerate(keys):
        room -= len(key.encode()) + 4
        if room < 0:
            return keys[:index]
    return keys
