"""Acting on behalf of others with the helpers of the synchronous client."""

import json
import sys
import time

from scitrera_aether_client import UserClient

TARGET = sys.argv[1]

seen = {}
alice = UserClient("alice", "w1")
alice.connect(TARGET)
end = int(time.time()) + 600
made = alice.exchange_authority_grant(
    max_access_level=20,
    expires_at=end,
    renewable_until=end + 600,
    may_delegate=True,
    remaining_hops=1,
    audience_type="session",
)
grant_id = made.grant.grant_id
seen["exchanged"] = [made.success, made.grant.subject.principal_id]
seen["got"] = alice.get_authority_grant(grant_id).grant.grant_id == grant_id
seen["renewed"] = alice.renew_authority_grant(grant_id, end + 60).grant.expires_at - end
child = alice.derive_authority_grant(
    grant_id,
    "service",
    "sv::svc::s",
    max_access_level=10,
    audience_type="service",
    audience_id="sv::svc::s",
    expires_at=end,
    renewable_until=end,
)
seen["derived"] = [child.success, child.grant.delegate.principal_id]
seen["revoked"] = alice.revoke_authority_grant(grant_id).success
seen["after"] = alice.get_authority_grant(child.grant.grant_id).grant.revoked
alice.close()
print(json.dumps(seen))
