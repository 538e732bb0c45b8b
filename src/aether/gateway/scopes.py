"""Which operations a credential is for (weakness 9)."""

from __future__ import annotations

from collections.abc import Collection

from aether.answers import Caller
from aether.audit.events import Event, Recorder, actor_of
from aether.errors import Code, Refusal

__all__ = ["check_scope"]

SCOPES = {
    "init": "send",
    "send": "send",
    "progress": "send",
    "switch_workspace": "send",
    "kv_op": "kv",
    "checkpoint_op": "kv",
    "create_task": "task",
    "task_op": "task",
    "task_query": "task",
    "task_subscription_op": "task",
    "proxy_http_request": "send",
    "proxy_http_body_chunk": "send",
    "proxy_http_response": "send",
    "tunnel_open": "send",
    "tunnel_data": "send",
    "tunnel_ack": "send",
    "tunnel_close": "send",
    "access_check": "",
    "batch_access_check": "",
    "connection_status_request": "",
}
"""What a restricted credential has to be for; nothing for questions about oneself, ``admin`` for all not named here."""


def check_scope(caller: Caller, kind: str, scopes: Collection[str], recorder: Recorder) -> None:
    """Refuse an operation that is in none of the scopes of the caller's credential.

    :raises Refusal: it is in none.
    :raises StoreUnavailable: nor can that be recorded.
    """
    needed = SCOPES.get(kind, "admin")
    if not needed or needed in scopes:
        return
    text = "the API key of this connection is not for such operations"
    recorder.record(
        Event(
            kind="authorization",
            operation=kind,
            success=False,
            **actor_of(caller.identity),
            resource_type="operation",
            resource_id=kind,
            workspace=caller.identity.workspace,
            session_id=caller.session_id,
            error="access denied",
            metadata={"decision": "DENY", "reason": text},
        )
    )
    raise Refusal(Code.PERMISSION_DENIED, text)
