"""What is probably a mistake in a rule: the gateway takes any names, since applications have resources of their own,
and a rule that never matches says nothing."""

from __future__ import annotations

from collections.abc import Iterator

from aether.acl.model import MEMBER_TYPES, is_glob, wildcard_of
from aether.identity import InvalidIdentity, PrincipalType, parse_identity
from aether.kv.store import Scope

__all__ = ["advise", "advise_category"]

ADMIN = ("admin/acl", "admin/tokens", "admin/workspaces", "admin/agents", "admin/sessions", "admin/audit", "admin/*")
ASKED_FOR = ("workspace", "kv_scope", "kv_key", "kv_user", "service_impl", "admin", "capability")
"""Types of resources that the gateway itself asks for."""
BEYOND_TYPES = ("global_read", "orchestrator_system")


def advise(subject: tuple[str, str], resource: tuple[str, str]) -> Iterator[str]:
    """Remarks on a rule of a subject on a resource."""
    yield from _advise_subject(*subject)
    yield from _advise_resource(*resource)


def advise_category(category: str) -> Iterator[str]:
    """Remarks on a category of a fallback policy."""
    if category in BEYOND_TYPES:
        return
    kinds = [kind for kind in PrincipalType if category.startswith(f"{kind.label}_")]
    if not kinds:
        yield "a category is {type of principal}_{type of resource}, such as user_workspace"
    elif category.removeprefix(f"{kinds[0].label}_") not in (*ASKED_FOR, "agent"):
        yield _of_applications(category.removeprefix(f"{kinds[0].label}_"))


def _advise_subject(kind: str, name: str) -> Iterator[str]:
    if kind == "wildcard":
        known = [wildcard for member in PrincipalType if (wildcard := wildcard_of(member.label).partition(":")[2])]
        if name not in known:
            yield f"nobody is {name}; there are {', '.join(known)}"
    elif kind in MEMBER_TYPES - {"group"} and not is_glob(name):
        try:
            identity = parse_identity(name)
        except InvalidIdentity:
            if kind != "user":
                yield f"{name} is no identity of type {kind}, such as {_EXAMPLES[kind]}"
            return
        if identity.kind.label != kind:
            yield f"{name} is an identity of type {identity.kind.label}"
        elif kind == "user":
            yield f"users are named without a window: user:{identity.id}"


_EXAMPLES = {
    "agent": "ag::prod::worker::1",
    "task": "tu::prod::worker::1",
    "orchestrator": "orc::local::1",
    "workflow_engine": "wfe::shard0",
    "metrics_bridge": "metrics::shard0",
    "bridge": "br::mail::1",
    "service": "sv::search::1",
}


def _advise_resource(kind: str, name: str) -> Iterator[str]:
    if kind == "admin" and name != "*" and name not in ADMIN:
        yield f"administration is one of {', '.join(f'admin:{known}' for known in ADMIN)}"
    elif kind == "capability" and name != "*" and not name.startswith("capability/"):
        yield f"capabilities are named capability:capability/{name}"
    elif kind == "kv_scope" and not is_glob(name) and name not in [scope.label for scope in Scope]:
        yield f"scopes are {', '.join(scope.label for scope in Scope)}"
    elif kind not in ASKED_FOR:
        yield _of_applications(kind)


def _of_applications(kind: str) -> str:
    return f"the gateway itself asks for no {kind}, only applications may; it asks for {', '.join(ASKED_FOR)}"
