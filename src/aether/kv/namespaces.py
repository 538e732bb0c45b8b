"""Where values are: whose, for which user, in which workspace (kv 3.1, 4.3)."""

from __future__ import annotations

import functools

from aether.errors import Code, Refusal
from aether.identity import Identity
from aether.kv.store import Namespace, Scope
from aether.kv.wire import INVALID_ARGUMENT

__all__ = ["EXCLUSIVE", "WITH_USER", "WITH_WORKSPACE", "check_names", "namespace_of", "owner_of", "shown"]

NAME_CHARACTERS_MAX = 256
"""Longest ``user_id`` and ``workspace``; twice what an identity may contain."""

WITH_WORKSPACE = frozenset(
    {Scope.WORKSPACE, Scope.USER_WORKSPACE, Scope.WORKSPACE_EXCLUSIVE, Scope.USER_WORKSPACE_SHARED}
)
WITH_USER = frozenset({Scope.USER, Scope.USER_WORKSPACE, Scope.USER_SHARED, Scope.USER_WORKSPACE_SHARED})
EXCLUSIVE = frozenset(scope for scope in Scope if scope.is_exclusive)


def owner_of(identity: Identity, *, by_identity: bool) -> tuple[str, str]:
    """Implementation and specifier that own an exclusive scope; empty without both (kv 3.1).

    By identity the first is the whole identity string, which no implementation can be (weakness 20).
    """
    if not identity.implementation or not identity.specifier:
        return "", ""
    return (identity.key if by_identity else identity.implementation), identity.specifier


@functools.lru_cache(maxsize=4096)
def namespace_of(scope: Scope, implementation: str, specifier: str, user: str, workspace: str) -> Namespace:
    """The namespace of a scope for an owner, a user and a workspace (kv 3.1, 4.3).

    :raises Refusal: something the scope needs is missing or overlong.
    """
    if scope not in WITH_WORKSPACE:
        workspace = ""
    elif not workspace:
        raise Refusal(Code.KV_ERROR, f"scope {scope.label} needs a workspace")
    if scope not in WITH_USER:
        user = ""
    elif not user:
        raise Refusal(Code.KV_ERROR, f"scope {scope.label} needs a user_id")
    if scope not in EXCLUSIVE:
        owner = ("", "")
    elif implementation and specifier:
        owner = (implementation, specifier)
    else:
        raise Refusal(Code.KV_ERROR, f"scope {scope.label} needs a caller with an implementation and a specifier")
    return Namespace(scope, owner, user, workspace)


def check_names(user: str, workspace: str) -> None:
    """:raises Refusal: they are too long to be kept."""
    if len(user) > NAME_CHARACTERS_MAX or len(workspace) > NAME_CHARACTERS_MAX:
        raise Refusal(INVALID_ARGUMENT, f"user_id and workspace must not exceed {NAME_CHARACTERS_MAX} characters")


def shown(name: str) -> str:
    """A name as texts quote it."""
    return name if len(name) <= NAME_CHARACTERS_MAX else name[:NAME_CHARACTERS_MAX] + "..."
