"""Access decisions as features ask for them: in a caller's own right or under a grant, and recorded (acl 5, 6, 9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from aether.access import Decision, DirectRights, InvalidAuthority, Level, Rights, barred_from, is_direct
from aether.acl.engine import Explanation, RuleEngine
from aether.acl.model import level_name
from aether.acl.patterns import is_pattern
from aether.answers import Caller
from aether.audit.events import Event, Lineage, Recorder, actor_of, grant_of
from aether.identity import Identity, InvalidIdentity
from aether.identity import principal_type as read_type
from aether.proto import aether_pb2 as pb

__all__ = ["AccessControl", "Grant", "GrantBook"]


class Grant(Protocol):
    """An authority that was resolved for a caller (acl 10.1)."""

    @property
    def subject_type(self) -> str: ...

    @property
    def subject_id(self) -> str: ...

    @property
    def max_access_level(self) -> int: ...

    def lineage(self) -> Lineage: ...

    def permits(self, resource_type: str, resource_id: str, level: int, operation: str, workspace: str) -> str:
        """Empty, or why the grant does not reach that far (acl 9.4)."""


class GrantBook(Protocol):
    """Where grants come from."""

    def resolve(self, caller: Caller, subject_type: str, subject_id: str, grant_id: str) -> Grant:
        """The live grant that ``caller`` may use for ``subject``.

        :raises InvalidAuthority: with the text of acl 9.2.
        """


class AccessControl:
    """Implements :class:`aether.access.Access` with a rule engine. Every refusal is recorded before it is answered."""

    configured = True

    def __init__(self, engine: RuleEngine, recorder: Recorder) -> None:
        self.engine = engine
        self.grants: GrantBook | None = None
        self._recorder = recorder

    def check(
        self,
        principal: Identity,
        resource_type: str,
        resource_id: str,
        level: Level,
        operation: str,
        workspace: str,
        *,
        tentative: bool = False,
        barred: str = "",
        session_id: str = "",
    ) -> Decision:
        """See :meth:`aether.access.Access.check`."""
        if barred:
            decision = Decision(False, barred, by_rule=True)
        else:
            decision = self.decide(
                principal.kind.label, principal.canonical_id, resource_type, resource_id, level, workspace
            )
        if decision.allowed or not tentative:
            self.tell(principal, session_id, decision, resource_type, resource_id, operation, workspace, None)
        return decision

    def rights(self, caller: Caller, context: pb.AuthorizationContext | None = None) -> Rights:
        """See :meth:`aether.access.Access.rights`."""
        if context is None or is_direct(context):
            return DirectRights(self, caller)
        return GrantedRights(self, caller, self._resolve(caller, context))

    def decide(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int, workspace: str
    ) -> Decision:
        """The bare decision, unrecorded.

        The umbrella ``admin/*`` comes before the narrow resource; a capability may be held for one workspace, as
        ``capability/{name}/{workspace}``, which then decides (weakness 29).
        """
        evaluate = self.engine.evaluate
        if resource_type == "admin" and resource_id != "admin/*":
            decision = evaluate(principal_type, principal_id, "admin", "admin/*", level)
            if decision.allowed:
                return decision
        elif resource_type == "capability" and workspace:
            decision = evaluate(principal_type, principal_id, "capability", f"{resource_id}/{workspace}", level)
            if decision.by_rule:
                return decision
        return evaluate(principal_type, principal_id, resource_type, resource_id, level)

    def explain(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int
    ) -> Explanation:
        """What :meth:`decide` decides and why, with the rules for every resource that it asks for."""
        names = [resource_id]
        if resource_type == "admin" and resource_id != "admin/*":
            names = ["admin/*", resource_id]
        elif resource_type == "capability" and resource_id.count("/") > 1:
            names = [resource_id, "/".join(resource_id.split("/")[:2])]
        found = [self.engine.explain(principal_type, principal_id, resource_type, name, level) for name in names]
        first, last = found[0], found[-1]
        decides_alone = first.decision.allowed or (first.decision.by_rule and resource_id.count("/") == 2)
        decisive = first if decides_alone else last
        contributions = dict.fromkeys(item for explanation in found for item in explanation.contributions)
        return replace(decisive, contributions=tuple(contributions))

    def holds_throughout(
        self, principal_type: str, principal_id: str, resource_type: str, resource_id: str, level: int, workspace: str
    ) -> bool:
        """As :meth:`decide`, also for a pattern of resources: whether it is yes for whatever that stands for."""
        if not is_pattern(resource_id):
            return self.decide(principal_type, principal_id, resource_type, resource_id, level, workspace).allowed
        if resource_type == "admin":  # one level for all of it, whatever else there is
            return self.engine.evaluate(principal_type, principal_id, "admin", "admin/*", level).allowed
        return self.engine.holds_throughout(principal_type, principal_id, resource_type, resource_id, level)

    def _resolve(self, caller: Caller, context: pb.AuthorizationContext) -> Grant:
        mode = context.authority_mode.strip()
        if mode in ("", "direct"):
            raise InvalidAuthority("direct authorization context must not include subject or grant")
        if mode != "on_behalf_of":
            raise InvalidAuthority(f'unsupported authority mode "{mode}"')
        if not context.HasField("subject"):
            raise InvalidAuthority("on-behalf-of authorization requires subject")
        if not context.grant_id.strip():
            raise InvalidAuthority("on-behalf-of authorization requires grant_id")
        try:
            kind = read_type(context.subject.principal_type)
        except InvalidIdentity as error:
            raise InvalidAuthority(str(error)) from None
        if not context.subject.principal_id.strip():
            raise InvalidAuthority("principal_id is required")
        if self.grants is None:
            raise InvalidAuthority("authority grants require ACL service")
        return self.grants.resolve(caller, kind.label, context.subject.principal_id.strip(), context.grant_id.strip())

    # --------------------------------------------------------------------------------------------------- audit

    def tell(
        self,
        principal: Identity,
        session_id: str,
        decision: Decision,
        resource_type: str,
        resource_id: str,
        operation: str,
        workspace: str,
        lineage: Lineage | None,
    ) -> None:
        """Record a decision: a refusal for good, a success once per window.

        :raises StoreUnavailable: a refusal that cannot be recorded.
        """
        if decision.allowed and self._recorder.repeats(
            "authorization", principal.key, resource_type, resource_id, operation, grant_of(lineage)
        ):
            return
        event = Event(
            kind="authorization",
            operation=operation,
            success=decision.allowed,
            **actor_of(principal),
            resource_type=resource_type,
            resource_id=resource_id,
            workspace=workspace,
            session_id=session_id,
            error="" if decision.allowed else "access denied",
            metadata=describe(decision),
            lineage=lineage,
        )
        if decision.allowed:
            self._recorder.routine(event)
        else:
            self._recorder.record(event)


def describe(decision: Decision) -> Mapping[str, Any]:
    """Metadata of a decision's row (acl 15.2, weakness 49)."""
    return {
        "decision": "ALLOW" if decision.allowed else "DENY",
        "access_level": level_name(decision.level),
        "level": decision.level,
        "fallback_applied": not decision.by_rule,
        "rule_id": decision.rule_id,
        "reason": decision.reason,
    }


class GrantedRights:
    """A caller on behalf of another (acl 9.4)."""

    def __init__(self, control: AccessControl, caller: Caller, grant: Grant) -> None:
        self._control = control
        self._caller = caller
        self.grant = grant
        self.lineage: Lineage | None = grant.lineage()

    def permits(self, resource_type: str, resource_id: str, level: Level, operation: str, workspace: str) -> bool:
        return not self.grant.permits(resource_type, resource_id, level, operation, workspace)

    def check(
        self,
        resource_type: str,
        resource_id: str,
        level: Level,
        operation: str,
        workspace: str,
        *,
        direct: bool = False,
        tentative: bool = False,
    ) -> Decision:
        control, caller, grant = self._control, self._caller, self.grant
        if direct:
            return control.check(
                caller.identity,
                resource_type,
                resource_id,
                level,
                operation,
                workspace,
                tentative=tentative,
                barred=barred_from(caller, workspace, resource_type),
                session_id=caller.session_id,
            )
        reason = barred_from(caller, workspace, resource_type)
        if reason := reason or grant.permits(resource_type, resource_id, level, operation, workspace):
            decision = Decision(False, reason, by_rule=True)
        else:
            held = control.decide(grant.subject_type, grant.subject_id, resource_type, resource_id, level, workspace)
            capped = min(held.level, grant.max_access_level)
            decision = Decision(held.allowed, held.reason, held.by_rule, capped, held.rule_id)
        if decision.allowed or not tentative:
            control.tell(
                caller.identity,
                caller.session_id,
                decision,
                resource_type,
                resource_id,
                operation,
                workspace,
                self.lineage,
            )
        return decision
