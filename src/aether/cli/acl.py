"""``aether acl``: access rules of a running gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from aether.access import Level
from aether.cli.advice import advise, advise_category
from aether.cli.output import printable, show, timestamp
from aether.cli.remote import Remote, remote_options
from aether.client import Connection, NotFound
from aether.proto import aether_pb2 as pb

__all__ = ["acl"]

F = TypeVar("F", bound=Callable[..., Any])


class Principal(click.ParamType[tuple[str, str]]):
    """``user:alice``, ``agent:ag::ws::impl::spec``, ``group:devs``, ``wildcard:_any_agent``."""

    name = "type:id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        kind, separator, name = str(value).partition(":")
        if not separator or not kind or not name:
            self.fail(f"{value!r} is not of the form type:id, such as user:alice", param, ctx)
        return kind, name


class AccessLevel(click.ParamType[Level]):
    """A level by its name or number."""

    name = "level"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Level:
        if isinstance(value, Level):
            return value
        text = {"rw": "READWRITE", "write": "READWRITE"}.get(str(value).lower(), str(value).upper())
        if text.isdigit() and int(text) in Level._value2member_map_:
            return Level(int(text))
        if text not in Level.__members__:
            self.fail(f"{value!r} is none of {', '.join(name.lower() for name in Level.__members__)}", param, ctx)
        return Level[text]


PRINCIPAL, LEVEL = Principal(), AccessLevel()
RESOURCE = PRINCIPAL
RULE_COLUMNS = ("rule_id", "subject", "resource", "level", "granted_by", "expires", "state", "reason")


def lasting(what: str) -> Callable[[F], F]:
    """The option that gives something an end."""
    return click.option(
        "--for",
        "hours",
        type=click.FloatRange(0, min_open=True),
        default=None,
        metavar="HOURS",
        help=f"The {what} ends after that time.",
    )


@click.group()
def acl() -> None:
    """Access rules: who may do what with which resource."""


@acl.command("list")
@click.option("--subject", type=PRINCIPAL, default=None, help="Only rules of this one.")
@click.option("--resource", type=RESOURCE, default=None, help="Only rules on this one.")
@remote_options
def list_rules(remote: Remote, subject: tuple[str, str] | None, resource: tuple[str, str] | None) -> None:
    """Show rules, the newest first."""

    async def run(me: Connection) -> Iterable[pb.ACLRuleInfo]:
        kind, name = resource or ("", "")
        return await me.acl.list(subject=subject or ("", ""), resource_type=kind, resource_id=name)

    show((_row(rule) for rule in remote.run(run)), RULE_COLUMNS, as_json=remote.as_json)


@acl.command()
@click.argument("subject", type=PRINCIPAL)
@click.argument("level", type=LEVEL)
@click.argument("resource", type=RESOURCE)
@click.option("--reason", default="", help="For those who read the rules later.")
@lasting("rule")
@remote_options
def grant(
    remote: Remote,
    subject: tuple[str, str],
    level: Level,
    resource: tuple[str, str],
    reason: str,
    hours: float | None,
) -> None:
    """Give SUBJECT a LEVEL on RESOURCE, for example: user:alice manage workspace:prod."""

    async def run(me: Connection) -> pb.ACLRuleInfo:
        return await me.acl.grant(subject, *resource, level, reason=reason, expires_at=_in(hours))

    show([_row(remote.run(run))], RULE_COLUMNS, as_json=remote.as_json)
    _remark(advise(subject, resource))
    if subject[0] == "group" and subject[1] not in [item.group_name for item in remote.run(lambda me: me.acl.groups())]:
        _remark([f"there is no group {subject[1]}: aether acl group create {subject[1]}"])


@acl.command()
@click.argument("rule_id")
@remote_options
def revoke(remote: Remote, rule_id: str) -> None:
    """Take a rule away."""
    remote.run(lambda me: me.acl.revoke(rule_id))
    click.echo(f"revoked {rule_id}", err=True)


@acl.command()
@click.argument("principal", type=PRINCIPAL)
@click.argument("level", type=LEVEL)
@click.argument("resource", type=RESOURCE)
@remote_options
def explain(remote: Remote, principal: tuple[str, str], level: Level, resource: tuple[str, str]) -> None:
    """Say whether PRINCIPAL holds LEVEL on RESOURCE, which rule decides and which others there are.

    Exit code 0: allowed, 3: denied.
    """
    found: pb.ACLAccessExplanationInfo = remote.run(lambda me: me.acl.explain(*principal, *resource, level))
    rows = [
        {
            "subject": item.subject,
            "level": Level(item.access_level).name.lower(),
            "resource": item.resource,
            "rule_id": item.rule_id,
            "note": "expired" if item.expired else "",
        }
        for item in found.contributions
    ]
    if remote.as_json:
        decision = {
            "allowed": found.allowed,
            "level": Level(found.effective_access_level).name.lower(),
            "fallback": found.fallback_applied,
            "reason": found.reason,
            "subjects": list(found.subjects),
            "rules": rows,
        }
        show([decision], (), as_json=True)
    else:
        click.echo(f"{'allowed' if found.allowed else 'denied'}: {printable(found.reason)}")
        click.echo(f"subjects: {printable(', '.join(found.subjects))}")
        if rows:
            show(rows, ("subject", "level", "resource", "rule_id", "note"), as_json=False)
    raise SystemExit(0 if found.allowed else 3)


@acl.command()
@click.argument("category")
@click.argument("level", type=LEVEL, required=False)
@remote_options
def fallback(remote: Remote, category: str, level: Level | None) -> None:
    """Show, or set, the LEVEL that holds where no rule decides; CATEGORY is such as user_workspace."""

    async def run(me: Connection) -> int:
        if level is not None:
            await me.acl.set_fallback(category, level)
        return await me.acl.get_fallback(category)

    row = {"category": category, "level": Level(remote.run(run)).name.lower()}
    show([row], ("category", "level"), as_json=remote.as_json)
    _remark(advise_category(category))


@acl.command()
@remote_options
def cleanup(remote: Remote) -> None:
    """Forget rules, memberships and assignments that ended; they give nothing any more, but are listed."""
    count = remote.run(lambda me: me.acl.remove_expired())
    show([{"removed": count}], ("removed",), as_json=remote.as_json)


@acl.group()
def group() -> None:
    """Groups, which rules can have as their subject."""


@group.command("list")
@click.argument("name", required=False)
@remote_options
def list_groups(remote: Remote, name: str | None) -> None:
    """Show the groups, or the members of one."""

    async def run(me: Connection) -> list[dict[str, Any]]:
        if name is None:
            return [{"group": item.group_name, "description": item.description} for item in await me.acl.groups()]
        if name not in [item.group_name for item in await me.acl.groups()]:
            raise NotFound("", "group not found")
        return [
            {"group": name, "member": f"{item.member_type}:{item.member_id}", "expires": timestamp(item.expires_at)}
            for item in await me.acl.members(name)
        ]

    columns = ("group", "description") if name is None else ("group", "member", "expires")
    show(remote.run(run), columns, as_json=remote.as_json)


@group.command("create")
@click.argument("name")
@click.option("--description", default="")
@remote_options
def create_group(remote: Remote, name: str, description: str) -> None:
    """Make a group."""
    remote.run(lambda me: me.acl.create_group(name, description))
    click.echo(f"created {name}", err=True)


@group.command("delete")
@click.argument("name")
@remote_options
def delete_group(remote: Remote, name: str) -> None:
    """Remove a group with its memberships and its rules."""
    remote.run(lambda me: me.acl.delete_group(name))
    click.echo(f"deleted {name}", err=True)


@group.command("add")
@click.argument("name")
@click.argument("member", type=PRINCIPAL)
@lasting("membership")
@remote_options
def add_member(remote: Remote, name: str, member: tuple[str, str], hours: float | None) -> None:
    """Add a principal, or another group."""
    remote.run(lambda me: me.acl.add_member(name, member, expires_at=_in(hours)))
    click.echo(f"added {':'.join(member)} to {name}", err=True)
    _remark(advise(member, ("workspace", "*")))


@group.command("remove")
@click.argument("name")
@click.argument("member", type=PRINCIPAL)
@remote_options
def remove_member(remote: Remote, name: str, member: tuple[str, str]) -> None:
    """Take a member out."""
    remote.run(lambda me: me.acl.remove_member(name, member))
    click.echo(f"removed {':'.join(member)} from {name}", err=True)


@acl.group()
def role() -> None:
    """Roles, which rules can have as their subject: as groups, but assigned."""


@role.command("list")
@click.argument("name", required=False)
@remote_options
def list_roles(remote: Remote, name: str | None) -> None:
    """Show the roles, or who has one."""

    async def run(me: Connection) -> list[dict[str, Any]]:
        roles = await me.acl.roles()
        if name is None:
            return [{"role": item.role_name, "description": item.description} for item in roles]
        if name not in [item.role_name for item in roles]:
            raise NotFound("", "role not found")
        return [
            {
                "role": name,
                "assignee": f"{item.assignee_type}:{item.assignee_id}",
                "expires": timestamp(item.expires_at),
            }
            for item in await me.acl.assignments(name)
        ]

    columns = ("role", "description") if name is None else ("role", "assignee", "expires")
    show(remote.run(run), columns, as_json=remote.as_json)


@role.command("create")
@click.argument("name")
@click.option("--description", default="")
@remote_options
def create_role(remote: Remote, name: str, description: str) -> None:
    """Make a role."""
    remote.run(lambda me: me.acl.create_role(name, description))
    click.echo(f"created {name}", err=True)


@role.command("delete")
@click.argument("name")
@remote_options
def delete_role(remote: Remote, name: str) -> None:
    """Remove a role with its assignments and its rules."""
    remote.run(lambda me: me.acl.delete_role(name))
    click.echo(f"deleted {name}", err=True)


@role.command("assign")
@click.argument("name")
@click.argument("assignee", type=PRINCIPAL)
@lasting("assignment")
@remote_options
def assign_role(remote: Remote, name: str, assignee: tuple[str, str], hours: float | None) -> None:
    """Give a role to a principal or a group."""
    remote.run(lambda me: me.acl.assign_role(name, assignee, expires_at=_in(hours)))
    click.echo(f"assigned {name} to {':'.join(assignee)}", err=True)
    _remark(advise(assignee, ("workspace", "*")))


@role.command("unassign")
@click.argument("name")
@click.argument("assignee", type=PRINCIPAL)
@remote_options
def unassign_role(remote: Remote, name: str, assignee: tuple[str, str]) -> None:
    """Take a role back."""
    remote.run(lambda me: me.acl.unassign_role(name, assignee))
    click.echo(f"took {name} from {':'.join(assignee)}", err=True)


def _in(hours: float | None) -> int:
    """So many hours from now in Unix seconds; 0 for never."""
    return int(time.time() + hours * 3600) if hours else 0


def _remark(remarks: Iterable[str]) -> None:
    for remark in remarks:
        click.echo(f"note: {printable(remark)}", err=True)


def _row(rule: pb.ACLRuleInfo) -> dict[str, Any]:
    return {
        "rule_id": rule.rule_id,
        "subject": f"{rule.principal_type}:{rule.principal_id}",
        "resource": f"{rule.resource_type}:{rule.resource_id}",
        "level": rule.access_level_name.lower(),
        "granted_by": rule.granted_by,
        "expires": timestamp(rule.expires_at),
        "state": "over" if 0 < rule.expires_at <= time.time() else "live",
        "reason": rule.reason,
    }
