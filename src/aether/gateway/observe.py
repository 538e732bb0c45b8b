"""Counts what the gateway does, for metrics and for the answers to operators' questions.

Message counts live in the sessions' compiled ports and are collected when somebody asks or a session ends, so counting
costs the message path an addition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import trio

from aether.audit.events import Event, Recorder, actor_of
from aether.audit.trail import AuditTrail
from aether.errors import StoreUnavailable
from aether.gateway.directory import Directory
from aether.gateway.live import LiveSession
from aether.gateway.settings import Settings
from aether.identity import Identity
from aether.metrics import Metrics
from aether.sessions.queries import Check
from aether.tiers import Tier

__all__ = ["Observer"]


EXTENSIONS_RECORDED_MAX = 100
URI_CHARACTERS_MAX = 500

_CLOSED = {"client_close": "graceful_close", "admin": "admin_disconnect"}
"""Reasons of ``connection_closed`` rows (connection 15); every other end is an ``error``."""


class Observer:
    """Implements :class:`aether.sessions.queries.Vitals` and feeds :class:`aether.metrics.Metrics`."""

    def __init__(
        self,
        directory: Directory,
        settings: Settings,
        tier: Tier,
        metrics: Metrics,
        wall_clock: Callable[[], int],
        recorder: Recorder,
    ) -> None:
        self._recorder = recorder
        self._directory = directory
        self._settings = settings
        self._tier = tier
        self._metrics = metrics
        self._wall_clock = wall_clock
        self.started_at_ms = wall_clock()
        self._routed = 0
        self._routed_in: Counter[str] = Counter()
        self._sampled_at = trio.current_time()
        self._sampled = 0
        self._rate = 0.0

    @property
    def gateway_id(self) -> str:
        return self._settings.gateway_id

    @property
    def version(self) -> str:
        return self._settings.version

    def connected(self, session: LiveSession) -> None:
        lock, client = session.lock, session.claim.client
        taken = "force_takeover" if session.displaced else "initial"
        acquired = {
            "event_kind": "reconnect" if lock.resumed else taken,
            "resumed": lock.resumed,
            "forced": session.displaced and not lock.resumed,
            "reconnection_count": lock.reconnects,
            "initial_connection_unix_ms": lock.initial_ms,
            "client_sdk": client.sdk,
            "client_version": client.version,
            "server_version": self._settings.version,
        }
        asked = {"resume_session_id": session.claim.resume_session_id, "client_build_commit": client.commit}
        self._record(session, "lock_acquired", acquired | {name: text for name, text in asked.items() if text})
        self._record(session, "session_registered", {"remote_addr": session.peer.address})
        self._metrics.connected(session.claim.identity.workspace, session.identity.kind.title)

    def disconnected(self, session: LiveSession) -> None:
        detail = session.end_reason
        metadata = {"reason": _CLOSED.get(detail, "error"), "detail": detail, "remote_addr": session.peer.address}
        if session.task_id:
            metadata["associated_task_id"] = session.task_id
        self._record(session, "connection_closed", metadata)
        self._collect(session)
        duration_s = (self._wall_clock() - session.connected_at_ms) / 1000
        self._metrics.disconnected(session.claim.identity.workspace, session.identity.kind.title, duration_s)

    def negotiated(self, session: LiveSession) -> None:
        """What came of the extensions that a client declared; of very many only the first are told."""
        for item in session.claim.extensions.negotiated[:EXTENSIONS_RECORDED_MAX]:
            self._recorder.routine(
                Event(
                    kind="connection",
                    operation="extension_negotiated",
                    success=item.supported or not item.required,
                    **actor_of(session.identity),
                    resource_type="extension",
                    resource_id=item.uri[:URI_CHARACTERS_MAX],
                    workspace=session.identity.workspace,
                    session_id=session.session_id,
                    metadata={
                        "uri": item.uri[:URI_CHARACTERS_MAX],
                        "version": item.version[:URI_CHARACTERS_MAX],
                        "supported": item.supported,
                        "required": item.required,
                    },
                )
            )

    def _record(self, session: LiveSession, operation: str, metadata: dict[str, Any]) -> None:
        self._recorder.routine(
            Event(
                kind="connection",
                operation=operation,
                **actor_of(session.identity),
                resource_type="session",
                resource_id=session.session_id,
                workspace=session.identity.workspace,
                session_id=session.session_id,
                metadata=metadata,
            )
        )

    def not_authenticated(self, kind: str) -> None:
        """A connect with no or wrong credentials; whoever decided that has recorded it."""
        title = "".join(part.capitalize() for part in kind.split("_"))
        self._metrics.rejected("", title, "auth_failed")

    def rejected(self, identity: Identity, source: str, session_id: str, status: str, text: str) -> None:
        """A connect that failed; ``status`` as in ``aether_connection_attempts_total``.

        :param source: where it came from.

        :raises StoreUnavailable: the refusal cannot be recorded now.
        """
        self._recorder.record(
            Event(
                kind="connection",
                operation="lock_rejected" if status == "lock_failed" else "connection_rejected",
                success=False,
                **actor_of(identity),
                resource_type="session",
                workspace=identity.workspace,
                session_id=session_id,
                error=text,
                metadata={"status": status, "source": source},
            )
        )
        self._metrics.rejected(identity.workspace, identity.kind.title, status)

    def overtaken(self, topic: str) -> None:
        """Messages became too old before a reader that is connected came to them."""
        self._metrics.shed(topic.partition("::")[0])

    def refused(self, identity: Identity, code: str) -> None:
        """A message or report that was declined with a catalogue code."""
        self._metrics.message_error(identity.workspace, code)

    async def keep_windows(
        self, trail: AuditTrail, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Begin the windows of the audit log. The first message on each route in each of them takes the way that
        records it."""
        task_status.started()
        while True:
            await trio.sleep(trail.settings.window_s)
            trail.begin_window()
            for session in self._directory:
                session.forget_routes()

    def collect(self) -> None:
        """Bring the counters up to date; called before each scrape."""
        topics = behind = 0
        for session in self._directory:
            self._collect(session)
            more, waiting = session.topics_followed
            topics, behind = topics + more, behind + waiting
        self._metrics.followed(topics, behind)
        now = trio.current_time()
        if now - self._sampled_at >= 1.0:
            self._rate = (self._routed - self._sampled) / (now - self._sampled_at)
            self._sampled, self._sampled_at = self._routed, now

    def _collect(self, session: LiveSession) -> None:
        self._metrics.delivered(session.identity.workspace, *session.take_deliveries())
        counts, payload_bytes = session.take_counts()
        self._routed += sum(counts)
        self._metrics.routed(session.identity.workspace, counts, payload_bytes)
        if session.identity.workspace:
            self._routed_in[session.identity.workspace] += sum(counts)

    def messages_in(self, workspace: str) -> int:
        """Messages that sessions of a workspace sent since the start, collected as often as the metrics are."""
        return self._routed_in[workspace]

    def messages(self) -> tuple[int, float]:
        self.collect()
        return self._routed, self._rate

    async def checks(self) -> list[Check]:
        """Write through the store once: it works when the commit returns."""
        started = trio.current_time()
        error = ""
        try:
            with trio.fail_after(5):
                await self._tier.probe()
        except trio.TooSlowError:
            error = "store does not answer"
        except StoreUnavailable as problem:
            error = str(problem)
        return [Check("store", (trio.current_time() - started) * 1000, error)]
