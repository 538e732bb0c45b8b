"""Progress reports on their way to those they are for (routing 7)."""

from __future__ import annotations

from collections.abc import Callable

from aether._fastpath import Port
from aether.access import Access, Level
from aether.answers import Caller, down
from aether.audit.events import Event, Recorder, actor_of
from aether.errors import Code, Refusal
from aether.messaging.log import Topics
from aether.messaging.permissions import rule_for_user
from aether.messaging.progress import build_update, check_report, progress_topic
from aether.proto import aether_pb2 as pb

__all__ = ["Reports"]


class Reports:
    """Decides and publishes.

    :param task_workspace: the workspace of a task that a reporter has a part in; empty for any other.
    :param wall_clock: current Unix time in milliseconds.
    """

    def __init__(
        self,
        log: Topics,
        access: Access,
        recorder: Recorder,
        task_workspace: Callable[[Caller, str], str],
        wall_clock: Callable[[], int],
    ) -> None:
        self._log = log
        self._access = access
        self._recorder = recorder
        self._task_workspace = task_workspace
        self._wall_clock = wall_clock

    def publish(self, port: Port, caller: Caller, report: pb.ProgressReport) -> None:
        """Publish a progress report to those it is for (routing 7.1).

        :raises Refusal: wrong principal type, too large, rate limited, a recipient that nobody can be, or a workspace
            the reporter may not write to.
        """
        identity = caller.identity
        check_report(identity, report)
        if port.bucket is not None and not port.bucket.take(port.clock()):
            raise Refusal(
                Code.RATE_LIMITED,
                "progress report rate limit exceeded",
                retryable=True,
                retry_after_ms=port.bucket.wait_ms(),
            )
        workspace = identity.workspace or (self._task_workspace(caller, report.task_id) if report.task_id else "")
        topic = progress_topic(workspace, report.recipient)
        rights, user = self._access.rights(caller), topic.removeprefix("pg::us::")
        question = ("workspace", workspace, Level.READWRITE, "progress_report", workspace)
        if (identity.workspace and not rights.check(*question).allowed) or (
            user != topic and rule_for_user(rights, user, "progress_report", workspace) is False
        ):
            raise Refusal(Code.PERMISSION_DENIED, "not authorized to report progress")
        update = build_update(identity, report, workspace=workspace, now_ms=self._wall_clock())
        port.published = True
        self._log.topic(topic).publish(down(pb.DownstreamMessage(progress_update=update)))
        if not self._recorder.repeats("message", identity.key, "topic", topic, "progress_reported"):
            self._recorder.routine(
                Event(
                    kind="message",
                    operation="progress_reported",
                    **actor_of(identity),
                    resource_type="topic",
                    resource_id=topic,
                    workspace=workspace,
                    session_id=caller.session_id,
                )
            )
