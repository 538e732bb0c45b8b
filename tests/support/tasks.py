"""A raw stream that works with tasks: asks, and keeps apart what it is told in between."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.support.wire import Peer

from aether.proto import aether_pb2 as pb

__all__ = ["Desk", "Op"]

Op = pb.TaskOperation


class Desk:
    """One stream. Frames that were not waited for are kept, by kind."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self._kept: dict[str, list[Any]] = defaultdict(list)
        self._asked = 0

    async def next(self, member: str) -> Any:
        """The next frame of a kind."""
        while not self._kept[member]:
            await self._read()
        return self._kept[member].pop(0)

    async def _read(self) -> str:
        message = await self.peer.receive()
        kind = message.WhichOneof("payload")
        assert kind is not None
        self._kept[kind].append(getattr(message, kind))
        return kind

    async def settled(self, member: str) -> list[Any]:
        """Frames of a kind that are there once everything said so far has been handled."""
        request = self._id()
        self.peer.say(
            checkpoint_op=pb.CheckpointOperation(op=pb.CheckpointOperation.LIST, request_id=request),
        )
        await self.next("checkpoint")
        found, self._kept[member] = self._kept[member], []
        return found

    def _id(self) -> str:
        self._asked += 1
        return f"r{self._asked}"

    # -------------------------------------------------------------------------------------------------------- tasks

    async def create(self, **fields: Any) -> pb.CreateTaskResponse:
        """The answer to a create."""
        request = self._id()
        self.peer.say(create_task=pb.CreateTaskRequest(request_id=request, **fields))
        response: pb.CreateTaskResponse = await self.next("create_task")
        assert response.request_id == request
        return response

    async def created(self, **fields: Any) -> str:
        """The id of a new task."""
        response = await self.create(**fields)
        assert response.success, response
        return response.task_id

    async def pool(self, implementation: str = "pool", **fields: Any) -> str:
        return await self.created(assignment_mode=pb.POOL, target_implementation=implementation, **fields)

    async def operate(self, op: int, task_id: str, reason: str = "", **wait: Any) -> pb.TaskOperationResponse:
        request = self._id()
        operation = pb.TaskOperation(op=op, task_id=task_id, reason=reason, request_id=request)  # type: ignore[arg-type]
        if wait:
            operation.wait_spec.CopyFrom(pb.WaitSpec(**wait))
        self.peer.say(task_op=operation)
        response: pb.TaskOperationResponse = await self.next("task_op")
        assert response.request_id == request
        assert response.success != bool(response.error), response
        return response

    async def do(self, op: int, task_id: str, reason: str = "", **wait: Any) -> pb.TaskInfo:
        """An operation that succeeds; the task afterwards."""
        response = await self.operate(op, task_id, reason, **wait)
        assert response.success, response.error
        return response.task

    async def refused(self, op: int, task_id: str, reason: str = "", **wait: Any) -> str:
        """An operation that fails; why."""
        response = await self.operate(op, task_id, reason, **wait)
        assert not response.success
        return response.error

    async def get(self, task_id: str) -> pb.TaskInfo:
        response = await self._query(pb.TaskQuery(op=pb.TaskQuery.GET, task_id=task_id))
        assert response.success, response.error
        return response.task

    async def status(self, task_id: str) -> str:
        return pb.TaskStatus.Name((await self.get(task_id)).status).removeprefix("TASK_STATUS_")

    async def listed(self, **wanted: Any) -> list[str]:
        """Ids of the tasks of one page."""
        return [task.task_id for task in (await self.page(**wanted)).tasks]

    async def page(self, **wanted: Any) -> pb.TaskQueryResponse:
        return await self._query(pb.TaskQuery(op=pb.TaskQuery.LIST, filter=pb.TaskFilter(**wanted)))

    async def _query(self, query: pb.TaskQuery) -> pb.TaskQueryResponse:
        query.request_id = self._id()
        self.peer.say(task_query=query)
        response: pb.TaskQueryResponse = await self.next("task_query")
        assert response.request_id == query.request_id
        return response

    async def assigned(self) -> pb.TaskAssignment:
        assignment: pb.TaskAssignment = await self.next("task_assignment")
        return assignment

    async def subscribe(self, task_id: str, **fields: Any) -> pb.TaskSubscriptionOperationResponse:
        request = self._id()
        operation = pb.TaskSubscriptionOperation(
            op=pb.TaskSubscriptionOperation.SUBSCRIBE, task_id=task_id, client_request_id=request, **fields
        )
        self.peer.say(task_subscription_op=operation)
        response: pb.TaskSubscriptionOperationResponse = await self.next("task_subscription_response")
        assert response.client_request_id == request
        return response

    async def unsubscribe(self, subscription_id: str) -> pb.TaskSubscriptionOperationResponse:
        request = self._id()
        operation = pb.TaskSubscriptionOperation(
            op=pb.TaskSubscriptionOperation.UNSUBSCRIBE, subscription_id=subscription_id, client_request_id=request
        )
        self.peer.say(task_subscription_op=operation)
        response: pb.TaskSubscriptionOperationResponse = await self.next("task_subscription_response")
        assert response.client_request_id == request
        return response
