"""Server reflection as the tools of the gRPC project use it, with grpcio's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2 as messages
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import aether
from aether.proto import aether_pb2 as pb
from aether.rpc.client import connect_stream
from aether.rpc.status import RpcError, StatusCode, frame

PATIENCE = 10.0
SERVICES = [
    "aether.v1.AetherGateway",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
]
PATHS = [f"/{name}/ServerReflectionInfo" for name in SERVICES[2:]]

Ask = Callable[..., Any]


@asynccontextmanager
async def gateway(directory: Path, **settings: Any) -> AsyncIterator[aether.Gateway]:
    async with aether.Gateway(aether.Config.development(directory, gateway=settings)) as running:
        yield running


async def with_channel(directory: Path, work: Callable[[grpc.Channel], Any], **settings: Any) -> Any:
    """Run `work` in a thread, with a channel to a gateway."""
    async with gateway(directory, **settings) as running:

        def call() -> Any:
            with grpc.insecure_channel(f"127.0.0.1:{running.port}") as channel:
                return work(channel)

        with trio.fail_after(3 * PATIENCE):
            return await trio.to_thread.run_sync(call, abandon_on_cancel=True)


async def answers(directory: Path, path: str, questions: Iterable[Any]) -> list[Any]:
    def work(channel: grpc.Channel) -> list[Any]:
        call = channel.stream_stream(
            path,
            request_serializer=messages.ServerReflectionRequest.SerializeToString,
            response_deserializer=messages.ServerReflectionResponse.FromString,
        )
        return list(call(iter(list(questions)), timeout=PATIENCE))

    found: list[Any] = await with_channel(directory, work)
    return found


async def test_a_schema_is_rebuilt_by_the_client_of_the_grpc_project(tmp_path: Path) -> None:
    def work(channel: grpc.Channel) -> None:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert list(database.get_services()) == SERVICES
        pool = DescriptorPool(database)
        service = pool.FindServiceByName("aether.v1.AetherGateway")
        assert [method.name for method in service.methods] == ["Connect"]
        assert service.methods[0].input_type.full_name == "aether.v1.UpstreamMessage"
        for name in SERVICES[1:]:
            assert pool.FindServiceByName(name).full_name == name

    await with_channel(tmp_path, work)


@pytest.mark.parametrize("path", PATHS)
async def test_questions_and_answers(tmp_path: Path, path: str) -> None:
    request = messages.ServerReflectionRequest
    services, by_name, *by_symbol, numbers = await answers(
        tmp_path,
        path,
        [
            request(host="h", list_services=""),
            request(file_by_filename="aether/v1/aether.proto"),
            request(file_containing_symbol="aether.v1.AetherGateway"),
            request(file_containing_symbol="aether.v1.AetherGateway.Connect"),
            request(file_containing_symbol="aether.v1.SendMessage"),
            request(file_containing_symbol="aether.v1.SendMessage.payload"),
            request(all_extension_numbers_of_type="aether.v1.SendMessage"),
        ],
    )
    assert [service.name for service in services.list_services_response.service] == SERVICES
    assert (services.valid_host, services.original_request.host) == ("h", "h")
    for answer in (by_name, *by_symbol):
        (data,) = answer.file_descriptor_response.file_descriptor_proto
        assert FileDescriptorProto.FromString(data) == FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    assert numbers.all_extension_numbers_response.base_type_name == "aether.v1.SendMessage"
    assert not numbers.all_extension_numbers_response.extension_number


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_unknown_is_not_found_and_the_next_question_is_answered(tmp_path: Path, path: str) -> None:
    request = messages.ServerReflectionRequest
    questions = [
        request(file_containing_symbol="aether.v1.Nothing"),
        request(file_containing_symbol=""),
        request(file_by_filename="../aether.proto"),
        request(all_extension_numbers_of_type="aether.v1.Nothing"),
        request(
            file_containing_extension=messages.ExtensionRequest(
                containing_type="aether.v1.SendMessage", extension_number=7
            )
        ),
    ]
    *unknown, nothing, known = await answers(tmp_path, path, [*questions, request(), request(list_services="*")])
    assert [answer.error_response.error_code for answer in unknown] == [StatusCode.NOT_FOUND] * len(questions)
    assert [answer.original_request for answer in unknown] == questions
    assert nothing.error_response.error_code == StatusCode.INVALID_ARGUMENT
    assert len(known.list_services_response.service) == len(SERVICES)


@pytest.mark.parametrize("request_", [b"\xff", b"\x22\xff\xff\xff\x01", b"\x3a" + b"\x81\x20" + bytes(4097)])
async def test_what_is_no_question_ends_the_call(tmp_path: Path, request_: bytes) -> None:
    async with (
        gateway(tmp_path) as running,
        connect_stream(await running.open_transport()) as channel,
        channel.call(PATHS[0]) as call,
    ):
        call.send(frame(request_))
        call.flush()
        with pytest.raises(RpcError) as refusal:
            await call.receive()
        assert refusal.value.code is StatusCode.INVALID_ARGUMENT


async def test_reflection_can_be_switched_off(tmp_path: Path) -> None:
    async with (
        gateway(tmp_path, reflection=False) as running,
        connect_stream(await running.open_transport()) as channel,
        channel.call(PATHS[0]) as call,
    ):
        call.send(frame(messages.ServerReflectionRequest(list_services="").SerializeToString()))
        call.flush()
        with pytest.raises(RpcError) as refusal:
            await call.receive()
        assert refusal.value.code is StatusCode.UNIMPLEMENTED
