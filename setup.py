"""Build of the compiled modules. Metadata lives in pyproject.toml.

`aether.rpc._http2` needs libnghttp2 (header and library, found by pkg-config). Where it is missing the package is built
without it and the gateway falls back to the purerpc engine at run time.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).parent
OPTIMISE = ["-O3", "-fno-strict-aliasing", "-Wno-unused-function", "-Wno-deprecated-declarations", "-Wno-enum-compare"]


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
    return {"extra_compile_args": shlex.split(cflags), "extra_link_args": shlex.split(libs)}


def extensions() -> list[Extension]:
    found = []
    flags = pkg_config("libnghttp2")
    if flags is None:
        print(
            "warning: libnghttp2 was not found by pkg-config; building without aether.rpc._http2 "
            "(install libnghttp2-dev for the native gRPC engine)",
            file=sys.stderr,
        )
    else:
        found.append(
            Extension(
                "aether.rpc._http2",
                ["src/aether/rpc/_http2.pyx"],
                extra_compile_args=[*OPTIMISE, *flags["extra_compile_args"]],
                extra_link_args=flags["extra_link_args"],
            )
        )
    if (ROOT / "src/aether/_fastpath.pyx").exists():
        found.append(Extension("aether._fastpath", ["src/aether/_fastpath.pyx"], extra_compile_args=OPTIMISE))
    return found


def cythonized() -> list[Extension]:
    from Cython.Build import cythonize

    return cythonize(extensions(), compiler_directives={"language_level": "3"})


setup(ext_modules=cythonized())
