"""Progress reports (routing 7, checklist 83 to 86)."""

from __future__ import annotations

import pytest
from tests.unit.fakes import FakeCaller, agent, bridge, engine, orchestrator, pool_task, service, unique_task, user

from aether.answers import down
from aether.errors import Refusal
from aether.messaging.progress import (
    REPORT_BYTES_MAX,
    ProgressFilter,
    build_update,
    check_report,
    is_recipient,
    progress_topic,
)
from aether.proto import aether_pb2 as pb

OWN = "ag::w::i::s"
OTHER = "ag::w::i::other"
WINDOW = "us::u::w1"


@pytest.mark.parametrize("caller", [agent(), unique_task(), pool_task(), service()], ids=lambda c: c.identity.key)
def test_86_reporters(caller: FakeCaller) -> None:
    check_report(caller.identity, pb.ProgressReport())


@pytest.mark.parametrize("caller", [user(), bridge(), orchestrator(), engine()], ids=lambda c: c.identity.key)
def test_86_others_cannot_report(caller: FakeCaller) -> None:
    with pytest.raises(Refusal) as caught:
        check_report(caller.identity, pb.ProgressReport())
    assert caught.value.code == "ERR_INVALID_PRINCIPAL"
    assert caught.value.message == "only agents, tasks, and services can report progress"


def test_size_limit() -> None:
    overhead = pb.ProgressReport(summary="x" * 40_000).ByteSize() - 40_000
    check_report(agent().identity, pb.ProgressReport(summary="x" * (REPORT_BYTES_MAX - overhead)))
    with pytest.raises(Refusal) as caught:
        check_report(agent().identity, pb.ProgressReport(summary="x" * (REPORT_BYTES_MAX - overhead + 1)))
    assert caught.value.code == "ERR_PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize(
    ("recipient", "topic"),
    [
        ("", "pg::w"),
        ("us::u", "pg::us::u"),
        ("us::u::", "pg::us::u"),
        ("us::u::w1", "pg::us::u"),
        ("us::jan@example.com::w1", "pg::us::jan@example.com"),
        ("ag::w::i::s", "pg::w"),
        ("ta::w::i::", "pg::w"),
        ("sv::i::s", "pg::w"),
        ("orc::i", "pg::w"),
    ],
)
def test_topics(recipient: str, topic: str) -> None:
    assert progress_topic("w", recipient) == topic


@pytest.mark.parametrize(
    "recipient",
    [
        "u",
        "us",
        "us::",
        "us::::w1",
        "us::*",
        "us::u::w1::x",
        "us::u v",
        "us:::u",
        "xx::a",
        "ag::w::i::s::x",
        "ag::w::\n",
    ],
)
def test_malformed_recipients_are_refused(recipient: str) -> None:
    with pytest.raises(Refusal) as caught:
        progress_topic("w", recipient)
    assert caught.value.code == "ERR_INVALID_TOPIC"


def test_without_workspace_only_users_can_be_told() -> None:
    assert progress_topic("", "us::u") == "pg::us::u"
    for recipient in ("", "ag::w::i::s"):
        with pytest.raises(Refusal):
            progress_topic("", recipient)


def test_the_gateway_stamps_source_workspace_and_time() -> None:
    report = pb.ProgressReport(
        task_id="t",
        state="working",
        completion=0.5,
        summary="half",
        step=pb.ProgressStep(name="n", detail="d", sequence=1, total_steps=2, step_type="x"),
        recipient=WINDOW,
        request_id="r",
        metadata={"k": "v"},
        kind=pb.PROGRESS_KIND_CHAT,
    )
    update = build_update(agent().identity, report, workspace="w", now_ms=123)
    assert update == pb.ProgressUpdate(
        source=OWN,
        task_id="t",
        state="working",
        completion=0.5,
        summary="half",
        step=report.step,
        timestamp_ms=123,
        workspace="w",
        request_id="r",
        metadata={"k": "v"},
        recipient=WINDOW,
        kind=pb.PROGRESS_KIND_CHAT,
    )


def test_a_report_without_step_makes_an_update_without_step() -> None:
    update = build_update(agent().identity, pb.ProgressReport(completion=-1), workspace="w", now_ms=1)
    assert not update.HasField("step")
    assert update.completion == -1


@pytest.mark.parametrize(
    ("recipient", "own", "delivered"),
    [
        ("", OTHER, True),
        ("", WINDOW, True),
        ("", OWN, False),
        (OWN, OWN, False),
        (OTHER, OTHER, True),
        (OTHER, WINDOW, False),
        (WINDOW, WINDOW, True),
        (WINDOW, "us::u::w2", False),
        ("us::u", WINDOW, True),
        ("us::u", "us::u::", True),
        ("us::u", "us::u2::w1", False),
        ("us::u", OTHER, False),
        ("us::", "us::::w1", False),
    ],
)
def test_83_84_85_who_gets_it(recipient: str, own: str, delivered: bool) -> None:
    assert is_recipient(OWN, recipient, own) is delivered
    update = pb.ProgressUpdate(source=OWN, recipient=recipient)
    frame = down(pb.DownstreamMessage(progress_update=update))
    assert ProgressFilter(own)(frame) is delivered


def test_unreadable_frames_are_for_nobody() -> None:
    assert not ProgressFilter(OTHER)(b"\0\0\0\0\x01\xff")
    assert not ProgressFilter(OTHER)(down(pb.DownstreamMessage(signal=pb.Signal())))
