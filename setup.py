"""Build of the compiled modules. Metadata lives in pyproject.toml.

In the environment:

* ``NATIVE=1`` insists on `aether.rpc._http2`, which needs libnghttp2 (header and library, found by pkg-config), and
  ``NATIVE=0`` does without. Otherwise it is built where libnghttp2 is found; without it the gateway falls back to the
  purerpc engine at run time.
* ``SANITIZE=address,undefined`` instruments the modules, see scripts/asan.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from setuptools import Extension, setup

QUIET = ["-fno-strict-aliasing", "-Wno-unused-function", "-Wno-deprecated-declarations", "-Wno-enum-compare"]


def flags() -> list[str]:
    """Arguments for compiler and linker that all modules share."""
    if sanitize := os.environ.get("SANITIZE"):
        return [*QUIET, "-g", "-O1", "-fno-omit-frame-pointer", f"-fsanitize={sanitize}", "-fno-sanitize-recover=all"]
    return [*QUIET, "-O3"]


def pkg_config(package: str) -> dict[str, list[str]] | None:
    """Compiler and linker arguments of a C library, None when pkg-config or the library is missing."""
    tool = os.environ.get("PKG_CONFIG", "pkg-config")
    if shutil.which(tool) is None:
        return None
    try:
        cflags = subprocess.run([tool, "--cflags", package], capture_output=True, text=True, check=True).stdout
        libs = subprocess.run([tool, "--libs", package], capture_output=True, text=True, check=True).stdout
    except subprocess.CalledProcessError:
        return None
    return {"compiler": shlex.split(cflags), "linker": shlex.split(libs)}


def nghttp2() -> dict[str, list[str]] | None:
    """What it takes to compile with libnghttp2, None to build without."""
    wanted = os.environ.get("NATIVE")
    if wanted == "0":
        return None
    found = pkg_config("libnghttp2")
    if found is None:
        text = "libnghttp2 was not found by pkg-config (install libnghttp2-dev for the native gRPC engine)"
        if wanted == "1":
            sys.exit(f"error: {text}; NATIVE=0 builds without it")
        print(f"warning: {text}; building without aether.rpc._http2", file=sys.stderr)
    return found


def extension(name: str, source: str, *, compiler: Sequence[str] = (), linker: Sequence[str] = ()) -> Extension:
    return Extension(name, [source], extra_compile_args=[*flags(), *compiler], extra_link_args=[*flags(), *linker])


def extensions() -> list[Extension]:
    found = [
        extension("aether._fastpath", "src/aether/_fastpath.pyx"),
        extension("aether.kv._shortcuts", "src/aether/kv/_shortcuts.pyx"),
    ]
    if (library := nghttp2()) is not None:
        found.append(extension("aether.rpc._http2", "src/aether/rpc/_http2.pyx", **library))
    return found


def cythonized() -> list[Extension]:
    from Cython.Build import cythonize

    return cythonize(extensions(), compiler_directives={"language_level": "3"})


setup(ext_modules=cythonized())
