"""Remarks on rules that say nothing."""

from __future__ import annotations

import pytest

from aether.acl.model import SEEDED_FALLBACKS
from aether.cli.advice import advise, advise_category


@pytest.mark.parametrize(
    ("subject", "resource", "remark"),
    [
        (("user", "us::alice::w1"), ("workspace", "w"), "user:alice"),
        (("agent", "worker"), ("workspace", "w"), "no identity of type agent"),
        (("agent", "sv::i::s"), ("workspace", "w"), "of type service"),
        (("wildcard", "_any_bridge"), ("workspace", "w"), "_any_service"),
        (("user", "alice"), ("admin", "acl"), "admin:admin/acl"),
        (("user", "alice"), ("capability", "mint_user_tokens"), "capability:capability/mint_user_tokens"),
        (("user", "alice"), ("kv_scope", "glob"), "user-workspace-shared"),
        (("user", "alice"), ("workspce", "w"), "asks for no workspce"),
    ],
)
def test_mistakes(subject: tuple[str, str], resource: tuple[str, str], remark: str) -> None:
    [only] = advise(subject, resource)
    assert remark in only


@pytest.mark.parametrize(
    ("subject", "resource"),
    [
        (("user", "alice"), ("workspace", "w")),
        (("agent", "ag::w::i::*"), ("kv_scope", "global")),
        (("agent", "ag::w::i::s"), ("kv_scope", "*")),
        (("group", "devs"), ("admin", "admin/*")),
        (("role", "keeper"), ("admin", "*")),
        (("wildcard", "_any_agent"), ("capability", "capability/event_broadcast/ws2")),
        (("service", "sv::i::s"), ("service_impl", "x")),
    ],
)
def test_rules_in_order(subject: tuple[str, str], resource: tuple[str, str]) -> None:
    assert not list(advise(subject, resource))


@pytest.mark.parametrize(("category", "remark"), [("user_wrkspace", "wrkspace"), ("usr_workspace", "user_workspace")])
def test_categories_of_nothing(category: str, remark: str) -> None:
    [only] = advise_category(category)
    assert remark in only


@pytest.mark.parametrize("category", [*SEEDED_FALLBACKS, "workflow_engine_kv_scope"])
def test_categories_in_order(category: str) -> None:
    assert not list(advise_category(category))
