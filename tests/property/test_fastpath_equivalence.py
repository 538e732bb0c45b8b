"""The compiled rules and codec equal the readable ones, on anything (design 5: one rule, two callers)."""

from __future__ import annotations

from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from aether import _fastpath as fast
from aether.identity import PrincipalType
from aether.proto import aether_pb2 as pb
from aether.topics import InvalidTopic, Prefix, may_send, parse_target

PREFIXES = [prefix.name.lower() for prefix in Prefix]
segments = st.one_of(
    st.sampled_from(
        [
            "",
            "a",
            "ws",
            "us",
            "*",
            "receiver0",
            "receiver1",
            "receiverx",
            "msg",
            "events",
            "a:b",
            ":",
            "ü" * 70,
            "x" * 128,
        ]
    ),
    st.text(max_size=8),
)
topics = st.one_of(
    st.builds(
        lambda head, rest: "::".join([head, *rest]),
        st.sampled_from([*PREFIXES, "orc", "wfe", "", "AG", "evnt"]),
        st.lists(segments, max_size=5),
    ),
    st.text(max_size=300),
)


def readable(topic: str) -> int:
    try:
        return int(parse_target(topic).prefix)
    except InvalidTopic:
        return -1


@given(topics)
@example("ag::" + "x" * 252)
@example("ag::" + "x" * 253)
@example("ag::" + "::".join(["y" * 84] * 3))
@example("ag::a:::b::c")
@example("event::")
@example("tk::w::t::msg")
@example("sv::impl::")
@example("ta::w::i::")
def test_grammar(topic: str) -> None:
    assert fast.classify(topic.encode("utf-8", "surrogatepass")) == readable(topic)


@given(st.sampled_from(list(PrincipalType)), topics)
def test_permission_matrix(sender: PrincipalType, topic: str) -> None:
    try:
        expected = may_send(sender, parse_target(topic))
    except InvalidTopic:
        expected = False
    assert fast.may_send(sender, topic.encode("utf-8", "surrogatepass")) is expected


valid_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
message_types = st.integers(0, 2**31 - 1)


@given(valid_text, st.binary(max_size=400), message_types, valid_text)
def test_frame_is_what_protobuf_serialises(source: str, payload: bytes, message_type: int, workspace: str) -> None:
    frame = fast.build_frame(source.encode(), payload, message_type, workspace.encode())
    message = pb.DownstreamMessage(
        msg=pb.IncomingMessage(source_topic=source, payload=payload, workspace=workspace, message_type=message_type)  # type: ignore[arg-type]
    )
    body = message.SerializeToString()
    assert frame == b"\0" + len(body).to_bytes(4, "big") + body


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), st.binary(max_size=400), message_types
)
def test_plain_sends_are_read(topic: str, payload: bytes, message_type: int) -> None:
    send = pb.SendMessage(target_topic=topic, payload=payload, message_type=message_type)  # type: ignore[arg-type]
    data = pb.UpstreamMessage(send=send).SerializeToString()
    assert fast.read_send(data) == (topic.encode(), payload, message_type)


@given(st.binary(max_size=200), st.binary(max_size=30), st.integers(0, 40))
def test_what_the_fast_path_reads_protobuf_reads_alike(noise: bytes, payload: bytes, cut: int) -> None:
    good = pb.UpstreamMessage(send=pb.SendMessage(target_topic="ag::w::i::s", payload=payload)).SerializeToString()
    for data in (noise, b"\x12" + noise, good[: max(0, len(good) - cut)], good + noise[:3]):
        read = fast.read_send(data)
        if read is None:
            continue
        topic, body, message_type = read
        message = pb.UpstreamMessage()
        try:
            message.ParseFromString(data)
        except DecodeError:  # protobuf also refuses text that is not UTF-8; such a topic is never among the routes
            topic.decode("latin-1")
            continue
        assert (message.send.target_topic.encode(), message.send.payload, message.send.message_type & (2**64 - 1)) == (
            topic,
            body,
            message_type,
        )
        assert message.WhichOneof("payload") == "send"


@given(
    st.sampled_from(["authorization", "app_workspace", "checked_access", "authority_continuation", "active_extensions"])
)
def test_anything_unusual_is_left_to_python(field: str) -> None:
    message = pb.UpstreamMessage(send=pb.SendMessage(target_topic="ag::w::i::s", payload=b"x"))
    match field:
        case "authorization":
            message.send.authorization.SetInParent()
        case "app_workspace":
            message.send.app_workspace = "w"
        case "checked_access":
            message.send.checked_access.SetInParent()
        case "authority_continuation":
            message.send.authority_continuation.SetInParent()
        case "active_extensions":
            message.active_extensions.append("urn:x")
    assert fast.read_send(message.SerializeToString()) is None
