"""The protocol is a contract: names, numbers, labels and types of everything in aether.v1 must be exactly these.

``tests/data/aether-v1.tsv`` lists them, one fact a line. Additions of ours would be differences too: a later version of
the protocol could give the number another meaning.
"""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor

from aether.proto import aether_grpc
from aether.proto import aether_pb2 as pb

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = ROOT / "tests/data/aether-v1.tsv"
SOURCE = ROOT / "proto/aether/v1/aether.proto"
GENERATED = ROOT / "src/aether/proto"

PREFIX = "aether.v1."
TYPE_NAMES = {
    number: name.removeprefix("TYPE_").lower()
    for name, number in vars(FieldDescriptor).items()
    if name.startswith("TYPE_")
}

Facts = dict[tuple[str, str, str], tuple[str, str, str]]


def contract() -> Facts:
    with CONTRACT.open(encoding="utf-8", newline="") as file:
        return {
            (row["kind"], row["scope"], row["name"]): (row["number"] or "", row["label"] or "", row["type"] or "")
            for row in csv.DictReader(file, delimiter="\t")
        }


def implemented() -> Facts:
    """The same facts, read from the descriptor of the generated module."""
    facts: Facts = {}
    file = pb.DESCRIPTOR
    for service in file.services_by_name.values():
        for method in service.methods:
            ways = {"client-streaming": method.client_streaming, "server-streaming": method.server_streaming}
            ends = f"{method.input_type.name} -> {method.output_type.name}"
            facts["rpc", service.full_name, method.name] = ("", " ".join(way for way, on in ways.items() if on), ends)
    for enum in file.enum_types_by_name.values():
        add_enum(facts, enum)
    for message in file.message_types_by_name.values():
        add_message(facts, message)
    return facts


def short(name: str) -> str:
    return name.removeprefix(PREFIX)


def add_enum(facts, enum) -> None:
    for value in enum.values:
        facts["enum", short(enum.full_name), value.name] = (str(value.number), "", "")


def add_message(facts, message) -> None:
    for field in message.fields:
        facts["field", short(message.full_name), field.name] = (str(field.number), label(field), type_name(field))
    for enum in message.enum_types:
        add_enum(facts, enum)
    for nested in message.nested_types:
        if not nested.GetOptions().map_entry:
            add_message(facts, nested)


def is_map(field) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def label(field) -> str:
    if is_map(field):
        return "map"
    if field.is_repeated:
        return "repeated"
    if field.containing_oneof is None:
        return "singular"
    name = field.containing_oneof.name
    return "optional" if name == f"_{field.name}" else f"oneof:{name}"


def type_name(field) -> str:
    if is_map(field):
        key, value = (type_name(field.message_type.fields_by_name[part]) for part in ("key", "value"))
        return f"map<{key},{value}>"
    kind = field.message_type or field.enum_type
    return TYPE_NAMES[field.type] if kind is None else short(kind.full_name)


def test_the_generated_module_is_the_contract():
    expected, actual = contract(), implemented()
    differences = {
        fact: (expected.get(fact), actual.get(fact))
        for fact in expected.keys() | actual.keys()
        if expected.get(fact) != actual.get(fact)
    }
    assert not differences
    assert len(expected) == 1448


def test_the_generated_modules_are_of_this_proto_file():
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()
    for name in ("aether_pb2.py", "aether_pb2.pyi", "aether_grpc.py"):
        first = (GENERATED / name).read_text(encoding="utf-8").splitlines()[0]
        assert first.endswith(digest), f"{name} is older than aether.proto: run make proto"


def test_the_stubs_serve_the_one_method():
    servicer = aether_grpc.AetherGatewayServicer()
    assert servicer.service.name == "aether.v1.AetherGateway"
    assert list(servicer.service.methods) == ["Connect"]


def explanations() -> dict[str, bool]:
    """For every type that the text of the file declares: does a comment stand on the line before it?"""
    explained: dict[str, bool] = {}
    scope: list[str] = []
    before = ""
    for line in map(str.strip, SOURCE.read_text(encoding="utf-8").splitlines()):
        code = line.partition("//")[0]
        if match := re.match(r"(?:message|enum|service) (\w+)", code):
            explained[".".join([*scope, match[1]])] = re.fullmatch(r"// ?\S.*", before) is not None
        scope += re.findall(r"(\w+) \{", code)
        del scope[len(scope) - code.count("}") :]
        before = line
    return explained


def test_every_message_and_enum_in_the_file_is_explained():
    explained = explanations()
    assert [name for name, by_comment in explained.items() if not by_comment] == []
    # The text was read right: these are the types that protoc found in it.
    assert set(explained) == declared()


def declared() -> set[str]:
    """Names of the services, messages and enums of the generated module."""
    names = set(pb.DESCRIPTOR.services_by_name) | set(pb.DESCRIPTOR.enum_types_by_name)
    messages = list(pb.DESCRIPTOR.message_types_by_name.values())
    for message in messages:
        if not message.GetOptions().map_entry:
            names |= {short(message.full_name), *(short(enum.full_name) for enum in message.enum_types)}
            messages += message.nested_types
    return names


def test_old_and_new_fields_survive_a_round_trip():
    """Unknown fields of a newer peer are carried, so that a relayed message loses nothing."""
    data = pb.SendMessage(target_topic="ag::w::i::s").SerializeToString() + b"\xfa\x3f\x03new"
    assert pb.SendMessage.FromString(data).SerializeToString() == data
    file = descriptor_pb2.FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    assert (file.package, file.syntax) == ("aether.v1", "proto3")
