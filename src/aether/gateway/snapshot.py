"""``ConfigSnapshot``: the private key/value state an agent or task starts with (connection 4.2, kv 8)."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from aether.answers import down
from aether.errors import StoreUnavailable
from aether.identity import Identity, PrincipalType
from aether.kv.namespaces import owner_of
from aether.kv.store import Command, KVStore, Namespace, Op, Scope
from aether.proto import aether_pb2 as pb

__all__ = ["config_snapshot"]

log = structlog.get_logger("aether.snapshot")

SNAPSHOT_BYTES_MAX = 3_500_000
"""Official clients accept at most 4 MiB in one message; what does not fit is left out, and logged."""


async def config_snapshot(
    identity: Identity, store: KVStore, task_context: Mapping[str, str], *, by_identity: bool = False
) -> bytes | None:
    """The frame for ``identity``, or None for principals that get none. A store that fails leaves a map empty.

    :param task_context: of the task that started it; empty for none.
    :param by_identity: exclusive scopes belong to identities.
    """
    if identity.kind not in (PrincipalType.AGENT, PrincipalType.TASK):
        return None
    snapshot = pb.ConfigSnapshot(task_context=task_context)
    owner = owner_of(identity, by_identity=by_identity)
    if all(owner):
        room = SNAPSHOT_BYTES_MAX
        for scope, workspace, target in (
            (Scope.WORKSPACE_EXCLUSIVE, identity.workspace, snapshot.workspace_exclusive_kv),
            (Scope.GLOBAL_EXCLUSIVE, "", snapshot.global_exclusive_kv),
        ):
            namespace = Namespace(scope, owner=owner, workspace=workspace)
            try:
                room = await _fill(target, namespace, store, room)
            except StoreUnavailable:
                log.warning("snapshot incomplete", identity=identity.key, scope=scope.name)
    return down(pb.DownstreamMessage(config=snapshot))


async def _fill(target: object, namespace: Namespace, store: KVStore, room: int) -> int:
    """Copy every entry of a namespace; returns the bytes still free."""
    cursor = ""
    while True:
        page = await store.execute(Command(Op.LIST, namespace, "", limit=1000, cursor=cursor))
        for key, value in zip(page.keys, page.values, strict=True):
            room -= len(key.encode()) + len(value) + 16
            if room < 0:
                log.warning("snapshot truncated", scope=Scope(namespace.scope).name)
                return 0
            target[key] = value  # type: ignore[index]
        if not page.more:
            return room
        cursor = page.cursor
