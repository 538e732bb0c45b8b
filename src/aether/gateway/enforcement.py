"""What a change of access rules does to sessions that are already connected (weakness 11, acl 5.4).

Routes that sessions were allowed to keep are forgotten at once, so the next message is decided anew. Sessions whose
principal may no longer read its workspace are ended, since their subscriptions would go on showing it, and so are
subscriptions to tasks that a session may no longer operate on; that walk is done in the background, a few at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from aether.access import Access
from aether.errors import StoreUnavailable
from aether.gateway.directory import Directory
from aether.gateway.live import LiveSession
from aether.gateway.membership import may_be_connected
from aether.gateway.reasons import CloseReason

__all__ = ["Enforcement"]

log = structlog.get_logger("aether.gateway")

SESSIONS_AT_ONCE = 100
RETRY_S = 1.0


class Enforcement:
    """Follows the rules for the sessions of this gateway; :meth:`on_change` is a listener of the rule engine.

    :ivar reviews: what else ends when it is no longer allowed; called after each change.
    """

    def __init__(self, directory: Directory, access: Access) -> None:
        self.reviews: list[Callable[[], Awaitable[None]]] = []
        self._directory = directory
        self._access = access
        self._changed = trio.Event()

    def on_change(self) -> None:
        """Rules changed, or one expired."""
        for session in self._directory:
            session.forget_routes()
        self._changed.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """After each change, end the sessions that lost their workspace; for ever."""
        task_status.started()
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            try:
                await self._review()
                for review in self.reviews:
                    await review()
            except StoreUnavailable:  # it cannot be decided now
                self._changed.set()
                await trio.sleep(RETRY_S)

    async def _review(self) -> None:
        for number, session in enumerate(self._directory, start=1):
            if not may_be_connected(session.identity, session.session_id, self._access, tentative=True).allowed:
                session.end(CloseReason.ACCESS_LOST)
                self._record(session)
            if number % SESSIONS_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    def _record(self, session: LiveSession) -> None:
        """The row of the refusal. A log that takes nothing does not keep the session alive: showing it no more is the
        safe side, unlike refusing what was asked for."""
        try:
            may_be_connected(session.identity, session.session_id, self._access)
        except StoreUnavailable:
            log.warning("end of access not recorded", identity=session.lock_key)
