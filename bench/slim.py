"""AGNTCY SLIM by its own bindings: a node, and pairs of applications in point-to-point sessions across it.

``python -m bench.slim node PORT`` serves. ``... answer PORT PAIRS`` has one end of each pair in a process of its own,
as two applications of one process would not need the node; ``... ask PORT PAIRS WINDOW SIZE PID SECONDS`` has the other
ends, and prints the figures of the run. Runs in the environment of the peers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from datetime import timedelta

import slim_bindings as slim

from bench.measure import Sample, cpu_seconds

SECRET = "a secret that all applications of the bench share"
PATIENCE = timedelta(seconds=60)
WARM_UP_S = 0.7


async def node(port: int) -> None:
    await slim.get_global_service().run_server_async(slim.new_insecure_server_config(f"127.0.0.1:{port}"))
    await asyncio.Event().wait()


def name(end: str, number: int) -> slim.Name:
    return slim.Name("bench", end, str(number))


async def open_app(end: str, number: int, connection: int) -> slim.App:
    app = slim.get_global_service().create_app_with_secret(name(end, number), SECRET)
    await app.subscribe_async(name(end, number), connection)
    return app


async def connect(port: int) -> int:
    config = slim.new_insecure_client_config(f"http://127.0.0.1:{port}")
    connection: int = await slim.get_global_service().connect_async(config)
    return connection


async def answer(port: int, pairs: int) -> None:
    connection = await connect(port)

    async def serve(number: int) -> None:
        session = await apps[number].listen_for_session_async(PATIENCE)
        while True:
            message = await session.get_message_async(PATIENCE)
            await session.publish_async(message.payload, None, None)

    apps = [await open_app("answer", number, connection) for number in range(pairs)]
    print("ready", flush=True)
    await asyncio.gather(*map(serve, range(pairs)))


async def ask(port: int, pairs: int, window: int, size: int, pid: int, seconds: float) -> Sample:
    connection = await connect(port)
    config = slim.SessionConfig(
        session_type=slim.SessionType.POINT_TO_POINT,
        max_retries=5,
        interval=timedelta(seconds=1),
        metadata={},
        mls_settings=None,
    )
    count = 0

    async def exchange(number: int) -> None:
        nonlocal count
        app = await open_app("ask", number, connection)
        await app.set_route_async(name("answer", number), connection)
        session = await app.create_session_and_wait_async(config, name("answer", number))
        for _ in range(window):
            await session.publish_async(b"x" * size, None, None)
        while True:
            message = await session.get_message_async(PATIENCE)
            count += 2  # it came here, and its question there
            await session.publish_async(message.payload, None, None)

    tasks = [asyncio.create_task(exchange(number)) for number in range(pairs)]
    await asyncio.sleep(WARM_UP_S + pairs * 0.02)
    before, cpu, started = count, cpu_seconds(pid), time.perf_counter()
    await asyncio.sleep(seconds)
    done, elapsed = count - before, time.perf_counter() - started
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    return {"per_second": done / elapsed, "cpu_us": (cpu_seconds(pid) - cpu) / max(done, 1) * 1e6}


async def main(what: str, *numbers: str) -> None:
    slim.initialize_with_configs(
        slim.new_runtime_config(), slim.new_tracing_config_with("error", False, False, []), [slim.new_service_config()]
    )
    slim.uniffi_set_event_loop(asyncio.get_running_loop())
    match what:
        case "node":
            await node(int(numbers[0]))
        case "answer":
            await answer(*map(int, numbers))
        case _:
            port, pairs, window, size, pid = map(int, numbers[:5])
            print(json.dumps(await ask(port, pairs, window, size, pid, float(numbers[5]))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
