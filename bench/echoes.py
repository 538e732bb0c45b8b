"""Servers that send every message back: ``python -m bench.echoes KIND PORT``, where KIND is native, purerpc or grpcio.

``native`` is the limit: our engine, libnghttp2 under trio, with nothing behind it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

__all__ = ["ECHO"]

ECHO = "/bench.Echo/Echo"


async def serve_native(port: int) -> None:
    import trio

    from aether.rpc.engine import create_server
    from aether.rpc.listener import listen
    from aether.rpc.server import ServerCall
    from aether.rpc.status import frame

    async def echo(call: ServerCall) -> None:
        def send_back(batch: list[bytes]) -> None:
            for data in batch:
                call.send(frame(data))

        ended = trio.Event()
        call.set_sink(send_back, ended.set)
        call.flush()
        await ended.wait()

    await create_server("native", {ECHO: echo}).serve(await listen("127.0.0.1", port))


def serve_purerpc(port: int) -> None:
    from purerpc import Cardinality, RPCSignature, Server, Service

    service = Service("bench.Echo")

    async def echo(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for message in messages:
            yield message

    class Raw:
        """What purerpc takes for a message class."""

        def __init__(self) -> None:
            self.data = b""

        def SerializeToString(self) -> bytes:  # noqa: N802  # protobuf's name
            return self.data

        def ParseFromString(self, data: bytes) -> None:  # noqa: N802
            self.data = data

    service.add_method("Echo", echo, RPCSignature(Cardinality.STREAM_STREAM, Raw, Raw))
    server = Server(port)
    server.add_service(service)
    server.serve(backend="trio")


async def serve_grpcio(port: int) -> None:
    import grpc.aio

    async def echo(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        del context
        async for data in messages:
            yield data

    server = grpc.aio.server()
    handler = grpc.stream_stream_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Echo", {"Echo": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def main(kind: str, port: int) -> None:
    if kind == "native":
        import trio

        trio.run(serve_native, port)
    elif kind == "purerpc":
        serve_purerpc(port)
    else:
        asyncio.run(serve_grpcio(port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
