"""Tokens and the audit log with the helpers of the synchronous client, over TLS and with API keys."""

import json
import sys
import threading
from pathlib import Path

from scitrera_aether_client import AdminClient, AgentClient, Credentials, ServiceClient

TARGET, AUTHORITY, ADMIN_KEY = sys.argv[1:4]
TLS = {"tls_enabled": True, "tls_root_cert_path": AUTHORITY}

seen = {}
key = Path(ADMIN_KEY).read_text().strip()
keeper = ServiceClient("aether-admin", "console", credentials=Credentials().with_api_key(key), **TLS)
keeper.connect(TARGET)
admin = AdminClient(keeper)
made = keeper.create_token("worker", "Agent", workspace_patterns=["prod"])
token_id = made.created_token.id
seen["made"] = [made.success, len(made.plaintext_token)]
seen["shown"] = [keeper.get_token(token_id).token.name, len(keeper.list_tokens().tokens)]
seen["listed"] = [token.name for token in admin.list_tokens().tokens]
ended = threading.Event()
live = AgentClient("prod", "worker", "live", credentials=Credentials().with_api_key(made.plaintext_token), **TLS)
live.on_disconnect = lambda reason: ended.set()
live.connect(TARGET)
submitted = live.submit_audit_event("custom", "deployed", "service", "api")
seen["submitted"] = submitted.success
seen["revoked"] = admin.revoke_token(token_id).success
seen["ended"] = ended.wait(10)
seen["deleted"] = keeper.delete_token(token_id).success
seen["decisions"] = keeper.acl_query_audit(limit=1).success
seen["cleaned"] = keeper.acl_cleanup_audit_logs(30).cleanup_result.deleted_count
live.close()
keeper.close()
print(json.dumps(seen))
