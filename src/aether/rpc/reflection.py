"""Server reflection: clients such as grpcurl list the services and read their schema without a .proto file.

One handler answers both packages that clients ask, ``grpc.reflection.v1`` and the older ``grpc.reflection.v1alpha``:
their messages are equal on the wire.

A descriptor pool of our own holds the files, apart from protobuf's registry of the process, where the names of the
gRPC project may belong to grpcio's packages (see ``proto/generate.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from aether.rpc.server import ServerCall
from aether.rpc.standard_protos import FILES
from aether.rpc.status import RpcError, StatusCode, frame

__all__ = ["Reflection"]

PACKAGES = ("grpc.reflection.v1", "grpc.reflection.v1alpha")
REQUEST_BYTES_MAX = 4096
"""Names are short; a longer question ends the call, because the answer repeats it."""
PENDING_MAX = 256 * 1024
"""Bytes of answers that a client may leave unread before its next question waits."""


class Reflection:
    """Answers about a set of services.

    :param services: full names of the services to list; health and reflection are added.
    :param files: their schema. What these files import is found through them.
    """

    def __init__(self, services: Iterable[str], files: Iterable[FileDescriptor]) -> None:
        self._pool = DescriptorPool()
        for data in FILES.values():
            self._pool.AddSerializedFile(data)
        for file in files:
            self._add(file)
        standard = ["grpc.health.v1.Health", *(f"{package}.ServerReflection" for package in PACKAGES)]
        self._services = sorted({*services, *standard})
        self._request = self._message("ServerReflectionRequest")
        self._response = self._message("ServerReflectionResponse")

    def _add(self, file: FileDescriptor) -> None:
        """Take a file into the pool, after what it imports."""
        for imported in file.dependencies:
            self._add(imported)
        self._pool.AddSerializedFile(file.serialized_pb)

    def _message(self, name: str) -> Any:
        return GetMessageClass(self._pool.FindMessageTypeByName(f"{PACKAGES[0]}.{name}"))

    def handlers(self) -> Mapping[str, Any]:
        """The methods by path, for a server."""
        return {f"/{package}.ServerReflection/ServerReflectionInfo": self._info for package in PACKAGES}

    async def _info(self, call: ServerCall) -> None:
        """One answer to each question, until the client ends its side.

        :raises RpcError: INVALID_ARGUMENT for what is no question.
        """
        while (data := await call.receive()) is not None:
            if len(data) > REQUEST_BYTES_MAX:
                raise RpcError(StatusCode.INVALID_ARGUMENT, "reflection request is too long")
            try:
                request = self._request.FromString(data)
            except DecodeError:
                raise RpcError(StatusCode.INVALID_ARGUMENT, "not a reflection request") from None
            await call.wait_pending_below(PENDING_MAX)
            call.send(frame(self._answer(request).SerializeToString()))
            call.flush()

    def _answer(self, request: Any) -> Any:
        response = self._response(valid_host=request.host, original_request=request)
        try:
            match request.WhichOneof("message_request"):
                case "list_services":
                    for name in self._services:
                        response.list_services_response.service.add(name=name)
                case "file_by_filename":
                    _give(response, self._pool.FindFileByName(request.file_by_filename))
                case "file_containing_symbol":
                    _give(response, self._file_with(request.file_containing_symbol))
                case "file_containing_extension":
                    asked = request.file_containing_extension
                    message = self._pool.FindMessageTypeByName(asked.containing_type)
                    extension: Any = self._pool.FindExtensionByNumber(message, asked.extension_number)
                    _give(response, extension.file)
                case "all_extension_numbers_of_type":
                    message = self._pool.FindMessageTypeByName(request.all_extension_numbers_of_type)
                    answer = response.all_extension_numbers_response
                    answer.base_type_name = message.full_name
                    answer.extension_number.extend(found.number for found in self._pool.FindAllExtensions(message))
                case _:
                    _refuse(response, StatusCode.INVALID_ARGUMENT, "the request asks nothing")
        except KeyError:
            _refuse(response, StatusCode.NOT_FOUND, "this server has nothing of that name")
        return response

    def _file_with(self, symbol: str) -> FileDescriptor:
        """Where a name is declared.

        :raises KeyError: nowhere.
        """
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def _give(response: Any, file: FileDescriptor) -> None:
    """The file and everything it imports, each once, the file itself first."""
    found: dict[str, bytes] = {}
    waiting = [file]
    while waiting:
        next_file = waiting.pop()
        if next_file.name not in found:
            found[next_file.name] = next_file.serialized_pb
            waiting.extend(next_file.dependencies)
    response.file_descriptor_response.file_descriptor_proto.extend(found.values())


def _refuse(response: Any, code: StatusCode, message: str) -> None:
    response.error_response.error_code = int(code)
    response.error_response.error_message = message
