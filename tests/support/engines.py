"""Which HTTP/2 engines the tests run on.

Both, also where the native one was not built: a build that lost it has to fail, not to test less. Only ``NATIVE=0`` in
the environment, which `make` hands on, says that it is missing on purpose.
"""

from __future__ import annotations

import os
import sys

import pytest

import aether.rpc

__all__ = ["ENGINES", "NATIVE", "hide_native"]

NATIVE = os.environ.get("NATIVE") != "0"
ENGINES = ("native", "purerpc") if NATIVE else ("purerpc",)


def hide_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one test, as if libnghttp2 had been missing when the package was built."""
    monkeypatch.setitem(sys.modules, "aether.rpc._http2", None)
    monkeypatch.delattr(aether.rpc, "_http2", raising=False)
