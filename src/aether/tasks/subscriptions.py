"""Sessions begin and end to follow tasks (tasks 12.4). What they are then told is in :mod:`aether.tasks.watches`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aether.answers import NOTHING, Answer, Caller
from aether.errors import AetherError, StoreUnavailable
from aether.proto import aether_pb2 as pb
from aether.tasks import wire
from aether.tasks.announcer import Announcer
from aether.tasks.lookup import Lookup, TaskNotFound
from aether.tasks.watches import Follower, Watch, Watches
from aether.tasks.wire import UNAVAILABLE

__all__ = ["SubscriptionService", "Watcher"]

WATCHES_MAX = 10_000


class _Refused(AetherError):
    """The text is fit for clients."""


class Watcher(Caller, Follower, Protocol):
    """A session that asks and follows."""


class SubscriptionService:
    """Answers ``task_subscription_op``."""

    def __init__(self, lookup: Lookup, watches: Watches, announcer: Announcer, new_id: Callable[[], str]) -> None:
        self._lookup = lookup
        self._watches = watches
        self._announcer = announcer
        self._new_id = new_id

    def subscribe(self, caller: Watcher, operation: pb.TaskSubscriptionOperation) -> Answer:
        """SUBSCRIBE and UNSUBSCRIBE; the response comes before the first event."""
        response = pb.TaskSubscriptionOperationResponse(
            client_request_id=operation.client_request_id, task_id=operation.task_id
        )
        watch: Watch | None = None
        try:
            match operation.op:
                case pb.TaskSubscriptionOperation.SUBSCRIBE:
                    watch = self._watch(caller, operation)
                    response.subscription_id = watch.watch_id
                case pb.TaskSubscriptionOperation.UNSUBSCRIBE:
                    if not operation.subscription_id:
                        raise _Refused("subscription_id is required for UNSUBSCRIBE")
                    self._watches.close(caller.session_id, operation.subscription_id)
                    response.subscription_id = operation.subscription_id
                case _:
                    raise _Refused("unknown task subscription operation")
            response.success = True
        except (_Refused, TaskNotFound) as error:
            response.error = str(error)
        except StoreUnavailable:
            response.error = UNAVAILABLE
        if watch is not None:
            caller.put(Answer((wire.subscription_frame(response),)))
            self._watches.open(watch)
            return NOTHING
        return Answer((wire.subscription_frame(response),))

    def _watch(self, caller: Watcher, operation: pb.TaskSubscriptionOperation) -> Watch:
        if not operation.task_id:
            raise _Refused("task_id is required")
        task = self._lookup.find(caller, operation.task_id)
        if self._watches.count(caller.session_id) >= WATCHES_MAX:
            raise _Refused(f"a session may have no more than {WATCHES_MAX} subscriptions")
        since_ms = max(0, operation.start_timestamp_unix_ms)
        position = 0 if since_ms else self._announcer.last_event
        return Watch(self._new_id(), caller, task.task_id, position, since_ms, recursive=operation.recursive)
