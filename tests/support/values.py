"""What must hold of every message that the compiled way to values is given."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from aether._fastpath import Durations, Tally
from aether.kv._shortcuts import Entries, Shortcut, Shortcuts, Usage
from aether.kv.semantics import Entry
from aether.proto import aether_pb2 as pb

__all__ = ["check_taken"]

VALUE_MAX = 100


class _Batches:
    open_ticket = 1


def check_taken(message: bytes) -> bool:
    """Whatever is in a message, it is taken only if the library reads the same out of it; whether it was."""
    place = (1, b"k")
    entries = Entries(_Batches(), lambda: 1, lambda: 0)
    entries.stored[place] = Entry(b"there")
    usage = entries.usages[place[0]] = Usage("w")
    usage.charge(place[1], None, entries.stored[place])
    answers: list[tuple[bytes, str]] = []
    shortcuts = Shortcuts(entries, VALUE_MAX, lambda frame, ticket, request_id: answers.append((frame, request_id)))
    try:
        operation = pb.UpstreamMessage.FromString(message).kv_op
    except DecodeError:
        operation = pb.KVOperation()
    plain = pb.KVOperation(
        op=operation.op,
        scope=operation.scope,
        key=operation.key,
        user_id=operation.user_id,
        workspace=operation.workspace,
    )
    shortcuts.add(plain.SerializeToString(), Shortcut(place, Durations(), Tally()))
    if not shortcuts.take(message):
        assert not answers
        assert not entries.staged
        assert (usage.keys, usage.bytes) == (1, len(place[1] + b"there"))
        return False
    plain.value, plain.request_id = operation.value, operation.request_id
    assert pb.UpstreamMessage.FromString(message) == pb.UpstreamMessage(kv_op=plain)
    is_put = operation.op == pb.KVOperation.PUT
    assert entries.staged == ({place: Entry(operation.value)} if is_put else {})
    assert (usage.keys, usage.bytes) == (1, len(place[1] + (operation.value if is_put else b"there")))
    ((frame, request_id),) = answers
    expected = pb.KVResponse(success=True, value=b"" if is_put else b"there", request_id=operation.request_id)
    assert pb.DownstreamMessage.FromString(frame[5:]) == pb.DownstreamMessage(kv=expected)
    assert int.from_bytes(frame[:5], "big") == len(frame) - 5
    assert request_id == operation.request_id
    return True
