"""Operations on rules and fallback policies (acl 8.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from aether.acl.calls import Call, find_rule, key_of, names_rule, principal_of, refused, stamp
from aether.acl.control import AccessControl
from aether.acl.model import Fallback, InvalidRule, Rule, canonical_resource, subject
from aether.acl.wire import explanation_info, fallback_info, rule_info
from aether.answers import fit, unix_ms
from aether.audit.events import Event, actor_of
from aether.paging import part
from aether.proto import aether_pb2 as pb

__all__ = ["RuleOperations"]

Op = pb.ACLOperation


class RuleOperations:
    """What each operation does; who may was asked before."""

    def __init__(self, control: AccessControl) -> None:
        self._control = control
        self._engine = control.engine
        self.handlers: Mapping[int, Callable[[Call], None]] = {
            Op.LIST_RULES: self._list_rules,
            Op.GET_RULE: self._get_rule,
            Op.GRANT: self._grant,
            Op.REVOKE: self._revoke,
            Op.EXPLAIN_ACCESS: self._explain,
            Op.GET_FALLBACK_POLICY: self._get_fallback,
            Op.SET_FALLBACK_POLICY: self._set_fallback,
            Op.CLEANUP_EXPIRED: self._cleanup_expired,
        }

    def _list_rules(self, call: Call) -> None:
        wanted = call.operation.rule_filter
        resource_type, resource_id = canonical_resource(wanted.resource_type, wanted.resource_id)
        conditions = {
            "principal_type": wanted.principal_type,
            "principal_id": wanted.principal_id,
            "resource_type": resource_type,
            "resource_id": resource_id,
        }
        asked = [(name, value) for name, value in conditions.items() if value]
        rules = self._engine.rules(lambda rule: all(getattr(rule, name) == value for name, value in asked))
        call.response.total_rules = len(rules)
        call.response.rules.extend(fit(rule_info(rule) for rule in part(rules, wanted.limit, wanted.offset)))

    def _get_rule(self, call: Call) -> None:
        rule = find_rule(self._engine, call.operation)
        if rule is None:
            raise refused("failed to get ACL rule: ACL rule not found")
        call.response.rule.CopyFrom(rule_info(rule))

    def _grant(self, call: Call) -> None:
        if not call.operation.HasField("grant_request"):
            raise refused("grant_request required for GRANT")
        request = call.operation.grant_request
        before = self._engine.rule_for(*key_of(request))

        def record(rule: Rule) -> None:
            changed = {"before": _shown(before), "after": _shown(rule)}
            call.record("acl_rule_granted", rule.resource_type, rule.resource_id, **changed)

        try:
            rule = self._engine.grant(
                Rule(
                    rule_id="",
                    principal_type=request.principal_type,
                    principal_id=request.principal_id,
                    resource_type=request.resource_type,
                    resource_id=request.resource_id,
                    level=request.access_level,
                    granted_by=stamp(call.caller),
                    expires_ms=unix_ms(request.expires_at),
                    reason=request.reason,
                ),
                record,
            )
        except InvalidRule as error:
            raise refused(f"failed to grant ACL access: {error}") from None
        call.response.rule.CopyFrom(rule_info(rule))
        call.response.message = "ACL access granted"

    def _revoke(self, call: Call) -> None:
        rule = find_rule(self._engine, call.operation)
        if rule is None:
            by_id = call.operation.rule_id and not names_rule(call.operation.rule_filter)
            text = f'ACL rule not found for rule_id "{call.operation.rule_id}": ' if by_id else ""
            raise refused(text + "ACL rule not found")
        call.record("acl_rule_revoked", rule.resource_type, rule.resource_id, before=_shown(rule))
        self._engine.revoke(rule)
        call.response.message = "ACL access revoked"

    def _explain(self, call: Call) -> None:
        principal_type, principal_id = principal_of(call.operation)
        operation = call.operation
        explanation = self._control.explain(
            principal_type, principal_id, operation.resource_type, operation.resource_id, operation.required_level
        )
        who = subject(principal_type, principal_id)
        call.response.explanation.CopyFrom(explanation_info(who, explanation))
        call.recorder.routine(
            Event(
                kind="authorization",
                operation="explain_access",
                **actor_of(call.caller.identity),
                resource_type=operation.resource_type,
                resource_id=operation.resource_id,
                workspace=call.caller.identity.workspace,
                session_id=call.caller.session_id,
                metadata={"principal": who, "required_level": operation.required_level},
                lineage=call.rights.lineage,
            )
        )

    def _get_fallback(self, call: Call) -> None:
        try:
            policy = self._engine.fallback(call.operation.rule_category)
        except InvalidRule as error:
            raise refused(f"failed to get fallback policy: {error}") from None
        call.response.fallback_policy.CopyFrom(fallback_info(policy))

    def _set_fallback(self, call: Call) -> None:
        if not call.operation.HasField("fallback_request"):
            raise refused("fallback_request required for SET_FALLBACK_POLICY")
        request = call.operation.fallback_request

        def record(policy: Fallback) -> None:
            call.record("acl_fallback_set", "fallback_policy", policy.category, after={"level": policy.level})

        try:
            policy = self._engine.set_fallback(
                request.rule_category, request.fallback_access_level, stamp(call.caller), record
            )
        except InvalidRule as error:
            raise refused(f"failed to set fallback policy: {error}") from None
        call.response.fallback_policy.CopyFrom(fallback_info(policy))
        call.response.message = "fallback policy updated successfully"

    def _cleanup_expired(self, call: Call) -> None:
        count = self._engine.remove_expired(lambda count: call.record("acl_cleanup_expired", "acl", "", count=count))
        call.response.cleanup_result.deleted_count = count
        call.response.cleanup_result.message = "expired rules and memberships removed"


def _shown(rule: Rule | None) -> dict[str, Any] | None:
    return None if rule is None else asdict(rule)
