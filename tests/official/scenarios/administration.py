"""Tokens, sessions and the audit log with the helpers of the asynchronous client, over TLS and with API keys."""

import asyncio
import json
import sys
from pathlib import Path

from scitrera_aether_client import AetherError, AsyncAdminClient, AsyncAgentClient, AsyncServiceClient, Credentials

TARGET, AUTHORITY, ADMIN_KEY = sys.argv[1:4]
TLS = {"tls_enabled": True, "tls_root_cert_path": AUTHORITY}
ONCE = {"max_retries": 1, "initial_backoff": 0.1, "auto_reconnect": False}


def agent(specifier, credentials):
    return AsyncAgentClient("prod", "worker", specifier, credentials=credentials, **ONCE, **TLS)


def api_key(text):
    return Credentials().with_api_key(text)


async def admitted(client):
    """Whether a client gets in, which it shows by an answer before it loses the connection."""
    lost = asyncio.Event()
    client.on_disconnect = lambda reason: lost.set()
    try:
        await client.connect(TARGET)
        status = client.connection_status("agent", f"ag::prod::worker::{client.specifier}", timeout=10)
        ends = [asyncio.create_task(status), asyncio.create_task(lost.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        answer = ends[0].result() if ends[0].done() else None
        for end in ends:
            end.cancel()
        return bool(answer and answer.ok)
    except AetherError:
        return False
    finally:
        await client.close()


async def main():
    seen = {}
    key = Path(ADMIN_KEY).read_text().strip()
    keeper = AsyncServiceClient("aether-admin", "console", credentials=api_key(key), **TLS)
    await keeper.connect(TARGET)
    admin = AsyncAdminClient(keeper)

    made = await keeper.create_token("worker", "Agent", workspace_patterns=["prod"], expires_in_hours=1)
    token_id = made.created_token.id
    seen["made"] = [made.success, len(made.plaintext_token), made.created_token.principal_type]
    seen["lower_case"] = (await admin.create_token("other", "agent")).created_token.principal_type
    seen["users"] = (await keeper.create_token("alice", "User")).error
    shown = await keeper.get_token(token_id)
    seen["shown"] = [shown.success, shown.token.name, shown.plaintext_token]
    seen["listed"] = [token.name for token in (await keeper.list_tokens()).tokens]
    seen["with_key"] = await admitted(agent("a", api_key(made.plaintext_token)))
    seen["wrong_key"] = await admitted(agent("b", api_key("x" * 44)))
    seen["no_key"] = await admitted(agent("c", {}))
    seen["wrong_task_token"] = await admitted(agent("d", Credentials().with_task_token("t")))

    ended = asyncio.get_running_loop().create_future()
    live = agent("live", api_key(made.plaintext_token))
    live.on_disconnect = lambda reason: ended.done() or ended.set_result(reason)
    await live.connect(TARGET)
    try:
        seen["refused"] = (await live.list_tokens()).error
    except AetherError as error:
        seen["refused"] = type(error).__name__
    sessions = await keeper.list_sessions(principal_type="agent", workspace="prod")
    seen["sessions"] = [connection.identity for connection in sessions.connections]
    found = await keeper.get_session(sessions.connections[0].session_id)
    seen["session"] = found.connection.identity
    seen["connections"] = (await admin.list_connections()).total_count
    submitted = await live.submit_audit_event("custom", "deployed", "service", "api", metadata={"db_password": "x"})
    seen["submitted"] = [submitted.success, submitted.error_code]
    seen["revoked"] = (await admin.revoke_token(token_id)).success
    seen["ended"] = await asyncio.wait_for(ended, 10)
    seen["after"] = await admitted(agent("e", api_key(made.plaintext_token)))
    seen["listed_revoked"] = [
        [token.name, token.revoked] for token in (await keeper.list_tokens(include_revoked=True)).tokens
    ]
    seen["deleted"] = (await keeper.delete_token(token_id)).success
    seen["gone"] = (await keeper.get_token(token_id)).error == f"token not found: {token_id}"

    audit = await keeper.audit_query(resource_type="api_token", limit=2)
    seen["audit"] = [audit.success, audit.total_count, [row.operation for row in audit.entries]]
    custom = await keeper.audit_query(event_type="custom")
    seen["custom"] = [custom.entries[0].actor_id, custom.entries[0].source, custom.entries[0].metadata_json]
    failures = await keeper.audit_query(event_type="auth", only_failures=True)
    seen["failures"] = sorted({row.actor_id for row in failures.entries})
    decisions = await keeper.acl_query_audit(limit=1)
    seen["decisions"] = [decisions.success, len(decisions.audit_entries)]
    seen["cleaned"] = (await keeper.acl_cleanup_audit_logs(30)).cleanup_result.deleted_count
    await live.close()
    await keeper.close()
    print(json.dumps(seen))


asyncio.run(main())
