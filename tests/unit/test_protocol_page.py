"""docs/protocol.md says the same as the code: codes, permissions, topics, and what the gateway does not offer."""

from __future__ import annotations

import re
from pathlib import Path

from aether.config import Config
from aether.errors import Code
from aether.gateway.gateway import Gateway
from aether.gateway.refusals import ANSWERED_BY
from aether.gateway.subscriptions import topics_of, workspace_topics
from aether.identity import Identity, PrincipalType
from aether.kv import wire
from aether.proto import aether_pb2 as pb
from aether.topics import MATRIX, Prefix

PAGE = (Path(__file__).resolve().parents[2] / "docs/protocol.md").read_text(encoding="utf-8")

NEVER_SENT = {Code.CIRCUIT_OPEN}
"""Reserved by the catalogue; the page leaves them out."""

ALWAYS_OFFERED = {"init", "send", "switch_workspace", "progress"}


def table(heading: str) -> list[list[str]]:
    """The cells of the first table of a section, head and rule left out."""
    section = re.split(r"\n#+ ", PAGE.split(f"# {heading}\n", 1)[1])[0]
    rows = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert rows is not None
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows[0].splitlines()[2:]]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_code_that_is_sent_is_in_the_table():
    catalogue = {value for name, value in vars(Code).items() if name.isupper()}
    catalogue |= {wire.INVALID_ARGUMENT, wire.PERMISSION_DENIED, wire.UNAVAILABLE}
    listed = [names(row[0])[0] for row in table("Error codes")]
    assert len(listed) == len(set(listed))
    assert set(listed) == catalogue - NEVER_SENT


def test_the_permission_table_is_the_matrix():
    columns = [
        {Prefix.AG, Prefix.TU, Prefix.TA, Prefix.TB},
        {Prefix.US, Prefix.UW, Prefix.GA, Prefix.GU, Prefix.BR, Prefix.SV, Prefix.TK},
        {Prefix.UU},
        {Prefix.EVENT, Prefix.METRIC},
        {Prefix.PG},
    ]
    written = {}
    for senders, *answers in table("Who may send where"):
        granted = [column for column, answer in zip(columns, answers, strict=True) if answer == "yes"]
        allowed = frozenset().union(*granted)
        written |= {PrincipalType[name.replace(" ", "_").upper()]: allowed for name in senders.split(", ")}
    assert written == MATRIX


def test_the_topic_table_says_how_lanes_start():
    starts = {}
    for topics, _, start in (row for row in table("Topics") if row[2]):
        starts |= {re.sub(r"\{.*?\}", "x", topic): start for topic in names(topics)}
    agent = Identity(PrincipalType.AGENT, "x", "x", "x")
    user = Identity(PrincipalType.USER, id="x", specifier="x")
    others = [
        Identity(PrincipalType.TASK, "x", "x", "x"),
        Identity(PrincipalType.TASK, "x", "x", id="x"),
        Identity(PrincipalType.SERVICE, implementation="x", specifier="x"),
        Identity(PrincipalType.BRIDGE, implementation="x", specifier="x"),
        Identity(PrincipalType.WORKFLOW_ENGINE),
        Identity(PrincipalType.METRICS_BRIDGE),
        Identity(PrincipalType.ORCHESTRATOR, implementation="x", specifier="x"),
    ]
    lanes = [lane for identity in (agent, user, *others) for lane in topics_of(identity, competing=True)]
    followed = {lane.topic: lane.start.value for lane in lanes + workspace_topics("x", "x")}
    assert followed.items() <= starts.items()
    rewritten = {f"{family}::{name}" for family in ("event", "metric") for name in ("*", "x")}
    assert starts.keys() - followed.keys() == rewritten


async def test_what_is_not_offered_is_listed_with_its_answer(tmp_path):
    rows = table("Operations this gateway does not offer")
    named = [name for row in rows[:-1] for name in names(row[0])]
    async with Gateway(Config.development(tmp_path, acl={"enabled": True}), listen=False) as gateway:
        offered = ALWAYS_OFFERED | set(gateway.services.handlers)
    payloads = {field.name for field in pb.UpstreamMessage.DESCRIPTOR.oneofs_by_name["payload"].fields}
    assert sorted(named) == sorted(payloads - offered)
    typed = {name for row in rows if "typed response" in row[1] for name in names(row[0])}
    assert typed == (ANSWERED_BY.keys() - offered)


def test_every_setting_that_is_named_exists():
    model = Config.development().model_dump()
    settings = re.findall(r"`((?:gateway|storage|kv|checkpoint|quotas|shutdown)\.[a-z_.]+)", PAGE)
    assert settings
    for setting in settings:
        value = model
        for part in setting.split("."):
            assert part in value, setting
            value = value[part]
