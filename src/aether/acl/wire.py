"""Frames of the access rules (acl 8.1). Times on the wire are Unix seconds, 0 is unset."""

from __future__ import annotations

from aether.acl.engine import Explanation
from aether.acl.model import Edge, Fallback, Group, Rule, level_name, subject
from aether.answers import down
from aether.proto import aether_pb2 as pb

__all__ = ["edge_info", "explanation_info", "fallback_info", "group_info", "response_frame", "rule_info"]


def response_frame(response: pb.ACLResponse) -> bytes:
    return down(pb.DownstreamMessage(acl=response))


def rule_info(rule: Rule) -> pb.ACLRuleInfo:
    return pb.ACLRuleInfo(
        rule_id=rule.rule_id,
        principal_type=rule.principal_type,
        principal_id=rule.principal_id,
        resource_type=rule.resource_type,
        resource_id=rule.resource_id,
        access_level=rule.level,
        access_level_name=level_name(rule.level),
        granted_by=rule.granted_by,
        granted_at=rule.granted_ms // 1000,
        expires_at=rule.expires_ms // 1000,
        reason=rule.reason,
    )


def fallback_info(policy: Fallback) -> pb.ACLFallbackPolicyInfo:
    return pb.ACLFallbackPolicyInfo(
        policy_id=policy.policy_id,
        rule_category=policy.category,
        fallback_access_level=policy.level,
        fallback_access_level_name=level_name(policy.level),
        updated_by=policy.updated_by,
        updated_at=policy.updated_ms // 1000,
    )


def group_info(group: Group) -> pb.ACLGroupInfo | pb.ACLRoleInfo:
    """A group or a role, whichever it is."""
    common = {
        "description": group.description,
        "created_by": group.created_by,
        "created_at": group.created_ms // 1000,
        "metadata": group.metadata,
    }
    if group.kind == "group":
        return pb.ACLGroupInfo(group_id=group.id, group_name=group.name, **common)  # type: ignore[arg-type]
    return pb.ACLRoleInfo(role_id=group.id, role_name=group.name, **common)  # type: ignore[arg-type]


def edge_info(edge: Edge) -> pb.ACLGroupMemberInfo | pb.ACLRoleAssignmentInfo:
    """A membership or an assignment, whichever it is."""
    common = {
        "granted_by": edge.granted_by,
        "granted_at": edge.granted_ms // 1000,
        "expires_at": edge.expires_ms // 1000,
    }
    if edge.kind == "group":
        return pb.ACLGroupMemberInfo(
            group_name=edge.name,
            member_type=edge.member_type,
            member_id=edge.member_id,
            **common,  # type: ignore[arg-type]
        )
    return pb.ACLRoleAssignmentInfo(
        role_name=edge.name,
        assignee_type=edge.member_type,
        assignee_id=edge.member_id,
        **common,  # type: ignore[arg-type]
    )


def explanation_info(principal: str, explanation: Explanation) -> pb.ACLAccessExplanationInfo:
    decision = explanation.decision
    return pb.ACLAccessExplanationInfo(
        principal=principal,
        subjects=explanation.subjects,
        contributions=[
            pb.ACLAccessContributionInfo(
                subject=found.subject,
                rule_id=found.rule.rule_id,
                access_level=found.rule.level,
                resource=subject(found.rule.resource_type, found.rule.resource_id),
                expired=found.expired,
            )
            for found in explanation.contributions
        ],
        allowed=decision.allowed,
        decision="ALLOW" if decision.allowed else "DENY",
        effective_access_level=decision.level,
        fallback_applied=explanation.fallback_applied,
        reason=decision.reason,
    )
