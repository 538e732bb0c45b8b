"""Questions about tasks: one of them, or lists by pages, within what the caller may see (tasks 7)."""

from __future__ import annotations

from collections.abc import Awaitable

from aether.access import is_system
from aether.answers import Answer, Caller
from aether.errors import StoreUnavailable
from aether.identity import InvalidIdentity, principal_type
from aether.paging import page_size
from aether.proto import aether_pb2 as pb
from aether.tasks import wire
from aether.tasks.book import TaskBook
from aether.tasks.lookup import Lookup, TaskNotFound
from aether.tasks.parties import Parties
from aether.tasks.store import UPDATED_US_MAX, Filter, InvalidPageToken, page_token, read_page_token
from aether.tasks.wire import UNAVAILABLE

__all__ = ["QueryService"]


class QueryService:
    """Answers ``task_query``."""

    def __init__(self, book: TaskBook, parties: Parties) -> None:
        self._book = book
        self._parties = parties
        self._lookup = Lookup(book, parties)

    def query(self, caller: Caller, query: pb.TaskQuery) -> Answer | Awaitable[Answer]:
        """GET and LIST."""
        response = pb.TaskQueryResponse(request_id=query.request_id)
        try:
            match query.op:
                case pb.TaskQuery.GET:
                    response.task.CopyFrom(wire.task_info(self._lookup.find(caller, query.task_id)))
                    response.success = True
                    return Answer((wire.query_frame(response),), self._book.ticket)
                case pb.TaskQuery.LIST:
                    return self._list(caller, query.filter, response)
            response.error = "unknown task query operation"
        except TaskNotFound as error:
            response.error = str(error)
        except StoreUnavailable:
            response.error = UNAVAILABLE
        return Answer((wire.query_frame(response),))

    async def _list(self, caller: Caller, wanted: pb.TaskFilter, response: pb.TaskQueryResponse) -> Answer:
        limit = page_size(wanted.limit)
        try:
            after = read_page_token(wanted.page_token) if wanted.page_token else None
            offset = max(0, wanted.offset) if after is None else 0
            filter_ = await self._filter(caller, wanted)
            named = any(wanted.statuses or [wanted.status])
            is_of_any = bool(filter_.statuses) or not named  # a status of a later version selects nothing
            tasks = await self._book.store.query(filter_, limit, offset, after) if is_of_any else []
        except InvalidPageToken as error:
            response.error = f"invalid page_token: {error}"
        except StoreUnavailable:
            response.error = UNAVAILABLE
        else:
            response.tasks.extend(wire.task_info(task) for task in tasks)
            response.total_count = len(tasks)
            if len(tasks) == limit:
                response.next_page_token = page_token((tasks[-1].updated_us, tasks[-1].task_id))
            response.success = True
        return Answer((wire.query_frame(response),))

    async def _filter(self, caller: Caller, wanted: pb.TaskFilter) -> Filter:
        """What is asked for, within what the caller may see."""
        equal: dict[str, str | int] = {
            "task_type": wanted.task_type,
            "subject_type": _label(wanted.subject_type),
            "subject_id": wanted.subject_id,
            "authority_mode": wanted.authority_mode,
            "grant_id": wanted.authority_grant_id,
            "root_grant_id": wanted.root_authority_grant_id,
            "task_class": wanted.task_class,
            "context_id": wanted.context_id,
            "creator": wanted.creator_actor.principal_id,
            "priority": wanted.priority,
            "correlation_id": wanted.correlation_id,
            "root_task_id": wanted.root_task_id,
        }
        workspace = wanted.workspace or caller.identity.workspace
        workspaces, own = await self._visible(caller, workspace)
        if own:
            equal["workspace"] = workspace
        return Filter(
            workspaces=workspaces,
            party=self._parties.party(caller) if own else None,
            statuses=wire.statuses(wanted.statuses or [wanted.status]),
            exclude_statuses=wire.statuses(wanted.exclude_statuses),
            equal={name: value for name, value in equal.items() if value},
            exclude_classes=frozenset(wanted.exclude_task_classes),
            min_priority=wanted.min_priority,
            changed_since_ms=min(max(0, wanted.status_timestamp_after_unix_ms), UPDATED_US_MAX // 1000),
            parent_task_id=wanted.parent_task_id,
            descendants=wanted.include_descendants,
        )

    async def _visible(self, caller: Caller, workspace: str) -> tuple[frozenset[str] | None, bool]:
        """Workspaces whose tasks are shown (None: all), and whether besides them only the caller's own are."""
        if workspace:
            if self._parties.may_read(caller, workspace):
                return frozenset([workspace]), False
            return frozenset(), True
        if is_system(caller):
            return None, False
        names = await self._book.store.workspaces()
        return frozenset(name for name in names if self._parties.may_read(caller, name)), True


def _label(type_name: str) -> str:
    """As the types of subjects are stored."""
    try:
        return principal_type(type_name).label
    except InvalidIdentity:
        return type_name.strip()  # none, or one that no task has
