"""Where the examples connect: to the gateway named on the command line, or to one of their own."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

import aether

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))  # warnings and worse


@asynccontextmanager
async def fabric() -> AsyncIterator[str | aether.Gateway]:
    """A target for ``aether.connect_*``."""
    if len(sys.argv) > 1:
        yield sys.argv[1]
        return
    with tempfile.TemporaryDirectory(prefix="aether-example-") as directory:
        async with aether.Gateway(aether.Config.development(directory), listen=False) as gateway:
            yield gateway
