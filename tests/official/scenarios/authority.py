"""Acting on behalf of others with the helpers of the asynchronous client."""

import asyncio
import json
import sys
import time

from scitrera_aether_client import (
    AsyncAgentClient,
    AsyncOrchestratorClient,
    AsyncServiceClient,
    AsyncUserClient,
    make_authority_request_routing,
)
from scitrera_aether_client.proto import aether_pb2 as pb

TARGET = sys.argv[1]
AGENT = "ag::w::i::a"


def on_behalf(grant):
    return pb.AuthorizationContext(authority_mode="on_behalf_of", subject=grant.subject, grant_id=grant.grant_id)


async def main():
    seen = {}
    keeper = AsyncOrchestratorClient("orc", ["python"], specifier="o1")
    alice = AsyncUserClient("alice", "w1")
    service = AsyncServiceClient("svc", "s")
    agent = AsyncAgentClient("w", "i", "a")
    received = asyncio.Queue()
    agent.on_message = received.put_nowait
    notices = asyncio.Queue()
    service.on_authority_grant_revocation = notices.put_nowait
    for client in (keeper, alice, service, agent):
        await client.connect(TARGET)
    await keeper.acl_grant("service", "sv::svc::s", "capability", "capability/exchange_authority_grants", 30, "me")
    await keeper.acl_grant("user", "alice", "kv_scope", "workspace", 20, "me")
    [window] = (await keeper.list_sessions(principal_type="user")).connections
    end = int(time.time()) + 600

    made = await service.exchange_authority_grant(
        source_session_id=window.session_id,
        workspace_scope=["w"],
        max_access_level=20,
        expires_at=end,
        renewable_until=end + 600,
        may_delegate=True,
        remaining_hops=2,
        reason="to help",
    )
    grant = made.grant
    seen["exchanged"] = [made.success, grant.subject.principal_id, grant.delegate.principal_id, grant.reason]
    await service.send_message_to_agent("w", "i", "a", b"for alice", authorization=on_behalf(grant))
    message = await asyncio.wait_for(received.get(), 10)
    seen["received"] = [message.payload.decode(), message.on_behalf_subject.principal_id]
    put = await service.kv_put("k", b"v", scope="workspace", workspace="w", authorization=on_behalf(grant))
    seen["kv"] = bool(put and put.success)
    seen["got"] = (await service.get_authority_grant(grant.grant_id)).grant.grant_id == grant.grant_id
    seen["renewed"] = (await service.renew_authority_grant(grant.grant_id, extend_seconds=60)).grant.expires_at - end

    child = await service.derive_authority_grant(
        grant.grant_id,
        "agent",
        AGENT,
        workspace_scope=["w"],
        max_access_level=10,
        audience_type="agent",
        audience_id=AGENT,
        expires_at=end,
        renewable_until=end,
    )
    seen["derived"] = [child.success, child.grant.parent_grant_id == grant.grant_id, child.error]
    for_target = {"audience_type": "agent", "audience_id": AGENT, "max_access_level": 10}
    reused = await service.derive_authority_grant_for_target(grant.grant_id, "agent", AGENT, **for_target)
    seen["reused"] = [reused.message, reused.grant.grant_id == child.grant.grant_id]
    seen["mine"] = [found.grant_id == child.grant.grant_id for found in (await agent.list_my_authority_grants()).grants]
    seen["on_me"] = len((await alice.list_authority_grants_on_me()).grants)
    resolved = await agent.resolve_authority(child.grant.grant_id, "user", "alice")
    seen["resolved"] = [resolved.ok, resolved.authority.grant.max_access_level]
    batch = [
        pb.AuthorityGrantExchangeRequest(max_access_level=10, expires_at=end, renewable_until=end),
        pb.AuthorityGrantExchangeRequest(expires_at=end, renewable_until=end),
    ]
    both = await alice.batch_exchange_authority_grants(batch)
    seen["batch"] = [both.success, len(both.grants), both.error.split(":")[0]]
    first, wrong, last = (
        pb.AuthorityGrantExchangeRequest(max_access_level=level, expires_at=end, renewable_until=end, reason=reason)
        for level, reason in ((10, "first"), (0, "wrong"), (20, "last"))
    )
    ordered = await alice.batch_exchange_authority_grants([first, last, first])
    stopped = await alice.batch_exchange_authority_grants([first, wrong, last], stop_on_first_error=True)
    seen["in_order"] = [[made.reason for made in answer.grants] for answer in (ordered, stopped)]

    # The cache of this version takes seconds for milliseconds and never hits; the push empties it all the same.
    cache = service.make_authority_cache()
    times = {"expires_at": end, "renewable_until": end}
    held = await cache.get_or_exchange(window.session_id, workspace_scope=["w"], max_access_level=20, **times)
    seen["cached"] = [held.subject.principal_id, cache.stats()["size"]]
    await alice.revoke_authority_grant(held.grant_id)
    await asyncio.wait_for(notices.get(), 10)
    seen["cached"] += [cache.stats()["size"], cache.is_grant_valid(held.grant_id)]

    revoked = await alice.revoke_authority_grant(grant.grant_id)
    seen["revoked"] = revoked.success
    notice = await asyncio.wait_for(notices.get(), 10)
    seen["notice"] = [notice.grant_id == grant.grant_id, notice.cascade, bool(notice.reason)]
    seen["after"] = (await agent.resolve_authority(child.grant.grant_id, "user", "alice")).ok

    # The client of this version never sees the answers to these: the gateway acts nevertheless.
    asked = await service.request_authority(
        desired_workspace_scope=["w"],
        routing_principal=pb.PrincipalRef(principal_type="user", principal_id="alice"),
        target_subject=pb.PrincipalRef(principal_type="user", principal_id="alice"),
        timeout=0.5,
    )
    routing = make_authority_request_routing(capability="capability/x")
    rows = (await keeper.audit_query(event_type="authority_request")).entries
    await alice.resolve_authority_request(rows[0].resource_id, approve=True, timeout=0.5)
    rows = (await keeper.audit_query(event_type="authority_request")).entries
    seen["asked"] = [asked is None, routing.capability, [row.operation for row in rows]]
    granted = [found for found in (await service.list_my_authority_grants()).grants if not found.revoked]
    await service.send_message_to_agent("w", "i", "a", b"approved", authorization=on_behalf(granted[0]))
    seen["approved"] = (await asyncio.wait_for(received.get(), 10)).payload.decode()
    for client in (agent, service, alice, keeper):
        await client.close()
    print(json.dumps(seen))


asyncio.run(main())
