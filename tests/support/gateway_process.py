"""A gateway in a process of its own, to be killed and restarted."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

__all__ = ["GatewayProcess", "free_port"]


def free_port() -> int:
    """A TCP port that was free a moment ago, and that the system does not give to anybody who does not ask for it: one
    of those could be the source of a connection, even of one to itself, before the gateway listens."""
    while True:
        port = random.SystemRandom().randrange(10_000, 30_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class GatewayProcess:
    """``python -m aether serve`` on a fixed port.

    :param dev: with ``--dev`` and a data directory below ``directory``; else as the configuration in ``arguments`` is.
    """

    def __init__(self, directory: Path, *arguments: str, dev: bool = True) -> None:
        self.port = free_port()
        self.target = f"127.0.0.1:{self.port}"
        self._directory = directory
        self._arguments = arguments
        if dev:
            self._arguments = ("--dev", "--data-dir", str(directory / "data"), *arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = directory / "gateway.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> GatewayProcess:
        """Start and wait until the port accepts connections."""
        command = [sys.executable, "-m", "aether", "serve", "--port", str(self.port), "--ops-port", "0"]
        command += self._arguments
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self
            time.sleep(0.05)
        raise RuntimeError(f"the gateway did not start:\n{self.log.read_text()}")

    def signal(self, number: int) -> None:
        """Send a signal and do not wait for what it does."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a crash would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self) -> int:
        """As an operator would; returns the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(30)
